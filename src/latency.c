/* Durations in buckets; see latency.h. */
#include "latency.h"

/* The place of the highest bit of how many first bounds fit below: no search. */
static unsigned bucket_of(uint64_t ns) {
    uint64_t firsts = ns ? (ns - 1) / LATENCY_FIRST_NS : 0; /* a bound belongs to its bucket */
    unsigned bucket = firsts ? 64 - (unsigned)__builtin_clzll(firsts) : 0;
    return bucket < LATENCY_BOUNDS ? bucket : LATENCY_BOUNDS;
}

void latency_add(struct latency *latency, uint64_t ns, uint64_t count) {
    latency->counts[bucket_of(ns)] += count;
    latency->sum_ns += ns * count;
}

void latency_settle(struct latency *latency, struct latency_pending *pending, uint64_t now_ns) {
    if (pending->count)
        latency_add(latency, now_ns - pending->first_ns, 1);
    if (pending->count > 1)
        latency_add(latency, now_ns - pending->others_ns, pending->count - 1);
    *pending = (struct latency_pending){0};
}
