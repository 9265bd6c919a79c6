/* rollcall-bench: a load generator that plays senders, and proves that nothing they were told is
 * kept was lost. One thread, one loop: connections (client.c), the reader that keeps count
 * (verify.c). */
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "client.h"
#include "options.h"
#include "report.h"
#include "search.h"
#include "usage.h"
#include "verify.h"

enum {
    SETTLE_MS = 200, /* silence after the last line, in which a doubled one would show */
    PROGRESS_MS = 1000,
    SPARE_FDS = 64, /* besides the connections */
};

struct bench {
    struct options options;
    struct payload_options targets[1 + OPTIONS_MAX_ALSO];
    unsigned target_count;
    struct client_options client_options;
    struct client *client;
    struct verify *verify; /* NULL without --verify */
    struct report report;
    uv_loop_t loop;
    uv_timer_t progress;
    uv_signal_t interrupt;
    uint64_t began_ns;
    struct usage own, server; /* as it stood when measuring began */
    bool measuring, interrupted;
};

/* Whether somebody listens there; asked only where a name has several addresses (localhost is ::1
 * first, and a node on 0.0.0.0 is not there). */
static bool listens(const struct addrinfo *address) {
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool yes = connect(fd, address->ai_addr, address->ai_addrlen) == 0;
    close(fd);
    return yes;
}

static int resolve(struct bench *bench) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    char port[8];
    snprintf(port, sizeof port, "%u", bench->options.url.port);
    int rc = getaddrinfo(bench->options.url.host, port, &hints, &found);
    if (rc) {
        fprintf(stderr, "rollcall-bench: %s: %s\n", bench->options.url.host, gai_strerror(rc));
        return EXIT_FAILED;
    }
    const struct addrinfo *chosen = found;
    while (chosen->ai_next && !listens(chosen))
        chosen = chosen->ai_next;
    memcpy(&bench->client_options.address, chosen->ai_addr, chosen->ai_addrlen);
    freeaddrinfo(found);
    return EXIT_DONE;
}

/* As many file descriptors as the hard limit gives; too few show as connect errors. */
static void raise_fd_limit(unsigned connections) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= connections + SPARE_FDS)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_tls(struct bench *bench) {
    struct tls_error error = {.message = "out of memory"};
    if (tls_context_new_client(&bench->client_options.tls, bench->options.cacert, &error) == 0)
        return EXIT_DONE;
    fprintf(stderr, "rollcall-bench: %s\n", error.message);
    return EXIT_USAGE;
}

/* Where the numbers begin: spread, so that two runs seldom overlap. */
static uint64_t base_of(uint64_t seed) {
    return seed * 0x9e3779b97f4a7c15ULL >> (64 - PAYLOAD_NUMBER_BITS);
}

static void add_target(struct bench *bench, enum payload_sender sender, const char *path) {
    const struct options *options = &bench->options;
    const struct payload_shape *shape = &payload_shapes[sender];
    bool several = options->observations && !shape->single;
    bench->targets[bench->target_count++] = (struct payload_options){
        .sender = sender,
        .observations = several ? options->observations : shape->usual,
        .host = options->url.authority,
        .path = path,
        .headers = options->headers.ptr,
        .ms = (unsigned)(options->seed % 1000),
        .secret = options->secret,
        .close = options->new_connections,
    };
}

static void list_targets(struct bench *bench) {
    const struct options *options = &bench->options;
    add_target(bench, options->sender, options->url.target);
    for (unsigned i = 0; i < options->also_count; i++)
        add_target(bench, options->also[i].sender, options->also[i].path);
}

