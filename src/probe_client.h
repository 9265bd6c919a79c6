/* The probe's connection: plain blocking HTTP/1.1 over TLS, as a sender's client, that takes note
 * of whatever a stricter client would refuse. Not the node's own TLS and HTTP: it judges them. */
#ifndef ROLLCALL_PROBE_CLIENT_H
#define ROLLCALL_PROBE_CLIENT_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/span.h"
#include "util/url.h"

enum {
    PROBE_ERROR_BYTES = 256,
    PROBE_HEAD_BYTES = 16 * 1024, /* of an answer: past it, it is none */
    PROBE_BODY_BYTES = 64 * 1024,
};

/* Where to, and how. Everything is borrowed. */
struct probe_target {
    const struct url *url;
    struct addrinfo *addresses; /* of the URL's host, or of --connect */
    const char *ca_file;        /* NULL: the system's authorities */
    unsigned timeout_ms;        /* of each step: connect, a read, a write */
    bool only_tls_1_2;
};

/* What the handshake showed. */
struct probe_tls {
    const char *version; /* "TLSv1.3" */
    const char *trust; /* NULL: a chain to a known authority; else what is wrong, and what to do */
    bool is_named;     /* the certificate is for the URL's host */
    bool has_alpn;     /* http/1.1 was agreed on */
    unsigned certificates;
    int64_t ends_in_s; /* the leaf, from now */
};

struct probe_connection {
    int fd;
    struct ssl_ctx_st *context;
    struct ssl_st *ssl;
    struct probe_tls tls;
};

/* 0, or a step that failed with one line in `error`. Zeroes the connection first. */
enum probe_step { PROBE_DONE = 0, PROBE_TCP_FAILED = 1, PROBE_TLS_FAILED = 2 };
int probe_connect(struct probe_connection *connection, const struct probe_target *target,
                  char error[PROBE_ERROR_BYTES]) MUST_CHECK;
void probe_disconnect(struct probe_connection *connection);

struct probe_answer {
    int status;
    bool keeps_alive;
    double seconds;  /* from the request's first byte to the answer's last */
    struct buf head; /* status line and fields */
    struct buf body;
};

/* Sends the bytes and reads one answer (to a HEAD, one without a body). 0, or -1 with `error`. */
int probe_exchange(struct probe_connection *connection, struct span request, bool is_head,
                   struct probe_answer *answer, char error[PROBE_ERROR_BYTES]) MUST_CHECK;
/* A field's value; absent where it is not there. */
struct span probe_field(const struct probe_answer *answer, const char *name);
void probe_answer_deinit(struct probe_answer *answer);

#endif
