/* Every allocation of a request's life failed in turn, in one process, so that the
 * sanitizers see it: the n-th and it alone, then the n-th and all behind it, for n = 1, 2, 3 ...
 * until a life meets no fault. Whatever fails, nothing crashes and nothing is lost; a request is
 * answered, 503 at worst, or its connection closes; what was answered 200 is in the ring, and
 * nothing else is; the next request is answered 200.
 *
 * Counted are the library's own allocations and zlib's. BoringSSL's and libuv's are failed by
 * test/faults, in front of the whole program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <zlib.h>

#include "ingest.h"

enum { RING_BYTES = 256 * 1024, BODY_BYTES = 4096, ONCE = 1, FROM_THEN_ON = 2, MOST = 10000 };

/* --- allocations ----------------------------------------------------------------------------- */

/* The linker puts these in front of the library's own calls (--wrap). */
void *__real_malloc(size_t len);
void *__real_calloc(size_t count, size_t len);
void *__real_realloc(void *old, size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_realloc(void *old, size_t len);

static unsigned long calls, failing; /* failing: the first that does; 0: none */
static int how;
static unsigned long hits;

static bool fails(void) {
    calls++;
    if (!failing || calls < failing || (how == ONCE && calls > failing))
        return false;
    hits++;
    return true;
}

void *__wrap_malloc(size_t len) {
    return fails() ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t count, size_t len) {
    return fails() ? NULL : __real_calloc(count, len);
}

void *__wrap_realloc(void *old, size_t len) {
    return fails() ? NULL : __real_realloc(old, len);
}

/* --- a request -------------------------------------------------------------------------------- */

static struct config_secret secret = {"token", 5};
static struct config_endpoint gzip_endpoint = {.name = (char[]){"zip"}, .path = (char[]){"/z"}};
static struct config_endpoint endpoint = {.next = &gzip_endpoint,
                                          .name = (char[]){"hq"},
                                          .path = (char[]){"/p"},
                                          .auth = AUTH_TOKEN,
                                          .secrets = {&secret},
                                          .secret_count = 1};
static struct config config = {.references = 1,
                               .dedupe_mode = BATCH_KEEP,
                               .dedupe_max_ids = 1000,
                               .dedupe_window_ms = 3600 * 1000,
                               .endpoints = &endpoint};
static char plain[BODY_BYTES + 512], zipped[BODY_BYTES + 512];
static size_t plain_len, zipped_len;

static void make_requests(void) {
    static char body[BODY_BYTES];
    static unsigned char packed[BODY_BYTES];
    z_stream stream = {0};
    size_t len =
        (size_t)snprintf(body, sizeof body, "[{\"apMac\":\"3a1e6d8c785c\",\"observations\":[");
    for (int i = 0; i < 20; i++)
        len += (size_t)snprintf(body + len, sizeof body - len,
                                "%s{\"clientMac\":\"dcac3da506%02x\",\"seenEpoch\":1767607933000}",
                                i ? "," : "", i);
    len += (size_t)snprintf(body + len, sizeof body - len, "]}]");
    plain_len = (size_t)snprintf(plain, sizeof plain,
                                 "POST /p HTTP/1.1\r\nHost: a\r\nAuthorization: Basic token\r\n"
                                 "Content-Length: %zu\r\n\r\n%s",
                                 len, body);
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
                     0);
    stream.next_in = (Bytef *)body;
    stream.avail_in = (uInt)len;
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t packed_len = sizeof packed - stream.avail_out;
    deflateEnd(&stream);
    zipped_len = (size_t)snprintf(zipped, sizeof zipped,
                                  "POST /z HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n"
                                  "Content-Length: %zu\r\n\r\n",
                                  packed_len);
    memcpy(zipped + zipped_len, packed, packed_len);
    zipped_len += packed_len;
}

