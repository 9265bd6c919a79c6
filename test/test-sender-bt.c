/* BT's posts: every known form, and what is wrong with some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "sender_harness.h"

static const struct sender_sample samples[] = {
    {"sample", 1, 0, NULL, NULL},
    {"nested", 1, 0, NULL, NULL},
    {"variants", 1, 0, NULL, NULL},
    {"empty_maps", 1, 0, NULL, NULL},
    {"two_visits", 1, 0, NULL, NULL},
    {"two_visits_empty", 1, 0, NULL, NULL},
    {"two_venues", 1, 0, NULL, NULL},
    {"misfits", 1, 0, NULL, NULL},
    {"misfit_objects", 1, 0, NULL, NULL},
    {"epochs", 1, 0, NULL, NULL},
    {"nulls", 1, 0, NULL, NULL},
    {"unknown_members", 1, 0, NULL, NULL},
    {"duplicate_keys", 1, 0, NULL, NULL},
    {"escapes", 1, 0, NULL, NULL},
    {"validation", 1, 0, NULL, NULL},
    {"validation_test_com", 1, 0, NULL, NULL},
    {"validation_example_com", 1, 0, NULL, NULL},
    {"not_validation", 1, 0, NULL, NULL},
    {"half_a_name", 1, 0, NULL, NULL},
    {"bare", 1, 0, NULL, NULL},
    {"empty_object", 0, 0, NULL, NULL},
    {"empty_array", 0, 0, NULL, NULL},
};

static void test_samples(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        sender_harness_check("bt", &samples[i]);
}

static void test_wrong_shapes(void **state) {
    static const char nothing[] = "no client, session, user or venue with anything in it";
    static const struct {
        const char *body, *message;
    } cases[] = {
        {"1", "not an object"},
        {"null", "not an object"},
        {"\"{}\"", "not an object"},
        {"[{\"user\":{\"id\":1}}]", "not an object"},
        {"{\"observations\":[]}", nothing},
        {"{\"company\":{\"id\":1}}", nothing},
        {"{\"client\":{},\"session\":[],\"user\":null,\"venue\":\"\"}", nothing},
        {"{\"client\":5,\"user\":[1]}", nothing},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sender_outcome outcome = sender_harness_parse("bt", span_from_string(cases[i].body));
        if (outcome.rc != SENDER_WRONG_SHAPE || strcmp(outcome.first.path, "(root)") ||
            strcmp(outcome.first.message, cases[i].message))
            fail_msg("%s: %d %s: %s", cases[i].body, outcome.rc, outcome.first.path,
                     outcome.first.message);
    }
}

/* Each part that the event may consist of is enough. */
static void test_one_part_is_enough(void **state) {
    static const char *const parts[] = {"client", "session", "user", "venue"};
    char body[64];
    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(body, sizeof body, "{\"%s\":{\"a\":1}}", parts[i]);
        struct sender_outcome outcome = sender_harness_parse("bt", span_from_string(body));
        assert_int_equal(outcome.rc, SENDER_OK);
        assert_int_equal(outcome.accepted, 1);
    }
}

/* --- Identity -----------------------------------------------------------------------------------
 */

struct id {
    char text[2 * HASH_BYTES];
};

static struct id id_of(const char *body) {
    struct sender_outcome outcome = sender_harness_parse("bt", span_from_string(body));
    struct id id;
    assert_int_equal(outcome.accepted, 1);
    const char *start = memmem(outcome.lines.ptr, outcome.lines.len, "\"id\":\"", 6);
    assert_non_null(start);
    memcpy(id.text, start + 6, sizeof id.text);
    return id;
}

static bool is_same(const char *a, const char *b) {
    struct id first = id_of(a), second = id_of(b);
    return memcmp(first.text, second.text, sizeof first.text) == 0;
}

#define LOGIN(venue, user, mac, time, more)                                                        \
    "{\"client\":{\"mac\":" mac "},\"session\":{\"authenticationTime\":" time                      \
    "},\"user\":{\"id\":" user "},\"venue\":{\"id\":" venue "}" more "}"
