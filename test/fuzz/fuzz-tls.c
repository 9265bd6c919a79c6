/* src/tls.h: a real client's flights, changed on their way. What the server reads is the beginning
 * of what the client has written, and nothing else; with no change it is all of it.
 *
 * Input: flags (1: TLS 1.2; 2: the rest is sent as it is, there is no client; 4: a client that
 * shows a ticket), cuts (fuzz.h), then changes of four bytes each: where in all that the client
 * sends (two bytes), what to do, a value. ROLLCALL_TEST_CERT and ROLLCALL_TEST_KEY name the
 * server's files. */
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tls.h"

enum { OLD_VERSION = 1, RAW = 2, TICKET = 4, PLAIN_BYTES = 96 * 1024, MAX_FLIGHTS = 12 };
static const char request[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";

static struct tls_context *context;
static SSL_CTX *client_ctx;
static SSL_SESSION *tickets[2]; /* of TLS 1.3 and 1.2 */

struct pair {
    struct tls_session server;
    struct buf to_client, received;
    SSL *client;
    BIO *client_in, *client_out;
    struct fuzz_cuts cuts;
    struct span changes;
    size_t sent; /* bytes that the client has made so far */
    int result;
    unsigned changed;
};

static int on_new_session(SSL *ssl, SSL_SESSION *session) {
    SSL_SESSION **ticket = &tickets[SSL_version(ssl) != TLS1_3_VERSION];
    if (*ticket)
        return 0;
    *ticket = session;
    return 1;
}

static void setup(void) {
    struct tls_error error;
    const struct tls_files files = {getenv("ROLLCALL_TEST_CERT"), getenv("ROLLCALL_TEST_KEY"),
                                    NULL};
    if (context)
        return;
    if (!files.certificate || tls_context_new(&context, &files, &error))
        FUZZ_FAIL("ROLLCALL_TEST_CERT: %s", files.certificate ? error.message : "not set");
    client_ctx = SSL_CTX_new(TLS_method());
    SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(client_ctx, on_new_session);
}

/* --- changes ----------------------------------------------------------------------------- */

static void change(struct buf *flight, size_t at, uint8_t what, uint8_t value) {
    size_t left = flight->len - at, len;
    switch (what % 6) {
    case 0:
        flight->ptr[at] = (char)(flight->ptr[at] ^ (value ? value : 1));
        return;
    case 1:
        flight->ptr[at] = (char)value;
        return;
    case 2: /* away with it */
        len = 1u + value < left ? 1u + value : left;
        memmove(flight->ptr + at, flight->ptr + at + len, left - len);
        flight->len -= len;
        return;
    case 3: /* twice */
    case 4: /* bytes of one kind */
        len = 1u + value < left ? 1u + value : left;
        FUZZ_CHECK(buf_reserve(flight, len) == 0);
        memmove(flight->ptr + at + len, flight->ptr + at, left);
        if (what % 6 == 4)
            memset(flight->ptr + at, value, len);
        flight->len += len;
        return;
    default: /* no more of it */
        flight->len = at;
    }
}

/* Those that lie in this flight; from its end on, so that each meets the bytes that it means. */
static void apply(struct pair *pair, struct buf *flight) {
    size_t begin = pair->sent, end = begin + flight->len;
    const uint8_t *changes = (const uint8_t *)pair->changes.ptr;
    pair->sent = end;
    for (size_t i = pair->changes.len / 4; i-- > 0;) {
        size_t at = (size_t)changes[4 * i] << 8 | changes[4 * i + 1];
        if (at < begin || at >= end || at - begin >= flight->len)
            continue;
        change(flight, at - begin, changes[4 * i + 2], changes[4 * i + 3]);
        pair->changed++;
    }
}

/* --- the two sides ----------------------------------------------------------------------- */

static void feed_server(struct pair *pair, const char *data, size_t len) {
    static char plain[PLAIN_BYTES];
    size_t plain_len;
    char *chunk = malloc(len ? len : 1);
    memcpy(chunk, data, len);
    tls_session_feed(&pair->server, chunk, len);
    do {
        pair->result =
            tls_session_read(&pair->server, &pair->to_client, plain, PLAIN_BYTES, &plain_len);
        FUZZ_CHECK(plain_len <= len + TLS_MAX_RECORD_PLAINTEXT);
        FUZZ_CHECK(buf_append(&pair->received, plain, plain_len) == 0);
    } while (pair->result == TLS_OK);
    FUZZ_CHECK(pair->result > 0);
    if (pair->result == TLS_WANT)
        FUZZ_CHECK(pair->server.in.len == 0);
    if (pair->result == TLS_FAILED)
        FUZZ_CHECK(tls_session_failure(&pair->server)[0]);
    pair->server.in = (struct span){0};
    free(chunk);
}

static void send_flight(struct pair *pair, const struct buf *flight) {
    for (size_t at = 0; at < flight->len && (at == 0 || pair->result == TLS_WANT);) {
        size_t len = fuzz_next_cut(&pair->cuts, flight->len - at);
        feed_server(pair, flight->ptr + at, len);
        at += len;
    }
}

/* What the client has to say now; it does not write before it has shaken hands. */
static void take_flight(struct pair *pair, struct buf *flight, bool *written) {
    char byte;
    if (SSL_do_handshake(pair->client) == 1) {
        (void)SSL_read(pair->client, &byte, 1); /* takes a ticket, where one came */
        if (!*written) {
            (void)SSL_write(pair->client, request, 20);
            (void)SSL_write(pair->client, request + 20, sizeof request - 1 - 20);
        }
        *written = true;
    }
    const uint8_t *data;
    size_t len;
    if (BIO_mem_contents(pair->client_out, &data, &len) && len) {
        FUZZ_CHECK(buf_append(flight, data, len) == 0);
        (void)BIO_reset(pair->client_out);
    }
}

static void talk(struct pair *pair) {
    bool written = false;
    for (int i = 0; i < MAX_FLIGHTS; i++) {
        struct buf flight = {0};
        take_flight(pair, &flight, &written);
        bool quiet = flight.len == 0 && pair->to_client.len == 0;
        apply(pair, &flight);
        if (pair->result == TLS_WANT)
            send_flight(pair, &flight);
        buf_deinit(&flight);
        if (pair->to_client.len)
            BIO_write(pair->client_in, pair->to_client.ptr, (int)pair->to_client.len);
        pair->to_client.len = 0;
        if (quiet)
            break;
    }
}

static void open_client(struct pair *pair, unsigned flags) {
    uint16_t version = flags & OLD_VERSION ? TLS1_2_VERSION : TLS1_3_VERSION;
    SSL_SESSION *ticket = tickets[flags & OLD_VERSION ? 1 : 0];
    pair->client = SSL_new(client_ctx);
    pair->client_in = BIO_new(BIO_s_mem());
    pair->client_out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(pair->client_in, -1);
    SSL_set_bio(pair->client, pair->client_in, pair->client_out);
    SSL_set_connect_state(pair->client);
    SSL_set_max_proto_version(pair->client, version);
    SSL_set_min_proto_version(pair->client, version);
    SSL_set_alpn_protos(pair->client, (const uint8_t *)"\x08http/1.1", 9);
    if (flags & TICKET && ticket)
        SSL_set_session(pair->client, ticket);
}

static void check_received(struct pair *pair) {
    FUZZ_CHECK(pair->received.len <= sizeof request - 1);
    FUZZ_CHECK(memcmp(buf_span(&pair->received).ptr, request, pair->received.len) == 0);
    if (pair->changed)
        return;
    FUZZ_CHECK(pair->result == TLS_WANT && tls_session_is_established(&pair->server));
    FUZZ_CHECK(pair->received.len == sizeof request - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    struct pair pair = {.result = TLS_WANT};
    setup();
    unsigned flags = fuzz_take_byte(&input);
    fuzz_take_cuts(&input, &pair.cuts);
    FUZZ_CHECK(tls_session_init(&pair.server, context) == 0);
    if (flags & RAW) {
        struct buf flight = {(char *)input.data, input.left, input.left};
        send_flight(&pair, &flight);
        FUZZ_CHECK(pair.received.len == 0);
    } else {
        pair.changes = span_from((const char *)input.data, input.left);
        open_client(&pair, flags);
        talk(&pair);
        check_received(&pair);
        if (tls_session_is_established(&pair.server) && pair.result == TLS_WANT)
            FUZZ_CHECK(tls_session_write(&pair.server, &pair.to_client, request,
                                         sizeof request - 1) == TLS_OK);
        SSL_free(pair.client);
    }
    tls_session_shutdown(&pair.server, &pair.to_client);
    tls_session_deinit(&pair.server);
    buf_deinit(&pair.to_client);
    buf_deinit(&pair.received);
    return 0;
}
