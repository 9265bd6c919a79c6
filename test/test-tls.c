/* TLS sessions against a client over memory: no socket anywhere. The environment names a
 * certificate and its key (ROLLCALL_TEST_CERT, ROLLCALL_TEST_KEY), and a key that is another's
 * (ROLLCALL_TEST_OTHER_KEY). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "tls.h"

enum { PLAIN_BYTES = 96 * 1024 };

struct pair {
    struct tls_session server;
    struct buf to_client, received; /* records; plaintext the server has read */
    SSL *client;
    BIO *client_in, *client_out;
    int result; /* of the server's last read */
};

static struct tls_context *context;
static SSL_CTX *client_ctx;
static SSL_SESSION *ticket;

static int on_new_session(SSL *ssl, SSL_SESSION *session) {
    (void)ssl;
    SSL_SESSION_free(ticket);
    ticket = session;
    return 1;
}

static int setup(void **state) {
    struct tls_error error;
    (void)state;
    client_ctx = SSL_CTX_new(TLS_method());
    SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(client_ctx, on_new_session);
    const struct tls_files files = {getenv("ROLLCALL_TEST_CERT"), getenv("ROLLCALL_TEST_KEY"),
                                    NULL};
    int rc = tls_context_new(&context, &files, &error);
    if (rc)
        print_error("%s\n", error.message);
    return rc;
}

static int teardown(void **state) {
    (void)state;
    SSL_SESSION_free(ticket);
    SSL_CTX_free(client_ctx);
    tls_context_unref(context);
    return 0;
}

static void pair_init(struct pair *pair, int version, const char *alpn) {
    *pair = (struct pair){0};
    assert_int_equal(tls_session_init(&pair->server, context), 0);
    pair->client = SSL_new(client_ctx);
    pair->client_in = BIO_new(BIO_s_mem());
    pair->client_out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(pair->client_in, -1);
    SSL_set_bio(pair->client, pair->client_in, pair->client_out);
    SSL_set_connect_state(pair->client);
    SSL_set_max_proto_version(pair->client, (uint16_t)version);
    SSL_set_min_proto_version(pair->client, (uint16_t)version);
    if (alpn)
        SSL_set_alpn_protos(pair->client, (const uint8_t *)alpn, (unsigned)strlen(alpn));
}

static void pair_deinit(struct pair *pair) {
    tls_session_deinit(&pair->server);
    buf_deinit(&pair->to_client);
    buf_deinit(&pair->received);
    SSL_free(pair->client);
}

/* Feeds the server from memory of the exact size, so that a sanitizer sees what is kept too long.
 */
static void feed_server(struct pair *pair, const char *data, size_t len) {
    static char plain[PLAIN_BYTES];
    size_t plain_len;
    char *chunk = malloc(len);
    memcpy(chunk, data, len);
    tls_session_feed(&pair->server, chunk, len);
    do {
        pair->result =
            tls_session_read(&pair->server, &pair->to_client, plain, PLAIN_BYTES, &plain_len);
        assert_true(plain_len <= len + TLS_MAX_RECORD_PLAINTEXT);
        assert_int_equal(buf_append(&pair->received, plain, plain_len), 0);
    } while (pair->result == TLS_OK);
    if (pair->result == TLS_WANT)
        assert_int_equal(pair->server.in.len, 0);
    pair->server.in = (struct span){0};
    free(chunk);
}

/* Moves records both ways, to the server in pieces, until nobody has any. */
static void pump(struct pair *pair, size_t piece) {
    for (;;) {
        const uint8_t *data;
        size_t len;
        (void)SSL_do_handshake(pair->client);
        if (!BIO_mem_contents(pair->client_out, &data, &len) || len == 0) {
            if (pair->to_client.len == 0)
                return;
        } else {
            char *copy = malloc(len);
            assert_int_equal(BIO_read(pair->client_out, copy, (int)len), len);
            for (size_t at = 0; at < len; at += piece)
                feed_server(pair, copy + at, len - at < piece ? len - at : piece);
            free(copy);
        }
        if (pair->to_client.len)
            BIO_write(pair->client_in, pair->to_client.ptr, (int)pair->to_client.len);
        pair->to_client.len = 0;
    }
}

