/* What tls.c (sessions) and tls_context.c (certificates and settings) share. */
#ifndef ROLLCALL_TLS_INTERNAL_H
#define ROLLCALL_TLS_INTERNAL_H

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "tls.h"

struct tls_context {
    SSL_CTX *ssl_ctx;
    unsigned references;
    bool client;
};

/* The BIO of every session; NULL where there is no memory for it. */
const BIO_METHOD *tls_bio_method(void);

#endif
