/* A timer wheel for many deadlines that are nearly always moved before they pass. Time is what the
 * caller says it is (a monotonic clock in ms); the wheel knows no clock and no event loop.
 *
 * Moving a deadline later is one store: the node stays in its slot and is put further on when the
 * slot comes round. A deadline fires at most one tick (WHEEL_TICK_MS) late, never early. */
#ifndef ROLLCALL_UTIL_WHEEL_H
#define ROLLCALL_UTIL_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "util/list.h"

enum { WHEEL_TICK_MS = 250, WHEEL_SLOTS = 512 };

struct wheel_node {
    struct list link;
    void (*on_due)(struct wheel_node *node);
    uint64_t deadline_ms; /* less what had not counted by then; 0 while not armed */
    uint64_t slot_tick;   /* the tick at which its slot is looked at next */
};

struct wheel {
    struct list slots[WHEEL_SLOTS];
    struct list due;     /* out of the slot of `tick`, not looked at yet */
    uint64_t tick;       /* the last tick whose slot was emptied */
    uint64_t stopped_ms; /* how much of the caller's time has not counted */
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);
/* on_due is called when a deadline has passed, the node disarmed beforehand; it may arm and disarm
 * any node, and free its own. */
void wheel_node_init(struct wheel_node *node, void (*on_due)(struct wheel_node *node));
/* Arms the node or moves its deadline, earlier or later. */
void wheel_arm(struct wheel *wheel, struct wheel_node *node, uint64_t deadline_ms);
/* So much of the time that has passed does not count: all that is armed is put off by it. */
void wheel_stop(struct wheel *wheel, uint64_t stopped_ms);
/* Disarms; idempotent. */
void wheel_disarm(struct wheel_node *node);
/* Calls on_due of the nodes whose deadline has passed, but of no more than `most`: so that
 * thousands that pass together hold up nobody. Returns how many were called; where it was `most`,
 * there may be others, whom the next call finds. */
unsigned wheel_advance(struct wheel *wheel, uint64_t now_ms, unsigned most);

#endif
