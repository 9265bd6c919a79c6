/* The ring's file: what outlives the process, and what becomes of a file that is cut, flipped,
 * foreign or in use. With --bench: what a file costs. A loss of power: test-ring-power.c. */
#include "ring_file_harness.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>

#include "ring_checksum.h"

/* --- going on -------------------------------------------------------------------------- */

static void test_it_goes_on(void **state) {
    char id[RING_ID_BYTES + 1];
    struct stat found;
    (void)state;
    remove_files();
    struct ring *ring = open_ring(RING_MADE);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0600);
    assert_int_equal(found.st_size, FILE_BYTES);
    assert_int_equal(found.st_blocks * 512, FILE_BYTES); /* none is left for later */
    strcpy(id, ring_id(ring));
    check_events(ring, 0);
    uint64_t last = 0;
    for (unsigned round = 0; round < 30; round++) { /* many laps in all */
        add(ring, 17 * round);
        last += 34 * round;
        push_salted(ring, 1); /* and a batch that is never committed */
        push_salted(ring, 1);
        ring_free(ring);
        ring = open_ring(RING_RECOVERED);
        assert_string_equal(ring_id(ring), id);
        uint64_t readable = check_events(ring, last);
        assert_true(readable > 100 || readable == last);
    }
    assert_int_equal(ring_sync(ring), 0);
    ring_free(ring);
}

static struct ring *opened;

/* The path's file is another one by the time that it is locked. */
static void put_another_in_place(void) {
    disk.on_lock = NULL;
    unlink(path);
    opened = open_ring(RING_MADE);
}

