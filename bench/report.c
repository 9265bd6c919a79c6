/* Results as text and as JSON; see report.h. */
#include "report.h"

#include <string.h>
#include <unistd.h>

static const double percents[] = {50, 90, 99, 99.9, 99.99};

bool report_read_usage(int pid, struct report_usage *usage) {
    char path[64], line[1024];
    unsigned long user, system;
    *usage = (struct report_usage){0};
    snprintf(path, sizeof path, "/proc/%d/stat", pid ? pid : (int)getpid());
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t len = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[len] = 0;
    const char *behind_name = strrchr(line, ')'); /* the name may hold anything */
    if (!behind_name ||
        sscanf(behind_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system) != 2)
        return false;
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    usage->user_s = (double)user * tick;
    usage->system_s = (double)system * tick;
    snprintf(path, sizeof path, "/proc/%d/status", pid ? pid : (int)getpid());
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        unsigned long long kib;
        if (sscanf(line, "VmRSS: %llu", &kib) == 1)
            usage->rss_kib = kib;
        if (sscanf(line, "VmHWM: %llu", &kib) == 1)
            usage->peak_kib = kib;
    }
    if (file)
        fclose(file);
    return true;
}

static double run_seconds(const struct client *client) {
    return client->end_ns > client->start_ns ? (double)(client->end_ns - client->start_ns) / 1e9
                                             : 0;
}

static double per_second(uint64_t count, double seconds) {
    return seconds > 0 ? (double)count / seconds : 0;
}

static uint64_t error_count(const struct client_figures *figures) {
    return figures->connect_errors + figures->broken + figures->invalid;
}

bool report_is_ok(const struct report *report) {
    const struct client_figures *figures = &report->client->figures;
    bool ok = error_count(figures) == 0 && figures->answered > 0 &&
              figures->by_status[2] == figures->answered;
    if (report->verify)
        ok = ok && !report->verify->failed && verify_lost(report->verify) == 0 &&
             report->verify->figures.doubled == 0 && report->verify->figures.reordered == 0 &&
             report->verify->figures.gaps == 0;
    return ok;
}

static void print_latency(FILE *out, const char *name, const struct histogram *histogram) {
    fprintf(out, "%-22s", name);
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++)
        fprintf(out, "  p%-5g %8.3f", percents[i],
                (double)histogram_percentile(histogram, percents[i]) / 1e6);
    fprintf(out, "  max %8.3f ms\n", (double)histogram->max / 1e6);
}

static void print_usage(FILE *out, const char *name, const struct report_usage *usage,
                        uint64_t requests) {
    double per = requests ? 1e6 / (double)requests : 0;
    fprintf(out, "%-22s  user %.2f us/request, system %.2f us/request, RSS %.1f MiB\n", name,
            usage->user_s * per, usage->system_s * per, (double)usage->rss_kib / 1024);
}

static void print_verify(FILE *out, const struct verify *verify) {
    const struct verify_figures *figures = &verify->figures;
    fprintf(out, "%-22s  %llu arrived, %llu lost, %llu doubled, %llu reordered, %llu gaps\n",
            "verified", (unsigned long long)figures->ours, (unsigned long long)verify_lost(verify),
            (unsigned long long)figures->doubled, (unsigned long long)figures->reordered,
            (unsigned long long)figures->gaps);
    if (figures->unanswered)
        fprintf(out, "%-22s  %llu observations of posts that were never answered\n", "",
                (unsigned long long)figures->unanswered);
    if (verify->failed)
        fprintf(out, "%-22s  %s\n", "", verify->error);
    print_latency(out, "post to line", &verify->latency);
}

