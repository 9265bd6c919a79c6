/* A loop, a ring and a feed in one process, and clients whose every byte is looked at: what the
 * tests of the Unix socket share. Nothing sleeps: a turn of the loop does all that there is to do,
 * and deadlines pass because the wheel is told so. */
#ifndef ROLLCALL_TEST_FEED_HARNESS_H
#define ROLLCALL_TEST_FEED_HARNESS_H

#pragma GCC diagnostic ignored "-Wunused-function" /* no test uses all of it */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "feed.h"
#include "util/buf.h"

enum { HEADER_TIMEOUT_MS = 10000, MAX_READERS = 250 };

struct world {
    uv_loop_t loop;
    struct wheel wheel;
    struct ring *ring;
    struct feed *feed;
    char directory[64], path[96];
    uint64_t ahead_ms; /* of the wheel's clock */
    unsigned drained;
};

static unsigned open_descriptors(void) {
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static int try_feed(struct world *world, struct feed **feed, const char *path, unsigned mode,
                    const char *group) {
    struct feed_options options = {.path = path,
                                   .mode = mode,
                                   .group = group,
                                   .max_readers = MAX_READERS,
                                   .header_timeout_ms = HEADER_TIMEOUT_MS};
    return feed_new(feed, &world->loop, world->ring, &world->wheel, &options);
}

static void make_place(struct world *world, size_t ring_bytes) {
    *world = (struct world){0};
    snprintf(world->directory, sizeof world->directory, "/tmp/rollcall-feed-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    snprintf(world->path, sizeof world->path, "%s/sock", world->directory);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    wheel_init(&world->wheel, uv_now(&world->loop));
    assert_int_equal(ring_new(&world->ring, ring_bytes), 0);
}

static void open_world(struct world *world, size_t ring_bytes) {
    make_place(world, ring_bytes);
    assert_int_equal(try_feed(world, &world->feed, world->path, 0600, NULL), FEED_OK);
}

static void end_feed(struct world *world, struct feed *feed) {
    feed_close(feed);
    for (int i = 0; i < 100 && !feed_is_closed(feed); i++)
        uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_true(feed_is_closed(feed));
    feed_free(feed);
}

static void close_world(struct world *world) {
    if (world->feed)
        end_feed(world, world->feed);
    ring_free(world->ring);
    uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    assert_int_equal(rmdir(world->directory), 0); /* so nothing of ours is left in it */
}

/* One turn of the server's loop. */
static void turn(struct world *world) {
    uv_run(&world->loop, UV_RUN_NOWAIT);
    if (world->feed)
        feed_wake(world->feed);
}

/* The wheel is told that it is later than it is: every deadline that is nearer passes. (Those armed
 * after that are reckoned from the true time, so they pass all the sooner.) */
static void pass_ms(struct world *world, uint64_t ms) {
    uv_update_time(&world->loop);
    world->ahead_ms += ms + WHEEL_TICK_MS;
    wheel_advance(&world->wheel, uv_now(&world->loop) + world->ahead_ms, UINT_MAX);
    turn(world);
}

/* --- events -------------------------------------------------------------------------- */

/* The line of a seq is known from the seq alone. */
static size_t make_line(uint64_t seq, char *dst, size_t size) {
    size_t pad = seq * 37 % 300;
    int len = snprintf(dst, size, "{\"seq\":%llu,\"pad\":\"%*s\"}\n", (unsigned long long)seq,
                       (int)pad, "");
    return (size_t)len;
}

static void push_event(struct world *world) {
    char text[512], *line;
    size_t len = make_line(ring_next_seq(world->ring), text, sizeof text);
    assert_int_equal(ring_reserve(world->ring, len + 100, &line), RING_OK);
    memcpy(line, text, len);
    ring_push(world->ring, &(struct ring_record){.line_len = (uint32_t)len});
}

static void add_events(struct world *world, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        push_event(world);
        ring_commit(world->ring);
    }
}

static uint64_t newest(const struct world *world) {
    return ring_newest(world->ring).seq - 1;
}

/* The same numbers each time. */
static uint64_t random_state = 88172645463325252U;

static unsigned random_below(unsigned bound) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state % bound);
}

static const char *cursor_of(const struct world *world, uint64_t seq) {
    static char text[RING_CURSOR_MAX];
    ring_format_cursor(world->ring, seq, text);
    return text;
}

