/* The events of one POST on their way into the ring; see batch.h. */
#include "batch.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/buf.h"
#include "util/hash.h"

/* One constant for all nodes and all runs: the id of an event has to be the same wherever it
 * arrives. It keeps nobody from making two events with one id on purpose, and need not: who can
 * post can post what he likes. 16 letters, no NUL. */
static const uint8_t public_id_key[HASH_KEY_BYTES] = "rollcall event 1";

enum {
    FIRST_SLOTS = 64,
    MAX_KEPT_SLOTS =
        32 * 1024, /* 768 KiB: a batch of the 10,000 items a sender may send needs them */
};

struct batch_identity {
    uint8_t id[HASH_BYTES];
    uint32_t generation; /* of the batch it belongs to */
    uint32_t count;      /* events that have it */
};

/* --- The ids of one batch -----------------------------------------------------------------------
 */

/* Senders know public_id_key, so they could make ids that all meet in one slot; the factor, which
 * they do not know, spreads them (multiply-shift hashing). A ring's id is random and shown to
 * readers only.
 */
static uint64_t make_factor(const struct ring *ring) {
    return strtoull(ring_id(ring), NULL, 16) | 1;
}

/* The slot of that id, or the free one where it belongs. */
static struct batch_identity *find_slot(const struct batch *batch, const uint8_t *id) {
    uint64_t word;
    memcpy(&word, id, sizeof word);
    size_t mask = batch->identity_slots - 1;
    for (size_t i = (size_t)((word * batch->identity_factor) >> 32);; i++) {
        struct batch_identity *slot = &batch->identities[i & mask];
        if (slot->generation != batch->generation || memcmp(slot->id, id, HASH_BYTES) == 0)
            return slot;
    }
}

/* Makes the table twice as large (or makes it), and takes this batch's ids over. */
static int grow_table(struct batch *batch) {
    struct batch_identity *old = batch->identities;
    size_t old_slots = batch->identity_slots;
    size_t slots = old_slots ? old_slots * 2 : FIRST_SLOTS;
    struct batch_identity *table = calloc(slots, sizeof *table);
    if (!table)
        return -ENOMEM;
    batch->identities = table;
    batch->identity_slots = slots;
    batch->identity_factor = make_factor(batch->ring);
    for (size_t i = 0; i < old_slots; i++)
        if (old[i].generation == batch->generation)
            *find_slot(batch, old[i].id) = old[i];
    free(old);
    return 0;
}

/* How many events of this batch have that id already; counts one more. */
static int count_identity(struct batch *batch, const uint8_t *id, uint32_t *before) {
    if (batch->identity_count >= batch->identity_slots / 2) {
        int rc = grow_table(batch);
        if (rc)
            return rc;
    }
    struct batch_identity *slot = find_slot(batch, id);
    if (slot->generation != batch->generation) {
        memcpy(slot->id, id, HASH_BYTES);
        slot->generation = batch->generation;
        slot->count = 0;
        batch->identity_count++;
    }
    *before = slot->count++;
    return 0;
}

/* Hashes 16 bytes and a number, little-endian so that every node gets the same. */
static void hash_numbered(const struct batch *batch, const void *bytes, uint64_t number,
                          uint8_t id[HASH_BYTES]) {
    uint8_t input[HASH_BYTES + 8];
    memcpy(input, bytes, HASH_BYTES);
    for (unsigned i = 0; i < 8; i++)
        input[HASH_BYTES + i] = (uint8_t)(number >> 8 * i);
    hash128(batch->id_key, input, sizeof input, id);
}

static int set_id(struct batch *batch, struct event *event, const struct identity *identity) {
    uint32_t before;
    identity_finish(identity, batch->id_key, event->id);
    int rc = count_identity(batch, event->id, &before);
    if (rc)
        return rc;
    if (before)
        hash_numbered(batch, event->id, before, event->id);
    return 0;
}

/* --- The batch ----------------------------------------------------------------------------------
 */

static void free_table(struct batch *batch) {
    free(batch->identities);
    batch->identities = NULL;
    batch->identity_slots = 0;
}

static void end_batch(struct batch *batch) {
    if (batch->identity_slots > MAX_KEPT_SLOTS)
        free_table(batch);
    if (batch->privacy)
        privacy_trim(batch->privacy);
}

void batch_deinit(struct batch *batch) {
    free_table(batch);
    *batch = (struct batch){0};
}

void batch_begin(struct batch *batch, struct ring *ring, struct span endpoint, struct span provider,
                 int64_t received_us) {
    batch->ring = ring;
    batch->id_key = batch->privacy ? privacy_id_key(batch->privacy) : public_id_key;
    event_context_init(&batch->context, endpoint, provider, received_us);
    batch->accepted = batch->duplicates = batch->rejected = batch->late = 0;
    batch->identity_count = 0;
    batch->own_identity = false;
    batch->kind_count = 0;
    batch->pending.is_there = false;
    if (++batch->generation == 0) { /* slots of 2^32 batches ago would count again */
        free_table(batch);
        batch->generation = 1; /* 0 is what calloc gives */
    }
}

