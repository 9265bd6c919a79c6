/* A batch: the events of one POST on their way into the ring. Gives each event its id, encodes it
 * straight into the ring, and in the end commits all or aborts all. Knows no HTTP, no sender, no
 * clock. One batch is open at a time (there is one thread). */
#ifndef ROLLCALL_BATCH_H
#define ROLLCALL_BATCH_H

#include "event.h"
#include "identity.h"
#include "ring.h"
#include "sender.h"
#include "util/err.h"

struct batch {
    struct ring *ring;
    struct event_context context;
    unsigned accepted;   /* events pushed */
    unsigned duplicates; /* events that were there already */
    unsigned rejected;   /* parts that could not be read */
    struct problem first_rejection; /* of the first of these */
};

/* Opens a batch. The spans live until commit or abort. */
void batch_begin(struct batch *batch, struct ring *ring, struct span endpoint,
                 struct span provider, int64_t received_us);
/* Adds one event. `identity` is what makes it the same event; NULL where nothing does (its id is
 * unique then). 0, SENDER_BATCH_FULL, or negative. */
int batch_emit(struct batch *batch, struct event *event, const struct identity *identity) MUST_CHECK;
/* Counts a part of the body that could not be read, and says where it stands. */
void batch_reject(struct batch *batch, const char *message, const char *path_format, ...)
    PRINTF_LIKE(3, 4);
void batch_commit(struct batch *batch);
void batch_abort(struct batch *batch);

#endif
