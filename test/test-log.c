/* The log: what stands on stderr, byte for byte but for the time, in both formats; what hostile
 * values can do to a line (nothing); its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "util/clock.h"

static int real_stderr, pipe_fds[2];

/* A packet pipe (O_DIRECT): one read gives what one write wrote, so that a line in two writes, or
 * two lines in one, would be seen. */
static void capture(void) {
    fflush(stderr);
    assert_int_equal(pipe2(pipe_fds, O_DIRECT | O_NONBLOCK | O_CLOEXEC), 0);
    real_stderr = dup(STDERR_FILENO);
    assert_true(real_stderr >= 0);
    assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
}

static void release(void) {
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

/* Packets hold at most PIPE_BUF bytes; a longer write comes as several. */
static const char *captured(void) {
    static char text[65536];
    size_t len = 0;
    ssize_t n;
    while (len < sizeof(text) - 1 &&
           (n = read(pipe_fds[0], text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    return text;
}

static const char *captured_packet(void) {
    static char text[65536];
    ssize_t n = read(pipe_fds[0], text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* Checks the time's form and returns what follows it. */
static const char *behind_time(const char *line, const char *before) {
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    assert_int_equal(strncmp(line, before, strlen(before)), 0);
    line += strlen(before);
    for (const char *f = form; *f; f++, line++) {
        if (*f == 'd')
            assert_in_range(*line, '0', '9');
        else
            assert_int_equal(*line, *f);
    }
    return line;
}

/* One value as it is written, in the line's last pair. */
#define check_value(json, value, expected)                                                         \
    do {                                                                                           \
        log_init(LOG_INFO, (json));                                                                \
        capture();                                                                                 \
        log_write(LOG_INFO, "m", "k", (value), NULL);                                              \
        const char *line_ = captured();                                                            \
        release();                                                                                 \
        assert_string_equal(behind_time(line_, (json) ? "{\"ts\":\"" : "ts="),                     \
                            (json) ? "\",\"level\":\"info\",\"msg\":\"m\",\"k\":" expected "}\n"   \
                                   : " level=info msg=m k=" expected "\n");                        \
    } while (0)

static void test_logfmt_line(void **state) {
    (void)state;
    log_init(LOG_INFO, false);
    capture();
    log_write(LOG_INFO, "listening", "address", "127.0.0.1:8443", NULL);
    log_write(LOG_WARNING, "accept failed", "reason", "too many files", "fd", "12", NULL);
    log_write(LOG_ERROR, "m", NULL);
    char first[256], second[256], third[256];
    snprintf(first, sizeof(first), "%.255s", captured_packet());
    snprintf(second, sizeof(second), "%.255s", captured_packet());
    snprintf(third, sizeof(third), "%.255s", captured_packet());
    assert_string_equal(captured_packet(), "");
    release();
    assert_string_equal(behind_time(first, "ts="),
                        " level=info msg=listening address=127.0.0.1:8443\n");
    assert_string_equal(behind_time(second, "ts="),
                        " level=warning msg=\"accept failed\" reason=\"too many files\" fd=12\n");
    assert_string_equal(behind_time(third, "ts="), " level=error msg=m\n");
}

static void test_json_line(void **state) {
    (void)state;
    log_init(LOG_DEBUG, true);
    capture();
    log_write(LOG_DEBUG, "accept failed", "reason", "too many \"files\"", "fd", "12", NULL);
    const char *line = captured_packet();
    release();
    assert_string_equal(behind_time(line, "{\"ts\":\""),
                        "\",\"level\":\"debug\",\"msg\":\"accept failed\",\"reason\":\"too many "
                        "\\\"files\\\"\",\"fd\":\"12\"}\n");
}

static void test_levels(void **state) {
    static const enum log_level levels[] = {LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    (void)state;
    for (int max = 0; max < 4; max++)
        for (int i = 0; i < 4; i++) {
            log_init(levels[max], false);
            capture();
            log_write(levels[i], "m", NULL);
            bool written = *captured() != '\0';
            release();
            assert_int_equal(written, i <= max);
            assert_int_equal(log_enabled(levels[i]), i <= max);
        }
}

static void test_logfmt_values(void **state) {
    (void)state;
    check_value(false, "", "\"\"");
    check_value(false, "plain/[::1]:8443;,{}'", "plain/[::1]:8443;,{}'");
    check_value(false, "two words", "\"two words\"");
    check_value(false, "a=b", "\"a=b\"");
    check_value(false, "say \"hi\"", "\"say \\\"hi\\\"\"");
    check_value(false, "back\\slash", "\"back\\\\slash\"");
    check_value(false, "x\nts=2026 level=error", "\"x\\nts=2026 level=error\"");
    check_value(false, "\r\t\x1b[31m\x7f", "\"\\r\\t\\u001b[31m\\u007f\"");
    check_value(false, "K\xc3\xb6ln", "\"K\xc3\xb6ln\"");
}

static void test_json_values(void **state) {
    (void)state;
    check_value(true, "", "\"\"");
    check_value(true, "a/b\\\"\n\r\t\x01\x1f\x7f", "\"a/b\\\\\\\"\\n\\r\\t\\u0001\\u001f\\u007f\"");
    check_value(true, "\xe2\x82\xac \xf0\x9f\x98\x80", "\"\xe2\x82\xac \xf0\x9f\x98\x80\"");
}

/* RFC 3629: what is no UTF-8 is no JSON either. C1 control characters drive some terminals. */
static void test_invalid_utf8(void **state) {
    (void)state;
    check_value(true, "\xff", "\"\\ufffd\"");
    check_value(true, "a\x80z", "\"a\\ufffdz\"");
    check_value(true, "\xc3", "\"\\ufffd\"");
    check_value(true, "\xe2\x82", "\"\\ufffd\\ufffd\"");
    check_value(true, "\xe2\x82z", "\"\\ufffd\\ufffdz\"");
    check_value(true, "\xf0\x9f\x98", "\"\\ufffd\\ufffd\\ufffd\"");
    check_value(true, "\xc0\xaf", "\"\\ufffd\\ufffd\""); /* overlong "/" */
    check_value(true, "\xc1\xbf", "\"\\ufffd\\ufffd\"");
    check_value(true, "\xe0\x9f\xbf", "\"\\ufffd\\ufffd\\ufffd\""); /* overlong */
    check_value(true, "\xe0\xa0\x80", "\"\xe0\xa0\x80\"");          /* U+0800 */
    check_value(true, "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""); /* a surrogate */
    check_value(true, "\xed\x9f\xbf", "\"\xed\x9f\xbf\"");          /* U+D7FF */
    check_value(true, "\xf0\x8f\xbf\xbf", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
    check_value(true, "\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\""); /* U+10FFFF */
    check_value(true, "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
    check_value(true, "\xf5\x80\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
    check_value(true,
                "\xc2\x9b"
                "31m",
                "\"\\u009b31m\"");
    /* Text that a terminal would show in another order than it has. */
    check_value(false, "\xe2\x80\xa9", "\"\xe2\x80\xa9\"");
    check_value(false, "\xe2\x80\xaa\xe2\x80\xae\xe2\x80\xaf", "\"\\u202a\\u202e\xe2\x80\xaf\"");
    check_value(true, "\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa",
                "\"\xe2\x81\xa5\\u2066\\u2069\xe2\x81\xaa\"");
    check_value(true, "\xc2\xa0", "\"\xc2\xa0\"");
    check_value(false, "\xff", "\"\\ufffd\"");
}

/* 1,024 bytes of a value, then an ellipsis; a character at the edge is not torn. */
static void test_value_bound(void **state) {
    char value[2048], expected[2048];
    const char *line;
    (void)state;
    for (int len = 1023; len <= 1026; len++) {
        memset(value, 'v', sizeof(value));
        value[len] = '\0';
        snprintf(expected, sizeof(expected),
                 len <= 1024 ? " k=%.*s\n" : " k=\"%.*s\xe2\x80\xa6\"\n", len <= 1024 ? len : 1024,
                 value);
        log_init(LOG_INFO, false);
        capture();
        log_write(LOG_INFO, "m", "k", value, NULL);
        line = captured();
        release();
        assert_string_equal(strstr(line, " k="), expected);
    }
    memset(value, 'v', 1023);
    memcpy(value + 1023, "\xc3\xb6tail", 7);
    capture();
    log_write(LOG_INFO, "m", "k", value, NULL);
    line = captured();
    release();
    assert_non_null(strstr(line, "v\xc3\xb6\xe2\x80\xa6\"\n"));
}

/* Pairs that the line has no room for are left out whole, and the line says so. */
static void test_line_bound(void **state) {
    char bad[1025], good[1025];
    (void)state;
    memset(bad, 1, 1024);
    memset(good, 'g', 1024);
    bad[1024] = good[1024] = '\0';
    for (int json = 0; json <= 1; json++) {
        log_init(LOG_INFO, json);
        capture();
        log_write(LOG_INFO, "m", "a", bad, "b", good, "c", good, "d", "short", NULL);
        const char *line = captured();
        release();
        size_t len = strlen(line);
        assert_true(len <= 8192);
        assert_non_null(strstr(line, json ? "\"b\":\"ggg" : " b=ggg"));
        assert_null(strstr(line, json ? "\"c\":" : " c="));
        assert_null(strstr(line, "short"));
        const char *tail = json ? "gg\",\"cut\":\"true\"}\n" : "gg cut=true\n";
        assert_string_equal(line + len - strlen(tail), tail);
    }
}

/* Room for exactly the pair, and for one byte less. */
static void test_last_pair_at_the_bound(void **state) {
    char filler[1025], value[1025];
    const char *line;
    (void)state;
    memset(filler, 'f', 1024);
    memset(value, 'v', 1024);
    filler[1024] = '\0';
    log_init(LOG_INFO, false);
    capture();
    log_write(LOG_INFO, "m", "a", filler, "a", filler, "a", filler, "a", filler, "a", filler, "a",
              filler, "a", filler, NULL);
    size_t room = 8192 - 32 - (strlen(captured()) - 1) - strlen(" k=");
    assert_true(room <= 1023);
    for (int extra = 0; extra <= 1; extra++) {
        value[room + (size_t)extra] = '\0';
        log_write(LOG_INFO, "m", "a", filler, "a", filler, "a", filler, "a", filler, "a", filler,
                  "a", filler, "a", filler, "k", value, NULL);
        line = captured();
        assert_int_equal(strstr(line, " k=v") != NULL, !extra);
        assert_int_equal(strstr(line, " cut=true\n") != NULL, extra);
        value[room] = 'v';
    }
    release();
}

static void test_missing_value_and_errno(void **state) {
    const char *nothing = NULL;
    (void)state;
    check_value(false, nothing, "\"\"");
    log_init(LOG_INFO, false);
    capture();
    close(STDERR_FILENO);
    errno = ENOENT;
    log_write(LOG_INFO, "nobody reads this", NULL);
    int after = errno;
    release();
    assert_int_equal(after, ENOENT);
}

/* Ten lines for a reason, then none for the rest of the time; each reason has its own. */
static void test_reasons_are_limited(void **state) {
    static const char one[] = "one", other[] = "other";
    uint64_t suppressed = 7, start_ms = clock_monotonic_ms();
    (void)state;
    for (int i = 0; i < LOG_LIMIT_LINES; i++) {
        assert_true(log_admit(one, &suppressed));
        assert_int_equal(suppressed, 0);
    }
    for (int i = 0; i < 5; i++)
        if (log_admit(one, &suppressed)) /* a test that was stopped for as long as that */
            assert_true(clock_monotonic_ms() - start_ms >= LOG_LIMIT_MS);
    assert_true(log_admit(other, &suppressed));
    assert_int_equal(suppressed, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logfmt_line),
        cmocka_unit_test(test_json_line),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_logfmt_values),
        cmocka_unit_test(test_json_values),
        cmocka_unit_test(test_invalid_utf8),
        cmocka_unit_test(test_value_bound),
        cmocka_unit_test(test_line_bound),
        cmocka_unit_test(test_last_pair_at_the_bound),
        cmocka_unit_test(test_missing_value_and_errno),
        cmocka_unit_test(test_reasons_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
