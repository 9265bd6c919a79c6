/* The window of ids; see dedupe.h. */
#include "dedupe.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot_id.h"
#include "util/buf.h"

enum { WAYS = 5 };

struct bucket {
    uint64_t tags[WAYS];
    uint32_t seen_s[WAYS]; /* 0: empty */
    uint32_t open; /* of a file: a bit for each way that the open batch has put a new id in */
};
_Static_assert(sizeof(struct bucket) == 64, "a bucket is a cache line");

/* What a place held before the open batch wrote to it. */
struct undo {
    uint32_t bucket;
    uint32_t seen_s;
    uint64_t tag;
    uint32_t way;
    uint32_t evicted;
};

struct dedupe {
    struct bucket *buckets;
    uint32_t page_count;
    uint32_t page_buckets; /* PAGE_BUCKETS, or a smaller power of 2 where the table is smaller */
    uint32_t window_s;
    uint32_t now_s;  /* the latest that was heard of: a clock set back makes nothing expire */
    struct buf undo; /* struct undo, oldest first */
    uint64_t ids, evicted;
    unsigned moves, skipped; /* see is_worth_moving */
    size_t bytes;
    char *map; /* of a file: DATA_OFFSET bytes, and the buckets; NULL: there is none */
};

/* The beginning of a file. */
struct head {
    char magic[8];
    uint32_t version, byte_order;
    uint32_t page_count, page_buckets;
    char boot_id[BOOT_ID_BYTES]; /* of the kernel that has its pages */
};

enum {
    VERSION = 1,
    DATA_OFFSET = 4096,
    UNDO_KEEP_BYTES = 1 << 20,
    PAGE_BUCKETS = 64, /* 4 KiB */
    MOVES_MAX = 64,    /* attempts in credit */
    MOVES_A_MOVE = 4,  /* that one which succeeds is worth */
    MOVES_SKIP = 256,
};

static int allocate(struct dedupe **out, size_t max_ids, uint32_t window_s) {
    if (max_ids == 0 || window_s == 0 || max_ids > UINT32_MAX)
        return -EINVAL;
    struct dedupe *dedupe = calloc(1, sizeof *dedupe);
    if (!dedupe)
        return -ENOMEM;
    size_t count = max_ids * DEDUPE_BYTES_PER_ID / sizeof(struct bucket);
    count = count ? count : 1;
    dedupe->page_buckets = PAGE_BUCKETS;
    while (dedupe->page_buckets > count)
        dedupe->page_buckets /= 2;
    dedupe->page_count = (uint32_t)(count / dedupe->page_buckets);
    dedupe->window_s = window_s;
    dedupe->moves = MOVES_MAX;
    dedupe->bytes = (size_t)dedupe->page_count * dedupe->page_buckets * sizeof(struct bucket);
    *out = dedupe;
    return 0;
}

int dedupe_new(struct dedupe **out, size_t max_ids, uint32_t window_s) {
    struct dedupe *dedupe;
    int rc = allocate(&dedupe, max_ids, window_s);
    if (rc)
        return rc;
    /* Zeroed, aligned, and not touched before it is used: an idle node does not pay for it. */
    void *buckets =
        mmap(NULL, dedupe->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buckets == MAP_FAILED) {
        free(dedupe);
        return -ENOMEM;
    }
    dedupe->buckets = buckets;
    (void)madvise(dedupe->buckets, dedupe->bytes, MADV_HUGEPAGE); /* a wish, for the TLB's sake */
    *out = dedupe;
    return 0;
}

void dedupe_free(struct dedupe *dedupe) {
    if (!dedupe)
        return;
    if (dedupe->map)
        munmap(dedupe->map, DATA_OFFSET + dedupe->bytes);
    else if (dedupe->buckets)
        munmap(dedupe->buckets, dedupe->bytes);
    buf_deinit(&dedupe->undo);
    free(dedupe);
}

