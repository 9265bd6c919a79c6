/* A batch: ids, whole or not at all, rejections, and bodies that cannot be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch.h"
#include "ring.h"

#define RECEIVED_US INT64_C(1767607933456789)

enum { RING_BYTES = 8 << 20 };

static struct batch batch;
static struct ring *ring;

static int setup(void **state) {
    (void)state;
    return ring_new(&ring, RING_BYTES);
}

static int teardown(void **state) {
    (void)state;
    batch_deinit(&batch);
    assert_null(batch.identities);
    ring_free(ring);
    return 0;
}

static void begin(void) {
    batch_begin(&batch, ring, SPAN("hq"), SPAN("test"), RECEIVED_US);
}

/* Emits an event that has `value` as its identity, and gives its id. */
static void emit(uint64_t value, uint8_t id[HASH_BYTES]) {
    struct event event;
    struct identity identity;
    event_init(&event);
    event.kind = SPAN("seen");
    identity_init(&identity, SPAN("test"));
    identity_add_u64(&identity, value);
    assert_int_equal(batch_emit(&batch, &event, &identity), 0);
    memcpy(id, event.id, HASH_BYTES);
}

static const struct ring_record *last_record(void) {
    struct ring_cursor cursor;
    const struct ring_record *record = NULL;
    assert_int_equal(ring_seek(ring, ring_next_seq(ring) - 1, &cursor), RING_OK);
    assert_int_equal(ring_next(ring, &cursor, &record), RING_OK);
    return record;
}

static bool last_line_has(const char *text) {
    struct span line = ring_record_line(last_record());
    return memmem(line.ptr, line.len, text, strlen(text)) != NULL;
}

/* --- ids -----------------------------------------------------------------------------------------
 */

static void test_the_same_post_has_the_same_ids(void **state) {
    uint8_t ids[2][5][HASH_BYTES];
    (void)state;
    for (int post = 0; post < 2; post++) {
        begin();
        emit(1, ids[post][0]);
        emit(2, ids[post][1]);
        emit(1, ids[post][2]);
        emit(1, ids[post][3]);
        emit(2, ids[post][4]);
        assert_int_equal(batch.accepted, 5);
        batch_commit(&batch);
    }
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(ids[0][i], ids[0][j], HASH_BYTES);
}

/* An id is a promise to those who keep ids: it must not change from version to version. */
static void test_ids_are_what_they_have_always_been(void **state) {
    uint8_t id[HASH_BYTES];
    char text[2 * HASH_BYTES + 1] = "";
    (void)state;
    begin();
    emit(1, id);
    text_format_hex(id, sizeof id, text);
    assert_string_equal(text, "43184da370c2a96c049a0a8aa7368d8f");
    emit(1, id);
    text_format_hex(id, sizeof id, text);
    assert_string_equal(text, "90af5806add252e3ceb73e257ecb4910");
    batch_abort(&batch);
}

static void test_no_identity_is_a_new_id(void **state) {
    struct event event;
    uint8_t ids[3][HASH_BYTES];
    (void)state;
    begin();
    for (int i = 0; i < 3; i++) {
        event_init(&event);
        event.kind = SPAN("document");
        assert_int_equal(batch_emit(&batch, &event, NULL), 0);
        memcpy(ids[i], event.id, HASH_BYTES);
    }
    batch_commit(&batch);
    for (int i = 0; i < 3; i++)
        assert_memory_not_equal(ids[i], ids[(i + 1) % 3], HASH_BYTES);
}

/* Many more identities than the table starts with, each of them three times. */
static void test_many_identities(void **state) {
    enum { COUNT = 5000 };
    static uint8_t ids[3 * COUNT][HASH_BYTES], again[HASH_BYTES];
    (void)state;
    begin();
    for (unsigned i = 0; i < 3 * COUNT; i++)
        emit(i % COUNT, ids[i]);
    assert_int_equal(batch.identity_count, COUNT);
    assert_in_range(batch.identity_slots, 2 * COUNT, 4 * COUNT);
    batch_abort(&batch);
    begin();
    for (unsigned i = 0; i < 3 * COUNT; i++) {
        emit(i % COUNT, again);
        assert_memory_equal(again, ids[i], HASH_BYTES);
    }
    batch_abort(&batch);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_memory_not_equal(ids[i], ids[i + COUNT], HASH_BYTES);
        assert_memory_not_equal(ids[i], ids[i + 2 * COUNT], HASH_BYTES);
        assert_memory_not_equal(ids[i + COUNT], ids[i + 2 * COUNT], HASH_BYTES);
    }
}

