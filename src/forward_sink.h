/* Where rollcall-forward publishes: one interface, and one file for each kind (forward_nats.c,
 * forward_kafka.c). A sink keeps nothing for long: when it fails, all that it has not acknowledged
 * is published anew to its next connection, in the node's order. Sinks do not write to stderr; they
 * leave one line in `why`. */
#ifndef ROLLCALL_FORWARD_SINK_H
#define ROLLCALL_FORWARD_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "forward_options.h"
#include "util/err.h"
#include "util/span.h"

enum {
    FORWARD_SINK_DOWN = 1,      /* it failed; `why`; disconnect, and connect later */
    FORWARD_SINK_REFUSED = 2,   /* of connect: trying again cannot help before somebody acts */
    FORWARD_SINK_TOO_LARGE = 3, /* of publish: it takes no message of that size, now or later */
};

enum { FORWARD_WHY_BYTES = 512 };

struct forward_message {
    uint64_t ticket; /* goes up by one; comes back when it is acknowledged */
    struct span id;  /* of the message: the same for the same event */
    struct span kind, key;
    const char *subject;
    struct span body;
};

struct forward_acknowledgement {
    uint64_t ticket;
    bool duplicate; /* it was there already */
};

struct forward_sink {
    const struct forward_sink_class *class;
    int fd; /* readable when there is something to poll; the sink's */
    char why[FORWARD_WHY_BYTES];
    char warning[FORWARD_WHY_BYTES]; /* of connect or poll, and no failure; whoever says it empties
                                        it */
    int64_t duplicates_ms; /* for so long it knows an id again; 0: it does not, or nobody knows */
};

struct forward_sink_class {
    const char *name; /* for people */
    bool is_patient;  /* it waits for its servers by itself, however long, and keeps the order */
    /* Without network. The options stay the caller's and must outlive the sink. NULL: out of
     * memory, or -- `why` (FORWARD_WHY_BYTES) is set -- they are wrong. */
    struct forward_sink *(*make)(const struct forward_options *options, char *why);
    /* Waits for at most a few seconds. 0, FORWARD_SINK_DOWN or FORWARD_SINK_REFUSED. */
    int (*connect)(struct forward_sink *sink);
    /* Copies the message. 0, FORWARD_SINK_DOWN or FORWARD_SINK_TOO_LARGE. */
    int (*publish)(struct forward_sink *sink, const struct forward_message *message);
    /* What was acknowledged, in any order, at most `max`; 0 or FORWARD_SINK_DOWN. */
    int (*poll)(struct forward_sink *sink, struct forward_acknowledgement *done, unsigned max,
                unsigned *count);
    /* Copes with one that is not connected. Tickets of before may still be acknowledged. */
    void (*disconnect)(struct forward_sink *sink);
    void (*free)(struct forward_sink *sink);
};

/* NULL where this build lacks it. */
extern const struct forward_sink_class *const forward_sink_nats;
extern const struct forward_sink_class *const forward_sink_kafka;

#endif
