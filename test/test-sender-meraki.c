/* Meraki's posts: both versions, and what is wrong with some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "sender_harness.h"

static const struct sender_sample samples[] = {
    {"v2", 2, 1, "data.observations[1].seenEpoch", "not a time"},
    {"v2_bluetooth", 1, 0, NULL, NULL},
    {"v2_places", 7, 0, NULL, NULL},
    {"v2_values", 10, 0, NULL, NULL},
    {"v2_times", 5, 4, "data.observations[0].seenEpoch", "not a time"},
    {"v2_useless", 0, 1, "data.observations[0].seenEpoch", "not a time"},
    {"v3", 3, 0, NULL, NULL},
    {"v3_bluetooth", 2, 0, NULL, NULL},
    {"v3_odd", 10, 2, "data.observations[5].locations[0]", "not an object"},
    {"apart", 5, 1, "data.observations[1].clientMac", "missing"},
    {"levels", 4, 0, NULL, NULL},
    {"levels_large", 3, 0, NULL, NULL},
    {"around", 4, 1, "data.observations[0].locations[1]", "empty"},
    {"duplicates", 1, 0, NULL, NULL},
    {"types", 1, 0, NULL, NULL},
    {"type_odd", 1, 0, NULL, NULL},
    {"document", 1, 0, NULL, NULL},
    {"broken", 2, 8, "data.observations[1]", "not an object"},
    {"empty", 0, 0, NULL, NULL},
    {"null_observations", 0, 0, NULL, NULL},
};

static void test_samples(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        sender_harness_check("meraki", &samples[i]);
}

#define POST(version, data)    "{\"version\":" version ",\"secret\":\"hush\",\"data\":" data "}"
#define POST_2(observation)    POST("\"2.0\"", "{\"observations\":[" observation "]}")
#define POST_3(observation)    POST("\"3.0\"", "{\"observations\":[" observation "]}")
#define MISSING_OBSERVATIONS_2 POST("\"2.0\"", "{\"apMac\":\"00180a5c11d0\"}")

static void test_wrong_shapes(void **state) {
    static const struct {
        const char *body, *path, *message;
    } cases[] = {
        {"1", "(root)", "not an object"},
        {"[]", "(root)", "not an object"},
        {"{}", "version", "missing"},
        {"{\"version\":null,\"data\":{\"observations\":[]}}", "version", "missing"},
        {POST("\"1.0\"", "{\"observations\":[]}"), "version", "neither 2 nor 3"},
        {POST("\"4.0\"", "{\"observations\":[]}"), "version", "neither 2 nor 3"},
        {POST("\"20\"", "{\"observations\":[]}"), "version", "neither 2 nor 3"},
        {POST("\"\"", "{\"observations\":[]}"), "version", "neither 2 nor 3"},
        {POST("\"v2\"", "{\"observations\":[]}"), "version", "neither 2 nor 3"},
        {POST("-2", "{\"observations\":[]}"), "version", "neither 2 nor 3"},
        {POST("65538", "{\"observations\":[]}"), "version", "neither 2 nor 3"},
        {POST("[2]", "{\"observations\":[]}"), "version", "neither 2 nor 3"},
        {"{\"version\":\"2.0\"}", "data", "missing"},
        {POST("\"2.0\"", "null"), "data", "missing"},
        {POST("\"3.0\"", "[]"), "data", "not an object"},
        {MISSING_OBSERVATIONS_2, "data.observations", "missing"},
        {"{\"version\":\"3.0\",\"type\":\"WiFi\",\"data\":{}}", "data.observations", "missing"},
        {"{\"version\":\"3.0\",\"type\":\"\",\"data\":{}}", "data.observations", "missing"},
        {POST("\"2.0\"", "{\"observations\":{}}"), "data.observations", "not an array"},
        {POST_2("7"), "data.observations[0]", "not an object"},
        {POST_2("{}"), "data.observations[0].clientMac", "missing"},
        {POST_2("{\"clientMac\":5}"), "data.observations[0].clientMac", "not a string"},
        {POST_2("{\"clientMac\":\"\"}"), "data.observations[0].clientMac", "empty"},
        {POST_2("{\"clientMac\":\"3c2ef9100001\"},7"), "data.observations[0].seenEpoch", "missing"},
        {POST_3("{\"latestRecord\":{}}"), "data.observations[0].clientMac", "missing"},
        {POST_3("{\"clientMac\":\"3c2ef9100001\",\"locations\":[3]}"),
         "data.observations[0].locations[0]", "not an object"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sender_outcome outcome =
            sender_harness_parse("meraki", span_from_string(cases[i].body));
        if (outcome.rc != SENDER_WRONG_SHAPE || strcmp(outcome.first.path, cases[i].path) ||
            strcmp(outcome.first.message, cases[i].message))
            fail_msg("%s: %d %s: %s", cases[i].body, outcome.rc, outcome.first.path,
                     outcome.first.message);
    }
}

/* The major number decides, whatever is behind it and however it is written. */
static void test_versions(void **state) {
    static const char *const bodies[] = {
        POST("\"2\"", "{\"observations\":[]}"),
        POST("\"2.99\"", "{\"observations\":[]}"),
        POST("2", "{\"observations\":[]}"),
        POST("3.0", "{\"observations\":[]}"),
        POST("\"3.1.4-beta\"", "{\"observations\":[]}"),
        POST("\"\\u0033.0\"", "{\"observations\":[]}"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct sender_outcome outcome = sender_harness_parse("meraki", span_from_string(bodies[i]));
        if (outcome.rc || outcome.rejected)
            fail_msg("%s: %s", bodies[i], outcome.first.path);
    }
}

#define SECRETS                                                                                    \
    "\"secret\":\"hush-1\",\"\\u0073ecret\":{\"deep\":[\"hush-2\"]},\"secret\":[\"hush-3\"],"      \
    "\"sharedSecret\":\"hush-4\",\"new\":1,\"new\":2,"

/* Whatever the shape, the secret is in no line. */
static void test_secret_goes_nowhere(void **state) {
    static const char *const bodies[] = {
        "{" SECRETS "\"version\":\"2.0\",\"data\":{\"observations\":[{\"clientMac\":\"a\","
        "\"seenEpoch\":1}]}}",
        "{\"version\":\"3.0\",\"data\":{\"reportingAps\":[1],\"observations\":[{\"clientMac\":"
        "\"a\"},{\"clientMac\":\"b\",\"locations\":[{},{}]}]}," SECRETS "\"x\":1}",
        "{\"version\":\"3.0\"," SECRETS "\"type\":\"new\",\"data\":{\"zones\":[]}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct sender_outcome outcome = sender_harness_parse("meraki", span_from_string(bodies[i]));
        assert_true(outcome.accepted > 0);
        assert_non_null(memmem(outcome.lines.ptr, outcome.lines.len, "\"new\":2", 7));
        assert_null(memmem(outcome.lines.ptr, outcome.lines.len, "hush", 4));
        assert_null(memmem(outcome.lines.ptr, outcome.lines.len, "ecret", 5));
    }
}

static void read_id(const char *body, char id[2 * HASH_BYTES]) {
    struct sender_outcome outcome = sender_harness_parse("meraki", span_from_string(body));
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

#define SEEN_2(version, type, ap, client, time)                                                    \
    "{\"version\":\"" version "\",\"type\":\"" type "\",\"data\":{\"apMac\":\"" ap                 \
    "\",\"observations\":[{\"clientMac\":\"" client "\"," time "}]}}"
#define EPOCH "\"seenEpoch\":1767607918"

static void test_identity_2(void **state) {
    static const struct identity_case cases[] = {
        {SEEN_2("2.1", "DevicesSeen", "00:18:0A:5C:11:D0", "3c:2e:f9:10:00:01",
                "\"rssi\":3,\"seenTime\":\"2026-01-05T10:11:58Z\""),
         true},
        {SEEN_2("2.0", "BluetoothDevicesSeen", "00180a5c11d0", "3c2ef9100001", EPOCH), false},
        {SEEN_2("2.0", "DevicesSeen", "00180a5c11d1", "3c2ef9100001", EPOCH), false},
        {SEEN_2("2.0", "DevicesSeen", "lobby", "3c2ef9100001", EPOCH), false},
        {SEEN_2("2.0", "DevicesSeen", "00180a5c11d0", "3c2ef9100002", EPOCH), false},
        {SEEN_2("2.0", "DevicesSeen", "00180a5c11d0", "someone", EPOCH), false},
        {SEEN_2("2.0", "DevicesSeen", "00180a5c11d0", "3c2ef9100001", "\"seenEpoch\":1767607919"),
         false},
    };
    (void)state;
    check_identities(SEEN_2("2.0", "DevicesSeen", "00180a5c11d0", "3c2ef9100001", EPOCH), cases,
                     sizeof cases / sizeof *cases);
}

#define SEEN_3(type, network, client, more)                                                        \
    "{\"version\":\"3.0\",\"type\":\"" type "\",\"data\":{\"networkId\":\"" network                \
    "\",\"observations\":[{\"clientMac\":\"" client "\"," more "}]}}"
#define AT_PLACE  "\"locations\":[{\"time\":\"2026-01-05T10:11:58Z\"}]"
#define AT_RECORD "\"latestRecord\":{\"time\":\"2026-01-05T10:11:58Z\"}"

static void test_identity_3(void **state) {
    static const struct identity_case cases[] = {
        {SEEN_3("WiFi", "N", "3C-2E-F9-10-00-01",
                "\"locations\":[{\"lat\":1,\"time\":\"2026-01-05T11:11:58+01:00\"}]"),
         true},
        {SEEN_3("WiFi", "N", "3c2ef9100001", AT_RECORD), true},
        {SEEN_3("BLE", "N", "3c2ef9100001", AT_PLACE), false},
        {SEEN_3("WiFi", "M", "3c2ef9100001", AT_PLACE), false},
        {SEEN_3("WiFi", "N", "3c2ef9100002", AT_PLACE), false},
        {SEEN_3("WiFi", "N", "3c2ef9100001", "\"locations\":[{\"time\":\"2026-01-05T10:11:59Z\"}]"),
         false},
        {SEEN_3("WiFi", "N", "3c2ef9100001",
                "\"latestRecord\":{\"time\":\"2026-01-05T10:11:59Z\"}"),
         false},
    };
    (void)state;
    check_identities(SEEN_3("WiFi", "N", "3c2ef9100001", AT_PLACE), cases,
                     sizeof cases / sizeof *cases);
}

/* Without a time, version 3's sightings are like no other. */
static void test_no_identity_without_time(void **state) {
    static const char *const bodies[] = {
        SEEN_3("WiFi", "N", "3c2ef9100001", "\"locations\":[{}]"),
        SEEN_3("WiFi", "N", "3c2ef9100001", "\"locations\":[]"),
    };
    char first[2 * HASH_BYTES], second[2 * HASH_BYTES];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        read_id(bodies[i], first);
        read_id(bodies[i], second);
        assert_memory_not_equal(first, second, sizeof first);
    }
}

/* A kind of an event is a type that is not too long for one. */
static void test_long_types(void **state) {
    char body[1024], kind[512];
    (void)state;
    for (int len = EVENT_MAX_KIND_BYTES; len <= EVENT_MAX_KIND_BYTES + 1; len++) {
        int kind_len = snprintf(kind, sizeof kind, "\"kind\":\"%0*d\"", len, 0);
        int body_len = snprintf(body, sizeof body,
                                "{\"version\":\"3.0\",\"type\":\"%0*d\",\"data\":{\"observations\":"
                                "[{\"clientMac\":\"3c2ef9100001\"}]}}",
                                len, 0);
        struct sender_outcome outcome =
            sender_harness_parse("meraki", span_from(body, (size_t)body_len));
        assert_int_equal(outcome.accepted, 1);
        bool is_kind = memmem(outcome.lines.ptr, outcome.lines.len, kind, (size_t)kind_len);
        assert_int_equal(is_kind, len == EVENT_MAX_KIND_BYTES);
    }
}

static size_t count_of(struct span text, const char *word) {
    size_t count = 0, len = strlen(word);
    for (const char *p = text.ptr; (p = memmem(p, text.len - (size_t)(p - text.ptr), word, len));
         p += len)
        count++;
    return count;
}

/* A client that brings long texts and much of what is not known, and many places; a network of long
 * name and many access points: none of that is repeated, and the type is. */
static void test_nothing_large_is_multiplied(void **state) {
    enum { COUNT = 1000, TEXT_BYTES = 100000 };
    char *body = malloc(COUNT * 128 + 5 * TEXT_BYTES);
    assert_non_null(body);
    (void)state;
    size_t len = (size_t)sprintf(body,
                                 "{\"version\":\"3.0\",\"type\":\"WiFi\",\"data\":{\"networkId\":"
                                 "\"%0*d\",\"reportingAps\":[\"%0*d\"],\"observations\":[{"
                                 "\"clientMac\":\"3c2ef9100001\",\"ssid\":\"%0*d\",\"name\":\"%0*d"
                                 "\",\"os\":\"short\",\"locations\":[",
                                 TEXT_BYTES, 1, TEXT_BYTES, 2, TEXT_BYTES, 3, TEXT_BYTES, 4);
    for (int i = 0; i < COUNT; i++)
        len += (size_t)sprintf(body + len, "{\"lat\":%d},", i + 1);
    len += (size_t)sprintf(body + len - 1, "]}") - 1;
    for (int i = 0; i < COUNT; i++)
        len += (size_t)sprintf(body + len, ",{\"clientMac\":\"3c2ef9100002\"}");
    len += (size_t)sprintf(body + len, "]}}");
    struct sender_outcome outcome = sender_harness_parse("meraki", span_from(body, len));
    assert_int_equal(outcome.rc, SENDER_OK);
    assert_int_equal(outcome.accepted, 2 * COUNT);
    assert_in_range(outcome.lines.len, 4 * TEXT_BYTES, 4 * TEXT_BYTES + 2 * COUNT * 400);
    assert_int_equal(count_of(outcome.lines, "\"type\":\"WiFi\""), 2 * COUNT);
    assert_int_equal(count_of(outcome.lines, "\"os\":\"short\""), COUNT);
    assert_int_equal(count_of(outcome.lines, "reportingAps"), 1);
    assert_int_equal(count_of(outcome.lines, "\"name\":"), 1);
    assert_int_equal(count_of(outcome.lines, "\"ssid\":"), 1);
    assert_int_equal(count_of(outcome.lines, "\"venue\":"), 1);
    free(body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_wrong_shapes),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_secret_goes_nowhere),
        cmocka_unit_test(test_identity_2),
        cmocka_unit_test(test_identity_3),
        cmocka_unit_test(test_no_identity_without_time),
        cmocka_unit_test(test_long_types),
        cmocka_unit_test(test_nothing_large_is_multiplied),
    };
    return cmocka_run_group_tests(tests, sender_harness_setup, sender_harness_teardown);
}
