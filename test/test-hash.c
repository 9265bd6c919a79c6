/* SipHash with 128-bit output. The reference publishes vectors of SipHash-2-4 only, so hash.c's
 * code is taken in whole and checked with both round counts. The 2-4 values are the reference's
 * (key 00..0f, data 00..n-1), the 1-3 values come from OpenSSL 3.0 (c-rounds 1, d-rounds 3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/hash.c"
#include "util/text.h"

struct vector {
    size_t len;
    const char *digest;
};

static const struct vector vectors_2_4[] = {
    {0, "a3817f04ba25a8e66df67214c7550293"},  {1, "da87c1d86b99af44347659119b22fc45"},
    {7, "a1f1ebbed8dbc153c0b84aa61ff08239"},  {8, "3b62a9ba6258f5610f83e264f31497b4"},
    {9, "264499060ad9baabc47f8b02bb6d71ed"},  {15, "5493e99933b0a8117e08ec0f97cfc3d9"},
    {16, "6ee2a4ca67b054bbfd3315bf85230577"}, {17, "473d06e8738db89854c066c47ae47740"},
    {31, "2939b0183223fafc1723de4f52c43d35"}, {62, "5853542321f567a005d547a4f04759bd"},
    {63, "5150d1772f50834a503e069a973fbd7c"}, {64, "1eaf077dc0d4cd3f8cad4d383658a74b"},
};

static const struct vector vectors_1_3[] = {
    {0, "e77ebcb22788a5befd62db6add303001"},  {1, "fc6f370460d3eda85e0573cc2b2ff063"},
    {7, "1084b923f2aae0c3a62f2ec80848ab77"},  {8, "aa12fee1d5e3dab4724f16ab35f9c799"},
    {9, "81ddb8042cf33994f4720e0094137c42"},  {15, "c17e5505b2bd526c2921cdec1e7e0109"},
    {16, "d0a8d95715518eebb513b0f83d9e1793"}, {17, "234126f93fbb668d975112e8febdf7ec"},
    {31, "42ea961c5b3c858b17c3e550dfa79010"}, {62, "271d5d00fbdb5d155d9dcea97cb40218"},
    {63, "4c5800e34efe426f079f6b0aa75260ad"}, {64, "1253def24b4aa5364ec8a759ba6a66c2"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const uint8_t key[HASH_KEY_BYTES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void assert_digest(const uint8_t digest[HASH_BYTES], const char *expected) {
    char hex[2 * HASH_BYTES + 1] = "";
    text_format_hex(digest, HASH_BYTES, hex);
    assert_string_equal(hex, expected);
}

/* The data as a block of its own, so that a sanitiser sees a byte read too far. */
static uint8_t *counting_bytes(size_t len) {
    uint8_t *data = malloc(len ? len : 1);
    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)i;
    return data;
}

static void test_rounds_2_4(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(vectors_2_4); i++) {
        uint8_t digest[HASH_BYTES];
        uint8_t *data = counting_bytes(vectors_2_4[i].len);
        siphash128(2, 4, key, data, vectors_2_4[i].len, digest);
        assert_digest(digest, vectors_2_4[i].digest);
        free(data);
    }
}

static void test_rounds_1_3(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(vectors_1_3); i++) {
        uint8_t digest[HASH_BYTES];
        uint8_t *data = counting_bytes(vectors_1_3[i].len);
        hash128(key, data, vectors_1_3[i].len, digest);
        assert_digest(digest, vectors_1_3[i].digest);
        free(data);
    }
}

static void test_key_matters(void **state) {
    (void)state;
    uint8_t first[HASH_BYTES];
    hash128(key, "presence", 8, first);
    for (unsigned i = 0; i < HASH_KEY_BYTES; i++) {
        uint8_t other_key[HASH_KEY_BYTES];
        uint8_t other[HASH_BYTES];
        memcpy(other_key, key, sizeof(key));
        other_key[i] ^= 0x80;
        hash128(other_key, "presence", 8, other);
        assert_memory_not_equal(first, other, HASH_BYTES);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounds_2_4),
        cmocka_unit_test(test_rounds_1_3),
        cmocka_unit_test(test_key_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
