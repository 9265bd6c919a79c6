/* What was published and is not done with yet, in the order in which the node sent it. A sink
 * acknowledges in any order; done with is only what is acknowledged without a hole from the start:
 * so far may the reader commit. Pure: no clock, no sink, no thread of its own. */
#ifndef ROLLCALL_FORWARD_WINDOW_H
#define ROLLCALL_FORWARD_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tail_cursor.h"
#include "util/err.h"

struct forward_slot {
    struct tail_cursor cursor;
    size_t bytes;
    int64_t received_us; /* when the node received it; 0 where that is not known */
    bool acknowledged;
};

/* Slots [first, next) are in flight; a ticket is a slot's number and is never used again. */
struct forward_window {
    struct forward_slot *slots;
    size_t capacity;
    uint64_t first, next;
    size_t bytes; /* of all that are in flight */
};

enum {
    FORWARD_WINDOW_FULL = 1,
    FORWARD_WINDOW_STRANGE = 2, /* not in flight, or acknowledged already */
};

/* 0 or -ENOMEM. `capacity` is at least 1. */
int forward_window_init(struct forward_window *window, size_t capacity) MUST_CHECK;
void forward_window_deinit(struct forward_window *window);

/* 0 and the ticket, or FORWARD_WINDOW_FULL. The slot's `acknowledged` is ignored. */
int forward_window_push(struct forward_window *window, const struct forward_slot *slot,
                        uint64_t *ticket) MUST_CHECK;
/* 0 or FORWARD_WINDOW_STRANGE, and then nothing has changed. */
int forward_window_acknowledge(struct forward_window *window, uint64_t ticket) MUST_CHECK;
/* Takes out what is acknowledged without a hole from the start; *last (where any was) is the last
 * slot of it. How many. */
size_t forward_window_advance(struct forward_window *window, struct forward_slot *last);
/* Forgets what is in flight: their tickets are strange from now on. How many. */
size_t forward_window_clear(struct forward_window *window);

/* Whether more may be read: less is in flight than `max_count` messages and `max_bytes`. What one
 * read brings may then be more than is left. */
bool forward_window_has_room(const struct forward_window *window, size_t max_count,
                             size_t max_bytes);

static inline size_t forward_window_count(const struct forward_window *window) {
    return (size_t)(window->next - window->first);
}

#endif
