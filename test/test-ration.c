/* So many a turn: no more than that, nobody twice, in the order of coming, and nobody overtakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/ration.h"

enum { EACH_TURN = 3, PLACES = 8 };

struct crowd {
    struct ration ration;
    struct ration_place places[PLACES];
};

static void crowd_init(struct crowd *crowd) {
    ration_init(&crowd->ration, EACH_TURN);
    for (int i = 0; i < PLACES; i++)
        ration_place_init(&crowd->places[i]);
}

/* All ask, in order; who gets nothing queues. How many got something. */
static unsigned ask(struct crowd *crowd) {
    unsigned taken = 0;
    for (int i = 0; i < PLACES; i++) {
        if (ration_take(&crowd->ration, &crowd->places[i]))
            taken++;
        else
            ration_queue(&crowd->ration, &crowd->places[i]);
    }
    return taken;
}

static void assert_called(struct crowd *crowd, int first, int count) {
    ration_begin_turn(&crowd->ration);
    for (int i = first; i < first + count; i++)
        assert_ptr_equal(ration_call(&crowd->ration), &crowd->places[i]);
    assert_null(ration_call(&crowd->ration));
}

static void test_a_turn_has_so_many(void **state) {
    struct crowd crowd;
    (void)state;
    crowd_init(&crowd);
    assert_false(ration_is_awaited(&crowd.ration));
    assert_int_equal(ask(&crowd), EACH_TURN);
    assert_true(ration_is_awaited(&crowd.ration));
    assert_called(&crowd, 3, 3);
    assert_called(&crowd, 6, 2);
    assert_false(ration_is_awaited(&crowd.ration));
}

/* Who was called has a portion of its own, whoever else asks first, and that one only. */
static void test_who_was_called_gets_it(void **state) {
    struct crowd crowd;
    struct ration_place late;
    (void)state;
    crowd_init(&crowd);
    ration_place_init(&late);
    (void)ask(&crowd);
    assert_called(&crowd, 3, 3);
    assert_false(ration_take(&crowd.ration, &late));
    for (int i = 3; i < 6; i++) {
        assert_true(ration_take(&crowd.ration, &crowd.places[i]));
        assert_false(ration_take(&crowd.ration, &crowd.places[i]));
    }
    assert_called(&crowd, 6, 2);
    /* One portion of three is left, and nobody waits. */
    assert_true(ration_take(&crowd.ration, &late));
    assert_false(ration_take(&crowd.ration, &late));
}

static void test_nobody_overtakes_the_queue(void **state) {
    struct crowd crowd;
    struct ration_place late;
    (void)state;
    crowd_init(&crowd);
    ration_place_init(&late);
    (void)ask(&crowd);
    ration_begin_turn(&crowd.ration); /* nobody was called yet */
    assert_false(ration_take(&crowd.ration, &late));
    assert_true(ration_call(&crowd.ration) == &crowd.places[3]);
}

static void test_what_is_returned_is_there_again(void **state) {
    struct crowd crowd;
    (void)state;
    crowd_init(&crowd);
    for (int i = 0; i < PLACES; i++) {
        assert_true(ration_take(&crowd.ration, &crowd.places[i]));
        ration_return(&crowd.ration);
    }
    ration_return(&crowd.ration); /* never more than a turn has */
    assert_int_equal(ask(&crowd), EACH_TURN);
}

static void test_queueing_twice_and_leaving(void **state) {
    struct crowd crowd;
    (void)state;
    crowd_init(&crowd);
    (void)ask(&crowd);
    ration_queue(&crowd.ration, &crowd.places[3]); /* keeps its place */
    ration_leave(&crowd.places[4]);
    ration_leave(&crowd.places[4]);
    ration_begin_turn(&crowd.ration);
    assert_ptr_equal(ration_call(&crowd.ration), &crowd.places[3]);
    assert_ptr_equal(ration_call(&crowd.ration), &crowd.places[5]);
    assert_ptr_equal(ration_call(&crowd.ration), &crowd.places[6]);
    assert_null(ration_call(&crowd.ration));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_turn_has_so_many),
        cmocka_unit_test(test_who_was_called_gets_it),
        cmocka_unit_test(test_nobody_overtakes_the_queue),
        cmocka_unit_test(test_what_is_returned_is_there_again),
        cmocka_unit_test(test_queueing_twice_and_leaving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
