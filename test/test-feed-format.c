/* How a stream writes an event, and which form the Accept field asks for: to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "feed_format.h"
#include "util/text.h"

#define ID "000102030405060708090a0b0c0d0e0f"

/* The only event of a ring of its own. */
static struct ring *make_ring(const struct event *event, const struct ring_record **record) {
    struct event_context context;
    struct event_layout layout;
    struct ring_cursor cursor;
    struct ring *ring;
    char *line;
    assert_int_equal(ring_new(&ring, RING_MIN_BYTES), 0);
    event_context_init(&context, SPAN("hq.2"), SPAN("mist"), 1767607933456789);
    context.seq = ring_next_seq(ring);
    assert_int_equal(ring_reserve(ring, event_size_bound(event, &context), &line), RING_OK);
    event_encode(event, &context, line, &layout);
    ring_push(ring, &(struct ring_record){.line_len = layout.len,
                                          .endpoint_offset = layout.endpoint_offset,
                                          .endpoint_len = layout.endpoint_len,
                                          .kind_offset = layout.kind_offset,
                                          .kind_len = layout.kind_len});
    ring_commit(ring);
    cursor = ring_oldest(ring);
    assert_int_equal(ring_next(ring, &cursor, record), RING_OK);
    return ring;
}

static struct event make_event(const char *kind, int64_t time_ms) {
    struct event event;
    event_init(&event);
    event.kind = span_from_string(kind);
    event.time_ms = time_ms;
    for (unsigned i = 0; i < sizeof event.id; i++)
        event.id[i] = (uint8_t)i;
    return event;
}

static void check_bytes(struct buf *out, const char *expected) {
    if (out->len != strlen(expected) || memcmp(out->ptr, expected, out->len))
        fail_msg("%.*s\nnot %s", (int)out->len, out->ptr, expected);
    out->len = 0;
}

static void test_an_event_in_each_form(void **state) {
    static const char line[] =
        "{\"seq\":1,\"id\":\"" ID "\",\"received\":\"2026-01-05T10:12:13.456789Z\","
        "\"endpoint\":\"hq.2\",\"provider\":\"mist\",\"kind\":\"zone-enter\","
        "\"time\":\"2026-01-05T10:12:12.900Z\",\"delay_ms\":556,\"ssid\":\"guests\"}";
    struct event event = make_event("zone-enter", 1767607932900);
    const struct ring_record *record;
    struct buf out = {0};
    char expected[1024];
    (void)state;
    event_set(&event, EVENT_SSID, SPAN("guests"));
    struct ring *ring = make_ring(&event, &record);

    assert_int_equal(feed_format_event(FEED_NDJSON, ring, record, &out), 0);
    snprintf(expected, sizeof expected, "%s\n", line);
    check_bytes(&out, expected);
    assert_int_equal(feed_format_event(FEED_SSE, ring, record, &out), 0);
    snprintf(expected, sizeof expected, "id: %s-1\ndata: %s\n\n", ring_id(ring), line);
    check_bytes(&out, expected);
    assert_int_equal(feed_format_event(FEED_CLOUDEVENTS, ring, record, &out), 0);
    snprintf(expected, sizeof expected,
             "{\"specversion\":\"1.0\",\"id\":\"" ID "\",\"source\":\"/rollcall/hq.2\","
             "\"type\":\"rollcall.presence.zone-enter\",\"time\":\"2026-01-05T10:12:12.900Z\","
             "\"datacontenttype\":\"application/json\",\"data\":%s}\n",
             line);
    check_bytes(&out, expected);
    buf_deinit(&out);
    ring_free(ring);
}

/* What is between two texts of a CloudEvent. */
static void check_cloudevent(const struct event *event, const char *type, const char *time) {
    const struct ring_record *record;
    struct buf out = {0};
    char expected[1024];
    struct ring *ring = make_ring(event, &record);
    assert_int_equal(feed_format_event(FEED_CLOUDEVENTS, ring, record, &out), 0);
    snprintf(expected, sizeof expected,
             "\"type\":\"rollcall.presence.%s\",\"time\":\"%s\",\"datacontenttype\"", type, time);
    if (!memmem(out.ptr, out.len, expected, strlen(expected)))
        fail_msg("%.*s has no %s", (int)out.len, out.ptr, expected);
    buf_deinit(&out);
    ring_free(ring);
}

/* A sender's word may be anything; a type may not. Where nobody knows when it happened, it is when
 * it came, also where something in the kind looks like a time. */
