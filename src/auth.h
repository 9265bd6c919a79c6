/* Who may post: every auth scheme as a pure function over what a request carries. Secrets are
 * compared in constant time, all of them, whatever the first ones said; only their lengths may
 * show. */
#ifndef ROLLCALL_AUTH_H
#define ROLLCALL_AUTH_H

#include "config.h"
#include "http.h"

enum auth_result {
    AUTH_OK,
    AUTH_MISSING,   /* the request carries no secret */
    AUTH_WRONG,     /* none of the endpoint's */
    AUTH_TRUNCATED, /* wrong, and exactly the first 32 characters of a longer one: HiveManager cuts
                       its tokens there, so this deserves a hint in the log */
};

/* Decides by the header fields alone. */
enum auth_result auth_check_head(const struct config_endpoint *endpoint,
                                 const struct http_request *request);

#endif
