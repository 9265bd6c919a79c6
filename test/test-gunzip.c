/* gzip bodies: whole, cut, joined, damaged, and at their bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "gunzip.h"

enum { PADDING = 64 };

/* malloc'ed to its exact size. */
static struct span gzip(const char *text, size_t len) {
    z_stream stream = {0};
    size_t cap = len + 1000;
    unsigned char *packed = malloc(cap);
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    stream.next_in = (Bytef *)text;
    stream.avail_in = (uInt)len;
    stream.next_out = packed;
    stream.avail_out = (uInt)cap;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t packed_len = cap - stream.avail_out;
    deflateEnd(&stream);
    return span_from(realloc(packed, packed_len), packed_len);
}

static struct span noise(size_t len) {
    char *text = malloc(len);
    uint32_t state = 1;
    for (size_t i = 0; i < len; i++)
        text[i] =
            (char)"{}[]:,\"0123456789abcdef"[(state = state * 1664525 + 1013904223) >> 24 & 15];
    return span_from(text, len);
}

static void test_round_trip_and_every_cut(void **state) {
    struct gunzip *gunzip = gunzip_new();
    struct buf out = {0};
    struct span text = noise(5000), packed = gzip(text.ptr, text.len);
    (void)state;
    for (size_t len = 0; len <= packed.len; len++) {
        char *copy = malloc(len ? len : 1);
        memcpy(copy, packed.ptr, len);
        int rc = gunzip_decode(gunzip, span_from(copy, len), 10000, PADDING, &out);
        assert_int_equal(rc, len == packed.len ? GUNZIP_OK : GUNZIP_INVALID);
        free(copy);
    }
    assert_true(span_equals(buf_span(&out), text));
    assert_true(out.cap - out.len >= PADDING);
    free((char *)text.ptr);
    free((char *)packed.ptr);
    buf_deinit(&out);
    gunzip_free(gunzip);
}

static void test_members_in_a_row_and_garbage_behind(void **state) {
    struct gunzip *gunzip = gunzip_new();
    struct buf out = {0}, joined = {0};
    struct span a = gzip("[1,", 3), b = gzip("2]", 2);
    (void)state;
    assert_int_equal(buf_append(&joined, a.ptr, a.len), 0);
    assert_int_equal(buf_append(&joined, b.ptr, b.len), 0);
    assert_int_equal(gunzip_decode(gunzip, buf_span(&joined), 5, PADDING, &out), GUNZIP_OK);
    assert_memory_equal(out.ptr, "[1,2]", 5);
    assert_int_equal(gunzip_decode(gunzip, buf_span(&joined), 4, PADDING, &out), GUNZIP_TOO_LARGE);
    assert_int_equal(buf_append(&joined, "x", 1), 0);
    assert_int_equal(gunzip_decode(gunzip, buf_span(&joined), 100, PADDING, &out), GUNZIP_INVALID);
    assert_int_equal(gunzip_decode(gunzip, SPAN("{\"plain\":1}"), 100, PADDING, &out),
                     GUNZIP_INVALID);
    free((char *)a.ptr);
    free((char *)b.ptr);
    buf_deinit(&out);
    buf_deinit(&joined);
    gunzip_free(gunzip);
}

static void expect_size(struct span text, size_t max, int expected) {
    struct gunzip *gunzip = gunzip_new();
    struct buf out = {0};
    struct span packed = gzip(text.ptr, text.len);
    assert_int_equal(gunzip_decode(gunzip, packed, max, PADDING, &out), expected);
    if (expected == GUNZIP_TOO_LARGE) /* noticed soon, not at the end */
        assert_true(out.cap <= 2 * max + 4 * (GUNZIP_FREE_BYTES + packed.len * GUNZIP_MAX_RATIO));
    free((char *)packed.ptr);
    buf_deinit(&out);
    gunzip_free(gunzip);
}

static void test_bounds(void **state) {
    struct span text = noise(200000);
    (void)state;
    expect_size(text, 200000, GUNZIP_OK);
    expect_size(text, 199999, GUNZIP_TOO_LARGE);
    free((char *)text.ptr);

    char *zeros = calloc(1, 50 << 20); /* about 1000 : 1 */
    expect_size(span_from(zeros, GUNZIP_FREE_BYTES), 100 << 20, GUNZIP_OK);
    expect_size(span_from(zeros, 50 << 20), 100 << 20, GUNZIP_TOO_LARGE);
    free(zeros);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_and_every_cut),
        cmocka_unit_test(test_members_in_a_row_and_garbage_behind),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
