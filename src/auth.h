/* Who may post: every auth scheme as a pure function over what a request carries. Secrets are
 * compared in constant time, all of them, whatever the first ones said; only their lengths may
 * show. */
#ifndef ROLLCALL_AUTH_H
#define ROLLCALL_AUTH_H

#include <stdint.h>

#include "config.h"
#include "http.h"
#include "json.h"

enum auth_result {
    AUTH_OK,
    AUTH_MISSING,   /* the request carries no secret or signature */
    AUTH_WRONG,     /* none of the endpoint's */
    AUTH_TRUNCATED, /* wrong, and exactly the first 32 characters of a longer one: HiveManager cuts
                       its tokens there, so this deserves a hint in the log */
    AUTH_EXPIRED,   /* standard-webhooks: signed more than five minutes from now */
    AUTH_NEEDS_BODY /* the head is in order; the body, or a signature of it, decides */
};

enum { AUTH_TOLERANCE_S = 300 }; /* of a signature's time, as Standard Webhooks' own libraries */

/* A Standard Webhooks secret ("whsec_" and base64, or base64 alone) as the key it stands for. */
bool auth_decode_webhook_secret(struct span secret, uint8_t key[CONFIG_MAX_SECRET_BYTES],
                                size_t *len);

/* An operator at the admin listener: Basic with any user and a secret as the password (RFC 7617),
 * or Bearer with the secret (RFC 6750). `secrets`: CONFIG_MAX_SECRETS pointers, those that are
 * there first. AUTH_OK, AUTH_MISSING or AUTH_WRONG. */
enum auth_result auth_check_operator(struct config_secret *const *secrets,
                                     struct span authorization);

/* Decides by the head, if that is possible. */
enum auth_result auth_check_head(const struct config_endpoint *endpoint,
                                 const struct http_request *request);
/* After AUTH_NEEDS_BODY: signatures of the body's bytes as they came. AUTH_NEEDS_BODY again where
 * the secret is a member of the document. */
enum auth_result auth_check_body(const struct config_endpoint *endpoint,
                                 const struct http_request *request, int64_t now_s);
/* After that: a member of the document's root. */
enum auth_result auth_check_document(const struct config_endpoint *endpoint,
                                     const struct json_doc *doc);

#endif
