/* TLS sessions over BoringSSL through a custom BIO; see tls.h. */
#include "tls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls_context {
    SSL_CTX *ssl_ctx;
    int64_t not_after;
    unsigned references;
    bool client;
};

/* --- the BIO: reads from session->in, writes to session->out -------------------------------------
 */

static int bio_read(BIO *bio, char *dst, int cap) {
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (session->in.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t len = session->in.len < (size_t)cap ? session->in.len : (size_t)cap;
    memcpy(dst, session->in.ptr, len);
    session->in.ptr += len;
    session->in.len -= len;
    return (int)len;
}

static int bio_write(BIO *bio, const char *data, int len) {
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    return buf_append(session->out, data, (size_t)len) ? -1 : len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static const BIO_METHOD *bio_method(void) {
    static BIO_METHOD *method;
    if (!method) {
        method = BIO_meth_new(BIO_get_new_index(), "rollcall");
        if (!method || !BIO_meth_set_read(method, bio_read) ||
            !BIO_meth_set_write(method, bio_write) || !BIO_meth_set_ctrl(method, bio_ctrl)) {
            BIO_meth_free(method);
            method = NULL;
        }
    }
    return method;
}

/* --- the context ---------------------------------------------------------------------------------
 */

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

static int error_set(struct tls_error *error, const char *file, const char *what) {
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    snprintf(error->message, sizeof error->message, "%s: %s%s%s", file, what, reason ? ": " : "",
             reason ? reason : "");
    ERR_clear_error();
    return TLS_INVALID;
}

static int load_files(SSL_CTX *ctx, const char *certificate_file, const char *private_key_file,
                      struct tls_error *error) {
    if (!SSL_CTX_use_certificate_chain_file(ctx, certificate_file))
        return error_set(error, certificate_file, "no certificate chain could be read from it");
    if (!SSL_CTX_use_PrivateKey_file(ctx, private_key_file, SSL_FILETYPE_PEM))
        return error_set(error, private_key_file,
                         "no private key that belongs to the certificate could be read from it");
    if (!SSL_CTX_check_private_key(ctx))
        return error_set(error, private_key_file, "is not the certificate's private key");
    return 0;
}

/* By way of the difference to 1970: the one conversion every version of BoringSSL has. */
static int64_t leaf_not_after(SSL_CTX *ctx) {
    int days, seconds;
    int64_t result = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    const X509 *leaf = SSL_CTX_get0_certificate(ctx);
    if (epoch && leaf && ASN1_TIME_diff(&days, &seconds, epoch, X509_get0_notAfter(leaf)))
        result = (int64_t)days * 86400 + seconds;
    ASN1_TIME_free(epoch);
    return result;
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
    int rc = made->ssl_ctx && bio_method() ? configure(made->ssl_ctx) : -ENOMEM;
    if (rc)
        tls_context_unref(made);
    else
        *context = made;
    return rc;
}

int tls_context_new(struct tls_context **context, const char *certificate_file,
                    const char *private_key_file, struct tls_error *error) {
    struct tls_context *made;
    int rc = context_new(&made);
    if (rc)
        return rc;
    SSL_CTX_set_alpn_select_cb(made->ssl_ctx, select_alpn, NULL);
    rc = load_files(made->ssl_ctx, certificate_file, private_key_file, error);
    if (rc) {
        tls_context_unref(made);
        return rc;
    }
    made->not_after = leaf_not_after(made->ssl_ctx);
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
        rc = error_set(error, ca_file, "no certificates could be read from it");
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

int64_t tls_context_not_after(const struct tls_context *context) {
    return context->not_after;
}

/* --- sessions ------------------------------------------------------------------------------------
 */

int tls_session_init(struct tls_session *session, struct tls_context *context) {
    *session = (struct tls_session){0};
    session->ssl = SSL_new(context->ssl_ctx);
    BIO *bio = BIO_new(bio_method());
    if (!session->ssl || !bio) {
        BIO_free(bio);
        tls_session_deinit(session);
        return -ENOMEM;
    }
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    if (context->client)
        SSL_set_connect_state(session->ssl);
    else
        SSL_set_accept_state(session->ssl);
    SSL_set_shed_handshake_config(session->ssl, 1); /* 3.8 to 2.6 KB for an idle session */
    session->context = tls_context_ref(context);
    return 0;
}

void tls_session_deinit(struct tls_session *session) {
    SSL_free(session->ssl);
    tls_context_unref(session->context);
    *session = (struct tls_session){0};
}

void tls_session_feed(struct tls_session *session, const char *data, size_t len) {
    assert(session->in.len == 0);
    session->in = span_from(data, len);
}

static int result_of(struct tls_session *session, int rc) {
    switch (SSL_get_error(session->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        assert(session->in.len == 0);
        return TLS_WANT;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    default:
        return TLS_FAILED;
    }
}

int tls_session_read(struct tls_session *session, struct buf *out, char *dst, size_t cap,
                     size_t *len) {
    int result = TLS_OK;
    *len = 0;
    session->out = out;
    ERR_clear_error(); /* SSL_get_error looks at the thread's queue */
    while (cap - *len > 0) {
        int rc = SSL_read(session->ssl, dst + *len, (int)(cap - *len));
        if (rc <= 0) {
            result = result_of(session, rc);
            break;
        }
        *len += (size_t)rc;
    }
    session->out = NULL;
    return result;
}

int tls_session_write(struct tls_session *session, struct buf *out, const char *data, size_t len) {
    int result = TLS_OK;
    session->out = out;
    ERR_clear_error();
    while (len && result == TLS_OK) {
        int rc = SSL_write(session->ssl, data, (int)(len < 1 << 20 ? len : 1 << 20));
        if (rc <= 0) {
            result = TLS_FAILED;
        } else {
            data += rc;
            len -= (size_t)rc;
        }
    }
    session->out = NULL;
    return result;
}

void tls_session_shutdown(struct tls_session *session, struct buf *out) {
    if (!session->ssl || SSL_get_shutdown(session->ssl) & SSL_SENT_SHUTDOWN ||
        !tls_session_is_established(session))
        return;
    session->out = out;
    ERR_clear_error();
    (void)SSL_shutdown(session->ssl); /* 0 or 1: ours is written; an error: there is none to send */
    ERR_clear_error();
    session->out = NULL;
}

bool tls_session_is_established(const struct tls_session *session) {
    return session->ssl && !SSL_in_init(session->ssl);
}

bool tls_session_was_resumed(const struct tls_session *session) {
    return SSL_session_reused(session->ssl);
}

const char *tls_session_failure(const struct tls_session *session) {
    (void)session;
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    return reason ? reason : "closed";
}
