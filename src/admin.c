/* Who may ask the admin listener; see admin.h. */
#include "admin.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "auth.h"

const char admin_headers[] =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; worker-src 'self'; "
    "style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "X-Content-Type-Options: nosniff\r\n";

/* --- the Host field ------------------------------------------------------------------------------
 */

/* Without the port (RFC 3986, 3.2.2: an IPv6 address stands in brackets, which stay). */
static struct span host_name(struct span host) {
    const char *colon = NULL;
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] == ']')
            colon = NULL;
        else if (host.ptr[i] == ':' && !colon)
            colon = host.ptr + i;
    }
    return colon ? span_from(host.ptr, (size_t)(colon - host.ptr)) : host;
}

static bool is_loopback_v4(struct span name) {
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (name.len >= sizeof text)
        return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = 0;
    return inet_pton(AF_INET, text, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

/* Names that no DNS can lead elsewhere (RFC 6761, 6.3: localhost). */
static bool is_loopback(struct span host) {
    struct span name = host_name(host);
    return span_equals_nocase(name, SPAN("localhost")) || span_equals(name, SPAN("[::1]")) ||
           (name.len && is_loopback_v4(name));
}

/* --- the decision --------------------------------------------------------------------------------
 */

static bool refuse(struct admin_refusal *refusal, int status, const char *headers,
                   const char *reason) {
    *refusal = (struct admin_refusal){status, headers, reason};
    return true;
}

static bool refuses_secret(struct config_secret *const *secrets, const struct http_request *request,
                           struct admin_refusal *refusal) {
    static const char basic[] = "WWW-Authenticate: Basic realm=\"rollcall\", charset=\"UTF-8\"\r\n";
    /* To Basic a browser asks its user, and keeps a script's request waiting for as long: the page
     * could not say why it stands still. A script is told of Bearer alone, which nobody asks for.
     */
    static const char bearer[] = "WWW-Authenticate: Bearer realm=\"rollcall\"\r\n";
    struct span dest = http_request_field(request, SPAN("sec-fetch-dest"));
    const char *challenge = span_equals(dest, SPAN("empty")) ? bearer : basic;
    struct span authorization = http_request_field(request, SPAN("authorization"));
    switch (auth_check_operator(secrets, authorization)) {
    case AUTH_OK:
        return false;
    case AUTH_MISSING:
        return refuse(refusal, 401, challenge, "admin_secret is asked for, as the password");
    default:
        return refuse(refusal, 401, challenge, "not the admin_secret");
    }
}

/* A page of another site may lead here (a link in a mail, a dashboard), but not read or load. Old
 * browsers and programs do not say. */
static bool is_foreign(const struct http_request *request) {
    struct span site = http_request_field(request, SPAN("sec-fetch-site"));
    struct span mode = http_request_field(request, SPAN("sec-fetch-mode"));
    if (!site.len || span_equals(site, SPAN("same-origin")) || span_equals(site, SPAN("none")))
        return false;
    return !span_equals(mode, SPAN("navigate")) || !span_equals(request->path, SPAN("/"));
}

bool admin_refuses(struct config_secret *const *secrets, const struct http_request *request,
                   struct admin_refusal *refusal) {
    struct span host = http_request_field(request, SPAN("host"));
    bool is_probe =
        span_equals(request->path, SPAN("/livez")) || span_equals(request->path, SPAN("/readyz"));
    bool is_counts = is_probe || span_equals(request->path, SPAN("/metrics"));
    if (is_foreign(request))
        return refuse(refusal, 403, NULL, "asked for by another site's page");
    if (!secrets[0] && !is_counts && host.len && !is_loopback(host))
        return refuse(refusal, 421, NULL,
                      "without admin_secret only loopback names such as localhost are answered");
    return secrets[0] && !is_probe && refuses_secret(secrets, request, refusal);
}

static bool has_secret(struct config_secret *const *secrets, const struct config_secret *wanted) {
    for (int i = 0; i < CONFIG_MAX_SECRETS && secrets[i]; i++)
        if (secrets[i]->len == wanted->len &&
            memcmp(secrets[i]->bytes, wanted->bytes, wanted->len) == 0)
            return true;
    return false;
}

bool admin_secret_is_gone(struct config_secret *const *before, struct config_secret *const *now) {
    if (!before[0])
        return now[0] != NULL; /* nobody was asked for one */
    for (int i = 0; i < CONFIG_MAX_SECRETS && before[i]; i++)
        if (now[0] && !has_secret(now, before[i]))
            return true;
    return false;
}
