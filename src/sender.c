/* The registry of senders, and what they share; see sender.h. */
#include "sender.h"

#include <stdarg.h>
#include <stdio.h>

#include "batch.h"

const struct sender *const senders[] = {
    &sender_aerohive, &sender_bt, &sender_json, &sender_meraki, &sender_mist, &sender_pubnub, NULL};

const struct sender *sender_find(struct span name) {
    for (const struct sender *const *sender = senders; *sender; sender++)
        if (span_equals(name, span_from_string((*sender)->name)))
            return *sender;
    return NULL;
}

int sender_parse(const struct sender *sender, struct json_doc *doc, struct batch *batch,
                 struct problem *problem) {
    int rc = sender->parse(doc, batch, problem);
    return rc ? rc : batch_settle(batch);
}

void problem_set(struct problem *problem, const char *message, const char *path_format, ...) {
    va_list args;
    va_start(args, path_format);
    vsnprintf(problem->path, sizeof problem->path, path_format, args);
    va_end(args);
    snprintf(problem->message, sizeof problem->message, "%s", message);
}

int sender_finish(struct batch *batch, struct problem *problem) {
    int rc = batch_settle(batch);
    if (rc)
        return rc;
    if (batch->accepted || batch->duplicates || !batch->rejected)
        return SENDER_OK;
    *problem = batch->first_rejection;
    return SENDER_WRONG_SHAPE;
}

/* --- Values -------------------------------------------------------------------------------------
 */

static inline struct span text_of(const struct json_doc *doc, const struct json_node *node) {
    return span_from(doc->text + node->start, node->len);
}

static inline struct span string_of(const struct json_doc *doc, const struct json_node *node,
                                    char scratch[SENDER_SCRATCH_BYTES]) {
    struct span text = text_of(doc, node);
    if (!(node->flags & JSON_ESCAPED))
        return text;
    if (text.len > SENDER_SCRATCH_BYTES)
        return (struct span){0};
    return span_from(scratch, json_unescape(text, scratch));
}

struct span sender_string(const struct json_doc *doc, uint32_t node,
                          char scratch[SENDER_SCRATCH_BYTES]) {
    return string_of(doc, &doc->nodes[node], scratch);
}

/* What senders write where there is no number. */
static bool is_no_number(struct span text) {
    return text.len == 0 || span_equals_nocase(text, SPAN("NaN"));
}

static inline struct span raw_of(const struct json_doc *doc, const struct json_node *node) {
    struct span text = text_of(doc, node);
    return node->type == JSON_STRING ? span_from(text.ptr - 1, text.len + 2) : text;
}

static inline bool take_text(const struct json_doc *doc, const struct json_node *value,
                             unsigned field, struct event *event) {
    if (value->type >= JSON_OBJECT)
        return false;
    event_set(event, field, text_of(doc, value));
    return true;
}

static inline bool take_number(const struct json_doc *doc, const struct json_node *value,
                               unsigned field, struct event *event) {
    struct span text = text_of(doc, value);
    if (value->type != JSON_NUMBER) {
        if (value->type != JSON_STRING)
            return false;
        text = span_trim(text);
        if (is_no_number(text))
            return true;
        if (!text_is_number(text))
            return false;
    }
    event_set(event, field, text);
    return true;
}

static bool take_mac(const struct json_doc *doc, const struct json_node *value, uint64_t *mac) {
    char scratch[SENDER_SCRATCH_BYTES];
    if (value->type != JSON_STRING)
        return false;
    struct span text = string_of(doc, value, scratch);
    *mac = text_parse_mac(text);
    return *mac != MAC_NONE || (!span_is_absent(text) && text.len == 0);
}

/* --- Members ------------------------------------------------------------------------------------
 */

#define LIKELY(condition) __builtin_expect(!!(condition), 1)

enum { COMPARED_BYTES = 16 };

/* The first (the last) COMPARED_BYTES are the same, of which `len` count. */
static inline bool are_same_bytes(const char *a, const char *b, size_t len) {
#ifdef __SSE2__
    __m128i same =
        _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)a), _mm_loadu_si128((const __m128i *)b));
    return (size_t)__builtin_ctz(~(uint32_t)_mm_movemask_epi8(same)) >= len;
