/* The window of ids seen lately: was this event sent before? Keyed by the event's id (which
 * includes its occurrence number among identical events of one POST), bounded in memory, no clock
 * of its own.
 *
 * A table of 64-byte buckets, five ids each, two candidate buckets an id: a look-up is two cache
 * lines, fetched together. An id counts as seen for window_s seconds since it was last seen: a
 * repeat renews it. When both buckets are full of live ids the one seen longest ago gives way; with
 * room for 1.8 times max_ids that does not happen before max_ids live ids (tested), and it is
 * counted.
 *
 * What is kept of an id is 64 of its bits, and its place: a new id is taken for a seen one with
 * a probability of 10 / 2^64. */
#ifndef ROLLCALL_DEDUPE_H
#define ROLLCALL_DEDUPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"
#include "util/hash.h"

enum { DEDUPE_BYTES_PER_ID = 24 }; /* of memory, at the most (the smallest table is one page) */

struct dedupe;

struct dedupe_figures {
    uint64_t ids;     /* live or expired, in the table */
    uint64_t evicted; /* live ids that gave way to others */
    size_t bytes;     /* of the table */
};

/* 0, -ENOMEM, or -EINVAL for max_ids or window_s of 0. */
int dedupe_new(struct dedupe **dedupe, size_t max_ids, uint32_t window_s) MUST_CHECK;

enum dedupe_recovery {
    DEDUPE_MADE = 0,      /* there was no file */
    DEDUPE_RECOVERED = 1, /* it goes on where it ended; what an open batch had seen is forgotten */
    DEDUPE_FORGOTTEN = 2, /* it was of another size or version, or the machine has been started
                             since, and pages may be of different ages: it begins empty */
};

/* The same in a file, which outlives the process. Whoever opens it goes through the events that
 * were kept, and sees them all (dedupe_restore): what is lost is then only what is older than
 * these. A dedupe_recovery, or as dedupe_new, or -errno. */
int dedupe_open(struct dedupe **dedupe, const char *path, size_t max_ids,
                uint32_t window_s) MUST_CHECK;
/* An event of that id was kept at seen_s. 0 or -ENOMEM. */
int dedupe_restore(struct dedupe *dedupe, const uint8_t id[HASH_BYTES], uint32_t seen_s) MUST_CHECK;
void dedupe_free(struct dedupe *dedupe);

/* Changes the window; counts for ids that were seen before, too. window_s is not 0. */
void dedupe_set_window(struct dedupe *dedupe, uint32_t window_s);

/* Asks the memory for what dedupe_see will look at: worth it some 100 ns ahead. */
void dedupe_prefetch(const struct dedupe *dedupe, const uint8_t id[HASH_BYTES]);
/* Whether the id was seen within the window before now_s (seconds, never 0; what is earlier than an
 * earlier call's counts as that); it is seen from now on. 0: new; 1: seen before; -ENOMEM (nothing
 * has changed). The change can be undone until dedupe_commit. */
int dedupe_see(struct dedupe *dedupe, const uint8_t id[HASH_BYTES], uint32_t now_s) MUST_CHECK;
/* Keeps what was seen since the last commit or abort. */
void dedupe_commit(struct dedupe *dedupe);
/* Forgets it: the events were not kept, so their sender's retry must not count as a repeat. */
void dedupe_abort(struct dedupe *dedupe);

struct dedupe_figures dedupe_figures(const struct dedupe *dedupe);

#endif
