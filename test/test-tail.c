/* rollcall-tail's pure parts: cursors, their file, the seq at a line's front. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tail_cursor.h"

static void test_cursors(void **state) {
    static const char *good[] = {"0123456789abcdef-0", "0123456789abcdef-18446744073709551615"};
    static const char *bad[] = {
        "",
        "0123456789abcdef",
        "0123456789abcdef-",
        "0123456789abcde-1",
        "0123456789abcdefa-1",
        "0123456789ABCDEF-1",
        "0123456789abcdef-1a",
        "0123456789abcdef--1",
        "0123456789abcdef-184467440737095516150", /* one digit more than any seq has */
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(tail_cursor_is_valid(span_from_string(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (tail_cursor_is_valid(span_from_string(bad[i])))
            fail_msg("%s", bad[i]);
}

static void test_line_seq(void **state) {
    unsigned long long seq;
    (void)state;
    assert_true(tail_cursor_line_seq(SPAN("{\"seq\":18446744073709551615,\"id\":"), &seq));
    assert_true(seq == UINT64_MAX);
    assert_false(tail_cursor_line_seq(SPAN("{\"gap\":{}}"), &seq));
    assert_false(tail_cursor_line_seq(SPAN("{\"seq\":\"1\"}"), &seq));
    assert_false(tail_cursor_line_seq(SPAN("{\"se"), &seq));
}

static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_file(void **state) {
    char directory[] = "/tmp/rollcall-tail-XXXXXX", path[64], beside[80], cursor[TAIL_CURSOR_MAX];
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/cursor", directory);
    snprintf(beside, sizeof beside, "%s.new", path);
    assert_int_equal(tail_cursor_load(path, cursor), TAIL_CURSOR_NONE);
    assert_int_equal(tail_cursor_store(path, "0123456789abcdef-42"), 0);
    assert_int_equal(tail_cursor_load(path, cursor), 0);
    assert_string_equal(cursor, "0123456789abcdef-42");
    assert_int_equal(tail_cursor_store(path, "0123456789abcdef-18446744073709551615"), 0);
    assert_int_equal(tail_cursor_load(path, cursor), 0);
    assert_string_equal(cursor, "0123456789abcdef-18446744073709551615");
    assert_int_not_equal(access(beside, F_OK), 0);
    write_text(path, "0123456789abcdef-7"); /* without a newline, as echo -n writes it */
    assert_int_equal(tail_cursor_load(path, cursor), 0);
    static const char *bad[] = {"", "\n", "rubbish\n",
                                "0123456789abcdef-42\n0123456789abcdef-43\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text(path, bad[i]);
        assert_int_equal(tail_cursor_load(path, cursor), TAIL_CURSOR_INVALID);
    }
    unlink(path);
    assert_true(tail_cursor_store("/nonexistent/cursor", "0123456789abcdef-1") < 0);
    assert_true(tail_cursor_load(directory, cursor) < 0);
    rmdir(directory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursors),
        cmocka_unit_test(test_line_seq),
        cmocka_unit_test(test_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
