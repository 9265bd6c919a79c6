/* The configuration, its secrets and its certificates anew while the node runs; see server.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "server_internal.h"

void server_set_limits(struct server *server) {
    const struct config *config = server->config;
    struct conn_shared *conns = server->conns;
    conns->limits = (struct http_limits){config->max_header_bytes, config->max_body_bytes};
    conns->timeouts = (struct conn_timeouts){config->header_timeout_ms, config->body_timeout_ms,
                                             config->keepalive_timeout_ms};
    server_set_most_conns(server);
}

/* Everything that a new configuration brings, made before anything is changed by it. */
struct change {
    struct config *config;
    struct tls_context *tls;
    struct tls_stamps stamps; /* of its files, before they were read */
    struct ingest_parts parts;
};

static int prepare_change(struct server *server, struct change *change, FILE *errors) {
    struct tls_error tls_error = {.message = "out of memory"};
    int rc = config_load(&change->config, server->config_path, errors);
    rc = rc ? rc : config_check_reload(server->config, change->config, server->config_path, errors);
    if (rc)
        return rc;
    const struct tls_files files = server_tls_files(change->config);
    change->stamps = server_stamp_certificate(change->config);
    rc = tls_context_new(&change->tls, &files, &tls_error);
    if (rc)
        fprintf(errors, "%s\n", tls_error.message);
    if (rc == 0 && (rc = ingest_prepare(&server->ingest, change->config, &change->parts)))
        fprintf(errors, "out of memory\n");
    return rc;
}

static void apply_change(struct server *server, struct change *change) {
    log_init((enum log_level)change->config->log_level, change->config->log_json);
    ingest_apply(&server->ingest, &change->parts);
    feed_set_admin_secrets(server->feed, change->config->admin_secrets);
    tls_context_unref(server->tls);
    config_unref(server->config);
    server->tls = change->tls; /* sessions under way keep theirs */
    server->stamps = change->stamps;
    server->certificate_refused = false;
    server->config = change->config;
    server_set_limits(server);
    feed_set_max_hold(server->feed, server->config->max_hold_ms);
    server_check_certificate(server);
}

/* Each mistake on a line of its own, as --check prints them. */
static void log_mistakes(char *text) {
    char *line;
    while ((line = strsep(&text, "\n")))
        if (*line)
            log_write(LOG_ERROR, "configuration", "reason", line, NULL);
}

/* SIGHUP: all or nothing. */
void server_reload(struct server *server) {
    struct change change = {0};
    char *text = NULL;
    size_t len;
    FILE *errors = open_memstream(&text, &len);
    int rc = errors ? prepare_change(server, &change, errors) : -ENOMEM;
    if (errors)
        fclose(errors);
    server->reloads++;
    server->reload_fails += rc != 0;
    server->reload_failed = rc != 0;
    if (rc == 0) {
        apply_change(server, &change);
        log_write(LOG_INFO, "configuration reloaded", "file", server->config_path, NULL);
    } else {
        log_mistakes(text);
        log_write(LOG_ERROR, "reload failed: the running configuration stays", "file",
                  server->config_path, NULL);
        ingest_discard(&change.parts);
        tls_context_unref(change.tls);
        config_unref(change.config);
    }
    free(text);
}
