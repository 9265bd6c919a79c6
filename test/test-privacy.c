/* Privacy: pseudonyms against values computed elsewhere, what is found in free data, and that of
 * the people in every sender's samples nothing is in the ring.
 *
 * The expected values come from Python's hmac, with H(k, m) = HMAC-SHA-256 and the key below:
 *   master = H(key, b"rollcall privacy"); id key = H(master, b"id")[:16]
 *   k = H(master, b"period" + n.to_bytes(8, "big")), n = ms since 1970 // rotate_ms
 *   H(k, b"mac:" + six octets)[:6], with (first | 2) & 0xfe; H(k, b"email:ada@harbour.example")[:8]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch.h"
#include "json.h"
#include "privacy.h"
#include "privacy_internal.h"
#include "ring.h"
#include "sender.h"
#include "util/buf.h"

#define KEY         SPAN("0123456789abcdef")
#define RECEIVED_US INT64_C(1767607933456789) /* 2026-01-05T10:12:13.456789Z */
#define DAY_MS      UINT64_C(86400000)
#define MAC         0xa0d795114f3c
#define MAC_HIDDEN  "7e:4c:27:74:4a:78"
#define ADA_HIDDEN  "p-bc4d3cac65dd89ea" /* ada@harbour.example */

enum { RING_BYTES = 1 << 20, NO_LIMIT = 1 << 30 };

static struct json_parser *parser;
static struct buf line;

static int setup(void **state) {
    (void)state;
    parser = json_parser_new();
    return parser ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    json_parser_free(parser);
    buf_deinit(&line);
    return 0;
}

static struct privacy *make(enum privacy_mode mac, enum privacy_mode personal, uint64_t rotate_ms) {
    struct privacy *privacy;
    struct privacy_options options = {mac, personal, KEY, rotate_ms};
    assert_int_equal(privacy_new(&privacy, &options), 0);
    return privacy;
}

static struct event start(void) {
    struct event event;
    event_init(&event);
    event.kind = SPAN("seen");
    memset(event.id, 0, sizeof event.id);
    return event;
}

/* The event's line as it leaves, NUL-terminated. */
static const char *encode(struct privacy *privacy, const struct event *event, const char *provider,
                          int64_t received_us) {
    struct event_context context;
    struct event_layout layout;
    struct event hidden;
    event_context_init(&context, SPAN("hq"), span_from_string(provider), received_us);
    assert_int_equal(privacy_apply(privacy, event, &context, NO_LIMIT, &hidden), 0);
    line.len = 0;
    assert_int_equal(buf_reserve(&line, event_size_bound(&hidden, &context) + 1), 0);
    event_encode(&hidden, &context, line.ptr, &layout);
    line.ptr[layout.len] = 0;
    return line.ptr;
}

static void assert_has(const char *text, const char *part) {
    if (!strstr(text, part))
        fail_msg("no %s in %s", part, text);
}

static void assert_has_not(const char *text, const char *part) {
    if (strstr(text, part))
        fail_msg("%s in %s", part, text);
}

/* --- pseudonyms ----------------------------------------------------------------------------------
 */

static struct event full_event(void) {
    struct event event = start();
    event.client_mac = MAC;
    event.ap_mac = 0x08ea44a1b2c0;
    event_set(&event, EVENT_CLIENT_IPV4, SPAN("10.20.0.41"));
    event_set(&event, EVENT_CLIENT_IPV6, SPAN("fe80::a2d7:95ff:fe11:4f3c"));
    event_set(&event, EVENT_CLIENT_MANUFACTURER, SPAN("Acme"));
    event_set(&event, EVENT_CLIENT_OS, SPAN("OS 10.0.0.1"));
    event_set(&event, EVENT_CLIENT_USER_AGENT, SPAN("Zo\\u00eb\\/1"));
    event_set(&event, EVENT_AP_NAME, SPAN("08-EA-44-A1-B2-C1"));
    event_set(&event, EVENT_SSID, SPAN("guest"));
    event_set(&event, EVENT_VENUE_ID, SPAN("100000000001"));
    event_set(&event, EVENT_USER_ID, SPAN("90017"));
    event_set(&event, EVENT_USER_EMAIL, SPAN("\\t Ada\\u0040Harbour.Example "));
    event_set(&event, EVENT_USER_FIRST_NAME, SPAN("Ada"));
    event_set(&event, EVENT_USER_LAST_NAME, SPAN("ADA@harbour.example"));
    event_set(&event, EVENT_USER_GENDER, SPAN("F"));
    event_set(&event, EVENT_USER_BIRTH_DATE, SPAN("1987-03-14"));
    event_set(&event, EVENT_USER_PROVIDER, SPAN("Form"));
    event_set(&event, EVENT_USER_VISITS, SPAN("{ \"311\" : 7 }"));
    event_set(&event, EVENT_CHANNEL_UUID, SPAN("90017"));
    event_set(&event, EVENT_CHANNEL_JOINED, SPAN("[ \"90017\" , 90017, null, [\"Ada\"] ]"));
    event_set(&event, EVENT_TENANT, SPAN("ada@harbour.example"));
    return event;
}

