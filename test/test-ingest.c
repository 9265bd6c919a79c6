/* From request bytes to an answer and events in the ring, without a socket. */
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

enum { ENDPOINTS = 1000, RING_BYTES = 256 * 1024, REQUEST_BYTES = 1 << 20 };

static struct config config = {.references = 1,
                               .dedupe_mode = BATCH_DROP,
                               .dedupe_max_ids = 1000,
                               .dedupe_window_ms = 3600 * 1000};
static struct config_endpoint endpoints[ENDPOINTS];
static char names[ENDPOINTS][32], paths[ENDPOINTS][32];
static struct config_secret secret = {"token", 5};
static struct ring *ring;
static struct ingest ingest;
static struct ingest_peer peer = {IN6ADDR_LOOPBACK_INIT, 1767607933456789};

/* The linker puts these in front of the library's own calls (--wrap): every allocation is counted.
 */
void *__real_malloc(size_t len);
void *__real_calloc(size_t count, size_t len);
void *__real_realloc(void *old, size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_realloc(void *old, size_t len);
static unsigned allocations;

void *__wrap_malloc(size_t len) {
    allocations++;
    return __real_malloc(len);
}

void *__wrap_calloc(size_t count, size_t len) {
    allocations++;
    return __real_calloc(count, len);
}

void *__wrap_realloc(void *old, size_t len) {
    allocations++;
    return __real_realloc(old, len);
}

/* Endpoint 0 is aerohive, 1 is aerohive that keeps the unreadable, the others are json. */
static int setup(void **state) {
    (void)state;
    for (int i = 0; i < ENDPOINTS; i++) {
        snprintf(names[i], sizeof names[i], "e%d", i);
        snprintf(paths[i], sizeof paths[i], "/p/%d", i);
        endpoints[i] = (struct config_endpoint){
            .next = i + 1 < ENDPOINTS ? &endpoints[i + 1] : NULL,
            .name = names[i],
            .path = paths[i],
            .sender = sender_find(i < 2 ? SPAN("aerohive") : SPAN("json")),
            .auth = i < 2 ? AUTH_TOKEN : AUTH_NONE,
            .secrets = {i < 2 ? &secret : NULL},
            .secret_count = i < 2,
            .keep_unreadable = i == 1,
        };
    }
    config.endpoints = endpoints;
    return ring_new(&ring, RING_BYTES) || ingest_init(&ingest, &config, ring);
}

static int teardown(void **state) {
    (void)state;
    ingest_deinit(&ingest);
    ring_free(ring);
    return 0;
}

/* Runs one request to its answer, as a connection does. */
static void run(const char *head, const void *body, size_t len, struct ingest_answer *answer) {
    static struct http_request scratch;
    static struct http_limits limits = {32768, REQUEST_BYTES};
    static char chunk[REQUEST_BYTES + 4096 + HTTP_BODY_PADDING];
    struct http_parser parser;
    enum http_step step;
    bool answered = false;
    int head_len = snprintf(chunk, 4096, "%s\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", head, len);
    assert_in_range(len, 0, REQUEST_BYTES);
    memcpy(chunk + head_len, body, len);
    http_parser_init(&parser, &limits);
    http_feed(&parser, &scratch, chunk, (size_t)head_len + len);
    while ((step = http_step(&parser)) != HTTP_STEP_MORE) {
        assert_int_not_equal(step, HTTP_STEP_BAD);
        if (step == HTTP_STEP_HEAD)
            answered = ingest_head(&ingest, parser.request, &peer, answer) == INGEST_ANSWERED;
        else if (!answered)
            ingest_request(&ingest, parser.request, peer.now_us, answer);
    }
    assert_int_equal(http_feed_end(&parser), 0);
    if (!answered)
        ingest_release(&ingest, &answer->hold);
    http_parser_deinit(&parser);
}

static void expect(const char *head, const char *body, int status, const char *text) {
    struct ingest_answer answer;
    run(head, body, strlen(body), &answer);
    if (answer.status != status || !span_equals(answer.body, span_from_string(text)))
        fail_msg("%s: %d %.*s", head, answer.status, SPAN_ARG(answer.body));
}

#define AUTH "\r\nAuthorization: Basic token"

static void test_answers(void **state) {
    (void)state;
    expect("POST /p/7 HTTP/1.1", "{}", 200, "{\"accepted\":1,\"duplicates\":0,\"rejected\":0}\n");
    expect("POST /p/0 HTTP/1.1" AUTH, "[]", 200,
           "{\"accepted\":0,\"duplicates\":0,\"rejected\":0}\n");
    expect("POST /p/1000 HTTP/1.1", "{}", 404, "{\"error\":\"no endpoint has this path\"}\n");
    expect("POST /p/0 HTTP/1.1", "[]", 401, "{\"error\":\"secret missing\"}\n");
    expect("POST /p/0 HTTP/1.1\r\nAuthorization: Basic tokem", "[]", 401,
           "{\"error\":\"secret wrong\"}\n");
    expect("POST /p/0 HTTP/1.1" AUTH, "[{\"apMac\":\"3a1e6d8c785c\",\"observations\":[{}]}]", 422,
           "{\"error\":\"missing\",\"at\":\"[0].observations[0].clientMac\"}\n");
}

static void test_every_endpoint_is_found(void **state) {
    (void)state;
    for (int i = 2; i < ENDPOINTS; i++) {
        char head[64];
        struct ingest_answer answer;
        snprintf(head, sizeof head, "POST /p/%d HTTP/1.1", i);
        run(head, "1", 1, &answer);
        assert_int_equal(answer.status, 200);
        assert_ptr_equal(answer.endpoint, &endpoints[i]);
    }
}

static void test_an_invalid_body_names_the_byte(void **state) {
    struct ingest_answer answer;
    (void)state;
    run("POST /p/5 HTTP/1.1", "{\"a\":tru}", 9, &answer);
    assert_int_equal(answer.status, 400);
    assert_non_null(memmem(answer.body.ptr, answer.body.len, "\"at\":\"byte 5\"", 13));
    run("POST /p/5 HTTP/1.1", "[1,\xff]", 5, &answer);
    assert_int_equal(answer.status, 400);
    assert_non_null(memmem(answer.body.ptr, answer.body.len, "\"at\":\"byte 3\"", 13));
}

static struct span last_line(void) {
    struct ring_cursor cursor;
    const struct ring_record *record = NULL;
    assert_int_equal(ring_seek(ring, ring_next_seq(ring) - 1, &cursor), RING_OK);
    assert_int_equal(ring_next(ring, &cursor, &record), RING_OK);
    return ring_record_line(record);
}

static bool line_has(const char *part) {
    struct span line = last_line();
    return memmem(line.ptr, line.len, part, strlen(part)) != NULL;
}

static void test_an_unreadable_body_is_kept(void **state) {
    (void)state;
    static const char *bodies[] = {"{\"cut\":", "{}", ""};
    for (int i = 0; i < 3; i++) {
        uint64_t seq = ring_next_seq(ring);
        expect("POST /p/1 HTTP/1.1" AUTH, bodies[i], 200,
               "{\"accepted\":1,\"duplicates\":0,\"rejected\":0}\n");
        assert_int_equal(ring_next_seq(ring), seq + 1);
        assert_true(line_has("\"kind\":\"unreadable\""));
    }
    expect("POST /p/1 HTTP/1.1" AUTH, "say \"hi\"", 200,
           "{\"accepted\":1,\"duplicates\":0,\"rejected\":0}\n");
    assert_true(line_has("\"data\":\"say \\\"hi\\\"\""));
}

static void test_a_refused_post_leaves_nothing(void **state) {
    uint64_t seq = ring_next_seq(ring);
    struct ingest_answer answer;
    static char body[RING_BYTES];
    (void)state;
    memset(body, ' ', sizeof body);
    memcpy(body, "\"", 1);
    body[RING_BYTES / 2] = '"';
    run("POST /p/9 HTTP/1.1", body, RING_BYTES / 2 + 1, &answer);
    assert_int_equal(answer.status, 413);
    run("POST /p/9 HTTP/1.1", "{", 1, &answer);
    assert_int_equal(answer.status, 400);
    assert_int_equal(ring_next_seq(ring), seq);
}

#define COUNTS(accepted, duplicates)                                                               \
    "{\"accepted\":" #accepted ",\"duplicates\":" #duplicates ",\"rejected\":0}\n"

/* identity = ...: what of a request makes its events the same when they come again. */
static void test_identity(void **state) {
    (void)state;
    endpoints[10].identity = CONFIG_IDENTITY_BODY;
    endpoints[11].identity = CONFIG_IDENTITY_HEADER;
    endpoints[11].identity_header = (char[]){"X-Delivery"};
    endpoints[12].identity = CONFIG_IDENTITY_NONE;
    /* json's own: a webhook-id where there is one. */
    expect("POST /p/9 HTTP/1.1", "{\"same\":1}", 200, COUNTS(1, 0));
    expect("POST /p/9 HTTP/1.1", "{\"same\":1}", 200, COUNTS(1, 0));
    expect("POST /p/9 HTTP/1.1\r\nWebhook-Id: msg_1", "{\"same\":1}", 200, COUNTS(1, 0));
    expect("POST /p/9 HTTP/1.1\r\nWebhook-Id: msg_1", "{\"other\":1}", 200, COUNTS(0, 1));
    expect("POST /p/9 HTTP/1.1\r\nWebhook-Id: msg_2", "{\"same\":1}", 200, COUNTS(1, 0));
    expect("POST /p/8 HTTP/1.1\r\nWebhook-Id: msg_1", "{\"same\":1}", 200, COUNTS(1, 0));
    /* body */
    expect("POST /p/10 HTTP/1.1", "{\"same\":2}", 200, COUNTS(1, 0));
    expect("POST /p/10 HTTP/1.1\r\nWebhook-Id: msg_3", "{\"same\":2}", 200, COUNTS(0, 1));
    expect("POST /p/10 HTTP/1.1", "{\"same\": 2}", 200, COUNTS(1, 0));
    /* header */
    expect("POST /p/11 HTTP/1.1\r\nx-delivery: 7", "{\"a\":1}", 200, COUNTS(1, 0));
    expect("POST /p/11 HTTP/1.1\r\nx-delivery: 7", "{\"a\":2}", 200, COUNTS(0, 1));
    expect("POST /p/11 HTTP/1.1\r\nx-delivery: 8", "{\"a\":1}", 200, COUNTS(1, 0));
    for (int i = 0; i < 2; i++) {
        expect("POST /p/11 HTTP/1.1", "{\"a\":1}", 200, COUNTS(1, 0));
        expect("POST /p/11 HTTP/1.1\r\nx-delivery:", "{\"a\":1}", 200, COUNTS(1, 0));
    }
    /* none */
    expect("POST /p/12 HTTP/1.1\r\nWebhook-Id: msg_4", "{\"a\":1}", 200, COUNTS(1, 0));
    expect("POST /p/12 HTTP/1.1\r\nWebhook-Id: msg_4", "{\"a\":1}", 200, COUNTS(1, 0));
}

/* Several events of one body are told apart, and all of them are repeats when it comes again. */
static void test_identity_of_many_events(void **state) {
    static const char body[] = "[{\"apMac\":\"3a1e6d8c785c\",\"observations\":["
                               "{\"clientMac\":\"dcac3da506b4\",\"seenEpoch\":1767607933000},"
                               "{\"clientMac\":\"dcac3da506b4\",\"seenEpoch\":1767607933000}]}]";
    (void)state;
    endpoints[0].identity = CONFIG_IDENTITY_BODY;
    expect("POST /p/0 HTTP/1.1" AUTH, body, 200, COUNTS(2, 0));
    expect("POST /p/0 HTTP/1.1" AUTH, body, 200, COUNTS(0, 2));
    endpoints[0].identity = CONFIG_IDENTITY_SENDER;
}

static void test_allow_from(void **state) {
    struct address_range ranges[2];
    struct in6_addr before = peer.address;
    (void)state;
    assert_int_equal(address_parse("192.0.2.0/24", &ranges[0]), ADDRESS_OK);
    assert_int_equal(address_parse("2001:db8::/32", &ranges[1]), ADDRESS_OK);
    endpoints[13].allow_from = ranges;
    endpoints[13].allow_from_count = 2;
    const char *refusal = "{\"error\":\"this address may not post here\"}\n";
    expect("POST /p/13 HTTP/1.1", "{}", 403, refusal);
    memcpy(peer.address.s6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\7", 16);
    expect("POST /p/13 HTTP/1.1", "{}", 200, COUNTS(1, 0));
    peer.address.s6_addr[14] = 3;
    expect("POST /p/13 HTTP/1.1", "{}", 403, refusal);
    peer.address = before;
    memcpy(peer.address.s6_addr, "\x20\x01\x0d\xb8", 4);
    expect("POST /p/13 HTTP/1.1", "{}", 200, COUNTS(1, 0));
    peer.address = before;
    endpoints[13].allow_from_count = 0;
}

static void test_rate_limit(void **state) {
    struct ingest_answer answer;
    (void)state;
    endpoints[0].rate_limit = (struct quota_limit){60 * 1000, 30, 3};
    for (int i = 0; i < 3; i++)
        expect("POST /p/0 HTTP/1.1" AUTH, "[]", 200, COUNTS(0, 0));
    run("POST /p/0 HTTP/1.1" AUTH, "[]", 2, &answer);
    assert_int_equal(answer.status, 429);
    assert_string_equal(answer.headers, "Retry-After: 2\r\n");
    /* Who has no secret uses nothing up. */
    peer.now_us += 2 * 1000000;
    expect("POST /p/0 HTTP/1.1", "[]", 401, "{\"error\":\"secret missing\"}\n");
    expect("POST /p/0 HTTP/1.1" AUTH, "[]", 200, COUNTS(0, 0));
    run("POST /p/0 HTTP/1.1" AUTH, "[]", 2, &answer);
    assert_int_equal(answer.status, 429);
    endpoints[0].rate_limit = (struct quota_limit){0};
}

/* A request goes on by the configuration that it began with; what an endpoint has counted and what
 * was seen stays. */
static void test_reload(void **state) {
    static struct config next = {.references = 1,
                                 .dedupe_mode = BATCH_MARK,
                                 .dedupe_max_ids = 1000,
                                 .dedupe_window_ms = 3600 * 1000};
    static struct config_endpoint other, renamed;
    struct ingest_parts parts;
    (void)state;
    other = endpoints[10];
    renamed = endpoints[20];
    renamed.path = (char[]){"/p/new"};
    other.next = &renamed;
    renamed.next = NULL;
    next.endpoints = &other;
    struct routes *old = routes_ref(ingest.routes);
    const struct route_state *kept = routes_find(old, SPAN("/p/20"))->state;
    assert_int_equal(ingest_prepare(&ingest, &next, &parts), 0);
    assert_int_equal(next.references, 2);
    ingest_discard(&parts);
    assert_int_equal(next.references, 1);
    expect("POST /p/20 HTTP/1.1", "{}", 200, COUNTS(1, 0));

    assert_int_equal(ingest_prepare(&ingest, &next, &parts), 0);
    ingest_apply(&ingest, &parts);
    expect("POST /p/20 HTTP/1.1", "{}", 404, "{\"error\":\"no endpoint has this path\"}\n");
    expect("POST /p/new HTTP/1.1", "{}", 200, COUNTS(1, 0));
    assert_ptr_equal(routes_find(ingest.routes, SPAN("/p/new"))->state, kept);
    expect("POST /p/10 HTTP/1.1", "{\"same\":2}", 200, COUNTS(1, 1));
    assert_true(line_has("\"duplicate\":true"));
    assert_ptr_equal(routes_find(old, SPAN("/p/20"))->endpoint, &endpoints[20]);

    assert_int_equal(ingest_prepare(&ingest, &config, &parts), 0);
    ingest_apply(&ingest, &parts);
    assert_int_equal(next.references, 1);
    routes_unref(old);
}

static void test_gzip(void **state) {
    z_stream stream = {0};
    unsigned char packed[256];
    struct ingest_answer answer;
    (void)state;
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
                     0);
    stream.next_in = (Bytef *)"{\"zip\": 1}";
    stream.avail_in = 10;
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t len = sizeof packed - stream.avail_out;
    deflateEnd(&stream);
    run("POST /p/3 HTTP/1.1\r\nContent-Encoding: GZip", packed, len, &answer);
    assert_int_equal(answer.status, 200);
    assert_true(line_has("\"data\":{\"zip\":1}"));
    run("POST /p/3 HTTP/1.1\r\nContent-Encoding: x-gzip", packed, len,
        &answer); /* RFC 9110, 8.4.1.3 */
    assert_int_equal(answer.status, 200);
    run("POST /p/3 HTTP/1.1\r\nContent-Encoding: identity", "{}", 2, &answer);
    assert_int_equal(answer.status, 200);
    run("POST /p/3 HTTP/1.1\r\nContent-Encoding: gzip", packed, len - 1, &answer);
    assert_int_equal(answer.status, 400);
    run("POST /p/3 HTTP/1.1\r\nContent-Encoding: gzip", "{}", 2, &answer);
    assert_int_equal(answer.status, 400);
    run("POST /p/3 HTTP/1.1\r\nContent-Encoding: deflate", "{}", 2, &answer);
    assert_int_equal(answer.status, 415);
    assert_string_equal(answer.headers, "Accept-Encoding: gzip\r\n");
}

/* At the bound and one past it, once inflated. */
static void test_gzip_bounds(void **state) {
    static char text[REQUEST_BYTES + 1];
    static unsigned char packed[65536];
    struct ingest_answer answer;
    (void)state;
    memset(text, ' ', sizeof text);
    for (size_t past = 0; past < 2; past++) {
        z_stream stream = {0};
        size_t spread = REQUEST_BYTES + past;
        uint32_t noise = 1; /* so that the ratio is a small one */
        for (size_t i = 1; i + 1 < spread; i++)
            text[i] =
                i % 32 ? '0' : (char)('0' + ((noise = noise * 1664525 + 1013904223) >> 24) % 10);
        text[0] = '"';
        text[spread - 1] = '"';
        assert_int_equal(
            deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), 0);
        stream.next_in = (Bytef *)text;
        stream.avail_in = (uInt)spread;
        stream.next_out = packed;
        stream.avail_out = sizeof packed;
        assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
        size_t len = sizeof packed - stream.avail_out;
        deflateEnd(&stream);
        run("POST /p/3 HTTP/1.1\r\nContent-Encoding: gzip", packed, len, &answer);
        /* At the bound it is read, and only then too large for the ring. */
        const char *why = past ? "{\"error\":\"body too large once decoded\"}\n"
                               : "{\"error\":\"the events of one post may fill half of the ring "
                                 "at most\"}\n";
        assert_int_equal(answer.status, 413);
        if (!span_equals(answer.body, span_from_string(why)))
            fail_msg("%zu bytes packed: %.*s", len, SPAN_ARG(answer.body));
    }
}

