/* rollcall-forward's pure parts: the window of what is in flight, and the front of an event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "forward_event.h"
#include "forward_window.h"

/* --- the window ------------------------------------------------------------------------------ */

static uint64_t push(struct forward_window *window, uint64_t seq, size_t bytes) {
    struct forward_slot slot = {
        .cursor = {seq, "0123456789abcdef"}, .bytes = bytes, .acknowledged = true};
    uint64_t ticket;
    assert_int_equal(forward_window_push(window, &slot, &ticket), 0);
    return ticket;
}

static void test_only_what_has_no_hole_is_done(void **state) {
    struct forward_window window;
    struct forward_slot last = {0};
    (void)state;
    assert_int_equal(forward_window_init(&window, 8), 0);
    assert_int_equal(forward_window_advance(&window, &last), 0);
    uint64_t first = push(&window, 11, 5);
    uint64_t second = push(&window, 12, 7);
    uint64_t third = push(&window, 13, 1);
    assert_int_equal(window.bytes, 13);
    assert_int_equal(forward_window_acknowledge(&window, third), 0);
    assert_int_equal(forward_window_acknowledge(&window, second), 0);
    assert_int_equal(forward_window_advance(&window, &last), 0);
    assert_int_equal(forward_window_acknowledge(&window, first), 0);
    assert_int_equal(forward_window_advance(&window, &last), 3);
    assert_int_equal(last.cursor.seq, 13);
    assert_int_equal(window.bytes, 0);
    assert_int_equal(forward_window_count(&window), 0);
    forward_window_deinit(&window);
}

static void test_the_bound(void **state) {
    struct forward_window window;
    struct forward_slot last, slot = {.bytes = 1};
    uint64_t ticket, first;
    (void)state;
    assert_int_equal(forward_window_init(&window, 3), 0);
    first = push(&window, 1, 1);
    push(&window, 2, 1);
    push(&window, 3, 1);
    assert_int_equal(forward_window_push(&window, &slot, &ticket), FORWARD_WINDOW_FULL);
    assert_int_equal(forward_window_count(&window), 3);
    assert_int_equal(window.bytes, 3);
    assert_int_equal(forward_window_acknowledge(&window, first), 0);
    /* Acknowledged is not yet out. */
    assert_int_equal(forward_window_push(&window, &slot, &ticket), FORWARD_WINDOW_FULL);
    assert_int_equal(forward_window_advance(&window, &last), 1);
    assert_int_equal(last.cursor.seq, 1);
    assert_int_equal(forward_window_push(&window, &slot, &ticket), 0);
    assert_int_equal(ticket, first + 3);
    assert_int_equal(forward_window_push(&window, &slot, &ticket), FORWARD_WINDOW_FULL);
    forward_window_deinit(&window);
}

static void test_strange_tickets_change_nothing(void **state) {
    struct forward_window window;
    struct forward_slot last;
    (void)state;
    assert_int_equal(forward_window_init(&window, 4), 0);
    assert_int_equal(forward_window_acknowledge(&window, 0), FORWARD_WINDOW_STRANGE);
    uint64_t first = push(&window, 1, 1);
    assert_int_equal(forward_window_acknowledge(&window, first + 1), FORWARD_WINDOW_STRANGE);
    assert_int_equal(forward_window_acknowledge(&window, first + 4), FORWARD_WINDOW_STRANGE);
    assert_int_equal(forward_window_acknowledge(&window, UINT64_MAX), FORWARD_WINDOW_STRANGE);
    assert_int_equal(forward_window_acknowledge(&window, first), 0);
    assert_int_equal(forward_window_acknowledge(&window, first), FORWARD_WINDOW_STRANGE);
    assert_int_equal(forward_window_advance(&window, &last), 1);
    assert_int_equal(forward_window_acknowledge(&window, first), FORWARD_WINDOW_STRANGE);
    forward_window_deinit(&window);
}

/* A late acknowledgement of before an outage is none of what was published since. */
static void test_forgotten_tickets_are_strange(void **state) {
    struct forward_window window;
    struct forward_slot last;
    (void)state;
    assert_int_equal(forward_window_init(&window, 2), 0);
    uint64_t old = push(&window, 1, 10);
    push(&window, 2, 10);
    assert_int_equal(forward_window_acknowledge(&window, old + 1), 0);
    assert_int_equal(forward_window_clear(&window), 2);
    assert_int_equal(forward_window_clear(&window), 0);
    assert_int_equal(window.bytes, 0);
    uint64_t again = push(&window, 1, 10);
    assert_int_equal(again, old + 2);
    assert_int_equal(forward_window_acknowledge(&window, old), FORWARD_WINDOW_STRANGE);
    assert_int_equal(forward_window_advance(&window, &last), 0);
    assert_int_equal(forward_window_acknowledge(&window, again), 0);
    assert_int_equal(forward_window_advance(&window, &last), 1);
    forward_window_deinit(&window);
}