#define KEPT_AP    "\"ap\":{\"mac\":\"08:ea:44:a1:b2:c0\",\"name\":\"08-EA-44-A1-B2-C1\"}"
#define KEPT_PLACE "\"ssid\":\"guest\",\"venue\":{\"id\":\"100000000001\"}"
#define TENANT     "\"tenant\":\"ada@harbour.example\""

static void test_pseudonyms_are_the_computed_ones(void **state) {
    struct privacy *privacy = make(PRIVACY_PSEUDONYM, PRIVACY_PSEUDONYM, DAY_MS);
    struct event event = full_event();
    (void)state;
    assert_has(encode(privacy, &event, "test", RECEIVED_US),
               "\"client\":{\"mac\":\"" MAC_HIDDEN "\",\"randomized\":false,"
               "\"manufacturer\":\"Acme\",\"os\":\"OS 10.0.0.1\","
               "\"user_agent\":\"p-d08d62b01d868626\"}," KEPT_AP "," KEPT_PLACE ","
               "\"user\":{\"id\":\"p-422cd5a241f16101\",\"email\":\"" ADA_HIDDEN "\","
               "\"first_name\":\"p-1ada673d9e6d0678\",\"last_name\":\"" ADA_HIDDEN "\","
               "\"provider\":\"Form\",\"visits\":{\"311\":7}},"
               "\"channel\":{\"uuid\":\"p-422cd5a241f16101\",\"joined\":[\"p-422cd5a241f16101\","
               "\"p-422cd5a241f16101\",null,[\"p-");
    assert_has(line.ptr, TENANT "}\n");
    assert_int_equal(event.client_mac, MAC); /* the sender's own is as it was */
    assert_memory_equal(event.fields[EVENT_USER_ID].ptr, "90017", 5);
    privacy_free(privacy);
}

static void test_what_is_dropped_is_not_there(void **state) {
    struct privacy *privacy = make(PRIVACY_DROP, PRIVACY_DROP, DAY_MS);
    struct event event = full_event();
    (void)state;
    assert_has(
        encode(privacy, &event, "test", RECEIVED_US),
        "\"kind\":\"seen\",\"client\":{\"manufacturer\":\"Acme\",\"os\":\"OS 10.0.0.1\"}," KEPT_AP
        "," KEPT_PLACE ",\"user\":{\"provider\":\"Form\",\"visits\":{\"311\":7}}," TENANT "}\n");
    privacy_free(privacy);
}

static void test_each_half_by_itself(void **state) {
    struct privacy *privacy = make(PRIVACY_PSEUDONYM, PRIVACY_KEEP, DAY_MS);
    struct event event = full_event();
    (void)state;
    encode(privacy, &event, "test", RECEIVED_US);
    assert_has(line.ptr, "\"mac\":\"" MAC_HIDDEN "\"");
    assert_has_not(line.ptr, "ipv");
    assert_has(line.ptr, "\"id\":\"90017\"");
    assert_has(line.ptr, "\"gender\":\"F\"");
    assert_has(line.ptr, "\"joined\":[\"90017\",90017,null,[\"Ada\"]]");
    privacy_free(privacy);
    privacy = make(PRIVACY_KEEP, PRIVACY_PSEUDONYM, DAY_MS);
    encode(privacy, &event, "test", RECEIVED_US);
    assert_has(line.ptr,
               "\"mac\":\"a0:d7:95:11:4f:3c\",\"randomized\":false,\"ipv4\":\"10.20.0.41\"");
    assert_has(line.ptr, "\"id\":\"p-422cd5a241f16101\"");
    assert_has_not(line.ptr, "gender");
    privacy_free(privacy);
}

static void test_periods(void **state) {
    const int64_t midnight_us = INT64_C(20459) * 86400 * 1000000;
    struct privacy *privacy = make(PRIVACY_PSEUDONYM, PRIVACY_PSEUDONYM, DAY_MS);
    struct event event = start();
    (void)state;
    event.client_mac = MAC;
    assert_has(encode(privacy, &event, "test", midnight_us - 1), MAC_HIDDEN);
    assert_has(encode(privacy, &event, "test", midnight_us), "aa:c5:70:01:2a:75");
    assert_has(encode(privacy, &event, "test", midnight_us - 1),
               MAC_HIDDEN); /* the clock was set */
    privacy_free(privacy);
    privacy = make(PRIVACY_PSEUDONYM, PRIVACY_PSEUDONYM, 0);
    assert_has(encode(privacy, &event, "test", 0), "f2:07:ad:d7:a4:4f");
    assert_has(encode(privacy, &event, "test", RECEIVED_US), "f2:07:ad:d7:a4:4f");
    privacy_free(privacy);
}

