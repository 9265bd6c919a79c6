/* The event's line; see event.h.
 *
 * The fields are a table in the order of the line, and encoding is a walk over the set bits of
 * event.present: each copies its label, its value and its closing quote, and a change of group
 * closes one object and opens the next. Short copies are done in whole words of fixed number, which
 * may write up to COPY_SLACK bytes behind what counts: the bound has room for that. */
#include "event.h"

#include <assert.h>

enum {
    LABEL_BYTES = 24, /* copied whole for each field */
    GROUP_BYTES = 16, /* likewise for each group */
    COPY_SLACK = LABEL_BYTES,
};

enum group {
    GROUP_NONE,
    GROUP_CLIENT,
    GROUP_AP,
    GROUP_LOCATION,
    GROUP_VENUE,
    GROUP_USER,
    GROUP_CHANNEL,
    GROUP_COUNT
};

struct group_text {
    _Alignas(32) char open[GROUP_BYTES];
    uint8_t open_len;
};

#define GROUP(name)                                                                                \
    { ",\"" name "\":{", sizeof(",\"" name "\":{") - 1 }

static const struct group_text groups[] = {
    [GROUP_NONE] = {"", 0},
    [GROUP_CLIENT] = GROUP("client"),
    [GROUP_AP] = GROUP("ap"),
    [GROUP_LOCATION] = GROUP("location"),
    [GROUP_VENUE] = GROUP("venue"),
    [GROUP_USER] = GROUP("user"),
    [GROUP_CHANNEL] = GROUP("channel"),
};

/* The label is `,"name":`, and `"` where text follows. In a group's first member the comma is left
 * out, so that a copy may start at its second byte: hence one byte more than is copied. */
struct field {
    _Alignas(32) char label[LABEL_BYTES + 1]; /* 32 bytes a row: its place is a shift */
    uint8_t label_len;
    uint8_t group;
    uint8_t type;
};

#define TEXT(group, name)                                                                          \
    { ",\"" name "\":\"", sizeof(",\"" name "\":\"") - 1, group, EVENT_TEXT }
#define NUMBER(group, name)                                                                        \
    { ",\"" name "\":", sizeof(",\"" name "\":") - 1, group, EVENT_NUMBER }
#define RAW(group, name)                                                                           \
    { ",\"" name "\":", sizeof(",\"" name "\":") - 1, group, EVENT_RAW }

static const struct field fields[] = {
    [EVENT_CLIENT_IPV4] = TEXT(GROUP_CLIENT, "ipv4"),
    [EVENT_CLIENT_IPV6] = TEXT(GROUP_CLIENT, "ipv6"),
    [EVENT_CLIENT_MANUFACTURER] = TEXT(GROUP_CLIENT, "manufacturer"),
    [EVENT_CLIENT_OS] = TEXT(GROUP_CLIENT, "os"),
    [EVENT_CLIENT_USER_AGENT] = TEXT(GROUP_CLIENT, "user_agent"),
    [EVENT_AP_NAME] = TEXT(GROUP_AP, "name"),
    [EVENT_SSID] = TEXT(GROUP_NONE, "ssid"),
    [EVENT_RSSI] = NUMBER(GROUP_NONE, "rssi"),
    [EVENT_LOCATION_LAT] = NUMBER(GROUP_LOCATION, "lat"),
    [EVENT_LOCATION_LNG] = NUMBER(GROUP_LOCATION, "lng"),
    [EVENT_LOCATION_UNC] = NUMBER(GROUP_LOCATION, "unc"),
    [EVENT_LOCATION_X] = NUMBER(GROUP_LOCATION, "x"),
    [EVENT_LOCATION_Y] = NUMBER(GROUP_LOCATION, "y"),
    [EVENT_VENUE_ID] = TEXT(GROUP_VENUE, "id"),
    [EVENT_VENUE_NAME] = TEXT(GROUP_VENUE, "name"),
    [EVENT_VENUE_LAT] = NUMBER(GROUP_VENUE, "lat"),
    [EVENT_VENUE_LNG] = NUMBER(GROUP_VENUE, "lng"),
    [EVENT_USER_ID] = TEXT(GROUP_USER, "id"),
    [EVENT_USER_EMAIL] = TEXT(GROUP_USER, "email"),
    [EVENT_USER_FIRST_NAME] = TEXT(GROUP_USER, "first_name"),
    [EVENT_USER_LAST_NAME] = TEXT(GROUP_USER, "last_name"),
    [EVENT_USER_GENDER] = TEXT(GROUP_USER, "gender"),
    [EVENT_USER_BIRTH_DATE] = TEXT(GROUP_USER, "birth_date"),
    [EVENT_USER_PROVIDER] = TEXT(GROUP_USER, "provider"),
    [EVENT_USER_VISITS] = RAW(GROUP_USER, "visits"),
    [EVENT_CHANNEL_NAME] = TEXT(GROUP_CHANNEL, "name"),
    [EVENT_CHANNEL_UUID] = TEXT(GROUP_CHANNEL, "uuid"),
    [EVENT_CHANNEL_OCCUPANCY] = NUMBER(GROUP_CHANNEL, "occupancy"),
    [EVENT_CHANNEL_JOINED] = RAW(GROUP_CHANNEL, "joined"),
    [EVENT_CHANNEL_LEFT] = RAW(GROUP_CHANNEL, "left"),
    [EVENT_CHANNEL_TIMED_OUT] = RAW(GROUP_CHANNEL, "timed_out"),
    [EVENT_TENANT] = TEXT(GROUP_NONE, "tenant"),
    [EVENT_DATA] = RAW(GROUP_NONE, "data"),
};

