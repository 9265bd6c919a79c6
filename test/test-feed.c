/* The Unix socket: whole answers, the live edge, gaps, bad requests, peers that vanish, the drain,
 * and the socket file. */
#include "feed_harness.h"

#include <grp.h>
#include <signal.h>
#include <sys/stat.h>

/* --- whole answers ------------------------------------------------------------------- */

static void test_answer_to_1_1(void **state) {
    struct world world;
    char field[128];
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    add_events(&world, 50);
    struct client client = dial(&world);
    for (int round = 0; round < 3; round++) { /* kept alive */
        ask(&client, "/v1/events?from=oldest&follow=0");
        settle(&world, &client);
        struct answer answer = take_answer(&client, false);
        check_events(&world, &answer, 1, 50);
        assert_true(answer.whole && answer.chunked);
        assert_true(has_field(&answer, "Content-Type: application/x-ndjson"));
        snprintf(field, sizeof field, "Rollcall-Ring: %s", ring_id(world.ring));
        assert_true(has_field(&answer, field));
        snprintf(field, sizeof field, "Rollcall-Cursor: %s", cursor_of(&world, 0));
        assert_true(has_field(&answer, field));
        assert_false(has_field(&answer, "Connection: close"));
        assert_false(client.eof);
        free_answer(&answer);
    }
    say(&client, "GET /v1/events?follow=0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    settle(&world, &client);
    struct answer answer = take_answer(&client, false);
    check_events(&world, &answer, 51, 50);
    assert_true(answer.whole && client.eof);
    assert_true(has_field(&answer, "Connection: close"));
    snprintf(field, sizeof field, "Rollcall-Cursor: %s", cursor_of(&world, 50));
    assert_true(has_field(&answer, field));
    free_answer(&answer);
    hang_up(&client);
    close_world(&world);
}

static void test_answer_to_1_0(void **state) {
    static const char *const requests[] = {
        "GET /v1/events?from=oldest&follow=0 HTTP/1.0\r\n\r\n",
        "GET /v1/events?from=oldest&follow=0 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /v1/events?from=oldest&limit=50 HTTP/1.0\r\n\r\n"};
    struct world world;
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    add_events(&world, 50);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct client client = dial(&world);
        say(&client, "%s", requests[i]);
        settle(&world, &client);
        struct answer answer = take_answer(&client, false);
        check_events(&world, &answer, 1, 50);
        assert_false(answer.chunked);
        assert_true(has_field(&answer, "Connection: close"));
        assert_true(client.eof);
        free_answer(&answer);
        hang_up(&client);
    }
    close_world(&world);
}

static void test_head(void **state) {
    struct world world;
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    add_events(&world, 5);
    struct client client = dial(&world);
    static const char *const targets[] = {"/v1/events?from=oldest", "/v1/events?limit=x", "/"};
    static const int statuses[] = {200, 400, 404};
    for (int i = 0; i < 3; i++) {
        say(&client, "HEAD %s HTTP/1.1\r\nHost: x\r\n\r\n", targets[i]);
        settle(&world, &client);
        struct answer answer = take_answer(&client, true);
        assert_int_equal(answer.status, statuses[i]);
        assert_int_equal(client.in.len, 0);
        assert_false(client.eof);
    }
    hang_up(&client);
    close_world(&world);
}

/* The head is sent at once, also where there is no event yet. */
static void test_head_of_an_empty_stream_comes_at_once(void **state) {
    struct world world;
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    struct client client = dial(&world);
    ask(&client, "/v1/events");
    settle(&world, &client);
    struct answer answer = take_answer(&client, false);
    assert_int_equal(answer.status, 200);
    assert_false(answer.whole);
    assert_int_equal(client.in.len + answer.body.len, 0);
    hang_up(&client);
    answer = get(&world, "/v1/events?from=oldest&follow=0");
    check_events(&world, &answer, 1, 0);
    assert_true(answer.whole);
    free_answer(&answer);
    close_world(&world);
}

/* --- the live edge ------------------------------------------------------------------- */

static void test_follow(void **state) {
    struct world world;
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    add_events(&world, 20);
    struct client all = dial(&world), later = dial(&world);
    ask(&all, "/v1/events?from=oldest");
    ask(&later, "/v1/events");
    settle(&world, NULL);
    add_events(&world, 1);
    push_event(&world); /* not committed: not seen */
    turn(&world);
    settle(&world, &all);
    settle(&world, &later);
    ring_abort(world.ring);
    add_events(&world, 3);
    settle(&world, &all);
    settle(&world, &later);
    struct answer answer = take_answer(&all, false);
    check_events(&world, &answer, 1, 24);
    assert_false(answer.whole);
    free_answer(&answer);
    answer = take_answer(&later, false);
    check_events(&world, &answer, 21, 24);
    free_answer(&answer);
    hang_up(&all);
    hang_up(&later);
    close_world(&world);
}

static uint64_t random_state = 88172645463325252U;

static unsigned random_below(unsigned bound) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state % bound);
}

