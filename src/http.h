/* HTTP/1.1 requests out of bytes (RFC 9110, 9112), over llhttp in its strict mode. Sans I/O: bytes
 * in, steps out; used for TLS connections and for the Unix socket alike.
 *
 * The caller feeds each chunk it has read, steps through it until HTTP_STEP_MORE, and ends it.
 * While a request is whole within one chunk, its spans point into the chunk and nothing is
 * allocated. What is not whole at the end of a chunk is copied into memory of the request's own by
 * http_feed_end: between two chunks no span points into a chunk.
 *
 *   http_feed(parser, scratch, chunk, len);
 *   while ((step = http_step(parser)) != HTTP_STEP_MORE)
 *       switch (step) { case HTTP_STEP_HEAD: ... case HTTP_STEP_REQUEST: ... case HTTP_STEP_BAD:
 * ... } rc = http_feed_end(parser);
 */
#ifndef ROLLCALL_HTTP_H
#define ROLLCALL_HTTP_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/span.h"

enum {
    HTTP_MAX_FIELDS = 96,   /* header fields of a request; one more is 431 */
    HTTP_MAX_TARGET = 8192, /* bytes of the request target; one more is 414 (RFC 9110, 4.1) */
    HTTP_BODY_PADDING = 64, /* readable bytes behind a chunk, and so behind a body */
};

struct http_limits {
    size_t max_header_bytes; /* request line and fields; one more is 431 */
    size_t max_body_bytes;   /* decoded from chunked; one more is 413 */
};

struct http_field {
    uint32_t name, name_len; /* offsets into the head */
    uint32_t value, value_len;
};

/* A request while it is read and answered. Valid until the next http_step. */
struct http_request {
    /* from HTTP_STEP_HEAD on */
    struct span method, path, query; /* query without '?', absent where there is none */
    uint8_t llhttp_method;           /* HTTP_POST ... of llhttp.h */
    uint8_t minor_version;           /* HTTP/1.x */
    bool keep_alive;                 /* what the peer wants (RFC 9112, 9.3) */
    bool expect_continue;            /* Expect: 100-continue (RFC 9110, 10.1.1) */
    bool has_body;                   /* Content-Length above 0, or chunked */
    bool chunked;
    uint64_t content_length; /* 0 where chunked */
    size_t max_body_bytes;   /* the limits'; the caller may lower it at HTTP_STEP_HEAD */
    bool discard_body;       /* the caller may set it at HTTP_STEP_HEAD: drop the body */
    void *user;              /* the caller's, NULL at HTTP_STEP_HEAD */
    /* at HTTP_STEP_REQUEST */
    struct span body; /* never absent; writable; HTTP_BODY_PADDING readable bytes behind it */

    /* the parser's own */
    char *head;
    uint32_t head_len, target, target_len, method_len;
    unsigned field_count;
    bool in_name, value_due;
    uint64_t body_seen; /* bytes of the body so far, dropped ones included */
    struct buf own_head, own_body;
    struct http_field fields[HTTP_MAX_FIELDS];
};

/* The value of the first field of that name (case-insensitive), absent where there is none. */
struct span http_request_field(const struct http_request *request, struct span name);

enum http_step {
    HTTP_STEP_MORE,    /* the chunk is used up */
    HTTP_STEP_HEAD,    /* request line and fields are there; the body is not */
    HTTP_STEP_REQUEST, /* the request is whole */
    HTTP_STEP_BAD,     /* not HTTP, or past a limit: answer parser->bad_status and close */
};

struct http_parser {
    llhttp_t llhttp;
    const struct http_limits *limits;
    struct http_request *request; /* NULL between requests */
    struct http_request *scratch;
    char *chunk; /* the chunk being stepped through */
    size_t chunk_len, chunk_used;
    uint8_t stage;
    uint32_t overhead;      /* bytes of trailers and chunk extensions so far */
    bool head_open;         /* a request has begun and its head is not whole */
    uint16_t bad_status;    /* at HTTP_STEP_BAD: 400, 413, 414, 417, 431, 501, 505 */
    const char *bad_reason; /* at HTTP_STEP_BAD: static text */
};

/* The limits live as long as the parser. */
void http_parser_init(struct http_parser *parser, const struct http_limits *limits);
/* Frees what an incomplete request holds. */
void http_parser_deinit(struct http_parser *parser);
/* Hands over a chunk, which lives until http_feed_end and is written to (chunked bodies are put
 * together in place); HTTP_BODY_PADDING bytes behind it are readable. `scratch` is shared by all
 * parsers of a thread. */
void http_feed(struct http_parser *parser, struct http_request *scratch, char *chunk, size_t len);
enum http_step http_step(struct http_parser *parser) MUST_CHECK;
/* Where what is missing of a body of known length will lie, and how much that is. Who reads the
 * bytes to that place, and then feeds them from there, spares them a copy. False: nowhere. Valid
 * until the next http_feed. */
bool http_body_place(const struct http_parser *parser, char **place, size_t *len);
/* Ends the chunk. 0 or -ENOMEM. */
int http_feed_end(struct http_parser *parser) MUST_CHECK;

/* Whether a request has begun and is not whole: what a deadline for the head or body hangs on. */
static inline bool http_parser_in_head(const struct http_parser *parser) {
    return parser->head_open;
}
static inline bool http_parser_in_body(const struct http_parser *parser) {
    return parser->request != NULL && !parser->head_open;
}

/* --- answers -----------------------------------------------------------------------------------
 */

/* The reason phrase of a status code (RFC 9110, 15), "Unknown" for others. */
const char *http_reason(int status);

struct http_response {
    int status;
    const char *content_type; /* NULL: no body */
    struct span body;
    const char *headers, *more_headers; /* further fields, each ending in CRLF; NULL for none */
    bool close;                         /* Connection: close */
    bool head;                          /* answer to HEAD: the body's length, not the body */
    int minor_version; /* of the request: to 1.0, keep-alive must be said (RFC 9112, 9.3) */
};

/* Appends a whole response, Date included. 0 or -ENOMEM. */
int http_respond(struct buf *out, const struct http_response *response) MUST_CHECK;

/* --- query strings (of the Unix socket's requests) ----------------------------------------------
 */

/* Takes the next name=value from *query (which moves on); %XX and '+' are decoded in place into the
 * request's own memory. False when none is left. A broken %XX stays as it is. */
bool http_query_next(struct span *query, struct span *name, struct span *value);

#endif
