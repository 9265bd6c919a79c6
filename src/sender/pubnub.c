/* PubNub: presence webhooks, in the four forms that its services have sent over the years, and root
 * arrays of any of them. All four come down to items of one kind: flat objects, whose members
 * changed names, case and type from form to form (`uuid` or `userId`, seconds or ISO times, numbers
 * or quoted numbers). One table has all the names, and an item is read by it wherever it stands:
 *
 *   {item}                                            presence webhooks, with `action` or `schema`
 *   {"schema":S,"data":[{item},...]}                  Events & Actions
 *   {"event":{"payload":{"dataSchema":S,"data":[{item},...]}}}    the same in an envelope
 *   {"event":{item}}                                  the envelope's version 1.0
 *
 * The number of a delivery's attempt stands outside of the item and is part of no identity. PubNub
 * sends what is refused up to three times more, hence keep_unreadable. */
#include "batch.h"
#include "sender.h"

#define COUNT(table)  (sizeof(table) / sizeof *(table))
#define SCHEMA_PREFIX "pubnub.com/schemas/events/"
#define SCHEMA_SUFFIX "?v=1.0.0"

enum item_node {
    ITEM_ID,
    ITEM_EVENT_ID,
    ITEM_ACTION,
    ITEM_SCHEMA,
    ITEM_DATA_SCHEMA,
    ITEM_EVENT_TYPE,
    ITEM_CHANNEL,
    ITEM_USER_ID,
    ITEM_UUID,
    ITEM_OCCUPANCY,
    ITEM_DATA,
    ITEM_EVENT_PAYLOAD,
    ITEM_TIMESTAMP,
    ITEM_PRECISE_TIMESTAMP,
    ITEM_ISO_TIMESTAMP,
    ITEM_TIMETOKEN,
    ITEM_SUB_KEY,
    ITEM_SUB_KEY_CAMEL,
    ITEM_SUBSCRIBE_KEY,
    ITEM_JOIN,
    ITEM_USERS_JOINED,
    ITEM_LEAVE,
    ITEM_USERS_LEFT,
    ITEM_TIMEOUT,
    ITEM_USERS_TIMEDOUT,
    ITEM_USERS_TIMED_OUT,
    ITEM_NODES
};

/* Nodes all, because one item may say the same thing by two names. */
static const struct member item_members[] = {
    MEMBER("id", TAKE_NODE, ITEM_ID),
    MEMBER("action", TAKE_NODE, ITEM_ACTION),
    MEMBER("sub_key", TAKE_NODE, ITEM_SUB_KEY),
    MEMBER("channel", TAKE_NODE, ITEM_CHANNEL),
    MEMBER("userId", TAKE_NODE, ITEM_USER_ID),
    MEMBER("uuid", TAKE_NODE, ITEM_UUID),
    MEMBER("occupancy", TAKE_NODE, ITEM_OCCUPANCY),
    MEMBER("data", TAKE_NODE, ITEM_DATA),
    MEMBER("timestamp", TAKE_NODE, ITEM_TIMESTAMP),
    MEMBER("precise_timestamp", TAKE_NODE, ITEM_PRECISE_TIMESTAMP),
    MEMBER("subKey", TAKE_NODE, ITEM_SUB_KEY_CAMEL),
    MEMBER("usersJoined", TAKE_NODE, ITEM_USERS_JOINED),
    MEMBER("usersLeft", TAKE_NODE, ITEM_USERS_LEFT),
    MEMBER("usersTimedout", TAKE_NODE, ITEM_USERS_TIMEDOUT),
    MEMBER("usersTimedOut", TAKE_NODE, ITEM_USERS_TIMED_OUT), /* the vendor's table is cut here */
    MEMBER("join", TAKE_NODE, ITEM_JOIN),
    MEMBER("leave", TAKE_NODE, ITEM_LEAVE),
    MEMBER("timeout", TAKE_NODE, ITEM_TIMEOUT),
    MEMBER("schema", TAKE_NODE, ITEM_SCHEMA),
    MEMBER("dataSchema", TAKE_NODE, ITEM_DATA_SCHEMA),
    MEMBER("eventId", TAKE_NODE, ITEM_EVENT_ID),
    MEMBER("eventType", TAKE_NODE, ITEM_EVENT_TYPE),
    MEMBER("eventPayload", TAKE_NODE, ITEM_EVENT_PAYLOAD),
    MEMBER("iso8601timestamp", TAKE_NODE, ITEM_ISO_TIMESTAMP),
    MEMBER("subscribeKey", TAKE_NODE, ITEM_SUBSCRIBE_KEY),
    MEMBER("timetoken", TAKE_NODE, ITEM_TIMETOKEN),
};

