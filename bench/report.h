/* What rollcall-bench says in the end, and the line it shows on the way. */
#ifndef ROLLCALL_BENCH_REPORT_H
#define ROLLCALL_BENCH_REPORT_H

#include <stdio.h>

#include "client.h"
#include "options.h"
#include "verify.h"

/* CPU time and memory of a process. */
struct report_usage {
    double user_s, system_s;
    uint64_t rss_kib, peak_kib; /* 0 where unknown */
};

struct report {
    const struct options *options;
    const struct client *client;
    const struct verify *verify;     /* NULL without --verify */
    struct report_usage own, server; /* spent while it was measured */
    bool has_server;
};

/* Of this process (pid 0) or another's, from /proc. False where it cannot be read. */
bool report_read_usage(unsigned pid, struct report_usage *usage);
/* Whether all went well: what the exit status says. */
bool report_is_ok(const struct report *report);
void report_print(const struct report *report, FILE *out);
void report_print_json(const struct report *report, FILE *out);
/* On a terminal, over the last one; nowhere else. */
void report_progress(const struct report *report, double seconds);

#endif
