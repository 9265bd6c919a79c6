/* The clocks: right unit, right epoch, and the monotonic one never goes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "util/clock.h"

/* Between two readings of the C library's own clock. */
static void test_realtime_is_unix_time_in_us(void **state) {
    (void)state;
    struct timespec before, after;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &before), 0);
    int64_t now_us = clock_realtime_us();
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &after), 0);
    assert_true(now_us >= (int64_t)before.tv_sec * 1000000 + before.tv_nsec / 1000);
    assert_true(now_us <= (int64_t)after.tv_sec * 1000000 + after.tv_nsec / 1000);
}

static void test_monotonic_units_agree(void **state) {
    (void)state;
    struct timespec before, after;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &before), 0);
    uint64_t first_ns = clock_monotonic_ns();
    uint64_t ms = clock_monotonic_ms();
    uint64_t second_ns = clock_monotonic_ns();
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &after), 0);
    assert_true(first_ns >= (uint64_t)before.tv_sec * 1000000000 + (uint64_t)before.tv_nsec);
    assert_true(second_ns <= (uint64_t)after.tv_sec * 1000000000 + (uint64_t)after.tv_nsec);
    assert_true(ms >= first_ns / 1000000);
    assert_true(ms <= second_ns / 1000000);
}

static void test_monotonic_never_goes_back(void **state) {
    (void)state;
    uint64_t last = clock_monotonic_ns();
    for (int i = 0; i < 100000; i++) {
        uint64_t now = clock_monotonic_ns();
        assert_true(now >= last);
        last = now;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_realtime_is_unix_time_in_us),
        cmocka_unit_test(test_monotonic_units_agree),
        cmocka_unit_test(test_monotonic_never_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
