/* One connection of a sender: TCP, TLS and HTTP at once. It owns its socket, its TLS session and
 * what of a request is not whole yet; everything it needs only while it runs is its server's and
 * shared (struct conn_shared). The state diagram is in conn.c. */
#ifndef ROLLCALL_CONN_H
#define ROLLCALL_CONN_H

#include <uv.h>

#include "http.h"
#include "ingest.h"
#include "lag.h"
#include "latency.h"
#include "peers.h"
#include "tls.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/list.h"
#include "util/ration.h"
#include "util/wheel.h"

enum {
    CONN_READ_BYTES = 64 * 1024,
    /* BoringSSL may hold a partial record from before: a read's plaintext is one record longer. */
    CONN_PLAIN_BYTES = CONN_READ_BYTES + TLS_MAX_RECORD_PLAINTEXT,
    /* New events in a turn of the loop, where somebody reads them: about what a reader's socket
     * takes at once. More, and readers that keep up would fall behind for want of turns. */
    CONN_TURN_BYTES = 192 * 1024,
    /* Reads for handshakes in a turn of the loop: about a millisecond of key exchanges and
     * signatures, for which all that are connected wait. */
    CONN_TURN_HANDSHAKES = 4,
    /* A stranger has not posted anything yet that was taken, or its last request was refused. It is
     * read from in pieces, so many in a turn: a read of 64 KiB may hold 1,500 requests for nothing,
     * some 8 ms of work and 500 KiB of answers, and thousands may send that. */
    CONN_STRANGER_BYTES = 4096,
    CONN_TURN_STRANGERS = 8,
    CONN_FREE_BYTES = 64, /* a trickle is not worth a queue */
    /* Sockets closed in a turn, each of which costs the kernel some 20 us. */
    CONN_TURN_CLOSINGS = 32,
};

struct conn_timeouts {
    uint64_t header_ms, body_ms, keepalive_ms;
};

/* Why handshakes came to nothing: a word of the TLS library or of ours, static text. */
enum { CONN_FAILURES = 24 }; /* words that are told apart; the last place takes all others */
struct conn_failure {
    const char *reason; /* NULL: the place is free, or the last one */
    uint64_t count;
};

/* What came of connections since start. */
struct conn_figures {
    uint64_t accepted, closed;
    uint64_t handshakes, handshakes_resumed;
    struct conn_failure failures[CONN_FAILURES];
    uint64_t answers[6]; /* by the status' first digit */
    uint64_t timeouts;
};

/* What all connections of a thread share. Buffers hold nothing between two callbacks. */
struct conn_shared {
    uv_loop_t *loop;
    struct ingest *ingest;
    struct wheel *wheel;
    struct http_limits limits;
    struct conn_timeouts timeouts;
    struct conn_figures figures;
    struct latency latency; /* from the turn that brought a request's first byte to its answer being
                               the kernel's to send */
    struct latency_pending pending; /* answers that are not written yet; none between callbacks */
    struct lag lag;    /* how long after the beginning of its turn an answer was written */
    uint64_t turn_ns;  /* when somebody was first read from in this turn; 0: nobody yet */
    struct list conns; /* all that are not closed */
    struct list kept;  /* those whose answers wait for the disk, oldest first */
    bool durable;      /* posts are answered when their events are on disk */
    unsigned count;
    uint64_t turn_end; /* ring position past which this turn reads no more; UINT64_MAX: none */
    struct ration handshakes; /* reads for those that are not connected yet */
    struct ration strangers;  /* reads of more than CONN_FREE_BYTES from these */
    struct ration closings;
    uint32_t round; /* while turns end early, nobody is read from twice in a round */
    int64_t now_us; /* Unix time of the read that is being worked on: when its requests came */
    bool turn_cut;  /* somebody was not read from because this turn was full */
    bool draining;  /* every answer is the last of its connection */
    void (*on_last_closed)(void *context); /* called when count falls to 0; may be NULL */
    void *context;
    struct http_request scratch;
    struct buf plain_out; /* answers */
    struct buf net_out;   /* TLS records */
    char net_in[CONN_READ_BYTES];
    char plain_in[CONN_PLAIN_BYTES + HTTP_BODY_PADDING];
};

struct conn;

/* Of zeroed memory; what is the caller's to set is set before or after. */
void conn_init_shared(struct conn_shared *shared);
/* Begins a turn of the loop that brings at most CONN_TURN_BYTES of new events (`bounded`), or any,
 * reads CONN_TURN_HANDSHAKES times from those that are not connected yet, CONN_TURN_STRANGERS times
 * from strangers, and closes CONN_TURN_CLOSINGS. */
void conn_begin_turn(struct conn_shared *shared, bool bounded);
/* Whether something is left for the next turn that no socket may wake the loop for: somebody queues
 * for a ration. The queues end, as each turn calls the first of them. */
bool conn_is_behind(const struct conn_shared *shared);
/* Accepts the connection that waits on the listener. `peers` and `max_per_peer` bound how many one
 * address may hold. 0; UV_E* where it was not accepted or closed at once (-EMFILE ..., -ENOMEM,
 * UV_E2BIG past the bound). */
int conn_accept(struct conn_shared *shared, uv_stream_t *listener, struct tls_context *tls,
                struct peers *peers, unsigned max_per_peer) MUST_CHECK;
/* Where `durable` is set: everything committed before `seq` is on disk, and those whose answers
 * waited for that get them. With an error they are told 503, and closed: their events may not
 * outlive a loss of power, so they have to come again. */
void conn_on_disk(struct conn_shared *shared, uint64_t seq, int error);
/* From now on: connections with nothing under way are closed, the others with their next answer. */
void conn_drain_all(struct conn_shared *shared);
/* Closes every connection at once. */
void conn_close_all(struct conn_shared *shared);

#endif