/* Followers that come at random moments, at random cursors, and read at random speed, while batches
 * of random size are committed and aborted: each has every event once. The ring is large enough for
 * all, so there is no gap. */
static void test_live_edge_is_exact(void **state) {
    enum { CLIENTS = 24, STEPS = 3000 };
    struct world world;
    struct client clients[CLIENTS];
    uint64_t from[CLIENTS];
    unsigned count = 0;
    (void)state;
    open_world(&world, 8 << 20);
    for (int step = 0; step < STEPS; step++) {
        for (unsigned n = random_below(8); n > 0; n--)
            push_event(&world);
        if (random_below(10) == 0)
            ring_abort(world.ring);
        else if (random_below(3) == 0)
            ring_commit(world.ring);
        if (count < CLIENTS && random_below(STEPS / CLIENTS / 2) == 0) {
            char target[128];
            from[count] = random_below((unsigned)newest(&world) + 1) + 1;
            snprintf(target, sizeof target, "/v1/events?after=%s",
                     cursor_of(&world, from[count] - 1));
            clients[count] = dial(&world);
            ask(&clients[count++], target);
        }
        if (random_below(3) == 0)
            turn(&world);
        if (count)
            listen_to(&clients[random_below(count)], random_below(20000));
    }
    ring_commit(world.ring);
    settle_all(&world, clients, count);
    assert_int_equal(count, CLIENTS);
    for (unsigned i = 0; i < count; i++) {
        struct answer answer = take_answer(&clients[i], false);
        check_events(&world, &answer, from[i], newest(&world));
        free_answer(&answer);
        hang_up(&clients[i]);
    }
    close_world(&world);
}

/* --- slow readers -------------------------------------------------------------------- */

/* Two that do not read at all while the ring goes round, one of them 1.0; one that does. */
static void test_gap_for_slow_readers(void **state) {
    struct world world;
    (void)state;
    open_world(&world, 1 << 20);
    struct client slow = dial(&world), plain = dial(&world), quick = dial(&world);
    ask(&slow, "/v1/events");
    say(&plain, "GET /v1/events HTTP/1.0\r\n\r\n");
    ask(&quick, "/v1/events");
    settle(&world, NULL);
    for (int i = 0; i < 3000; i++) {
        for (int n = 0; n < 10; n++)
            push_event(&world);
        ring_commit(world.ring);
        turn(&world);
        listen_to(&quick, SIZE_MAX);
    }
    assert_true(ring_newest(world.ring).position > 5 << 20);
    settle(&world, &quick);
    struct answer answer = take_answer(&quick, false);
    check_events(&world, &answer, 1, 30000);
    free_answer(&answer);
    hang_up(&quick);

    struct client *two[] = {&slow, &plain};
    for (int i = 0; i < 2; i++) {
        struct told told = {0};
        settle(&world, two[i]);
        answer = take_answer(two[i], false);
        read_lines(&world, &answer.body, &told);
        assert_int_equal(told.last, 30000);
        assert_int_equal(told.gaps, 1);
        assert_int_equal(told.events + told.lost, 30000);
        /* What was on its way to it is bounded: the socket's buffer and one write. */
        assert_true(told.lost > 10000);
        free_answer(&answer);
        hang_up(two[i]);
    }
    close_world(&world);
}

/* One that reads a little now and then has many gaps, and each is right. */
static void test_gaps_for_a_hesitant_reader(void **state) {
    struct world world;
    struct told told = {0};
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    struct client client = dial(&world);
    ask(&client, "/v1/events");
    settle(&world, &client);
    for (int i = 0; i < 4000; i++) {
        for (unsigned n = random_below(60); n > 0; n--)
            push_event(&world);
        if (random_below(20) == 0)
            ring_abort(world.ring);
        ring_commit(world.ring);
        turn(&world);
        if (random_below(100) == 0)
            listen_to(&client, 300000);
    }
    settle(&world, &client);
    struct answer answer = take_answer(&client, false);
    read_lines(&world, &answer.body, &told);
    assert_int_equal(told.last, newest(&world));
    assert_int_equal(told.events + told.lost, newest(&world));
    assert_true(told.gaps > 10 && told.events > 1000);
    free_answer(&answer);
    hang_up(&client);
    close_world(&world);
}

/* Many that catch up with much do not keep one at the live edge waiting, nor the loop: a turn is
 * what FEED_TURN_BYTES allows, and a write each that was under way. */
