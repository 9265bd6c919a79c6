/* The ring; see ring.h.
 *
 * Positions only grow; a byte lies at position % size. [tail, head) is readable, [head, open) is
 * the open batch, empty where none is; both together never take more than size. Addresses are
 * reckoned from the tail's, which costs no division (a 64-bit one takes longer than the rest of a
 * push). A sparse index holds the position of every INDEX_STEP-th event, so that a seek walks less
 * than that many records. */
#include "ring_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

/* --- memory -------------------------------------------------------------------------- */

int ring_map_twice(struct ring *ring, int fd, size_t offset) {
    char *base = mmap(NULL, 2 * ring->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    for (int i = 0; i < 2; i++)
        if (mmap(base + (size_t)i * ring->size, ring->size, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED) {
            int rc = -errno;
            munmap(base, 2 * ring->size);
            return rc;
        }
    ring->base = base;
    if (!ring->index)
        ring->index = calloc(ring->index_len, sizeof *ring->index);
    return ring->index ? 0 : -ENOMEM;
}

static int map_memory(struct ring *ring) {
    int fd = memfd_create("rollcall-ring", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = ftruncate(fd, (off_t)ring->size) ? -errno : ring_map_twice(ring, fd, 0);
    close(fd);
    return rc;
}

int ring_make_id(struct ring *ring) {
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) < 0)
        return -errno; /* reads of up to 256 bytes are never short */
    snprintf(ring->id, sizeof ring->id, "%016llx", (unsigned long long)random);
    return 0;
}

int ring_allocate(struct ring **out, size_t size_bytes) {
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
    ring->index_len = ring->size / (sizeof(struct ring_record) * RING_INDEX_STEP) + 2;
    ring->tail.seq = ring->head.seq = ring->open.seq = ring->shown.seq = 1;
    ring->hold_seq = UINT64_MAX;
    *out = ring;
    return 0;
}

int ring_new(struct ring **out, size_t size_bytes) {
    struct ring *ring;
    int rc = ring_allocate(&ring, size_bytes);
    if (rc)
        return rc;
    rc = ring_make_id(ring);
    rc = rc ? rc : map_memory(ring);
    if (rc)
        ring_free(ring);
    else
        *out = ring;
    return rc;
}

void ring_free(struct ring *ring) {
    if (!ring)
        return;
    if (ring->file)
        ring_file_close(ring);
    if (ring->base)
        munmap(ring->base, 2 * ring->size);
    free(ring->index);
    free(ring);
}

static void index_record(struct ring *ring, uint64_t seq, uint64_t position) {
    if (seq % RING_INDEX_STEP == 0)
        ring->index[seq / RING_INDEX_STEP % ring->index_len] = position;
}

void ring_rebuild(struct ring *ring) {
    struct ring_cursor cursor = ring->tail;
    ring->tail_offset = (size_t)(ring->tail.position % ring->size);
    ring->open = ring->shown = ring->head;
    for (; cursor.seq < ring->head.seq; cursor.seq++) {
        index_record(ring, cursor.seq, cursor.position);
        cursor.position += ring_record_at(ring, cursor.position)->size;
    }
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

/* Drops the oldest records until the memory up to `end` is free. False where one of them is held.
 */
static bool make_room(struct ring *ring, uint64_t end) {
    while (ring->tail.position + ring->size < end) {
        assert(ring->tail.position < ring->head.position);
        if (ring->tail.seq >= ring->hold_seq)
            return false;
        uint32_t size = ((struct ring_record *)(ring->base + ring->tail_offset))->size;
        ring->tail.position += size;
        ring->tail.seq++;
        ring->tail_offset += size;
        if (ring->tail_offset >= ring->size)
            ring->tail_offset -= ring->size;
    }
    return true;
}

int ring_reserve(struct ring *ring, size_t line_bytes, char **line) {
    if (line_bytes > ring->max_line_bytes)
        return RING_TOO_LARGE;
    uint64_t end = ring->open.position + ring_record_size(line_bytes);
    if (end - ring->head.position > ring->size / 2)
        return RING_TOO_LARGE;
    /* So that nothing is overwritten that nobody was shown, nor, in a file, that around which a
     * recovery looks for what is on disk: the end of the write-through before the last one. */
    if (ring->deferred && end - ring->shown.position > ring->size / 2)
        return RING_HELD;
    if (!make_room(ring, end))
        return RING_HELD;
    *line = (char *)(ring_record_at(ring, ring->open.position) + 1);
    return RING_OK;
}

void ring_push(struct ring *ring, const struct ring_record *meta) {
    assert(meta->line_len <= ring->max_line_bytes);
    struct ring_record *record = ring_record_at(ring, ring->open.position);
    *record = *meta;
    record->size = (uint32_t)ring_record_size(meta->line_len);
    record->checksum = record->place = 0;
    record->seq = ring->open.seq;
    record->batch_index = (uint32_t)(ring->open.seq - ring->head.seq);
    if (ring->file)
        ring_file_seal(record, ring->open.position);
    index_record(ring, record->seq, ring->open.position);
    ring->open.position += record->size;
    ring->open.seq++;
}

void ring_commit(struct ring *ring) {
    if (ring->head.seq == ring->open.seq)
        return;
    ring->head = ring->open;
    if (!ring->deferred)
        ring->shown = ring->head;
    if (ring->file)
        ring_file_publish(ring);
}

void ring_abort(struct ring *ring) {
    ring->open = ring->head;
}

void ring_set_hold(struct ring *ring, uint64_t seq) {
    ring->hold_seq = seq;
}

/* --- what is on disk before it is shown ---------------------------------------------- */

int ring_defer(struct ring *ring) {
    ring->deferred = true;
    if (!ring->file)
        return 0;
    ring_file_publish(ring);
    int rc = ring_sync(ring);
    return rc ? rc : ring_sync(ring); /* the file then says of itself that all is on disk */
}

struct ring_cursor ring_committed(const struct ring *ring) {
    return ring->head;
}

void ring_show(struct ring *ring, struct ring_cursor up_to) {
    assert(up_to.seq >= ring->shown.seq && up_to.seq <= ring->head.seq);
    ring->shown = up_to;
}

/* --- reading ------------------------------------------------------------------------- */

struct ring_cursor ring_oldest(const struct ring *ring) {
    return ring->tail;
}

struct ring_cursor ring_newest(const struct ring *ring) {
    return ring->shown;
}

int ring_seek(const struct ring *ring, uint64_t seq, struct ring_cursor *cursor) {
    *cursor = ring->tail;
    if (seq < ring->tail.seq)
        return RING_OVERRUN;
    if (seq >= ring->shown.seq) {
        *cursor = ring->shown;
        return seq == ring->shown.seq ? RING_OK : RING_FUTURE;
    }
    uint64_t indexed = seq / RING_INDEX_STEP * RING_INDEX_STEP;
    if (indexed >= ring->tail.seq && indexed > 0) {
        cursor->seq = indexed;
        cursor->position = ring->index[indexed / RING_INDEX_STEP % ring->index_len];
    }
    while (cursor->seq < seq) {
        cursor->position += ring_record_at(ring, cursor->position)->size;
        cursor->seq++;
    }
    return RING_OK;
}

int ring_next(const struct ring *ring, struct ring_cursor *cursor,
              const struct ring_record **record) {
    if (cursor->seq < ring->tail.seq)
        return RING_OVERRUN;
    if (cursor->seq >= ring->shown.seq)
        return RING_EMPTY;
    *record = ring_record_at(ring, cursor->position);
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
        .overwritten = ring->tail.seq - 1,
        .readable = ring->head.seq - ring->tail.seq,
        .bytes = ring->head.position - ring->tail.position,
    };
}
