/* The requests that rollcall-bench sends: one prebuilt text a connection, of which only a few
 * digits change from post to post. Every observation is one of a kind: its client MAC (PubNub: its
 * user) tells the connection and its number there (02, 16 bits of connection, 24 bits of number), a
 * document says both. The senders' shapes are payload_shapes.c's. */
#ifndef ROLLCALL_BENCH_PAYLOAD_H
#define ROLLCALL_BENCH_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/err.h"

enum payload_sender {
    PAYLOAD_AEROHIVE,
    PAYLOAD_BT,
    PAYLOAD_PUBNUB,      /* Events & Actions */
    PAYLOAD_PUBNUB_FLAT, /* the legacy presence webhook */
    PAYLOAD_MERAKI_V2,
    PAYLOAD_MERAKI_V3,
    PAYLOAD_MIST,
    PAYLOAD_JSON,
    PAYLOAD_SENDERS
};

enum {
    PAYLOAD_MAX_CONNECTIONS = 1 << 16,
    PAYLOAD_NUMBER_BITS = 24, /* of an observation's number, that its MAC holds */
    PAYLOAD_MAX_OBSERVATIONS = 100000,
};

/* What is in the text where something has to be put: these bytes stand in a shape's text. */
enum payload_mark {
    MARK_MAC = 1,       /* 12 upper-case digits */
    MARK_MAC_LOWER = 2, /* 12 lower-case digits */
    MARK_MAC_COLON = 3, /* lower-case pairs with ':' */
    MARK_MAC_DASH = 4,  /* upper-case pairs with '-' */
    MARK_RSSI = 5,      /* 2 digits from 30 to 89 */
    MARK_NUMBER = 6,    /* 10 digits, the first a 1 */
    MARK_LAST_NUMBER = MARK_NUMBER,
    MARK_ISO_MS = 14,      /* 2026-01-05T10:12:13.456Z */
    MARK_ISO_S = 15,       /* 2026-01-05T10:12:13Z */
    MARK_ISO_OFFSET = 16,  /* 2026-01-05T10:12:13+0000 */
    MARK_EPOCH_MS = 17,    /* 13 digits */
    MARK_EPOCH_S = 18,     /* 10 digits */
    MARK_EPOCH_FLOAT = 19, /* 10 digits, '.', 3 digits */
    MARK_LAST_TIME = MARK_EPOCH_FLOAT,
    /* these are put once, when the text is made */
    MARK_AP = 20,         /* 4 upper-case digits of the connection */
    MARK_CONNECTION = 21, /* 10 digits, the first a 1 */
    MARK_SECRET = 22,
    MARK_IPV4 = 23,
    MARK_INDEX = 24, /* of the observation within its post */
};

/* How a sender's body is put together: front, item, ',', item ..., back. */
struct payload_shape {
    const char *name; /* of --sender */
    const char *front, *item, *back;
    unsigned usual; /* observations in a post */
    bool single;    /* it never posts more than one */
    bool token;     /* the secret is sent as Authorization: Basic */
    bool signs;     /* the secret signs the body, as Mist does */
};
extern const struct payload_shape payload_shapes[PAYLOAD_SENDERS];

/* Who posts, and where to. */
struct payload_options {
    enum payload_sender sender;
    unsigned observations;   /* a post */
    const char *host, *path; /* host: the Host field's value, port included */
    const char *headers;     /* further fields, each ending in CRLF */
    unsigned ms;             /* 0-999, of every time: tells runs within one second apart */
    const char *secret;      /* NULL: none; needs no JSON escape */
    bool close;              /* Connection: close */
};

/* Where changing digits stand in the text. */
struct payload_patch {
    uint32_t offset;
    uint32_t index; /* of the observation within its post */
    enum payload_mark mark;
};

struct payload {
    const struct payload_options *options;
    unsigned connection;
    struct buf text;                       /* the whole request */
    struct payload_patch *numbers, *times; /* one allocation, owned */
    uint32_t number_count, time_count;
    uint32_t body, signature; /* where they begin; signature 0: there is none */
    int64_t time_s;
};

/* 0 or -ENOMEM. options live as long. */
int payload_init(struct payload *payload, const struct payload_options *options,
                 unsigned connection) MUST_CHECK;
void payload_deinit(struct payload *payload);
/* Makes it the post with the observations first .. first + observations - 1, seen at now_s. */
void payload_set(struct payload *payload, uint64_t first, int64_t now_s);

/* Where a sender's events say whose they are. */
enum payload_line { PAYLOAD_LINE_MAC, PAYLOAD_LINE_USER, PAYLOAD_LINE_DOCUMENT, PAYLOAD_LINES };
enum payload_line payload_line_of(enum payload_sender sender);
/* Reads back, from an event line of the node's, whose it is. False: not one of ours. *number holds
 * its low PAYLOAD_NUMBER_BITS bits. */
bool payload_parse_line(enum payload_line kind, const char *line, size_t len, unsigned *connection,
                        uint32_t *number);

#endif
