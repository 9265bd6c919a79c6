/* The ring: the last `size` bytes of events, in memory, in order. One writer, any number of
 * cursors, one thread. No sockets, no clock.
 *
 * A byte ring of records (a header and the event's line). The memory is mapped twice, one mapping
 * right behind the other, so that every record lies contiguous, also where it crosses the end.
 * Positions count bytes since the ring was made and never wrap; seq counts events and starts at 1.
 *
 * Writing is by batches: reserve, push, reserve, push ..., then commit or abort. Readers see a
 * batch whole or not at all. To make room, the oldest records are dropped as the batch grows
 * (counted as overwritten) and stay dropped; an aborted batch leaves no event behind. */
#ifndef ROLLCALL_RING_H
#define ROLLCALL_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"
#include "util/span.h"

enum {
    RING_MIN_BYTES = 64 * 1024,
    RING_ID_BYTES = 16,                           /* hex digits of a ring id */
    RING_CURSOR_MAX = RING_ID_BYTES + 1 + 20 + 1, /* "<ring id>-<seq>" and NUL */
};

/* In front of every line; 8-byte aligned. What filters ask is answered from here. */
struct ring_record {
    uint32_t size;     /* of the whole record, header and padding included */
    uint32_t line_len; /* bytes of the line, '\n' included */
    uint32_t checksum; /* of the whole record; 0 where the ring has no file */
    uint32_t place;    /* likewise: its position / 8, cut to 32 bits; a lap ago it was another */
    uint64_t seq;
    int64_t received_us; /* Unix time */
    uint64_t client_mac; /* 48 bits, UINT64_MAX where the event has none */
    /* Where in the line endpoint, provider and kind stand. */
    uint16_t endpoint_offset, endpoint_len;
    uint16_t provider_offset, provider_len;
    uint16_t kind_offset, kind_len;
    uint32_t batch_index; /* how many records of its batch stand before it */
};

static inline struct span ring_record_line(const struct ring_record *record) {
    return span_from((const char *)(record + 1), record->line_len);
}

enum ring_result {
    RING_OK = 0,
    RING_TOO_LARGE = 1, /* the batch would take more than half of the ring */
    RING_EMPTY = 2,     /* a cursor is at the live edge */
    RING_OVERRUN = 3,   /* what the cursor points at has been overwritten */
    RING_FUTURE = 4,    /* a cursor names an event that is not there yet */
    RING_HELD = 5,      /* what would have to make room is held: see ring_set_hold, ring_defer */
};

struct ring;

/* `size_bytes` is rounded up to whole pages; at least RING_MIN_BYTES. 0 or -errno (-ENOMEM,
 * -EINVAL ...). */
int ring_new(struct ring **ring, size_t size_bytes) MUST_CHECK;
void ring_free(struct ring *ring);

/* --- the file ------------------------------------------------------------------------ */

/* What became of a file. */
enum ring_recovery_kind {
    RING_MADE,      /* there was none */
    RING_RECOVERED, /* it goes on where it ended */
    RING_REPLACED,  /* it could not be used: it is kept under `kept`, and the ring is a new one */
};

struct ring_recovery {
    enum ring_recovery_kind kind;
    uint64_t events;  /* readable ones */
    uint64_t skipped; /* bytes at its beginning that were being overwritten, or damaged */
    uint64_t cut;     /* events at its end that were not whole: a loss of power does that */
    /* Events that readers have seen may be gone (power was lost, and not all was on disk). Their
     * seqs will be given again: so the ring has a new id, and cursors of the old one get a gap. */
    bool has_new_id;
    char reason[160]; /* RING_REPLACED: why */
    char kept[4096];
};

/* A ring in a file, which outlives the process: a shared mapping, so that what is committed is in
 * the kernel's hands at once. The ring's id and seqs go on. One process at a time (-EBUSY). The
 * file takes size_bytes and 16 KiB more, all of it reserved here, so that a full disk is found out
 * here. A file that cannot be used stays as it is until the new one is whole. 0 or -errno (-ENOSPC,
 * -EACCES, -ENOENT: no such directory ...). ring_free writes everything through to the disk. */
int ring_open(struct ring **ring, const char *path, size_t size_bytes,
              struct ring_recovery *recovery) MUST_CHECK;