static void test_randomized_tells_about_the_real_address(void **state) {
    struct privacy *privacy = make(PRIVACY_PSEUDONYM, PRIVACY_KEEP, DAY_MS);
    struct event event = start();
    (void)state;
    for (uint64_t i = 0; i < 2000; i++) {
        struct event_context context;
        struct event hidden;
        event.client_mac = i << 40 | i; /* every first octet, group addresses too */
        event.client_mac &= 0xffffffffffff;
        event_context_init(&context, SPAN("hq"), SPAN("test"), RECEIVED_US);
        assert_int_equal(privacy_apply(privacy, &event, &context, NO_LIMIT, &hidden), 0);
        assert_true(MAC_IS_RANDOMIZED(hidden.client_mac));
        assert_int_equal(hidden.client_mac >> 40 & 1, 0);
        assert_int_equal(hidden.client_mac >> 48, 0);
        assert_has(encode(privacy, &event, "test", RECEIVED_US), MAC_IS_RANDOMIZED(event.client_mac)
                                                                     ? "\"randomized\":true"
                                                                     : "\"randomized\":false");
    }
    privacy_free(privacy);
}

static void test_the_key(void **state) {
    struct privacy *privacy;
    struct privacy_options options = {PRIVACY_DROP, PRIVACY_DROP, SPAN("0123456789abcde"), DAY_MS};
    char id_key[2 * HASH_KEY_BYTES + 1] = "";
    (void)state;
    assert_int_equal(privacy_new(&privacy, &options), -EINVAL);
    assert_null(privacy);
    privacy_free(NULL);
    privacy = make(PRIVACY_DROP, PRIVACY_DROP, DAY_MS);
    text_format_hex(privacy_id_key(privacy), HASH_KEY_BYTES, id_key);
    assert_string_equal(id_key, "159ec72a3b27455aee0f5ef0ea18784f");
    privacy_free(privacy);
}

/* --- free data -----------------------------------------------------------------------------------
 */

/* `data` goes through; what comes out, or "absent". */
static void check_data(struct privacy *privacy, const char *provider, const char *data,
                       const char *expected) {
    struct event event = start();
    char wanted[1024];
    event.ap_mac = 0x08ea44a1b2c0;
    event_set(&event, EVENT_DATA, span_from_string(data));
    const char *text = strstr(encode(privacy, &event, provider, RECEIVED_US), "},\"data\":");
    snprintf(wanted, sizeof wanted, "},\"data\":%s}\n", expected);
    if (strcmp(text ? text : "absent", text ? wanted : expected) != 0)
        fail_msg("%s: %s, not %s", data, text ? text : "absent", expected);
}

struct data_case {
    const char *data, *pseudonym, *drop; /* NULL: unchanged */
};

#define ID_HIDDEN "\"p-422cd5a241f16101\"" /* 90017 as an id */

