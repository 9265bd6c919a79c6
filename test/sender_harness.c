/* See sender_harness.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch.h"
#include "json.h"
#include "ring.h"
#include "sender_harness.h"
#include "util/buf.h"

#define RECEIVED_US INT64_C(1767607933456789)
#define ID_START    "\"id\":\""

enum { RING_BYTES = 4 << 20, ID_DIGITS = 2 * HASH_BYTES };

static struct json_parser *parser, *line_parser;
static struct batch batch;
static struct buf lines;

int sender_harness_setup(void **state) {
    (void)state;
    parser = json_parser_new();
    line_parser = json_parser_new();
    return parser && line_parser ? 0 : -1;
}

int sender_harness_teardown(void **state) {
    (void)state;
    batch_deinit(&batch);
    buf_deinit(&lines);
    json_parser_free(parser);
    json_parser_free(line_parser);
    return 0;
}

/* --- Checking lines ------------------------------------------------------------------------------
 */

static void check_names(const struct json_doc *doc, uint32_t object) {
    json_expand(doc, object);
    uint32_t end = doc->nodes[object].next;
    for (uint32_t key = object + 1; key < end; key = doc->nodes[key + 1].next) {
        char name[256];
        assert_in_range(doc->nodes[key].len, 0, sizeof name);
        struct span text = span_from(name, json_unescape(json_text(doc, key), name));
        if (json_find(doc, object, text) != key + 1)
            fail_msg("twice: %.*s in %.*s", SPAN_ARG(text), SPAN_ARG(json_raw(doc, object)));
        if (json_type(doc, key + 1) == JSON_OBJECT && !span_equals(text, SPAN("data")))
            check_names(doc, key + 1);
    }
}

static void check_string(const struct json_doc *doc, struct span name, const char *line,
                         unsigned offset, unsigned len) {
    uint32_t node = json_find(doc, 0, name);
    assert_int_not_equal(node, 0);
    struct span text = json_text(doc, node);
    assert_true(span_equals(text, span_from(line + offset, len)));
}

static void check_record(const struct ring_record *record, uint64_t seq) {
    struct json_doc doc;
    struct json_error error;
    char seq_text[U64_TEXT_BYTES];
    uint64_t mac = MAC_NONE;
    struct span line = ring_record_line(record);
    char *padded = calloc(1, line.len + JSON_PADDING);
    assert_non_null(padded);
    memcpy(padded, line.ptr, line.len);
    if (json_parse(line_parser, padded, line.len, &doc, &error))
        fail_msg("%s at %zu: %.*s", error.message, error.offset, SPAN_ARG(line));
    assert_int_equal(json_type(&doc, 0), JSON_OBJECT);
    assert_ptr_equal(memchr(line.ptr, '\n', line.len), line.ptr + line.len - 1);
    check_names(&doc, 0);
    check_string(&doc, SPAN("endpoint"), padded, record->endpoint_offset, record->endpoint_len);
    check_string(&doc, SPAN("provider"), padded, record->provider_offset, record->provider_len);
    check_string(&doc, SPAN("kind"), padded, record->kind_offset, record->kind_len);
    struct span expected_seq = span_from(seq_text, text_format_u64(seq, seq_text));
    assert_true(span_equals(json_text(&doc, json_find(&doc, 0, SPAN("seq"))), expected_seq));
    assert_int_equal(record->received_us, RECEIVED_US);
    uint32_t client = json_find(&doc, 0, SPAN("client"));
    uint32_t mac_node = client ? json_find(&doc, client, SPAN("mac")) : 0;
    if (mac_node)
        mac = text_parse_mac(json_text(&doc, mac_node));
    assert_true(record->client_mac == mac);
    free(padded);
}

static void collect_lines(const struct ring *ring) {
    struct ring_cursor cursor = ring_oldest(ring);
    const struct ring_record *record = NULL;
    uint64_t seq = 1;
    lines.len = 0;
    while (ring_next(ring, &cursor, &record) == RING_OK) {
        struct span line = ring_record_line(record);
        check_record(record, seq++);
        assert_int_equal(buf_append(&lines, line.ptr, line.len), 0);
    }
    assert_int_equal(seq - 1, batch.accepted);
}

/* --- Bodies --------------------------------------------------------------------------------------
 */

