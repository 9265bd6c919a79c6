/* The ring's file; see ring.h.
 *
 *   0      struct head: what never changes (magic, version, byte order, size, id), with a checksum
 *   4096   two struct state, written in turn: where the readable records begin and end
 *   8192   struct ring_held[RING_MAX_HELD]: places of held readers
 *   16384  the records, as ring.c lays them out
 *
 * The mapping is shared, so after kill -9 the kernel has every store in the order in which it was
 * made: a record is whole before the state that names it, and of the two states one is always
 * whole. What a batch that was never committed has written stands where the oldest records were:
 * these are skipped. After a loss of power pages are of different ages: the checksum of each record
 * (which its place is part of, so that a record of a lap ago is none) tells which can be used. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "ring_internal.h"

enum {
    VERSION = 1,
    STATE_OFFSET = 4096,
    HELD_OFFSET = 8192,
    DATA_OFFSET = 16384,
    MAX_KEPT_FILES = 100,
};

static const char magic[8] = "rollcall";

struct head {
    char magic[8];
    uint32_t version;
    uint32_t byte_order; /* 1 */
    uint64_t size;       /* of the records' space */
    char id[RING_ID_BYTES + 8];
    uint32_t checksum; /* of all above */
    uint32_t unused;
};

struct state {
    uint64_t generation; /* the higher one counts */
    struct ring_cursor tail, head;
    uint32_t checksum; /* of all above */
    uint32_t unused;
};

struct ring_file {
    int fd;
    uint64_t generation;
    char *header; /* DATA_OFFSET bytes, mapped */
};

_Static_assert(sizeof(struct ring_held) * RING_MAX_HELD <= DATA_OFFSET - HELD_OFFSET,
               "the held readers have room");

static uint32_t checksum_of(const void *bytes, size_t len) {
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes, len);
}

static struct head *head_of(const struct ring_file *file) {
    return (struct head *)file->header;
}

static struct state *states_of(const struct ring_file *file) {
    return (struct state *)(file->header + STATE_OFFSET);
}

/* --- while the ring is used ---------------------------------------------------------- */

void ring_file_seal(struct ring_record *record, uint64_t position) {
    record->place = (uint32_t)(position / RING_RECORD_ALIGN);
    record->checksum = checksum_of(record, sizeof *record + record->line_len);
}

/* The compiler keeps stores in order; so does the kernel for whoever maps the pages next. */
#define IN_ORDER() __atomic_signal_fence(__ATOMIC_SEQ_CST)

void ring_file_publish(const struct ring *ring) {
    struct ring_file *file = ring->file;
    struct state made = {++file->generation, ring->tail, ring->head, 0, 0};
    struct state *state = &states_of(file)[file->generation % 2];
    made.checksum = checksum_of(&made, offsetof(struct state, checksum));
    IN_ORDER();
    *state = made;
    IN_ORDER();
}

bool ring_has_file(const struct ring *ring) {
    return ring->file != NULL;
}

int ring_sync(const struct ring *ring) {
    int rc;
    do
        rc = fdatasync(ring->file->fd) ? -errno : 0;
    while (rc == -EINTR);
    return rc;
}

struct ring_held *ring_held(struct ring *ring) {
    return ring->file ? (struct ring_held *)(ring->file->header + HELD_OFFSET) : ring->held;
}

void ring_file_close(struct ring *ring) {
    struct ring_file *file = ring->file;
    if (file->header)
        munmap(file->header, DATA_OFFSET);
    if (file->fd >= 0)
        close(file->fd); /* and with it goes the lock */
    free(file);
    ring->file = NULL;
}

/* --- recovery ------------------------------------------------------------------------ */

/* Whether a whole record stands there, in its place, and ends by `end`. */
static bool is_whole(const struct ring *ring, uint64_t position, uint64_t end) {
    const struct ring_record *record = ring_record_at(ring, position);
    uint64_t room = end - position;
    struct ring_record header;
    if (room < sizeof *record || record->size > room || record->line_len > ring->max_line_bytes ||
        record->size != ring_record_size(record->line_len) ||
        record->place != (uint32_t)(position / RING_RECORD_ALIGN))
        return false;
    if ((size_t)record->endpoint_offset + record->endpoint_len > record->line_len ||
        (size_t)record->provider_offset + record->provider_len > record->line_len ||
        (size_t)record->kind_offset + record->kind_len > record->line_len)
        return false;
    header = *record;
    header.checksum = 0;
    uLong sum = crc32_z(crc32_z(0, NULL, 0), (const Bytef *)&header, sizeof header);
    return record->checksum ==
           (uint32_t)crc32_z(sum, (const Bytef *)(record + 1), record->line_len);
}