static void test_one_process_at_a_time(void **state) {
    struct ring_recovery recovery;
    struct ring *other;
    (void)state;
    remove_files();
    struct ring *ring = open_ring(RING_MADE);
    assert_int_equal(ring_open(&other, path, SIZE, &recovery), -EBUSY);
    assert_int_equal(ring_open(&other, path, 2 * SIZE, &recovery),
                     -EBUSY); /* and is not put aside */
    ring_free(ring);
    disk.on_lock = put_another_in_place;
    assert_int_equal(ring_open(&other, path, SIZE, &recovery), -EBUSY);
    ring_free(opened);
    unlink(path);
    int fd = open(made, O_RDWR | O_CREAT, 0600); /* another one is making it just now */
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(ring_open(&other, path, SIZE, &recovery), -EBUSY);
    assert_int_equal(access(made, F_OK), 0);
    close(fd); /* and was killed */
    ring_free(open_ring(RING_MADE));
    ring_free(open_ring(RING_RECOVERED));
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

/* --- no place -------------------------------------------------------------------------- */

static void test_no_place_for_a_file(void **state) {
    static unsigned char bytes[FILE_BYTES], after[FILE_BYTES];
    struct ring_recovery recovery;
    struct ring *ring;
    (void)state;
    remove_files();
    assert_int_equal(ring_open(&ring, "/nonexistent/ring", SIZE, &recovery), -ENOENT);
    assert_int_equal(ring_open(&ring, directory, SIZE, &recovery), -EISDIR);
    assert_int_equal(ring_open(&ring, path, SIZE - 1, &recovery), -EINVAL);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_int_equal(ring_open(&ring, path, SIZE, &recovery), -ELOOP);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(ring_open(&ring, path, SIZE, &recovery), -EINVAL);
    unlink(path);
    disk.allocate_error = ENOSPC;
    assert_int_equal(ring_open(&ring, path, SIZE, &recovery), -ENOSPC);
    assert_int_equal(access(made, F_OK), -1);
    disk.allocate_error = 0;
    make_bytes(bytes, 5);
    disk.allocate_error = ENOSPC; /* holes of a copy; no room for one of another size */
    assert_int_equal(ring_open(&ring, path, SIZE, &recovery), -ENOSPC);
    assert_int_equal(ring_open(&ring, path, 2 * SIZE, &recovery), -ENOSPC);
    disk.allocate_error = 0;
    disk.sync_error = EIO;
    assert_int_equal(ring_open(&ring, path, SIZE, &recovery), -EIO);
    assert_int_equal(ring_open(&ring, path, 2 * SIZE, &recovery), -EIO);
    disk.sync_error = 0;
    assert_int_equal(access(kept, F_OK), -1);
    ring = open_ring(RING_RECOVERED);
    check_events(ring, 10);
    ring_free(ring);
    read_file(after);
    assert_memory_equal(after + HEADER, bytes + HEADER, SIZE);
}

/* On a file system of 128 KiB there is room for one ring and not for two. In a process of its own,
 * which sees it alone: 0; 1: it could not be mounted. */
static int use_small_disk(void) {
    struct ring_recovery recovery;
    struct ring *ring, *other;
    if (unshare(CLONE_NEWNS) || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", directory, "tmpfs", 0, "size=128k"))
        return 1;
    if (ring_open(&ring, path, SIZE, &recovery) || recovery.kind != RING_MADE)
        return 2;
    if (ring_open(&other, kept, SIZE, &recovery) != -ENOSPC || access(kept, F_OK) == 0)
        return 3;
    add(ring, 400);
    if (ring_next_seq(ring) != 801)
        return 4;
    ring_free(ring);
    /* One of another size finds no room beside it, and it stays as it is. */
    if (ring_open(&ring, path, SIZE + 4096, &recovery) != -ENOSPC || access(path, F_OK))
        return 5;
    if (ring_open(&ring, path, SIZE, &recovery) || recovery.kind != RING_RECOVERED)
        return 6;
    uint64_t seq = ring_next_seq(ring);
    ring_free(ring);
    return seq == 801 ? 0 : 7;
}

static void test_full_disk(void **state) {
    int status;
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(use_small_disk());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 1) {
        print_message("SKIPPED: a tmpfs cannot be mounted here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* The pages of the ring's mappings that have to be written, in KiB: what the kernel says. */
static unsigned count_dirty(void) {
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    unsigned total = 0, dirty;
    bool is_ours = false;
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        if (strchr(line, '-') && strchr(line, '/'))
            is_ours = strstr(line, path) != NULL;
        if (is_ours && (sscanf(line, "Shared_Dirty: %u", &dirty) == 1 ||
                        sscanf(line, "Private_Dirty: %u", &dirty) == 1))
            total += dirty;
    }
    fclose(maps);
    return total;
}

static unsigned dirty_at_sync;

static void write_through(size_t bytes) {
    (void)bytes;
    dirty_at_sync = count_dirty();
    int fd = open(path, O_RDWR);
    assert_int_equal(syscall(SYS_fdatasync, fd), 0);
    close(fd);
}

/* After an error the kernel holds for clean what it could not write: it has to be told again. */
static void test_what_failed_is_written_again(void **state) {
    (void)state;
    remove_files();
    struct ring *ring = open_ring(RING_MADE);
    add(ring, 400);
    disk.on_sync = write_through;
    disk.sync_error = EIO;
    assert_int_equal(ring_sync(ring), -EIO);
    unsigned clean = count_dirty();
    assert_int_equal(ring_sync(ring), -EIO);
    disk.sync_error = 0;
    assert_int_equal(ring_sync(ring), 0);
    disk.on_sync = NULL;
    if (clean < FILE_BYTES / 1024) /* tmpfs never is */
        assert_true(dirty_at_sync >= FILE_BYTES / 1024);
    disk.sync_error = EIO;
    add(ring, 3);
    ring_free(ring); /* it could not be closed well, and is whole as long as this kernel runs */
    disk.sync_error = 0;
    ring = open_ring(RING_RECOVERED);
    check_events(ring, 806);
    ring_free(ring);
}

/* --- damage ---------------------------------------------------------------------------- */

static unsigned char good[FILE_BYTES], bad[FILE_BYTES + 1];

/* Whether a state looks like one that kill -9 left half written: the one before it counts. */
static bool was_being_written(int n) {
    return memcmp(bad + STATE + 64 * n + 56, "\0\0\0", 4) == 0;
}

/* Whatever became of it: the ring works, and holds no event that never was. */
static struct ring_recovery open_bad(uint64_t last) {
    char id[RING_ID_BYTES + 1] = "";
    struct ring_recovery recovery;
    struct ring *ring;
    struct stat found;
    memcpy(id, bad + 24, RING_ID_BYTES);
    assert_int_equal(ring_open(&ring, path, SIZE, &recovery), 0);
    uint64_t there = ring_next_seq(ring) - 1;
    if (recovery.kind == RING_REPLACED) {
        assert_true(recovery.reason[0]);
        assert_int_equal(stat(recovery.kept, &found), 0);
        assert_string_equal(recovery.kept, kept);
        assert_int_equal(there, 0);
    } else {
        assert_int_equal(recovery.kind, RING_RECOVERED);
        assert_true(there <= last);
        if (!was_being_written(0) && !was_being_written(1)) /* nobody is left in the dark */
            assert_true(there == last || recovery.has_new_id);
        assert_int_equal(strcmp(ring_id(ring), id) != 0, recovery.has_new_id);
    }
    assert_int_equal(check_events(ring, there), recovery.events);
    add(ring, 2);
    ring_free(ring);
    ring = open_ring(RING_RECOVERED);
    check_events(ring, there + 4);
    ring_free(ring);
    return recovery;
}

static void expect_replaced(size_t len, const char *reason) {
    write_file(bad, len);
    struct ring_recovery recovery = open_bad(40);
    assert_int_equal(recovery.kind, RING_REPLACED);
    assert_string_equal(recovery.reason, reason);
}

static void test_foreign_files(void **state) {
    static const char size[] = "it is shorter or longer than it should be";
    (void)state;
    make_bytes(good, 20);
    memcpy(bad, good, FILE_BYTES);
    for (size_t len = 0; len < FILE_BYTES; len += len < 128 ? 8 : 512)
        expect_replaced(len, size);
    expect_replaced(FILE_BYTES + 1, size);
    bad[8] = 1;
    expect_replaced(FILE_BYTES, "it is of another version of rollcall");
    memcpy(bad, good, FILE_BYTES);
    memcpy(bad + 12, "\0\0\0\1", 4);
    expect_replaced(FILE_BYTES, "it is of a machine of another byte order");
    memset(bad, 0, sizeof bad);
    expect_replaced(FILE_BYTES, "it is no ring of rollcall");
}

/* Each file that could not be used has a name, up to a bound; then nothing is lost, but said. */
static void test_kept_files(void **state) {
    struct ring_recovery recovery;
    struct ring *ring;
    char name[96];
    (void)state;
    remove_files();
    for (int i = 1; i <= 101; i++) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_int_equal(write(fd, &i, sizeof i), sizeof i);
        close(fd);
        int rc = ring_open(&ring, path, SIZE, &recovery);
        assert_int_equal(rc, i <= 100 ? 0 : -EEXIST);
        if (rc == 0)
            ring_free(ring);
    }
    for (int i = 1; i <= 101; i++) {
        int content;
        snprintf(name, sizeof name, "%s.old-%d", path, i);
        int fd = open(i <= 100 ? name : path, O_RDONLY);
        assert_int_equal(read(fd, &content, sizeof content), sizeof content);
        assert_int_equal(content, i);
        close(fd);
        unlink(name);
    }
}

/* Every byte of the head, the states and the boot id counts; and those of a few records. */
static bool is_used(size_t at) {
    return at < 64 || (at >= STATE && at < STATE + 160) || (at >= BOOT && at < BOOT + 40) ||
           (at >= HEADER + SIZE / 2 && at < HEADER + SIZE / 2 + 1500);
}

/* A byte of every kind of place, turned round: as the process left it, and as the power did. */
static void test_flips(void **state) {
    (void)state;
    for (int other_boot = 0; other_boot < 2; other_boot++) {
        unsigned recovered = 0, replaced = 0;
        make_bytes(good, 400); /* several laps */
        if (other_boot)
            set_other_boot(good);
        for (size_t at = 0; at < FILE_BYTES; at += is_used(at) ? 1 : 61) {
            memcpy(bad, good, FILE_BYTES);
            bad[at] ^= 0xff;
            write_file(bad, FILE_BYTES);
            struct ring_recovery recovery = open_bad(800);
            recovered += recovery.kind == RING_RECOVERED;
            replaced += recovery.kind == RING_REPLACED;
        }
        assert_true(recovered > 300);
        assert_true(other_boot ? replaced == 52 : replaced > 500); /* 52: the head */
    }
}

/* As the module counts them. */
static void seal(unsigned char *bytes, size_t len) {
    uint32_t sum = ring_checksum(0, 0, bytes, len);
    sum = sum ? sum : 1;
    memcpy(bytes + len, &sum, sizeof sum);
}

/* Words of the states that cannot be, with the right checksum: no disk does that, but somebody may.
 */
static void test_lies(void **state) {
    enum { STATE_WORDS = 7, HEAD_SIZE_AT = 16, HEAD_LEN = 32 + RING_ID_BYTES };
    static const uint64_t lies[] = {0, 1, 3, SIZE, SIZE + 4, 2 * SIZE, UINT64_MAX / 2, UINT64_MAX};
    (void)state;
    make_bytes(good, 400);
    for (int word = 1; word < 5; word++) /* the cursors */
        for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
            memcpy(bad, good, FILE_BYTES);
            for (int n = 0; n < 2; n++) {
                unsigned char *lying = bad + STATE + 64 * n;
                memcpy(lying + 8 * word, &lies[i], sizeof lies[i]);
                seal(lying, 8 * STATE_WORDS);
            }
            write_file(bad, FILE_BYTES);
            open_bad(800);
        }
    memcpy(bad, good, FILE_BYTES);
    memcpy(bad + HEAD_SIZE_AT, &lies[0], sizeof lies[0]);
    seal(bad, HEAD_LEN);
    expect_replaced(FILE_BYTES, "its size is another than that of the configuration");
}

/* From each place on, the file holds nothing. */
static void test_torn_tail(void **state) {
    (void)state;
    make_bytes(good, 40);
    for (size_t cut = HEADER; cut < HEADER + 24000; cut += 8) {
        memcpy(bad, good, cut);
        memset(bad + cut, 0, FILE_BYTES - cut);
        write_file(bad, FILE_BYTES);
        struct ring_recovery recovery = open_bad(80);
        if (recovery.kind == RING_RECOVERED)
            assert_int_equal(recovery.cut + recovery.events, 80);
        else
            assert_true(cut < HEADER + 512); /* nothing at all is left */
    }
}

/* Damage of any sort and number. */
static void test_random_damage(void **state) {
    static unsigned char older[FILE_BYTES];
    unsigned recovered = 0;
    (void)state;
    make_bytes(older, 300);
    make_bytes(good, 500);
    memcpy(older, good, HEADER); /* the ids are not the same, and need not be */
    for (int round = 0; round < 4000; round++) {
        memcpy(bad, good, FILE_BYTES);
        if (round % 2)
            set_other_boot(bad);
        for (uint64_t n = 1 + random_below(8); n > 0; n--) {
            size_t at = random_below(8) ? random_below(FILE_BYTES) : STATE + random_below(128);
            size_t len = 1 + random_below(random_below(2) ? 16 : 9000);
            len = len > FILE_BYTES - at ? FILE_BYTES - at : len;
            switch (random_below(4)) {
            case 0:
                bad[at] ^= (unsigned char)(1 << random_below(8));
                break;
            case 1:
                memset(bad + at, (int)random_below(3) - 1, len);
                break;
            case 2:
                memmove(bad + at, bad + random_below(FILE_BYTES - len + 1), len);
                break;
            default:
                memcpy(bad + at, older + at, len);
            }
        }
        write_file(bad, FILE_BYTES);
        recovered += open_bad(1000).kind == RING_RECOVERED;
    }
    assert_true(recovered > 1000);
}

/* --- sync = always ---------------------------------------------------------------------- */

/* What is not on disk is not shown, and not overwritten either. */
static void test_deferred(void **state) {
    struct ring_cursor cursor;
    const struct ring_record *record;
    char *line;
    (void)state;
    remove_files();
    struct ring *ring = open_ring(RING_MADE);
    add(ring, 400);
    disk.sync_error = EIO;
    assert_int_equal(ring_defer(ring), -EIO);
    disk.sync_error = 0;
    assert_int_equal(ring_defer(ring), 0);
    struct ring_cursor shown = ring_newest(ring);
    assert_int_equal(shown.seq, 801);
    cursor = shown;
    add(ring, 2);
    assert_int_equal(ring_newest(ring).seq, shown.seq);
    assert_int_equal(ring_seek(ring, shown.seq + 1, &cursor), RING_FUTURE);
    assert_int_equal(ring_next(ring, &cursor, &record), RING_EMPTY);
    size_t room = SIZE / 2 - (size_t)(ring_committed(ring).position - shown.position);
    assert_int_equal(ring_reserve(ring, room - sizeof *record + 1, &line), RING_HELD);
    assert_int_equal(ring_reserve(ring, room - sizeof *record, &line), RING_OK);
    memset(line, 'x', room - sizeof *record);
    ring_push(ring, &(struct ring_record){.line_len = (uint32_t)(room - sizeof *record)});
    ring_commit(ring);
    assert_int_equal(ring_reserve(ring, 0, &line), RING_HELD);
    ring_show(ring, ring_committed(ring));
    assert_int_equal(ring_reserve(ring, SIZE / 2 - sizeof *record, &line), RING_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ring_next(ring, &cursor, &record), RING_OK);
    assert_int_equal(ring_next(ring, &cursor, &record), RING_EMPTY);
    ring_free(ring);
}

/* --- the checksum ----------------------------------------------------------------------- */

static void test_checksum(void **state) {
    static char bytes[4096];
    uint32_t crc = UINT32_MAX;
    (void)state;
    for (int i = 0; i < 4; i++) /* 32 bytes of 0: RFC 3720, B.4 */
        crc = ring_checksum_step(crc, 0);
    assert_int_equal(~crc, 0x8a9136aa);
    crc = UINT32_MAX;
    for (uint64_t i = 0; i < 4; i++) /* 0 to 31: likewise */
        crc = ring_checksum_step(crc, 0x0706050403020100 + i * 0x0808080808080808);
    assert_int_equal(~crc, 0x46dd794e);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)random_below(256);
    for (size_t len = 0; len <= sizeof bytes; len += 8)
        assert_int_equal(ring_checksum(len, 5, bytes, len),
                         ring_checksum_portable(len, 5, bytes, len));
    uint32_t sum = ring_checksum(1, 2, bytes, 200);
    for (size_t bit = 0; bit < 200 * 8; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_not_equal(ring_checksum(1, 2, bytes, 200), sum);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    memset(bytes, 'h', 200); /* zeros over a text of one letter, of any length, in any place */
    sum = ring_checksum(1, 2, bytes, 200);
    for (size_t from = 0; from < 25; from++)
        for (size_t to = from + 1; to <= 25; to++)
            for (size_t step = 1; step <= 25; step++) {
                for (size_t i = from; i < to; i += step)
                    memset(bytes + 8 * i, 0, 8);
                assert_int_not_equal(ring_checksum(1, 2, bytes, 200), sum);
                memset(bytes, 'h', 200);
            }
    assert_int_not_equal(ring_checksum(3, 2, bytes, 200), sum);
    assert_int_not_equal(ring_checksum(1, 3, bytes, 200), sum);
}

/* --- figures, on request ---------------------------------------------------------------- */

enum { BENCH_BYTES = 64 << 20, BENCH_EVENTS = 400000, BENCH_ROUNDS = 7 };

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int bench_push(struct ring *ring, const char *name) {
    double best = 1e18;
    for (int round = 0; round < BENCH_ROUNDS; round++) {
        double started = now_ns();
        for (int i = 0; i < BENCH_EVENTS; i++) {
            char *line;
            if (ring_reserve(ring, 500, &line))
                return 1;
            ring_push(ring, &(struct ring_record){.line_len = 496});
            if (i % 10 == 9)
                ring_commit(ring);
        }
        double spent = (now_ns() - started) / BENCH_EVENTS;
        best = spent < best ? spent : best;
    }
    printf("%s: %.1f ns a record of 560 bytes\n", name, best);
    return 0;
}

static int bench(void) {
    struct ring_recovery recovery;
    struct ring *ring;
    if (setup(NULL) || ring_new(&ring, BENCH_BYTES) || bench_push(ring, "memory"))
        return 1;
    ring_free(ring);
    if (ring_open(&ring, path, BENCH_BYTES, &recovery) || bench_push(ring, "file"))
        return 1;
    ring_free(ring);
    for (int other_boot = 0; other_boot < 2; other_boot++) {
        double best = 1e18;
        for (int round = 0; round < BENCH_ROUNDS; round++) {
            static const char zeros[128];
            int fd = open(path, O_WRONLY);
            if (other_boot && (pwrite(fd, "x", 1, BOOT) != 1 ||
                               pwrite(fd, zeros, 64, STATE + 64 * (round % 2)) != 64))
                return 1;
            close(fd);
            double started = now_ns();
            if (ring_open(&ring, path, BENCH_BYTES, &recovery))
                return 1;
            double spent = now_ns() - started;
            best = spent < best ? spent : best;
            ring_free(ring);
        }
        printf("opening 64 MiB%s: %.1f ms, %llu events\n",
               other_boot ? " after a loss of power" : "", best / 1e6,
               (unsigned long long)recovery.events);
    }
    return teardown(NULL);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_goes_on),
        cmocka_unit_test(test_one_process_at_a_time),
        cmocka_unit_test(test_places_of_readers_stay),
        cmocka_unit_test(test_no_place_for_a_file),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_what_failed_is_written_again),
        cmocka_unit_test(test_foreign_files),
        cmocka_unit_test(test_kept_files),
        cmocka_unit_test(test_flips),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_torn_tail),
        cmocka_unit_test(test_random_damage),
        cmocka_unit_test(test_deferred),
        cmocka_unit_test(test_checksum),
    };
    if (argc == 2 && strcmp(argv[1], "--bench") == 0)
        return bench();
    return cmocka_run_group_tests_name("ring-file", tests, setup, teardown);
}
