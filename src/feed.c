/* The Unix socket's listener and its readers' connections: requests in, answers out. What a stream
 * says is feed_stream.c's. See feed.h and feed_internal.h.
 *
 *   accept -> READER_REQUEST -> READER_STREAM -> (finite and kept alive: READER_REQUEST again)
 *                 |   any answer that is the last -> READER_LAST -> written out -> closed
 *
 * What a peer sends while its stream runs is kept (bounded) for a finite stream, and dropped for
 * one that follows. */
#include "feed_internal.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    FEED_BACKLOG = 128,
    EARLY_MAX_BYTES = 32 * 1024, /* of requests that came while an answer was under way */
    HALF_CLOSED_CHECK_MS = 1000,
};

static void reader_close(struct reader *reader);

/* --- output --------------------------------------------------------------------------------------
 */

struct reader_write {
    uv_write_t request;
    struct buf data;
};

static void process_early(struct reader *reader);

static void on_written(uv_write_t *request, int status) {
    struct reader_write *write = (struct reader_write *)request;
    struct reader *reader = request->data;
    buf_deinit(&write->data);
    free(write);
    if (uv_is_closing((uv_handle_t *)&reader->pipe))
        return;
    reader->writing = false;
    if (status < 0 || reader->state == READER_LAST)
        reader_close(reader);
    else if (reader->state == READER_STREAM)
        reader_pump(reader);
    else
        process_early(reader);
}