/* One object of the body, and where its items stand. */
struct message {
    struct json_doc *doc;
    struct batch *batch;
    char path[32];     /* what leads to the items: "[3].event.payload." */
    int index;         /* of the item in `data`; one of those below where there is no list */
    bool enveloped;    /* it stands in an `event` */
    uint32_t schema;   /* that of all its items; 0 for none */
    uint32_t schema_2; /* likewise */
    bool has_enclosing;
    struct sender_enclosing enclosing;
};
enum { INDEX_FLAT = -1, INDEX_SINGLE = -2 }; /* the item is the message; `data` is the item */

struct item {
    const struct message *message;
    struct json_doc *doc;
    struct event event;
    unsigned left;
};

static void reject_item(const struct message *message, const char *text, const char *member) {
    const char *dot = *member && message->index != INDEX_FLAT ? "." : "";
    if (message->index >= 0)
        batch_reject(message->batch, text, "%sdata[%d]%s%s", message->path, message->index, dot,
                     member);
    else
        batch_reject(message->batch, text, "%s%s%s%s", message->path,
                     message->index == INDEX_SINGLE ? "data" : "", dot, member);
}

static bool is_missing(const struct json_doc *doc, uint32_t node) {
    return !node || json_type(doc, node) == JSON_NULL;
}

/* A member's value; 0 where it is missing or null. */
static uint32_t find_value(const struct json_doc *doc, uint32_t object, struct span name) {
    uint32_t node = json_find(doc, object, name);
    return is_missing(doc, node) ? 0 : node;
}

/* --- Kinds --------------------------------------------------------------------------------------
 */

static const struct {
    struct span word, kind;
} kinds[] = {
#define KIND(word, kind)                                                                           \
    { {word, sizeof(word) - 1}, {kind, sizeof(kind) - 1} }
    KIND("join", "join"),
    KIND("leave", "leave"),
    KIND("timeout", "timeout"),
    KIND("state-change", "state-change"),
    KIND("active", "active"),
    KIND("inactive", "inactive"),
    KIND("interval", "interval"),
    KIND("presence.user.channel.joined", "join"),
    KIND("presence.user.channel.left", "leave"),
    KIND("presence.user.timedout.in.channel", "timeout"),
    KIND("presence.channel.user.state.in.changed", "state-change"), /* the words stand so */
    KIND("presence.channel.state.active", "active"),
    KIND("presence.channel.state.inactive", "inactive"),
    KIND("presence.channel.occupancy.counted", "interval"),
#undef KIND
};

/* The kind that a word means; absent where it means none that is known. */
static struct span find_kind(struct span word) {
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (span_equals(kinds[i].word, word))
            return kinds[i].kind;
    return (struct span){0};
}

/* "presence.user.channel.joined" of "pubnub.com/schemas/events/presence.user.channel.joined?v=1". A
 * cut at these two characters leaves escapes whole, "\/" included. */
