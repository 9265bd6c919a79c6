/* Who may ask the admin listener (src/feed_door.h has its connections): an operator's browser or
 * Prometheus, over plain HTTP, on loopback or with `admin_secret`. A pure decision over a request's
 * head, and the header fields that all its answers have.
 *
 * What it defends against, beside those who do not know the secret: web pages of others that are
 * open in the operator's browser. These can send requests to loopback, too, and can make a name of
 * theirs lead there (DNS rebinding); so without a secret only loopback names are answered, and what
 * another site's page sends is refused. */
#ifndef ROLLCALL_ADMIN_H
#define ROLLCALL_ADMIN_H

#include "config.h"
#include "http.h"

enum { ADMIN_MAX_CONNECTIONS = 64 };

/* Fields of every answer, each ending in CRLF: a page from here runs nothing but what the node has
 * sent, asks nobody else, and is shown in nobody's frame (CSP level 3, Fetch metadata). */
extern const char admin_headers[];

struct admin_refusal {
    int status;          /* 401, 403, 421 */
    const char *headers; /* fields of its own, or NULL */
    const char *reason;  /* for the peer and the log: static text without quotes */
};

/* Whether the request is refused, and how. `secrets`: CONFIG_MAX_SECRETS pointers, those that are
 * there first; with none, everybody on loopback is trusted. /livez and /readyz need no secret: a
 * load balancer has none, and they say nothing but that the node is there. Nor do these and
 * /metrics ask for a name of loopback: they tell of no person, and are asked under names of many
 * sorts. */
bool admin_refuses(struct config_secret *const *secrets, const struct http_request *request,
                   struct admin_refusal *refusal);

/* Whether somebody who was let in with `before` is not with `now`. */
bool admin_secret_is_gone(struct config_secret *const *before, struct config_secret *const *now);

#endif
