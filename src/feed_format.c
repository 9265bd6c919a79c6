/* Events as a stream writes them; see feed_format.h. */
#include "feed_format.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "json.h"
#include "util/hash.h"
#include "util/text.h"

static const char *const types[FEED_FORMATS] = {
    [FEED_NDJSON] = "application/x-ndjson",
    [FEED_SSE] = "text/event-stream",
    [FEED_CLOUDEVENTS] = "application/cloudevents+json",
};

const char *feed_format_type(enum feed_format format) {
    return types[format];
}

/* --- what the reader accepts --------------------------------------------------------- */

/* What stands before the separator, trimmed; *rest moves behind it. */
static struct span take_until(struct span *rest, char separator) {
    const char *end = rest->len ? memchr(rest->ptr, separator, rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    struct span taken = span_from(rest->ptr, len);
    size_t used = end ? len + 1 : len;
    *rest = span_from(rest->ptr + used, rest->len - used);
    return span_trim(taken);
}

/* A weight in thousandths (RFC 9110, 12.4.2: 0 to 1, at most three decimals). One that is not so
 * written counts as 1, as if none had been said. */
static unsigned read_weight(struct span text) {
    unsigned value = 0, digit_worth = 1000;
    if (text.len == 0 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1') ||
        (text.len > 1 && text.ptr[1] != '.'))
        return 1000;
    for (size_t i = 2; i < text.len; i++) {
        unsigned digit = (unsigned char)text.ptr[i] - '0';
        if (digit > 9)
            return 1000;
        digit_worth /= 10;
        value += digit * digit_worth;
    }
    return text.ptr[0] == '1' ? 1000 : value;
}

static unsigned weight_of(struct span parameters) {
    while (parameters.len) {
        struct span one = take_until(&parameters, ';');
        if (one.len >= 2 && (one.ptr[0] | 32) == 'q' && one.ptr[1] == '=')
            return read_weight(span_from(one.ptr + 2, one.len - 2));
    }
    return 1000;
}

/* How closely a range names a type: 3 by name, 2 by its first half, 1 by the stars, 0 not at all.
 */
static unsigned closeness(struct span range, const char *type) {
    size_t half = (size_t)(strchr(type, '/') - type) + 1;
    if (span_equals_nocase(range, span_from_string(type)))
        return 3;
    if (range.len == half + 1 && range.ptr[half] == '*' && strncasecmp(range.ptr, type, half) == 0)
        return 2;
    return span_equals(range, SPAN("*/*"));
}

enum feed_format feed_format_choose(struct span accept) {
    unsigned best = 0, close[FEED_FORMATS] = {0}, weight[FEED_FORMATS] = {0};
    enum feed_format choice = FEED_FORMATS;
    if (!span_trim(accept).len)
        return FEED_NDJSON;
    while (accept.len) {
        struct span range = take_until(&accept, ',');
        struct span name = take_until(&range, ';');
        for (int i = 0; i < FEED_FORMATS; i++) {
            unsigned fit = closeness(name, types[i]);
            if (fit > close[i]) {
                close[i] = fit;
                weight[i] = weight_of(range);
            }
        }
    }
    /* Of equals the one that is named most closely: who names a type and says that any other will
     * do, means that type. Of these the first. */
    for (int i = 0; i < FEED_FORMATS; i++)
        if (weight[i] && 4 * weight[i] + close[i] > best) {
            best = 4 * weight[i] + close[i];
            choice = (enum feed_format)i;
        }
    return choice;
}

/* --- server-sent events -------------------------------------------------------------- */

static int append_text(struct buf *out, const char *text) {
    return buf_append(out, text, strlen(text));
}

static int append_sse(const struct ring *ring, uint64_t seq, const char *kind, struct span data,
                      struct buf *out) {
    char head[RING_CURSOR_MAX + 32], cursor[RING_CURSOR_MAX];
    ring_format_cursor(ring, seq, cursor);
    int len = snprintf(head, sizeof head, "id: %s\n%sdata: ", cursor, kind);
    int rc = buf_append(out, head, (size_t)len);
    rc = rc ? rc : buf_append(out, data.ptr, data.len);
    return rc ? rc : buf_append(out, "\n\n", 2);
}

/* --- CloudEvents --------------------------------------------------------------------- */

/* Every line begins {"seq":N,"id":"<32 hex>","received":"<27>","endpoint":"; see event.h. */
enum { ID_BYTES = 2 * HASH_BYTES };

/* The text behind `label`, which follows within the line's first bytes: they are ours. */
static const char *find_behind(struct span line, const char *label) {
    const char *found = memmem(line.ptr, line.len < 128 ? line.len : 128, label, strlen(label));
    return found ? found + strlen(label) : line.ptr;
}

/* When it happened, or where nobody knows, when it came. */
static struct span time_of(const struct ring_record *record, struct span line) {
    static const char label[] = "\",\"time\":\"";
    const char *behind = line.ptr + record->kind_offset + record->kind_len;
    if ((size_t)(line.ptr + line.len - behind) > sizeof label + TIME_MS_TEXT_BYTES &&
        memcmp(behind, label, sizeof label - 1) == 0)
        return span_from(behind + sizeof label - 1, TIME_MS_TEXT_BYTES);
    return span_from(find_behind(line, "\"received\":\""), TIME_US_TEXT_BYTES);
}

/* The kind as part of a type: a sender's own word may be anything. */
static size_t put_word(struct span kind, char dst[EVENT_MAX_KIND_BYTES]) {
    assert(kind.len <= EVENT_MAX_KIND_BYTES);
    size_t len = json_unescape(kind, dst);
    for (size_t i = 0; i < len; i++) {
        char c = dst[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     c == '-' || c == '.' || c == '_';
        dst[i] = plain ? c : '_';
    }
    return len;
}

static int append_cloudevent(const struct ring_record *record, struct span line, struct buf *out) {
    char word[EVENT_MAX_KIND_BYTES];
    struct span time = time_of(record, line);
    size_t word_len = put_word(span_from(line.ptr + record->kind_offset, record->kind_len), word);
    int rc = append_text(out, "{\"specversion\":\"1.0\",\"id\":\"");
    rc = rc ? rc : buf_append(out, find_behind(line, "\"id\":\""), ID_BYTES);
    rc = rc ? rc : append_text(out, "\",\"source\":\"/rollcall/");
    rc = rc ? rc : buf_append(out, line.ptr + record->endpoint_offset, record->endpoint_len);
    rc = rc ? rc : append_text(out, "\",\"type\":\"rollcall.presence.");
    rc = rc ? rc : buf_append(out, word, word_len);
    rc = rc ? rc : append_text(out, "\",\"time\":\"");
    rc = rc ? rc : buf_append(out, time.ptr, time.len);
    rc = rc ? rc : append_text(out, "\",\"datacontenttype\":\"application/json\",\"data\":");
    rc = rc ? rc : buf_append(out, line.ptr, line.len);
    return rc ? rc : buf_append(out, "}\n", 2);
}

/* --- all three ----------------------------------------------------------------------- */

int feed_format_event(enum feed_format format, const struct ring *ring,
                      const struct ring_record *record, struct buf *out) {
    struct span line = ring_record_line(record);
    if (format == FEED_NDJSON)
        return buf_append(out, line.ptr, line.len);
    line.len--; /* its '\n' */
    return format == FEED_SSE ? append_sse(ring, record->seq, "", line, out)
                              : append_cloudevent(record, line, out);
}

int feed_format_gap(enum feed_format format, const struct ring *ring, const struct feed_gap *gap,
                    struct buf *out) {
    char text[2 * RING_CURSOR_MAX + 128], next[RING_CURSOR_MAX], count[24] = "null";
    ring_format_cursor(ring, gap->next_seq, next);
    if (gap->lost >= 0)
        snprintf(count, sizeof count, "%lld", (long long)gap->lost);
    int len =
        snprintf(text, sizeof text,
                 "{\"gap\":{\"after\":\"%.*s\",\"next\":\"%s\",\"lost\":%s,\"reason\":\"%s\"}}",
                 SPAN_ARG(gap->after), next, count, gap->reason);
    struct span json = span_from(text, (size_t)len);
    /* A client that comes back with the gap's id goes on behind the gap. */
    if (format == FEED_SSE)
        return append_sse(ring, gap->next_seq - 1, "event: gap\n", json, out);
    int rc = 0;
    if (format == FEED_CLOUDEVENTS) {
        /* Two gaps may end at the same event: both ends make the id. */
        rc = append_text(out, "{\"specversion\":\"1.0\",\"id\":\"gap-");
        rc = rc ? rc : buf_append(out, gap->after.ptr, gap->after.len);
        rc = rc ? rc : append_text(out, "-");
        rc = rc ? rc : append_text(out, next);
        rc = rc ? rc
                : append_text(out, "\",\"source\":\"/rollcall\",\"type\":\"rollcall.gap\","
                                   "\"datacontenttype\":\"application/json\",\"data\":");
    }
    rc = rc ? rc : buf_append(out, json.ptr, json.len);
    return rc ? rc : append_text(out, format == FEED_CLOUDEVENTS ? "}\n" : "\n");
}

int feed_format_heartbeat(enum feed_format format, struct buf *out) {
    return append_text(out, format == FEED_SSE ? ":\n\n" : "\n");
}