/* --- the file ------------------------------------------------------------------------------------
 *
 * The mapping is shared: after kill -9 every store is there, in order. An id that the open batch
 * put in is marked as such before it is written, and the mark goes when the batch is committed: so
 * its sender's retry is never taken for a repeat of what was not kept. */

/* The compiler keeps stores in order. */
#define IN_ORDER() __atomic_signal_fence(__ATOMIC_SEQ_CST)

static struct head make_head(const struct dedupe *dedupe) {
    struct head head = {.magic = "rollids",
                        .version = VERSION,
                        .byte_order = 1,
                        .page_count = dedupe->page_count,
                        .page_buckets = dedupe->page_buckets};
    boot_id_read(head.boot_id);
    return head;
}

/* What an open batch had put in goes; the rest is counted. */
static void recover(struct dedupe *dedupe) {
    size_t count = dedupe->bytes / sizeof(struct bucket);
    for (size_t i = 0; i < count; i++) {
        struct bucket *bucket = &dedupe->buckets[i];
        for (uint32_t way = 0; way < WAYS; way++) {
            if (bucket->open >> way & 1)
                bucket->seen_s[way] = 0;
            dedupe->ids += bucket->seen_s[way] != 0;
            if (bucket->seen_s[way] > dedupe->now_s)
                dedupe->now_s = bucket->seen_s[way];
        }
        bucket->open = 0;
    }
}

static int map_file(struct dedupe *dedupe, int fd) {
    size_t bytes = DATA_OFFSET + dedupe->bytes;
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    dedupe->map = map;
    dedupe->buckets = (struct bucket *)(dedupe->map + DATA_OFFSET);
    return 0;
}

/* The file's contents as they have to be: taken over, or emptied. */
static int use_file(struct dedupe *dedupe, int fd) {
    struct stat found;
    struct head head = make_head(dedupe), old = {0};
    size_t bytes = DATA_OFFSET + dedupe->bytes;
    if (fstat(fd, &found))
        return -errno;
    bool same = (size_t)found.st_size == bytes && pread(fd, &old, sizeof old, 0) == sizeof old &&
                memcmp(&old, &head, sizeof head) == 0 && head.boot_id[0];
    if (!same && ftruncate(fd, 0))
        return -errno;
    int rc = -posix_fallocate(fd, 0, (off_t)bytes); /* a copy may have holes */
    rc = rc ? rc : map_file(dedupe, fd);
    if (rc)
        return rc;
    if (same) {
        recover(dedupe);
        return DEDUPE_RECOVERED;
    }
    memcpy(dedupe->map, &head, sizeof head);
    return found.st_size ? DEDUPE_FORGOTTEN : DEDUPE_MADE;
}

int dedupe_open(struct dedupe **out, const char *path, size_t max_ids, uint32_t window_s) {
    struct dedupe *dedupe;
    int rc = allocate(&dedupe, max_ids, window_s);
    if (rc)
        return rc;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    rc = fd < 0 ? -errno : use_file(dedupe, fd);
    if (fd >= 0)
        close(fd);
    if (rc < 0)
        dedupe_free(dedupe);
    else
        *out = dedupe;
    return rc;
}

/* A 32-bit hash onto 0 .. count - 1, evenly, without a division. */
static uint32_t scale(uint32_t hash, uint32_t count) {
    return (uint32_t)((uint64_t)hash * count >> 32);
}

/* The two buckets of a tag: both follow from it, so that an id can be moved from one to the other,
 * and both are in one page, so that a look-up costs one miss of the TLB (on a virtual machine each
 * walks two tables). A page takes what the table takes on average, and 10 standard deviations more.
 */
static uint32_t bucket_of(const struct dedupe *dedupe, uint64_t tag, int which) {
    uint32_t page = scale((uint32_t)tag, dedupe->page_count) * dedupe->page_buckets;
    uint32_t in_page = (uint32_t)(tag >> 32);
    if (which) /* any other one: an odd number keeps them apart */
        in_page ^= (uint32_t)(tag >> 48) | 1;
    return page + (in_page & (dedupe->page_buckets - 1));
}

