/* Aerohive's posts: every known form, and what is wrong with some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "sender_harness.h"

static const struct sender_sample samples[] = {
    {"sample", 3, 0, NULL, NULL},
    {"array", 3, 0, NULL, NULL},
    {"strings", 1, 0, NULL, NULL},
    {"nan", 1, 0, NULL, NULL},
    {"nulls", 1, 0, NULL, NULL},
    {"macs", 8, 0, NULL, NULL},
    {"times", 17, 0, NULL, NULL},
    {"null_island", 6, 0, NULL, NULL},
    {"extra", 5, 0, NULL, NULL},
    {"extra_large", 6, 1, "[1].observations[0]", "not an object"},
    {"around", 4, 0, NULL, NULL},
    {"escapes", 1, 0, NULL, NULL},
    {"duplicates", 2, 1, "[0].observations[1].clientMac", "missing"},
    {"huge_numbers", 1, 0, NULL, NULL},
    {"broken", 3, 11, "[0]", "not an object"},
    {"hashed", 2, 0, NULL, NULL},
    {"misfits", 2, 0, NULL, NULL},
    {"logs", 4, 1, "[3].observations", "missing"},
    {"empty_array", 0, 0, NULL, NULL},
    {"empty_observations", 0, 0, NULL, NULL},
    {"null_observations", 0, 0, NULL, NULL},
};

static void test_samples(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        sender_harness_check("aerohive", &samples[i]);
}

static void test_wrong_shapes(void **state) {
    static const struct {
        const char *body, *path, *message;
    } cases[] = {
        {"1", "(root)", "neither an array nor an object"},
        {"null", "(root)", "neither an array nor an object"},
        {"\"[]\"", "(root)", "neither an array nor an object"},
        {"{}", "observations", "missing"},
        {"[{}]", "[0].observations", "missing"},
        {"[[]]", "[0]", "not an object"},
        {"{\"observations\":{}}", "observations", "not an array"},
        {"[{\"observations\":[]},{\"observations\":7}]", "[1].observations", "not an array"},
        {"{\"observations\":[{}]}", "observations[0].clientMac", "missing"},
        {"{\"observations\":[{\"clientMac\":null}]}", "observations[0].clientMac", "missing"},
        {"{\"observations\":[{\"clientMac\":5}]}", "observations[0].clientMac", "not a string"},
        {"{\"observations\":[{\"clientMac\":\"\"}]}", "observations[0].clientMac", "empty"},
        {"{\"observations\":[[]]}", "observations[0]", "not an object"},
        {"[{\"observations\":[]},{\"observations\":[1,{}]}]", "[1].observations[0]",
         "not an object"},
        {"{\"ownerId\":1,\"timeStamp\":1,\"apMac\":\"08EA44A1B2C0\"}", "observations", "missing"},
        {"{\"timeStamp\":1}", "observations", "missing"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sender_outcome outcome =
            sender_harness_parse("aerohive", span_from_string(cases[i].body));
        if (outcome.rc != SENDER_WRONG_SHAPE || strcmp(outcome.first.path, cases[i].path) ||
            strcmp(outcome.first.message, cases[i].message))
            fail_msg("%s: %d %s: %s", cases[i].body, outcome.rc, outcome.first.path,
                     outcome.first.message);
    }
}

/* One line each. An event that has no time of its sender's has an id of its own. */
static bool same_but_ids(struct span a, struct span b) {
    enum { ID_AT = sizeof "{\"seq\":1,\"id\":\"" - 1, BEHIND_ID = ID_AT + 2 * HASH_BYTES };
    return a.len == b.len && a.len > BEHIND_ID && memcmp(a.ptr, b.ptr, ID_AT) == 0 &&
           memcmp(a.ptr + BEHIND_ID, b.ptr + BEHIND_ID, a.len - BEHIND_ID) == 0;
}

/* Members in any order, some missing, some twice, some of a name that is unknown: what comes of
 * them is the same whether they are read from their tokens or, where a blank stands behind each,
 * by way of nodes. */