/* The first whole record from `from` on whose seq is one that may stand there; `end` for none. */
static uint64_t find_whole(const struct ring *ring, uint64_t from, const struct ring_cursor *least,
                           const struct ring_cursor *end) {
    for (; from < end->position; from += RING_RECORD_ALIGN) {
        const struct ring_record *record = ring_record_at(ring, from);
        if (record->place == (uint32_t)(from / RING_RECORD_ALIGN) && record->seq >= least->seq &&
            record->seq < end->seq && is_whole(ring, from, end->position))
            return from;
    }
    return end->position;
}

/* Walks from the tail to the head. False: damaged in a way that no end of a process or of power
 * explains. */
static bool walk(struct ring *ring, struct ring_recovery *recovery) {
    struct ring_cursor end = ring->head, cursor = ring->tail;
    ring->tail_offset = (size_t)(ring->tail.position % ring->size);
    cursor.position = find_whole(ring, cursor.position, &cursor, &end);
    if (cursor.position == end.position && ring->tail.position < end.position)
        return false;
    if (cursor.position < end.position)
        cursor.seq = ring_record_at(ring, cursor.position)->seq;
    recovery->skipped = cursor.position - ring->tail.position;
    struct ring_cursor tail = cursor;
    while (cursor.position < end.position && is_whole(ring, cursor.position, end.position) &&
           ring_record_at(ring, cursor.position)->seq == cursor.seq) {
        cursor.position += ring_record_at(ring, cursor.position)->size;
        cursor.seq++;
    }
    if (cursor.position < end.position &&
        find_whole(ring, cursor.position, &cursor, &end) < end.position)
        return false;
    if (cursor.position == end.position && cursor.seq != end.seq)
        return false;
    recovery->cut = end.seq - cursor.seq;
    recovery->events = cursor.seq - tail.seq;
    ring->tail = tail;
    ring->head = cursor;
    ring_rebuild(ring);
    return true;
}

static bool is_sane(const struct ring *ring, const struct state *state) {
    return state->checksum == checksum_of(state, offsetof(struct state, checksum)) &&
           state->tail.position <= state->head.position &&
           state->head.position - state->tail.position <= ring->size &&
           state->tail.seq <= state->head.seq && state->tail.seq > 0 &&
           state->tail.position % RING_RECORD_ALIGN == 0 &&
           state->head.position % RING_RECORD_ALIGN == 0;
}

/* NULL, or why the file cannot be used. */
static const char *check_head(const struct ring *ring, const struct head *head) {
    if (memcmp(head->magic, magic, sizeof magic) != 0)
        return "it is no ring of rollcall";
    if (head->byte_order != 1)
        return "it is of a machine of another byte order";
    if (head->version != VERSION)
        return "it is of another version of rollcall";
    if (head->checksum != checksum_of(head, offsetof(struct head, checksum)))
        return "its head is damaged";
    if (head->size != ring->size)
        return "its size is another than that of the configuration";
    return NULL;
}

static const char *recover(struct ring *ring, struct ring_recovery *recovery) {
    struct ring_file *file = ring->file;
    const struct state *states = states_of(file), *newest = NULL;
    const char *problem = check_head(ring, head_of(file));
    if (problem)
        return problem;
    for (int i = 0; i < 2; i++)
        if (is_sane(ring, &states[i]) && (!newest || states[i].generation > newest->generation))
            newest = &states[i];
    if (!newest)
        return "what says where its events are is damaged";
    file->generation = newest->generation;
    ring->tail = newest->tail;
    ring->head = newest->head;
    memcpy(ring->id, head_of(file)->id, RING_ID_BYTES);
    if (!walk(ring, recovery))
        return "events in its midst are damaged";
    return NULL;
}

/* Names as they were written, and nothing that the ring does not know. */
static void check_held(struct ring *ring) {
    struct ring_held *held = ring_held(ring);
    for (int i = 0; i < RING_MAX_HELD; i++) {
        held[i].name[RING_HELD_NAME_BYTES] = 0;
        if (held[i].seq >= ring->head.seq)
            held[i].seq = ring->head.seq - 1;
    }
}

/* --- the file ------------------------------------------------------------------------ */

