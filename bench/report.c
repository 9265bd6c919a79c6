/* Results as text and as JSON; see report.h. */
#include "report.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "plot.h"

static const double percents[] = {50, 90, 99, 99.9, 99.99};

static double run_seconds(const struct client *client) {
    return client->end_ns > client->measure_ns ? (double)(client->end_ns - client->measure_ns) / 1e9
                                               : 0;
}

static double per_second(uint64_t count, double seconds) {
    return seconds > 0 ? (double)count / seconds : 0;
}

double report_idle_kib(const struct report *report) {
    double grown = (double)report->idle_after_kib - (double)report->idle_before_kib;
    return grown / report->options->idle;
}

bool report_is_ok(const struct report *report) {
    const struct client *client = report->client;
    return client_error_count(client) == 0 && client->figures.refused == 0 &&
           client->figures.answered > 0 && (!report->verify || verify_is_ok(report->verify));
}

static void print_latency(FILE *out, const char *name, const struct histogram *histogram) {
    fprintf(out, "%-22s", name);
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++)
        fprintf(out, "  p%-5g %8.3f", percents[i],
                (double)histogram_percentile(histogram, percents[i]) / 1e6);
    fprintf(out, "  max %8.3f ms\n", (double)histogram->max / 1e6);
}

static void print_usage(FILE *out, const char *name, const struct usage *usage,
                        const struct report *report) {
    uint64_t requests = report->client->figures.answered;
    double per = requests ? 1e6 / (double)requests : 0;
    fprintf(out,
            "%-22s  user %.2f s, system %.2f s; a request: user %.2f us, system %.2f us; RSS %.1f "
            "MiB, at most %.1f\n",
            name, usage->user_s, usage->system_s, usage->user_s * per, usage->system_s * per,
            (double)usage->rss_kib / 1024, (double)usage->peak_kib / 1024);
}

static void print_verify(FILE *out, const struct verify *verify) {
    const struct verify_figures *figures = &verify->figures;
    fprintf(out, "%-22s  %llu arrived, %llu lost, %llu doubled, %llu reordered, %llu gaps\n",
            verify_is_ok(verify) ? "verified" : "VERIFICATION FAILED",
            (unsigned long long)figures->ours, (unsigned long long)verify_lost(verify),
            (unsigned long long)figures->doubled, (unsigned long long)figures->reordered,
            (unsigned long long)figures->gaps);
    if (figures->unanswered)
        fprintf(out, "%-22s  %llu observations of posts that were never answered\n", "",
                (unsigned long long)figures->unanswered);
    if (figures->foreign)
        fprintf(out, "%-22s  %llu observations that this run did not send\n", "",
                (unsigned long long)figures->foreign);
    if (figures->capped)
        fprintf(out, "%-22s  %llu lines came so late that their latency is a lower bound\n", "",
                (unsigned long long)figures->capped);
    if (verify->failed)
        fprintf(out, "%-22s  %s\n", "", verify->error);
    print_latency(out, "post to line", &verify->latency);
}

static const char *const error_names[CLIENT_ERRORS] = {"connect", "broken", "closed", "timeout",
                                                       "invalid"};

static bool plays(const struct options *options, enum client_slow_kind kind) {
    for (unsigned i = 0; i < options->slow_kind_count; i++)
        if (options->slow_kinds[i] == kind)
            return true;
    return false;
}

static bool has_stalls(const struct options *options) {
    for (unsigned i = 0; i < options->slow_kind_count; i++)
        if (options->slow_kinds[i] != CLIENT_SLOW_POST)
            return true;
    return false;
}

static double report_slow_kib(const struct report *report) {
    double grown = (double)report->slow_after_kib - (double)report->slow_before_kib;
    return grown / report->options->slow;
}

/* They come a few at a time, and so do those who come again: what a storm of them would do is not
 * said here. */