#define MAC  "\"00-1F-3A-5C-77-E2\""
#define TIME "\"2026-01-05T10:11:58+0000\""

/* The same venue, user, client and time, however they are written, and whatever else. */
static void test_identity(void **state) {
    static const struct {
        const char *body;
        bool same;
    } cases[] = {
        {LOGIN("311", "17", MAC, TIME, ",\"company\":{\"id\":5},\"attempt\":2"), true},
        {LOGIN("\"311\"", "\"17\"", "\"001f3a5c77e2\"", "\"2026-01-05T11:11:58.000+01:00\"", ""),
         true},
        {LOGIN("311", "17", MAC, "1767607918", ""), true},
        {"{\"client\":{\"mac\":" MAC "},\"session\":{\"authenticationTime\":" TIME
         "},\"user\":{\"id\":17,\"venue\":{\"id\":311}}}",
         true},
        {LOGIN("312", "17", MAC, TIME, ""), false},
        {LOGIN("null", "17", MAC, TIME, ""), false},
        {LOGIN("311", "18", MAC, TIME, ""), false},
        {LOGIN("311", "null", MAC, TIME, ""), false},
        {LOGIN("311", "17", "\"00-1F-3A-5C-77-E3\"", TIME, ""), false},
        {LOGIN("311", "17", "\"hashed\"", TIME, ""), false},
        {LOGIN("311", "17", "null", TIME, ""), false},
        {LOGIN("311", "17", MAC, "\"2026-01-05T10:11:59+0000\"", ""), false},
        {LOGIN("17", "311", MAC, TIME, ""), false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (is_same(LOGIN("311", "17", MAC, TIME, ""), cases[i].body) != cases[i].same)
            fail_msg("%s", cases[i].body);
}

/* A client is also told by a name that is no MAC address; "" and null tell nothing. */
static void test_identity_of_names(void **state) {
    static const char hashed[] = LOGIN("311", "17", "\"hashed\"", TIME, "");
    (void)state;
    assert_true(is_same(hashed, LOGIN("311", "17", "\"hashed\"", TIME, ",\"attempt\":2")));
    assert_false(is_same(hashed, LOGIN("311", "17", "\"another\"", TIME, "")));
    assert_true(is_same(LOGIN("311", "\"\"", MAC, TIME, ""), LOGIN("311", "null", MAC, TIME, "")));
}

/* Two whom nothing tells apart but the rest of their posts. */
static void test_identity_of_the_unknown(void **state) {
    static const char first[] = LOGIN("311", "null", "\"\"", TIME, ",\"more\":1");
    (void)state;
    assert_true(is_same(first, first));
    assert_false(is_same(first, LOGIN("311", "null", "\"\"", TIME, ",\"more\":2")));
}

/* Nothing is a repeat by guess. */
static void test_no_identity_without_a_time(void **state) {
    static const char *const times[] = {"null", "\"\"", "0", "\"0000-00-00 00:00:00\"", "{}"};
    char body[256];
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        snprintf(body, sizeof body,
                 "{\"client\":{\"mac\":" MAC "},\"session\":{\"authenticationTime\":%s},\"user\":{"
                 "\"id\":17}}",
                 times[i]);
        if (is_same(body, body))
            fail_msg("%s", body);
    }
}

static void test_what_the_node_is_told(void **state) {
    const struct sender *sender = sender_find(SPAN("bt"));
    (void)state;
    assert_true(sender->keep_unreadable);
    assert_true(sender->answers_get);
    assert_true(sender->empty_is_validation);
    assert_int_equal(sender->auth, SENDER_AUTH_PATH);
    assert_string_equal(sender->answer_headers, "wifiWebhookListener: 1\r\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_wrong_shapes),
        cmocka_unit_test(test_one_part_is_enough),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_identity_of_names),
        cmocka_unit_test(test_identity_of_the_unknown),
        cmocka_unit_test(test_no_identity_without_a_time),
        cmocka_unit_test(test_what_the_node_is_told),
    };
    return cmocka_run_group_tests(tests, sender_harness_setup, sender_harness_teardown);
}
