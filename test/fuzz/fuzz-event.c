/* src/event.h: an event of any fields becomes one valid line within the bound that was told.
 *
 * Input: pairs of a byte that names a field (or the kind, a MAC address, the time, `extra`) and a
 * text, of which JSON of the field's type is made. */
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "fuzz.h"
#include "json.h"

enum { MAX_VALUES = 64 };

static struct json_parser *parsers[EVENT_MAX_EXTRA];
static char *values[MAX_VALUES];
static unsigned value_count;

static char *keep(size_t bytes) {
    return values[value_count++] = malloc(bytes ? bytes : 1);
}

static struct span as_text(struct span text) {
    char *value = keep(6 * text.len + 1);
    return span_from(value, json_escape(text, value));
}

static struct span as_number(struct span text) {
    char *value = keep(text.len);
    memcpy(value, text.ptr, text.len);
    return text_is_number(text) ? span_from(value, text.len) : SPAN("-0.5e+7");
}

static struct span as_raw(struct span text) {
    char *value = keep(text.len);
    memcpy(value, text.ptr, text.len);
    return fuzz_is_json(text, 100) ? span_trim(span_from(value, text.len)) : SPAN("[{\"a\" : 1 }]");
}

/* An object of a document, some of whose members are taken. */
static void add_extra(struct event *event, struct span text, unsigned taken) {
    static struct json_doc docs[EVENT_MAX_EXTRA];
    struct json_error error;
    unsigned i = event->extra_count;
    if (i == EVENT_MAX_EXTRA)
        return;
    if (!parsers[i])
        parsers[i] = json_parser_new();
    char *padded = keep(text.len + JSON_PADDING);
    memcpy(padded, text.ptr, text.len);
    event->extra[i] = (struct event_extra){.members = SPAN("")};
    event->extra_count++;
    if (json_parse(parsers[i], padded, text.len, &docs[i], &error) ||
        json_type(&docs[i], 0) != JSON_OBJECT)
        return;
    for (uint32_t key = 1; key < docs[i].nodes[0].next; key = docs[i].nodes[key + 1].next) {
        if (taken & 1)
            docs[i].nodes[key].flags |= JSON_TAKEN;
        if (taken & 2)
            docs[i].nodes[key + 1].flags |= JSON_TAKEN;
        taken = taken >> 2 | taken << 6;
    }
    event->extra[i] = (struct event_extra){.doc = &docs[i], .object = 0};
}

static void set_field(struct event *event, unsigned field, struct span text) {
    static struct span (*const as[])(struct span) = {as_text, as_number, as_raw};
    event_set(event, (enum event_field)field, as[event_field_type((enum event_field)field)](text));
}

static void set(struct event *event, unsigned what, struct span text) {
    uint64_t number = 0;
    memcpy(&number, text.ptr, text.len < 8 ? text.len : 8);
    if (what < EVENT_FIELD_COUNT)
        set_field(event, what, text);
    else if (what == 100)
        event->kind = as_text(text.len > 40 ? span_from(text.ptr, 40) : text);
    else if (what == 101)
        event->client_mac = number & 0xffffffffffff;
    else if (what == 102)
        event->ap_mac = number & 0xffffffffffff;
    else if (what == 103)
        event->time_ms = (int64_t)(number % INT64_C(253402300800000));
    else if (what == 104)
        event->duplicate = event->client_was_global = true;
    else if (what >= 128)
        add_extra(event, text, what);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    struct event_context context;
    struct event_layout layout;
    struct event event;
    event_init(&event);
    event.kind = SPAN("seen");
    memset(event.id, 0xa5, sizeof event.id);
    value_count = 0;
    while (input.left && value_count < MAX_VALUES - 1) {
        unsigned what = fuzz_take_byte(&input);
        struct span text =
            what >= 200 ? span_from((const char *)input.data, input.left) : fuzz_take_text(&input);
        if (what >= 200)
            input.left = 0;
        set(&event, what, text);
    }
    event_context_init(&context, SPAN("lobby"), SPAN("json"), INT64_C(1767607933456789));
    context.seq = size * UINT64_C(0x100000001);
    size_t bound = event_size_bound(&event, &context);
    char *dst = malloc(bound);
    event_encode(&event, &context, dst, &layout);
    FUZZ_CHECK(layout.len <= bound);
    fuzz_check_line(span_from(dst, layout.len), context.seq);
    FUZZ_CHECK(span_equals(span_from(dst + layout.kind_offset, layout.kind_len), event.kind));
    FUZZ_CHECK(memcmp(dst + layout.endpoint_offset, "lobby\"", 6) == 0);
    FUZZ_CHECK(memcmp(dst + layout.provider_offset, "json\"", 5) == 0);
    free(dst);
    for (unsigned i = 0; i < value_count; i++)
        free(values[i]);
    return 0;
}
