/* The front of an event; see forward_event.h. */
#include "forward_event.h"

#include <string.h>

#include "util/text.h"

/* A reader of JSON that is known to be valid, as it is a node's: it never runs past the end, and
 * says false where the line is none after all. */
struct scan {
    const char *at, *end;
};

static bool take(struct scan *scan, char c) {
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

static bool take_string(struct scan *scan, struct span *value) {
    if (!take(scan, '"'))
        return false;
    const char *begin = scan->at;
    for (; scan->at < scan->end && *scan->at != '"'; scan->at++)
        if (*scan->at == '\\' && ++scan->at == scan->end)
            return false;
    *value = span_from(begin, (size_t)(scan->at - begin));
    return take(scan, '"');
}

/* Any value; of an object or array only its extent matters. */
static bool take_value(struct scan *scan) {
    struct span ignored;
    unsigned depth = 0;
    do {
        if (scan->at == scan->end)
            return false;
        char c = *scan->at;
        if (c == '"') {
            if (!take_string(scan, &ignored))
                return false;
            continue;
        }
        if ((c == ',' || c == '}' || c == ']') && depth == 0)
            return true; /* behind a number or a word */
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        scan->at++;
        if (depth == 0 && (c == '}' || c == ']'))
            return true;
    } while (depth || (scan->at < scan->end && !strchr(",}]", *scan->at)));
    return true;
}

/* The first member of an object, where it is the string of that name. */
static bool first_string(struct span object, struct span name, struct span *value) {
    struct scan scan = {object.ptr, object.ptr + object.len};
    struct span found;
    return take(&scan, '{') && take_string(&scan, &found) && span_equals(found, name) &&
           take(&scan, ':') && take_string(&scan, value);
}

static void take_member(struct span name, struct span value, struct forward_event *event) {
    struct span text = value.len >= 2 ? span_from(value.ptr + 1, value.len - 2) : SPAN("");
    if (span_equals(name, SPAN("id"))) {
        event->id = text;
    } else if (span_equals(name, SPAN("endpoint"))) {
        event->endpoint = text;
    } else if (span_equals(name, SPAN("kind"))) {
        event->kind = text;
    } else if (span_equals(name, SPAN("received"))) {
        int64_t ms = text_parse_iso_time(text);
        event->received_us = ms == TIME_NONE ? 0 : ms * 1000;
    } else if (span_equals(name, SPAN("client"))) {
        (void)first_string(value, SPAN("mac"), &event->mac);
    } else if (span_equals(name, SPAN("channel"))) {
        (void)first_string(value, SPAN("name"), &event->channel);
    }
}

/* Whether nothing behind this member is of interest: `data` and `extra` are the sender's and may be
 * long, `tenant` stands right in front of them, and a MAC is the better key. */
static bool is_last(struct span name, const struct forward_event *event) {
    return event->mac.ptr || event->channel.ptr || span_equals(name, SPAN("tenant")) ||
           span_equals(name, SPAN("data")) || span_equals(name, SPAN("extra"));
}

bool forward_event_read(struct span line, struct forward_event *event) {
    struct scan scan = {line.ptr, line.ptr + line.len};
    struct span name;
    *event = (struct forward_event){0};
    if (!take(&scan, '{'))
        return false;
    do {
        if (!take_string(&scan, &name) || !take(&scan, ':'))
            return false;
        if (is_last(name, event))
            break;
        const char *begin = scan.at;
        if (!take_value(&scan))
            return false;
        take_member(name, span_from(begin, (size_t)(scan.at - begin)), event);
    } while (take(&scan, ','));
    return event->id.len && event->endpoint.ptr && event->kind.ptr;
}

struct span forward_event_key(const struct forward_event *event) {
    return event->mac.ptr ? event->mac : event->channel.ptr ? event->channel : event->endpoint;
}

/* --- subjects -------------------------------------------------------------------------------- */

static bool is_plain(char c) {
    return (unsigned char)c > 0x20 && c != 0x7f && !strchr(".*>\"\\", c);
}

static char *put_token(char *dst, struct span text) {
    size_t len = text.len < FORWARD_TOKEN_BYTES ? text.len : FORWARD_TOKEN_BYTES;
    while (len < text.len && len && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
        len--; /* a character of UTF-8 goes whole or not at all */
    if (!len)
        *dst++ = '_';
    for (size_t i = 0; i < len; i++)
        *dst++ = (char)(is_plain(text.ptr[i]) ? text.ptr[i] : '_');
    return dst;
}

void forward_event_subject(const char *prefix, const struct forward_event *event,
                           char subject[FORWARD_SUBJECT_BYTES]) {
    size_t len = strnlen(prefix, FORWARD_PREFIX_BYTES);
    memcpy(subject, prefix, len);
    char *at = subject + len;
    *at++ = '.';
    at = put_token(at, event->endpoint);
    *at++ = '.';
    at = put_token(at, event->kind);
    *at = 0;
}

bool forward_event_is_prefix(const char *text) {
    size_t len = strlen(text);
    if (!len || len > FORWARD_PREFIX_BYTES || text[0] == '.' || text[len - 1] == '.')
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] == '.' ? text[i + 1] == '.' : !is_plain(text[i]))
            return false;
    return true;
}