static const struct data_case data_cases[] = {
    /* nothing to hide: every byte but white space stays */
    {"{\"a\":[1.50,-0,1e3,18446744073709551615,true,false,null,\"\\u0061 \\/\"],\"b\":{},\"c\":[]}",
     NULL, NULL},
    {" [ 1 , { \"a\" : \"b  c\" } ] ", "[1,{\"a\":\"b  c\"}]", "[1,{\"a\":\"b  c\"}]"},
    {"\"plain\"", NULL, NULL},
    {"7", NULL, NULL},
    /* MAC addresses: each spelling keeps its own, as value, member's name and in longer text */
    {"\"a0d795114f3c\"", "\"7e4c27744a78\"", "absent"},
    {"\"A0D795114F3C\"", "\"7E4C27744A78\"", "absent"},
    {"[\"a0:d7:95:11:4f:3c\",\"A0-D7-95-11-4f-3C\",\"a0d7.9511.4f3c\"]",
     "[\"7e:4c:27:74:4a:78\",\"7E-4C-27-74-4A-78\",\"7e4c.2774.4a78\"]", "[null,null,null]"},
    {"[\"a0d795-114f3c\",\"a0%3Ad7%3A95%3a11%3a4f%3a3c\",\"a0_d7_95_11_4f_3c\"]",
     "[\"7e4c27-744a78\",\"7e%3A4c%3A27%3a74%3a4a%3a78\",\"7e_4c_27_74_4a_78\"]",
     "[null,null,null]"},
    {"[\"a2d795fffe114f3c\",\"x=%3Da0%3Ad7%3A95%3A11%3A4F%3A3C\",\"mac%3Da0d795114f3c\"]",
     "[\"76175dfffe385d34\",\"x=%3D7E%3A4C%3A27%3A74%3A4A%3A78\",\"mac%3D7e4c27744a78\"]",
     "[null,null,null]"},
    {"{\"t\":\"host/a0:d7:95:11:4f:3c, wlxa0d795114f3c; 01:a0:d7:95:11:4f:3c\"}",
     "{\"t\":\"host/7e:4c:27:74:4a:78, wlx7e4c27744a78; 01:7e:4c:27:74:4a:78\"}", "{}"},
    {"{\"\\u0061\\u0030:d7:95:11:4f:3c\":1,\"k\":2}", "{\"7e:4c:27:74:4a:78\":1,\"k\":2}",
     "{\"k\":2}"},
    {"\"\\\"a0d795114f3c\\\"\\n\\u00e9\"", "\"\\\"7e4c27744a78\\\"\\n\xc3\xa9\"", "absent"},
    {"\"a0:d7:95:11:4f:3c@realm.example\"", "\"7e:4c:27:74:4a:78@realm.example\"", "absent"},
    {"\"aa:bb:cc:dd:ee:ff:00:11:aa\"", "\"5b:15:1c:69:4d:2f:97:d5:ff\"", "absent"},
    /* the event's own access point, access points by name, and what only looks like one */
    {"{\"mac\":\"08ea44a1b2c0\",\"t\":\"on 08:EA:44:A1:B2:C0\"}", NULL, NULL},
    {"{\"bssid\":\"a0d795114f3c\",\"nearestApMac\":\"a0:d7:95:11:4f:3c\",\"aps\":[{\"mac\":"
     "\"a0d795114f3c\",\"name\":\"a0d795114f3c\"}]}",
     NULL, NULL},
    {"[\"3d1f0b52-77aa-4c1e-9f0e-5b6a7c8d9e01\",\"a0d795114f3\",\"a0d795114f3cd\",\"12:34:56\","
     "\"2026-01-05T10:11:58\",\"a0:d7:95:11:4f\",\"a0:d7:95-11:4f:3c\"]",
     NULL, NULL},
    {"\"3d1f0b52-77aa-11ee-9f0e-a0d795114f3c\"", "\"3d1f0b52-77aa-11ee-9f0e-7e4c27744a78\"",
     "absent"},
    /* a device's ids by name, whatever they look like */
    {"{\"clientMac\":\"\",\"client_mac\":null,\"sta_mac\":\"hash\",\"imei\":{\"a\":1}}",
     "{\"clientMac\":\"\",\"client_mac\":null,\"sta_mac\":\"p-f6e7f27cdecc9300\",\"imei\":{\"a\":1}"
     "}",
     "{\"clientMac\":\"\",\"imei\":{\"a\":1}}"},
    /* IP addresses */
    {"\"/10.20.0.41\"", "\"/ip-a0355f47fcab3c98\"", "absent"},
    {"{\"x\":\"from [2001:DB8::0:9]:80.\",\"10.20.0.41\":{\"ipv4\":\"ada-phone/10.20.0.41\"}}",
     "{\"x\":\"from [ip-94ec25d3702bc9c0]:80.\",\"ip-a0355f47fcab3c98\":{\"ipv4\":\"ip-"
     "a0355f47fcab3c98\"}}",
     "{}"},
    {"{\"version\":\"10.20.0.41\",\"a\":\"1.2.3\",\"b\":\"1.2.3.4.5\",\"c\":\"1.2.3.256\",\"d\":"
     "\"std::x\",\"e\":\"::\"}",
     "{\"version\":\"10.20.0.41\",\"a\":\"1.2.3\",\"b\":\"1.2.3.4.5\",\"c\":\"1.2.3.256\",\"d\":"
     "\"std::x\",\"e\":\"::\"}",
     "{\"version\":\"10.20.0.41\",\"a\":\"1.2.3\",\"b\":\"1.2.3.4.5\",\"c\":\"1.2.3.256\",\"d\":"
     "\"std::x\",\"e\":\"::\"}"},
    /* e-mail addresses */
    {"{\"t\":\"<ADA@harbour.example>, u=ada%40Harbour.example&\",\"ada@harbour.example\":1}",
     "{\"t\":\"<" ADA_HIDDEN ">, u=" ADA_HIDDEN "&\",\"" ADA_HIDDEN "\":1}", "{}"},
    {"[\"@\",\"a@b\",\"@b.c\",\"a@.\",\"a@b.\",\"caf\xc3\xa9 @ pier\"]", NULL, NULL},
    /* a person's by name: in any spelling, at any depth, whatever the type */
    {"{\"user_id\":90017,\"UserID\":\"90017\",\"u\\u0073er-id\":\" 90017\\t\"}",
     "{\"user_id\":" ID_HIDDEN ",\"UserID\":" ID_HIDDEN ",\"u\\u0073er-id\":" ID_HIDDEN "}", "{}"},
    {"{\"E-Mail\":\"Ada@harbour.example\",\"contactEmailAddress\":[\"ada@harbour.example\",[{\"x\":"
     "\"ADA@harbour.example\"}]]}",
     "{\"E-Mail\":\"" ADA_HIDDEN "\",\"contactEmailAddress\":[\"" ADA_HIDDEN
     "\",[{\"x\":\"" ADA_HIDDEN "\"}]]}",
     "{}"},
    {"{\"user\":{\"id\":90017,\"os\":\"x\",\"more\":{\"id\":\"90017\"}},\"users\":[{\"id\":"
     "\"90017\"},"
     "\"90017\"],\"id\":90017}",
     "{\"user\":{\"id\":" ID_HIDDEN ",\"os\":\"x\",\"more\":{\"id\":" ID_HIDDEN
     "}},\"users\":[{\"id\":" ID_HIDDEN "}," ID_HIDDEN "],\"id\":90017}",
     "{\"user\":{\"os\":\"x\",\"more\":{}},\"users\":[{},null],\"id\":90017}"},
    {"{\"userId\":{\"x\":90017,\"y\":[{\"mac\":\"90017\"}],\"gender\":1}}",
     "{\"userId\":{\"x\":" ID_HIDDEN ",\"y\":[{\"mac\":" ID_HIDDEN "}]}}", "{}"},
    {"{\"date_of_birth\":\"1987-03-14\",\"x\":{\"Gender\":[\"F\"]},\"sex\":1,\"age\":{}}",
     "{\"x\":{}}", "{\"x\":{}}"},
    {"{\"name\":\"Ada\",\"venue\":{\"name\":\"Pier\"},\"floorPlan\":{\"name\":\"G\",\"owner\":{"
     "\"name\":"
     "\"Ada\"}}}",
     "{\"name\":\"p-1ada673d9e6d0678\",\"venue\":{\"name\":\"Pier\"},\"floorPlan\":{\"name\":\"G\","
     "\"owner\":{\"name\":\"p-1ada673d9e6d0678\"}}}",
     "{\"venue\":{\"name\":\"Pier\"},\"floorPlan\":{\"name\":\"G\",\"owner\":{}}}"},
    {"{\"name\":\"\",\"email\":null,\"emailVerified\":true,\"uuid\":\"A0-D7-95-11-4F-3C\"}",
     "{\"name\":\"\",\"email\":null,\"emailVerified\":true,\"uuid\":\"" MAC_HIDDEN "\"}", "{}"},
    {"{\"a\":1,\"email\":\"x\",\"b\":2}", "{\"a\":1,\"email\":\"p-3be65b80db5279c1\",\"b\":2}",
     "{\"a\":1,\"b\":2}"},
};

