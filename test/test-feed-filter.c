/* Which events a reader wants: each name, together, at the bounds, and escaped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "feed_filter.h"
#include "util/text.h"

/* A record as the ring has it: its line stands right behind it. */
struct sample {
    struct ring_record record;
    char line[1024];
};

static void make_sample(struct sample *sample, const char *endpoint, const char *provider,
                        const char *kind, uint64_t mac) {
    const char *texts[] = {endpoint, provider, kind};
    uint16_t offsets[3];
    size_t len = 0;
    for (int i = 0; i < 3; i++) {
        offsets[i] = (uint16_t)len;
        memcpy(sample->line + len, texts[i], strlen(texts[i]));
        len += strlen(texts[i]);
    }
    sample->record = (struct ring_record){.line_len = (uint32_t)len,
                                          .client_mac = mac,
                                          .endpoint_offset = offsets[0],
                                          .endpoint_len = (uint16_t)strlen(endpoint),
                                          .provider_offset = offsets[1],
                                          .provider_len = (uint16_t)strlen(provider),
                                          .kind_offset = offsets[2],
                                          .kind_len = (uint16_t)strlen(kind)};
    memset(sample->line + len, '}', 16);
}

static int add(struct feed_filter **filter, const char *name, const char *value) {
    return feed_filter_add(filter, span_from_string(name), span_from_string(value));
}

/* "name=value&name=value": nothing in these needs to be decoded. */
static struct feed_filter *make_filter(const char *query) {
    struct feed_filter *filter = NULL;
    char text[1024];
    snprintf(text, sizeof text, "%s", query);
    for (char *pair = strtok(text, "&"); pair; pair = strtok(NULL, "&")) {
        char *equals = strchr(pair, '=');
        *equals = 0;
        assert_int_equal(add(&filter, pair, equals + 1), FEED_FILTER_OK);
    }
    return filter;
}

static void check(const char *query, const struct sample *sample, bool expected) {
    struct feed_filter *filter = make_filter(query);
    if (feed_filter_matches(filter, &sample->record) != expected)
        fail_msg("%s: not %d", query, expected);
    feed_filter_free(filter);
}

