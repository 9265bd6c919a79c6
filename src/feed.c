/* Readers: their turns, and their connections: requests in, answers out. Where they come in is
 * feed_door.c's, what is answered feed_request.c's, what a stream says
 * feed_stream.c's. See feed.h and feed_internal.h.
 *
 *   accept -> READER_REQUEST -> READER_STREAM -> (finite and kept alive: READER_REQUEST again)
 *                 |   any answer that is the last -> READER_LAST -> written out -> closed
 *
 * The end of a peer. A read gives EOF both when the peer has closed and when it has only shut down
 * its sending side, as `printf ... | nc -N -U` does, which still wants its answer. The kernel tells
 * the two apart: a Unix stream socket polls POLLHUP only when both directions are down. So at EOF a
 * peer that is hung up is closed at once, follower or not, with no event needed to find out; one
 * that is not keeps its stream and is asked the same once a second (libuv no longer polls a socket
 * that has read EOF), and a write to it fails in any case once it has gone.
 *
 * TCP cannot tell the two apart, and of those who come that way (browsers, Prometheus) none shuts
 * down its side to wait for more: at EOF a stream ends, an answer is still sent. A peer that has
 * gone without a word is found out by keep-alive probes, and an answer that nobody takes has the
 * deadline of a head. */
#include "feed_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin.h"

enum {
    ADMIN_KEEPALIVE_S = 30,
    HALF_CLOSED_CHECK_MS = 1000,
    HOLD_TICK_MS = 1000,
    MOST_HOLD_TICK_MS = 2 * HOLD_TICK_MS, /* that one counts for, however late it comes */
};

static void reader_close(struct reader *reader);

static void arm_deadline(struct reader *reader, uint64_t ms) {
    wheel_arm(reader->feed->wheel, &reader->deadline, uv_now(reader->feed->loop) + ms);
}

/* --- the end of a reader ------------------------------------------------------------- */

static bool is_hung_up(const struct reader *reader) {
    struct pollfd poll_fd = {0};
    uv_os_fd_t fd;
    if (uv_fileno(&reader->io.handle, &fd))
        return true;
    poll_fd.fd = fd;
    return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & (POLLHUP | POLLERR);
}

static void check_done(struct feed *feed) {
    if (feed->unix_door.count || !feed->on_done)
        return;
    for (struct list *link = feed->readers.next; link != &feed->readers; link = link->next) {
        uint8_t state = container_of(link, struct reader, link)->state;
        if (state == READER_STREAM || state == READER_LAST) /* its last bytes are on their way */
            return;
    }
    void (*on_done)(void *) = feed->on_done;
    feed->on_done = NULL;
    on_done(feed->done_context);
}

static void on_reader_closed(uv_handle_t *handle) {
    struct reader *reader = handle->data;
    struct feed *feed = reader->feed;
    list_remove(&reader->link);
    http_parser_deinit(&reader->http);
    buf_deinit(&reader->early);
    reader->door->count--;
    free(reader);
    check_done(feed);
}

static void reader_close(struct reader *reader) {
    if (reader->state == READER_CLOSED)
        return;
    reader->state = READER_CLOSED;
    list_remove(&reader->turn);
    wheel_disarm(&reader->deadline);
    reader_end_stream(reader);
    uv_close(&reader->io.handle, on_reader_closed);
}

void reader_fail(struct reader *reader) {
    buf_reset(&reader->feed->out, FEED_OUT_KEEP_BYTES);
    reader_close(reader);
}

/* --- requests ------------------------------------------------------------------------ */