static void test_a_large_table_is_given_back(void **state) {
    uint8_t id[HASH_BYTES];
    (void)state;
    begin();
    for (unsigned i = 0; i < 16 * 1024; i++)
        emit(i, id);
    assert_int_equal(batch.identity_slots, 32 * 1024);
    batch_abort(&batch);
    assert_int_equal(batch.identity_slots, 32 * 1024);
    begin();
    for (unsigned i = 0; i < 16 * 1024 + 1; i++)
        emit(i, id);
    assert_int_equal(batch.identity_slots, 64 * 1024);
    batch_abort(&batch);
    assert_int_equal(batch.identity_slots, 0);
    assert_null(batch.identities);
}

static void test_generations_wrap(void **state) {
    uint8_t first[HASH_BYTES], again[HASH_BYTES];
    (void)state;
    batch.generation = 0;
    begin();
    emit(1, first);
    batch_abort(&batch);
    batch.generation = UINT32_MAX;
    begin();
    emit(1, again);
    assert_memory_equal(first, again, HASH_BYTES);
    batch_abort(&batch);
}

/* --- into the ring -------------------------------------------------------------------------------
 */

static void test_the_record_says_what_the_line_does(void **state) {
    struct event event;
    (void)state;
    event_init(&event);
    event.kind = SPAN("login");
    event.client_mac = 0x0200000000ff;
    begin();
    assert_int_equal(batch_emit(&batch, &event, NULL), 0);
    batch_commit(&batch);
    const struct ring_record *record = last_record();
    const char *line = ring_record_line(record).ptr;
    assert_true(record->client_mac == 0x0200000000ff);
    assert_true(record->received_us == RECEIVED_US);
    assert_true(
        span_equals(span_from(line + record->endpoint_offset, record->endpoint_len), SPAN("hq")));
    assert_true(
        span_equals(span_from(line + record->provider_offset, record->provider_len), SPAN("test")));
    assert_true(
        span_equals(span_from(line + record->kind_offset, record->kind_len), SPAN("login")));
    assert_int_equal(line[record->line_len - 1], '\n');
    event.client_mac = MAC_NONE;
    begin();
    assert_int_equal(batch_emit(&batch, &event, NULL), 0);
    batch_commit(&batch);
    assert_true(last_record()->client_mac == MAC_NONE);
}

static void test_an_aborted_batch_leaves_nothing(void **state) {
    uint8_t id[HASH_BYTES];
    uint64_t seq = ring_next_seq(ring);
    (void)state;
    begin();
    emit(1, id);
    emit(2, id);
    assert_int_equal(ring_next_seq(ring), seq + 2);
    batch_abort(&batch);
    assert_int_equal(ring_next_seq(ring), seq);
    begin();
    assert_int_equal(batch.accepted, 0);
    emit(3, id);
    batch_commit(&batch);
    char text[64];
    snprintf(text, sizeof text, "{\"seq\":%llu,", (unsigned long long)seq);
    assert_true(last_line_has(text));
    assert_int_equal(ring_next_seq(ring), seq + 1);
}

static void test_a_batch_that_is_too_large_is_refused(void **state) {
    struct event event;
    static char data[RING_BYTES / 2];
    (void)state;
    event_init(&event);
    event.kind = SPAN("seen");
    memset(data, '1', sizeof data);
    event_set(&event, EVENT_DATA, span_from(data, sizeof data));
    begin();
    assert_int_equal(batch_emit(&batch, &event, NULL), SENDER_BATCH_FULL);
    assert_int_equal(batch.accepted, 0);
    event_set(&event, EVENT_DATA, span_from(data, sizeof data / 4));
    assert_int_equal(batch_emit(&batch, &event, NULL), 0);
    assert_int_equal(batch_emit(&batch, &event, NULL), 0);
    assert_int_equal(batch_emit(&batch, &event, NULL), 0);
    assert_int_equal(batch_emit(&batch, &event, NULL), SENDER_BATCH_FULL);
    assert_int_equal(batch.accepted, 3);
    batch_abort(&batch);
}

/* --- rejections ----------------------------------------------------------------------------------
 */

