/* Ranges of addresses: what is read, what is refused, what matches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <string.h>

#include "address.h"

static struct in6_addr peer(const char *text) {
    struct sockaddr_storage from = {0};
    struct in6_addr address;
    if (strchr(text, ':')) {
        from.ss_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&from)->sin6_addr), 1);
    } else {
        from.ss_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, text, &((struct sockaddr_in *)&from)->sin_addr), 1);
    }
    assert_true(address_from_sockaddr(&from, &address));
    return address;
}

static void test_matches(void **state) {
    static const struct {
        const char *range, *peer;
        bool matches;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"10.0.0.0/8", "::ffff:10.9.8.7", true},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "203.0.113.9", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::1", "::1", true},
        {"::1/128", "::2", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address_range range;
        struct in6_addr address = peer(cases[i].peer);
        assert_int_equal(address_parse(cases[i].range, &range), ADDRESS_OK);
        if (address_matches(&range, &address) != cases[i].matches)
            fail_msg("%s in %s", cases[i].peer, cases[i].range);
    }
}

static void test_text(void **state) {
    static const char *const same[] = {"192.0.2.1", "10.0.0.0/8",    "0.0.0.0/0", "::1",
                                       "::/0",      "2001:db8::/32", "fe80::/10"};
    static const char *const wrong[] = {
        "",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "::/129",
        "10.0.0",
        "10.0.0.0/+8",
        "10.0.0.0/8 ",
        " ::1",
        "host",
        "10.0.0.0/8/8",
        "10.0.0.0/99999999999",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc/1"};
    struct address_range range;
    char text[ADDRESS_TEXT_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_int_equal(address_parse(same[i], &range), ADDRESS_OK);
        address_format(&range, text);
        assert_string_equal(text, same[i]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(address_parse(wrong[i], &range), ADDRESS_MALFORMED);
    assert_int_equal(address_parse("10.1.0.0/8", &range), ADDRESS_HOST_BITS);
    address_format(&range, text);
    assert_string_equal(text, "10.0.0.0/8");
    assert_int_equal(address_parse("2001:db8::1/64", &range), ADDRESS_HOST_BITS);
    /* The longest there is. */
    const char *longest = "1111:2222:3333:4444:5555:6666:7777:8880/125";
    assert_int_equal(address_parse(longest, &range), ADDRESS_OK);
    address_format(&range, text);
    assert_string_equal(text, longest);
}

static void test_no_ip(void **state) {
    struct sockaddr_storage from = {.ss_family = AF_UNIX};
    struct in6_addr address;
    (void)state;
    assert_false(address_from_sockaddr(&from, &address));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_no_ip),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
