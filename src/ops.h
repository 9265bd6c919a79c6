/* What an operator asks a node: /metrics (Prometheus text format 0.0.4), /livez, /readyz and
 * /v1/status (JSON). Answered from figures that others keep; knows no socket. */
#ifndef ROLLCALL_OPS_H
#define ROLLCALL_OPS_H

#include "conn.h"
#include "ingest.h"
#include "readers.h"
#include "util/buf.h"
#include "util/err.h"

/* Connections that were closed at once. */
struct ops_refused {
    uint64_t limit;   /* past max_connections */
    uint64_t address; /* past max_connections_per_ip */
    uint64_t error;   /* the system would not, or the peer was gone */
};

/* Where the figures are. All outlive it; pointers that may be NULL say so. */
struct ops {
    const struct ingest *ingest;
    const struct conn_shared *conns;
    const struct ring *ring;
    const struct readers *held;
    unsigned feed_readers; /* set by the owner before each answer, as are those below */
    uint64_t reader_lost;  /* events that readers were told they have lost */
    struct ops_refused refused;
    uint64_t reloads, reload_fails; /* since start */
    bool reload_ok;                 /* the last one; true where there was none */
    bool draining;
    bool disk_failed;             /* the ring's file could not be written through the last time */
    bool certificate_refused;     /* its files have changed and cannot be used */
    unsigned most_conns;          /* that are taken at once */
    int64_t certificate_expiry_s; /* Unix time */
    int64_t started_us, now_us;   /* Unix time */
};

struct ops_answer {
    int status;
    const char *content_type;
};

enum { OPS_UNKNOWN = 1 };

/* Appends the body that is answered on that path. 0, OPS_UNKNOWN (nothing is answered there) or
 * -ENOMEM. */
int ops_answer(const struct ops *ops, struct span path, struct buf *body,
               struct ops_answer *answer) MUST_CHECK;

#endif
