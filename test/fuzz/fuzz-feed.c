/* The server side of the Unix socket (src/feed.h), in this process: any bytes from a client, cut
 * where the input says, while events come. It answers or closes, what it answers is HTTP with lines
 * of JSON, and after each input somebody else still gets the events.
 *
 * Input: flags (1: the client never reads; 2: it hangs up without waiting; 4: an event between the
 * cuts), cuts (fuzz.h), then what the client sends. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "feed.h"
#include "fuzz.h"
#include "readers.h"

enum { NEVER_READS = 1, HANGS_UP = 2, EVENTS = 4, RING_BYTES = 64 * 1024, PROBE_EVERY = 16 };

static uv_loop_t loop;
static struct wheel wheel;
static struct ring *ring;
static struct feed *feed;
static char directory[] = "/tmp/rollcall-fuzz-XXXXXX", path[sizeof directory + 8];

/* False where a held reader does not let it: a post would be told to come again. */
static bool push_event(void) {
    char text[256], *line;
    int len = snprintf(text, sizeof text,
                       "{\"seq\":%llu,\"endpoint\":\"lobby\",\"provider\":\"json\","
                       "\"kind\":\"document\",\"data\":{\"pad\":\"%100s\"}}\n",
                       (unsigned long long)ring_next_seq(ring), "");
    int rc = ring_reserve(ring, (size_t)len, &line);
    if (rc == RING_HELD) {
        ring_abort(ring);
        return false;
    }
    FUZZ_CHECK(rc == RING_OK);
    memcpy(line, text, (size_t)len);
    ring_push(ring, &(struct ring_record){.line_len = (uint32_t)len});
    ring_commit(ring);
    return true;
}

/* Those that the input has made. */
static void remove_readers(void) {
    for (int i = 0; i < RING_MAX_HELD; i++) {
        const char *name = ring_held(ring)[i].name;
        if (*name)
            FUZZ_CHECK(readers_remove((struct readers *)feed_held(feed), span_from_string(name)) ==
                       READERS_OK);
    }
    FUZZ_CHECK(push_event());
}

static void remove_directory(void) {
    unlink(path);
    rmdir(directory);
}

static void setup(void) {
    if (feed)
        return;
    FUZZ_CHECK(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/sock", directory);
    signal(SIGPIPE, SIG_IGN);
    FUZZ_CHECK(uv_loop_init(&loop) == 0);
    wheel_init(&wheel, uv_now(&loop));
    FUZZ_CHECK(ring_new(&ring, RING_BYTES) == 0);
    const struct feed_options options = {.path = path,
                                         .mode = 0600,
                                         .max_readers = 16,
                                         .max_hold_ms = 600000,
                                         .header_timeout_ms = 10000};
    FUZZ_CHECK(feed_new(&feed, &loop, ring, &wheel, &options) == FEED_OK);
    for (int i = 0; i < 20; i++)
        FUZZ_CHECK(push_event());
    atexit(remove_directory);
}

static void turn(void) {
    uv_run(&loop, UV_RUN_NOWAIT);
    feed_wake(feed);
}

static int dial(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    FUZZ_CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

/* What has come by now; true at its end. */
static bool receive(int fd, struct buf *in) {
    static char chunk[65536];
    for (;;) {
        ssize_t len = recv(fd, chunk, sizeof chunk, 0);
        if (len < 0 && errno == EAGAIN)
            return false;
        if (len <= 0)
            return true;
        FUZZ_CHECK(buf_append(in, chunk, (size_t)len) == 0);
    }
}

static void settle(int fd, struct buf *in) {
    for (int quiet = 0; quiet < 3; quiet++) {
        size_t before = in->len;
        turn();
        bool end = receive(fd, in);
        if (in->len != before && !end)
            quiet = 0;
    }
}

static bool is_known(int status) {
    static const int known[] = {100, 200, 201, 204, 400, 404, 405, 406, 408,
                                409, 413, 414, 415, 417, 431, 501, 503, 505};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i] == status)
            return true;
    return false;
}

static void check_answer(const struct buf *in) {
    if (in->len == 0)
        return;
    FUZZ_CHECK(in->len > 13 && memcmp(in->ptr, "HTTP/1.1 ", 9) == 0);
    if (!is_known(atoi(in->ptr + 9)))
        FUZZ_FAIL("%.*s", 60, in->ptr);
    FUZZ_CHECK(memmem(in->ptr, in->len, "\r\n\r\n", 4));
}

static void probe(void) {
    static const char request[] = "GET /v1/events?from=oldest&follow=0&limit=1 HTTP/1.0\r\n\r\n";
    struct buf in = {0};
    int fd = dial();
    FUZZ_CHECK(send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == sizeof request - 1);
    settle(fd, &in);
    if (!in.len || memcmp(in.ptr, "HTTP/1.1 200 ", 13) || !memmem(in.ptr, in.len, "{\"seq\":", 7))
        FUZZ_FAIL("the next reader got '%.*s'", SPAN_ARG(buf_span(&in)));
    close(fd);
    buf_deinit(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static unsigned long inputs;
    struct fuzz_input input = {data, size};
    struct fuzz_cuts cuts;
    struct buf in = {0};
    setup();
    unsigned flags = fuzz_take_byte(&input);
    fuzz_take_cuts(&input, &cuts);
    int fd = dial();
    while (input.left) {
        size_t len = fuzz_next_cut(&cuts, input.left);
        if (send(fd, input.data, len, MSG_NOSIGNAL) != (ssize_t)len)
            break; /* closed on us, or full: the rest is of no use */
        input.data += len;
        input.left -= len;
        if (flags & EVENTS)
            (void)push_event();
        turn();
    }
    if (!(flags & HANGS_UP)) {
        if (flags & NEVER_READS)
            turn();
        else
            settle(fd, &in);
        check_answer(&in);
    }
    close(fd);
    turn();
    turn();
    FUZZ_CHECK(feed_reader_count(feed) == 0);
    buf_deinit(&in);
    remove_readers();
    if (++inputs % PROBE_EVERY == 0)
        probe();
    return 0;
}
