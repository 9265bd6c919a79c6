/* Listeners, limits, the loop's turn and the end of the node; see server.h.
 *
 * A loop turn: reads (each through to its answer; bounded where somebody reads the events), then
 * on_check: the feed is woken once if the ring has grown. The end (SIGTERM, SIGINT): listeners
 * close, idle connections close, the others with their next answer; when the last is gone, or a
 * quarter of drain_timeout before it passes, readers get the rest and their end of stream; then
 * everything closes. A second signal ends at once. */
#include "server_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap.h"
#include "log.h"
#include "ops.h"
#include "util/clock.h"
#include "util/text.h"

/* The signals that the node acts on. */
static const int signal_numbers[SERVER_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

enum {
    SYNC_RETRY_MS = 1000, /* after a failure */
};

static int fail(char *error, size_t error_len, const char *what, const char *why) {
    snprintf(error, error_len, "%s: %s", what, why);
    return SERVER_FAILED;
}

static void format_address(const struct sockaddr_storage *address, char *dst, size_t len) {
    char host[INET6_ADDRSTRLEN] = "";
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        (void)uv_ip6_name(in6, host, sizeof host);
        snprintf(dst, len, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        (void)uv_ip4_name(in, host, sizeof host);
        snprintf(dst, len, "%s:%u", host, ntohs(in->sin_port));
    }
}

/* --- the loop's turn -----------------------------------------------------------------------------
 */

/* A timer that fires late is what everybody has waited for. libuv counts on from when it fired. Of
 * a long stop (SIGSTOP, a machine that was held) no more than SERVER_MOST_LAG_MS counts against any
 * deadline: what came meanwhile lies in the sockets, and is read after the timers. */
static void note_lag(struct server *server) {
    uint64_t now_ns = clock_monotonic_ns(), due_ns = server->tick_due_ms * 1000000;
    if (now_ns > due_ns) {
        uint64_t lag_ms = (now_ns - due_ns) / 1000000;
        lag_note(&server->conns->lag, now_ns - due_ns);
        if (lag_ms > SERVER_MOST_LAG_MS)
            wheel_stop(&server->wheel, lag_ms - SERVER_MOST_LAG_MS);
    }
    lag_tick(&server->conns->lag, now_ns / 1000000);
    server->tick_due_ms = uv_now(server->loop) + WHEEL_TICK_MS;
}

static void advance_wheel(struct server *server) {
    unsigned called = wheel_advance(&server->wheel, uv_now(server->loop), SERVER_TURN_DEADLINES);
    server->wheel_behind = called == SERVER_TURN_DEADLINES;
}

static void on_trim(struct wheel_node *node) {
    struct server *server = container_of(node, struct server, trim);
    heap_trim();
    wheel_arm(&server->wheel, node, uv_now(server->loop) + HEAP_TRIM_MS);
}

static void on_tick(uv_timer_t *timer) {
    struct server *server = timer->data;
    note_lag(server);
    advance_wheel(server);
    server_retry_accepts(server);
}

/* Runs in each turn that has begun while something was left over; that turn does not sleep. */
static void on_behind(uv_idle_t *idle) {
    struct server *server = idle->data;
    if (server->wheel_behind)
        advance_wheel(server);
}

/* The loop sleeps only when no turn has left anything over. */
static void set_behind(struct server *server) {
    if (server->wheel_behind || conn_is_behind(server->conns))
        uv_idle_start(&server->behind, on_behind);
    else
        uv_idle_stop(&server->behind);
}

static bool is_durable(const struct server *server) {
    return server->config->ring_sync == CONFIG_SYNC_ALWAYS;
}

/* What is written through is on disk, or it is not and nobody is told that it were. It is tried
 * again with each second. */
static void on_synced(void *context, int rc) {
    struct server *server = context;
    if (rc)
        log_write(LOG_ERROR, "the ring's file cannot be written to disk", "file",
                  server->config->ring_file, "reason", strerror(-rc), NULL);
    if (!is_durable(server))
        return;
    if (rc == 0)
        ring_show(server->ring, server->sync.done);
    server->ingest.disk_failed = rc != 0;
    conn_on_disk(server->conns, rc ? UINT64_MAX : server->sync.done.seq, rc);
}

static void on_sync_timer(uv_timer_t *timer) {
    struct server *server = timer->data;
    if (!is_durable(server) || server->sync.failed)
        sync_start(&server->sync);
}

static void on_check(uv_check_t *check) {
    struct server *server = check->data;
    if (is_durable(server) && !server->sync.failed)
        sync_start(&server->sync);
    uint64_t seq = ring_newest(server->ring).seq;
    conn_begin_turn(server->conns, feed_has_readers(server->feed));
    server_accept_held(server);
    set_behind(server);
    if (seq == server->fed_seq)
        return;
    server->fed_seq = seq;
    feed_wake(server->feed);
}

/* --- what is asked of the node -------------------------------------------------------------------
 */

static int on_ops(void *context, struct span path, struct buf *body, struct ops_answer *answer) {
    const struct server *server = context;
    const struct ops ops = {
        .ingest = &server->ingest,
        .conns = server->conns,
        .ring = server->ring,
        .held = feed_held(server->feed),
        .feed_readers = feed_reader_count(server->feed),
        .reader_lost = feed_lost(server->feed),
        .refused = server->refused,
        .reloads = server->reloads,
        .reload_fails = server->reload_fails,
        .reload_ok = !server->reload_failed,
        .draining = server->draining,
        .disk_failed = server->sync.failed || server->ingest.disk_failed,
        .certificate_refused = server->certificate_refused,
        .most_conns = server->most_conns,
        .certificate_expiry_s = tls_context_not_after(server->tls),
        .started_us = server->started_us,
        .now_us = clock_realtime_us(),
    };
    return ops_answer(&ops, path, body, answer);
}

static int open_admin(struct server *server, char *error, size_t error_len) {
    const struct config_address *wanted = &server->config->admin;
    struct sockaddr_storage address = {0};
    char name[INET6_ADDRSTRLEN + 10];
    if (!wanted->host[0])
        return 0;
    feed_set_admin_secrets(server->feed, server->config->admin_secrets);
    int rc = uv_ip4_addr(wanted->host, wanted->port, (struct sockaddr_in *)&address);
    if (rc)
        rc = uv_ip6_addr(wanted->host, wanted->port, (struct sockaddr_in6 *)&address);
    format_address(&address, name, sizeof name);
    rc = rc ? rc : feed_open_admin(server->feed, (struct sockaddr *)&address);
    rc = rc ? rc : feed_admin_address(server->feed, &address);
    if (rc)
        return fail(error, error_len, name, uv_strerror(rc));
    format_address(&address, name, sizeof name);
    log_write(LOG_INFO, "admin", "address", name, NULL);
    return 0;
}

/* --- the end -------------------------------------------------------------------------------------
 */

/* libuv puts the default action back as a signal handle closes: a late signal would kill what has
 * ended well. They are held until they are ignored, so that no moment lies between the two. */
static void close_signals(struct server *server) {
    sigset_t set;
    sigemptyset(&set);
    for (unsigned i = 0; i < SERVER_SIGNALS; i++)
        sigaddset(&set, signal_numbers[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    for (unsigned i = 0; i < SERVER_SIGNALS; i++) {
        uv_close((uv_handle_t *)&server->signals[i], NULL);
        signal(signal_numbers[i], SIG_IGN);
    }
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void close_handles(struct server *server) {
    if (!server->handles_open)
        return;
    server->handles_open = false;
    uv_close((uv_handle_t *)&server->tick, NULL);
    uv_close((uv_handle_t *)&server->drain_timer, NULL);
    uv_close((uv_handle_t *)&server->sync_timer, NULL);
    uv_close((uv_handle_t *)&server->check, NULL);
    uv_close((uv_handle_t *)&server->behind, NULL);
    close_signals(server);
}

static void close_listeners(struct server *server) {
    for (unsigned i = 0; i < CONFIG_MAX_LISTEN; i++) {
        if (server->listeners[i])
            server_close_listener(server->listeners[i]);
        server->listeners[i] = NULL;
    }
}

/* Everything at once; the loop ends when the last handle is closed. */
static void close_all(struct server *server) {
    close_listeners(server);
    if (server->conns) {
        server->conns->on_last_closed = NULL;
        conn_close_all(server->conns);
    }
    if (server->feed)
        feed_close(server->feed);
    close_handles(server);
}

static void on_feed_drained(void *context) {
    close_all(context);
}

static void drain_feed(struct server *server) {
    if (server->feed_draining)
        return;
    server->feed_draining = true;
    feed_drain(server->feed, on_feed_drained, server);
}

static void on_last_closed(void *context) {
    drain_feed(context);
}

/* Three quarters of drain_timeout are the senders', the last is the readers'. */
static void on_drain_timer(uv_timer_t *timer) {
    struct server *server = timer->data;
    if (server->feed_draining) {
        log_write(LOG_WARNING, "drain_timeout passed: closing what is left", NULL);
        close_all(server);
        return;
    }
    server->conns->on_last_closed = NULL;
    conn_close_all(server->conns);
    uv_timer_start(timer, on_drain_timer, server->config->drain_timeout_ms / 4, 0);
    drain_feed(server);
}

static void drain(struct server *server) {
    server->draining = true;
    server_tell_stopping(server);
    server_accept_held(server); /* libuv has them already: the next node would not */
    close_listeners(server);
    uv_timer_start(&server->drain_timer, on_drain_timer, server->config->drain_timeout_ms * 3 / 4,
                   0);
    server->conns->on_last_closed = on_last_closed;
    conn_drain_all(server->conns);
    if (server->conns->count == 0)
        drain_feed(server);
}

static void on_signal(uv_signal_t *handle, int number) {
    struct server *server = handle->data;
    if (number == SIGHUP) {
        if (server->draining)
            return;
        server_tell_reloading(server);
        server_reload(server);
        server_tell_ready(server);
        return;
    }
    const char *name = number == SIGINT ? "SIGINT" : "SIGTERM";
    if (server->draining) {
        log_write(LOG_WARNING, "second signal: ending at once", "signal", name, NULL);
        close_all(server);
        return;
    }
    log_write(LOG_INFO, "draining", "signal", name, NULL);
    drain(server);
}

/* --- the start -----------------------------------------------------------------------------------
 */

static int open_tls(struct server *server, char *error, size_t error_len) {
    struct tls_error tls_error = {.message = "out of memory"};
    const struct tls_files files = server_tls_files(server->config);
    server->stamps = server_stamp_certificate(server->config);
    int rc = tls_context_new(&server->tls, &files, &tls_error);
    if (rc)
        return fail(error, error_len, "certificate", tls_error.message);
    server_check_certificate(server);
    server_watch_certificate(server);
    return 0;
}

static void log_recovery(const struct server *server, const struct ring_recovery *recovery) {
    char events[U64_TEXT_BYTES + 1], cut[U64_TEXT_BYTES + 1];
    const char *file = server->config->ring_file;
    events[text_format_u64(recovery->events, events)] = 0;
    cut[text_format_u64(recovery->cut, cut)] = 0;
    if (recovery->kind == RING_MADE)
        log_write(LOG_INFO, "ring file made", "file", file, NULL);
    else if (recovery->kind == RING_REPLACED)
        log_write(LOG_WARNING,
                  "ring file could not be used: a new one was made, the old one is kept", "file",
                  file, "kept", recovery->kept, "reason", recovery->reason, NULL);
    else if (recovery->cut)
        log_write(LOG_WARNING, "ring file recovered; events at its end were not whole", "file",
                  file, "events", events, "lost", cut, NULL);
    else
        log_write(LOG_INFO, "ring file recovered", "file", file, "events", events, NULL);
    if (recovery->has_new_id)
        log_write(LOG_WARNING,
                  "the machine stopped without writing the ring file through: events that readers "
                  "have seen may be gone, so the ring has a new id and readers are told of a gap",
                  "file", file, NULL);
}

static int open_ring_file(struct server *server, char *error, size_t error_len) {
    const struct config *config = server->config;
    struct ring_recovery recovery;
    int rc = ring_open(&server->ring, config->ring_file, config->ring_size_bytes, &recovery);
    if (rc == -EBUSY)
        return fail(error, error_len, config->ring_file, "another node uses this ring file");
    if (rc)
        return fail(error, error_len, config->ring_file, strerror(-rc));
    log_recovery(server, &recovery);
    rc = is_durable(server) ? ring_defer(server->ring) : 0;
    if (rc)
        return fail(error, error_len, config->ring_file, strerror(-rc));
    sync_init(&server->sync, server->loop, server->ring, on_synced, server);
    return 0;
}

static int open_ring(struct server *server, char *error, size_t error_len) {
    int rc = 0;
    if (server->config->ring_file)
        rc = open_ring_file(server, error, error_len);
    else if ((rc = ring_new(&server->ring, server->config->ring_size_bytes)))
        return fail(error, error_len, "ring", strerror(-rc));
    if (rc)
        return rc;
    rc = ingest_init(&server->ingest, server->config, server->ring);
    return rc ? fail(error, error_len, "duplicates", strerror(-rc)) : 0;
}

static void on_hold_ended(void *context, const char *name) {
    (void)context;
    log_write(LOG_WARNING, "held reader made no progress for max_hold: it holds no longer",
              "reader", name, NULL);
}

static void on_admin_refused(void *context, int status, const char *reason) {
    char code[U64_TEXT_BYTES + 1], count[U64_TEXT_BYTES + 1];
    uint64_t suppressed;
    (void)context;
    if (!log_admit(reason, &suppressed))
        return;
    code[text_format_u64((uint64_t)status, code)] = 0;
    count[text_format_u64(suppressed, count)] = 0;
    log_write(LOG_WARNING, "admin request refused", "status", code, "reason", reason,
              suppressed ? "suppressed" : NULL, count, NULL);
}

static int open_feed(struct server *server, char *error, size_t error_len) {
    const struct config *config = server->config;
    struct feed_options options = {
        .path = config->socket,
        .mode = config->socket_mode,
        .group = config->socket_group,
        .listen_fd = activation_take_path(&server->inherited, config->socket),
        .max_readers = SERVER_MAX_READERS,
        .header_timeout_ms = config->header_timeout_ms,
        .max_hold_ms = config->max_hold_ms,
        .on_hold_ended = on_hold_ended,
        .on_admin_refused = on_admin_refused,
        .ops = on_ops,
        .context = server,
    };
    int rc = feed_new(&server->feed, server->loop, server->ring, &server->wheel, &options);
    if (rc == FEED_SOCKET_LIVE)
        return fail(error, error_len, config->socket,
                    "another node answers on this socket; stop it, or set another socket");
    return rc ? fail(error, error_len, config->socket, uv_strerror(rc)) : 0;
}

static int open_conns(struct server *server, char *error, size_t error_len) {
    struct conn_shared *conns = calloc(1, sizeof *conns);
    if (!conns)
        return fail(error, error_len, "connections", "out of memory");
    conns->loop = server->loop;
    conns->ingest = &server->ingest;
    conns->wheel = &server->wheel;
    conns->durable = is_durable(server);
    conns->context = server;
    conn_init_shared(conns);
    server->conns = conns;
    server_set_limits(server);
    return 0;
}

static void open_handle(struct server *server, uv_handle_t *handle) {
    handle->data = server;
    uv_unref(handle); /* sockets keep the loop alive, not clocks */
}

static int open_handles(struct server *server) {
    uv_loop_t *loop = server->loop;
    /* None of these can fail but for the loop's own memory, which it has by now. */
    int rc = uv_timer_init(loop, &server->tick);
    rc = rc ? rc : uv_timer_init(loop, &server->drain_timer);
    rc = rc ? rc : uv_timer_init(loop, &server->sync_timer);
    rc = rc ? rc : uv_check_init(loop, &server->check);
    rc = rc ? rc : uv_idle_init(loop, &server->behind);
    for (unsigned i = 0; rc == 0 && i < SERVER_SIGNALS; i++)
        rc = uv_signal_init(loop, &server->signals[i]);
    if (rc)
        return rc;
    server->handles_open = true;
    open_handle(server, (uv_handle_t *)&server->tick);
    open_handle(server, (uv_handle_t *)&server->drain_timer);
    open_handle(server, (uv_handle_t *)&server->sync_timer);
    open_handle(server, (uv_handle_t *)&server->check);
    open_handle(server, (uv_handle_t *)&server->behind);
    for (unsigned i = 0; i < SERVER_SIGNALS; i++)
        open_handle(server, (uv_handle_t *)&server->signals[i]);
    rc = uv_timer_start(&server->tick, on_tick, WHEEL_TICK_MS, WHEEL_TICK_MS);
    rc = rc ? rc : uv_check_start(&server->check, on_check);
    if (rc == 0 && server->config->ring_sync != CONFIG_SYNC_NEVER) {
        uint64_t ms = is_durable(server) ? SYNC_RETRY_MS : server->config->ring_sync_ms;
        rc = uv_timer_start(&server->sync_timer, on_sync_timer, ms, ms);
    }
    for (unsigned i = 0; rc == 0 && i < SERVER_SIGNALS; i++)
        rc = uv_signal_start(&server->signals[i], on_signal, signal_numbers[i]);
    return rc;
}

/* So that several nodes may listen on one port: the kernel spreads the connections (socket(7)). */
static int share_port(struct listener *listener, int family) {
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), yes = 1;
    if (fd < 0)
        return uv_translate_sys_error(errno);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes)) {
        int rc = uv_translate_sys_error(errno);
        close(fd);
        return rc;
    }
    return uv_tcp_open(&listener->tcp, fd);
}

/* An inherited socket is bound already, and listens. */
static int open_socket(struct listener *listener, const struct sockaddr *address, unsigned flags) {
    struct server *server = listener->server;
    int inherited = activation_take(&server->inherited, address);
    if (inherited)
        return uv_tcp_open(&listener->tcp, inherited);
    int rc = server->config->reuse_port ? share_port(listener, address->sa_family) : 0;
    return rc ? rc : uv_tcp_bind(&listener->tcp, address, flags);
}

static int bind_listener(struct listener *listener, const struct config_address *wanted) {
    struct sockaddr_storage address = {0};
    int len = sizeof address;
    int rc = uv_ip4_addr(wanted->host, wanted->port, (struct sockaddr_in *)&address);
    unsigned flags = 0;
    if (rc) {
        rc = uv_ip6_addr(wanted->host, wanted->port, (struct sockaddr_in6 *)&address);
        flags = UV_TCP_IPV6ONLY; /* [::] and 0.0.0.0 stand side by side */
    }
    if (rc == 0)
        rc = open_socket(listener, (struct sockaddr *)&address, flags);
    rc = rc ? rc : uv_listen((uv_stream_t *)&listener->tcp, SERVER_BACKLOG, server_on_connection);
    rc = rc ? rc : uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&address, &len);
    if (rc == 0)
        format_address(&address, listener->name, sizeof listener->name);
    return rc;
}