static void test_types_and_times_of_cloudevents(void **state) {
    static const char came[] = "2026-01-05T10:12:13.456789Z";
    static const char *const kinds[][2] = {
        {"seen", "seen"},
        {"gap", "gap"}, /* not the type of a gap line */
        {"Odd Word", "Odd_Word"},
        {"a\\\"b\\\\c", "a_b_c"},
        {"a\\u0062c", "abc"},
        {"v1.2_x-y", "v1.2_x-y"},
        {"\\u00e4", "__"},
        {"time\\\",\\\"time\\\":\\\"2001-01-01T00:00:00.000Z\\\"",
         "time___time___2001-01-01T00_00_00.000Z_"},
    };
    char longest[EVENT_MAX_KIND_BYTES + 1];
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct event event = make_event(kinds[i][0], TIME_NONE);
        check_cloudevent(&event, kinds[i][1], came);
        event.time_ms = 0;
        check_cloudevent(&event, kinds[i][1], "1970-01-01T00:00:00.000Z");
    }
    memset(longest, 'k', EVENT_MAX_KIND_BYTES);
    longest[EVENT_MAX_KIND_BYTES] = 0;
    struct event event = make_event(longest, TIME_NONE);
    check_cloudevent(&event, longest, came);
}

static void test_a_gap_in_each_form(void **state) {
    struct event event = make_event("seen", TIME_NONE);
    const struct ring_record *record;
    struct buf out = {0};
    char json[256], expected[1024];
    (void)state;
    struct ring *ring = make_ring(&event, &record);
    struct feed_gap gap = {SPAN("0123456789abcdef-17"), 42, 24, "overrun"};

    snprintf(json, sizeof json,
             "{\"gap\":{\"after\":\"0123456789abcdef-17\",\"next\":\"%s-42\",\"lost\":24,"
             "\"reason\":\"overrun\"}}",
             ring_id(ring));
    assert_int_equal(feed_format_gap(FEED_NDJSON, ring, &gap, &out), 0);
    snprintf(expected, sizeof expected, "%s\n", json);
    check_bytes(&out, expected);
    assert_int_equal(feed_format_gap(FEED_SSE, ring, &gap, &out), 0);
    snprintf(expected, sizeof expected, "id: %s-41\nevent: gap\ndata: %s\n\n", ring_id(ring), json);
    check_bytes(&out, expected);
    assert_int_equal(feed_format_gap(FEED_CLOUDEVENTS, ring, &gap, &out), 0);
    snprintf(expected, sizeof expected,
             "{\"specversion\":\"1.0\",\"id\":\"gap-0123456789abcdef-17-%s-42\","
             "\"source\":\"/rollcall\",\"type\":\"rollcall.gap\","
             "\"datacontenttype\":\"application/json\",\"data\":%s}\n",
             ring_id(ring), json);
    check_bytes(&out, expected);
    gap.lost = -1;
    gap.reason = "restart";
    assert_int_equal(feed_format_gap(FEED_NDJSON, ring, &gap, &out), 0);
    assert_non_null(memmem(out.ptr, out.len, "\"lost\":null,\"reason\":\"restart\"", 30));
    out.len = 0;
    /* The largest numbers there are. */
    gap = (struct feed_gap){SPAN("0123456789abcdef-18446744073709551615"), UINT64_MAX, INT64_MAX,
                            "unknown-cursor"};
    for (int format = 0; format < FEED_FORMATS; format++) {
        assert_int_equal(feed_format_gap((enum feed_format)format, ring, &gap, &out), 0);
        snprintf(expected, sizeof expected,
                 "{\"gap\":{\"after\":\"0123456789abcdef-18446744073709551615\","
                 "\"next\":\"%s-18446744073709551615\",\"lost\":9223372036854775807,"
                 "\"reason\":\"unknown-cursor\"}}",
                 ring_id(ring));
        assert_non_null(memmem(out.ptr, out.len, expected, strlen(expected)));
        out.len = 0;
    }
    buf_deinit(&out);
    ring_free(ring);
}

static void test_heartbeats(void **state) {
    static const char *const beats[FEED_FORMATS] = {"\n", ":\n\n", "\n"};
    struct buf out = {0};
    (void)state;
    for (int format = 0; format < FEED_FORMATS; format++) {
        assert_int_equal(feed_format_heartbeat((enum feed_format)format, &out), 0);
        check_bytes(&out, beats[format]);
    }
    buf_deinit(&out);
}

#define NDJSON "application/x-ndjson"
#define SSE    "text/event-stream"
#define CLOUD  "application/cloudevents+json"