static void exchange(struct pair *pair, size_t piece) {
    char text[16] = "";
    pump(pair, piece);
    assert_true(tls_session_is_established(&pair->server));
    assert_int_equal(SSL_write(pair->client, "hello", 5), 5);
    pump(pair, piece);
    assert_int_equal(pair->received.len, 5);
    assert_memory_equal(pair->received.ptr, "hello", 5);
    assert_int_equal(tls_session_write(&pair->server, &pair->to_client, "world", 5), TLS_OK);
    pump(pair, piece);
    assert_int_equal(SSL_read(pair->client, text, sizeof text), 5);
    assert_string_equal(text, "world");
}

static void test_exchange_in_pieces_of_every_size(void **state) {
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    (void)state;
    for (int v = 0; v < 2; v++) {
        for (size_t piece = 1; piece < 600; piece++) {
            struct pair pair;
            pair_init(&pair, versions[v], "\x08http/1.1");
            exchange(&pair, piece);
            assert_int_equal(SSL_version(pair.client), versions[v]);
            pair_deinit(&pair);
        }
    }
}

static void test_old_versions_are_refused(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, TLS1_1_VERSION, NULL);
    pump(&pair, 1000);
    assert_int_equal(pair.result, TLS_FAILED);
    assert_false(tls_session_is_established(&pair.server));
    pair_deinit(&pair);
}

static void test_alpn(void **state) {
    static const struct {
        const char *offered;
        const char *chosen; /* NULL: refused */
    } cases[] = {
        {NULL, ""},
        {"\x08http/1.1", "http/1.1"},
        {"\x02h2\x08http/1.1", "http/1.1"},
        {"\x02h2", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pair pair;
        const uint8_t *chosen;
        unsigned len;
        pair_init(&pair, TLS1_3_VERSION, cases[i].offered);
        pump(&pair, 1000);
        if (cases[i].chosen) {
            SSL_get0_alpn_selected(pair.client, &chosen, &len);
            assert_int_equal(len, strlen(cases[i].chosen));
            if (len)
                assert_memory_equal(chosen, cases[i].chosen, len);
        } else {
            assert_int_equal(pair.result, TLS_FAILED);
        }
        pair_deinit(&pair);
    }
}

static void test_resumption(void **state) {
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    (void)state;
    for (int v = 0; v < 2; v++) {
        for (int round = 0; round < 2; round++) {
            struct pair pair;
            pair_init(&pair, versions[v], NULL);
            if (round)
                assert_true(SSL_set_session(pair.client, ticket));
            exchange(&pair, 1000);
            assert_int_equal(tls_session_was_resumed(&pair.server), round);
            pair_deinit(&pair);
        }
    }
}

static void test_many_records_in_one_feed(void **state) {
    static char text[60000];
    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 31 >> 3);
    struct pair pair;
    pair_init(&pair, TLS1_3_VERSION, NULL);
    pump(&pair, 1000);
    assert_int_equal(SSL_write(pair.client, text, sizeof text), sizeof text);
    pump(&pair, 64 * 1024);
    assert_int_equal(pair.received.len, sizeof text);
    assert_memory_equal(pair.received.ptr, text, sizeof text);
    pair_deinit(&pair);
}

static void test_a_bad_record_draws_an_alert(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, TLS1_3_VERSION, NULL);
    pump(&pair, 1000);
    feed_server(&pair, "\x17\x03\x03\x00\x20 0123456789012345678901234567890", 37);
    assert_int_equal(pair.result, TLS_FAILED);
    assert_true(pair.to_client.len > 0);
    pair_deinit(&pair);

    pair_init(&pair, TLS1_3_VERSION, NULL);
    feed_server(&pair, "POST / HTTP/1.1\r\n\r\n", 19);
    assert_int_equal(pair.result, TLS_FAILED);
    assert_false(tls_session_is_established(&pair.server));
    pair_deinit(&pair);
}

