/* The stream against a model: random steps of appends, laps of the ring, aborted batches, readers
 * that come with any cursor, filter and limit, dawdle, resume and go. What each of them is told is
 * compared with the plain list of all events, of which the model knows everything by number. The
 * number of steps may be given as an argument. */
#include "feed_harness.h"

enum {
    CLIENTS = 8,
    RING_BYTES = RING_MIN_BYTES,
#ifdef __SANITIZE_ADDRESS__
    STEPS = 100000,
#else
    STEPS = 1000000,
#endif
};

static unsigned long steps = STEPS;
static uint64_t chance = 88172645463325252; /* xorshift64: the same steps each time */

static unsigned pick(unsigned below) {
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (unsigned)(chance >> 33) % below;
}

/* --- the model ----------------------------------------------------------------------- */

static char kind_of(uint64_t seq) {
    return (char)('a' + seq * 2654435761U / 7 % 3);
}

/* One of five, or none. */
static uint64_t mac_of(uint64_t seq) {
    unsigned i = (unsigned)(seq * 2246822519U / 11 % 6);
    return i == 5 ? UINT64_MAX : 0xdcac3da50600U + i;
}

static size_t model_line(uint64_t seq, char *dst, size_t size) {
    return (size_t)snprintf(dst, size, "{\"seq\":%llu,\"kind\":\"%c\",\"pad\":\"%*s\"}\n",
                            (unsigned long long)seq, kind_of(seq), (int)(seq * 37 % 200), "");
}

/* What a reader has asked for, and how far it has been told. */
struct watcher {
    struct client client;
    bool connected, has_head, ended, follow;
    char kinds[4];       /* those it wants; "": all */
    uint64_t mac;        /* likewise; 0: any */
    char after[64];      /* that it came with; "": none */
    bool foreign, ahead; /* of another ring; of an event that is not there */
    bool first;          /* nothing was told yet */
    uint64_t next;       /* what comes next, wanted or not */
    uint64_t at_request; /* the newest event then */
    uint64_t left;       /* of limit */
};

static struct world world;
static struct watcher watchers[CLIENTS];
static unsigned long told_events, told_gaps, told_malformed, resumed;

static bool wants(const struct watcher *watcher, uint64_t seq) {
    return (!watcher->kinds[0] || strchr(watcher->kinds, kind_of(seq))) &&
           (!watcher->mac || watcher->mac == mac_of(seq));
}

static void append_batch(void) {
    unsigned count = 1 + pick(4);
    for (unsigned i = 0; i < count; i++) {
        char text[512], *line;
        size_t len = model_line(ring_next_seq(world.ring), text, sizeof text);
        assert_int_equal(ring_reserve(world.ring, len + 50, &line), RING_OK);
        memcpy(line, text, len);
        const char *kind = strstr(text, "\"kind\":\"") + 8;
        ring_push(world.ring, &(struct ring_record){.line_len = (uint32_t)len,
                                                    .client_mac = mac_of(ring_next_seq(world.ring)),
                                                    .kind_offset = (uint16_t)(kind - text),
                                                    .kind_len = 1});
    }
    if (pick(10))
        ring_commit(world.ring);
    else
        ring_abort(world.ring);
}

/* --- what a reader is told ----------------------------------------------------------- */

static void check_gap(struct watcher *watcher, const char *line) {
    char after[64], next[64], lost[24], reason[24];
    assert_int_equal(
        sscanf(line,
               "{\"gap\":{\"after\":\"%63[^\"]\",\"next\":\"%63[^\"]\",\"lost\":%23[^,],"
               "\"reason\":\"%23[^\"]\"}}",
               after, next, lost, reason),
        4);
    uint64_t seq = strtoull(strchr(next, '-') + 1, NULL, 10);
    assert_memory_equal(next, ring_id(world.ring), RING_ID_BYTES);
    told_gaps++;
    if (watcher->first && watcher->foreign) {
        assert_string_equal(reason, "restart");
        assert_string_equal(lost, "null");
        assert_string_equal(after, watcher->after);
    } else if (watcher->first && watcher->ahead) {
        assert_string_equal(reason, "unknown-cursor");
        assert_string_equal(lost, "0");
        assert_string_equal(after, watcher->after);
        assert_int_equal(seq, watcher->at_request + 1);
    } else {
        /* What it did not want it has passed by without a word. */
        uint64_t passed = strtoull(strchr(after, '-') + 1, NULL, 10);
        assert_string_equal(reason, "overrun");
        assert_memory_equal(after, ring_id(world.ring), RING_ID_BYTES);
        assert_true(passed + 1 >= watcher->next);
        for (uint64_t unwanted = watcher->next; unwanted <= passed; unwanted++)
            assert_false(wants(watcher, unwanted));
        assert_true(seq > passed + 1 && seq <= ring_oldest(world.ring).seq);
        assert_int_equal(strtoull(lost, NULL, 10), seq - passed - 1);
    }
    watcher->next = seq;
}