static void test_accept(void **state) {
    static const struct {
        const char *accept;
        enum feed_format expected;
    } cases[] = {
        {NULL, FEED_NDJSON},
        {"", FEED_NDJSON},
        {" \t", FEED_NDJSON},
        {"*/*", FEED_NDJSON},
        {"application/*", FEED_NDJSON},
        {"text/*", FEED_SSE},
        {NDJSON, FEED_NDJSON},
        {SSE, FEED_SSE},
        {CLOUD, FEED_CLOUDEVENTS},
        {"TEXT/Event-Stream", FEED_SSE},
        {"Application/*", FEED_NDJSON},
        {SSE "; charset=utf-8", FEED_SSE},
        /* weights */
        {NDJSON ";q=0.5," SSE ";q=0.6", FEED_SSE},
        {NDJSON ";q=0.501," CLOUD ";q=0.502", FEED_CLOUDEVENTS},
        {NDJSON ";q=0.999," CLOUD, FEED_CLOUDEVENTS},
        {NDJSON ";Q=0.1 , " CLOUD ";q=0.2", FEED_CLOUDEVENTS},
        {NDJSON " ; charset=utf-8 ; q=0.1, " CLOUD " ; q=0.2", FEED_CLOUDEVENTS},
        {SSE ";q=0.9," CLOUD ";q=1", FEED_CLOUDEVENTS},
        {SSE ";q=0.9," CLOUD ";q=1.000", FEED_CLOUDEVENTS},
        {SSE ";q=0.9," CLOUD ";q=1.", FEED_CLOUDEVENTS},
        {SSE ";q=0.001, */*;q=0", FEED_SSE},
        {"text/*;q=0.3, " CLOUD ";q=0.2", FEED_SSE},
        {"*/*;q=0.5, application/*;q=0.1", FEED_SSE},
        {"application/*;q=0.1, */*;q=0.5", FEED_SSE},
        /* the closest range is the type's, whatever it weighs */
        {"*/*, " NDJSON ";q=0", FEED_SSE},
        {"*/*;q=0.1, " NDJSON ";q=0, " SSE ";q=0", FEED_CLOUDEVENTS},
        {"application/*, " NDJSON ";q=0", FEED_CLOUDEVENTS},
        /* equals: the one that is named most closely, then the first of ours */
        {SSE ", */*", FEED_SSE},
        {"*/*, " CLOUD, FEED_CLOUDEVENTS},
        {"application/*, " CLOUD, FEED_CLOUDEVENTS},
        {"*/*, text/*", FEED_SSE},
        {CLOUD ", " SSE ", " NDJSON, FEED_NDJSON},
        {CLOUD ", " SSE, FEED_SSE},
        {"*/*, " SSE ";q=0.999", FEED_NDJSON},
        /* a weight that is none counts as none */
        {NDJSON ";q=0.9," CLOUD ";q=.1", FEED_CLOUDEVENTS},
        {NDJSON ";q=0.9," CLOUD ";q=", FEED_CLOUDEVENTS},
        {NDJSON ";q=0.9," CLOUD ";q=0.1x", FEED_CLOUDEVENTS},
        {NDJSON ";q=0.9," CLOUD ";q=0.1234", FEED_CLOUDEVENTS},
        {NDJSON ";q=0.9," CLOUD ";q=0,1", FEED_NDJSON}, /* "1" is another range */
        {NDJSON ";q=0.9," CLOUD ";q=abc", FEED_CLOUDEVENTS},
        /* none of ours */
        {"text/html", FEED_FORMATS},
        {"application/json", FEED_FORMATS},
        {NDJSON ";q=0", FEED_FORMATS},
        {NDJSON ";q=0.000", FEED_FORMATS},
        {"*/*;q=0", FEED_FORMATS},
        {"application/x-ndjsonx", FEED_FORMATS},
        {"application/x-ndjso", FEED_FORMATS},
        {"application", FEED_FORMATS},
        {"application/", FEED_FORMATS},
        {"text/**", FEED_FORMATS},
        {"*", FEED_FORMATS},
        {"*/event-stream", FEED_FORMATS},
        {",", FEED_FORMATS},
        {";;;,;q=1", FEED_FORMATS},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum feed_format chosen = feed_format_choose(span_from_string(cases[i].accept));
        if (chosen != cases[i].expected)
            fail_msg("%s: %d, not %d", cases[i].accept, chosen, cases[i].expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_in_each_form),
        cmocka_unit_test(test_types_and_times_of_cloudevents),
        cmocka_unit_test(test_a_gap_in_each_form),
        cmocka_unit_test(test_heartbeats),
        cmocka_unit_test(test_accept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
