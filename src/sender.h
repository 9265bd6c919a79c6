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

struct batch;    /* batch.h: takes the events of one POST */
struct identity; /* identity.h */

/* What is wrong with a body, and where: a path such as "[0].observations[2].clientMac", or
 * "(root)". The message is our own static text without quotes; both are cut where they are longer.
 */
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
    SENDER_BATCH_HELD = 3,  /* likewise: a held reader needs the room */
};

/* What `auth =` is where the configuration does not say. */
enum sender_auth {
    SENDER_AUTH_UNSAID, /* it must say */
    SENDER_AUTH_TOKEN,  /* token */
    SENDER_AUTH_PATH,   /* none: this sender has no other secret than an unguessable path */
    SENDER_AUTH_BODY,   /* body secret */
    SENDER_AUTH_MIST,   /* mist */
};

struct sender {
    const char *name;     /* `provider =` in the configuration, "provider" in the event */
    bool keep_unreadable; /* on_unreadable's default: this sender punishes a refusal */
    enum sender_auth auth;
    bool answers_get; /* it may look by GET or HEAD whether its URL is there: answered 200 */
    bool empty_is_validation; /* an empty POST asks whether the URL is there, too */
    const char
        *answer_headers; /* fields of every answer on its path, each ending in CRLF, or NULL */
    const char *identity_header; /* a field that tells deliveries apart, or NULL */
    bool wants_validator;        /* the GET wants the endpoint's `validator` back */
    bool is_passed_through;      /* parse asks only for the document as a whole (JSON_ROOT) */
    /* Emits every event of the body (batch_emit) and counts every broken part (batch_reject).
     * Called by sender_parse. */
    int (*parse)(struct json_doc *doc, struct batch *batch, struct problem *problem) MUST_CHECK;
};

/* Reads a body: the sender's parse, and what is left to settle of it. As parse, or batch_settle. */
int sender_parse(const struct sender *sender, struct json_doc *doc, struct batch *batch,
                 struct problem *problem) MUST_CHECK;

/* The sender of that name, or NULL. */
const struct sender *sender_find(struct span name);
/* All of them; NULL-terminated. */
extern const struct sender *const senders[];
/* sender/<name>.c */
extern const struct sender sender_aerohive, sender_bt, sender_json, sender_meraki, sender_mist,
    sender_pubnub;

/* --- What senders share: members of an object taken into fields of an event ------------------- */

/* How a member's value becomes a field. A value that does not fit is left untaken, and so goes to
 * `extra` verbatim. Taken without setting anything: null; of MACs also ""; of numbers also "" and,
 * whatever its case, "NaN", as senders write what they do not know. */
enum take {
    TAKE_TEXT,       /* a string; a number or boolean becomes the text of its digits or word */
    TAKE_NUMBER,     /* a number, or a string that holds exactly one and no escapes */
    TAKE_RAW,        /* any value but null, verbatim */
    TAKE_CLIENT_MAC, /* a string that text_parse_mac reads */
    TAKE_AP_MAC,
    TAKE_NODE,   /* not into the event: the node goes to nodes[target], for the sender to read; the
                    key counts as taken, see sender_untake */
    TAKE_IGNORE, /* known and without meaning for the event */
};

enum { MEMBER_NAME_BYTES = 27 }; /* so a member has 32, and its place in a table is no division */

struct member {
    char name[MEMBER_NAME_BYTES]; /* and the quote that ends it in a text; NUL behind it */
    uint8_t name_len;             /* without that quote */
    uint8_t take;                 /* enum take */
    uint8_t target;               /* enum event_field; for TAKE_NODE an index into nodes[] */
    uint16_t mask;                /* a bit for each of the first 16 bytes of name that count */
};

/* A name that is too long does not compile. */
#define MEMBER(name, take, target)                                                                 \
    {                                                                                              \
        name "\"", sizeof(name) - 1 + 0 * sizeof(char[sizeof(name) < MEMBER_NAME_BYTES ? 1 : -1]), \
            (take), (target), (uint16_t)((1ULL << sizeof(name)) - 1)                               \
    }

enum { SENDER_MAX_MEMBERS = 64 }; /* of one table */

/* Takes every member of the object that the table names: into `event`, or into `nodes` for
 * TAKE_NODE (the caller zeroes nodes; 0 = member missing). Marks taken keys in the document
 * (JSON_TAKEN). Of duplicate keys the last wins and the others are gone; those of untaken ones are
 * searched where an object has at most SENDER_MAX_COMPARED of these, beyond which `extra` shows
 * them as they came. Senders write members in a steady order, so the table should list them in that
 * order: the next expected name is compared first. Returns the number of members left untaken
 * (none where the node is no object). Call it once for an object. */
