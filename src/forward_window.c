/* The window of what is in flight; see forward_window.h. */
#include "forward_window.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int forward_window_init(struct forward_window *window, size_t capacity) {
    assert(capacity > 0);
    *window = (struct forward_window){.capacity = capacity};
    window->slots = calloc(capacity, sizeof *window->slots);
    return window->slots ? 0 : -ENOMEM;
}

void forward_window_deinit(struct forward_window *window) {
    free(window->slots);
    *window = (struct forward_window){0};
}

static struct forward_slot *slot_of(const struct forward_window *window, uint64_t ticket) {
    return window->slots + ticket % window->capacity;
}

int forward_window_push(struct forward_window *window, const struct forward_slot *slot,
                        uint64_t *ticket) {
    if (forward_window_count(window) == window->capacity)
        return FORWARD_WINDOW_FULL;
    *ticket = window->next++;
    struct forward_slot *place = slot_of(window, *ticket);
    *place = *slot;
    place->acknowledged = false;
    window->bytes += slot->bytes;
    return 0;
}

int forward_window_acknowledge(struct forward_window *window, uint64_t ticket) {
    if (ticket < window->first || ticket >= window->next || slot_of(window, ticket)->acknowledged)
        return FORWARD_WINDOW_STRANGE;
    slot_of(window, ticket)->acknowledged = true;
    return 0;
}

size_t forward_window_advance(struct forward_window *window, struct forward_slot *last) {
    size_t done = 0;
    for (; window->first < window->next; window->first++, done++) {
        const struct forward_slot *slot = slot_of(window, window->first);
        if (!slot->acknowledged)
            break;
        window->bytes -= slot->bytes;
        *last = *slot;
    }
    return done;
}

size_t forward_window_clear(struct forward_window *window) {
    size_t count = forward_window_count(window);
    window->first = window->next;
    window->bytes = 0;
    return count;
}

bool forward_window_has_room(const struct forward_window *window, size_t max_count,
                             size_t max_bytes) {
    return forward_window_count(window) < max_count && window->bytes < max_bytes;
}
