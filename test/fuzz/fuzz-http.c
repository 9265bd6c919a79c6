/* src/http.h: the same bytes in one piece and cut where the input says give the same requests.
 *
 * Input: flags, cuts (fuzz.h), then what the peer sends. Flag 1: small limits; 2: bodies are
 * dropped; 4: the query is read at the head, as one that authorises is. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "http.h"

enum { SMALL_LIMITS = 1, DISCARD = 2, READ_QUERY = 4, SCRATCH_PADDING_BYTE = 0xaa };

static struct http_request scratch;

__attribute__((format(printf, 2, 3))) static void note(struct buf *log, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    FUZZ_CHECK(buf_append(log, text, (size_t)len) == 0);
}

static void note_span(struct buf *log, struct span text) {
    note(log, "[%zu:", text.len);
    if (text.len)
        FUZZ_CHECK(buf_append(log, text.ptr, text.len) == 0);
    note(log, "]");
}

static void note_request(struct buf *log, const struct http_request *request, const char *step) {
    note(log, "\n%s 1.%u keep=%d expect=%d body=%d chunked=%d length=%llu ", step,
         request->minor_version, request->keep_alive, request->expect_continue, request->has_body,
         request->chunked, (unsigned long long)request->content_length);
    note_span(log, request->method);
    note_span(log, request->path);
    note_span(log, request->query);
    note_span(log, http_request_field(request, SPAN("content-type")));
    note_span(log, http_request_field(request, SPAN("a")));
    for (unsigned i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];
        FUZZ_CHECK(field->name + field->name_len <= request->head_len);
        FUZZ_CHECK(field->value + field->value_len <= request->head_len);
    }
}

static void read_query(struct buf *log, const struct http_request *request) {
    struct span query = request->query, name, value;
    while (query.ptr && http_query_next(&query, &name, &value)) {
        note_span(log, name);
        note_span(log, value);
    }
}

/* The body lies in memory that is writable, with its padding behind it. */
static void touch_body(const struct http_request *request) {
    volatile char *end = (char *)request->body.ptr + request->body.len;
    char sum = 0;
    FUZZ_CHECK(!span_is_absent(request->body));
    for (unsigned i = 0; i < HTTP_BODY_PADDING; i++)
        sum = (char)(sum + end[i]);
    (void)sum;
    if (request->body.len)
        *(volatile char *)request->body.ptr = request->body.ptr[0];
    FUZZ_CHECK(request->body.len <= request->max_body_bytes);
}

/* Steps through one chunk, in memory that is gone afterwards. False after HTTP_STEP_BAD. */
static bool feed(struct http_parser *parser, struct buf *log, const uint8_t *data, size_t len,
                 unsigned flags) {
    char *chunk = malloc(len + HTTP_BODY_PADDING);
    bool bad = false;
    enum http_step step;
    memcpy(chunk, data, len);
    memset(chunk + len, SCRATCH_PADDING_BYTE, HTTP_BODY_PADDING);
    http_feed(parser, &scratch, chunk, len);
    while ((step = http_step(parser)) != HTTP_STEP_MORE) {
        if (step == HTTP_STEP_HEAD) {
            FUZZ_CHECK(parser->request && !http_parser_in_head(parser));
            note_request(log, parser->request, "head");
            parser->request->discard_body = flags & DISCARD;
            if (flags & READ_QUERY)
                read_query(log, parser->request);
        } else if (step == HTTP_STEP_REQUEST) {
            note_request(log, parser->request, "request");
            if (!parser->request->discard_body)
                touch_body(parser->request);
            note_span(log, parser->request->body);
        } else {
            FUZZ_CHECK(!bad && parser->bad_status >= 400 && parser->bad_status <= 505);
            FUZZ_CHECK(parser->bad_reason && strlen(parser->bad_reason) < 128);
            bad = true;
        }
    }
    FUZZ_CHECK(http_feed_end(parser) == 0);
    free(chunk);
    return !bad;
}

static void run(struct buf *log, const struct fuzz_input *input, struct fuzz_cuts cuts,
                unsigned flags) {
    const struct http_limits limits =
        flags & SMALL_LIMITS ? (struct http_limits){256, 64} : (struct http_limits){32768, 65536};
    struct http_parser parser;
    size_t at = 0;
    bool good = true;
    http_parser_init(&parser, &limits);
    while (good && at < input->left) {
        size_t len = fuzz_next_cut(&cuts, input->left - at);
        good = feed(&parser, log, input->data + at, len, flags);
        at += len;
    }
    if (!good) { /* of what is wrong in two ways, the cuts decide which is seen first */
        bool either = flags & SMALL_LIMITS || parser.bad_status == 431 || parser.bad_status == 501;
        note(log, "\nbad %d", either ? 400 : parser.bad_status);
    } else {
        note(log, "\nmore: head=%d body=%d", http_parser_in_head(&parser),
             http_parser_in_body(&parser));
    }
    http_parser_deinit(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    struct fuzz_cuts cuts;
    struct buf whole = {0}, cut = {0};
    unsigned flags = fuzz_take_byte(&input);
    fuzz_take_cuts(&input, &cuts);
    run(&whole, &input, (struct fuzz_cuts){0}, flags);
    run(&cut, &input, cuts, flags);
    if (!span_equals(buf_span(&whole), buf_span(&cut)))
        FUZZ_FAIL("in one piece:%.*s\ncut:%.*s", SPAN_ARG(buf_span(&whole)),
                  SPAN_ARG(buf_span(&cut)));
    buf_deinit(&whole);
    buf_deinit(&cut);
    return 0;
}
