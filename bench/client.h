/* The senders that rollcall-bench plays: keep-alive TLS connections, each with at most one POST
 * under way. Closed loop: the next follows its answer. Open loop: posts are due at fixed times, go
 * to whichever connection is free, and their latency counts from when they were due. */
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
    CLIENT_TICK_MS = 1,
};

struct client_options {
    struct sockaddr_storage address;
    struct tls_context *tls;
    struct payload_options payload;
    unsigned connections;
    uint64_t requests;     /* then it ends; UINT64_MAX: never */
    double rate;           /* posts a second; 0: closed loop */
    uint64_t duration_ns;  /* UINT64_MAX: no end by time */
    struct verify *verify; /* or NULL */
};

struct client_figures {
    uint64_t answered, sent;
    uint64_t by_status[6];        /* by the first digit */
    uint64_t connect_errors;      /* TCP or TLS would not come up */
    uint64_t broken;              /* connections lost with a post under way */
    uint64_t invalid;             /* answers that are none */
    uint64_t bytes_out, bytes_in; /* on the wire */
};

struct client {
    uv_loop_t *loop;
    const struct client_options *options;
    struct client_conn *conns; /* owned */
    unsigned open;             /* connections whose handle is not closed */
    struct list idle;          /* ready, nothing under way */
    unsigned under_way;
    uv_timer_t tick;
    uint64_t start_ns, end_ns; /* end_ns: when the last answer came */
    uint64_t issued;           /* posts sent */
    int64_t now_s;
    bool stopping;
    struct client_figures figures;
    struct histogram corrected; /* from when it was due (closed loop: from sending) */
    struct histogram service;   /* from sending */
    struct buf net_out;
    char net_in[CLIENT_READ_BYTES];
    char plain[CLIENT_READ_BYTES + TLS_MAX_RECORD_PLAINTEXT];
};

/* Opens the connections; run the loop. It comes to rest when all is done: client_is_done. */
int client_start(struct client *client, uv_loop_t *loop,
                 const struct client_options *options) MUST_CHECK;
bool client_is_done(const struct client *client);
/* No new posts; what is under way may finish. */
void client_stop(struct client *client);
/* Closes everything; run the loop afterwards. */
void client_close(struct client *client);
void client_deinit(struct client *client);

#endif
