/* How long answers took: a histogram with bounds that double, and the answers that are not written
 * yet. An addition is a division by a constant, a count of bits and two additions. Pure: no clock,
 * no I/O; times are the caller's, of one monotonic clock in ns. */
#ifndef ROLLCALL_LATENCY_H
#define ROLLCALL_LATENCY_H

#include <stdint.h>

enum {
    LATENCY_FIRST_NS = 50 * 1000, /* the first bound; a post alone takes about twice that */
    LATENCY_BOUNDS = 20,          /* the last bound is 26.2 s, about what body_timeout allows */
};

/* Zeroed: empty. */
struct latency {
    uint64_t counts[LATENCY_BOUNDS + 1]; /* of each bucket alone; the last: past every bound */
    uint64_t sum_ns;
};

/* The bucket holds what took at most this, and more than the one before it. */
static inline uint64_t latency_bound_ns(unsigned bucket) {
    return (uint64_t)LATENCY_FIRST_NS << bucket;
}

void latency_add(struct latency *latency, uint64_t ns, uint64_t count);

/* Answers that go out together. All but the first are to requests that came whole with one read, so
 * that two times are enough for any number of them. Zeroed: none. */
struct latency_pending {
    uint64_t first_ns, others_ns; /* when their requests began */
    uint64_t count;
};

/* One more answer, to a request that began then. */
static inline void latency_begin(struct latency_pending *pending, uint64_t begun_ns) {
    if (pending->count++ == 0)
        pending->first_ns = begun_ns;
    else
        pending->others_ns = begun_ns;
}

/* They are all out: counts and forgets them. */
void latency_settle(struct latency *latency, struct latency_pending *pending, uint64_t now_ns);

#endif
