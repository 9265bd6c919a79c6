/* Requests in a time: what the words mean, and that no more go through than they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quota.h"

#define START INT64_C(1767607933000000)

static void test_text(void **state) {
    static const struct {
        const char *text, *formatted;
    } good[] = {
        {"200/s burst 400", "200/s burst 400"},
        {"200/s", "200/s burst 200"},
        {"1/h", "1/h burst 1"},
        {"10/m  burst\t1", "10/m burst 1"},
        {"1000000/s burst 1000000", "1000000/s burst 1000000"},
    };
    static const char *const wrong[] = {"",
                                        "200",
                                        "/s",
                                        "0/s",
                                        "200/",
                                        "200/d",
                                        "200/sec",
                                        "1000001/s",
                                        "200/s400",
                                        "200/s burst",
                                        "200/s burst400",
                                        "200/s burst 0",
                                        "200/s burst 400 ",
                                        "200/s burst 1000001",
                                        "-1/s",
                                        "200 /s",
                                        "200/sburst 4",
                                        "99999999999/s"};
    struct quota_limit limit;
    char text[QUOTA_TEXT_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(quota_parse(good[i].text, &limit));
        quota_format(&limit, text);
        assert_string_equal(text, good[i].formatted);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (quota_parse(wrong[i], &limit))
            fail_msg("%s was taken", wrong[i]);
}

static void test_none_is_no_limit(void **state) {
    struct quota quota = {0};
    struct quota_limit none = {0};
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(quota_take(&quota, &none, START), 0);
}

static void test_burst_then_rate(void **state) {
    struct quota quota = {0};
    struct quota_limit limit = {1000, 4, 10};
    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(quota_take(&quota, &limit, START), 0);
    assert_int_equal(quota_take(&quota, &limit, START), 250000);
    assert_int_equal(quota_take(&quota, &limit, START + 249999), 1);
    assert_int_equal(quota_take(&quota, &limit, START + 250000), 0);
    assert_int_equal(quota_take(&quota, &limit, START + 250000), 250000);
    /* A long rest brings the whole burst back, and no more than that. */
    for (int i = 0; i < 10; i++)
        assert_int_equal(quota_take(&quota, &limit, START + 100000000), 0);
    assert_int_equal(quota_take(&quota, &limit, START + 100000000), 250000);
}

/* A minute of a steady flood: the rate and the burst, and not one more. */
static void test_flood(void **state) {
    struct quota quota = {0};
    struct quota_limit limit = {60 * 1000, 30, 5};
    unsigned taken = 0;
    (void)state;
    for (int64_t us = 0; us < 60 * 1000000; us += 1000)
        taken += quota_take(&quota, &limit, START + us) == 0;
    assert_int_equal(taken, 5 + 29);
}

static void test_clock_set_back(void **state) {
    struct quota quota = {0};
    struct quota_limit limit = {1000, 1, 2};
    (void)state;
    assert_int_equal(quota_take(&quota, &limit, START), 0);
    assert_int_equal(quota_take(&quota, &limit, START), 0);
    assert_int_equal(quota_take(&quota, &limit, START - INT64_C(3600000000)), 1000000);
    assert_int_equal(quota_take(&quota, &limit, START - INT64_C(3599000000)), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_none_is_no_limit),
        cmocka_unit_test(test_burst_then_rate),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_clock_set_back),
    };
    return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
