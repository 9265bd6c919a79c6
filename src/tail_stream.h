/* One connection of rollcall-tail: connects to a node's Unix socket, asks once, and hands over the
 * lines of the answer, or the start of a body that is no stream. Knows HTTP (llhttp) and lines;
 * knows no options, no files and no output. */
#ifndef ROLLCALL_TAIL_STREAM_H
#define ROLLCALL_TAIL_STREAM_H

#include <llhttp.h>
#include <stdbool.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/span.h"

enum {
    /* The default size of a node's ring, which holds no longer line. One byte more is an error: a
     * line is held whole before it goes on, so this bounds the memory. */
    TAIL_MAX_LINE_BYTES = 64 * 1024 * 1024, /* with its '\n' */
    TAIL_MAX_FIELD_BYTES = 64,              /* of a header field's value: a cursor is 37 */
    TAIL_MAX_ERROR_BYTES = 4096,            /* of a body that is no stream; the rest is dropped */
    TAIL_READ_BYTES = 256 * 1024,
};

enum tail_result {
    TAIL_OK = 0,
    TAIL_END = 1,      /* the answer is complete */
    TAIL_BROKEN = 2,   /* the connection ended before the answer did */
    TAIL_INVALID = 3,  /* not HTTP */
    TAIL_TOO_LONG = 4, /* a line past the bound */
    TAIL_STOP = 5,     /* on_line wants no more */
};

struct tail_stream {
    int fd; /* -1 while not open */
    llhttp_t http;
    bool head, complete, too_long, on_cursor_field; /* head: it is there whole */
    struct buf field, line, error;     /* error: the body of an answer other than 200 */
    char cursor[TAIL_MAX_FIELD_BYTES]; /* Rollcall-Cursor: what the stream begins behind; "" */
    /* One line without its '\n', which stands readable behind it; returns false to stop. */
    bool (*on_line)(void *context, struct span line);
    void *context;
};

void tail_stream_init(struct tail_stream *stream, bool (*on_line)(void *context, struct span line),
                      void *context);
/* Connects, without waiting for a node that accepts nobody, and sends a whole request. 0 or
 * -errno; -EAGAIN where the node's backlog is full. */
int tail_stream_open(struct tail_stream *stream, const char *path, struct span request) MUST_CHECK;
/* Reads once and hands over what came; call when the fd is readable. TAIL_* or -errno. */
int tail_stream_read(struct tail_stream *stream) MUST_CHECK;
/* The status of the answer once its head is there whole; else 0. */
int tail_stream_status(const struct tail_stream *stream);
/* Closes, and drops a line that is not whole. Copes with one that is not open. */
void tail_stream_close(struct tail_stream *stream);
void tail_stream_deinit(struct tail_stream *stream);

#endif