static int map_file(struct ring *ring) {
    struct ring_file *file = ring->file;
    void *header = mmap(NULL, DATA_OFFSET, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
    if (header == MAP_FAILED)
        return -errno;
    file->header = header;
    return ring_map_twice(ring, file->fd, DATA_OFFSET);
}

static void unmap_file(struct ring *ring) {
    struct ring_file *file = ring->file;
    if (file->header)
        munmap(file->header, DATA_OFFSET);
    if (ring->base)
        munmap(ring->base, 2 * ring->size);
    file->header = ring->base = NULL;
}

static int lock_file(int fd) {
    return flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno == EWOULDBLOCK ? -EBUSY : -errno;
}

/* A ring without events in a new file, made under another name first: there is never half of one.
 */
static int make_file(struct ring *ring, const char *path) {
    struct ring_file *file = ring->file;
    char name[4096];
    if (snprintf(name, sizeof name, "%s.new", path) >= (int)sizeof name)
        return -ENAMETOOLONG;
    file->fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->fd < 0)
        return -errno;
    int rc = lock_file(file->fd);
    rc = rc ? rc : ftruncate(file->fd, 0) ? -errno : 0;
    rc = rc ? rc : -posix_fallocate(file->fd, 0, (off_t)(DATA_OFFSET + ring->size));
    rc = rc ? rc : map_file(ring);
    rc = rc ? rc : ring_make_id(ring);
    if (rc == 0) {
        struct head head = {.version = VERSION, .byte_order = 1, .size = ring->size};
        memcpy(head.magic, magic, sizeof magic);
        memcpy(head.id, ring->id, RING_ID_BYTES);
        head.checksum = checksum_of(&head, offsetof(struct head, checksum));
        *head_of(file) = head;
        ring_file_publish(ring);
        rc = ring_sync(ring);
    }
    if (rc == 0 && rename(name, path))
        rc = -errno;
    if (rc)
        unlink(name);
    return rc;
}

/* Gives a file that cannot be used another name: PATH.old-1, -2 ... */
static int keep_file(const char *path, struct ring_recovery *recovery) {
    for (int i = 1; i <= MAX_KEPT_FILES; i++) {
        if (snprintf(recovery->kept, sizeof recovery->kept, "%s.old-%d", path, i) >=
            (int)sizeof recovery->kept)
            return -ENAMETOOLONG;
        if (link(path, recovery->kept) == 0)
            return unlink(path) ? -errno : 0;
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

/* What stands at the path, if it can be used: 0. RING_REPLACED: it cannot, recovery->reason says
 * why. -ENOENT: nothing is there. */
static int use_file(struct ring *ring, const char *path, struct ring_recovery *recovery) {
    struct ring_file *file = ring->file;
    struct stat found;
    file->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (file->fd < 0)
        return -errno;
    int rc = lock_file(file->fd);
    if (rc == 0 && fstat(file->fd, &found))
        rc = -errno;
    if (rc)
        return rc;
    if (!S_ISREG(found.st_mode))
        return -EINVAL;
    const char *problem = "it is shorter or longer than it should be";
    if ((uint64_t)found.st_size == DATA_OFFSET + ring->size) {
        rc = map_file(ring);
        if (rc)
            return rc;
        problem = recover(ring, recovery);
    }
    if (!problem) {
        check_held(ring);
        ring_file_publish(ring);
        recovery->kind = RING_RECOVERED;
        return 0;
    }
    snprintf(recovery->reason, sizeof recovery->reason, "%s", problem);
    return RING_REPLACED;
}

static int replace_file(struct ring *ring, const char *path, struct ring_recovery *recovery) {
    struct ring_file *file = ring->file;
    int rc = keep_file(path, recovery);
    unmap_file(ring);
    close(file->fd);
    file->fd = -1;
    file->generation = 0;
    ring->tail = ring->head = (struct ring_cursor){.seq = 1};
    ring->tail_offset = 0;
    recovery->events = recovery->skipped = recovery->cut = 0;
    recovery->kind = RING_REPLACED;
    return rc;
}

int ring_open(struct ring **out, const char *path, size_t size_bytes,
              struct ring_recovery *recovery) {
    struct ring *ring;
    *recovery = (struct ring_recovery){.kind = RING_MADE};
    int rc = ring_allocate(&ring, size_bytes);
    if (rc)
        return rc;
    ring->file = calloc(1, sizeof *ring->file);
    if (!ring->file) {
        ring_free(ring);
        return -ENOMEM;
    }
    ring->file->fd = -1;
    rc = use_file(ring, path, recovery);
    if (rc == RING_REPLACED)
        rc = replace_file(ring, path, recovery);
    if (rc == -ENOENT || (rc == 0 && recovery->kind == RING_REPLACED))
        rc = make_file(ring, path);
    if (rc) {
        ring_free(ring);
        return rc;
    }
    *out = ring;
    return 0;
}
