/* PubNub's posts: all forms that its services have sent, and what is wrong with some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch.h"
#include "sender_harness.h"

static const struct sender_sample samples[] = {
    {"flat", 1, 0, NULL, NULL},           {"flat_all", 7, 0, NULL, NULL},
    {"flat_schema", 3, 0, NULL, NULL},    {"actions", 2, 0, NULL, NULL},
    {"actions_all", 8, 0, NULL, NULL},    {"envelope", 1, 0, NULL, NULL},
    {"envelope_batch", 2, 0, NULL, NULL}, {"envelope_disagrees", 3, 0, NULL, NULL},
    {"envelope_1", 6, 0, NULL, NULL},     {"free_data", 2, 0, NULL, NULL},
    {"unknown", 7, 0, NULL, NULL},        {"nulls", 4, 0, NULL, NULL},
    {"misfits", 4, 0, NULL, NULL},        {"aliases", 3, 0, NULL, NULL},
    {"duplicates", 1, 0, NULL, NULL},     {"escapes", 5, 0, NULL, NULL},
    {"extra", 2, 0, NULL, NULL},          {"broken", 3, 16, "[0]", "not an object"},
    {"empty_array", 0, 0, NULL, NULL},    {"empty_data", 0, 0, NULL, NULL},
};

static void test_samples(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        sender_harness_check("pubnub", &samples[i]);
}

#define JOINED "pubnub.com/schemas/events/presence.user.channel.joined?v=1.0.0"

static void test_wrong_shapes(void **state) {
    static const struct {
        const char *body, *path, *message;
    } cases[] = {
        {"1", "(root)", "neither an array nor an object"},
        {"null", "(root)", "neither an array nor an object"},
        {"[1]", "[0]", "not an object"},
        {"{}", "action", "missing"},
        {"[{}]", "[0].action", "missing"},
        {"{\"action\":null,\"channel\":\"c\"}", "action", "missing"},
        {"{\"action\":7,\"channel\":\"c\"}", "action", "not a string"},
        {"{\"action\":\"\",\"channel\":\"c\"}", "action", "empty"},
        {"{\"action\":\"join\"}", "channel", "missing"},
        {"{\"action\":\"join\",\"channel\":[]}", "channel", "not a string"},
        {"{\"action\":\"wave\"}", "channel", "missing"},
        {"{\"occupancy\":7}", "channel", "missing"},
        {"{\"occupancy\":7,\"uuid\":\"u\",\"channel\":\"c\"}", "action", "missing"},
        {"{\"schema\":\"\",\"channel\":\"c\"}", "schema", "empty"},
        {"{\"schema\":7,\"channel\":\"c\"}", "schema", "not a string"},
        {"{\"schema\":\"" JOINED "\"}", "channel", "missing"},
        {"{\"schema\":\"" JOINED "\",\"data\":[{\"channel\":null}]}", "data[0].channel", "missing"},
        {"{\"schema\":\"" JOINED "\",\"data\":[7]}", "data[0]", "not an object"},
        {"{\"data\":[{\"channel\":\"c\"}]}", "data[0].action", "missing"},
        {"{\"data\":{\"channel\":\"c\"}}", "data.action", "missing"},
        {"{\"event\":{}}", "event.action", "missing"},
        {"{\"event\":{\"payload\":{}}}", "event.payload.action", "missing"},
        {"[[],{\"event\":{\"payload\":{\"dataSchema\":\"" JOINED "\",\"data\":[{}]}}}]", "[0]",
         "not an object"},
        {"[{\"event\":{\"payload\":{\"dataSchema\":\"" JOINED "\",\"data\":[{}]}}}]",
         "[0].event.payload.data[0].channel", "missing"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sender_outcome outcome =
            sender_harness_parse("pubnub", span_from_string(cases[i].body));
        if (outcome.rc != SENDER_WRONG_SHAPE || strcmp(outcome.first.path, cases[i].path) ||
            strcmp(outcome.first.message, cases[i].message))
            fail_msg("%s: %d %s: %s", cases[i].body, outcome.rc, outcome.first.path,
                     outcome.first.message);
    }
}

static void read_id(const char *body, char id[2 * HASH_BYTES]) {
    struct sender_outcome outcome = sender_harness_parse("pubnub", span_from_string(body));
    const char *found = memmem(outcome.lines.ptr, outcome.lines.len, "\"id\":\"", 6);
    assert_non_null(found);
    memcpy(id, found + 6, 2 * HASH_BYTES);
}

struct identity_case {
    const char *body;
    bool same;
};

static void check_identities(const char *first, const struct identity_case *cases, size_t count) {
    char id[2 * HASH_BYTES], other[2 * HASH_BYTES];
    read_id(first, id);
    for (size_t i = 0; i < count; i++) {
        read_id(cases[i].body, other);
        if ((memcmp(id, other, sizeof id) == 0) != cases[i].same)
            fail_msg("%s", cases[i].body);
    }
}

#define FLAT(action, key, channel, uuid, time)                                                     \
    "{\"action\":\"" action "\",\"sub_key\":\"" key "\",\"channel\":\"" channel                    \
    "\",\"uuid\":\"" uuid "\",\"timestamp\":" time ",\"occupancy\":1}"

/* Without an id: what happened, where, to whom and when, in whatever form it is said. */
static void test_identity_of_content(void **state) {
    static const struct identity_case cases[] = {
        {FLAT("join", "k", "c", "u", "\"2026-01-05T10:11:58Z\""), true},
        {"{\"schema\":\"" JOINED "\",\"data\":[{\"subKey\":\"k\",\"channel\":\"c\",\"userId\":"
         "\"u\",\"timestamp\":\"1767607918\",\"occupancy\":\"7\"}]}",
         true},
        {FLAT("leave", "k", "c", "u", "1767607918"), false},
        {FLAT("join", "l", "c", "u", "1767607918"), false},
        {FLAT("join", "k", "d", "u", "1767607918"), false},
        {FLAT("join", "k", "c", "v", "1767607918"), false},
        {FLAT("join", "k", "c", "u", "1767607919"), false},
        {FLAT("join", "k", "c", "u", "null"), false},
    };
    (void)state;
    check_identities(FLAT("join", "k", "c", "u", "1767607918"), cases,
                     sizeof cases / sizeof *cases);
}

