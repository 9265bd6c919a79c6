/* A server's answer: as much of HTTP/1.1 (RFC 9112) as a server of webhooks sends. Pure. */
#ifndef ROLLCALL_BENCH_ANSWER_H
#define ROLLCALL_BENCH_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "util/err.h"
#include "util/span.h"

enum { ANSWER_MAX_BYTES = 64 * 1024 };

struct answer {
    int status;
    size_t len; /* of head and body */
    size_t body_len;
    bool close; /* the server closes the connection after it */
};

enum { ANSWER_WHOLE, ANSWER_PART, ANSWER_INVALID };

/* The answer at the front of `text`. A body has a Content-Length, or there is none (RFC 9112, 6.3;
 * chunks would be invalid). */
int answer_parse(struct span text, struct answer *answer) MUST_CHECK;
/* The number that a member of that name, "\"name\":", has in a node's answer; 0 where it has none.
 */
uint64_t answer_number(struct span body, struct span name);

#endif