static void print_stalls(FILE *out, const struct report *report) {
    const struct client_slow_figures *slow = &report->client->figures.slow;
    fprintf(out, "%-22s  up to %llu at once, coming %d at a time", "slow connections",
            (unsigned long long)slow->up, CLIENT_SLOW_OPENING);
    if (slow->refused)
        fprintf(out, "; %llu refused", (unsigned long long)slow->refused);
    if (report->has_server)
        fprintf(out, "; %.2f KiB RSS of the server each", report_slow_kib(report));
    fprintf(out, "\n%-22s  this program was up to %.3f s late to see it\n", "closed by the server",
            (double)slow->lag_ns / 1e9);
    for (int i = CLIENT_SLOW_POST + 1; i < CLIENT_SLOW_KINDS; i++) {
        const struct client_stall_figures *kind = &slow->stalls[i];
        if (plays(report->options, (enum client_slow_kind)i))
            fprintf(out,
                    "  %-20s  %llu, at most %.3f s before its deadline and %.3f s after it; %llu "
                    "not closed yet\n",
                    client_slow_shapes[i].name, (unsigned long long)kind->closed,
                    (double)kind->early_ns / 1e9, (double)kind->late_ns / 1e9,
                    (unsigned long long)kind->left);
    }
}

static void print_slow(FILE *out, const struct report *report) {
    const struct client_slow_figures *slow = &report->client->figures.slow;
    if (slow->connect)
        fprintf(out, "%-22s  %llu would not come up\n", "slow connections",
                (unsigned long long)slow->connect);
    if (has_stalls(report->options))
        print_stalls(out, report);
    if (!plays(report->options, CLIENT_SLOW_POST))
        return;
    fprintf(out,
            "%-22s  %u at %u bytes/s: %llu posts begun, %llu answered, %llu closed by the server's "
            "deadline, %llu refused, %llu lost, %llu unfinished\n",
            "slow connections", report->options->slow, report->options->slow_rate,
            (unsigned long long)slow->begun, (unsigned long long)slow->answered,
            (unsigned long long)slow->timed_out, (unsigned long long)slow->refused,
            (unsigned long long)slow->lost, (unsigned long long)slow->unfinished);
}

static void print_answers(FILE *out, const struct report *report) {
    const struct client_figures *figures = &report->client->figures;
    fprintf(out, "%-22s", "answers");
    for (int i = 0; i < 1000; i++)
        if (figures->by_code[i])
            fprintf(out, "  %d: %llu", i, (unsigned long long)figures->by_code[i]);
    fprintf(out, "\n%-22s", "errors");
    for (int i = 0; i < CLIENT_ERRORS; i++)
        fprintf(out, "  %s: %llu", error_names[i], (unsigned long long)figures->errors[i]);
    fputc('\n', out);
    if (figures->reconnects)
        fprintf(out, "%-22s  %llu\n", "connected again", (unsigned long long)figures->reconnects);
    if (figures->handshakes)
        fprintf(out, "%-22s  %llu, of these %llu resumed\n", "handshakes",
                (unsigned long long)figures->handshakes, (unsigned long long)figures->resumed);
    if (figures->repeated)
        fprintf(out, "%-22s  %llu posts; the node counts %llu events, %llu of them duplicates\n",
                "sent again", (unsigned long long)figures->repeated,
                (unsigned long long)figures->accepted, (unsigned long long)figures->duplicates);
    if (figures->idle_lost)
        fprintf(out, "%-22s  %llu were closed by the server\n", "idle connections",
                (unsigned long long)figures->idle_lost);
    if (report->options->slow)
        print_slow(out, report);
    if (figures->unsent)
        fprintf(out, "%-22s  %llu posts were due, but no connection was free\n", "not sent",
                (unsigned long long)figures->unsent);
}

void report_print(const struct report *report, FILE *out) {
    const struct client *client = report->client;
    const struct client_figures *figures = &client->figures;
    const struct options *options = report->options;
    double seconds = run_seconds(client);
    fprintf(out, "%-22s  %llu in %.2f s on %u connections, seed %llu\n", "requests",
            (unsigned long long)figures->answered, seconds, options->connections,
            (unsigned long long)options->seed);
    fprintf(out, "%-22s  %llu\n", "observations", (unsigned long long)figures->observations);
    fprintf(out, "%-22s  %.0f requests/s, %.0f observations/s, %.1f MB/s out, %.1f MB/s in\n",
            "rate", per_second(figures->answered, seconds),
            per_second(figures->observations, seconds),
            per_second(figures->bytes_out, seconds) / 1e6,
            per_second(figures->bytes_in, seconds) / 1e6);
    print_answers(out, report);
    if (options->rate > 0) {
        print_latency(out, "latency from planned", &client->latency);
        print_latency(out, "latency from sent", &client->service);
    } else {
        print_latency(out, "latency", &client->latency);
    }
    if (figures->handshakes)
        print_latency(out, "handshake", &client->handshake);
    print_usage(out, "this generator", &report->own, report);
    if (report->has_server)
        print_usage(out, "server", &report->server, report);
    if (report->has_server && options->idle)
        fprintf(out, "%-22s  %.2f KiB RSS each, of %u\n", "idle connections",
                report_idle_kib(report), options->idle);
    if (report->verify)
        print_verify(out, report->verify);
}

