/* Auth schemes; see auth.h. */
#include "auth.h"

#include <openssl/base64.h>
#include <openssl/digest.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <stdio.h>

#include "util/text.h"

enum {
    HIVEMANAGER_TOKEN_BYTES = 32,
    MAX_CREDENTIAL_BYTES = 2 * CONFIG_MAX_SECRET_BYTES, /* user, colon, password; or decoded */
    MAX_SIGNATURES = 16, /* of a webhook-signature: more are not looked at */
};

/* --- secrets as they are
 * -------------------------------------------------------------------------- */

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

static enum auth_result check_field(const struct config_endpoint *endpoint,
                                    const struct http_request *request) {
    struct span value = http_request_field(request, span_from_string(endpoint->auth_name));
    return value.len ? check_secrets(endpoint, value) : AUTH_MISSING;
}

/* user:password in base64 (RFC 7617); the user is known, the password is a secret. */
static enum auth_result check_basic(const struct config_endpoint *endpoint,
                                    struct span authorization) {
    uint8_t decoded[MAX_CREDENTIAL_BYTES];
    struct span text = token_of(authorization), user = span_from_string(endpoint->auth_name);
    size_t len;
    if (authorization.len < 6 || strncasecmp(authorization.ptr, "basic ", 6) != 0)
        return AUTH_MISSING;
    if (!EVP_DecodeBase64(decoded, &len, sizeof decoded, (const uint8_t *)text.ptr, text.len) ||
        len < user.len + 1 || decoded[user.len] != ':' || memcmp(decoded, user.ptr, user.len) != 0)
        return AUTH_WRONG;
    return check_secrets(endpoint, span_from((char *)decoded + user.len + 1, len - user.len - 1));
}

enum auth_result auth_check_operator(struct config_secret *const *secrets,
                                     struct span authorization) {
    uint8_t decoded[MAX_CREDENTIAL_BYTES];
    struct span given = {0};
    unsigned right = 0;
    size_t len = 0;
    if (authorization.len > 7 && strncasecmp(authorization.ptr, "bearer ", 7) == 0) {
        given = token_of(authorization);
    } else if (authorization.len > 6 && strncasecmp(authorization.ptr, "basic ", 6) == 0) {
        struct span text = token_of(authorization);
        if (!EVP_DecodeBase64(decoded, &len, sizeof decoded, (const uint8_t *)text.ptr, text.len))
            return AUTH_WRONG;
        const uint8_t *colon = memchr(decoded, ':', len);
        if (!colon)
            return AUTH_WRONG;
        given = span_from((const char *)colon + 1, len - (size_t)(colon + 1 - decoded));
    } else {
        return AUTH_MISSING;
    }
    for (unsigned i = 0; i < CONFIG_MAX_SECRETS && secrets[i]; i++)
        if (given.len == secrets[i]->len)
            right |= CRYPTO_memcmp(given.ptr, secrets[i]->bytes, given.len) == 0;
    return right ? AUTH_OK : AUTH_WRONG;
}

static enum auth_result check_query(const struct config_endpoint *endpoint,
                                    const struct http_request *request) {
    struct span query = request->query, name, value;
    while (query.ptr && http_query_next(&query, &name, &value))
        if (span_equals(name, span_from_string(endpoint->auth_name)))
            return check_secrets(endpoint, value);
    return AUTH_MISSING;
}

/* --- signatures
 * ------------------------------------------------------------------------------------ */

enum encoding { ENCODING_HEX, ENCODING_BASE64 };

/* What is signed, in pieces. */
struct signed_text {
    struct span parts[5];
    unsigned count;
};