static void test_room(void **state) {
    struct forward_window window;
    (void)state;
    assert_int_equal(forward_window_init(&window, 4), 0);
    push(&window, 1, 10);
    assert_true(forward_window_has_room(&window, 2, 11));
    assert_false(forward_window_has_room(&window, 2, 10)); /* at the bound of bytes */
    assert_false(forward_window_has_room(&window, 1, 11)); /* and of messages */
    push(&window, 2, 1);
    assert_false(forward_window_has_room(&window, 2, 100));
    assert_true(forward_window_has_room(&window, 3, 12));
    assert_false(forward_window_has_room(&window, 3, 11));
    forward_window_clear(&window);
    assert_true(forward_window_has_room(&window, 1, 1));
    forward_window_deinit(&window);
}

/* Against a plain list, in a seeded random order, over many turns of the slots. */
static void test_model(void **state) {
    enum { CAPACITY = 37, STEPS = 200000 };
    bool acknowledged[STEPS] = {false};
    struct forward_window window;
    struct forward_slot last;
    uint64_t first = 0, next = 0;
    unsigned seed = 7;
    (void)state;
    assert_int_equal(forward_window_init(&window, CAPACITY), 0);
    for (int i = 0; i < STEPS; i++) {
        unsigned chance = (unsigned)rand_r(&seed) % 5;
        if (chance < 2 && next - first < CAPACITY) {
            assert_int_equal(push(&window, next, 1), next);
            next++;
        } else if (chance < 4 && next > first) {
            uint64_t ticket = first + (unsigned)rand_r(&seed) % (next - first);
            assert_int_equal(forward_window_acknowledge(&window, ticket),
                             acknowledged[ticket] ? FORWARD_WINDOW_STRANGE : 0);
            acknowledged[ticket] = true;
        } else {
            uint64_t before = first;
            while (first < next && acknowledged[first])
                first++;
            assert_int_equal(forward_window_advance(&window, &last), first - before);
            if (first > before)
                assert_int_equal(last.cursor.seq, first - 1);
        }
        assert_int_equal(window.bytes, next - window.first);
    }
    assert_true(first > CAPACITY);
    forward_window_deinit(&window);
}

/* --- an event -------------------------------------------------------------------------------- */

#define FRONT                                                                                      \
    "{\"seq\":7,\"id\":\"219d458d95915530a6d19cb9f8daa2f3\","                                      \
    "\"received\":\"2026-01-05T10:12:13.456789Z\",\"endpoint\":\"hq\",\"provider\":\"aerohive\","  \
    "\"kind\":\"seen\""