static void test_free_data(void **state) {
    struct privacy *pseudonym = make(PRIVACY_PSEUDONYM, PRIVACY_PSEUDONYM, DAY_MS);
    struct privacy *drop = make(PRIVACY_DROP, PRIVACY_DROP, DAY_MS);
    struct privacy *keep = make(PRIVACY_KEEP, PRIVACY_KEEP, DAY_MS);
    (void)state;
    for (size_t i = 0; i < sizeof data_cases / sizeof *data_cases; i++) {
        const struct data_case *c = &data_cases[i];
        char minified[1024];
        size_t len = json_minify_to(span_from_string(c->data), minified);
        minified[len] = 0;
        check_data(pseudonym, "test", c->data, c->pseudonym ? c->pseudonym : c->data);
        check_data(drop, "test", c->data, c->drop ? c->drop : c->data);
        check_data(keep, "test", c->data, minified);
    }
    privacy_free(pseudonym);
    privacy_free(drop);
    privacy_free(keep);
}

static void test_names_of_one_sender(void **state) {
    struct privacy *privacy = make(PRIVACY_PSEUDONYM, PRIVACY_PSEUDONYM, DAY_MS);
    const char *pubnub = "{\"timeout\":[\"90017\"],\"left\":90017}",
               *mist = "{\"id\":\"90017\","
                       "\"zone\":{\"id\":\"90017\"}}";
    (void)state;
    check_data(privacy, "json", pubnub, pubnub);
    check_data(privacy, "pubnub", pubnub, "{\"timeout\":[" ID_HIDDEN "],\"left\":" ID_HIDDEN "}");
    check_data(privacy, "json", mist, mist);
    check_data(privacy, "mist", mist, "{\"id\":" ID_HIDDEN ",\"zone\":{\"id\":\"90017\"}}");
    assert_true(name_table_is_sorted());
    privacy_free(privacy);
}

/* --- bounds --------------------------------------------------------------------------------------
 */

static int apply(struct privacy *privacy, const struct event *event, size_t max_bytes,
                 struct event *hidden) {
    struct event_context context;
    event_context_init(&context, SPAN("hq"), SPAN("test"), RECEIVED_US);
    return privacy_apply(privacy, event, &context, max_bytes, hidden);
}