static void test_the_first_rejection_is_kept(void **state) {
    (void)state;
    begin();
    batch_reject(&batch, "missing", "[%u].observations[%u]", 3, 4);
    batch_reject(&batch, "empty", "[%u]", 5);
    assert_int_equal(batch.rejected, 2);
    assert_string_equal(batch.first_rejection.path, "[3].observations[4]");
    assert_string_equal(batch.first_rejection.message, "missing");
    batch_abort(&batch);
    begin();
    assert_int_equal(batch.rejected, 0);
    batch_reject(&batch, "empty", "%0200d", 1);
    assert_int_equal(strlen(batch.first_rejection.path), sizeof batch.first_rejection.path - 1);
    batch_abort(&batch);
}

static void test_a_kind_at_its_bound(void **state) {
    struct event event;
    char kind[EVENT_MAX_KIND_BYTES + 1];
    (void)state;
    memset(kind, 'k', sizeof kind);
    event_init(&event);
    begin();
    event.kind = span_from(kind, EVENT_MAX_KIND_BYTES);
    assert_int_equal(batch_emit(&batch, &event, NULL), 0);
    assert_int_equal(batch.accepted, 1);
    event.kind = span_from(kind, EVENT_MAX_KIND_BYTES + 1);
    assert_int_equal(batch_emit(&batch, &event, NULL), 0);
    assert_int_equal(batch.accepted, 1);
    assert_int_equal(batch.rejected, 1);
    assert_string_equal(batch.first_rejection.path, "event 1");
    batch_commit(&batch);
}

/* More kinds than there are places for: the last place counts all the others. */
static void test_many_kinds(void **state) {
    struct event event;
    unsigned count = 0;
    (void)state;
    event_init(&event);
    begin();
    for (unsigned i = 0; i < BATCH_KINDS + 5; i++) {
        char kind[16];
        event.kind = span_from(kind, (size_t)snprintf(kind, sizeof kind, "kind-%u", i));
        assert_int_equal(batch_emit(&batch, &event, NULL), 0);
    }
    assert_int_equal(batch.accepted, BATCH_KINDS + 5);
    assert_int_equal(batch.kind_count, BATCH_KINDS);
    for (unsigned i = 0; i < BATCH_KINDS; i++)
        count += batch.kinds[i].count;
    assert_int_equal(count, BATCH_KINDS + 5);
    assert_int_equal(batch.kinds[BATCH_KINDS - 1].len, 0);
    assert_int_equal(batch.kinds[BATCH_KINDS - 1].count, 6);
    batch_commit(&batch);
}

/* --- what cannot be read -------------------------------------------------------------------------
 */

static void keep(struct span body, const char *message, const char *where) {
    begin();
    batch_reject(&batch, "missing", "[0]");
    assert_int_equal(batch_emit_unreadable(&batch, body, message, where), 0);
    assert_int_equal(batch.accepted, 1);
    assert_int_equal(batch.rejected, 0);
    batch_commit(&batch);
}

static void test_an_unreadable_body_is_kept_as_text(void **state) {
    (void)state;
    keep(SPAN("{\"a\":\n\xff\"\\ \xc3\xa9"), "the text ends", "byte 12");
    assert_true(
        last_line_has("\"kind\":\"unreadable\",\"data\":\"{\\\"a\\\":\\n\xef\xbf\xbd\\\"\\\\ "
                      "\xc3\xa9\",\"extra\":{\"error\":\"the text ends\",\"at\":\"byte 12\","
                      "\"bytes\":12}}\n"));
    keep(SPAN(""), "the text is empty", "[\"\x01");
    assert_true(last_line_has("\"data\":\"\",\"extra\":{\"error\":\"the text is empty\","
                              "\"at\":\"[\\\"\\u0001\",\"bytes\":0}}\n"));
    keep((struct span){0}, "", "");
    assert_true(
        last_line_has("\"data\":\"\",\"extra\":{\"error\":\"\",\"at\":\"\",\"bytes\":0}}\n"));
}

static size_t kept_bytes(void) {
    struct span line = ring_record_line(last_record());
    const char *start = memmem(line.ptr, line.len, "\"data\":\"", 8);
    const char *end = memmem(line.ptr, line.len, "\",\"extra\"", 9);
    assert_true(start && end);
    return (size_t)(end - start) - 8;
}