static struct span last_part(struct span schema) {
    const char *question = memchr(schema.ptr, '?', schema.len);
    if (question)
        schema.len = (size_t)(question - schema.ptr);
    const char *slash = memrchr(schema.ptr, '/', schema.len);
    if (!slash)
        return schema;
    return span_from(slash + 1, schema.len - (size_t)(slash + 1 - schema.ptr));
}

/* One way to say what happened. `own` is the sender's word, as JSON string content. */
struct word {
    uint32_t node;
    struct span own, kind;
    bool is_all; /* the kind says all that the member does */
};

static struct word read_action(const struct json_doc *doc, uint32_t node) {
    struct word word = {.node = node};
    char scratch[SENDER_SCRATCH_BYTES];
    if (!is_missing(doc, node) && json_type(doc, node) == JSON_STRING) {
        word.own = json_text(doc, node);
        word.kind = find_kind(sender_string(doc, node, scratch));
        word.is_all = true;
    }
    return word;
}

/* A schema says its version too, and an unknown one whose it is: these go to `extra`. */
static struct word read_schema(const struct json_doc *doc, uint32_t node) {
    struct word word = {.node = node};
    char scratch[SENDER_SCRATCH_BYTES];
    if (is_missing(doc, node) || json_type(doc, node) != JSON_STRING)
        return word;
    word.own = last_part(json_text(doc, node));
    struct span schema = sender_string(doc, node, scratch);
    if (span_is_absent(schema))
        return word;
    struct span part = last_part(schema);
    word.kind = find_kind(part);
    struct span before = span_from(schema.ptr, (size_t)(part.ptr - schema.ptr));
    struct span behind = span_from(part.ptr + part.len, schema.len - before.len - part.len);
    word.is_all = !span_is_absent(word.kind) &&
                  (before.len == 0 || span_equals(before, SPAN(SCHEMA_PREFIX))) &&
                  (behind.len == 0 || span_equals(behind, SPAN(SCHEMA_SUFFIX)));
    return word;
}

/* --- Values -------------------------------------------------------------------------------------
 *
 * An item may say a thing more than once: under two names, or again in the flat event inside it.
 * The first that fits counts, those that say the same are gone, and others go to `extra`. */

static void untake(struct item *item, uint32_t node) {
    sender_untake(item->doc, node, &item->left);
}

static void offer(struct item *item, enum event_field field, uint32_t node, struct span value) {
    if (!event_has(&item->event, field))
        event_set(&item->event, field, value);
    else if (!span_equals(item->event.fields[field], value))
        untake(item, node);
}

static void offer_text(struct item *item, enum event_field field, uint32_t node) {
    if (is_missing(item->doc, node))
        return;
    if (json_type(item->doc, node) >= JSON_OBJECT)
        untake(item, node);
    else
        offer(item, field, node, json_text(item->doc, node));
}

static void offer_number(struct item *item, enum event_field field, uint32_t node) {
    if (is_missing(item->doc, node))
        return;
    enum json_type type = json_type(item->doc, node);
    struct span text = span_trim(json_text(item->doc, node));
    if (type == JSON_STRING && (text.len == 0 || span_equals_nocase(text, SPAN("NaN"))))
        return;
    if (type == JSON_NUMBER || (type == JSON_STRING && text_is_number(text)))
        offer(item, field, node, text);
    else
        untake(item, node);
}

static bool is_list_of_strings(const struct json_doc *doc, uint32_t node) {
    if (json_type(doc, node) != JSON_ARRAY)
        return false;
    uint32_t end = doc->nodes[node].next;
    for (uint32_t element = node + 1; element < end; element = doc->nodes[element].next)
        if (json_type(doc, element) != JSON_STRING)
            return false;
    return true;
}

static void offer_list(struct item *item, enum event_field field, uint32_t node) {
    if (is_missing(item->doc, node))
        return;
    if (is_list_of_strings(item->doc, node))
        offer(item, field, node, json_raw(item->doc, node));
    else
        untake(item, node);
}