/* Encodes the event where it would lie, and says what it would be there. */
static int encode_event(struct batch *batch, const struct event *event,
                        struct batch_pending *pending) {
    struct event_layout layout;
    char *line;
    int rc = ring_reserve(batch->ring, event_size_bound(event, &batch->context), &line);
    if (rc)
        return rc == RING_HELD ? SENDER_BATCH_HELD : SENDER_BATCH_FULL;
    event_encode(event, &batch->context, line, &layout);
    pending->line = line;
    pending->time_ms = event->time_ms;
    pending->record = (struct ring_record){
        .line_len = layout.len,
        .received_us = batch->context.received_us,
        .client_mac = event->client_mac,
        .endpoint_offset = layout.endpoint_offset,
        .endpoint_len = layout.endpoint_len,
        .provider_offset = layout.provider_offset,
        .provider_len = layout.provider_len,
        .kind_offset = layout.kind_offset,
        .kind_len = layout.kind_len,
    };
    return 0;
}

/* Nearly always the kind of the event before. */
static void count_kind(struct batch *batch, struct span kind) {
    unsigned last = batch->kind_count;
    if (kind.len > BATCH_KIND_BYTES)
        kind.len = 0;
    if (last &&
        span_equals(span_from(batch->kinds[last - 1].name, batch->kinds[last - 1].len), kind)) {
        batch->kinds[last - 1].count++;
        return;
    }
    if (last == BATCH_KINDS) {
        batch->kinds[last - 1].len = 0;
        batch->kinds[last - 1].count++;
        return;
    }
    batch->kinds[last].len = kind.len;
    batch->kinds[last].count = 1;
    memcpy(batch->kinds[last].name, kind.ptr, kind.len);
    batch->kind_count = last + 1;
}

static void push(struct batch *batch, const struct batch_pending *pending) {
    const struct ring_record *record = &pending->record;
    ring_push(batch->ring, record);
    batch->accepted++;
    batch->late += pending->time_ms != TIME_NONE &&
                   pending->time_ms < batch->context.received_us / 1000 - BATCH_LATE_MS;
    count_kind(batch, span_from(pending->line + record->kind_offset, record->kind_len));
}

/* Whether the event was sent before: 0, 1, or -ENOMEM. */
static int see(struct batch *batch, const uint8_t id[HASH_BYTES]) {
    int seen = dedupe_see(batch->dedupe, id, (uint32_t)(batch->context.received_us / 1000000));
    batch->duplicates += seen == 1;
    return seen;
}

int batch_settle(struct batch *batch) {
    struct batch_pending *pending = &batch->pending;
    if (!pending->is_there)
        return 0;
    pending->is_there = false;
    int seen = see(batch, pending->id);
    if (seen == 0)
        push(batch, pending);
    return seen < 0 ? seen : 0;
}

static int emit_any(struct batch *batch, const struct event *event) {
    struct batch_pending line;
    int rc = encode_event(batch, event, &line);
    if (rc == 0)
        push(batch, &line);
    return rc;
}

static int emit_marked(struct batch *batch, struct event *event) {
    int seen = see(batch, event->id);
    if (seen < 0)
        return seen;
    event->duplicate = seen;
    return emit_any(batch, event);
}

/* The line is written where it would lie, and then waits there: the memory that tells whether it
 * was sent before is on its way, which on a large table takes as long as a whole event (8 % of the
 * CPU time of large posts was spent waiting for it). A repeat's is not pushed, and the next one
 * takes its place. */
static int emit_new(struct batch *batch, const struct event *event) {
    struct batch_pending *pending = &batch->pending;
    int rc = encode_event(batch, event, pending);
    if (rc == SENDER_BATCH_HELD) {
        int seen = see(batch, event->id);
        return seen < 0 ? seen : seen ? 0 : rc; /* a repeat needs no room */
    }
    if (rc)
        return rc;
    pending->is_there = true;
    memcpy(pending->id, event->id, HASH_BYTES);
    return 0;
}

/* Nothing of the event as it came is written to the ring, not even where it would be overwritten or
 * never pushed. Hiding takes longer than a look whether it was sent before: that comes first. */
static int emit_hidden(struct batch *batch, struct event *event, bool has_identity) {
    struct event hidden;
    int seen = has_identity && batch->mode != BATCH_KEEP ? see(batch, event->id) : 0;
    if (seen < 0 || (seen && batch->mode == BATCH_DROP))
        return seen < 0 ? seen : 0;
    event->duplicate = seen;
    int rc = privacy_apply(batch->privacy, event, &batch->context, ring_size(batch->ring), &hidden);
    if (rc)
        return rc == PRIVACY_TOO_LARGE ? SENDER_BATCH_FULL : rc;
    return emit_any(batch, &hidden);
}

