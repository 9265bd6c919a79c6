/* TLS sessions over BoringSSL through a custom BIO; see tls.h. Contexts are tls_context.c's. */
#include "tls_internal.h"

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

const BIO_METHOD *tls_bio_method(void) {
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

/* --- sessions ------------------------------------------------------------------------------------
 */

int tls_session_init(struct tls_session *session, struct tls_context *context) {
    *session = (struct tls_session){0};
    session->ssl = SSL_new(context->ssl_ctx);
    BIO *bio = BIO_new(tls_bio_method());
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

/* Another SSL_read could only say that it wants more. */
static bool is_drained(const struct tls_session *session) {
    return session->in.len == 0 && !SSL_has_pending(session->ssl);
}

/* SSL_read and SSL_write clear the thread's queue of errors, which SSL_get_error looks at. */
int tls_session_read(struct tls_session *session, struct buf *out, char *dst, size_t cap,
                     size_t *len) {
    int result = TLS_OK;
    *len = 0;
    session->out = out;
    while (cap - *len > 0 && result == TLS_OK) {
        int rc = SSL_read(session->ssl, dst + *len, (int)(cap - *len));
        if (rc <= 0) {
            result = result_of(session, rc);
        } else {
            *len += (size_t)rc;
            if (is_drained(session))
                result = TLS_WANT;
        }
    }
    session->out = NULL;
    return result;
}

int tls_session_write(struct tls_session *session, struct buf *out, const char *data, size_t len) {
    int result = TLS_OK;
    session->out = out;
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
