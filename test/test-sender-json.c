/* The json sender; and what all senders share: members taken, leftovers, times, the registry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch.h"
#include "sender_harness.h"

static struct json_parser *parser;

static int setup(void **state) {
    parser = json_parser_new();
    return parser ? sender_harness_setup(state) : -1;
}

static int teardown(void **state) {
    json_parser_free(parser);
    return sender_harness_teardown(state);
}

static void test_samples(void **state) {
    static const struct sender_sample samples[] = {
        {"object", 1, 0, NULL, NULL}, {"array", 1, 0, NULL, NULL},  {"null", 1, 0, NULL, NULL},
        {"number", 1, 0, NULL, NULL}, {"string", 1, 0, NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        sender_harness_check("json", &samples[i]);
}

static void test_registry(void **state) {
    (void)state;
    assert_ptr_equal(sender_find(SPAN("aerohive")), &sender_aerohive);
    assert_ptr_equal(sender_find(SPAN("json")), &sender_json);
    assert_null(sender_find(SPAN("jso")));
    assert_null(sender_find(SPAN("jsonx")));
    assert_null(sender_find(SPAN("")));
    for (const struct sender *const *sender = senders; *sender; sender++) {
        assert_ptr_equal(sender_find(span_from_string((*sender)->name)), *sender);
        assert_in_range(strlen((*sender)->name), 1, EVENT_MAX_NAME_BYTES);
    }
}

static void test_problems_are_cut(void **state) {
    struct problem problem;
    char longest[200];
    (void)state;
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    problem_set(&problem, longest, "%s", longest);
    assert_int_equal(strlen(problem.path), sizeof problem.path - 1);
    assert_int_equal(strlen(problem.message), sizeof problem.message - 1);
}

/* --- members -------------------------------------------------------------------------------------
 */

static struct json_doc document(const char *text) {
    struct json_doc doc;
    struct json_error error;
    size_t len = strlen(text);
    char *padded = calloc(1, len + JSON_PADDING);
    assert_non_null(padded);
    memcpy(padded, text, len);
    if (json_parse(parser, padded, len, &doc, &error))
        fail_msg("%s at %zu: %s", error.message, error.offset, text);
    return doc;
}

static void forget(struct json_doc *doc) {
    free((char *)doc->text);
}

enum { NODE_A, NODE_B, NODES };

static const struct member members[] = {
    MEMBER("text", TAKE_TEXT, EVENT_SSID),
    MEMBER("number", TAKE_NUMBER, EVENT_RSSI),
    MEMBER("raw", TAKE_RAW, EVENT_DATA),
    MEMBER("client", TAKE_CLIENT_MAC, 0),
    MEMBER("ap", TAKE_AP_MAC, 0),
    MEMBER("a", TAKE_NODE, NODE_A),
    MEMBER("ignored", TAKE_IGNORE, 0),
    MEMBER("a name of up to 25 bytes.", TAKE_TEXT, EVENT_TENANT),
    MEMBER("b", TAKE_NODE, NODE_B),
};

static unsigned take(struct json_doc *doc, struct event *event, uint32_t nodes[NODES]) {
    event_init(event);
    memset(nodes, 0, NODES * sizeof *nodes);
    return sender_take_members(doc, 0, members, sizeof members / sizeof *members, event, nodes);
}

/* What is left, as `extra` shows it. */
static void expect_left(const struct json_doc *doc, const char *expected) {
    char text[1024];
    assert_in_range(event_leftovers_bound(doc, 0), 0, sizeof text);
    struct span left = span_from(text, event_leftovers_write(doc, 0, text));
    if (!span_equals(left, span_from_string(expected)))
        fail_msg("%.*s, expected %s", SPAN_ARG(left), expected);
}

static bool field_is(const struct event *event, enum event_field field, const char *text) {
    if (!text)
        return !event_has(event, field);
    return event_has(event, field) && span_equals(event->fields[field], span_from_string(text));
}