#else
    return memcmp(a, b, len) == 0;
#endif
}

/* Behind a document's text are JSON_PADDING bytes, and a member's name has NULs behind it: so both
 * can be read in whole words. */
static inline bool is_named(const char *text, size_t len, const struct member *member) {
    if (len != member->name_len)
        return false;
    if (len <= COMPARED_BYTES)
        return are_same_bytes(text, member->name, len);
    return are_same_bytes(text, member->name, COMPARED_BYTES) &&
           are_same_bytes(text + len - COMPARED_BYTES, member->name + len - COMPARED_BYTES,
                          COMPARED_BYTES);
}

/* Whether a flat object's key, whose text begins there, is that member's. It holds no escape, so
 * that the first quote ends it: where the name and its quote are the same, its length is, too. */
static inline bool is_flat_named(const char *text, const struct member *member) {
#ifdef __SSE2__
    __m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)text),
                                  _mm_loadu_si128((const __m128i *)member->name));
    if (~(uint32_t)_mm_movemask_epi8(same) & member->mask)
        return false;
    if (LIKELY(member->name_len < COMPARED_BYTES))
        return true;
#endif
    return memcmp(text, member->name, member->name_len + 1U) == 0;
}

/* The member of the table that is named so, the expected one and those behind it first; NULL where
 * there is none. */
static inline const struct member *find_member(const char *text, size_t len,
                                               const struct member *table, size_t table_len,
                                               const struct member *expected) {
    const struct member *end = table + table_len;
    for (const struct member *member = expected; member < end; member++)
        if (is_named(text, len, member))
            return member;
    for (const struct member *member = table; member < expected; member++)
        if (is_named(text, len, member))
            return member;
    return NULL;
}

static const struct member *find_escaped(const struct json_doc *doc, uint32_t key,
                                         const struct member *table, size_t table_len) {
    for (const struct member *member = table; member < table + table_len; member++)
        if (json_string_equals(doc, key, span_from(member->name, member->name_len)))
            return member;
    return NULL;
}

static void mark_whole(struct json_node *key) {
    key[0].flags |= JSON_TAKEN;
    key[1].flags |= JSON_TAKEN;
}

/* Of any value but null, and for anything but TAKE_NODE. */
static inline bool take_value(const struct json_doc *doc, struct json_node *value,
                              const struct member *member, struct event *event) {
    switch ((enum take)member->take) {
    case TAKE_TEXT:
        return take_text(doc, value, member->target, event);
    case TAKE_NUMBER:
        return take_number(doc, value, member->target, event);
    case TAKE_CLIENT_MAC:
        return take_mac(doc, value, &event->client_mac);
    case TAKE_AP_MAC:
        return take_mac(doc, value, &event->ap_mac);
    case TAKE_RAW:
        event_set(event, member->target, raw_of(doc, value));
        break;
    case TAKE_IGNORE:
    case TAKE_NODE:
        break;
    }
    value->flags |= JSON_TAKEN;
    return true;
}

/* Undoes an earlier member of the same name, which is gone now. */
static unsigned drop_earlier(struct json_node *key, const struct member *member,
                             struct event *event, uint32_t *nodes) {
    bool was_left = !(key->flags & JSON_TAKEN);
    mark_whole(key);
    switch ((enum take)member->take) {
    case TAKE_TEXT:
    case TAKE_NUMBER:
    case TAKE_RAW:
        event_set(event, member->target, (struct span){0});
        break;
    case TAKE_CLIENT_MAC:
        event->client_mac = MAC_NONE;
        break;
    case TAKE_AP_MAC:
        event->ap_mac = MAC_NONE;
        break;
    case TAKE_NODE:
        nodes[member->target] = 0;
        break;
    case TAKE_IGNORE:
        break;
    }
    return was_left;
}