/* The rest that the socket did not take. 0 or negative. */
static int write_later(struct reader *reader, const char *data, size_t len) {
    struct reader_write *write = calloc(1, sizeof *write);
    int rc = write ? buf_append(&write->data, data, len) : -ENOMEM;
    if (rc == 0) {
        uv_buf_t buf = uv_buf_init(write->data.ptr, (unsigned)len);
        write->request.data = reader;
        rc = uv_write(&write->request, (uv_stream_t *)&reader->pipe, &buf, 1, on_written);
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
    int rc = uv_try_write((uv_stream_t *)&reader->pipe, &buf, 1);
    if (rc == UV_EAGAIN)
        rc = 0;
    if (rc >= 0)
        rc = (size_t)rc < out->len ? write_later(reader, out->ptr + rc, out->len - (size_t)rc) : 0;
    buf_reset(out, FEED_OUT_KEEP_BYTES);
    return rc;
}

/* --- deadlines and the end of a reader
 * ------------------------------------------------------------ */

/* POLLHUP on a Unix stream socket: the peer has closed both ways, it does not only say no more. */
static bool is_hung_up(const struct reader *reader) {
    struct pollfd poll_fd = {0};
    uv_os_fd_t fd;
    if (uv_fileno((const uv_handle_t *)&reader->pipe, &fd))
        return true;
    poll_fd.fd = fd;
    return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & (POLLHUP | POLLERR);
}

static void arm_deadline(struct reader *reader, uint64_t ms) {
    wheel_arm(reader->feed->wheel, &reader->deadline, uv_now(reader->feed->loop) + ms);
}

static void on_deadline(struct wheel_node *node) {
    struct reader *reader = container_of(node, struct reader, deadline);
    if (reader->state == READER_REQUEST || is_hung_up(reader)) {
        reader_close(reader);
        return;
    }
    if (reader->half_closed)
        arm_deadline(reader, HALF_CLOSED_CHECK_MS);
}

static void check_done(struct feed *feed) {
    if (feed->reader_count || !feed->on_done)
        return;
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
    free(reader);
    feed->reader_count--;
    check_done(feed);
}

static void reader_close(struct reader *reader) {
    if (reader->state == READER_CLOSED)
        return;
    reader->state = READER_CLOSED;
    wheel_disarm(&reader->deadline);
    uv_close((uv_handle_t *)&reader->pipe, on_reader_closed);
}

void reader_fail(struct reader *reader) {
    buf_reset(&reader->feed->out, FEED_OUT_KEEP_BYTES);
    reader_close(reader);
}

/* An answer or a stream is complete and in feed->out: sends it, and what comes after it follows. */
void reader_finish(struct reader *reader) {
    bool last = reader->last || reader->half_closed || reader->feed->draining;
    reader->state = last ? READER_LAST : READER_REQUEST;
    if (reader_send(reader)) {
        reader_fail(reader);
        return;
    }
    if (reader->writing)
        return;
    if (last) {
        reader_close(reader);
        return;
    }
    arm_deadline(reader, reader->feed->options.header_timeout_ms);
}

/* --- requests
 * ------------------------------------------------------------------------------------- */

void reader_answer(struct reader *reader, int status, const char *headers, const char *format,
                   ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert(len >= 0 && (size_t)len < sizeof text);
    struct http_response response = {
        .status = status,
        .content_type = "application/json",
        .body = span_from(text, (size_t)len),
        .headers = headers,
        .close = reader->last || reader->feed->draining,
        .head = reader->http.request && reader->http.request->llhttp_method == HTTP_HEAD,
        .minor_version = reader->http.request ? reader->http.request->minor_version : 1,
    };
    if (http_respond(&reader->feed->out, &response))
        reader_fail(reader);
    else
        reader_finish(reader);
}

static void on_request(struct reader *reader) {
    struct http_request *request = reader->http.request;
    reader->last = !request->keep_alive;
    if (!span_equals(request->path, SPAN("/v1/events")))
        reader_answer(reader, 404, NULL, "{\"error\":\"nothing has this path\"}\n");
    else if (request->llhttp_method != HTTP_GET && request->llhttp_method != HTTP_HEAD)
        reader_answer(reader, 405, "Allow: GET, HEAD\r\n",
                      "{\"error\":\"method not allowed: events are read\"}\n");
    else
        reader_start_stream(reader, request);
}

/* Steps through what was read, until it is used up or an answer is under way; the rest waits. */
static void process(struct reader *reader, char *data, size_t len) {
    struct feed *feed = reader->feed;
    enum http_step step;
    int rc = 0;

    http_feed(&reader->http, &feed->scratch, data, len);
    while (reader->state == READER_REQUEST && !reader->writing &&
           (step = http_step(&reader->http)) != HTTP_STEP_MORE) {
        if (step == HTTP_STEP_HEAD) {
            reader->http.request->discard_body = true; /* no request here has one that matters */
        } else if (step == HTTP_STEP_REQUEST) {
            on_request(reader);
        } else {
            reader->last = true;
            reader_answer(reader, reader->http.bad_status, NULL, "{\"error\":\"%s\"}\n",
                          reader->http.bad_reason);
        }
    }
    if (reader->state != READER_CLOSED && reader->http.chunk_used < len)
        rc = buf_append(&reader->early, data + reader->http.chunk_used,
                        len - reader->http.chunk_used);
    int end_rc = http_feed_end(&reader->http);
    if (rc || end_rc)
        reader_fail(reader);
}

static void process_early(struct reader *reader) {
    static const char padding[HTTP_BODY_PADDING];
    struct buf early = reader->early;
    if (early.len == 0)
        return;
    reader->early = (struct buf){0};
    if (buf_append(&early, padding, sizeof padding))
        reader_fail(reader);
    else
        process(reader, early.ptr, early.len - sizeof padding);
    buf_deinit(&early);
}

void reader_go_on(struct reader *reader) {
    if (reader->state == READER_REQUEST && !reader->writing)
        process_early(reader);
}

/* --- libuv
 * ---------------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct reader *reader = handle->data;
    (void)suggested;
    *buf = uv_buf_init(reader->feed->in, FEED_READ_BYTES);
}

/* The peer sends no more. Has it closed, it is gone; has it only shut down its way (nc at the end
 * of its input), it still gets its answer, and is looked at once a second until it does close. */
static void on_eof(struct reader *reader) {
    reader->half_closed = true;
    if ((reader->state == READER_REQUEST && !reader->writing) || is_hung_up(reader))
        reader_close(reader);
    else
        arm_deadline(reader, HALF_CLOSED_CHECK_MS);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct reader *reader = stream->data;
    if (len == UV_EOF) {
        on_eof(reader);
    } else if (len < 0) {
        reader_close(reader);
    } else if (len > 0 && reader->state == READER_REQUEST && !reader->writing) {
        process(reader, buf->base, (size_t)len);
        reader_go_on(reader);
    } else if (len > 0 && reader->state != READER_LAST && !reader->follow) {
        if (reader->early.len + (size_t)len > EARLY_MAX_BYTES ||
            buf_append(&reader->early, buf->base, (size_t)len))
            reader_close(reader);
    }
}

static void on_connection(uv_stream_t *listener, int status) {
    struct feed *feed = listener->data;
    if (status < 0)
        return; /* out of descriptors: libuv has closed the peer's, and tries again */
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return; /* the peer waits in the backlog until a connection after it is taken */
    reader->feed = feed;
    http_parser_init(&reader->http, &feed->limits);
    wheel_node_init(&reader->deadline, on_deadline);
    if (uv_pipe_init(feed->loop, &reader->pipe, 0)) {
        free(reader);
        return;
    }
    reader->pipe.data = reader;
    list_append(&feed->readers, &reader->link);
    feed->reader_count++;
    if (uv_accept(listener, (uv_stream_t *)&reader->pipe) ||
        uv_read_start((uv_stream_t *)&reader->pipe, on_alloc, on_read)) {
        reader_close(reader);
        return;
    }
    if (feed->reader_count > feed->options.max_readers) {
        reader->last = true;
        reader_answer(reader, 503, "Retry-After: 1\r\n", "{\"error\":\"too many readers\"}\n");
        return;
    }
    arm_deadline(reader, feed->options.header_timeout_ms);
}

/* Readers that had more to get than one turn gives them. */
static void on_idle(uv_idle_t *idle) {
    struct feed *feed = idle->data;
    struct list *next;
    feed->behind = false;
    for (struct list *link = feed->readers.next; link != &feed->readers; link = next) {
        struct reader *reader = container_of(link, struct reader, link);
        next = link->next;
        if (reader->behind && reader->state == READER_STREAM && !reader->writing)
            reader_pump(reader);
    }
    if (!feed->behind)
        uv_idle_stop(idle);
}

void feed_note_behind(struct feed *feed) {
    feed->behind = true;
    if (!uv_is_closing((uv_handle_t *)&feed->idle))
        uv_idle_start(&feed->idle, on_idle); /* cannot fail with a callback */
}

void feed_wake(struct feed *feed) {
    struct list *next;
    for (struct list *link = feed->readers.next; link != &feed->readers; link = next) {
        struct reader *reader = container_of(link, struct reader, link);
        next = link->next;
        if (reader->state == READER_STREAM && !reader->writing && !reader->behind)
            reader_pump(reader);
    }
}

/* --- the socket file
 * ------------------------------------------------------------------------------ */

/* What is at the path: nothing (after removing what nobody answers on), a live node, or an error.
 */
static int clear_path(const struct sockaddr_un *address) {
    struct stat found;
    if (lstat(address->sun_path, &found))
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(found.st_mode))
        return -EEXIST;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int rc = connect(fd, (const struct sockaddr *)address, sizeof *address) ? -errno : 0;
    close(fd);
    if (rc == 0 || rc == -EAGAIN) /* EAGAIN: its backlog is full, so it lives */
        return FEED_SOCKET_LIVE;
    if (rc != -ECONNREFUSED)
        return rc == -ENOENT ? 0 : rc;
    return unlink(address->sun_path) && errno != ENOENT ? -errno : 0;
}

