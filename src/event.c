/* The event's line; see event.h.
 *
 * The fields are lists in the order of the line, one for each of its objects, and each is written
 * by code of its own: its label is a constant, and whether it stands in an object is known when
 * this is compiled (a table walked field by field took twice the instructions). Every member ends
 * with a comma; the bracket that closes takes the last one's place. */
#include "event.h"

#include <assert.h>

enum {
    LABEL_BYTES = 24, /* at the most, with a field's quotes and comma */
    GROUP_BYTES = 16, /* likewise of an object's name and brackets */
    GROUP_COUNT = 6,
};

#define CLIENT_FIELDS(FIELD)                                                                       \
    FIELD(EVENT_CLIENT_IPV4, "ipv4", TEXT)                                                         \
    FIELD(EVENT_CLIENT_IPV6, "ipv6", TEXT)                                                         \
    FIELD(EVENT_CLIENT_MANUFACTURER, "manufacturer", TEXT)                                         \
    FIELD(EVENT_CLIENT_OS, "os", TEXT)                                                             \
    FIELD(EVENT_CLIENT_USER_AGENT, "user_agent", TEXT)
#define AP_FIELDS(FIELD) FIELD(EVENT_AP_NAME, "name", TEXT)
#define SIGNAL_FIELDS(FIELD)                                                                       \
    FIELD(EVENT_SSID, "ssid", TEXT)                                                                \
    FIELD(EVENT_RSSI, "rssi", NUMBER)
#define LOCATION_FIELDS(FIELD)                                                                     \
    FIELD(EVENT_LOCATION_LAT, "lat", NUMBER)                                                       \
    FIELD(EVENT_LOCATION_LNG, "lng", NUMBER)                                                       \
    FIELD(EVENT_LOCATION_UNC, "unc", NUMBER)                                                       \
    FIELD(EVENT_LOCATION_X, "x", NUMBER)                                                           \
    FIELD(EVENT_LOCATION_Y, "y", NUMBER)
#define VENUE_FIELDS(FIELD)                                                                        \
    FIELD(EVENT_VENUE_ID, "id", TEXT)                                                              \
    FIELD(EVENT_VENUE_NAME, "name", TEXT)                                                          \
    FIELD(EVENT_VENUE_LAT, "lat", NUMBER)                                                          \
    FIELD(EVENT_VENUE_LNG, "lng", NUMBER)
#define USER_FIELDS(FIELD)                                                                         \
    FIELD(EVENT_USER_ID, "id", TEXT)                                                               \
    FIELD(EVENT_USER_EMAIL, "email", TEXT)                                                         \
    FIELD(EVENT_USER_FIRST_NAME, "first_name", TEXT)                                               \
    FIELD(EVENT_USER_LAST_NAME, "last_name", TEXT)                                                 \
    FIELD(EVENT_USER_GENDER, "gender", TEXT)                                                       \
    FIELD(EVENT_USER_BIRTH_DATE, "birth_date", TEXT)                                               \
    FIELD(EVENT_USER_PROVIDER, "provider", TEXT)                                                   \
    FIELD(EVENT_USER_VISITS, "visits", RAW)
#define CHANNEL_FIELDS(FIELD)                                                                      \
    FIELD(EVENT_CHANNEL_NAME, "name", TEXT)                                                        \
    FIELD(EVENT_CHANNEL_UUID, "uuid", TEXT)                                                        \
    FIELD(EVENT_CHANNEL_OCCUPANCY, "occupancy", NUMBER)                                            \
    FIELD(EVENT_CHANNEL_JOINED, "joined", RAW)                                                     \
    FIELD(EVENT_CHANNEL_LEFT, "left", RAW)                                                         \
    FIELD(EVENT_CHANNEL_TIMED_OUT, "timed_out", RAW)
#define LAST_FIELDS(FIELD)                                                                         \
    FIELD(EVENT_TENANT, "tenant", TEXT)                                                            \
    FIELD(EVENT_DATA, "data", RAW)

#define ALL_FIELDS(FIELD)                                                                          \
    CLIENT_FIELDS(FIELD)                                                                           \
    AP_FIELDS(FIELD)                                                                               \
    SIGNAL_FIELDS(FIELD)                                                                           \
    LOCATION_FIELDS(FIELD)                                                                         \
    VENUE_FIELDS(FIELD)                                                                            \
    USER_FIELDS(FIELD)                                                                             \
    CHANNEL_FIELDS(FIELD)                                                                          \
    LAST_FIELDS(FIELD)

#define TYPE_OF(field, name, type) [field] = EVENT_##type,
static const uint8_t types[] = {ALL_FIELDS(TYPE_OF)};

/* A field in two lists is a warning of `types`; so with this each is in one. */
#define AND_ONE(field, name, type) +1
_Static_assert(0 ALL_FIELDS(AND_ONE) == EVENT_FIELD_COUNT, "each field is in a list");

#define LABEL_FITS(field, name, type)                                                              \
    _Static_assert(sizeof(",\"" name "\":\"\"") - 1 <= LABEL_BYTES, name);
ALL_FIELDS(LABEL_FITS)
_Static_assert(EVENT_FIELD_COUNT <= 64, "event.present has a bit for each field");

