/* The configuration: one INI file (read with inih) into one struct. Every limit has a name, a unit
 * and a default; every mistake is reported as "file:line: message", and all mistakes of a file at
 * once. An unknown key, section or provider is a mistake: a node never starts half-configured.
 *
 * Not here: opening sockets, reading certificates (tls.h), the meaning of a sender's body. */
#ifndef ROLLCALL_CONFIG_H
#define ROLLCALL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "address.h"
#include "quota.h"
#include "sender.h"
#include "util/err.h"

enum {
    CONFIG_MAX_SECRETS = 8,
    CONFIG_MAX_SECRET_BYTES = 512,
    CONFIG_MIN_KEY_BYTES = 16, /* of the pseudonyms' key: what cannot be guessed by trying */
    CONFIG_MAX_LISTEN = 16,
    CONFIG_MAX_ALLOW_FROM = 256,
};

enum auth_scheme {
    AUTH_NONE,              /* must be written out, except for senders whose path is their secret */
    AUTH_TOKEN,             /* Authorization: <any scheme word> <token> */
    AUTH_HEADER,            /* a field of that name: <secret> */
    AUTH_BASIC,             /* Authorization: Basic base64(user:<secret>), RFC 7617 */
    AUTH_QUERY,             /* a parameter of that name in the URL */
    AUTH_BODY,              /* a member of that name at the document's root */
    AUTH_HMAC_SHA256,       /* a field of that name: HMAC-SHA-256 of the body, hex or base64 */
    AUTH_MIST,              /* X-Mist-Signature-v2 or X-Mist-Signature */
    AUTH_STANDARD_WEBHOOKS, /* webhook-id, webhook-timestamp, webhook-signature */
};

struct config_secret {
    char bytes[CONFIG_MAX_SECRET_BYTES + 1];
    size_t len;
    char *file; /* that it was read from; NULL: it stood in the configuration */
};

/* When the ring's file is written through to the disk. */
enum config_sync {
    CONFIG_SYNC_NEVER,    /* when the kernel likes: outlives the process, not a power loss */
    CONFIG_SYNC_INTERVAL, /* every so often */
    CONFIG_SYNC_ALWAYS,   /* before a post is answered */
};

/* What makes an event the same event when it comes again. */
enum config_identity {
    CONFIG_IDENTITY_SENDER, /* what the sender's page says; for json a webhook-id, if there is one
                             */
    CONFIG_IDENTITY_BODY,   /* the body's bytes, and which of its events it is */
    CONFIG_IDENTITY_HEADER, /* a field's value, likewise; nothing where the field is missing */
    CONFIG_IDENTITY_NONE,   /* nothing: each is new */
};

struct config_endpoint {
    struct config_endpoint *next;
    char *name; /* [A-Za-z0-9._-]{1,64}: needs no JSON escape */
    char *path;
    const struct sender *sender;
    enum auth_scheme auth;
    char *auth_name;  /* of the field, parameter or member, or the user; NULL where there is none */
    bool auth_base64; /* AUTH_HMAC_SHA256: base64, not hex */
    struct config_secret *secrets[CONFIG_MAX_SECRETS];
    unsigned secret_count;
    bool keep_unreadable;
    struct address_range *allow_from; /* who may post; all, where allow_from_count is 0 */
    unsigned allow_from_count;
    struct quota_limit rate_limit; /* of requests; count 0: none */
    enum config_identity identity;
    char *identity_header; /* CONFIG_IDENTITY_HEADER's */
    char *validator;       /* what a GET is answered with; NULL: the sender's usual answer */
    unsigned line;         /* of its section header */
};

struct config_address {
    char host[64]; /* numeric IPv4 or IPv6, no brackets */
    uint16_t port; /* 0: any */
    unsigned line;
};

struct config {
    unsigned references;
    struct config_address listen[CONFIG_MAX_LISTEN];
    unsigned listen_count;
    char *certificate, *private_key; /* PEM files */
    unsigned certificate_line, private_key_line, client_ca_line;
    char *client_ca; /* PEM file: peers must show a certificate from it; NULL: none asked for */
    char *socket;
    unsigned socket_mode;
    char *socket_group; /* NULL: leave it */
    unsigned max_connections, max_connections_per_ip;
    uint64_t header_timeout_ms, body_timeout_ms, keepalive_timeout_ms, drain_timeout_ms;
    size_t max_header_bytes, max_body_bytes;
    size_t max_unauthenticated_body_bytes, max_unauthenticated_total;
    size_t ring_size_bytes;
    char *ring_file; /* NULL: the ring is in memory only */
    enum config_sync ring_sync;
    uint64_t ring_sync_ms; /* CONFIG_SYNC_INTERVAL's */
    uint64_t max_hold_ms;  /* of a held reader that makes no progress */
    uint64_t dedupe_window_ms;
    unsigned dedupe_max_ids;
    int dedupe_mode; /* enum batch_duplicates of batch.h */
    bool reuse_port;
    struct config_address admin;                             /* host "": none */
    struct config_secret *admin_secrets[CONFIG_MAX_SECRETS]; /* those that are there first */
    int privacy_mac, privacy_personal;                       /* enum privacy_mode of privacy.h */
    struct config_secret *privacy_key; /* there where one of these two needs it; else maybe NULL */
    uint64_t privacy_rotate_ms;
    int log_level; /* enum log_level of log.h */
    bool log_json;
    struct config_endpoint *endpoints; /* in the file's order; at least one */
};

enum { CONFIG_INVALID = 1 };

/* Reads and checks the file; every mistake goes to `errors` as one line. 0 and a new *config,
 * CONFIG_INVALID, or -errno where the file itself could not be read (said on `errors` too).
 * ${NAME} in a value is the environment variable of that name. */
int config_load(struct config **config, const char *path, FILE *errors) MUST_CHECK;
struct config *config_ref(struct config *config);
void config_unref(struct config *config); /* the last one overwrites the secrets; NULL is fine */
/* Whether a running node may go on with `next`: complains of each key that only a restart changes.
 * `path` is next's file. CONFIG_INVALID or 0; -ENOMEM. */
int config_check_reload(const struct config *now, const struct config *next, const char *path,
                        FILE *errors) MUST_CHECK;
/* The effective configuration as an INI file, secrets masked as ****, which config_load refuses: a
 * dump is no working configuration until someone puts the real ones in. */
void config_dump(const struct config *config, FILE *out);

#endif
