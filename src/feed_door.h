/* A door of the feed: a socket that listens, and whom it lets in. There are two: the Unix socket,
 * for local programs, and the admin listener (TCP), for browsers and Prometheus. A door accepts,
 * rests while accept() fails (rest.h), and counts; what a connection says is feed.c's. */
#ifndef ROLLCALL_FEED_DOOR_H
#define ROLLCALL_FEED_DOOR_H

#include <uv.h>

#include "util/err.h"
#include "util/wheel.h"

struct feed;

/* A listener or a connection of either sort. */
union feed_stream {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_pipe_t pipe;
    uv_tcp_t tcp;
};

/* Zeroed: not open. */
struct feed_door {
    struct feed *feed;
    union feed_stream listener;
    bool is_admin; /* TCP, and what admin.h says of it */
    bool is_there; /* the listener's handle is not closed */
    unsigned max;  /* connections; one more is answered 503, on the admin's side closed */
    unsigned count;
    int rest_fd; /* -1, or the listening socket while it rests */
    bool rested; /* then: libuv's handle is closed */
    struct wheel_node retry;
};

/* Listens on a bound socket that listens already, which becomes the door's. 0; or UV_E*, and then
 * feed_door_close is due all the same. */
int feed_door_open(struct feed_door *door, struct feed *feed, int fd, bool is_admin,
                   unsigned max) MUST_CHECK;
/* Lets nobody in any more; whoever is in stays. The feed learns of its end by feed_door_is_closed.
 * A door that is not open is fine. */
void feed_door_close(struct feed_door *door);
static inline bool feed_door_is_closed(const struct feed_door *door) {
    return !door->is_there;
}
/* Makes the stream one of the door's sort. */
void feed_door_init_stream(const struct feed_door *door, union feed_stream *stream);

/* feed.c: takes the connection that waits at the door. 0, or -ENOMEM: it still waits. */
int feed_accept(struct feed_door *door) MUST_CHECK;

#endif