static void test_catching_up_is_shared_out(void **state) {
    enum { READERS = 24, MOST_A_TURN = 3 << 20 };
    struct world world;
    struct client clients[READERS], live;
    unsigned turns = 0;
    (void)state;
    open_world(&world, 16 << 20);
    add_events(&world, 60000);
    live = dial(&world);
    ask(&live, "/v1/events");
    settle(&world, &live);
    live.in.len = 0;
    for (int i = 0; i < READERS; i++) {
        clients[i] = dial(&world);
        ask(&clients[i], "/v1/events?from=oldest&follow=0");
    }
    for (int quiet = 0; quiet < 4; quiet++, turns++) {
        size_t taken = 0;
        add_events(&world, 1);
        turn(&world);
        assert_true(listen_to(&live, SIZE_MAX) > 0); /* in the very same turn */
        for (int i = 0; i < READERS; i++)
            taken += listen_to(&clients[i], SIZE_MAX);
        assert_true(taken <= MOST_A_TURN);
        if (taken)
            quiet = 0;
    }
    assert_true(turns > 30);
    uint64_t last = 0;
    for (int i = 0; i < READERS; i++) {
        struct told told = {0};
        struct answer answer = take_answer(&clients[i], false);
        read_lines(&world, &answer.body, &told);
        assert_true(answer.whole);
        assert_true(told.last >= 60000 && told.gaps == 0);
        last = told.last > last ? told.last : last;
        free_answer(&answer);
        hang_up(&clients[i]);
    }
    assert_true(last > 60000);
    hang_up(&live);
    close_world(&world);
}

/* A line larger than a write, than the socket's buffer, than what is kept of the scratch. */
static void test_large_lines(void **state) {
    enum { LARGE = 1 << 20, LINES = 5 };
    struct world world;
    (void)state;
    open_world(&world, 16 << 20);
    for (int i = 0; i < LINES; i++) {
        char *line;
        size_t len = (size_t)LARGE - (size_t)i * 1000;
        assert_int_equal(ring_reserve(world.ring, len, &line), RING_OK);
        memset(line, 'a' + i, len - 1);
        line[len - 1] = '\n';
        ring_push(world.ring, &(struct ring_record){.line_len = (uint32_t)len});
    }
    ring_commit(world.ring);
    for (int minor = 0; minor < 2; minor++) {
        struct client client = dial(&world);
        say(&client, "GET /v1/events?from=oldest&follow=0 HTTP/1.%d\r\nHost: x\r\n\r\n", minor);
        settle(&world, &client);
        struct answer answer = take_answer(&client, false);
        assert_int_equal(answer.whole, minor == 1);
        size_t at = 0;
        for (int i = 0; i < LINES; i++) {
            size_t len = (size_t)LARGE - (size_t)i * 1000;
            assert_true(at + len <= answer.body.len);
            for (size_t k = 0; k < len - 1; k++)
                if (answer.body.ptr[at + k] != 'a' + i)
                    fail_msg("line %d byte %zu", i, k);
            assert_int_equal(answer.body.ptr[at + len - 1], '\n');
            at += len;
        }
        assert_int_equal(at, answer.body.len);
        free_answer(&answer);
        hang_up(&client);
    }
    close_world(&world);
}

/* --- parameters ---------------------------------------------------------------------- */

static void test_limit(void **state) {
    static const struct {
        const char *target;
        uint64_t from, to;
    } cases[] = {
        {"/v1/events?from=oldest&limit=1", 1, 1},
        {"/v1/events?from=oldest&limit=2", 1, 2},
        {"/v1/events?from=oldest&limit=50", 1, 50},
        {"/v1/events?from=oldest&limit=49&follow=0", 1, 49},
        {"/v1/events?from=oldest&limit=51&follow=0", 1, 50},
        {"/v1/events?from=oldest&limit=18446744073709551615&follow=0", 1, 50},
        {"/v1/events?from=now&limit=1&follow=0", 51, 50},
    };
    struct world world;
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    add_events(&world, 50);
    struct client client = dial(&world);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ask(&client, cases[i].target);
        settle(&world, &client);
        struct answer answer = take_answer(&client, false);
        check_events(&world, &answer, cases[i].from, cases[i].to);
        assert_true(answer.whole);
        free_answer(&answer);
    }
    /* Reached at the live edge; what was asked in the meantime is answered then. */
    ask(&client, "/v1/events?limit=3");
    settle(&world, &client);
    ask(&client, "/v1/events?from=oldest&limit=4");
    settle(&world, &client);
    add_events(&world, 2);
    settle(&world, &client);
    add_events(&world, 2);
    settle(&world, &client);
    struct answer answer = take_answer(&client, false);
    check_events(&world, &answer, 51, 53);
    assert_true(answer.whole);
    free_answer(&answer);
    answer = take_answer(&client, false);
    check_events(&world, &answer, 1, 4);
    assert_true(answer.whole);
    free_answer(&answer);
    /* A gap is no event. */
    char target[128];
    snprintf(target, sizeof target, "/v1/events?limit=2&after=%s", cursor_of(&world, 3));
    add_events(&world, 2000);
    ask(&client, target);
    settle(&world, &client);
    struct told told = {.last = 3};
    answer = take_answer(&client, false);
    read_lines(&world, &answer.body, &told);
    assert_int_equal(told.gaps, 1);
    assert_int_equal(told.events, 2);
    assert_true(answer.whole);
    free_answer(&answer);
    hang_up(&client);
    close_world(&world);
}

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

/* --- cursors ------------------------------------------------------------------------- */

