/* The run as a picture: latency by percentile, and the rate over time. One SVG file that needs
 * nothing else, and is readable on light and on dark ground. */
#ifndef ROLLCALL_BENCH_PLOT_H
#define ROLLCALL_BENCH_PLOT_H

#include <stdio.h>

#include "histogram.h"
#include "series.h"

struct plot_curve {
    const char *name;
    const struct histogram *histogram; /* of ns */
};

enum { PLOT_MAX_CURVES = 2 };

struct plot {
    const char *title; /* needs no escape */
    struct plot_curve curves[PLOT_MAX_CURVES];
    unsigned curve_count;
    const struct series *answers;
    double seconds; /* the measured part */
    double rate;    /* that was planned; 0: none */
};

void plot_write(const struct plot *plot, FILE *out);

#endif
