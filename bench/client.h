/* The senders that rollcall-bench plays: TLS connections, each with at most one POST under way.
 * Closed loop: the next follows its answer. Open loop: posts are due at fixed times, go to
 * whichever connection is free, and their latency counts from when they were due.
 *
 * Connections are kept alive, or there is a new one for each post. Beside them there may be idle
 * ones, which have posted once, and slow ones, whose posts trickle (client_slow.c) or that come to
 * a standstill (client_stall.c); these are counted apart, and nothing that becomes of them is an
 * error.
 *
 * A lost connection is opened again, its post counted as an error and not sent again: nobody knows
 * whether it was taken. A post that was refused goes out again, as a sender's retry. */
#ifndef ROLLCALL_BENCH_CLIENT_H
#define ROLLCALL_BENCH_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "histogram.h"
#include "pace.h"
#include "payload.h"
#include "series.h"
#include "tls.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/list.h"
#include "verify.h"

enum {
    CLIENT_SLOW_SLOTS = 10, /* slow connections take turns, so that they do not send all at once: */
    CLIENT_SLOT_MS = 10,    /* each sends what it may ten times a second */
    CLIENT_READ_BYTES = 64 * 1024,
    CLIENT_KEEP_BYTES =
        256 * 1024,     /* of what waited for the socket: a post of 1,000 observations */
    CLIENT_TICK_MS = 1, /* while something is about to begin; then: */
    CLIENT_SLOW_TICK_MS = 10,
    CLIENT_SCAN_MS = 100, /* how often timeouts are looked for */
    CLIENT_OPENING = 64,  /* idle connections that are being opened at a time */
    /* Slow ones, likewise: thousands of senders, or of attackers, do not come in one millisecond,
     * and what they all cost this program is not to show in the others' latency. */
    CLIENT_SLOW_OPENING = 16,
    CLIENT_MAX_SLOW_KINDS = 100, /* that are played in turn */
    CLIENT_TIMED_OUT = 408,      /* RFC 9110, 15.5.9 */
    CLIENT_END_MS = 1000,        /* for a server to end a connection that it said it would */
    CLIENT_SERIES_MS = 100,      /* slots of the rate over time, at first */
};

enum client_slow_kind {
    CLIENT_SLOW_POST, /* posts trickle, to their end */
    /* These stay where they are: */
    CLIENT_SLOW_SILENT, /* nothing is said */
    CLIENT_SLOW_HELLO,  /* half a ClientHello */
    CLIENT_SLOW_HEAD,   /* a head that trickles and does not end */
    CLIENT_SLOW_BODY,   /* likewise a body */
    CLIENT_SLOW_IDLE,   /* one post, and nothing after its answer */
    CLIENT_SLOW_READ,   /* answers are not read */
    CLIENT_SLOW_KINDS,
};

/* Of the server: what each kind runs into. */
enum client_deadline {
    CLIENT_DEADLINE_HEAD,
    CLIENT_DEADLINE_BODY,
    CLIENT_DEADLINE_IDLE,
    CLIENT_DEADLINES, /* none of them */
};

struct client_slow_shape {
    const char *name; /* of --slow-kinds */
    enum client_deadline deadline;
};
extern const struct client_slow_shape client_slow_shapes[CLIENT_SLOW_KINDS];

struct client_options {
    struct sockaddr_storage address;
    struct tls_context *tls;
    const char *host;       /* for SNI, and for the check of the certificate */
    bool check_certificate; /* that its name is `host`; the chain is the TLS context's business */
    const struct payload_options *targets; /* connection i posts as targets[i % target_count] */
    unsigned target_count;
    unsigned connections;
    unsigned idle;                           /* connections beside these */
    unsigned slow;                           /* and beside those */
    unsigned slow_rate;                      /* bytes a second that each of them sends */
    const enum client_slow_kind *slow_kinds; /* the i-th is slow_kinds[i % slow_kind_count] */
    unsigned slow_kind_count;
    uint64_t slow_deadlines_ns[CLIENT_DEADLINES]; /* the server's */
    bool new_connections;    /* one for each post; latency counts from the TCP connect */
    bool resume;             /* of these, TLS sessions: without a whole handshake */
    unsigned repeat_percent; /* of the posts are sent again, byte by byte, after their answer */
    uint64_t requests;       /* then it ends; UINT64_MAX: never */
    double rate;             /* posts a second; 0: closed loop */
    uint64_t duration_ns;    /* UINT64_MAX: no end by time */
    uint64_t warmup_ns;      /* before either begins: sent, but not counted */
    uint64_t timeout_ns;     /* for an answer, or for a connection to come up */
    uint64_t base;           /* the first observation's number */
    struct verify *verify;   /* or NULL; of connections + idle + slow connections */
};

enum client_error {
    CLIENT_CONNECT, /* TCP or TLS would not come up */
    CLIENT_BROKEN,  /* a connection was lost with a post under way */
    CLIENT_CLOSED,  /* a connection was lost between posts, without notice */
    CLIENT_TIMEOUT, /* no answer in time */
    CLIENT_INVALID, /* an answer that is none */
    CLIENT_ERRORS,
};

