/* Connections by address: counted up to the bound, given back, never mixed up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "peers.h"

static struct sockaddr_storage address(const char *text) {
    struct sockaddr_storage storage = {0};
    if (strchr(text, ':')) {
        storage.ss_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&storage)->sin6_addr),
                         1);
    } else {
        storage.ss_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, text, &((struct sockaddr_in *)&storage)->sin_addr), 1);
    }
    return storage;
}

static void test_bound(void **state) {
    static struct peers peers;
    struct peer *held[3];
    bool full;
    struct sockaddr_storage a = address("192.0.2.1"), same = address("::ffff:192.0.2.1"),
                            other = address("2001:db8::1");
    (void)state;
    assert_int_equal(peers_init(&peers), 0);
    for (int i = 0; i < 3; i++)
        assert_non_null(held[i] = peers_acquire(&peers, i & 1 ? &same : &a, 3, &full));
    assert_null(peers_acquire(&peers, &a, 3, &full));
    assert_true(full);
    struct peer *elsewhere = peers_acquire(&peers, &other, 3, &full);
    assert_non_null(elsewhere);
    peers_release(held[0]);
    assert_non_null(held[0] = peers_acquire(&peers, &same, 3, &full));
    for (int i = 0; i < 3; i++)
        peers_release(held[i]);
    peers_release(elsewhere);
    peers_release(NULL);
    for (int i = 0; i < PEERS_BUCKETS; i++)
        assert_true(list_is_empty(&peers.buckets[i]));
}

static void test_many_addresses(void **state) {
    static struct peers peers;
    static struct peer *held[5000];
    bool full;
    (void)state;
    assert_int_equal(peers_init(&peers), 0);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 5000; i++) {
            char text[32];
            snprintf(text, sizeof text, "10.0.%u.%u", i >> 8, i & 255);
            struct sockaddr_storage from = address(text);
            assert_non_null(held[i] = peers_acquire(&peers, &from, 1, &full));
            assert_null(peers_acquire(&peers, &from, 1, &full));
        }
        for (unsigned i = 0; i < 5000; i++)
            peers_release(held[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_many_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
