/* The Unix socket: peers that vanish, deadlines, too many readers, and the drain. */
#include "feed_harness.h"

#include <signal.h>

/* --- the end of a peer ------------------------------------------------------------ */

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

/* --- drain ------------------------------------------------------------------------ */

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_closed_readers),
        cmocka_unit_test(test_200_vanish),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_deadline_after_a_slow_answer),
        cmocka_unit_test(test_ends_on_their_way),
        cmocka_unit_test(test_too_many_readers),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_drain_of_none),
        cmocka_unit_test(test_close_at_once),
    };
    signal(SIGPIPE, SIG_IGN); /* as the node does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
