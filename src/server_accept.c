/* Who comes in: limits, and how many in a turn of the loop; see server_internal.h.
 *
 * libuv would call for every connection of the listen queue, thousands, before it turns to those
 * that are connected. One that it has accepted and that nobody takes (uv_accept) makes it stop: so
 * does the first past the turn's number, until the next turn takes it. */
#include <stdlib.h>

#include "log.h"
#include "server_internal.h"
#include "util/text.h"

/* Past max_connections: taken and closed, so that the peer learns it at once. */
static void refuse(struct server *server, struct listener *listener) {
    uv_tcp_t *tcp = malloc(sizeof *tcp);
    if (!tcp || uv_tcp_init(server->loop, tcp)) {
        free(tcp);
        listener->parked = true;
        return;
    }
    server->refused.limit++;
    (void)uv_accept((uv_stream_t *)&listener->tcp, (uv_stream_t *)tcp);
    uv_close((uv_handle_t *)tcp, (uv_close_cb)free);
}

/* The one that waits on the listener. */
static void take(struct server *server, struct listener *listener) {
    server->turn_accepts++;
    listener->parked = listener->held = false;
    if (server->conns->count >= server->most_conns) {
        refuse(server, listener);
        return;
    }
    int rc = conn_accept(server->conns, (uv_stream_t *)&listener->tcp, server->tls, &server->peers,
                         server->config->max_connections_per_ip);
    /* Short of memory it may not have been taken yet; UV_EAGAIN: it had been, this is a retry. */
    listener->parked = rc == UV_ENOMEM;
    if (rc == UV_E2BIG)
        server->refused.address++;
    else if (rc && rc != UV_ENOMEM && rc != UV_EAGAIN)
        server->refused.error++;
}

static void note_failure(struct listener *listener, int status) {
    static const char reason[] = "accept failed";
    char count[U64_TEXT_BYTES + 1];
    uint64_t suppressed;
    if (!log_admit(reason, &suppressed))
        return;
    count[text_format_u64(suppressed, count)] = 0;
    log_write(LOG_WARNING, reason, "address", listener->name, "reason", uv_strerror(status),
              suppressed ? "suppressed" : NULL, count, NULL);
}

void server_on_connection(uv_stream_t *stream, int status) {
    struct listener *listener = stream->data;
    struct server *server = listener->server;
    if (status < 0) {
        server_rest(listener);
        note_failure(listener, status);
    } else if (server->turn_accepts < SERVER_TURN_ACCEPTS) {
        take(server, listener);
    } else {
        listener->held = true;
    }
}

void server_accept_held(struct server *server) {
    server->turn_accepts = 0;
    for (unsigned i = 0; i < CONFIG_MAX_LISTEN; i++)
        if (server->listeners[i] && server->listeners[i]->held)
            take(server, server->listeners[i]);
}

void server_retry_accepts(struct server *server) {
    for (unsigned i = 0; i < CONFIG_MAX_LISTEN; i++) {
        struct listener *listener = server->listeners[i];
        if (listener && listener->resting)
            server_wake(listener, server_on_connection);
        else if (listener && listener->parked)
            take(server, listener);
    }
}
