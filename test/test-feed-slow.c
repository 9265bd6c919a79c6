/* The Unix socket: readers that are slow or have much to get, and how the turns are shared out. */
#include "feed_harness.h"

#include <signal.h>

/* --- slow readers ----------------------------------------------------------------- */

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

/* One that does not read until its socket takes no heartbeat any more. One is on its way when the
 * last events come: the connection ends behind these, not behind the heartbeat. */
static void test_the_end_comes_behind_a_heartbeat(void **state) {
    enum { BEATS = 1000, EVENTS = 3 };
    struct world world;
    char line[512];
    (void)state;
    open_world(&world, RING_MIN_BYTES);
    struct client client = dial(&world);
    say(&client,
        "GET /v1/events?heartbeat=1&limit=%d HTTP/1.1\r\nHost: x\r\n"
        "Connection: close\r\n\r\n",
        EVENTS);
    settle(&world, NULL);
    for (int i = 0; i < BEATS; i++)
        pass_ms(&world, 1000);
    add_events(&world, EVENTS);
    settle(&world, NULL);
    settle(&world, &client);
    struct answer answer = take_answer(&client, false);
    assert_true(answer.whole && client.eof);
    size_t beats = 0, len = make_line(EVENTS, line, sizeof line);
    while (beats < answer.body.len && answer.body.ptr[beats] == '\n')
        beats++;
    assert_true(beats > 0 && beats < BEATS); /* the socket was full */
    assert_memory_equal(answer.body.ptr + answer.body.len - len, line, len);
    free_answer(&answer);
    hang_up(&client);
    close_world(&world);
}

/* --- shares of a turn ---------------------------------------------------------------- */

/* An event of a kind, of which no line is looked at. */
static void push_kind(struct world *world, const char *kind) {
    char text[128], *line;
    int len = snprintf(text, sizeof text, "{\"seq\":%llu,\"kind\":\"%s\"}\n",
                       (unsigned long long)ring_next_seq(world->ring), kind);
    assert_int_equal(ring_reserve(world->ring, sizeof text, &line), RING_OK);
    memcpy(line, text, (size_t)len);
    ring_push(world->ring,
              &(struct ring_record){.line_len = (uint32_t)len,
                                    .kind_offset = (uint16_t)(strstr(text, "d\":\"") + 4 - text),
                                    .kind_len = (uint16_t)strlen(kind)});
    ring_commit(world->ring);
}

/* Many readers that pass by nearly everything send nothing meanwhile, but they take time: a turn is
 * so many looked at, whoever looks, so that one at the live edge gets its events between. */
static void test_passing_by_is_shared_out(void **state) {
    enum { READERS = 40, EVENTS = 60000, MOST_A_TURN = 20000 };
    struct world world;
    struct client clients[READERS], live;
    unsigned turns = 0;
    (void)state;
    open_world(&world, 16 << 20);
    for (int i = 0; i < EVENTS; i++)
        push_kind(&world, "a");
    live = dial(&world);
    ask(&live, "/v1/events?kind=c");
    settle(&world, &live);
    live.in.len = 0;
    push_kind(&world, "b");
    for (int i = 0; i < READERS; i++) {
        clients[i] = dial(&world);
        ask(&clients[i], "/v1/events?from=oldest&kind=b&limit=1");
    }
    for (unsigned ended = 0; ended < READERS; turns++) {
        push_kind(&world, "c");
        turn(&world);
        assert_true(listen_to(&live, SIZE_MAX) > 0); /* in the very same turn */
        ended = 0;
        for (int i = 0; i < READERS; i++) {
            listen_to(&clients[i], SIZE_MAX);
            ended +=
                clients[i].in.len && memmem(clients[i].in.ptr, clients[i].in.len, "\r\n0\r\n", 5);
        }
        assert_true(turns < READERS * EVENTS);
    }
    assert_true(turns > (unsigned)READERS * EVENTS / MOST_A_TURN);
    for (int i = 0; i < READERS; i++) {
        struct answer answer = take_answer(&clients[i], false);
        assert_true(answer.whole);
        assert_int_equal(strtoul(answer.body.ptr + strlen("{\"seq\":"), NULL, 10), EVENTS + 1);
        free_answer(&answer);
        hang_up(&clients[i]);
    }
    hang_up(&live);
    close_world(&world);
}

/* Many that come in the same turn do not get their first lines all in that turn. */
static void test_many_at_once_are_shared_out(void **state) {
    enum { READERS = 100, MOST_A_TURN = 2 << 20 };
    struct world world;
    static struct client clients[READERS];
    (void)state;
    open_world(&world, 1 << 18);
    add_events(&world, 2000);
    uint64_t oldest = ring_oldest(world.ring).seq;
    for (int i = 0; i < READERS; i++) {
        clients[i] = dial(&world);
        ask(&clients[i], "/v1/events?from=oldest&follow=0");
    }
    for (int quiet = 0; quiet < 4; quiet++) {
        size_t taken = 0;
        turn(&world);
        for (int i = 0; i < READERS; i++)
            taken += listen_to(&clients[i], SIZE_MAX);
        assert_true(taken <= MOST_A_TURN);
        if (taken)
            quiet = 0;
    }
    for (int i = 0; i < READERS; i++) {
        struct answer answer = take_answer(&clients[i], false);
        assert_true(answer.whole);
        check_events(&world, &answer, oldest, 2000);
        free_answer(&answer);
        hang_up(&clients[i]);
    }
    close_world(&world);
}

/* A large batch for many that are at the live edge: one turn does not send it to all of them. */
static void test_a_large_batch_is_shared_out(void **state) {
    enum { READERS = 100, EVENTS = 4000, MOST_A_TURN = 5 << 20 };
    struct world world;
    static struct client clients[READERS];
    size_t taken = 0;
    (void)state;
    open_world(&world, 16 << 20);
    for (int i = 0; i < READERS; i++) {
        clients[i] = dial(&world);
        ask(&clients[i], "/v1/events");
    }
    settle_all(&world, clients, READERS);
    for (int i = 0; i < EVENTS; i++)
        push_event(&world);
    ring_commit(world.ring);
    feed_wake(world.feed);
    for (int i = 0; i < READERS; i++)
        taken += listen_to(&clients[i], SIZE_MAX);
    assert_true(taken > 0 && taken <= MOST_A_TURN);
    settle_all(&world, clients, READERS);
    for (int i = 0; i < READERS; i++) {
        struct answer answer = take_answer(&clients[i], false);
        check_events(&world, &answer, 1, EVENTS);
        free_answer(&answer);
        hang_up(&clients[i]);
    }
    close_world(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gap_for_slow_readers),
        cmocka_unit_test(test_gaps_for_a_hesitant_reader),
        cmocka_unit_test(test_catching_up_is_shared_out),
        cmocka_unit_test(test_large_lines),
        cmocka_unit_test(test_the_end_comes_behind_a_heartbeat),
        cmocka_unit_test(test_passing_by_is_shared_out),
        cmocka_unit_test(test_many_at_once_are_shared_out),
        cmocka_unit_test(test_a_large_batch_is_shared_out),
    };
    signal(SIGPIPE, SIG_IGN); /* as the node does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
