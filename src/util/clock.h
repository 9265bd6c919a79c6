/* The clocks, so that nothing else asks the system for the time. Realtime is for what people and
 * events read and may jump; monotonic is for deadlines and durations and never goes back. */
#ifndef ROLLCALL_UTIL_CLOCK_H
#define ROLLCALL_UTIL_CLOCK_H

#include <stdint.h>

/* Unix time. */
int64_t clock_realtime_us(void);
/* Since an arbitrary moment (on Linux, boot); both count from the same one. */
uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_ns(void);

#endif
