/* Identities: what differs must differ, what is the same must be the same, at every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "identity.h"

static const uint8_t key[HASH_KEY_BYTES] = "0123456789abcdef";

struct id {
    uint8_t bytes[HASH_BYTES];
};

static struct id finish(const struct identity *identity) {
    struct id id;
    identity_finish(identity, key, id.bytes);
    return id;
}

static struct id id_of_two(struct span first, struct span second) {
    struct identity identity;
    identity_init(&identity, SPAN("aerohive"));
    identity_add(&identity, first);
    identity_add(&identity, second);
    return finish(&identity);
}

static void assert_same(struct id a, struct id b) {
    assert_memory_equal(a.bytes, b.bytes, HASH_BYTES);
}

static void assert_differ(struct id a, struct id b) {
    assert_memory_not_equal(a.bytes, b.bytes, HASH_BYTES);
}

static void test_field_bounds_count(void **state) {
    (void)state;
    assert_same(id_of_two(SPAN("ab"), SPAN("c")), id_of_two(SPAN("ab"), SPAN("c")));
    assert_differ(id_of_two(SPAN("ab"), SPAN("c")), id_of_two(SPAN("a"), SPAN("bc")));
    assert_differ(id_of_two(SPAN("ab"), SPAN("c")), id_of_two(SPAN("c"), SPAN("ab")));
    assert_differ(id_of_two(SPAN("ab"), SPAN("")), id_of_two(SPAN(""), SPAN("ab")));
}

static void test_absent_is_not_empty(void **state) {
    (void)state;
    struct span absent = {0};
    assert_differ(id_of_two(absent, SPAN("x")), id_of_two(SPAN(""), SPAN("x")));
    assert_differ(id_of_two(absent, SPAN("x")), id_of_two(SPAN("x"), absent));
    assert_same(id_of_two(absent, absent), id_of_two(absent, absent));
}

static void test_sender_and_key_count(void **state) {
    (void)state;
    struct identity meraki;
    struct identity mist;
    identity_init(&meraki, SPAN("meraki"));
    identity_init(&mist, SPAN("mist"));
    assert_differ(finish(&meraki), finish(&mist));
    struct id other;
    identity_finish(&mist, (const uint8_t *)"0123456789abcdeF", other.bytes);
    assert_differ(finish(&mist), other);
}

static void test_numbers(void **state) {
    (void)state;
    struct identity one;
    struct identity two;
    struct identity text;
    identity_init(&one, SPAN("mist"));
    two = one;
    text = one;
    identity_add_u64(&one, 1);
    identity_add_u64(&two, UINT64_C(1) << 63);
    identity_add(&text, SPAN("\1\0\0\0\0\0\0\0"));
    assert_differ(finish(&one), finish(&two));
    assert_differ(finish(&one), finish(&text));
}

/* Around every multiple of the memory's size: one byte more or other is another event, and fields
 * behind a fold still count. */
static void test_any_length(void **state) {
    (void)state;
    static char data[3 * IDENTITY_BYTES];
    struct id last = {{0}};
    for (size_t len = 0; len < sizeof(data); len++) {
        struct span field = span_from(data, len);
        struct id id = id_of_two(field, SPAN("tail"));
        assert_same(id, id_of_two(field, SPAN("tail")));
        assert_differ(id, last);
        assert_differ(id, id_of_two(field, SPAN("tai1")));
        last = id;
        if (!len)
            continue;
        data[0] = 'x';
        assert_differ(id, id_of_two(field, SPAN("tail")));
        data[0] = 0;
        data[len - 1] = 'x';
        assert_differ(id, id_of_two(field, SPAN("tail")));
        data[len - 1] = 0;
    }
}

static void test_memory_is_bounded(void **state) {
    (void)state;
    struct identity identity;
    identity_init(&identity, SPAN("json"));
    while (identity.len < IDENTITY_BYTES - 5)
        identity_add(&identity, SPAN("")); /* 4 bytes each */
    unsigned before = identity.len;
    identity_add(&identity, span_from("abcdefgh", IDENTITY_BYTES - before - 4));
    assert_int_equal(identity.len, IDENTITY_BYTES); /* full, and not yet folded */
    identity_add(&identity, SPAN("z"));
    assert_int_equal(identity.len, HASH_BYTES + 4 + 1);
}

/* Ids live in ring files and in other nodes' streams: they may not change from build to build. The
 * expected one comes from OpenSSL 3.0's SipHash over the fields as identity.c lays them out. */
static void test_id_is_steady(void **state) {
    (void)state;
    static const uint8_t expected[HASH_BYTES] = {0x98, 0xeb, 0xdb, 0x8e, 0x10, 0xfa, 0xf2, 0x40,
                                                 0xeb, 0x70, 0x91, 0x53, 0xd3, 0x38, 0xe6, 0xba};
    struct identity identity;
    identity_init(&identity, SPAN("aerohive"));
    identity_add(&identity, SPAN("5CB901642E61"));
    identity_add_u64(&identity, 1463828775360);
    assert_memory_equal(finish(&identity).bytes, expected, HASH_BYTES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_field_bounds_count),   cmocka_unit_test(test_absent_is_not_empty),
        cmocka_unit_test(test_sender_and_key_count), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_any_length),           cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_id_is_steady),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
