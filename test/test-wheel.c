/* The timer wheel: never early, at most one tick late, whatever is armed, moved and disarmed when,
 * from callbacks too, and after a stop of any length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>
#include <stdlib.h>

#include "util/wheel.h"

struct timer {
    struct wheel_node node;
    struct wheel *wheel;
    unsigned fired;
    uint64_t due_ms; /* what the test believes; 0: not armed */
    /* What on_due does with other: */
    struct timer *other;
    uint64_t arm_other_ms; /* 0: disarm it */
};

static void on_due(struct wheel_node *node) {
    struct timer *timer = container_of(node, struct timer, node);
    assert_int_equal(node->deadline_ms, 0);
    assert_true(list_is_empty(&node->link));
    timer->fired++;
    timer->due_ms = 0;
    if (!timer->other)
        return;
    if (timer->arm_other_ms)
        wheel_arm(timer->wheel, &timer->other->node, timer->arm_other_ms);
    else
        wheel_disarm(&timer->other->node);
}

static void timer_init(struct timer *timer, struct wheel *wheel) {
    *timer = (struct timer){.wheel = wheel};
    wheel_node_init(&timer->node, on_due);
}

/* Odd starts: a machine's uptime is no multiple of a tick. */
static const uint64_t starts[] = {0, 1, 249, 250, 1000003, UINT64_C(1) << 45};
enum { STARTS = sizeof(starts) / sizeof(starts[0]) };

static void test_fires_once_in_time(void **state) {
    static const uint64_t delays[] = {1, 249, 250, 251, 1000, 127750, 128000, 128001, 1000000};
    (void)state;
    for (int s = 0; s < STARTS; s++)
        for (size_t d = 0; d < sizeof(delays) / sizeof(delays[0]); d++) {
            struct wheel wheel;
            struct timer timer;
            uint64_t now = starts[s], deadline = now + delays[d];
            wheel_init(&wheel, now);
            timer_init(&timer, &wheel);
            wheel_arm(&wheel, &timer.node, deadline);
            while (now < deadline + WHEEL_TICK_MS) {
                unsigned before = timer.fired;
                now += 50;
                unsigned called = wheel_advance(&wheel, now, UINT_MAX);
                assert_int_equal(called, timer.fired - before);
                if (now < deadline)
                    assert_int_equal(timer.fired, 0);
            }
            assert_int_equal(timer.fired, 1);
            assert_int_equal(
                wheel_advance(&wheel, now + 10 * WHEEL_SLOTS * WHEEL_TICK_MS, UINT_MAX), 0);
        }
}

static void test_deadline_in_the_past_fires_next(void **state) {
    struct wheel wheel;
    struct timer timer;
    (void)state;
    wheel_init(&wheel, 100000);
    timer_init(&timer, &wheel);
    wheel_arm(&wheel, &timer.node, 1);
    assert_int_equal(wheel_advance(&wheel, 100000, UINT_MAX), 0);
    assert_int_equal(wheel_advance(&wheel, 100000 + WHEEL_TICK_MS, UINT_MAX), 1);
}

static void test_moving_later_and_earlier(void **state) {
    struct wheel wheel;
    struct timer timer;
    (void)state;
    wheel_init(&wheel, 0);
    timer_init(&timer, &wheel);
    wheel_arm(&wheel, &timer.node, 1000);
    wheel_arm(&wheel, &timer.node, 5000);
    assert_int_equal(wheel_advance(&wheel, 4999, UINT_MAX), 0);
    wheel_arm(&wheel, &timer.node, 300000); /* more than a turn of the wheel */
    assert_int_equal(wheel_advance(&wheel, 299999, UINT_MAX), 0);
    wheel_arm(&wheel, &timer.node, 900000);
    wheel_arm(&wheel, &timer.node, 301000);
    assert_int_equal(wheel_advance(&wheel, 300999, UINT_MAX), 0);
    assert_int_equal(wheel_advance(&wheel, 301000, UINT_MAX), 1);
    assert_int_equal(wheel_advance(&wheel, 2000000, UINT_MAX), 0);
}

/* Every read of a connection moves its deadline: that must not cost a walk through the lists. */
static void test_moving_later_leaves_the_node_in_its_slot(void **state) {
    struct wheel wheel;
    struct timer timer;
    (void)state;
    wheel_init(&wheel, 0);
    timer_init(&timer, &wheel);
    wheel_arm(&wheel, &timer.node, 1000);
    uint64_t slot_tick = timer.node.slot_tick;
    wheel_arm(&wheel, &timer.node, 5000);
    assert_int_equal(timer.node.slot_tick, slot_tick);
}

static void test_disarm(void **state) {
    struct wheel wheel;
    struct timer timer;
    (void)state;
    wheel_init(&wheel, 0);
    timer_init(&timer, &wheel);
    wheel_disarm(&timer.node);
    wheel_arm(&wheel, &timer.node, 1000);
    wheel_disarm(&timer.node);
    wheel_disarm(&timer.node);
    assert_int_equal(timer.node.deadline_ms, 0);
    assert_int_equal(wheel_advance(&wheel, 10000, UINT_MAX), 0);
    wheel_arm(&wheel, &timer.node, 11000);
    assert_int_equal(wheel_advance(&wheel, 11000, UINT_MAX), 1);
}

