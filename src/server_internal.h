/* What server.c (listeners, turns, beginning and end) and server_reload.c (the configuration anew)
 * share. */
#ifndef ROLLCALL_SERVER_INTERNAL_H
#define ROLLCALL_SERVER_INTERNAL_H

#include <arpa/inet.h>
#include <uv.h>

#include "activation.h"
#include "conn.h"
#include "feed.h"
#include "ingest.h"
#include "notify.h"
#include "ops.h"
#include "peers.h"
#include "ring.h"
#include "server.h"
#include "sync.h"
#include "tls.h"
#include "util/wheel.h"

enum {
    SERVER_SIGNALS = 3, /* SIGTERM, SIGINT, SIGHUP */
    SERVER_MAX_READERS = 1024,
    SERVER_BACKLOG = 4096, /* the kernel caps it at net.core.somaxconn */
    /* In a turn of the loop, so that thousands that come, or whose time is over, at once hold up
     * nobody who posts: each costs some 20 to 50 us. */
    SERVER_TURN_ACCEPTS = 16,
    SERVER_TURN_DEADLINES = 32,
    SERVER_MOST_LAG_MS = 1000, /* of the loop, that counts against a deadline */
};

struct listener {
    uv_tcp_t tcp;
    struct server *server;
    bool parked;  /* a connection waits for memory; until it is taken, libuv takes no other */
    bool held;    /* a connection waits for the next turn; likewise */
    bool resting; /* `tcp` is not open; see server_rest.c */
    int rest_fd;  /* then: the socket */
    char name[INET6_ADDRSTRLEN + 10]; /* "127.0.0.1:8443", "[::1]:8443" */
};

/* Which files, as they were, a TLS context was made of; all 0 for one that is not there. */
enum { TLS_FILE_COUNT = 3 };
struct file_stamp {
    uint64_t device, inode, bytes;
    int64_t changed_s, changed_ns;
};
struct tls_stamps {
    struct file_stamp files[TLS_FILE_COUNT];
};

struct server {
    uv_loop_t *loop;
    const char *config_path;
    struct config *config; /* counted */
    struct tls_context *tls;
    struct ring *ring;
    struct feed *feed;
    struct ingest ingest;
    struct wheel wheel;
    struct wheel_node watch;  /* looks at the certificate's files */
    struct wheel_node trim;   /* gives memory back */
    struct tls_stamps stamps; /* of those that `tls` was made of, or that could not be used since */
    struct peers peers;
    struct conn_shared *conns;
    struct sync sync; /* where the ring has a file */
    struct listener *listeners[CONFIG_MAX_LISTEN];
    uv_timer_t tick, drain_timer, sync_timer;
    uv_check_t check;
    uv_idle_t behind; /* runs while a turn has left something over */
    uv_signal_t signals[SERVER_SIGNALS];
    bool handles_open; /* of all above */
    uint64_t fed_seq;  /* ring_next_seq when the feed was last woken */
    struct ops_refused refused;
    unsigned turn_accepts; /* in this turn of the loop */
    bool wheel_behind;     /* deadlines have passed that nobody has looked at yet */
    unsigned most_conns;   /* max_connections, or as many as there are descriptors for */
    uint64_t tick_due_ms;  /* when the loop's timer is to fire */
    uint64_t reloads, reload_fails;
    bool reload_failed;          /* the last one */
    bool certificate_refused;    /* its files have changed and cannot be used: the last ones stay */
    int64_t started_us;          /* Unix time */
    struct notify notify;        /* the service manager */
    struct wheel_node watchdog;  /* its next sign of life */
    struct activation inherited; /* its sockets that no line of the configuration has taken yet */
    bool draining, feed_draining;
};

/* --- server_reload.c --- */

/* SIGHUP: all or nothing. */
void server_reload(struct server *server);
/* The configuration's limits, where connections look for them. */
void server_set_limits(struct server *server);

/* --- server_accept.c --- */

/* For uv_listen: accepts SERVER_TURN_ACCEPTS in a turn of the loop, and holds the next. */
void server_on_connection(uv_stream_t *stream, int status);
/* Begins a turn: those that are held come first. */
void server_accept_held(struct server *server);
/* Now and then: those that memory was too short for, and listeners that rest. */
void server_retry_accepts(struct server *server);

/* --- server_rest.c --- */

/* accept() failed, and libuv could not help it: the listener takes nobody until the next tick. */
void server_rest(struct listener *listener);
/* Listens again. Where that fails, it rests on. */
void server_wake(struct listener *listener, uv_connection_cb on_connection);
/* Closes and frees it, resting or not. */
void server_close_listener(struct listener *listener);

/* --- server_fds.c --- */

/* Raises the limit of descriptors to what max_connections and the readers may need, and sets
 * most_conns, which is less where the hard limit does not allow that; this is logged. */
void server_set_most_conns(struct server *server);

/* --- server_certificate.c --- */

/* Logs what is wrong with the certificate: its dates, its chain. */
void server_check_certificate(struct server *server);
/* To be taken before the files are read: a later change then shows. */
struct tls_stamps server_stamp_certificate(const struct config *config);
/* From now on, files that change are read again; while they cannot be used, the last ones stay. */
void server_watch_certificate(struct server *server);

/* --- server_service.c --- */

/* Before anything is opened. 0, or SERVER_FAILED with one line in `error`. */
int server_open_service(struct server *server, char *error, size_t error_len) MUST_CHECK;
/* When everything is opened: SERVER_FAILED where an inherited socket has no place in the
 * configuration. */
int server_check_inherited(const struct server *server, char *error, size_t error_len) MUST_CHECK;
void server_tell_ready(const struct server *server);
/* Ended by server_tell_ready, whatever came of it. */
void server_tell_reloading(const struct server *server);
void server_tell_stopping(const struct server *server);
void server_close_service(struct server *server);

#endif
