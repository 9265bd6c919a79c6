/* The load generator's pure parts: latencies counted within their error, requests whose digits
 * change, lines and answers that are read back, the search for the highest rate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer.h"
#include "histogram.h"
#include "payload.h"
#include "search.h"
#include "series.h"

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
    struct payload_options options = {.sender = PAYLOAD_AEROHIVE,
                                      .observations = 2,
                                      .host = "h",
                                      .path = "/p",
                                      .headers = "X-A: b\r\n",
                                      .secret = "s"};
    struct payload payload;
    (void)state;
    assert_int_equal(payload_init(&payload, &options, 0x1234), 0);
    payload_set(&payload, 0xfffffe, 1767607933);
    check_request(&payload);
    assert_true(text_has(&payload, "POST /p HTTP/1.1\r\nHost: h\r\n"));
    assert_true(text_has(&payload, "\r\nX-A: b\r\n"));
    assert_true(text_has(&payload, "\r\nAuthorization: Basic s\r\n"));
    assert_false(text_has(&payload, "Connection: close"));
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
    struct payload_options options = {
        .sender = PAYLOAD_JSON, .observations = 1, .host = "h", .path = "/p", .headers = ""};
    struct payload payload;
    (void)state;
    assert_int_equal(payload_init(&payload, &options, 7), 0);
    payload_set(&payload, 41, 1767607933);
    check_request(&payload);
    assert_true(text_has(&payload, "{\"bench\":{\"c\":1000000007,\"n\":1000000041}"));
    payload_deinit(&payload);
}

/* Each shape: what of it changes, at its place, and nothing left of the marks. */
static void test_every_sender(void **state) {
    static const char *const parts[PAYLOAD_SENDERS][3] = {
        [PAYLOAD_AEROHIVE] = {"\"apMac\":\"C413E2000740\"", "\"rssi\":-71", "\"02000700002A\""},
        [PAYLOAD_BT] = {"\"mac\":\"02-00-07-00-00-29\"", "2026-01-05T10:12:13+0000",
                        "\"id\":1000000041"},
        [PAYLOAD_PUBNUB] = {"\"userId\":\"bench-020007000029\"", "\"020007000029-1767607933456\"",
                            "\"timestamp\":\"2026-01-05T10:12:13.456Z\""},
        [PAYLOAD_PUBNUB_FLAT] = {"\"uuid\":\"bench-020007000029\"", "\"timestamp\":1767607933,",
                                 "\"occupancy\":71"},
        [PAYLOAD_MERAKI_V2] = {"\"clientMac\":\"02:00:07:00:00:2a\"", "\"secret\":\"s3\"",
                               "\"seenTime\":\"2026-01-05T10:12:13Z\",\"seenEpoch\":1767607933,"},
        [PAYLOAD_MERAKI_V3] = {"\"clientMac\":\"02:00:07:00:00:2a\"", "\"secret\":\"s3\"",
                               "\"time\":\"2026-01-05T10:12:13Z\",\"lat\""},
        [PAYLOAD_MIST] = {"\"mac\":\"02000700002a\"", "\"timestamp\":1767607933.456,",
                          "\r\nX-Mist-Signature-v2: "},
        [PAYLOAD_JSON] = {"\"c\":1000000007", "\"n\":1000000041", "Authorization: Basic s3"},
    };
    (void)state;
    for (unsigned sender = 0; sender < PAYLOAD_SENDERS; sender++) {
        struct payload_options options = {.sender = (enum payload_sender)sender,
                                          .observations = payload_shapes[sender].usual,
                                          .host = "h",
                                          .path = "/p",
                                          .headers = "",
                                          .ms = 456,
                                          .secret = "s3",
                                          .close = true};
        struct payload payload;
        assert_int_equal(payload_init(&payload, &options, 7), 0);
        payload_set(&payload, 41, 1767607933);
        check_request(&payload);
        assert_true(text_has(&payload, "\r\nConnection: close\r\n"));
        for (int i = 0; i < 3; i++)
            if (!text_has(&payload, parts[sender][i]))
                fail_msg("%s lacks %s: %.*s", payload_shapes[sender].name, parts[sender][i],
                         (int)payload.text.len, payload.text.ptr);
        for (size_t i = 0; i < payload.text.len; i++)
            assert_true(payload.text.ptr[i] >= ' ' || strchr("\r\n", payload.text.ptr[i]));
        payload_deinit(&payload);
    }
}

