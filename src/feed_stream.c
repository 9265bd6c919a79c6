/* GET /v1/events: what a stream says. Parameters, the ring's lines in chunks, and a gap line
 * wherever the next line is not the last one's successor. See feed.h. */
#include "feed_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "util/clock.h"

/* --- parameters ---------------------------------------------------------------------- */

struct parameters {
    struct span from, after, follow, limit;
    char problem[128]; /* what is wrong with them, as text that fits into JSON */
};

enum { NAME_SHOWN_BYTES = 32 }; /* of a parameter's name in an error */

/* The peer's own word, without what JSON would have to escape. */
static void show_name(struct span name, char shown[NAME_SHOWN_BYTES + 1]) {
    size_t len = name.len < NAME_SHOWN_BYTES ? name.len : NAME_SHOWN_BYTES;
    for (size_t i = 0; i < len; i++)
        shown[i] =
            isalnum((unsigned char)name.ptr[i]) || strchr("_-.", name.ptr[i] ? name.ptr[i] : '?')
                ? name.ptr[i]
                : '?';
    shown[len] = 0;
}

static bool complain(struct parameters *parameters, const char *name, const char *what) {
    snprintf(parameters->problem, sizeof parameters->problem, "%s: %s", name, what);
    return false;
}

/* Sorts the query into parameters. */
static bool read_query(struct span query, struct parameters *parameters) {
    const struct {
        const char *name;
        struct span *value;
    } known[] = {
        {"from", &parameters->from},
        {"after", &parameters->after},
        {"follow", &parameters->follow},
        {"limit", &parameters->limit},
    };
    struct span name, value;
    while (http_query_next(&query, &name, &value)) {
        char shown[NAME_SHOWN_BYTES + 1];
        size_t i = 0;
        while (i < sizeof known / sizeof *known &&
               !span_equals(span_from_string(known[i].name), name))
            i++;
        if (i == sizeof known / sizeof *known) {
            show_name(name, shown);
            return complain(parameters, shown, "unknown; known are from, after, follow and limit");
        }
        if (known[i].value->ptr)
            return complain(parameters, known[i].name, "given twice");
        *known[i].value = value;
    }
    return true;
}

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

/* What a request asks for. */
struct wish {
    bool follow, oldest;
    uint64_t limit;
    struct span after; /* absent, or a well-formed cursor */
    enum ring_cursor_kind kind;
    uint64_t seq;
};

/* Whether an absent or present value is one of two words; *second: it is the second. */
static bool read_choice(struct span value, struct span first, struct span other, bool *second) {
    if (value.ptr)
        *second = span_equals(value, other);
    return !value.ptr || *second || span_equals(value, first);
}

static bool read_wish(const struct ring *ring, struct parameters *parameters, struct wish *wish) {
    *wish = (struct wish){.follow = true, .limit = UINT64_MAX, .after = parameters->after};
    if (parameters->from.ptr && parameters->after.ptr)
        return complain(parameters, "from, after", "exclude each other");
    if (!read_choice(parameters->from, SPAN("now"), SPAN("oldest"), &wish->oldest))
        return complain(parameters, "from", "now or oldest");
    if (!read_choice(parameters->follow, SPAN("0"), SPAN("1"), &wish->follow))
        return complain(parameters, "follow", "0 or 1");
    if (parameters->limit.ptr && !parse_limit(parameters->limit, &wish->limit))
        return complain(parameters, "limit", "a whole number of at least 1");
    if (wish->after.ptr)
        wish->kind = ring_parse_cursor(ring, wish->after, &wish->seq);
    if (wish->after.ptr && wish->kind == RING_CURSOR_MALFORMED)
        return complain(parameters, "after", "a cursor is <ring id>-<seq>, as gap lines have it");
    return true;
}

/* --- lines --------------------------------------------------------------------------- */

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

enum lines {
    LINES_MORE, /* a write is full */
    LINES_EDGE, /* all that there is, and more will come */
    LINES_END,  /* the stream has ended */
};

/* Appends lines to feed->out. 0 or -ENOMEM. */
static int append_lines(struct reader *reader, enum lines *lines) {
    struct feed *feed = reader->feed;
    const struct ring_record *record;
    size_t start = feed->out.len;
    int rc = begin_chunk(reader);
    *lines = LINES_MORE;
    while (rc == 0 && *lines == LINES_MORE && feed->out.len - start < FEED_CHUNK_BYTES) {
        switch (ring_next(feed->ring, &reader->cursor, &record)) {
        case RING_OK:
            rc = buf_append(&feed->out, record + 1, record->line_len);
            if (--reader->left == 0)
                *lines = LINES_END;
            break;
        case RING_OVERRUN:
            rc = append_overrun(reader);
            break;
        default: /* RING_EMPTY */
            *lines = reader->follow ? LINES_EDGE : LINES_END;
        }
    }
    rc = rc ? rc : end_chunk(reader, start);
    if (rc == 0 && *lines == LINES_END && reader->chunked)
        rc = buf_append(&feed->out, "0\r\n\r\n", 5);
    return rc;
}

