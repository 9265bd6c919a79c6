/* The Unix socket: whole answers, the live edge, limits, and cursors. */
#include "feed_harness.h"

#include <signal.h>

/* --- whole answers ---------------------------------------------------------------- */

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

/* --- the live edge ---------------------------------------------------------------- */

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

/* --- limit ------------------------------------------------------------------------ */

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

/* --- cursors ---------------------------------------------------------------------- */

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer_to_1_1),
        cmocka_unit_test(test_answer_to_1_0),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_head_of_an_empty_stream_comes_at_once),
        cmocka_unit_test(test_follow),
        cmocka_unit_test(test_live_edge_is_exact),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_resume_after_every_seq),
        cmocka_unit_test(test_cursors_of_elsewhere),
    };
    signal(SIGPIPE, SIG_IGN); /* as the node does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