/* Two nodes due in one slot; the one that comes first acts on the other. */
static void pair(struct timer timers[2], struct wheel *wheel) {
    wheel_init(wheel, 0);
    timer_init(&timers[0], wheel);
    timer_init(&timers[1], wheel);
    wheel_arm(wheel, &timers[0].node, 1000);
    wheel_arm(wheel, &timers[1].node, 1000);
}

static void test_callback_disarms_a_node_due_with_it(void **state) {
    struct wheel wheel;
    struct timer timers[2];
    (void)state;
    pair(timers, &wheel);
    timers[0].other = &timers[1];
    assert_int_equal(wheel_advance(&wheel, 1000, UINT_MAX), 1);
    assert_int_equal(timers[0].fired, 1);
    assert_int_equal(timers[1].fired, 0);
    assert_int_equal(wheel_advance(&wheel, 1000000, UINT_MAX), 0);
}

static void test_callback_moves_a_node_due_with_it(void **state) {
    struct wheel wheel;
    struct timer timers[2];
    (void)state;
    pair(timers, &wheel);
    timers[0].other = &timers[1];
    timers[0].arm_other_ms = 3000;
    assert_int_equal(wheel_advance(&wheel, 1000, UINT_MAX), 1);
    assert_int_equal(wheel_advance(&wheel, 2999, UINT_MAX), 0);
    assert_int_equal(wheel_advance(&wheel, 3000, UINT_MAX), 1);
    assert_int_equal(timers[1].fired, 1);
}

/* A node that arms itself for a moment that has passed fires each tick, and does not hang. */
static void test_callback_arms_itself(void **state) {
    struct wheel wheel;
    struct timer timer;
    (void)state;
    wheel_init(&wheel, 0);
    timer_init(&timer, &wheel);
    timer.other = &timer;
    timer.arm_other_ms = 1;
    wheel_arm(&wheel, &timer.node, 1000);
    assert_int_equal(wheel_advance(&wheel, 1000, UINT_MAX), 1);
    assert_int_equal(wheel_advance(&wheel, 1000 + 3 * WHEEL_TICK_MS, UINT_MAX), 3);
}

static void on_due_free(struct wheel_node *node) {
    free(container_of(node, struct timer, node));
}

static void test_callback_frees_its_node(void **state) {
    struct wheel wheel;
    (void)state;
    wheel_init(&wheel, 0);
    for (int i = 0; i < 10; i++) {
        struct timer *timer = calloc(1, sizeof(*timer));
        assert_non_null(timer);
        wheel_node_init(&timer->node, on_due_free);
        wheel_arm(&wheel, &timer->node, 1000);
    }
    assert_int_equal(wheel_advance(&wheel, 1000, UINT_MAX), 10);
}

/* Many that pass together, a few at a call: all of them, in order, and those that are disarmed or
 * moved meanwhile as if they had never been due. */
static void test_no_more_than_asked_for(void **state) {
    enum { TIMERS = 10, MOST = 4, LATER_MS = 5000 };
    struct wheel wheel;
    struct timer timers[TIMERS];
    (void)state;
    wheel_init(&wheel, 0);
    for (int i = 0; i < TIMERS; i++) {
        timer_init(&timers[i], &wheel);
        wheel_arm(&wheel, &timers[i].node, i < 5 ? 900 : 1200); /* of two slots */
    }
    assert_int_equal(wheel_advance(&wheel, 1300, MOST), MOST);
    for (int i = 0; i < TIMERS; i++)
        assert_int_equal(timers[i].fired, i < MOST);
    wheel_disarm(&timers[4].node);
    wheel_arm(&wheel, &timers[9].node, LATER_MS);
    assert_int_equal(wheel_advance(&wheel, 1300, MOST), MOST); /* 5 to 8 */
    assert_int_equal(wheel_advance(&wheel, 1300, MOST), 0);
    assert_int_equal(wheel_advance(&wheel, LATER_MS - 1, MOST), 0);
    assert_int_equal(wheel_advance(&wheel, LATER_MS + WHEEL_TICK_MS, MOST), 1);
    for (int i = 0; i < TIMERS; i++)
        assert_int_equal(timers[i].fired, i != 4);
}

/* SIGSTOP, a suspended machine: what fell due meanwhile fires at once, the rest in time. */
static void test_after_a_long_stop(void **state) {
    enum { TIMERS = 2000 };
    struct wheel wheel;
    struct timer *timers = calloc(TIMERS, sizeof(*timers));
    (void)state;
    assert_non_null(timers);
    wheel_init(&wheel, 77);
    for (uint64_t i = 0; i < TIMERS; i++) {
        timer_init(&timers[i], &wheel);
        wheel_arm(&wheel, &timers[i].node, 100 + i * 997);
    }
    uint64_t now = 100 + 1000 * 997; /* of a stop from 77 on: 1001 are due */
    assert_int_equal(wheel_advance(&wheel, now, UINT_MAX), 1001);
    for (uint64_t i = 1001; i < TIMERS; i++) {
        assert_int_equal(wheel_advance(&wheel, 100 + i * 997 - 1, UINT_MAX), 0);
        assert_int_equal(wheel_advance(&wheel, 100 + i * 997 + WHEEL_TICK_MS, UINT_MAX), 1);
    }
    free(timers);
}