static int set_rights(const struct feed_options *options) {
    if (options->group && *options->group) {
        const struct group *group = getgrnam(options->group);
        if (!group)
            return -ENOENT;
        if (chown(options->path, (uid_t)-1, group->gr_gid))
            return -errno;
    }
    return chmod(options->path, options->mode) ? -errno : 0;
}

/* Under a tight umask, so that nobody gets in before the rights are set. */
static int bind_path(struct feed *feed) {
    const struct feed_options *options = &feed->options;
    struct stat made;
    mode_t umask_before = umask(0177);
    int rc = uv_pipe_bind(&feed->listener, options->path);
    umask(umask_before);
    if (rc)
        return rc;
    rc = lstat(options->path, &made) ? -errno : 0;
    if (rc)
        return rc;
    feed->device = made.st_dev;
    feed->inode = made.st_ino;
    feed->bound = true;
    rc = set_rights(options);
    return rc ? rc : uv_listen((uv_stream_t *)&feed->listener, FEED_BACKLOG, on_connection);
}

/* Only what we made: after a takeover the name is another's. */
static void unlink_path(struct feed *feed) {
    struct stat found;
    if (feed->bound && lstat(feed->options.path, &found) == 0 && found.st_dev == feed->device &&
        found.st_ino == feed->inode)
        unlink(feed->options.path);
    feed->bound = false;
}