/* That they are right, a node says that checks them: see the black-box tests. */
static void test_signatures_follow_the_body_and_the_secret(void **state) {
    struct payload_options options = {.sender = PAYLOAD_MIST,
                                      .observations = 1,
                                      .host = "h",
                                      .path = "/p",
                                      .headers = "",
                                      .secret = "s3"};
    char signatures[3][65] = {{0}};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct payload payload;
        options.secret = i == 2 ? "s4" : "s3";
        assert_int_equal(payload_init(&payload, &options, 7), 0);
        payload_set(&payload, i == 1, 1767607933);
        memcpy(signatures[i], payload.text.ptr + payload.signature, 64);
        assert_int_equal(strspn(signatures[i], "0123456789abcdef"), 64);
        payload_deinit(&payload);
    }
    assert_string_not_equal(signatures[0], signatures[1]);
    assert_string_not_equal(signatures[0], signatures[2]);
}

static void expect_line(enum payload_line kind, const char *line, bool ours, unsigned c,
                        uint32_t n) {
    unsigned connection = 0;
    uint32_t number = 0;
    assert_int_equal(payload_parse_line(kind, line, strlen(line), &connection, &number), ours);
    if (ours) {
        assert_int_equal(connection, c);
        assert_int_equal(number, n);
    }
}

static void test_lines(void **state) {
    (void)state;
    expect_line(PAYLOAD_LINE_MAC, "{\"seq\":1,\"client\":{\"mac\":\"02:12:34:ab:cd:ef\",\"x\":1}}",
                true, 0x1234, 0xabcdef);
    expect_line(PAYLOAD_LINE_MAC, "{\"seq\":1,\"client\":{\"mac\":\"06:12:34:ab:cd:ef\"}}", false,
                0, 0);
    expect_line(PAYLOAD_LINE_MAC, "{\"seq\":1,\"client\":{\"mac\":\"02:12:34", false, 0, 0);
    expect_line(PAYLOAD_LINE_USER, "{\"channel\":{\"uuid\":\"bench-021234abcdef\"}}", true, 0x1234,
                0xabcdef);
    expect_line(PAYLOAD_LINE_USER, "{\"channel\":{\"uuid\":\"bench-021234abcde", false, 0, 0);
    expect_line(PAYLOAD_LINE_DOCUMENT, "{\"data\":{\"bench\":{\"c\":1000000007,\"n\":1000000041}}}",
                true, 7, 41);
    expect_line(PAYLOAD_LINE_DOCUMENT, "{\"data\":{\"bench\":{\"c\":1000000007,\"n\":100000", false,
                0, 0);
    expect_line(PAYLOAD_LINE_DOCUMENT, "{\"data\":{}}", false, 0, 0);
    assert_int_equal(payload_line_of(PAYLOAD_BT), PAYLOAD_LINE_MAC);
    assert_int_equal(payload_line_of(PAYLOAD_PUBNUB_FLAT), PAYLOAD_LINE_USER);
    assert_int_equal(payload_line_of(PAYLOAD_JSON), PAYLOAD_LINE_DOCUMENT);
}

