/* The event's line: order and form of its members, `extra`, and the bound on its size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "event.h"
#include "json.h"

#define RECEIVED_US INT64_C(1767607933456789) /* 2026-01-05T10:12:13.456789Z */
#define ID          "000102030405060708090a0b0c0d0e0f"
#define HEAD                                                                                       \
    "{\"seq\":7,\"id\":\"" ID "\",\"received\":\"2026-01-05T10:12:13.456789Z\","                   \
    "\"endpoint\":\"hq\",\"provider\":\"test\",\"kind\":\"seen\""

enum { GUARD_BYTES = 64, GUARD = 0xa5, MAX_LINE = 8 << 20 };

static struct json_parser *parser;
static struct event_context context;

static int setup(void **state) {
    (void)state;
    parser = json_parser_new();
    return parser ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    json_parser_free(parser);
    return 0;
}

static void start(struct event *event) {
    event_context_init(&context, SPAN("hq"), SPAN("test"), RECEIVED_US);
    context.seq = 7;
    event_init(event);
    event->kind = SPAN("seen");
    for (uint8_t i = 0; i < HASH_BYTES; i++)
        event->id[i] = i;
}

/* The document of a text; both are freed by forget. */
static struct json_doc document(const char *text) {
    struct json_doc doc;
    struct json_error error;
    size_t len = strlen(text);
    char *padded = calloc(1, len + JSON_PADDING);
    assert_non_null(padded);
    memcpy(padded, text, len);
    if (json_parse(parser, padded, len, &doc, &error))
        fail_msg("%s at %zu: %s", error.message, error.offset, text);
    return doc;
}

static void forget(struct json_doc *doc) {
    free((char *)doc->text);
}

/* Encodes into memory of exactly the bound's size; what lies behind must stay as it is. */
static char *encode(const struct event *event, struct event_layout *layout) {
    size_t bound = event_size_bound(event, &context);
    assert_in_range(bound, 1, MAX_LINE);
    unsigned char *memory = malloc(bound + GUARD_BYTES);
    assert_non_null(memory);
    memset(memory, GUARD, bound + GUARD_BYTES);
    event_encode(event, &context, (char *)memory, layout);
    assert_in_range(layout->len, 1, bound);
    for (size_t i = 0; i < GUARD_BYTES; i++)
        assert_int_equal(memory[bound + i], GUARD);
    return realloc(memory, bound);
}

static void expect(const struct event *event, const char *expected) {
    struct event_layout layout;
    char *line = encode(event, &layout);
    if (!span_equals(span_from(line, layout.len), span_from_string(expected)))
        fail_msg("%.*sexpected\n%s", (int)layout.len, line, expected);
    forget(&(struct json_doc){.text = line});
}

static void test_nothing_known(void **state) {
    struct event event;
    (void)state;
    start(&event);
    expect(&event, HEAD "}\n");
}

static struct span sample_of(enum event_field field) {
    static const struct span samples[] = {[EVENT_TEXT] = {"te\\\"xt", 6},
                                          [EVENT_NUMBER] = {"-1.50e3", 7},
                                          [EVENT_RAW] = {"[ 1 , {} ]", 10}};
    return samples[event_field_type(field)];
}

#define T "\"te\\\"xt\""
#define N "-1.50e3"
#define R "[1,{}]"

static void test_every_field(void **state) {
    struct event event;
    (void)state;
    start(&event);
    event.time_ms = RECEIVED_US / 1000 - 1500;
    event.duplicate = true;
    event.client_mac = 0x0200000000ff;
    event.ap_mac = 0x08ea44a1b2c0;
    for (int field = 0; field < EVENT_FIELD_COUNT; field++)
        event_set(&event, field, sample_of(field));
    expect(&event,
           HEAD ",\"time\":\"2026-01-05T10:12:11.956Z\",\"delay_ms\":1500,\"duplicate\":true,"
                "\"client\":{\"mac\":\"02:00:00:00:00:ff\",\"randomized\":true,\"ipv4\":" T
                ",\"ipv6\":" T ",\"manufacturer\":" T ",\"os\":" T ",\"user_agent\":" T
                "},\"ap\":{\"mac\":\"08:ea:44:a1:b2:c0\",\"name\":" T "},\"ssid\":" T ",\"rssi\":" N
                ",\"location\":{\"lat\":" N ",\"lng\":" N ",\"unc\":" N ",\"x\":" N ",\"y\":" N
                "},\"venue\":{\"id\":" T ",\"name\":" T ",\"lat\":" N ",\"lng\":" N
                "},\"user\":{\"id\":" T ",\"email\":" T ",\"first_name\":" T ",\"last_name\":" T
                ",\"gender\":" T ",\"birth_date\":" T ",\"provider\":" T ",\"visits\":" R
                "},\"channel\":{\"name\":" T ",\"uuid\":" T ",\"occupancy\":" N ",\"joined\":" R
                ",\"left\":" R ",\"timed_out\":" R "},\"tenant\":" T ",\"data\":" R "}\n");
}

