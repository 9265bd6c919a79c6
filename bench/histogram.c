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
