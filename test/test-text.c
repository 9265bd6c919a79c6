/* Text forms: every spelling that the senders use, and what only looks like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "util/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A copy that ends where its memory does, so that a sanitiser sees a byte read too far. */
static struct span exact(const char *text) {
    size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    return span_from(copy, len);
}

static void release(struct span span) {
    free((char *)span.ptr);
}

static void test_parse_mac(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t mac;
    } cases[] = {
        {"C413E2008040", 0xc413e2008040},
        {"3a1e6d8c785c", 0x3a1e6d8c785c},
        {"00:18:0a:13:dd:b0", 0x00180a13ddb0},
        {"00-01-02-03-04-05", 0x000102030405},
        {"AC-23-16-eC-a7-0b", 0xac2316eca70b},
        {"0018.0a13.DDB0", 0x00180a13ddb0},
        {"ffffffffffff", 0xffffffffffff},
        {"000000000000", 0},
        {"", MAC_NONE},
        {"00", MAC_NONE},
        {"C413E200804", MAC_NONE},
        {"C413E20080401", MAC_NONE},
        {"C413E200804G", MAC_NONE},
        {"C413E200804@", MAC_NONE},
        {"00:18:0a:13:dd:b", MAC_NONE},
        {"00:18:0a:13:dd-b0", MAC_NONE},
        {"00:18:0a:13:dd:b00", MAC_NONE},
        {"00.18.0a.13.dd.b0", MAC_NONE},
        {"00180a:13ddb0", MAC_NONE},
        {"0018:0a13:ddb0", MAC_NONE},
        {"001.80a13.ddb0", MAC_NONE},
        {"0018-0a13-ddb0", MAC_NONE},
        {"001:80a:13d:db0", MAC_NONE},
        {"0:0:0:0:0:0", MAC_NONE},
        {" C413E200804", MAC_NONE},
        {"00:18:0a:13:dd:-1", MAC_NONE},
        {"0x13E2008040", MAC_NONE},
        {"1234567890123456", MAC_NONE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span text = exact(cases[i].text);
        assert_int_equal(text_parse_mac(text), cases[i].mac);
        release(text);
    }
    assert_true(text_parse_mac((struct span){0}) == MAC_NONE);
}

static void test_format_mac(void **state) {
    (void)state;
    char dst[MAC_TEXT_BYTES + 1];
    memset(dst, '#', sizeof(dst));
    text_format_mac(0x001a2b3cd4ef, dst);
    assert_memory_equal(dst, "00:1a:2b:3c:d4:ef#", sizeof(dst));
    assert_true(MAC_IS_RANDOMIZED(text_parse_mac(SPAN("da:a1:19:2f:c4:5d"))));
    assert_false(MAC_IS_RANDOMIZED(text_parse_mac(SPAN("5CB901642E61"))));
}

