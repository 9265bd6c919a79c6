/* The requests that rollcall-bench sends: one prebuilt text a connection, of which only a few
 * digits change from post to post. Every observation is one of a kind: its client MAC tells the
 * connection and its number there (02, 16 bits of connection, 24 bits of number), a document says
 * both. */
#ifndef ROLLCALL_BENCH_PAYLOAD_H
#define ROLLCALL_BENCH_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/err.h"

enum payload_sender { PAYLOAD_AEROHIVE, PAYLOAD_JSON };

enum {
    PAYLOAD_MAX_CONNECTIONS = 1 << 16,
    PAYLOAD_NUMBER_BITS = 24, /* of an observation's number, that its MAC holds */
    PAYLOAD_MAX_OBSERVATIONS = 100000,
};

struct payload_options {
    enum payload_sender sender;
    unsigned observations;   /* a post; 1 for PAYLOAD_JSON */
    const char *host, *path; /* host: the Host field's value, port included */
    const char *headers;     /* further fields, each ending in CRLF */
    unsigned ms;             /* 0-999, of every time: tells runs within one second apart */
};

/* Where an observation's changing digits stand in the text. */
struct payload_patch {
    uint32_t mac, rssi, time, epoch; /* a document has but its number, at `mac` */
};

struct payload {
    const struct payload_options *options;
    unsigned connection;
    struct buf text;               /* the whole request */
    struct payload_patch *patches; /* one an observation; owned */
    int64_t time_s;
};

/* 0 or -ENOMEM. options live as long. */
int payload_init(struct payload *payload, const struct payload_options *options,
                 unsigned connection) MUST_CHECK;
void payload_deinit(struct payload *payload);
/* Makes it the post with the observations first .. first + observations - 1, seen at now_s. */
void payload_set(struct payload *payload, uint64_t first, int64_t now_s);

/* Reads back, from an event line of the node's, whose it is. False: not one of ours. *number holds
 * its low PAYLOAD_NUMBER_BITS bits. */
bool payload_parse_line(enum payload_sender sender, const char *line, size_t len,
                        unsigned *connection, uint32_t *number);

#endif