static void check_event(struct watcher *watcher, const char *line, size_t len) {
    char expected[512];
    uint64_t seq = strtoull(line + 7, NULL, 10);
    assert_false(watcher->first && (watcher->foreign || watcher->ahead)); /* a gap stands first */
    assert_true(seq >= watcher->next && seq <= newest(&world));
    for (uint64_t skipped = watcher->next; skipped < seq; skipped++)
        assert_false(wants(watcher, skipped));
    assert_true(wants(watcher, seq));
    assert_int_equal(len, model_line(seq, expected, sizeof expected));
    assert_memory_equal(line, expected, len);
    assert_true(watcher->left > 0);
    watcher->left--;
    watcher->next = seq + 1;
    told_events++;
}

/* The head's cursor is where the model says that the stream begins. */
static bool check_head(struct watcher *watcher) {
    struct buf *in = &watcher->client.in;
    char *end = in->len ? memmem(in->ptr, in->len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return false;
    assert_memory_equal(in->ptr, "HTTP/1.1 200 ", 13);
    const char *cursor = memmem(in->ptr, in->len, "Rollcall-Cursor: ", 17);
    assert_non_null(cursor);
    if (!watcher->foreign && !watcher->ahead)
        assert_int_equal(strtoull(cursor + 17 + RING_ID_BYTES + 1, NULL, 10), watcher->next - 1);
    buf_consume(in, (size_t)(end + 4 - in->ptr));
    watcher->has_head = true;
    return true;
}

static void check_lines(struct watcher *watcher) {
    struct buf *in = &watcher->client.in;
    size_t used = 0;
    char *end;
    if (!watcher->has_head && !check_head(watcher))
        return;
    while (in->len > used && (end = memchr(in->ptr + used, '\n', in->len - used))) {
        char *line = in->ptr + used;
        size_t len = (size_t)(end + 1 - line);
        if (line[2] == 'g') {
            *end = 0; /* sscanf reads to the end of a string */
            check_gap(watcher, line);
        } else {
            check_event(watcher, line, len);
        }
        watcher->first = false;
        used += len;
    }
    buf_consume(in, used);
}

/* Everything that there is has been told, and a stream that had to end has ended. */
static void check_quiet(struct watcher *watcher) {
    settle(&world, &watcher->client);
    check_lines(watcher);
    assert_true(watcher->has_head);
    assert_false(watcher->first && (watcher->foreign || watcher->ahead));
    assert_int_equal(watcher->client.in.len, 0);
    uint64_t last = watcher->follow ? newest(&world) : watcher->at_request;
    if (watcher->left)
        for (uint64_t seq = watcher->next; seq <= last; seq++)
            assert_false(wants(watcher, seq));
    assert_int_equal(watcher->client.eof, !watcher->follow || !watcher->left);
    watcher->ended = watcher->client.eof;
}

/* --- steps --------------------------------------------------------------------------- */

static void leave(struct watcher *watcher) {
    if (watcher->connected)
        hang_up(&watcher->client);
    watcher->connected = false;
}

/* A cursor somewhere around the ring, or of another one. */
static void choose_cursor(struct watcher *watcher) {
    uint64_t low = ring_oldest(world.ring).seq, high = newest(&world);
    uint64_t seq = low > 20 ? low - 20 : 0;
    seq += pick((unsigned)(high + 5 - seq));
    watcher->foreign = pick(20) == 0;
    watcher->ahead = !watcher->foreign && seq > high;
    watcher->next = watcher->foreign ? low : watcher->ahead ? high + 1 : seq + 1;
    if (watcher->foreign)
        snprintf(watcher->after, sizeof watcher->after, "0123456789abcdef-%llu",
                 (unsigned long long)seq);
    else
        snprintf(watcher->after, sizeof watcher->after, "%s", cursor_of(&world, seq));
}

static void come(struct watcher *watcher, const char *resume) {
    char target[256], part[64];
    *watcher = (struct watcher){.connected = true, .first = true, .left = UINT64_MAX};
    watcher->at_request = newest(&world);
    watcher->follow = pick(4) > 0;
    int len = snprintf(target, sizeof target, "/v1/events?follow=%d", watcher->follow);
    if (resume) {
        uint64_t seq = strtoull(resume, NULL, 10);
        snprintf(watcher->after, sizeof watcher->after, "%s", cursor_of(&world, seq));
        watcher->next = seq + 1;
        resumed++;
    } else if (pick(3) == 0) {
        bool oldest = pick(2);
        watcher->next = oldest ? ring_oldest(world.ring).seq : watcher->at_request + 1;
        len += snprintf(target + len, sizeof target - (size_t)len, "&from=%s",
                        oldest ? "oldest" : "now");
    } else {
        choose_cursor(watcher);
    }
    if (watcher->after[0])
        len += snprintf(target + len, sizeof target - (size_t)len, "&after=%s", watcher->after);
    if (pick(3) == 0) {
        watcher->left = 1 + pick(40);
        len += snprintf(target + len, sizeof target - (size_t)len, "&limit=%llu",
                        (unsigned long long)watcher->left);
    }
    for (unsigned i = pick(3); i > 0; i--) {
        part[0] = (char)('a' + pick(3));
        part[1] = 0;
        strcat(watcher->kinds, part);
        len += snprintf(target + len, sizeof target - (size_t)len, "&kind=%s", part);
    }
    if (pick(4) == 0) {
        watcher->mac = 0xdcac3da50600U + pick(5);
        len += snprintf(target + len, sizeof target - (size_t)len, "&mac=%012llX",
                        (unsigned long long)watcher->mac);
    }
    watcher->client = dial(&world);
    say(&watcher->client, "GET %s HTTP/1.0\r\n\r\n", target);
    /* The node reads it before anything else is appended: the model knows what it meets. */
    for (int i = 0; i < 3; i++)
        turn(&world);
    watcher->at_request = newest(&world);
}

/* Comes with what is no cursor, whatever else it asks for, and is told so. */
static void come_malformed(void) {
    static const char *const cursors[] = {
        "", "17", "-", "%s", "%s-", "%s-01", "%s--1", "%s-1x", "%s-18446744073709551616"};
    char target[256], after[64];
    snprintf(after, sizeof after, cursors[pick(sizeof cursors / sizeof *cursors)],
             ring_id(world.ring));
    snprintf(target, sizeof target, "/v1/events?follow=%u&kind=a&limit=3&after=%s", pick(2), after);
    struct answer answer = get(&world, target);
    check_error(&answer, 400, "after: a cursor is");
    free_answer(&answer);
    told_malformed++;
}

/* Goes, and comes back at once behind the last line that it has read. */
static void resume(struct watcher *watcher) {
    char seq[24];
    check_lines(watcher);
    if (!watcher->has_head || watcher->first)
        return;
    snprintf(seq, sizeof seq, "%llu", (unsigned long long)(watcher->next - 1));
    leave(watcher);
    come(watcher, seq);
}

static void step(void) {
    struct watcher *watcher = &watchers[pick(CLIENTS)];
    unsigned what = pick(100);
    if (what < 60) {
        append_batch();
        if (what < 30)
            turn(&world);
    } else if (!watcher->connected || watcher->ended) {
        leave(watcher);
        come(watcher, NULL);
    } else if (what < 75) {
        check_quiet(watcher);
    } else if (what < 90) {
        turn(&world);
        listen_to(&watcher->client, pick(2) ? 1000 : SIZE_MAX);
        check_lines(watcher);
    } else if (what < 95) {
        resume(watcher);
    } else if (what < 97) {
        leave(watcher);
    } else if (what < 98) {
        if (pick(10) == 0)
            come_malformed();
    } else if (pick(20) == 0) { /* the ring goes round while nobody gets a turn */
        for (int i = 0; i < 300; i++)
            append_batch();
    }
}

static void test_model(void **state) {
    (void)state;
    open_world(&world, RING_BYTES);
    for (unsigned long i = 0; i < steps; i++)
        step();
    for (unsigned i = 0; i < CLIENTS; i++)
        if (watchers[i].connected && !watchers[i].ended)
            check_quiet(&watchers[i]);
    for (unsigned i = 0; i < CLIENTS; i++)
        leave(&watchers[i]);
    printf("%lu steps: %llu events appended, %lu told, %lu gaps, %lu resumed\n", steps,
           (unsigned long long)newest(&world), told_events, told_gaps, resumed);
    assert_true(told_gaps > steps / 1000 && resumed > steps / 1000);
    assert_true(told_malformed > steps / 10000);
    close_world(&world);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model)};
    signal(SIGPIPE, SIG_IGN);
    if (argc > 1)
        steps = strtoul(argv[1], NULL, 10);
    return cmocka_run_group_tests_name("feed-model", tests, NULL, NULL);
}