static void offer_data(struct item *item, uint32_t node) {
    if (is_missing(item->doc, node))
        return;
    item->doc->nodes[node].flags |= JSON_TAKEN; /* whole: nothing is looked for inside */
    offer(item, EVENT_DATA, node, json_raw(item->doc, node));
}

/* Seconds, milliseconds, an ISO time, or a timetoken: 100 ns since 1970, of 17 digits from 2001 to
 * 2286, which as milliseconds would be far beyond any year. */
static int64_t take_time(struct item *item, uint32_t node) {
    enum { TIMETOKEN_DIGITS = 17, TICKS_PER_MS = 10000 };
    int64_t ticks;
    char scratch[SENDER_SCRATCH_BYTES];
    if (is_missing(item->doc, node))
        return TIME_NONE;
    enum json_type type = json_type(item->doc, node);
    struct span text = {0};
    if (type == JSON_STRING)
        text = span_trim(sender_string(item->doc, node, scratch));
    else if (type == JSON_NUMBER)
        text = json_text(item->doc, node);
    if (text.len == TIMETOKEN_DIGITS && text_parse_integer(text, &ticks) && ticks > 0)
        return ticks / TICKS_PER_MS;
    if (type == JSON_STRING && text.len && !text_is_number(text))
        return sender_take_iso_time(item->doc, node, &item->left);
    return sender_take_epoch(item->doc, node, &item->left);
}

/* Of two times that agree in the second, the one that has more than seconds counts. */
static void offer_time(struct item *item, uint32_t node) {
    int64_t *time_ms = &item->event.time_ms;
    int64_t other_ms = take_time(item, node);
    if (other_ms == TIME_NONE || other_ms == *time_ms)
        return;
    if (*time_ms == TIME_NONE || (*time_ms / 1000 == other_ms / 1000 && *time_ms % 1000 == 0))
        *time_ms = other_ms;
    else if (*time_ms / 1000 != other_ms / 1000 || other_ms % 1000 != 0)
        untake(item, node);
}

/* --- Items --------------------------------------------------------------------------------------
 */

/* Everything of one object but what happened, its id and its free data. */
static void offer_members(struct item *item, const uint32_t *nodes) {
    offer_text(item, EVENT_CHANNEL_NAME, nodes[ITEM_CHANNEL]);
    offer_text(item, EVENT_CHANNEL_UUID, nodes[ITEM_USER_ID]);
    offer_text(item, EVENT_CHANNEL_UUID, nodes[ITEM_UUID]);
    offer_number(item, EVENT_CHANNEL_OCCUPANCY, nodes[ITEM_OCCUPANCY]);
    offer_list(item, EVENT_CHANNEL_JOINED, nodes[ITEM_USERS_JOINED]);
    offer_list(item, EVENT_CHANNEL_JOINED, nodes[ITEM_JOIN]);
    offer_list(item, EVENT_CHANNEL_LEFT, nodes[ITEM_USERS_LEFT]);
    offer_list(item, EVENT_CHANNEL_LEFT, nodes[ITEM_LEAVE]);
    offer_list(item, EVENT_CHANNEL_TIMED_OUT, nodes[ITEM_USERS_TIMEDOUT]);
    offer_list(item, EVENT_CHANNEL_TIMED_OUT, nodes[ITEM_USERS_TIMED_OUT]);
    offer_list(item, EVENT_CHANNEL_TIMED_OUT, nodes[ITEM_TIMEOUT]);
    offer_text(item, EVENT_TENANT, nodes[ITEM_SUB_KEY_CAMEL]);
    offer_text(item, EVENT_TENANT, nodes[ITEM_SUB_KEY]);
    offer_text(item, EVENT_TENANT, nodes[ITEM_SUBSCRIBE_KEY]);
    offer_time(item, nodes[ITEM_TIMESTAMP]);
    offer_time(item, nodes[ITEM_ISO_TIMESTAMP]);
    offer_time(item, nodes[ITEM_PRECISE_TIMESTAMP]);
    offer_time(item, nodes[ITEM_TIMETOKEN]);
    if (!is_missing(item->doc, nodes[ITEM_ID])) /* ids have no field */
        untake(item, nodes[ITEM_ID]);
    if (!is_missing(item->doc, nodes[ITEM_EVENT_ID]))
        untake(item, nodes[ITEM_EVENT_ID]);
}

