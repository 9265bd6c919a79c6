/* The ring's file: what outlives the process, and what becomes of a file that is cut, flipped,
 * foreign or in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dedupe.h"
#include "ring.h"
#include "util/hash.h"

enum {
    SIZE = RING_MIN_BYTES,
    HEADER = 16384,
    FILE_BYTES = HEADER + SIZE,
    MAX_IDS = 600000, /* more than the killed ones write in all */
};

static char directory[] = "/tmp/rollcall-ring-file-XXXXXX";
static char path[64], copy[64];

static int setup(void **state) {
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/ring", directory);
    snprintf(copy, sizeof copy, "%s/copy", directory);
    return 0;
}

static int teardown(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command);
}

static void remove_files(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -f '%s'/*", directory);
    assert_int_equal(system(command), 0);
}

/* A line that says its seq, of a length that varies. */
static size_t write_line(char *dst, uint64_t seq) {
    size_t len = (size_t)sprintf(dst, "{\"seq\":%llu,\"text\":\"", (unsigned long long)seq);
    memset(dst + len, 'a' + (int)(seq % 26), seq * 7 % 400);
    len += seq * 7 % 400;
    memcpy(dst + len, "\"}\n", 3);
    return len + 3;
}

static void push(struct ring *ring) {
    char *line;
    assert_int_equal(ring_reserve(ring, 512, &line), RING_OK);
    size_t len = write_line(line, ring_next_seq(ring));
    ring_push(ring,
              &(struct ring_record){.line_len = (uint32_t)len, .received_us = 1767607933456789});
}

static void add(struct ring *ring, unsigned batches) {
    for (unsigned i = 0; i < batches; i++) {
        push(ring);
        push(ring);
        ring_commit(ring);
    }
}

/* Every event that is readable is what it was, one after the other up to `last`; how many. */
static uint64_t check_events(struct ring *ring, uint64_t last) {
    struct ring_cursor cursor = ring_oldest(ring);
    const struct ring_record *record;
    char expected[512];
    uint64_t count = 0;
    assert_int_equal(ring_next_seq(ring), last + 1);
    while (ring_next(ring, &cursor, &record) == RING_OK) {
        size_t len = write_line(expected, record->seq);
        assert_int_equal(record->line_len, len);
        assert_memory_equal(ring_record_line(record).ptr, expected, len);
        count++;
    }
    assert_int_equal(cursor.seq, last + 1);
    assert_int_equal(ring_figures(ring).readable, count);
    assert_int_equal(ring_figures(ring).accepted, ring_figures(ring).overwritten + count);
    return count;
}

static struct ring *open_ring(enum ring_recovery_kind kind) {
    struct ring_recovery recovery;
    struct ring *ring;
    assert_int_equal(ring_open(&ring, path, SIZE, &recovery), 0);
    if (recovery.kind != kind)
        fail_msg("kind %d: %s", recovery.kind, recovery.reason);
    return ring;
}

static void test_it_goes_on(void **state) {
    char id[RING_ID_BYTES + 1];
    struct stat made;
    (void)state;
    remove_files();
    struct ring *ring = open_ring(RING_MADE);
    assert_int_equal(stat(path, &made), 0);
    assert_int_equal(made.st_mode & 07777, 0600);
    assert_int_equal(made.st_size, FILE_BYTES);
    strcpy(id, ring_id(ring));
    check_events(ring, 0);
    uint64_t last = 0;
    for (int round = 0; round < 30; round++) { /* many laps in all */
        add(ring, 17 * round);
        last += 34 * round;
        push(ring); /* and a batch that is never committed */
        push(ring);
        ring_free(ring);
        ring = open_ring(RING_RECOVERED);
        assert_string_equal(ring_id(ring), id);
        uint64_t readable = check_events(ring, last);
        assert_true(readable > 100 || readable == last);
    }
    assert_int_equal(ring_sync(ring), 0);
    ring_free(ring);
}

static void test_one_process_at_a_time(void **state) {
    struct ring_recovery recovery;
    struct ring *other;
    (void)state;
    remove_files();
    struct ring *ring = open_ring(RING_MADE);
    assert_int_equal(ring_open(&other, path, SIZE, &recovery), -EBUSY);
    ring_free(ring);
    ring = open_ring(RING_RECOVERED);
    ring_free(ring);
}

static void test_places_of_readers_stay(void **state) {
    (void)state;
    remove_files();
    struct ring *ring = open_ring(RING_MADE);
    add(ring, 5);
    strcpy(ring_held(ring)[0].name, "one");
    ring_held(ring)[0].seq = 7;
    memset(ring_held(ring)[RING_MAX_HELD - 1].name, 'x', sizeof ring_held(ring)->name);
    ring_held(ring)[RING_MAX_HELD - 1].seq = 99; /* ahead of the ring: nothing like that stays */
    ring_free(ring);
    ring = open_ring(RING_RECOVERED);
    assert_string_equal(ring_held(ring)[0].name, "one");
    assert_int_equal(ring_held(ring)[0].seq, 7);
    assert_int_equal(strlen(ring_held(ring)[RING_MAX_HELD - 1].name), RING_HELD_NAME_BYTES);
    assert_int_equal(ring_held(ring)[RING_MAX_HELD - 1].seq, 10);
    ring_free(ring);
}

static void test_no_place_for_a_file(void **state) {
    struct ring_recovery recovery;
    struct ring *ring;
    (void)state;
    assert_int_equal(ring_open(&ring, "/nonexistent/ring", SIZE, &recovery), -ENOENT);
    assert_int_equal(ring_open(&ring, directory, SIZE, &recovery), -EISDIR);
    assert_int_equal(ring_open(&ring, path, SIZE - 1, &recovery), -EINVAL);
}

/* --- damage -------------------------------------------------------------------------- */

static unsigned char good[FILE_BYTES];

static void read_good(uint64_t batches) {
    remove_files();
    struct ring *ring = open_ring(RING_MADE);
    add(ring, (unsigned)batches);
    ring_free(ring);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, good, FILE_BYTES), FILE_BYTES);
    close(fd);
}

