/* Wakes the loop at a planned moment, to the microsecond: uv_timer_t counts milliseconds, and adds
 * half of one to every latency. A timerfd sleeps until shortly before; from there the loop goes
 * round without sleeping, for a thread that sleeps is woken some 50 us late. */
#ifndef ROLLCALL_BENCH_PACE_H
#define ROLLCALL_BENCH_PACE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "util/err.h"

#define PACE_NEVER UINT64_MAX
enum { PACE_AWAKE_NS = 60 * 1000 }; /* before the moment */

struct pace {
    uv_poll_t timer;
    uv_idle_t awake;
    int fd;
    uint64_t due_ns; /* PACE_NEVER: nothing is planned */
    bool armed;      /* the timerfd is set, or has gone off and says so until it is set again */
    bool open;
    void (*on_due)(void *context);
    void *context;
};

/* 0 or UV_E*. */
int pace_init(struct pace *pace, uv_loop_t *loop, void (*on_due)(void *context),
              void *context) MUST_CHECK;
/* Calls on_due at that moment of uv_hrtime's clock, or as soon as possible after it, until another
 * is set. */
void pace_set(struct pace *pace, uint64_t due_ns);
/* Copes with a zeroed one; run the loop afterwards. */
void pace_close(struct pace *pace);

#endif
