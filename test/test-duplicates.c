/* Duplicates, from a sender's body to the ring: what each sender is known to send again, over days
 * of a clock that the tests turn. `test-duplicates --bench` prints what a look-up costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "batch.h"
#include "json.h"
#include "ring.h"
#include "sender.h"
#include "util/buf.h"

enum {
    RING_BYTES = 4 << 20,
    MAX_IDS = 100000,
    HOUR_S = 3600,
    WINDOW_S = 4 * HOUR_S,
    START_S = 1767607918, /* 2026-01-05T10:11:58Z */
};

/* --- A node's way from a body to the ring --------------------------------------------------------
 */

struct node {
    struct json_parser *json;
    struct ring *ring;
    struct dedupe *dedupe;
    struct batch batch;
    struct buf body;
    int64_t now_s;
};

struct counts {
    int rc;
    unsigned accepted, duplicates, rejected;
};

static struct node node;

static void start(enum batch_duplicates mode, uint32_t window_s, size_t ring_bytes) {
    node = (struct node){.json = json_parser_new(), .now_s = START_S};
    assert_non_null(node.json);
    assert_int_equal(ring_new(&node.ring, ring_bytes), 0);
    assert_int_equal(dedupe_new(&node.dedupe, MAX_IDS, window_s), 0);
    node.batch.dedupe = node.dedupe;
    node.batch.mode = mode;
}

static int stop(void **state) {
    (void)state;
    batch_deinit(&node.batch);
    buf_deinit(&node.body);
    dedupe_free(node.dedupe);
    ring_free(node.ring);
    json_parser_free(node.json);
    node = (struct node){0};
    return 0;
}

