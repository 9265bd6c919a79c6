/* A blocking HTTPS client for the probe; see probe_client.h. */
#include "probe_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <llhttp.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "util/clock.h"

static int fail(char error[PROBE_ERROR_BYTES], const char *what, const char *why) {
    snprintf(error, PROBE_ERROR_BYTES, "%s: %s", what, why);
    return -1;
}

/* --- TCP ---------------------------------------------------------------------------------------
 */

/* 0 or -errno. */
static int wait_connected(int fd, int timeout_ms) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int rc = poll(&poll_fd, 1, timeout_ms), status = 0;
    socklen_t len = sizeof status;
    if (rc <= 0)
        return rc < 0 ? -errno : -ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &status, &len) ? -errno : -status;
}

static int connect_to(const struct addrinfo *address, unsigned timeout_ms) {
    int yes = 1;
    struct timeval patience = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int rc = connect(fd, address->ai_addr, address->ai_addrlen) ? -errno : 0;
    if (rc == -EINPROGRESS)
        rc = wait_connected(fd, (int)timeout_ms);
    if (rc == 0 && (fcntl(fd, F_SETFL, 0) || /* from here on it waits */
                    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) ||
                    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) ||
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes)))
        rc = -errno;
    if (rc) {
        close(fd);
        return rc;
    }
    return fd;
}

static int connect_any(const struct probe_target *target, char error[PROBE_ERROR_BYTES]) {
    int rc = -EHOSTUNREACH;
    for (const struct addrinfo *at = target->addresses; at && rc < 0; at = at->ai_next)
        rc = connect_to(at, target->timeout_ms);
    if (rc < 0)
        fail(error, "no TCP connection", strerror(-rc));
    return rc;
}

/* --- TLS ---------------------------------------------------------------------------------------
 */

static const char *explain_trust(long verdict, unsigned certificates) {
    switch (verdict) {
    case X509_V_OK:
        return NULL;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "a certificate has expired: renew it";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "a certificate is not valid yet: look at its dates and at this clock";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return "self-signed: senders want one that a public authority has signed";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return "its authority is not a known one: senders trust public authorities";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return certificates > 1
                   ? "the chain leads to no known authority"
                   : "the intermediate certificate is missing: `certificate` must hold the whole "
                     "chain (fullchain.pem)";
    default:
        return X509_verify_cert_error_string(verdict);
    }
}

static bool is_named(X509 *leaf, const char *host) {
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_check_ip_asc(leaf, host, 0) == 1;
    return X509_check_host(leaf, host, strlen(host), 0, NULL) == 1;
}

static int64_t seconds_left(X509 *leaf) {
    int days = 0, seconds = 0;
    if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(leaf)))
        return 0;
    return (int64_t)days * 86400 + seconds;
}

static void look(struct probe_connection *connection, const struct probe_target *target) {
    struct probe_tls *tls = &connection->tls;
    const unsigned char *alpn;
    unsigned alpn_len;
    const STACK_OF(X509) *chain = SSL_get_peer_cert_chain(connection->ssl);
    tls->version = SSL_get_version(connection->ssl);
    tls->certificates = chain ? (unsigned)sk_X509_num(chain) : 0;
    tls->trust = explain_trust(SSL_get_verify_result(connection->ssl), tls->certificates);
    SSL_get0_alpn_selected(connection->ssl, &alpn, &alpn_len);
    tls->has_alpn = alpn_len == 8 && memcmp(alpn, "http/1.1", 8) == 0;
    X509 *leaf = SSL_get_peer_certificate(connection->ssl);
    if (!leaf)
        return;
    tls->is_named = is_named(leaf, target->url->host);
    tls->ends_in_s = seconds_left(leaf);
    X509_free(leaf);
}

static int load_authorities(SSL_CTX *context, const char *file, char error[PROBE_ERROR_BYTES]) {
    const char *path = file ? file : "/etc/ssl/certs/ca-certificates.crt";
    if (SSL_CTX_load_verify_locations(context, path, NULL))
        return 0;
    ERR_clear_error();
    if (!file && access(path, R_OK)) /* then nobody is trusted, and that is what is said */
        return 0;
    return fail(error, path, "no authorities (PEM) in it");
}

static int open_tls(struct probe_connection *connection, const struct probe_target *target,
                    char error[PROBE_ERROR_BYTES]) {
    static const unsigned char alpn[] = "\x08http/1.1";
    const char *host = target->url->host;
    unsigned char address[sizeof(struct in6_addr)];
    bool is_address =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    connection->context = SSL_CTX_new(TLS_method());
    if (!connection->context || load_authorities(connection->context, target->ca_file, error))
        return connection->context ? -1 : fail(error, "TLS", "out of memory");
    /* The verdict is looked at afterwards: the rest is of interest, too. */
    SSL_CTX_set_verify(connection->context, SSL_VERIFY_NONE, NULL);
    if (target->only_tls_1_2)
        SSL_CTX_set_max_proto_version(connection->context, TLS1_2_VERSION);
    connection->ssl = SSL_new(connection->context);
    if (!connection->ssl || SSL_set_alpn_protos(connection->ssl, alpn, sizeof alpn - 1) ||
        (!is_address && !SSL_set_tlsext_host_name(connection->ssl, host)) ||
        !SSL_set_fd(connection->ssl, connection->fd))
        return fail(error, "TLS", "out of memory");
    return 0;
}

