/* The JSON reader's second half: one pass over the structural characters that simdjson found, which
 * checks RFC 8259's grammar and writes the nodes; and what readers of a document need: finding
 * members, resolving escapes, minifying, escaping. See json.h. Nothing here converts a value.
 *
 * What json_stage1_run leaves to be checked, and what the walk rests on: the first byte of every
 * token has an index, so that between two indexes stand one token and white space behind it. A
 * token thus ends where the white space before the next index begins; of a string, whose insides
 * have no indexes, that is just behind its closing quote. */
#include "json.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json_stage1.h"
#include "util/text.h"

#define LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

enum {
    PARSER_FIRST_BYTES = 64 * 1024, /* a usual body fits: no growing while the first ones come in */
    BOM_BYTES = 3,
};

struct json_parser {
    struct json_stage1 *stage;
    size_t stage_bytes; /* the text that the stage has memory for */
    struct json_node *nodes;
    size_t node_room;
};

struct json_parser *json_parser_new(void) {
    struct json_parser *parser = calloc(1, sizeof(*parser));
    if (!parser)
        return NULL;
    parser->stage = json_stage1_new();
    if (!parser->stage) {
        free(parser);
        return NULL;
    }
    return parser;
}

void json_parser_free(struct json_parser *parser) {
    if (!parser)
        return;
    json_stage1_free(parser->stage);
    free(parser->nodes);
    free(parser);
}

void json_parser_trim(struct json_parser *parser, size_t keep_bytes) {
    if (parser->stage_bytes <= keep_bytes || parser->stage_bytes <= PARSER_FIRST_BYTES)
        return;
    free(parser->nodes);
    parser->nodes = NULL;
    parser->node_room = 0;
    parser->stage_bytes = 0;
    if (!json_stage1_resize(parser->stage, PARSER_FIRST_BYTES))
        parser->stage_bytes = PARSER_FIRST_BYTES;
}

static int parser_reserve_text(struct json_parser *parser, size_t len) {
    if (parser->stage_bytes && len <= parser->stage_bytes)
        return 0;
    size_t bytes = parser->stage_bytes ? parser->stage_bytes : PARSER_FIRST_BYTES;
    while (bytes < len)
        bytes *= 2;
    parser->stage_bytes = 0;
    int rc = json_stage1_resize(parser->stage, bytes);
    if (rc)
        return rc;
    parser->stage_bytes = bytes;
    return 0;
}

/* Room for every node that a walk over that many indexes can write, so that it need not look. Each
 * value has an index of its own, and so has the colon or comma before it, which is missing only
 * before the first value inside each container that is still open: of n indexes at most
 * (n + 1 + depth) / 2 are values. */
static int parser_reserve_nodes(struct json_parser *parser, size_t indexes) {
    size_t room = indexes / 2 + JSON_MAX_DEPTH;
    if (room <= parser->node_room)
        return 0;
    size_t double_room = parser->node_room * 2;
    room = room < double_room ? double_room : room;
    free(parser->nodes); /* the last document ends here, so there is nothing to keep */
    parser->node_room = 0;
    parser->nodes = malloc(room * sizeof(*parser->nodes));
    if (!parser->nodes)
        return -ENOMEM;
    parser->node_room = room;
    return 0;
}

/* --- The walk -------------------------------------------------------------- */

/* Helpers that are not inlined take no pointer to it, so that it is held in registers: a tenth of
 * the time of a whole parse. */
struct walk {
    const char *text;
    uint32_t len;
    uint32_t backslash;    /* offset of the first backslash not yet passed, or len */
    const uint32_t *begin; /* of the indexes */
    const uint32_t *at;    /* the next one; *end is the text's length */
    const uint32_t *end;
    struct json_node *nodes;
    uint32_t count;
    uint32_t depth;
    uint32_t open[JSON_MAX_DEPTH]; /* nodes of the containers around the present place */
    enum json_type around;         /* the innermost one's type */
    struct json_error *error;
};

__attribute__((cold, noinline)) static bool fail_at(struct json_error *error, const char *message,
                                                    uint32_t offset) {
    *error = (struct json_error){message, offset};
    return false;
}

