/* Log-linear buckets; see histogram.h. */
#include "histogram.h"

#include <math.h>
#include <string.h>

enum { HALF = 1 << (HISTOGRAM_SUB_BITS - 1) };

void histogram_reset(struct histogram *histogram) {
    memset(histogram, 0, sizeof *histogram);
}

/* Values below 2 * HALF have a bucket each; above, every octave has HALF buckets. */
static unsigned bucket_of(uint64_t value) {
    if (value < 2 * HALF)
        return (unsigned)value;
    unsigned shift = 64 - HISTOGRAM_SUB_BITS - (unsigned)__builtin_clzll(value);
    return (shift + 1) * HALF + (unsigned)(value >> shift) - HALF;
}

/* The highest value that falls into the bucket. */
static uint64_t bucket_end(unsigned bucket) {
    if (bucket < 2 * HALF)
        return bucket;
    unsigned shift = bucket / HALF - 1;
    uint64_t low = bucket % HALF + HALF;
    return ((low + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value) {
    uint64_t limit = (1ULL << HISTOGRAM_MAX_BITS) - 1;
    if (histogram->count == 0 || value < histogram->min)
        histogram->min = value;
    if (value > histogram->max)
        histogram->max = value;
    histogram->count++;
    histogram->sum += (double)value;
    histogram->buckets[bucket_of(value < limit ? value : limit)]++;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent) {
    uint64_t rank = (uint64_t)ceil(percent * (double)histogram->count / 100 - 1e-9), seen = 0;
    if (histogram->count == 0)
        return 0;
    if (rank == 0)
        rank = 1;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank) {
            uint64_t end = bucket_end(i);
            return end < histogram->max ? end : histogram->max;
        }
    }
    return histogram->max;
}

double histogram_mean(const struct histogram *histogram) {
    return histogram->count ? histogram->sum / (double)histogram->count : 0;
}

double histogram_deviation(const struct histogram *histogram) {
    double mean = histogram_mean(histogram), squares = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        double off = (double)bucket_end(i) - mean;
        if (histogram->buckets[i])
            squares += off * off * (double)histogram->buckets[i];
    }
    return histogram->count ? sqrt(squares / (double)histogram->count) : 0;
}

/* Values that are at most as large as this one. */
static uint64_t count_up_to(const struct histogram *histogram, uint64_t value) {
    uint64_t limit = (1ULL << HISTOGRAM_MAX_BITS) - 1, seen = 0;
    for (unsigned i = 0; i <= bucket_of(value < limit ? value : limit); i++)
        seen += histogram->buckets[i];
    return seen;
}

enum { TICKS = 5 }; /* lines for each halving of the distance to 100 % */

void histogram_print(const struct histogram *histogram, FILE *out) {
    fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
            "1/(1-Percentile)");
    for (double percent = 0; histogram->count && percent < 100;) {
        uint64_t value = histogram_percentile(histogram, percent);
        uint64_t seen = count_up_to(histogram, value);
        if (seen == histogram->count)
            break;
        fprintf(out, "%12.3f %2.12f %10llu %14.2f\n", (double)value / 1e6, percent / 100,
                (unsigned long long)seen, 100 / (100 - percent));
        percent += 100 / (TICKS * exp2(floor(log2(100 / (100 - percent))) + 1));
    }
    if (histogram->count)
        fprintf(out, "%12.3f %2.12f %10llu\n", (double)histogram->max / 1e6, 1.0,
                (unsigned long long)histogram->count);
    fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", histogram_mean(histogram) / 1e6,
            histogram_deviation(histogram) / 1e6);
    fprintf(out, "#[Max     = %12.3f, Total count    = %12llu]\n", (double)histogram->max / 1e6,
            (unsigned long long)histogram->count);
    fprintf(out, "#[Buckets = %12u, SubBuckets     = %12u]\n",
            (unsigned)(HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1), 1U << HISTOGRAM_SUB_BITS);
}
