/* The certificate and its key, read again when their files change: see server_internal.h. Whoever
 * renews them need not tell the node, and may write one file after the other, or swap a symbolic
 * link above both. Looked at once a second, as what a watch of a directory says differs with the
 * way the files are replaced. */
#include <string.h>
#include <sys/stat.h>

#include "log.h"
#include "server_internal.h"
#include "util/clock.h"

enum { WATCH_MS = 1000 };

struct tls_files server_tls_files(const struct config *config) {
    return (struct tls_files){config->certificate, config->private_key, config->client_ca};
}

static void on_finding(void *context, enum tls_severity severity, const char *text) {
    const struct server *server = context;
    (void)severity; /* it is served all the same: that may help, refusing to cannot */
    log_write(LOG_WARNING, "certificate", "file", server->config->certificate, "reason", text,
              NULL);
}

void server_check_certificate(struct server *server) {
    const struct tls_check check = {clock_realtime_us() / 1000000, on_finding, server};
    tls_context_check(server->tls, &check);
}

static struct file_stamp stamp_file(const char *path) {
    struct stat found;
    if (!path || stat(path, &found))
        return (struct file_stamp){0};
    return (struct file_stamp){.device = found.st_dev,
                               .inode = found.st_ino,
                               .bytes = (uint64_t)found.st_size,
                               .changed_s = found.st_mtim.tv_sec,
                               .changed_ns = found.st_mtim.tv_nsec};
}

static bool same_file(const struct file_stamp *a, const struct file_stamp *b) {
    return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
           a->changed_s == b->changed_s && a->changed_ns == b->changed_ns;
}

struct tls_stamps server_stamp_certificate(const struct config *config) {
    return (struct tls_stamps){{stamp_file(config->certificate), stamp_file(config->private_key),
                                stamp_file(config->client_ca)}};
}

/* A pair that does not fit is not served: its other half is on its way, perhaps. */
static void read_again(struct server *server) {
    struct tls_error error = {.message = "out of memory"};
    struct tls_context *tls;
    const struct tls_files files = server_tls_files(server->config);
    server->stamps = server_stamp_certificate(server->config);
    server->certificate_refused = tls_context_new(&tls, &files, &error) != 0;
    if (server->certificate_refused) {
        log_write(LOG_WARNING, "certificate files changed and cannot be used: the last ones stay",
                  "reason", error.message, NULL);
        return;
    }
    tls_context_unref(server->tls);
    server->tls = tls; /* sessions under way keep theirs */
    log_write(LOG_INFO, "certificate read again", "file", server->config->certificate, NULL);
    server_check_certificate(server);
}

static void on_watch(struct wheel_node *node) {
    struct server *server = container_of(node, struct server, watch);
    const struct tls_stamps now = server_stamp_certificate(server->config);
    bool same = true;
    for (unsigned i = 0; i < TLS_FILE_COUNT; i++)
        same = same && same_file(&now.files[i], &server->stamps.files[i]);
    if (!same)
        read_again(server);
    wheel_arm(&server->wheel, node, uv_now(server->loop) + WATCH_MS);
}

void server_watch_certificate(struct server *server) {
    wheel_node_init(&server->watch, on_watch);
    wheel_arm(&server->wheel, &server->watch, uv_now(server->loop) + WATCH_MS);
}