/* The head is there. Only PUT has a body that matters. */
static void on_head(struct reader *reader) {
    struct http_request *request = reader->http.request;
    request->discard_body = request->llhttp_method != HTTP_PUT || reader->door->is_admin;
    if (!request->discard_body)
        request->max_body_bytes = FEED_BODY_MAX_BYTES;
    if (!request->expect_continue || !request->has_body)
        return;
    int rc = buf_append(&reader->feed->out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    if (rc || reader_send(reader))
        reader_fail(reader);
}

static void on_bad(struct reader *reader) {
    reader->last = true;
    reader_answer(reader, reader->http.bad_status, NULL, "{\"error\":\"%s\"}\n",
                  reader->http.bad_reason ? reader->http.bad_reason : "not HTTP");
}

static bool is_ready(const struct reader *reader) {
    return reader->state == READER_REQUEST && !reader->writing;
}

/* Steps through what was read, until it is used up or an answer is under way; the rest waits. */
static void process(struct reader *reader, char *data, size_t len) {
    struct http_parser *http = &reader->http;
    enum http_step step;
    int rc = 0;

    reader->stepping = true;
    http_feed(http, &reader->feed->scratch, data, len);
    while (is_ready(reader) && (step = http_step(http)) != HTTP_STEP_MORE) {
        if (step == HTTP_STEP_HEAD)
            on_head(reader);
        else if (step == HTTP_STEP_REQUEST)
            reader_on_request(reader);
        else
            on_bad(reader);
    }
    if (reader->state != READER_CLOSED && http->chunk_used < len)
        rc = buf_append(&reader->early, data + http->chunk_used, len - http->chunk_used);
    int end_rc = http_feed_end(http);
    reader->stepping = false;
    if (rc || end_rc)
        reader_fail(reader);
}

static void process_early(struct reader *reader) {
    static const char padding[HTTP_BODY_PADDING];
    struct buf early = reader->early;
    reader->early = (struct buf){0};
    if (buf_append(&early, padding, sizeof padding))
        reader_fail(reader);
    else
        process(reader, early.ptr, early.len - sizeof padding);
    buf_deinit(&early);
}

/* Takes up what came while an answer was under way. A peer that will send no more has had its last
 * answer when nothing is left of that. */
static void go_on(struct reader *reader) {
    if (reader->stepping)
        return;
    while (is_ready(reader) && reader->early.len && !reader->feed->draining)
        process_early(reader);
    bool is_ending = reader->feed->draining && !reader->door->is_admin;
    if (is_ready(reader) && (reader->half_closed || is_ending))
        reader_close(reader);
}

/* Its answer is sent, and it was not the last. */
static void on_answered(struct reader *reader) {
    arm_deadline(reader, reader->feed->options.header_timeout_ms);
    go_on(reader);
}

/* --- output -------------------------------------------------------------------------- */

struct reader_write {
    uv_write_t request;
    struct buf data;
};

static void on_written(uv_write_t *request, int status) {
    struct reader_write *write = (struct reader_write *)request;
    struct reader *reader = request->data;
    buf_deinit(&write->data);
    free(write);
    if (uv_is_closing(&reader->io.handle))
        return;
    reader->writing = false;
    if (status < 0 || reader->state == READER_LAST)
        reader_close(reader);
    else if (reader->state == READER_STREAM)
        feed_note_behind(reader->feed, reader);
    else
        on_answered(reader);
}

/* The rest that the socket did not take. 0 or negative. */
static int write_later(struct reader *reader, const char *data, size_t len) {
    struct reader_write *write = calloc(1, sizeof *write);
    int rc = write ? buf_append(&write->data, data, len) : -ENOMEM;
    if (rc == 0) {
        uv_buf_t buf = uv_buf_init(write->data.ptr, (unsigned)len);
        write->request.data = reader;
        rc = uv_write(&write->request, &reader->io.stream, &buf, 1, on_written);
    }
    if (rc) {
        if (write)
            buf_deinit(&write->data);
        free(write);
        return rc;
    }
    reader->writing = true;
    return 0;
}

int reader_send(struct reader *reader) {
    struct buf *out = &reader->feed->out;
    uv_buf_t buf = uv_buf_init(out->ptr, (unsigned)out->len);
    int rc = uv_try_write(&reader->io.stream, &buf, 1);
    if (rc == UV_EAGAIN)
        rc = 0;
    if (rc >= 0)
        rc = (size_t)rc < out->len ? write_later(reader, out->ptr + rc, out->len - (size_t)rc) : 0;
    buf_reset(out, FEED_OUT_KEEP_BYTES);
    reader_arm_beat(reader);
    return rc;
}

/* Its peer has as long to take the answer as it has to send a head, however long it was silent
 * before it asked. */
static void begin_delivery(struct reader *reader) {
    if (reader->door->is_admin)
        arm_deadline(reader, reader->feed->options.header_timeout_ms);
}

void reader_finish(struct reader *reader) {
    reader->state = reader->last ? READER_LAST : READER_REQUEST;
    if (reader_send(reader))
        reader_fail(reader);
    else if (reader->writing)
        begin_delivery(reader);
    else if (reader->last)
        reader_close(reader);
    else
        on_answered(reader);
}

/* --- libuv --------------------------------------------------------------------------- */

static void on_deadline(struct wheel_node *node) {
    struct reader *reader = container_of(node, struct reader, deadline);
    bool under_way = http_parser_in_head(&reader->http) || http_parser_in_body(&reader->http);
    bool is_stuck = reader->door->is_admin && !is_ready(reader) && reader->state != READER_STREAM;
    /* An idle one, or one whose peer is gone, or an answer over TCP that nobody takes. */
    if (is_stuck || is_hung_up(reader) || (is_ready(reader) && !under_way)) {
        reader_close(reader);
    } else if (is_ready(reader)) {
        reader->last = true;
        reader_answer(reader, 408, NULL, "{\"error\":\"the request took too long\"}\n");
    } else if (reader->half_closed) {
        arm_deadline(reader, HALF_CLOSED_CHECK_MS);
    }
}

static void on_eof(struct reader *reader) {
    reader->half_closed = true;
    bool is_gone = reader->door->is_admin ? reader->state == READER_STREAM : is_hung_up(reader);
    if (is_ready(reader) || is_gone)
        reader_close(reader);
    else if (!reader->door->is_admin) /* an answer over TCP has its deadline */
        arm_deadline(reader, HALF_CLOSED_CHECK_MS);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct reader *reader = handle->data;
    (void)suggested;
    *buf = uv_buf_init(reader->feed->in, FEED_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct reader *reader = stream->data;
    if (len == UV_EOF) {
        on_eof(reader);
    } else if (len < 0) {
        reader_close(reader);
    } else if (len > 0 && is_ready(reader)) {
        process(reader, buf->base, (size_t)len);
    } else if (len > 0 && reader->state != READER_LAST) {
        if (reader->early.len + (size_t)len > FEED_EARLY_MAX_BYTES ||
            buf_append(&reader->early, buf->base, (size_t)len))
            reader_close(reader);
    }
}

int feed_accept(struct feed_door *door) {
    struct feed *feed = door->feed;
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return -ENOMEM;
    reader->feed = feed;
    reader->door = door;
    list_init(&reader->turn);
    http_parser_init(&reader->http, &feed->limits);
    wheel_node_init(&reader->deadline, on_deadline);
    wheel_node_init(&reader->beat, NULL); /* set when a stream begins */
    feed_door_init_stream(door, &reader->io);
    reader->io.handle.data = reader;
    list_append(&feed->readers, &reader->link);
    door->count++;
    reader->refused = door->count > door->max;
    arm_deadline(reader, feed->options.header_timeout_ms);
    if (uv_accept(&door->listener.stream, &reader->io.stream) ||
        (door->is_admin && uv_tcp_keepalive(&reader->io.tcp, 1, ADMIN_KEEPALIVE_S)) ||
        door->count > door->max + (door->is_admin ? 0 : FEED_REFUSED_MAX) ||
        uv_read_start(&reader->io.stream, on_alloc, on_read))
        reader_close(reader);
    return 0;
}

static void on_hold_ended(void *context, const char *name) {
    struct feed *feed = context;
    if (feed->options.on_hold_ended)
        feed->options.on_hold_ended(feed->options.context, name);
}

static void on_hold_tick(struct wheel_node *node) {
    struct feed *feed = container_of(node, struct feed, hold_tick);
    uint64_t now_ms = uv_now(feed->loop);
    for (struct list *link = feed->readers.next; link != &feed->readers; link = link->next)
        reader_commit_skipped(
            container_of(link, struct reader, link)); /* a commit has come since */
    /* While the node was stopped, no reader could make progress: that is not held against it. */
    feed->hold_ms += now_ms - feed->hold_tick_ms < MOST_HOLD_TICK_MS ? now_ms - feed->hold_tick_ms
                                                                     : MOST_HOLD_TICK_MS;
    feed->hold_tick_ms = now_ms;
    readers_tick(&feed->held, feed->hold_ms, on_hold_ended, feed);
    wheel_arm(feed->wheel, node, now_ms + HOLD_TICK_MS);
}

const struct readers *feed_held(const struct feed *feed) {
    return &feed->held;
}

void feed_set_max_hold(struct feed *feed, uint64_t max_hold_ms) {
    feed->held.max_hold_ms = max_hold_ms;
}

/* --- turns --------------------------------------------------------------------------- */

/* Each reader that was in the list gets one turn, until `max_bytes` have been sent, or as much work
 * was done; the others are behind then, and the first of these when they were so already. */
static void give_turns(struct feed *feed, struct list *readers, size_t max_bytes) {
    struct list *end = &feed->turns_end; /* those that come into the list meanwhile are behind it */
    size_t sent = 0;
    list_append(readers, end);
    while (readers->next != end && sent < max_bytes)
        sent += reader_pump(container_of(readers->next, struct reader, turn));
    while (readers == &feed->live && readers->next != end)
        feed_note_behind(feed, container_of(readers->next, struct reader, turn));
    list_remove(end);
}

static void on_idle(uv_idle_t *idle) {
    struct feed *feed = idle->data;
    give_turns(feed, &feed->behind, FEED_TURN_BYTES);
    if (list_is_empty(&feed->behind))
        uv_idle_stop(idle);
}

void feed_note_behind(struct feed *feed, struct reader *reader) {
    list_remove(&reader->turn);
    list_append(&feed->behind, &reader->turn);
    if (!uv_is_closing((uv_handle_t *)&feed->idle))
        uv_idle_start(&feed->idle, on_idle); /* cannot fail with a callback */
}

void feed_wake(struct feed *feed) {
    uint64_t seq = ring_newest(feed->ring).seq;
    if (seq == feed->woken_seq)
        return;
    feed->woken_seq = seq;
    give_turns(feed, &feed->live, FEED_LIVE_BYTES);
}

/* --- begin and end ------------------------------------------------------------------- */

/* A descriptor that listens. It is not libuv's to bind: uv_close would remove the file of that
 * name, whoever's it is by then. */
static int open_socket(struct feed *feed, int *fd) {
    const struct feed_options *options = &feed->options;
    *fd = options->listen_fd;
    if (*fd)
        return 0;
    int rc = socket_file_open(&feed->file, options->path, options->mode, options->group,
                              FEED_BACKLOG, fd);
    return rc == SOCKET_FILE_LIVE ? FEED_SOCKET_LIVE : rc;
}

static void on_abandoned(uv_handle_t *listener) {
    const struct feed_door *door = listener->data;
    feed_free(door->feed);
}

/* Gives the listening socket to libuv. Where that fails (it cannot, with a socket just made), the
 * feed is freed when the loop has been round. */
static int start_listener(struct feed *feed, int fd) {
    int rc = feed_door_open(&feed->unix_door, feed, fd, false, feed->options.max_readers);
    if (rc) {
        socket_file_remove(&feed->file);
        uv_close(&feed->unix_door.listener.handle, on_abandoned);
        return rc;
    }
    (void)uv_idle_init(feed->loop, &feed->idle); /* never fails */
    feed->idle.data = feed;
    feed->idle_is_there = true;
    return 0;
}

int feed_new(struct feed **out, uv_loop_t *loop, struct ring *ring, struct wheel *wheel,
             const struct feed_options *options) {
    struct feed *feed = calloc(1, sizeof *feed);
    int fd = -1;
    if (!feed)
        return UV_ENOMEM;
    feed->loop = loop;
    feed->ring = ring;
    feed->wheel = wheel;
    feed->options = *options;
    feed->limits = (struct http_limits){.max_header_bytes = 32 * 1024, .max_body_bytes = 64 * 1024};
    list_init(&feed->readers);
    list_init(&feed->live);
    list_init(&feed->behind);
    list_init(&feed->turns_end);
    wheel_node_init(&feed->hold_tick, on_hold_tick);
    readers_init(&feed->held, ring, options->max_hold_ms);
    feed->json = json_parser_new();
    feed->options.path = strdup(options->path);
    int rc = feed->options.path && feed->json ? open_socket(feed, &fd) : UV_ENOMEM;
    if (rc) {
        feed_free(feed);
        return rc;
    }
    rc = start_listener(feed, fd);
    if (rc)
        return rc;
    feed->hold_ms = feed->hold_tick_ms = uv_now(loop);
    wheel_arm(wheel, &feed->hold_tick, uv_now(loop) + HOLD_TICK_MS);
    *out = feed;
    return 0;
}

/* A socket of that address that listens; the descriptor, or -errno. */
static int open_tcp(const struct sockaddr *address) {
    socklen_t len =
        address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        (address->sa_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on)) ||
        bind(fd, address, len) || listen(fd, FEED_BACKLOG)) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

int feed_open_admin(struct feed *feed, const struct sockaddr *address) {
    int fd = open_tcp(address);
    if (fd < 0)
        return fd;
    int rc = feed_door_open(&feed->admin_door, feed, fd, true, ADMIN_MAX_CONNECTIONS);
    if (rc)
        feed_door_close(&feed->admin_door);
    return rc;
}

int feed_admin_address(const struct feed *feed, struct sockaddr_storage *address) {
    int len = sizeof *address;
    return uv_tcp_getsockname(&feed->admin_door.listener.tcp, (struct sockaddr *)address, &len);
}

void feed_set_admin_secrets(struct feed *feed, struct config_secret *const *secrets) {
    bool is_gone = feed->admin_secrets && admin_secret_is_gone(feed->admin_secrets, secrets);
    feed->admin_secrets = secrets;
    if (!is_gone)
        return;
    for (struct list *link = feed->readers.next; link != &feed->readers; link = link->next) {
        struct reader *reader = container_of(link, struct reader, link);
        if (reader->door->is_admin && reader->state == READER_STREAM)
            reader_close(reader);
    }
}

static void on_idle_closed(uv_handle_t *idle) {
    struct feed *feed = idle->data;
    feed->idle_is_there = false;
}

void feed_drain(struct feed *feed, void (*on_done)(void *context), void *context) {
    struct list *next;
    feed->draining = true;
    feed->on_done = on_done;
    feed->done_context = context;
    feed_door_close(&feed->unix_door);
    for (struct list *link = feed->readers.next; link != &feed->readers; link = next) {
        struct reader *reader = container_of(link, struct reader, link);
        next = link->next;
        reader->follow = false;
        if (reader->state == READER_STREAM && !reader->writing)
            reader_pump(reader);
        else if (is_ready(reader) && !reader->door->is_admin)
            reader_close(reader);
    }
    check_done(feed);
}

void feed_close(struct feed *feed) {
    struct list *next;
    feed->on_done = NULL;
    socket_file_remove(&feed->file);
    feed_door_close(&feed->unix_door);
    feed_door_close(&feed->admin_door);
    wheel_disarm(&feed->hold_tick);
    if (!uv_is_closing((uv_handle_t *)&feed->idle))
        uv_close((uv_handle_t *)&feed->idle, on_idle_closed);
    for (struct list *link = feed->readers.next; link != &feed->readers; link = next) {
        next = link->next;
        reader_close(container_of(link, struct reader, link));
    }
}

bool feed_is_closed(const struct feed *feed) {
    return !feed->idle_is_there && feed_door_is_closed(&feed->unix_door) &&
           feed_door_is_closed(&feed->admin_door) && list_is_empty(&feed->readers);
}

void feed_free(struct feed *feed) {
    if (!feed)
        return;
    buf_deinit(&feed->out);
    json_parser_free(feed->json);
    free((char *)feed->options.path);
    free(feed);
}

unsigned feed_reader_count(const struct feed *feed) {
    return feed->unix_door.count;
}

bool feed_has_readers(const struct feed *feed) {
    return !list_is_empty(&feed->readers);
}

uint64_t feed_lost(const struct feed *feed) {
    return feed->lost;
}