static void print_json_latency(FILE *out, const char *name, const struct histogram *histogram) {
    fprintf(out, ",\"%s\":{\"count\":%llu,\"mean\":%.0f", name,
            (unsigned long long)histogram->count, histogram_mean(histogram));
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++)
        fprintf(out, ",\"p%g\":%llu", percents[i],
                (unsigned long long)histogram_percentile(histogram, percents[i]));
    fprintf(out, ",\"max\":%llu}", (unsigned long long)histogram->max);
}

static void print_json_usage(FILE *out, const char *name, const struct usage *usage) {
    fprintf(out, ",\"%s\":{\"user_s\":%.6f,\"system_s\":%.6f,\"rss_kib\":%llu,\"peak_kib\":%llu}",
            name, usage->user_s, usage->system_s, (unsigned long long)usage->rss_kib,
            (unsigned long long)usage->peak_kib);
}

/* By class, as a glance wants it, and by code. */
static void print_json_answers(FILE *out, const struct client_figures *figures) {
    const char *comma = "";
    fputs(",\"answers\":{", out);
    for (int class = 0; class < 10; class ++) {
        uint64_t count = 0;
        for (int i = 0; i < 100; i++)
            count += figures->by_code[class * 100 + i];
        if (count) {
            fprintf(out, "%s\"%dxx\":%llu", comma, class, (unsigned long long)count);
            comma = ",";
        }
    }
    fputs("},\"codes\":{", out);
    comma = "";
    for (int i = 0; i < 1000; i++) {
        if (figures->by_code[i]) {
            fprintf(out, "%s\"%d\":%llu", comma, i, (unsigned long long)figures->by_code[i]);
            comma = ",";
        }
    }
    fputs("},\"errors\":{", out);
    for (int i = 0; i < CLIENT_ERRORS; i++)
        fprintf(out, "%s\"%s\":%llu", i ? "," : "", error_names[i],
                (unsigned long long)figures->errors[i]);
    fprintf(out, "},\"reconnects\":%llu,\"unsent\":%llu,\"handshakes\":%llu,\"resumed\":%llu",
            (unsigned long long)figures->reconnects, (unsigned long long)figures->unsent,
            (unsigned long long)figures->handshakes, (unsigned long long)figures->resumed);
    fprintf(out, ",\"repeated\":%llu,\"accepted\":%llu,\"duplicates\":%llu,\"idle_lost\":%llu",
            (unsigned long long)figures->repeated, (unsigned long long)figures->accepted,
            (unsigned long long)figures->duplicates, (unsigned long long)figures->idle_lost);
}

static void print_json_stalls(FILE *out, const struct report *report) {
    const struct client_slow_figures *slow = &report->client->figures.slow;
    const char *comma = "";
    fprintf(out, ",\"up\":%llu,\"lag_s\":%.6f,\"stalled\":{", (unsigned long long)slow->up,
            (double)slow->lag_ns / 1e9);
    for (int i = CLIENT_SLOW_POST + 1; i < CLIENT_SLOW_KINDS; i++) {
        const struct client_stall_figures *kind = &slow->stalls[i];
        if (!plays(report->options, (enum client_slow_kind)i))
            continue;
        fprintf(out,
                "%s\"%s\":{\"stalled\":%llu,\"closed\":%llu,\"left\":%llu,\"early_s\":%.6f,"
                "\"late_s\":%.6f}",
                comma, client_slow_shapes[i].name, (unsigned long long)kind->stalled,
                (unsigned long long)kind->closed, (unsigned long long)kind->left,
                (double)kind->early_ns / 1e9, (double)kind->late_ns / 1e9);
        comma = ",";
    }
    fputc('}', out);
}

