/* The load generator's pure parts: latencies counted within their error, requests whose digits
 * change and lines that are read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "histogram.h"
#include "payload.h"

static struct histogram histogram;

static void test_every_value_is_within_a_thousandth(void **state) {
    (void)state;
    for (uint64_t value = 1; value < 1ULL << HISTOGRAM_MAX_BITS; value += 1 + value / 7) {
        histogram_reset(&histogram);
        histogram_add(&histogram, value);
        histogram_add(&histogram, 1ULL << HISTOGRAM_MAX_BITS); /* so that max does not hide it */
        uint64_t found = histogram_percentile(&histogram, 50);
        assert_true(found >= value);
        assert_true(found - value <= value / 1000 + 1);
    }
}

static void test_percentiles(void **state) {
    (void)state;
    histogram_reset(&histogram);
    assert_int_equal(histogram_percentile(&histogram, 99), 0);
    for (uint64_t value = 1; value <= 1000; value++)
        histogram_add(&histogram, value);
    assert_int_equal(histogram_percentile(&histogram, 0), 1);
    assert_int_equal(histogram_percentile(&histogram, 50), 500);
    assert_int_equal(histogram_percentile(&histogram, 99), 990);
    assert_int_equal(histogram_percentile(&histogram, 99.9), 999);
    assert_int_equal(histogram_percentile(&histogram, 100), 1000);
    assert_int_equal(histogram.min, 1);
    assert_int_equal(histogram.max, 1000);
    assert_int_equal((int)(histogram_mean(&histogram) * 10), 5005);
}

static void test_values_past_the_bound_count_as_the_bound(void **state) {
    (void)state;
    histogram_reset(&histogram);
    histogram_add(&histogram, (1ULL << HISTOGRAM_MAX_BITS) - 1);
    histogram_add(&histogram, 1ULL << HISTOGRAM_MAX_BITS);
    histogram_add(&histogram, UINT64_MAX);
    assert_int_equal(histogram.count, 3);
    assert_int_equal(histogram.max, UINT64_MAX);
    assert_int_equal(histogram_percentile(&histogram, 50), (1ULL << HISTOGRAM_MAX_BITS) - 1);
}

/* Content-Length says what follows the head, whatever the digits are. */
static void check_request(const struct payload *payload) {
    char *text = strndup(payload->text.ptr, payload->text.len);
    const char *body = strstr(text, "\r\n\r\n") + 4, *len = strstr(text, "Content-Length: ");
    assert_int_equal(strtoul(len + 16, NULL, 10), strlen(body));
    free(text);
}

static bool text_has(const struct payload *payload, const char *part) {
    return memmem(payload->text.ptr, payload->text.len, part, strlen(part)) != NULL;
}

static void test_aerohive_requests(void **state) {
    struct payload_options options = {PAYLOAD_AEROHIVE, 2, "h", "/p", "X-A: b\r\n"};
    struct payload payload;
    (void)state;
    assert_int_equal(payload_init(&payload, &options, 0x1234), 0);
    payload_set(&payload, 0xfffffe, 1767607933);
    check_request(&payload);
    assert_true(text_has(&payload, "POST /p HTTP/1.1\r\nHost: h\r\n"));
    assert_true(text_has(&payload, "\r\nX-A: b\r\n"));
    assert_true(text_has(&payload, "\"clientMac\":\"021234FFFFFE\""));
    assert_true(text_has(&payload, "\"clientMac\":\"021234FFFFFF\""));
    assert_true(text_has(&payload,
                         "\"seenTime\":\"2026-01-05T10:12:13.000Z\",\"seenEpoch\":1767607933000,"));
    payload_set(&payload, 0x1000000, 1767607934); /* the MAC's digits begin anew */
    check_request(&payload);
    assert_true(text_has(&payload, "\"clientMac\":\"021234000000\""));
    assert_true(text_has(&payload, "10:12:14.000Z"));
    payload_deinit(&payload);
}

static void test_documents(void **state) {
    struct payload_options options = {PAYLOAD_JSON, 1, "h", "/p", ""};
    struct payload payload;
    (void)state;
    assert_int_equal(payload_init(&payload, &options, 7), 0);
    payload_set(&payload, 41, 1767607933);
    check_request(&payload);
    assert_true(text_has(&payload, "{\"bench\":{\"c\":1000000007,\"n\":1000000041}"));
    payload_deinit(&payload);
}

static void expect_line(enum payload_sender sender, const char *line, bool ours, unsigned c,
                        uint32_t n) {
    unsigned connection = 0;
    uint32_t number = 0;
    assert_int_equal(payload_parse_line(sender, line, strlen(line), &connection, &number), ours);
    if (ours) {
        assert_int_equal(connection, c);
        assert_int_equal(number, n);
    }
}

static void test_lines(void **state) {
    (void)state;
    expect_line(PAYLOAD_AEROHIVE, "{\"seq\":1,\"client\":{\"mac\":\"02:12:34:ab:cd:ef\",\"x\":1}}",
                true, 0x1234, 0xabcdef);
    expect_line(PAYLOAD_AEROHIVE, "{\"seq\":1,\"client\":{\"mac\":\"06:12:34:ab:cd:ef\"}}", false,
                0, 0);
    expect_line(PAYLOAD_AEROHIVE, "{\"seq\":1,\"client\":{\"mac\":\"02:12:34", false, 0, 0);
    expect_line(PAYLOAD_JSON, "{\"data\":{\"bench\":{\"c\":1000000007,\"n\":1000000041}}}", true, 7,
                41);
    expect_line(PAYLOAD_JSON, "{\"data\":{\"bench\":{\"c\":1000000007,\"n\":100000", false, 0, 0);
    expect_line(PAYLOAD_JSON, "{\"data\":{}}", false, 0, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_value_is_within_a_thousandth),
        cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_values_past_the_bound_count_as_the_bound),
        cmocka_unit_test(test_aerohive_requests),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