/* After every seq that there was, is, and is not yet. */
static void test_resume_after_every_seq(void **state) {
    struct world world;
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    add_events(&world, 400);
    uint64_t oldest = ring_oldest(world.ring).seq;
    assert_true(oldest > 50 && oldest < 350);
    struct client client = dial(&world);
    for (uint64_t seq = 0; seq <= 400; seq++) {
        struct told told = {.last = seq};
        char target[128];
        snprintf(target, sizeof target, "/v1/events?follow=0&after=%s", cursor_of(&world, seq));
        ask(&client, target);
        settle(&world, &client);
        struct answer answer = take_answer(&client, false);
        read_lines(&world, &answer.body, &told);
        assert_true(answer.whole);
        assert_int_equal(told.last, 400);
        assert_int_equal(told.gaps, seq + 1 < oldest);
        assert_int_equal(told.lost, seq + 1 < oldest ? oldest - seq - 1 : 0);
        free_answer(&answer);
    }
    hang_up(&client);
    close_world(&world);
}

static void check_first_gap(struct world *world, const char *after, uint64_t next, const char *lost,
                            const char *reason, uint64_t to) {
    char target[128], expected[256];
    struct client client = dial(world);
    snprintf(target, sizeof target, "/v1/events?after=%s", after);
    ask(&client, target);
    settle(world, &client);
    add_events(world, 2);
    settle(world, &client);
    struct answer answer = take_answer(&client, false);
    snprintf(expected, sizeof expected,
             "{\"gap\":{\"after\":\"%s\",\"next\":\"%s\",\"lost\":%s,\"reason\":\"%s\"}}\n", after,
             cursor_of(world, next), lost, reason);
    assert_true(answer.body.len > strlen(expected));
    assert_memory_equal(answer.body.ptr, expected, strlen(expected));
    buf_consume(&answer.body, strlen(expected));
    check_events(world, &answer, next, to);
    free_answer(&answer);
    hang_up(&client);
}

static void test_cursors_of_elsewhere(void **state) {
    struct world world;
    char after[64];
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    /* Of another ring: from the oldest; how many were lost nobody knows. Also from an empty one. */
    check_first_gap(&world, "0123456789abcdef-7", 1, "null", "restart", 2);
    check_first_gap(&world, "0123456789abcdef-18446744073709551615", 1, "null", "restart", 4);
    check_first_gap(&world, "0123456789abcdef-0", 1, "null", "restart", 6);
    /* Of the future: from the live edge. */
    snprintf(after, sizeof after, "%s", cursor_of(&world, newest(&world) + 1));
    check_first_gap(&world, after, 7, "0", "unknown-cursor", 8);
    snprintf(after, sizeof after, "%s", cursor_of(&world, UINT64_MAX));
    check_first_gap(&world, after, 9, "0", "unknown-cursor", 10);
    add_events(&world, 2000);
    uint64_t oldest = ring_oldest(world.ring).seq;
    struct answer answer = get(&world, "/v1/events?follow=0&after=0123456789abcdef-7");
    char expected[256];
    snprintf(expected, sizeof expected, "\"next\":\"%s\",\"lost\":null,\"reason\":\"restart\"}}\n",
             cursor_of(&world, oldest));
    assert_non_null(memmem(answer.body.ptr, answer.body.len, expected, strlen(expected)));
    free_answer(&answer);
    close_world(&world);
}

/* --- requests in pieces -------------------------------------------------------------- */

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

/* --- the end of a peer --------------------------------------------------------------- */

static void test_half_closed_readers(void **state) {
    struct world world;
    (void)state;
    open_world(&world, 4 << 20);
    add_events(&world, 5000);
    static const char *const requests[] = {
        "GET /v1/events?from=oldest&follow=0 HTTP/1.0\r\n\r\n",
        "GET /v1/events?from=oldest&follow=0 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/events?from=oldest&limit=5000 HTTP/1.1\r\nHost: x\r\n\r\n"};
    for (int i = 0; i < 3; i++)
        for (int late = 0; late < 2; late++) {
            struct client client = dial(&world);
            say(&client, "%s", requests[i]);
            if (late) /* when the answer is under way already */
                settle(&world, NULL);
            assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
            for (int n = 0; n < 5; n++) { /* it is in no hurry to read */
                settle(&world, NULL);
                pass_ms(&world, HEADER_TIMEOUT_MS);
                listen_to(&client, 1000);
            }
            settle(&world, &client);
            struct answer answer = take_answer(&client, false);
            check_events(&world, &answer, 1, 5000);
            assert_int_equal(answer.whole, i > 0);
            assert_true(client.eof);
            free_answer(&answer);
            hang_up(&client);
        }
    /* A follower that says no more still follows; when it has gone, that shows within a check. */
    struct client follower = dial(&world);
    ask(&follower, "/v1/events");
    settle(&world, &follower);
    assert_int_equal(shutdown(follower.fd, SHUT_WR), 0);
    settle(&world, &follower);
    pass_ms(&world, 1000);
    pass_ms(&world, 2000);
    add_events(&world, 3);
    settle(&world, &follower);
    struct answer answer = take_answer(&follower, false);
    check_events(&world, &answer, 5001, 5003);
    assert_false(follower.eof);
    free_answer(&answer);
    hang_up(&follower);
    settle(&world, NULL);
    pass_ms(&world, 4000);
    settle(&world, NULL);
    assert_int_equal(feed_reader_count(world.feed), 0);
    /* The same when it had asked for something else before. */
    follower = dial(&world);
    ask(&follower, "/v1/events?from=oldest&follow=0");
    ask(&follower, "/v1/events");
    assert_int_equal(shutdown(follower.fd, SHUT_WR), 0);
    settle(&world, NULL);
    settle(&world, &follower);
    answer = take_answer(&follower, false);
    check_events(&world, &answer, 1, 5003);
    free_answer(&answer);
    assert_int_equal(feed_reader_count(world.feed), 1);
    hang_up(&follower);
    settle(&world, NULL);
    pass_ms(&world, HEADER_TIMEOUT_MS);
    settle(&world, NULL);
    assert_int_equal(feed_reader_count(world.feed), 0);
    /* No request at all: nothing to wait for. */
    struct client silent = dial(&world);
    assert_int_equal(shutdown(silent.fd, SHUT_WR), 0);
    settle(&world, &silent);
    assert_true(silent.eof);
    hang_up(&silent);
    close_world(&world);
}

