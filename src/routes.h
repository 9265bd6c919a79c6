/* Which endpoint a path belongs to, and what is kept of each endpoint while the node runs. Made
 * anew from each configuration; counted, because a request under way goes on by the one that it
 * began with. What an endpoint has counted so far passes on to its successor of the same name. */
#ifndef ROLLCALL_ROUTES_H
#define ROLLCALL_ROUTES_H

#include <stdint.h>

#include "config.h"
#include "quota.h"
#include "util/err.h"
#include "util/span.h"

enum {
    ROUTE_CODES = 24, /* statuses that are told apart */
    ROUTE_KINDS = 32, /* kinds of events that are; a sender may invent any number of them */
    ROUTE_KIND_BYTES = 64,
    ROUTE_WHERE_BYTES = 96,
};

struct route_code {
    int status; /* 0: the place is free */
    uint64_t count;
};

struct route_kind {
    char name[ROUTE_KIND_BYTES + 1]; /* as it stands in lines; "": the place is free */
    uint64_t count;
};

/* The latest of a sort of trouble with what a sender posts. */
struct route_trouble {
    int64_t time_us;    /* Unix time; 0: never */
    const char *reason; /* static text */
    int status;
    char where[ROUTE_WHERE_BYTES]; /* in the body, may hold what the peer wrote; "": says nothing */
};

/* What outlives a reload. Counts since the endpoint was first configured; never reset. */
struct route_state {
    unsigned references;
    struct quota quota;
    uint64_t accepted, duplicates, rejected; /* events; parts of bodies */
    uint64_t late;                           /* of those accepted, see BATCH_LATE_MS */
    int64_t last_event_us;                   /* Unix time; 0: never */
    struct route_trouble last_error;         /* of those answered 4xx or 5xx */
    struct route_trouble last_unread;        /* of bodies answered 200 and not read in full */
    struct route_code codes[ROUTE_CODES];
    struct route_kind kinds[ROUTE_KINDS];
    uint64_t other_kinds; /* events of kinds that had no place */
};

struct route {
    const struct config_endpoint *endpoint;
    struct route_state *state;
    struct routes *routes; /* it is part of */
};

struct routes {
    unsigned references;
    struct config *config; /* counted */
    size_t count;
    size_t mask;          /* of the table */
    struct route **table; /* by hash of the path; open addressing */
    struct route all[];   /* in the configuration's order */
};

/* Takes a reference to the configuration. `before` may be NULL. 0 or -ENOMEM. */
int routes_new(struct routes **routes, struct config *config,
               const struct routes *before) MUST_CHECK;
struct routes *routes_ref(struct routes *routes);
void routes_unref(struct routes *routes); /* NULL is fine */
/* ROUTE_CODES of them; past that the last place takes all. */
void route_count_code(struct route_code *codes, int status);
void route_count_events(struct route_state *state, struct span kind, unsigned count);
/* The endpoint of that path, or NULL. */
struct route *routes_find(const struct routes *routes, struct span path);

#endif