/* Whether two keys mean the same. */
static bool is_same_key(const struct json_doc *doc, uint32_t a, uint32_t b) {
    char scratch[SENDER_SCRATCH_BYTES];
    if (!((doc->nodes[a].flags | doc->nodes[b].flags) & JSON_ESCAPED))
        return span_equals(json_text(doc, a), json_text(doc, b));
    struct span name = sender_string(doc, a, scratch);
    return !span_is_absent(name) && json_string_equals(doc, b, name);
}

/* Of untaken members with the same name, the last stays. Returns how many went. */
static unsigned drop_repeated(struct json_doc *doc, uint32_t object, unsigned left) {
    uint32_t keys[SENDER_MAX_COMPARED];
    unsigned count = 0, dropped = 0;
    if (left > SENDER_MAX_COMPARED)
        return 0;
    uint32_t end = doc->nodes[object].next;
    for (uint32_t key = object + 1; key < end; key = doc->nodes[key + 1].next) {
        if (doc->nodes[key].flags & JSON_TAKEN)
            continue;
        for (unsigned i = 0; i < count; i++) {
            if (!is_same_key(doc, keys[i], key))
                continue;
            mark_whole(&doc->nodes[keys[i]]);
            keys[i] = keys[--count];
            dropped++;
            break; /* those before it have dropped theirs */
        }
        keys[count++] = key;
    }
    return dropped;
}

struct table {
    const struct member *begin, *end;
    uint64_t skipped; /* a bit for each of those before the expected one that was not met */
};

/* A member that is not the expected one: further on, or skipped before. NULL where it is neither:
 * unknown, or met twice. */
__attribute__((noinline)) static const struct member *
find_unexpected(struct table *table, const struct member **expected, const char *name) {
    const struct member *member;
    for (member = *expected; member < table->end; member++) {
        if (is_flat_named(name, member)) {
            *expected = member + 1;
            return member;
        }
        table->skipped |= 1ULL << (member - table->begin);
    }
    *expected = member;
    for (uint64_t left = table->skipped; left; left &= left - 1) {
        member = table->begin + __builtin_ctzll(left);
        if (is_flat_named(name, member)) {
            table->skipped &= ~(left & -left);
            return member;
        }
    }
    return NULL;
}

/* A flat member's value, where it is what the member is for: a string without its quotes, a number.
 * false, and nothing was taken, where it is not. */
static inline bool take_usual(const char *value, size_t len, const struct member *member,
                              struct event *event) {
    uint64_t *mac = &event->client_mac;
    switch ((enum take)member->take) {
    case TAKE_TEXT:
        if (value[0] != '"')
            return false;
        event_set_present(event, member->target, span_from(value + 1, len - 2));
        return true;
    case TAKE_NUMBER:
        if (value[0] < '-' || value[0] > '9')
            return false;
        event_set_present(event, member->target, span_from(value, len));
        return true;
    case TAKE_AP_MAC:
        mac = &event->ap_mac;
        /* fall through */
    case TAKE_CLIENT_MAC:
        if (value[0] != '"')
            return false;
        *mac = text_parse_mac(span_from(value + 1, len - 2));
        return *mac != MAC_NONE;
    case TAKE_IGNORE:
        return true;
    case TAKE_RAW:
    case TAKE_NODE:
        break;
    }
    return false;
}

/* Any other one; `key` is its key's node, which is not written. false where it does not fit. */
__attribute__((noinline)) static bool take_unusual(struct json_doc *doc, uint32_t object,
                                                   const uint32_t *flat, uint32_t key,
                                                   const struct member *member, struct event *event,
                                                   uint32_t *nodes) {
    struct json_node value = json_flat_value(doc, flat, key + 1);
    if (member->take == TAKE_NODE) {
        nodes[member->target] = key + 1;
        doc->nodes[key] = (struct json_node){.next = object, .flags = JSON_TAKEN | JSON_FLAT};
        doc->nodes[key + 1] = value;
        return true;
    }
    return value.type == JSON_NULL || take_value(doc, &value, member, event);
}

/* Takes the members of a flat object, if each of them is named by the table, once, and fits; else
 * false: the event may have some of them then, and is to be given all of them again. */
