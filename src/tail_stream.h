/* One connection of rollcall-tail: connects to a node's Unix socket, asks for a stream, and hands
 * over its lines. Knows HTTP (llhttp) and lines; knows no options, no files and no output. */
#ifndef ROLLCALL_TAIL_STREAM_H
#define ROLLCALL_TAIL_STREAM_H

#include <llhttp.h>
#include <stdbool.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/span.h"

enum {
    TAIL_MAX_LINE_BYTES = 64 * 1024 * 1024, /* one more is an error, not memory */
    TAIL_MAX_CURSOR_BYTES = 64,
    TAIL_READ_BYTES = 64 * 1024,
};

enum tail_result {
    TAIL_OK = 0,
    TAIL_END = 1,     /* the answer is complete */
    TAIL_BROKEN = 2,  /* the connection ended before the answer did */
    TAIL_INVALID = 3, /* not HTTP, or a line past the bound */
    TAIL_STOP = 4,    /* on_line wants no more */
};

struct tail_stream {
    int fd; /* -1 while not open */
    llhttp_t http;
    bool complete, on_cursor_field;
    struct buf field, line, error;      /* error: the body of an answer other than 200 */
    char cursor[TAIL_MAX_CURSOR_BYTES]; /* Rollcall-Cursor: what the stream begins behind; "" */
    /* One line without its '\n'; returns false to stop. */
    bool (*on_line)(void *context, struct span line);
    void *context;
};

void tail_stream_init(struct tail_stream *stream, bool (*on_line)(void *context, struct span line),
                      void *context);
/* Connects and sends the request. 0 or -errno; -EAGAIN where the node's backlog is full. */
int tail_stream_open(struct tail_stream *stream, const char *path, const char *target) MUST_CHECK;
/* Reads once and hands over what came; call when the fd is readable. TAIL_* or -errno. */
int tail_stream_read(struct tail_stream *stream) MUST_CHECK;
/* The status of the answer; 0 while its head is not there. */
int tail_stream_status(const struct tail_stream *stream);
/* Closes, and drops a line that is not whole. Copes with one that is not open. */
void tail_stream_close(struct tail_stream *stream);
void tail_stream_deinit(struct tail_stream *stream);

#endif