static void test_parse_iso_time(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t time_ms;
    } cases[] = {
        {"2015-10-09T07:00:00.000+0000", 1444374000000},
        {"2016-05-21T11:06:15.360Z", 1463828775360},
        {"2016-05-21t11:06:15.360z", 1463828775360},
        {"2016-05-21 11:06:15.360Z", 1463828775360},
        {"2016-05-21T11:06:15.3Z", 1463828775300},
        {"2016-05-21T11:06:15.36Z", 1463828775360},
        {"2016-05-21T11:06:15.360999999Z", 1463828775360},
        {"2016-05-21T11:06:15.3609999999Z", TIME_NONE}, /* ten decimals */
        {"2016-09-24T00:06:23Z", 1474675583000},
        {"2018-01-18T13:27:08+00:00", 1516282028000},
        {"2018-01-18T13:27:08-00:00", 1516282028000},
        {"2018-01-18T14:27:08+01", 1516282028000},
        {"2018-01-18T14:27:08+0100", 1516282028000},
        {"2018-01-18T14:27:08+01:00", 1516282028000},
        {"2018-01-18T19:12:08+05:45", 1516282028000},
        {"2018-01-18T03:57:08-0930", 1516282028000},
        {"2018-01-19T00:27:08.500+11:00", 1516282028500},
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00+00:01", TIME_NONE}, /* 1969 in UTC */
        {"1969-12-31T23:59:59Z", TIME_NONE},
        {"1970-01-01T00:00:00-23:59", 86340000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
        {"9999-12-31T23:59:59-00:01", TIME_NONE}, /* the year 10000 in UTC */
        {"9999-12-31T23:59:60Z", TIME_NONE},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"2100-02-29T00:00:00Z", TIME_NONE},
        {"2023-02-29T00:00:00Z", TIME_NONE},
        {"2024-02-29T23:59:59Z", 1709251199000},
        {"2024-02-30T00:00:00Z", TIME_NONE},
        {"2024-04-31T00:00:00Z", TIME_NONE},
        {"2024-13-01T00:00:00Z", TIME_NONE},
        {"2024-00-01T00:00:00Z", TIME_NONE},
        {"2024-01-00T00:00:00Z", TIME_NONE},
        {"2024-01-32T00:00:00Z", TIME_NONE},
        {"2024-01-01T24:00:00Z", TIME_NONE},
        {"2024-01-01T00:60:00Z", TIME_NONE},
        {"2024-01-01T00:00:61Z", TIME_NONE},
        {"2016-12-31T23:59:60Z", 1483228800000}, /* a leap second: the second behind it */
        {"2016-12-31T23:59:60.25Z", 1483228800250},
        {"2017-01-01T08:59:60+09:00", 1483228800000},
        {"2016-12-31T23:59:60+01:00", TIME_NONE}, /* 22:59:60 UTC has never been */
        {"2016-12-31T22:59:60Z", TIME_NONE},
        {"2024-01-01T00:00:00+24:00", TIME_NONE},
        {"2024-01-01T00:00:00+00:60", TIME_NONE},
        {"2024-01-01T00:00:00+1", TIME_NONE},
        {"2024-01-01T00:00:00+010", TIME_NONE},
        {"2024-01-01T00:00:00+01:", TIME_NONE},
        {"2024-01-01T00:00:00+01:0", TIME_NONE},
        {"2024-01-01T00:00:00+01000", TIME_NONE},
        {"2024-01-01T00:00:00", TIME_NONE},
        {"2024-01-01T00:00:00.Z", TIME_NONE},
        {"2024-01-01T00:00:00,5Z", TIME_NONE},
        {"2024-01-01T00:00:00ZZ", TIME_NONE},
        {"2024-01-01T00:00:00Z ", TIME_NONE},
        {" 2024-01-01T00:00:00Z", TIME_NONE},
        {"2024-01-01T00:00Z", TIME_NONE},
        {"2024-01-01", TIME_NONE},
        {"2024-1-01T00:00:00Z", TIME_NONE},
        {"2024/01/01T00:00:00Z", TIME_NONE},
        {"20240101T000000Z", TIME_NONE},
        {"-2024-01-01T00:00:00Z", TIME_NONE},
        {"2024-01-01X00:00:00Z", TIME_NONE},
        {"", TIME_NONE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span text = exact(cases[i].text);
        if (text_parse_iso_time(text) != cases[i].time_ms)
            fail_msg("%s became %lld", cases[i].text, (long long)text_parse_iso_time(text));
        release(text);
    }
    assert_true(text_parse_iso_time((struct span){0}) == TIME_NONE);
    assert_true(text_parse_iso_time(SPAN("2024-01-01T00:00:00\0")) == TIME_NONE);
}

static void test_iso_time_cut_anywhere(void **state) {
    (void)state;
    const char *whole = "2016-05-21T11:06:15.360+05:30";
    for (size_t len = 0; len < strlen(whole); len++) {
        char part[32] = "";
        memcpy(part, whole, len);
        struct span text = exact(part);
        /* "+05" is a zone by itself. */
        assert_int_equal(text_parse_iso_time(text) != TIME_NONE, len == strlen(whole) - 3);
        release(text);
    }
}

