/* A batch: the events of one POST on their way into the ring. Gives each event its id, hides what
 * tells of persons where the owner wants that, encodes the event straight into the ring, and in the
 * end commits all or aborts all. Knows no HTTP, no sender, no
 * clock. One batch is open at a time (there is one thread).
 *
 * An id is a hash of what makes the event the same event, with a key that is the same on every node
 * and in every run: a public one, or privacy's. Events of one POST that are the same are told apart
 * by which of them they are: three of them have three ids, and the same POST again has the same
 * three. */
#ifndef ROLLCALL_BATCH_H
#define ROLLCALL_BATCH_H

#include "dedupe.h"
#include "event.h"
#include "identity.h"
#include "privacy.h"
#include "ring.h"
#include "sender.h"
#include "util/err.h"

struct batch_identity; /* batch.c */

/* An event whose line is written, but not yet pushed. */
struct batch_pending {
    bool is_there;
    uint8_t id[HASH_BYTES];
    struct ring_record record;
    const char *line; /* in the ring's reserved memory */
    int64_t time_ms;
};

/* The kinds of one batch's events: runs of the same one, as senders have them. */
enum { BATCH_KINDS = 16, BATCH_KIND_BYTES = 64 };
struct batch_kind {
    char name[BATCH_KIND_BYTES]; /* as it stands in lines */
    size_t len;                  /* 0: kinds that are longer, or one too many */
    unsigned count;
};

/* An event is late when its own time is further back than this as it is received: it tells of the
 * past, not of who is there. Senders take up to a minute or two (SENDERS: Aerohive, Meraki). */
enum { BATCH_LATE_MS = 5 * 60 * 1000 };

/* What becomes of an event that was sent before. */
enum batch_duplicates {
    BATCH_KEEP, /* it is an event like any other; nothing is looked up */
    BATCH_DROP, /* it is counted, and not in the ring */
    BATCH_MARK, /* it is in the ring, with "duplicate":true */
};

/* Zeroed is valid; it is reused from POST to POST. `dedupe`, `mode` and `privacy` are the owner's
 * to set between two batches: where mode is not BATCH_KEEP, dedupe is there. */
struct batch {
    struct dedupe *dedupe;
    enum batch_duplicates mode;
    struct privacy *privacy; /* NULL: everything is kept as it came */
    /* Where own_identity is set, `identity` stands for that of every event of the batch (NULL: none
     * has any). The owner's to set after batch_begin, which unsets it. */
    bool own_identity;
    const struct identity *identity;
    struct ring *ring;
    const uint8_t *id_key; /* HASH_KEY_BYTES */
    struct event_context context;
    unsigned accepted;              /* events pushed, marked ones included; see batch_settle */
    unsigned duplicates;            /* events that were sent before, dropped or marked */
    unsigned late;                  /* of those accepted, how many are BATCH_LATE_MS behind */
    unsigned rejected;              /* parts that could not be read */
    struct problem first_rejection; /* of the first of these; set where rejected > 0 */
    struct batch_kind
        kinds[BATCH_KINDS]; /* what `accepted` is made of; the last takes what is left */
    unsigned kind_count;
    struct batch_pending pending;
    /* The ids of this batch's events: a hash table, of which only the slots that have this batch's
     * generation count, so that no batch has to clear it. */
    struct batch_identity *identities;
    size_t identity_slots; /* a power of 2, or 0 */
    size_t identity_count;
    uint64_t identity_factor; /* not known to senders: see batch.c */
    uint32_t generation;
};

/* The memory beyond `struct batch` itself; the batch is zeroed. */
void batch_deinit(struct batch *batch);

/* Opens a batch. The spans live until commit or abort; they need no JSON escape and have at most
 * EVENT_MAX_NAME_BYTES. */
void batch_begin(struct batch *batch, struct ring *ring, struct span endpoint, struct span provider,
                 int64_t received_us);
/* Adds one event, of which the batch changes `id` and `duplicate` only: what privacy changes, it
 * changes in a copy. `identity` is what makes it the same event; NULL where nothing does (its id is
 * unique then). An event whose kind is longer than EVENT_MAX_KIND_BYTES is counted as rejected.
 * 0, SENDER_BATCH_FULL, SENDER_BATCH_HELD, or -ENOMEM. */
int batch_emit(struct batch *batch, struct event *event,
               const struct identity *identity) MUST_CHECK;
/* Decides on the event that was emitted last, which until now may be neither accepted nor a
 * duplicate: whether it was sent before is looked up one event later, when the memory that tells so
 * has arrived. To be called before these two are read, and before batch_commit (sender_parse
 * does). 0 or -ENOMEM. */
int batch_settle(struct batch *batch) MUST_CHECK;
/* Counts a part of the body that could not be read, and says where it stands. */
void batch_reject(struct batch *batch, const char *message, const char *path_format, ...)
    PRINTF_LIKE(3, 4);
/* Keeps a body that cannot be read as one event of kind "unreadable": its text in `data`, cut to
 * BATCH_MAX_UNREADABLE_BYTES at most, and `extra` {"error":message,"at":where,"bytes":N} with
 * "truncated":true where it was cut. With privacy there is no `data`, for nobody can tell what such
 * a text says, and `extra` has "withheld":true. `message` and `where` are at most as long as a
 * struct problem's. What was rejected of the body counts no longer: it is in the event. As
 * batch_emit; nothing is left to settle. */
enum { BATCH_MAX_UNREADABLE_BYTES = 64 * 1024 };
int batch_emit_unreadable(struct batch *batch, struct span body, const char *message,
                          const char *where) MUST_CHECK;
void batch_commit(struct batch *batch);
void batch_abort(struct batch *batch);

#endif
