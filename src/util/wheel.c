/* The timer wheel; see wheel.h. */
#include "util/wheel.h"

void wheel_init(struct wheel *wheel, uint64_t now_ms) {
    for (int i = 0; i < WHEEL_SLOTS; i++)
        list_init(&wheel->slots[i]);
    list_init(&wheel->due);
    wheel->tick = now_ms / WHEEL_TICK_MS;
    wheel->stopped_ms = 0;
}

void wheel_node_init(struct wheel_node *node, void (*on_due)(struct wheel_node *node)) {
    list_init(&node->link);
    node->on_due = on_due;
    node->deadline_ms = 0;
    node->slot_tick = 0;
}

/* The first tick at which the deadline has passed, but at most one turn of the wheel ahead. */
static uint64_t tick_for(const struct wheel *wheel, uint64_t deadline_ms) {
    uint64_t tick = (deadline_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
    if (tick <= wheel->tick)
        return wheel->tick + 1;
    if (tick > wheel->tick + WHEEL_SLOTS - 1)
        return wheel->tick + WHEEL_SLOTS - 1;
    return tick;
}

/* `deadline_ms`: of the time that counts. */
static void put(struct wheel *wheel, struct wheel_node *node, uint64_t deadline_ms) {
    bool linked = !list_is_empty(&node->link);
    uint64_t tick = tick_for(wheel, deadline_ms);
    node->deadline_ms = deadline_ms;
    if (linked && node->slot_tick <= tick)
        return; /* its slot comes round first and moves it on */
    list_remove(&node->link);
    node->slot_tick = tick;
    list_append(&wheel->slots[tick % WHEEL_SLOTS], &node->link);
}

void wheel_arm(struct wheel *wheel, struct wheel_node *node, uint64_t deadline_ms) {
    put(wheel, node, deadline_ms - wheel->stopped_ms);
}

void wheel_stop(struct wheel *wheel, uint64_t stopped_ms) {
    wheel->stopped_ms += stopped_ms;
}

void wheel_disarm(struct wheel_node *node) {
    list_remove(&node->link);
    node->deadline_ms = 0;
}

/* Takes the slot's nodes aside: on_due may arm a node into the very slot. */
static void take_slot(struct wheel *wheel) {
    struct list *slot = &wheel->slots[wheel->tick % WHEEL_SLOTS], *due = &wheel->due;
    if (list_is_empty(slot))
        return;
    due->prev->next = slot->next;
    slot->next->prev = due->prev;
    slot->prev->next = due;
    due->prev = slot->prev;
    list_init(slot);
}

static unsigned visit_due(struct wheel *wheel, uint64_t now_ms, unsigned most) {
    unsigned count = 0;
    while (count < most && !list_is_empty(&wheel->due)) {
        struct wheel_node *node = container_of(wheel->due.next, struct wheel_node, link);
        list_remove(&node->link);
        if (node->deadline_ms > now_ms) {
            put(wheel, node, node->deadline_ms);
            continue;
        }
        node->deadline_ms = 0;
        node->on_due(node);
        count++;
    }
    return count;
}

unsigned wheel_advance(struct wheel *wheel, uint64_t now_ms, unsigned most) {
    now_ms -= wheel->stopped_ms;
    uint64_t target = now_ms / WHEEL_TICK_MS;
    unsigned count = visit_due(wheel, now_ms, most);

    /* After a long pause one full turn reaches every slot. */
    if (target > wheel->tick + WHEEL_SLOTS)
        wheel->tick = target - WHEEL_SLOTS;
    while (count < most && wheel->tick < target) {
        wheel->tick++;
        take_slot(wheel);
        count += visit_due(wheel, now_ms, most - count);
    }
    return count;
}