static bool take_flat(struct json_doc *doc, uint32_t object, const struct member *members,
                      size_t member_count, struct event *event, uint32_t *nodes) {
    struct table table = {members, members + member_count, 0};
    const struct member *expected = members;
    const uint32_t *flat = json_flat(doc, object);
    uint32_t end = doc->nodes[object].next;
    for (uint32_t node = object + 1; node < end; node += 2, flat += JSON_FLAT_INDEXES) {
        const char *name = doc->text + flat[JSON_FLAT_KEY] + 1;
        const struct member *member = expected;
        if (LIKELY(member < table.end && is_flat_named(name, member))) {
            expected = member + 1;
        } else {
            const struct member *next = expected;
            member = find_unexpected(&table, &next, name);
            if (!member)
                return false;
            expected = next;
        }
        uint32_t start = flat[JSON_FLAT_VALUE], len = flat[JSON_FLAT_BEHIND] - start;
        if (!LIKELY(take_usual(doc->text + start, len, member, event)) &&
            !take_unusual(doc, object, flat, node, member, event, nodes))
            return false;
    }
    doc->nodes[object].flags |= JSON_ALL_TAKEN;
    return true;
}

static unsigned take_members(struct json_doc *doc, uint32_t object, const struct member *table,
                             size_t table_len, struct event *event, uint32_t *nodes) {
    struct json_node *seen_keys[SENDER_MAX_MEMBERS]; /* set where seen has the bit */
    uint64_t seen = 0;
    const struct member *expected = table;
    unsigned left = 0;
    struct json_node *end = doc->nodes + doc->nodes[object].next;
    for (struct json_node *key = doc->nodes + object + 1; key < end;
         key = doc->nodes + key[1].next) {
        const struct member *member =
            key->flags & JSON_ESCAPED
                ? find_escaped(doc, (uint32_t)(key - doc->nodes), table, table_len)
                : find_member(doc->text + key->start, key->len, table, table_len, expected);
        if (!member) {
            left++;
            continue;
        }
        size_t i = (size_t)(member - table);
        if (seen >> i & 1)
            left -= drop_earlier(seen_keys[i], member, event, nodes);
        seen |= 1ULL << i;
        seen_keys[i] = key;
        expected = member + 1;
        bool is_taken = true;
        if (member->take == TAKE_NODE)
            nodes[member->target] = (uint32_t)(key + 1 - doc->nodes);
        else if (key[1].type != JSON_NULL)
            is_taken = take_value(doc, &key[1], member, event);
        if (is_taken)
            key->flags |= JSON_TAKEN;
        else
            left++;
    }
    return left > 1 ? left - drop_repeated(doc, object, left) : left;
}

unsigned sender_take_members(struct json_doc *doc, uint32_t object, const struct member *table,
                             size_t table_len, struct event *event, uint32_t *nodes) {
    if (json_type(doc, object) != JSON_OBJECT)
        return 0;
    if (doc->nodes[object].flags & JSON_FLAT) {
        if (take_flat(doc, object, table, table_len, event, nodes))
            return 0;
        json_expand(doc, object);
    }
    return take_members(doc, object, table, table_len, event, nodes);
}

/* --- Times and places ---------------------------------------------------------------------------
 */

static bool is_missing(const struct json_doc *doc, uint32_t node) {
    return !node || json_type(doc, node) == JSON_NULL;
}

int64_t sender_take_iso_time(struct json_doc *doc, uint32_t node, unsigned *left) {
    char scratch[SENDER_SCRATCH_BYTES];
    if (is_missing(doc, node))
        return TIME_NONE;
    int64_t time = TIME_NONE;
    if (json_type(doc, node) == JSON_STRING) {
        struct span text = sender_string(doc, node, scratch);
        if (!span_is_absent(text) && text.len == 0)
            return TIME_NONE;
        time = text_parse_iso_time(text);
    }
    if (time == TIME_NONE)
        sender_untake(doc, node, left);
    return time;
}

