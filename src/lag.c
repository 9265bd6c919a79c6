/* The worst of late; see lag.h. */
#include "lag.h"

void lag_tick(struct lag *lag, uint64_t now_ms) {
    if (now_ms < lag->until_ms)
        return;
    if (lag->until_ms) { /* else nothing has ended yet: the first half begins now */
        lag->worst_ns[1] = lag->worst_ns[0];
        lag->worst_ns[0] = 0;
    }
    lag->until_ms = now_ms + LAG_HALF_MS;
}

uint64_t lag_worst_ns(const struct lag *lag) {
    return lag->worst_ns[0] > lag->worst_ns[1] ? lag->worst_ns[0] : lag->worst_ns[1];
}
