/* HTTP requests: what each exchange gives, whole, cut at every byte, and byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http.h"

enum { CHUNK_BYTES = 256 * 1024, LOG_BYTES = 256 * 1024 };

static struct http_request scratch;
static struct http_limits limits = {.max_header_bytes = 32768, .max_body_bytes = 65536};

struct run {
    struct http_parser parser;
    char log[LOG_BYTES];
    size_t len;
    bool stopped;
    bool discard;
    bool in_place; /* bodies are put where the parser wants them */
};

static size_t placed; /* bytes of them, of all runs */

static void note(struct run *run, const char *format, ...) PRINTF_LIKE(2, 3);
static void note(struct run *run, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int len = vsnprintf(run->log + run->len, LOG_BYTES - run->len, format, args);
    va_end(args);
    assert_in_range(len, 0, LOG_BYTES - run->len - 1);
    run->len += (size_t)len;
}

static void note_head(struct run *run, struct http_request *request) {
    struct span probe = http_request_field(request, SPAN("X-Probe"));
    note(run, "%.*s %.*s", SPAN_ARG(request->method), SPAN_ARG(request->path));
    if (request->query.ptr)
        note(run, " ?%.*s", SPAN_ARG(request->query));
    if (probe.ptr)
        note(run, " probe=%.*s", SPAN_ARG(probe));
    note(run, "%s%s%s", request->keep_alive ? "" : " close",
         request->expect_continue ? " expect" : "", request->minor_version ? "" : " 1.0");
    request->discard_body = run->discard;
}

static void step(struct run *run, char *chunk, size_t len) {
    enum http_step step;
    http_feed(&run->parser, &scratch, chunk, len);
    while (!run->stopped && (step = http_step(&run->parser)) != HTTP_STEP_MORE) {
        struct http_request *request = run->parser.request;
        if (step == HTTP_STEP_HEAD) {
            note_head(run, request);
        } else if (step == HTTP_STEP_REQUEST) {
            note(run, " [%.*s]\n", SPAN_ARG(request->body));
        } else {
            note(run, " bad %d\n", run->parser.bad_status);
            assert_non_null(run->parser.bad_reason);
            run->stopped = true;
        }
    }
    assert_int_equal(http_feed_end(&run->parser), 0);
}

/* One chunk, in memory of its exact size, so that a sanitizer sees a span that outlives it. */
static void feed_chunk(struct run *run, const char *data, size_t len) {
    char *chunk = malloc(len + HTTP_BODY_PADDING);
    memcpy(chunk, data, len);
    memset(chunk + len, '#', HTTP_BODY_PADDING);
    step(run, chunk, len);
    memset(chunk, '!', len);
    free(chunk);
}

static void feed(struct run *run, const char *data, size_t len) {
    char *place;
    size_t room;
    while (run->in_place && len && http_body_place(&run->parser, &place, &room)) {
        size_t part = len < room ? len : room;
        memcpy(place, data, part);
        step(run, place, part);
        placed += part;
        data += part;
        len -= part;
    }
    if (len)
        feed_chunk(run, data, len);
}

/* Feeds `data` in pieces: first `cut` bytes, then pieces of `piece`. The transcript is malloc'ed.
 */
static char *transcript_of(const char *data, size_t len, size_t cut, size_t piece, bool discard,
                           bool in_place) {
    struct run *run = calloc(1, sizeof *run);
    run->discard = discard;
    run->in_place = in_place;
    http_parser_init(&run->parser, &limits);
    if (cut)
        feed(run, data, cut);
    for (size_t at = cut; at < len; at += piece)
        feed(run, data + at, len - at < piece ? len - at : piece);
    if (!run->stopped && http_parser_in_head(&run->parser))
        note(run, " (in head)");
    else if (!run->stopped && http_parser_in_body(&run->parser))
        note(run, " (in body)");
    http_parser_deinit(&run->parser);
    char *log = strdup(run->log);
    free(run);
    return log;
}

/* The same, whichever way bodies are fed. */
static char *transcript(const char *data, size_t len, size_t cut, size_t piece, bool discard) {
    char *log = transcript_of(data, len, cut, piece, discard, false);
    char *other = transcript_of(data, len, cut, piece, discard, true);
    assert_string_equal(log, other);
    free(other);
    return log;
}

