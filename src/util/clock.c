/* The clocks over clock_gettime, which is a vDSO call: no system call on the hot path. */
#include "util/clock.h"

#include <assert.h>
#include <time.h>

/* Fails only for an unknown clock or a bad pointer, both our own bugs. */
static struct timespec clock_read(clockid_t id) {
    struct timespec now = {0};
    int rc = clock_gettime(id, &now);
    assert(rc == 0);
    (void)rc;
    return now;
}

int64_t clock_realtime_us(void) {
    struct timespec now = clock_read(CLOCK_REALTIME);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

uint64_t clock_monotonic_ms(void) {
    return clock_monotonic_ns() / 1000000;
}

uint64_t clock_monotonic_ns(void) {
    struct timespec now = clock_read(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
