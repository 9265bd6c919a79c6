/* What a reader asks for; see feed_wish.h. */
#include "feed_wish.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* The parameters that may be given once; those that filter may be repeated. */
struct parameters {
    struct span from, after, reader, follow, limit, heartbeat;
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

static bool complain(struct feed_wish *wish, const char *name, const char *what) {
    wish->status = 400;
    snprintf(wish->problem, sizeof wish->problem, "%s: %s", name, what);
    return false;
}

static bool add_filter(struct feed_wish *wish, struct span name, struct span value) {
    char shown[NAME_SHOWN_BYTES + 1];
    show_name(name, shown);
    switch (feed_filter_add(&wish->filter, name, value)) {
    case FEED_FILTER_OK:
        return true;
    case FEED_FILTER_NO_NAME:
        return complain(
            wish, shown,
            "unknown; known are from, after, reader, follow, limit, heartbeat, endpoint, "
            "provider, kind and mac");
    case FEED_FILTER_FULL:
        return complain(wish, shown, "more than 64 values to filter by");
    case FEED_FILTER_BAD_MAC:
        return complain(wish, shown, "a MAC address such as dc:ac:3d:a5:06:b4");
    case FEED_FILTER_TOO_LONG:
        return complain(wish, shown, "longer than 256 bytes");
    default:
        wish->status = 503;
        snprintf(wish->problem, sizeof wish->problem, "out of memory");
        return false;
    }
}

/* Sorts the query into parameters. */
static bool read_query(struct feed_wish *wish, struct span query, struct parameters *parameters) {
    const struct {
        const char *name;
        struct span *value;
    } known[] = {
        {"from", &parameters->from},           {"after", &parameters->after},
        {"follow", &parameters->follow},       {"limit", &parameters->limit},
        {"heartbeat", &parameters->heartbeat}, {"reader", &parameters->reader},
    };
    struct span name, value;
    while (http_query_next(&query, &name, &value)) {
        size_t i = 0;
        while (i < sizeof known / sizeof *known &&
               !span_equals(span_from_string(known[i].name), name))
            i++;
        if (i == sizeof known / sizeof *known) {
            if (!add_filter(wish, name, value))
                return false;
            continue;
        }
        if (known[i].value->ptr)
            return complain(wish, known[i].name, "given twice");
        *known[i].value = value;
    }
    return true;
}

/* A whole number of at least 1. */
static bool parse_count(struct span text, uint64_t *count) {
    *count = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.ptr[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(*count, 10U, count) ||
            __builtin_add_overflow(*count, digit, count))
            return false;
    }
    return *count > 0;
}

/* Whether an absent or present value is one of two words; *second: it is the second. */
static bool read_choice(struct span value, struct span first, struct span other, bool *second) {
    if (value.ptr)
        *second = span_equals(value, other);
    return !value.ptr || *second || span_equals(value, first);
}

static bool read_cursor(struct feed_wish *wish, const struct ring *ring, const char *name) {
    if (wish->after.ptr)
        wish->kind = ring_parse_cursor(ring, wish->after, &wish->seq);
    if (wish->after.ptr && wish->kind == RING_CURSOR_MALFORMED)
        return complain(wish, name, "a cursor is <ring id>-<seq>, as gap lines have it");
    return true;
}

static bool read_parameters(struct feed_wish *wish, const struct parameters *parameters) {
    if (!!parameters->from.ptr + !!parameters->after.ptr + !!parameters->reader.ptr > 1)
        return complain(wish, "from, after, reader", "exclude each other");
    if (!read_choice(parameters->from, SPAN("now"), SPAN("oldest"), &wish->oldest))
        return complain(wish, "from", "now or oldest");
    if (!read_choice(parameters->follow, SPAN("0"), SPAN("1"), &wish->follow))
        return complain(wish, "follow", "0 or 1");
    if (parameters->limit.ptr && !parse_count(parameters->limit, &wish->limit))
        return complain(wish, "limit", "a whole number of at least 1");
    if (parameters->heartbeat.ptr && (!parse_count(parameters->heartbeat, &wish->heartbeat_s) ||
                                      wish->heartbeat_s > FEED_MAX_HEARTBEAT_S))
        return complain(wish, "heartbeat", "seconds, from 1 to 3600");
    return true;
}

/* A held reader goes on behind what it has committed. */
static bool read_reader(struct feed_wish *wish, const struct ring *ring,
                        const struct readers *readers, struct span name) {
    if (!name.ptr)
        return true;
    unsigned i = readers_find(readers, name);
    if (i == READERS_MAX) {
        wish->status = 404;
        snprintf(wish->problem, sizeof wish->problem, "no held reader has this name");
        return false;
    }
    memcpy(wish->held, name.ptr, name.len); /* fits, as it was found */
    wish->kind = RING_CURSOR_OURS;
    wish->seq = readers->places[i].seq;
    wish->after = span_from(wish->place, ring_format_cursor(ring, wish->seq, wish->place));
    return true;
}

int feed_wish_read(struct feed_wish *wish, const struct ring *ring, const struct readers *readers,
                   const struct http_request *request) {
    struct parameters parameters = {0};
    struct span last_id = http_request_field(request, SPAN("last-event-id"));
    *wish = (struct feed_wish){.follow = true, .limit = UINT64_MAX};
    wish->format = feed_format_choose(http_request_field(request, SPAN("accept")));
    if (wish->format == FEED_FORMATS) {
        wish->status = 406;
        snprintf(wish->problem, sizeof wish->problem,
                 "there are application/x-ndjson, text/event-stream and "
                 "application/cloudevents+json");
        return FEED_WISH_REFUSED;
    }
    if (!read_query(wish, request->query, &parameters) || !read_parameters(wish, &parameters))
        return FEED_WISH_REFUSED;
    /* A browser that comes back repeats its URL, and says in this field how far it has come. */
    bool comes_back = wish->format == FEED_SSE && last_id.ptr && last_id.len;
    wish->after = comes_back ? last_id : parameters.after;
    wish->oldest &= !comes_back;
    if (!read_cursor(wish, ring, comes_back ? "Last-Event-ID" : "after") ||
        (!comes_back && !read_reader(wish, ring, readers, parameters.reader)))
        return FEED_WISH_REFUSED;
    return 0;
}
