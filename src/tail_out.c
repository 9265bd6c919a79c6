/* The tail's stdout; see tail_out.h. */
#include "tail_out.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tail_mark {
    size_t end; /* in the text: the mark holds when all before it was written */
    struct tail_cursor *written, cursor;
};

enum { FIRST_MARKS = 64, RETRY_MS = 100 };

int tail_out_mark(struct tail_out *out, struct tail_cursor *written,
                  const struct tail_cursor *cursor) {
    if (out->mark_count == out->mark_cap) {
        size_t cap = out->mark_cap ? out->mark_cap * 2 : FIRST_MARKS;
        struct tail_mark *marks = reallocarray(out->marks, cap, sizeof *marks);
        if (!marks)
            return -ENOMEM;
        out->marks = marks;
        out->mark_cap = cap;
    }
    out->marks[out->mark_count++] = (struct tail_mark){out->text.len, written, *cursor};
    return 0;
}

bool tail_out_is_full(const struct tail_out *out) {
    return out->text.len >= TAIL_OUT_BYTES || out->mark_count >= TAIL_OUT_MARKS;
}

/* Where to stop when the end has come: behind the line that some of was written. */
static size_t end_of_line(const struct tail_out *out, size_t done) {
    if (done == 0 || out->text.ptr[done - 1] == '\n')
        return done;
    const char *newline = memchr(out->text.ptr + done, '\n', out->text.len - done);
    return newline ? (size_t)(newline - out->text.ptr) + 1 : out->text.len;
}

static void settle(struct tail_out *out, size_t done) {
    for (size_t i = 0; i < out->mark_count && out->marks[i].end <= done; i++)
        *out->marks[i].written = out->marks[i].cursor;
    out->mark_count = 0;
    buf_reset(&out->text, 2 * TAIL_OUT_BYTES);
}

int tail_out_write(struct tail_out *out, const volatile sig_atomic_t *stop) {
    size_t done = 0;
    int rc = 0;
    while (rc == 0) {
        size_t end = *stop ? end_of_line(out, done) : out->text.len;
        if (done >= end)
            break;
        ssize_t len = write(STDOUT_FILENO, out->text.ptr + done, end - done);
        if (len >= 0) {
            done += (size_t)len;
        } else if (errno == EAGAIN) {
            /* Somebody else's flag on a shared pipe. Short waits, as a signal may have come just
             * before this one. */
            struct pollfd room = {STDOUT_FILENO, POLLOUT, 0};
            (void)poll(&room, 1, RETRY_MS);
        } else if (errno != EINTR) {
            rc = errno == EPIPE ? TAIL_OUT_GONE : -errno;
        }
    }
    settle(out, done);
    return rc;
}

bool tail_out_is_gone(short revents) {
    return revents & (POLLERR | POLLHUP | POLLNVAL);
}

void tail_out_deinit(struct tail_out *out) {
    buf_deinit(&out->text);
    free(out->marks);
    *out = (struct tail_out){0};
}
