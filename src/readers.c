/* Held readers; see readers.h. */
#include "readers.h"

#include <string.h>

/* The ring keeps what the one furthest behind has not committed. */
static void update_hold(struct readers *readers) {
    uint64_t seq = UINT64_MAX;
    for (unsigned i = 0; i < READERS_MAX; i++)
        if (readers->all[i].holds && readers->places[i].seq + 1 < seq)
            seq = readers->places[i].seq + 1;
    ring_set_hold(readers->ring, seq);
}

static bool is_name(struct span name) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (name.len == 0 || name.len > READERS_NAME_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!memchr(letters, name.ptr[i], sizeof letters - 1))
            return false;
    return true;
}

void readers_init(struct readers *readers, struct ring *ring, uint64_t max_hold_ms) {
    *readers =
        (struct readers){.ring = ring, .places = ring_held(ring), .max_hold_ms = max_hold_ms};
    for (unsigned i = 0; i < READERS_MAX; i++) {
        if (!is_name(span_from_string(readers->places[i].name)))
            readers->places[i].name[0] = 0;
        readers->all[i].holds = readers->places[i].name[0];
    }
    update_hold(readers);
}

unsigned readers_find(const struct readers *readers, struct span name) {
    unsigned i = 0;
    while (i < READERS_MAX &&
           (!name.len || !span_equals(span_from_string(readers->places[i].name), name)))
        i++;
    return i;
}

static unsigned find_free(const struct readers *readers) {
    unsigned i = 0;
    while (i < READERS_MAX && readers->places[i].name[0])
        i++;
    return i;
}

/* The place first, then the name that makes it one: there is never half of a reader. */
static void make(struct readers *readers, unsigned i, struct span name, uint64_t seq) {
    struct ring_held *place = &readers->places[i];
    place->seq = seq;
    memcpy(place->name + 1, name.ptr + 1, name.len - 1);
    place->name[name.len] = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    place->name[0] = name.ptr[0];
}

int readers_commit(struct readers *readers, struct span name, uint64_t seq) {
    unsigned i = readers_find(readers, name);
    int result = READERS_OK;
    if (!is_name(name))
        return READERS_BAD_NAME;
    if (seq >= ring_next_seq(readers->ring))
        return READERS_FUTURE;
    if (i == READERS_MAX) {
        i = find_free(readers);
        if (i == READERS_MAX)
            return READERS_FULL;
        make(readers, i, name, seq);
        result = READERS_CREATED;
    }
    if (result == READERS_CREATED)
        readers->all[i].sent_seq = 0;
    if (seq > readers->places[i].seq || result == READERS_CREATED || !readers->all[i].holds)
        readers->all[i].waiting_ms = 0;
    if (seq > readers->places[i].seq)
        readers->places[i].seq = seq;
    readers->all[i].holds = true;
    update_hold(readers);
    return result;
}

int readers_remove(struct readers *readers, struct span name) {
    unsigned i = readers_find(readers, name);
    if (i == READERS_MAX)
        return READERS_UNKNOWN;
    readers->places[i].name[0] = 0;
    readers->all[i].holds = false;
    update_hold(readers);
    return READERS_OK;
}

void readers_tick(struct readers *readers, uint64_t now_ms,
                  void (*ended)(void *context, const char *name), void *context) {
    bool any = false;
    for (unsigned i = 0; i < READERS_MAX; i++) {
        bool waits =
            readers->all[i].holds && readers->places[i].seq + 1 < ring_next_seq(readers->ring);
        if (!waits || !readers->all[i].waiting_ms) {
            readers->all[i].waiting_ms = waits ? now_ms : 0;
        } else if (now_ms - readers->all[i].waiting_ms >= readers->max_hold_ms) {
            readers->all[i].holds = false;
            any = true;
            ended(context, readers->places[i].name);
        }
    }
    if (any)
        update_hold(readers);
}
