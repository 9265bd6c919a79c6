/* What server.c (listeners, turns, beginning and end) and server_reload.c (the configuration anew)
 * share. */
#ifndef ROLLCALL_SERVER_INTERNAL_H
#define ROLLCALL_SERVER_INTERNAL_H

#include <arpa/inet.h>
#include <uv.h>

#include "admin.h"
#include "conn.h"
#include "feed.h"
#include "ingest.h"
#include "peers.h"
#include "ring.h"
#include "server.h"
#include "sync.h"
#include "tls.h"
#include "util/wheel.h"

enum { SERVER_SIGNALS = 3 }; /* SIGTERM, SIGINT, SIGHUP */

struct listener {
    uv_tcp_t tcp;
    struct server *server;
    bool parked; /* a connection waits for memory; until it is taken, libuv takes no other */
    char name[INET6_ADDRSTRLEN + 10]; /* "127.0.0.1:8443", "[::1]:8443" */
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
    struct peers peers;
    struct conn_shared *conns;
    struct sync sync; /* where the ring has a file */
    struct listener *listeners[CONFIG_MAX_LISTEN];
    uv_timer_t tick, drain_timer, sync_timer;
    uv_check_t check;
    uv_signal_t signals[SERVER_SIGNALS];
    bool handles_open; /* of all above */
    uint64_t fed_seq;  /* ring_next_seq when the feed was last woken */
    uint64_t refused;  /* connections past a limit */
    uint64_t reloads, reload_fails;
    bool reload_failed; /* the last one */
    int64_t started_us; /* Unix time */
    struct admin *admin;
    bool draining, feed_draining;
};

/* --- server_reload.c --- */

/* SIGHUP: all or nothing. */
void server_reload(struct server *server);
/* The configuration's limits, where connections look for them. */
void server_set_limits(struct server *server);
/* Logs what is wrong with the certificate: its dates, its chain. */
void server_check_certificate(struct server *server);

#endif
