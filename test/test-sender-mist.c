/* Mist's posts: every known form, and what is wrong with some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "sender_harness.h"

static const struct sender_sample samples[] = {
    {"location", 2, 0, NULL, NULL},
    {"location_topics", 2, 0, NULL, NULL},
    {"zone", 5, 0, NULL, NULL},
    {"rssizone", 2, 0, NULL, NULL},
    {"client_sessions", 1, 0, NULL, NULL},
    {"client_join", 1, 0, NULL, NULL},
    {"client_info", 4, 0, NULL, NULL},
    {"wifi_conn_raw", 2, 0, NULL, NULL},
    {"both_spellings", 3, 0, NULL, NULL},
    {"guest", 1, 0, NULL, NULL},
    {"device", 1, 0, NULL, NULL},
    {"ping", 1, 0, NULL, NULL},
    {"unknown_topic", 2, 0, NULL, NULL},
    {"times", 8, 0, NULL, NULL},
    {"misfits", 3, 0, NULL, NULL},
    {"duplicate_keys", 1, 0, NULL, NULL},
    {"repeats", 3, 0, NULL, NULL},
    {"broken", 3, 7, "events[1]", "not an object"},
    {"empty_events", 0, 0, NULL, NULL},
    {"empty", 1, 2, "events[0]", "empty"},
    {"null_events", 0, 0, NULL, NULL},
};

static void test_samples(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        sender_harness_check("mist", &samples[i]);
}

static void test_wrong_shapes(void **state) {
    static const struct {
        const char *body, *path, *message;
    } cases[] = {
        {"1", "(root)", "not an object"},
        {"null", "(root)", "not an object"},
        {"[]", "(root)", "not an object"},
        {"[{\"topic\":\"ping\",\"events\":[{}]}]", "(root)", "not an object"},
        {"{}", "topic", "missing"},
        {"{\"events\":[]}", "topic", "missing"},
        {"{\"topic\":null,\"events\":[]}", "topic", "missing"},
        {"{\"topic\":7,\"events\":[]}", "topic", "not a string"},
        {"{\"topic\":\"\",\"events\":[]}", "topic", "empty"},
        {"{\"topic\":\"ping\"}", "events", "missing"},
        {"{\"topic\":\"ping\",\"events\":{}}", "events", "not an array"},
        {"{\"topic\":\"ping\",\"events\":\"[]\"}", "events", "not an array"},
        {"{\"topic\":\"ping\",\"events\":[1,2]}", "events[0]", "not an object"},
        {"{\"topic\":\"ping\",\"events\":[{}]}", "events[0]", "empty"},
        {"{\"topic\":\"location\",\"events\":[{\"mac\":null}]}", "events[0]", "neither mac nor id"},
        {"{\"topic\":\"rssizone\",\"events\":[{\"x\":1}]}", "events[0]", "neither mac nor id"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sender_outcome outcome =
            sender_harness_parse("mist", span_from_string(cases[i].body));
        if (outcome.rc != SENDER_WRONG_SHAPE || strcmp(outcome.first.path, cases[i].path) ||
            strcmp(outcome.first.message, cases[i].message))
            fail_msg("%s: %d %s: %s", cases[i].body, outcome.rc, outcome.first.path,
                     outcome.first.message);
    }
}

static struct span kind_of(const struct sender_outcome *outcome) {
    static const char start[] = "\"kind\":\"";
    const char *kind = memmem(outcome->lines.ptr, outcome->lines.len, start, sizeof start - 1);
    assert_non_null(kind);
    kind += sizeof start - 1;
    return span_from(kind, strcspn(kind, "\""));
}

/* Which topics are sightings, and which are zones; all others are what they call themselves. */
static void test_kinds(void **state) {
    static const struct {
        const char *topic, *kind;
    } cases[] = {
        {"location", "seen"},
        {"location-client", "seen"},
        {"location-unclient", "seen"},
        {"location-asset", "seen"},
        {"location-sdk", "seen"},
        {"location-of-another-kind", "seen"},
        {"\\u006cocation", "seen"},
        {"locations", "locations"},
        {"Location", "Location"},
        {"zone", "zone-enter"},
        {"rssizone", "zone-enter"},
        {"zones", "zones"},
        {"occupancy-alerts", "occupancy-alerts"},
        {"asset-raw-rssi", "asset-raw-rssi"},
        {"discovered-raw-rssi", "discovered-raw-rssi"},
        {"sdkclient-scan-data", "sdkclient-scan-data"},
        {"client-join", "client-join"},
        {"alarms", "alarms"},
    };
    char body[256];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(body, sizeof body,
                 "{\"topic\":\"%s\",\"events\":[{\"id\":\"i\",\"trigger\":\"enter\"}]}",
                 cases[i].topic);
        struct sender_outcome outcome = sender_harness_parse("mist", span_from_string(body));
        assert_int_equal(outcome.accepted, 1);
        if (!span_equals(kind_of(&outcome), span_from_string(cases[i].kind)))
            fail_msg("%s: %.*s", cases[i].topic, SPAN_ARG(kind_of(&outcome)));
    }
}

