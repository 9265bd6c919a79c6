/* How a stream writes an event: as the line it is (NDJSON), as a server-sent event, or as a
 * CloudEvents 1.0 object a line. Pure: ring records in, bytes out. */
#ifndef ROLLCALL_FEED_FORMAT_H
#define ROLLCALL_FEED_FORMAT_H

#include <stdint.h>

#include "ring.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/span.h"

enum feed_format {
    FEED_NDJSON,      /* application/x-ndjson */
    FEED_SSE,         /* text/event-stream (WHATWG HTML, 9.2): `id` is the cursor */
    FEED_CLOUDEVENTS, /* application/cloudevents+json lines: `data` is the event */
    FEED_FORMATS
};

/* What the Accept field (RFC 9110, 12.5.1) likes best; absent or "*" / "*": NDJSON. FEED_FORMATS:
 * none of the three. */
enum feed_format feed_format_choose(struct span accept);
const char *feed_format_type(enum feed_format format);

/* What stands where events are missing. `after` is the cursor that the reader saw last. */
struct feed_gap {
    struct span after;
    uint64_t next_seq;
    int64_t lost; /* below zero: nobody knows */
    const char *reason;
};

/* Each appends one event, one gap, or what only shows that the stream lives. 0 or -ENOMEM. */
int feed_format_event(enum feed_format format, const struct ring *ring,
                      const struct ring_record *record, struct buf *out) MUST_CHECK;
int feed_format_gap(enum feed_format format, const struct ring *ring, const struct feed_gap *gap,
                    struct buf *out) MUST_CHECK;
int feed_format_heartbeat(enum feed_format format, struct buf *out) MUST_CHECK;

#endif
