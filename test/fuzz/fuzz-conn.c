/* A whole connection of a sender but for TLS and the socket: http.h, ingest.h, the senders and the
 * ring, put together as conn.c does. Any bytes, pipelined and chunked, cut where the input says:
 * every answer is one that the contract knows, what was answered 200 is in the ring and nothing
 * else is, nothing stays set aside, and the cuts make no difference. After each 100 inputs a valid
 * POST is answered.
 *
 * Input: flags (1: small limits), cuts (fuzz.h), then what the peer sends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"
#include "fuzz.h"
#include "http.h"
#include "ingest.h"

enum { SMALL_LIMITS = 1, RING_BYTES = 256 * 1024, PROBE_EVERY = 100 };

static const char config_text[] =
    "[server]\nlisten = 127.0.0.1:0\ncertificate = /etc/passwd\nprivate_key = /etc/passwd\n"
    "socket = /tmp/s\nmax_unauthenticated_body_bytes = 4K\nmax_unauthenticated_total = 8K\n"
    "[dedupe]\nmax_ids = 1000\n"
    "[endpoint aero]\npath = /a\nprovider = aerohive\nsecret = token\n"
    "[endpoint bt]\npath = /b\nprovider = bt\n"
    "[endpoint pubnub]\npath = /p\nprovider = pubnub\n"
    "[endpoint meraki]\npath = /m\nprovider = meraki\nsecret = token\nvalidator = v\n"
    "[endpoint mist]\npath = /i\nprovider = mist\nsecret = token\n"
    "[endpoint basic]\npath = /c\nprovider = json\nauth = basic me\nsecret = token\n"
    "[endpoint query]\npath = /q\nprovider = json\nauth = query k\nsecret = token\n"
    "[endpoint json]\npath = /j\nprovider = json\nauth = none\n"
    "[endpoint kept]\npath = /k\nprovider = aerohive\nauth = none\non_unreadable = keep\n"
    "[endpoint std]\npath = /s\nprovider = json\nauth = standard-webhooks\n"
    "secret = MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";

static struct config *config;
static struct ring *ring;
static struct http_request scratch;

static void setup(void) {
    char path[64];
    if (ring)
        return;
    int file = memfd_create("config", MFD_CLOEXEC);
    FUZZ_CHECK(write(file, config_text, sizeof config_text - 1) == sizeof config_text - 1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    FUZZ_CHECK(config_load(&config, path, stderr) == 0);
    close(file);
    FUZZ_CHECK(ring_new(&ring, RING_BYTES) == 0);
}

struct connection {
    struct ingest ingest;
    struct http_parser http;
    struct ingest_hold hold;
    struct buf log; /* what was answered, without what may differ from run to run */
    uint64_t accepted;
    bool closed;
};

static void note(struct connection *connection, int status, struct span body) {
    char text[32];
    int len = snprintf(text, sizeof text, "\n%d ", status);
    FUZZ_CHECK(buf_append(&connection->log, text, (size_t)len) == 0);
    if (body.len)
        FUZZ_CHECK(buf_append(&connection->log, body.ptr, body.len) == 0);
}

static bool is_known(int status) {
    static const int known[] = {200, 400, 401, 403, 404, 405, 408, 413, 414,
                                415, 417, 422, 429, 431, 501, 503, 505};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i] == status)
            return true;
    return false;
}

static void respond(struct connection *connection, const struct http_request *request,
                    const struct ingest_answer *answer) {
    struct buf out = {0};
    struct http_response response = {
        .status = answer->status,
        .content_type = answer->content_type,
        .body = answer->body,
        .headers = answer->headers,
        .more_headers = answer->endpoint ? answer->endpoint->sender->answer_headers : NULL,
        .head = request->llhttp_method == HTTP_HEAD,
        .close = !request->keep_alive,
        .minor_version = request->minor_version};
    FUZZ_CHECK(is_known(answer->status));
    FUZZ_CHECK(answer->status == 200 || fuzz_is_json(answer->body, 2));
    FUZZ_CHECK(http_respond(&out, &response) == 0);
    FUZZ_CHECK(out.len > 12 && memcmp(out.ptr, "HTTP/1.1 ", 9) == 0);
    FUZZ_CHECK(memmem(out.ptr, out.len, "\r\n\r\n", 4));
    buf_deinit(&out);
    unsigned accepted;
    if (answer->status == 200 && answer->body.len > 12 &&
        sscanf(answer->body.ptr, "{\"accepted\":%u", &accepted) == 1)
        connection->accepted += accepted;
    note(connection, answer->status, answer->body);
    connection->closed = !request->keep_alive;
}

