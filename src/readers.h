/* Held readers: programs that have a name and say how far they have come. What one of them has not
 * committed is not overwritten; a post that would have to is refused, and its sender's own retry
 * holds the data. Pure: knows the ring and no sockets; the caller brings the clock. Their places
 * are kept with the ring, and so outlive the process where that does.
 *
 * A reader that makes no progress for max_hold while there is something for it to commit holds no
 * longer, so that a dead one cannot wedge the node. It keeps its name and place: when it comes
 * back, it is told what it has missed, and with its next commit it holds again. */
#ifndef ROLLCALL_READERS_H
#define ROLLCALL_READERS_H

#include <stdbool.h>
#include <stdint.h>

#include "ring.h"
#include "util/err.h"
#include "util/span.h"

enum { READERS_MAX = RING_MAX_HELD, READERS_NAME_BYTES = RING_HELD_NAME_BYTES };

struct readers {
    struct ring *ring;
    struct ring_held *places; /* the ring's: name, and the last event that is committed */
    uint64_t max_hold_ms;
    struct {
        bool holds;
        uint64_t waiting_ms; /* since when there is more to commit, by the caller's clock; 0: there
                                is not, or nobody has looked yet */
        uint64_t sent_seq;   /* of the last event that a stream of it was sent and that has ended
                                since, with another one there: the caller's */
    } all[READERS_MAX];      /* of each place */
};

enum readers_result {
    READERS_OK = 0,
    READERS_CREATED = 1,
    READERS_UNKNOWN = 2,  /* nobody has that name */
    READERS_FULL = 3,     /* READERS_MAX are there */
    READERS_BAD_NAME = 4, /* empty, too long, or not of A-Z a-z 0-9 . _ - */
    READERS_FUTURE = 5,   /* that event is not there yet */
};

/* The ring outlives it. Those that were kept with it hold from now on. */
void readers_init(struct readers *readers, struct ring *ring, uint64_t max_hold_ms);
/* Makes the reader, or takes it forward to `seq`, the last event it is done with; one that is
 * further already stays there. READERS_OK, _CREATED, _FULL, _BAD_NAME or _FUTURE. */
int readers_commit(struct readers *readers, struct span name, uint64_t seq) MUST_CHECK;
/* READERS_OK or _UNKNOWN. */
int readers_remove(struct readers *readers, struct span name) MUST_CHECK;
/* Its place, an index into places and all; READERS_MAX: nobody has that name. */
unsigned readers_find(const struct readers *readers, struct span name);
/* Called about once a second with a clock that never goes back. Ends the holds of those that have
 * waited for max_hold; `ended` is called with the name of each. */
void readers_tick(struct readers *readers, uint64_t now_ms,
                  void (*ended)(void *context, const char *name), void *context);

#endif
