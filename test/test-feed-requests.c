/* The Unix socket: requests that are wrong, in pieces, or many at once. */
#include "feed_harness.h"

#include <signal.h>

/* --- wrong ones ------------------------------------------------------------------- */
static void test_bad_requests(void **state) {
    static const struct {
        const char *target, *about;
    } cases[] = {
        {"/v1/events?form=oldest", "form: unknown"},
        {"/v1/events?From=oldest", "From: unknown"},
        {"/v1/events?=1", "error\":\": unknown"},
        {"/v1/events?%22%5c%00%0a=1", "????: unknown"},
        {"/v1/events?a123456789012345678901234567890123456789=",
         "a1234567890123456789012345678901: "},
        {"/v1/events?from=", "from: "},
        {"/v1/events?from", "from: "},
        {"/v1/events?from=never", "from: "},
        {"/v1/events?from=oldest0", "from: "},
        {"/v1/events?from=now&from=now", "from: given twice"},
        {"/v1/events?follow=0&limit=1&follow=0", "follow: given twice"},
        {"/v1/events?limit=1&limit=1", "limit: given twice"},
        {"/v1/events?after=0123456789abcdef-1&after=0123456789abcdef-1", "after: given twice"},
        {"/v1/events?from=now&after=0123456789abcdef-1", "from, after, reader: "},
        {"/v1/events?after=0123456789abcdef-1&from=oldest", "from, after, reader: "},
        {"/v1/events?follow=", "follow: "},
        {"/v1/events?follow=2", "follow: "},
        {"/v1/events?follow=true", "follow: "},
        {"/v1/events?limit=", "limit: "},
        {"/v1/events?limit=0", "limit: "},
        {"/v1/events?limit=-1", "limit: "},
        {"/v1/events?limit=+1", "limit: "},
        {"/v1/events?limit=1.5", "limit: "},
        {"/v1/events?limit=18446744073709551616", "limit: "},
        {"/v1/events?limit=99999999999999999999999", "limit: "},
        {"/v1/events?after=", "after: "},
        {"/v1/events?after=1", "after: "},
        {"/v1/events?after=0123456789abcdef-", "after: "},
        {"/v1/events?after=0123456789abcdef-01", "after: "},
        {"/v1/events?after=0123456789ABCDEF-1", "after: "},
        {"/v1/events?after=0123456789abcdef-18446744073709551616", "after: "},
    };
    struct world world;
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    add_events(&world, 5);
    struct client client = dial(&world);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ask(&client, cases[i].target);
        settle(&world, &client);
        struct answer answer = take_answer(&client, false);
        check_error(&answer, 400, cases[i].about);
        free_answer(&answer);
    }
    /* The connection is as good as before; escapes and empty pairs are read as usual. */
    ask(&client, "/v1/events?&&%66rom=old%65st&&follow=%30&");
    settle(&world, &client);
    struct answer answer = take_answer(&client, false);
    check_events(&world, &answer, 1, 5);
    free_answer(&answer);
    hang_up(&client);
    close_world(&world);
}