static void test_what_is_too_large(void **state) {
    struct privacy *privacy = make(PRIVACY_PSEUDONYM, PRIVACY_PSEUDONYM, DAY_MS);
    struct event event = start(), hidden;
    size_t len = sizeof("[" ID_HIDDEN "," ID_HIDDEN "]") - 1;
    (void)state;
    event_set(&event, EVENT_CHANNEL_JOINED, SPAN("[90017,\"90017\"]"));
    assert_int_equal(apply(privacy, &event, len, &hidden), 0);
    assert_int_equal(hidden.fields[EVENT_CHANNEL_JOINED].len, len);
    for (size_t max = 0; max < len; max++)
        assert_int_equal(apply(privacy, &event, max, &hidden), PRIVACY_TOO_LARGE);
    privacy_free(privacy);
}

static void test_a_kind_stays_a_word(void **state) {
    struct privacy *privacy = make(PRIVACY_PSEUDONYM, PRIVACY_PSEUDONYM, DAY_MS);
    struct event event = start(), hidden;
    char kind[EVENT_MAX_KIND_BYTES + 1], more[EVENT_MAX_KIND_BYTES + 1];
    (void)state;
    memset(kind, 'x', sizeof kind);
    memcpy(kind, "a@b.cc ", 7);
    event.kind = span_from(kind, EVENT_MAX_KIND_BYTES - 12); /* 6 bytes become 18 */
    assert_int_equal(apply(privacy, &event, NO_LIMIT, &hidden), 0);
    assert_int_equal(hidden.kind.len, EVENT_MAX_KIND_BYTES);
    memcpy(more, kind, sizeof more);
    event.kind = span_from(more, EVENT_MAX_KIND_BYTES - 11);
    assert_int_equal(apply(privacy, &event, NO_LIMIT, &hidden), 0);
    assert_memory_equal(hidden.kind.ptr, "hidden", hidden.kind.len);
    privacy_free(privacy);
    privacy = make(PRIVACY_KEEP, PRIVACY_DROP, DAY_MS);
    assert_int_equal(apply(privacy, &event, NO_LIMIT, &hidden), 0);
    assert_memory_equal(hidden.kind.ptr, "hidden", hidden.kind.len);
    privacy_free(privacy);
}

static void test_depth_and_length(void **state) {
    enum { DEPTH = JSON_MAX_DEPTH + 8, ITEMS = 100000 };
    struct privacy *privacy = make(PRIVACY_PSEUDONYM, PRIVACY_PSEUDONYM, DAY_MS);
    struct event event = start(), hidden;
    static char text[ITEMS * 13];
    (void)state;
    memset(text, '[', DEPTH);
    memset(text + DEPTH, ']', DEPTH);
    event_set(&event, EVENT_DATA, span_from(text, 2 * DEPTH));
    assert_int_equal(apply(privacy, &event, NO_LIMIT, &hidden), 0);
    assert_int_equal(hidden.fields[EVENT_DATA].len, 2 * DEPTH);
    for (size_t i = 0; i < ITEMS; i++) /* many addresses in one string: one walk */
        memcpy(text + i * 13, "a0d795114f3c,", 13);
    text[0] = text[ITEMS * 13 - 1] = '"';
    memcpy(text + ITEMS * 13 - 9, " a@b.cc", 7);
    event_set(&event, EVENT_DATA, span_from(text, ITEMS * 13));
    assert_int_equal(apply(privacy, &event, NO_LIMIT, &hidden), 0);
    assert_null(memmem(hidden.fields[EVENT_DATA].ptr, hidden.fields[EVENT_DATA].len, "a0d79", 5));
    assert_in_range(privacy->out.cap, ITEMS * 13 - 100, 3 * ITEMS * 13);
    privacy_trim(privacy);
    assert_int_equal(privacy->out.cap, 0);
    privacy_free(privacy);
}

/* --- senders -------------------------------------------------------------------------------------
 */

/* A body goes through its sender into the ring. */
static void post(struct batch *batch, struct ring *ring, const char *sender, struct span body) {
    struct json_doc doc;
    struct json_error error;
    struct problem problem;
    char *padded = calloc(1, body.len + JSON_PADDING);
    assert_non_null(padded);
    memcpy(padded, body.ptr, body.len);
    assert_int_equal(json_parse(parser, padded, body.len, &doc, &error), 0);
    batch_begin(batch, ring, SPAN("hq"), span_from_string(sender), RECEIVED_US);
    int rc = sender_parse(sender_find(span_from_string(sender)), &doc, batch, &problem);
    if (rc == SENDER_OK)
        batch_commit(batch);
    else
        batch_abort(batch);
    free(padded);
}

