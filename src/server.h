/* The node as a whole: listeners, connections, the Unix socket, the timer wheel's tick, signals and
 * the drain. One loop, one thread. */
#ifndef ROLLCALL_SERVER_H
#define ROLLCALL_SERVER_H

#include <uv.h>

#include "config.h"
#include "tls.h"
#include "util/err.h"

struct server;

enum { SERVER_FAILED = 1 };

/* Opens everything the configuration names: certificate, ring, Unix socket, listeners, in this
 * order. 0, or SERVER_FAILED with one line in `error` (what, why, what to do). Takes a reference to
 * the configuration; config_path, its file, is read again at SIGHUP and outlives the server. */
int server_new(struct server **server, uv_loop_t *loop, struct config *config,
               const char *config_path, char *error, size_t error_len) MUST_CHECK;
/* The files of TLS that a configuration names; as long-lived as it. */
struct tls_files server_tls_files(const struct config *config);
/* Runs the loop until the node has drained after SIGTERM or SIGINT. 0. */
int server_run(struct server *server) MUST_CHECK;
/* Closes what is still open, runs the loop until that is done, frees. */
void server_free(struct server *server);

#endif
