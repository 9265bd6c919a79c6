/* One sender's parse and the encoding behind it (SENDER is its name): a body in, lines out.
 *
 * Whatever the body: each line is JSON, on one line, its members in order; what is accepted is in
 * the ring, all of it, and what is not accepted leaves nothing; the same body again makes
 * duplicates of exactly what it made the first time; privacy loses no event; the lines are not more
 * than AMPLIFICATION times the body. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "fuzz.h"
#include "json.h"
#include "sender.h"

enum {
    RING_BYTES = 4 << 20,
    AMPLIFICATION = 4,
    BYTES_PER_EVENT = 1024, /* what is the node's own in a line, and short repeated members */
    MAX_IDS = 4096,
};
static const int64_t received_us = INT64_C(1767607933456789);

static struct json_parser *parser;
static struct ring *ring;
static struct batch batch;
static struct privacy *pseudonyms, *dropping;

static struct privacy *make_privacy(enum privacy_mode mac, enum privacy_mode personal) {
    struct privacy *privacy;
    struct privacy_options options = {mac, personal, SPAN("0123456789abcdef0123"), 86400000};
    FUZZ_CHECK(privacy_new(&privacy, &options) == 0);
    return privacy;
}

static void setup(void) {
    if (parser)
        return;
    parser = json_parser_new();
    FUZZ_CHECK(parser && ring_new(&ring, RING_BYTES) == 0);
    pseudonyms = make_privacy(PRIVACY_PSEUDONYM, PRIVACY_PSEUDONYM);
    dropping = make_privacy(PRIVACY_DROP, PRIVACY_DROP);
}

struct outcome {
    int rc;
    unsigned accepted, duplicates, rejected;
};

/* One POST of the body, to its end in the ring. */
static struct outcome post(const uint8_t *data, size_t size, bool keeps_unreadable) {
    const struct sender *sender = sender_find(SPAN(SENDER));
    struct problem problem = {0};
    struct json_doc doc;
    struct json_error error;
    char *padded = malloc(size + JSON_PADDING);
    uint64_t from = ring_next_seq(ring);
    struct ring_figures before = ring_figures(ring);
    memcpy(padded, data, size);
    memset(padded + size, 0, JSON_PADDING);
    batch_begin(&batch, ring, SPAN("lobby"), SPAN(SENDER), received_us);
    struct outcome outcome = {.rc = json_parse(parser, padded, size, &doc, &error)};
    if (outcome.rc == 0) {
        outcome.rc = sender_parse(sender, &doc, &batch, &problem);
        FUZZ_CHECK(outcome.rc >= 0);
    } else {
        snprintf(problem.path, sizeof problem.path, "byte %zu", error.offset);
        snprintf(problem.message, sizeof problem.message, "%s", error.message);
        outcome.rc = SENDER_WRONG_SHAPE;
    }
    if (outcome.rc == SENDER_WRONG_SHAPE) {
        FUZZ_CHECK(problem.message[0] && problem.path[0]);
        FUZZ_CHECK(batch.accepted == 0);
        if (keeps_unreadable && batch_emit_unreadable(&batch, span_from(padded, size),
                                                      problem.message, problem.path) == 0)
            FUZZ_CHECK(batch.accepted == 1 && batch.rejected == 0);
    }
    outcome.accepted = batch.accepted;
    outcome.duplicates = batch.duplicates;
    outcome.rejected = batch.rejected;
    if (outcome.rc == 0 || (outcome.rc == SENDER_WRONG_SHAPE && keeps_unreadable))
        batch_commit(&batch);
    else {
        batch_abort(&batch);
        outcome.accepted = 0;
    }
    free(padded);
    FUZZ_CHECK(outcome.rejected == 0 || batch.first_rejection.path[0]);
    struct ring_figures after = ring_figures(ring);
    unsigned lines = fuzz_check_ring(ring, from);
    unsigned pushed = outcome.accepted;
    FUZZ_CHECK(after.accepted - before.accepted == lines && lines == pushed);
    return outcome;
}

static struct outcome post_with(enum batch_duplicates mode, struct privacy *privacy,
                                const uint8_t *data, size_t size) {
    batch.mode = mode;
    batch.privacy = privacy;
    return post(data, size, false);
}

static void check_amplification(size_t size, const struct outcome *outcome, uint64_t from) {
    struct ring_cursor cursor;
    const struct ring_record *record = NULL;
    size_t bytes = 0;
    FUZZ_CHECK(ring_seek(ring, from, &cursor) == RING_OK);
    while (ring_next(ring, &cursor, &record) == RING_OK)
        bytes += record->line_len;
    if (bytes > AMPLIFICATION * size + (size_t)outcome->accepted * BYTES_PER_EVENT)
        FUZZ_FAIL("%zu bytes became %zu, in %u events", size, bytes, outcome->accepted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    setup();
    uint64_t from = ring_next_seq(ring);
    struct outcome plain = post_with(BATCH_KEEP, NULL, data, size);
    if (plain.rc == SENDER_BATCH_FULL)
        return 0;
    check_amplification(size, &plain, from);
    FUZZ_CHECK(dedupe_new(&batch.dedupe, MAX_IDS, 3600) == 0);
    for (int round = 0; round < 2; round++) {
        struct outcome again = post_with(BATCH_DROP, NULL, data, size);
        FUZZ_CHECK(again.rc == plain.rc && again.rejected == plain.rejected);
        FUZZ_CHECK(again.accepted + again.duplicates == plain.accepted);
        FUZZ_CHECK(round || again.duplicates == 0);
    }
    struct outcome marked = post_with(BATCH_MARK, NULL, data, size);
    FUZZ_CHECK(marked.accepted == plain.accepted);
    dedupe_free(batch.dedupe);
    batch.dedupe = NULL;
    struct privacy *const privacies[] = {pseudonyms, dropping};
    for (int i = 0; i < 2; i++) {
        struct outcome hidden = post_with(BATCH_KEEP, privacies[i], data, size);
        if (hidden.rc == SENDER_BATCH_FULL)
            continue;
        FUZZ_CHECK(hidden.rc == plain.rc && hidden.accepted == plain.accepted);
        FUZZ_CHECK(hidden.rejected == plain.rejected);
    }
    batch.privacy = NULL;
    batch.mode = BATCH_KEEP;
    (void)post(data, size, true);
    return 0;
}
