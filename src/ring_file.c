/* The ring's file; see ring.h.
 *
 *   0      struct head: what hardly ever changes (magic, version, byte order, size, id)
 *   4096   two struct state, written in turn: where the readable records begin and end; struct
 * syncs 5120   the boot id of the kernel that had the file last 8192   struct
 * ring_held[RING_MAX_HELD]: places of held readers 16384  the records, as ring.c lays them out
 *
 * The mapping is shared, so after kill -9 the kernel has every store in the order in which it was
 * made: a record is whole before the state that names it, and of the two states one is always
 * whole. What a batch that was never committed has written stands where the oldest records were:
 * these are skipped. Anything else that is not whole is damage, and the file is put aside.
 *
 * After a loss of power (another boot, and nobody closed the file) pages are of different ages.
 * What had been written through is whole, but the disk may hold any of the pages that were written
 * since, over the oldest records and behind the newest: so the records are looked for everywhere,
 * by their checksum and their place (a record of a lap ago has another), and those are kept that
 * go on without a break around what is known to have been written through. */
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

#include "boot_id.h"
#include "ring_checksum.h"
#include "ring_internal.h"

enum {
    VERSION = 2,
    STATE_OFFSET = 4096,
    BOOT_OFFSET = 5120,
    HELD_OFFSET = 8192,
    DATA_OFFSET = 16384,
    PAGE_BYTES = 4096, /* the smallest of any machine */
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

enum {
    STATE_CLOSED = 1, /* all was on disk when it was written, and nobody has used the file since */
    STATE_DEFERRED = 2, /* readers have seen nothing that was not on disk */
};

/* Eight words, so that both lie in one sector with struct syncs, which a disk writes whole. */
struct state {
    uint64_t generation; /* the higher one counts */
    struct ring_cursor tail, head;
    uint64_t flags;
    uint64_t reserved;
    uint32_t checksum; /* of all above, never 0; 0: it was being written */
    uint32_t unused;
};
_Static_assert(sizeof(struct state) == 64, "a state is a cache line");

/* Positions of commits: up to `done` all was on disk when the last write-through began, and up to
 * `begun` when it ended. */
struct syncs {
    uint64_t done, begun;
};

struct ring_file {
    int fd;
    uint64_t generation;
    char *header;       /* DATA_OFFSET bytes, mapped */
    bool is_open;       /* recovered, and ours to close */
    uint64_t committed; /* head's position: written by one thread, read by another */
    uint64_t synced;    /* these two are the syncing thread's: up to here all is on disk */
    bool sync_failed;   /* the last time */
};

_Static_assert(sizeof(struct ring_held) * RING_MAX_HELD <= DATA_OFFSET - HELD_OFFSET,
               "the held readers have room");

/* `len` is a multiple of 8. */
static uint32_t checksum_of(const void *bytes, size_t len) {
    uint32_t sum = ring_checksum(0, 0, bytes, len);
    return sum ? sum : 1;
}

static uint32_t checksum_of_record(const struct ring_record *record) {
    const char *bytes = (const char *)record;
    return ring_checksum((uint64_t)record->size << 32 | record->line_len, record->place, bytes + 16,
                         record->size - 16);
}

_Static_assert(offsetof(struct ring_record, seq) == 16, "what is behind 16 bytes is summed up");

static struct head *head_of(const struct ring_file *file) {
    return (struct head *)file->header;
}

static struct state *states_of(const struct ring_file *file) {
    return (struct state *)(file->header + STATE_OFFSET);
}

static struct syncs *syncs_of(const struct ring_file *file) {
    return (struct syncs *)(states_of(file) + 2);
}

/* --- while the ring is used ---------------------------------------------------------- */

void ring_file_seal(struct ring_record *record, uint64_t position) {
    size_t used = sizeof *record + record->line_len;
    memset((char *)record + used, 0, record->size - used);
    record->place = (uint32_t)(position / RING_RECORD_ALIGN);
    record->checksum = checksum_of_record(record);
}

/* The compiler keeps stores in order; so does the kernel for whoever maps the pages next. */
#define IN_ORDER() __atomic_signal_fence(__ATOMIC_SEQ_CST)

static void publish(const struct ring *ring, uint64_t flags) {
    struct ring_file *file = ring->file;
    struct state made = {++file->generation, ring->tail, ring->head, flags, 0, 0, 0};
    struct state *state = &states_of(file)[file->generation % 2];
    uint32_t checksum = checksum_of(&made, offsetof(struct state, checksum));
    IN_ORDER();
    *(volatile uint32_t *)&state->checksum = 0;
    IN_ORDER();
    *state = made;
    IN_ORDER();
    *(volatile uint32_t *)&state->checksum = checksum;
    __atomic_store_n(&file->committed, ring->head.position, __ATOMIC_RELEASE);
}

void ring_file_publish(const struct ring *ring) {
    publish(ring, ring->deferred ? STATE_DEFERRED : 0);
}

bool ring_has_file(const struct ring *ring) {
    return ring->file != NULL;
}

/* Makes every page one that has to be written: an atomic operation that changes nothing, so that
 * nothing is lost of what the ring's own thread writes meanwhile. */
static void touch_pages(char *bytes, size_t len) {
    for (size_t i = 0; i < len; i += PAGE_BYTES)
        (void)__atomic_fetch_or(bytes + i, 0, __ATOMIC_RELAXED);
}

int ring_sync(const struct ring *ring) {
    struct ring_file *file = ring->file;
    uint64_t committed = __atomic_load_n(&file->committed, __ATOMIC_ACQUIRE);
    if (file->sync_failed) {
        touch_pages(file->header, DATA_OFFSET);
        touch_pages(ring->base, ring->size);
    }
    *syncs_of(file) = (struct syncs){file->synced, committed};
    int rc;
    do
        rc = fdatasync(file->fd) ? -errno : 0;
    while (rc == -EINTR);
    file->sync_failed = rc != 0;
    if (rc == 0)
        file->synced = committed;
    return rc;
}

struct ring_held *ring_held(struct ring *ring) {
    return ring->file ? (struct ring_held *)(ring->file->header + HELD_OFFSET) : ring->held;
}

void ring_file_close(struct ring *ring) {
    struct ring_file *file = ring->file;
    if (file->is_open && ring_sync(ring) == 0)
        publish(ring, STATE_CLOSED);
    if (file->header)
        munmap(file->header, DATA_OFFSET);
    if (file->fd >= 0)
        close(file->fd); /* and with it goes the lock */
    free(file);
    ring->file = NULL;
}

/* --- what can be found in a file ----------------------------------------------------- */

/* Whether a whole record stands there, in its place, that takes no more than `room`. */
static bool is_whole(const struct ring *ring, const struct ring_record *record, uint64_t position,
                     uint64_t room) {
    return record->place == (uint32_t)(position / RING_RECORD_ALIGN) && room >= sizeof *record &&
           record->size <= room && record->line_len <= ring->max_line_bytes &&
           record->size == ring_record_size(record->line_len) && record->seq > 0 &&
           record->seq < UINT64_MAX / 2 &&
           record->endpoint_offset + record->endpoint_len <= (int64_t)record->line_len &&
           record->provider_offset + record->provider_len <= (int64_t)record->line_len &&
           record->kind_offset + record->kind_len <= (int64_t)record->line_len &&
           record->checksum == checksum_of_record(record);
}

/* What the head's pages say. */
struct found {
    struct state state;
    struct syncs syncs;
    bool is_damaged; /* one of the two states; nobody knows what it said */
    bool is_trusted; /* every store is there */
};

/* Records that follow one another without a break. */
struct chain {
    struct ring_cursor from, end;
    struct ring_cursor whole; /* the end of the last batch that is there whole for sure */
};

/* The next chain at `from` or behind it, which is no farther than `end`. False: there is none.
 * Where the state says that batches end, and where one begins, the one before was committed. */
static bool find_chain(const struct ring *ring, uint64_t from, uint64_t end,
                       const struct found *found, struct chain *chain) {
    while (from < end && !is_whole(ring, ring_record_at(ring, from), from, end - from))
        from += RING_RECORD_ALIGN;
    if (from >= end)
        return false;
    struct ring_cursor at = {ring_record_at(ring, from)->seq, from};
    *chain = (struct chain){at, at, at};
    for (;;) {
        const struct ring_record *record = ring_record_at(ring, at.position);
        bool goes_on = at.position < end &&
                       is_whole(ring, record, at.position, end - at.position) &&
                       record->seq == at.seq;
        if (at.position == found->syncs.done || at.position == found->syncs.begun ||
            (at.position == found->state.head.position && at.seq == found->state.head.seq) ||
            (goes_on && record->batch_index == 0))
            chain->whole = at;
        if (!goes_on)
            break;
        at.position += record->size;
        at.seq++;
    }
    chain->end = at;
    return true;
}

/* Where the newest whole record of all ends that is not older than `least`; or `least`. */
static uint64_t find_newest_end(const struct ring *ring, uint64_t least) {
    uint64_t newest = least;
    for (size_t offset = 0; offset < ring->size; offset += RING_RECORD_ALIGN) {
        const struct ring_record *record = (const struct ring_record *)(ring->base + offset);
        if (record->line_len > ring->max_line_bytes ||
            record->size != ring_record_size(record->line_len))
            continue;
        uint32_t ahead = record->place - (uint32_t)(least / RING_RECORD_ALIGN);
        uint64_t position = least + (uint64_t)ahead * RING_RECORD_ALIGN;
        if (ahead < UINT32_MAX / 2 && position % ring->size == offset &&
            position + record->size > newest && is_whole(ring, record, position, ring->size))
            newest = position + record->size;
    }
    return newest;
}

/* --- recovery ------------------------------------------------------------------------ */

static bool is_sane(const struct ring *ring, const struct state *state) {
    return state->checksum == checksum_of(state, offsetof(struct state, checksum)) &&
           state->tail.position <= state->head.position &&
           state->head.position - state->tail.position <= ring->size &&
           state->tail.seq <= state->head.seq && state->tail.seq > 0 &&
           state->head.seq < UINT64_MAX / 2 && state->head.position < UINT64_MAX / 2 &&
           state->tail.position % RING_RECORD_ALIGN == 0 &&
           state->head.position % RING_RECORD_ALIGN == 0;
}

static bool find_state(const struct ring *ring, struct found *found) {
    const struct ring_file *file = ring->file;
    const struct state *states = states_of(file);
    char boot_id[BOOT_ID_BYTES];
    *found = (struct found){.syncs = *syncs_of(file)};
    for (int i = 0; i < 2; i++) {
        if (!is_sane(ring, &states[i]))
            found->is_damaged |= states[i].checksum != 0;
        else if (states[i].generation >= found->state.generation)
            found->state = states[i];
    }
    boot_id_read(boot_id);
    bool same_boot = boot_id[0] && memcmp(boot_id, file->header + BOOT_OFFSET, sizeof boot_id) == 0;
    found->is_trusted = !found->is_damaged && (same_boot || found->state.flags & STATE_CLOSED);
    return found->state.checksum != 0;
}

static void look_from(struct ring *ring, uint64_t position) {
    ring->tail.position = position;
    ring->tail_offset = (size_t)(position % ring->size);
}

/* The records of the state are there, but for the oldest where they were being overwritten, and
 * where the file is torn at its end. False: the file is damaged. */
static bool find_all(struct ring *ring, const struct found *found, struct chain *chain) {
    struct ring_cursor tail = found->state.tail, head = found->state.head;
    struct chain other;
    *chain = (struct chain){tail, head, head};
    look_from(ring, tail.position);
    if (tail.position == head.position)
        return tail.seq == head.seq;
    if (!find_chain(ring, tail.position, head.position, found, chain) ||
        chain->from.seq < tail.seq || chain->end.seq > head.seq)
        return false;
    if (chain->end.position == head.position)
        return chain->end.seq == head.seq;
    return !find_chain(ring, chain->end.position, head.position, found, &other);
}

static bool is_around(const struct chain *chain, uint64_t position) {
    return chain->from.position <= position && position <= chain->whole.position;
}

/* Of what a loss of power left: the chain that was written through for sure, or the longest. False
 * for the latter. The former goes on from `done` through all that was written through since; `done`
 * itself is not overwritten while the ring is deferred, for at most half of it is ahead of what was
 * written through last, and that at most half of it ahead of `done`. */
static bool find_best(struct ring *ring, const struct found *found, struct chain *best) {
    uint64_t end = find_newest_end(ring, found->state.head.position);
    uint64_t from = found->state.tail.position;
    struct ring_cursor nothing = {found->state.head.seq, end};
    struct chain chain;
    *best = (struct chain){nothing, nothing, nothing};
    if (end > ring->size && end - ring->size > from)
        from = end - ring->size;
    look_from(ring, from);
    for (; find_chain(ring, from, end, found, &chain); from = chain.end.position) {
        bool is_sure = is_around(&chain, found->syncs.done);
        if (is_sure ||
            chain.whole.position - chain.from.position > best->whole.position - best->from.position)
            *best = chain;
        if (is_sure)
            return true;
    }
    if (!(found->state.flags & STATE_DEFERRED) || found->syncs.done != found->state.tail.position)
        return false;
    nothing = found->state.tail; /* there was nothing before `done`, and there is nothing behind */
    *best = (struct chain){nothing, nothing, nothing};
    return true;
}

/* Everything but the chain becomes bytes of 0: what was not taken this time is not found the next
 * time either. */
static void clear_rest(struct ring *ring, const struct chain *chain) {
    look_from(ring, chain->from.position);
    size_t used = (size_t)(chain->whole.position - chain->from.position);
    memset(ring->base + ring->tail_offset + used, 0, ring->size - used);
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
    const char *problem = check_head(ring, head_of(file));
    struct found found;
    struct chain chain;
    bool is_sure = true;
    if (problem)
        return problem;
    if (!find_state(ring, &found))
        return "what says where its events are is damaged";
    if (found.is_trusted && !find_all(ring, &found, &chain))
        return "events in its midst are damaged";
    if (!found.is_trusted) {
        is_sure = find_best(ring, &found, &chain);
        clear_rest(ring, &chain);
    }
    if (chain.from.position > found.state.tail.position)
        recovery->skipped = chain.from.position - found.state.tail.position;
    if (chain.whole.seq < found.state.head.seq)
        recovery->cut = found.state.head.seq - chain.whole.seq;
    recovery->events = chain.whole.seq - chain.from.seq;
    recovery->has_new_id =
        found.is_trusted ? recovery->cut > 0
                         : found.is_damaged || !is_sure || !(found.state.flags & STATE_DEFERRED);
    file->generation = found.state.generation;
    file->synced = is_around(&chain, found.syncs.done) ? found.syncs.done : chain.from.position;
    look_from(ring, chain.from.position);
    ring->tail = chain.from;
    ring->head = chain.whole;
    memcpy(ring->id, head_of(file)->id, RING_ID_BYTES);
    ring_rebuild(ring);
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

/* The path's file for this process alone. -EBUSY, too, where another one has been put in its place
 * between opening and locking it: whoever did that is at work. */
static int lock_file(int fd, const char *path) {
    struct stat ours, theirs;
    if (flock(fd, LOCK_EX | LOCK_NB))
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    if (fstat(fd, &ours))
        return -errno;
    if (stat(path, &theirs) || ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev)
        return -EBUSY;
    return S_ISREG(ours.st_mode) ? 0 : -EINVAL;
}

/* Every byte gets its place on the disk, also in the holes of a copy: a full disk is an error now,
 * not a SIGBUS later. */
static int allocate_file(const struct ring *ring) {
    int rc;
    do
        rc = -posix_fallocate(ring->file->fd, 0, (off_t)(DATA_OFFSET + ring->size));
    while (rc == -EINTR);
    return rc;
}

static void write_head(const struct ring *ring) {
    struct head head = {.version = VERSION, .byte_order = 1, .size = ring->size};
    memcpy(head.magic, magic, sizeof magic);
    memcpy(head.id, ring->id, RING_ID_BYTES);
    head.checksum = checksum_of(&head, offsetof(struct head, checksum));
    *head_of(ring->file) = head;
}

/* From here on the file is in use, and the disk knows it before anything else is written. */
static int begin_use(struct ring *ring) {
    struct ring_file *file = ring->file;
    ring_file_publish(ring);
    boot_id_read(file->header + BOOT_OFFSET);
    return msync(file->header, DATA_OFFSET, MS_SYNC) ? -errno : 0;
}

/* What stands at the path, if it can be used: 0. RING_REPLACED: it cannot, recovery->reason says
 * why. -ENOENT: nothing is there. */
static int use_file(struct ring *ring, const char *path, struct ring_recovery *recovery) {
    struct ring_file *file = ring->file;
    struct stat found;
    file->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (file->fd < 0)
        return -errno;
    int rc = lock_file(file->fd, path);
    if (rc == 0 && fstat(file->fd, &found))
        rc = -errno;
    if (rc)
        return rc;
    const char *problem = "it is shorter or longer than it should be";
    if ((uint64_t)found.st_size == DATA_OFFSET + ring->size) {
        rc = allocate_file(ring);
        rc = rc ? rc : map_file(ring);
        if (rc)
            return rc;
        problem = recover(ring, recovery);
    }
    if (problem) {
        snprintf(recovery->reason, sizeof recovery->reason, "%s", problem);
        return RING_REPLACED;
    }
    check_held(ring);
    recovery->kind = RING_RECOVERED;
    if (!recovery->has_new_id)
        return begin_use(ring);
    rc = ring_make_id(ring);
    if (rc)
        return rc;
    write_head(ring);
    rc = begin_use(ring);
    return rc ? rc : ring_sync(ring);
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

/* The names in the path's directory, too, go to the disk. */
static int sync_directory(const char *path) {
    char name[4096] = ".";
    const char *slash = strrchr(path, '/');
    if (slash)
        snprintf(name, sizeof name, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 0 : -errno; /* files may be made there, but not listed */
    int rc = fsync(fd) && errno != EINVAL ? -errno : 0; /* EINVAL: this file system cannot */
    close(fd);
    return rc;
}

/* A ring without events in a new file. */
static int fill_file(struct ring *ring) {
    int rc = ftruncate(ring->file->fd, 0) ? -errno : 0;
    rc = rc ? rc : allocate_file(ring);
    rc = rc ? rc : map_file(ring);
    rc = rc ? rc : ring_make_id(ring);
    if (rc)
        return rc;
    write_head(ring);
    rc = begin_use(ring);
    return rc ? rc : ring_sync(ring);
}

/* It is made under another name first: there is never half of one, and the one that it replaces
 * stays until then. */
static int make_file(struct ring *ring, const char *path, struct ring_recovery *recovery) {
    struct ring_file *file = ring->file;
    char name[4096];
    if (snprintf(name, sizeof name, "%s.new", path) >= (int)sizeof name)
        return -ENAMETOOLONG;
    file->fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->fd < 0)
        return -errno;
    int rc = lock_file(file->fd, name);
    if (rc)
        return rc; /* it is another's */
    rc = fill_file(ring);
    if (rc == 0 && recovery->kind == RING_REPLACED)
        rc = keep_file(path, recovery);
    if (rc == 0 && rename(name, path))
        rc = -errno;
    if (rc)
        unlink(name);
    return rc ? rc : sync_directory(path);
}

static int replace_file(struct ring *ring, const char *path, struct ring_recovery *recovery) {
    struct ring_file *file = ring->file;
    int old_fd = file->fd; /* the lock stays until the new file has its name */
    unmap_file(ring);
    ring->tail = ring->head = (struct ring_cursor){.seq = 1};
    ring->tail_offset = 0;
    recovery->kind = RING_REPLACED;
    int rc = make_file(ring, path, recovery);
    close(old_fd);
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
    else if (rc == -ENOENT)
        rc = make_file(ring, path, recovery);
    if (rc) {
        ring_free(ring);
        return rc;
    }
    ring->file->is_open = true;
    *out = ring;
    return 0;
}
