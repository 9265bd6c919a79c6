/* rollcall-forward's counters, and the file that Prometheus' textfile collector reads. */
#ifndef ROLLCALL_FORWARD_METRICS_H
#define ROLLCALL_FORWARD_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "util/err.h"

struct forward_metrics {
    uint64_t published, published_bytes;
    uint64_t acknowledged, duplicates, again; /* again: forgotten in flight, to be published anew */
    uint64_t gaps, lost, too_large, commits;
    uint64_t node_outages, sink_outages;
    bool node_up, sink_up;
    uint64_t in_flight;
    int64_t acknowledged_us; /* realtime, of the last acknowledgement; 0: none yet */
    int64_t received_us;     /* when the node received what was acknowledged last; 0: unknown */
};

/* Replaces the file by rename, so that a reader sees it whole. 0 or -errno. */
int forward_metrics_write(const struct forward_metrics *metrics, const char *path,
                          const char *reader, const char *sink) MUST_CHECK;

#endif