static void test_parse_epoch(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t time_ms;
    } cases[] = {
        {"1463828775360", 1463828775360},
        {"1264988544", 1264988544000},
        {"1461220784.25", 1461220784250},
        {"1461220990.98", 1461220990980},
        {"1592333829.1", 1592333829100},
        {"1592333829.1239", 1592333829123},
        {"1463828775360.9", 1463828775360},
        {"1.463828775360e12", 1463828775360},
        {"1.463828775360E+9", 1463828775360},
        {"14638287753600000e-4", 1463828775360},
        {"99999999999", 99999999999000},
        {"99999999999.999", 99999999999999},
        {"100000000000", 100000000000}, /* 1e11 and up: ms */
        {"1e11", 100000000000},
        {"253402300799999", 253402300799999},
        {"253402300800000", TIME_NONE},
        {"1e15", TIME_NONE},
        {"1e400", TIME_NONE},
        {"1e-400", TIME_NONE},
        {"1e99999999999999999999999999", TIME_NONE},
        {"1e-99999999999999999999999999", TIME_NONE},
        {"123456789012345678901234567890", TIME_NONE},
        {"1463828775.360000000000000000000000000001", 1463828775360},
        {"0.0000000000000000000001463828775360e31", 1463828775360},
        {"1463828775360000000000000000e-15", 1463828775360},
        {"1", 1000},
        {"0.001", 1},
        {"0.0009", TIME_NONE},
        {"0", TIME_NONE},
        {"0.0", TIME_NONE},
        {"0e999999999", TIME_NONE},
        {"-0", TIME_NONE},
        {"-1463828775", TIME_NONE},
        {"01463828775", TIME_NONE},
        {"1463828775.", TIME_NONE},
        {"+1463828775", TIME_NONE},
        {" 1463828775", TIME_NONE},
        {"1463828775x", TIME_NONE},
        {"NaN", TIME_NONE},
        {"", TIME_NONE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span text = exact(cases[i].text);
        if (text_parse_epoch(text) != cases[i].time_ms)
            fail_msg("%s became %lld", cases[i].text, (long long)text_parse_epoch(text));
        release(text);
    }
}

static void test_is_number(void **state) {
    (void)state;
    static const char *const numbers[] = {
        "0",
        "-0",
        "7",
        "10",
        "-89",
        "0.5",
        "-0.5",
        "10.591152341176",
        "1e5",
        "1E5",
        "1e+5",
        "1e-5",
        "1.5e10",
        "0e0",
        "123456789012345678901234567890",
        "1e400",
        "0.00",
    };
    static const char *const others[] = {
        "",         "-",   "+1",   "01",  "-01",   "00",   "1.",   ".5",  "-.5", "1.e5",
        "1e",       "1e+", "1e-",  "1ee", "1e5.5", "1 ",   " 1",   "1a",  "0x1", "NaN",
        "Infinity", "--1", "1.2.", "1-2", "1,5",   "1e5e", "1..2", "- 1",
    };
    for (size_t i = 0; i < COUNT(numbers); i++) {
        struct span text = exact(numbers[i]);
        if (!text_is_number(text))
            fail_msg("%s is a number", numbers[i]);
        release(text);
    }
    for (size_t i = 0; i < COUNT(others); i++) {
        struct span text = exact(others[i]);
        if (text_is_number(text))
            fail_msg("'%s' is no number", others[i]);
        release(text);
    }
    assert_false(text_is_number((struct span){0}));
}

static void test_number_is_zero(void **state) {
    (void)state;
    static const char *const zeros[] = {"0", "-0", "0.0", "-0.000", "0e5", "0.0E-17", "0e1"};
    static const char *const others[] = {"1", "0.0001", "-0.5", "10", "1e-400", "100e5"};
    for (size_t i = 0; i < COUNT(zeros); i++)
        assert_true(text_number_is_zero(span_from_string(zeros[i])));
    for (size_t i = 0; i < COUNT(others); i++)
        assert_false(text_number_is_zero(span_from_string(others[i])));
    assert_false(text_number_is_zero(SPAN("")));
}

static void test_parse_integer(void **state) {
    (void)state;
    static const char *const others[] = {"",
                                         "-",
                                         "+1",
                                         "1.0",
                                         "1e3",
                                         " 1",
                                         "--1",
                                         "9x",
                                         "1000000000000000000",
                                         "-1000000000000000000"};
    int64_t value = 42;
    for (size_t i = 0; i < COUNT(others); i++) {
        struct span text = exact(others[i]);
        assert_false(text_parse_integer(text, &value));
        release(text);
    }
    assert_int_equal(value, 42);
    assert_true(text_parse_integer(SPAN("0"), &value));
    assert_int_equal(value, 0);
    assert_true(text_parse_integer(SPAN("-89"), &value));
    assert_int_equal(value, -89);
    assert_true(text_parse_integer(SPAN("999999999999999999"), &value));
    assert_int_equal(value, INT64_C(999999999999999999));
    assert_true(text_parse_integer(SPAN("-999999999999999999"), &value));
    assert_int_equal(value, -INT64_C(999999999999999999));
}

static void test_hex_value(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char *digits = "0123456789abcdefABCDEF";
        const char *found = c ? strchr(digits, c) : NULL;
        int expected = !found                ? -1
                       : found - digits < 16 ? (int)(found - digits)
                                             : (int)(found - digits) - 6;
        assert_int_equal(text_hex_value((char)c), expected);
    }
}