static void test_members_in_any_order(void **state) {
    static const char *const members[] = {
        "\"clientMac\":\"A0D795114F3C\"",
        "\"clientMac\":\"A0D795114F3D\"",
        "\"ipv4\":\"10.20.0.41\"",
        "\"seenEpoch\":1767607918123",
        "\"ssid\":null",
        "\"ssid\":\"Museum\"",
        "\"rssi\":-87",
        "\"rssi\":null",
        "\"x\":11.5",
        "\"x\":null",
        "\"y\":21.5",
        "\"y\":\"?\"",
        "\"dwell\":7",
    };
    enum { COUNT = sizeof members / sizeof *members, RUNS = 5000 };
    char plain[1024], spaced[1024], expected[4096];
    uint64_t random = 1;
    (void)state;
    for (int run = 0; run < RUNS; run++) {
        size_t len = (size_t)sprintf(plain, "[{\"observations\":[{");
        size_t spaced_len = len;
        memcpy(spaced, plain, len);
        for (unsigned i = 0, left = (random >> 20) % 8 + 1; i < left; i++) {
            random = random * 6364136223846793005U + 1442695040888963407U;
            const char *member = members[(random >> 33) % COUNT];
            len += (size_t)sprintf(plain + len, "%s%s", i ? "," : "", member);
            spaced_len += (size_t)sprintf(spaced + spaced_len, "%s%s ", i ? "," : "", member);
        }
        len += (size_t)sprintf(plain + len, "}]}]");
        spaced_len += (size_t)sprintf(spaced + spaced_len, "}]}]");
        struct sender_outcome outcome =
            sender_harness_parse("aerohive", span_from(spaced, spaced_len));
        int rc = outcome.rc;
        size_t expected_len = rc ? 0 : outcome.lines.len;
        assert_true(expected_len <= sizeof expected);
        if (expected_len)
            memcpy(expected, outcome.lines.ptr, expected_len);
        outcome = sender_harness_parse("aerohive", span_from(plain, len));
        assert_int_equal(outcome.rc, rc);
        fprintf(stderr, "%d %d %s %.*s\n", rc, outcome.accepted, plain, SPAN_ARG(outcome.lines));
        if (!rc && !same_but_ids(outcome.lines, span_from(expected, expected_len)))
            fail_msg("%s:\n%.*s%.*s", plain, SPAN_ARG(outcome.lines), (int)expected_len, expected);
    }
}

/* The id of the first line. */
static struct span first_id(const struct sender_outcome *outcome) {
    const char *id = memmem(outcome->lines.ptr, outcome->lines.len, "\"id\":\"", 6);
    assert_non_null(id);
    return span_from(id + 6, 2 * HASH_BYTES);
}

#define OBSERVED(ap, owner, client, more)                                                          \
    "[{\"ownerId\":" owner ",\"apMac\":" ap ",\"observations\":[{\"clientMac\":" client more "}]}" \
    "]"

/* The same owner, access point, client and epoch, however they are written, and whatever else. */
static void test_identity(void **state) {
    static const char first[] =
        OBSERVED("\"08EA44A1B2C0\"", "2718", "\"020000000001\"", ",\"seenEpoch\":1767607918000");
    static const struct {
        const char *body;
        bool same;
    } cases[] = {
        {OBSERVED("\"08ea44a1b2c0\"", "\"2718\"", "\"02-00-00-00-00-01\"",
                  ",\"seenEpoch\":\"1767607918\",\"rssi\":-3"),
         true},
        {OBSERVED("\"08ea44a1b2c0\"", "2718", "\"020000000001\"",
                  ",\"seenTime\":\"2026-01-05T10:11:58Z\""),
         true},
        {OBSERVED("\"08ea44a1b2c0\"", "2718", "\"020000000001\"",
                  ",\"seenEpoch\":1767607918000,\"seenTime\":\"2026-01-05T10:11:59Z\""),
         true},
        {OBSERVED("\"08EA44A1B2C1\"", "2718", "\"020000000001\"", ",\"seenEpoch\":1767607918000"),
         false},
        {OBSERVED("\"lobby\"", "2718", "\"020000000001\"", ",\"seenEpoch\":1767607918000"), false},
        {OBSERVED("\"08EA44A1B2C0\"", "2719", "\"020000000001\"", ",\"seenEpoch\":1767607918000"),
         false},
        {OBSERVED("\"08EA44A1B2C0\"", "2718", "\"020000000002\"", ",\"seenEpoch\":1767607918000"),
         false},
        {OBSERVED("\"08EA44A1B2C0\"", "2718", "\"hashed\"", ",\"seenEpoch\":1767607918000"), false},
        {OBSERVED("\"08EA44A1B2C0\"", "2718", "\"020000000001\"", ",\"seenEpoch\":1767607918001"),
         false},
        {OBSERVED("\"08EA44A1B2C0\"", "2718", "\"020000000001\"", ""), false},
    };
    char id[2 * HASH_BYTES];
    (void)state;
    struct sender_outcome outcome = sender_harness_parse("aerohive", SPAN(first));
    memcpy(id, first_id(&outcome).ptr, sizeof id);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        outcome = sender_harness_parse("aerohive", span_from_string(cases[i].body));
        if (span_equals(first_id(&outcome), span_from(id, sizeof id)) != cases[i].same)
            fail_msg("%s", cases[i].body);
    }
}