int64_t sender_take_epoch(struct json_doc *doc, uint32_t node, unsigned *left) {
    char scratch[SENDER_SCRATCH_BYTES];
    if (is_missing(doc, node))
        return TIME_NONE;
    struct span text = {0};
    if (json_type(doc, node) == JSON_NUMBER)
        text = json_text(doc, node);
    else if (json_type(doc, node) == JSON_STRING)
        text = span_trim(sender_string(doc, node, scratch));
    int64_t time = text_parse_epoch(text);
    if (time != TIME_NONE)
        return time;
    bool unknown = !span_is_absent(text) &&
                   (is_no_number(text) || (text_is_number(text) && text_number_is_zero(text)));
    if (!unknown)
        sender_untake(doc, node, left);
    return TIME_NONE;
}

static bool times_agree(int64_t iso_ms, int64_t epoch_ms) {
    if (iso_ms == epoch_ms)
        return true;
    return iso_ms / 1000 == epoch_ms / 1000 && (iso_ms % 1000 == 0 || epoch_ms % 1000 == 0);
}

int64_t sender_take_times(struct json_doc *doc, uint32_t iso_node, uint32_t epoch_node,
                          int64_t *epoch_ms, unsigned *left) {
    int64_t iso_ms = sender_take_iso_time(doc, iso_node, left);
    *epoch_ms = sender_take_epoch(doc, epoch_node, left);
    if (iso_ms == TIME_NONE || *epoch_ms == TIME_NONE)
        return iso_ms == TIME_NONE ? *epoch_ms : iso_ms;
    if (times_agree(iso_ms, *epoch_ms))
        return iso_ms > *epoch_ms ? iso_ms : *epoch_ms;
    sender_untake(doc, epoch_node, left);
    return iso_ms;
}

void sender_drop_null_island(struct event *event, enum event_field lat, enum event_field lng) {
    if (event_has(event, lat) && event_has(event, lng) && text_number_is_zero(event->fields[lat]) &&
        text_number_is_zero(event->fields[lng]))
        event->present &= ~(1ULL << lat | 1ULL << lng);
}

void sender_drop_zero(struct event *event, enum event_field field) {
    if (event_has(event, field) && text_number_is_zero(event->fields[field]))
        event->present &= ~(1ULL << field);
}

/* --- What stands around events ------------------------------------------------------------------
 */

/* A carrier that turns out to be a repeat has been copied in vain. Were that done over and over, a
 * body of repeats in front of a large text would take minutes; so a level's text is copied this
 * many times its object's length at the most. */
enum { TRIED_TIMES = 8, WALK_SHARE = 64 };

static size_t fields_len(const struct event *event, uint64_t fields) {
    size_t len = 0;
    for (; fields; fields &= fields - 1)
        len += event->fields[__builtin_ctzll(fields)].len;
    return len;
}

/* Makes a text of what is left of the object, if it is short enough for one. */
static void write_leftovers(struct sender_enclosing *enclosing) {
    enclosing->extra_len = event_leftovers_bound(enclosing->doc, enclosing->object);
    enclosing->extra = (struct event_extra){.doc = enclosing->doc, .object = enclosing->object};
    if (enclosing->extra_len > SENDER_MAX_REPEATED_BYTES)
        return;
    enclosing->extra_len =
        event_leftovers_write(enclosing->doc, enclosing->object, enclosing->text);
    enclosing->extra =
        (struct event_extra){.members = span_from(enclosing->text, enclosing->extra_len)};
}

void sender_enclosing_init(struct sender_enclosing *enclosing, struct sender_enclosing *outer,
                           uint64_t fields, struct json_doc *doc, uint32_t object, unsigned left) {
    enclosing->outer = outer;
    enclosing->fields = fields;
    enclosing->extra_len = 0;
    enclosing->told = false;
    enclosing->tries = (size_t)doc->nodes[object].len * TRIED_TIMES;
    enclosing->doc = doc;
    enclosing->object = object;
    if (left)
        write_leftovers(enclosing);
}

/* Takes every member that is too long to be repeated: it has been told, and is of no further use.
 */
