/* The growable buffer: content, growth, refusal of what cannot be, and the memory it keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "util/buf.h"

static void append(struct buf *buf, const char *text) {
    assert_int_equal(buf_append(buf, text, strlen(text)), 0);
}

static void expect(const struct buf *buf, const char *text) {
    struct span content = buf_span(buf);
    assert_int_equal(content.len, strlen(text));
    assert_memory_equal(content.ptr, text, content.len);
}

static void test_zeroed_is_empty_and_valid(void **state) {
    (void)state;
    struct buf buf = {0};
    expect(&buf, "");
    assert_false(span_is_absent(buf_span(&buf)));
    buf_consume(&buf, 0);
    buf_reset(&buf, 0);
    assert_int_equal(buf_append(&buf, NULL, 0), 0);
    expect(&buf, "");
    buf_deinit(&buf);
    buf_deinit(&buf);
}

static void test_append_and_consume(void **state) {
    (void)state;
    struct buf buf = {0};
    append(&buf, "presence");
    append(&buf, "/hq");
    expect(&buf, "presence/hq");
    buf_consume(&buf, 0);
    expect(&buf, "presence/hq");
    buf_consume(&buf, 9);
    expect(&buf, "hq");
    append(&buf, "2");
    expect(&buf, "hq2");
    buf_consume(&buf, 3);
    expect(&buf, "");
    append(&buf, "again");
    expect(&buf, "again");
    buf_deinit(&buf);
}

static void test_content_survives_growth(void **state) {
    (void)state;
    struct buf buf = {0};
    for (int i = 0; i < 100000; i++) {
        char byte = (char)(i % 251);
        assert_int_equal(buf_append(&buf, &byte, 1), 0);
    }
    assert_int_equal(buf.len, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf.ptr[i], (char)(i % 251));
    buf_deinit(&buf);
}

/* Appending is linear in total only when the room at least doubles. */
static void test_growth_is_geometric(void **state) {
    (void)state;
    struct buf buf = {0};
    unsigned moves = 0;
    size_t cap = 0;
    for (int i = 0; i < 1 << 20; i++) {
        assert_int_equal(buf_append(&buf, "x", 1), 0);
        if (buf.cap != cap) {
            assert_true(buf.cap >= 2 * cap);
            cap = buf.cap;
            moves++;
        }
    }
    assert_true(moves <= 20);
    buf_deinit(&buf);
}

static void test_reserve_gives_room(void **state) {
    (void)state;
    struct buf buf = {0};
    append(&buf, "head");
    assert_int_equal(buf_reserve(&buf, 5000), 0);
    assert_true(buf.cap - buf.len >= 5000);
    expect(&buf, "head");
    const char *ptr = buf.ptr;
    memset(buf.ptr + buf.len, 'x', 5000);
    buf.len += 5000;
    assert_int_equal(buf_reserve(&buf, buf.cap - buf.len),
                     0); /* the room is there: nothing moves */
    assert_ptr_equal(buf.ptr, ptr);
    buf_deinit(&buf);
}

static void test_impossible_sizes_change_nothing(void **state) {
    (void)state;
    struct buf buf = {0};
    append(&buf, "kept");
    struct buf before = buf;
    assert_int_equal(buf_reserve(&buf, SIZE_MAX), -ENOMEM);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX / 2 - buf.len + 1), -ENOMEM);
    assert_memory_equal(&buf, &before, sizeof(buf));
    expect(&buf, "kept");
    buf_deinit(&buf);
}

static void test_reset_keeps_little_and_frees_much(void **state) {
    (void)state;
    struct buf buf = {0};
    assert_int_equal(buf_reserve(&buf, 4096), 0);
    assert_int_equal(buf.cap, 4096);
    append(&buf, "x");
    const char *ptr = buf.ptr;
    buf_reset(&buf, 4096);
    expect(&buf, "");
    assert_ptr_equal(buf.ptr, ptr);
    append(&buf, "x");
    buf_reset(&buf, 4095);
    expect(&buf, "");
    assert_null(buf.ptr);
    assert_int_equal(buf.cap, 0);
    append(&buf, "usable");
    expect(&buf, "usable");
    buf_deinit(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zeroed_is_empty_and_valid),
        cmocka_unit_test(test_append_and_consume),
        cmocka_unit_test(test_content_survives_growth),
        cmocka_unit_test(test_growth_is_geometric),
        cmocka_unit_test(test_reserve_gives_room),
        cmocka_unit_test(test_impossible_sizes_change_nothing),
        cmocka_unit_test(test_reset_keeps_little_and_frees_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