static void expect_run(const char *data, size_t len, size_t cut, size_t piece, bool discard,
                       const char *expected) {
    char *log = transcript(data, len, cut, piece, discard);
    if (strcmp(log, expected) != 0)
        fail_msg("cut %zu, pieces of %zu of\n%.*s\ngave\n%s\nexpected\n%s", cut, piece, (int)len,
                 data, log, expected);
    free(log);
}

static void expect_bytes(const char *data, size_t len, const char *expected) {
    expect_run(data, len, 0, len ? len : 1, false, expected);
    for (size_t cut = 1; cut < len; cut++)
        expect_run(data, len, cut, len, false, expected);
    expect_run(data, len, 0, 1, false, expected);
    expect_run(data, len, 0, 3, false, expected);
}

static void expect(const char *data, const char *expected) {
    expect_bytes(data, strlen(data), expected);
}

#define HOST "Host: a\r\n"

static void test_plain_requests(void **state) {
    (void)state;
    expect("GET /x HTTP/1.1\r\n" HOST "\r\n", "GET /x []\n");
    expect("\r\nGET /x?a=1&b=%20 HTTP/1.1\r\n" HOST "X-Probe:  v  \r\n\r\n",
           "GET /x ?a=1&b=%20 probe=v []\n");
    expect("POST /x HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", "POST /x [hello]\n");
    expect("POST /x HTTP/1.1\r\n" HOST "Content-Length: 0\r\nConnection: close\r\n\r\n",
           "POST /x close []\n");
    expect("POST /x HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", "POST /x close 1.0 [hi]\n");
    expect("POST /x HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
           "POST /x 1.0 [hi]\n");
    expect("GET http://a/x?y HTTP/1.1\r\n" HOST "\r\n", "GET /x ?y []\n");
    expect("GET https://[fe80::1%251]:1/x HTTP/1.1\r\n" HOST "\r\n", "GET /x []\n");
    expect("GET http://a HTTP/1.1\r\n" HOST "\r\n", "GET / []\n");
    expect("OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS * []\n");
    expect("GET /x HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "GET /x []\n");
    expect("GET / HTTP/1.1\r\n" HOST "X-Probe:\r\n\r\n", "GET / probe= []\n");
    expect("GET / HTTP/1.1\r\nHost: [::1]:8443\r\nConnection: a, close\t\r\n\r\n",
           "GET / close []\n");
}

static void test_chunked(void **state) {
    (void)state;
    expect("POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
           "5\r\nhello\r\n1;a=b\r\n,\r\n6\r\n world\r\n0\r\n\r\n",
           "POST /x [hello, world]\n");
    expect("POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n0\r\nX-T: 1\r\n\r\n"
           "GET /y HTTP/1.1\r\n" HOST "\r\n",
           "POST /x []\nGET /y []\n");
    expect("POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
           "POST /x bad 400\n");
}

static void test_pipelined(void **state) {
    (void)state;
    expect("POST /1 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
           "POST /2 HTTP/1.1\r\n" HOST
           "Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n2\r\nfg\r\n0\r\n\r\n"
           "GET /3 HTTP/1.1\r\n" HOST "X-Probe: 3\r\n\r\n",
           "POST /1 [abc]\nPOST /2 [defg]\nGET /3 probe=3 []\n");
}

static void test_expect_continue(void **state) {
    (void)state;
    expect("POST /x HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\nhi",
           "POST /x expect [hi]\n");
    expect("POST /x HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
           "POST /x close 1.0 [hi]\n");
    expect("POST /x HTTP/1.1\r\n" HOST "Expect: 200-ok\r\nContent-Length: 2\r\n\r\nhi",
           " bad 417\n");
}

static void test_incomplete(void **state) {
    (void)state;
    expect("POST /x HTTP/1.1\r\n" HOST "Content-Le", " (in head)");
    expect("POST /x HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhel", "POST /x (in body)");
    expect("\r\n\r\n", "");
}

static void test_refused(void **state) {
    static const struct {
        const char *data;
        int status;
    } cases[] = {
        {"GET /x HTTP/1.1\r\n\r\n", 400},              /* no Host */
        {"GET /x HTTP/1.1\r\n" HOST HOST "\r\n", 400}, /* two */
        {"GET /x HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
        {"GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
        {"GET /x HTTP/1.1\n" HOST "\r\n", 400}, /* bare LF */
        {"GET /x HTTP/1.1\r\nHost: a\n\r\n", 400},
        {"GET /x HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n", 400},    /* bare CR */
        {"GET /x HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", 400}, /* obs-fold */
        {"GET /x HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n", 400},
        {"GET /x HTTP/1.1\r\n" HOST "A: \x7f\r\n\r\n", 400},
        {"GET /x HTTP/1.1\r\n" HOST "A : b\r\n\r\n", 400},
        {"GET /x HTTP/1.1\r\n" HOST ": b\r\n\r\n", 400},
        {"GET /x HTTP/1.1\r\n: b\r\n" HOST "\r\n", 400},
        {"GET /x HTTP/1.1\r\nHost: ]a\r\n\r\n", 400},
        {"GET /x HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
        {"GET /x HTTP/1.1\r\nHost: a:8x\r\n\r\n", 400},
        {"GET /x HTTP/1.1\r\nHost: [::!]\r\n\r\n", 400},
        {"GET http://h/x#f HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET http://u@a/x HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET s://a/x HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /x HTTP/1.1\r\n" HOST "A(): b\r\n\r\n", 400},
        {"GET /x#f HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET x HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET * HTTP/1.1\r\n" HOST "\r\n", 400},
        {"POST /x HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400},
        {"POST /x HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\nx", 400},
        {"POST /x HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\nx", 400},
        {"POST /x HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
         400},
        {"POST /x HTTP/1.1\r\n" HOST
         "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400},
        {"POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
        {"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", 501},
        {"GET /x HTTP/2.0\r\n" HOST "\r\n", 505},
        {"POST /x HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n", 413},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, " bad %d\n", cases[i].status);
        expect(cases[i].data, expected);
    }
    /* By its own line only: what llhttp sees first differs with the cuts. */
    const char *brew = "BREW /x HTTP/1.1\r\n" HOST "\r\n";
    expect_run(brew, strlen(brew), 0, 1000, false, " bad 501\n");
    /* Empty lines before it are none of it (RFC 9112, 2.2). */
    const char *behind_lines = "\r\n\r\nBREW /x HTTP/1.1\r\n" HOST "\r\n";
    expect_run(behind_lines, strlen(behind_lines), 0, 1000, false, " bad 501\n");
    expect_run("\x16\x03\x01 /x HTTP", 12, 0, 1000, false, " bad 400\n");
    expect_bytes("GET /x HTTP/1.1\r\n" HOST "A: \0\r\n\r\n", 33, " bad 400\n");
}

static void test_garbage_after_a_request_does_not_undo_it(void **state) {
    (void)state;
    expect("POST /x HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi\x80\x81 /y HTTP/1.1\r\n\r\n",
           "POST /x [hi]\n bad 400\n");
}

static char *repeat(const char *front, char fill, size_t count, const char *back) {
    char *text = malloc(strlen(front) + count + strlen(back) + 1);
    size_t len = strlen(front);
    memcpy(text, front, len);
    memset(text + len, fill, count);
    strcpy(text + len + count, back);
    return text;
}

static void expect_status(char *data, size_t piece, const char *expected) {
    char *log = transcript(data, strlen(data), 0, piece, false);
    if (!strstr(log, expected))
        fail_msg("pieces of %zu: %.100s", piece, log);
    free(log);
}

/* At each bound, and one past it; whole and in pieces. */
static void test_bounds(void **state) {
    static const size_t pieces[] = {CHUNK_BYTES, 1000, 1};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *target = repeat("GET /", 'a', HTTP_MAX_TARGET - 1, " HTTP/1.1\r\n" HOST "\r\n");
        char *longer = repeat("GET /", 'a', HTTP_MAX_TARGET, " HTTP/1.1\r\n" HOST "\r\n");
        expect_status(target, pieces[i], "a []\n");
        expect_status(longer, pieces[i], "bad 414");
        free(target);
        free(longer);

        size_t fixed = strlen("GET / HTTP/1.1\r\n" HOST "A: \r\n\r\n");
        target = repeat("GET / HTTP/1.1\r\n" HOST "A: ", 'a', 32768 - fixed, "\r\n\r\n");
        longer = repeat("GET / HTTP/1.1\r\n" HOST "A: ", 'a', 32769 - fixed, "\r\n\r\n");
        expect_status(target, pieces[i], "GET / []\n");
        expect_status(longer, pieces[i], "bad 431");
        free(target);
        free(longer);

        target = repeat("POST / HTTP/1.1\r\n" HOST "Content-Length: 65536\r\n\r\n", 'b', 65536, "");
        expect_status(target, pieces[i], "bbb]\n");
        free(target);

        target = repeat("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n10000\r\n",
                        'b', 65536, "\r\n0\r\n\r\n");
        longer = repeat("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n10000\r\n",
                        'b', 65536, "\r\n1\r\nc\r\n0\r\n\r\n");
        expect_status(target, pieces[i], "bbb]\n");
        expect_status(longer, pieces[i], "bad 413");
        free(target);
        free(longer);

        target =
            repeat("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nT: ", 't',
                   32767, "\r\n\r\n");
        longer =
            repeat("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nT: ", 't',
                   32768, "\r\n\r\n");
        expect_status(target, pieces[i], "POST / []\n");
        expect_status(longer, pieces[i], "bad 431");
        free(target);
        free(longer);
    }
}

static void test_field_count_bound(void **state) {
    (void)state;
    for (unsigned extra = 0; extra < 2; extra++) {
        char data[4096] = "GET / HTTP/1.1\r\n" HOST;
        for (unsigned i = 1; i < HTTP_MAX_FIELDS + extra; i++)
            strcat(data, "A: b\r\n");
        strcat(data, "\r\n");
        expect_status(data, CHUNK_BYTES, extra ? "bad 431" : "GET / []\n");
        expect_status(data, 1, extra ? "bad 431" : "GET / []\n");
    }
}

static void test_discarded_body(void **state) {
    (void)state;
    const char *data = "POST /x HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
                       "POST /y HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                       "5\r\nhello\r\n0\r\n\r\n";
    for (size_t cut = 0; cut < strlen(data); cut++)
        expect_run(data, strlen(data), cut, 1000, true, "POST /x []\nPOST /y []\n");
}

static void test_response(void **state) {
    struct buf out = {0};
    struct http_response response = {.status = 200,
                                     .content_type = "application/json",
                                     .body = SPAN("{}"),
                                     .headers = "X-A: b\r\n",
                                     .minor_version = 1};
    (void)state;
    assert_int_equal(http_respond(&out, &response), 0);
    assert_memory_equal(out.ptr, "HTTP/1.1 200 OK\r\nDate: ", 23);
    assert_int_equal(buf_append(&out, "", 1), 0);
    const char *rest = strstr(out.ptr, "GMT\r\n");
    assert_string_equal(rest, "GMT\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                              "X-A: b\r\n\r\n{}");
    out.len = 0;
    response.head = true;
    response.close = true;
    assert_int_equal(http_respond(&out, &response), 0);
    assert_memory_equal(out.ptr + out.len - 21, "Connection: close\r\n\r\n", 21);
    out.len = 0;
    response = (struct http_response){.status = 404, .minor_version = 0};
    assert_int_equal(http_respond(&out, &response), 0);
    assert_memory_equal(out.ptr, "HTTP/1.1 404 Not Found\r\n", 24);
    assert_memory_equal(out.ptr + out.len - 26, "Connection: keep-alive\r\n\r\n", 26);
    buf_deinit(&out);
}

/* Each of the tests above has done so, where it could. */
static void test_bodies_were_put_in_place(void **state) {
    (void)state;
    assert_in_range(placed, 1000, SIZE_MAX);
}

static void test_query(void **state) {
    char text[] = "a=1&&b=%41+c&c&d=%zz%4&=x";
    static const char *expected[][2] = {
        {"a", "1"}, {"b", "A c"}, {"c", ""}, {"d", "%zz%4"}, {"", "x"}};
    struct span query = span_from_string(text), name, value;
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        assert_true(http_query_next(&query, &name, &value));
        assert_true(span_equals(name, span_from_string(expected[i][0])));
        assert_true(span_equals(value, span_from_string(expected[i][1])));
    }
    assert_false(http_query_next(&query, &name, &value));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_requests),
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_incomplete),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_garbage_after_a_request_does_not_undo_it),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_field_count_bound),
        cmocka_unit_test(test_discarded_body),
        cmocka_unit_test(test_response),
        cmocka_unit_test(test_bodies_were_put_in_place),
        cmocka_unit_test(test_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