static void test_names_and_values(void **state) {
    static const struct {
        const char *query;
        bool expected;
    } cases[] = {
        {"endpoint=hq", true},
        {"endpoint=h", false},
        {"endpoint=hqq", false},
        {"endpoint=HQ", false},
        {"endpoint=hqaerohive", false}, /* what stands behind it in the line is not part of it */
        {"provider=aerohive", true},
        {"provider=aerohivf", false}, /* the same to the last letter */
        {"provider=berohive", false},
        {"provider=aero", false},
        {"kind=zone-enter", true},
        {"kind=zone-exit", false},
        {"kind=zone-entfr", false}, /* beyond the first eight */
        {"kind=enter", false},
        {"mac=dc:ac:3d:a5:06:b4", true},
        {"mac=DCAC3DA506B4", true},
        {"mac=dcac.3da5.06b4", true},
        {"mac=DC-AC-3D-A5-06-B4", true},
        {"mac=dc:ac:3d:a5:06:b5", false},
        /* one of a name is enough, wherever it stands */
        {"endpoint=lab&endpoint=hq", true},
        {"endpoint=hq&endpoint=lab", true},
        {"endpoint=lab&endpoint=attic", false},
        {"kind=a&kind=b&kind=c&kind=zone-enter&kind=d", true},
        {"mac=000000000001&mac=dcac3da506b4&mac=000000000002", true},
        /* each of the names has to fit, in whatever order they are given */
        {"endpoint=hq&provider=aerohive&kind=zone-enter&mac=dcac3da506b4", true},
        {"mac=dcac3da506b4&kind=zone-enter&provider=aerohive&endpoint=hq", true},
        {"kind=zone-enter&endpoint=lab&kind=seen&endpoint=hq", true},
        {"endpoint=hq&kind=seen", false},
        {"kind=seen&endpoint=hq", false},
        {"kind=hq", false}, /* one name's value is not another's */
        {"endpoint=zone-enter", false},
        {"endpoint=hq&provider=aerohive&kind=zone-enter&mac=000000000001", false},
        {"endpoint=hq&provider=bt&kind=zone-enter&mac=dcac3da506b4", false},
        {"endpoint=lab&provider=aerohive&kind=zone-enter&mac=dcac3da506b4", false},
        {"endpoint=hq&endpoint=hq", true},
    };
    struct sample sample;
    (void)state;
    make_sample(&sample, "hq", "aerohive", "zone-enter", 0xdcac3da506b4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(cases[i].query, &sample, cases[i].expected);
}

/* Texts of every length up to 20 that differ in each of their bytes: none is taken for another. */
static void test_every_byte_counts(void **state) {
    enum { MOST = 20 };
    char text[MOST + 1] = "", query[MOST + 16];
    struct sample sample;
    (void)state;
    for (size_t len = 1; len <= MOST; len++) {
        memset(text, 'k', len);
        make_sample(&sample, "hq", "json", text, MAC_NONE);
        for (size_t at = 0; at < len; at++) {
            snprintf(query, sizeof query, "kind=%s", text);
            check(query, &sample, true);
            query[5 + at] = 'K';
            check(query, &sample, false);
        }
        snprintf(query, sizeof query, "kind=%sk", text);
        check(query, &sample, false);
        snprintf(query, sizeof query, "kind=%s", text + 1);
        check(query, &sample, false);
    }
}

static void test_no_mac_and_no_kind(void **state) {
    struct sample sample;
    (void)state;
    make_sample(&sample, "hq", "json", "", MAC_NONE);
    check("mac=ffffffffffff", &sample, false);
    check("mac=000000000000", &sample, false);
    check("kind=", &sample, true);
    check("kind=x", &sample, false);
    make_sample(&sample, "hq", "json", "x", 0xffffffffffff);
    check("mac=ffffffffffff", &sample, true);
    check("kind=", &sample, false);
    make_sample(&sample, "hq", "json", "x", 0);
    check("mac=000000000000", &sample, true);
}

/* A sender may write any letter of a kind as an escape: what it means is compared. */
static void test_escapes(void **state) {
    static const struct {
        const char *kind, *value;
        bool expected;
    } cases[] = {
        {"se\\u0065n", "seen", true},
        {"\\u0073\\u0065\\u0065\\u006E", "seen", true},
        {"se\\u0065n", "se\\u0065n", false},
        {"a\\\"b", "a\"b", true},
        {"a\\\\b", "a\\b", true},
        {"a\\/b", "a/b", true},
        {"a\\nb", "a\nb", true},
        {"\\u00fc", "\xc3\xbc", true},
        {"\xc3\xbc", "\xc3\xbc", true},
        {"\\ud83d\\ude00", "\xf0\x9f\x98\x80", true},
        {"\\u0041", "a", false},
    };
    struct sample sample;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct feed_filter *filter = NULL;
        make_sample(&sample, "hq", "mist", cases[i].kind, MAC_NONE);
        assert_int_equal(add(&filter, "kind", cases[i].value), FEED_FILTER_OK);
        if (feed_filter_matches(filter, &sample.record) != cases[i].expected)
            fail_msg("%s: not %d", cases[i].kind, cases[i].expected);
        feed_filter_free(filter);
    }
    /* The longest kind there is, all of it escapes; NUL is a letter as any other. */
    char kind[EVENT_MAX_KIND_BYTES + 1] = "",
                                     value[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    for (size_t len = 0; len + 6 <= EVENT_MAX_KIND_BYTES; len += 6)
        memcpy(kind + len, "\\u0061", 7);
    make_sample(&sample, "hq", "mist", kind, MAC_NONE);
    struct feed_filter *filter = NULL;
    assert_int_equal(add(&filter, "kind", value), FEED_FILTER_OK);
    assert_true(feed_filter_matches(filter, &sample.record));
    feed_filter_free(filter);
    filter = NULL;
    make_sample(&sample, "hq", "mist", "a\\u0000b", MAC_NONE);
    assert_int_equal(feed_filter_add(&filter, SPAN("kind"), span_from("a\0b", 3)), FEED_FILTER_OK);
    assert_true(feed_filter_matches(filter, &sample.record));
    feed_filter_free(filter);
}

static void test_what_is_refused(void **state) {
    static const char *const macs[] = {"", "dcac3da506b", "dcac3da506b4f", "dc:ac:3d:a5:06:bg",
                                       "hq"};
    static const char *const others[] = {"", "kinds", "Kind", "kin", "reader"};
    char text[FEED_FILTER_VALUE_BYTES + 2];
    struct feed_filter *filter = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof macs / sizeof *macs; i++)
        assert_int_equal(add(&filter, "mac", macs[i]), FEED_FILTER_BAD_MAC);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(add(&filter, others[i], "x"), FEED_FILTER_NO_NAME);
    memset(text, 'k', sizeof text);
    text[FEED_FILTER_VALUE_BYTES + 1] = 0;
    assert_int_equal(add(&filter, "kind", text), FEED_FILTER_TOO_LONG);
    assert_null(filter);
    text[FEED_FILTER_VALUE_BYTES] = 0;
    assert_int_equal(add(&filter, "kind", text), FEED_FILTER_OK);
    struct sample sample;
    make_sample(&sample, "hq", "json", text, MAC_NONE);
    assert_true(feed_filter_matches(filter, &sample.record));
    feed_filter_free(filter);
    feed_filter_free(NULL);
}

/* The last of as many as there may be still counts; one more is refused and changes nothing. */
static void test_as_many_as_there_may_be(void **state) {
    static const char *const names[] = {"kind", "endpoint", "mac", "provider"};
    struct feed_filter *filter = NULL;
    struct sample sample;
    char value[16];
    (void)state;
    for (unsigned i = 0; i < FEED_FILTER_VALUES; i++) {
        snprintf(value, sizeof value, "%012u", i);
        assert_int_equal(add(&filter, names[i % 4], value), FEED_FILTER_OK);
    }
    assert_int_equal(add(&filter, "kind", "one more"), FEED_FILTER_FULL);
    assert_int_equal(add(&filter, "mac", "nonsense"), FEED_FILTER_BAD_MAC);
    for (unsigned i = 0; i < FEED_FILTER_VALUES; i += 4) {
        char texts[3][16];
        static const unsigned which[] = {1, 3, 0}; /* endpoint, provider, kind */
        for (int k = 0; k < 3; k++)
            snprintf(texts[k], sizeof texts[k], "%012u", i + which[k]);
        snprintf(value, sizeof value, "%012u", i + 2);
        make_sample(&sample, texts[0], texts[1], texts[2], text_parse_mac(span_from_string(value)));
        assert_true(feed_filter_matches(filter, &sample.record));
        sample.record.client_mac++;
        assert_false(feed_filter_matches(filter, &sample.record));
    }
    make_sample(&sample, "000000000001", "000000000003", "one more", 2);
    assert_false(feed_filter_matches(filter, &sample.record));
    feed_filter_free(filter);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_values),   cmocka_unit_test(test_every_byte_counts),
        cmocka_unit_test(test_no_mac_and_no_kind), cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_what_is_refused),    cmocka_unit_test(test_as_many_as_there_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
