/* Endpoints by path; see routes.h. */
#include "routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t hash_path(struct span path) {
    uint64_t hash = 14695981039346656037ULL; /* FNV-1a: the table holds only what was configured */
    for (size_t i = 0; i < path.len; i++)
        hash = (hash ^ (unsigned char)path.ptr[i]) * 1099511628211ULL;
    return (size_t)(hash ^ hash >> 32);
}

struct route *routes_find(const struct routes *routes, struct span path) {
    for (size_t i = hash_path(path);; i++) {
        struct route *route = routes->table[i & routes->mask];
        if (!route || span_equals(span_from_string(route->endpoint->path), path))
            return route;
    }
}

static int build_table(struct routes *routes) {
    size_t slots = 8;
    while (slots < routes->count * 2)
        slots *= 2;
    // Pointers are what the table holds. NOLINTNEXTLINE(bugprone-sizeof-expression)
    routes->table = calloc(slots, sizeof *routes->table);
    if (!routes->table)
        return -ENOMEM;
    routes->mask = slots - 1;
    for (size_t r = 0; r < routes->count; r++) {
        size_t i = hash_path(span_from_string(routes->all[r].endpoint->path));
        while (routes->table[i & routes->mask])
            i++;
        routes->table[i & routes->mask] = &routes->all[r];
    }
    return 0;
}

/* The state of the endpoint of that name before, or a new one. NULL: out of memory. The search
 * goes on where the last one ended: from one configuration to the next, the order hardly changes.
 */
static struct route_state *take_state(const struct routes *before, const char *name,
                                      size_t *search) {
    for (size_t i = 0; before && i < before->count; i++) {
        size_t at = (*search + i) % before->count;
        if (strcmp(before->all[at].endpoint->name, name) == 0) {
            *search = at + 1;
            before->all[at].state->references++;
            return before->all[at].state;
        }
    }
    struct route_state *state = calloc(1, sizeof *state);
    if (state)
        state->references = 1;
    return state;
}

int routes_new(struct routes **out, struct config *config, const struct routes *before) {
    size_t count = 0, search = 0;
    for (const struct config_endpoint *e = config->endpoints; e; e = e->next)
        count++;
    struct routes *routes = calloc(1, sizeof *routes + count * sizeof *routes->all);
    if (!routes)
        return -ENOMEM;
    routes->references = 1;
    routes->config = config_ref(config);
    for (const struct config_endpoint *e = config->endpoints; e; e = e->next) {
        struct route *route = &routes->all[routes->count];
        *route = (struct route){e, take_state(before, e->name, &search), routes};
        if (!route->state) {
            routes_unref(routes);
            return -ENOMEM;
        }
        routes->count++;
    }
    if (build_table(routes)) {
        routes_unref(routes);
        return -ENOMEM;
    }
    *out = routes;
    return 0;
}

struct routes *routes_ref(struct routes *routes) {
    routes->references++;
    return routes;
}

void routes_unref(struct routes *routes) {
    if (!routes || --routes->references)
        return;
    for (size_t i = 0; i < routes->count; i++)
        if (--routes->all[i].state->references == 0)
            free(routes->all[i].state);
    config_unref(routes->config);
    free(routes->table);
    free(routes);
}

void route_count_code(struct route_code *codes, int status) {
    unsigned i = 0;
    while (i < ROUTE_CODES - 1 && codes[i].status && codes[i].status != status)
        i++;
    codes[i].status = status;
    codes[i].count++;
}

void route_count_events(struct route_state *state, struct span kind, unsigned count) {
    unsigned i = 0;
    /* One with escapes would mean something else in a label; and "other" is that of those which
     * have no place. */
    if (kind.len > 0 && kind.len <= ROUTE_KIND_BYTES && !memchr(kind.ptr, '\\', kind.len) &&
        !span_equals(kind, SPAN("other")))
        while (i < ROUTE_KINDS && state->kinds[i].name[0] &&
               !span_equals(span_from_string(state->kinds[i].name), kind))
            i++;
    else
        i = ROUTE_KINDS;
    if (i == ROUTE_KINDS) {
        state->other_kinds += count;
        return;
    }
    memcpy(state->kinds[i].name, kind.ptr, kind.len);
    state->kinds[i].count += count;
}