enum event_type event_field_type(enum event_field field) {
    return (enum event_type)types[field];
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
    dst = PUT_LITERAL(dst, "\"extra\":{");
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
    if (depth) {
        memset(end, '}', depth);
        end[depth] = ',';
        end += depth + 1;
    }
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
        GROUPS = GROUP_COUNT * GROUP_BYTES,
        TAIL = 32, /* extra, closing brackets, newline */
        PER_FIELD = LABEL_BYTES,
    };
    size_t bound = HEAD + TIMES + MACS + GROUPS + TAIL;
    bound += context->prefix_len + event->kind.len;
    for (uint64_t left = event->present; left; left &= left - 1)
        bound += PER_FIELD + event->fields[__builtin_ctzll(left)].len;
    if (event->extra_count)
        bound += extra_bound(event);
    return bound;
}

static inline __attribute__((always_inline)) char *
put_member(char *dst, const char *label, size_t len, enum event_type type, struct span value) {
    memcpy(dst, label, len);
    dst += len;
    if (type == EVENT_RAW)
        dst += json_minify_to(value, dst);
    else
        dst = put(dst, value);
    if (type == EVENT_TEXT)
        *dst++ = '"';
    *dst++ = ',';
    return dst;
}

#define QUOTE_TEXT   "\""
#define QUOTE_NUMBER ""
#define QUOTE_RAW    ""

/* For a list of fields: those of `event` that are set, to `p`. */
#define WRITE(field, name, type)                                                                   \
    if (event->present >> (field)&1)                                                               \
        p = put_member(p, "\"" name "\":" QUOTE_##type, sizeof("\"" name "\":" QUOTE_##type) - 1,  \
                       EVENT_##type, event->fields[field]);
/* Whether one of them is. */
#define BIT_OF(field, name, type) | 1ULL << (field)
#define HAS_ANY(event, FIELDS)    (((event)->present & (0 FIELDS(BIT_OF))) != 0)

static inline char *close_object(char *p) {
    p[-1] = '}';
    *p++ = ',';
    return p;
}

static inline char *put_mac(char *p, uint64_t mac) {
    p = PUT_LITERAL(p, "\"mac\":\"");
    text_format_mac(mac, p);
    return PUT_LITERAL(p + MAC_TEXT_BYTES, "\",");
}

static inline char *put_client(char *p, const struct event *event) {
    if (event->client_mac == MAC_NONE && !HAS_ANY(event, CLIENT_FIELDS))
        return p;
    p = PUT_LITERAL(p, "\"client\":{");
    if (event->client_mac != MAC_NONE) {
        p = put_mac(p, event->client_mac);
        bool is_randomized = MAC_IS_RANDOMIZED(event->client_mac) && !event->client_was_global;
        p = is_randomized ? PUT_LITERAL(p, "\"randomized\":true,")
                          : PUT_LITERAL(p, "\"randomized\":false,");
    }
    CLIENT_FIELDS(WRITE)
    return close_object(p);
}

static inline char *put_ap(char *p, const struct event *event) {
    if (event->ap_mac == MAC_NONE && !HAS_ANY(event, AP_FIELDS))
        return p;
    p = PUT_LITERAL(p, "\"ap\":{");
    if (event->ap_mac != MAC_NONE)
        p = put_mac(p, event->ap_mac);
    AP_FIELDS(WRITE)
    return close_object(p);
}

/* The function that writes an object of nothing but fields, where one is set. */
#define OBJECT(name, FIELDS)                                                                       \
    static inline char *put_##name(char *p, const struct event *event) {                           \
        if (!HAS_ANY(event, FIELDS))                                                               \
            return p;                                                                              \
        p = PUT_LITERAL(p, "\"" #name "\":{");                                                     \
        FIELDS(WRITE)                                                                              \
        return close_object(p);                                                                    \
    }
OBJECT(location, LOCATION_FIELDS)
OBJECT(venue, VENUE_FIELDS)
OBJECT(user, USER_FIELDS)
OBJECT(channel, CHANNEL_FIELDS)

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
    return PUT_LITERAL(put(dst + context->prefix_len, event->kind), "\",");
}

/* The time, and how long the event was on its way: below zero where the sender's clock is ahead. */
static char *put_time(char *dst, int64_t time_ms, int64_t received_us) {
    dst = PUT_LITERAL(dst, "\"time\":\"");
    text_format_time_ms(time_ms, dst);
    dst = PUT_LITERAL(dst + TIME_MS_TEXT_BYTES, "\",\"delay_ms\":");
    dst = put_i64(dst, received_us / 1000 - time_ms);
    *dst++ = ',';
    return dst;
}

void event_encode(const struct event *event, const struct event_context *context, char *dst,
                  struct event_layout *layout) {
    assert(event->kind.len <= EVENT_MAX_KIND_BYTES);
    char *p = put_head(dst, event, context, layout);
    if (event->time_ms != TIME_NONE)
        p = put_time(p, event->time_ms, context->received_us);
    if (event->duplicate)
        p = PUT_LITERAL(p, "\"duplicate\":true,");
    p = put_ap(put_client(p, event), event);
    SIGNAL_FIELDS(WRITE)
    p = put_location(p, event);
    p = put_venue(p, event);
    p = put_user(p, event);
    p = put_channel(p, event);
    LAST_FIELDS(WRITE)
    if (event->extra_count)
        p = put_extra(p, event);
    p = PUT_LITERAL(close_object(p) - 1, "\n");
    layout->len = (uint32_t)(p - dst);
}
