/* The ring; see ring.h.
 *
 * Positions only grow; a byte lies at position % size. [tail, head) is readable, [head, open) is
 * the open batch, empty where none is; both together never take more than size. Addresses are
 * reckoned from the tail's, which costs no division (a 64-bit one takes longer than the rest of a
 * push). A sparse index holds the position of every INDEX_STEP-th event, so that a seek walks less
 * than that many records. */
#include "ring.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

enum { RECORD_ALIGN = 8, INDEX_STEP = 64 };

struct ring {
    char *base; /* 2 * size bytes: the memory, and the same memory again */
    size_t size;
    size_t max_line_bytes;
    struct ring_cursor tail, head, open; /* oldest; next to be visible; end of the open batch */
    size_t tail_offset;                  /* tail.position % size */
    uint64_t overwritten;
    uint64_t *index; /* [seq / INDEX_STEP % index_len]: position of the event */
    size_t index_len;
    char id[RING_ID_BYTES + 1];
};

/* For positions from the tail to the end of the open batch. */
static struct ring_record *record_at(const struct ring *ring, uint64_t position) {
    size_t offset = ring->tail_offset + (size_t)(position - ring->tail.position);
    if (offset >= ring->size)
        offset -= ring->size;
    return (struct ring_record *)(ring->base + offset);
}

