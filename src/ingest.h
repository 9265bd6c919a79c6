/* What one POST means: endpoint by path, method, auth, body to events, answer. Pure: requests in,
 * answers out; it knows no socket, no TLS and no loop, so tests and benches call it directly. */
#ifndef ROLLCALL_INGEST_H
#define ROLLCALL_INGEST_H

#include <stdint.h>

#include "batch.h"
#include "config.h"
#include "gunzip.h"
#include "http.h"
#include "json.h"
#include "privacy.h"
#include "ring.h"
#include "routes.h"
#include "util/err.h"

/* Counts since start; never reset. */
struct ingest_figures {
    uint64_t requests;   /* that came as far as an endpoint */
    uint64_t accepted;   /* events */
    uint64_t duplicates; /* events */
    uint64_t rejected;   /* parts of bodies */
    uint64_t refused;    /* requests answered 4xx or 5xx */
};

struct ingest {
    struct config *config; /* routes' */
    struct routes *routes;
    struct ring *ring;
    struct json_parser *json;
    struct gunzip *gunzip;
    struct buf inflated;
    size_t unauthenticated; /* bytes set aside for bodies whose sender is not known yet */
    struct dedupe *dedupe;  /* NULL where the mode is off */
    struct batch batch;
    struct ingest_figures figures;
    struct route_code strangers[ROUTE_CODES]; /* answers to requests that are no endpoint's */
    bool
        disk_failed; /* the owner's to set: nothing can be promised, posts are told to come again */
};

/* What a new configuration brings, made before anything is changed by it. */
struct ingest_parts {
    struct routes *routes;
    struct privacy *privacy; /* NULL where all is kept plain */
    struct dedupe *dedupe;   /* NULL where there is one already, or none is wanted */
};

/* Whose request it is, and when it came. */
struct ingest_peer {
    struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d */
    int64_t now_us;
};

/* What a request under way holds; zeroed: nothing. */
struct ingest_hold {
    struct route *route; /* stays by a reload */
    size_t reserved;     /* bytes set aside for a body that nobody has vouched for yet */
};

/* What to answer. body is text in `text` or static. */
struct ingest_answer {
    int status;
    struct span body;
    const char *content_type;
    const char *headers; /* further header fields, static or header_text; NULL for none */
    const struct config_endpoint *endpoint; /* NULL where the path is nobody's */
    struct ingest_hold hold;       /* after INGEST_GO_ON: given back when the request has ended */
    const char *reason;            /* for the log, static; NULL where there is nothing to say */
    char where[ROUTE_WHERE_BYTES]; /* in the body; "" where that says nothing */
    char text[384];
    char header_text[40];
};

/* Takes a reference to the configuration; the ring outlives it, and what is in it already counts as
 * seen. 0, -ENOMEM, or another -errno: the file of ids beside the ring's. */
int ingest_init(struct ingest *ingest, struct config *config, struct ring *ring) MUST_CHECK;
void ingest_deinit(struct ingest *ingest);

/* Another configuration, all or nothing: prepare makes what it needs (0 or -ENOMEM), then apply
 * puts it to use or discard throws it away. Requests under way end by the one they began with. The
 * duplicates that are known stay known; max_ids is as it was at the start. */
int ingest_prepare(struct ingest *ingest, struct config *config,
                   struct ingest_parts *parts) MUST_CHECK;
void ingest_apply(struct ingest *ingest, struct ingest_parts *parts);
void ingest_discard(struct ingest_parts *parts);

enum ingest_verdict {
    INGEST_GO_ON,    /* read the body, then ingest_request */
    INGEST_ANSWERED, /* refused, or answered without the body: *answer says how */
};

/* At the end of the head: decides whatever can be decided before a byte of the body is kept. After
 * INGEST_GO_ON answer->hold is the caller's, until it gives it to ingest_release. */
enum ingest_verdict ingest_head(struct ingest *ingest, struct http_request *request,
                                const struct ingest_peer *peer,
                                struct ingest_answer *answer) MUST_CHECK;
/* The request is whole: its events are in the ring, or *answer says why not. */
void ingest_request(struct ingest *ingest, const struct http_request *request, int64_t now_us,
                    struct ingest_answer *answer);

/* Counts an answer that was given without the two above: to what is not HTTP, or too large, or too
 * late. `route` as in the request's hold, NULL where it has none. */
void ingest_count_bad(struct ingest *ingest, const struct route *route, int status);

/* The fields that every answer on that path carries, whatever was asked; NULL where there are none.
 */
const char *ingest_path_headers(const struct ingest *ingest, struct span path);
/* Gives back what a request held, and zeroes it. */
void ingest_release(struct ingest *ingest, struct ingest_hold *hold);

#endif
