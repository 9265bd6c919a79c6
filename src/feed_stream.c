/* GET /v1/events: what a stream says. The ring's lines in chunks, and a gap line wherever the next
 * line is not the last one's successor. See feed.h; what may be asked for is feed_wish.c's. */
#include "feed_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "feed_wish.h"
#include "util/clock.h"

/* --- lines --------------------------------------------------------------------------- */

enum { CHUNK_HEAD_BYTES = 10 }; /* eight digits (zeros in front are fine, RFC 9112, 7.1) and CRLF */

/* The ring has passed the reader by. */
static int append_overrun(struct reader *reader) {
    char after[RING_CURSOR_MAX];
    const struct ring *ring = reader->feed->ring;
    struct ring_cursor oldest = ring_oldest(ring);
    unsigned len = ring_format_cursor(ring, reader->cursor.seq - 1, after);
    const struct feed_gap gap = {span_from(after, len), oldest.seq,
                                 (int64_t)(oldest.seq - reader->cursor.seq), "overrun"};
    reader->cursor = oldest;
    reader->feed->lost += (uint64_t)gap.lost;
    return feed_format_gap(reader->format, ring, &gap, &reader->feed->out);
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

static int append_event(struct reader *reader, const struct ring_record *record, enum lines *lines,
                        size_t *skipped) {
    struct feed *feed = reader->feed;
    if (reader->filter && !feed_filter_matches(reader->filter, record)) {
        *skipped += 1;
        return 0;
    }
    reader->sent_seq = reader->cursor.seq - 1;
    if (--reader->left == 0)
        *lines = LINES_END;
    return reader->format == FEED_NDJSON
               ? buf_append(&feed->out, record + 1, record->line_len)
               : feed_format_event(reader->format, feed->ring, record, &feed->out);
}

/* Appends lines to feed->out; counts what it has passed by. 0 or -ENOMEM. */
static int append_lines(struct reader *reader, enum lines *lines, size_t *skipped) {
    struct feed *feed = reader->feed;
    const struct ring_record *record;
    size_t start = feed->out.len;
    unsigned looked_at = 0;
    int rc = begin_chunk(reader);
    *lines = LINES_MORE;
    while (rc == 0 && *lines == LINES_MORE && feed->out.len - start < FEED_CHUNK_BYTES &&
           looked_at++ < FEED_CHUNK_RECORDS) {
        switch (ring_next(feed->ring, &reader->cursor, &record)) {
        case RING_OK:
            rc = append_event(reader, record, lines, skipped);
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

static bool has_another_stream(const struct reader *reader) {
    const struct list *all = &reader->feed->readers;
    for (const struct list *link = all->next; link != all; link = link->next) {
        const struct reader *other = container_of(link, struct reader, link);
        if (other != reader && other->state == READER_STREAM &&
            strcmp(other->held, reader->held) == 0)
            return true;
    }
    return false;
}

/* What an ended stream was sent and nobody has committed comes again with the next one: another
 * stream of that name is not to commit past it. */
static void note_sent(const struct reader *reader) {
    struct readers *held = &reader->feed->held;
    unsigned i = readers_find(held, span_from_string(reader->held));
    if (i < READERS_MAX && has_another_stream(reader) && held->all[i].sent_seq < reader->sent_seq)
        held->all[i].sent_seq = reader->sent_seq;
}

/* A stream that is alone is sent all that is not committed. */
static void begin_sending(struct reader *reader) {
    struct readers *held = &reader->feed->held;
    unsigned i = readers_find(held, span_from_string(reader->held));
    reader->sent_seq = reader->cursor.seq - 1;
    if (i < READERS_MAX && !has_another_stream(reader))
        held->all[i].sent_seq = 0;
}

void reader_commit_skipped(struct reader *reader) {
    struct readers *held = &reader->feed->held;
    uint64_t passed = reader->cursor.seq - 1;
    if (!reader->held[0] || !reader->filter || reader->state != READER_STREAM)
        return;
    unsigned i = readers_find(held, span_from_string(reader->held));
    if (i == READERS_MAX || held->places[i].seq < reader->sent_seq ||
        held->places[i].seq < held->all[i].sent_seq || held->places[i].seq >= passed ||
        has_another_stream(reader))
        return;
    int rc = readers_commit(held, span_from_string(reader->held), passed);
    assert(rc == READERS_OK);
    (void)rc;
}

/* Sends one write's worth. False when there is no more to do for now. */
static bool pump_once(struct reader *reader, size_t *sent) {
    struct feed *feed = reader->feed;
    enum lines lines;
    size_t skipped = 0;
    if (append_lines(reader, &lines, &skipped)) {
        reader_fail(reader);
        return false;
    }
    reader_commit_skipped(reader);
    *sent += feed->out.len + skipped * FEED_SKIP_BYTES;
    if (lines == LINES_END) {
        reader->last = reader->last || feed->draining; /* the drain waits for its connection */
        reader_end_stream(reader);
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
    if (reader->writing) /* a heartbeat that the socket did not take */
        return 0;        /* its turn comes when that is written */
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
    char text[1024], date[40], cursor[RING_CURSOR_MAX];
    const char *door_headers = reader_door_headers(reader);
    format_date(date);
    ring_format_cursor(reader->feed->ring, reader->cursor.seq - 1, cursor);
    int len =
        snprintf(text, sizeof text,
                 "HTTP/1.1 200 OK\r\n"
                 "Date: %s\r\n"
                 "Content-Type: %s\r\n"
                 "Cache-Control: no-store\r\n"
                 "Rollcall-Ring: %s\r\n"
                 "Rollcall-Cursor: %s\r\n"
                 "%s%s%s\r\n",
                 date, feed_format_type(reader->format), ring_id(reader->feed->ring), cursor,
                 request->minor_version ? "Transfer-Encoding: chunked\r\n" : "",
                 door_headers ? door_headers : "", reader->last ? "Connection: close\r\n" : "");
    return buf_append(&reader->feed->out, text, (size_t)len);
}

/* Where the stream begins. The reason of a gap line that has to say so first, or NULL; a cursor
 * whose successor was overwritten needs none here: reading finds that out. */
static const char *place_cursor(struct reader *reader, const struct feed_wish *wish) {
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
static int append_first_gap(struct reader *reader, const struct feed_wish *wish,
                            const char *reason) {
    struct feed *feed = reader->feed;
    size_t start = feed->out.len;
    const struct feed_gap gap = {wish->after, reader->cursor.seq,
                                 wish->kind == RING_CURSOR_FOREIGN ? -1 : 0, reason};
    int rc = begin_chunk(reader);
    rc = rc ? rc : feed_format_gap(reader->format, feed->ring, &gap, &feed->out);
    return rc ? rc : end_chunk(reader, start);
}

/* Silence for as long as the reader has asked for: something is sent that means nothing, so that
 * both sides learn whether the other is still there. */
static void on_beat(struct wheel_node *node) {
    struct reader *reader = container_of(node, struct reader, beat);
    struct feed *feed = reader->feed;
    size_t start = feed->out.len;
    if (reader->state != READER_STREAM)
        return;
    reader_arm_beat(reader);
    if (reader->writing)
        return; /* more than a heartbeat is on its way */
    int rc = begin_chunk(reader);
    rc = rc ? rc : feed_format_heartbeat(reader->format, &feed->out);
    rc = rc ? rc : end_chunk(reader, start);
    if (rc || reader_send(reader))
        reader_fail(reader);
}

void reader_arm_beat(struct reader *reader) {
    struct feed *feed = reader->feed;
    if (reader->beat_ms)
        wheel_arm(feed->wheel, &reader->beat, uv_now(feed->loop) + reader->beat_ms);
}

void reader_end_stream(struct reader *reader) {
    wheel_disarm(&reader->beat);
    reader->beat_ms = 0;
    feed_filter_free(reader->filter);
    reader->filter = NULL;
    if (reader->held[0])
        note_sent(reader);
    reader->held[0] = 0;
}

/* The head is in feed->out. Where others wait for their turns, its lines wait with them: hundreds
 * of readers may come at once. */
static void begin_stream(struct reader *reader) {
    struct feed *feed = reader->feed;
    size_t sent = 0;
    bool more = true;
    if (list_is_empty(&feed->behind))
        more = pump_once(reader, &sent);
    else if (reader_send(reader))
        reader_fail(reader);
    if (reader->state != READER_STREAM)
        return;
    reader_arm_beat(reader);
    if (more && !reader->writing)
        feed_note_behind(feed, reader);
}

void reader_start_stream(struct reader *reader, struct http_request *request) {
    struct feed_wish wish;
    if (feed_wish_read(&wish, reader->feed->ring, &reader->feed->held, request)) {
        reader_answer(reader, wish.status, NULL, "{\"error\":\"%s\"}\n", wish.problem);
        feed_filter_free(wish.filter);
        return;
    }
    reader->filter = wish.filter;
    reader->format = wish.format;
    reader->chunked = request->minor_version > 0;
    if (!reader->chunked)
        reader->last = true; /* the end of the body is the end of the connection */
    const char *gap = place_cursor(reader, &wish);
    int rc = append_head(reader, request);
    if (rc == 0 && request->llhttp_method == HTTP_HEAD) {
        reader_end_stream(reader);
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
    reader->follow = wish.follow && !reader->feed->draining;
    reader->left = wish.limit;
    memcpy(reader->held, wish.held, sizeof reader->held);
    begin_sending(reader);
    reader->beat_ms = 1000 * wish.heartbeat_s;
    wheel_node_init(&reader->beat, on_beat);
    begin_stream(reader);
}
