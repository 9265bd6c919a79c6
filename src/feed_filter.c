/* Which events a reader wants; see feed_filter.h. */
#include "feed_filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "json.h"
#include "util/text.h"

/* In the order in which they are asked: a MAC address is in the record itself. */
enum name { MAC, ENDPOINT, PROVIDER, KIND, NAMES };

static const char *const names[NAMES] = {"mac", "endpoint", "provider", "kind"};

/* The key is made of the length and of some of the bytes, so that nearly all values are told apart
 * by one comparison. */
struct value {
    uint64_t key; /* of a MAC address: the address */
    size_t len;
    char text[FEED_FILTER_VALUE_BYTES];
};

/* The values of each name stand together, and behind those of the names before it. */
struct feed_filter {
    unsigned end[NAMES]; /* where each name's values end */
    struct value values[];
};

/* In whole words, as a call of memcpy costs more than the rest. */
static uint64_t make_key(struct span text) {
    uint64_t key = 0;
    uint32_t head, tail;
    if (text.len >= sizeof key) {
        memcpy(&key, text.ptr, sizeof key);
    } else if (text.len >= sizeof head) {
        memcpy(&head, text.ptr, sizeof head);
        memcpy(&tail, text.ptr + text.len - sizeof tail, sizeof tail);
        key = (uint64_t)tail << 32 | head;
    } else {
        for (size_t i = 0; i < text.len; i++)
            key = key << 8 | (unsigned char)text.ptr[i];
    }
    return key ^ (uint64_t)text.len << 48;
}

static int read_value(enum name name, struct span text, struct value *value) {
    if (name == MAC) {
        value->len = 0;
        value->key = text_parse_mac(text);
        return value->key == MAC_NONE ? FEED_FILTER_BAD_MAC : FEED_FILTER_OK;
    }
    if (text.len > FEED_FILTER_VALUE_BYTES)
        return FEED_FILTER_TOO_LONG;
    value->key = make_key(text);
    value->len = text.len;
    memcpy(value->text, text.ptr, text.len);
    return FEED_FILTER_OK;
}

int feed_filter_add(struct feed_filter **filterp, struct span name, struct span text) {
    struct feed_filter *filter = *filterp;
    struct value value;
    unsigned which = 0;
    while (which < NAMES && !span_equals(span_from_string(names[which]), name))
        which++;
    if (which == NAMES)
        return FEED_FILTER_NO_NAME;
    int result = read_value((enum name)which, text, &value);
    if (result)
        return result;
    unsigned count = filter ? filter->end[NAMES - 1] : 0;
    if (count == FEED_FILTER_VALUES)
        return FEED_FILTER_FULL;
    filter = realloc(filter, sizeof *filter + (count + 1) * sizeof *filter->values);
    if (!filter)
        return -ENOMEM;
    if (!*filterp)
        memset(filter->end, 0, sizeof filter->end);
    *filterp = filter;
    struct value *place = &filter->values[filter->end[which]];
    memmove(place + 1, place, (count - filter->end[which]) * sizeof *place);
    *place = value;
    for (; which < NAMES; which++)
        filter->end[which]++;
    return FEED_FILTER_OK;
}

void feed_filter_free(struct feed_filter *filter) {
    free(filter);
}

/* What the record says. A kind is content of a JSON string, and a sender may write any letter of it
 * as an escape: then it is resolved into `plain`. */
static struct span text_of(const struct ring_record *record, enum name name,
                           char plain[EVENT_MAX_KIND_BYTES]) {
    const char *line = (const char *)(record + 1);
    if (name == ENDPOINT)
        return span_from(line + record->endpoint_offset, record->endpoint_len);
    if (name == PROVIDER)
        return span_from(line + record->provider_offset, record->provider_len);
    struct span kind = span_from(line + record->kind_offset, record->kind_len);
    if (kind.len == 0 || kind.len > EVENT_MAX_KIND_BYTES || !memchr(kind.ptr, '\\', kind.len))
        return kind;
    return span_from(plain, json_unescape(kind, plain));
}

/* Whether one of the values from `value` to `end` fits. */
static bool any_matches(const struct value *value, const struct value *end, enum name name,
                        const struct ring_record *record) {
    char plain[EVENT_MAX_KIND_BYTES];
    struct span text = {"", 0};
    uint64_t key = record->client_mac;
    if (name != MAC) {
        text = text_of(record, name, plain);
        key = make_key(text);
    }
    for (; value < end; value++)
        if (value->key == key && span_equals(span_from(value->text, value->len), text))
            return true;
    return false;
}

bool feed_filter_matches(const struct feed_filter *filter, const struct ring_record *record) {
    unsigned start = 0;
    for (unsigned name = 0; name < NAMES; start = filter->end[name++])
        if (filter->end[name] > start &&
            !any_matches(filter->values + start, filter->values + filter->end[name],
                         (enum name)name, record))
            return false;
    return true;
}
