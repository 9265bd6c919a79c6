/* The window of ids: seen and new, renewed and expired, undone, full; and in a file, beside a
 * ring's, of a process that is killed. */
#include "ring_file_harness.h"

#include <signal.h>
#include <sys/wait.h>

#include "dedupe.h"

enum { MAX_IDS = 600000 }; /* more than the killed ones write in all */

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
    assert_true(dedupe_new(&dedupe, (size_t)UINT32_MAX + 1, 10) < 0);
    dedupe = make(10, 10);
    assert_int_equal(dedupe_restore(dedupe, id_of(1), 0),
                     0); /* of 1970: 0 would mean an empty place */
    assert_int_equal(dedupe_see(dedupe, id_of(1), 1), 1);
    dedupe_free(dedupe);
    dedupe = make(1, 10);
    assert_int_equal(dedupe_see(dedupe, id_of(1), 1), 0);
    assert_int_equal(dedupe_see(dedupe, id_of(1), 1), 1);
    dedupe_free(dedupe);
}

/* --- kill -9 ------------------------------------------------------------------------- */

static const uint64_t GIVEN_UP = (uint64_t)1 << 40; /* the ids of these, from there on */

static uint32_t now_s(uint64_t seq) {
    return (uint32_t)(1767607933 + seq / 1000);
}

static void write_id(uint64_t n, uint8_t id[HASH_BYTES]) {
    memcpy(id, id_of(n), HASH_BYTES);
}

/* Batches of one to five, acknowledged through the pipe with the seq behind each. */
static void write_until_killed(int acknowledge, const char *ids_path) {
    struct ring_recovery recovery;
    struct ring *ring;
    struct dedupe *dedupe;
    if (ring_open(&ring, path, SIZE, &recovery) ||
        dedupe_open(&dedupe, ids_path, MAX_IDS, 1000000) < 0)
        _exit(1);
    for (;;) {
        uint64_t first = ring_next_seq(ring), count = 1 + first % 5;
        for (uint64_t i = 0; i < count; i++) { /* first, a batch that is given up */
            uint8_t id[HASH_BYTES];
            write_id(GIVEN_UP + first + i, id);
            if (dedupe_see(dedupe, id, now_s(first)) != 0)
                _exit(2);
            push_salted(ring, 1);
        }
        ring_abort(ring);
        dedupe_abort(dedupe);
        for (uint64_t i = 0; i < count; i++) {
            uint8_t id[HASH_BYTES];
            write_id(first + i, id);
            if (dedupe_see(dedupe, id, now_s(first)) != 0)
                _exit(2); /* taken for a repeat: it was never acknowledged */
            push_salted(ring, 0);
        }
        ring_commit(ring);
        dedupe_commit(dedupe);
        uint64_t last = ring_next_seq(ring) - 1;
        if (write(acknowledge, &last, sizeof last) != sizeof last)
            _exit(3);
    }
}

static void test_kill(void **state) {
    enum { KILLS = 300, ANSWERS = 200 };
    char ids_path[80];
    uint64_t acknowledged = 0;
    unsigned seed = 1;
    (void)state;
    remove_files();
    snprintf(ids_path, sizeof ids_path, "%s.ids", path);
    for (int round = 0; round < KILLS; round++) {
        int ends[2], status;
        uint64_t last;
        assert_int_equal(pipe(ends), 0);
        assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) >= 0); /* it does not run far ahead */
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(ends[0]);
            write_until_killed(ends[1], ids_path);
        }
        close(ends[1]);
        /* A random number of answers is waited for, then it dies in whatever it does next. */
        unsigned answers = (unsigned)(rand_r(&seed) % ANSWERS);
        for (unsigned i = 0; i < answers; i++) {
            assert_int_equal(read(ends[0], &last, sizeof last), sizeof last);
            acknowledged = last;
        }
        kill(child, SIGKILL);
        while (read(ends[0], &last, sizeof last) == sizeof last)
            acknowledged = last;
        close(ends[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        bool made_by_child = access(path, F_OK) == 0;

        struct ring_recovery recovery;
        struct ring *ring;
        assert_int_equal(ring_open(&ring, path, SIZE, &recovery), 0);
        assert_true(recovery.kind == (made_by_child ? RING_RECOVERED : RING_MADE));
        assert_int_equal(recovery.cut, 0);
        assert_false(recovery.has_new_id);
        uint64_t there = ring_next_seq(ring) - 1;
        assert_true(there >= acknowledged); /* committed, and the answer not yet out: one batch */
        assert_true(there <= acknowledged + 5);
        check_events(ring, there);
        /* What is kept counts as seen; what is not does not. */
        struct dedupe *dedupe;
        uint8_t id[HASH_BYTES];
        int kind = dedupe_open(&dedupe, ids_path, MAX_IDS, 1000000);
        assert_true(kind == DEDUPE_RECOVERED || kind == DEDUPE_MADE);
        struct ring_cursor cursor = ring_oldest(ring);
        const struct ring_record *record;
        while (ring_next(ring, &cursor, &record) == RING_OK) {
            write_id(record->seq, id);
            assert_int_equal(dedupe_restore(dedupe, id, now_s(record->seq)), 0);
        }
        for (uint64_t n = 1; n <= there; n += 1 + there / 50) {
            write_id(n, id);
            assert_int_equal(dedupe_see(dedupe, id, now_s(there)), 1);
        }
        for (uint64_t n = there + 1; n < there + 10; n++) {
            write_id(n, id);
            assert_int_equal(dedupe_see(dedupe, id, now_s(there)), 0);
        }
        for (uint64_t n = there < 20 ? 0 : there - 20; n < there + 10; n++) {
            write_id(GIVEN_UP + n, id);
            assert_int_equal(dedupe_see(dedupe, id, now_s(there)), 0);
        }
        dedupe_abort(dedupe);
        dedupe_free(dedupe);
        ring_free(ring);
    }
    assert_true(acknowledged > KILLS);
}

/* --- the ids' file ------------------------------------------------------------------- */

static void test_ids_of_another_size_are_forgotten(void **state) {
    struct dedupe *dedupe;
    uint8_t id[HASH_BYTES];
    (void)state;
    remove_files();
    write_id(1, id);
    assert_int_equal(dedupe_open(&dedupe, path, 1000, 1000), DEDUPE_MADE);
    assert_int_equal(dedupe_see(dedupe, id, 5), 0);
    dedupe_commit(dedupe);
    dedupe_free(dedupe);
    assert_int_equal(dedupe_open(&dedupe, path, 1000, 1000), DEDUPE_RECOVERED);
    assert_int_equal(dedupe_figures(dedupe).ids, 1);
    assert_int_equal(dedupe_see(dedupe, id, 6), 1);
    dedupe_commit(dedupe);
    dedupe_free(dedupe);
    assert_int_equal(dedupe_open(&dedupe, path, 100000, 1000), DEDUPE_FORGOTTEN);
    assert_int_equal(dedupe_see(dedupe, id, 7), 0);
    dedupe_free(dedupe); /* in the midst of a batch: nothing of it was kept */
    assert_int_equal(dedupe_open(&dedupe, path, 100000, 1000), DEDUPE_RECOVERED);
    assert_int_equal(dedupe_see(dedupe, id, 8), 0);
    dedupe_free(dedupe);
    assert_int_equal(dedupe_open(&dedupe, "/nonexistent/ids", 100, 100), -ENOENT);
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
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_ids_of_another_size_are_forgotten),
    };
    return cmocka_run_group_tests_name("dedupe", tests, setup, teardown);
}