/* What came of the slow connections of a kind that stays. */
struct client_stall_figures {
    uint64_t stalled;          /* came to where they stay */
    uint64_t closed;           /* then, by the server */
    uint64_t left;             /* or are still there at the end of the run */
    int64_t early_ns, late_ns; /* the most that one was closed before its deadline, and after it */
};

/* What came of the slow connections' posts, from their opening until the end of the run. */
struct client_slow_figures {
    uint64_t begun;
    uint64_t answered;   /* 2xx */
    uint64_t timed_out;  /* 408: the server's deadline */
    uint64_t refused;    /* other answers */
    uint64_t lost;       /* the connection ended, or stayed silent, without an answer */
    uint64_t unfinished; /* at the end of the run */
    uint64_t connect;    /* connections that would not come up */
    uint64_t bytes;      /* of posts, without TLS */
    uint64_t up;         /* the most that were up together */
    uint64_t lag_ns; /* the most that this program itself was late: it saw what it saw so late */
    struct client_stall_figures stalls[CLIENT_SLOW_KINDS];
};

/* Of the measured part; but errors and refusals, which never go under, of all. */
struct client_figures {
    uint64_t answered;
    uint64_t by_code[1000]; /* by status code */
    uint64_t observations;  /* answered 200, without repeated ones */
    uint64_t refused;       /* answers other than 2xx, warm-up included */
    uint64_t errors[CLIENT_ERRORS];
    uint64_t reconnects;
    uint64_t handshakes, resumed;  /* of the measured part's new connections */
    uint64_t repeated;             /* answers to posts that were sent again */
    uint64_t accepted, duplicates; /* events, as the node counts them; only with repeat_percent */
    uint64_t unsent;               /* due before the end (open loop), but no connection was free */
    uint64_t idle_lost;            /* idle connections that the server has closed */
    uint64_t bytes_out, bytes_in;  /* on the wire, without the slow connections' */
    struct client_slow_figures slow;
};

struct client {
    uv_loop_t *loop;
    const struct client_options *options;
    struct client_conn *conns; /* owned; the idle and the slow ones behind the others */
    unsigned open;             /* connections whose handle is not closed, without idle ones */
    unsigned established;      /* of these */
    unsigned idle_opened, idle_parked;
    unsigned slow_opened, slow_tried; /* tried: came up once, or did not */
    unsigned slow_coming, slow_up;    /* now: being opened, and up */
    unsigned slow_slot;
    uint64_t turn_ns; /* of the last slow_turn */
    uint64_t slow_slot_ns;
    struct list ready; /* nothing under way */
    unsigned under_way;
    uv_timer_t tick;
    uv_prepare_t prepare;
    struct pace pace;
    uint64_t start_ns;   /* the run has begun; 0 before */
    uint64_t measure_ns; /* the warm-up is over */
    uint64_t end_ns;     /* when the last answer that counts came */
    uint64_t stop_ns;    /* nothing is due from here on; UINT64_MAX: no end by time */
    uint64_t scan_ns;
    uint64_t issued;  /* posts sent */
    uint64_t counted; /* of these, without the warm-up */
    int64_t now_s;
    unsigned repeat_sum; /* a post is repeated whenever it has come to 100 */
    bool stopping, measuring;
    struct client_figures figures;
    struct histogram latency;   /* from when it was due (closed loop: from sending) */
    struct histogram service;   /* from sending; open loop only */
    struct histogram handshake; /* from TCP connect to established */
    struct series answers;      /* over time */
    struct buf net_out;
    char net_in[CLIENT_READ_BYTES];
    char plain[CLIENT_READ_BYTES + TLS_MAX_RECORD_PLAINTEXT];
};

/* Opens the connections; run the loop until client_is_connected. The options live as long; between
 * two runs, rate and times may be changed. */
int client_start(struct client *client, uv_loop_t *loop,
                 const struct client_options *options) MUST_CHECK;
/* All are up, or one would not come up: begin, and it fails or does not. */
bool client_is_connected(const struct client *client);
/* Opens the idle ones; run the loop until client_is_idling. */
void client_open_idle(struct client *client);
bool client_is_idling(const struct client *client);
/* Opens the slow ones, each of which posts at once; run the loop until client_is_trickling. */
void client_open_slow(struct client *client);
bool client_is_trickling(const struct client *client);
/* They post no more, and are closed. */
void client_close_slow(struct client *client);
/* Begins to post, with figures from zero; run the loop until client_is_done. May be called again
 * then. */
void client_begin(struct client *client);
/* All sent that was to be, and all of it answered or given up. */
bool client_is_done(const struct client *client);
/* No new posts; what is under way may finish. */
void client_stop(struct client *client);
uint64_t client_error_count(const struct client *client);
/* Closes everything; run the loop afterwards. */
void client_close(struct client *client);
void client_deinit(struct client *client);

#endif