static void on_head(struct connection *connection, struct http_request *request) {
    static const struct ingest_peer peer = {IN6ADDR_LOOPBACK_INIT, INT64_C(1767607933456789)};
    struct ingest_answer answer;
    enum ingest_verdict verdict = ingest_head(&connection->ingest, request, &peer, &answer);
    connection->hold = answer.hold;
    if (verdict == INGEST_GO_ON)
        return;
    request->discard_body = true;
    respond(connection, request, &answer);
}

static void on_request(struct connection *connection, struct http_request *request) {
    struct ingest_answer answer;
    if (request->discard_body)
        return;
    ingest_request(&connection->ingest, request, INT64_C(1767607933456789), &answer);
    respond(connection, request, &answer);
    ingest_release(&connection->ingest, &connection->hold);
}

static void on_bad(struct connection *connection) {
    FUZZ_CHECK(is_known(connection->http.bad_status));
    if (connection->http.request)
        (void)!ingest_path_headers(&connection->ingest, connection->http.request->path);
    note(connection, 0, SPAN("bad"));
    connection->closed = true;
}

static void feed(struct connection *connection, const uint8_t *data, size_t len) {
    char *chunk = malloc(len + HTTP_BODY_PADDING);
    enum http_step step;
    memcpy(chunk, data, len);
    memset(chunk + len, '}', HTTP_BODY_PADDING);
    http_feed(&connection->http, &scratch, chunk, len);
    while (!connection->closed && (step = http_step(&connection->http)) != HTTP_STEP_MORE) {
        if (step == HTTP_STEP_HEAD)
            on_head(connection, connection->http.request);
        else if (step == HTTP_STEP_REQUEST)
            on_request(connection, connection->http.request);
        else
            on_bad(connection);
    }
    FUZZ_CHECK(http_feed_end(&connection->http) == 0);
    free(chunk);
}

static void check_ring(uint64_t from, uint64_t accepted) {
    uint64_t oldest = ring_oldest(ring).seq;
    FUZZ_CHECK(ring_next_seq(ring) - from == accepted);
    (void)fuzz_check_ring(ring, oldest > from ? oldest : from);
}

/* The log is the caller's. */
static struct buf run(struct span bytes, struct fuzz_cuts cuts, unsigned flags) {
    static const struct http_limits limits = {32768, 65536}, small_limits = {256, 64};
    struct connection connection = {.closed = false};
    uint64_t from = ring_next_seq(ring);
    size_t at = 0;
    FUZZ_CHECK(ingest_init(&connection.ingest, config, ring) == 0);
    http_parser_init(&connection.http, flags & SMALL_LIMITS ? &small_limits : &limits);
    while (!connection.closed && at < bytes.len) {
        size_t len = fuzz_next_cut(&cuts, bytes.len - at);
        feed(&connection, (const uint8_t *)bytes.ptr + at, len);
        at += len;
    }
    http_parser_deinit(&connection.http);
    ingest_release(&connection.ingest, &connection.hold);
    FUZZ_CHECK(connection.ingest.unauthenticated == 0);
    ingest_deinit(&connection.ingest);
    check_ring(from, connection.accepted);
    return connection.log;
}

static void probe(void) {
    static const char request[] = "POST /j HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
    static const char answer[] = "\n200 {\"accepted\":1,\"duplicates\":0,\"rejected\":0}\n";
    struct buf log = run(SPAN(request), (struct fuzz_cuts){0}, 0);
    FUZZ_CHECK(span_equals(buf_span(&log), SPAN(answer)));
    buf_deinit(&log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static unsigned long inputs;
    struct fuzz_input input = {data, size};
    struct fuzz_cuts cuts;
    setup();
    unsigned flags = fuzz_take_byte(&input);
    fuzz_take_cuts(&input, &cuts);
    struct span bytes = span_from((const char *)input.data, input.left);
    struct buf whole = run(bytes, (struct fuzz_cuts){0}, flags);
    struct buf cut = run(bytes, cuts, flags);
    if (!span_equals(buf_span(&whole), buf_span(&cut)))
        FUZZ_FAIL("in one piece:%.*s\ncut:%.*s", SPAN_ARG(buf_span(&whole)),
                  SPAN_ARG(buf_span(&cut)));
    buf_deinit(&whole);
    buf_deinit(&cut);
    if (++inputs % PROBE_EVERY == 0)
        probe();
    return 0;
}
