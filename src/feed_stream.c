/* GET /v1/events: what a stream says. Parameters, the ring's lines in chunks, and a gap line
 * wherever the next line is not the last one's successor. See feed.h. */
#include "feed_internal.h"

#include <stdio.h>
#include <string.h>

/* --- parameters
 * ----------------------------------------------------------------------------------- */

struct parameters {
    struct span from, after, follow, limit;
};

/* A whole number of at least 1. */
static bool parse_limit(struct span text, uint64_t *limit) {
    *limit = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.ptr[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(*limit, 10U, limit) ||
            __builtin_add_overflow(*limit, digit, limit))
            return false;
    }
    return *limit > 0;
}

/* Sorts the query into parameters. NULL, or the message of a 400. */
static const char *read_query(struct span query, struct parameters *parameters) {
    const struct {
        struct span name;
        struct span *value;
    } known[] = {
        {SPAN("from"), &parameters->from},
        {SPAN("after"), &parameters->after},
        {SPAN("follow"), &parameters->follow},
        {SPAN("limit"), &parameters->limit},
    };
    struct span name, value;
    while (http_query_next(&query, &name, &value)) {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && !span_equals(known[i].name, name))
            i++;
        if (i == sizeof known / sizeof *known)
            return "unknown parameter: from, after, follow and limit are known";
        if (known[i].value->ptr)
            return "a parameter stands twice";
        *known[i].value = value;
    }
    return NULL;
}

static const char *check_parameters(struct reader *reader, const struct parameters *parameters) {
    if (parameters->from.ptr && parameters->after.ptr)
        return "from and after exclude each other";
    if (parameters->from.ptr && !span_equals(parameters->from, SPAN("now")) &&
        !span_equals(parameters->from, SPAN("oldest")))
        return "from: now or oldest";
    if (parameters->follow.ptr && !span_equals(parameters->follow, SPAN("0")) &&
        !span_equals(parameters->follow, SPAN("1")))
        return "follow: 0 or 1";
    reader->follow = !span_equals(parameters->follow, SPAN("0")) && !reader->feed->draining;
    reader->left = UINT64_MAX;
    if (parameters->limit.ptr && !parse_limit(parameters->limit, &reader->left))
        return "limit: a whole number of at least 1";
    return NULL;
}

/* --- lines
 * ---------------------------------------------------------------------------------------- */

enum { CHUNK_HEAD_BYTES = 10 }; /* eight digits (zeros in front are fine, RFC 9112, 7.1) and CRLF */

/* A gap line; `after` is what the reader saw last. `lost` below zero: nobody knows. */
static int append_gap(struct reader *reader, struct span after, uint64_t next_seq, int64_t lost,
                      const char *reason) {
    char text[2 * RING_CURSOR_MAX + 128], next[RING_CURSOR_MAX], count[24] = "null";
    ring_format_cursor(reader->feed->ring, next_seq, next);
    if (lost >= 0)
        snprintf(count, sizeof count, "%lld", (long long)lost);
    int len =
        snprintf(text, sizeof text,
                 "{\"gap\":{\"after\":\"%.*s\",\"next\":\"%s\",\"lost\":%s,\"reason\":\"%s\"}}\n",
                 SPAN_ARG(after), next, count, reason);
    return buf_append(&reader->feed->out, text, (size_t)len);
}

/* The ring has passed the reader by. */
static int append_overrun(struct reader *reader) {
    char after[RING_CURSOR_MAX];
    struct ring_cursor oldest = ring_oldest(reader->feed->ring);
    unsigned len = ring_format_cursor(reader->feed->ring, reader->cursor.seq - 1, after);
    int rc = append_gap(reader, span_from(after, len), oldest.seq,
                        (int64_t)(oldest.seq - reader->cursor.seq), "overrun");
    reader->cursor = oldest;
    return rc;
}

static int begin_chunk(struct reader *reader) {
    return reader->chunked ? buf_append(&reader->feed->out, "00000000\r\n", CHUNK_HEAD_BYTES) : 0;
}

/* Writes the chunk's size in front of it, or takes an empty chunk back. */
static int end_chunk(struct reader *reader, size_t start) {
    static const char digits[] = "0123456789abcdef";
    struct buf *out = &reader->feed->out;
    size_t len = out->len - start - CHUNK_HEAD_BYTES;
    if (!reader->chunked)
        return 0;
    if (len == 0) {
        out->len = start;
        return 0;
    }
    for (size_t i = 8; i-- > 0; len >>= 4)
        out->ptr[start + i] = digits[len & 15];
    return buf_append(out, "\r\n", 2);
}

/* Appends lines until a write is full, the ring is empty or the limit is reached. *done: the stream
 * has ended. 0 or -ENOMEM. */