static void write_bad(const unsigned char *bytes, size_t len) {
    remove_files();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
}

/* Whatever became of it: the ring works, and holds no event that never was. */
static struct ring_recovery open_bad(uint64_t last) {
    struct ring_recovery recovery;
    struct ring *ring;
    struct stat kept;
    assert_int_equal(ring_open(&ring, path, SIZE, &recovery), 0);
    if (recovery.kind == RING_REPLACED) {
        assert_true(recovery.reason[0]);
        assert_int_equal(stat(recovery.kept, &kept), 0);
        check_events(ring, 0);
    } else {
        assert_int_equal(recovery.kind, RING_RECOVERED);
        assert_int_equal(check_events(ring, last - recovery.cut), recovery.events);
    }
    add(ring, 200);
    check_events(ring, ring_next_seq(ring) - 1);
    ring_free(ring);
    return recovery;
}

static void expect_replaced(uint64_t last, const char *reason) {
    struct ring_recovery recovery = open_bad(last);
    assert_int_equal(recovery.kind, RING_REPLACED);
    assert_string_equal(recovery.reason, reason);
}

static void test_foreign_files(void **state) {
    static unsigned char bad[FILE_BYTES + 1];
    (void)state;
    read_good(20);
    write_bad(good, 0);
    expect_replaced(40, "it is shorter or longer than it should be");
    for (size_t len = 8; len < FILE_BYTES; len += 4096) {
        write_bad(good, len);
        expect_replaced(40, "it is shorter or longer than it should be");
    }
    memcpy(bad, good, FILE_BYTES);
    write_bad(bad, FILE_BYTES + 1);
    expect_replaced(40, "it is shorter or longer than it should be");
    memset(bad, 0, sizeof bad);
    write_bad(bad, FILE_BYTES);
    expect_replaced(40, "it is no ring of rollcall");
    memcpy(bad, good, FILE_BYTES);
    bad[8] = 2;
    write_bad(bad, FILE_BYTES);
    expect_replaced(40, "it is of another version of rollcall");
    memcpy(bad, good, FILE_BYTES);
    memcpy(bad + 12, "\0\0\0\1", 4);
    write_bad(bad, FILE_BYTES);
    expect_replaced(40, "it is of a machine of another byte order");
}

