/* The merge of several nodes; see tail_merge.h. */
#include "tail_merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_LINES = 64 };

/* Room for one more line, the room in front of the first taken back before more is asked for. */
static int make_room(struct tail_queue *queue) {
    if (queue->first + queue->count < queue->cap)
        return 0;
    if (queue->first > queue->cap / 2) {
        memmove(queue->lines, queue->lines + queue->first, queue->count * sizeof *queue->lines);
        queue->first = 0;
        return 0;
    }
    size_t cap = queue->cap ? queue->cap * 2 : FIRST_LINES;
    struct tail_queued *lines = reallocarray(queue->lines, cap, sizeof *lines);
    if (!lines)
        return -ENOMEM;
    queue->lines = lines;
    queue->cap = cap;
    return 0;
}

/* The bytes in front of the first line that waits are given up once they are the most. */
static void compact(struct tail_queue *queue) {
    size_t used = queue->count ? queue->lines[queue->first].at : queue->bytes.len;
    if (used <= queue->bytes.len / 2 || used < TAIL_QUEUE_BYTES)
        return;
    buf_consume(&queue->bytes, used);
    for (size_t i = 0; i < queue->count; i++)
        queue->lines[queue->first + i].at -= used;
}

int tail_queue_push(struct tail_queue *queue, struct span line, const struct tail_line *what,
                    const struct tail_cursor *cursor, uint64_t now_ms) {
    compact(queue);
    int rc = make_room(queue);
    struct tail_queued *queued = queue->lines + queue->first + queue->count;
    size_t at = queue->bytes.len;
    rc = rc ? rc : buf_append(&queue->bytes, line.ptr, line.len + 1);
    if (rc)
        return rc;
    if (what->received.ptr)
        memcpy(queue->last, what->received.ptr, sizeof queue->last);
    *queued = (struct tail_queued){
        .at = at, .len = line.len, .kind = what->kind, .cursor = *cursor, .arrived_ms = now_ms};
    memcpy(queued->received, queue->last, sizeof queued->received);
    queue->count++;
    return 0;
}

const struct tail_queued *tail_queue_head(const struct tail_queue *queue) {
    return queue->count ? queue->lines + queue->first : NULL;
}

struct span tail_queue_line(const struct tail_queue *queue, const struct tail_queued *line) {
    return span_from(queue->bytes.ptr + line->at, line->len);
}

void tail_queue_pop(struct tail_queue *queue) {
    queue->first++;
    if (--queue->count)
        return;
    queue->first = 0;
    buf_reset(&queue->bytes, 2 * TAIL_QUEUE_BYTES);
}

bool tail_queue_is_full(const struct tail_queue *queue) {
    return queue->count && queue->bytes.len - queue->lines[queue->first].at >= TAIL_QUEUE_BYTES;
}

void tail_queue_deinit(struct tail_queue *queue) {
    buf_deinit(&queue->bytes);
    free(queue->lines);
    *queue = (struct tail_queue){0};
}

/* Until when a line waits for those that are quiet. By the time it was received where that is
 * earlier than its arrival: what is old already, as after an outage, has waited long enough. */
static uint64_t wait_end_ms(const struct tail_queued *line, uint64_t now_ms, int64_t realtime_ms) {
    int64_t received_ms = text_parse_iso_time(span_from(line->received, sizeof line->received));
    uint64_t from = line->arrived_ms;
    if (received_ms != TIME_NONE && received_ms < realtime_ms) {
        uint64_t age = (uint64_t)(realtime_ms - received_ms);
        uint64_t begun = age < now_ms ? now_ms - age : 0;
        from = begun < from ? begun : from;
    }
    return from + TAIL_MERGE_WAIT_MS;
}

int tail_merge_pick(const struct tail_input *inputs, unsigned count, bool exact, uint64_t now_ms,
                    int64_t realtime_ms, uint64_t *due_ms) {
    int best = -1;
    uint64_t end = 0;
    bool quiet = false;
    *due_ms = UINT64_MAX;
    for (unsigned i = 0; i < count; i++) {
        const struct tail_queued *head = inputs[i].head;
        if (!head && inputs[i].may_send) {
            quiet = true;
            if (inputs[i].quiet_ms + TAIL_MERGE_WAIT_MS > end)
                end = inputs[i].quiet_ms + TAIL_MERGE_WAIT_MS;
        } else if (head && (best < 0 || memcmp(head->received, inputs[best].head->received,
                                               sizeof head->received) < 0)) {
            best = (int)i;
        }
    }
    if (best < 0 || !quiet)
        return best;
    if (exact)
        return -1;
    uint64_t line_end = wait_end_ms(inputs[best].head, now_ms, realtime_ms);
    end = line_end > end ? line_end : end;
    if (now_ms >= end)
        return best;
    *due_ms = end;
    return -1;
}
