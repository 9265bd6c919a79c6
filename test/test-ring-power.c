/* The ring's file after a loss of power: another boot, and pages of different ages.
 *
 * The disk holds what was written through, and of every sector that was written since, any version.
 * The ring is looked at while it works; what the disk might hold is put together from what was
 * seen, and is the next ring. */
#include "ring_file_harness.h"

enum { VIEWS = 6, SECTOR = 512, MAX_SEQ = 100000, LOSSES = 250 };

static struct {
    unsigned char written[FILE_BYTES];      /* what is on the disk for sure */
    unsigned char views[VIEWS][FILE_BYTES]; /* since then */
    unsigned count;
    unsigned salts[MAX_SEQ];  /* of the event that was committed with that seq */
    bool ends_batch[MAX_SEQ]; /* and whether it was the last one of its batch */
    uint64_t head, synced;    /* last seqs: committed; written through */
    unsigned salt;
    uint64_t done[2]; /* positions up to which all was written through, and before that */
    struct ring *ring;
    char id[RING_ID_BYTES + 1];
} power;

static void on_sync(size_t bytes) {
    static unsigned char now[FILE_BYTES];
    read_file(now);
    if (bytes > FILE_BYTES) {
        memcpy(power.written, now, FILE_BYTES);
        power.count = 0;
        power.synced = power.head;
        power.done[1] = power.done[0];
        power.done[0] = ring_committed(power.ring).position;
        return;
    }
    memcpy(power.written, now, bytes);
    for (unsigned i = 0; i < power.count; i++)
        memcpy(power.views[i], now, bytes);
}

static void view(void) {
    read_file(power.views[power.count < VIEWS ? power.count++ : random_below(VIEWS)]);
}

static void sync_and_show(bool deferred) {
    assert_int_equal(ring_sync(power.ring), 0);
    if (deferred)
        ring_show(power.ring, ring_committed(power.ring));
}

/* A batch of up to 40 events: committed, given up, or left open. */
static void write_batch(unsigned dice) {
    uint64_t first = ring_next_seq(power.ring), count = 1 + random_below(random_below(4) ? 5 : 40);
    power.salt++;
    for (uint64_t i = 0; i < count; i++) {
        push_salted(power.ring, power.salt);
        if (random_below(12) == 0)
            view();
    }
    if (dice == 0) {
        ring_abort(power.ring);
        return;
    }
    assert_true(first + count < MAX_SEQ);
    for (uint64_t i = 0; i < count; i++) {
        power.salts[first + i] = power.salt;
        power.ends_batch[first + i] = i + 1 == count;
    }
    power.head = first + count - 1;
    ring_commit(power.ring);
}

static void lose_power(void) {
    static unsigned char left[FILE_BYTES];
    view();
    for (size_t at = 0; at < FILE_BYTES; at += SECTOR) {
        uint64_t which = random_below(power.count + 1);
        memcpy(left + at, which ? power.views[which - 1] + at : power.written + at, SECTOR);
    }
    set_other_boot(left);
    disk.on_sync = NULL;
    ring_free(power.ring);
    write_file(left, FILE_BYTES);
}