static void test_slots_double_when_time_outgrows_them(void **state) {
    static struct series series;
    uint64_t sum = 0;
    (void)state;
    series_reset(&series, 10);
    for (uint64_t at = 0; at < 10ULL * SERIES_SLOTS; at++)
        series_add(&series, at);
    assert_int_equal(series.used, SERIES_SLOTS);
    assert_int_equal(series.slot_ns, 10);
    assert_int_equal(series.counts[SERIES_SLOTS - 1], 10);
    series_add(&series, 10ULL * SERIES_SLOTS);
    assert_int_equal(series.slot_ns, 20);
    assert_int_equal(series.used, SERIES_SLOTS / 2 + 1);
    assert_int_equal(series.counts[0], 20);
    for (int i = 0; i < SERIES_SLOTS; i++)
        sum += series.counts[i];
    assert_int_equal(sum, 10 * SERIES_SLOTS + 1);
    series_add(&series, 1ULL << 40); /* many times at once */
    assert_true((1ULL << 40) / series.slot_ns < SERIES_SLOTS);
}

/* A machine that keeps every rate up to `most`; every `noise`th try fails all the same. */
static double find(double first, double most, unsigned noise) {
    struct search search;
    search_init(&search, first);
    while (!search.done)
        search_note(&search, search.rate <= most && (!noise || (search.steps + 1) % noise));
    assert_true(search.steps <= SEARCH_MAX_STEPS);
    return search.kept;
}

static void test_the_highest_rate_is_found(void **state) {
    (void)state;
    for (double most = 10; most < 1e6; most *= 1.7) {
        double found = find(1000, most, 0);
        assert_true(found <= most && found >= most * (1 - 1.1 * SEARCH_PRECISION));
        found = find(1000, most, 5); /* one failure alone counts for nothing */
        assert_true(found <= most && found >= most * (1 - 1.1 * SEARCH_PRECISION));
    }
    assert_true(find(1000, 0, 0) == 0);
    assert_true(find(1000, 1e9, 0) > SEARCH_MAX_RATE / 2);
}

static void test_answers(void **state) {
    struct answer answer;
    struct span text = SPAN("HTTP/1.1 200 OK\r\nContent-Length: 32\r\nConnection: close\r\n\r\n"
                            "{\"accepted\":12,\"duplicates\":345}");
    (void)state;
    assert_int_equal(answer_parse(text, &answer), ANSWER_WHOLE);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.len, text.len);
    assert_true(answer.close);
    struct span body = span_from(text.ptr + answer.len - answer.body_len, answer.body_len);
    assert_int_equal(answer_number(body, SPAN("\"accepted\":")), 12);
    assert_int_equal(answer_number(body, SPAN("\"duplicates\":")), 345);
    assert_int_equal(answer_number(body, SPAN("\"rejected\":")), 0);
    for (size_t len = 0; len < text.len; len++)
        assert_int_equal(answer_parse(span_from(text.ptr, len), &answer), ANSWER_PART);
}

static void test_percentiles_as_text(void **state) {
    char *text = NULL, *last;
    size_t len = 0;
    double value, percentile, before = -1;
    unsigned long long total;
    (void)state;
    histogram_reset(&histogram);
    for (uint64_t value_ns = 1; value_ns <= 1000; value_ns++)
        histogram_add(&histogram, value_ns * 1000000);
    FILE *out = open_memstream(&text, &len);
    histogram_print(&histogram, out);
    fclose(out);
    assert_non_null(strstr(text, "       Value     Percentile TotalCount 1/(1-Percentile)\n\n"));
    for (char *line = strtok_r(strstr(text, "\n\n"), "\n", &last); line && *line != '#';
         line = strtok_r(NULL, "\n", &last)) {
        assert_in_range(sscanf(line, "%lf %lf %llu", &value, &percentile, &total), 3, 3);
        assert_true(percentile > before && value <= 1000.001);
        assert_true((double)total >= percentile * 1000 - 1e-6); /* that many are not above it */
        assert_true(value * 0.998 <= (double)total && (double)total <= value * 1.002 + 1);
        before = percentile;
    }
    assert_true(before == 1 && total == 1000);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_value_is_within_a_thousandth),
        cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_values_past_the_bound_count_as_the_bound),
        cmocka_unit_test(test_aerohive_requests),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_every_sender),
        cmocka_unit_test(test_signatures_follow_the_body_and_the_secret),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_slots_double_when_time_outgrows_them),
        cmocka_unit_test(test_the_highest_rate_is_found),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_percentiles_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