static size_t record_size(size_t line_bytes) {
    size_t size = sizeof(struct ring_record) + line_bytes;
    return (size + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

/* --- memory -------------------------------------------------------------------------- */

/* The same pages twice, side by side. 0 or -errno. */
static int map_twice(struct ring *ring) {
    int fd = memfd_create("rollcall-ring", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = 0;
    char *base = MAP_FAILED;
    if (ftruncate(fd, (off_t)ring->size) == 0)
        base = mmap(NULL, 2 * ring->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        rc = -errno;
    } else {
        for (int i = 0; i < 2 && rc == 0; i++)
            if (mmap(base + (size_t)i * ring->size, ring->size, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
                rc = -errno;
        if (rc)
            munmap(base, 2 * ring->size);
        else
            ring->base = base;
    }
    close(fd);
    return rc;
}

static int make_id(struct ring *ring) {
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) < 0)
        return -errno; /* reads of up to 256 bytes are never short */
    snprintf(ring->id, sizeof ring->id, "%016llx", (unsigned long long)random);
    return 0;
}

int ring_new(struct ring **out, size_t size_bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (size_bytes < RING_MIN_BYTES || size_bytes > SIZE_MAX / 4)
        return -EINVAL;
    struct ring *ring = calloc(1, sizeof *ring);
    if (!ring)
        return -ENOMEM;
    ring->size = (size_bytes + page - 1) / page * page;
    ring->max_line_bytes = ring->size / 2 - sizeof(struct ring_record);
    if (ring->max_line_bytes > UINT32_MAX / 2) /* record sizes are 32 bits */
        ring->max_line_bytes = UINT32_MAX / 2;
    /* As many as the smallest records that fit, and one each for a block cut at either end. */
    ring->index_len = ring->size / (sizeof(struct ring_record) * INDEX_STEP) + 2;
    ring->tail.seq = ring->head.seq = ring->open.seq = 1;
    int rc = make_id(ring);
    if (rc == 0)
        rc = map_twice(ring);
    if (rc == 0) {
        ring->index = calloc(ring->index_len, sizeof *ring->index);
        rc = ring->index ? 0 : -ENOMEM;
    }
    if (rc) {
        ring_free(ring);
        return rc;
    }
    *out = ring;
    return 0;
}

void ring_free(struct ring *ring) {
    if (!ring)
        return;
    if (ring->base)
        munmap(ring->base, 2 * ring->size);
    free(ring->index);
    free(ring);
}

const char *ring_id(const struct ring *ring) {
    return ring->id;
}

size_t ring_size(const struct ring *ring) {
    return ring->size;
}

/* --- writing ------------------------------------------------------------------------- */

uint64_t ring_next_seq(const struct ring *ring) {
    return ring->open.seq;
}

/* Drops the oldest records until the memory up to `end` is free. */
static void make_room(struct ring *ring, uint64_t end) {
    while (ring->tail.position + ring->size < end) {
        assert(ring->tail.position < ring->head.position);
        uint32_t size = ((struct ring_record *)(ring->base + ring->tail_offset))->size;
        ring->tail.position += size;
        ring->tail.seq++;
        ring->tail_offset += size;
        if (ring->tail_offset >= ring->size)
            ring->tail_offset -= ring->size;
        ring->overwritten++;
    }
}

int ring_reserve(struct ring *ring, size_t line_bytes, char **line) {
    if (line_bytes > ring->max_line_bytes)
        return RING_TOO_LARGE;
    uint64_t end = ring->open.position + record_size(line_bytes);
    if (end - ring->head.position > ring->size / 2)
        return RING_TOO_LARGE;
    make_room(ring, end);
    *line = (char *)(record_at(ring, ring->open.position) + 1);
    return RING_OK;
}

void ring_push(struct ring *ring, const struct ring_record *meta) {
    assert(meta->line_len <= ring->max_line_bytes);
    struct ring_record *record = record_at(ring, ring->open.position);
    *record = *meta;
    record->size = (uint32_t)record_size(meta->line_len);
    record->checksum = 0;
    record->seq = ring->open.seq;
    if (record->seq % INDEX_STEP == 0)
        ring->index[record->seq / INDEX_STEP % ring->index_len] = ring->open.position;
    ring->open.position += record->size;
    ring->open.seq++;
}

void ring_commit(struct ring *ring) {
    ring->head = ring->open;
}

void ring_abort(struct ring *ring) {
    ring->open = ring->head;
}

/* --- reading ------------------------------------------------------------------------- */

struct ring_cursor ring_oldest(const struct ring *ring) {
    return ring->tail;
}

struct ring_cursor ring_newest(const struct ring *ring) {
    return ring->head;
}

int ring_seek(const struct ring *ring, uint64_t seq, struct ring_cursor *cursor) {
    *cursor = ring->tail;
    if (seq < ring->tail.seq)
        return RING_OVERRUN;
    if (seq >= ring->head.seq) {
        *cursor = ring->head;
        return seq == ring->head.seq ? RING_OK : RING_FUTURE;
    }
    uint64_t indexed = seq / INDEX_STEP * INDEX_STEP;
    if (indexed >= ring->tail.seq && indexed > 0) {
        cursor->seq = indexed;
        cursor->position = ring->index[indexed / INDEX_STEP % ring->index_len];
    }
    while (cursor->seq < seq) {
        cursor->position += record_at(ring, cursor->position)->size;
        cursor->seq++;
    }
    return RING_OK;
}

int ring_next(const struct ring *ring, struct ring_cursor *cursor,
              const struct ring_record **record) {
    if (cursor->seq < ring->tail.seq)
        return RING_OVERRUN;
    if (cursor->seq >= ring->head.seq)
        return RING_EMPTY;
    *record = record_at(ring, cursor->position);
    cursor->position += (*record)->size;
    cursor->seq++;
    return RING_OK;
}

/* --- cursors as text ----------------------------------------------------------------- */

unsigned ring_format_cursor(const struct ring *ring, uint64_t seq, char dst[RING_CURSOR_MAX]) {
    return (unsigned)snprintf(dst, RING_CURSOR_MAX, "%s-%llu", ring->id, (unsigned long long)seq);
}

/* Digits only, no leading zero but "0" itself, no overflow. */
static bool parse_seq(struct span text, uint64_t *seq) {
    if (text.len == 0 || (text.ptr[0] == '0' && text.len > 1))
        return false;
    *seq = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.ptr[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(*seq, 10U, seq) ||
            __builtin_add_overflow(*seq, digit, seq))
            return false;
    }
    return true;
}

enum ring_cursor_kind ring_parse_cursor(const struct ring *ring, struct span text, uint64_t *seq) {
    if (text.len < RING_ID_BYTES + 2 || text.ptr[RING_ID_BYTES] != '-')
        return RING_CURSOR_MALFORMED;
    for (size_t i = 0; i < RING_ID_BYTES; i++)
        if (!memchr("0123456789abcdef", text.ptr[i], 16))
            return RING_CURSOR_MALFORMED;
    if (!parse_seq(span_from(text.ptr + RING_ID_BYTES + 1, text.len - RING_ID_BYTES - 1), seq))
        return RING_CURSOR_MALFORMED;
    return memcmp(text.ptr, ring->id, RING_ID_BYTES) == 0 ? RING_CURSOR_OURS : RING_CURSOR_FOREIGN;
}

/* --- figures ------------------------------------------------------------------------- */

struct ring_figures ring_figures(const struct ring *ring) {
    return (struct ring_figures){
        .accepted = ring->head.seq - 1,
        .overwritten = ring->overwritten,
        .readable = ring->head.seq - ring->tail.seq,
        .bytes = ring->head.position - ring->tail.position,
    };
}