/* Peers that vanish in every state: no descriptor, no reader, and no event is needed to notice. */
static void test_200_vanish(void **state) {
    enum { CLIENTS = 200 };
    struct world world;
    struct client clients[CLIENTS];
    (void)state;
    open_world(&world, 4 << 20);
    add_events(&world, 5000);
    turn(&world);
    unsigned before = open_descriptors();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            clients[i] = dial(&world);
            switch (i % 8) {
            case 0: /* says nothing */
                break;
            case 1:
                say(&clients[i], "GET /v1/eve");
                break;
            case 2: /* follows */
                ask(&clients[i], "/v1/events");
                break;
            case 3: /* has a write in flight */
                ask(&clients[i], "/v1/events?from=oldest");
                break;
            case 4: /* has had an answer */
                ask(&clients[i], "/nothing");
                break;
            case 5: /* has requests waiting */
                for (int n = 0; n < 10; n++)
                    ask(&clients[i], "/v1/events?from=oldest&follow=0");
                break;
            case 6: /* has said its last */
                ask(&clients[i], "/v1/events?from=oldest&follow=0");
                shutdown(clients[i].fd, SHUT_WR);
                break;
            default:
                say(&clients[i], "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
            }
            if (round == 1)
                hang_up(&clients[i]); /* before the other side has even looked */
        }
        settle(&world, NULL);
        if (round == 0)
            assert_int_equal(feed_reader_count(world.feed), CLIENTS);
        for (int i = 0; i < CLIENTS && round != 1; i++) {
            if (round == 2)
                listen_to(&clients[i], 1000);
            hang_up(&clients[i]);
        }
        settle(&world, NULL);
        pass_ms(&world, 1000); /* the half-closed ones: within the second */
        if (round == 0)
            pass_ms(&world, HEADER_TIMEOUT_MS); /* no deadline outlives its reader */
        settle(&world, NULL);
        assert_int_equal(feed_reader_count(world.feed), 0);
        assert_int_equal(open_descriptors(), before);
    }
    close_world(&world);
}

