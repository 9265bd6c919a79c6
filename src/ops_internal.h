/* What ops.c (paths, /metrics) and ops_status.c (/v1/status) share. */
#ifndef ROLLCALL_OPS_INTERNAL_H
#define ROLLCALL_OPS_INTERNAL_H

#include <stdarg.h>
#include <stdio.h>

#include "ops.h"

enum { OPS_REASON_BYTES = 64 };

/* Appends what printf would write, at most 1 KiB of it. Errors stick: one look at the end. */
struct writer {
    struct buf *out;
    int rc;
};

static void put(struct writer *w, const char *format, ...) PRINTF_LIKE(2, 3);
static void put(struct writer *w, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (w->rc == 0)
        w->rc = buf_append(w->out, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
}

/* Draining, and while the disk fails, posts go elsewhere. */
bool ops_is_ready(const struct ops *ops);
/* Of the oldest event in the ring; 0 where there is none. */
double ops_oldest_age_s(const struct ops *ops);
/* The TLS library shouts: "WRONG_VERSION_NUMBER". NULL and "" become "other". */
void ops_lower_reason(const char *reason, char dst[OPS_REASON_BYTES]);

/* Appends the body of /v1/status. 0 or -ENOMEM. */
int ops_answer_status(const struct ops *ops, struct buf *body) MUST_CHECK;

#endif
