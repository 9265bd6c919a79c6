/* Which events a reader wants; see feed_filter.h. */
#include "feed_filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "json.h"
#include "util/text.h"

enum name { ENDPOINT, PROVIDER, KIND, MAC, NAMES };

static const char *const names[NAMES] = {"endpoint", "provider", "kind", "mac"};

struct value {
    enum name name;
    uint64_t mac;
    size_t len;
    char text[FEED_FILTER_VALUE_BYTES];
};

struct feed_filter {
    unsigned count, wanted; /* wanted: a bit for each name that has a value */
    struct value values[];
};

static int set_value(struct value *to, struct span value) {
    if (to->name == MAC) {
        to->mac = text_parse_mac(value);
        return to->mac == MAC_NONE ? FEED_FILTER_BAD_MAC : FEED_FILTER_OK;
    }
    if (value.len > FEED_FILTER_VALUE_BYTES)
        return FEED_FILTER_TOO_LONG;
    to->len = value.len;
    memcpy(to->text, value.ptr, value.len);
    return FEED_FILTER_OK;
}

int feed_filter_add(struct feed_filter **filterp, struct span name, struct span value) {
    struct feed_filter *filter = *filterp;
    struct value made = {ENDPOINT, 0, 0, ""};
    while (made.name < NAMES && !span_equals(span_from_string(names[made.name]), name))
        made.name++;
    if (made.name == NAMES)
        return FEED_FILTER_NO_NAME;
    int result = set_value(&made, value);
    if (result)
        return result;
    unsigned count = filter ? filter->count : 0;
    if (count == FEED_FILTER_VALUES)
        return FEED_FILTER_FULL;
    struct feed_filter *grown =
        realloc(filter, sizeof *grown + (count + 1) * sizeof *grown->values);
    if (!grown)
        return -ENOMEM;
    if (!filter)
        grown->wanted = 0;
    grown->values[count] = made;
    grown->count = count + 1;
    grown->wanted |= 1U << made.name;
    *filterp = grown;
    return FEED_FILTER_OK;
}

void feed_filter_free(struct feed_filter *filter) {
    free(filter);
}

static struct span text_of(const struct ring_record *record, enum name name) {
    const char *line = (const char *)(record + 1);
    switch (name) {
    case ENDPOINT:
        return span_from(line + record->endpoint_offset, record->endpoint_len);
    case PROVIDER:
        return span_from(line + record->provider_offset, record->provider_len);
    default:
        return span_from(line + record->kind_offset, record->kind_len);
    }
}

/* A kind is content of a JSON string, and a sender may write any letter of it as an escape. */
static bool text_matches(struct span text, struct span value) {
    char plain[EVENT_MAX_KIND_BYTES];
    if (text.len <= sizeof plain && text.len && memchr(text.ptr, '\\', text.len))
        text = span_from(plain, json_unescape(text, plain));
    return span_equals(text, value);
}

bool feed_filter_matches(const struct feed_filter *filter, const struct ring_record *record) {
    unsigned found = 0;
    for (unsigned i = 0; i < filter->count; i++) {
        const struct value *value = &filter->values[i];
        bool fits = value->name == MAC ? value->mac == record->client_mac
                                       : text_matches(text_of(record, value->name),
                                                      span_from(value->text, value->len));
        found |= (unsigned)fits << value->name;
    }
    return found == filter->wanted;
}