/* Meraki asks for a validator; where none is configured there is nothing to tell it. */
static void test_no_validator(void **state) {
    const struct sender *before = endpoints[14].sender;
    (void)state;
    endpoints[14].sender = sender_find(SPAN("meraki"));
    expect("GET /p/14 HTTP/1.1", "", 404, "{\"error\":\"this endpoint has no validator\"}\n");
    endpoints[14].sender = before;
}

static void test_a_whole_request_allocates_nothing(void **state) {
    static const char body[] = "[{\"apMac\":\"3a1e6d8c785c\",\"ownerId\":7,\"observations\":["
                               "{\"clientMac\":\"dcac3da506b4\",\"seenEpoch\":1767607933000},"
                               "{\"clientMac\":\"dcac3da506b5\",\"seenEpoch\":1767607933000}]}]";
    struct ingest_answer answer;
    (void)state;
    run("POST /p/0 HTTP/1.1" AUTH, body, strlen(body), &answer); /* memory that stays */
    assert_true(allocations > 0); /* they are counted: setup's are in it */
    allocations = 0;
    for (int i = 0; i < 1000; i++) {
        run("POST /p/0 HTTP/1.1" AUTH, body, strlen(body), &answer);
        assert_int_equal(answer.status, 200);
    }
    assert_int_equal(allocations, 0);
}

static void test_the_accounts_close(void **state) {
    struct ring_figures figures = ring_figures(ring);
    (void)state;
    assert_int_equal(ingest.figures.accepted, figures.accepted);
    assert_int_equal(figures.accepted, figures.readable + figures.overwritten);
    assert_int_equal(figures.accepted, ring_next_seq(ring) - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_every_endpoint_is_found),
        cmocka_unit_test(test_an_invalid_body_names_the_byte),
        cmocka_unit_test(test_an_unreadable_body_is_kept),
        cmocka_unit_test(test_a_refused_post_leaves_nothing),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_identity_of_many_events),
        cmocka_unit_test(test_allow_from),
        cmocka_unit_test(test_rate_limit),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_gzip_bounds),
        cmocka_unit_test(test_no_validator),
        cmocka_unit_test(test_a_whole_request_allocates_nothing),
        cmocka_unit_test(test_the_accounts_close),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
