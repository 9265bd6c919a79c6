/* Privacy: what an event says of a person is replaced by a pseudonym, or dropped, before the event
 * is encoded. Pure: no clock, no I/O, no log.
 *
 * A pseudonym is a keyed hash (HMAC-SHA-256) of the value, with a key of its own for each period of
 * `rotate_ms`. Who has no key can neither undo it nor try values out; nodes that share the key
 * agree. Within a period equal values stay equal, whoever the sender is and however he spells them:
 * a MAC address in any notation, an e-mail address in any case, escapes undone. From period to
 * period nobody can be followed.
 *
 * mac, other than PRIVACY_KEEP:
 *   client.mac           another address, locally administered and unicast; dropped in drop mode.
 *                        client.randomized goes on telling about the real one
 *   client.ipv4, .ipv6   dropped: they tell the device, or hold its MAC address (EUI-64)
 *   other text           MAC and IP addresses are found anywhere in it, and so are what free data
 *                        have under the names of a device's ids (privacy_names.c)
 * personal, other than PRIVACY_KEEP:
 *   user.id, .email, .first_name, .last_name, client.user_agent, channel.uuid and the members of
 *   channel.joined, .left, .timed_out      "p-" and 16 hex digits
 *   user.gender, .birth_date               dropped: of so few values a pseudonym hides none
 *   other text           e-mail addresses are found anywhere in it, and so are what free data have
 *                        under a person's names
 * Kept are access points (ap.mac, and free data under the names of access points), places,
 * organisations, manufacturer, os, user.provider and user.visits, times and positions. What a
 * person's name is in the midst of a sentence, nobody here can know. */
#ifndef ROLLCALL_PRIVACY_H
#define ROLLCALL_PRIVACY_H

#include <stdint.h>

#include "event.h"
#include "util/err.h"
#include "util/hash.h"
#include "util/span.h"

enum privacy_mode {
    PRIVACY_KEEP, /* as it came */
    PRIVACY_PSEUDONYM,
    PRIVACY_DROP, /* the member is left out; of an array, null stands there */
};

enum { PRIVACY_MIN_KEY_BYTES = 16 };

struct privacy_options {
    enum privacy_mode mac, personal;
    struct span key;    /* of PRIVACY_MIN_KEY_BYTES at least */
    uint64_t rotate_ms; /* periods are counted from 1970; 0: one for ever */
};

struct privacy;

/* The key is not needed afterwards. 0, -EINVAL (key too short) or -ENOMEM. */
int privacy_new(struct privacy **privacy, const struct privacy_options *options) MUST_CHECK;
void privacy_free(struct privacy *privacy); /* overwrites its keys; NULL is fine */

/* What event ids are to be hashed with, for a public key would let anyone try out whose MAC address
 * is behind an id. It is the same in all periods, so that a repeat is known as one after midnight.
 * HASH_KEY_BYTES; lives as long as privacy. */
const uint8_t *privacy_id_key(const struct privacy *privacy);

enum { PRIVACY_TOO_LARGE = 1 };

/* Makes *hidden of *event, which was received at context->received_us and is left as it is. What is
 * new in it lives until the next call. PRIVACY_TOO_LARGE where that would be more than `max_bytes`
 * (an array of short ids becomes several times as long); 0 or -ENOMEM. */
int privacy_apply(struct privacy *privacy, const struct event *event,
                  const struct event_context *context, size_t max_bytes,
                  struct event *hidden) MUST_CHECK;
/* Gives back what a large event has taken; *hidden of the last call is no longer valid. */
void privacy_trim(struct privacy *privacy);

#endif