struct sender_outcome sender_harness_parse(const char *sender, struct span body) {
    struct sender_outcome outcome = {0};
    struct json_doc doc;
    struct json_error error;
    struct ring *ring;
    const struct sender *found = sender_find(span_from_string(sender));
    assert_non_null(found);
    char *padded = calloc(1, body.len + JSON_PADDING);
    assert_non_null(padded);
    memcpy(padded, body.ptr, body.len);
    if (json_parse(parser, padded, body.len, &doc, &error))
        fail_msg("%s at %zu: %.*s", error.message, error.offset, SPAN_ARG(body));
    assert_int_equal(ring_new(&ring, RING_BYTES), 0);
    batch_begin(&batch, ring, SPAN("lobby"), span_from_string(sender), RECEIVED_US);
    outcome.rc = sender_parse(found, &doc, &batch, &outcome.first);
    outcome.accepted = batch.accepted;
    outcome.rejected = batch.rejected;
    if (batch.rejected && !outcome.rc)
        outcome.first = batch.first_rejection;
    if (outcome.rc) {
        batch_abort(&batch);
    } else {
        batch_commit(&batch);
        collect_lines(ring);
        outcome.lines = buf_span(&lines);
    }
    ring_free(ring);
    free(padded);
    return outcome;
}

/* --- Samples -------------------------------------------------------------------------------------
 */

static struct buf read_file(const char *sender, const char *name, const char *ending) {
    char path[256], block[4096];
    struct buf content = {0};
    size_t len;
    snprintf(path, sizeof path, "test/data/%s/%s%s", sender, name, ending);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s cannot be opened", path);
    while ((len = fread(block, 1, sizeof block, file)) > 0)
        assert_int_equal(buf_append(&content, block, len), 0);
    fclose(file);
    return content;
}

static struct span next_line(struct span *text) {
    const char *end = memchr(text->ptr, '\n', text->len);
    size_t len = end ? (size_t)(end - text->ptr) + 1 : text->len;
    struct span line = span_from(text->ptr, len);
    *text = span_from(text->ptr + len, text->len - len);
    return line;
}

/* Whether two lines are the same, where an id of zeros is expected to be any, or each is. */
static bool same_line(struct span actual, struct span expected, bool any_id) {
    static const char zeros[ID_DIGITS + 1] = "00000000000000000000000000000000";
    const char *id = memmem(expected.ptr, expected.len, ID_START, sizeof ID_START - 1);
    size_t at = id ? (size_t)(id - expected.ptr) + sizeof ID_START - 1 : 0;
    if (!id || expected.len < at + ID_DIGITS ||
        (!any_id && memcmp(expected.ptr + at, zeros, ID_DIGITS) != 0))
        return span_equals(actual, expected);
    size_t behind = at + ID_DIGITS;
    return actual.len == expected.len && memcmp(actual.ptr, expected.ptr, at) == 0 &&
           memcmp(actual.ptr + behind, expected.ptr + behind, expected.len - behind) == 0;
}

static void check_body(const char *sender, const struct sender_sample *sample, struct span body,
                       struct span expected, bool any_id) {
    struct sender_outcome outcome = sender_harness_parse(sender, body);
    struct span actual_left = outcome.lines;
    assert_int_equal(outcome.rc, SENDER_OK);
    while (actual_left.len || expected.len) {
        struct span line = next_line(&actual_left), wanted = next_line(&expected);
        if (!same_line(line, wanted, any_id))
            fail_msg("%s/%s:\n%.*sexpected\n%.*s", sender, sample->name, SPAN_ARG(line),
                     SPAN_ARG(wanted));
    }
    assert_int_equal(outcome.accepted, sample->accepted);
    assert_int_equal(outcome.rejected, sample->rejected);
    assert_string_equal(outcome.first.path, sample->first_path ? sample->first_path : "");
    assert_string_equal(outcome.first.message, sample->first_message ? sample->first_message : "");
}

/* A blank in front of each colon, and behind it: then no object is flat (json.h), as most are
 * without any. */
static struct buf spread(struct span minified) {
    struct buf spaced = {0};
    bool in_string = false;
    for (size_t i = 0; i < minified.len; i++) {
        char c = minified.ptr[i];
        bool is_escape = in_string && c == '\\';
        bool is_colon = !in_string && c == ':';
        if (is_colon)
            assert_int_equal(buf_append(&spaced, " : ", 3), 0);
        else
            assert_int_equal(buf_append(&spaced, &minified.ptr[i], is_escape ? 2 : 1), 0);
        i += is_escape;
        in_string ^= c == '"';
    }
    return spaced;
}

void sender_harness_check(const char *sender, const struct sender_sample *sample) {
    struct buf body = read_file(sender, sample->name, ".json");
    struct buf expected = read_file(sender, sample->name, ".expected.ndjson");
    struct buf minified = {0};
    assert_int_equal(json_minify(buf_span(&body), &minified), 0);
    struct buf spaced = spread(buf_span(&minified));
    check_body(sender, sample, buf_span(&body), buf_span(&expected), false);
    /* An id may be made of a value as it stands, blanks included. */
    check_body(sender, sample, buf_span(&minified), buf_span(&expected), true);
    check_body(sender, sample, buf_span(&spaced), buf_span(&expected), true);
    buf_deinit(&body);
    buf_deinit(&expected);
    buf_deinit(&minified);
    buf_deinit(&spaced);
}
