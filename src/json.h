/* JSON (RFC 8259) read into a flat array of nodes over the text itself.
 *
 * simdjson's first stage (json.cc, the only C++ in the tree) checks UTF-8 and finds the structural
 * characters; json.c walks them once, checks the whole grammar (numbers, literals, escapes, depth,
 * lone surrogates) and writes one node a value. Nothing is copied and no number is converted:
 * a node says where its bytes lie, so numbers keep their digits and strings their escapes.
 *
 * Most objects of a large body hold nothing but plain strings and numbers, and are read once, in
 * order. Such a one is flat: its members are checked and have their places among the nodes, but
 * nothing is written there (a cache line saved for each two members) until somebody asks:
 * json_expand does it, and who reads only once may go over the indexes instead (json_flat).
 *
 * The document is valid until the next json_parse on the same parser, and as long as the text is.
 */
#ifndef ROLLCALL_JSON_H
#define ROLLCALL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/span.h"

enum {
    JSON_MAX_DEPTH = 128,     /* the deepest sender goes about 7 deep */
    JSON_PADDING = 64,        /* readable bytes that json_parse needs behind the text */
    JSON_MAX_BYTES = 1 << 30, /* the longest text json_parse takes */
    /* Tokens (values, keys, brackets, colons and commas) of a text that JSON_NODES takes: free
     * ones, and some for each 8 bytes. The densest body of a sender that is known has 2.9 for
     * each 8. */
    JSON_FREE_TOKENS = 128 << 10, /* 1.5 MiB of indexes and nodes */
    JSON_TOKENS_OF_8 = 4,
};

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_OBJECT,
    JSON_ARRAY,
};

enum json_flag {
    JSON_ESCAPED = 1,   /* a string with at least one backslash in it */
    JSON_TAKEN = 2,     /* a member's key: some field has taken its value (see sender.h) */
    JSON_FLAT = 4,      /* an object whose members' nodes are not written; see json_expand. A key:
                           its object, which is its `next`, is one */
    JSON_ALL_TAKEN = 8, /* a flat object: its keys are JSON_TAKEN once they are written */
};

/* A value. An object's members follow it as key (a JSON_STRING), value, key, value ...; an array's
 * elements follow it likewise; `next` of each leads over whatever lies inside. */
struct json_node {
    uint32_t start; /* offset into the text; of a string: behind its quote */
    uint32_t len;   /* bytes; of a string: without its quotes; of a container: with its brackets */
    uint32_t next;  /* index of the first node that is not inside this one */
    uint16_t type;  /* enum json_type */
    uint16_t flags; /* enum json_flag */
};

struct json_doc {
    const char *text; /* behind the byte order mark, where there is one */
    size_t len;
    struct json_node *nodes; /* nodes[0] is the root */
    uint32_t count;
    const uint32_t *at; /* where tokens begin: what flat objects are read from */
    uint32_t at_count;
};

/* Why a text is not JSON. message is static text; offset is the byte of the text given (its byte
 * order mark included) at which it was noticed, or its length where something is missing. */
struct json_error {
    const char *message;
    size_t offset;
};

enum { JSON_INVALID = 1, JSON_TOO_DENSE = 2 };

/* What a caller wants of a document, and with it how much memory a text may take. */
enum json_scope {
    JSON_ALL,   /* every node, however many: 12 bytes a byte of text at the worst */
    JSON_NODES, /* every node, of a text within JSON_FREE_TOKENS and JSON_TOKENS_OF_8: 6 bytes a
                   byte of text and 1.5 MiB */
    JSON_ROOT,  /* nodes[0] alone, as if it held nothing; the whole text is checked, and may be of
                   any density: 4 bytes a byte, one index a token */
};

struct json_parser;

/* NULL when memory is short. The parser's memory grows to the largest text it has met (about 12
 * bytes a byte of text at the worst); json_parser_trim gives it back above `keep_bytes` of text. */
struct json_parser *json_parser_new(void);
void json_parser_free(struct json_parser *parser);
void json_parser_trim(struct json_parser *parser, size_t keep_bytes);

/* Parses text[0..len), behind which JSON_PADDING bytes must be readable (their content is free).
 * A leading UTF-8 byte order mark is passed over. 0, JSON_INVALID (*error says why) or -ENOMEM. */
int json_parse(struct json_parser *parser, const char *text, size_t len, struct json_doc *doc,
               struct json_error *error) MUST_CHECK;