enum { SENDER_MAX_COMPARED = 32 };
unsigned sender_take_members(struct json_doc *doc, uint32_t object, const struct member *table,
                             size_t table_len, struct event *event, uint32_t *nodes);

/* Gives a member back that came as TAKE_NODE and does not fit: it goes to `extra`. */
static inline void sender_untake(struct json_doc *doc, uint32_t value, unsigned *left) {
    struct json_node *key = &doc->nodes[value - 1];
    if (key->flags & JSON_FLAT) /* whoever writes `extra` goes over the others, too */
        json_expand(doc, key->next);
    key->flags &= (uint16_t)~JSON_TAKEN;
    ++*left;
}

/* The text that a string node means: its own bytes, or unescaped into `scratch`; a string that is
 * longer than scratch is absent, for then it is none of the short things that are looked for. */
enum { SENDER_SCRATCH_BYTES = 96 };
struct span sender_string(const struct json_doc *doc, uint32_t node,
                          char scratch[SENDER_SCRATCH_BYTES]);

/* Times that came as TAKE_NODE, in ms; TIME_NONE for a member that is missing (0), null, "" or
 * zero. One that cannot be read is untaken. An epoch may be quoted. */
int64_t sender_take_iso_time(struct json_doc *doc, uint32_t node, unsigned *left);
int64_t sender_take_epoch(struct json_doc *doc, uint32_t node, unsigned *left);
/* The time of an event that has both. Where they agree (in the second, if one of them has nothing
 * finer) the finer one counts; where they do not, the ISO time does, and the epoch is untaken. */
int64_t sender_take_times(struct json_doc *doc, uint32_t iso_node, uint32_t epoch_node,
                          int64_t *epoch_ms, unsigned *left);

/* A position that is 0/0 is one that the sender does not know: unsets both. */
void sender_drop_null_island(struct event *event, enum event_field lat, enum event_field lng);
/* Unsets a number for which zero means that the sender does not know it. */
void sender_drop_zero(struct event *event, enum event_field field);

/* --- What stands around events ------------------------------------------------------------------
 */

/* An object that events stand in: an access point with its observations, a post with its clients.
 * Its fields, and what no field has taken of it, belong to each of these events, as none knows the
 * others. If all of it were repeated without bound, a body of a megabyte could make a gigabyte of
 * lines. So the first event that is kept carries all of it, and each further one repeats
 *   - of the fields as many as are not longer, together, than the event itself is (as it came), and
 *   - of what is left the members of at most SENDER_LONG_MEMBER_BYTES, where they are not longer,
 *     together, than the event itself, and not longer than SENDER_MAX_REPEATED_BYTES.
 * SENDER_ALWAYS_REPEATED_BYTES of either are repeated by an event of any size. */
enum {
    SENDER_MAX_REPEATED_BYTES = 512,
    SENDER_LONG_MEMBER_BYTES = 128,
    SENDER_ALWAYS_REPEATED_BYTES = 128,
};
struct sender_enclosing {
    struct sender_enclosing *outer; /* what is around it; NULL for nothing */
    uint64_t fields;                /* its own, as bits of event.present */
    struct event_extra extra;       /* what is left of it */
    size_t extra_len;               /* at the most; 0: nothing */
    bool told;                      /* an event that carries all of it is in the batch */
    size_t tries;                   /* bytes that may be copied until one is: see sender.c */
    struct json_doc *doc;
    uint32_t object;
    char text[SENDER_MAX_REPEATED_BYTES];
};

/* `fields` are those that the object has given to the event, and no event inside sets one of them.
 * `left` is what sender_take_members has answered for the object (and for those that were looked
 * into inside it). The document and `outer` outlive it. */
void sender_enclosing_init(struct sender_enclosing *enclosing, struct sender_enclosing *outer,
                           uint64_t fields, struct json_doc *doc, uint32_t object, unsigned left);
/* Adds to the event what is around it (NULL: nothing), and sets what goes to its `extra`; `object`
 * is its own. */
void sender_set_extra(struct event *event, const struct json_doc *doc, uint32_t object,
                      unsigned left, const struct sender_enclosing *enclosing);
/* Emits an event that was given to sender_set_extra with the same `enclosing`. Where it is not kept
 * (a repeat of an earlier POST's), the next one carries all, though not for ever: see sender.c. As
 * batch_emit. */
int sender_emit(struct batch *batch, struct event *event, const struct identity *identity,
                struct sender_enclosing *enclosing) MUST_CHECK;

/* --- The end of a parse ------------------------------------------------------------------------
 */

/* What parse answers when it has gone through the whole body: SENDER_OK, but SENDER_WRONG_SHAPE
 * with the first rejection as the problem where parts were rejected and none was of use. One broken
 * part costs no other. Or what batch_settle answers. */
int sender_finish(struct batch *batch, struct problem *problem) MUST_CHECK;

#endif
