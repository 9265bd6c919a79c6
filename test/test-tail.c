/* rollcall-tail's pure parts: cursors and their file, the front of a line, the merge, the text for
 * people. Those that no program but the tail has are taken in here as they stand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tail_line.c"
#include "tail_merge.c"
#include "tail_text.c"

static void test_cursors(void **state) {
    static const char *good[] = {"0123456789abcdef-0", "0123456789abcdef-18446744073709551615"};
    static const char *bad[] = {
        "",
        "0123456789abcdef",
        "0123456789abcdef-",
        "0123456789abcde-1",
        "0123456789abcdefa-1",
        "0123456789ABCDEF-1",
        "0123456789abcdef-1a",
        "0123456789abcdef--1",
        "0123456789abcdef-18446744073709551616",  /* one more than any seq */
        "0123456789abcdef-184467440737095516150", /* one digit more than any seq has */
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct tail_cursor cursor;
        char text[TAIL_CURSOR_MAX];
        assert_true(tail_cursor_parse(span_from_string(good[i]), &cursor));
        tail_cursor_format(&cursor, text);
        assert_string_equal(text, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tail_cursor cursor = {.seq = 7};
        if (tail_cursor_parse(span_from_string(bad[i]), &cursor))
            fail_msg("%s", bad[i]);
        assert_true(cursor.seq == 7 && !cursor.ring[0]);
    }
}

/* --- lines ----------------------------------------------------------------------------- */

#define ID       "00112233445566778899aabbccddeeff"
#define RECEIVED "2026-03-01T08:00:01.000002Z"
#define EVENT(seq, received)                                                                       \
    "{\"seq\":" seq ",\"id\":\"" ID "\",\"received\":\"" received "\",\"a\":1}"

static void test_line(void **state) {
    struct tail_line line;
    (void)state;
    tail_line_read(SPAN("{\"seq\":18446744073709551615,\"id\":"), &line);
    assert_int_equal(line.kind, TAIL_LINE_EVENT);
    assert_true(line.seq == UINT64_MAX && !line.received.ptr);
    tail_line_read(SPAN(EVENT("42", RECEIVED)), &line);
    assert_true(line.kind == TAIL_LINE_EVENT && line.seq == 42);
    assert_true(span_equals(line.received, SPAN(RECEIVED)));
    tail_line_read(SPAN(EVENT("42", "x" RECEIVED)), &line); /* of another length */
    assert_true(line.kind == TAIL_LINE_EVENT && !line.received.ptr);
    tail_line_read(
        SPAN("{\"specversion\":\"1.0\",\"type\":\",data:{\",\"data\":" EVENT("43", RECEIVED) "}"),
        &line);
    assert_true(line.kind == TAIL_LINE_EVENT && line.seq == 43);
    assert_true(span_equals(line.received, SPAN(RECEIVED)));
    tail_line_read(SPAN("{\"gap\":{}}"), &line);
    assert_int_equal(line.kind, TAIL_LINE_GAP);
    static const char *others[] = {"",
                                   "{",
                                   "{\"seq\":\"1\"}",
                                   "{\"seq\":}",
                                   "{\"se",
                                   "{\"seq\":18446744073709551616}",
                                   "{\"a\":1,\"data\":{\"seq\":1}}",
                                   "{\"specversion\":\"1.0\",\"data\":1}"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        tail_line_read(span_from_string(others[i]), &line);
        if (line.kind != TAIL_LINE_OTHER)
            fail_msg("%s", others[i]);
    }
}

/* No byte behind the line is looked at, wherever it is cut. */
static void test_line_cut_anywhere(void **state) {
    static const char whole[] = EVENT("42", RECEIVED);
    (void)state;
    for (size_t len = 0; len < sizeof whole; len++) {
        char *copy = malloc(len ? len : 1);
        struct tail_line line;
        struct tail_gap gap;
        assert_non_null(copy);
        memcpy(copy, whole, len);
        tail_line_read(span_from(copy, len), &line);
        tail_line_read_gap(span_from(copy, len), &gap);
        assert_true(!line.received.ptr || len > sizeof "{\"seq\":42,\"id\":\"" ID);
        free(copy);
    }
}

