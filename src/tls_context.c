/* Certificates, keys and settings of TLS; see tls.h. */
#include "tls_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* RFC 7301: of what the client offers, http/1.1; none of it is an error the client is told. */
static int select_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                       unsigned in_len, void *context) {
    static const char http11[] = "http/1.1";
    (void)ssl, (void)context;
    for (unsigned i = 0; i + 1 + in[i] <= in_len; i += 1U + in[i]) {
        if (in[i] == sizeof http11 - 1 && memcmp(in + i + 1, http11, in[i]) == 0) {
            *out = in + i + 1;
            *out_len = in[i];
            return SSL_TLSEXT_ERR_OK;
        }
        if (i + 1U + in[i] >= in_len)
            break;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int error_set(struct tls_error *error, enum tls_file which, const char *file,
                     const char *what) {
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    error->which = which;
    snprintf(error->message, sizeof error->message, "%s: %s%s%s", file, what, reason ? ": " : "",
             reason ? reason : "");
    ERR_clear_error();
    return TLS_INVALID;
}

static int load_files(SSL_CTX *ctx, const struct tls_files *files, struct tls_error *error) {
    if (!SSL_CTX_use_certificate_chain_file(ctx, files->certificate))
        return error_set(error, TLS_CERTIFICATE, files->certificate,
                         "no certificate chain could be read from it");
    if (!SSL_CTX_use_PrivateKey_file(ctx, files->private_key, SSL_FILETYPE_PEM))
        return error_set(error, TLS_PRIVATE_KEY, files->private_key,
                         "no private key that belongs to the certificate could be read from it");
    if (!SSL_CTX_check_private_key(ctx))
        return error_set(error, TLS_PRIVATE_KEY, files->private_key,
                         "is not the certificate's private key");
    return 0;
}

/* Mutual TLS: every client shows a certificate that one of these has issued. */
static int require_clients(SSL_CTX *ctx, const char *client_ca, struct tls_error *error) {
    static const uint8_t session_context[] = "rollcall";
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(client_ca);
    if (!names || !SSL_CTX_load_verify_locations(ctx, client_ca, NULL)) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return error_set(error, TLS_CLIENT_CA, client_ca, "no certificates could be read from it");
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1)
               ? 0
               : -ENOMEM;
}

static int configure(SSL_CTX *ctx) {
    static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
    if (!SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) ||
        !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set_strict_cipher_list(ctx, ciphers))
        return -ENOMEM;
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only */
    SSL_CTX_set_early_data_enabled(ctx, 0);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return 0;
}

static int context_new(struct tls_context **context) {
    struct tls_context *made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    made->references = 1;
    made->ssl_ctx = SSL_CTX_new(TLS_method());
    int rc = made->ssl_ctx && tls_bio_method() ? configure(made->ssl_ctx) : -ENOMEM;
    if (rc)
        tls_context_unref(made);
    else
        *context = made;
    return rc;
}

int tls_context_new(struct tls_context **context, const struct tls_files *files,
                    struct tls_error *error) {
    struct tls_context *made;
    int rc = context_new(&made);
    if (rc)
        return rc;
    SSL_CTX_set_alpn_select_cb(made->ssl_ctx, select_alpn, NULL);
    rc = load_files(made->ssl_ctx, files, error);
    if (rc == 0 && files->client_ca)
        rc = require_clients(made->ssl_ctx, files->client_ca, error);
    if (rc) {
        tls_context_unref(made);
        return rc;
    }
    *context = made;
    return 0;
}

int tls_context_new_client(struct tls_context **context, const char *ca_file,
                           struct tls_error *error) {
    struct tls_context *made;
    int rc = context_new(&made);
    if (rc)
        return rc;
    made->client = true;
    static const uint8_t alpn[] = "\x08http/1.1";
    if (SSL_CTX_set_alpn_protos(made->ssl_ctx, alpn, sizeof alpn - 1)) /* 0 is success here */
        rc = -ENOMEM;
    else if (ca_file && !SSL_CTX_load_verify_locations(made->ssl_ctx, ca_file, NULL))
        rc = error_set(error, TLS_CLIENT_CA, ca_file, "no certificates could be read from it");
    if (rc) {
        tls_context_unref(made);
        return rc;
    }
    SSL_CTX_set_verify(made->ssl_ctx, ca_file ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    *context = made;
    return 0;
}

struct tls_context *tls_context_ref(struct tls_context *context) {
    context->references++;
    return context;
}

void tls_context_unref(struct tls_context *context) {
    if (!context || --context->references)
        return;
    SSL_CTX_free(context->ssl_ctx);
    free(context);
}

/* --- what is wrong with a certificate ------------------------------------------------------------
 */

/* By way of the difference to 1970: the one conversion every version of BoringSSL has. */
static int64_t unix_seconds(const ASN1_TIME *time) {
    int days, seconds;
    int64_t result = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    if (epoch && ASN1_TIME_diff(&days, &seconds, epoch, time))
        result = (int64_t)days * 86400 + seconds;
    ASN1_TIME_free(epoch);
    return result;
}

int64_t tls_context_not_after(const struct tls_context *context) {
    const X509 *leaf = SSL_CTX_get0_certificate(context->ssl_ctx);
    return leaf ? unix_seconds(X509_get0_notAfter(leaf)) : 0;
}

/* The words of a finding: which certificate, what of it, and when. */
static void find(const struct tls_check *check, enum tls_severity severity, const X509 *certificate,
                 const char *what, int64_t when_s) {
    char text[384], name[128] = "", date[32] = "";
    time_t when = (time_t)when_s;
    struct tm tm;
    X509_NAME_oneline(X509_get_subject_name(certificate), name, sizeof name);
    for (char *p = name; *p; p++)
        if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
            *p = '?';
    if (when_s && gmtime_r(&when, &tm))
        strftime(date, sizeof date, " %Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(text, sizeof text, "the certificate of %s %s%s", name, what, date);
    check->found(check->context, severity, text);
}

static void check_dates(const struct tls_check *check, const X509 *certificate) {
    int64_t from = unix_seconds(X509_get0_notBefore(certificate));
    int64_t to = unix_seconds(X509_get0_notAfter(certificate));
    if (check->now_s < from)
        find(check, TLS_PROBLEM, certificate, "is not valid before", from);
    else if (check->now_s > to)
        find(check, TLS_PROBLEM, certificate, "has expired:", to);
    else if (check->now_s > to - TLS_WARN_BEFORE_S)
        find(check, TLS_WARNING, certificate, "is about to expire:", to);
}

void tls_context_check(const struct tls_context *context, const struct tls_check *check) {
    X509 *subject = SSL_CTX_get0_certificate(context->ssl_ctx);
    STACK_OF(X509) *chain = NULL;
    if (!subject)
        return;
    SSL_CTX_get0_chain_certs(context->ssl_ctx, &chain);
    check_dates(check, subject);
    size_t count = chain ? sk_X509_num(chain) : 0;
    for (size_t i = 0; i < count; i++) {
        X509 *issuer = sk_X509_value(chain, i);
        check_dates(check, issuer);
        if (X509_check_issued(issuer, subject) != X509_V_OK)
            find(check, TLS_PROBLEM, subject,
                 "was not issued by the one behind it; a chain goes from the node's own to its "
                 "issuer to that one's issuer",
                 0);
        subject = issuer;
    }
    if (!count && X509_check_issued(subject, subject) != X509_V_OK)
        find(check, TLS_WARNING, subject,
             "stands alone: senders that lack its issuer's will refuse it; add the intermediate "
             "certificates to the file",
             0);
    ERR_clear_error();
}
