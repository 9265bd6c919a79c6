/* Connections by address; see peers.h. */
#include "peers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "address.h"
#include "util/hash.h"

int peers_init(struct peers *peers) {
    for (int i = 0; i < PEERS_BUCKETS; i++)
        list_init(&peers->buckets[i]);
    return getrandom(&peers->seed, sizeof peers->seed, 0) == sizeof peers->seed ? 0 : -errno;
}

static struct list *bucket_of(struct peers *peers, const struct in6_addr *address) {
    uint8_t key[HASH_KEY_BYTES] = {0}, digest[HASH_BYTES];
    uint16_t index;
    memcpy(key, &peers->seed, sizeof peers->seed);
    hash128(key, address, sizeof *address, digest);
    memcpy(&index, digest, sizeof index);
    return &peers->buckets[index % PEERS_BUCKETS];
}

struct peer *peers_acquire(struct peers *peers, const struct sockaddr_storage *address,
                           unsigned max, bool *full) {
    struct in6_addr wanted = {0};
    bool known = address_from_sockaddr(address, &wanted);
    assert(known); /* listeners are IPv4 and IPv6 only */
    (void)known;
    struct list *bucket = bucket_of(peers, &wanted);

    *full = false;
    for (struct list *link = bucket->next; link != bucket; link = link->next) {
        struct peer *peer = container_of(link, struct peer, link);
        if (memcmp(&peer->address, &wanted, sizeof wanted) != 0)
            continue;
        *full = peer->connections >= max;
        peer->connections += !*full;
        return *full ? NULL : peer;
    }
    struct peer *peer = malloc(sizeof *peer);
    if (!peer)
        return NULL;
    peer->address = wanted;
    peer->connections = 1;
    list_append(bucket, &peer->link);
    return peer;
}

void peers_release(struct peer *peer) {
    if (!peer || --peer->connections)
        return;
    list_remove(&peer->link);
    free(peer);
}