static void test_format_u64(void **state) {
    (void)state;
    static const struct {
        uint64_t value;
        const char *text;
    } cases[] = {{0, "0"},
                 {9, "9"},
                 {10, "10"},
                 {1463828775360, "1463828775360"},
                 {UINT64_MAX, "18446744073709551615"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char dst[U64_TEXT_BYTES + 1];
        memset(dst, '#', sizeof(dst));
        unsigned len = text_format_u64(cases[i].value, dst);
        assert_int_equal(len, strlen(cases[i].text));
        assert_memory_equal(dst, cases[i].text, len);
        assert_int_equal(dst[len], '#');
    }
}

static void test_format_time(void **state) {
    (void)state;
    char dst[TIME_US_TEXT_BYTES + 1];
    memset(dst, '#', sizeof(dst));
    text_format_time_ms(1463828775360, dst);
    assert_memory_equal(dst, "2016-05-21T11:06:15.360Z####", sizeof(dst));
    text_format_time_us(1463828775360009, dst);
    assert_memory_equal(dst, "2016-05-21T11:06:15.360009Z#", sizeof(dst));
    text_format_time_ms(0, dst);
    assert_memory_equal(dst, "1970-01-01T00:00:00.000Z", TIME_MS_TEXT_BYTES);
    text_format_time_ms(253402300799999, dst);
    assert_memory_equal(dst, "9999-12-31T23:59:59.999Z", TIME_MS_TEXT_BYTES);
    text_format_time_us(253402300799999999, dst);
    assert_memory_equal(dst, "9999-12-31T23:59:59.999999Z", TIME_US_TEXT_BYTES);
}

/* Every day of 1970-9999 against the C library, both ways. */
static void test_calendar(void **state) {
    (void)state;
    const int64_t day_ms = 86400000;
    for (int64_t day = 0; day * day_ms < 253402300800000; day++) {
        int64_t time_ms = day * day_ms + (day * 7919) % day_ms;
        time_t seconds = (time_t)(time_ms / 1000);
        struct tm tm;
        char expected[32];
        char dst[TIME_MS_TEXT_BYTES + 1] = "";
        assert_non_null(gmtime_r(&seconds, &tm));
        assert_int_equal(strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S", &tm), 19);
        text_format_time_ms(time_ms, dst);
        assert_memory_equal(dst, expected, 19);
        assert_int_equal(text_parse_iso_time(span_from_string(dst)), time_ms);
    }
}

/* Days that share a place in the date cache, in turn. */
static void test_date_cache(void **state) {
    (void)state;
    static const char *const times[] = {"2024-02-28T00:00:00.000Z", "2024-02-29T00:00:00.001Z",
                                        "2024-03-01T00:00:00.002Z", "2024-03-02T23:59:59.999Z"};
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT(times); i++) {
            char dst[TIME_MS_TEXT_BYTES + 1] = "";
            text_format_time_ms(text_parse_iso_time(span_from_string(times[i])), dst);
            assert_string_equal(dst, times[i]);
        }
    }
}

static void test_format_hex(void **state) {
    (void)state;
    char dst[9] = "########";
    text_format_hex("\x00\x7f\xff", 3, dst);
    assert_string_equal(dst, "007fff##");

    /* Every byte at every place of the eight digits that are made at once, and behind them. */
    for (unsigned value = 0; value < 256; value++) {
        for (size_t place = 0; place < 7; place++) {
            uint8_t bytes[7] = {0};
            char expected[16], all[16] = "";
            bytes[place] = (uint8_t)value;
            for (size_t i = 0; i < 7; i++)
                snprintf(expected + 2 * i, sizeof expected - 2 * i, "%02x", bytes[i]);
            text_format_hex(bytes, sizeof bytes, all);
            assert_memory_equal(all, expected, 14);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_mac),      cmocka_unit_test(test_format_mac),
        cmocka_unit_test(test_parse_iso_time), cmocka_unit_test(test_iso_time_cut_anywhere),
        cmocka_unit_test(test_parse_epoch),    cmocka_unit_test(test_is_number),
        cmocka_unit_test(test_number_is_zero), cmocka_unit_test(test_parse_integer),
        cmocka_unit_test(test_hex_value),      cmocka_unit_test(test_format_u64),
        cmocka_unit_test(test_format_time),    cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_date_cache),     cmocka_unit_test(test_format_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