/* A line that waits is settled before the next takes a seq or a place. */
int batch_emit(struct batch *batch, struct event *event, const struct identity *identity) {
    int rc = 0;
    if (event->kind.len > EVENT_MAX_KIND_BYTES) {
        rc = batch_settle(batch);
        batch_reject(batch, "the kind of event is longer than 256 bytes", "event %u",
                     batch->accepted + batch->duplicates + batch->rejected);
        return rc;
    }
    if (batch->own_identity)
        identity = batch->identity;
    if (identity) {
        rc = set_id(batch, event, identity);
        if (rc == 0 && batch->mode != BATCH_KEEP)
            dedupe_prefetch(batch->dedupe, event->id);
    }
    rc = rc ? rc : batch_settle(batch);
    if (rc)
        return rc;
    batch->context.seq = ring_next_seq(batch->ring);
    if (!identity)
        hash_numbered(batch, ring_id(batch->ring), batch->context.seq, event->id);
    if (batch->privacy)
        return emit_hidden(batch, event, identity != NULL);
    if (identity && batch->mode == BATCH_DROP)
        return emit_new(batch, event);
    if (identity && batch->mode == BATCH_MARK)
        return emit_marked(batch, event);
    return emit_any(batch, event);
}

void batch_reject(struct batch *batch, const char *message, const char *path_format, ...) {
    struct problem *first = &batch->first_rejection;
    if (batch->rejected++) /* nothing is formatted for the many that may follow */
        return;
    va_list args;
    va_start(args, path_format);
    vsnprintf(first->path, sizeof first->path, path_format, args);
    va_end(args);
    snprintf(first->message, sizeof first->message, "%s", message);
}

void batch_commit(struct batch *batch) {
    assert(!batch->pending.is_there);
    ring_commit(batch->ring);
    if (batch->dedupe)
        dedupe_commit(batch->dedupe);
    end_batch(batch);
}

void batch_abort(struct batch *batch) {
    ring_abort(batch->ring);
    if (batch->dedupe)
        dedupe_abort(batch->dedupe); /* the sender's retry must not count as a repeat */
    end_batch(batch);
}

/* --- What cannot be read ------------------------------------------------------------------------
 */

/* At most `max` bytes of a text, cut in front of a character rather than inside one. */
static struct span cut_text(struct span text, size_t max) {
    if (text.len <= max)
        return text;
    size_t len = max;
    for (unsigned i = 0; i < 3 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80; i++)
        len--; /* UTF-8 characters have 3 continuation bytes at most */
    if (((unsigned char)text.ptr[len] & 0xc0) == 0x80)
        len = max; /* not UTF-8 at all */
    return span_from(text.ptr, len);
}

/* {"error":...,"at":...,"bytes":N} and the flag, without its braces. */
static struct span describe_unreadable(struct span body, const char *flag, const char *message,
                                       const char *where, char *dst, size_t size) {
    struct problem problem;
    char error[6 * sizeof problem.message], at[6 * sizeof problem.path];
    problem_set(&problem, message, "%s", where);
    size_t error_len = json_escape(span_from_string(problem.message), error);
    size_t at_len = json_escape(span_from_string(problem.path), at);
    int len = snprintf(dst, size, "\"error\":\"%.*s\",\"at\":\"%.*s\",\"bytes\":%zu%s",
                       (int)error_len, error, (int)at_len, at, body.len, flag);
    return span_from(dst, (size_t)len);
}

/* The text as a JSON string. */
static int quote_text(struct span text, struct buf *data) {
    int rc = buf_reserve(data, 6 * text.len + 2);
    if (rc)
        return rc;
    data->ptr[0] = '"';
    data->len = 1 + json_escape(text, data->ptr + 1);
    data->ptr[data->len++] = '"';
    return 0;
}

int batch_emit_unreadable(struct batch *batch, struct span body, const char *message,
                          const char *where) {
    char description[12 * sizeof(struct problem) + 128];
    struct event event;
    struct span text = cut_text(body, BATCH_MAX_UNREADABLE_BYTES);
    struct buf data = {0};
    const char *flag = text.len < body.len ? ",\"truncated\":true" : "";
    int rc = 0;
    event_init(&event);
    event.kind = SPAN("unreadable");
    if (batch->privacy)
        flag = ",\"withheld\":true";
    else
        rc = quote_text(text, &data);
    if (rc)
        return rc;
    if (data.len)
        event_set(&event, EVENT_DATA, buf_span(&data));
    event.extra[event.extra_count++] =
        (struct event_extra){.members = describe_unreadable(body, flag, message, where, description,
                                                            sizeof description)};
    batch->rejected = 0;
    rc = batch_emit(batch, &event, NULL);
    rc = rc ? rc : batch_settle(batch); /* own_identity may have given it one */
    buf_deinit(&data);
    return rc;
}
