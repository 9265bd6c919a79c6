/* The counters' file; see forward_metrics.h. */
#include "forward_metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct sample {
    const char *name, *type, *help;
    uint64_t value;
};

static void put_samples(FILE *out, const struct sample *samples, size_t count, const char *labels) {
    for (size_t i = 0; i < count; i++) {
        const struct sample *s = samples + i;
        fprintf(out,
                "# HELP rollcall_forward_%s %s\n# TYPE rollcall_forward_%s %s\n"
                "rollcall_forward_%s{%s} %" PRIu64 "\n",
                s->name, s->help, s->name, s->type, s->name, labels, s->value);
    }
}

static void put_time(FILE *out, const char *name, const char *help, int64_t us,
                     const char *labels) {
    if (us)
        fprintf(out,
                "# HELP rollcall_forward_%s %s\n# TYPE rollcall_forward_%s gauge\n"
                "rollcall_forward_%s{%s} %.6f\n",
                name, help, name, name, labels, (double)us / 1e6);
}

static void put_all(const struct forward_metrics *m, FILE *out, const char *labels) {
    const struct sample samples[] = {
        {"published_total", "counter", "Messages handed to the sink, gaps and repeats included.",
         m->published},
        {"published_bytes_total", "counter", "Their bodies.", m->published_bytes},
        {"acknowledged_total", "counter", "Messages that the sink has for good.", m->acknowledged},
        {"duplicates_total", "counter", "Of these, those that it had already.", m->duplicates},
        {"again_total", "counter", "Messages whose acknowledgement an outage cost: they go again.",
         m->again},
        {"gaps_total", "counter", "Gaps that the node has told of.", m->gaps},
        {"lost_total", "counter", "Events lost in them, as far as their number is known.", m->lost},
        {"too_large_total", "counter", "Events that the sink takes none of, by their size.",
         m->too_large},
        {"commits_total", "counter", "Commits of the node's held reader.", m->commits},
        {"node_outages_total", "counter", "How often the node went away.", m->node_outages},
        {"sink_outages_total", "counter", "How often the sink went away.", m->sink_outages},
        {"node_up", "gauge", "Whether the node's stream is open.", m->node_up},
        {"sink_up", "gauge", "Whether the sink is connected.", m->sink_up},
        {"in_flight", "gauge", "Messages that wait for their acknowledgement.", m->in_flight},
    };
    put_samples(out, samples, sizeof samples / sizeof *samples, labels);
    put_time(out, "last_acknowledged_timestamp_seconds", "When the sink last acknowledged.",
             m->acknowledged_us, labels);
    put_time(out, "last_event_timestamp_seconds",
             "When the node received the last event that is acknowledged.", m->received_us, labels);
}

int forward_metrics_write(const struct forward_metrics *metrics, const char *path,
                          const char *reader, const char *sink) {
    char *beside = NULL, *labels = NULL;
    FILE *out = NULL;
    int rc = 0;
    if (asprintf(&beside, "%s.new", path) < 0)
        beside = NULL;
    if (asprintf(&labels, "reader=\"%s\",sink=\"%s\"", reader, sink) < 0)
        labels = NULL;
    if (!beside || !labels)
        rc = -ENOMEM;
    if (rc == 0 && !(out = fopen(beside, "we")))
        rc = -errno;
    if (out) {
        put_all(metrics, out, labels);
        if (ferror(out) | fclose(out))
            rc = errno ? -errno : -EIO;
        if (rc == 0 && rename(beside, path))
            rc = -errno;
        if (rc)
            unlink(beside);
    }
    free(beside);
    free(labels);
    return rc;
}
