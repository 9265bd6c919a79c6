/* What the tests of the ring's file share: a place for files, events that say what they have to be,
 * and a disk that does as it is told. */
#ifndef ROLLCALL_RING_FILE_HARNESS_H
#define ROLLCALL_RING_FILE_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring.h"

enum {
    SIZE = RING_MIN_BYTES,
    HEADER = 16384,
    STATE = 4096, /* where the two states stand, of 64 bytes each */
    BOOT = 5120,  /* and the boot id */
    FILE_BYTES = HEADER + SIZE,
    LINE_MAX_BYTES = 512,
};

static char directory[] = "/tmp/rollcall-ring-file-XXXXXX";
static char path[64], kept[80], made[80];

static int setup(void **state) {
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/ring", directory);
    snprintf(kept, sizeof kept, "%s.old-1", path);
    snprintf(made, sizeof made, "%s.new", path);
    return 0;
}

static int teardown(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command);
}

static void remove_files(void) {
    char name[96];
    unlink(path);
    unlink(made);
    unlink(kept);
    snprintf(name, sizeof name, "%s.ids", path);
    unlink(name);
}

/* --- the disk: takes the place of the C library's ------------------------------------- */

static struct {
    int sync_error, allocate_error;
    void (*on_sync)(size_t bytes); /* so many from the file's beginning, or all: SIZE_MAX */
    void (*on_lock)(void);
} disk;

int fdatasync(int fd) {
    if (disk.on_sync)
        disk.on_sync(SIZE_MAX);
    errno = disk.sync_error;
    return fd < 0 || disk.sync_error ? -1 : 0;
}

int fsync(int fd) {
    return fd < 0 ? -1 : 0;
}

int msync(void *address, size_t len, int flags) {
    (void)address, (void)flags;
    if (disk.on_sync)
        disk.on_sync(len);
    errno = disk.sync_error;
    return disk.sync_error ? -1 : 0;
}

int posix_fallocate(int fd, off_t offset, off_t len) {
    if (disk.allocate_error)
        return disk.allocate_error;
    return syscall(SYS_fallocate, fd, 0, offset, len) ? errno : 0;
}

int flock(int fd, int operation) {
    if (disk.on_lock)
        disk.on_lock();
    return (int)syscall(SYS_flock, fd, operation);
}

/* --- events ---------------------------------------------------------------------------- */

static uint64_t random_state = 88172645463325252U;

static inline uint64_t random_below(uint64_t bound) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (random_state * 2685821657736338717U >> 11) % bound;
}

/* A line that says its seq and a salt, of a length that varies with both. */
static size_t write_line(char *dst, uint64_t seq, unsigned salt) {
    size_t len = (size_t)sprintf(dst, "{\"seq\":%llu,\"salt\":%u,\"text\":\"",
                                 (unsigned long long)seq, salt);
    size_t more = (seq * 7 + salt * 13) % 400;
    memset(dst + len, 'a' + (int)(seq % 26), more);
    memcpy(dst + len + more, "\"}\n", 3);
    return len + more + 3;
}

static inline void push_salted(struct ring *ring, unsigned salt) {
    char *line;
    assert_int_equal(ring_reserve(ring, LINE_MAX_BYTES, &line), RING_OK);
    size_t len = write_line(line, ring_next_seq(ring), salt);
    ring_push(ring,
              &(struct ring_record){.line_len = (uint32_t)len, .received_us = 1767607933456789});
}

static inline void add(struct ring *ring, unsigned batches) {
    for (unsigned i = 0; i < batches; i++) {
        push_salted(ring, 0);
        push_salted(ring, 0);
        ring_commit(ring);
    }
}

/* Every event that is readable is what it was, one after the other up to `last`; how many. `salts`:
 * of each seq; NULL: all 0. */
static inline uint64_t check_salted(struct ring *ring, uint64_t last, const unsigned *salts) {
    struct ring_cursor cursor = ring_oldest(ring);
    const struct ring_record *record;
    char expected[LINE_MAX_BYTES];
    uint64_t count = 0, seq = cursor.seq;
    assert_int_equal(ring_next_seq(ring), last + 1);
    for (; ring_next(ring, &cursor, &record) == RING_OK; seq++, count++) {
        size_t len = write_line(expected, seq, salts ? salts[seq] : 0);
        assert_int_equal(record->seq, seq);
        assert_int_equal(record->line_len, len);
        assert_memory_equal(ring_record_line(record).ptr, expected, len);
    }
    assert_int_equal(cursor.seq, last + 1);
    assert_int_equal(ring_figures(ring).readable, count);
    assert_int_equal(ring_figures(ring).accepted, ring_figures(ring).overwritten + count);
    return count;
}

static inline uint64_t check_events(struct ring *ring, uint64_t last) {
    return check_salted(ring, last, NULL);
}

static inline struct ring *open_ring(enum ring_recovery_kind kind) {
    struct ring_recovery recovery;
    struct ring *ring;
    assert_int_equal(ring_open(&ring, path, SIZE, &recovery), 0);
    if (recovery.kind != kind)
        fail_msg("kind %d: %s", recovery.kind, recovery.reason);
    return ring;
}

/* --- files as bytes -------------------------------------------------------------------- */

static inline void read_file(unsigned char bytes[FILE_BYTES]) {
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, bytes, FILE_BYTES), FILE_BYTES);
    close(fd);
}

static inline void write_file(const unsigned char *bytes, size_t len) {
    remove_files();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
}

/* A ring of that many batches of two, and its bytes as kill -9 leaves them. */
static inline void make_bytes(unsigned char bytes[FILE_BYTES], unsigned batches) {
    remove_files();
    struct ring *ring = open_ring(RING_MADE);
    add(ring, batches);
    read_file(bytes);
    ring_free(ring);
}

static inline void set_other_boot(unsigned char bytes[FILE_BYTES]) {
    memset(bytes + BOOT, 'x', 36);
}

#endif