bool ring_has_file(const struct ring *ring);
/* Writes what is committed through to the disk. May be called by another thread while the ring is
 * used, one at a time. 0 or -errno; after an error, the next one writes everything again (the
 * kernel takes for clean what it could not write). */
int ring_sync(const struct ring *ring) MUST_CHECK;

/* From now on, readers see only what ring_show has shown: the owner shows it when it is on disk.
 * What has not been shown never takes more than half of the ring: more is RING_HELD. What is there
 * already counts as shown, and is written to the disk first: 0 or -errno. */
int ring_defer(struct ring *ring);
/* Behind the last committed event. */
struct ring_cursor ring_committed(const struct ring *ring);
void ring_show(struct ring *ring, struct ring_cursor up_to);

/* Places of held readers, kept with the ring. Owned by the ring; a name of "" is a free place. */
enum { RING_MAX_HELD = 64, RING_HELD_NAME_BYTES = 64 };
struct ring_held {
    char name[RING_HELD_NAME_BYTES + 8]; /* NUL-terminated */
    uint64_t seq;                        /* the last event that it has committed */
};
struct ring_held *ring_held(struct ring *ring);

/* Random at creation: RING_ID_BYTES hex digits, NUL-terminated. */
const char *ring_id(const struct ring *ring);
size_t ring_size(const struct ring *ring);

/* --- writing ------------------------------------------------------------------------- */

/* The seq that the next pushed event gets. */
uint64_t ring_next_seq(const struct ring *ring);
/* Room for one line of at most `line_bytes`; *line points to it until the next call. Opens a batch
 * where none is open. RING_OK, RING_TOO_LARGE or RING_HELD. */
int ring_reserve(struct ring *ring, size_t line_bytes, char **line) MUST_CHECK;
/* Adds the reserved line to the open batch. meta's line_len (<= what was reserved), received_us,
 * client_mac, offsets and lens are the caller's; the rest is set here. */
void ring_push(struct ring *ring, const struct ring_record *meta);
/* Makes the open batch visible; nothing to do where none is open. */
void ring_commit(struct ring *ring);
/* Forgets the open batch; its seqs are given again. */
void ring_abort(struct ring *ring);

/* Events from `seq` on are not overwritten (UINT64_MAX: all may be). */
void ring_set_hold(struct ring *ring, uint64_t seq);

/* --- reading ------------------------------------------------------------------------- */

/* Points at the event that is read next. */
struct ring_cursor {
    uint64_t seq;
    uint64_t position;
};

/* The oldest event still there (or the live edge of an empty ring), and the live edge.
 */
struct ring_cursor ring_oldest(const struct ring *ring);
struct ring_cursor ring_newest(const struct ring *ring);
/* A cursor at the event of that seq. RING_OK; RING_OVERRUN when it is gone (*cursor: the oldest);
 * RING_FUTURE when it is beyond the next one to come (*cursor: the live edge). */
int ring_seek(const struct ring *ring, uint64_t seq, struct ring_cursor *cursor) MUST_CHECK;
/* The record at the cursor, which then moves on. RING_OK; RING_EMPTY at the live edge; RING_OVERRUN
 * when it was overwritten (the cursor stays: the caller says what is lost, then takes
 * ring_oldest). *record is valid until the next ring_reserve. */
int ring_next(const struct ring *ring, struct ring_cursor *cursor,
              const struct ring_record **record) MUST_CHECK;

/* --- cursors as text: "<ring id>-<seq>", the last event seen ------------------------- */

/* Writes it with a NUL; returns its length. */
unsigned ring_format_cursor(const struct ring *ring, uint64_t seq, char dst[RING_CURSOR_MAX]);
enum ring_cursor_kind {
    RING_CURSOR_OURS,    /* *seq is set */
    RING_CURSOR_FOREIGN, /* well-formed, of another ring */
    RING_CURSOR_MALFORMED,
};
enum ring_cursor_kind ring_parse_cursor(const struct ring *ring, struct span text, uint64_t *seq);

/* --- figures: accepted == readable + overwritten, always ----------------------------- */

struct ring_figures {
    uint64_t accepted;    /* events committed since the ring was made */
    uint64_t overwritten; /* of these, dropped to make room */
    uint64_t readable;    /* of these, still there */
    uint64_t bytes;       /* that these take */
};
struct ring_figures ring_figures(const struct ring *ring);

#endif
