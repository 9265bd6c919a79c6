/* How long the loop has kept somebody waiting at worst, lately. Kept in two halves of
 * LAG_HALF_MS that take turns, so that whoever asks about once in half a minute sees every peak,
 * however many ask. Pure: times are the caller's, of one monotonic clock. */
#ifndef ROLLCALL_LAG_H
#define ROLLCALL_LAG_H

#include <stdint.h>

enum { LAG_HALF_MS = 30 * 1000 };

/* Zeroed: nothing was noted. */
struct lag {
    uint64_t worst_ns[2]; /* of this half, and of the one before it */
    uint64_t until_ms;    /* when the next half begins */
};

static inline void lag_note(struct lag *lag, uint64_t ns) {
    if (ns > lag->worst_ns[0])
        lag->worst_ns[0] = ns;
}

/* Called now and then, more often than a half lasts. */
void lag_tick(struct lag *lag, uint64_t now_ms);
/* The worst of the last 30 to 60 s. */
uint64_t lag_worst_ns(const struct lag *lag);

#endif
