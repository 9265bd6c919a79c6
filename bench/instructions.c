/* The hot paths, each run a fixed number of times between two calls that callgrind sees: how many
 * instructions an operation takes does not depend on what else the machine does. Not a test of
 * speed: bench/instructions runs it under callgrind and compares with bench/instructions.txt.
 *
 * usage: instructions [CERTIFICATE KEY]    (working directory: the source root)
 *
 * Prints "key WORDS", what the figures depend on; without arguments, that is all. Then for each
 * call of run_path "NAME COUNT": how many operations it ran. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "ingest.h"
#include "json.h"
#include "lag.h"
#include "latency.h"
#include "payload.h"
#include "ring.h"
#include "sender.h"
#include "tls.h"
#include "util/clock.h"

enum {
    OPERATIONS = 200,
    MAX_BODY = 1 << 20,
    RING_BYTES = 16 << 20,
    CHUNK_BYTES = 64 * 1024, /* of what a connection reads and of what the feed sends at a time */
    LINE_BYTES = 400,
};

static const int64_t now_us = 1767607933456789;

static void die(const char *what) {
    fprintf(stderr, "instructions: %s\n", what);
    exit(1);
}

static void check(bool fine, const char *what) {
    if (!fine)
        die(what);
}

/* Callgrind collects while this runs, and writes down what it has when it returns. */
__attribute__((noinline)) void run_path(void (*path)(void *context), void *context);
__attribute__((noinline)) void run_path(void (*path)(void *context), void *context) {
    path(context);
    __asm__ volatile("" ::: "memory"); /* no tail call: it has to return from here */
}

/* The compiler must not make versions of it that have other names. */
static void (*volatile call)(void (*path)(void *context), void *context) = run_path;

static void measure(const char *name, unsigned count, void (*path)(void *context), void *context) {
    call(path, context);
    printf("%s %u\n", name, count);
    (void)fflush(stdout);
}

/* --- a POST: TLS records in, HTTP, token, JSON, duplicates, ring, answer, TLS records out -------
 */

static struct config_secret secret = {"token", 5};
static struct config_endpoint endpoint = {.name = (char[]){"hq"},
                                          .path = (char[]){"/p"},
                                          .auth = AUTH_TOKEN,
                                          .secrets = {&secret},
                                          .secret_count = 1};
static struct config config = {.references = 1,
                               .endpoints = &endpoint,
                               .dedupe_mode = BATCH_DROP,
                               .dedupe_max_ids = 100000,
                               .dedupe_window_ms = 3600 * 1000};

struct node {
    struct ingest ingest;
    struct ring *ring;
    struct tls_session client, server;
    struct http_parser http;
    struct http_request scratch;
    struct latency latency;
    struct latency_pending pending;
    struct lag lag;
    uint64_t turn_ns;
    struct buf plain_out, net_out;
    struct buf records[OPERATIONS]; /* of one POST each */
    char plain[CHUNK_BYTES + TLS_MAX_RECORD_PLAINTEXT + HTTP_BODY_PADDING];
};

static const struct http_limits limits = {32768, MAX_BODY};

/* Carries what each side has to say to the other, until both have nothing more. */
static void handshake(struct node *node) {
    struct buf to_server = {0}, to_client = {0};
    char none[256];
    size_t len;
    for (int i = 0; i < 6; i++) {
        tls_session_feed(&node->client, to_client.ptr, to_client.len);
        check(tls_session_read(&node->client, &to_server, none, sizeof none, &len) == TLS_WANT,
              "the client's handshake failed");
        to_client.len = 0;
        tls_session_feed(&node->server, to_server.ptr, to_server.len);
        check(tls_session_read(&node->server, &to_client, none, sizeof none, &len) == TLS_WANT,
              "the server's handshake failed");
        to_server.len = 0;
    }
    check(tls_session_is_established(&node->server), "no handshake");
    buf_deinit(&to_server);
    buf_deinit(&to_client);
}

static void open_node(struct node *node, const char *certificate, const char *key) {
    struct tls_error error;
    struct tls_files files = {.certificate = certificate, .private_key = key};
    struct tls_context *client, *server;
    endpoint.sender = sender_find(SPAN("aerohive"));
    check(tls_context_new(&server, &files, &error) == 0, "the certificate cannot be read");
    check(tls_context_new_client(&client, NULL, &error) == 0, "no client's context");
    check(tls_session_init(&node->client, client) == 0, "out of memory");
    check(tls_session_init(&node->server, server) == 0, "out of memory");
    tls_context_unref(client);
    tls_context_unref(server);
    check(ring_new(&node->ring, RING_BYTES) == 0, "no ring");
    check(ingest_init(&node->ingest, &config, node->ring) == 0, "out of memory");
    http_parser_init(&node->http, &limits);
    handshake(node);
}

