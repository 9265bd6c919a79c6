/* Held readers: names, places, what is held and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "readers.h"

static struct ring *ring;
static struct readers readers;
static char ended_name[READERS_NAME_BYTES + 1];
static unsigned ended_count;

static int setup(void **state) {
    (void)state;
    ended_count = 0;
    if (ring_new(&ring, RING_MIN_BYTES))
        return -1;
    readers_init(&readers, ring, 10000);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    ring_free(ring);
    return 0;
}

/* Pushes until the ring refuses or `count` are there; how many went in. */
static unsigned push(unsigned count) {
    char *line;
    unsigned done = 0;
    while (done < count && ring_reserve(ring, 1000, &line) == RING_OK) {
        memset(line, 'x', 1000);
        ring_push(ring, &(struct ring_record){.line_len = 1000});
        ring_commit(ring);
        done++;
    }
    return done;
}

static void on_ended(void *context, const char *name) {
    (void)context;
    strcpy(ended_name, name);
    ended_count++;
}

static void test_nothing_uncommitted_is_overwritten(void **state) {
    char *line;
    (void)state;
    assert_int_equal(push(500), 500); /* nobody holds: it goes round */
    assert_int_equal(readers_commit(&readers, SPAN("one"), 500), READERS_CREATED);
    unsigned went_in = push(500);
    assert_in_range(went_in, 40, 70);
    assert_int_equal(ring_reserve(ring, 1000, &line), RING_HELD);
    assert_int_equal(ring_oldest(ring).seq, 501);
    assert_int_equal(readers_commit(&readers, SPAN("one"), 510), READERS_OK);
    assert_int_equal(push(500), 10);
    assert_int_equal(ring_oldest(ring).seq, 511);
    /* The one furthest behind counts. */
    assert_int_equal(readers_commit(&readers, SPAN("two"), 520), READERS_CREATED);
    assert_int_equal(readers_commit(&readers, SPAN("one"), 530), READERS_OK);
    assert_int_equal(push(500), 10);
    assert_int_equal(ring_oldest(ring).seq, 521);
    assert_int_equal(readers_remove(&readers, SPAN("two")), READERS_OK);
    assert_int_equal(push(500), 10);
    assert_int_equal(readers_remove(&readers, SPAN("one")), READERS_OK);
    assert_int_equal(push(500), 500);
    assert_int_equal(readers_remove(&readers, SPAN("one")), READERS_UNKNOWN);
}

static void test_a_place_never_goes_back(void **state) {
    (void)state;
    push(20);
    assert_int_equal(readers_commit(&readers, SPAN("one"), 10), READERS_CREATED);
    assert_int_equal(readers_commit(&readers, SPAN("one"), 5), READERS_OK);
    assert_int_equal(readers.places[readers_find(&readers, SPAN("one"))].seq, 10);
    assert_int_equal(readers_commit(&readers, SPAN("one"), 21), READERS_FUTURE);
    assert_int_equal(readers_commit(&readers, SPAN("one"), 20), READERS_OK);
}

static void test_names(void **state) {
    static const char *const wrong[] = {"", "a b", "a/b", "\xc3\xa4", "a\"", "a\n"};
    char name[READERS_NAME_BYTES + 2];
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(readers_commit(&readers, span_from_string(wrong[i]), 0), READERS_BAD_NAME);
    memset(name, 'n', sizeof name);
    assert_int_equal(readers_commit(&readers, span_from(name, READERS_NAME_BYTES), 0),
                     READERS_CREATED);
    assert_int_equal(readers_commit(&readers, span_from(name, READERS_NAME_BYTES + 1), 0),
                     READERS_BAD_NAME);
    assert_int_equal(readers_find(&readers, span_from(name, READERS_NAME_BYTES - 1)), READERS_MAX);
    assert_int_equal(readers_find(&readers, SPAN("")), READERS_MAX);
}

static void test_as_many_as_there_are_places(void **state) {
    char name[16];
    (void)state;
    for (int i = 0; i < READERS_MAX; i++) {
        snprintf(name, sizeof name, "r%d", i);
        assert_int_equal(readers_commit(&readers, span_from_string(name), 0), READERS_CREATED);
    }
    assert_int_equal(readers_commit(&readers, SPAN("more"), 0), READERS_FULL);
    assert_int_equal(readers_remove(&readers, SPAN("r7")), READERS_OK);
    assert_int_equal(readers_commit(&readers, SPAN("more"), 0), READERS_CREATED);
    assert_int_equal(readers_find(&readers, SPAN("more")), 7);
}

static void tick(uint64_t now_ms) {
    readers_tick(&readers, now_ms, on_ended, NULL);
}

static void test_a_hold_ends(void **state) {
    char *line;
    (void)state;
    assert_int_equal(readers_commit(&readers, SPAN("one"), 0), READERS_CREATED);
    /* Nothing to commit: no time passes, however long. */
    tick(1000);
    tick(1000000);
    push(500);
    assert_int_equal(ring_reserve(ring, 1000, &line), RING_HELD);
    tick(2000000);
    tick(2009999);
    assert_int_equal(ended_count, 0);
    /* Progress, though not all of it: the time begins anew. */
    assert_int_equal(readers_commit(&readers, SPAN("one"), 1), READERS_OK);
    tick(2010000);
    tick(2019999);
    assert_int_equal(ended_count, 0);
    /* The same place again is no progress. */
    assert_int_equal(readers_commit(&readers, SPAN("one"), 1), READERS_OK);
    tick(2020000);
    assert_int_equal(ended_count, 1);
    assert_string_equal(ended_name, "one");
    assert_int_equal(push(500), 500);
    tick(2030000);
    assert_int_equal(ended_count, 1);
    /* It comes back: it holds again, and has a whole max_hold for it. */
    assert_int_equal(readers_commit(&readers, SPAN("one"), 400), READERS_OK);
    assert_true(push(500) < 500);
    tick(2040000);
    tick(2049999);
    assert_int_equal(ended_count, 1);
    tick(2050000);
    assert_int_equal(ended_count, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_uncommitted_is_overwritten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_place_never_goes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_as_many_as_there_are_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_hold_ends, setup, teardown),
    };
    return cmocka_run_group_tests_name("readers", tests, NULL, NULL);
}
