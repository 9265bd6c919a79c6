/* What the two versions of Meraki's posts share; see meraki.c. */
#ifndef ROLLCALL_SENDER_MERAKI_H
#define ROLLCALL_SENDER_MERAKI_H

#include "batch.h"
#include "sender.h"

/* One post on its way. */
struct meraki_post {
    struct json_doc *doc;
    struct batch *batch;
    struct event event;       /* the post's fields, and those of one event after the other */
    struct identity identity; /* of all its events, as far as it is the same */
    struct sender_enclosing enclosing; /* the post, around all of them */
    uint32_t data;
    unsigned useless; /* records of no sighting: see parse_observation_2 */
};

static inline bool meraki_is_missing(const struct json_doc *doc, uint32_t node) {
    return !node || json_type(doc, node) == JSON_NULL;
}

void meraki_reject(const struct meraki_post *post, const char *message, unsigned index,
                   const char *member);

/* "name/198.51.100.7" and "/198.51.100.7" in version 2, the address alone in version 3. The name
 * has no field: with one the member goes to `extra` as well. */
void meraki_take_ipv4(struct meraki_post *post, uint32_t node, unsigned *left);
/* A number as TAKE_NUMBER has it. False where the node is none. */
bool meraki_read_number(const struct json_doc *doc, uint32_t node, struct span *number);
/* A number; or a list of them, one for each floor plan that the access point is on: the first one
 * counts, and where there are more, all go to `extra` as well. */
void meraki_take_coordinate(struct meraki_post *post, enum event_field field, uint32_t node,
                            unsigned *left);
/* Whether a record's ISO time is that of an epoch of zero. */
bool meraki_is_epoch_start(const struct json_doc *doc, uint32_t node);
/* The post's identity and its client's; false where the observation has none, and is rejected. */
bool meraki_start_identity(const struct meraki_post *post, uint32_t observation, unsigned index,
                           struct identity *identity);

/* One client of version 3, and all its places. As batch_emit. */
int meraki_parse_client(struct meraki_post *post, uint32_t node, unsigned index) MUST_CHECK;

#endif
