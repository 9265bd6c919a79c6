/* The probe's requests; see probe_request.h. */
#include "probe_request.h"

#include <errno.h>
#include <openssl/base64.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "json.h"
#include "util/text.h"

enum {
    BODY_BYTES = 6 * CONFIG_MAX_SECRET_BYTES + 1024, /* an escaped secret, and what is around it */
    FIELD_BYTES = 4 * CONFIG_MAX_SECRET_BYTES + 512,
    CHARSETS = 170, /* as Spring's RestTemplate lists them */
    MAC_BYTES = 32, /* HMAC-SHA-256 */
};

#define WEBHOOK_ID "msg_rollcall_probe"

static bool is(const struct config_endpoint *endpoint, const char *sender) {
    return strcmp(endpoint->sender->name, sender) == 0;
}

bool probe_request_adds_event(const struct config_endpoint *endpoint) {
    return is(endpoint, "json");
}

unsigned probe_request_patience_s(const struct config_endpoint *endpoint) {
    return is(endpoint, "bt") ? 10 : is(endpoint, "pubnub") ? 5 : 15;
}

/* --- The body ----------------------------------------------------------------------------------
 */

/* `"name":"secret",`, or nothing where the secret is not in the body. */
static void write_secret_member(const struct config_endpoint *endpoint, struct span secret,
                                char dst[BODY_BYTES]) {
    char escaped[6 * CONFIG_MAX_SECRET_BYTES];
    dst[0] = 0;
    if (endpoint->auth != AUTH_BODY || span_is_absent(secret))
        return;
    size_t len = json_escape(secret, escaped);
    snprintf(dst, BODY_BYTES, "\"%s\":\"%.*s\",", endpoint->auth_name, (int)len, escaped);
}

static void write_delivery(const struct config_endpoint *endpoint, struct span secret,
                           char dst[BODY_BYTES]) {
    char member[BODY_BYTES];
    write_secret_member(endpoint, secret, member);
    if (is(endpoint, "aerohive"))
        snprintf(dst, BODY_BYTES, "%s", *member ? "" : "[]");
    else if (is(endpoint, "bt"))
        dst[0] = 0; /* as its portal's test may be */
    else if (is(endpoint, "meraki"))
        snprintf(dst, BODY_BYTES,
                 "{%.*s\"version\":\"2.0\",\"type\":\"DevicesSeen\",\"data\":{\"apMac\":"
                 "\"02:00:00:00:00:00\",\"observations\":[]}}",
                 BODY_BYTES - 256, member);
    else if (is(endpoint, "mist"))
        snprintf(dst, BODY_BYTES, "{%.*s\"topic\":\"location\",\"events\":[]}", BODY_BYTES - 256,
                 member);
    else if (is(endpoint, "pubnub"))
        snprintf(dst, BODY_BYTES, "[]");
    else
        snprintf(dst, BODY_BYTES, "{%.*s\"rollcall_probe\":true}", BODY_BYTES - 256, member);
}

/* --- The secret --------------------------------------------------------------------------------
 */

static void sign(struct span key, const char *text, bool is_base64, char dst[3 * MAC_BYTES]) {
    uint8_t mac[MAC_BYTES];
    unsigned len = 0;
    HMAC(EVP_sha256(), key.ptr, key.len, (const uint8_t *)text, strlen(text), mac, &len);
    if (is_base64) {
        EVP_EncodeBlock((uint8_t *)dst, mac, len);
    } else {
        text_format_hex(mac, len, dst);
        dst[2 * (size_t)len] = 0;
    }
}

static void write_basic(const struct config_endpoint *endpoint, struct span secret, char *dst,
                        size_t size) {
    char plain[2 * CONFIG_MAX_SECRET_BYTES];
    char encoded[4 * CONFIG_MAX_SECRET_BYTES];
    int len = snprintf(plain, sizeof plain, "%s:%.*s", endpoint->auth_name, SPAN_ARG(secret));
    if (len >= (int)sizeof plain)
        len = sizeof plain - 1;
    EVP_EncodeBlock((uint8_t *)encoded, (const uint8_t *)plain, (size_t)len);
    snprintf(dst, size, "Authorization: Basic %s\r\n", encoded);
}