static int open_verify(struct bench *bench) {
    const struct options *options = &bench->options;
    if (!options->verify)
        return EXIT_DONE;
    struct verify_options verify_options = {
        .socket = options->socket,
        .targets = bench->targets,
        .target_count = bench->target_count,
        .connections = options->connections + options->idle + options->slow,
        .base = base_of(options->seed),
        .repeats = options->repeat_percent > 0,
    };
    bench->verify = calloc(1, sizeof *bench->verify);
    if (bench->verify && verify_start(bench->verify, &bench->loop, &verify_options) == 0)
        return EXIT_DONE;
    fprintf(stderr, "rollcall-bench: %s: %s\n", options->socket,
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
    if (bench->interrupted)
        _exit(EXIT_FAILED);
    bench->interrupted = true;
    client_stop(bench->client);
}

static int open_client(struct bench *bench) {
    const struct options *options = &bench->options;
    struct client_options *client_options = &bench->client_options;
    client_options->targets = bench->targets;
    client_options->target_count = bench->target_count;
    client_options->host = options->url.host;
    client_options->check_certificate = options->cacert;
    client_options->connections = options->connections;
    client_options->idle = options->idle;
    client_options->slow = options->slow;
    client_options->slow_rate = options->slow_rate;
    client_options->slow_kinds = options->slow_kinds;
    client_options->slow_kind_count = options->slow_kind_count;
    memcpy(client_options->slow_deadlines_ns, options->slow_deadlines_ns,
           sizeof client_options->slow_deadlines_ns);
    client_options->new_connections = options->new_connections;
    client_options->resume = options->resume;
    client_options->repeat_percent = options->repeat_percent;
    client_options->requests = options->requests;
    client_options->duration_ns = options->duration_ns;
    client_options->warmup_ns = options->warmup_ns;
    client_options->timeout_ns = options->timeout_ns;
    client_options->base = base_of(options->seed);
    client_options->rate = options->rate;
    client_options->verify = bench->verify;
    raise_fd_limit(options->connections + options->idle + options->slow);
    bench->client = calloc(1, sizeof *bench->client);
    if (!bench->client || uv_timer_init(&bench->loop, &bench->progress) ||
        uv_signal_init(&bench->loop, &bench->interrupt) ||
        client_start(bench->client, &bench->loop, client_options)) {
        fprintf(stderr, "rollcall-bench: out of memory\n");
        return EXIT_FAILED;
    }
    bench->progress.data = bench->interrupt.data = bench;
    if (isatty(STDERR_FILENO))
        uv_timer_start(&bench->progress, on_progress, PROGRESS_MS, PROGRESS_MS);
    uv_signal_start(&bench->interrupt, on_interrupt, SIGINT);
    return EXIT_DONE;
}

/* What they take is seen in the server's memory. */
static void connect_idle(struct bench *bench) {
    struct client *client = bench->client;
    struct usage usage = {0};
    if (bench->options.pid && usage_read(bench->options.pid, &usage))
        bench->report.idle_before_kib = usage.rss_kib;
    client_open_idle(client);
    while (!client_is_idling(client) && !client->stopping)
        uv_run(&bench->loop, UV_RUN_ONCE);
    if (bench->options.pid && usage_read(bench->options.pid, &usage))
        bench->report.idle_after_kib = usage.rss_kib;
}

static void connect_slow(struct bench *bench) {
    struct client *client = bench->client;
    struct usage usage = {0};
    if (bench->options.pid && usage_read(bench->options.pid, &usage))
        bench->report.slow_before_kib = usage.rss_kib;
    client_open_slow(client);
    while (!client_is_trickling(client) && !client->stopping)
        uv_run(&bench->loop, UV_RUN_ONCE);
    if (bench->options.pid && usage_read(bench->options.pid, &usage))
        bench->report.slow_after_kib = usage.rss_kib;
}

static void connect_all(struct bench *bench) {
    struct client *client = bench->client;
    while (!client_is_connected(client) && !client->stopping)
        uv_run(&bench->loop, UV_RUN_ONCE);
    if (bench->options.idle)
        connect_idle(bench);
    if (bench->options.slow)
        connect_slow(bench);
}

/* CPU time counts from the end of the handshakes and of the warm-up. */
static void begin_measuring(struct bench *bench) {
    bench->measuring = true;
    (void)usage_read(0, &bench->own);
    if (bench->report.has_server)
        bench->report.has_server = usage_read(bench->options.pid, &bench->server);
}

static void run_load(struct bench *bench) {
    struct report *report = &bench->report;
    bench->measuring = false;
    client_begin(bench->client);
    if (bench->verify)
        bench->verify->measure_ns = bench->client->measure_ns;
    if (bench->interrupted)
        client_stop(bench->client);
    while (!client_is_done(bench->client)) {
        uv_run(&bench->loop, UV_RUN_ONCE); /* the client's tick wakes it */
        if (bench->client->measuring && !bench->measuring)
            begin_measuring(bench);
    }
    if (!bench->measuring)
        begin_measuring(bench);
    (void)usage_read(0, &report->own);
    usage_subtract(&report->own, &bench->own);
    if (report->has_server) {
        report->has_server = usage_read(bench->options.pid, &report->server);
        usage_subtract(&report->server, &bench->server);
    }
}

/* Until all has come and nothing more does, or until nothing comes though some is missing. */
static void await_lines(struct bench *bench) {
    const struct verify *verify = bench->verify;
    uint64_t lines = verify->figures.lines, since_ns = uv_hrtime();
    while (!verify->failed) {
        uv_run(&bench->loop, UV_RUN_ONCE);
        uint64_t now_ns = uv_hrtime();
        if (verify->figures.lines != lines) {
            lines = verify->figures.lines;
            since_ns = now_ns;
        }
        uint64_t silence_ns = now_ns - since_ns;
        if (silence_ns >= bench->options.patience_ns ||
            (silence_ns >= SETTLE_MS * 1000000ULL && verify_lost(verify) == 0))
            return;
    }
}

static void clear_progress(void) {
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static bool run(struct bench *bench) {
    struct report *report = &bench->report;
    run_load(bench);
    client_close_slow(bench->client);
    if (bench->verify)
        await_lines(bench);
    clear_progress();
    (bench->options.json ? report_print_json : report_print)(report, stdout);
    return report_write_files(report) && report_is_ok(report);
}

/* Whether the rate was held: answered without errors, within the bound, and with no queue of posts
 * that grew until the end. */
static bool is_kept(const struct bench *bench, uint64_t errors) {
    const struct client *client = bench->client;
    return client_error_count(client) + client->figures.refused == errors &&
           client->figures.answered > 0 && client->figures.unsent * 100 <= client->issued &&
           histogram_percentile(&client->latency, 99) <= bench->options.p99_ns;
}

static bool run_search(struct bench *bench) {
    struct client *client = bench->client;
    struct search search;
    search_init(&search, bench->options.rate);
    while (!search.done) {
        uint64_t errors = client_error_count(client) + client->figures.refused;
        bench->client_options.rate = search.rate;
        run_load(bench);
        bool kept = is_kept(bench, errors);
        clear_progress();
        if (bench->interrupted)
            break;
        report_step(&bench->report, &search, kept, stdout);
        search_note(&search, kept);
    }
    report_found(&bench->report, &search, stdout);
    return search.kept > 0;
}

static bool run_all(struct bench *bench) {
    struct report *report = &bench->report;
    report->options = &bench->options;
    report->client = bench->client;
    report->verify = bench->verify;
    report->has_server = bench->options.pid;
    bench->began_ns = uv_hrtime();
    connect_all(bench);
    bool done = bench->options.find_max ? run_search(bench) : run(bench);
    return fflush(stdout) == 0 && done;
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

/* 0, or an exit code after one line on stderr. */
static int open_all(struct bench *bench) {
    int status = open_tls(bench);
    status = status ? status : resolve(bench);
    list_targets(bench);
    status = status ? status : open_verify(bench);
    return status ? status : open_client(bench);
}

int main(int argc, char **argv) {
    static struct bench bench;
    bool done = false;
    int status = options_parse(&bench.options, argc, argv, &done);
    if (status == EXIT_DONE && !done) {
        signal(SIGPIPE, SIG_IGN);
        if (uv_loop_init(&bench.loop))
            return EXIT_FAILED;
        status = open_all(&bench);
        if (status == EXIT_DONE) {
            status = run_all(&bench) ? EXIT_DONE : EXIT_FAILED;
        }
        tear_down(&bench);
    }
    buf_deinit(&bench.options.headers);
    return status;
}