static void test_gap(void **state) {
    struct tail_gap gap;
    (void)state;
    tail_line_read_gap(SPAN("{\"gap\":{\"after\":\"a-1\",\"next\":\"a-9\",\"lost\":7,"
                            "\"reason\":\"overrun\"}}"),
                       &gap);
    assert_true(span_equals(gap.after, SPAN("a-1")) && span_equals(gap.next, SPAN("a-9")));
    assert_true(span_equals(gap.reason, SPAN("overrun")) && gap.is_count && gap.count == 7);
    tail_line_read_gap(SPAN("{\"gap\":{\"lost\":null,\"next\":\"a-"), &gap);
    assert_true(!gap.is_count && span_equals(gap.lost, SPAN("null")));
    assert_true(span_equals(gap.next, SPAN("?")) && span_equals(gap.reason, SPAN("?")));
}

/* --- the cursor file ------------------------------------------------------------------- */

static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_cursor(const struct tail_cursor *cursor, const char *wanted) {
    char text[TAIL_CURSOR_MAX];
    tail_cursor_format(cursor, text);
    assert_string_equal(cursor->ring[0] ? text : "", wanted);
}

#define RING "0123456789abcdef"

static void test_file(void **state) {
    char directory[] = "/tmp/rollcall-tail-XXXXXX", path[64], beside[80];
    struct tail_cursor_place place = {.socket = "/a"};
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/cursor", directory);
    snprintf(beside, sizeof beside, "%s.new", path);
    assert_int_equal(tail_cursor_load(path, &place, 1), TAIL_CURSOR_NONE);
    static const char *kept[] = {RING "-42", RING "-18446744073709551615"};
    for (size_t i = 0; i < 2; i++) {
        struct tail_cursor_place loaded = {.socket = "/a"};
        assert_true(tail_cursor_parse(span_from_string(kept[i]), &place.cursor));
        assert_int_equal(tail_cursor_store(path, &place, 1), 0);
        assert_int_equal(tail_cursor_load(path, &loaded, 1), 0);
        assert_cursor(&loaded.cursor, kept[i]);
        assert_int_not_equal(access(beside, F_OK), 0);
    }
    write_text(path, RING "-7"); /* without a newline, as echo -n writes it */
    assert_int_equal(tail_cursor_load(path, &place, 1), 0);
    assert_cursor(&place.cursor, RING "-7");
    static const char *bad[] = {
        "", "\n", "rubbish\n", RING "-42\n" RING "-43\n", RING "-42 \n", RING "-42\n\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text(path, bad[i]);
        assert_int_equal(tail_cursor_load(path, &place, 1), TAIL_CURSOR_INVALID);
    }
    unlink(path);
    assert_true(tail_cursor_store("/nonexistent/cursor", &place, 1) < 0);
    assert_int_equal(tail_cursor_load(directory, &place, 1), TAIL_CURSOR_NO_FILE);
    assert_int_equal(tail_cursor_load("/dev/null", &place, 1), TAIL_CURSOR_NO_FILE);
    rmdir(directory);
}

static void test_file_of_several(void **state) {
    char directory[] = "/tmp/rollcall-tail-XXXXXX", path[64];
    struct tail_cursor_place places[3] = {{"/a", {1, RING}}, {"/b c", {2, RING}}, {"/d", {0, ""}}};
    struct tail_cursor_place loaded[3] = {{"/d", {9, RING}}, {"/a", {0, ""}}, {"/b c", {0, ""}}};
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/cursor", directory);
    assert_int_equal(tail_cursor_store(path, places, 3), 0);
    assert_int_equal(tail_cursor_load(path, loaded, 3), 0);
    assert_cursor(&loaded[0].cursor, RING "-9"); /* not named: as it was */
    assert_cursor(&loaded[1].cursor, RING "-1");
    assert_cursor(&loaded[2].cursor, RING "-2");
    struct tail_cursor_place one = {.socket = "/b c"}; /* one of several is known by its path */
    assert_int_equal(tail_cursor_load(path, &one, 1), 0);
    assert_cursor(&one.cursor, RING "-2");
    write_text(path, RING "-1\n"); /* and of several, nobody knows whose it is */
    assert_int_equal(tail_cursor_load(path, loaded, 3), TAIL_CURSOR_INVALID);
    /* The longest file that is read, and one byte more. */
    char *text = malloc(TAIL_MAX_CURSOR_FILE_BYTES + 2);
    assert_non_null(text);
    memset(text, 'x', TAIL_MAX_CURSOR_FILE_BYTES + 1);
    memcpy(text, RING "-1 /", sizeof RING "-1 /" - 1);
    text[TAIL_MAX_CURSOR_FILE_BYTES] = 0;
    write_text(path, text);
    assert_int_equal(tail_cursor_load(path, loaded, 3), 0);
    text[TAIL_MAX_CURSOR_FILE_BYTES] = 'x';
    text[TAIL_MAX_CURSOR_FILE_BYTES + 1] = 0;
    write_text(path, text);
    assert_int_equal(tail_cursor_load(path, loaded, 3), TAIL_CURSOR_INVALID);
    free(text);
    unlink(path);
    rmdir(directory);
}

