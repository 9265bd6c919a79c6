/* How many events come, for `rollcall-tail --stats`. */
#ifndef ROLLCALL_TAIL_STATS_H
#define ROLLCALL_TAIL_STATS_H

#include <stdbool.h>
#include <stdint.h>

struct tail_stats {
    bool on, live; /* live: a line on a terminal that is drawn over; else one line every 10 s */
    uint64_t events, gaps, lost, reconnects;
    bool lost_unknown; /* there were gaps that nobody knows the size of */
    uint64_t begun_ms, shown_ms, shown_events;
};

void tail_stats_init(struct tail_stats *stats, uint64_t now_ms);
/* Shows what is due. */
void tail_stats_tick(struct tail_stats *stats, uint64_t now_ms);
/* When the next is due; UINT64_MAX for never. */
uint64_t tail_stats_due_ms(const struct tail_stats *stats);
void tail_stats_end(struct tail_stats *stats, uint64_t now_ms);

#endif