/* Each field alone: its group opens and closes around it. */
static void test_each_field_alone(void **state) {
    (void)state;
    for (int field = 0; field < EVENT_FIELD_COUNT; field++) {
        struct event event;
        struct event_layout layout;
        struct json_error error;
        struct json_doc doc;
        start(&event);
        event_set(&event, field, sample_of(field));
        char *line = encode(&event, &layout);
        char *padded = calloc(1, layout.len + JSON_PADDING);
        assert_non_null(padded);
        memcpy(padded, line, layout.len);
        assert_int_equal(json_parse(parser, padded, layout.len, &doc, &error), 0);
        uint32_t last = doc.nodes[0].next - 1;
        if (event_field_type(field) == EVENT_RAW)
            assert_true(span_equals(json_raw(&doc, last - 2), SPAN("[1,{}]")));
        else
            assert_true(span_equals(json_text(&doc, last), sample_of(field)));
        free(padded);
        free(line);
    }
}

static void test_groups(void **state) {
    struct event event;
    (void)state;
    start(&event);
    event.client_mac = 0xfd0000000000;
    expect(&event, HEAD ",\"client\":{\"mac\":\"fd:00:00:00:00:00\",\"randomized\":false}}\n");
    start(&event);
    event.ap_mac = 0;
    event_set(&event, EVENT_CLIENT_OS, SPAN("x"));
    expect(&event, HEAD ",\"client\":{\"os\":\"x\"},\"ap\":{\"mac\":\"00:00:00:00:00:00\"}}\n");
    start(&event);
    event_set(&event, EVENT_AP_NAME, SPAN(""));
    event_set(&event, EVENT_LOCATION_X, SPAN("0"));
    event_set(&event, EVENT_VENUE_LAT, SPAN("1"));
    expect(&event, HEAD ",\"ap\":{\"name\":\"\"},\"location\":{\"x\":0},\"venue\":{\"lat\":1}}\n");
}

static void test_set_and_unset(void **state) {
    struct event event;
    (void)state;
    start(&event);
    assert_false(event_has(&event, EVENT_DATA));
    event_set(&event, EVENT_DATA, SPAN("1"));
    assert_true(event_has(&event, EVENT_DATA));
    event_set(&event, EVENT_DATA, (struct span){0});
    assert_false(event_has(&event, EVENT_DATA));
    expect(&event, HEAD "}\n");
}

static void test_delay(void **state) {
    struct event event;
    (void)state;
    start(&event);
    event.time_ms = RECEIVED_US / 1000 + 1;
    expect(&event, HEAD ",\"time\":\"2026-01-05T10:12:13.457Z\",\"delay_ms\":-1}\n");
    event.time_ms = 0;
    expect(&event, HEAD ",\"time\":\"1970-01-01T00:00:00.000Z\",\"delay_ms\":1767607933456}\n");
    event.time_ms = INT64_C(253402300799999);
    expect(&event, HEAD ",\"time\":\"9999-12-31T23:59:59.999Z\",\"delay_ms\":-251634692866543}\n");
}

static void test_layout_at_the_bounds(void **state) {
    char endpoint[EVENT_MAX_NAME_BYTES], provider[EVENT_MAX_NAME_BYTES];
    char kind[EVENT_MAX_KIND_BYTES];
    struct event event;
    struct event_layout layout;
    (void)state;
    start(&event);
    memset(endpoint, 'e', sizeof endpoint);
    memset(provider, 'p', sizeof provider);
    memset(kind, 'k', sizeof kind);
    event_context_init(&context, span_from(endpoint, sizeof endpoint),
                       span_from(provider, sizeof provider), RECEIVED_US);
    context.seq = UINT64_MAX;
    event.kind = span_from(kind, sizeof kind);
    char *line = encode(&event, &layout);
    assert_memory_equal(line, "{\"seq\":18446744073709551615,", 28);
    assert_int_equal(layout.endpoint_len, sizeof endpoint);
    assert_memory_equal(line + layout.endpoint_offset, endpoint, sizeof endpoint);
    assert_int_equal(layout.provider_len, sizeof provider);
    assert_memory_equal(line + layout.provider_offset, provider, sizeof provider);
    assert_int_equal(layout.kind_len, sizeof kind);
    assert_memory_equal(line + layout.kind_offset, kind, sizeof kind);
    free(line);
}