static void drop_long_leftovers(struct json_doc *doc, uint32_t object) {
    json_expand(doc, object);
    uint32_t end = doc->nodes[object].next;
    for (uint32_t key = object + 1; key < end; key = doc->nodes[key + 1].next) {
        if (!(doc->nodes[key].flags & JSON_TAKEN)) {
            if (doc->nodes[key].len + doc->nodes[key + 1].len > SENDER_LONG_MEMBER_BYTES)
                mark_whole(&doc->nodes[key]);
        } else if (json_type(doc, key + 1) == JSON_OBJECT &&
                   !(doc->nodes[key + 1].flags & JSON_TAKEN)) {
            drop_long_leftovers(doc, key + 1);
        }
    }
}

static void set_told(struct sender_enclosing *enclosing) {
    enclosing->told = true;
    if (enclosing->extra_len <= SENDER_LONG_MEMBER_BYTES)
        return;
    drop_long_leftovers(enclosing->doc, enclosing->object);
    write_leftovers(enclosing);
}

/* What of it an event repeats that has so many bytes of its own. */
static uint64_t short_fields(const struct event *event, uint64_t fields, size_t *room) {
    uint64_t repeated = 0;
    for (; fields; fields &= fields - 1) {
        unsigned field = (unsigned)__builtin_ctzll(fields);
        if (event->fields[field].len > *room)
            continue;
        *room -= event->fields[field].len;
        repeated |= 1ULL << field;
    }
    return repeated;
}

void sender_set_extra(struct event *event, const struct json_doc *doc, uint32_t object,
                      unsigned left, const struct sender_enclosing *enclosing) {
    size_t own = doc->nodes[object].len;
    if (own < SENDER_ALWAYS_REPEATED_BYTES)
        own = SENDER_ALWAYS_REPEATED_BYTES;
    size_t room = own;
    unsigned count = 1; /* up to the outermost level that has something */
    event->extra[0] = left ? (struct event_extra){.doc = doc, .object = object}
                           : (struct event_extra){.members = SPAN("")};
    event->extra_count = left ? 1 : 0;
    for (; enclosing; enclosing = enclosing->outer, count++) {
        bool is_told = enclosing->told;
        event->present |=
            is_told ? short_fields(event, enclosing->fields, &room) : enclosing->fields;
        bool is_short =
            enclosing->extra_len <= SENDER_MAX_REPEATED_BYTES && enclosing->extra_len <= own;
        event->extra[count] = (struct event_extra){.members = SPAN("")};
        if (enclosing->extra_len && (!is_told || is_short)) {
            event->extra[count] = enclosing->extra;
            event->extra_count = count + 1;
        }
    }
}

/* The event that was emitted last is kept, or a repeat: what is around it has been told, or costs
 * tries. */
static int settle_enclosing(struct batch *batch, const struct event *event, unsigned accepted,
                            struct sender_enclosing *enclosing) {
    int rc = batch_settle(batch);
    bool is_kept = batch->accepted != accepted;
    for (; enclosing && !rc; enclosing = enclosing->outer) {
        if (enclosing->told)
            continue;
        size_t cost = enclosing->extra_len + fields_len(event, enclosing->fields) +
                      enclosing->doc->nodes[enclosing->object].len / WALK_SHARE;
        if (is_kept || cost > enclosing->tries)
            set_told(enclosing);
        else
            enclosing->tries -= cost;
    }
    return rc;
}

static bool is_all_told(const struct sender_enclosing *enclosing) {
    while (enclosing && enclosing->told)
        enclosing = enclosing->outer;
    return !enclosing;
}

int sender_emit(struct batch *batch, struct event *event, const struct identity *identity,
                struct sender_enclosing *enclosing) {
    if (is_all_told(enclosing))
        return batch_emit(batch, event, identity);
    int rc = batch_settle(batch);
    unsigned accepted = batch->accepted;
    rc = rc ? rc : batch_emit(batch, event, identity);
    return rc ? rc : settle_enclosing(batch, event, accepted, enclosing);
}