static inline bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Where the token before the next index ends. */
static inline uint32_t walk_token_end(const struct walk *w) {
    uint32_t end = *w->at;
    while (UNLIKELY(is_space(w->text[end - 1])))
        end--;
    return end;
}

static inline void walk_add(struct walk *w, enum json_type type, unsigned flags, uint32_t start,
                            uint32_t end) {
    w->nodes[w->count] =
        (struct json_node){start, end - start, w->count + 1, (uint16_t)type, (uint16_t)flags};
    w->count++;
}

static uint32_t find_backslash(const char *text, uint32_t from, uint32_t len) {
    const char *found = memchr(text + from, '\\', len - from);
    return found ? (uint32_t)(found - text) : len;
}

/* The UTF-16 code unit of a \uXXXX of which `len` bytes are there, or -1. */
static int parse_unicode_escape(const char *p, size_t len) {
    if (len < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    int unit = 0;
    for (int i = 2; i < 6; i++) {
        int digit = text_hex_value(p[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static inline bool is_high_surrogate(int unit) {
    return (unit & 0xfc00) == 0xd800;
}

static inline bool is_low_surrogate(int unit) {
    return (unit & 0xfc00) == 0xdc00;
}

/* The bytes of the escape sequence at p (a surrogate pair is one), or 0 when it is none. */
static unsigned escape_len(const char *p, size_t len) {
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return 2;
    case 'u':
        break;
    default:
        return 0;
    }
    int unit = parse_unicode_escape(p, len);
    if (unit < 0 || is_low_surrogate(unit))
        return 0;
    if (!is_high_surrogate(unit))
        return 6;
    return is_low_surrogate(parse_unicode_escape(p + 6, len - 6)) ? 12 : 0;
}

/* Checks every escape from the backslash at `at` to the end of its string, and returns the offset
 * of the first backslash behind it; 0 when an escape is wrong. Together these searches read the
 * text once, however many strings there are. */
static uint32_t check_escapes(const char *text, uint32_t len, uint32_t at, uint32_t end,
                              struct json_error *error) {
    while (at < end) {
        unsigned bytes = escape_len(text + at, end - at);
        if (!bytes) {
            fail_at(error, "not an escape sequence", at);
            return 0;
        }
        at += bytes;
        if (text[at] != '\\')
            at = find_backslash(text, at, len);
    }
    return at;
}

static inline bool walk_string(struct walk *w, uint32_t start) {
    uint32_t end = walk_token_end(w) - 1;
    unsigned flags = 0;
    if (UNLIKELY(w->backslash < end)) {
        w->backslash = check_escapes(w->text, w->len, w->backslash, end, w->error);
        if (!w->backslash)
            return false;
        flags = JSON_ESCAPED;
    }
    walk_add(w, JSON_STRING, flags, start + 1, end);
    return true;
}

static inline bool walk_number(struct walk *w, uint32_t start) {
    uint32_t end = walk_token_end(w);
    struct span text = span_from(w->text + start, end - start);
    if (UNLIKELY(!text_is_plain_number(text) && !text_is_number(text)))
        return fail_at(w->error, "not a number", start);
    walk_add(w, JSON_NUMBER, 0, start, end);
    return true;
}

static inline bool walk_literal(struct walk *w, uint32_t start, const char *word, uint32_t len,
                                enum json_type type) {
    uint32_t end = walk_token_end(w);
    if (UNLIKELY(end - start != len || memcmp(w->text + start, word, len) != 0))
        return fail_at(w->error, "not a value", start);
    walk_add(w, type, 0, start, end);
    return true;
}

static inline bool walk_scalar(struct walk *w, uint32_t start) {
    char c = w->text[start];
    if (c == '"')
        return walk_string(w, start);
    if (c == '-' || (c >= '0' && c <= '9'))
        return walk_number(w, start);
    if (c == 'n')
        return walk_literal(w, start, "null", 4, JSON_NULL);
    if (c == 't')
        return walk_literal(w, start, "true", 4, JSON_TRUE);
    if (c == 'f')
        return walk_literal(w, start, "false", 5, JSON_FALSE);
    return fail_at(w->error, "not a value", start);
}

/* Takes the next index; false (and the error set) where the text has ended. */
static inline bool walk_next(struct walk *w, uint32_t *offset) {
    *offset = *w->at;
    if (UNLIKELY(w->at == w->end))
        return fail_at(w->error, "the text ends before the value does", *offset);
    w->at++;
    return true;
}

/* A member's key and its colon. */
static inline bool walk_key(struct walk *w) {
    uint32_t start;
    uint32_t colon;
    if (!walk_next(w, &start))
        return false;
    if (UNLIKELY(w->text[start] != '"'))
        return fail_at(w->error, "no key where an object's key should stand", start);
    if (!walk_string(w, start) || !walk_next(w, &colon))
        return false;
    if (UNLIKELY(w->text[colon] != ':'))
        return fail_at(w->error, "no colon behind a key", colon);
    return true;
}

static inline bool walk_open(struct walk *w, uint32_t start, enum json_type type) {
    if (w->depth == JSON_MAX_DEPTH)
        return fail_at(w->error, "nested too deeply", start);
    w->open[w->depth++] = w->count;
    w->around = type;
    walk_add(w, type, 0, start, start);
    return true;
}

/* Closes the innermost container with the bracket at `offset`. */
static inline bool walk_close(struct walk *w, uint32_t offset) {
    struct json_node *node = &w->nodes[w->open[w->depth - 1]];
    if (w->text[offset] != (node->type == JSON_OBJECT ? '}' : ']'))
        return fail_at(w->error, "neither a comma nor the bracket that closes", offset);
    node->len = offset + 1 - node->start;
    node->next = w->count;
    if (--w->depth)
        w->around = (enum json_type)w->nodes[w->open[w->depth - 1]].type;
    return true;
}

/* What stands behind a value: closing brackets, then a comma (*more) or the end of the text. */
static inline bool walk_behind_value(struct walk *w, bool *more) {
    uint32_t offset;
    while (w->depth) {
        if (!walk_next(w, &offset))
            return false;
        if (LIKELY(w->text[offset] == ',')) {
            *more = true;
            return true;
        }
        if (!walk_close(w, offset))
            return false;
    }
    *more = false;
    return w->at == w->end || fail_at(w->error, "something stands behind the value", *w->at);
}

/* Whether a member is as machines write them: a plain string, number or word, and no white space in
 * front of what follows the key or the value. What stands behind it is looked at by the caller, and
 * so are backslashes. */
static inline bool is_plain_member(const char *text, const uint32_t *member) {
    uint32_t colon = member[JSON_FLAT_COLON], value = member[JSON_FLAT_VALUE];
    uint32_t behind = member[JSON_FLAT_BEHIND];
    if (text[member[JSON_FLAT_KEY]] != '"' || memcmp(text + colon - 1, "\":", 2) != 0)
        return false;
    if (text[value] == '"')
        return text[behind - 1] == '"';
    if (LIKELY(text_is_plain_number(span_from(text + value, behind - value))))
        return true;
    return (behind - value == 4 &&
            (memcmp(text + value, "null", 4) == 0 || memcmp(text + value, "true", 4) == 0)) ||
           (behind - value == 5 && memcmp(text + value, "false", 5) == 0);
}

/* The rest of an object that has begun with the bracket at `start`, if it is flat; false, and
 * nothing has changed, where it is not. A plain member is looked at by its four indexes together,
 * and nothing is written of it. */
static inline bool walk_flat(struct walk *w, uint32_t start) {
    const char *text = w->text;
    const uint32_t *at = w->at;
    uint32_t behind;
    if (w->end - at < JSON_FLAT_INDEXES)
        return false;
    const uint32_t *last = w->end - JSON_FLAT_INDEXES; /* at which a member can begin */
    do {
        if (at > last || !is_plain_member(text, at))
            return false;
        behind = at[JSON_FLAT_BEHIND];
        at += JSON_FLAT_INDEXES;
    } while (text[behind] == ',');
    if (text[behind] != '}' || w->backslash < behind)
        return false;
    struct json_node *node = &w->nodes[w->count];
    uint32_t members = (uint32_t)(at - w->at) / JSON_FLAT_INDEXES;
    node[0] = (struct json_node){start, behind + 1 - start, w->count + 1 + 2 * members, JSON_OBJECT,
                                 JSON_FLAT};
    node[1].start = (uint32_t)(w->at - w->begin);
    w->count += 1 + 2 * members;
    w->at = at;
    return true;
}

/* With only_root a value's node is written over by the next one's, so that never more are in use
 * than two for each level; both cases are compiled on their own. */
static inline bool walk_document(struct walk *w, bool only_root) {
    bool more = true;
    while (more) {
        uint32_t start;
        if (only_root && w->depth)
            w->count = w->open[w->depth - 1] + 1;
        /* What makes `depth` more than 0 sets `around`, too. */
        // cppcheck-suppress uninitvar
        if (w->depth && w->around == JSON_OBJECT && !walk_key(w))
            return false;
        if (!walk_next(w, &start))
            return false;
        char c = w->text[start];
        if (c == '{' && w->depth < JSON_MAX_DEPTH && walk_flat(w, start)) {
            ;
        } else if (c == '{' || c == '[') {
            if (!walk_open(w, start, c == '{' ? JSON_OBJECT : JSON_ARRAY))
                return false;
            /* Another value or key comes, unless the bracket closes at once. */
            if (w->at == w->end || w->text[*w->at] != c + 2) /* ASCII: '{' + 2 is '}', '[' ']' */
                continue;
        } else if (!walk_scalar(w, start)) {
            return false;
        }
        if (!walk_behind_value(w, &more))
            return false;
    }
    return true;
}

/* --- Why the first stage refused a text ------------------------------------ */

/* The bytes of the UTF-8 character at p (RFC 3629: no overlong forms, no surrogates, no more than
 * U+10FFFF), or 0 when there is none. */
static unsigned utf8_len(const char *text, size_t len) {
    const unsigned char *p = (const unsigned char *)text;
    unsigned need = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (need == 1)
        return 1;
    if (!need || p[0] > 0xf4 || len < need)
        return 0;
    unsigned char lowest = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char highest = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < lowest || p[1] > highest)
        return 0;
    for (unsigned i = 2; i < need; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return need;
}

/* Finds by plain reading what json_stage1_run only says is somewhere. */
static struct json_error find_refusal(const char *text, size_t len) {
    size_t quote = 0;
    bool in_string = false;
    bool empty = true;
    for (size_t i = 0; i < len;) {
        unsigned bytes = utf8_len(text + i, len - i);
        if (!bytes)
            return (struct json_error){"not UTF-8", i};
        if (text[i] == '\\') {
            if (!in_string)
                return (struct json_error){"not a value", i};
            bytes = i + 1 < len ? escape_len(text + i, len - i) : 1;
            if (!bytes)
                return (struct json_error){"not an escape sequence", i};
        }
        if (in_string && (unsigned char)text[i] < 0x20)
            return (struct json_error){"a control character in a string is not escaped", i};
        if (text[i] == '"') {
            in_string = !in_string;
            quote = i;
        }
        empty = empty && is_space(text[i]);
        i += bytes;
    }
    if (empty)
        return (struct json_error){"the text is empty", len};
    if (in_string)
        return (struct json_error){"a string does not end", quote};
    return (struct json_error){"not JSON", 0};
}

/* --- Parsing --------------------------------------------------------------- */

static bool has_bom(const char *text, size_t len) {
    return len >= BOM_BYTES && memcmp(text, "\xef\xbb\xbf", BOM_BYTES) == 0;
}

static bool is_too_dense(enum json_scope scope, size_t tokens, size_t len) {
    return scope == JSON_NODES && tokens > JSON_FREE_TOKENS + len / 8 * JSON_TOKENS_OF_8;
}

static bool walk_scope(struct walk *w, enum json_scope scope) {
    if (scope != JSON_ROOT)
        return walk_document(w, false);
    if (!walk_document(w, true))
        return false;
    w->nodes[0].next = w->count = 1;
    w->nodes[0].flags &= JSON_ESCAPED; /* no members that anybody could ask for */
    return true;
}

static int parse_text(struct json_parser *parser, enum json_scope scope, const char *text,
                      size_t len, struct json_doc *doc, struct json_error *error) {
    int rc = parser_reserve_text(parser, len);
    if (rc)
        return rc;
    struct json_indexes indexes;
    if (json_stage1_run(parser->stage, text, len, &indexes)) {
        *error = find_refusal(text, len);
        return JSON_INVALID;
    }
    if (is_too_dense(scope, indexes.count, len)) {
        *error = (struct json_error){"too many values for its length", len};
        return JSON_TOO_DENSE;
    }
    rc = parser_reserve_nodes(parser, scope == JSON_ROOT ? 4 * JSON_MAX_DEPTH : indexes.count);
    if (rc)
        return rc;
    indexes.at[indexes.count] = (uint32_t)len; /* the last token ends where the text does */
    struct walk walk;
    walk.text = text;
    walk.len = (uint32_t)len;
    walk.begin = walk.at = indexes.at;
    walk.end = indexes.at + indexes.count;
    walk.nodes = parser->nodes;
    walk.count = 0;
    walk.depth = 0;
    walk.backslash = find_backslash(text, 0, (uint32_t)len);
    walk.error = error;
    if (!walk_scope(&walk, scope))
        return JSON_INVALID;
    *doc = (struct json_doc){text,       len,        parser->nodes,
                             walk.count, indexes.at, (uint32_t)indexes.count};
    return 0;
}

int json_parse_scope(struct json_parser *parser, enum json_scope scope, const char *text,
                     size_t len, struct json_doc *doc, struct json_error *error) {
    if (len > JSON_MAX_BYTES) {
        *error = (struct json_error){"the text is too long", JSON_MAX_BYTES};
        return JSON_INVALID;
    }
    size_t bom = has_bom(text, len) ? BOM_BYTES : 0;
    int rc = parse_text(parser, scope, text + bom, len - bom, doc, error);
    if (rc == JSON_INVALID || rc == JSON_TOO_DENSE)
        error->offset += bom;
    return rc;
}

int json_parse(struct json_parser *parser, const char *text, size_t len, struct json_doc *doc,
               struct json_error *error) {
    return json_parse_scope(parser, JSON_ALL, text, len, doc, error);
}

/* --- Reading a document ---------------------------------------------------- */

/* Of the indexes, which ascend, the one behind that of the bracket at `start`. */
static const uint32_t *find_members(const struct json_doc *doc, uint32_t start) {
    uint32_t low = 0, high = doc->at_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (doc->at[middle] <= start)
            low = middle;
        else
            high = middle;
    }
    return doc->at + low + 1;
}

void json_expand_flat(const struct json_doc *doc, uint32_t object) {
    struct json_node *node = &doc->nodes[object];
    uint16_t flags = node->flags & JSON_ALL_TAKEN ? JSON_TAKEN : 0;
    const uint32_t *member = find_members(doc, node->start);
    node->flags &= (uint16_t) ~(JSON_FLAT | JSON_ALL_TAKEN);
    for (uint32_t key = object + 1; key < node->next; key += 2, member += JSON_FLAT_INDEXES) {
        doc->nodes[key] = json_flat_key(member, key);
        doc->nodes[key].flags = flags;
        doc->nodes[key + 1] = json_flat_value(doc, member, key + 1);
    }
}

/* Writes what the escape sequence or plain byte at *p means (1-4 bytes) and moves *p behind it.
 * The content is valid, so that nothing is checked again. */
static unsigned unescape_one(const char **p, const char *end, char out[4]) {
    static const char meanings[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                       ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    const char *escape = *p;
    if (*escape != '\\') {
        out[0] = *escape;
        *p += 1;
        return 1;
    }
    if (escape[1] != 'u') {
        out[0] = meanings[(unsigned char)escape[1]];
        *p += 2;
        return 1;
    }
    int code = parse_unicode_escape(escape, (size_t)(end - escape));
    assert(code >= 0);
    *p += 6;
    if (is_high_surrogate(code)) {
        int low = parse_unicode_escape(*p, (size_t)(end - *p));
        code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
        *p += 6;
    }
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    unsigned len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (unsigned i = len - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(lead[len] | code);
    return len;
}

size_t json_unescape(struct span text, char *dst) {
    const char *p = text.ptr;
    const char *end = p + text.len;
    char *out = dst;
    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((escape ? escape : end) - p);
        memcpy(out, p, plain);
        out += plain;
        p += plain;
        if (!escape)
            break;
        char bytes[4];
        unsigned len = unescape_one(&p, end, bytes);
        memcpy(out, bytes, len);
        out += len;
    }
    return (size_t)(out - dst);
}

static bool escaped_equals(struct span text, struct span name) {
    const char *p = text.ptr;
    const char *end = p + text.len;
    size_t at = 0;
    while (p < end) {
        char bytes[4];
        unsigned len = unescape_one(&p, end, bytes);
        if (name.len - at < len || memcmp(name.ptr + at, bytes, len) != 0)
            return false;
        at += len;
    }
    return at == name.len;
}

bool json_string_equals(const struct json_doc *doc, uint32_t node, struct span name) {
    const struct json_node *n = &doc->nodes[node];
    if (n->type != JSON_STRING)
        return false;
    if (n->flags & JSON_ESCAPED)
        return escaped_equals(json_text(doc, node), name);
    return span_equals(json_text(doc, node), name);
}

uint32_t json_find(const struct json_doc *doc, uint32_t node, struct span name) {
    uint32_t found = 0;
    if (doc->nodes[node].type != JSON_OBJECT)
        return 0;
    json_expand(doc, node);
    uint32_t end = doc->nodes[node].next;
    for (uint32_t key = node + 1; key < end; key = doc->nodes[key + 1].next)
        if (json_string_equals(doc, key, name))
            found = key + 1;
    return found;
}

/* --- Writing --------------------------------------------------------------- */

/* Behind the string whose opening quote is at p. */
static const char *skip_string(const char *p, const char *end) {
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\')
            p++;
    return p < end ? p + 1 : end;
}

/* simdjson's minify wants 64 bytes of room behind dst, and on AVX-512 machines that compress to
 * memory slowly (Zen 4) it takes 109 ns for 32 bytes where this takes 38. */
size_t json_minify_to(struct span raw, char *dst) {
    const char *p = raw.ptr;
    const char *end = p + raw.len;
    char *out = dst;
    while (p < end) {
        const char *run = p;
        while (p < end && !is_space(*p))
            p = *p == '"' ? skip_string(p, end) : p + 1;
        memcpy(out, run, (size_t)(p - run));
        out += p - run;
        while (p < end && is_space(*p))
            p++;
    }
    return (size_t)(out - dst);
}

int json_minify(struct span raw, struct buf *out) {
    int rc = buf_reserve(out, raw.len);
    if (rc)
        return rc;
    if (raw.len)
        out->len += json_minify_to(raw, out->ptr + out->len);
    return 0;
}

/* Writes one ASCII character of a string's content. */
static char *escape_ascii(char c, char *dst) {
    static const char letters[128] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                                      ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
    if (letters[(unsigned char)c]) {
        *dst++ = '\\';
        *dst++ = letters[(unsigned char)c];
    } else if ((unsigned char)c < 0x20) {
        memcpy(dst, "\\u00", 4);
        text_format_hex(&c, 1, dst + 4);
        dst += 6;
    } else {
        *dst++ = c;
    }
    return dst;
}

size_t json_escape(struct span text, char *dst) {
    char *out = dst;
    for (size_t i = 0; i < text.len;) {
        unsigned len = utf8_len(text.ptr + i, text.len - i);
        if (len == 1) {
            out = escape_ascii(text.ptr[i], out);
        } else if (len) {
            memcpy(out, text.ptr + i, len);
            out += len;
        } else {
            memcpy(out, "\xef\xbf\xbd", 3); /* U+FFFD for each byte that belongs to no character */
            out += 3;
            len = 1;
        }
        i += len;
    }
    return (size_t)(out - dst);
}