static void test_a_long_body_is_cut(void **state) {
    static char body[BATCH_MAX_UNREADABLE_BYTES + 2];
    struct span text = span_from(body, BATCH_MAX_UNREADABLE_BYTES);
    (void)state;
    memset(body, 'x', sizeof body);
    keep(text, "not JSON", "byte 0");
    assert_int_equal(kept_bytes(), BATCH_MAX_UNREADABLE_BYTES);
    assert_false(last_line_has("truncated"));
    text.len++;
    keep(text, "not JSON", "byte 0");
    assert_int_equal(kept_bytes(), BATCH_MAX_UNREADABLE_BYTES);
    assert_true(last_line_has("\"bytes\":65537,\"truncated\":true}}\n"));
    /* A character of three bytes, of which two would fit. */
    memcpy(body + BATCH_MAX_UNREADABLE_BYTES - 2, "\xe2\x82\xac", 3);
    keep(text, "not JSON", "byte 0");
    assert_int_equal(kept_bytes(), BATCH_MAX_UNREADABLE_BYTES - 2);
    /* Bytes that belong to no character, each of which becomes U+FFFD's three. */
    memset(body, 0x80, sizeof body);
    keep(text, "not JSON", "byte 0");
    assert_int_equal(kept_bytes(), 3 * BATCH_MAX_UNREADABLE_BYTES);
    /* The longest there is: six bytes for one. */
    memset(body, 1, sizeof body);
    keep(text, "not JSON", "byte 0");
    assert_int_equal(kept_bytes(), 6 * BATCH_MAX_UNREADABLE_BYTES);
}