static void test_values(void **state) {
    static const struct {
        const char *body, *ssid, *rssi, *data, *left;
    } cases[] = {
        {"{\"text\":\"\"}", "", NULL, NULL, ""},
        {"{\"text\":\"a\\nb\"}", "a\\nb", NULL, NULL, ""},
        {"{\"text\":-1.50}", "-1.50", NULL, NULL, ""},
        {"{\"text\":true}", "true", NULL, NULL, ""},
        {"{\"text\":false}", "false", NULL, NULL, ""},
        {"{\"text\":null}", NULL, NULL, NULL, ""},
        {"{\"text\":[]}", NULL, NULL, NULL, "\"text\":[]"},
        {"{\"text\":{}}", NULL, NULL, NULL, "\"text\":{}"},
        {"{\"number\":-1.50}", NULL, "-1.50", NULL, ""},
        {"{\"number\":\"-1.50\"}", NULL, "-1.50", NULL, ""},
        {"{\"number\":\" 7 \"}", NULL, "7", NULL, ""},
        {"{\"number\":\"\"}", NULL, NULL, NULL, ""},
        {"{\"number\":\" \"}", NULL, NULL, NULL, ""},
        {"{\"number\":\"NaN\"}", NULL, NULL, NULL, ""},
        {"{\"number\":\"nan\"}", NULL, NULL, NULL, ""},
        {"{\"number\":null}", NULL, NULL, NULL, ""},
        {"{\"number\":\"Infinity\"}", NULL, NULL, NULL, "\"number\":\"Infinity\""},
        {"{\"number\":\"007\"}", NULL, NULL, NULL, "\"number\":\"007\""},
        {"{\"number\":\"0x7\"}", NULL, NULL, NULL, "\"number\":\"0x7\""},
        {"{\"number\":\"7 8\"}", NULL, NULL, NULL, "\"number\":\"7 8\""},
        {"{\"number\":\"\\u0037\"}", NULL, NULL, NULL, "\"number\":\"\\u0037\""},
        {"{\"number\":true}", NULL, NULL, NULL, "\"number\":true"},
        {"{\"number\":[ 7 ]}", NULL, NULL, NULL, "\"number\":[7]"},
        {"{\"raw\":{ \"x\": [1] }}", NULL, NULL, "{ \"x\": [1] }", ""},
        {"{\"raw\":\"x\"}", NULL, NULL, "\"x\"", ""},
        {"{\"raw\":null}", NULL, NULL, NULL, ""},
        {"{\"ignored\":{\"x\":1}}", NULL, NULL, NULL, ""},
        {"{\"ignored\":null}", NULL, NULL, NULL, ""},
        {"{}", NULL, NULL, NULL, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct event event;
        uint32_t nodes[NODES];
        struct json_doc doc = document(cases[i].body);
        unsigned left = take(&doc, &event, nodes);
        if (!field_is(&event, EVENT_SSID, cases[i].ssid) ||
            !field_is(&event, EVENT_RSSI, cases[i].rssi) ||
            !field_is(&event, EVENT_DATA, cases[i].data))
            fail_msg("%s", cases[i].body);
        assert_int_equal(left, *cases[i].left != 0);
        expect_left(&doc, cases[i].left);
        forget(&doc);
    }
}

static void test_macs(void **state) {
    struct event event;
    uint32_t nodes[NODES];
    (void)state;
    struct json_doc doc =
        document("{\"client\":\"02-00-00-00-00-FF\",\"ap\":\"08ea\\u00344a1b2c0\"}");
    assert_int_equal(take(&doc, &event, nodes), 0);
    assert_true(event.client_mac == 0x0200000000ff);
    assert_true(event.ap_mac == 0x08ea44a1b2c0);
    forget(&doc);
    doc = document("{\"client\":\"\",\"ap\":null}");
    assert_int_equal(take(&doc, &event, nodes), 0);
    assert_true(event.client_mac == MAC_NONE && event.ap_mac == MAC_NONE);
    forget(&doc);
    doc = document("{\"client\":\"NaN\",\"ap\":112233445566}");
    assert_int_equal(take(&doc, &event, nodes), 2);
    assert_true(event.client_mac == MAC_NONE && event.ap_mac == MAC_NONE);
    expect_left(&doc, "\"client\":\"NaN\",\"ap\":112233445566");
    forget(&doc);
}

static void test_any_order_and_escaped_names(void **state) {
    struct event event;
    uint32_t nodes[NODES];
    (void)state;
    struct json_doc doc =
        document("{\"b\":{\"x\":1},\"a nam\\u0065 of up to 25 bytes.\":1,\"other\":2,\"numbe\":3,"
                 "\"numbers\":4,\"TEXT\":5,\"a\":[6],\"n\\u0075mber\":7,\"text\":8,"
                 "\"a name of up to 25 bytes!\":9}");
    assert_int_equal(take(&doc, &event, nodes), 5);
    assert_true(field_is(&event, EVENT_TENANT, "1"));
    assert_true(field_is(&event, EVENT_RSSI, "7"));
    assert_true(field_is(&event, EVENT_SSID, "8"));
    assert_true(span_equals(json_raw(&doc, nodes[NODE_A]), SPAN("[6]")));
    assert_true(span_equals(json_raw(&doc, nodes[NODE_B]), SPAN("{\"x\":1}")));
    /* Of `b` nothing was taken. */
    expect_left(&doc, "\"b\":{\"x\":1},\"other\":2,\"numbe\":3,\"numbers\":4,\"TEXT\":5,"
                      "\"a name of up to 25 bytes!\":9");
    forget(&doc);
}

/* Names and the quotes behind them are compared 16 bytes at once: at that, past it, and at the
 * longest. */
static const struct member long_members[] = {
    MEMBER("15 bytes, quote", TAKE_TEXT, EVENT_USER_ID),
    MEMBER("sixteen bytes 16", TAKE_TEXT, EVENT_SSID),
    MEMBER("17 bytes one past", TAKE_TEXT, EVENT_TENANT),
    MEMBER("25 bytes, the longest one", TAKE_TEXT, EVENT_VENUE_ID),
};

static void test_each_byte_of_a_name_counts(void **state) {
    (void)state;
    for (size_t m = 0; m < sizeof long_members / sizeof *long_members; m++) {
        const struct member *member = &long_members[m];
        for (size_t at = 0; at <= member->name_len; at++) {
            struct event event;
            char text[64];
            event_init(&event);
            size_t len =
                (size_t)snprintf(text, sizeof text, "{\"%.*s\":1}", member->name_len, member->name);
            if (at < member->name_len)
                text[2 + at]++;
            struct json_doc doc = document(text);
            unsigned left = sender_take_members(&doc, 0, long_members, 4, &event, NULL);
            assert_int_equal(left, at < member->name_len);
            assert_int_equal(field_is(&event, (enum event_field)member->target, "1"), !left);
            assert_in_range(len, 1, sizeof text - 1);
            forget(&doc);
        }
    }
}

static void test_what_is_no_object_has_no_members(void **state) {
    struct event event;
    uint32_t nodes[NODES];
    (void)state;
    struct json_doc doc = document("[\"text\",1]");
    assert_int_equal(take(&doc, &event, nodes), 0);
    assert_true(event.present == 0);
    forget(&doc);
}

static void test_the_last_of_duplicates_wins(void **state) {
    static const struct {
        const char *body, *ssid, *rssi, *data, *left;
    } cases[] = {
        {"{\"text\":1,\"text\":2,\"text\":3}", "3", NULL, NULL, ""},
        {"{\"text\":1,\"te\\u0078t\":null}", NULL, NULL, NULL, ""},
        {"{\"text\":1,\"text\":[2]}", NULL, NULL, NULL, "\"text\":[2]"},
        {"{\"text\":[1],\"text\":2}", "2", NULL, NULL, ""},
        {"{\"number\":\"x\",\"number\":\"y\"}", NULL, NULL, NULL, "\"number\":\"y\""},
        {"{\"raw\":{\"x\":1},\"raw\":{\"y\":1}}", NULL, NULL, "{\"y\":1}", ""},
        {"{\"u\":1,\"v\":2,\"u\":3,\"w\":4,\"\\u0075\":5,\"v\":6}", NULL, NULL, NULL,
         "\"w\":4,\"\\u0075\":5,\"v\":6"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct event event;
        uint32_t nodes[NODES];
        struct json_doc doc = document(cases[i].body);
        unsigned left = take(&doc, &event, nodes), commas = 0;
        if (!field_is(&event, EVENT_SSID, cases[i].ssid) ||
            !field_is(&event, EVENT_RSSI, cases[i].rssi) ||
            !field_is(&event, EVENT_DATA, cases[i].data))
            fail_msg("%s", cases[i].body);
        for (const char *p = cases[i].left; *p; p++)
            commas += *p == ',';
        assert_int_equal(left, *cases[i].left ? commas + 1 : 0);
        expect_left(&doc, cases[i].left);
        forget(&doc);
    }
    struct event event;
    uint32_t nodes[NODES];
    struct json_doc doc =
        document("{\"client\":\"020000000001\",\"client\":\"hash\",\"ap\":\"020000000001\","
                 "\"ap\":null,\"a\":1,\"a\":2,\"b\":{\"x\":1},\"b\":{\"y\":1}}");
    assert_int_equal(take(&doc, &event, nodes), 1);
    assert_true(event.client_mac == MAC_NONE && event.ap_mac == MAC_NONE);
    assert_true(span_equals(json_raw(&doc, nodes[NODE_A]), SPAN("2")));
    expect_left(&doc, "\"client\":\"hash\",\"b\":{\"y\":1}");
    forget(&doc);
}

/* "u0":0, and so on, and then "u0":1: one name twice among count + 1 members. */
static struct json_doc document_of_unknown(unsigned count) {
    char text[1024];
    size_t len = 0;
    text[len++] = '{';
    for (unsigned i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "\"u%u\":0,", i);
    snprintf(text + len, sizeof text - len, "\"u0\":1}");
    return document(text);
}

static void test_unknown_duplicates_at_the_bound(void **state) {
    struct event event;
    uint32_t nodes[NODES];
    (void)state;
    struct json_doc doc = document_of_unknown(SENDER_MAX_COMPARED - 1);
    assert_int_equal(take(&doc, &event, nodes), SENDER_MAX_COMPARED - 1);
    forget(&doc);
    doc = document_of_unknown(SENDER_MAX_COMPARED);
    assert_int_equal(take(&doc, &event, nodes), SENDER_MAX_COMPARED + 1);
    forget(&doc);
}

static void test_strings_for_looking_at(void **state) {
    char scratch[SENDER_SCRATCH_BYTES], text[SENDER_SCRATCH_BYTES + 32];
    (void)state;
    for (int over = 0; over < 2; over++) {
        size_t len = SENDER_SCRATCH_BYTES + (size_t)over;
        memset(text, 'x', sizeof text);
        text[0] = '"';
        memcpy(text + 1, "\\n", 2);
        memcpy(text + 1 + len, "\"", 2);
        struct json_doc doc = document(text);
        struct span string = sender_string(&doc, 0, scratch);
        assert_int_equal(span_is_absent(string), over);
        assert_int_equal(string.len, over ? 0 : len - 1);
        forget(&doc);
    }
}

/* --- what stands around events -------------------------------------------------------------------
 */

/* The member `own` is taken whole. */
static void mark_own(struct json_doc *doc) {
    uint32_t own = json_find(doc, 0, SPAN("own"));
    doc->nodes[own - 1].flags |= JSON_TAKEN;
    doc->nodes[own].flags |= JSON_TAKEN;
}

/* {"own":{"v":"00..."},"u0":"00...","u1":...}: an object inside, of `own` bytes, and around it
 * leftovers of so many members with such values. */
static struct json_doc nested(size_t own, unsigned count, size_t value_len) {
    enum { OWN_FRAME = 8, MEMBER_FRAME = 8 };
    char *text = malloc(64 + own + count * (value_len + MEMBER_FRAME));
    assert_non_null(text);
    size_t len = (size_t)sprintf(text, "{\"own\":{\"v\":\"%0*d\"}", (int)(own - OWN_FRAME), 0);
    for (unsigned i = 0; i < count; i++)
        len += (size_t)sprintf(text + len, ",\"u%u\":\"%0*d\"", i, (int)value_len, 0);
    sprintf(text + len, "}");
    struct json_doc doc = document(text);
    free(text);
    mark_own(&doc);
    return doc;
}

struct around {
    struct json_doc doc;
    uint32_t own;
    struct ring *ring;
    struct batch batch;
    struct event event;
    struct sender_enclosing enclosing;
};

/* An event inside, with a tenant of `tenant` bytes from around it. */
static void around_init(struct around *around, size_t own, unsigned count, size_t value_len,
                        size_t tenant) {
    static char texts[2001];
    memset(texts, 't', sizeof texts);
    *around = (struct around){.doc = nested(own, count, value_len)};
    around->own = json_find(&around->doc, 0, SPAN("own"));
    assert_int_equal(around->doc.nodes[around->own].len, own);
    assert_int_equal(ring_new(&around->ring, 1 << 20), 0);
    batch_begin(&around->batch, around->ring, SPAN("e"), SPAN("json"), 1);
    event_init(&around->event);
    around->event.kind = SPAN("k");
    event_set(&around->event, EVENT_TENANT, span_from(texts, tenant));
    sender_enclosing_init(&around->enclosing, NULL, around->event.present, &around->doc, 0, 1);
}

static void around_deinit(struct around *around) {
    batch_commit(&around->batch);
    batch_deinit(&around->batch);
    ring_free(around->ring);
    forget(&around->doc);
}

/* How many levels of `extra` the next event has, and whether it has the tenant. */
static unsigned next_event(struct around *around, bool *has_tenant) {
    around->event.present = 0;
    sender_set_extra(&around->event, &around->doc, around->own, 0, &around->enclosing);
    assert_int_equal(sender_emit(&around->batch, &around->event, NULL, &around->enclosing), 0);
    *has_tenant = event_has(&around->event, EVENT_TENANT);
    return around->event.extra_count;
}

static void test_what_is_around_is_repeated_where_it_is_short(void **state) {
    enum { ALWAYS = SENDER_ALWAYS_REPEATED_BYTES, LONG = SENDER_LONG_MEMBER_BYTES };
    /* A member's text is 7 bytes longer than its value; together with name and comma, as their
     * bound has it, 12. */
    static const struct {
        size_t own;
        unsigned count;
        size_t value_len, tenant;
        unsigned levels; /* of `extra`, in the second event and all further ones */
        bool has_tenant;
    } cases[] = {
        {20, 1, ALWAYS - 7, ALWAYS, 2, true},
        {20, 1, ALWAYS - 6, ALWAYS + 1, 0, false},
        {2000, 1, LONG - 2, 2000, 2, true},
        {2000, 1, LONG - 1, 2001, 0, false},
        {399, 4, 92, 399, 2, true}, /* 399 bytes of text */
        {398, 4, 92, 399, 0, false},
        {2000, 4, SENDER_MAX_REPEATED_BYTES / 4 - 12, 1, 2, true},
        {2000, 4, SENDER_MAX_REPEATED_BYTES / 4 - 11, 1, 0, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct around around;
        bool has_tenant;
        around_init(&around, cases[i].own, cases[i].count, cases[i].value_len, cases[i].tenant);
        assert_int_equal(next_event(&around, &has_tenant), 2);
        assert_true(has_tenant);
        for (int n = 0; n < 2; n++) {
            unsigned levels = next_event(&around, &has_tenant);
            if (levels != cases[i].levels || has_tenant != cases[i].has_tenant)
                fail_msg("%zu: %u levels, tenant %d", i, levels, has_tenant);
        }
        around_deinit(&around);
    }
}

/* Fields share the room: what does not fit is left out, what comes behind it may fit again. */
static void test_fields_around_share_the_room(void **state) {
    static const char text[SENDER_ALWAYS_REPEATED_BYTES + 1];
    struct around around;
    bool has_tenant;
    (void)state;
    around_init(&around, 20, 1, 1, 8);
    event_set(&around.event, EVENT_SSID, span_from(text, SENDER_ALWAYS_REPEATED_BYTES - 8));
    event_set(&around.event, EVENT_VENUE_ID, span_from(text, 9));
    around.enclosing.fields |= 1ULL << EVENT_SSID | 1ULL << EVENT_VENUE_ID;
    next_event(&around, &has_tenant);
    assert_true(event_has(&around.event, EVENT_VENUE_ID));
    next_event(&around, &has_tenant);
    assert_true(has_tenant && event_has(&around.event, EVENT_SSID));
    assert_false(event_has(&around.event, EVENT_VENUE_ID));
    around_deinit(&around);
}

/* Nothing around, and levels that have nothing. */
static void test_levels_of_extra(void **state) {
    struct json_doc doc = document("{\"a\":1}");
    struct sender_enclosing outer, inner;
    struct event event;
    (void)state;
    event_init(&event);
    sender_set_extra(&event, &doc, 0, 1, NULL);
    assert_int_equal(event.extra_count, 1);
    sender_set_extra(&event, &doc, 0, 0, NULL);
    assert_int_equal(event.extra_count, 0);
    sender_enclosing_init(&outer, NULL, 0, &doc, 0, 1);
    sender_enclosing_init(&inner, &outer, 0, &doc, 0, 0);
    sender_set_extra(&event, &doc, 0, 0, &inner);
    assert_int_equal(event.extra_count, 3);
    assert_int_equal(event.extra[0].members.len, 0);
    assert_int_equal(event.extra[1].members.len, 0);
    assert_true(span_equals(event.extra[2].members, SPAN("\"a\":1")));
    sender_enclosing_init(&outer, NULL, 0, &doc, 0, 0);
    sender_set_extra(&event, &doc, 0, 1, &inner);
    assert_int_equal(event.extra_count, 1);
    forget(&doc);
}

/* Bodies of many events with a long text around them (%0*d), in a field and in what is left. */
static const struct {
    const char *sender, *head, *item, *tail;
} bodies[] = {
    {"aerohive",
     "[{\"apMac\":\"08EA44A1B2C0\",\"ownerId\":\"%0*d\",\"more\":\"%0*d\",\"observations\":[",
     "{\"clientMac\":\"A0D795114F3C\",\"ipv4\":null,\"ipv6\":null,\"seenTime\":"
     "\"2026-01-05T10:11:58.123Z\",\"seenEpoch\":1767607918123,\"ssid\":null,\"rssi\":-87,"
     "\"manufacturer\":null,\"os\":null,\"lat\":0,\"lng\":0,\"unc\":0,\"x\":11.38,\"y\":21.5}",
     "]}]"},
    {"aerohive", "[{\"ownerId\":\"%0*d\",\"more\":\"%0*d\",\"observations\":[",
     "{\"clientMac\":\"a\"}", "]}]"},
    {"meraki",
     "{\"version\":\"2.0\",\"type\":\"DevicesSeen\",\"data\":{\"apTags\":[\"%0*d\"],\"apFloors\":"
     "\"%0*d\","
     "\"observations\":[",
     "{\"clientMac\":\"3c:2e:f9:10:aa:01\",\"ipv4\":\"/10.20.0.38\",\"ipv6\":null,\"seenTime\":"
     "\"2026-01-05T10:11:58Z\",\"seenEpoch\":1767607918,\"ssid\":\"quay-guest\",\"rssi\":47,"
     "\"manufacturer\":\"Fairphone\",\"os\":null,\"location\":{\"lat\":48.2082,\"lng\":16.3738,"
     "\"unc\":1.230,\"x\":[],\"y\":[]}}",
     "]}}"},
    {"meraki",
     "{\"version\":\"3.0\",\"type\":\"WiFi\",\"data\":{\"networkId\":\"%0*d\",\"observations\":[{"
     "\"clientMac\":\"3c:2e:f9:10:aa:01\",\"ssid\":\"quay-guest\",\"manufacturer\":\"Fairphone\","
     "\"userId\":"
     "\"%0*d\",\"latestRecord\":{\"time\":\"2026-01-05T10:11:55Z\",\"nearestApMac\":\"00:18:0a:5c:"
     "00:01\","
     "\"nearestApRssi\":-61},\"locations\":[",
     "{\"time\":\"2026-01-05T10:11:30Z\",\"lat\":48.25,\"lng\":16.375,\"variance\":2.1,\"x\":\"12."
     "5\","
     "\"y\":3.0,\"floorPlanId\":\"g_7\",\"floorPlanName\":\"Ground\",\"nearestApTags\":[\"\"],"
     "\"rssiRecords\":[{\"apMac\":\"00:18:0a:5c:00:02\",\"rssi\":-70}]}",
     "]}]}}"},
    {"meraki",
     "{\"version\":\"3.0\",\"data\":{\"networkId\":\"%0*d\",\"observations\":[{\"clientMac\":\"a\","
     "\"more\":"
     "\"%0*d\",\"locations\":[",
     "{\"\":0}", "]}]}}"},
    {"mist", "{\"topic\":\"location\",\"a\":\"%0*d\",\"b\":\"%0*d\",\"events\":[",
     "{\"site_id\":\"3d1f0b52-77aa-4c1e-9f0e-5b6a7c8d9e01\",\"map_id\":\"a0b1c2d3-0000-4000-8000-"
     "00000000000a\",\"x\":13.50,\"y\":2.5,\"timestamp\":1767607918.25,\"type\":\"wifi\",\"mac\":"
     "\"5684dae9ac8b\"}",
     "]}"},
    {"mist", "{\"topic\":\"t\",\"a\":\"%0*d\",\"b\":\"%0*d\",\"events\":[", "{\"\":0}", "]}"},
    {"pubnub",
     "{\"a\":\"%0*d\",\"event\":{\"payload\":{\"b\":\"%0*d\",\"dataSchema\":\"pubnub.com/schemas/"
     "events/"
     "presence.user.channel.joined?v=1.0.0\",\"data\":[",
     "{\"id\":\"1d558c0f-78d8-576a47bb0658\",\"channel\":\"harbour\",\"userId\":\"u-1\","
     "\"occupancy\":3,"
     "\"data\":{},\"timestamp\":\"2026-01-05T10:11:58.021Z\",\"subKey\":\"sub-c-7d11\"}",
     "]}}}"},
    {"pubnub", "{\"a\":\"%0*d\",\"b\":\"%0*d\",\"data\":[", "{\"channel\":\"\",\"action\":\"x\"}",
     "]}"},
};

/* However long the text: real events become less than four times what was sent, and the shortest
 * that there are, a hundred times at the most, of which nearly all is what any line has. */
static void test_no_body_is_multiplied(void **state) {
    enum { EVENTS = 500, SHORT_ITEM = 100, TEXT_MAX = 200000 };
    static const int lens[] = {1, 60, 120, 128, 129, 250, 500, 512, 513, 2000, TEXT_MAX};
    char *body = malloc(2 * TEXT_MAX + 1000 + EVENTS * 512);
    assert_non_null(body);
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        for (size_t l = 0; l < sizeof lens / sizeof *lens; l++) {
            size_t len = (size_t)sprintf(body, bodies[i].head, lens[l], 0, lens[l], 0);
            for (int n = 0; n < EVENTS; n++)
                len += (size_t)sprintf(body + len, "%s%s", n ? "," : "", bodies[i].item);
            len += (size_t)sprintf(body + len, "%s", bodies[i].tail);
            struct sender_outcome outcome =
                sender_harness_parse(bodies[i].sender, span_from(body, len));
            assert_int_equal(outcome.rc, SENDER_OK);
            assert_int_equal(outcome.accepted, EVENTS);
            size_t times = strlen(bodies[i].item) < SHORT_ITEM ? 100 : 4;
            if (outcome.lines.len >= times * len)
                fail_msg("%s, %d: %zu bytes become %zu", bodies[i].head, lens[l], len,
                         outcome.lines.len);
        }
    }
    free(body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_registry),
        cmocka_unit_test(test_problems_are_cut),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_macs),
        cmocka_unit_test(test_any_order_and_escaped_names),
        cmocka_unit_test(test_each_byte_of_a_name_counts),
        cmocka_unit_test(test_what_is_no_object_has_no_members),
        cmocka_unit_test(test_the_last_of_duplicates_wins),
        cmocka_unit_test(test_unknown_duplicates_at_the_bound),
        cmocka_unit_test(test_strings_for_looking_at),
        cmocka_unit_test(test_what_is_around_is_repeated_where_it_is_short),
        cmocka_unit_test(test_fields_around_share_the_room),
        cmocka_unit_test(test_levels_of_extra),
        cmocka_unit_test(test_no_body_is_multiplied),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
