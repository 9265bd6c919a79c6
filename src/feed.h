/* The server side of the Unix socket and of the admin listener: HTTP/1.1 on which programs read the
 * ring, and operators see how the node does. Each reader is a cursor and at most one write in
 * flight. A reader that is slow, stopped or dead costs nobody anything: when the ring has passed it
 * by, it is told of the gap.
 *
 * The admin listener answers GET and HEAD only, has the page beside (page.h), and asks who asks
 * (admin.h). Its connections have a bound of their own, so that browsers take no place from the
 * programs on the socket.
 *
 * Ring memory is never lent to an asynchronous write: uv_try_write sends from a shared buffer, what
 * it does not take is copied into the reader's own. */
#ifndef ROLLCALL_FEED_H
#define ROLLCALL_FEED_H

#include <uv.h>

#include "ring.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/wheel.h"

struct config_secret;
struct feed;
struct ops_answer;

struct feed_options {
    const char *path;           /* of the socket; must fit sockaddr_un */
    unsigned mode;              /* permission bits of the socket file */
    const char *group;          /* its group; NULL or "" to leave it */
    int listen_fd;              /* inherited: listens on that path already, and becomes the feed's;
                                   its file is another's to remove. 0: the feed makes one */
    unsigned max_readers;       /* one more is answered 503 */
    uint64_t header_timeout_ms; /* from accept, or the end of the last answer, to a whole head */
    uint64_t max_hold_ms;       /* see readers.h */
    /* A held reader holds no longer; may be NULL. */
    void (*on_hold_ended)(void *context, const char *name);
    /* The admin listener has refused a request; `reason` is static text. May be NULL. */
    void (*on_admin_refused)(void *context, int status, const char *reason);
    /* What else is answered to GET, as ops_answer of ops.h; may be NULL. */
    int (*ops)(void *context, struct span path, struct buf *body, struct ops_answer *answer);
    void *context;
};

enum feed_result {
    FEED_OK = 0,
    FEED_SOCKET_LIVE = 1, /* another process answers on that socket: it is not taken over */
};

/* Starts to listen. A socket file that nobody answers on is taken over; anything else at that path
 * is left as it is. FEED_OK, FEED_SOCKET_LIVE, UV_EEXIST (no socket is there), UV_ENAMETOOLONG,
 * UV_ENOENT (no such directory or group) or another UV_E*; where it fails, the loop may have to go
 * round before all is freed. loop, ring and wheel outlive the feed. The process must ignore SIGPIPE
 * (libuv writes without MSG_NOSIGNAL). */
int feed_new(struct feed **feed, uv_loop_t *loop, struct ring *ring, struct wheel *wheel,
             const struct feed_options *options) MUST_CHECK;
/* Opens the admin listener, too. 0 or UV_E*. */
int feed_open_admin(struct feed *feed, const struct sockaddr *address) MUST_CHECK;
/* The address that it listens on. */
int feed_admin_address(const struct feed *feed, struct sockaddr_storage *address) MUST_CHECK;
/* See admin_refuses; borrowed until others are set, whose call still reads them; NULL: there are
 * none. Where one of them is gone, the admin listener's streams end: each was asked at its
 * beginning only, and whoever may come again does. */
void feed_set_admin_secrets(struct feed *feed, struct config_secret *const *secrets);
/* Sends what has come into the ring to every reader at the live edge. Called once a loop turn;
 * costs nothing where nothing has come, whatever the readers. */
void feed_wake(struct feed *feed);
/* Begins the end: no new readers on the socket; each stream gets what is left in the ring, then
 * ends. on_done is called once, when the last reader of the socket and the last stream are gone
 * (maybe at once, from within). The admin listener goes on answering until feed_close. */
void feed_drain(struct feed *feed, void (*on_done)(void *context), void *context);
/* Closes everything at once and removes the socket file. Run the loop until its handles are closed
 * (feed_is_closed), then feed_free. */
void feed_close(struct feed *feed);
bool feed_is_closed(const struct feed *feed);
void feed_free(struct feed *feed);

const struct readers *feed_held(const struct feed *feed);
void feed_set_max_hold(struct feed *feed, uint64_t max_hold_ms);

/* Connections on the Unix socket. */
unsigned feed_reader_count(const struct feed *feed);
/* Whether anybody is connected, on the socket or to the admin listener. */
bool feed_has_readers(const struct feed *feed);
/* Events that readers were told they have lost, for the ring had passed them by, since start. */
uint64_t feed_lost(const struct feed *feed);

#endif
