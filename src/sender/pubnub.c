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
#include <stdio.h>

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

/* One way to say what happened. `own` is the sender's word, as JSON string content. */
struct word {
    uint32_t node;
    struct span own, kind;
    bool is_all; /* the kind says all that the member does */
};

/* One object of the body, and where its items stand. */
struct message {
    struct json_doc *doc;
    struct batch *batch;
    char path[32];          /* what leads to the items: "[3].event.payload." */
    int index;              /* of the item in `data`; one of those below where there is no list */
    bool enveloped;         /* it stands in an `event` */
    struct word schemas[2]; /* what all its items are said to be; zeroed for nothing */
    bool has_enclosing;
    struct sender_enclosing enclosing;
};
enum { INDEX_FLAT = -1, INDEX_SINGLE = -2 }; /* the item is the message; `data` is the item */

struct item {
    struct message *message;
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
    {                                                                                              \
        {word, sizeof(word) - 1}, {                                                                \
            kind, sizeof(kind) - 1                                                                 \
        }                                                                                          \
    }
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

/* What happened: the first word that is known, or else the first there is. Says whether a schema is
 * among them. What the kind does not say of the item's own words goes to `extra`; the message's
 * schemas are in `enclosing`, where that must be. */
static bool take_kind(struct item *item, const uint32_t *nodes, const uint32_t *inner_actions) {
    enum { OWN_SCHEMAS = 3, SCHEMAS = 5, WORDS = 8 };
    const struct json_doc *doc = item->doc;
    const struct word words[WORDS] = {
        read_schema(doc, nodes[ITEM_SCHEMA]),
        read_schema(doc, nodes[ITEM_DATA_SCHEMA]),
        read_schema(doc, nodes[ITEM_EVENT_TYPE]),
        item->message->schemas[0],
        item->message->schemas[1],
        read_action(doc, nodes[ITEM_ACTION]),
        read_action(doc, inner_actions[0]),
        read_action(doc, inner_actions[1]),
    };
    bool has_schema = false;
    struct span known = {0}, own = {0};
    for (unsigned i = 0; i < WORDS; i++) {
        has_schema |= i < SCHEMAS && words[i].own.len;
        if (span_is_absent(known))
            known = words[i].kind;
        if (!own.len)
            own = words[i].own;
    }
    item->event.kind = span_is_absent(known) ? own : known;
    for (unsigned i = 0; i < WORDS; i++) {
        const struct word *word = &words[i];
        bool is_message_s = i >= OWN_SCHEMAS && i < SCHEMAS;
        struct span says = span_is_absent(word->kind) ? word->own : word->kind;
        if (!is_message_s && !is_missing(doc, word->node) &&
            (!word->is_all || !span_equals(says, item->event.kind)))
            untake(item, word->node);
    }
    return has_schema;
}

/* What is missing for an event, or NULL. A presence event is one of a channel; of a schema that is
 * not known here, it is not known what it has to have. */
static const char *find_missing(struct item *item, const uint32_t *nodes, bool has_schema) {
    struct event *event = &item->event;
    if (!event->kind.len && event_has(event, EVENT_CHANNEL_OCCUPANCY) &&
        !event_has(event, EVENT_CHANNEL_UUID))
        event->kind = SPAN("interval"); /* has no action on presence channels, in old SDKs */
    if (!event->kind.len)
        return is_missing(item->doc, nodes[ITEM_SCHEMA]) ? "action" : "schema";
    bool is_known = !span_is_absent(find_kind(event->kind));
    if (!event_has(event, EVENT_CHANNEL_NAME) && (is_known || !has_schema))
        return "channel";
    return NULL;
}

static const char *find_fault(const struct json_doc *doc, uint32_t object, const char *member) {
    uint32_t node = find_value(doc, object, span_from_string(member));
    if (!node)
        return "missing";
    return json_type(doc, node) == JSON_STRING ? "empty" : "not a string";
}

static uint32_t find_id(const struct json_doc *doc, const uint32_t *nodes) {
    uint32_t id = is_missing(doc, nodes[ITEM_ID]) ? nodes[ITEM_EVENT_ID] : nodes[ITEM_ID];
    return !is_missing(doc, id) && json_text(doc, id).len ? id : 0;
}

static struct span field_or_absent(const struct event *event, enum event_field field) {
    return event_has(event, field) ? event->fields[field] : (struct span){0};
}

/* The sender's id, or else what happened, where, to whom and when. False where the item has neither
 * an id nor a time: who joins again is not a repeat, so such an event is like no other. */
static bool make_identity(const struct item *item, const uint32_t *nodes,
                          struct identity *identity) {
    const struct event *event = &item->event;
    uint32_t id = find_id(item->doc, nodes);
    identity_init(identity, SPAN("pubnub"));
    identity_add(identity, field_or_absent(event, EVENT_TENANT));
    if (id) {
        identity_add(identity, json_text(item->doc, id));
        return true;
    }
    identity_add(identity, field_or_absent(event, EVENT_CHANNEL_NAME));
    identity_add(identity, field_or_absent(event, EVENT_CHANNEL_UUID));
    identity_add(identity, event->kind);
    identity_add_u64(identity, (uint64_t)event->time_ms);
    return event->time_ms != TIME_NONE;
}

static int parse_item(struct message *message, uint32_t node) {
    struct item item; /* its parts are set where they are first needed: it is large */
    struct identity identity;
    uint32_t nodes[ITEM_NODES] = {0}, inner_actions[2];

    if (json_type(message->doc, node) != JSON_OBJECT) {
        reject_item(message, "not an object", "");
        return 0;
    }
    item.message = message;
    item.doc = message->doc;
    event_init(&item.event);
    item.left =
        sender_take_members(item.doc, node, item_members, COUNT(item_members), &item.event, nodes);
    offer_members(&item, nodes);
    inner_actions[0] = take_data(&item, nodes[ITEM_DATA]);
    inner_actions[1] = take_data(&item, nodes[ITEM_EVENT_PAYLOAD]);
    bool has_schema = take_kind(&item, nodes, inner_actions);
    const char *missing = find_missing(&item, nodes, has_schema);
    if (missing) {
        reject_item(message, find_fault(item.doc, node, missing), missing);
        return 0;
    }
    struct sender_enclosing *enclosing = message->has_enclosing ? &message->enclosing : NULL;
    sender_set_extra(&item.event, item.doc, node, item.left, enclosing);
    bool has_identity = make_identity(&item, nodes, &identity);
    return sender_emit(message->batch, &item.event, has_identity ? &identity : NULL, enclosing);
}

/* --- Messages -----------------------------------------------------------------------------------
 */

enum { LIST_SCHEMA, LIST_DATA_SCHEMA, LIST_DATA, LIST_NODES };

static const struct member list_members[] = {
    MEMBER("schema", TAKE_NODE, LIST_SCHEMA),
    MEMBER("dataSchema", TAKE_NODE, LIST_DATA_SCHEMA),
    MEMBER("data", TAKE_NODE, LIST_DATA),
};

/* A flat event has free data of any type, but then it also has a channel and says what happened. */
static bool is_list(const struct json_doc *doc, uint32_t node) {
    uint32_t data = find_value(doc, node, SPAN("data"));
    if (!data || find_value(doc, node, SPAN("channel")) || find_value(doc, node, SPAN("action")))
        return false;
    return json_type(doc, data) == JSON_ARRAY || find_value(doc, data, SPAN("channel"));
}

/* `left`: of the objects around this one, up to `root`. */
static int parse_list(struct message *message, uint32_t root, uint32_t node, unsigned left) {
    struct json_doc *doc = message->doc;
    struct event unused;
    uint32_t nodes[LIST_NODES] = {0};

    left += sender_take_members(doc, node, list_members, COUNT(list_members), &unused, nodes);
    for (int i = LIST_SCHEMA; i <= LIST_DATA_SCHEMA; i++) {
        message->schemas[i] = read_schema(doc, nodes[i]);
        if (!is_missing(doc, nodes[i]) && !message->schemas[i].is_all)
            sender_untake(doc, nodes[i], &left);
    }
    uint32_t data = nodes[LIST_DATA];
    doc->nodes[data].flags |= JSON_TAKEN;
    sender_enclosing_init(&message->enclosing, NULL, 0, doc, root, left);
    message->has_enclosing = true;
    message->index = INDEX_SINGLE;
    if (json_type(doc, data) == JSON_OBJECT)
        return parse_item(message, data);
    message->index = 0;
    uint32_t end = doc->nodes[data].next;
    for (uint32_t item = data + 1; item < end; item = doc->nodes[item].next, message->index++) {
        int rc = parse_item(message, item);
        if (rc)
            return rc;
    }
    return 0;
}

static int parse_content(struct message *message, uint32_t root, uint32_t node, unsigned left) {
    if (is_list(message->doc, node))
        return parse_list(message, root, node, left);
    if (node != root) {
        message->doc->nodes[node].flags |= JSON_TAKEN; /* whole: it is the item */
        sender_enclosing_init(&message->enclosing, NULL, 0, message->doc, root, left);
        message->has_enclosing = true;
    }
    return parse_item(message, node);
}

static const struct member envelope_members[] = {MEMBER("event", TAKE_NODE, 0)};
static const struct member event_members[] = {MEMBER("payload", TAKE_NODE, 0)};

/* `index` is the message's in the root array, -1 where it is the root. */
static int parse_message(struct json_doc *doc, struct batch *batch, uint32_t node, int index) {
    struct message message; /* likewise */
    struct event unused;
    uint32_t event = 0, payload = 0;
    char place[16] = "";

    if (index >= 0)
        snprintf(place, sizeof place, "[%d]", index);
    if (json_type(doc, node) != JSON_OBJECT) {
        batch_reject(batch, index < 0 ? "neither an array nor an object" : "not an object", "%s",
                     index < 0 ? "(root)" : place);
        return 0;
    }
    event = find_value(doc, node, SPAN("event"));
    message.enveloped = event && json_type(doc, event) == JSON_OBJECT;
    if (message.enveloped)
        payload = find_value(doc, event, SPAN("payload"));
    bool has_payload = payload && json_type(doc, payload) == JSON_OBJECT;
    message.doc = doc;
    message.batch = batch;
    message.index = INDEX_FLAT;
    message.schemas[0] = message.schemas[1] = (struct word){0};
    message.has_enclosing = false;
    snprintf(message.path, sizeof message.path, "%s%s%s%s", place, index < 0 ? "" : ".",
             message.enveloped ? "event." : "", has_payload ? "payload." : "");
    if (!message.enveloped)
        return parse_content(&message, node, node, 0);
    unsigned left = sender_take_members(doc, node, envelope_members, 1, &unused, &event);
    if (!has_payload)
        return parse_content(&message, node, event, left);
    left += sender_take_members(doc, event, event_members, 1, &unused, &payload);
    return parse_content(&message, node, payload, left);
}

static int parse(struct json_doc *doc, struct batch *batch, struct problem *problem) {
    int rc = 0;
    if (json_type(doc, 0) != JSON_ARRAY) {
        rc = parse_message(doc, batch, 0, -1);
    } else {
        int index = 0;
        for (uint32_t node = 1; node < doc->count && !rc; node = doc->nodes[node].next)
            rc = parse_message(doc, batch, node, index++);
    }
    return rc ? rc : sender_finish(batch, problem);
}

const struct sender sender_pubnub = {
    .name = "pubnub", .auth = SENDER_AUTH_PATH, .keep_unreadable = true, .parse = parse};
