/* What the parts of privacy share: privacy.c (keys, pseudonyms, events), privacy_json.c (free
 * data), privacy_names.c (what members mean by their names), privacy_shapes.c (what addresses look
 * like). For these, and for their test, only. */
#ifndef ROLLCALL_PRIVACY_INTERNAL_H
#define ROLLCALL_PRIVACY_INTERNAL_H

#include <openssl/sha.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "privacy.h"
#include "util/buf.h"
#include "util/span.h"

/* --- Shapes ------------------------------------------------------------------------------------
 */

enum shape_kind {
    SHAPE_NONE,
    SHAPE_MAC,    /* 12 hex digits, or the 16 of an EUI-64 made of them */
    SHAPE_OCTETS, /* pairs of hex digits, more than a MAC address has: it may be among them */
    SHAPE_EMAIL,
    SHAPE_IP,
};

/* What was found, [start, end) of the text. */
struct shape {
    enum shape_kind kind;
    size_t start, end;
    /* of SHAPE_MAC and SHAPE_OCTETS: `digits` hex digits in groups, separators between them */
    uint64_t mac;
    size_t digits;
    unsigned group_len, separator_len;
};

/* What is looked for in a text, and how far the search is. Zeroed but for the first three. */
struct shape_search {
    struct span text; /* UTF-8, no escapes */
    bool addresses;   /* MAC and IP addresses */
    bool emails;
    bool no_ips; /* numbers with points in them are a version's */
    size_t at;
    bool has_email; /* the next one is known */
    struct shape email;
};

/* The next shape in the text, from left to right; they never overlap. False when there is none. */
bool shape_next(struct shape_search *search, struct shape *shape);
/* Where digit number i of a MAC address or of octets stands in the text. */
static inline size_t shape_digit(const struct shape *shape, size_t i) {
    return shape->start + i + i / shape->group_len * shape->separator_len;
}
/* Whether a text is an e-mail address and nothing else; its two halves are. */
bool shape_is_email(struct span text, struct span *local, struct span *domain);

/* --- Names -------------------------------------------------------------------------------------
 */

/* What a value is by the name it stands under. */
enum rule {
    RULE_NONE,    /* nothing is known: it is searched for shapes */
    RULE_PERSON,  /* tells a person, and so does all that is in it */
    RULE_USER,    /* likewise, but an object tells of a person by its own members' names */
    RULE_HIDDEN,  /* tells of a person what has few values */
    RULE_DEVICE,  /* a device's id */
    RULE_ADDRESS, /* an IP address, maybe with a host's name */
    RULE_AP,      /* an access point's: its MAC address is nobody's */
    RULE_PLACE,   /* an object that is called something, and is nobody */
    RULE_VERSION, /* numbers and points, which are no IP address */
};

/* What the value is a pseudonym of: the same text of two kinds has two pseudonyms. */
enum domain { DOMAIN_ID, DOMAIN_NAME, DOMAIN_EMAIL, DOMAIN_TEXT, DOMAIN_IP, DOMAIN_MAC };

struct name_rule {
    enum rule rule;
    enum domain domain;
};

/* What kind of object a member stands in. */
enum parent { PARENT_OTHER, PARENT_ROOT, PARENT_PERSON, PARENT_PLACE, PARENT_AP };

/* By a name as it was sent (unescaped); provider is the sender's. */
struct name_rule name_find_rule(struct span name, enum parent parent, struct span provider);
/* The object that stands under a name with that rule. */
enum parent name_parent_of(struct name_rule rule, enum parent parent);
/* For the test: the table's names are in order. */
bool name_table_is_sorted(void);

/* --- Pseudonyms --------------------------------------------------------------------------------
 */

struct privacy {
    enum privacy_mode mac, personal;
    uint64_t rotate_ms, period;
    uint8_t key[SHA256_DIGEST_LENGTH]; /* HMAC of the configured one: periods' keys come from it */
    uint8_t id_key[HASH_KEY_BYTES];
    SHA256_CTX inner, outer; /* of HMAC with the period's key, which is already in them */
    struct buf out;          /* what is new in the event */
    struct buf leftovers;    /* an object's, before they are gone through */
    struct buf text;         /* a string without escapes */
};

enum { PSEUDONYM_BYTES = 3 + 16 };

uint64_t pseudonym_mac(const struct privacy *privacy, uint64_t mac);
/* "p-..." or, of DOMAIN_IP, "ip-..."; returns the length. Of an e-mail address, and of whatever
 * else looks like one, case does not count. White space around the text never counts. */
size_t pseudonym_text(const struct privacy *privacy, enum domain domain, struct span text,
                      char dst[PSEUDONYM_BYTES]);
/* Writes the pseudonym of what was found over it, its notation kept. `digits` is where the shape's
 * text starts, of which only the digits are changed. */
void pseudonym_overwrite(const struct privacy *privacy, const struct shape *shape, char *text);

/* --- Free data ---------------------------------------------------------------------------------
 */

/* One event's way through it. */
struct scrub {
    struct privacy *privacy;
    struct span provider;
    uint64_t ap_mac;  /* the event's access point's: kept wherever it stands */
    size_t max_bytes; /* of privacy->out */
    int rc;           /* the first error; nothing is written behind it */
};

enum scrubbed {
    SCRUB_SAME, /* as it was; nothing is written */
    SCRUB_NEW,  /* the text to take instead is at the end of privacy->out */
    SCRUB_GONE, /* to be left out */
};

/* The content of a JSON string, without its quotes. */
enum scrubbed scrub_text(struct scrub *scrub, struct span content, struct name_rule rule);
/* Appends a JSON value to privacy->out. False when it is to be left out: nothing is appended. */
bool scrub_value(struct scrub *scrub, struct span value, struct name_rule rule);
/* Appends the members of an object that stand there without its braces. */
void scrub_members(struct scrub *scrub, struct span members);

#endif
