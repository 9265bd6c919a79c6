/* The requests that rollcall-tail sends, and those among them that are waited for: a held reader's
 * commits. */
#ifndef ROLLCALL_TAIL_REQUEST_H
#define ROLLCALL_TAIL_REQUEST_H

#include "tail_options.h"
#include "tail_stream.h"

enum { TAIL_REQUEST_TIMEOUT_MS = 2000 };

/* What a stream is asked for. */
struct tail_wish {
    bool follow, held;               /* held: as options->reader */
    const char *from;                /* NULL, "now" or "oldest" */
    const struct tail_cursor *after; /* NULL, or wins over `from` */
    uint64_t limit;                  /* 0: none */
};

/* Appends the whole request; the filters and the format are the options'. 0 or -ENOMEM. */
int tail_request_stream(const struct tail_options *options, const struct tail_wish *wish,
                        struct buf *out) MUST_CHECK;
int tail_request_commit(const char *reader, const struct tail_cursor *cursor,
                        struct buf *out) MUST_CHECK;
/* Sends a request on a connection of its own and reads the answer, up to its end or until the
 * stream's on_line wants no more, for at most TAIL_REQUEST_TIMEOUT_MS. The status, or -errno. */
int tail_request_wait(struct tail_stream *stream, const char *path, struct span request) MUST_CHECK;

#endif
