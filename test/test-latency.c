/* Durations in buckets (latency.c), and the worst of late (lag.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lag.h"
#include "latency.h"

/* The bucket that a duration falls into, by the definition: the first whose bound it is within. */
static unsigned slow_bucket(uint64_t ns) {
    unsigned i = 0;
    while (i < LATENCY_BOUNDS && ns > latency_bound_ns(i))
        i++;
    return i;
}

static void expect_bucket(uint64_t ns) {
    struct latency latency = {0};
    latency_add(&latency, ns, 1);
    assert_int_equal(latency.counts[slow_bucket(ns)], 1);
    assert_int_equal(latency.sum_ns, ns);
}

static void test_every_bound(void **state) {
    (void)state;
    expect_bucket(0);
    for (unsigned i = 0; i < LATENCY_BOUNDS; i++) {
        expect_bucket(latency_bound_ns(i) - 1);
        expect_bucket(latency_bound_ns(i));
        expect_bucket(latency_bound_ns(i) + 1);
    }
    expect_bucket(UINT64_MAX);
    assert_int_equal(latency_bound_ns(1), 100000); /* 0.1 ms is one of them */
}

static void test_pending(void **state) {
    struct latency latency = {0};
    struct latency_pending pending = {0};
    (void)state;
    latency_settle(&latency, &pending, 1000000);
    assert_int_equal(latency.sum_ns, 0);
    /* The first request began with an earlier read, the others came with this one. */
    latency_begin(&pending, 1000000);
    latency_begin(&pending, 9900000);
    latency_begin(&pending, 9900000);
    latency_settle(&latency, &pending, 10000000);
    assert_int_equal(latency.counts[slow_bucket(9000000)], 1);
    assert_int_equal(latency.counts[slow_bucket(100000)], 2);
    assert_int_equal(latency.sum_ns, 9000000 + 2 * 100000);
    assert_int_equal(pending.count, 0);
    latency_settle(&latency, &pending, 10000000);
    assert_int_equal(latency.sum_ns, 9200000);
}

static void test_lag(void **state) {
    struct lag lag = {0};
    (void)state;
    assert_int_equal(lag_worst_ns(&lag), 0);
    lag_tick(&lag, 1000);
    lag_note(&lag, 5);
    lag_note(&lag, 3);
    assert_int_equal(lag_worst_ns(&lag), 5);
    lag_tick(&lag, 1000 + LAG_HALF_MS - 1);
    lag_note(&lag, 4);
    assert_int_equal(lag_worst_ns(&lag), 5);
    lag_tick(&lag, 1000 + LAG_HALF_MS); /* the second half: the 5 is still of late */
    lag_note(&lag, 2);
    assert_int_equal(lag_worst_ns(&lag), 5);
    lag_tick(&lag, 1000 + 2 * LAG_HALF_MS);
    assert_int_equal(lag_worst_ns(&lag), 2);
    lag_tick(&lag, 1000 + 3 * LAG_HALF_MS);
    assert_int_equal(lag_worst_ns(&lag), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_bound),
        cmocka_unit_test(test_pending),
        cmocka_unit_test(test_lag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