static void test_deadlines(void **state) {
    struct world world;
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    struct client silent = dial(&world), cut = dial(&world), body = dial(&world);
    struct client idle = dial(&world), follower = dial(&world);
    say(&cut, "GET /v1/events HTTP/1.1\r\nHo");
    say(&body, "PUT /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
    ask(&idle, "/v1/events?follow=0");
    ask(&follower, "/v1/events");
    settle(&world, NULL);
    pass_ms(&world, HEADER_TIMEOUT_MS - 2000);
    struct client *all[] = {&silent, &cut, &body, &idle, &follower};
    for (int i = 0; i < 5; i++) {
        settle(&world, all[i]);
        assert_false(all[i]->eof);
    }
    pass_ms(&world, HEADER_TIMEOUT_MS);
    for (int i = 0; i < 5; i++)
        settle(&world, all[i]);
    assert_true(silent.eof && silent.in.len == 0);
    assert_true(cut.eof);
    struct answer answer = take_answer(&cut, false);
    check_error(&answer, 408, "too long");
    free_answer(&answer);
    assert_true(body.eof);
    answer = take_answer(&body, false);
    check_error(&answer, 408, "too long");
    free_answer(&answer);
    assert_true(idle.eof);
    answer = take_answer(&idle, false);
    assert_true(answer.whole && idle.in.len == 0);
    free_answer(&answer);
    assert_false(follower.eof); /* it may wait for ever */
    assert_int_equal(feed_reader_count(world.feed), 1);
    for (int i = 0; i < 5; i++)
        hang_up(all[i]);
    close_world(&world);
}

/* The deadline of the next request begins when the answer has been taken, however long that took.
 */
static void test_deadline_after_a_slow_answer(void **state) {
    struct world world;
    (void)state;
    open_world(&world, 4 << 20);
    add_events(&world, 5000);
    struct client client = dial(&world);
    ask(&client, "/v1/events?from=oldest&follow=0");
    settle(&world, NULL);
    pass_ms(&world, 3 * HEADER_TIMEOUT_MS); /* it does not read */
    settle(&world, &client);
    assert_false(client.eof);
    struct answer answer = take_answer(&client, false);
    check_events(&world, &answer, 1, 5000);
    free_answer(&answer);
    ask(&client, "/v1/events?from=oldest&follow=0&limit=3");
    settle(&world, &client);
    answer = take_answer(&client, false);
    check_events(&world, &answer, 1, 3);
    free_answer(&answer);
    pass_ms(&world, 5 * HEADER_TIMEOUT_MS);
    settle(&world, &client);
    assert_true(client.eof);
    hang_up(&client);
    close_world(&world);
}

static void on_drained(void *context) {
    struct world *world = context;
    world->drained++;
    assert_int_equal(feed_reader_count(world->feed), 0);
}

/* Answers whose end is still on its way, in the socket's buffer or in a write in flight, when the
 * next request waits already: it is answered, and the deadline of the one after that begins. And
 * when the drain begins: they end whole. */
static void test_ends_on_their_way(void **state) {
    enum { CLIENTS = 48, STEP = 50 };
    struct client clients[CLIENTS];
    struct world world;
    (void)state;
    for (int drain = 0; drain < 2; drain++) {
        open_world(&world, 4 << 20);
        add_events(&world, CLIENTS * STEP);
        for (unsigned i = 0; i < CLIENTS; i++) {
            char target[64];
            clients[i] = dial(&world);
            snprintf(target, sizeof target, "/v1/events?from=oldest&limit=%u", (i + 1) * STEP);
            ask(&clients[i], target);
            if (!drain)
                ask(&clients[i], "/nothing");
        }
        settle(&world, NULL);
        if (drain)
            feed_drain(world.feed, on_drained, &world);
        settle_all(&world, clients, CLIENTS);
        for (unsigned i = 0; i < CLIENTS; i++) {
            struct answer answer = take_answer(&clients[i], false);
            check_events(&world, &answer, 1, (i + 1) * STEP);
            assert_true(answer.whole);
            free_answer(&answer);
            assert_int_equal(clients[i].eof, drain);
            if (drain)
                continue;
            answer = take_answer(&clients[i], false);
            check_error(&answer, 404, "path");
            free_answer(&answer);
        }
        assert_int_equal(world.drained, drain);
        if (!drain)
            pass_ms(&world, HEADER_TIMEOUT_MS);
        settle_all(&world, clients, CLIENTS);
        for (int i = 0; i < CLIENTS; i++) {
            assert_true(clients[i].eof && clients[i].in.len == 0);
            hang_up(&clients[i]);
        }
        assert_int_equal(feed_reader_count(world.feed), 0);
        close_world(&world);
    }
}

static void test_too_many_readers(void **state) {
    enum { MORE = 100 };
    struct world world;
    static struct client clients[MAX_READERS + MORE];
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    for (int i = 0; i < MAX_READERS + MORE; i++) {
        clients[i] = dial(&world);
        turn(&world);
    }
    settle(&world, NULL);
    unsigned count = feed_reader_count(world.feed);
    assert_true(count > MAX_READERS && count < MAX_READERS + MORE);
    listen_to(&clients[MAX_READERS + MORE - 1], 1);
    assert_true(clients[MAX_READERS + MORE - 1].eof);
    for (int i = MAX_READERS - 1; i < MAX_READERS + 1; i++) { /* the last, and one more */
        ask(&clients[i], "/v1/events?follow=0");
        settle(&world, &clients[i]);
        struct answer answer = take_answer(&clients[i], false);
        if (i < MAX_READERS) {
            check_events(&world, &answer, 1, 0);
        } else {
            check_error(&answer, 503, "too many readers");
            assert_true(has_field(&answer, "Retry-After: 1"));
        }
        assert_int_equal(clients[i].eof, i == MAX_READERS);
        free_answer(&answer);
    }
    for (int i = 0; i < MAX_READERS + MORE; i++)
        hang_up(&clients[i]);
    settle(&world, NULL);
    assert_int_equal(feed_reader_count(world.feed), 0);
    struct answer answer = get(&world, "/v1/events?follow=0");
    check_events(&world, &answer, 1, 0);
    free_answer(&answer);
    close_world(&world);
}

/* --- drain --------------------------------------------------------------------------- */

static void test_drain(void **state) {
    struct world world;
    (void)state;
    open_world(&world, 4 << 20);
    add_events(&world, 3000);
    struct client follower = dial(&world), plain = dial(&world), behind = dial(&world);
    struct client finite = dial(&world), idle = dial(&world), partial = dial(&world);
    struct client vanishing = dial(&world), next = dial(&world);
    struct client *all[] = {&follower, &plain,   &behind,    &finite,
                            &idle,     &partial, &vanishing, &next};
    ask(&follower, "/v1/events");
    say(&plain, "GET /v1/events HTTP/1.0\r\n\r\n");
    ask(&behind, "/v1/events?from=oldest");
    ask(&finite, "/v1/events?from=oldest&follow=0");
    ask(&idle, "/nothing");
    say(&partial, "GET /v1/ev");
    ask(&vanishing, "/v1/events?from=oldest");
    ask(&next, "/v1/events?from=oldest&follow=0");
    ask(&next, "/v1/events?from=oldest&follow=0"); /* not taken up any more */
    settle(&world, NULL);
    add_events(&world, 7); /* nobody has been told of these when the end begins */
    feed_drain(world.feed, on_drained, &world);
    feed_drain(world.feed, on_drained, &world);
    settle(&world, NULL);
    assert_int_equal(world.drained, 0);

    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", world.path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);

    hang_up(&vanishing);
    for (int i = 0; i < 8; i++)
        if (all[i] != &vanishing)
            settle(&world, all[i]);
    assert_int_equal(world.drained, 1);
    static const uint64_t firsts[] = {3001, 3001, 1, 1};
    for (int i = 0; i < 4; i++) {
        struct answer answer = take_answer(all[i], false);
        check_events(&world, &answer, firsts[i], 3007);
        assert_int_equal(answer.whole, all[i] != &plain);
        assert_true(all[i]->eof && all[i]->in.len == 0);
        free_answer(&answer);
    }
    struct answer answer = take_answer(&idle, false);
    check_error(&answer, 404, "path");
    free_answer(&answer);
    answer = take_answer(&next, false);
    check_events(&world, &answer, 1, 3007);
    assert_true(answer.whole);
    free_answer(&answer);
    for (int i = 0; i < 8; i++)
        if (all[i] != &vanishing) {
            assert_true(all[i]->eof && all[i]->in.len == 0);
            hang_up(all[i]);
        }
    settle(&world, NULL);
    assert_int_equal(world.drained, 1);
    close_world(&world);
}

static void test_drain_of_none(void **state) {
    struct world world;
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    feed_drain(world.feed, on_drained, &world);
    assert_int_equal(world.drained, 1);
    close_world(&world);
}

/* Closed in the middle of everything, drain included: on_done is not called any more. */
static void test_close_at_once(void **state) {
    struct world world;
    struct client clients[6];
    (void)state;
    open_world(&world, 4 << 20);
    add_events(&world, 5000);
    for (int i = 0; i < 6; i++) {
        clients[i] = dial(&world);
        if (i % 3)
            ask(&clients[i], i % 3 == 1 ? "/v1/events" : "/v1/events?from=oldest");
    }
    settle(&world, NULL);
    feed_drain(world.feed, on_drained, &world);
    feed_close(world.feed);
    feed_close(world.feed);
    settle(&world, NULL);
    assert_true(feed_is_closed(world.feed));
    assert_int_equal(world.drained, 0);
    for (int i = 0; i < 6; i++) {
        listen_to(&clients[i], SIZE_MAX);
        assert_true(clients[i].eof);
        hang_up(&clients[i]);
    }
    close_world(&world);
}

/* --- the socket file ----------------------------------------------------------------- */

static void leave_stale_socket(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    close(fd);
}

static ino_t inode_of(const char *path) {
    struct stat found;
    return lstat(path, &found) ? 0 : found.st_ino;
}

static void test_takeover(void **state) {
    struct world world;
    struct feed *other = NULL;
    (void)state;
    make_place(&world, RING_MIN_BYTES);
    leave_stale_socket(world.path);
    assert_int_equal(try_feed(&world, &world.feed, world.path, 0600, NULL), FEED_OK);
    struct answer answer = get(&world, "/v1/events?follow=0");
    assert_int_equal(answer.status, 200);
    free_answer(&answer);
    /* A live one stays what and whose it is. */
    ino_t inode = inode_of(world.path);
    assert_int_equal(try_feed(&world, &other, world.path, 0600, NULL), FEED_SOCKET_LIVE);
    assert_null(other);
    assert_int_equal(inode_of(world.path), inode);
    settle(&world, NULL); /* the visit leaves no reader behind */
    assert_int_equal(feed_reader_count(world.feed), 0);
    answer = get(&world, "/v1/events?follow=0");
    assert_int_equal(answer.status, 200);
    free_answer(&answer);
    /* When the name has become another's, our end does not touch it. */
    assert_int_equal(unlink(world.path), 0);
    assert_int_equal(try_feed(&world, &other, world.path, 0600, NULL), FEED_OK);
    inode = inode_of(world.path);
    end_feed(&world, world.feed);
    world.feed = other;
    assert_int_equal(inode_of(world.path), inode);
    answer = get(&world, "/v1/events?follow=0");
    assert_int_equal(answer.status, 200);
    free_answer(&answer);
    end_feed(&world, world.feed);
    world.feed = NULL;
    assert_int_equal(inode_of(world.path), 0);
    close_world(&world);
}

/* A live socket whose backlog is full refuses connections, too, and is not taken over. */
static void test_live_with_a_full_backlog(void **state) {
    struct world world;
    struct feed *feed = NULL;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fds[16], count = 0, listener = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)state;
    make_place(&world, RING_MIN_BYTES);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", world.path);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    do {
        fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        assert_true(count < 15);
    } while (connect(fds[count++], (struct sockaddr *)&address, sizeof address) == 0);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(try_feed(&world, &feed, world.path, 0600, NULL), FEED_SOCKET_LIVE);
    assert_true(inode_of(world.path) != 0);
    while (count)
        close(fds[--count]);
    close(listener);
    unlink(world.path);
    close_world(&world);
}

