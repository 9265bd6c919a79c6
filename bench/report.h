/* What rollcall-bench says in the end, and the line it shows on the way. */
#ifndef ROLLCALL_BENCH_REPORT_H
#define ROLLCALL_BENCH_REPORT_H

#include <stdio.h>

#include "client.h"
#include "options.h"
#include "search.h"
#include "usage.h"
#include "verify.h"

struct report {
    const struct options *options;
    const struct client *client;
    const struct verify *verify; /* NULL without --verify */
    struct usage own, server;    /* spent while it was measured */
    bool has_server;
    uint64_t idle_before_kib, idle_after_kib; /* the server's RSS around opening idle connections */
    uint64_t slow_before_kib, slow_after_kib; /* and slow ones */
};

/* Whether all went well: what the exit status says. */
bool report_is_ok(const struct report *report);
void report_print(const struct report *report, FILE *out);
void report_print_json(const struct report *report, FILE *out);
double report_idle_kib(const struct report *report);
/* One step of --find-max (search->rate's), and what came of all. */
void report_step(const struct report *report, const struct search *search, bool kept, FILE *out);
void report_found(const struct report *report, const struct search *search, FILE *out);
/* Those that the options name; false after one line on stderr. */
bool report_write_files(const struct report *report);
/* On a terminal, over the last one; nowhere else. */
void report_progress(const struct report *report, double seconds);

#endif
