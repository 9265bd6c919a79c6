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
#include "ring.h"
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
    const struct config *config;
    struct ring *ring;
    struct json_parser *json;
    struct gunzip *gunzip;
    struct buf inflated;
    size_t unauthenticated; /* bytes set aside for bodies whose sender is not known yet */
    struct dedupe *dedupe;  /* NULL where the mode is off */
    struct batch batch;
    struct ingest_figures figures;
    const struct config_endpoint **table; /* by hash of the path; open addressing */
    size_t table_mask;
};

/* What to answer. body is text in `text` or static. */
struct ingest_answer {
    int status;
    struct span body;
    const char *content_type;
    const char *headers;                    /* further header fields, static; NULL for none */
    const struct config_endpoint *endpoint; /* NULL where the path is nobody's */
    /* Memory set aside for a body that nobody has vouched for yet: the caller gives it back
     * (ingest_release) when the request has ended. */
    size_t reserved;
    const char *reason; /* for the log, static; NULL where there is nothing to say */
    char text[384];
};

/* config and ring outlive it. 0 or -ENOMEM. */
int ingest_init(struct ingest *ingest, const struct config *config, struct ring *ring) MUST_CHECK;
void ingest_deinit(struct ingest *ingest);

enum ingest_verdict {
    INGEST_GO_ON,    /* read the body, then ingest_request */
    INGEST_ANSWERED, /* refused, or answered without the body: *answer says how */
};

/* At the end of the head: decides whatever can be decided before a byte of the body is kept. */
enum ingest_verdict ingest_head(struct ingest *ingest, struct http_request *request,
                                struct ingest_answer *answer) MUST_CHECK;
/* The request is whole: its events are in the ring, or *answer says why not. */
void ingest_request(struct ingest *ingest, const struct http_request *request, int64_t now_us,
                    struct ingest_answer *answer);

/* The fields that every answer on that path carries, whatever was asked; NULL where there are none.
 */
const char *ingest_path_headers(const struct ingest *ingest, struct span path);
/* Gives back what ingest_head reserved; 0 is fine. */
void ingest_release(struct ingest *ingest, size_t reserved);

#endif