/* All lines, NUL-terminated, each one JSON. */
static const char *all_lines(const struct ring *ring) {
    struct ring_cursor cursor = ring_oldest(ring);
    const struct ring_record *record = NULL;
    line.len = 0;
    while (ring_next(ring, &cursor, &record) == RING_OK) {
        struct json_doc doc;
        struct json_error error;
        struct span text = ring_record_line(record);
        char *padded = calloc(1, text.len + JSON_PADDING);
        assert_non_null(padded);
        memcpy(padded, text.ptr, text.len);
        if (json_parse(parser, padded, text.len, &doc, &error))
            fail_msg("%s at %zu: %.*s", error.message, error.offset, SPAN_ARG(text));
        free(padded);
        assert_int_equal(buf_append(&line, text.ptr, text.len), 0);
    }
    assert_int_equal(buf_append(&line, "", 1), 0);
    return line.ptr;
}

static void test_the_same_person_whoever_the_sender_is(void **state) {
    struct batch batch = {.privacy = make(PRIVACY_PSEUDONYM, PRIVACY_PSEUDONYM, DAY_MS)};
    struct ring *ring;
    (void)state;
    assert_int_equal(ring_new(&ring, RING_BYTES), 0);
    post(
        &batch, ring, "aerohive",
        SPAN("[{\"apMac\":\"08EA44A1B2C0\",\"observations\":[{\"clientMac\":\"A0D795114F3C\"}]}]"));
    post(&batch, ring, "meraki",
         SPAN("{\"version\":\"3.0\",\"type\":\"WiFi\",\"data\":{\"observations\":[{\"clientMac\":"
              "\"a0:d7:95:11:4f:3c\",\"userId\":\"Ada@Harbour.example\",\"latestRecord\":{}}]}}"));
    post(&batch, ring, "bt",
         SPAN("{\"client\":{\"mac\":\"A0-D7-95-11-4F-3C\"},\"user\":{\"id\":1,\"email\":"
              "\"ada@harbour.example\"},\"session\":{}}"));
    post(&batch, ring, "mist",
         SPAN("{\"topic\":\"guest-authorizations\",\"events\":[{\"client\":\"a0d795114f3c\","
              "\"name\":\"Ada\",\"email\":\"ADA@harbour.example\"}]}"));
    post(&batch, ring, "pubnub",
         SPAN("{\"action\":\"join\",\"channel\":\"c\",\"uuid\":\"ada@harbour.example\"}"));
    struct ring_cursor cursor = ring_oldest(ring);
    const struct ring_record *record = NULL;
    for (unsigned i = 0; ring_next(ring, &cursor, &record) == RING_OK; i++) {
        char text[2048];
        snprintf(text, sizeof text, "%.*s", SPAN_ARG(ring_record_line(record)));
        if (i < 4)
            assert_has(text, "\"client\":{\"mac\":\"" MAC_HIDDEN "\",\"randomized\":false");
        if (i < 4)
            assert_int_equal(record->client_mac, 0x7e4c27744a78); /* what filters ask */
        if (i > 0)
            assert_has(text, "\"" ADA_HIDDEN "\"");
        assert_in_range(i, 0, 4);
    }
    assert_int_equal(batch.accepted, 1);
    assert_int_equal(ring_figures(ring).accepted, 5);
    privacy_free(batch.privacy);
    batch_deinit(&batch);
    ring_free(ring);
}

/* Who is in the samples: in lower case, and without what MAC addresses are parted by. AP's
 * addresses are not among them. What is short is in quotes: hex digits of an id may be anything. */
/* clang-format off */
static const char *const people[] = {
    "a0d795114f3c", "7cd1c3405a8e", "b4f1da0c3e57", "da0195114f3c", "01005e0000fb",
    "020000000001", "020000000002", "020000000003", "020000000004", "5f2b8c1e90d44a7fb3c6",
    "3c2ef910aa01", "3c2ef910aa02", "3c2ef910aa03", "3c2ef9770011", "3c2ef9770012",
    "daa1192fc45d", "3c2ef9100001", "3c2ef9100002", "3c2ef9100003", "3c2ef9100004",
    "3c2ef9100005", "3c2ef9100006", "3c2ef9100007", "3c2ef9100008", "3c2ef9100009",
    "5684dae9ac8b", "5684dae9ac8c", "28f076aa221e", "28f076aa221f", "70ef00aa535f",
    "72ef00aa535f", "ac2316aaa70a", "00aa11bb22cc", "001f3a5c77e2", "000102030405",
    "ffffffffffff", "guest\\u0041", "\"1020041\"", "/1020015", "\"1985110023\"", "\"192029\"",
    "\"2001db841\"", "\"2001db89\"", "\"fe801\"", "ada@", "mara@", "webhook", "testcom",
    "adaquay", "\"ada\"",
    "\"last_name\"\"quay\"", "u0027neil", "zoë", "\"19870314\"", "mozilla", "a\\/1\\", "+440000",
    "till4", "trolley7", "\"name\"\"phone\"", "\"lamp\"", "\"hashed1\"", "\"id\"\"90017\"",
    "\"id\"\"90018\"",
    "\"hostname\"\"tab\"", "\"u1\"", "\"u2\"", "9c0144fe", "0c9d8e7f1111",
};
/* clang-format on */