/* Why the last call of TLS failed. */
static const char *explain_failure(struct probe_connection *connection, int rc) {
    int kind = SSL_get_error(connection->ssl, rc), number = errno;
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE || number == EAGAIN)
        return "no answer in time";
    if (kind == SSL_ERROR_SSL)
        return reason ? reason : "not TLS";
    return kind == SSL_ERROR_SYSCALL && number ? strerror(number) : "the connection was closed";
}

int probe_connect(struct probe_connection *connection, const struct probe_target *target,
                  char error[PROBE_ERROR_BYTES]) {
    *connection = (struct probe_connection){.fd = connect_any(target, error)};
    if (connection->fd < 0)
        return PROBE_TCP_FAILED;
    int rc = open_tls(connection, target, error);
    if (rc == 0) {
        ERR_clear_error();
        errno = 0;
        rc = SSL_connect(connection->ssl);
        if (rc == 1) {
            look(connection, target);
            return PROBE_DONE;
        }
        fail(error, "no TLS connection", explain_failure(connection, rc));
    }
    probe_disconnect(connection);
    return PROBE_TLS_FAILED;
}

void probe_disconnect(struct probe_connection *connection) {
    if (connection->ssl)
        (void)SSL_shutdown(connection->ssl);
    SSL_free(connection->ssl);
    SSL_CTX_free(connection->context);
    if (connection->fd > 0)
        close(connection->fd);
    *connection = (struct probe_connection){0};
}

/* --- HTTP --------------------------------------------------------------------------------------
 */

struct reading {
    llhttp_t llhttp;
    struct probe_answer *answer;
    bool is_head, is_whole, is_too_long;
};

static int on_body(llhttp_t *llhttp, const char *at, size_t len) {
    struct reading *reading = llhttp->data;
    struct buf *body = &reading->answer->body;
    reading->is_too_long = body->len + len > PROBE_BODY_BYTES || buf_append(body, at, len);
    return reading->is_too_long ? -1 : 0;
}

static int on_headers_complete(llhttp_t *llhttp) {
    struct reading *reading = llhttp->data;
    return reading->is_head ? 1 : 0; /* 1: no body follows */
}

static int on_message_complete(llhttp_t *llhttp) {
    struct reading *reading = llhttp->data;
    if (llhttp->status_code / 100 == 1)
        return 0;
    reading->is_whole = true;
    reading->answer->status = llhttp->status_code;
    reading->answer->keeps_alive = llhttp_should_keep_alive(llhttp);
    return HPE_PAUSED;
}

/* Everything up to the blank line stands in answer->head, too, for its fields. */
static bool note_head(struct probe_answer *answer, const char *data, size_t len) {
    struct buf *head = &answer->head;
    if (head->len && memmem(head->ptr, head->len, "\r\n\r\n", 4))
        return true;
    return head->len + len <= PROBE_HEAD_BYTES + PROBE_BODY_BYTES && !buf_append(head, data, len);
}

static int read_answer(struct probe_connection *connection, bool is_head,
                       struct probe_answer *answer, char error[PROBE_ERROR_BYTES]) {
    llhttp_settings_t settings;
    struct reading reading = {.answer = answer, .is_head = is_head};
    char data[4096];
    llhttp_settings_init(&settings);
    settings.on_body = on_body;
    settings.on_headers_complete = on_headers_complete;
    settings.on_message_complete = on_message_complete;
    llhttp_init(&reading.llhttp, HTTP_RESPONSE, &settings);
    reading.llhttp.data = &reading;
    while (!reading.is_whole) {
        ERR_clear_error();
        errno = 0;
        int len = SSL_read(connection->ssl, data, sizeof data);
        if (len <= 0)
            return fail(error, "no answer", explain_failure(connection, len));
        if (!note_head(answer, data, (size_t)len))
            return fail(error, "no answer", "its head is longer than 16 KiB");
        llhttp_errno_t rc = llhttp_execute(&reading.llhttp, data, (size_t)len);
        if (reading.is_too_long)
            return fail(error, "no answer", "its body is longer than 64 KiB");
        if (rc != HPE_OK && rc != HPE_PAUSED)
            return fail(error, "the answer is not HTTP", llhttp_errno_name(rc));
    }
    return 0;
}

int probe_exchange(struct probe_connection *connection, struct span request, bool is_head,
                   struct probe_answer *answer, char error[PROBE_ERROR_BYTES]) {
    uint64_t start_ns = clock_monotonic_ns();
    *answer = (struct probe_answer){0};
    for (size_t sent = 0; sent < request.len;) {
        ERR_clear_error();
        errno = 0;
        int rc = SSL_write(connection->ssl, request.ptr + sent, (int)(request.len - sent));
        if (rc <= 0)
            return fail(error, "the request could not be sent", explain_failure(connection, rc));
        sent += (size_t)rc;
    }
    int rc = read_answer(connection, is_head, answer, error);
    answer->seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
    return rc;
}

struct span probe_field(const struct probe_answer *answer, const char *name) {
    size_t name_len = strlen(name);
    const char *at = answer->head.ptr, *end = at ? at + answer->head.len : at;
    while (at && at < end) {
        const char *line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (!line_end || line_end == at)
            break;
        size_t len = (size_t)(line_end - at);
        if (len > name_len && at[name_len] == ':' && strncasecmp(at, name, name_len) == 0)
            return span_trim(span_from(at + name_len + 1, len - name_len - 1));
        at = line_end + 2;
    }
    return (struct span){0};
}

void probe_answer_deinit(struct probe_answer *answer) {
    buf_deinit(&answer->head);
    buf_deinit(&answer->body);
}
