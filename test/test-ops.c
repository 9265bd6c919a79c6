/* /v1/status: always one JSON object, whatever peers have written into it, and never longer than
 * its bound. (That it agrees with /metrics: test_ops.py.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ops.h"

enum {
    /* Of ops_status.c's head: the node's own part, a held reader, an endpoint with all it may have.
     */
    NODE_BYTES = 4096,
    HELD_BYTES = 256,
    ENDPOINT_BYTES = 8192,
};

static struct config_endpoint endpoint = {.name = (char[]){"lab"}, .path = (char[]){"/lab"}};
static struct config config = {.references = 1,
                               .dedupe_mode = BATCH_DROP,
                               .dedupe_max_ids = 100,
                               .dedupe_window_ms = 3600 * 1000,
                               .endpoints = &endpoint};
static struct ring *ring;
static struct ingest ingest;
static struct readers held;
static struct conn_shared *conns;
static struct json_parser *json;
static struct ops ops;

static int setup(void **state) {
    (void)state;
    endpoint.sender = sender_find(SPAN("json"));
    conns = calloc(1, sizeof *conns);
    json = json_parser_new();
    if (!conns || !json || ring_new(&ring, 64 * 1024) || ingest_init(&ingest, &config, ring))
        return -1;
    readers_init(&held, ring, 1000);
    ops = (struct ops){.ingest = &ingest,
                       .conns = conns,
                       .ring = ring,
                       .held = &held,
                       .reload_ok = true,
                       .started_us = 1767607933456789,
                       .now_us = 1767607943456789};
    return 0;
}

static int teardown(void **state) {
    (void)state;
    ingest_deinit(&ingest);
    ring_free(ring);
    json_parser_free(json);
    free(conns);
    return 0;
}

/* Its length; it is one JSON value and a line. */
static size_t check_status(void) {
    struct buf body = {0};
    struct ops_answer answer;
    struct json_doc doc;
    struct json_error error;
    assert_int_equal(ops_answer(&ops, SPAN("/v1/status"), &body, &answer), 0);
    assert_int_equal(answer.status, 200);
    assert_int_equal(buf_span(&body).ptr[body.len - 1], '\n');
    assert_null(memchr(buf_span(&body).ptr, '\n', body.len - 1));
    size_t len = body.len;
    char *padded = calloc(1, len + JSON_PADDING);
    assert_non_null(padded);
    memcpy(padded, buf_span(&body).ptr, len);
    assert_int_equal(json_parse(json, padded, len, &doc, &error), 0);
    free(padded);
    buf_deinit(&body);
    return len;
}

static void test_nothing_yet(void **state) {
    (void)state;
    assert_in_range(check_status(), 500, NODE_BYTES);
}

static void fill_trouble(struct route_trouble *trouble, char with) {
    trouble->time_us = ops.now_us;
    trouble->reason = "secret wrong: it is the first 32 characters of the configured one; "
                      "HiveManager cuts tokens there, configure one of at most 32";
    trouble->status = 401;
    memset(trouble->where, with, sizeof trouble->where - 1);
}

/* Everything that a peer can fill is full, with the byte whose escape is longest, or that would end
 * the string, or that is no UTF-8. */
static void test_full(void **state) {
    (void)state;
    struct route_state *route = ingest.routes->all[0].state;
    for (unsigned c = 0; c < ROUTE_CODES; c++)
        route->codes[c] = (struct route_code){(int)(400 + c), UINT64_MAX};
    for (unsigned k = 0; k < ROUTE_KINDS; k++) {
        memset(route->kinds[k].name, 'k', ROUTE_KIND_BYTES);
        route->kinds[k].count = UINT64_MAX;
    }
    route->other_kinds = route->accepted = route->late = UINT64_MAX;
    for (unsigned i = 0; i < READERS_MAX; i++)
        memset(held.places[i].name, 'r', READERS_NAME_BYTES);
    for (unsigned i = 0; i < CONN_FAILURES; i++)
        conns->figures.failures[i] = (struct conn_failure){i ? "WRONG_VERSION_NUMBER" : NULL, 1};
    static const char bytes[] = {'\x01', '"', '\\', '\n', '\xff'};
    for (unsigned i = 0; i < sizeof bytes; i++) {
        fill_trouble(&route->last_error, bytes[i]);
        fill_trouble(&route->last_unread, bytes[i]);
        assert_in_range(check_status(), 5000,
                        NODE_BYTES + READERS_MAX * HELD_BYTES + ENDPOINT_BYTES);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_yet),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