/* --- extra ---------------------------------------------------------------------------------------
 */

static void mark(struct json_doc *doc, uint32_t object, const char *name, bool whole) {
    uint32_t value = json_find(doc, object, span_from_string(name));
    assert_int_not_equal(value, 0);
    doc->nodes[value - 1].flags |= JSON_TAKEN;
    if (whole)
        doc->nodes[value].flags |= JSON_TAKEN;
}

static void test_extra_of_an_object(void **state) {
    struct event event;
    struct json_doc doc =
        document("{ \"a\" : [ 1 , \"b c\" ] , \"t\":5, \"o\": {\"x\":1, \"y\" : 2}, "
                 "\"w\":{\"x\":1}, \"e\":{}, \"p\":{\"q\":{\"r\":{\"s\":0}}}, \"z\":null}");
    (void)state;
    start(&event);
    event.extra[event.extra_count++] = (struct event_extra){.doc = &doc};
    mark(&doc, 0, "t", false);
    mark(&doc, 0, "o", false);
    mark(&doc, json_find(&doc, 0, SPAN("o")), "x", false);
    mark(&doc, 0, "w", true);
    mark(&doc, 0, "e", false);
    mark(&doc, 0, "p", false);
    expect(&event,
           HEAD ",\"extra\":{\"a\":[1,\"b c\"],\"o\":{\"y\":2},\"p\":{\"q\":{\"r\":{\"s\":0}}},"
                "\"z\":null}}\n");
    mark(&doc, 0, "a", false);
    mark(&doc, 0, "z", false);
    mark(&doc, 0, "p", true);
    mark(&doc, json_find(&doc, 0, SPAN("o")), "y", false);
    expect(&event, HEAD "}\n");
    forget(&doc);
}

static void test_extra_of_enclosing_objects(void **state) {
    struct event event;
    struct json_doc doc = document("{\"a\":1}");
    const struct event_extra object = {.doc = &doc}, none = {.members = SPAN("")},
                             text = {.members = SPAN("\"a\":3")};
    (void)state;
    start(&event);
    event.extra_count = 1;
    event.extra[0] = none;
    expect(&event, HEAD "}\n");
    event.extra[0] = object;
    expect(&event, HEAD ",\"extra\":{\"a\":1}}\n");
    event.extra_count = 2;
    event.extra[1] = text;
    expect(&event, HEAD ",\"extra\":{\"a\":1,\"enclosing\":{\"a\":3}}}\n");
    event.extra[0] = none;
    expect(&event, HEAD ",\"extra\":{\"enclosing\":{\"a\":3}}}\n");
    event.extra[0] = text;
    event.extra[1] = none;
    expect(&event, HEAD ",\"extra\":{\"a\":3}}\n");
    event.extra_count = 4;
    event.extra[0] = event.extra[1] = event.extra[3] = none;
    event.extra[2] = object;
    expect(&event, HEAD ",\"extra\":{\"enclosing\":{\"enclosing\":{\"a\":1}}}}\n");
    event.extra[3] = text;
    expect(&event,
           HEAD ",\"extra\":{\"enclosing\":{\"enclosing\":{\"a\":1,\"enclosing\":{\"a\":3}}}}}\n");
    forget(&doc);
}

/* "enclosing" is what is around, always: the sender's own gives way, at any depth of underscores.
 */
static void test_members_called_enclosing_give_way(void **state) {
    struct event event;
    struct json_doc doc =
        document("{\"enclosing\":1,\"_enclosing\":2,\"__\\u0065nclosing\":3,\"_enclosing_\":4,"
                 "\"xenclosing\":5,\"nclosing\":6,\"o\":{\"enclosing\":7}}");
    static const char moved[] = "\"_enclosing\":1,\"__enclosing\":2,\"___\\u0065nclosing\":3,"
                                "\"_enclosing_\":4,\"xenclosing\":5,\"nclosing\":6,"
                                "\"o\":{\"enclosing\":7}";
    char text[256], expected[512];
    (void)state;
    start(&event);
    event.extra_count = 2;
    event.extra[0] = event.extra[1] = (struct event_extra){.doc = &doc};
    snprintf(expected, sizeof expected, HEAD ",\"extra\":{%s,\"enclosing\":{%s}}}\n", moved, moved);
    expect(&event, expected);
    assert_in_range(event_leftovers_bound(&doc, 0), sizeof moved - 1, sizeof text);
    assert_int_equal(event_leftovers_write(&doc, 0, text), sizeof moved - 1);
    assert_memory_equal(text, moved, sizeof moved - 1);
    mark(&doc, 0, "enclosing", false); /* taken, and looked into */
    mark(&doc, 0, "o", false);
    event.extra_count = 1;
    snprintf(expected, sizeof expected, HEAD ",\"extra\":{%s}}\n",
             moved + sizeof "\"_enclosing\":1");
    expect(&event, expected);
    forget(&doc);
}

