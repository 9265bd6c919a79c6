/* The node under a service manager: what it is told (sd_notify(3)), its watchdog, and the sockets
 * it passes on (sd_listen_fds(3)). Under none, nothing here does anything. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "server_internal.h"

/* From the loop, so that a loop that hangs is found out; twice as often as is due. */
static void on_watchdog(struct wheel_node *node) {
    struct server *server = container_of(node, struct server, watchdog);
    notify_send(&server->notify, "WATCHDOG=1");
    wheel_arm(&server->wheel, node, uv_now(server->loop) + server->notify.watchdog_ms / 2);
}

int server_open_service(struct server *server, char *error, size_t error_len) {
    int rc = notify_init(&server->notify);
    if (rc)
        log_write(LOG_WARNING, "NOTIFY_SOCKET cannot be used: the service manager is told nothing",
                  "reason", strerror(-rc), NULL);
    wheel_node_init(&server->watchdog, on_watchdog);
    if (server->notify.fd && server->notify.watchdog_ms)
        on_watchdog(&server->watchdog);
    return activation_init(&server->inherited, error, error_len) ? SERVER_FAILED : 0;
}

int server_check_inherited(const struct server *server, char *error, size_t error_len) {
    char name[ACTIVATION_NAME_BYTES];
    if (!activation_left(&server->inherited, name, sizeof name))
        return 0;
    snprintf(error, error_len,
             "inherited socket %s: the configuration has no such %s; set it, or take it out of the "
             ".socket unit",
             name, name[0] == '/' ? "socket" : "listen");
    return SERVER_FAILED;
}

void server_tell_ready(const struct server *server) {
    notify_send(&server->notify, "READY=1\nSTATUS=ready, events on %s", server->config->socket);
}

void server_tell_reloading(const struct server *server) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* the clock that the protocol names */
    notify_send(&server->notify,
                "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reading the configuration",
                (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void server_tell_stopping(const struct server *server) {
    notify_send(&server->notify, "STOPPING=1\nSTATUS=draining");
}

void server_close_service(struct server *server) {
    wheel_disarm(&server->watchdog);
    activation_deinit(&server->inherited);
    notify_deinit(&server->notify);
}