static void test_close_notify_both_ways(void **state) {
    (void)state;
    char text[4];
    struct pair pair;
    pair_init(&pair, TLS1_3_VERSION, NULL);
    pump(&pair, 1000);
    SSL_shutdown(pair.client);
    pump(&pair, 1000);
    assert_int_equal(pair.result, TLS_CLOSED);
    pair_deinit(&pair);

    pair_init(&pair, TLS1_3_VERSION, NULL);
    pump(&pair, 1000);
    tls_session_shutdown(&pair.server, &pair.to_client);
    size_t once = pair.to_client.len;
    assert_true(once > 0);
    tls_session_shutdown(&pair.server, &pair.to_client);
    assert_int_equal(pair.to_client.len, once);
    pump(&pair, 1000);
    int rc = SSL_read(pair.client, text, sizeof text);
    assert_int_equal(SSL_get_error(pair.client, rc), SSL_ERROR_ZERO_RETURN);
    pair_deinit(&pair);
}

static void test_a_session_keeps_its_context(void **state) {
    (void)state;
    struct tls_context *own;
    struct tls_error error;
    struct pair pair;
    const struct tls_files files = {getenv("ROLLCALL_TEST_CERT"), getenv("ROLLCALL_TEST_KEY"),
                                    NULL};
    assert_int_equal(tls_context_new(&own, &files, &error), 0);
    assert_true(tls_context_not_after(own) > 1700000000);
    struct tls_context *usual = context;
    context = own;
    pair_init(&pair, TLS1_3_VERSION, NULL);
    context = usual;
    tls_context_unref(own); /* as a reload does */
    exchange(&pair, 1000);
    pair_deinit(&pair);
}

static void test_files_that_do_not_fit(void **state) {
    (void)state;
    struct tls_context *made;
    struct tls_error error;
    struct tls_files files = {"/nonexistent.pem", getenv("ROLLCALL_TEST_KEY"), NULL};
    assert_int_equal(tls_context_new(&made, &files, &error), TLS_INVALID);
    assert_int_equal(error.which, TLS_CERTIFICATE);
    assert_non_null(strstr(error.message, "/nonexistent.pem: no certificate"));
    files =
        (struct tls_files){getenv("ROLLCALL_TEST_CERT"), getenv("ROLLCALL_TEST_OTHER_KEY"), NULL};
    assert_int_equal(tls_context_new(&made, &files, &error), TLS_INVALID);
    assert_int_equal(error.which, TLS_PRIVATE_KEY);
    assert_non_null(strstr(error.message, getenv("ROLLCALL_TEST_OTHER_KEY")));
    assert_non_null(strstr(error.message, "private key"));
}

struct findings {
    unsigned problems, warnings;
    char text[384];
};

static void on_finding(void *user, enum tls_severity severity, const char *text) {
    struct findings *findings = user;
    findings->problems += severity == TLS_PROBLEM;
    findings->warnings += severity == TLS_WARNING;
    snprintf(findings->text, sizeof findings->text, "%s", text);
}

static struct findings check_at(int64_t now_s) {
    struct findings findings = {0};
    const struct tls_check check = {now_s, on_finding, &findings};
    tls_context_check(context, &check);
    return findings;
}

static void test_dates(void **state) {
    int64_t end = tls_context_not_after(context);
    struct findings findings;
    (void)state;
    findings = check_at(end - TLS_WARN_BEFORE_S);
    assert_int_equal(findings.problems + findings.warnings, 0);
    findings = check_at(end - TLS_WARN_BEFORE_S + 1);
    assert_int_equal(findings.problems, 0);
    assert_int_equal(findings.warnings, 1);
    assert_non_null(strstr(findings.text, "CN=localhost is about to expire: 20"));
    findings = check_at(end);
    assert_int_equal(findings.problems, 0);
    findings = check_at(end + 1);
    assert_int_equal(findings.problems, 1);
    assert_non_null(strstr(findings.text, "has expired: 20"));
    findings = check_at(1000000000);
    assert_int_equal(findings.problems, 1);
    assert_non_null(strstr(findings.text, "is not valid before 20"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange_in_pieces_of_every_size),
        cmocka_unit_test(test_old_versions_are_refused),
        cmocka_unit_test(test_alpn),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_many_records_in_one_feed),
        cmocka_unit_test(test_a_bad_record_draws_an_alert),
        cmocka_unit_test(test_close_notify_both_ways),
        cmocka_unit_test(test_a_session_keeps_its_context),
        cmocka_unit_test(test_files_that_do_not_fit),
        cmocka_unit_test(test_dates),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