/* The HMAC as text, at most 88 bytes; its length. */
static size_t sign(const EVP_MD *digest, struct span key, const struct signed_text *text,
                   enum encoding encoding, char *dst) {
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    HMAC_CTX context;
    HMAC_CTX_init(&context);
    bool ok = HMAC_Init_ex(&context, key.ptr, key.len, digest, NULL);
    for (unsigned i = 0; ok && i < text->count; i++)
        ok = HMAC_Update(&context, (const uint8_t *)text->parts[i].ptr, text->parts[i].len);
    ok = ok && HMAC_Final(&context, mac, &len);
    HMAC_CTX_cleanup(&context);
    if (!ok)
        return 0; /* out of memory: nothing compares equal to an empty signature */
    if (encoding == ENCODING_BASE64)
        return EVP_EncodeBlock((uint8_t *)dst, mac, len);
    text_format_hex(mac, len, dst);
    return 2 * (size_t)len;
}

/* Hex of either case; base64 is what it is. */
static bool signature_equals(struct span given, const char *made, size_t len,
                             enum encoding encoding) {
    char lower[2 * EVP_MAX_MD_SIZE];
    if (len == 0 || given.len != len || len > sizeof lower)
        return false;
    for (size_t i = 0; i < len; i++)
        lower[i] =
            given.ptr[i] |
            (encoding == ENCODING_HEX && given.ptr[i] >= 'A' && given.ptr[i] <= 'F' ? 0x20 : 0);
    return CRYPTO_memcmp(lower, made, len) == 0;
}

static enum auth_result check_hmac(const struct config_endpoint *endpoint, const EVP_MD *digest,
                                   struct span given, struct span body, enum encoding encoding) {
    struct signed_text text = {.parts = {body}, .count = 1};
    unsigned right = 0;
    for (unsigned i = 0; i < endpoint->secret_count; i++) {
        char made[2 * EVP_MAX_MD_SIZE + 4];
        struct span key = span_from(endpoint->secrets[i]->bytes, endpoint->secrets[i]->len);
        size_t len = sign(digest, key, &text, encoding, made);
        right |= signature_equals(given, made, len, encoding);
    }
    return right ? AUTH_OK : AUTH_WRONG;
}

/* Mist signs with SHA-256 (v2) and SHA-1 (v1); the better one counts where it is there. */
static enum auth_result check_mist(const struct config_endpoint *endpoint,
                                   const struct http_request *request) {
    struct span v2 = http_request_field(request, SPAN("x-mist-signature-v2"));
    struct span v1 = http_request_field(request, SPAN("x-mist-signature"));
    if (v2.len)
        return check_hmac(endpoint, EVP_sha256(), v2, request->body, ENCODING_HEX);
    return check_hmac(endpoint, EVP_sha1(), v1, request->body, ENCODING_HEX);
}

/* One of the "v1,<base64>" in a list set apart by blanks; other versions are passed over. */
static bool has_signature(struct span list, const char *made, size_t len) {
    bool right = false;
    for (int i = 0; i < MAX_SIGNATURES && list.len; i++) {
        const char *blank = memchr(list.ptr, ' ', list.len);
        size_t word = blank ? (size_t)(blank - list.ptr) : list.len;
        if (word > 3 && memcmp(list.ptr, "v1,", 3) == 0)
            right |=
                signature_equals(span_from(list.ptr + 3, word - 3), made, len, ENCODING_BASE64);
        word += blank != NULL;
        list = span_from(list.ptr + word, list.len - word);
    }
    return right;
}

/* Standard Webhooks 1.0: id.timestamp.body, the secret being whsec_ and base64. */
static enum auth_result check_standard(const struct config_endpoint *endpoint,
                                       const struct http_request *request, int64_t now_s) {
    struct span id = http_request_field(request, SPAN("webhook-id"));
    struct span timestamp = http_request_field(request, SPAN("webhook-timestamp"));
    struct span list = http_request_field(request, SPAN("webhook-signature"));
    struct signed_text text = {{id, SPAN("."), timestamp, SPAN("."), request->body}, 5};
    unsigned right = 0;
    int64_t at;
    for (unsigned i = 0; i < endpoint->secret_count; i++) {
        uint8_t key[CONFIG_MAX_SECRET_BYTES];
        char made[EVP_MAX_MD_SIZE * 2];
        size_t len;
        struct span secret = span_from(endpoint->secrets[i]->bytes, endpoint->secrets[i]->len);
        if (!auth_decode_webhook_secret(secret, key, &len))
            continue;
        len = sign(EVP_sha256(), span_from((char *)key, len), &text, ENCODING_BASE64, made);
        right |= has_signature(list, made, len);
    }
    if (!right)
        return AUTH_WRONG;
    if (!text_parse_integer(timestamp, &at) || at > now_s + AUTH_TOLERANCE_S ||
        at < now_s - AUTH_TOLERANCE_S)
        return AUTH_EXPIRED;
    return AUTH_OK;
}

