/* Auth schemes; see auth.h. */
#include "auth.h"

#include <openssl/mem.h>

enum { HIVEMANAGER_TOKEN_BYTES = 32 };

static enum auth_result check_secrets(const struct config_endpoint *endpoint, struct span given) {
    unsigned right = 0, truncated = 0;
    for (unsigned i = 0; i < endpoint->secret_count; i++) {
        const struct config_secret *secret = endpoint->secrets[i];
        if (given.len == secret->len)
            right |= CRYPTO_memcmp(given.ptr, secret->bytes, given.len) == 0;
        else if (given.len == HIVEMANAGER_TOKEN_BYTES && secret->len > given.len)
            truncated |= CRYPTO_memcmp(given.ptr, secret->bytes, given.len) == 0;
    }
    if (right)
        return AUTH_OK;
    return truncated ? AUTH_TRUNCATED : AUTH_WRONG;
}

/* "Basic 0123abcd" as HiveManager sends it: any scheme word, then the raw token. It is not base64
 * of user:password. A value without a blank is taken as the token itself. */
static struct span token_of(struct span authorization) {
    const char *blank = memchr(authorization.ptr, ' ', authorization.len);
    if (!blank)
        return authorization;
    size_t skip = (size_t)(blank - authorization.ptr);
    return span_trim(span_from(blank, authorization.len - skip));
}

enum auth_result auth_check_head(const struct config_endpoint *endpoint,
                                 const struct http_request *request) {
    if (endpoint->auth == AUTH_NONE)
        return AUTH_OK;
    struct span authorization = http_request_field(request, SPAN("authorization"));
    if (authorization.len == 0)
        return AUTH_MISSING;
    return check_secrets(endpoint, token_of(authorization));
}