static void print_json_slow(FILE *out, const struct report *report) {
    const struct client_slow_figures *slow = &report->client->figures.slow;
    fprintf(out,
            ",\"slow\":{\"connections\":%u,\"bytes_per_s\":%u,\"begun\":%llu,\"answered\":%llu,"
            "\"timed_out\":%llu,\"refused\":%llu,\"lost\":%llu,\"unfinished\":%llu,"
            "\"connect\":%llu,\"bytes\":%llu",
            report->options->slow, report->options->slow_rate, (unsigned long long)slow->begun,
            (unsigned long long)slow->answered, (unsigned long long)slow->timed_out,
            (unsigned long long)slow->refused, (unsigned long long)slow->lost,
            (unsigned long long)slow->unfinished, (unsigned long long)slow->connect,
            (unsigned long long)slow->bytes);
    if (report->has_server)
        fprintf(out, ",\"kib_each\":%.3f", report_slow_kib(report));
    print_json_stalls(out, report);
    fputc('}', out);
}

static void print_json_verify(FILE *out, const struct verify *verify) {
    const struct verify_figures *v = &verify->figures;
    fprintf(out,
            ",\"verify\":{\"ok\":%s,\"arrived\":%llu,\"lost\":%llu,\"doubled\":%llu,"
            "\"reordered\":%llu,\"gaps\":%llu,\"unanswered\":%llu,\"foreign\":%llu,"
            "\"capped\":%llu,\"marked\":%llu",
            verify_is_ok(verify) ? "true" : "false", (unsigned long long)v->ours,
            (unsigned long long)verify_lost(verify), (unsigned long long)v->doubled,
            (unsigned long long)v->reordered, (unsigned long long)v->gaps,
            (unsigned long long)v->unanswered, (unsigned long long)v->foreign,
            (unsigned long long)v->capped, (unsigned long long)v->marked);
    if (verify->failed)
        fprintf(out, ",\"error\":\"%s\"", verify->error); /* our own words, or libuv's */
    print_json_latency(out, "latency_ns", &verify->latency);
    fputc('}', out);
}

void report_print_json(const struct report *report, FILE *out) {
    const struct client *client = report->client;
    const struct client_figures *figures = &client->figures;
    bool open_loop = report->options->rate > 0;
    double seconds = run_seconds(client);
    fprintf(out, "{\"ok\":%s,\"seed\":%llu,\"seconds\":%.3f,\"requests\":%llu",
            report_is_ok(report) ? "true" : "false", (unsigned long long)report->options->seed,
            seconds, (unsigned long long)figures->answered);
    fprintf(out, ",\"requests_per_s\":%.1f,\"observations\":%llu,\"observations_per_s\":%.1f",
            per_second(figures->answered, seconds), (unsigned long long)figures->observations,
            per_second(figures->observations, seconds));
    fprintf(out, ",\"bytes_out\":%llu,\"bytes_in\":%llu", (unsigned long long)figures->bytes_out,
            (unsigned long long)figures->bytes_in);
    print_json_answers(out, figures);
    if (report->options->slow)
        print_json_slow(out, report);
    print_json_latency(out, "latency_ns", &client->latency);
    print_json_latency(out, "service_ns", open_loop ? &client->service : &client->latency);
    if (figures->handshakes)
        print_json_latency(out, "handshake_ns", &client->handshake);
    print_json_usage(out, "generator", &report->own);
    if (report->has_server)
        print_json_usage(out, "server", &report->server);
    if (report->has_server && report->options->idle)
        fprintf(out, ",\"idle_kib_each\":%.3f", report_idle_kib(report));
    if (report->verify)
        print_json_verify(out, report->verify);
    fputs("}\n", out);
}

void report_progress(const struct report *report, double seconds) {
    const struct client *client = report->client;
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r%5.0f s  %llu requests  p99 %.3f ms  %llu errors\033[K", seconds,
            (unsigned long long)client->figures.answered,
            (double)histogram_percentile(&client->latency, 99) / 1e6,
            (unsigned long long)client_error_count(client));
}

/* --- --find-max --------------------------------------------------------------------------------
 */