/* A ring that power was lost to 250 times. `deferred`: as with sync = always. */
static void lose_power_often(bool deferred) {
    unsigned lost = 0, more = 0;
    memset(&power, 0, sizeof power);
    remove_files();
    power.ring = open_ring(RING_MADE);
    for (int round = 0; round < LOSSES; round++) {
        strcpy(power.id, ring_id(power.ring));
        disk.on_sync = on_sync;
        if (deferred)
            assert_int_equal(ring_defer(power.ring), 0);
        sync_and_show(deferred);
        sync_and_show(deferred);
        for (uint64_t n = random_below(60); n > 0; n--) {
            char *line; /* the most that a batch takes */
            if (ring_reserve(power.ring, 40 * 560, &line) == RING_HELD || random_below(8) == 0)
                sync_and_show(deferred);
            write_batch((unsigned)random_below(6));
        }
        if (random_below(2)) { /* in the midst of a batch */
            push_salted(power.ring, ++power.salt);
            push_salted(power.ring, power.salt);
        }
        struct ring_figures figures = ring_figures(power.ring);
        uint64_t oldest = ring_oldest(power.ring).seq, synced = power.synced;
        uint64_t oldest_position = ring_oldest(power.ring).position;
        bool is_sure = power.done[1] >= oldest_position;
        assert_true(is_sure || !deferred); /* what RING_HELD is for */
        assert_int_equal(figures.accepted, power.head);
        lose_power();
        struct ring_recovery recovery;
        assert_int_equal(ring_open(&power.ring, path, SIZE, &recovery), 0);
        if (recovery.kind != RING_RECOVERED)
            fail_msg("round %d: %s", round, recovery.reason);
        uint64_t there = ring_next_seq(power.ring) - 1, from = ring_oldest(power.ring).seq;
        /* What was written through and not overwritten is there, nothing is that never was, and a
         * batch is there whole. */
        if (is_sure)
            assert_true(from <= oldest && there >= synced);
        assert_true(there <= power.head);
        check_salted(power.ring, there, power.salts);
        assert_true(there == 0 || from > there || power.ends_batch[there]);
        assert_int_equal(strcmp(ring_id(power.ring), power.id) != 0, recovery.has_new_id);
        assert_true(recovery.has_new_id || deferred);
        if (deferred)
            assert_false(recovery.has_new_id); /* nobody has seen what is gone */
        lost += there < power.head;
        more += there > synced;
        power.head = power.synced = there;
        power.done[0] = power.done[1] = 0; /* this file was not written through yet */
        power.count = 0;
        if (power.head > MAX_SEQ / 2) {
            ring_free(power.ring);
            remove_files();
            power.ring = open_ring(RING_MADE);
            power.head = power.synced = 0;
        }
    }
    assert_true(lost > 50 && more > 20);
    ring_free(power.ring);
}

static void test_loss_of_power(void **state) {
    (void)state;
    lose_power_often(false);
}

static void test_loss_of_power_with_sync_always(void **state) {
    (void)state;
    lose_power_often(true);
}

static unsigned char good[FILE_BYTES], bad[FILE_BYTES];

/* Pages that went to the disk by themselves, and a state that is laps older: what is whole is taken
 * up to the last batch but one. */
static void test_old_state(void **state) {
    struct ring_recovery recovery;
    struct ring *ring;
    (void)state;
    make_bytes(good, 20);
    memcpy(bad, good, HEADER);
    make_bytes(good, 1000);
    memcpy(good + STATE, bad + STATE, 128);
    set_other_boot(good);
    write_file(good, FILE_BYTES);
    assert_int_equal(ring_open(&ring, path, SIZE, &recovery), 0);
    assert_int_equal(recovery.kind, RING_RECOVERED);
    assert_true(recovery.has_new_id);
    assert_true(check_events(ring, 1998) > 100);
    ring_free(ring);
    ring = open_ring(RING_RECOVERED);
    check_events(ring, 1998);
    ring_free(ring);
}

/* Power that goes after a clean end takes nothing. */
static void test_clean_end(void **state) {
    char id[RING_ID_BYTES + 1];
    struct ring_recovery recovery;
    (void)state;
    remove_files();
    struct ring *ring = open_ring(RING_MADE);
    add(ring, 20);
    strcpy(id, ring_id(ring));
    ring_free(ring);
    read_file(good);
    set_other_boot(good);
    write_file(good, FILE_BYTES);
    assert_int_equal(ring_open(&ring, path, SIZE, &recovery), 0);
    assert_int_equal(recovery.kind, RING_RECOVERED);
    assert_false(recovery.has_new_id);
    assert_string_equal(ring_id(ring), id);
    check_events(ring, 40);
    ring_free(ring);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss_of_power),
        cmocka_unit_test(test_loss_of_power_with_sync_always),
        cmocka_unit_test(test_old_state),
        cmocka_unit_test(test_clean_end),
    };
    return cmocka_run_group_tests_name("ring-power", tests, setup, teardown);
}
