/* Recovery of the ring's file (ring_open): a good file, changed where the input says. Whatever it
 * has become: it is taken on, and then each event in it is one that was written, whole, in its
 * place, with none missing between the first and the last; or it is kept under another name. Either
 * way the ring works, and what is pushed is there when it is opened again.
 *
 * Input: changes of five bytes each: where (three bytes; past the end: of the part that tells where
 * things are), what to do, a value. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "fuzz.h"
#include "ring.h"

enum {
    RING_BYTES = 64 * 1024,
    FILE_BYTES = 16384 + RING_BYTES,
    STATES = 4096, /* two of six 64-bit numbers: generation, tail, head (seq, position), checksum */
    STATE_BYTES = 48,
    STATE_SUMMED_BYTES = 40,
    EVENTS = 400, /* more than it holds */
};

/* In memory, where there is such a place: nothing is asked of a disk here. */
static char directory[] = "/dev/shm/rollcall-fuzz-XXXXXX", path[sizeof directory + 8];
static unsigned char good[FILE_BYTES];

/* A seq's line is known from the seq alone. */
static int make_line(uint64_t seq, char *dst, size_t size) {
    return snprintf(dst, size, "{\"seq\":%llu,\"pad\":\"%*s\"}\n", (unsigned long long)seq,
                    (int)(seq * 37 % 300), "");
}

static void push(struct ring *ring) {
    char text[512], *line;
    int len = make_line(ring_next_seq(ring), text, sizeof text);
    FUZZ_CHECK(ring_reserve(ring, (size_t)len, &line) == RING_OK);
    memcpy(line, text, (size_t)len);
    ring_push(ring, &(struct ring_record){.line_len = (uint32_t)len});
    ring_commit(ring);
}

static void remove_directory(void) {
    unlink(path);
    rmdir(directory);
}

static void write_file(const unsigned char *bytes, size_t size) {
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size);
    close(fd);
}

static void setup(void) {
    struct ring_recovery recovery;
    struct ring *ring;
    if (path[0])
        return;
    if (access("/dev/shm", W_OK))
        strcpy(directory, "/tmp/rollcall-fuzz-XXXXXX");
    FUZZ_CHECK(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/ring", directory);
    atexit(remove_directory);
    FUZZ_CHECK(ring_open(&ring, path, RING_BYTES, &recovery) == 0 && recovery.kind == RING_MADE);
    for (int i = 0; i < EVENTS; i++)
        push(ring);
    ring_free(ring);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    FUZZ_CHECK(fd >= 0 && read(fd, good, sizeof good) == sizeof good);
    close(fd);
}

/* Sets one of a state's numbers, and its checksum right: what no accident does, so that all that
 * stands behind the checksum is met. */
static void set_state(unsigned char *bytes, unsigned which, uint8_t value) {
    unsigned char *state = bytes + STATES + (which & 1) * STATE_BYTES;
    uint64_t number;
    memcpy(&number, state + (which >> 1) % 5 * 8, 8);
    number = which & 64 ? (uint64_t)value << (which % 56) : number + (uint64_t)(int8_t)value * 8;
    memcpy(state + (which >> 1) % 5 * 8, &number, 8);
    uint32_t sum = (uint32_t)crc32_z(crc32_z(0, NULL, 0), state, STATE_SUMMED_BYTES);
    memcpy(state + STATE_SUMMED_BYTES, &sum, 4);
}

static size_t apply(unsigned char *bytes, struct fuzz_input *input) {
    size_t size = FILE_BYTES;
    while (input->left >= 5) {
        size_t at = (size_t)fuzz_take_byte(input) << 16;
        at |= fuzz_take_u16(input);
        uint8_t what = fuzz_take_byte(input), value = fuzz_take_byte(input);
        at = at < FILE_BYTES ? at : at % 16384;
        size_t len = at + 512 <= FILE_BYTES ? 512 : FILE_BYTES - at;
        if (what % 8 == 0)
            bytes[at] ^= value ? value : 1;
        else if (what % 8 == 1)
            bytes[at] = value;
        else if (what % 8 == 2) /* a sector that was never written */
            memset(bytes + at, value, len);
        else if (what % 8 == 3) /* one that is from elsewhere */
            memmove(bytes + at, bytes + (size_t)value * 312, len);
        else if (what % 8 == 4 && value == 0)
            size = at;
        else
            set_state(bytes, what >> 3 | (unsigned)(at & 0x60), value);
    }
    return size;
}

/* The seq of the last event. */
static uint64_t check_events(const struct ring *ring, const struct ring_recovery *recovery) {
    struct ring_cursor cursor = ring_oldest(ring);
    const struct ring_record *record = NULL;
    uint64_t seq = cursor.seq, count = 0;
    for (; ring_next(ring, &cursor, &record) == RING_OK; seq++, count++) {
        char text[512];
        int len = make_line(seq, text, sizeof text);
        FUZZ_CHECK(record->seq == seq && record->line_len == (uint32_t)len);
        FUZZ_CHECK(memcmp(ring_record_line(record).ptr, text, (size_t)len) == 0);
    }
    struct ring_figures figures = ring_figures(ring);
    FUZZ_CHECK(recovery->events == count && figures.readable == count);
    FUZZ_CHECK(figures.accepted == figures.readable + figures.overwritten);
    FUZZ_CHECK(ring_next_seq(ring) == seq);
    return seq - 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static unsigned char bytes[FILE_BYTES];
    struct fuzz_input input = {data, size};
    struct ring_recovery recovery = {0};
    struct ring *ring;
    setup();
    memcpy(bytes, good, sizeof bytes);
    write_file(bytes, apply(bytes, &input));
    FUZZ_CHECK(ring_open(&ring, path, RING_BYTES, &recovery) == 0);
    FUZZ_CHECK(recovery.kind == RING_RECOVERED || recovery.kind == RING_REPLACED);
    if (size < 5)
        FUZZ_CHECK(recovery.kind == RING_RECOVERED && !recovery.cut && !recovery.skipped);
    if (recovery.kind == RING_REPLACED) {
        FUZZ_CHECK(recovery.reason[0] && unlink(recovery.kept) == 0);
        FUZZ_CHECK(ring_next_seq(ring) == 1);
    }
    (void)check_events(ring, &recovery);
    push(ring);
    uint64_t last = ring_next_seq(ring) - 1;
    ring_free(ring);
    recovery = (struct ring_recovery){0};
    FUZZ_CHECK(ring_open(&ring, path, RING_BYTES, &recovery) == 0);
    FUZZ_CHECK(recovery.kind == RING_RECOVERED && recovery.cut == 0);
    FUZZ_CHECK(check_events(ring, &recovery) == last);
    ring_free(ring);
    return 0;
}