_Static_assert(sizeof fields / sizeof *fields == EVENT_FIELD_COUNT, "each field has its row");
_Static_assert(EVENT_FIELD_COUNT <= 64, "event.present has a bit for each field");

/* The fields that stand before the access point's. */
#define CLIENT_FIELDS ((1ULL << EVENT_AP_NAME) - 1)

enum event_type event_field_type(enum event_field field) {
    return (enum event_type)fields[field].type;
}

/* --- Copying ------------------------------------------------------------------------------------
 */

/* memcpy for short spans: nearly every value is shorter than 33 bytes, and a call costs more than
 * its copy. The halves overlap. */
static inline char *put(char *dst, struct span s) {
    const char *src = s.ptr;
    size_t len = s.len;
    uint64_t head, tail;
    uint32_t short_head, short_tail;
    struct {
        uint64_t words[2];
    } long_head, long_tail;
    if (len > 32) {
        memcpy(dst, src, len);
    } else if (len > 16) {
        memcpy(&long_head, src, 16);
        memcpy(&long_tail, src + len - 16, 16);
        memcpy(dst, &long_head, 16);
        memcpy(dst + len - 16, &long_tail, 16);
    } else if (len >= 8) {
        memcpy(&head, src, 8);
        memcpy(&tail, src + len - 8, 8);
        memcpy(dst, &head, 8);
        memcpy(dst + len - 8, &tail, 8);
    } else if (len >= 4) {
        memcpy(&short_head, src, 4);
        memcpy(&short_tail, src + len - 4, 4);
        memcpy(dst, &short_head, 4);
        memcpy(dst + len - 4, &short_tail, 4);
    } else if (len) {
        char middle = src[len / 2], last = src[len - 1];
        dst[0] = src[0];
        dst[len / 2] = middle;
        dst[len - 1] = last;
    }
    return dst + len;
}

#define PUT_LITERAL(dst, literal)                                                                  \
    ((char *)memcpy((dst), (literal), sizeof(literal) - 1) + sizeof(literal) - 1)

static char *put_i64(char *dst, int64_t value) {
    if (value < 0)
        *dst++ = '-';
    return dst + text_format_u64(value < 0 ? -(uint64_t)value : (uint64_t)value, dst);
}

/* --- What is left over --------------------------------------------------------------------------
 */

#define ENCLOSING "enclosing"

static bool is_taken(const struct json_doc *doc, uint32_t node) {
    return doc->nodes[node].flags & JSON_TAKEN;
}

static bool is_looked_into(const struct json_doc *doc, uint32_t value) {
    return json_type(doc, value) == JSON_OBJECT && !is_taken(doc, value);
}

/* "enclosing" with any number of underscores in front. */
static bool is_enclosing_name(const struct json_doc *doc, uint32_t key) {
    enum { MAX_BYTES = 96, NAME_BYTES = sizeof(ENCLOSING) - 1 };
    char unescaped[MAX_BYTES];
    struct span name = json_text(doc, key);
    if (doc->nodes[key].flags & JSON_ESCAPED && name.len <= MAX_BYTES)
        name = span_from(unescaped, json_unescape(name, unescaped));
    if (name.len < NAME_BYTES ||
        memcmp(name.ptr + name.len - NAME_BYTES, ENCLOSING, NAME_BYTES) != 0)
        return false;
    size_t underscores = 0;
    while (name.ptr[underscores] == '_')
        underscores++;
    return underscores + NAME_BYTES == name.len;
}

size_t event_leftovers_bound(const struct json_doc *doc, uint32_t object) {
    enum { PUNCTUATION = 8 }; /* two quotes, colon, comma, two braces, an underscore; and one */
    size_t bound = 0;
    json_expand(doc, object);
    uint32_t end = doc->nodes[object].next;
    for (uint32_t key = object + 1; key < end; key = doc->nodes[key + 1].next) {
        size_t value = 0;
        if (!is_taken(doc, key))
            value = json_raw(doc, key + 1).len;
        else if (is_looked_into(doc, key + 1))
            value = event_leftovers_bound(doc, key + 1);
        else
            continue;
        bound += doc->nodes[key].len + value + PUNCTUATION;
    }
    return bound;
}

