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
    MEMBER("a name of more than sixteen bytes", TAKE_TEXT, EVENT_TENANT),
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
    struct json_doc doc = document(
        "{\"b\":{\"x\":1},\"a nam\\u0065 of more than sixteen bytes\":1,\"other\":2,\"numbe\":3,"
        "\"numbers\":4,\"TEXT\":5,\"a\":[6],\"n\\u0075mber\":7,\"text\":8,"
        "\"a name of more than sixteen bytez\":9}");
    assert_int_equal(take(&doc, &event, nodes), 5);
    assert_true(field_is(&event, EVENT_TENANT, "1"));
    assert_true(field_is(&event, EVENT_RSSI, "7"));
    assert_true(field_is(&event, EVENT_SSID, "8"));
    assert_true(span_equals(json_raw(&doc, nodes[NODE_A]), SPAN("[6]")));
    assert_true(span_equals(json_raw(&doc, nodes[NODE_B]), SPAN("{\"x\":1}")));
    /* Of `b` nothing was taken. */
    expect_left(&doc, "\"b\":{\"x\":1},\"other\":2,\"numbe\":3,\"numbers\":4,\"TEXT\":5,"
                      "\"a name of more than sixteen bytez\":9");
    forget(&doc);
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

/* --- what is left of enclosing objects -----------------------------------------------------------
 */

static void test_large_leftovers_stand_in_one_event(void **state) {
    (void)state;
    for (int over = 0; over < 2; over++) {
        struct event event;
        uint32_t nodes[NODES];
        struct sender_enclosing enclosing;
        char text[SENDER_MAX_REPEATED_BYTES + 64];
        /* "u":"xx...": a name of 1, 8 for punctuation, 2 quotes. */
        int len = SENDER_MAX_REPEATED_BYTES - 11 + over;
        snprintf(text, sizeof text, "{\"text\":1,\"u\":\"%0*d\"}", len, 0);
        struct json_doc doc = document(text);
        unsigned left = take(&doc, &event, nodes);
        sender_enclosing_init(&enclosing, &doc, 0, left);
        assert_int_equal(enclosing.once, over);
        sender_set_extra(&event, &doc, 0, 0, &enclosing);
        assert_int_equal(event.extra_count, 2);
        sender_set_extra(&event, &doc, 0, 0, &enclosing);
        assert_int_equal(event.extra_count, over ? 0 : 2);
        sender_set_extra(&event, &doc, 0, 1, &enclosing);
        assert_int_equal(event.extra_count, over ? 1 : 2);
        sender_set_extra(&event, &doc, 0, 1, NULL);
        assert_int_equal(event.extra_count, 1);
        sender_set_extra(&event, &doc, 0, 0, NULL);
        assert_int_equal(event.extra_count, 0);
        forget(&doc);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_registry),
        cmocka_unit_test(test_problems_are_cut),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_macs),
        cmocka_unit_test(test_any_order_and_escaped_names),
        cmocka_unit_test(test_what_is_no_object_has_no_members),
        cmocka_unit_test(test_the_last_of_duplicates_wins),
        cmocka_unit_test(test_unknown_duplicates_at_the_bound),
        cmocka_unit_test(test_strings_for_looking_at),
        cmocka_unit_test(test_large_leftovers_stand_in_one_event),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
