/* rollcalld --probe: plays a sender against a running node and says what would fail, before the
 * sender does. Everything a portal needs of a URL is tried: name, connection, chain, redirects, the
 * sender's own validation, a first delivery, the secret, and the time it takes. */
#ifndef ROLLCALL_PROBE_H
#define ROLLCALL_PROBE_H

#include <stdio.h>

#include "config.h"
#include "util/err.h"
#include "util/url.h"

struct probe_options {
    const struct url *url;
    const struct config_endpoint *endpoint; /* the sender to play, and its secret */
    const char *connect;                    /* HOST[:PORT] to go to instead; NULL: the URL's */
    const char *ca_file;                    /* NULL: the system's authorities */
    unsigned timeout_ms;
};

/* One line for each thing tried, to `out`, and a sum; coloured where that is a terminal. Secrets
 * are never written. The number of failures, or -ENOMEM. */
int probe_run(const struct probe_options *options, FILE *out) MUST_CHECK;

#endif
