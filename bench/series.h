/* How many of something happened when: counts in equal slots of time, that get twice as long where
 * the time outgrows them. Fixed memory. */
#ifndef ROLLCALL_BENCH_SERIES_H
#define ROLLCALL_BENCH_SERIES_H

#include <stdint.h>

enum { SERIES_SLOTS = 400 };

struct series {
    uint64_t slot_ns;
    unsigned used; /* slots up to the last that was counted in */
    uint64_t counts[SERIES_SLOTS];
};

void series_reset(struct series *series, uint64_t slot_ns);
/* at_ns: since it was reset. */
void series_add(struct series *series, uint64_t at_ns);

#endif
