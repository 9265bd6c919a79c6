/* Senders: who posts, and what their bodies mean. One sender is one file, sender/<name>.c, that
 * defines one struct sender; sender.c's registry names them all. To add one: write its file, add a
 * line to the registry and to meson.build, and put its samples in test/data/<name>/.
 *
 * A sender is pure: it reads a parsed body and emits events into a batch. It knows nothing of HTTP,
 * sockets, the ring, duplicates or privacy. */
#ifndef ROLLCALL_SENDER_H
#define ROLLCALL_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "json.h"
#include "util/err.h"
#include "util/span.h"

struct batch; /* batch.h: takes the events of one POST */

/* What is wrong with a body, and where: a path such as "[0].observations[2].clientMac". */
struct problem {
    char path[96];
    char message[96];
};

void problem_set(struct problem *problem, const char *message, const char *path_format, ...)
    PRINTF_LIKE(3, 4);

/* What parse answers. Negative values (-ENOMEM ...) are passed through from the batch. */
enum sender_result {
    SENDER_OK = 0,
    SENDER_WRONG_SHAPE = 1, /* JSON, but nothing of this sender's: *problem says what and where */
    SENDER_BATCH_FULL = 2,  /* batch_emit refused: forwarded */
};

struct sender {
    const char *name; /* `provider =` in the configuration, "provider" in the event */
    bool keep_unreadable; /* on_unreadable's default: this sender punishes a refusal */
    /* Emits every event of the body (batch_emit) and counts every broken part (batch_reject). */
    int (*parse)(struct json_doc *doc, struct batch *batch, struct problem *problem) MUST_CHECK;
};

/* The sender of that name, or NULL. */
const struct sender *sender_find(struct span name);
/* All of them; NULL-terminated. */
extern const struct sender *const senders[];

/* --- What senders share: members of an object taken into fields of an event ------------------- */

/* How a member's value becomes a field. A value that does not fit is left untaken, and so goes to
 * `extra` verbatim; null, "" for numbers, and "NaN" are taken and leave the field absent. */
enum take {
    TAKE_TEXT,    /* a string; a number or boolean becomes the text of its digits/word */
    TAKE_NUMBER,  /* a number, or a string that holds exactly one */
    TAKE_RAW,     /* any value but null, verbatim */
    TAKE_CLIENT_MAC,
    TAKE_AP_MAC,
    TAKE_NODE,    /* not into the event: the node goes to nodes[target], for the sender to read;
                     the key counts as taken */
    TAKE_IGNORE,  /* known and without meaning for the event */
};

struct member {
    struct span name;
    enum take take;
    unsigned target; /* enum event_field; for TAKE_NODE an index into nodes[] */
};

#define MEMBER(name, take, target) {{(name), sizeof(name) - 1}, (take), (target)}

/* Takes every member of the object that the table names: into `event`, or into `nodes` for
 * TAKE_NODE (the caller zeroes nodes; 0 = member missing). Marks taken keys in the document
 * (JSON_TAKEN), the last of duplicate keys winning. Senders write members in a steady order, so
 * the table should list them in that order: the next expected name is compared first. Returns the
 * number of members left untaken. */
unsigned sender_take_members(struct json_doc *doc, uint32_t object, const struct member *table,
                             size_t table_len, struct event *event, uint32_t *nodes);

#endif
