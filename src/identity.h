/* What makes an event the same event, however often it is sent: a sender adds the fields that its
 * page in the contract names, in a fixed order, and the batch hashes them to the event's id. Fields
 * are set apart by their lengths, so ("ab","c") and ("a","bc") differ. */
#ifndef ROLLCALL_IDENTITY_H
#define ROLLCALL_IDENTITY_H

#include <stdint.h>

#include "util/hash.h"
#include "util/span.h"

enum { IDENTITY_BYTES = 256 };

struct identity {
    unsigned len;
    uint8_t bytes[IDENTITY_BYTES]; /* when full: replaced by its own hash, and on it goes */
};

/* Starts one for a sender: the same fields of two senders are two events. */
void identity_init(struct identity *identity, struct span sender);
void identity_add(struct identity *identity, struct span field); /* absent and empty differ */
void identity_add_u64(struct identity *identity, uint64_t value);
void identity_finish(const struct identity *identity, const uint8_t key[HASH_KEY_BYTES],
                     uint8_t id[HASH_BYTES]);

#endif
