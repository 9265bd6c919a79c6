/* What is put together piece by piece, where memory ends inside it: for every number of bytes that
 * there is room for, and no memory for more, -ENOMEM for whichever piece it is that does not fit,
 * nothing behind the room touched, and the whole where all of it fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "feed_format.h"
#include "tail_request.h"

/* The linker puts these in front of the library's own calls (--wrap). */
void *__real_realloc(void *old, size_t len);
void *__wrap_realloc(void *old, size_t len);

static bool is_out_of_memory;

void *__wrap_realloc(void *old, size_t len) {
    return is_out_of_memory ? NULL : __real_realloc(old, len);
}

typedef int append_function(const void *context, struct buf *out);

static void check_every_room(append_function *append, const void *context, const char *what) {
    struct buf whole = {0};
    assert_int_equal(append(context, &whole), 0);
    is_out_of_memory = true;
    for (size_t room = 0; room <= whole.len; room++) {
        struct buf tight = {.ptr = malloc(room ? room : 1), .cap = room}; /* bounds are ASan's */
        assert_non_null(tight.ptr);
        int rc = append(context, &tight);
        if (rc != (room == whole.len ? 0 : -ENOMEM) || tight.len > room ||
            memcmp(tight.ptr, whole.ptr, tight.len) != 0)
            fail_msg("%s, room for %zu bytes of %zu: %d", what, room, whole.len, rc);
        buf_deinit(&tight);
    }
    is_out_of_memory = false;
    buf_deinit(&whole);
}

/* --- what a stream sends -------------------------------------------------------------------------
 */

struct lines {
    enum feed_format format;
    const struct ring *ring;
    const struct ring_record *record;
    const struct feed_gap *gap;
};

static int append_event(const void *context, struct buf *out) {
    const struct lines *lines = context;
    return feed_format_event(lines->format, lines->ring, lines->record, out);
}

static int append_gap(const void *context, struct buf *out) {
    const struct lines *lines = context;
    return feed_format_gap(lines->format, lines->ring, lines->gap, out);
}

static int append_heartbeat(const void *context, struct buf *out) {
    const struct lines *lines = context;
    return feed_format_heartbeat(lines->format, out);
}

static struct ring *ring_of_one(void) {
    struct event event;
    struct event_context context;
    struct event_layout layout;
    struct ring *ring;
    char *line;
    assert_int_equal(ring_new(&ring, RING_MIN_BYTES), 0);
    event_init(&event);
    event.kind = SPAN("seen");
    event.time_ms = 1767607932900;
    memset(event.id, 7, sizeof event.id);
    event_context_init(&context, SPAN("hq"), SPAN("json"), 1767607933456789);
    context.seq = ring_next_seq(ring);
    assert_int_equal(ring_reserve(ring, event_size_bound(&event, &context), &line), RING_OK);
    event_encode(&event, &context, line, &layout);
    ring_push(ring, &(struct ring_record){.line_len = layout.len,
                                          .endpoint_offset = layout.endpoint_offset,
                                          .endpoint_len = layout.endpoint_len,
                                          .kind_offset = layout.kind_offset,
                                          .kind_len = layout.kind_len});
    ring_commit(ring);
    return ring;
}

static void test_what_a_stream_sends(void **state) {
    struct ring *ring = ring_of_one();
    struct ring_cursor cursor = ring_oldest(ring);
    const struct ring_record *record;
    const struct feed_gap gaps[] = {{SPAN("9f0c-17"), 42, 24, "overrun"},
                                    {SPAN("9f0c-17"), 42, -1, "restart"}};
    (void)state;
    assert_int_equal(ring_next(ring, &cursor, &record), RING_OK);
    for (enum feed_format format = 0; format < FEED_FORMATS; format++) {
        struct lines lines = {format, ring, record, NULL};
        check_every_room(append_event, &lines, "an event");
        check_every_room(append_heartbeat, &lines, "a heartbeat");
        for (size_t i = 0; i < sizeof gaps / sizeof *gaps; i++) {
            lines.gap = &gaps[i];
            check_every_room(append_gap, &lines, "a gap");
        }
    }
    ring_free(ring);
}

/* --- what rollcall-tail asks for -----------------------------------------------------------------
 */

static const struct tail_cursor place = {.ring = "0123456789abcdef", .seq = 17};
static struct tail_options options = {
    .reader = "a b",
    .filters = {{"kind", "seen"}, {"endpoint", "h/q"}},
    .filter_count = 2,
};

static int append_stream(const void *context, struct buf *out) {
    return tail_request_stream(&options, context, out);
}

static int append_commit(const void *context, struct buf *out) {
    return tail_request_commit(context, &place, out);
}

static void test_what_the_tail_asks_for(void **state) {
    static const struct tail_wish wishes[] = {
        {.follow = true, .held = true, .limit = 5},
        {.after = &place},
        {.follow = true, .from = "oldest"},
        {.follow = true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        options.format = i % 2 ? TAIL_CLOUDEVENTS : TAIL_NDJSON;
        check_every_room(append_stream, &wishes[i], "a stream's request");
    }
    check_every_room(append_commit, "a b", "a commit");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_stream_sends),
        cmocka_unit_test(test_what_the_tail_asks_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
