/* A limit of so many requests in a time, with a burst: the generic cell rate algorithm (ITU-T
 * I.371), which needs one number and no timer. Pure: the caller brings the clock. */
#ifndef ROLLCALL_QUOTA_H
#define ROLLCALL_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "util/err.h"

/* `count` requests in each `period_ms`; `burst` of them may come at once. count 0: no limit. */
struct quota_limit {
    uint64_t period_ms;
    unsigned count, burst;
};

enum { QUOTA_MAX_COUNT = 1000000, QUOTA_TEXT_BYTES = 48 };

/* "200/s", "200/s burst 400", "10/m", "5000/h". False where it is not that, or out of bounds (1 to
 * QUOTA_MAX_COUNT each). Without a burst, it is as large as the count. */
bool quota_parse(const char *text, struct quota_limit *limit) MUST_CHECK;
void quota_format(const struct quota_limit *limit, char text[QUOTA_TEXT_BYTES]);

/* Zeroed is one that nothing was taken from. */
struct quota {
    int64_t next_us; /* when the next request would come if they came evenly */
};

/* Takes one. 0, or the microseconds to wait until there is one again (nothing is taken then).
 * `now_us` may jump: a clock set back does not lock anyone out for longer than a whole burst. */
int64_t quota_take(struct quota *quota, const struct quota_limit *limit, int64_t now_us);

#endif