/* --- the merge --------------------------------------------------------------------------- */

static struct tail_queued queued(const char *received, uint64_t arrived_ms) {
    struct tail_queued line = {.arrived_ms = arrived_ms};
    memcpy(line.received, received, sizeof line.received);
    return line;
}

#define T1 "2026-03-01T08:00:01.000000Z"
#define T2 "2026-03-01T08:00:01.000001Z"
enum { NOW_MS = 1000000, WAIT_MS = TAIL_MERGE_WAIT_MS };

static void test_merge_order(void **state) {
    struct tail_queued first = queued(T1, NOW_MS), second = queued(T2, NOW_MS);
    uint64_t due;
    (void)state;
    struct tail_input inputs[3] = {{&second, true, 0}, {&first, true, 0}, {NULL, false, 0}};
    for (int exact = 0; exact < 2; exact++)
        assert_int_equal(tail_merge_pick(inputs, 3, exact, NOW_MS, 0, &due), 1);
    inputs[1].head = &second; /* of equals the first */
    assert_int_equal(tail_merge_pick(inputs, 3, true, NOW_MS, 0, &due), 0);
    inputs[0].head = inputs[1].head = NULL;
    assert_int_equal(tail_merge_pick(inputs, 3, false, NOW_MS, 0, &due), -1);
    assert_true(due == UINT64_MAX);
}

static void test_merge_wait(void **state) {
    struct tail_queued line = queued(T1, NOW_MS);
    int64_t received_ms = text_parse_iso_time(SPAN(T1));
    uint64_t due;
    (void)state;
    struct tail_input inputs[2] = {{&line, true, 0}, {NULL, true, 0}};
    /* Just received, just arrived: it waits for the quiet one, to the bound and not longer. */
    assert_int_equal(tail_merge_pick(inputs, 2, false, NOW_MS, received_ms, &due), -1);
    assert_int_equal(due, NOW_MS + WAIT_MS);
    assert_int_equal(tail_merge_pick(inputs, 2, false, due - 1, received_ms + WAIT_MS - 1, &due),
                     -1);
    assert_int_equal(tail_merge_pick(inputs, 2, false, due, received_ms + WAIT_MS, &due), 0);
    assert_int_equal(tail_merge_pick(inputs, 2, true, due, received_ms + WAIT_MS, &due), -1);
    /* Received long ago: not at all; unless the other has only just gone quiet. */
    assert_int_equal(tail_merge_pick(inputs, 2, false, NOW_MS, received_ms + 5000, &due), 0);
    inputs[1].quiet_ms = NOW_MS - 50;
    assert_int_equal(tail_merge_pick(inputs, 2, false, NOW_MS, received_ms + 5000, &due), -1);
    assert_int_equal(due, NOW_MS - 50 + WAIT_MS);
    /* Received in the future, by a clock that was set back: no longer than since it arrived. */
    inputs[1].quiet_ms = 0;
    assert_int_equal(
        tail_merge_pick(inputs, 2, false, NOW_MS + WAIT_MS, received_ms - 999999, &due), 0);
    inputs[1].may_send = false;
    assert_int_equal(tail_merge_pick(inputs, 2, true, NOW_MS, received_ms, &due), 0);
}