static void test_other_things_at_the_path(void **state) {
    struct world world;
    struct feed *feed = NULL;
    char path[256], target[128];
    (void)state;
    open_world(&world, RING_MIN_BYTES); /* so that the loop has what it keeps open */
    end_feed(&world, world.feed);
    world.feed = NULL;
    unsigned before = open_descriptors();
    int fd = open(world.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "precious", 8), 8);
    close(fd);
    assert_int_equal(try_feed(&world, &feed, world.path, 0600, NULL), -EEXIST);
    struct stat found;
    assert_int_equal(stat(world.path, &found), 0);
    assert_int_equal(found.st_size, 8);
    /* Nor is what a symbolic link points to anything of ours. */
    snprintf(target, sizeof target, "%s/link", world.directory);
    assert_int_equal(symlink(world.path, target), 0);
    assert_int_equal(try_feed(&world, &feed, target, 0600, NULL), -EEXIST);
    unlink(target);
    unlink(world.path);
    assert_int_equal(try_feed(&world, &feed, world.directory, 0600, NULL), -EEXIST);
    snprintf(path, sizeof path, "%s/no/sock", world.directory);
    assert_int_equal(try_feed(&world, &feed, path, 0600, NULL), -ENOENT);
    assert_int_equal(try_feed(&world, &feed, "", 0600, NULL), -EINVAL);
    /* No such group: nothing is left behind. */
    assert_int_equal(try_feed(&world, &feed, world.path, 0600, "no-such-group-here"), -ENOENT);
    assert_int_equal(inode_of(world.path), 0);
    assert_null(feed);
    /* The longest path that a socket can have, and one byte more. */
    size_t room = sizeof((struct sockaddr_un *)0)->sun_path;
    snprintf(path, sizeof path, "%s/", world.directory);
    memset(path + strlen(path), 'x', sizeof path - strlen(path));
    path[room] = 0;
    assert_int_equal(try_feed(&world, &feed, path, 0600, NULL), -ENAMETOOLONG);
    path[room - 1] = 0;
    assert_int_equal(try_feed(&world, &feed, path, 0600, NULL), FEED_OK);
    assert_true(inode_of(path) != 0);
    end_feed(&world, feed);
    assert_int_equal(inode_of(path), 0);
    assert_int_equal(open_descriptors(), before);
    close_world(&world);
}

