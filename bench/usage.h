/* CPU time and memory of a process. */
#ifndef ROLLCALL_BENCH_USAGE_H
#define ROLLCALL_BENCH_USAGE_H

#include <stdbool.h>
#include <stdint.h>

struct usage {
    double user_s, system_s;
    uint64_t rss_kib, peak_kib; /* 0 where unknown */
};

/* Of this process (pid 0) or another's, from /proc. False where it cannot be read. */
bool usage_read(unsigned pid, struct usage *usage);
/* What was spent since. Memory stays what it is now. */
void usage_subtract(struct usage *usage, const struct usage *before);

#endif
