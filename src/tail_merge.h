/* Merges several nodes' lines by the time they were received. Each node's lines wait in a queue of
 * its own; the next line out is the oldest of the queues' heads. Where a node is quiet, nobody
 * knows whether it is about to send an older one: the others' lines wait for it, but not for long.
 * Pure: the caller brings the clocks. */
#ifndef ROLLCALL_TAIL_MERGE_H
#define ROLLCALL_TAIL_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "tail_line.h"
#include "util/buf.h"
#include "util/err.h"

enum {
    TAIL_MERGE_WAIT_MS = 200,       /* for a quiet node */
    TAIL_QUEUE_BYTES = 1024 * 1024, /* full: no more is read from the node. One more read, or one
                                         line of any length, may still stand above it */
};

/* A line that waits. */
struct tail_queued {
    size_t at, len; /* in the queue's bytes; its '\n' stands behind it */
    enum tail_line_kind kind;
    struct tail_cursor cursor;         /* what is done when it is written */
    char received[TIME_US_TEXT_BYTES]; /* zeros: before everything */
    uint64_t arrived_ms;               /* monotonic */
};

/* Zero-initialised is empty and valid. */
struct tail_queue {
    struct buf bytes;
    struct tail_queued *lines;
    size_t first, count, cap; /* lines[first .. first + count) wait */
    char last[TIME_US_TEXT_BYTES];
};

/* A line that has no time goes with the one in front of it. 0 or -ENOMEM. */
int tail_queue_push(struct tail_queue *queue, struct span line, const struct tail_line *what,
                    const struct tail_cursor *cursor, uint64_t now_ms) MUST_CHECK;
/* The first, or NULL; valid until the next push or pop. */
const struct tail_queued *tail_queue_head(const struct tail_queue *queue);
struct span tail_queue_line(const struct tail_queue *queue, const struct tail_queued *line);
void tail_queue_pop(struct tail_queue *queue);
bool tail_queue_is_full(const struct tail_queue *queue);
void tail_queue_deinit(struct tail_queue *queue);

/* One node, as the choice sees it. */
struct tail_input {
    const struct tail_queued *head; /* NULL: nothing waits */
    bool may_send;                  /* more may come from it: it counts while it is quiet */
    uint64_t quiet_ms;              /* since when nothing waits (monotonic) */
};

/* Which input's head comes next, or -1: none yet; *due_ms is then when to ask again although
 * nothing came (UINT64_MAX: no need to). With `exact` a quiet node is waited for without end. */
int tail_merge_pick(const struct tail_input *inputs, unsigned count, bool exact, uint64_t now_ms,
                    int64_t realtime_ms, uint64_t *due_ms);

#endif
