/* Where connections of the feed come in; see feed_door.h. */
#include "feed_door.h"

#include <unistd.h>

#include "feed_internal.h"
#include "rest.h"

static void on_connection(uv_stream_t *listener, int status);

void feed_door_init_stream(const struct feed_door *door, union feed_stream *stream) {
    uv_loop_t *loop = door->feed->loop;
    /* Neither fails: a TCP handle without an address family makes no socket. */
    if (door->is_admin)
        (void)uv_tcp_init(loop, &stream->tcp);
    else
        (void)uv_pipe_init(loop, &stream->pipe, 0);
}

static void retry_later(struct feed_door *door) {
    struct feed *feed = door->feed;
    wheel_arm(feed->wheel, &door->retry, uv_now(feed->loop) + WHEEL_TICK_MS);
}

/* 0, or UV_E*: the handle has to be closed all the same. */
static int listen_on(struct feed_door *door, int fd) {
    feed_door_init_stream(door, &door->listener);
    door->listener.handle.data = door;
    door->is_there = true;
    int rc = door->is_admin ? uv_tcp_open(&door->listener.tcp, fd)
                            : uv_pipe_open(&door->listener.pipe, fd);
    if (rc)
        close(fd);
    rc = rc ? rc : uv_listen(&door->listener.stream, FEED_BACKLOG, on_connection);
    if (door->is_admin) /* answers as long as the node runs, and no longer */
        uv_unref(&door->listener.handle);
    return rc;
}

static void on_rested(uv_handle_t *listener) {
    struct feed_door *door = listener->data;
    if (door->rest_fd < 0) { /* closed meanwhile */
        door->is_there = false;
        return;
    }
    door->rested = true;
    retry_later(door);
}

static void on_connection(uv_stream_t *listener, int status) {
    struct feed_door *door = listener->data;
    if (status < 0) {
        /* Where it cannot rest, libuv tries again. */
        if (rest_begin(listener, on_rested, &door->rest_fd) == 0)
            door->rested = false;
        return;
    }
    if (feed_accept(door)) /* libuv takes no other before this one is taken: it must be */
        retry_later(door);
}

static void on_retry(struct wheel_node *node) {
    struct feed_door *door = container_of(node, struct feed_door, retry);
    if (door->rest_fd < 0) {
        on_connection(&door->listener.stream, 0);
        return;
    }
    int fd = door->rest_fd;
    door->rest_fd = -1;
    /* It did listen: where that cannot be again, it does when accept() has failed once more. */
    if (listen_on(door, fd))
        on_connection(&door->listener.stream, UV_ENOMEM);
}

int feed_door_open(struct feed_door *door, struct feed *feed, int fd, bool is_admin, unsigned max) {
    *door = (struct feed_door){.feed = feed, .is_admin = is_admin, .max = max, .rest_fd = -1};
    wheel_node_init(&door->retry, on_retry);
    return listen_on(door, fd);
}

static void on_closed(uv_handle_t *listener) {
    struct feed_door *door = listener->data;
    door->is_there = false;
}

void feed_door_close(struct feed_door *door) {
    if (!door->is_there)
        return;
    wheel_disarm(&door->retry);
    if (door->rest_fd >= 0) {
        close(door->rest_fd);
        door->rest_fd = -1;
        door->is_there = !door->rested;
    }
    if (door->is_there && !uv_is_closing(&door->listener.handle))
        uv_close(&door->listener.handle, on_closed);
}
