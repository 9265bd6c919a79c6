/* The senders that rollcall-bench plays: keep-alive TLS connections, each with at most one POST
 * under way. Closed loop: the next follows its answer. Open loop: posts are due at fixed times, go
 * to whichever connection is free, and their latency counts from when they were due.
 *
 * A lost connection is opened again, its post counted as an error and not sent again: nobody knows
 * whether it was taken. A post that was refused goes out again, as a sender's retry. */
#ifndef ROLLCALL_BENCH_CLIENT_H
#define ROLLCALL_BENCH_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "histogram.h"
#include "payload.h"
#include "tls.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/list.h"
#include "verify.h"

enum {
    CLIENT_READ_BYTES = 64 * 1024,
    CLIENT_MAX_ANSWER_BYTES = 64 * 1024,
    CLIENT_KEEP_BYTES =
        256 * 1024, /* of what waited for the socket: a post of 1,000 observations */
    CLIENT_TICK_MS = 1,
    CLIENT_SCAN_MS = 100, /* how often timeouts are looked for */
};

struct client_options {
    struct sockaddr_storage address;
    struct tls_context *tls;
    const char *host;       /* for SNI, and for the check of the certificate */
    bool check_certificate; /* that its name is `host`; the chain is the TLS context's business */
    struct payload_options payload;
    unsigned connections;
    uint64_t requests;     /* then it ends; UINT64_MAX: never */
    double rate;           /* posts a second; 0: closed loop */
    uint64_t duration_ns;  /* UINT64_MAX: no end by time */
    uint64_t warmup_ns;    /* before either begins: sent, but not counted */
    uint64_t timeout_ns;   /* for an answer, or for a connection to come up */
    uint64_t base;         /* the first observation's number */
    struct verify *verify; /* or NULL */
};

enum client_error {
    CLIENT_CONNECT, /* TCP or TLS would not come up */
    CLIENT_BROKEN,  /* a connection was lost with a post under way */
    CLIENT_CLOSED,  /* a connection was lost between posts, without notice */
    CLIENT_TIMEOUT, /* no answer in time */
    CLIENT_INVALID, /* an answer that is none */
    CLIENT_ERRORS,
};

/* Without the warm-up, but for errors and refusals, which never go under. */
struct client_figures {
    uint64_t answered;
    uint64_t by_code[1000]; /* by status code */
    uint64_t refused;       /* answers other than 2xx, warm-up included */
    uint64_t errors[CLIENT_ERRORS];
    uint64_t reconnects;
    uint64_t unsent;              /* due before the end (open loop), but no connection was free */
    uint64_t bytes_out, bytes_in; /* on the wire */
};

struct client {
    uv_loop_t *loop;
    const struct client_options *options;
    struct client_conn *conns; /* owned */
    unsigned open;             /* connections whose handle is not closed */
    unsigned established;
    struct list idle; /* ready, nothing under way */
    unsigned under_way;
    uv_timer_t tick;
    uint64_t start_ns;   /* all connections are up; 0 before */
    uint64_t measure_ns; /* the warm-up is over */
    uint64_t end_ns;     /* when the last answer that counts came */
    uint64_t stop_ns;    /* nothing is due from here on; UINT64_MAX: no end by time */
    uint64_t scan_ns;
    uint64_t issued;  /* posts sent */
    uint64_t counted; /* of these, without the warm-up */
    int64_t now_s;
    bool stopping, measuring;
    struct client_figures figures;
    struct histogram latency; /* from when it was due (closed loop: from sending) */
    struct histogram service; /* from sending; open loop only */
    struct buf net_out;
    char net_in[CLIENT_READ_BYTES];
    char plain[CLIENT_READ_BYTES + TLS_MAX_RECORD_PLAINTEXT];
};

/* Opens the connections; run the loop until client_is_done. The options live as long. */
int client_start(struct client *client, uv_loop_t *loop,
                 const struct client_options *options) MUST_CHECK;
/* All sent that was to be, and all of it answered or given up. */
bool client_is_done(const struct client *client);
/* No new posts; what is under way may finish. */
void client_stop(struct client *client);
uint64_t client_error_count(const struct client *client);
/* Closes everything; run the loop afterwards. */
void client_close(struct client *client);
void client_deinit(struct client *client);

#endif