/* A topic's word is a kind as long as a kind may be. */
static void test_topic_of_any_length(void **state) {
    enum { LONGEST = 256 };
    char body[LONGEST + 64];
    (void)state;
    for (int len = LONGEST; len <= LONGEST + 1; len++) {
        snprintf(body, sizeof body, "{\"topic\":\"%0*d\",\"events\":[{\"a\":1}]}", len, 0);
        struct sender_outcome outcome = sender_harness_parse("mist", span_from_string(body));
        assert_int_equal(outcome.rc, len == LONGEST ? SENDER_OK : SENDER_WRONG_SHAPE);
        snprintf(body, sizeof body, "{\"topic\":\"location-%0*d\",\"events\":[{\"id\":1}]}", len,
                 0);
        outcome = sender_harness_parse("mist", span_from_string(body));
        assert_int_equal(outcome.rc, SENDER_OK);
        assert_true(span_equals(kind_of(&outcome), SPAN("seen")));
    }
}

/* The `mac` of a device is no client's, or access points would be counted as visitors. */
static void test_devices_are_no_clients(void **state) {
    static const char *const topics[] = {"device-events", "device-updowns", "mxedge-events"};
    char body[128];
    (void)state;
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
        snprintf(body, sizeof body, "{\"topic\":\"%s\",\"events\":[{\"mac\":\"5c5b35aa0001\"}]}",
                 topics[i]);
        struct sender_outcome outcome = sender_harness_parse("mist", span_from_string(body));
        assert_int_equal(outcome.accepted, 1);
        assert_null(memmem(outcome.lines.ptr, outcome.lines.len, "\"client\"", 8));
        static const char kept[] = "\"extra\":{\"mac\":\"5c5b35aa0001\"}";
        assert_non_null(memmem(outcome.lines.ptr, outcome.lines.len, kept, sizeof kept - 1));
    }
}

/* --- Identity -----------------------------------------------------------------------------------
 */

struct id {
    char text[2 * HASH_BYTES];
};