static void test_a_long_problem_is_cut(void **state) {
    char longest[1024], escaped[1024];
    (void)state;
    memset(longest, 1, sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    keep(SPAN("x"), longest, longest);
    size_t len = json_escape(span_from(longest, sizeof((struct problem *)0)->path - 1), escaped);
    escaped[len] = 0;
    assert_true(last_line_has(escaped));
    assert_true(last_line_has("\",\"bytes\":1}}\n"));
}

/* --- duplicates ---------------------------------------------------------------------------------
 */

/* Posts `values` at a time of its own; gives what was accepted and found to be duplicates. */
static void post(const uint64_t *values, unsigned count, int64_t second, unsigned accepted,
                 unsigned duplicates, bool commit) {
    uint8_t id[HASH_BYTES];
    batch_begin(&batch, ring, SPAN("hq"), SPAN("test"), RECEIVED_US + second * 1000000);
    for (unsigned i = 0; i < count; i++)
        emit(values[i], id);
    assert_int_equal(batch_settle(&batch), 0);
    assert_int_equal(batch.accepted, accepted);
    assert_int_equal(batch.duplicates, duplicates);
    if (commit)
        batch_commit(&batch);
    else
        batch_abort(&batch);
}

static void open_window(enum batch_duplicates mode, uint32_t window_s) {
    batch.mode = mode;
    assert_int_equal(dedupe_new(&batch.dedupe, 1000, window_s), 0);
}

static void close_window(void) {
    dedupe_free(batch.dedupe);
    batch.dedupe = NULL;
    batch.mode = BATCH_KEEP;
}

/* Three identical observations in one POST are three events; the same POST again is three repeats;
 * a POST with one more of them has one new event. */
static void test_repeats_are_dropped(void **state) {
    static const uint64_t same[] = {7, 7, 7, 7}, others[] = {1, 2, 7};
    uint64_t seq = ring_next_seq(ring);
    (void)state;
    open_window(BATCH_DROP, 100);
    post(same, 3, 0, 3, 0, true);
    post(same, 3, 1, 0, 3, true);
    post(same, 4, 2, 1, 3, true);
    post(others, 3, 3, 2, 1, true);
    assert_int_equal(ring_next_seq(ring), seq + 6);
    close_window();
}

static void test_repeats_are_marked(void **state) {
    static const uint64_t values[] = {20, 21};
    (void)state;
    open_window(BATCH_MARK, 100);
    post(values, 2, 0, 2, 0, true);
    assert_false(last_line_has("\"duplicate\""));
    post(values, 2, 1, 2, 2, true);
    assert_true(last_line_has(",\"duplicate\":true}"));
    close_window();
}

static void test_no_window_no_repeats(void **state) {
    static const uint64_t values[] = {30};
    (void)state;
    post(values, 1, 0, 1, 0, true);
    post(values, 1, 0, 1, 0, true);
}

/* The sender was told that its POST was not kept: its retry is new. */
static void test_an_aborted_post_is_no_first_time(void **state) {
    static const uint64_t values[] = {40, 41};
    (void)state;
    open_window(BATCH_DROP, 100);
    post(values, 2, 0, 2, 0, false);
    post(values, 2, 1, 2, 0, true);
    post(values, 2, 2, 0, 2, false);
    post(values, 2, 3, 0, 2, true);
    close_window();
}

/* HiveManager: one stale record in every post of a day, every ten minutes, beside new ones. */
static void test_a_hivemanager_day(void **state) {
    (void)state;
    open_window(BATCH_DROP, 4 * 3600);
    for (uint64_t n = 0; n < 144; n++) {
        uint64_t values[] = {50, 1000 + 2 * n, 1001 + 2 * n};
        post(values, 3, (int64_t)n * 600, n ? 2 : 3, n != 0, true);
    }
    close_window();
}

/* BT: the same visit again every three hours until it is answered in time. */
static void test_a_resend_every_three_hours(void **state) {
    static const uint64_t visit[] = {60};
    (void)state;
    open_window(BATCH_DROP, 4 * 3600);
    for (int n = 0; n < 10; n++)
        post(visit, 1, n * 3 * 3600, n == 0, n != 0, true);
    post(visit, 1, (27 + 4) * 3600 + 1, 1, 0, true); /* past the window since the last time */
    close_window();
}

/* PubNub: three more copies, five seconds apart, and other events in between. */
static void test_three_retries(void **state) {
    (void)state;
    open_window(BATCH_DROP, 4 * 3600);
    for (uint64_t n = 0; n < 4; n++) {
        uint64_t values[] = {70};
        uint64_t others[] = {71 + n};
        post(values, 1, (int64_t)n * 5, n == 0, n != 0, true);
        post(others, 1, (int64_t)n * 5 + 1, 1, 0, true);
    }
    close_window();
}

/* --- privacy -------------------------------------------------------------------------------------
 */

static void hide(enum privacy_mode mode, const char *key, uint64_t rotate_ms) {
    struct privacy_options options = {mode, mode, span_from_string(key), rotate_ms};
    assert_int_equal(privacy_new(&batch.privacy, &options), 0);
}

static void hide_no_more(void) {
    privacy_free(batch.privacy);
    batch.privacy = NULL;
}

#define SOME_KEY  "a key of 16 byte"
#define OTHER_KEY "another, of more than sixteen"

/* Who has no key cannot try out which address an id was made of; who has it gets the same id. */
static void test_private_ids(void **state) {
    uint8_t public_id[HASH_BYTES], ids[3][HASH_BYTES];
    static const char *const keys[] = {SOME_KEY, SOME_KEY, OTHER_KEY};
    (void)state;
    begin();
    emit(1, public_id);
    batch_abort(&batch);
    for (unsigned i = 0; i < 3; i++) {
        hide(PRIVACY_PSEUDONYM, keys[i], i ? 60000 : 0);
        begin();
        emit(1, ids[i]);
        batch_abort(&batch);
        hide_no_more();
    }
    assert_memory_not_equal(ids[0], public_id, HASH_BYTES);
    assert_memory_equal(ids[0], ids[1], HASH_BYTES);
    assert_memory_not_equal(ids[0], ids[2], HASH_BYTES);
}

/* Also where the pseudonyms have changed in between. */
static void test_private_repeats_are_known(void **state) {
    static const uint64_t values[] = {80, 80, 81};
    (void)state;
    hide(PRIVACY_PSEUDONYM, SOME_KEY, 60000);
    open_window(BATCH_DROP, 4 * 3600);
    post(values, 3, 0, 3, 0, false);
    post(values, 3, 0, 3, 0, true);
    post(values, 3, 61, 0, 3, true);
    close_window();
    open_window(BATCH_MARK, 4 * 3600);
    post(values, 3, 0, 3, 0, true);
    assert_false(last_line_has("\"duplicate\""));
    post(values, 3, 61, 3, 3, true);
    assert_true(last_line_has(",\"duplicate\":true}"));
    close_window();
    hide_no_more();
}

static void test_the_senders_event_stays_as_it_is(void **state) {
    struct event event;
    uint64_t mac[2];
    (void)state;
    hide(PRIVACY_PSEUDONYM, SOME_KEY, 0);
    event_init(&event);
    event.kind = SPAN("seen");
    event.client_mac = 0xa0d795114f3c;
    event_set(&event, EVENT_USER_ID, SPAN("ada"));
    begin();
    for (unsigned i = 0; i < 2; i++) { /* a sender emits one event several times */
        assert_int_equal(batch_emit(&batch, &event, NULL), 0);
        batch_commit(&batch);
        mac[i] = last_record()->client_mac;
        assert_true(last_line_has("\"user\":{\"id\":\"p-"));
    }
    assert_int_equal(mac[0], mac[1]);
    assert_int_not_equal(mac[0], event.client_mac);
    assert_int_equal(event.client_mac, 0xa0d795114f3c);
    hide_no_more();
    hide(PRIVACY_DROP, SOME_KEY, 0);
    begin();
    assert_int_equal(batch_emit(&batch, &event, NULL), 0);
    batch_commit(&batch);
    assert_true(last_record()->client_mac == MAC_NONE);
    assert_true(last_line_has("\"kind\":\"seen\"}\n"));
    hide_no_more();
}

/* 8 MiB of ids of one byte would become 80 MiB of pseudonyms. */
static void test_what_grows_too_large_is_refused(void **state) {
    enum { ITEMS = RING_BYTES / 8 };
    static char ids[2 * ITEMS + 1];
    struct event event;
    (void)state;
    for (size_t i = 0; i < ITEMS; i++)
        memcpy(ids + 2 * i, ",1", 2);
    ids[0] = '[';
    ids[2 * ITEMS] = ']';
    hide(PRIVACY_PSEUDONYM, SOME_KEY, 0);
    event_init(&event);
    event.kind = SPAN("interval");
    event_set(&event, EVENT_CHANNEL_JOINED, span_from(ids, sizeof ids));
    begin();
    assert_int_equal(batch_emit(&batch, &event, NULL), SENDER_BATCH_FULL);
    batch_abort(&batch);
    hide_no_more();
}

static void test_an_unreadable_body_is_withheld(void **state) {
    static const char tail[] =
        "\"kind\":\"unreadable\",\"extra\":{\"error\":\"not JSON\",\"at\":\"byte 0\","
        "\"bytes\":3,\"withheld\":true}}\n";
    (void)state;
    for (int drop = 0; drop < 2; drop++) {
        hide(drop ? PRIVACY_DROP : PRIVACY_PSEUDONYM, SOME_KEY, 0);
        keep(SPAN("Ada"), "not JSON", "byte 0");
        assert_true(last_line_has(tail));
        hide_no_more();
    }
    keep(SPAN("Ada"), "not JSON", "byte 0");
    assert_true(last_line_has("\"data\":\"Ada\""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_post_has_the_same_ids),
        cmocka_unit_test(test_ids_are_what_they_have_always_been),
        cmocka_unit_test(test_no_identity_is_a_new_id),
        cmocka_unit_test(test_many_identities),
        cmocka_unit_test(test_a_large_table_is_given_back),
        cmocka_unit_test(test_generations_wrap),
        cmocka_unit_test(test_the_record_says_what_the_line_does),
        cmocka_unit_test(test_an_aborted_batch_leaves_nothing),
        cmocka_unit_test(test_a_batch_that_is_too_large_is_refused),
        cmocka_unit_test(test_the_first_rejection_is_kept),
        cmocka_unit_test(test_a_kind_at_its_bound),
        cmocka_unit_test(test_many_kinds),
        cmocka_unit_test(test_repeats_are_dropped),
        cmocka_unit_test(test_repeats_are_marked),
        cmocka_unit_test(test_no_window_no_repeats),
        cmocka_unit_test(test_an_aborted_post_is_no_first_time),
        cmocka_unit_test(test_a_hivemanager_day),
        cmocka_unit_test(test_a_resend_every_three_hours),
        cmocka_unit_test(test_three_retries),
        cmocka_unit_test(test_an_unreadable_body_is_kept_as_text),
        cmocka_unit_test(test_a_long_body_is_cut),
        cmocka_unit_test(test_a_long_problem_is_cut),
        cmocka_unit_test(test_private_ids),
        cmocka_unit_test(test_private_repeats_are_known),
        cmocka_unit_test(test_the_senders_event_stays_as_it_is),
        cmocka_unit_test(test_what_grows_too_large_is_refused),
        cmocka_unit_test(test_an_unreadable_body_is_withheld),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