void report_print(const struct report *report, FILE *out) {
    const struct client *client = report->client;
    const struct client_figures *figures = &client->figures;
    double seconds = run_seconds(client);
    fprintf(out, "%-22s  %llu in %.2f s on %u connections\n", "requests",
            (unsigned long long)figures->answered, seconds, report->options->connections);
    fprintf(out, "%-22s  %.0f requests/s, %.0f observations/s, %.1f MB/s out\n", "rate",
            per_second(figures->answered, seconds),
            per_second(figures->by_status[2] * report->options->observations, seconds),
            per_second(figures->bytes_out, seconds) / 1e6);
    fprintf(out, "%-22s", "answers");
    for (int i = 0; i < 6; i++)
        if (figures->by_status[i])
            fprintf(out, "  %d%s %llu", i, i ? "xx" : "",
                    (unsigned long long)figures->by_status[i]);
    fprintf(out, "\n%-22s  %llu connect, %llu broken, %llu invalid\n", "errors",
            (unsigned long long)figures->connect_errors, (unsigned long long)figures->broken,
            (unsigned long long)figures->invalid);
    if (report->options->rate > 0)
        print_latency(out, "latency from planned", &client->corrected);
    print_latency(out, report->options->rate > 0 ? "latency from sent" : "latency",
                  &client->service);
    print_usage(out, "this generator", &report->own, figures->answered);
    if (report->has_server)
        print_usage(out, "server", &report->server, figures->answered);
    if (report->verify)
        print_verify(out, report->verify);
}

static void print_json_latency(FILE *out, const char *name, const struct histogram *histogram) {
    fprintf(out, ",\"%s\":{\"mean\":%.0f", name, histogram_mean(histogram));
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++)
        fprintf(out, ",\"p%g\":%llu", percents[i],
                (unsigned long long)histogram_percentile(histogram, percents[i]));
    fprintf(out, ",\"max\":%llu}", (unsigned long long)histogram->max);
}

static void print_json_usage(FILE *out, const char *name, const struct report_usage *usage) {
    fprintf(out, ",\"%s\":{\"user_s\":%.2f,\"system_s\":%.2f,\"rss_kib\":%llu,\"peak_kib\":%llu}",
            name, usage->user_s, usage->system_s, (unsigned long long)usage->rss_kib,
            (unsigned long long)usage->peak_kib);
}

void report_print_json(const struct report *report, FILE *out) {
    const struct client *client = report->client;
    const struct client_figures *figures = &client->figures;
    double seconds = run_seconds(client);
    fprintf(out, "{\"ok\":%s,\"seconds\":%.3f,\"requests\":%llu,\"requests_per_s\":%.1f",
            report_is_ok(report) ? "true" : "false", seconds, (unsigned long long)figures->answered,
            per_second(figures->answered, seconds));
    fprintf(out, ",\"observations\":%llu,\"answers\":{",
            (unsigned long long)figures->by_status[2] * report->options->observations);
    const char *comma = "";
    for (int i = 0; i < 6; i++) {
        if (figures->by_status[i]) {
            fprintf(out, "%s\"%dxx\":%llu", comma, i, (unsigned long long)figures->by_status[i]);
            comma = ",";
        }
    }
    fprintf(out, "},\"errors\":{\"connect\":%llu,\"broken\":%llu,\"invalid\":%llu}",
            (unsigned long long)figures->connect_errors, (unsigned long long)figures->broken,
            (unsigned long long)figures->invalid);
    print_json_latency(out, "latency_ns", &client->corrected);
    print_json_latency(out, "service_ns", &client->service);
    print_json_usage(out, "generator", &report->own);
    if (report->has_server)
        print_json_usage(out, "server", &report->server);
    if (report->verify) {
        const struct verify_figures *v = &report->verify->figures;
        fprintf(out,
                ",\"verify\":{\"arrived\":%llu,\"lost\":%llu,\"doubled\":%llu,\"reordered\":%llu,"
                "\"gaps\":%llu,\"unanswered\":%llu",
                (unsigned long long)v->ours, (unsigned long long)verify_lost(report->verify),
                (unsigned long long)v->doubled, (unsigned long long)v->reordered,
                (unsigned long long)v->gaps, (unsigned long long)v->unanswered);
        print_json_latency(out, "latency_ns", &report->verify->latency);
        fputc('}', out);
    }
    fputs("}\n", out);
}

void report_progress(const struct report *report, double seconds) {
    const struct client *client = report->client;
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r%5.0f s  %llu requests  p99 %.3f ms  %llu errors\033[K", seconds,
            (unsigned long long)client->figures.answered,
            (double)histogram_percentile(&client->corrected, 99) / 1e6,
            (unsigned long long)error_count(&client->figures));
}