/* --- begin and end
 * -------------------------------------------------------------------------------- */

static int open_listener(struct feed *feed) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(feed->options.path) >= sizeof address.sun_path)
        return -ENAMETOOLONG; /* uv_pipe_bind would cut it */
    strcpy(address.sun_path, feed->options.path);
    int rc = clear_path(&address);
    return rc ? rc : bind_path(feed);
}

/* Closes the handles of a feed that failed to open, before anything else runs. */
static void abandon(struct feed *feed) {
    unlink_path(feed);
    feed_close(feed);
    while (!feed_is_closed(feed))
        uv_run(feed->loop, UV_RUN_NOWAIT);
    feed_free(feed);
}

int feed_new(struct feed **out, uv_loop_t *loop, struct ring *ring, struct wheel *wheel,
             const struct feed_options *options) {
    struct feed *feed = calloc(1, sizeof *feed);
    if (!feed)
        return UV_ENOMEM;
    feed->loop = loop;
    feed->ring = ring;
    feed->wheel = wheel;
    feed->options = *options;
    feed->limits = (struct http_limits){.max_header_bytes = 32 * 1024, .max_body_bytes = 64 * 1024};
    list_init(&feed->readers);
    feed->options.path = strdup(options->path);
    int rc = feed->options.path ? uv_pipe_init(loop, &feed->listener, 0) : UV_ENOMEM;
    if (rc) {
        feed_free(feed);
        return rc;
    }
    (void)uv_idle_init(loop, &feed->idle); /* never fails */
    feed->listener.data = feed->idle.data = feed;
    feed->handles = 2;
    rc = open_listener(feed);
    if (rc) {
        abandon(feed);
        return rc;
    }
    *out = feed;
    return 0;
}

static void on_handle_closed(uv_handle_t *handle) {
    struct feed *feed = handle->data;
    feed->handles--;
}

static void close_handle(uv_handle_t *handle) {
    if (!uv_is_closing(handle))
        uv_close(handle, on_handle_closed);
}

void feed_drain(struct feed *feed, void (*on_done)(void *context), void *context) {
    struct list *next;
    feed->draining = true;
    feed->on_done = on_done;
    feed->done_context = context;
    close_handle((uv_handle_t *)&feed->listener);
    for (struct list *link = feed->readers.next; link != &feed->readers; link = next) {
        struct reader *reader = container_of(link, struct reader, link);
        next = link->next;
        reader->follow = false;
        if (reader->state == READER_STREAM && !reader->writing)
            reader_pump(reader);
        else if (reader->state == READER_REQUEST && !reader->writing)
            reader_close(reader);
    }
    check_done(feed);
}

void feed_close(struct feed *feed) {
    struct list *next;
    feed->on_done = NULL;
    unlink_path(feed);
    close_handle((uv_handle_t *)&feed->listener);
    close_handle((uv_handle_t *)&feed->idle);
    for (struct list *link = feed->readers.next; link != &feed->readers; link = next) {
        next = link->next;
        reader_close(container_of(link, struct reader, link));
    }
}

bool feed_is_closed(const struct feed *feed) {
    return feed->handles == 0 && feed->reader_count == 0;
}

void feed_free(struct feed *feed) {
    if (!feed)
        return;
    buf_deinit(&feed->out);
    free((char *)feed->options.path);
    free(feed);
}

unsigned feed_reader_count(const struct feed *feed) {
    return feed->reader_count;
}
