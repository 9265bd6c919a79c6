/* The normalised event and its encoding as one JSON line (the outside contract, section 4).
 *
 * A sender fills a struct event with spans into the body it was given; event_encode writes the line
 * with its members in the contract's order. Values are already JSON text: a text field holds the
 * content of a JSON string, escapes kept; a number field holds the digits as they came. So encoding
 * is copying, and nothing is converted, rounded or re-escaped. Pure: no clock, no ring, no I/O. */
#ifndef ROLLCALL_EVENT_H
#define ROLLCALL_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "json.h"
#include "util/err.h"
#include "util/hash.h"
#include "util/span.h"
#include "util/text.h"

/* Every field that is copied as it is, in the order of the line. event.c lists their objects, names
 * and types. */
enum event_field {
    /* client */
    EVENT_CLIENT_IPV4,
    EVENT_CLIENT_IPV6,
    EVENT_CLIENT_MANUFACTURER,
    EVENT_CLIENT_OS,
    EVENT_CLIENT_USER_AGENT,
    /* ap */
    EVENT_AP_NAME,
    EVENT_SSID,
    EVENT_RSSI,
    /* location */
    EVENT_LOCATION_LAT,
    EVENT_LOCATION_LNG,
    EVENT_LOCATION_UNC,
    EVENT_LOCATION_X,
    EVENT_LOCATION_Y,
    /* venue */
    EVENT_VENUE_ID,
    EVENT_VENUE_NAME,
    EVENT_VENUE_LAT,
    EVENT_VENUE_LNG,
    /* user */
    EVENT_USER_ID,
    EVENT_USER_EMAIL,
    EVENT_USER_FIRST_NAME,
    EVENT_USER_LAST_NAME,
    EVENT_USER_GENDER,
    EVENT_USER_BIRTH_DATE,
    EVENT_USER_PROVIDER,
    EVENT_USER_VISITS,
    /* channel */
    EVENT_CHANNEL_NAME,
    EVENT_CHANNEL_UUID,
    EVENT_CHANNEL_OCCUPANCY,
    EVENT_CHANNEL_JOINED,
    EVENT_CHANNEL_LEFT,
    EVENT_CHANNEL_TIMED_OUT,
    EVENT_TENANT,
    EVENT_DATA,
    EVENT_FIELD_COUNT
};

/* How a field's span is written. */
enum event_type {
    EVENT_TEXT,   /* content of a JSON string, without quotes: written in quotes */
    EVENT_NUMBER, /* a JSON number: written as it is */
    EVENT_RAW,    /* any valid JSON value: written minified */
};

/* What `extra` is made of: the members of one object that no field has taken. Either an object of a
 * document (doc set), of which every member without JSON_TAKEN on its key is kept verbatim; a taken
 * member whose value is an object is looked into, so that what nobody took inside is kept under its
 * name, unless that value too has JSON_TAKEN: then it was taken whole. Or ready-made text (doc
 * NULL): valid members without braces, minified; empty for none. */
struct event_extra {
    const struct json_doc *doc;
    uint32_t object;
    struct span members;
};

/* The event's own object, and the objects around it. */
enum { EVENT_MAX_EXTRA = 4 };

/* One event as its sender describes it. Spans are borrowed from the body. Start each with
 * event_init. Set fields with event_set: an unset field is absent from the line. */
struct event {
    struct span kind; /* content of a JSON string; the sender's own word where unknown to us */
    int64_t time_ms;  /* the event's own time, TIME_NONE where unknown */
    uint64_t client_mac, ap_mac; /* MAC_NONE where unknown */
    uint64_t present;            /* bit i: field i is set */
    struct span fields[EVENT_FIELD_COUNT];
    /* extra[0]'s members stand in `extra` itself; those of each further one, which is around the
     * one before it, under the name "enclosing" therein: {"a":1,"enclosing":{"a":2}}. A member of
     * the sender's that is itself called so stands as "_enclosing", and one called "_enclosing" as
     * "__enclosing": so no name stands twice, no member is lost, and "enclosing" is always what is
     * around. No `extra` at all where nothing is left. */
    struct event_extra extra[EVENT_MAX_EXTRA];
    unsigned extra_count;
    uint8_t id[HASH_BYTES]; /* set by the batch */
    bool duplicate;         /* mark mode only */
    /* client_mac is a pseudonym (privacy.h), which is always locally administered, of an address
     * that was not: client.randomized tells about that one */
    bool client_was_global;
};

enum {
    EVENT_MAX_NAME_BYTES = 64, /* of an endpoint's and of a provider's name */
    EVENT_MAX_PREFIX_BYTES = 256,
};

/* What all events of one POST share. The text that is the same in all their lines, from
 * `,"received"` to the opening quote of the kind, is made once. */
struct event_context {
    struct span endpoint; /* JSON string content (endpoint names need no escape) */
    struct span provider;
    int64_t received_us;
    uint64_t seq; /* of the event to be encoded; the caller's */
    uint16_t prefix_len, prefix_endpoint_offset, prefix_provider_offset;
    char prefix[EVENT_MAX_PREFIX_BYTES];
};

/* Names of at most EVENT_MAX_NAME_BYTES; received_us within 1970-9999. The spans are kept. */
void event_context_init(struct event_context *context, struct span endpoint, struct span provider,
                        int64_t received_us);

/* Where in the line the filterable values stand; offsets from the line's first byte. */
struct event_layout {
    uint32_t len; /* of the whole line, '\n' included */
    uint16_t endpoint_offset, endpoint_len;
    uint16_t provider_offset, provider_len;
    uint16_t kind_offset, kind_len;
};

/* A kind longer than this is not a word: the batch rejects the event. */
enum { EVENT_MAX_KIND_BYTES = 256 };

static inline void event_init(struct event *event) {
    event->kind = (struct span){0};
    event->time_ms = TIME_NONE;
    event->client_mac = event->ap_mac = MAC_NONE;
    event->present = 0;
    event->extra_count = 0;
    event->duplicate = event->client_was_global = false;
}

/* Sets a field to a span of the field's type, which is not absent. */
static inline void event_set_present(struct event *event, enum event_field field,
                                     struct span value) {
    event->fields[field] = value;
    event->present |= 1ULL << field;
}

/* The same; an absent span unsets it. */
static inline void event_set(struct event *event, enum event_field field, struct span value) {
    if (span_is_absent(value))
        event->present &= ~(1ULL << field);
    else
        event_set_present(event, field, value);
}

static inline bool event_has(const struct event *event, enum event_field field) {
    return event->present >> field & 1;
}

/* The type a field's span must have. */
enum event_type event_field_type(enum event_field field);

/* No fewer bytes than event_encode touches: more than the line takes, as whole words are copied. */
size_t event_size_bound(const struct event *event, const struct event_context *context);

/* Writes the line, '\n' at its end, to dst, which has event_size_bound bytes. */
void event_encode(const struct event *event, const struct event_context *context, char *dst,
                  struct event_layout *layout);

/* The members of an object that no field has taken, as `extra` shows them (see struct event_extra),
 * without braces. At most event_leftovers_bound bytes are written; returns how many. */
size_t event_leftovers_bound(const struct json_doc *doc, uint32_t object);
size_t event_leftovers_write(const struct json_doc *doc, uint32_t object, char *dst);

#endif
