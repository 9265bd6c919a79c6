/* Latencies in ns, counted in log-linear buckets as HdrHistogram does: three significant digits,
 * fixed memory, no allocation. */
#ifndef ROLLCALL_BENCH_HISTOGRAM_H
#define ROLLCALL_BENCH_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

enum {
    HISTOGRAM_SUB_BITS = 11, /* 2048 steps an octave pair: an error of at most 1 in 1024 */
    HISTOGRAM_MAX_BITS = 42, /* 4.4e12 ns, over an hour; what is longer counts as that */
    HISTOGRAM_BUCKETS = (HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 2) << (HISTOGRAM_SUB_BITS - 1),
};

struct histogram {
    uint64_t count, min, max;
    double sum;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_reset(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t value);
/* The value that `percent` of all values do not exceed, within the buckets' error; 0 when empty. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);
double histogram_mean(const struct histogram *histogram);
/* Standard deviation, within the buckets' error. */
double histogram_deviation(const struct histogram *histogram);
/* The percentile distribution as HdrHistogram's tools read it, values in ms. */
void histogram_print(const struct histogram *histogram, FILE *out);

#endif
