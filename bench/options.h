/* rollcall-bench's command line. */
#ifndef ROLLCALL_BENCH_OPTIONS_H
#define ROLLCALL_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "client.h"
#include "payload.h"
#include "util/buf.h"
#include "util/url.h"

enum {
    OPTIONS_MAX_HEADER_BYTES = 64 * 1024,
    OPTIONS_MAX_SECRET_BYTES = 1024,
    OPTIONS_MAX_ALSO = 15,
    OPTIONS_SLOW_RATE = 100, /* a post of three observations in some ten seconds */
    OPTIONS_MAX_SLOW_RATE = 1000000
};

/* A further sender, at another path of the same node. */
struct options_also {
    enum payload_sender sender;
    const char *path;
};

struct options {
    struct url url;
    unsigned connections, idle, slow;
    unsigned slow_rate; /* bytes a second, of each slow one */
    enum client_slow_kind slow_kinds[CLIENT_MAX_SLOW_KINDS];
    unsigned slow_kind_count;
    uint64_t slow_deadlines_ns[CLIENT_DEADLINES];
    unsigned observations; /* 0: as many as each sender usually posts */
    unsigned repeat_percent;
    uint64_t requests;    /* UINT64_MAX: by time */
    uint64_t duration_ns; /* UINT64_MAX: by number */
    uint64_t warmup_ns, timeout_ns, patience_ns;
    uint64_t seed;
    double rate;
    uint64_t p99_ns; /* the bound of --find-max */
    enum payload_sender sender;
    struct options_also also[OPTIONS_MAX_ALSO];
    unsigned also_count;
    struct buf headers; /* fields, each ending in CRLF, NUL behind the last */
    bool verify, json, insecure, find_max, new_connections, resume;
    const char *socket, *cacert, *secret, *svg, *hdr;
    unsigned pid; /* of the server, 0 for none */
};

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* EXIT_DONE; EXIT_USAGE after one line on stderr; *done where --help or --version was all. */
int options_parse(struct options *options, int argc, char **argv, bool *done);

#endif
