/* TLS 1.2 and 1.3 (RFC 5246, 8446) over BoringSSL, sans I/O: records in, plaintext out, and back.
 *
 * A session reads its records from a span the caller feeds and appends its own to a buffer shared
 * by all sessions of a thread; it holds neither a socket nor a buffer of its own. A custom BIO does
 * that: BIO_s_mem would move what is left on every read, and SSL_set_fd costs two or three system
 * calls a record. BoringSSL takes a partial record into its own memory, so at TLS_WANT the fed span
 * is always used up, and the plaintext of one feed is at most what was fed plus one record. */
#ifndef ROLLCALL_TLS_H
#define ROLLCALL_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/span.h"

enum { TLS_MAX_RECORD_PLAINTEXT = 16384 }; /* RFC 8446, 5.1 */

/* The certificate, key and settings; sessions keep the context they began with. Counted. */
struct tls_context;

enum tls_file { TLS_CERTIFICATE, TLS_PRIVATE_KEY, TLS_CLIENT_CA };

struct tls_error {
    enum tls_file which;
    char message[256]; /* one line: the file, the reason, what to do */
};

enum { TLS_INVALID = 1 };

/* PEM files. The certificate's holds its chain behind it. */
struct tls_files {
    const char *certificate, *private_key;
    const char *client_ca; /* clients must show a certificate issued by one of these; NULL: none */
};

/* Reads the files, checks that the key is the certificate's. 0, TLS_INVALID (*error says which file
 * and why) or -ENOMEM. TLS 1.2 with ECDHE and AEAD only, TLS 1.3; ALPN http/1.1; session tickets
 * whose keys BoringSSL rotates; no 0-RTT, no renegotiation. */
int tls_context_new(struct tls_context **context, const struct tls_files *files,
                    struct tls_error *error) MUST_CHECK;
/* The client's side, for the load generator: trusts what ca_file holds, or checks nothing for NULL.
 */
int tls_context_new_client(struct tls_context **context, const char *ca_file,
                           struct tls_error *error) MUST_CHECK;
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);
/* When the leaf certificate ends, Unix seconds; 0 for a client's context. */
int64_t tls_context_not_after(const struct tls_context *context);

enum tls_severity { TLS_PROBLEM, TLS_WARNING };
enum { TLS_WARN_BEFORE_S = 14 * 86400 };

struct tls_check {
    int64_t now_s; /* Unix time */
    /* Called for each finding, with one line of text that lives as long as the call. */
    void (*found)(void *context, enum tls_severity severity, const char *text);
    void *context;
};
/* Looks at the dates and the order of a server's own chain. */
void tls_context_check(const struct tls_context *context, const struct tls_check *check);

struct tls_session {
    struct ssl_st *ssl;
    struct tls_context *context;
    struct span in;  /* fed and not yet read */
    struct buf *out; /* where records go; set for the time of each call */
};

enum tls_result {
    TLS_OK = 0,
    TLS_WANT = 1,   /* nothing more until more is fed */
    TLS_CLOSED = 2, /* close_notify came: the peer sends no more */
    TLS_FAILED = 3, /* not TLS, or broken: send what is in `out` (an alert), then close */
};

/* A session of the context's side. 0 or -ENOMEM. */
int tls_session_init(struct tls_session *session, struct tls_context *context) MUST_CHECK;
/* Copes with a zeroed session. */
void tls_session_deinit(struct tls_session *session);

/* Hands over bytes from the peer; they live until tls_session_read has answered TLS_WANT. */
void tls_session_feed(struct tls_session *session, const char *data, size_t len);
/* Handshakes as far as it can and reads plaintext into dst. *len is what was read, whatever the
 * result: TLS_OK where dst is full (call again), TLS_WANT, TLS_CLOSED or TLS_FAILED behind it. What
 * is to be sent (handshake, alert) is appended to `out`. */
int tls_session_read(struct tls_session *session, struct buf *out, char *dst, size_t cap,
                     size_t *len) MUST_CHECK;
/* Encrypts all of it to `out`. TLS_OK, TLS_FAILED or -ENOMEM. Only after the handshake. */
int tls_session_write(struct tls_session *session, struct buf *out, const char *data,
                      size_t len) MUST_CHECK;
/* Appends close_notify (RFC 8446, 6.1), once. */
void tls_session_shutdown(struct tls_session *session, struct buf *out);

bool tls_session_is_established(const struct tls_session *session);
bool tls_session_was_resumed(const struct tls_session *session);
/* Why the session failed: a word for the log, static text ("unsupported_protocol"). */
const char *tls_session_failure(const struct tls_session *session);

#endif