/* What is in an envelope has the flat event of old again in its data. It might be someone's data
 * that has an `action`, so it needs another of the event's members to be taken for that. */
static bool is_flat_event(const struct json_doc *doc, uint32_t node) {
    uint32_t action = find_value(doc, node, SPAN("action"));
    return action && json_type(doc, action) == JSON_STRING &&
           (find_value(doc, node, SPAN("timestamp")) || find_value(doc, node, SPAN("uuid")) ||
            find_value(doc, node, SPAN("occupancy")));
}

/* Takes the free data, or the flat event that stands there. Returns that event's `action` or 0. */
static uint32_t take_data(struct item *item, uint32_t node) {
    uint32_t nodes[ITEM_NODES] = {0};
    if (is_missing(item->doc, node))
        return 0;
    if (!item->message->enveloped || !is_flat_event(item->doc, node)) {
        offer_data(item, node);
        return 0;
    }
    item->left += sender_take_members(item->doc, node, item_members, COUNT(item_members),
                                      &item->event, nodes);
    offer_members(item, nodes);
    offer_data(item, nodes[ITEM_DATA]);
    for (enum item_node i = ITEM_SCHEMA; i <= ITEM_EVENT_TYPE; i++)
        if (!is_missing(item->doc, nodes[i]))
            untake(item, nodes[i]);
    if (!is_missing(item->doc, nodes[ITEM_EVENT_PAYLOAD]))
        untake(item, nodes[ITEM_EVENT_PAYLOAD]);
    return nodes[ITEM_ACTION];
}

enum { OWN_SCHEMAS = 3, WORDS = 7 };

/* What happened: the first word that is known, or else the first there is. Says whether a schema is
 * among them. The words that the kind does not say go to `extra`; the message's stand there
 * already, where they must. */
static bool take_kind(struct item *item, const uint32_t *nodes, const uint32_t *inner_actions) {
    struct event *event = &item->event;
    struct word words[WORDS] = {
        read_schema(item->doc, nodes[ITEM_SCHEMA]),
        read_schema(item->doc, nodes[ITEM_DATA_SCHEMA]),
        read_schema(item->doc, nodes[ITEM_EVENT_TYPE]),
        read_action(item->doc, nodes[ITEM_ACTION]),
        read_action(item->doc, inner_actions[0]),
        read_action(item->doc, inner_actions[1]),
    };
    bool has_schema = false;
    struct span known = {0}, own = {0};
    for (unsigned i = 0; i < WORDS + 1; i++) {
        /* The message's schemas come behind the item's own, and before its actions. */
        struct word word;
        if (i == OWN_SCHEMAS)
            word = read_schema(item->doc, item->message->schema);
        else if (i == OWN_SCHEMAS + 1)
            word = read_schema(item->doc, item->message->schema_2);
        else
            word = words[i < OWN_SCHEMAS ? i : i - 2];
        has_schema |= i < OWN_SCHEMAS + 2 && word.own.len;
        if (span_is_absent(known))
            known = word.kind;
        if (!own.len)
            own = word.own;
    }
    event->kind = span_is_absent(known) ? own : known;
    for (unsigned i = 0; i < WORDS - 1; i++) {
        struct span says = span_is_absent(words[i].kind) ? words[i].own : words[i].kind;
        if (!is_missing(item->doc, words[i].node) &&
            (!words[i].is_all || !span_equals(says, event->kind)))
            untake(item, words[i].node);
    }
    return has_schema;
}