static int append_lines(struct reader *reader, bool *done) {
    struct feed *feed = reader->feed;
    const struct ring_record *record;
    size_t start = feed->out.len;
    int rc = begin_chunk(reader);
    *done = reader->left == 0;
    while (rc == 0 && !*done && feed->out.len - start < FEED_CHUNK_BYTES) {
        int result = ring_next(feed->ring, &reader->cursor, &record);
        if (result == RING_EMPTY) {
            *done = !reader->follow;
            break;
        }
        if (result == RING_OVERRUN) {
            rc = append_overrun(reader);
            continue;
        }
        rc = buf_append(&feed->out, record + 1, record->line_len);
        *done = --reader->left == 0;
    }
    rc = rc ? rc : end_chunk(reader, start);
    if (rc == 0 && *done && reader->chunked)
        rc = buf_append(&feed->out, "0\r\n\r\n", 5);
    return rc;
}

void reader_pump(struct reader *reader) {
    bool done = false;
    reader->behind = false;
    for (int i = 0; i < FEED_CHUNKS_PER_TURN; i++) {
        if (append_lines(reader, &done)) {
            reader_fail(reader);
            return;
        }
        if (done) {
            reader->follow = false;
            reader_finish(reader);
            reader_go_on(reader);
            return;
        }
        if (reader->feed->out.len == 0)
            return; /* at the live edge */
        if (reader_send(reader)) {
            reader_fail(reader);
            return;
        }
        if (reader->writing)
            return; /* goes on when that is written */
    }
    reader->behind = true;
    feed_note_behind(reader->feed);
}

/* --- the beginning
 * -------------------------------------------------------------------------------- */

/* Rollcall-Cursor: what the stream begins behind, so that a client that is cut off before its first
 * line can come back without losing one; the ring id in it makes cursors of the lines' seqs. */
static int append_head(struct reader *reader, const struct http_request *request) {
    char text[256], cursor[RING_CURSOR_MAX];
    bool close = reader->last || reader->feed->draining;
    ring_format_cursor(reader->feed->ring, reader->cursor.seq - 1, cursor);
    int len = snprintf(text, sizeof text,
                       "HTTP/1.1 200 OK\r\n"
                       "Content-Type: application/x-ndjson\r\n"
                       "Cache-Control: no-store\r\n"
                       "Rollcall-Cursor: %s\r\n"
                       "%s%s\r\n",
                       cursor, request->minor_version ? "Transfer-Encoding: chunked\r\n" : "",
                       close ? "Connection: close\r\n" : "");
    return buf_append(&reader->feed->out, text, (size_t)len);
}

/* Where the stream begins. The reason of a gap line that has to say so first, or NULL; a cursor
 * whose successor was overwritten needs none here: reading finds that out. */
static const char *place_cursor(struct reader *reader, const struct parameters *parameters,
                                enum ring_cursor_kind kind, uint64_t seq) {
    const struct ring *ring = reader->feed->ring;
    reader->cursor = ring_newest(ring);
    if (!parameters->after.ptr) {
        if (span_equals(parameters->from, SPAN("oldest")))
            reader->cursor = ring_oldest(ring);
        return NULL;
    }
    if (kind == RING_CURSOR_FOREIGN) {
        reader->cursor = ring_oldest(ring);
        return "restart";
    }
    if (seq >= reader->cursor.seq)
        return "unknown-cursor";
    if (ring_seek(ring, seq + 1, &reader->cursor) == RING_OVERRUN)
        reader->cursor.seq = seq + 1;
    return NULL;
}

/* The gap line in front of the first, as a chunk of its own. After a restart nobody knows how many
 * were lost; a cursor of the future has lost nothing that was ever there. */
static int append_first_gap(struct reader *reader, struct span after, const char *reason) {
    size_t start = reader->feed->out.len;
    int rc = begin_chunk(reader);
    rc = rc ? rc : append_gap(reader, after, reader->cursor.seq, *reason == 'r' ? -1 : 0, reason);
    return rc ? rc : end_chunk(reader, start);
}

void reader_start_stream(struct reader *reader, struct http_request *request) {
    struct parameters parameters = {0};
    enum ring_cursor_kind kind = RING_CURSOR_OURS;
    uint64_t seq = 0;
    const char *message = read_query(request->query, &parameters);
    if (!message)
        message = check_parameters(reader, &parameters);
    if (!message && parameters.after.ptr) {
        kind = ring_parse_cursor(reader->feed->ring, parameters.after, &seq);
        if (kind == RING_CURSOR_MALFORMED)
            message = "after: a cursor is <ring id>-<seq>, as in gap lines";
    }
    if (message) {
        reader_answer(reader, 400, NULL, "{\"error\":\"%s\"}\n", message);
        return;
    }
    reader->chunked = request->minor_version > 0;
    if (!reader->chunked)
        reader->last = true; /* the end of the body is the end of the connection */
    const char *gap = place_cursor(reader, &parameters, kind, seq);
    int rc = append_head(reader, request);
    if (rc == 0 && request->llhttp_method == HTTP_HEAD) {
        reader_finish(reader);
        return;
    }
    if (rc == 0 && gap)
        rc = append_first_gap(reader, parameters.after, gap);
    if (rc) {
        reader_fail(reader);
        return;
    }
    wheel_disarm(&reader->deadline);
    reader->state = READER_STREAM;
    reader_pump(reader);
}