static int open_listener(struct server *server, unsigned i, char *error, size_t error_len) {
    const struct config_address *wanted = &server->config->listen[i];
    char name[sizeof wanted->host + 16];
    snprintf(name, sizeof name, strchr(wanted->host, ':') ? "[%s]:%u" : "%s:%u", wanted->host,
             wanted->port);
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener || uv_tcp_init(server->loop, &listener->tcp)) {
        free(listener);
        return fail(error, error_len, name, "out of memory");
    }
    listener->server = server;
    listener->tcp.data = listener;
    server->listeners[i] = listener;
    int rc = bind_listener(listener, wanted);
    if (rc)
        return fail(error, error_len, name, uv_strerror(rc));
    log_write(LOG_INFO, "listening", "address", listener->name, NULL);
    return 0;
}

int server_new(struct server **out, uv_loop_t *loop, struct config *config, const char *config_path,
               char *error, size_t error_len) {
    struct server *server = calloc(1, sizeof *server);
    if (!server)
        return fail(error, error_len, "start", "out of memory");
    server->loop = loop;
    server->config_path = config_path;
    server->config = config_ref(config);
    server->started_us = clock_realtime_us();
    wheel_init(&server->wheel, uv_now(loop));
    wheel_node_init(&server->trim, on_trim);
    wheel_arm(&server->wheel, &server->trim, uv_now(loop) + HEAP_TRIM_MS);
    int rc = server_open_service(server, error, error_len);
    if (rc == 0 && (rc = peers_init(&server->peers)))
        rc = fail(error, error_len, "getrandom", strerror(-rc));
    rc = rc ? rc : open_tls(server, error, error_len);
    rc = rc ? rc : open_ring(server, error, error_len);
    rc = rc ? rc : open_feed(server, error, error_len);
    rc = rc ? rc : open_conns(server, error, error_len);
    if (rc == 0 && open_handles(server))
        rc = fail(error, error_len, "event loop", "out of memory");
    for (unsigned i = 0; rc == 0 && i < config->listen_count; i++)
        rc = open_listener(server, i, error, error_len);
    rc = rc ? rc : open_admin(server, error, error_len);
    rc = rc ? rc : server_check_inherited(server, error, error_len);
    if (rc) {
        server_free(server);
        return rc;
    }
    *out = server;
    return 0;
}

