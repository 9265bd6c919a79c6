/* Cursors and their file; see tail_cursor.h. */
#include "tail_cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/buf.h"

bool tail_cursor_parse(struct span text, struct tail_cursor *cursor) {
    uint64_t seq = 0;
    if (text.len < TAIL_RING_DIGITS + 2 || text.ptr[TAIL_RING_DIGITS] != '-')
        return false;
    for (size_t i = 0; i < TAIL_RING_DIGITS; i++)
        if (!memchr("0123456789abcdef", text.ptr[i], 16))
            return false;
    for (size_t i = TAIL_RING_DIGITS + 1; i < text.len; i++) {
        unsigned digit = (unsigned char)text.ptr[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(seq, 10U, &seq) ||
            __builtin_add_overflow(seq, digit, &seq))
            return false;
    }
    cursor->seq = seq;
    memcpy(cursor->ring, text.ptr, TAIL_RING_DIGITS);
    cursor->ring[TAIL_RING_DIGITS] = 0;
    return true;
}

void tail_cursor_format(const struct tail_cursor *cursor, char text[TAIL_CURSOR_MAX]) {
    snprintf(text, TAIL_CURSOR_MAX, "%s-%" PRIu64, cursor->ring, cursor->seq);
}

/* --- reading -------------------------------------------------------------------------- */

/* One line: a cursor, and with several sockets the path that it belongs to. */
static bool take_line(struct span line, struct tail_cursor_place *places, size_t count) {
    const char *blank = memchr(line.ptr, ' ', line.len);
    struct tail_cursor cursor;
    struct span text = blank ? span_from(line.ptr, (size_t)(blank - line.ptr)) : line;
    if (!tail_cursor_parse(text, &cursor))
        return false;
    if (!blank) {
        if (count == 1)
            places[0].cursor = cursor;
        return count == 1;
    }
    struct span path = span_from(blank + 1, line.len - text.len - 1);
    for (size_t i = 0; i < count; i++)
        if (span_equals(path, span_from_string(places[i].socket)))
            places[i].cursor = cursor;
    return path.len > 0;
}

static bool take_lines(struct span text, struct tail_cursor_place *places, size_t count) {
    bool bare = false;
    if (!text.len)
        return false;
    for (size_t lines = 0; text.len; lines++) {
        const char *end = memchr(text.ptr, '\n', text.len);
        struct span line = end ? span_from(text.ptr, (size_t)(end - text.ptr)) : text;
        bare = bare || (line.len && !memchr(line.ptr, ' ', line.len));
        if ((bare && lines) || !take_line(line, places, count))
            return false; /* a cursor without a path is the only line */
        text.ptr += line.len + (end != NULL);
        text.len -= line.len + (end != NULL);
    }
    return true;
}

int tail_cursor_load(const char *path, struct tail_cursor_place *places, size_t count) {
    /* Not blocking, so that a FIFO of that name is told from a file rather than waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? TAIL_CURSOR_NONE : -errno;
    struct stat stat;
    struct buf text = {0};
    ssize_t len = 0;
    int rc = fstat(fd, &stat) ? -errno : 0;
    if (rc == 0 && !S_ISREG(stat.st_mode))
        rc = TAIL_CURSOR_NO_FILE;
    rc = rc ? rc : buf_reserve(&text, TAIL_MAX_CURSOR_FILE_BYTES + 1);
    while (rc == 0 && text.len <= TAIL_MAX_CURSOR_FILE_BYTES &&
           (len = read(fd, text.ptr + text.len, TAIL_MAX_CURSOR_FILE_BYTES + 1 - text.len)) > 0)
        text.len += (size_t)len;
    if (rc == 0 && len < 0)
        rc = -errno;
    if (rc == 0 &&
        (text.len > TAIL_MAX_CURSOR_FILE_BYTES || !take_lines(buf_span(&text), places, count)))
        rc = TAIL_CURSOR_INVALID;
    buf_deinit(&text);
    close(fd);
    return rc;
}

/* --- writing -------------------------------------------------------------------------- */

static int write_file(const char *path, struct span text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    ssize_t written = write(fd, text.ptr, text.len);
    int rc = written == (ssize_t)text.len ? 0 : written < 0 ? -errno : -ENOSPC;
    return close(fd) && rc == 0 ? -errno : rc;
}

static int write_lines(const struct tail_cursor_place *places, size_t count, struct buf *text) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char cursor[TAIL_CURSOR_MAX];
        if (!places[i].cursor.ring[0])
            continue;
        tail_cursor_format(&places[i].cursor, cursor);
        rc = buf_append(text, cursor, strlen(cursor));
        if (count > 1) {
            rc = rc ? rc : buf_append(text, " ", 1);
            rc = rc ? rc : buf_append(text, places[i].socket, strlen(places[i].socket));
        }
        rc = rc ? rc : buf_append(text, "\n", 1);
    }
    return rc;
}

int tail_cursor_store(const char *path, const struct tail_cursor_place *places, size_t count) {
    struct buf text = {0};
    char *beside = NULL;
    int rc = write_lines(places, count, &text);
    if (rc == 0 && asprintf(&beside, "%s.new", path) < 0) {
        beside = NULL;
        rc = -ENOMEM;
    }
    if (rc == 0) {
        rc = write_file(beside, buf_span(&text));
        if (rc == 0 && rename(beside, path))
            rc = -errno;
        if (rc)
            unlink(beside);
    }
    free(beside);
    buf_deinit(&text);
    return rc;
}
