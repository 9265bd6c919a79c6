/* Results as text and as JSON; see report.h. */
#include "report.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const double percents[] = {50, 90, 99, 99.9, 99.99};

static bool read_text(const char *path, char *text, size_t cap) {
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t len = fread(text, 1, cap - 1, file);
    fclose(file);
    text[len] = 0;
    return len > 0;
}

static uint64_t status_kib(const char *status, const char *name) {
    const char *found = strstr(status, name);
    return found ? strtoull(found + strlen(name), NULL, 10) : 0;
}

/* In clock ticks of 10 ms as a rule. */
static bool read_cpu(const char *stat, struct report_usage *usage) {
    unsigned long user, system;
    const char *behind_name = strrchr(stat, ')'); /* the name may hold anything */
    if (!behind_name ||
        sscanf(behind_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system) != 2)
        return false;
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    usage->user_s = (double)user * tick;
    usage->system_s = (double)system * tick;
    return true;
}

static double seconds_of(const struct timeval *time) {
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

bool report_read_usage(unsigned pid, struct report_usage *usage) {
    char path[64], text[4096];
    struct rusage own;
    *usage = (struct report_usage){0};
    if (pid) {
        snprintf(path, sizeof path, "/proc/%u/stat", pid);
        if (!read_text(path, text, sizeof text) || !read_cpu(text, usage))
            return false;
        snprintf(path, sizeof path, "/proc/%u/status", pid);
    } else {
        if (getrusage(RUSAGE_SELF, &own))
            return false;
        usage->user_s = seconds_of(&own.ru_utime);
        usage->system_s = seconds_of(&own.ru_stime);
        snprintf(path, sizeof path, "/proc/self/status");
    }
    if (read_text(path, text, sizeof text)) {
        usage->rss_kib = status_kib(text, "\nVmRSS:");
        usage->peak_kib = status_kib(text, "\nVmHWM:");
    }
    return true;
}

static double run_seconds(const struct client *client) {
    return client->end_ns > client->measure_ns ? (double)(client->end_ns - client->measure_ns) / 1e9
                                               : 0;
}

static double per_second(uint64_t count, double seconds) {
    return seconds > 0 ? (double)count / seconds : 0;
}

static uint64_t observation_count(const struct report *report) {
    return report->client->figures.by_code[200] * report->options->observations;
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

static void print_usage(FILE *out, const char *name, const struct report_usage *usage,
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

static void print_answers(FILE *out, const struct client_figures *figures) {
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
    fprintf(out, "%-22s  %llu\n", "observations", (unsigned long long)observation_count(report));
    fprintf(out, "%-22s  %.0f requests/s, %.0f observations/s, %.1f MB/s out, %.1f MB/s in\n",
            "rate", per_second(figures->answered, seconds),
            per_second(observation_count(report), seconds),
            per_second(figures->bytes_out, seconds) / 1e6,
            per_second(figures->bytes_in, seconds) / 1e6);
    print_answers(out, figures);
    if (options->rate > 0) {
        print_latency(out, "latency from planned", &client->latency);
        print_latency(out, "latency from sent", &client->service);
    } else {
        print_latency(out, "latency", &client->latency);
    }
    print_usage(out, "this generator", &report->own, report);
    if (report->has_server)
        print_usage(out, "server", &report->server, report);
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

static void print_json_usage(FILE *out, const char *name, const struct report_usage *usage) {
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
    fprintf(out, "},\"reconnects\":%llu,\"unsent\":%llu", (unsigned long long)figures->reconnects,
            (unsigned long long)figures->unsent);
}

static void print_json_verify(FILE *out, const struct verify *verify) {
    const struct verify_figures *v = &verify->figures;
    fprintf(out,
            ",\"verify\":{\"ok\":%s,\"arrived\":%llu,\"lost\":%llu,\"doubled\":%llu,"
            "\"reordered\":%llu,\"gaps\":%llu,\"unanswered\":%llu,\"foreign\":%llu,"
            "\"capped\":%llu",
            verify_is_ok(verify) ? "true" : "false", (unsigned long long)v->ours,
            (unsigned long long)verify_lost(verify), (unsigned long long)v->doubled,
            (unsigned long long)v->reordered, (unsigned long long)v->gaps,
            (unsigned long long)v->unanswered, (unsigned long long)v->foreign,
            (unsigned long long)v->capped);
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
            per_second(figures->answered, seconds), (unsigned long long)observation_count(report),
            per_second(observation_count(report), seconds));
    fprintf(out, ",\"bytes_out\":%llu,\"bytes_in\":%llu", (unsigned long long)figures->bytes_out,
            (unsigned long long)figures->bytes_in);
    print_json_answers(out, figures);
    print_json_latency(out, "latency_ns", &client->latency);
    print_json_latency(out, "service_ns", open_loop ? &client->service : &client->latency);
    print_json_usage(out, "generator", &report->own);
    if (report->has_server)
        print_json_usage(out, "server", &report->server);
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