static void close_node(struct node *node) {
    http_parser_deinit(&node->http);
    ingest_deinit(&node->ingest);
    ring_free(node->ring);
    tls_session_deinit(&node->client);
    tls_session_deinit(&node->server);
    buf_deinit(&node->plain_out);
    buf_deinit(&node->net_out);
}

static void answer_request(struct node *node, struct ingest_answer *answer) {
    const struct ingest_peer peer = {IN6ADDR_LOOPBACK_INIT, now_us};
    struct ingest_hold hold = {0};
    enum http_step step;
    while ((step = http_step(&node->http)) != HTTP_STEP_MORE) {
        if (step == HTTP_STEP_HEAD) {
            check(ingest_head(&node->ingest, node->http.request, &peer, answer) == INGEST_GO_ON,
                  "refused at its head");
            hold = answer->hold;
            continue;
        }
        check(step == HTTP_STEP_REQUEST, "not HTTP");
        ingest_request(&node->ingest, node->http.request, now_us, answer);
        check(answer->status == 200, "a POST was refused");
        ingest_release(&node->ingest, &hold);
        struct http_response response = {.status = answer->status,
                                         .content_type = answer->content_type,
                                         .body = answer->body,
                                         .minor_version = 1};
        latency_begin(&node->pending, node->turn_ns);
        check(http_respond(&node->plain_out, &response) == 0, "out of memory");
    }
}

/* As a connection does for what one read brings (conn.c). */
static void take_records(struct node *node, const char *data, size_t len) {
    struct ingest_answer answer;
    size_t plain_len;
    node->turn_ns = clock_monotonic_ns(); /* at the worst, each post has a turn of its own */
    tls_session_feed(&node->server, data, len);
    check(tls_session_read(&node->server, &node->net_out, node->plain,
                           sizeof node->plain - HTTP_BODY_PADDING, &plain_len) == TLS_WANT,
          "not TLS");
    http_feed(&node->http, &node->scratch, node->plain, plain_len);
    answer_request(node, &answer);
    check(http_feed_end(&node->http) == 0, "out of memory");
    if (node->plain_out.len)
        check(tls_session_write(&node->server, &node->net_out, node->plain_out.ptr,
                                node->plain_out.len) == TLS_OK,
              "no record could be written");
    node->plain_out.len = node->net_out.len = 0;
    if (node->pending.count) {
        uint64_t now_ns = clock_monotonic_ns();
        latency_settle(&node->latency, &node->pending, now_ns);
        lag_note(&node->lag, now_ns - node->turn_ns);
    }
}

static void take_posts(void *context) {
    struct node *node = context;
    for (int i = 0; i < OPERATIONS; i++) {
        const struct buf *record = &node->records[i];
        for (size_t at = 0; at < record->len; at += CHUNK_BYTES) {
            size_t left = record->len - at;
            take_records(node, record->ptr + at, left < CHUNK_BYTES ? left : CHUNK_BYTES);
        }
    }
}

static void encrypt_posts(struct node *node, unsigned observations, uint64_t *first) {
    struct payload_options options = {.sender = PAYLOAD_AEROHIVE,
                                      .observations = observations,
                                      .host = "localhost",
                                      .path = "/p",
                                      .headers = "",
                                      .secret = "token"};
    struct payload payload;
    check(payload_init(&payload, &options, 1) == 0, "out of memory");
    for (int i = 0; i < OPERATIONS; i++) {
        payload_set(&payload, *first, now_us / 1000000 - 1);
        *first += observations;
        node->records[i].len = 0;
        check(tls_session_write(&node->client, &node->records[i], payload.text.ptr,
                                payload.text.len) == TLS_OK,
              "no record could be written");
    }
    payload_deinit(&payload);
}

static void measure_posts(const char *certificate, const char *key) {
    static struct node node;
    static const unsigned sizes[] = {1, 3, 100};
    uint64_t first = 0;
    char name[32];
    open_node(&node, certificate, key);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        encrypt_posts(&node, sizes[i], &first); /* warms up */
        take_posts(&node);
        encrypt_posts(&node, sizes[i], &first);
        snprintf(name, sizeof name, "post-%u", sizes[i]);
        measure(name, OPERATIONS, take_posts, &node);
    }
    for (int i = 0; i < OPERATIONS; i++)
        buf_deinit(&node.records[i]);
    close_node(&node);
}

