/* How many connections each address holds: a hash table of the addresses that hold any. */
#ifndef ROLLCALL_PEERS_H
#define ROLLCALL_PEERS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "util/err.h"
#include "util/list.h"

enum { PEERS_BUCKETS = 1024 };

/* An address that holds at least one connection. Freed with the last. */
struct peer {
    struct list link;
    struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d */
    unsigned connections;
};

struct peers {
    struct list buckets[PEERS_BUCKETS];
    uint64_t seed; /* so that nobody can choose addresses that share a bucket */
};

/* 0 or -errno (no randomness). */
int peers_init(struct peers *peers) MUST_CHECK;
/* One connection more from that address. The peer, or NULL when it has `max` already or memory is
 * short; *full tells which. */
struct peer *peers_acquire(struct peers *peers, const struct sockaddr_storage *address,
                           unsigned max, bool *full);
/* One less. NULL is fine. */
void peers_release(struct peer *peer);

#endif