/* The ring's memory, all of it, as people have it: an aborted batch and what never was pushed are
 * there, too. */
static void read_memory(struct ring *ring, struct buf *memory) {
    char *start;
    assert_int_equal(ring_reserve(ring, 1, &start), RING_OK);
    FILE *maps = fopen("/proc/self/maps", "r");
    char row[512];
    assert_non_null(maps);
    while (fgets(row, sizeof row, maps)) {
        unsigned long from, to;
        if (!strstr(row, "memfd:rollcall-ring") || sscanf(row, "%lx-%lx", &from, &to) != 2)
            continue;
        for (const char *p = (const char *)from; p < (const char *)to && memory->len < RING_BYTES;
             p++) {
            char c = *p >= 'A' && *p <= 'Z' ? (char)(*p | 0x20) : *p;
            if (!c || strchr(":-. ", c))
                continue;
            assert_int_equal(buf_append(memory, &c, 1), 0);
        }
    }
    fclose(maps);
    ring_abort(ring);
}

static struct buf read_file(const char *path) {
    char block[4096];
    struct buf content = {0};
    size_t len;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    while ((len = fread(block, 1, sizeof block, file)) > 0)
        assert_int_equal(buf_append(&content, block, len), 0);
    fclose(file);
    return content;
}

/* Posts every sample of every sender; the number of them. */
static unsigned post_samples(struct batch *batch, struct ring *ring) {
    unsigned count = 0;
    for (unsigned i = 0; senders[i]; i++) {
        char path[512];
        const struct dirent *entry;
        snprintf(path, sizeof path, "test/data/%s", senders[i]->name);
        DIR *directory = opendir(path);
        assert_non_null(directory);
        while ((entry = readdir(directory))) {
            const char *ending = strrchr(entry->d_name, '.');
            if (!ending || strcmp(ending, ".json") != 0)
                continue;
            snprintf(path, sizeof path, "test/data/%s/%s", senders[i]->name, entry->d_name);
            struct buf body = read_file(path);
            post(batch, ring, senders[i]->name, buf_span(&body));
            buf_deinit(&body);
            count++;
        }
        closedir(directory);
    }
    return count;
}

static unsigned count_people(enum privacy_mode mac, enum privacy_mode personal, bool is_allowed) {
    struct batch batch = {0};
    struct buf memory = {0};
    struct ring *ring;
    unsigned found = 0;
    if (mac != PRIVACY_KEEP || personal != PRIVACY_KEEP)
        batch.privacy = make(mac, personal, DAY_MS);
    assert_int_equal(ring_new(&ring, RING_BYTES), 0);
    assert_in_range(post_samples(&batch, ring), 90, 1000);
    assert_int_equal(ring_figures(ring).overwritten, 0);
    all_lines(ring);
    read_memory(ring, &memory);
    for (size_t i = 0; i < sizeof people / sizeof *people; i++) {
        const char *at = memmem(memory.ptr, memory.len, people[i], strlen(people[i]));
        found += at != NULL;
        if (at && !is_allowed)
            print_message("%s is there: %.200s\n", people[i], at);
    }
    buf_deinit(&memory);
    privacy_free(batch.privacy);
    batch_deinit(&batch);
    ring_free(ring);
    return found;
}

static void test_nobody_of_the_samples_is_in_the_ring(void **state) {
    unsigned all = sizeof people / sizeof *people;
    (void)state;
    assert_int_equal(count_people(PRIVACY_KEEP, PRIVACY_KEEP, true),
                     all); /* the search finds them */
    for (enum privacy_mode mac = PRIVACY_PSEUDONYM; mac <= PRIVACY_DROP; mac++)
        for (enum privacy_mode personal = PRIVACY_PSEUDONYM; personal <= PRIVACY_DROP; personal++)
            assert_int_equal(count_people(mac, personal, false), 0);
    assert_in_range(count_people(PRIVACY_KEEP, PRIVACY_DROP, true), 30, all - 10);
    assert_in_range(count_people(PRIVACY_DROP, PRIVACY_KEEP, true), 10, all - 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pseudonyms_are_the_computed_ones),
        cmocka_unit_test(test_what_is_dropped_is_not_there),
        cmocka_unit_test(test_each_half_by_itself),
        cmocka_unit_test(test_periods),
        cmocka_unit_test(test_randomized_tells_about_the_real_address),
        cmocka_unit_test(test_the_key),
        cmocka_unit_test(test_free_data),
        cmocka_unit_test(test_names_of_one_sender),
        cmocka_unit_test(test_what_is_too_large),
        cmocka_unit_test(test_a_kind_stays_a_word),
        cmocka_unit_test(test_depth_and_length),
        cmocka_unit_test(test_the_same_person_whoever_the_sender_is),
        cmocka_unit_test(test_nobody_of_the_samples_is_in_the_ring),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
