/* So many a turn: what may be done only a few times in a turn of the loop, so that those who ask
 * for it by the thousand hold up nobody else. Who gets nothing in this turn queues, and is called
 * in a later one, in the order of coming; nobody overtakes the queue.
 *
 * Pure: it knows neither a loop nor what is rationed. Places belong to the caller, who takes one
 * out (ration_leave) before its memory goes. */
#ifndef ROLLCALL_UTIL_RATION_H
#define ROLLCALL_UTIL_RATION_H

#include <stdbool.h>

#include "util/list.h"

struct ration {
    struct list queue;
    unsigned each_turn, left; /* of this turn */
};

struct ration_place {
    struct list link; /* in the queue */
    bool called;      /* one portion of a turn is set aside for it */
};

void ration_init(struct ration *ration, unsigned each_turn);
void ration_place_init(struct ration_place *place);
/* Takes a portion: the one that it was called for, or one of this turn's that nobody waits for.
 * False: there is none, and it should queue. */
bool ration_take(struct ration *ration, struct ration_place *place);
/* The portion that was taken last was not needed. */
void ration_return(struct ration *ration);
/* At the end of the queue; who stands there already keeps its place. */
void ration_queue(struct ration *ration, struct ration_place *place);
/* Out of the queue; idempotent. */
void ration_leave(struct ration_place *place);
/* A new turn, with all of its portions. Then ration_call, until it answers NULL: the next of the
 * queue, which has its portion from now on. */
void ration_begin_turn(struct ration *ration);
struct ration_place *ration_call(struct ration *ration);

static inline bool ration_is_awaited(const struct ration *ration) {
    return !list_is_empty(&ration->queue);
}

#endif
