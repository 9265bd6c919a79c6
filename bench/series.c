/* Counts over time; see series.h. */
#include "series.h"

#include <string.h>

void series_reset(struct series *series, uint64_t slot_ns) {
    memset(series, 0, sizeof *series);
    series->slot_ns = slot_ns;
}

static void halve(struct series *series) {
    for (unsigned i = 0; i < SERIES_SLOTS / 2; i++)
        series->counts[i] = series->counts[2 * i] + series->counts[2 * i + 1];
    memset(series->counts + SERIES_SLOTS / 2, 0, sizeof series->counts / 2);
    series->used = (series->used + 1) / 2;
    series->slot_ns *= 2;
}

void series_add(struct series *series, uint64_t at_ns) {
    while (at_ns / series->slot_ns >= SERIES_SLOTS)
        halve(series);
    unsigned slot = (unsigned)(at_ns / series->slot_ns);
    series->counts[slot]++;
    if (slot >= series->used)
        series->used = slot + 1;
}
