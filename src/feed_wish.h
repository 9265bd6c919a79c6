/* What a request for GET /v1/events asks for: its parameters and header fields, sorted and checked.
 * Pure. */
#ifndef ROLLCALL_FEED_WISH_H
#define ROLLCALL_FEED_WISH_H

#include <stdbool.h>
#include <stdint.h>

#include "feed_filter.h"
#include "feed_format.h"
#include "http.h"
#include "readers.h"
#include "ring.h"
#include "util/err.h"

enum { FEED_MAX_HEARTBEAT_S = 3600 };

struct feed_wish {
    enum feed_format format;
    bool follow, oldest;
    uint64_t limit;
    uint64_t heartbeat_s;              /* 0: none */
    struct span after;                 /* absent, or a well-formed cursor */
    char place[RING_CURSOR_MAX];       /* that of a held reader: `after` points to it */
    char held[READERS_NAME_BYTES + 1]; /* its name; empty: none */
    enum ring_cursor_kind kind;
    uint64_t seq;
    struct feed_filter *filter; /* NULL: everything; the caller's to free, whatever was answered */
    /* Where something is wrong: what to answer, and why, as text that fits into JSON. */
    int status;
    char problem[160];
};

enum { FEED_WISH_REFUSED = 1 };

/* Spans point into the request. 0 or FEED_WISH_REFUSED. */
int feed_wish_read(struct feed_wish *wish, const struct ring *ring, const struct readers *readers,
                   const struct http_request *request) MUST_CHECK;

#endif