static void test_other_paths_and_methods(void **state) {
    static const char *const unknown[] = {"/",          "/v1",           "/v1/events/", "/v1/event",
                                          "/V1/events", "/v1/events%2f", "/metrics"};
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
    struct world world;
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        struct answer answer = get(&world, unknown[i]);
        check_error(&answer, 404, "path");
        free_answer(&answer);
    }
    struct client client = dial(&world);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        say(&client, "%s /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
            methods[i]);
        settle(&world, &client);
        struct answer answer = take_answer(&client, false);
        check_error(&answer, 405, methods[i]);
        assert_true(has_field(&answer, "Allow: GET, HEAD"));
        free_answer(&answer);
    }
    say(&client, "PUT /v1/events HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                 "Content-Length: 3\r\n\r\n");
    settle(&world, &client);
    assert_int_equal(client.in.len, 25);
    assert_memory_equal(client.in.ptr, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    client.in.len = 0;
    say(&client, "abc");
    settle(&world, &client);
    struct answer answer = take_answer(&client, false);
    check_error(&answer, 405, "PUT");
    free_answer(&answer);
    hang_up(&client);
    close_world(&world);
}

static void test_garbage(void **state) {
    static const char *const garbage[] = {
        "\x16\x03\x01\x02\x01\x01", /* a TLS client */
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET /v1/events HTTP/1.1\r\n\r\n", /* no Host */
        "GET /v1/events HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
        "GET /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    };
    struct world world;
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        struct client client = dial(&world);
        say(&client, "%s", garbage[i]);
        settle(&world, &client);
        struct answer answer = take_answer(&client, false);
        check_error(&answer, 400, "");
        assert_true(has_field(&answer, "Connection: close"));
        assert_true(client.eof);
        assert_int_equal(feed_reader_count(world.feed), 0);
        free_answer(&answer);
        hang_up(&client);
    }
    close_world(&world);
}

/* --- in pieces -------------------------------------------------------------------- */

static const char *const whole_requests[] = {
    "GET /v1/events?from=oldest&follow=0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /v1/events?%66rom=oldest&limit=2 HTTP/1.1\r\nHost: x\r\nA: b\r\nConnection: close\r\n\r\n",
    "GET /v1/events?from=oldest&follow=0 HTTP/1.0\r\n\r\n",
    "HEAD /v1/events HTTP/1.1\r\nHost: x\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /v1/events?limit=0 HTTP/1.1\r\nHost: x\r\n\r\n",
    ("POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
     "3;a=b\r\nabc\r\n0\r\n\r\nGET /v1/events?from=oldest&limit=1 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "GET /v1/events HTTP/1.1\r\n\r\n",
};

/* All that a connection gets, for the request cut into two (cut > 0) or into single bytes (0),
 * without the dates. */
static struct buf get_cut(struct world *world, const char *request, size_t cut) {
    struct client client = dial(world);
    size_t len = strlen(request);
    for (size_t at = 0, next; at < len; at = next) {
        next = cut == 0 ? at + 1 : at < cut ? cut : len;
        if (client.eof)
            break; /* refused before its end */
        if (send(client.fd, request + at, next - at, MSG_NOSIGNAL) < 0)
            break;
        settle(world, &client);
    }
    settle(world, &client);
    struct buf got = client.in;
    close(client.fd);
    settle(world, NULL);
    assert_int_equal(feed_reader_count(world->feed), 0);
    for (char *date; (date = memmem(got.ptr, got.len, "\r\nDate: ", 8));)
        memcpy(date, "\r\n-----:", 8);
    for (size_t i = 0; i + 8 < got.len; i++)
        if (memcmp(got.ptr + i, "\r\n-----:", 8) == 0)
            memset(got.ptr + i + 8, '-', 29);
    return got;
}

static void test_requests_cut_at_every_byte(void **state) {
    struct world world;
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    add_events(&world, 5);
    for (size_t i = 0; i < sizeof whole_requests / sizeof *whole_requests; i++) {
        size_t len = strlen(whole_requests[i]);
        struct buf whole = get_cut(&world, whole_requests[i], len);
        assert_true(whole.len > 0);
        for (size_t cut = 0; cut < len; cut++) {
            struct buf got = get_cut(&world, whole_requests[i], cut);
            if (got.len != whole.len || memcmp(got.ptr, whole.ptr, got.len))
                fail_msg("request %zu cut at %zu: %.*s\nnot: %.*s", i, cut, (int)got.len, got.ptr,
                         (int)whole.len, whole.ptr);
            buf_deinit(&got);
        }
        buf_deinit(&whole);
    }
    close_world(&world);
}

/* Requests that came all at once are answered one after the other, also where each answer takes
 * many writes, and also where the peer then shuts down its side. */
static void test_pipelining(void **state) {
    enum { REQUESTS = 20 };
    struct world world;
    (void)state;
    open_world(&world, 4 << 20);
    add_events(&world, 5000);
    for (int half_closed = 0; half_closed < 2; half_closed++) {
        struct client client = dial(&world);
        for (int i = 0; i < REQUESTS; i++)
            ask(&client, i % 2 ? "/v1/events?from=oldest&follow=0" : "/nothing");
        if (half_closed)
            assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
        settle(&world, NULL);
        settle(&world, &client);
        for (int i = 0; i < REQUESTS; i++) {
            struct answer answer = take_answer(&client, false);
            assert_true(answer.whole);
            if (i % 2)
                check_events(&world, &answer, 1, 5000);
            else
                check_error(&answer, 404, "path");
            free_answer(&answer);
        }
        assert_int_equal(client.in.len, 0);
        assert_int_equal(client.eof, half_closed);
        hang_up(&client);
    }
    /* What is kept of them is bounded: a peer that goes on and on is cut off. */
    struct client client = dial(&world);
    ask(&client, "/v1/events");
    char filler[1000];
    memset(filler, 'x', sizeof filler);
    settle(&world, &client);
    for (int i = 0; i < 32; i++) {
        say_bytes(&client, filler, sizeof filler);
        settle(&world, &client);
    }
    assert_false(client.eof);
    say_bytes(&client, filler, sizeof filler);
    settle(&world, &client);
    assert_true(client.eof);
    hang_up(&client);
    close_world(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_requests), cmocka_unit_test(test_other_paths_and_methods),
        cmocka_unit_test(test_garbage),      cmocka_unit_test(test_requests_cut_at_every_byte),
        cmocka_unit_test(test_pipelining),
    };
    signal(SIGPIPE, SIG_IGN); /* as the node does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