/* Time that stands still or goes back fires nothing and loses nothing. */
/* What did not count is nobody's: all deadlines are put off by it, and those that are armed behind
 * it are not. */
static void test_time_that_does_not_count(void **state) {
    (void)state;
    for (int s = 0; s < STARTS; s++) {
        struct wheel wheel;
        struct timer before, behind;
        uint64_t now_ms = starts[s];
        wheel_init(&wheel, now_ms);
        timer_init(&before, &wheel);
        timer_init(&behind, &wheel);
        wheel_arm(&wheel, &before.node, now_ms + 1000);
        now_ms += 3600 * 1000;
        wheel_stop(&wheel, 3600 * 1000);
        assert_int_equal(wheel_advance(&wheel, now_ms, UINT_MAX), 0);
        wheel_arm(&wheel, &behind.node, now_ms + 2000);
        assert_int_equal(wheel_advance(&wheel, now_ms + 999, UINT_MAX), 0);
        assert_int_equal(wheel_advance(&wheel, now_ms + 1000 + WHEEL_TICK_MS, UINT_MAX), 1);
        assert_int_equal(before.fired, 1);
        assert_int_equal(wheel_advance(&wheel, now_ms + 1999, UINT_MAX), 0);
        assert_int_equal(wheel_advance(&wheel, now_ms + 2000 + WHEEL_TICK_MS, UINT_MAX), 1);
        assert_int_equal(behind.fired, 1);
    }
}

static void test_time_goes_back(void **state) {
    struct wheel wheel;
    struct timer timer;
    (void)state;
    wheel_init(&wheel, 100000);
    timer_init(&timer, &wheel);
    wheel_arm(&wheel, &timer.node, 101000);
    assert_int_equal(wheel_advance(&wheel, 100000, UINT_MAX), 0);
    assert_int_equal(wheel_advance(&wheel, 5, UINT_MAX), 0);
    assert_int_equal(wheel_advance(&wheel, 101000, UINT_MAX), 1);
}

/* Against a plain list of deadlines, over random work with steps from 0 ms to several turns. */
static void test_random_work(void **state) {
    enum { TIMERS = 64, STEPS = 20000 };
    struct wheel wheel;
    struct timer timers[TIMERS];
    unsigned short seed[3] = {1, 2, 3};
    uint64_t now = 123457;
    (void)state;

    wheel_init(&wheel, now);
    for (int i = 0; i < TIMERS; i++)
        timer_init(&timers[i], &wheel);
    for (int step = 0; step < STEPS; step++) {
        struct timer *timer = &timers[nrand48(seed) % TIMERS];
        switch (nrand48(seed) % 4) {
        case 0:
            wheel_disarm(&timer->node);
            timer->due_ms = 0;
            break;
        case 1:
            now += (uint64_t)nrand48(seed) % (nrand48(seed) % 100 == 0 ? 500000 : 700);
            uint64_t due_before[TIMERS];
            unsigned fired_before[TIMERS];
            for (int i = 0; i < TIMERS; i++) {
                due_before[i] = timers[i].due_ms;
                fired_before[i] = timers[i].fired;
            }
            wheel_advance(&wheel, now, UINT_MAX);
            for (int i = 0; i < TIMERS; i++) {
                if (timers[i].fired != fired_before[i]) {
                    assert_true(due_before[i] != 0 && due_before[i] <= now);
                } else {
                    assert_true(!due_before[i] || due_before[i] + WHEEL_TICK_MS > now);
                }
            }
            break;
        default:
            timer->due_ms = now + 1 + (uint64_t)nrand48(seed) % 300000;
            wheel_arm(&wheel, &timer->node, timer->due_ms);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fires_once_in_time),
        cmocka_unit_test(test_deadline_in_the_past_fires_next),
        cmocka_unit_test(test_moving_later_and_earlier),
        cmocka_unit_test(test_moving_later_leaves_the_node_in_its_slot),
        cmocka_unit_test(test_disarm),
        cmocka_unit_test(test_callback_disarms_a_node_due_with_it),
        cmocka_unit_test(test_callback_moves_a_node_due_with_it),
        cmocka_unit_test(test_callback_arms_itself),
        cmocka_unit_test(test_callback_frees_its_node),
        cmocka_unit_test(test_no_more_than_asked_for),
        cmocka_unit_test(test_after_a_long_stop),
        cmocka_unit_test(test_time_that_does_not_count),
        cmocka_unit_test(test_time_goes_back),
        cmocka_unit_test(test_random_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