/* As a connection does it. The status, or 0 where the connection would close without an answer. */
static int run_request(struct ingest *ingest, const char *data, size_t len, size_t step_bytes) {
    static struct http_request scratch;
    static const struct http_limits limits = {32768, 1 << 20};
    static const struct ingest_peer peer = {IN6ADDR_LOOPBACK_INIT, 1767607933456789};
    struct http_parser parser;
    struct ingest_answer answer = {0};
    struct buf out = {0};
    int status = 0;
    bool is_over = false;
    http_parser_init(&parser, &limits);
    for (size_t at = 0; at < len && !is_over; at += step_bytes) {
        size_t now = len - at < step_bytes ? len - at : step_bytes;
        char *chunk = __real_malloc(now + HTTP_BODY_PADDING);
        memcpy(chunk, data + at, now);
        enum http_step step;
        http_feed(&parser, &scratch, chunk, now);
        while (!is_over && (step = http_step(&parser)) != HTTP_STEP_MORE) {
            if (step == HTTP_STEP_BAD) {
                status = parser.bad_status;
                is_over = true;
            } else if (step == HTTP_STEP_HEAD) {
                is_over = ingest_head(ingest, parser.request, &peer, &answer) == INGEST_ANSWERED;
                status = is_over ? answer.status : 0;
            } else {
                ingest_request(ingest, parser.request, peer.now_us, &answer);
                struct http_response response = {.status = answer.status, .body = answer.body};
                status = http_respond(&out, &response) ? 0 : answer.status;
                is_over = true;
            }
        }
        if (http_feed_end(&parser))
            is_over = true;
        free(chunk);
    }
    buf_deinit(&out);
    ingest_release(ingest, &answer.hold);
    http_parser_deinit(&parser);
    return status;
}

/* From nothing to nothing: the modules' own beginnings are failed as well. */
static int live_request(struct ring *ring, const char *data, size_t len, size_t step_bytes,
                        unsigned events) {
    struct ingest ingest;
    uint64_t before = ring_next_seq(ring);
    if (ingest_init(&ingest, &config, ring))
        return 0;
    int status = run_request(&ingest, data, len, step_bytes);
    assert_true(status == 0 || status == 200 || status == 503);
    /* An answer that could not be written after its events: they come again, and are no loss. */
    uint64_t more = ring_next_seq(ring) - before;
    assert_true(more == events || (more == 0 && status != 200));
    assert_int_equal(ingest.unauthenticated, 0);
    failing = 0;
    assert_int_equal(run_request(&ingest, data, len, step_bytes), 200);
    ingest_deinit(&ingest);
    return status;
}

static void fail_each(const char *data, size_t len, size_t step_bytes, unsigned events, int which) {
    struct ring *ring;
    assert_int_equal(ring_new(&ring, RING_BYTES), 0);
    how = which;
    for (unsigned long n = 1; n < MOST; n++) {
        hits = calls = 0;
        failing = n;
        int status = live_request(ring, data, len, step_bytes, events);
        failing = 0;
        if (!hits) {
            assert_int_equal(status, 200);
            assert_true(n > 5);
            ring_free(ring);
            return;
        }
    }
    fail_msg("it never ends");
}

static void test_request(void **state) {
    (void)state;
    endpoint.sender = gzip_endpoint.sender = sender_find(SPAN("aerohive"));
    make_requests();
    for (int which = ONCE; which <= FROM_THEN_ON; which++) {
        fail_each(plain, plain_len, plain_len, 20, which);
        fail_each(plain, plain_len, 100, 20, which);
        fail_each(zipped, zipped_len, zipped_len, 20, which);
        fail_each(zipped, zipped_len, 50, 20, which);
    }
}

/* Looked up, marked, and hidden. */
static void test_request_whose_repeats_matter(void **state) {
    static struct config_secret key = {"0123456789abcdef0123456789abcdef", 32};
    (void)state;
    config.privacy_key = &key;
    config.privacy_rotate_ms = 24 * 3600 * 1000;
    for (int mode = BATCH_KEEP; mode <= BATCH_MARK; mode++)
        for (int mac = PRIVACY_KEEP; mac <= PRIVACY_DROP; mac++)
            for (int which = ONCE; which <= FROM_THEN_ON; which++) {
                config.dedupe_mode = mode;
                config.privacy_mac = mac;
                fail_each(plain, plain_len, plain_len, 20, which);
            }
    config.dedupe_mode = BATCH_KEEP;
    config.privacy_mac = PRIVACY_KEEP;
}

static void test_unreadable(void **state) {
    static const char data[] = "POST /p HTTP/1.1\r\nHost: a\r\nAuthorization: Basic token\r\n"
                               "Content-Length: 9\r\n\r\n[not json";
    (void)state;
    endpoint.keep_unreadable = true;
    for (int which = ONCE; which <= FROM_THEN_ON; which++)
        fail_each(data, sizeof data - 1, sizeof data - 1, 1, which);
    endpoint.keep_unreadable = false;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_request_whose_repeats_matter),
        cmocka_unit_test(test_unreadable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
