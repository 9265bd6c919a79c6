/* Listeners whose accept() fails, and their end; see server_internal.h and rest.h. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rest.h"
#include "server_internal.h"

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

/* The old handle takes its memory with it: one that closes cannot be opened again. */
void server_rest(struct listener *listener) {
    struct server *server = listener->server;
    struct listener *next = calloc(1, sizeof *next);
    if (!next || rest_begin((uv_stream_t *)&listener->tcp, on_closed, &next->rest_fd)) {
        free(next); /* libuv tries again */
        return;
    }
    next->server = server;
    next->resting = true;
    memcpy(next->name, listener->name, sizeof next->name);
    for (unsigned i = 0; i < CONFIG_MAX_LISTEN; i++)
        if (server->listeners[i] == listener)
            server->listeners[i] = next;
}

void server_wake(struct listener *listener, uv_connection_cb on_connection) {
    if (uv_tcp_init(listener->server->loop, &listener->tcp))
        return;
    listener->tcp.data = listener;
    listener->resting = false;
    int rc = uv_tcp_open(&listener->tcp, listener->rest_fd);
    if (rc)
        close(listener->rest_fd);
    /* The backlog stays what it was: the kernel takes the new one, which is the same. */
    rc = rc ? rc : uv_listen((uv_stream_t *)&listener->tcp, SERVER_BACKLOG, on_connection);
    if (rc)
        server_rest(listener);
}

void server_close_listener(struct listener *listener) {
    if (listener->resting) {
        close(listener->rest_fd);
        free(listener);
        return;
    }
    uv_close((uv_handle_t *)&listener->tcp, on_closed);
}
