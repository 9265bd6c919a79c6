/* The tail's counts; see tail_stats.h. */
#include "tail_stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tail_message.h"

enum { LIVE_EVERY_MS = 1000, SAY_EVERY_MS = 10000, COUNT_BYTES = 32 };

/* 1234567 as 1,234,567. */
static const char *group(uint64_t value, char dst[COUNT_BYTES]) {
    char *p = dst + COUNT_BYTES - 1;
    *p = 0;
    for (unsigned digits = 0; digits == 0 || value; value /= 10) {
        if (digits && digits % 3 == 0)
            *--p = ',';
        *--p = (char)('0' + value % 10);
        digits++;
    }
    return p;
}

static uint64_t rate(uint64_t events, uint64_t ms) {
    return events * 1000 / (ms ? ms : 1);
}

/* "; 2 gaps, 17 lost" or nothing. */
static void format_trouble(const struct tail_stats *stats, char *dst, size_t size) {
    char lost[COUNT_BYTES];
    int len = 0;
    dst[0] = 0;
    if (stats->gaps)
        len = snprintf(dst, size, "; %" PRIu64 " gap%s, %s%s lost", stats->gaps,
                       stats->gaps == 1 ? "" : "s", stats->lost_unknown ? "at least " : "",
                       group(stats->lost, lost));
    if (stats->reconnects)
        snprintf(dst + len, size - (size_t)len, "; connected again %" PRIu64 " time%s",
                 stats->reconnects, stats->reconnects == 1 ? "" : "s");
}

void tail_stats_init(struct tail_stats *stats, uint64_t now_ms) {
    *stats = (struct tail_stats){
        .on = true, .live = isatty(STDERR_FILENO) == 1, .begun_ms = now_ms, .shown_ms = now_ms};
}

uint64_t tail_stats_due_ms(const struct tail_stats *stats) {
    if (!stats->on)
        return UINT64_MAX;
    return stats->shown_ms + (stats->live ? LIVE_EVERY_MS : SAY_EVERY_MS);
}

void tail_stats_tick(struct tail_stats *stats, uint64_t now_ms) {
    char text[192], trouble[96], total[COUNT_BYTES], each[COUNT_BYTES];
    if (now_ms < tail_stats_due_ms(stats))
        return;
    uint64_t per_second = rate(stats->events - stats->shown_events, now_ms - stats->shown_ms);
    format_trouble(stats, trouble, sizeof trouble);
    snprintf(text, sizeof text, "%s events/s, %s events%s", group(per_second, each),
             group(stats->events, total), trouble);
    stats->shown_ms = now_ms;
    stats->shown_events = stats->events;
    if (stats->live)
        tail_status_set(text);
    else
        tail_say("%s", text);
}

void tail_stats_end(struct tail_stats *stats, uint64_t now_ms) {
    char trouble[96], total[COUNT_BYTES], each[COUNT_BYTES];
    uint64_t ms = now_ms - stats->begun_ms;
    if (!stats->on)
        return;
    tail_status_set("");
    format_trouble(stats, trouble, sizeof trouble);
    tail_say("%s events in %" PRIu64 ".%" PRIu64 " s (%s/s)%s", group(stats->events, total),
             ms / 1000, ms / 100 % 10, group(rate(stats->events, ms), each), trouble);
}