static uint64_t tag_of(const uint8_t id[HASH_BYTES]) {
    uint64_t tag;
    memcpy(&tag, id, sizeof tag);
    return tag;
}

void dedupe_prefetch(const struct dedupe *dedupe, const uint8_t id[HASH_BYTES]) {
    uint64_t tag = tag_of(id);
    __builtin_prefetch(&dedupe->buckets[bucket_of(dedupe, tag, 0)]);
    __builtin_prefetch(&dedupe->buckets[bucket_of(dedupe, tag, 1)]);
}

struct place {
    uint32_t bucket;
    uint32_t way;
};

static bool find(const struct dedupe *dedupe, const uint32_t buckets[2], uint64_t tag,
                 struct place *place) {
    for (int b = 0; b < 2; b++) {
        const struct bucket *bucket = &dedupe->buckets[buckets[b]];
        for (uint32_t way = 0; way < WAYS; way++) {
            if (bucket->tags[way] == tag && bucket->seen_s[way]) {
                *place = (struct place){buckets[b], way};
                return true;
            }
        }
    }
    return false;
}

/* Where a new id goes: the place that was seen longest ago, an empty one before all others, and of
 * two buckets with empty places the emptier (that is what keeps both from filling up: ways are
 * filled in their order). One minimum over what tells them apart, and no branch to be guessed. */
static struct place choose(const struct dedupe *dedupe, const uint32_t buckets[2]) {
    uint64_t least = UINT64_MAX; /* seen_s, way, which bucket */
    for (uint32_t b = 0; b < 2; b++) {
        const struct bucket *bucket = &dedupe->buckets[buckets[b]];
        for (uint32_t way = 0; way < WAYS; way++) {
            uint64_t key = (uint64_t)bucket->seen_s[way] << 4 | way << 1 | b;
            least = key < least ? key : least;
        }
    }
    return (struct place){buckets[least & 1], least >> 1 & 7};
}

/* Writes to a place, and notes what it held. `is_new`: an id that is not known to have been kept.
 */
static int put(struct dedupe *dedupe, struct place place, uint64_t tag, uint32_t seen_s,
               bool evicts, bool is_new) {
    struct bucket *bucket = &dedupe->buckets[place.bucket];
    struct undo undo = {place.bucket, bucket->seen_s[place.way], bucket->tags[place.way], place.way,
                        evicts};
    int rc = buf_append(&dedupe->undo, &undo, sizeof undo);
    if (rc)
        return rc;
    dedupe->ids += undo.seen_s == 0;
    dedupe->evicted += evicts;
    if (dedupe->map && is_new)
        bucket->open |= 1U << place.way;
    IN_ORDER();
    bucket->tags[place.way] = tag;
    IN_ORDER();
    bucket->seen_s[place.way] = seen_s;
    return 0;
}

static bool is_live(const struct dedupe *dedupe, struct place place, uint32_t now_s) {
    uint32_t seen_s = dedupe->buckets[place.bucket].seen_s[place.way];
    return seen_s && now_s - seen_s <= dedupe->window_s;
}

/* Both buckets are full of live ids: moves one of these to its other bucket where that has a place
 * that is free or expired; `place` is the one left. 0, 1 where none could move, or -ENOMEM. */
static int make_place(struct dedupe *dedupe, const uint32_t buckets[2], uint32_t now_s,
                      struct place *place) {
    for (int b = 0; b < 2; b++) {
        for (uint32_t way = 0; way < WAYS; way++) {
            const struct bucket *bucket = &dedupe->buckets[buckets[b]];
            uint64_t tag = bucket->tags[way];
            uint32_t first = bucket_of(dedupe, tag, 0);
            uint32_t other = first == buckets[b] ? bucket_of(dedupe, tag, 1) : first;
            struct place to = choose(dedupe, (uint32_t[2]){other, other});
            if (is_live(dedupe, to, now_s))
                continue;
            *place = (struct place){buckets[b], way};
            return put(dedupe, to, tag, bucket->seen_s[way], false, bucket->open >> way & 1);
        }
    }
    return 1;
}