/* The same within a scope. Also JSON_TOO_DENSE (*error says it): the text has more tokens than its
 * length allows, and nothing but the indexes of its tokens was written. */
int json_parse_scope(struct json_parser *parser, enum json_scope scope, const char *text,
                     size_t len, struct json_doc *doc, struct json_error *error) MUST_CHECK;

/* The bytes of a value as they stand in the text (a string without its quotes, escapes kept). */
static inline struct span json_text(const struct json_doc *doc, uint32_t node) {
    return span_from(doc->text + doc->nodes[node].start, doc->nodes[node].len);
}

/* As json_text, but with a string's quotes. */
static inline struct span json_raw(const struct json_doc *doc, uint32_t node) {
    const struct json_node *n = &doc->nodes[node];
    if (n->type == JSON_STRING)
        return span_from(doc->text + n->start - 1, n->len + 2);
    return span_from(doc->text + n->start, n->len);
}

static inline enum json_type json_type(const struct json_doc *doc, uint32_t node) {
    return (enum json_type)doc->nodes[node].type;
}

/* Four indexes a member: its key's quote, the colon, its value, and what stands behind that. The
 * members of a flat object stand so in doc->at, one after the other, without escapes or white space
 * in front of colons and what is behind: a key's text goes from key + 1 to colon - 1, a value's
 * token from value to behind. */
enum { JSON_FLAT_KEY, JSON_FLAT_COLON, JSON_FLAT_VALUE, JSON_FLAT_BEHIND, JSON_FLAT_INDEXES };

/* Of an object that is flat, and that nobody has written to so far. */
static inline const uint32_t *json_flat(const struct json_doc *doc, uint32_t object) {
    return doc->at + doc->nodes[object + 1].start;
}

/* The node of a flat member's value; its text is plain. */
static inline struct json_node json_flat_value(const struct json_doc *doc, const uint32_t *member,
                                               uint32_t node) {
    uint32_t start = member[JSON_FLAT_VALUE], len = member[JSON_FLAT_BEHIND] - start;
    char c = doc->text[start];
    if (c == '"')
        return (struct json_node){start + 1, len - 2, node + 1, JSON_STRING, 0};
    enum json_type type = c == 'n'   ? JSON_NULL
                          : c == 't' ? JSON_TRUE
                          : c == 'f' ? JSON_FALSE
                                     : JSON_NUMBER;
    return (struct json_node){start, len, node + 1, (uint16_t)type, 0};
}

static inline struct json_node json_flat_key(const uint32_t *member, uint32_t node) {
    uint32_t start = member[JSON_FLAT_KEY] + 1;
    return (struct json_node){start, member[JSON_FLAT_COLON] - start - 1, node + 1, JSON_STRING, 0};
}

/* Writes the nodes of an object's members, if they are not there. To be called before these are
 * walked over. */
void json_expand_flat(const struct json_doc *doc, uint32_t object);
static inline void json_expand(const struct json_doc *doc, uint32_t object) {
    if (doc->nodes[object].flags & JSON_FLAT)
        json_expand_flat(doc, object);
}

/* The value of an object's member of that name, or 0 where there is none (0 is the root, which is
 * nobody's member). The last of several wins (as in most readers). An escaped key matches by what
 * it means. `node` may be of any type; anything but an object has no members. */
uint32_t json_find(const struct json_doc *doc, uint32_t node, struct span name);

/* Whether a string node means exactly `name`, escapes resolved. */
bool json_string_equals(const struct json_doc *doc, uint32_t node, struct span name);

/* Writes what a JSON string's content means as UTF-8. `text` is valid content without quotes (from
 * json_text). `dst` has room for text.len bytes; returns the bytes written (never more). */
size_t json_unescape(struct span text, char *dst);

/* Appends a valid JSON value without insignificant white space. 0 or -ENOMEM. */
int json_minify(struct span raw, struct buf *out) MUST_CHECK;
/* The same into memory of at least raw.len bytes; returns the bytes written. */
size_t json_minify_to(struct span raw, char *dst);

/* Writes bytes as the content of a JSON string (no quotes): escapes what must be escaped, replaces
 * each byte that is not UTF-8 by U+FFFD. `dst` has room for 6 * text.len bytes; returns the bytes
 * written. */
size_t json_escape(struct span text, char *dst);

#endif