/* Sends one write's worth. False when there is no more to do for now. */
static bool pump_once(struct reader *reader, size_t *sent) {
    struct feed *feed = reader->feed;
    enum lines lines;
    if (append_lines(reader, &lines)) {
        reader_fail(reader);
        return false;
    }
    *sent += feed->out.len;
    if (lines == LINES_END) {
        reader_finish(reader);
        return false;
    }
    if (feed->out.len && reader_send(reader)) {
        reader_fail(reader);
        return false;
    }
    if (reader->writing)
        return false; /* its turn comes when that is written */
    if (lines == LINES_EDGE)
        list_append(&feed->live, &reader->turn);
    return lines == LINES_MORE;
}

size_t reader_pump(struct reader *reader) {
    size_t sent = 0;
    list_remove(&reader->turn);
    for (int i = 0; i < FEED_CHUNKS_PER_TURN; i++)
        if (!pump_once(reader, &sent))
            return sent;
    feed_note_behind(reader->feed, reader);
    return sent;
}

/* --- the beginning ------------------------------------------------------------------- */

/* The Date field (RFC 9110, 6.6.1): once a stream, so made afresh. */
static void format_date(char dst[40]) {
    time_t now = (time_t)(clock_realtime_us() / 1000000);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(dst, 40, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

/* Rollcall-Ring: makes cursors of the lines' seqs. Rollcall-Cursor: what the stream begins behind,
 * so that a client that is cut off before its first line can come back without losing one. */
static int append_head(struct reader *reader, const struct http_request *request) {
    char text[512], date[40], cursor[RING_CURSOR_MAX];
    format_date(date);
    ring_format_cursor(reader->feed->ring, reader->cursor.seq - 1, cursor);
    int len = snprintf(text, sizeof text,
                       "HTTP/1.1 200 OK\r\n"
                       "Date: %s\r\n"
                       "Content-Type: application/x-ndjson\r\n"
                       "Cache-Control: no-store\r\n"
                       "Rollcall-Ring: %s\r\n"
                       "Rollcall-Cursor: %s\r\n"
                       "%s%s\r\n",
                       date, ring_id(reader->feed->ring), cursor,
                       request->minor_version ? "Transfer-Encoding: chunked\r\n" : "",
                       reader->last ? "Connection: close\r\n" : "");
    return buf_append(&reader->feed->out, text, (size_t)len);
}

/* Where the stream begins. The reason of a gap line that has to say so first, or NULL; a cursor
 * whose successor was overwritten needs none here: reading finds that out. */
static const char *place_cursor(struct reader *reader, const struct wish *wish) {
    const struct ring *ring = reader->feed->ring;
    reader->cursor = ring_newest(ring);
    if (wish->oldest || (wish->after.ptr && wish->kind == RING_CURSOR_FOREIGN))
        reader->cursor = ring_oldest(ring);
    if (!wish->after.ptr)
        return NULL;
    if (wish->kind == RING_CURSOR_FOREIGN)
        return "restart";
    if (wish->seq >= reader->cursor.seq)
        return "unknown-cursor";
    if (ring_seek(ring, wish->seq + 1, &reader->cursor) == RING_OVERRUN)
        reader->cursor.seq = wish->seq + 1;
    return NULL;
}

/* The gap line in front of the first, as a chunk of its own. After a restart nobody knows how many
 * were lost; a cursor of the future has lost nothing that was ever there. */
static int append_first_gap(struct reader *reader, const struct wish *wish, const char *reason) {
    size_t start = reader->feed->out.len;
    int64_t lost = wish->kind == RING_CURSOR_FOREIGN ? -1 : 0;
    int rc = begin_chunk(reader);
    rc = rc ? rc : append_gap(reader, wish->after, reader->cursor.seq, lost, reason);
    return rc ? rc : end_chunk(reader, start);
}

void reader_start_stream(struct reader *reader, struct http_request *request) {
    struct parameters parameters = {0};
    struct wish wish;
    if (!read_query(request->query, &parameters) ||
        !read_wish(reader->feed->ring, &parameters, &wish)) {
        reader_answer(reader, 400, NULL, "{\"error\":\"%s\"}\n", parameters.problem);
        return;
    }
    reader->chunked = request->minor_version > 0;
    if (!reader->chunked)
        reader->last = true; /* the end of the body is the end of the connection */
    const char *gap = place_cursor(reader, &wish);
    int rc = append_head(reader, request);
    if (rc == 0 && request->llhttp_method == HTTP_HEAD) {
        reader_finish(reader);
        return;
    }
    if (rc == 0 && gap)
        rc = append_first_gap(reader, &wish, gap);
    if (rc) {
        reader_fail(reader);
        return;
    }
    reader->state = READER_STREAM;
    reader->follow = wish.follow;
    reader->left = wish.limit;
    size_t sent = 0;
    if (pump_once(reader, &sent)) /* many may come at once: the rest is for their turns */
        feed_note_behind(reader->feed, reader);
}