/* Appends to the next body. */
static void write_body(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void write_body(const char *format, ...) {
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert_int_equal(buf_reserve(&node.body, (size_t)len + 1), 0);
    va_start(args, format);
    vsnprintf(node.body.ptr + node.body.len, (size_t)len + 1, format, args);
    va_end(args);
    node.body.len += (size_t)len;
}

/* Posts what was written; the body is empty again. */
static struct counts post(const char *sender) {
    struct json_doc doc;
    struct json_error error;
    struct problem problem;
    size_t len = node.body.len;
    assert_int_equal(buf_reserve(&node.body, JSON_PADDING), 0);
    memset(node.body.ptr + len, 0, JSON_PADDING);
    if (json_parse(node.json, node.body.ptr, len, &doc, &error))
        fail_msg("%s at %zu: %.*s", error.message, error.offset, (int)len, node.body.ptr);
    batch_begin(&node.batch, node.ring, SPAN("lobby"), span_from_string(sender),
                node.now_s * 1000000);
    struct counts counts = {
        sender_parse(sender_find(span_from_string(sender)), &doc, &node.batch, &problem),
        node.batch.accepted, node.batch.duplicates, node.batch.rejected};
    if (counts.rc)
        batch_abort(&node.batch);
    else
        batch_commit(&node.batch);
    node.body.len = 0;
    return counts;
}

static void expect(struct counts counts, unsigned accepted, unsigned duplicates) {
    assert_int_equal(counts.rc, SENDER_OK);
    if (counts.accepted != accepted || counts.duplicates != duplicates || counts.rejected)
        fail_msg("%u accepted, %u duplicates, %u rejected; not %u, %u, 0", counts.accepted,
                 counts.duplicates, counts.rejected, accepted, duplicates);
}

static struct span line_of(uint64_t seq) {
    struct ring_cursor cursor;
    const struct ring_record *record = NULL;
    assert_int_equal(ring_seek(node.ring, seq, &cursor), RING_OK);
    assert_int_equal(ring_next(node.ring, &cursor, &record), RING_OK);
    return ring_record_line(record);
}

static bool line_has(uint64_t seq, const char *text) {
    struct span line = line_of(seq);
    return memmem(line.ptr, line.len, text, strlen(text)) != NULL;
}

/* How many lines of the ring have the text. */
static unsigned lines_with(const char *text) {
    unsigned count = 0;
    for (uint64_t seq = ring_next_seq(node.ring) - 1; seq; seq--)
        count += line_has(seq, text);
    return count;
}

static uint64_t lines(void) {
    return ring_next_seq(node.ring) - 1;
}

/* --- Senders' habits -----------------------------------------------------------------------------
 */

static void write_observation(uint64_t client, int64_t seen_s) {
    write_body("{\"clientMac\":\"%012llx\",\"seenEpoch\":%lld},", (unsigned long long)client,
               (long long)seen_s * 1000);
}

static void start_ap(void) {
    write_body("[{\"apMac\":\"08EA44A1B2C0\",\"ownerId\":1490,\"observations\":[");
}

static void end_ap(void) {
    node.body.len--; /* the last comma */
    write_body("]}]");
}

/* A client that sits there and is repeated in every post of 29 hours, as one was: every minute, as
 * the vendor has it, or every ten with a hole of forty. */
static void test_a_day_of_hivemanager(void **state) {
    enum { STALE = 1, FRESH = 5, HOLE_S = 2400 };
    static const int intervals_s[] = {60, 600};
    (void)state;
    for (size_t i = 0; i < sizeof intervals_s / sizeof *intervals_s; i++) {
        unsigned posts = 0;
        uint64_t client = 2;
        start(BATCH_DROP, WINDOW_S, RING_BYTES);
        while (node.now_s < START_S + 29 * HOUR_S) {
            start_ap();
            write_observation(STALE, START_S - 60);
            for (int n = 0; n < FRESH; n++)
                write_observation(client++, node.now_s - n);
            end_ap();
            expect(post("aerohive"), FRESH + !posts, posts ? 1 : 0);
            posts++;
            node.now_s += posts == 20 ? HOLE_S : intervals_s[i];
        }
        assert_int_equal(lines(), 1 + FRESH * posts);
        assert_int_equal(lines_with("00:00:00:00:00:01"), 1);
        stop(NULL);
    }
}

static void write_login(int user) {
    write_body("{\"client\":{\"mac\":\"00-1F-3A-5C-77-E2\"},\"session\":{\"authenticationTime\":"
               "\"2026-01-05T10:11:58+0000\"},\"user\":{\"id\":%d},\"venue\":{\"id\":311}}",
               user);
}

/* An answer that was lost: the login comes again every three hours, for a day; each time it is a
 * repeat, because each renews the window. So is one that comes four hours after the last, and no
 * longer one a second later. */
static void test_bt_comes_back_after_three_hours(void **state) {
    (void)state;
    start(BATCH_DROP, WINDOW_S, RING_BYTES);
    write_login(1);
    expect(post("bt"), 1, 0);
    for (int i = 0; i < 8; i++) {
        node.now_s += 3 * HOUR_S;
        write_login(1);
        expect(post("bt"), 0, 1);
        write_login(2 + i); /* others go on */
        expect(post("bt"), 1, 0);
    }
    node.now_s += WINDOW_S;
    write_login(1);
    expect(post("bt"), 0, 1);
    node.now_s += WINDOW_S + 1;
    write_login(1);
    expect(post("bt"), 1, 0);
}

static void write_presence(const char *action) {
    write_body("{\"action\":\"%s\",\"sub_key\":\"s\",\"channel\":\"c\",\"uuid\":\"u\","
               "\"timestamp\":1767607918,\"occupancy\":%d}",
               action, action[0] == 'j');
}

/* Four attempts at one event, five seconds apart; what the same user does within the same second is
 * another event. */
static void test_pubnub_retries_three_times(void **state) {
    (void)state;
    start(BATCH_DROP, WINDOW_S, RING_BYTES);
    for (int attempt = 0; attempt < 4; attempt++) {
        write_presence("join");
        expect(post("pubnub"), !attempt, attempt ? 1 : 0);
        if (attempt == 1) {
            write_presence("leave");
            expect(post("pubnub"), 1, 0);
        }
        node.now_s += 5;
    }
    assert_int_equal(lines(), 2);
}

/* Events & Actions: an hour late at the worst, with the number of the attempt in the envelope. */
static void test_pubnub_retries_in_an_envelope(void **state) {
    static const int delays_s[] = {0, 450, 900, 900, 900};
    (void)state;
    start(BATCH_DROP, WINDOW_S, RING_BYTES);
    for (int i = 0; i < 5; i++) {
        node.now_s += delays_s[i];
        write_body("{\"event\":{\"id\":\"e-%d\",\"payload\":{\"dataSchema\":\"pubnub.com/schemas/"
                   "events/presence.user.channel.joined?v=1.0.0\",\"data\":[{\"id\":\"d-41\","
                   "\"channel\":\"c\",\"userId\":\"u\",\"subKey\":\"s\"}]}},\"metadata\":{"
                   "\"attempt\":%d}}",
                   i, i + 1);
        expect(post("pubnub"), !i, i ? 1 : 0);
    }
    assert_true(line_has(1, "\"attempt\":1"));
}

/* --- The rules -----------------------------------------------------------------------------------
 */

static void post_alike(unsigned count, unsigned accepted, unsigned duplicates) {
    start_ap();
    for (unsigned i = 0; i < count; i++)
        write_observation(7, START_S);
    end_ap();
    expect(post("aerohive"), accepted, duplicates);
}

/* Which of those that are alike an event is, is part of what makes it the same. */
static void test_alike_in_one_post(void **state) {
    (void)state;
    start(BATCH_DROP, WINDOW_S, RING_BYTES);
    post_alike(3, 3, 0);
    post_alike(3, 0, 3);
    post_alike(2, 0, 2);
    post_alike(5, 2, 3);
    post_alike(1, 0, 1);
    assert_int_equal(lines(), 5);
}

static void test_marked(void **state) {
    (void)state;
    start(BATCH_MARK, WINDOW_S, RING_BYTES);
    post_alike(1, 1, 0);
    post_alike(2, 2, 1); /* accepted: in the ring */
    assert_false(line_has(1, "\"duplicate\""));
    assert_true(line_has(2, ",\"duplicate\":true,"));
    assert_false(line_has(3, "\"duplicate\""));
    const size_t id = sizeof "{\"seq\":1,\"id\":\"" - 1;
    assert_memory_equal(line_of(1).ptr + id, line_of(2).ptr + id, 2 * HASH_BYTES);
    assert_memory_not_equal(line_of(1).ptr + id, line_of(3).ptr + id, 2 * HASH_BYTES);
    node.now_s += WINDOW_S + 1;
    post_alike(1, 1, 0);
    assert_false(line_has(4, "\"duplicate\""));
}

static void test_off(void **state) {
    (void)state;
    start(BATCH_KEEP, WINDOW_S, RING_BYTES);
    post_alike(3, 3, 0);
    post_alike(3, 3, 0);
    assert_int_equal(lines_with("\"duplicate\""), 0);
    assert_int_equal(dedupe_figures(node.dedupe).ids, 0);
}

/* The window is as long as it is set, to the second, and every repeat renews it. */
static void test_the_window(void **state) {
    enum { SHORT_S = 2 };
    (void)state;
    start(BATCH_DROP, SHORT_S, RING_BYTES);
    post_alike(1, 1, 0);
    for (int i = 0; i < 10; i++) {
        node.now_s += SHORT_S;
        post_alike(1, 0, 1);
    }
    node.now_s += SHORT_S + 1;
    post_alike(1, 1, 0);
    node.now_s -= HOUR_S; /* the clock is set back: nothing is forgotten by that */
    post_alike(1, 0, 1);
}

/* A post that turns out not to fit when half of it has gone by: nothing of it is in the ring, and
 * nothing of it is known, so that its retry in parts is no repeat; and what was known stays so. */
static void test_a_refused_post_is_not_known(void **state) {
    enum { EVENTS = 400 };
    (void)state;
    start(BATCH_DROP, WINDOW_S, RING_MIN_BYTES);
    post_alike(1, 1, 0);
    for (int round = 0; round < 2; round++) {
        start_ap();
        write_observation(7, START_S);
        for (uint64_t n = 0; n < EVENTS; n++)
            write_observation(100 + n, START_S);
        end_ap();
        struct counts counts = post("aerohive");
        assert_int_equal(counts.rc, SENDER_BATCH_FULL);
        assert_in_range(counts.accepted, 10, EVENTS - 10);
        assert_int_equal(counts.duplicates, 1);
        assert_int_equal(lines(), 1);
        assert_int_equal(dedupe_figures(node.dedupe).ids, 1);
    }
    for (uint64_t n = 0; n < EVENTS; n += 10) {
        start_ap();
        for (uint64_t i = n; i < n + 10; i++)
            write_observation(100 + i, START_S);
        end_ap();
        expect(post("aerohive"), 10, 0);
    }
    post_alike(1, 0, 1);
    assert_int_equal(lines(), 1 + EVENTS);
}

/* --- What the first event carries ----------------------------------------------------------------
 */

static void write_ap(unsigned long long firmware, unsigned notes_bytes) {
    write_body("[{\"apMac\":\"08EA44A1B2C0\",\"ownerId\":1490,\"firmware\":%llu,\"notes\":\"%0*d\","
               "\"observations\":[",
               firmware, (int)notes_bytes, 0);
}

/* What is too long to be repeated stands in the first event. Where that is a repeat of an earlier
 * post's, and so dropped, it stands in the first one that is not. */
static void test_a_repeat_does_not_take_along_what_is_around(void **state) {
    enum { NOTES_BYTES = 1000 };
    (void)state;
    start(BATCH_DROP, WINDOW_S, RING_BYTES);
    write_ap(1, NOTES_BYTES);
    write_observation(1, START_S);
    write_observation(2, START_S);
    end_ap();
    expect(post("aerohive"), 2, 0);
    assert_true(line_has(1, "\"notes\"") && !line_has(2, "\"notes\""));
    write_ap(2, NOTES_BYTES);
    for (unsigned client = 1; client <= 4; client++)
        write_observation(client, START_S);
    end_ap();
    expect(post("aerohive"), 2, 2);
    assert_true(line_has(3, "\"firmware\":2,\"notes\""));
    assert_true(line_has(4, "\"enclosing\":{\"firmware\":2}"));
}

static void write_network(const char *clients) {
    write_body("{\"version\":\"3.0\",\"type\":\"WiFi\",\"data\":{\"networkId\":\"N_42\","
               "\"reportingAps\":[{\"mac\":\"00:18:0a:5c:00:01\",\"name\":\"%0*d\"}],"
               "\"observations\":[%s]}}",
               200, 0, clients);
}

#define CLIENT(mac, seconds)                                                                       \
    "{\"clientMac\":\"" mac "\",\"latestRecord\":{\"time\":\"2026-01-05T10:11:" seconds "Z\"}}"

/* The same with Meraki's list of access points; also where all of a post are repeats, or marked. */
static void test_reporting_aps_survive_a_repeat(void **state) {
    (void)state;
    start(BATCH_DROP, WINDOW_S, RING_BYTES);
    write_network(CLIENT("3c2ef9100001", "40"));
    expect(post("meraki"), 1, 0);
    assert_true(line_has(1, "\"reportingAps\""));
    write_network(CLIENT("3c2ef9100001", "40") "," CLIENT("3c2ef9100001", "40"));
    expect(post("meraki"), 1, 1); /* alike, but the second of two */
    assert_true(line_has(2, "\"reportingAps\""));
    write_network(CLIENT("3c2ef9100001", "40") "," CLIENT("3c2ef9100002",
                                                          "41") "," CLIENT("3c2ef9100003", "42"));
    expect(post("meraki"), 2, 1);
    assert_true(line_has(3, "\"reportingAps\""));
    assert_false(line_has(4, "\"reportingAps\""));
    assert_true(line_has(4, "\"type\":\"WiFi\""));
    write_network(CLIENT("3c2ef9100001", "40"));
    expect(post("meraki"), 0, 1);
    stop(NULL);
    start(BATCH_MARK, WINDOW_S, RING_BYTES);
    for (int i = 0; i < 2; i++) {
        write_network(CLIENT("3c2ef9100001", "40") "," CLIENT("3c2ef9100002", "41"));
        expect(post("meraki"), 2, i ? 2 : 0);
        assert_true(line_has(lines() - 1, "\"reportingAps\""));
        assert_false(line_has(lines(), "\"reportingAps\""));
    }
}

/* That has an end: else a megabyte around thousands of repeats would be copied thousands of times.
 */
static void test_what_is_around_is_not_carried_for_ever(void **state) {
    enum { NOTES_BYTES = 1 << 20, REPEATS = 5000 };
    (void)state;
    start(BATCH_DROP, WINDOW_S, RING_BYTES);
    for (int round = 0; round < 2; round++) {
        write_ap(1, round ? NOTES_BYTES : 1);
        for (unsigned client = 1; client <= REPEATS; client++)
            write_observation(client, START_S);
        if (round)
            write_observation(REPEATS + 1, START_S);
        end_ap();
        expect(post("aerohive"), round ? 1 : REPEATS, round ? REPEATS : 0);
    }
    assert_true(line_has(REPEATS + 1, "\"enclosing\":{\"firmware\":1}"));
}

/* --- Bench ---------------------------------------------------------------------------------------
 */

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* others may use the machine, too */
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Ids of [first, first + count), made ahead of the measuring, in an order of their own. */
static uint8_t (*make_ids(uint64_t first, size_t count))[HASH_BYTES] {
    static const uint8_t key[HASH_KEY_BYTES] = {1};
    uint8_t(*ids)[HASH_BYTES] = malloc(count * sizeof *ids);
    if (!ids)
        abort();
    for (size_t i = 0; i < count; i++) {
        uint64_t n = first + i * 7919 % count;
        hash128(key, &n, sizeof n, ids[i]);
    }
    return ids;
}

/* Sees each id, `ahead` of them after its memory was asked for (0: not at all), as posts of a
 * hundred events do. */
static void measure(const char *what, struct dedupe *dedupe, uint8_t (*ids)[HASH_BYTES],
                    size_t count, size_t ahead, uint32_t now_s) {
    enum { POST_EVENTS = 100 };
    size_t seen = 0;
    double start_ns = now_ns();
    for (size_t i = 0; i < count; i++) {
        if (ahead && i + ahead < count)
            dedupe_prefetch(dedupe, ids[i + ahead]);
        int rc = dedupe_see(dedupe, ids[i], now_s);
        if (rc < 0)
            abort();
        seen += (size_t)rc;
        if (i % POST_EVENTS == POST_EVENTS - 1)
            dedupe_commit(dedupe);
    }
    dedupe_commit(dedupe);
    printf("  %-36s %6.1f ns an id (%zu of %zu seen before)\n", what,
           (now_ns() - start_ns) / (double)count, seen, count);
}

static int bench(void) {
    enum { IDS = 1000000 };
    struct dedupe *dedupe;
    if (dedupe_new(&dedupe, IDS, 1000000))
        return 1;
    uint8_t(*first)[HASH_BYTES] = make_ids(0, IDS), (*second)[HASH_BYTES] = make_ids(IDS, IDS);
    printf("window of %d ids, %zu MiB:\n", IDS, dedupe_figures(dedupe).bytes >> 20);
    measure("filling it, pages and all", dedupe, first, IDS, 1, 1);
    measure("repeats, memory asked for ahead", dedupe, first, IDS, 1, 2);
    measure("repeats, asked for two ids ahead", dedupe, first, IDS, 2, 2);
    measure("repeats, memory not asked for", dedupe, first, IDS, 0, 3);
    measure("a second million, ahead", dedupe, second, IDS, 1, 4);
    measure("its repeats, ahead", dedupe, second, IDS, 1, 5);
    printf("  %llu ids, %llu gave way\n", (unsigned long long)dedupe_figures(dedupe).ids,
           (unsigned long long)dedupe_figures(dedupe).evicted);
    free(first);
    free(second);
    dedupe_free(dedupe);
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_day_of_hivemanager, stop),
        cmocka_unit_test_teardown(test_bt_comes_back_after_three_hours, stop),
        cmocka_unit_test_teardown(test_pubnub_retries_three_times, stop),
        cmocka_unit_test_teardown(test_pubnub_retries_in_an_envelope, stop),
        cmocka_unit_test_teardown(test_alike_in_one_post, stop),
        cmocka_unit_test_teardown(test_marked, stop),
        cmocka_unit_test_teardown(test_off, stop),
        cmocka_unit_test_teardown(test_the_window, stop),
        cmocka_unit_test_teardown(test_a_refused_post_is_not_known, stop),
        cmocka_unit_test_teardown(test_a_repeat_does_not_take_along_what_is_around, stop),
        cmocka_unit_test_teardown(test_reporting_aps_survive_a_repeat, stop),
        cmocka_unit_test_teardown(test_what_is_around_is_not_carried_for_ever, stop),
    };
    if (argc == 2 && strcmp(argv[1], "--bench") == 0)
        return bench();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
