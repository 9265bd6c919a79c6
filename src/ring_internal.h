/* What ring.c (the ring) and ring_file.c (its file) share. */
#ifndef ROLLCALL_RING_INTERNAL_H
#define ROLLCALL_RING_INTERNAL_H

#include "ring.h"

enum { RING_RECORD_ALIGN = 8, RING_INDEX_STEP = 64 };

struct ring {
    char *base; /* 2 * size bytes: the memory, and the same memory again */
    size_t size;
    size_t max_line_bytes;
    struct ring_cursor tail, head, open; /* oldest; next to be committed; end of the open batch */
    struct ring_cursor shown; /* where readers end: head, but for what is not on disk yet */
    size_t tail_offset;       /* tail.position % size */
    uint64_t hold_seq;        /* this event and those behind it are not overwritten */
    uint64_t *index;          /* [seq / INDEX_STEP % index_len]: position of the event */
    size_t index_len;
    bool deferred;
    char id[RING_ID_BYTES + 1];
    struct ring_held held[RING_MAX_HELD]; /* where there is no file */
    struct ring_file *file;               /* NULL: memory only */
};

/* For positions from the tail to the end of the open batch. */
static inline struct ring_record *ring_record_at(const struct ring *ring, uint64_t position) {
    size_t offset = ring->tail_offset + (size_t)(position - ring->tail.position);
    if (offset >= ring->size)
        offset -= ring->size;
    return (struct ring_record *)(ring->base + offset);
}

static inline size_t ring_record_size(size_t line_bytes) {
    size_t size = sizeof(struct ring_record) + line_bytes;
    return (size + RING_RECORD_ALIGN - 1) / RING_RECORD_ALIGN * RING_RECORD_ALIGN;
}

/* --- ring.c --- */

/* A ring without memory yet, to be freed with ring_free. `size_bytes` as ring_new takes it. 0 or
 * -errno. */
int ring_allocate(struct ring **ring, size_t size_bytes) MUST_CHECK;
/* The same bytes of a file twice, side by side: ring->size of them, from `offset` on; and room for
 * the index. 0 or -errno. */
int ring_map_twice(struct ring *ring, int fd, size_t offset) MUST_CHECK;
/* The index of what is readable, and the tail's offset, from the positions. */
void ring_rebuild(struct ring *ring);
int ring_make_id(struct ring *ring) MUST_CHECK;

/* --- ring_file.c --- */

/* Seals a record that is complete but for this, and ends it with bytes of 0. */
void ring_file_seal(struct ring_record *record, uint64_t position);
/* Publishes tail and head: what a recovery begins with. */
void ring_file_publish(const struct ring *ring);
void ring_file_close(struct ring *ring);

#endif