static char *put_key(char *dst, bool first, bool gives_way, const struct json_doc *doc,
                     uint32_t key) {
    if (!first)
        *dst++ = ',';
    *dst++ = '"';
    if (gives_way)
        *dst++ = '_';
    dst = put(dst, json_text(doc, key));
    *dst++ = '"';
    *dst++ = ':';
    return dst;
}

/* `is_level`: the object is one of `extra`'s, not one inside. There "enclosing" is what is around
 * it; a member of the sender's that is called so, or has been given way for, moves by an
 * underscore. */
static char *put_leftovers(char *dst, const struct json_doc *doc, uint32_t object, bool is_level) {
    char *start = dst;
    uint32_t end = doc->nodes[object].next;
    for (uint32_t key = object + 1; key < end; key = doc->nodes[key + 1].next) {
        char *before = dst;
        if (!is_taken(doc, key)) {
            dst = put_key(dst, dst == start, is_level && is_enclosing_name(doc, key), doc, key);
            dst += json_minify_to(json_raw(doc, key + 1), dst);
        } else if (is_looked_into(doc, key + 1)) {
            dst = put_key(dst, dst == start, is_level && is_enclosing_name(doc, key), doc, key);
            *dst++ = '{';
            char *inside = dst;
            dst = put_leftovers(dst, doc, key + 1, false);
            if (dst == inside)
                dst = before;
            else
                *dst++ = '}';
        }
    }
    return dst;
}

size_t event_leftovers_write(const struct json_doc *doc, uint32_t object, char *dst) {
    return (size_t)(put_leftovers(dst, doc, object, true) - dst);
}

static size_t extra_bound(const struct event *event) {
    size_t bound = 0;
    for (unsigned i = 0; i < event->extra_count; i++) {
        const struct event_extra *extra = &event->extra[i];
        bound += sizeof(",\"" ENCLOSING "\":{}");
        bound += extra->doc ? event_leftovers_bound(extra->doc, extra->object) : extra->members.len;
    }
    return bound;
}

/* Levels behind the last one that has members are taken back, and so is an empty `extra`. */
static char *put_extra(char *dst, const struct event *event) {
    char *end = dst;
    unsigned depth = 0;
    dst = PUT_LITERAL(dst, ",\"extra\":{");
    for (unsigned i = 0; i < event->extra_count; i++) {
        const struct event_extra *extra = &event->extra[i];
        bool has_enclosing = i + 1 < event->extra_count;
        char *start = dst;
        if (extra->doc)
            dst = put_leftovers(dst, extra->doc, extra->object, true);
        else
            dst = put(dst, extra->members);
        if (dst != start) {
            end = dst;
            depth = i + 1;
            if (has_enclosing)
                *dst++ = ',';
        }
        if (has_enclosing)
            dst = PUT_LITERAL(dst, "\"" ENCLOSING "\":{");
    }
    for (; depth; depth--)
        *end++ = '}';
    return end;
}

/* --- The line -----------------------------------------------------------------------------------
 */

void event_context_init(struct event_context *context, struct span endpoint, struct span provider,
                        int64_t received_us) {
    assert(endpoint.len <= EVENT_MAX_NAME_BYTES && provider.len <= EVENT_MAX_NAME_BYTES);
    context->endpoint = endpoint;
    context->provider = provider;
    context->received_us = received_us;
    context->seq = 0;
    char *p = PUT_LITERAL(context->prefix, ",\"received\":\"");
    text_format_time_us(received_us, p);
    p = PUT_LITERAL(p + TIME_US_TEXT_BYTES, "\",\"endpoint\":\"");
    context->prefix_endpoint_offset = (uint16_t)(p - context->prefix);
    p = PUT_LITERAL(put(p, endpoint), "\",\"provider\":\"");
    context->prefix_provider_offset = (uint16_t)(p - context->prefix);
    p = PUT_LITERAL(put(p, provider), "\",\"kind\":\"");
    context->prefix_len = (uint16_t)(p - context->prefix);
}

size_t event_size_bound(const struct event *event, const struct event_context *context) {
    enum {
        HEAD = 48 + U64_TEXT_BYTES + 2 * HASH_BYTES,      /* seq, id, the kind's quote */
        TIMES = 64 + TIME_MS_TEXT_BYTES + U64_TEXT_BYTES, /* time, delay_ms, duplicate */
        MACS = 96 + 2 * MAC_TEXT_BYTES,                   /* both, randomized, and their groups */
        GROUPS = GROUP_COUNT * (GROUP_BYTES + 1),
        TAIL = 32, /* extra, closing brackets, newline */
        PER_FIELD = LABEL_BYTES + 1,
    };
    size_t bound = HEAD + TIMES + MACS + GROUPS + TAIL + COPY_SLACK;
    bound += context->prefix_len + event->kind.len;
    for (uint64_t left = event->present; left; left &= left - 1)
        bound += PER_FIELD + event->fields[__builtin_ctzll(left)].len;
    if (event->extra_count)
        bound += extra_bound(event);
    return bound;
}