#define ENVELOPED(event_id, key, id, attempt)                                                      \
    "{\"event\":{\"id\":" event_id ",\"payload\":{\"dataSchema\":\"" JOINED                        \
    "\",\"data\":[{\"id\":" id ",\"channel\":\"c\",\"subKey\":\"" key "\"}]}},\"metadata\":"       \
    "{\"provenance\":{\"action\":{\"invocation\":{\"id\":\"i\",\"attempt\":" attempt "}}}}}"

/* With an id, it and the key count, and the number of the attempt does not. */
static void test_identity_by_id(void **state) {
    static const struct identity_case cases[] = {
        {ENVELOPED("\"e\"", "k", "\"d-1\"", "2"), true},
        {ENVELOPED("\"f\"", "k", "\"d-1\"", "3"), true},
        {ENVELOPED("\"e\"", "k", "\"d-2\"", "1"), false},
        {ENVELOPED("\"e\"", "l", "\"d-1\"", "1"), false},
        {ENVELOPED("\"e\"", "k", "\"\"", "1"), false},
        {ENVELOPED("\"e\"", "k", "null", "1"), false},
        {"{\"schema\":\"" JOINED "\",\"data\":[{\"id\":\"d-1\",\"channel\":\"c\",\"sub_key\":"
         "\"k\",\"timestamp\":1767607918}]}",
         true},
        {"{\"event\":{\"eventId\":\"d-1\",\"eventType\":\"join\",\"channel\":\"c\","
         "\"subscribeKey\":\"k\"}}",
         true},
    };
    (void)state;
    check_identities(ENVELOPED("\"e\"", "k", "\"d-1\"", "1"), cases, sizeof cases / sizeof *cases);
}

/* Who joins twice without a time has joined twice. */
static void test_no_identity_without_time(void **state) {
    static const char body[] = "{\"action\":\"join\",\"channel\":\"c\",\"uuid\":\"u\"}";
    char first[2 * HASH_BYTES], second[2 * HASH_BYTES];
    (void)state;
    read_id(body, first);
    read_id(body, second);
    assert_memory_not_equal(first, second, sizeof first);
}

/* The longest kind there may be, and one character more, which costs the others nothing. */
static void test_long_kinds(void **state) {
    char body[1024];
    (void)state;
    for (unsigned extra = 0; extra <= 1; extra++) {
        int len = snprintf(body, sizeof body,
                           "[{\"action\":\"%0*u\",\"channel\":\"c\"},"
                           "{\"action\":\"join\",\"channel\":\"c\"}]",
                           EVENT_MAX_KIND_BYTES + (int)extra, 0);
        struct sender_outcome outcome =
            sender_harness_parse("pubnub", span_from(body, (size_t)len));
        assert_int_equal(outcome.rc, SENDER_OK);
        assert_int_equal(outcome.accepted, 2 - extra);
        assert_int_equal(outcome.rejected, extra);
    }
}

