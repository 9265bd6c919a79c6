/* What each sender sends when it is told of a URL, as bytes: the look whether the URL is there, and
 * a first delivery with the endpoint's secret, which adds no event wherever the sender's format has
 * a delivery without any. Pure but for the clock's time, which is given. */
#ifndef ROLLCALL_PROBE_REQUEST_H
#define ROLLCALL_PROBE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/url.h"

struct probe_request {
    const char *method;
    const char *body;   /* NULL: the sender's first delivery, with its secret */
    struct span secret; /* NULL: none is sent */
    bool has_long_head; /* with the Accept-Charset of HiveManager's Java client, some 3 KB */
    bool is_last;       /* Connection: close */
    int64_t now_s;      /* Unix time, for signatures */
};

/* Appends the request for that endpoint. 0 or -ENOMEM. */
int probe_request_write(struct buf *out, const struct url *url,
                        const struct config_endpoint *endpoint,
                        const struct probe_request *request) MUST_CHECK;
/* Whether a first delivery adds an event: a `json` document has no empty form. */
bool probe_request_adds_event(const struct config_endpoint *endpoint);
/* Seconds after which that sender gives up (its documentation; 15, as Standard Webhooks has it,
 * where none is known). */
unsigned probe_request_patience_s(const struct config_endpoint *endpoint);

#endif