/* Moving looks at ten more buckets. Where the table is nearly full of live ids, few of these have a
 * place, and it would be looked for in vain for each new id: where less than one attempt in
 * MOVES_A_MOVE succeeds, only now and then (6 % of the CPU time of large posts were such attempts,
 * while a table filled up). */
static bool is_worth_moving(struct dedupe *dedupe) {
    if (dedupe->moves == 0)
        return dedupe->skipped++ % MOVES_SKIP == 0;
    dedupe->moves--;
    return true;
}

static void note_moved(struct dedupe *dedupe) {
    dedupe->moves += MOVES_A_MOVE;
    if (dedupe->moves > MOVES_MAX)
        dedupe->moves = MOVES_MAX;
}

int dedupe_see(struct dedupe *dedupe, const uint8_t id[HASH_BYTES], uint32_t now_s) {
    uint64_t tag = tag_of(id);
    uint32_t buckets[2] = {bucket_of(dedupe, tag, 0), bucket_of(dedupe, tag, 1)};
    struct place place;
    bool evicts = false;
    int rc;

    if (now_s < dedupe->now_s)
        now_s = dedupe->now_s;
    dedupe->now_s = now_s;
    if (find(dedupe, buckets, tag, &place)) {
        bool live = is_live(dedupe, place, now_s);
        rc = put(dedupe, place, tag, now_s, false, !live);
        return rc ? rc : live;
    }
    place = choose(dedupe, buckets);
    if (is_live(dedupe, place, now_s)) {
        evicts = true;
        if (is_worth_moving(dedupe)) {
            rc = make_place(dedupe, buckets, now_s, &place);
            if (rc < 0)
                return rc;
            evicts = rc;
            if (!evicts)
                note_moved(dedupe);
        }
    }
    return put(dedupe, place, tag, now_s, evicts, true);
}

void dedupe_commit(struct dedupe *dedupe) {
    const struct undo *undo = (const struct undo *)dedupe->undo.ptr;
    size_t count = dedupe->map ? dedupe->undo.len / sizeof *undo : 0;
    IN_ORDER();
    for (size_t i = 0; i < count; i++)
        dedupe->buckets[undo[i].bucket].open = 0;
    buf_reset(&dedupe->undo, UNDO_KEEP_BYTES);
}

/* The marks of a file's open batch go when all of it is undone: whoever is killed in between has
 * left no id that was not kept. */
void dedupe_abort(struct dedupe *dedupe) {
    const struct undo *all = (const struct undo *)dedupe->undo.ptr;
    for (size_t i = dedupe->undo.len / sizeof *all; i-- > 0;) { /* a place may be there twice */
        struct undo undo = all[i];
        struct bucket *bucket = &dedupe->buckets[undo.bucket];
        bucket->tags[undo.way] = undo.tag;
        bucket->seen_s[undo.way] = undo.seen_s;
        dedupe->ids -= undo.seen_s == 0;
        dedupe->evicted -= undo.evicted;
    }
    dedupe_commit(dedupe);
}

struct dedupe_figures dedupe_figures(const struct dedupe *dedupe) {
    return (struct dedupe_figures){dedupe->ids, dedupe->evicted, dedupe->bytes};
}

void dedupe_set_window(struct dedupe *dedupe, uint32_t window_s) {
    assert(window_s);
    dedupe->window_s = window_s;
}

int dedupe_restore(struct dedupe *dedupe, const uint8_t id[HASH_BYTES], uint32_t seen_s) {
    uint64_t tag = tag_of(id);
    uint32_t buckets[2] = {bucket_of(dedupe, tag, 0), bucket_of(dedupe, tag, 1)};
    struct place place;
    if (find(dedupe, buckets, tag, &place))
        return 0; /* as late as this, or later */
    if (seen_s > dedupe->now_s)
        dedupe->now_s = seen_s;
    place = choose(dedupe, buckets);
    int rc = put(dedupe, place, tag, seen_s ? seen_s : 1, false, false);
    dedupe_commit(dedupe);
    return rc;
}
