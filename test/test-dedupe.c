/* The window of ids: seen and new, renewed and expired, undone, full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dedupe.h"

/* The id of number n. */
static const uint8_t *id_of(uint64_t n) {
    static const uint8_t key[HASH_KEY_BYTES] = {1};
    static uint8_t id[HASH_BYTES];
    hash128(key, &n, sizeof n, id);
    return id;
}

static struct dedupe *make(size_t max_ids, uint32_t window_s) {
    struct dedupe *dedupe;
    assert_int_equal(dedupe_new(&dedupe, max_ids, window_s), 0);
    return dedupe;
}

static void test_new_then_seen(void **state) {
    struct dedupe *dedupe = make(1000, 60);
    (void)state;
    for (uint64_t n = 0; n < 1000; n++)
        assert_int_equal(dedupe_see(dedupe, id_of(n), 5), 0);
    for (uint64_t n = 0; n < 1000; n++)
        assert_int_equal(dedupe_see(dedupe, id_of(n), 6), 1);
    assert_int_equal(dedupe_figures(dedupe).ids, 1000);
    assert_int_equal(dedupe_figures(dedupe).evicted, 0);
    dedupe_free(dedupe);
}

static void test_the_window_runs_from_the_last_time(void **state) {
    struct dedupe *dedupe = make(1000, 60);
    (void)state;
    assert_int_equal(dedupe_see(dedupe, id_of(1), 100), 0);
    assert_int_equal(dedupe_see(dedupe, id_of(1), 160), 1); /* at the bound; renewed */
    assert_int_equal(dedupe_see(dedupe, id_of(1), 220), 1);
    assert_int_equal(dedupe_see(dedupe, id_of(1), 281), 0); /* one past it */
    assert_int_equal(dedupe_see(dedupe, id_of(1), 282), 1);
    dedupe_commit(dedupe);
    dedupe_free(dedupe);
}

static void test_a_clock_set_back_forgets_nothing(void **state) {
    struct dedupe *dedupe = make(1000, 60);
    (void)state;
    assert_int_equal(dedupe_see(dedupe, id_of(1), 5000), 0);
    assert_int_equal(dedupe_see(dedupe, id_of(1), 1400), 1);
    assert_int_equal(dedupe_see(dedupe, id_of(2), 1400), 0);
    assert_int_equal(dedupe_see(dedupe, id_of(2), 5060), 1);
    dedupe_free(dedupe);
}

static void test_abort_undoes(void **state) {
    struct dedupe *dedupe = make(1000, 60);
    (void)state;
    assert_int_equal(dedupe_see(dedupe, id_of(1), 100), 0);
    dedupe_commit(dedupe);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(dedupe_see(dedupe, id_of(2), 150), 0);
        assert_int_equal(dedupe_see(dedupe, id_of(2), 150), 1); /* twice in one batch */
        assert_int_equal(dedupe_see(dedupe, id_of(1), 150), 1); /* would be renewed */
        assert_int_equal(dedupe_figures(dedupe).ids, 2);
        dedupe_abort(dedupe);
        assert_int_equal(dedupe_figures(dedupe).ids, 1);
    }
    assert_int_equal(dedupe_see(dedupe, id_of(1), 161), 0); /* was not */
    dedupe_free(dedupe);
}

/* Every id of a full window is known, none early out; past it the oldest go, and are counted. */
static void test_full(void **state) {
    enum { IDS = 1000000 };
    struct dedupe *dedupe = make(IDS, 1000000);
    (void)state;
    for (uint64_t n = 0; n < IDS; n++)
        assert_int_equal(dedupe_see(dedupe, id_of(n), (uint32_t)(1 + n / 100)), 0);
    dedupe_commit(dedupe);
    assert_int_equal(dedupe_figures(dedupe).ids, IDS);
    assert_int_equal(dedupe_figures(dedupe).evicted, 0);
    assert_true(dedupe_figures(dedupe).bytes <= (size_t)IDS * DEDUPE_BYTES_PER_ID);
    for (uint64_t n = 0; n < IDS; n++)
        assert_int_equal(dedupe_see(dedupe, id_of(n), 20000), 1);
    dedupe_commit(dedupe);

    for (uint64_t n = IDS; n < 4 * (uint64_t)IDS; n++) {
        assert_int_equal(dedupe_see(dedupe, id_of(n), (uint32_t)(20001 + n / 100)), 0);
        if (n % 1000 == 0)
            dedupe_commit(dedupe);
    }
    assert_true(dedupe_figures(dedupe).evicted > IDS);
    unsigned known = 0;
    for (uint64_t n = 3 * (uint64_t)IDS; n < 4 * (uint64_t)IDS; n++)
        known += dedupe_see(dedupe, id_of(n), 100000) == 1;
    assert_true(known > IDS - IDS / 50); /* the newest million, but for unlucky buckets */
    dedupe_abort(dedupe);
    dedupe_free(dedupe);
}

static void test_expired_ids_give_way_uncounted(void **state) {
    struct dedupe *dedupe = make(100, 10);
    (void)state;
    for (uint64_t n = 0; n < 100000; n++) {
        assert_int_equal(dedupe_see(dedupe, id_of(n), (uint32_t)(1 + n)), 0);
        dedupe_commit(dedupe);
    }
    assert_int_equal(dedupe_figures(dedupe).evicted, 0);
    dedupe_free(dedupe);
}

static void test_senseless_sizes(void **state) {
    struct dedupe *dedupe;
    (void)state;
    assert_true(dedupe_new(&dedupe, 0, 10) < 0);
    assert_true(dedupe_new(&dedupe, 10, 0) < 0);
    dedupe = make(1, 10);
    assert_int_equal(dedupe_see(dedupe, id_of(1), 1), 0);
    assert_int_equal(dedupe_see(dedupe, id_of(1), 1), 1);
    dedupe_free(dedupe);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_then_seen),
        cmocka_unit_test(test_the_window_runs_from_the_last_time),
        cmocka_unit_test(test_a_clock_set_back_forgets_nothing),
        cmocka_unit_test(test_abort_undoes),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_expired_ids_give_way_uncounted),
        cmocka_unit_test(test_senseless_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
