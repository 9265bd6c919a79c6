/* Cursors and their file; see tail_cursor.h. */
#include "tail_cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RING_ID_DIGITS = 16, SEQ_MAX_DIGITS = 20 };

bool tail_cursor_is_valid(struct span text) {
    if (text.len < RING_ID_DIGITS + 2 || text.len > RING_ID_DIGITS + 1 + SEQ_MAX_DIGITS)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (i == RING_ID_DIGITS
                ? text.ptr[i] != '-'
                : !memchr("0123456789abcdef", text.ptr[i], i < RING_ID_DIGITS ? 16 : 10))
            return false;
    }
    return true;
}

bool tail_cursor_line_seq(struct span line, unsigned long long *seq) {
    static const char front[] = "{\"seq\":";
    size_t i = sizeof front - 1;
    if (line.len < i || memcmp(line.ptr, front, i) != 0)
        return false;
    *seq = 0;
    for (; i < line.len && line.ptr[i] >= '0' && line.ptr[i] <= '9'; i++)
        *seq = *seq * 10 + (unsigned)(line.ptr[i] - '0');
    return i > sizeof front - 1;
}

int tail_cursor_load(const char *path, char cursor[TAIL_CURSOR_MAX]) {
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? TAIL_CURSOR_NONE : -errno;
    size_t len = fread(cursor, 1, TAIL_CURSOR_MAX, file);
    int rc = ferror(file) ? -EIO : 0;
    fclose(file);
    if (rc)
        return rc;
    if (len && cursor[len - 1] == '\n')
        len--;
    if (len >= TAIL_CURSOR_MAX || !tail_cursor_is_valid(span_from(cursor, len)))
        return TAIL_CURSOR_INVALID;
    cursor[len] = 0;
    return 0;
}

static int write_file(const char *path, const char *cursor) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    char text[TAIL_CURSOR_MAX + 1];
    int len = snprintf(text, sizeof text, "%s\n", cursor);
    ssize_t written = write(fd, text, (size_t)len);
    int rc = written == len ? 0 : written < 0 ? -errno : -ENOSPC;
    return close(fd) && rc == 0 ? -errno : rc;
}

int tail_cursor_store(const char *path, const char *cursor) {
    char *beside;
    if (asprintf(&beside, "%s.new", path) < 0)
        return -ENOMEM;
    int rc = write_file(beside, cursor);
    if (rc == 0 && rename(beside, path))
        rc = -errno;
    if (rc)
        unlink(beside);
    free(beside);
    return rc;
}