/* Pushes and pops at random, with a plain array beside it. */
static void test_queue(void **state) {
    enum { STEPS = 20000, LONGEST = 3000 };
    static char text[LONGEST + 2];
    struct tail_queue queue = {0};
    size_t pushed = 0, popped = 0;
    uint32_t random = 1;
    (void)state;
    memset(text, 'x', LONGEST);
    for (int i = 0; i < STEPS; i++) {
        random = random * 1664525 + 1013904223;
        bool push = (random >> 16) % 16 < (i / 1000 % 2 ? 5U : 11U);
        if (push) {
            size_t len = pushed * 7919 % LONGEST;
            struct tail_line what = {.kind = TAIL_LINE_EVENT};
            struct tail_cursor cursor = {pushed, RING};
            if (pushed % 3 == 0)
                what.received = pushed % 2 ? SPAN(T1) : SPAN(T2);
            text[len] = '\n';
            assert_int_equal(tail_queue_push(&queue, span_from(text, len), &what, &cursor, 1), 0);
            text[len] = 'x';
            pushed++;
        } else if (popped < pushed) {
            const struct tail_queued *head = tail_queue_head(&queue);
            size_t len = popped * 7919 % LONGEST, timed = popped - popped % 3;
            assert_non_null(head);
            assert_true(head->cursor.seq == popped && head->len == len);
            assert_int_equal(tail_queue_line(&queue, head).ptr[len], '\n');
            assert_memory_equal(head->received, timed % 2 ? T1 : T2, TIME_US_TEXT_BYTES);
            tail_queue_pop(&queue);
            popped++;
        } else {
            assert_null(tail_queue_head(&queue));
        }
    }
    assert_true(pushed > 5000 && popped > 5000);
    tail_queue_deinit(&queue);
}

static void test_queue_bound(void **state) {
    struct tail_queue queue = {0};
    struct tail_line what = {.kind = TAIL_LINE_OTHER};
    struct tail_cursor cursor = {0};
    char *text = malloc(TAIL_QUEUE_BYTES);
    (void)state;
    assert_non_null(text);
    memset(text, 'x', TAIL_QUEUE_BYTES);
    text[TAIL_QUEUE_BYTES - 2] = '\n';
    assert_int_equal(
        tail_queue_push(&queue, span_from(text, TAIL_QUEUE_BYTES - 2), &what, &cursor, 1), 0);
    assert_false(tail_queue_is_full(&queue)); /* one byte less than the bound */
    tail_queue_pop(&queue);
    text[TAIL_QUEUE_BYTES - 2] = 'x';
    text[TAIL_QUEUE_BYTES - 1] = '\n';
    assert_int_equal(
        tail_queue_push(&queue, span_from(text, TAIL_QUEUE_BYTES - 1), &what, &cursor, 1), 0);
    assert_true(tail_queue_is_full(&queue));
    tail_queue_pop(&queue);
    assert_false(tail_queue_is_full(&queue));
    tail_queue_deinit(&queue);
    free(text);
}

/* --- text for people ---------------------------------------------------------------------- */

/* The line as it is shown; the caller's until the next. */
static const char *show(unsigned columns, const char *line) {
    static struct buf out;
    struct tail_text text;
    buf_deinit(&out);
    if (!line)
        return NULL;
    setenv("TZ", "UTC", 1);
    assert_int_equal(tail_text_init(&text), 0);
    text.columns = columns;
    assert_int_equal(tail_text_event(&text, span_from_string(line), &out), 0);
    assert_int_equal(buf_append(&out, "", 1), 0);
    tail_text_deinit(&text);
    return out.ptr;
}

static void test_text_of_each_sender(void **state) {
    (void)state;
    assert_string_equal(show(0, "{\"seq\":1,\"received\":\"2026-03-01T08:00:01.002003Z\","
                                "\"endpoint\":\"hq\",\"kind\":\"seen\",\"delay_ms\":65000,"
                                "\"client\":{\"mac\":\"aa:bb:cc:dd:ee:ff\"},\"ap\":{\"mac\":"
                                "\"00:11:22:33:44:55\"},\"rssi\":-71}"),
                        "03-01 08:00:01.002 hq           seen         aa:bb:cc:dd:ee:ff    "
                        "00:11:22:33:44:55         -71  1m05s\n");
    assert_string_equal(
        show(0, "{\"seq\":1,\"kind\":\"login\",\"user\":{\"first_name\":\"A\","
                "\"last_name\":\"\\u00e9\"},\"venue\":{\"id\":\"7\"}}"),
        "-                  -            login        A \xc3\xa9                  7 "
        "                          -      -\n");
    assert_string_equal(
        show(80, "{\"seq\":1,\"kind\":\"join\",\"user\":{\"id\":\"u\"},\"channel\":"
                 "{\"name\":\"c\",\"uuid\":\"v\"},\"delay_ms\":-5}"),
        "-            -        join     u                   c                    -   "
        "-5ms\n");
    assert_non_null(strstr(show(0, "{\"location\":{\"lat\":1.50,\"lng\":2}}"), " 1.50,2 "));
    assert_non_null(strstr(show(0, "{\"channel\":{\"name\":\"c\",\"uuid\":\"v\"}}"), " v   "));
    assert_non_null(strstr(show(0, "{\"data\":[1,\"\\n\"]}"), " [1,\"\\n\"] "));
    show(0, NULL);
}