/* A byte of every kind of place, turned round. */
static void test_flips(void **state) {
    static unsigned char bad[FILE_BYTES];
    unsigned recovered = 0, replaced = 0;
    (void)state;
    read_good(400); /* several laps */
    for (size_t at = 0; at < FILE_BYTES; at += at < 256 || (at >= 4096 && at < 4300) ? 1 : 211) {
        memcpy(bad, good, FILE_BYTES);
        bad[at] ^= 0xff;
        write_bad(bad, FILE_BYTES);
        struct ring_recovery recovery = open_bad(800);
        recovered += recovery.kind == RING_RECOVERED;
        replaced += recovery.kind == RING_REPLACED;
    }
    assert_true(recovered > 100 && replaced > 100);
}

/* A tail that power left behind: from one place on, the file is of the time before. */
static void test_torn_tail(void **state) {
    static unsigned char before[FILE_BYTES], bad[FILE_BYTES];
    (void)state;
    read_good(10);
    memcpy(before, good, FILE_BYTES);
    read_good(40);
    memcpy(bad, good,
           HEADER + 64); /* the state is new; the ids are not the same, and need not be */
    for (size_t cut = HEADER; cut < HEADER + 16384; cut += 512) {
        memcpy(bad, good, cut);
        memset(bad + cut, 0, FILE_BYTES - cut);
        write_bad(bad, FILE_BYTES);
        struct ring_recovery recovery = open_bad(80);
        if (recovery.kind == RING_RECOVERED)
            assert_true(recovery.cut > 0 || recovery.events == 80);
        else
            assert_int_equal(cut, HEADER); /* nothing at all is left */
    }
}

/* --- kill -9 ------------------------------------------------------------------------- */

static uint32_t now_s(uint64_t seq) {
    return (uint32_t)(1767607933 + seq / 1000);
}

static void id_of(uint64_t n, uint8_t id[HASH_BYTES]) {
    static const uint8_t key[HASH_KEY_BYTES] = {7};
    hash128(key, &n, sizeof n, id);
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
        for (uint64_t i = 0; i < count; i++) {
            uint8_t id[HASH_BYTES];
            id_of(first + i, id);
            if (dedupe_see(dedupe, id, now_s(first)) != 0)
                _exit(2); /* taken for a repeat: it was never acknowledged */
            push(ring);
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

        struct ring *ring = open_ring(round || acknowledged ? RING_RECOVERED : RING_MADE);
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
            id_of(record->seq, id);
            assert_int_equal(dedupe_restore(dedupe, id, now_s(record->seq)), 0);
        }
        for (uint64_t n = 1; n <= there; n += 1 + there / 50) {
            id_of(n, id);
            assert_int_equal(dedupe_see(dedupe, id, now_s(there)), 1);
        }
        for (uint64_t n = there + 1; n < there + 10; n++) {
            id_of(n, id);
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
    id_of(1, id);
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
        cmocka_unit_test(test_it_goes_on),
        cmocka_unit_test(test_one_process_at_a_time),
        cmocka_unit_test(test_places_of_readers_stay),
        cmocka_unit_test(test_no_place_for_a_file),
        cmocka_unit_test(test_foreign_files),
        cmocka_unit_test(test_flips),
        cmocka_unit_test(test_torn_tail),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_ids_of_another_size_are_forgotten),
    };
    return cmocka_run_group_tests_name("ring-file", tests, setup, teardown);
}