static double busy(const struct usage *usage, double seconds) {
    return seconds > 0 ? 100 * (usage->user_s + usage->system_s) / seconds : 0;
}

void report_step(const struct report *report, const struct search *search, bool kept, FILE *out) {
    const struct client *client = report->client;
    double seconds = run_seconds(client);
    if (report->options->json)
        fprintf(out,
                "%s{\"rate\":%.0f,\"kept\":%s,\"answered_per_s\":%.0f,\"p50_ns\":%llu,"
                "\"p99_ns\":%llu,\"unsent\":%llu,\"generator_busy\":%.3f}",
                search->steps ? "," : "{\"steps\":[", search->rate, kept ? "true" : "false",
                per_second(client->figures.answered, seconds),
                (unsigned long long)histogram_percentile(&client->latency, 50),
                (unsigned long long)histogram_percentile(&client->latency, 99),
                (unsigned long long)client->figures.unsent, busy(&report->own, seconds) / 100);
    else
        fprintf(out,
                "%9.0f/s  answered %9.0f/s  p50 %9.3f ms  p99 %9.3f ms  generator %3.0f %%  %s\n",
                search->rate, per_second(client->figures.answered, seconds),
                (double)histogram_percentile(&client->latency, 50) / 1e6,
                (double)histogram_percentile(&client->latency, 99) / 1e6,
                busy(&report->own, seconds), kept ? "kept" : "not kept");
    (void)fflush(out);
}

void report_found(const struct report *report, const struct search *search, FILE *out) {
    double bound_ms = (double)report->options->p99_ns / 1e6;
    if (report->options->json)
        fprintf(out, "%s],\"p99_bound_ns\":%llu,\"max_rate\":%.0f}\n",
                search->steps ? "" : "{\"steps\":[", (unsigned long long)report->options->p99_ns,
                search->kept);
    else if (search->kept > 0)
        fprintf(out, "%-22s  %.0f posts/s with a p99 of at most %g ms\n", "highest rate",
                search->kept, bound_ms);
    else
        fprintf(out, "%-22s  none: no rate has a p99 of at most %g ms\n", "highest rate", bound_ms);
}

/* --- files -------------------------------------------------------------------------------------
 */

static bool close_file(FILE *file, const char *path) {
    bool failed = ferror(file);
    if (fclose(file) == 0 && !failed)
        return true;
    fprintf(stderr, "rollcall-bench: %s: %s\n", path, strerror(errno));
    return false;
}

static FILE *open_file(const char *path) {
    FILE *file = fopen(path, "we");
    if (!file)
        fprintf(stderr, "rollcall-bench: %s: %s\n", path, strerror(errno));
    return file;
}

static bool write_plot(const struct report *report) {
    const struct client *client = report->client;
    const struct options *options = report->options;
    bool open_loop = options->rate > 0;
    char title[160];
    double seconds = run_seconds(client);
    FILE *file = open_file(options->svg);
    if (!file)
        return false;
    snprintf(title, sizeof title, "%s, %u connections, %.0f posts a second%s",
             payload_shapes[options->sender].name, options->connections,
             per_second(client->figures.answered, seconds),
             open_loop ? " at a fixed rate" : ", each as soon as the last was answered");
    struct plot plot = {
        .title = title,
        .curves = {{open_loop ? "from the planned moment" : "from sending", &client->latency},
                   {"from sending (uncorrected)", &client->service}},
        .curve_count = open_loop ? 2 : 1,
        .answers = &client->answers,
        .seconds = seconds,
        .rate = options->rate,
    };
    plot_write(&plot, file);
    return close_file(file, options->svg);
}

static bool write_histogram(const struct histogram *histogram, const char *path) {
    FILE *file = open_file(path);
    if (!file)
        return false;
    histogram_print(histogram, file);
    return close_file(file, path);
}

bool report_write_files(const struct report *report) {
    const struct options *options = report->options;
    char path[4096];
    bool done = !options->svg || write_plot(report);
    if (!options->hdr)
        return done;
    done = write_histogram(&report->client->latency, options->hdr) && done;
    if (options->rate == 0)
        return done;
    snprintf(path, sizeof path, "%s.uncorrected", options->hdr);
    return write_histogram(&report->client->service, path) && done;
}