int server_run(struct server *server) {
    log_write(LOG_INFO, "ready", "version", ROLLCALL_VERSION, "socket", server->config->socket,
              "ring", ring_id(server->ring), NULL);
    server_tell_ready(server);
    uv_update_time(server->loop); /* how long the start took is no lag */
    uv_timer_again(&server->tick);
    server->tick_due_ms = uv_now(server->loop) + WHEEL_TICK_MS;
    uv_run(server->loop, UV_RUN_DEFAULT);
    log_write(LOG_INFO, "stopped", NULL);
    return 0;
}

void server_free(struct server *server) {
    close_all(server);
    uv_run(server->loop, UV_RUN_DEFAULT); /* every handle is closing: this ends */
    if (server->feed)
        feed_free(server->feed);
    if (server->conns) {
        buf_deinit(&server->conns->plain_out);
        buf_deinit(&server->conns->net_out);
        free(server->conns);
    }
    ingest_deinit(&server->ingest);
    int rc = server->ring && ring_has_file(server->ring) ? ring_sync(server->ring) : 0;
    if (rc)
        log_write(LOG_ERROR, "the ring's file cannot be written to disk", "file",
                  server->config->ring_file, "reason", strerror(-rc), NULL);
    ring_free(server->ring);
    server_close_service(server);
    tls_context_unref(server->tls);
    config_unref(server->config);
    free(server);
}