bool auth_decode_webhook_secret(struct span secret, uint8_t key[CONFIG_MAX_SECRET_BYTES],
                                size_t *len) {
    if (secret.len > 6 && memcmp(secret.ptr, "whsec_", 6) == 0)
        secret = span_from(secret.ptr + 6, secret.len - 6);
    return EVP_DecodeBase64(key, len, CONFIG_MAX_SECRET_BYTES, (const uint8_t *)secret.ptr,
                            secret.len) &&
           *len > 0;
}

/* --- by scheme
 * ------------------------------------------------------------------------------------- */

static enum auth_result later_if(bool there) {
    return there ? AUTH_NEEDS_BODY : AUTH_MISSING;
}

static bool has(const struct http_request *request, const char *name) {
    return http_request_field(request, span_from_string(name)).len > 0;
}

enum auth_result auth_check_head(const struct config_endpoint *endpoint,
                                 const struct http_request *request) {
    struct span authorization;
    switch (endpoint->auth) {
    case AUTH_NONE:
        return AUTH_OK;
    case AUTH_TOKEN:
    case AUTH_BASIC:
        authorization = http_request_field(request, SPAN("authorization"));
        if (authorization.len == 0)
            return AUTH_MISSING;
        if (endpoint->auth == AUTH_BASIC)
            return check_basic(endpoint, authorization);
        return check_secrets(endpoint, token_of(authorization));
    case AUTH_HEADER:
        return check_field(endpoint, request);
    case AUTH_QUERY:
        return check_query(endpoint, request);
    case AUTH_BODY:
        return AUTH_NEEDS_BODY;
    case AUTH_HMAC_SHA256:
        return later_if(has(request, endpoint->auth_name));
    case AUTH_MIST:
        return later_if(has(request, "x-mist-signature-v2") || has(request, "x-mist-signature"));
    case AUTH_STANDARD_WEBHOOKS:
        return later_if(has(request, "webhook-id") && has(request, "webhook-timestamp") &&
                        has(request, "webhook-signature"));
    }
    return AUTH_WRONG;
}

enum auth_result auth_check_body(const struct config_endpoint *endpoint,
                                 const struct http_request *request, int64_t now_s) {
    switch (endpoint->auth) {
    case AUTH_HMAC_SHA256:
        return check_hmac(endpoint, EVP_sha256(),
                          http_request_field(request, span_from_string(endpoint->auth_name)),
                          request->body, endpoint->auth_base64 ? ENCODING_BASE64 : ENCODING_HEX);
    case AUTH_MIST:
        return check_mist(endpoint, request);
    case AUTH_STANDARD_WEBHOOKS:
        return check_standard(endpoint, request, now_s);
    case AUTH_BODY:
        return AUTH_NEEDS_BODY;
    default:
        return AUTH_OK; /* decided by the head */
    }
}

enum auth_result auth_check_document(const struct config_endpoint *endpoint,
                                     const struct json_doc *doc) {
    char plain[MAX_CREDENTIAL_BYTES];
    if (endpoint->auth != AUTH_BODY)
        return AUTH_OK;
    uint32_t node = json_find(doc, 0, span_from_string(endpoint->auth_name));
    if (node == 0 || json_type(doc, node) != JSON_STRING || doc->nodes[node].len == 0)
        return AUTH_MISSING;
    struct span text = json_text(doc, node);
    if (text.len > sizeof plain)
        return AUTH_WRONG;
    return check_secrets(endpoint, span_from(plain, json_unescape(text, plain)));
}