/* What names no client by a MAC or an access point by one is told apart by its text. */
static void test_identity_of_names(void **state) {
    static const char *const bodies[] = {
        OBSERVED("\"a\"", "1", "\"b\"", ""),    OBSERVED("\"a\"", "1", "\"c\"", ""),
        OBSERVED("\"d\"", "1", "\"b\"", ""),    OBSERVED("null", "1", "\"b\"", ""),
        OBSERVED("\"a\"", "null", "\"b\"", ""), OBSERVED("\"a\"", "\"\"", "\"b\"", ""),
    };
    enum { COUNT = sizeof bodies / sizeof *bodies };
    char ids[COUNT][2 * HASH_BYTES];
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        struct sender_outcome outcome =
            sender_harness_parse("aerohive", span_from_string(bodies[i]));
        memcpy(ids[i], first_id(&outcome).ptr, sizeof ids[i]);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(ids[i], ids[j], sizeof ids[i]);
    }
}

/* One access point's fields do not stay for the next one, nor one observation's for the next. */
static void test_nothing_is_carried_over(void **state) {
    static const char body[] =
        "[{\"apMac\":\"08EA44A1B2C0\",\"ownerId\":1,\"new\":1,\"observations\":[{\"clientMac\":"
        "\"020000000001\",\"seenEpoch\":1767607918,\"ssid\":\"s\",\"x\":1,\"odd\":2},"
        "{\"clientMac\":\"hash\"}]},{\"observations\":[{\"clientMac\":\"020000000002\"}]}]";
    (void)state;
    struct sender_outcome outcome = sender_harness_parse("aerohive", SPAN(body));
    assert_int_equal(outcome.accepted, 3);
    const char *end = outcome.lines.ptr + outcome.lines.len;
    const char *second = (const char *)memchr(outcome.lines.ptr, '\n', outcome.lines.len) + 1;
    const char *third = (const char *)memchr(second, '\n', (size_t)(end - second)) + 1;
    static const char second_tail[] =
        "\"kind\":\"seen\",\"ap\":{\"mac\":\"08:ea:44:a1:b2:c0\"},\"tenant\":\"1\","
        "\"extra\":{\"clientMac\":\"hash\",\"enclosing\":{\"new\":1}}}\n";
    static const char third_tail[] =
        "\"kind\":\"seen\",\"client\":{\"mac\":\"02:00:00:00:00:02\",\"randomized\":true}}\n";
    assert_memory_equal(third - (sizeof second_tail - 1), second_tail, sizeof second_tail - 1);
    assert_memory_equal(end - (sizeof third_tail - 1), third_tail, sizeof third_tail - 1);
}

/* An access point that brings much of what is not known, and many observations: if each of them
 * repeated it, a body of a megabyte would make a gigabyte of lines. */
static void test_leftovers_are_not_multiplied(void **state) {
    enum { COUNT = 1000, NAME_BYTES = 1 << 20 };
    char *body = malloc(COUNT * 32 + NAME_BYTES + 1024);
    assert_non_null(body);
    size_t len = (size_t)sprintf(body, "[{\"apMac\":\"%0*d\",\"observations\":[", NAME_BYTES, 0);
    for (int i = 0; i < COUNT; i++)
        len += (size_t)sprintf(body + len, "{\"clientMac\":\"a\"},");
    len += (size_t)sprintf(body + len - 1, "]}]") - 1;
    (void)state;
    struct sender_outcome outcome = sender_harness_parse("aerohive", span_from(body, len));
    assert_int_equal(outcome.rc, SENDER_OK);
    assert_int_equal(outcome.accepted, COUNT);
    assert_in_range(outcome.lines.len, NAME_BYTES, 2 * NAME_BYTES);
    free(body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_wrong_shapes),
        cmocka_unit_test(test_members_in_any_order),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_identity_of_names),
        cmocka_unit_test(test_nothing_is_carried_over),
        cmocka_unit_test(test_leftovers_are_not_multiplied),
    };
    return cmocka_run_group_tests(tests, sender_harness_setup, sender_harness_teardown);
}