static void test_rights(void **state) {
    static const unsigned modes[] = {0600, 0660, 0666, 0000, 0777};
    static const mode_t umasks[] = {0, 022, 077, 0777};
    (void)state;
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
        for (size_t u = 0; u < sizeof umasks / sizeof *umasks; u++) {
            struct world world;
            struct stat found;
            const struct group *group = getgrgid(getegid());
            make_place(&world, RING_MIN_BYTES);
            mode_t before = umask(umasks[u]);
            int rc = try_feed(&world, &world.feed, world.path, modes[m],
                              group && m % 2 ? group->gr_name : "");
            mode_t now = umask(before);
            assert_int_equal(rc, FEED_OK);
            assert_int_equal(now, umasks[u]);
            assert_int_equal(lstat(world.path, &found), 0);
            assert_int_equal(found.st_mode & 07777, modes[m]);
            assert_int_equal(found.st_gid, getegid());
            close_world(&world);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer_to_1_1),
        cmocka_unit_test(test_answer_to_1_0),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_head_of_an_empty_stream_comes_at_once),
        cmocka_unit_test(test_follow),
        cmocka_unit_test(test_live_edge_is_exact),
        cmocka_unit_test(test_gap_for_slow_readers),
        cmocka_unit_test(test_gaps_for_a_hesitant_reader),
        cmocka_unit_test(test_catching_up_is_shared_out),
        cmocka_unit_test(test_large_lines),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_other_paths_and_methods),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_resume_after_every_seq),
        cmocka_unit_test(test_cursors_of_elsewhere),
        cmocka_unit_test(test_requests_cut_at_every_byte),
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_half_closed_readers),
        cmocka_unit_test(test_200_vanish),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_deadline_after_a_slow_answer),
        cmocka_unit_test(test_ends_on_their_way),
        cmocka_unit_test(test_too_many_readers),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_drain_of_none),
        cmocka_unit_test(test_close_at_once),
        cmocka_unit_test(test_takeover),
        cmocka_unit_test(test_live_with_a_full_backlog),
        cmocka_unit_test(test_other_things_at_the_path),
        cmocka_unit_test(test_rights),
    };
    signal(SIGPIPE, SIG_IGN); /* as the node does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
