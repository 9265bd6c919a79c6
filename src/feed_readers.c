/* /v1/readers: held readers over HTTP. PUT makes one, or commits; GET shows; DELETE ends. See
 * readers.h. */
#include <stdio.h>
#include <string.h>

#include "feed_internal.h"

enum { PREFIX_BYTES = sizeof "/v1/readers/" - 1, SHOWN_BYTES = 256 };

/* One of them as JSON. */
static int show(const struct feed *feed, unsigned i, char dst[SHOWN_BYTES]) {
    const struct ring_held *place = &feed->held.places[i];
    char cursor[RING_CURSOR_MAX];
    ring_format_cursor(feed->ring, place->seq, cursor);
    return snprintf(
        dst, SHOWN_BYTES, "{\"reader\":\"%s\",\"after\":\"%s\",\"behind\":%llu,\"holds\":%s}",
        place->name, cursor, (unsigned long long)(ring_newest(feed->ring).seq - 1 - place->seq),
        feed->held.all[i].holds ? "true" : "false");
}

void reader_answer_list(struct reader *reader, struct http_request *request) {
    struct feed *feed = reader->feed;
    char text[READERS_MAX * SHOWN_BYTES + 32];
    size_t len = (size_t)snprintf(text, sizeof text, "{\"readers\":[");
    bool first = true;
    (void)request;
    for (unsigned i = 0; i < READERS_MAX; i++) {
        if (!feed->held.places[i].name[0])
            continue;
        if (!first)
            text[len++] = ',';
        first = false;
        len += (size_t)show(feed, i, text + len);
    }
    len += (size_t)snprintf(text + len, sizeof text - len, "]}\n");
    reader_answer_text(reader, 200, "application/json", NULL, span_from(text, len));
}

static void answer_one(struct reader *reader, struct span name, int status) {
    char text[SHOWN_BYTES];
    unsigned i = readers_find(&reader->feed->held, name);
    if (i == READERS_MAX) {
        reader_answer(reader, 404, NULL, "{\"error\":\"no held reader has this name\"}\n");
        return;
    }
    show(reader->feed, i, text);
    reader_answer(reader, status, NULL, "%s\n", text);
}

/* What the body says: {"after":CURSOR}, or nothing for the live edge. False: answered. */
static bool read_body(struct reader *reader, const struct http_request *request, uint64_t *seq) {
    struct feed *feed = reader->feed;
    char scratch[RING_CURSOR_MAX];
    struct json_doc doc;
    struct json_error error;
    *seq = ring_newest(feed->ring).seq - 1;
    if (request->body.len == 0)
        return true;
    uint32_t after = 0;
    int rc = json_parse(feed->json, request->body.ptr, request->body.len, &doc, &error);
    if (rc == 0)
        after = json_find(&doc, 0, SPAN("after"));
    if (rc < 0) {
        reader_answer(reader, 503, NULL, "{\"error\":\"out of memory\"}\n");
        return false;
    }
    struct span text = {0};
    if (rc == 0 && after && json_type(&doc, after) == JSON_STRING &&
        json_text(&doc, after).len < sizeof scratch)
        text = span_from(scratch, json_unescape(json_text(&doc, after), scratch));
    switch (text.ptr ? ring_parse_cursor(feed->ring, text, seq) : RING_CURSOR_MALFORMED) {
    case RING_CURSOR_OURS:
        return true;
    case RING_CURSOR_FOREIGN:
        reader_answer(reader, 409, NULL,
                      "{\"error\":\"the cursor is of another ring; this one is %s\"}\n",
                      ring_id(feed->ring));
        return false;
    default:
        reader_answer(
            reader, 400, NULL,
            "{\"error\":\"the body is {\\\"after\\\":\\\"<ring id>-<seq>\\\"}, or empty\"}\n");
        return false;
    }
}

static void put(struct reader *reader, const struct http_request *request, struct span name) {
    uint64_t seq;
    if (!read_body(reader, request, &seq))
        return;
    switch (readers_commit(&reader->feed->held, name, seq)) {
    case READERS_OK:
        answer_one(reader, name, 200);
        return;
    case READERS_CREATED:
        answer_one(reader, name, 201);
        return;
    case READERS_FULL:
        reader_answer(reader, 409, NULL, "{\"error\":\"there are %d already; delete one\"}\n",
                      READERS_MAX);
        return;
    case READERS_FUTURE:
        reader_answer(reader, 409, NULL, "{\"error\":\"that event is not there yet\"}\n");
        return;
    default:
        reader_answer(reader, 400, NULL,
                      "{\"error\":\"a name has at most %d of A-Z a-z 0-9 . _ -\"}\n",
                      READERS_NAME_BYTES);
    }
}

void reader_answer_held(struct reader *reader, struct http_request *request) {
    struct span name =
        span_from(request->path.ptr + PREFIX_BYTES, request->path.len - PREFIX_BYTES);
    if (request->llhttp_method == HTTP_PUT)
        put(reader, request, name);
    else if (request->llhttp_method != HTTP_DELETE)
        answer_one(reader, name, 200);
    else if (readers_remove(&reader->feed->held, name))
        reader_answer(reader, 404, NULL, "{\"error\":\"no held reader has this name\"}\n");
    else
        reader_answer(reader, 200, NULL, "{}\n");
}