/* --- each sender: parse and encode -------------------------------------------------------------
 */

struct sample {
    const struct sender *sender;
    struct json_parser *parser;
    struct batch batch;
    struct ring *ring;
    size_t len;
    char body[MAX_BODY + JSON_PADDING], work[MAX_BODY + JSON_PADDING];
};

static void parse_samples(void *context) {
    struct sample *sample = context;
    struct json_doc doc;
    struct json_error error;
    struct problem problem;
    for (int i = 0; i < OPERATIONS; i++) {
        memcpy(sample->work, sample->body, sample->len);
        check(json_parse(sample->parser, sample->work, sample->len, &doc, &error) == 0,
              "a sample is not JSON");
        batch_begin(&sample->batch, sample->ring, SPAN("hq"),
                    span_from_string(sample->sender->name), now_us);
        check(sender_parse(sample->sender, &doc, &sample->batch, &problem) == SENDER_OK,
              "a sample is not its sender's");
        batch_commit(&sample->batch);
    }
}

static void measure_sample(struct sample *sample, const char *name) {
    char path[128], label[64];
    snprintf(path, sizeof path, "test/data/%s.json", name);
    FILE *in = fopen(path, "rb");
    check(in, "a sample is missing from test/data");
    sample->len = fread(sample->body, 1, MAX_BODY, in);
    fclose(in);
    sample->sender = sender_find(span_from(name, strcspn(name, "/")));
    snprintf(label, sizeof label, "parse/%s", name);
    parse_samples(sample); /* memory that is taken once, tables that are filled */
    measure(label, OPERATIONS, parse_samples, sample);
}

static void measure_samples(void) {
    static struct sample sample;
    static const char *const samples[] = {
        "aerohive/array", "aerohive/sample", "bt/sample",   "pubnub/flat",
        "pubnub/actions", "pubnub/envelope", "meraki/v2",   "meraki/v3",
        "mist/location",  "mist/zone",       "json/object",
    };
    sample.parser = json_parser_new();
    check(sample.parser && ring_new(&sample.ring, RING_BYTES) == 0, "out of memory");
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        measure_sample(&sample, samples[i]);
    batch_deinit(&sample.batch);
    json_parser_free(sample.parser);
    ring_free(sample.ring);
}

/* --- the ring ----------------------------------------------------------------------------------
 */

enum { LINES = 4 * RING_BYTES / LINE_BYTES };

static void append_lines(void *context) {
    static const char line[LINE_BYTES] = "{}";
    struct ring_record meta = {.line_len = LINE_BYTES, .received_us = now_us, .client_mac = 1};
    char *room;
    for (int i = 0; i < LINES; i++) {
        check(ring_reserve(context, LINE_BYTES, &room) == RING_OK, "the ring is full");
        memcpy(room, line, LINE_BYTES);
        ring_push(context, &meta);
        ring_commit(context);
    }
}

/* As the feed does for NDJSON (feed_stream.c): lines into chunks of 64 KiB. */
static void read_lines(void *context) {
    struct ring *ring = context;
    struct ring_cursor cursor = ring_oldest(ring);
    const struct ring_record *record;
    struct buf out = {0};
    while (ring_next(ring, &cursor, &record) == RING_OK) {
        check(buf_append(&out, record + 1, record->line_len) == 0, "out of memory");
        if (out.len >= CHUNK_BYTES)
            out.len = 0;
    }
    buf_deinit(&out);
}

static void measure_ring(void) {
    struct ring *ring;
    check(ring_new(&ring, RING_BYTES) == 0, "no ring");
    append_lines(ring);
    measure("ring-append", LINES, append_lines, ring);
    measure("ring-read", (unsigned)ring_figures(ring).readable, read_lines, ring);
    ring_free(ring);
}

/* What the instructions depend on besides the source. */
static void print_key(void) {
    const char *cpu = "other";
#if defined __x86_64__
    cpu = __builtin_cpu_supports("avx2") ? "x86_64+avx2" : "x86_64";
#endif
    printf("key %s cc-%s %s\n", cpu, __VERSION__, BENCH_FLAGS);
}

int main(int argc, char **argv) {
    if (argc != 1 && argc != 3)
        die("usage: instructions [CERTIFICATE KEY]");
    print_key();
    if (argc == 1)
        return 0;
    measure_posts(argv[1], argv[2]);
    measure_samples();
    measure_ring();
    return 0;
}