static void test_leftovers_stay_in_their_bound(void **state) {
    struct json_doc doc = document("{\"a\":[1],\"b\":{\"c\":{},\"d\":\"e\"},\"\":0}");
    (void)state;
    for (int taken = 0; taken < 8; taken++) {
        static const char *names[] = {"a", "b", ""};
        for (uint32_t i = 0; i < doc.count; i++)
            doc.nodes[i].flags = 0;
        for (int i = 0; i < 3; i++)
            if (taken >> i & 1)
                mark(&doc, 0, names[i], false);
        size_t bound = event_leftovers_bound(&doc, 0);
        char *text = malloc(bound + 1);
        assert_non_null(text);
        text[bound] = '~';
        assert_in_range(event_leftovers_write(&doc, 0, text), 0, bound);
        assert_int_equal(text[bound], '~');
        free(text);
    }
    forget(&doc);
}

/* --- the bound -----------------------------------------------------------------------------------
 */

static unsigned pick(unsigned below) {
    static uint64_t seed = 88172645463325252ULL;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % below;
}

static struct span random_value(enum event_type type, char *dst) {
    static const char *raws[] = {"null", "{}", "[ ]", "{\"a\" : [1, 2.0, \"x \\\" y\"]}", "\" \""};
    if (type == EVENT_RAW)
        return span_from_string(raws[pick(5)]);
    size_t len = pick(20) ? pick(40) : pick(3000);
    if (type == EVENT_NUMBER && !len)
        len = 1;
    memset(dst, type == EVENT_NUMBER ? '7' : 'x', len);
    return span_from(dst, len);
}

static void randomize(struct event *event, const struct json_doc *doc, char *texts) {
    start(event);
    event->kind.len = pick(5);
    if (pick(2))
        event->time_ms = (int64_t)pick(2000000000) * 100000;
    if (pick(2))
        event->client_mac = (uint64_t)pick(1 << 30) << 18;
    if (pick(2))
        event->ap_mac = pick(1 << 30);
    event->duplicate = pick(2);
    unsigned density = 1 + pick(8);
    for (int field = 0; field < EVENT_FIELD_COUNT; field++)
        if (!pick(density))
            event_set(event, field, random_value(event_field_type(field), texts + field * 3000));
    event->extra_count = pick(EVENT_MAX_EXTRA + 1);
    for (unsigned i = 0; i < event->extra_count; i++)
        event->extra[i] =
            pick(2) ? (struct event_extra){.doc = doc}
                    : (struct event_extra){.members = pick(2) ? SPAN("\"m\":1") : SPAN("")};
}

static void test_the_bound_holds_for_any_event(void **state) {
    struct json_parser *line_parser = json_parser_new();
    struct json_doc doc = document("{\"a\":[1 ,2],\"b\" : {\"c\":{},\"d\":\"e\"},\"enclosing\":0}");
    char *texts = malloc(EVENT_FIELD_COUNT * 3000);
    assert_non_null(texts);
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct event event;
        struct event_layout layout;
        struct json_doc line_doc;
        struct json_error error;
        for (uint32_t i = 0; i < doc.count; i++)
            doc.nodes[i].flags = pick(2) ? JSON_TAKEN : 0;
        randomize(&event, &doc, texts);
        char *line = encode(&event, &layout);
        line = realloc(line, layout.len + JSON_PADDING);
        if (json_parse(line_parser, line, layout.len, &line_doc, &error))
            fail_msg("%s at %zu: %.*s", error.message, error.offset, (int)layout.len, line);
        assert_ptr_equal(memchr(line, '\n', layout.len), line + layout.len - 1);
        free(line);
    }
    free(texts);
    forget(&doc);
    json_parser_free(line_parser);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_known),
        cmocka_unit_test(test_every_field),
        cmocka_unit_test(test_each_field_alone),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_set_and_unset),
        cmocka_unit_test(test_delay),
        cmocka_unit_test(test_layout_at_the_bounds),
        cmocka_unit_test(test_extra_of_an_object),
        cmocka_unit_test(test_extra_of_enclosing_objects),
        cmocka_unit_test(test_members_called_enclosing_give_way),
        cmocka_unit_test(test_leftovers_stay_in_their_bound),
        cmocka_unit_test(test_the_bound_holds_for_any_event),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