static void write_webhook(struct span secret, const char *body, int64_t now_s, char *dst,
                          size_t size) {
    char text[BODY_BYTES + 128], signature[3 * MAC_BYTES];
    uint8_t key[CONFIG_MAX_SECRET_BYTES];
    size_t key_len = 0;
    if (!auth_decode_webhook_secret(secret, key, &key_len))
        key_len = 0;
    snprintf(text, sizeof text, WEBHOOK_ID ".%lld.%s", (long long)now_s, body);
    sign(span_from((char *)key, key_len), text, true, signature);
    snprintf(dst, size,
             "webhook-id: " WEBHOOK_ID "\r\nwebhook-timestamp: %lld\r\n"
             "webhook-signature: v1,%s\r\n",
             (long long)now_s, signature);
}

/* The fields that carry the secret or a signature, each ending in CRLF. */
static void write_fields(const struct config_endpoint *endpoint,
                         const struct probe_request *request, const char *body, char *dst,
                         size_t size) {
    char signature[3 * MAC_BYTES];
    struct span secret = request->secret;
    dst[0] = 0;
    if (span_is_absent(secret))
        return;
    switch (endpoint->auth) {
    case AUTH_TOKEN:
        snprintf(dst, size, "Authorization: Basic %.*s\r\n", SPAN_ARG(secret));
        break;
    case AUTH_HEADER:
        snprintf(dst, size, "%s: %.*s\r\n", endpoint->auth_name, SPAN_ARG(secret));
        break;
    case AUTH_BASIC:
        write_basic(endpoint, secret, dst, size);
        break;
    case AUTH_HMAC_SHA256:
        sign(secret, body, endpoint->auth_base64, signature);
        snprintf(dst, size, "%s: %s\r\n", endpoint->auth_name, signature);
        break;
    case AUTH_MIST:
        sign(secret, body, false, signature);
        snprintf(dst, size, "X-Mist-Signature-v2: %s\r\n", signature);
        break;
    case AUTH_STANDARD_WEBHOOKS:
        write_webhook(secret, body, request->now_s, dst, size);
        break;
    case AUTH_NONE:
    case AUTH_QUERY:
    case AUTH_BODY:
        break;
    }
}

/* The URL's own target, and behind it the secret where that is a parameter (RFC 3986, 2.1). */
static int append_target(struct buf *out, const struct url *url,
                         const struct config_endpoint *endpoint, struct span secret) {
    char text[FIELD_BYTES];
    int rc = buf_append(out, url->target, strlen(url->target));
    if (rc || endpoint->auth != AUTH_QUERY || span_is_absent(secret))
        return rc;
    int len = snprintf(text, sizeof text, "%c%s=", strchr(url->target, '?') ? '&' : '?',
                       endpoint->auth_name);
    rc = buf_append(out, text, (size_t)len);
    for (size_t i = 0; rc == 0 && i < secret.len; i++) {
        len = snprintf(text, sizeof text, "%%%02X", (unsigned char)secret.ptr[i]);
        rc = buf_append(out, text, (size_t)len);
    }
    return rc;
}

static int append_long_head(struct buf *out) {
    char name[32];
    int rc = buf_append(out, "Accept-Charset: ", 16);
    for (int i = 0; rc == 0 && i < CHARSETS; i++) {
        int len = snprintf(name, sizeof name, "%sx-windows-%03d-x", i ? ", " : "", i);
        rc = buf_append(out, name, (size_t)len);
    }
    return rc ? rc : buf_append(out, "\r\n", 2);
}

int probe_request_write(struct buf *out, const struct url *url,
                        const struct config_endpoint *endpoint,
                        const struct probe_request *request) {
    char body[BODY_BYTES], fields[FIELD_BYTES], head[FIELD_BYTES + 1024];
    bool is_post = strcmp(request->method, "POST") == 0;
    if (request->body)
        snprintf(body, sizeof body, "%s", request->body);
    else
        write_delivery(endpoint, request->secret, body);
    write_fields(endpoint, request, body, fields, sizeof fields);
    int rc = buf_append(out, request->method, strlen(request->method));
    rc = rc ? rc : buf_append(out, " ", 1);
    rc = rc ? rc : append_target(out, url, endpoint, request->secret);
    int len = snprintf(head, sizeof head,
                       " HTTP/1.1\r\nHost: %s\r\nUser-Agent: rollcall-probe\r\nAccept: */*\r\n%s%s",
                       url->authority, fields, request->is_last ? "Connection: close\r\n" : "");
    rc = rc ? rc : buf_append(out, head, (size_t)len);
    if (rc == 0 && request->has_long_head)
        rc = append_long_head(out);
    if (rc == 0 && is_post) {
        len = snprintf(head, sizeof head,
                       "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
        rc = buf_append(out, head, (size_t)len);
    }
    rc = rc ? rc : buf_append(out, "\r\n", 2);
    return rc || !is_post ? rc : buf_append(out, body, strlen(body));
}