/* One item after the other, as the service batches them. `broken` has a misspelt member. */
static size_t write_batch(char *body, size_t size, int count, int broken, int note_bytes) {
    size_t len = (size_t)snprintf(body, size, "{\"schema\":\"" JOINED "\",\"note\":\"%0*d\",",
                                  note_bytes, 0);
    len += (size_t)snprintf(body + len, size - len, "\"data\":[");
    for (int i = 0; i < count; i++)
        len += (size_t)snprintf(body + len, size - len,
                                "{\"id\":\"i-%d\",\"%s\":\"c%d\",\"userId\":\"u\"},", i,
                                i == broken ? "canal" : "channel", i);
    return len + (size_t)snprintf(body + len - 1, size - len + 1, "]}") - 1;
}

/* The most that the service sends at once, with one broken item among them. It takes a larger ring
 * than the harness has. */
static void test_full_batch(void **state) {
    enum { COUNT = 10000, BROKEN = 4321, BODY_BYTES = COUNT * 64 + 1024, RING_BYTES = 16 << 20 };
    char *body = calloc(1, BODY_BYTES + JSON_PADDING);
    struct json_parser *parser = json_parser_new();
    struct batch batch = {0};
    struct problem problem;
    struct json_doc doc;
    struct json_error error;
    struct ring *ring;
    (void)state;
    assert_non_null(body);
    assert_non_null(parser);
    size_t len = write_batch(body, BODY_BYTES, COUNT, BROKEN, 1);
    assert_int_equal(json_parse(parser, body, len, &doc, &error), 0);
    assert_int_equal(ring_new(&ring, RING_BYTES), 0);
    batch_begin(&batch, ring, SPAN("lobby"), SPAN("pubnub"), INT64_C(1767607933456789));
    assert_int_equal(sender_parse(sender_find(SPAN("pubnub")), &doc, &batch, &problem), SENDER_OK);
    assert_int_equal(batch.accepted, COUNT - 1);
    assert_int_equal(batch.rejected, 1);
    assert_string_equal(batch.first_rejection.path, "data[4321].channel");
    batch_commit(&batch);
    struct ring_cursor cursor = ring_oldest(ring);
    const struct ring_record *record;
    char name[32];
    for (int i = 0; i < COUNT; i++) {
        if (i == BROKEN)
            continue;
        assert_int_equal(ring_next(ring, &cursor, &record), RING_OK);
        struct span line = ring_record_line(record);
        int name_len = snprintf(name, sizeof name, "\"name\":\"c%d\",", i);
        assert_non_null(memmem(line.ptr, line.len, name, (size_t)name_len));
    }
    assert_int_equal(ring_next(ring, &cursor, &record), RING_EMPTY);
    ring_free(ring);
    batch_deinit(&batch);
    json_parser_free(parser);
    free(body);
}

/* Each item repeats what stands around them, unless that is so much that the lines would outgrow
 * the body by far: then the first one has it. */
static void test_leftovers_are_not_multiplied(void **state) {
    enum { COUNT = 1000, NOTE_BYTES = 100000, BODY_BYTES = COUNT * 64 + NOTE_BYTES + 1024 };
    char *body = malloc(BODY_BYTES);
    assert_non_null(body);
    (void)state;
    size_t len = write_batch(body, BODY_BYTES, COUNT, -1, NOTE_BYTES);
    struct sender_outcome outcome = sender_harness_parse("pubnub", span_from(body, len));
    assert_int_equal(outcome.rc, SENDER_OK);
    assert_int_equal(outcome.accepted, COUNT);
    assert_in_range(outcome.lines.len, NOTE_BYTES, NOTE_BYTES + COUNT * 300);
    static const char tail[] = "\"channel\":{\"name\":\"c999\",\"uuid\":\"u\"},\"extra\":{\"id\":"
                               "\"i-999\"}}\n";
    assert_memory_equal(outcome.lines.ptr + outcome.lines.len - (sizeof tail - 1), tail,
                        sizeof tail - 1);
    free(body);
}

static void test_unreadable_is_kept(void **state) {
    (void)state;
    assert_true(sender_find(SPAN("pubnub"))->keep_unreadable);
    assert_false(sender_find(SPAN("pubnub"))->answers_get);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_wrong_shapes),
        cmocka_unit_test(test_identity_of_content),
        cmocka_unit_test(test_identity_by_id),
        cmocka_unit_test(test_no_identity_without_time),
        cmocka_unit_test(test_long_kinds),
        cmocka_unit_test(test_full_batch),
        cmocka_unit_test(test_leftovers_are_not_multiplied),
        cmocka_unit_test(test_unreadable_is_kept),
    };
    return cmocka_run_group_tests(tests, sender_harness_setup, sender_harness_teardown);
}