static void test_event(void **state) {
    static const struct {
        const char *line, *key;
    } lines[] = {
        {FRONT "}", "hq"},
        {FRONT ",\"time\":\"2026-01-05T10:12:12.900Z\",\"delay_ms\":-556,\"duplicate\":true,"
               "\"client\":{\"mac\":\"dc:ac:3d:a5:06:b4\",\"randomized\":false},\"rssi\":-50}",
         "dc:ac:3d:a5:06:b4"},
        {FRONT ",\"client\":{\"os\":\"mac\"},\"user\":{\"id\":\"}\\\"{\"},"
               "\"channel\":{\"name\":\"lacrosse\"},\"extra\":{\"client\":{\"mac\":\"x\"}}}",
         "lacrosse"},
        {FRONT ",\"location\":{\"lat\":45,\"lng\":[1,{\"a\":[]}]},\"channel\":{\"uuid\":\"u\"},"
               "\"data\":{\"channel\":{\"name\":\"not this\"}}}",
         "hq"},
        {FRONT ",\"client\":{\"mac\":\"dc:ac:3d:a5:06:b4\"},\"channel\":{\"name\":\"c\"}}",
         "dc:ac:3d:a5:06:b4"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct forward_event event;
        char key[64];
        assert_true(forward_event_read(span_from_string(lines[i].line), &event));
        assert_true(span_equals(event.id, SPAN("219d458d95915530a6d19cb9f8daa2f3")));
        assert_true(span_equals(event.endpoint, SPAN("hq")));
        assert_true(span_equals(event.kind, SPAN("seen")));
        assert_int_equal(event.received_us, INT64_C(1767607933456000));
        snprintf(key, sizeof key, "%.*s", SPAN_ARG(forward_event_key(&event)));
        assert_string_equal(key, lines[i].key);
    }
}

/* Cut anywhere it is no event, or one whose front is whole; it never reads past its end. */
static void test_cut_lines(void **state) {
    static const char line[] =
        FRONT ",\"client\":{\"mac\":\"dc:ac:3d:a5:06:b4\",\"os\":\"a\\\"b\"},\"rssi\":-50}";
    (void)state;
    for (size_t len = 0; len < sizeof line - 1; len++) {
        char *copy = malloc(len + 1);
        struct forward_event event;
        assert_non_null(copy);
        memcpy(copy, line, len);
        if (forward_event_read(span_from(copy, len), &event))
            assert_true(len >= sizeof FRONT - 1);
        free(copy);
    }
    struct forward_event event;
    assert_false(forward_event_read(SPAN("{}"), &event));
    assert_false(forward_event_read(SPAN("[]"), &event));
    assert_false(forward_event_read(SPAN("{\"seq\":1,\"id\":\"\"}"), &event));
    assert_false(forward_event_read(SPAN("{\"seq\":1,\"id\":\"a\",\"endpoint\":\"b\"}"), &event));
}

static void check_subject(const char *endpoint, const char *kind, const char *wanted) {
    struct forward_event event = {.endpoint = span_from_string(endpoint),
                                  .kind = span_from_string(kind)};
    char subject[FORWARD_SUBJECT_BYTES];
    forward_event_subject("presence", &event, subject);
    assert_string_equal(subject, wanted);
}

static void test_subject(void **state) {
    char text[80], wanted[160];
    (void)state;
    check_subject("hq", "seen", "presence.hq.seen");
    check_subject("a.b", "x y*z>", "presence.a_b.x_y_z_");
    check_subject("", "\t\n\r\x7f", "presence._.____");
    check_subject("caf\xc3\xa9", "a\\u00e9\\\"", "presence.caf\xc3\xa9.a_u00e9__");
    for (size_t len = FORWARD_TOKEN_BYTES - 1; len <= FORWARD_TOKEN_BYTES + 1; len++) {
        memset(text, 'k', len);
        text[len] = 0;
        size_t kept = len < FORWARD_TOKEN_BYTES ? len : FORWARD_TOKEN_BYTES;
        snprintf(wanted, sizeof wanted, "presence.hq.%.*s", (int)kept, text);
        check_subject("hq", text, wanted);
    }
    /* The character that does not fit is left out whole. */
    memset(text, 'k', FORWARD_TOKEN_BYTES);
    strcpy(text + FORWARD_TOKEN_BYTES - 1, "\xc3\xa9");
    snprintf(wanted, sizeof wanted, "presence.hq.%.*s", FORWARD_TOKEN_BYTES - 1, text);
    check_subject("hq", text, wanted);
}

static void test_prefix(void **state) {
    static const char *const wrong[] = {"",   ".",  "a.", ".a", "a..b", "a b",
                                        "a*", "a>", "\"", "\\", "a\tb", "\x7f"};
    char text[FORWARD_PREFIX_BYTES + 2];
    (void)state;
    assert_true(forward_event_is_prefix("presence"));
    assert_true(forward_event_is_prefix("eu.presence"));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (forward_event_is_prefix(wrong[i]))
            fail_msg("%s was taken", wrong[i]);
    memset(text, 'p', sizeof text);
    text[FORWARD_PREFIX_BYTES] = 0;
    assert_true(forward_event_is_prefix(text));
    /* The longest of all fits. */
    char token[FORWARD_TOKEN_BYTES + 1], subject[FORWARD_SUBJECT_BYTES];
    memset(token, 't', FORWARD_TOKEN_BYTES);
    struct forward_event event = {.endpoint = {token, FORWARD_TOKEN_BYTES},
                                  .kind = {token, FORWARD_TOKEN_BYTES}};
    forward_event_subject(text, &event, subject);
    assert_int_equal(strlen(subject), FORWARD_PREFIX_BYTES + 2 * (FORWARD_TOKEN_BYTES + 1));
    text[FORWARD_PREFIX_BYTES] = 'p';
    text[FORWARD_PREFIX_BYTES + 1] = 0;
    assert_false(forward_event_is_prefix(text));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_has_no_hole_is_done),
        cmocka_unit_test(test_the_bound),
        cmocka_unit_test(test_strange_tickets_change_nothing),
        cmocka_unit_test(test_forgotten_tickets_are_strange),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_event),
        cmocka_unit_test(test_cut_lines),
        cmocka_unit_test(test_subject),
        cmocka_unit_test(test_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