/* Where the line is being written, and the group that is open there. */
struct writer {
    char *p;
    unsigned group;
};

static inline void enter_group(struct writer *w, unsigned group) {
    if (w->group)
        *w->p++ = '}';
    w->group = group;
    memcpy(w->p, groups[group].open, GROUP_BYTES);
    w->p += groups[group].open_len;
}

static inline void put_field(struct writer *w, const struct field *field, struct span value) {
    unsigned comma = 0; /* bytes of the label to leave out: its group's first member has none */
    if (field->group != w->group) {
        enter_group(w, field->group);
        comma = field->group != GROUP_NONE;
    }
    memcpy(w->p, field->label + comma, LABEL_BYTES);
    w->p += field->label_len - comma;
    if (field->type == EVENT_RAW) {
        w->p += json_minify_to(value, w->p);
        return;
    }
    w->p = put(w->p, value);
    *w->p = '"';
    w->p += field->type == EVENT_TEXT;
}

static inline void put_fields(struct writer *w, const struct event *event, uint64_t which) {
    for (uint64_t left = event->present & which; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        put_field(w, &fields[i], event->fields[i]);
    }
}

static inline void put_mac(struct writer *w, unsigned group, uint64_t mac) {
    enter_group(w, group);
    w->p = PUT_LITERAL(w->p, "\"mac\":\"");
    text_format_mac(mac, w->p);
    w->p += MAC_TEXT_BYTES;
    *w->p++ = '"';
}

static char *put_head(char *dst, const struct event *event, const struct event_context *context,
                      struct event_layout *layout) {
    const char *line = dst;
    dst = PUT_LITERAL(dst, "{\"seq\":");
    dst += text_format_u64(context->seq, dst);
    dst = PUT_LITERAL(dst, ",\"id\":\"");
    text_format_hex(event->id, sizeof event->id, dst);
    dst += 2 * sizeof event->id;
    *dst++ = '"';
    uint16_t prefix = (uint16_t)(dst - line);
    layout->endpoint_offset = prefix + context->prefix_endpoint_offset;
    layout->endpoint_len = (uint16_t)context->endpoint.len;
    layout->provider_offset = prefix + context->prefix_provider_offset;
    layout->provider_len = (uint16_t)context->provider.len;
    layout->kind_offset = prefix + context->prefix_len;
    layout->kind_len = (uint16_t)event->kind.len;
    memcpy(dst, context->prefix, context->prefix_len);
    dst = put(dst + context->prefix_len, event->kind);
    *dst++ = '"';
    return dst;
}

/* The time, and how long the event was on its way: below zero where the sender's clock is ahead. */
static char *put_time(char *dst, int64_t time_ms, int64_t received_us) {
    dst = PUT_LITERAL(dst, ",\"time\":\"");
    text_format_time_ms(time_ms, dst);
    dst = PUT_LITERAL(dst + TIME_MS_TEXT_BYTES, "\",\"delay_ms\":");
    return put_i64(dst, received_us / 1000 - time_ms);
}

void event_encode(const struct event *event, const struct event_context *context, char *dst,
                  struct event_layout *layout) {
    assert(event->kind.len <= EVENT_MAX_KIND_BYTES);
    struct writer w = {put_head(dst, event, context, layout), GROUP_NONE};
    if (event->time_ms != TIME_NONE)
        w.p = put_time(w.p, event->time_ms, context->received_us);
    if (event->duplicate)
        w.p = PUT_LITERAL(w.p, ",\"duplicate\":true");
    if (event->client_mac != MAC_NONE) {
        put_mac(&w, GROUP_CLIENT, event->client_mac);
        bool is_randomized = MAC_IS_RANDOMIZED(event->client_mac) && !event->client_was_global;
        w.p = is_randomized ? PUT_LITERAL(w.p, ",\"randomized\":true")
                            : PUT_LITERAL(w.p, ",\"randomized\":false");
    }
    put_fields(&w, event, CLIENT_FIELDS);
    if (event->ap_mac != MAC_NONE)
        put_mac(&w, GROUP_AP, event->ap_mac);
    put_fields(&w, event, ~CLIENT_FIELDS);
    enter_group(&w, GROUP_NONE);
    if (event->extra_count)
        w.p = put_extra(w.p, event);
    w.p = PUT_LITERAL(w.p, "}\n");
    layout->len = (uint32_t)(w.p - dst);
}