/* --- clients ------------------------------------------------------------------------- */

struct client {
    int fd;
    struct buf in;
    bool eof; /* or reset: nothing more will come */
};

static struct client dial(struct world *world) {
    struct client client = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", world->path);
    assert_true(client.fd >= 0);
    assert_int_equal(connect(client.fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(fcntl(client.fd, F_SETFL, O_NONBLOCK), 0);
    return client;
}

static void hang_up(struct client *client) {
    close(client->fd);
    buf_deinit(&client->in);
}

static void say_bytes(struct client *client, const char *bytes, size_t len) {
    assert_int_equal(send(client->fd, bytes, len, MSG_NOSIGNAL), len);
}

__attribute__((format(printf, 2, 3))) static void say(struct client *client, const char *format,
                                                      ...) {
    char text[2048];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_true(len > 0 && (size_t)len < sizeof text);
    say_bytes(client, text, (size_t)len);
}

static void ask(struct client *client, const char *target) {
    say(client, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
}

/* Takes at most max bytes of what has come. Returns how many. */
static size_t listen_to(struct client *client, size_t max) {
    static char chunk[65536];
    size_t taken = 0;
    while (!client->eof && taken < max) {
        size_t want = max - taken < sizeof chunk ? max - taken : sizeof chunk;
        ssize_t len = recv(client->fd, chunk, want, 0);
        if (len < 0 && errno == EAGAIN)
            break;
        if (len <= 0) {
            client->eof = true;
            break;
        }
        assert_int_equal(buf_append(&client->in, chunk, (size_t)len), 0);
        taken += (size_t)len;
    }
    return taken;
}

/* Turns, and what comes is taken, until nothing comes any more. A Unix socket has no delays, and a
 * reader that is behind is served each turn, so some quiet turns are the end. */
static void settle(struct world *world, struct client *client) {
    for (int quiet = 0; quiet < 4; quiet++) {
        turn(world);
        if (client && listen_to(client, SIZE_MAX))
            quiet = 0;
    }
}

static void settle_all(struct world *world, struct client *clients, size_t count) {
    for (int quiet = 0; quiet < 4; quiet++) {
        turn(world);
        for (size_t i = 0; i < count; i++)
            if (listen_to(&clients[i], SIZE_MAX))
                quiet = 0;
    }
}

/* --- answers ------------------------------------------------------------------------- */

struct answer {
    int status;
    struct span head;
    struct buf body; /* decoded */
    bool whole;      /* its end was marked, not only reached */
    bool chunked;
};

static bool has_field(const struct answer *answer, const char *field) {
    char text[256];
    snprintf(text, sizeof text, "\r\n%s\r\n", field);
    return memmem(answer->head.ptr, answer->head.len, text, strlen(text)) != NULL;
}

/* As many whole chunks as there are. Returns the bytes used. */
static size_t unchunk(struct answer *answer, const char *data, size_t len) {
    size_t used = 0;
    while (!answer->whole) {
        char *end;
        const char *line_end = memmem(data + used, len - used, "\r\n", 2);
        if (!line_end)
            break;
        size_t size = strtoul(data + used, &end, 16);
        assert_true(end == line_end && end > data + used);
        size_t chunk = (size_t)(line_end + 2 - data);
        if (len - chunk < size + 2)
            break;
        assert_memory_equal(data + chunk + size, "\r\n", 2);
        assert_int_equal(buf_append(&answer->body, data + chunk, size), 0);
        used = chunk + size + 2;
        answer->whole = size == 0;
    }
    return used;
}

/* Takes the first answer that the client has got; head: it answers HEAD. */
static struct answer take_answer(struct client *client, bool head) {
    struct answer answer = {0};
    assert_int_equal(buf_append(&client->in, "", 1), 0); /* strtoul and strstr end here */
    client->in.len--;
    const char *data = client->in.ptr, *end = strstr(data, "\r\n\r\n");
    if (!end)
        fail_msg("no whole head in '%.100s'", data);
    assert_memory_equal(data, "HTTP/1.1 ", 9);
    answer.status = atoi(data + 9);
    static char head_copy[4096]; /* of the last answer taken */
    size_t used = (size_t)(end + 4 - data);
    assert_true(used < sizeof head_copy);
    memcpy(head_copy, data, used);
    answer.head = span_from(head_copy, used);
    answer.chunked = has_field(&answer, "Transfer-Encoding: chunked");
    const char *length = memmem(data, used, "\r\nContent-Length: ", 18);
    if (head) {
        answer.whole = true;
    } else if (answer.chunked) {
        assert_null(length);
        used += unchunk(&answer, data + used, client->in.len - used);
    } else {
        size_t len = length ? strtoul(length + 18, NULL, 10) : client->in.len - used;
        assert_true(client->in.len - used >= len);
        assert_int_equal(buf_append(&answer.body, data + used, len), 0);
        answer.whole = length != NULL;
        used += len;
    }
    buf_consume(&client->in, used);
    return answer;
}

static void free_answer(struct answer *answer) {
    buf_deinit(&answer->body);
}

/* What a reader has been told: every line exactly that of its seq, each the last one's successor,
 * or a gap between them that says so. */
struct told {
    uint64_t last; /* seq of the last line */
    uint64_t events, gaps, lost;
};

static bool is_gap(const struct world *world, const char *line, size_t len, struct told *told) {
    char after[64], next[64], lost[24], reason[24], text[256];
    if (len >= sizeof text || strncmp(line, "{\"gap\"", 6))
        return false;
    snprintf(text, sizeof text, "%.*s", (int)len, line);
    assert_int_equal(
        sscanf(text,
               "{\"gap\":{\"after\":\"%63[^\"]\",\"next\":\"%63[^\"]\",\"lost\":%23[^,]"
               ",\"reason\":\"%23[^\"]\"}}\n",
               after, next, lost, reason),
        4);
    assert_string_equal(reason, "overrun");
    assert_string_equal(after, cursor_of(world, told->last));
    uint64_t next_seq = 0;
    assert_int_equal(ring_parse_cursor(world->ring, span_from_string(next), &next_seq),
                     RING_CURSOR_OURS);
    assert_true(next_seq > told->last + 1);
    assert_int_equal(strtoull(lost, NULL, 10), next_seq - told->last - 1);
    told->lost += next_seq - told->last - 1;
    told->last = next_seq - 1;
    told->gaps++;
    return true;
}

/* Reads on in what one has been told so far. Every byte of the body is part of a whole line. */
static void read_lines(const struct world *world, const struct buf *body, struct told *told) {
    const char *line = body->ptr, *end = body->ptr + body->len;
    while (body->len && line < end) {
        char expected[512];
        const char *line_end = memchr(line, '\n', (size_t)(end - line));
        assert_non_null(line_end);
        size_t len = (size_t)(line_end + 1 - line);
        if (!is_gap(world, line, len, told)) {
            size_t expected_len = make_line(++told->last, expected, sizeof expected);
            if (len != expected_len || memcmp(line, expected, len))
                fail_msg("not seq %llu: %.*s", (unsigned long long)told->last, (int)len, line);
            told->events++;
        }
        line += len;
    }
}

/* An answer that holds the events from one to another, and no gap. */
static void check_events(const struct world *world, const struct answer *answer, uint64_t from,
                         uint64_t to) {
    struct told told = {.last = from - 1};
    assert_int_equal(answer->status, 200);
    read_lines(world, &answer->body, &told);
    assert_int_equal(told.gaps, 0);
    assert_int_equal(told.last, to);
}

static void check_error(const struct answer *answer, int status, const char *about) {
    if (answer->status != status || !answer->body.len ||
        !memmem(answer->body.ptr, answer->body.len, about, strlen(about)))
        fail_msg("%d '%.*s', not %d about '%s'", answer->status, (int)answer->body.len,
                 answer->body.ptr, status, about);
    assert_memory_equal(answer->body.ptr, "{\"error\":\"", 10);
    assert_memory_equal(answer->body.ptr + answer->body.len - 3, "\"}\n", 3);
    assert_true(has_field(answer, "Content-Type: application/json"));
}

/* Asks on a connection of its own and takes the answer. */
static struct answer get(struct world *world, const char *target) {
    struct client client = dial(world);
    ask(&client, target);
    settle(world, &client);
    struct answer answer = take_answer(&client, false);
    assert_int_equal(client.in.len, 0);
    hang_up(&client);
    settle(world, NULL);
    return answer;
}

#endif