static struct id id_of(const char *body) {
    struct sender_outcome outcome = sender_harness_parse("mist", span_from_string(body));
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

#define POST(topic, event) "{\"topic\":\"" topic "\",\"events\":[{" event "}]}"
#define SITE               "\"site_id\":\"s\","
#define MAC                "\"mac\":\"5684dae9ac8b\","
#define ENTER              "\"zone_id\":\"z\",\"trigger\":\"enter\","
#define TIME               "\"timestamp\":1767607918"

/* The same topic, site, client, zone, trigger and time, however they are written. */
static void test_identity(void **state) {
    static const struct {
        const char *body;
        bool same;
    } cases[] = {
        {POST("zone", TIME ".000," ENTER "\"mac\":\"56-84-DA-E9-AC-8B\"," SITE "\"x\":1"), true},
        {POST("zone", "\"siteid\":\"s\",\"client_id\":\"56-84-da-e9-ac-8b\"," ENTER TIME), true},
        {POST("zone", SITE MAC "\"id\":\"i\"," ENTER TIME), true},
        {POST("rssizone", SITE MAC ENTER TIME), false},
        {POST("zone", "\"site_id\":\"t\"," MAC ENTER TIME), false},
        {POST("zone", MAC ENTER TIME), false},
        {POST("zone", SITE "\"mac\":\"5684dae9ac8c\"," ENTER TIME), false},
        {POST("zone", SITE "\"mac\":\"lamp\"," ENTER TIME), false},
        {POST("zone", SITE "\"id\":\"5684dae9ac8b\"," ENTER TIME), false},
        {POST("zone", SITE MAC "\"zone_id\":\"y\",\"trigger\":\"enter\"," TIME), false},
        {POST("zone", SITE MAC "\"zone_id\":\"z\",\"trigger\":\"exit\"," TIME), false},
        {POST("zone", SITE MAC ENTER TIME ".001"), false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (is_same(POST("zone", SITE MAC ENTER TIME), cases[i].body) != cases[i].same)
            fail_msg("%s", cases[i].body);
}

/* Whom no MAC address names, some other word does; and rssizone has its own name for its zone. */
static void test_identity_of_names(void **state) {
    static const char *const names[] = {
        POST("rssizone", "\"id\":\"i\"," TIME),
        POST("rssizone", "\"id\":\"j\"," TIME),
        POST("rssizone", "\"id\":\"i\",\"mac\":\"lamp\"," TIME),
        POST("rssizone", "\"asset_id\":\"k\"," TIME),
        POST("rssizone", "\"asset_id\":\"k\",\"mac\":\"torch\"," TIME),
        POST("rssizone", "\"id\":\"i\",\"rssizone_id\":\"a\"," TIME),
        POST("rssizone", "\"id\":\"i\",\"rssizone_id\":\"b\"," TIME),
    };
    enum { COUNT = sizeof names / sizeof *names };
    (void)state;
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < COUNT; j++)
            assert_int_equal(is_same(names[i], names[j]), i == j);
}

/* Topics of which one second may bring many events about the same client, or about none. */
static void test_identity_of_other_topics(void **state) {
    static const char *const bodies[] = {
        POST("alarms", SITE "\"type\":\"a\"," TIME),
        POST("alarms", SITE "\"type\":\"b\"," TIME),
        POST("alarm", SITE "\"type\":\"b\"," TIME),
        POST("asset-raw-rssi", MAC "\"ap\":\"5c5b35aa0001\"," TIME),
        POST("asset-raw-rssi", MAC "\"ap\":\"5c5b35aa0002\"," TIME),
        POST("client-info", MAC "\"ip\":\"192.0.2.1\"," TIME),
        POST("client-info", MAC "\"ip\":\"2001:db8::1\"," TIME),
        POST("client-join", "\"ap\":\"5c5b35aa0001\"," TIME),
        POST("client-join", "\"ap\":\"5c5b35aa0002\"," TIME),
    };
    enum { COUNT = sizeof bodies / sizeof *bodies };
    (void)state;
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < COUNT; j++)
            assert_int_equal(is_same(bodies[i], bodies[j]), i == j);
    assert_true(is_same(POST("client-join", MAC TIME), POST("client-join", MAC TIME ",\"a\":1")));
}

/* Two readings without a time are two readings. */
static void test_no_identity_without_a_time(void **state) {
    static const char *const bodies[] = {
        POST("wifi-conn-raw", "\"client_id\":\"28-f0-76-aa-22-1e\",\"siteid\":\"s\""),
        POST("zone", SITE MAC ENTER "\"timestamp\":null"),
        POST("zone", SITE MAC ENTER "\"timestamp\":0"),
        POST("zone", SITE MAC ENTER "\"timestamp\":\"now\""),
    };
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        if (is_same(bodies[i], bodies[i]))
            fail_msg("%s", bodies[i]);
}

/* One event's fields do not stay for the next one. */
static void test_nothing_is_carried_over(void **state) {
    static const char body[] =
        "{\"topic\":\"zone\",\"events\":[{\"mac\":\"020000000001\",\"ap\":\"5c5b35aa0001\","
        "\"ssid\":\"s\",\"rssi\":-1,\"x\":1,\"site_id\":\"s\",\"org_id\":\"o\",\"trigger\":"
        "\"enter\",\"timestamp\":1767607918,\"odd\":1},{\"id\":2}]}";
    static const char tail[] =
        "\"kind\":\"zone\",\"extra\":{\"id\":2,\"enclosing\":{\"topic\":\"zone\"}}}\n";
    (void)state;
    struct sender_outcome outcome = sender_harness_parse("mist", SPAN(body));
    assert_int_equal(outcome.accepted, 2);
    const char *end = outcome.lines.ptr + outcome.lines.len;
    assert_memory_equal(end - (sizeof tail - 1), tail, sizeof tail - 1);
}

/* Much that is not known around many events: repeated, it would make a gigabyte of a megabyte. */
static void test_leftovers_are_not_multiplied(void **state) {
    enum { COUNT = 1000, MORE_BYTES = 1 << 20 };
    char *body = malloc(COUNT * 16 + MORE_BYTES + 1024);
    assert_non_null(body);
    size_t len =
        (size_t)sprintf(body, "{\"topic\":\"ping\",\"more\":\"%0*d\",\"events\":[", MORE_BYTES, 0);
    for (int i = 0; i < COUNT; i++)
        len += (size_t)sprintf(body + len, "{\"a\":1},");
    len += (size_t)sprintf(body + len - 1, "]}") - 1;
    (void)state;
    struct sender_outcome outcome = sender_harness_parse("mist", span_from(body, len));
    assert_int_equal(outcome.rc, SENDER_OK);
    assert_int_equal(outcome.accepted, COUNT);
    assert_in_range(outcome.lines.len, MORE_BYTES, 2 * MORE_BYTES);
    free(body);
}

static void test_what_the_node_is_told(void **state) {
    const struct sender *sender = sender_find(SPAN("mist"));
    (void)state;
    assert_false(sender->keep_unreadable);
    assert_false(sender->answers_get);
    assert_false(sender->empty_is_validation);
    assert_int_equal(sender->auth, SENDER_AUTH_MIST);
    assert_null(sender->answer_headers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_wrong_shapes),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_topic_of_any_length),
        cmocka_unit_test(test_devices_are_no_clients),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_identity_of_names),
        cmocka_unit_test(test_identity_of_other_topics),
        cmocka_unit_test(test_no_identity_without_a_time),
        cmocka_unit_test(test_nothing_is_carried_over),
        cmocka_unit_test(test_leftovers_are_not_multiplied),
        cmocka_unit_test(test_what_the_node_is_told),
    };
    return cmocka_run_group_tests(tests, sender_harness_setup, sender_harness_teardown);
}
