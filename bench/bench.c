/* rollcall-bench: a load generator that plays senders, and proves that nothing they were told is
 * kept was lost. One thread, one loop: connections (client.c), the reader that keeps count
 * (verify.c). */
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "client.h"
#include "options.h"
#include "report.h"
#include "verify.h"

enum {
    UNANSWERED_MS = 5000, /* how long the last answers, and then the last lines, are waited for */
    PROGRESS_MS = 1000,
};

struct bench {
    struct options options;
    struct client_options client_options;
    struct client *client;
    struct verify *verify; /* NULL without --verify */
    struct report report;
    uv_loop_t loop;
    uv_timer_t progress;
    uv_signal_t interrupt;
    uint64_t began_ns;
};

static int resolve(struct bench *bench) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    char port[8];
    snprintf(port, sizeof port, "%u", bench->options.port);
    int rc = getaddrinfo(bench->options.host, port, &hints, &found);
    if (rc) {
        fprintf(stderr, "rollcall-bench: %s: %s\n", bench->options.host, gai_strerror(rc));
        return EXIT_FAILED;
    }
    memcpy(&bench->client_options.address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return EXIT_DONE;
}

static int open_tls(struct bench *bench) {
    struct tls_error error = {"out of memory"};
    if (tls_context_new_client(&bench->client_options.tls, bench->options.cacert, &error) == 0)
        return EXIT_DONE;
    fprintf(stderr, "rollcall-bench: %s\n", error.message);
    return EXIT_FAILED;
}

static int open_verify(struct bench *bench) {
    if (!bench->options.verify)
        return EXIT_DONE;
    bench->verify = calloc(1, sizeof *bench->verify);
    if (bench->verify && verify_start(bench->verify, &bench->loop, bench->options.socket,
                                      bench->options.sender, bench->options.connections) == 0)
        return EXIT_DONE;
    fprintf(stderr, "rollcall-bench: %s: %s\n", bench->options.socket,
            bench->verify ? bench->verify->error : "out of memory");
    return EXIT_FAILED;
}

static void on_progress(uv_timer_t *timer) {
    struct bench *bench = timer->data;
    report_progress(&bench->report, (double)(uv_hrtime() - bench->began_ns) / 1e9);
}

static void on_interrupt(uv_signal_t *signal, int number) {
    struct bench *bench = signal->data;
    (void)number;
    if (bench->client->stopping)
        _exit(EXIT_FAILED);
    client_stop(bench->client);
}

static int open_client(struct bench *bench) {
    const struct options *options = &bench->options;
    struct client_options *client_options = &bench->client_options;
    client_options->payload = (struct payload_options){
        options->sender, options->observations, options->host, options->path, options->headers.ptr};
    client_options->connections = options->connections;
    client_options->requests = options->requests;
    client_options->duration_ns = options->duration_ns;
    client_options->rate = options->rate;
    client_options->verify = bench->verify;
    bench->client = calloc(1, sizeof *bench->client);
    if (!bench->client || uv_timer_init(&bench->loop, &bench->progress) ||
        uv_signal_init(&bench->loop, &bench->interrupt) ||
        client_start(bench->client, &bench->loop, client_options)) {
        fprintf(stderr, "rollcall-bench: out of memory\n");
        return EXIT_FAILED;
    }
    bench->progress.data = bench->interrupt.data = bench;
    uv_timer_start(&bench->progress, on_progress, PROGRESS_MS, PROGRESS_MS);
    uv_signal_start(&bench->interrupt, on_interrupt, SIGINT);
    return EXIT_DONE;
}

/* Whether something has happened since *last was noted. */
static bool goes_on(uint64_t now, uint64_t *last) {
    bool changed = now != *last;
    *last = now;
    return changed;
}

/* Runs the loop until done() or until `progress` has stood still for UNANSWERED_MS. */
static void run_until(struct bench *bench, bool (*done)(const struct bench *),
                      uint64_t (*progress)(const struct bench *)) {
    uint64_t last = progress(bench), since = uv_hrtime();
    while (!done(bench) && uv_hrtime() - since < UNANSWERED_MS * 1000000ULL) {
        uv_run(&bench->loop, UV_RUN_ONCE); /* the client's tick wakes it each millisecond */
        if (goes_on(progress(bench), &last))
            since = uv_hrtime();
    }
}

static bool client_done(const struct bench *bench) {
    return client_is_done(bench->client);
}

static uint64_t client_progress(const struct bench *bench) {
    const struct client_figures *figures = &bench->client->figures;
    return figures->answered + figures->broken + figures->connect_errors;
}

static bool verify_done(const struct bench *bench) {
    return bench->verify->failed || verify_lost(bench->verify) == 0;
}

static uint64_t verify_progress(const struct bench *bench) {
    return bench->verify->figures.lines;
}

static void usage_since(struct report_usage *usage, const struct report_usage *before) {
    usage->user_s -= before->user_s;
    usage->system_s -= before->system_s;
}

static void run(struct bench *bench) {
    struct report_usage own, server;
    struct report *report = &bench->report;
    report->options = &bench->options;
    report->client = bench->client;
    report->verify = bench->verify;
    (void)report_read_usage(0, &own);
    report->has_server = bench->options.pid && report_read_usage(bench->options.pid, &server);
    bench->began_ns = uv_hrtime();
    run_until(bench, client_done, client_progress);
    (void)report_read_usage(0, &report->own);
    usage_since(&report->own, &own);
    if (report->has_server) {
        report->has_server = report_read_usage(bench->options.pid, &report->server);
        usage_since(&report->server, &server);
    }
    if (bench->verify)
        run_until(bench, verify_done, verify_progress);
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static void close_handle(uv_handle_t *handle, void *unused) {
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void tear_down(struct bench *bench) {
    if (bench->client)
        client_close(bench->client);
    if (bench->verify)
        verify_close(bench->verify);
    uv_walk(&bench->loop, close_handle, NULL);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    uv_loop_close(&bench->loop);
    if (bench->client)
        client_deinit(bench->client);
    if (bench->verify)
        verify_deinit(bench->verify);
    free(bench->client);
    free(bench->verify);
    tls_context_unref(bench->client_options.tls);
}

int main(int argc, char **argv) {
    static struct bench bench;
    bool done = false;
    int status = options_parse(&bench.options, argc, argv, &done);
    if (status == EXIT_DONE && !done) {
        signal(SIGPIPE, SIG_IGN);
        if (uv_loop_init(&bench.loop))
            return EXIT_FAILED;
        status = resolve(&bench);
        status = status ? status : open_tls(&bench);
        status = status ? status : open_verify(&bench);
        status = status ? status : open_client(&bench);
        if (status == EXIT_DONE) {
            run(&bench);
            (bench.options.json ? report_print_json : report_print)(&bench.report, stdout);
            status = report_is_ok(&bench.report) ? EXIT_DONE : EXIT_FAILED;
        }
        tear_down(&bench);
    }
    buf_deinit(&bench.options.headers);
    return status;
}