/* Whatever stands in a field, and whatever is no event, the line has its shape. */
static void test_text_of_odd_lines(void **state) {
    static const char *lines[] = {
        "",
        "{",
        "[]",
        "1",
        "null",
        "{}",
        "{\"client\":1,\"user\":[],\"ap\":null,\"kind\":{},\"rssi\":\"x\",\"delay_ms\":1e99}",
        "{\"kind\":\"\xff\xfe\"}",
        "{\"kind\":\"\xe2\x82\"}",
        "\x1b[2J\x80\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80",
        "{\"kind\":\"\\u001b[31m\\u0000\\u009b\\ud83d\\ude00\\u0301\\u0301\"}",
        "{\"delay_ms\":-9223372036854775808}",
        "{\"received\":\"9999-99-99T99:99:99.000000Z\"}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        for (unsigned columns = 0; columns < 130; columns += columns ? 7 : TAIL_TEXT_MIN_COLUMNS) {
            const char *shown = show(columns, lines[i]);
            size_t len = strlen(shown), at = 0, bytes;
            assert_true(len > 0 && strchr(shown, '\n') == shown + len - 1);
            for (; at < len - 1; at += bytes) { /* UTF-8 all through, nothing harmful in it */
                uint32_t c = next_character(span_from(shown + at, len - at), &bytes);
                assert_true(!is_harmful(c) && (c != 0xfffd || bytes == 3));
            }
        }
    show(0, NULL);
}

/* Marks that take no column cannot make a cell endless. */
static void test_text_bound(void **state) {
    enum { MARKS = 100000 };
    char *line = malloc(2 * MARKS + 64);
    (void)state;
    assert_non_null(line);
    size_t len = (size_t)sprintf(line, "{\"kind\":\"a");
    for (int i = 0; i < MARKS; i++, len += 2)
        memcpy(line + len, "\xcc\x81", 2);
    memcpy(line + len, "\"}", 3);
    assert_true(strlen(show(80, line)) < MAX_CELL_BYTES + 256);
    show(0, NULL);
    free(line);
    /* A line past what is read is shown by its first bytes. */
    line = malloc(TAIL_TEXT_MAX_LINE_BYTES + 2);
    assert_non_null(line);
    memset(line, ' ', TAIL_TEXT_MAX_LINE_BYTES + 1);
    memcpy(line, "{\"kind\":\"k\"", 11);
    line[TAIL_TEXT_MAX_LINE_BYTES - 1] = '}';
    line[TAIL_TEXT_MAX_LINE_BYTES] = 0;
    assert_int_equal(show(80, line)[0], '-');
    line[TAIL_TEXT_MAX_LINE_BYTES] = ' ';
    line[TAIL_TEXT_MAX_LINE_BYTES + 1] = 0;
    assert_int_equal(show(80, line)[0], '{');
    show(0, NULL);
    free(line);
}

static void test_delay(void **state) {
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "0ms"},
                 {999, "999ms"},
                 {1000, "1.0s"},
                 {59999, "59.9s"},
                 {60000, "1m00s"},
                 {3599999, "59m59s"},
                 {3600000, "1h00m"},
                 {86399999, "23h59m"},
                 {86400000, "1d"},
                 {-1500, "-1.5s"},
                 {INT64_MIN + 1, "-106751991167d"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[32];
        struct span shown = format_delay(cases[i].ms, text);
        if (!span_equals(shown, span_from_string(cases[i].text)))
            fail_msg("%s: %.*s", cases[i].text, SPAN_ARG(shown));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursors),
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_line_cut_anywhere),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_file_of_several),
        cmocka_unit_test(test_merge_order),
        cmocka_unit_test(test_merge_wait),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_queue_bound),
        cmocka_unit_test(test_text_of_each_sender),
        cmocka_unit_test(test_text_of_odd_lines),
        cmocka_unit_test(test_text_bound),
        cmocka_unit_test(test_delay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
