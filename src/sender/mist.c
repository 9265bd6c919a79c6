/* Juniper Mist: webhooks, one topic and its events in each post.
 *
 * What an event is called is its topic's word, but for sightings ("seen") and for zones
 * ("zone-enter", "zone-exit"); there the topic, which is then not said by the kind, stands in
 * `extra`. Topics that are not known here are kept likewise. All topics have one table, as their
 * members mean the same wherever they stand, with two exceptions that are told at their place.
 *
 * An SDK client has an `id` in place of a MAC address. It names an installed app, and other topics
 * use `id` for the event itself: so it is no user's, and stands in `extra`, as do the zone, the map
 * and the trigger. */
#include "batch.h"
#include "sender.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

enum { ROOT_TOPIC, ROOT_EVENTS, ROOT_NODES };

static const struct member root_members[] = {
    MEMBER("topic", TAKE_NODE, ROOT_TOPIC),
    MEMBER("events", TAKE_NODE, ROOT_EVENTS),
};

enum event_node {
    NODE_MAC,
    NODE_CLIENT_ID,
    NODE_CLIENT,
    NODE_AP,
    NODE_AP_ID,
    NODE_SITE_ID,
    NODE_ORG_ID,
    NODE_IP,
    NODE_ID,
    NODE_ASSET_ID,
    NODE_ZONE_ID,
    NODE_RSSIZONE_ID,
    NODE_TRIGGER,
    NODE_TIMESTAMP,
    EVENT_NODES
};

static const struct member event_members[] = {
    MEMBER("ap", TAKE_NODE, NODE_AP),
    MEMBER("ap_name", TAKE_TEXT, EVENT_AP_NAME),
    MEMBER("client_manufacture", TAKE_TEXT, EVENT_CLIENT_MANUFACTURER),
    MEMBER("client_os", TAKE_TEXT, EVENT_CLIENT_OS),
    MEMBER("site_id", TAKE_TEXT, EVENT_VENUE_ID),
    MEMBER("zone_id", TAKE_NODE, NODE_ZONE_ID),
    MEMBER("rssizone_id", TAKE_NODE, NODE_RSSIZONE_ID), /* what rssizone has instead */
    MEMBER("trigger", TAKE_NODE, NODE_TRIGGER),
    MEMBER("x", TAKE_NUMBER, EVENT_LOCATION_X), /* metres */
    MEMBER("y", TAKE_NUMBER, EVENT_LOCATION_Y),
    MEMBER("timestamp", TAKE_NODE, NODE_TIMESTAMP), /* seconds, with a fraction or not */
    MEMBER("mac", TAKE_NODE, NODE_MAC),
    MEMBER("org_id", TAKE_TEXT, EVENT_TENANT),
    MEMBER("rssi", TAKE_NUMBER, EVENT_RSSI), /* dBm */
    MEMBER("site_name", TAKE_TEXT, EVENT_VENUE_NAME),
    MEMBER("ssid", TAKE_TEXT, EVENT_SSID),
    MEMBER("id", TAKE_NODE, NODE_ID),
    MEMBER("asset_id", TAKE_NODE, NODE_ASSET_ID),
    MEMBER("ip", TAKE_NODE, NODE_IP),
    MEMBER("client", TAKE_NODE, NODE_CLIENT), /* of guest-authorizations, and so is `email` */
    MEMBER("email", TAKE_TEXT, EVENT_USER_EMAIL),
    MEMBER("ap_id", TAKE_NODE, NODE_AP_ID), /* of wifi-conn-raw, as the three below */
    MEMBER("client_id", TAKE_NODE, NODE_CLIENT_ID),
    MEMBER("orgid", TAKE_NODE, NODE_ORG_ID),
    MEMBER("siteid", TAKE_NODE, NODE_SITE_ID),
};

enum topic {
    TOPIC_LOCATION,
    TOPIC_ZONE,
    TOPIC_CLIENT,      /* what one client does: one thing at a time */
    TOPIC_CLIENT_INFO, /* `ip` is the client's, which may get two at once */
    TOPIC_DEVICE,      /* `mac` is that of an access point, switch or gateway */
    TOPIC_OTHER
};

/* One post on its way. */
struct post {
    struct json_doc *doc;
    struct batch *batch;
    struct span word; /* the topic's */
    enum topic topic;
    struct identity identity; /* of all its events, as far as it is the same */
    struct event event;
    unsigned left; /* of the event's members */
    struct sender_enclosing enclosing;
};

static bool is_missing(const struct json_doc *doc, uint32_t node) {
    return !node || json_type(doc, node) == JSON_NULL;
}

/* --- Values -------------------------------------------------------------------------------------
 */

/* Takes an address that may stand under several names; another one than was taken before goes to
 * `extra`, and so does what is none. */
static void take_mac(struct post *post, uint32_t node, uint64_t *mac) {
    char scratch[SENDER_SCRATCH_BYTES];
    uint64_t value = MAC_NONE;
    if (is_missing(post->doc, node))
        return;
    if (json_type(post->doc, node) == JSON_STRING) {
        struct span text = sender_string(post->doc, node, scratch);
        if (!span_is_absent(text) && text.len == 0)
            return;
        value = text_parse_mac(text);
    }
    if (value == MAC_NONE || (*mac != MAC_NONE && *mac != value))
        sender_untake(post->doc, node, &post->left);
    else
        *mac = value;
}

/* Likewise a text under its second name. */
static void take_text(struct post *post, uint32_t node, enum event_field field) {
    if (is_missing(post->doc, node))
        return;
    struct span text = json_text(post->doc, node);
    bool is_text = json_type(post->doc, node) < JSON_OBJECT;
    if (is_text && !event_has(&post->event, field))
        event_set(&post->event, field, text);
    else if (!is_text || !span_equals(text, post->event.fields[field]))
        sender_untake(post->doc, node, &post->left);
}

/* A client's address, of either version. */
static void take_ip(struct post *post, uint32_t node) {
    if (is_missing(post->doc, node))
        return;
    if (post->topic != TOPIC_CLIENT_INFO || json_type(post->doc, node) != JSON_STRING) {
        sender_untake(post->doc, node, &post->left);
        return;
    }
    struct span text = json_text(post->doc, node);
    if (text.len)
        event_set(&post->event,
                  memchr(text.ptr, ':', text.len) ? EVENT_CLIENT_IPV6 : EVENT_CLIENT_IPV4, text);
}

/* What has no field, but is of use here: it goes to `extra`. */
static void pass_on(struct post *post, uint32_t node) {
    if (!is_missing(post->doc, node))
        sender_untake(post->doc, node, &post->left);
}

/* --- Events -------------------------------------------------------------------------------------
 */

/* Other triggers than these two stay what the topic says. */
static struct span read_kind(const struct post *post, uint32_t trigger) {
    if (post->topic == TOPIC_LOCATION)
        return SPAN("seen");
    if (post->topic == TOPIC_ZONE && trigger && json_type(post->doc, trigger) == JSON_STRING) {
        if (json_string_equals(post->doc, trigger, SPAN("enter")))
            return SPAN("zone-enter");
        if (json_string_equals(post->doc, trigger, SPAN("exit")))
            return SPAN("zone-exit");
    }
    return post->word;
}

/* The text of a string or number; absent where it is empty or anything else. */
static struct span word_of(const struct json_doc *doc, uint32_t node) {
    if (!node || (json_type(doc, node) != JSON_STRING && json_type(doc, node) != JSON_NUMBER))
        return (struct span){0};
    struct span text = json_text(doc, node);
    return text.len ? text : (struct span){0};
}

/* Who it is about, where that is no MAC address. */
static struct span read_subject(const struct json_doc *doc, const uint32_t *nodes) {
    static const enum event_node order[] = {NODE_MAC, NODE_ID, NODE_ASSET_ID};
    for (size_t i = 0; i < COUNT(order); i++) {
        struct span subject = word_of(doc, nodes[order[i]]);
        if (!span_is_absent(subject))
            return subject;
    }
    return (struct span){0};
}

/* The same event: the same topic, site, client, zone, trigger and time, of the topics in which one
 * client cannot have two events with all these. In others it can (several access points hear it at
 * once; an alarm has no client), so that the whole event counts. False without a time, as in
 * wifi-conn-raw: two equal readings are not a repeat. */
static bool make_identity(const struct post *post, uint32_t node, const uint32_t *nodes,
                          struct span subject, struct identity *identity) {
    const struct event *event = &post->event;
    bool has_subject = event->client_mac != MAC_NONE || !span_is_absent(subject);
    if (event->time_ms == TIME_NONE)
        return false;
    identity->len = post->identity.len;
    memcpy(identity->bytes, post->identity.bytes, post->identity.len);
    if (!has_subject || post->topic > TOPIC_CLIENT) {
        identity_add(identity, json_raw(post->doc, node));
        return true;
    }
    identity_add(identity, event_has(event, EVENT_VENUE_ID) ? event->fields[EVENT_VENUE_ID]
                                                            : (struct span){0});
    if (event->client_mac != MAC_NONE)
        identity_add_u64(identity, event->client_mac);
    else
        identity_add(identity, subject);
    struct span zone = word_of(post->doc, nodes[NODE_ZONE_ID]);
    if (span_is_absent(zone))
        zone = word_of(post->doc, nodes[NODE_RSSIZONE_ID]);
    identity_add(identity, zone);
    identity_add(identity, word_of(post->doc, nodes[NODE_TRIGGER]));
    identity_add_u64(identity, (uint64_t)event->time_ms);
    return true;
}

static void take_nodes(struct post *post, const uint32_t *nodes) {
    struct event *event = &post->event;
    if (post->topic == TOPIC_DEVICE)
        pass_on(post, nodes[NODE_MAC]);
    else
        take_mac(post, nodes[NODE_MAC], &event->client_mac);
    take_mac(post, nodes[NODE_CLIENT_ID], &event->client_mac);
    take_mac(post, nodes[NODE_CLIENT], &event->client_mac);
    take_mac(post, nodes[NODE_AP], &event->ap_mac);
    take_mac(post, nodes[NODE_AP_ID], &event->ap_mac);
    take_text(post, nodes[NODE_SITE_ID], EVENT_VENUE_ID);
    take_text(post, nodes[NODE_ORG_ID], EVENT_TENANT);
    take_ip(post, nodes[NODE_IP]);
    for (enum event_node i = NODE_ID; i <= NODE_TRIGGER; i++)
        pass_on(post, nodes[i]);
    event->time_ms = sender_take_epoch(post->doc, nodes[NODE_TIMESTAMP], &post->left);
}

static int parse_event(struct post *post, uint32_t node, unsigned index) {
    struct event *event = &post->event;
    struct identity identity;
    uint32_t nodes[EVENT_NODES] = {0};

    if (json_type(post->doc, node) != JSON_OBJECT) {
        batch_reject(post->batch, "not an object", "events[%u]", index);
        return 0;
    }
    if (post->doc->nodes[node].next == node + 1) {
        batch_reject(post->batch, "empty", "events[%u]", index);
        return 0;
    }
    event_init(event);
    post->left =
        sender_take_members(post->doc, node, event_members, COUNT(event_members), event, nodes);
    take_nodes(post, nodes);
    struct span subject = read_subject(post->doc, nodes);
    if (post->topic <= TOPIC_ZONE && event->client_mac == MAC_NONE && span_is_absent(subject)) {
        batch_reject(post->batch, "neither mac nor id", "events[%u]", index);
        return 0;
    }
    event->kind = read_kind(post, nodes[NODE_TRIGGER]);
    sender_set_extra(event, post->doc, node, post->left, &post->enclosing);
    bool has_identity = make_identity(post, node, nodes, subject, &identity);
    return sender_emit(post->batch, event, has_identity ? &identity : NULL, &post->enclosing);
}

/* --- The post -----------------------------------------------------------------------------------
 */

static bool starts_with(struct span text, struct span start) {
    return text.len >= start.len && memcmp(text.ptr, start.ptr, start.len) == 0;
}

static enum topic read_topic(const struct json_doc *doc, uint32_t node) {
    char scratch[SENDER_SCRATCH_BYTES];
    struct span word = sender_string(doc, node, scratch);
    if (span_equals(word, SPAN("location")) || starts_with(word, SPAN("location-")))
        return TOPIC_LOCATION;
    if (span_equals(word, SPAN("zone")) || span_equals(word, SPAN("rssizone")))
        return TOPIC_ZONE;
    if (span_equals(word, SPAN("client-info")))
        return TOPIC_CLIENT_INFO;
    if (span_equals(word, SPAN("client-join")) || span_equals(word, SPAN("client-sessions")))
        return TOPIC_CLIENT;
    if (starts_with(word, SPAN("device-")) || starts_with(word, SPAN("mxedge-")))
        return TOPIC_DEVICE;
    return TOPIC_OTHER;
}

static int parse_events(struct post *post, uint32_t array) {
    unsigned index = 0;
    uint32_t end = post->doc->nodes[array].next;
    for (uint32_t node = array + 1; node < end; node = post->doc->nodes[node].next, index++) {
        int rc = parse_event(post, node, index);
        if (rc)
            return rc;
    }
    return 0;
}

/* What is wrong with the post, or NULL; *path says where. No events at all may be a null. */
static const char *find_fault(const struct json_doc *doc, const uint32_t *nodes,
                              const char **path) {
    uint32_t topic = nodes[ROOT_TOPIC], events = nodes[ROOT_EVENTS];
    *path = "topic";
    if (is_missing(doc, topic))
        return "missing";
    if (json_type(doc, topic) != JSON_STRING)
        return "not a string";
    if (json_text(doc, topic).len == 0)
        return "empty";
    *path = "events";
    if (!events)
        return "missing";
    if (json_type(doc, events) != JSON_ARRAY && json_type(doc, events) != JSON_NULL)
        return "not an array";
    return NULL;
}

static int parse_post(struct post *post) {
    struct json_doc *doc = post->doc;
    uint32_t nodes[ROOT_NODES] = {0};
    const char *path;
    unsigned left =
        sender_take_members(doc, 0, root_members, COUNT(root_members), &post->event, nodes);
    const char *fault = find_fault(doc, nodes, &path);
    if (fault) {
        batch_reject(post->batch, fault, "%s", path);
        return 0;
    }
    post->word = json_text(doc, nodes[ROOT_TOPIC]);
    post->topic = read_topic(doc, nodes[ROOT_TOPIC]);
    if (post->topic <= TOPIC_ZONE)
        sender_untake(doc, nodes[ROOT_TOPIC], &left);
    sender_enclosing_init(&post->enclosing, NULL, 0, doc, 0, left);
    identity_init(&post->identity, SPAN("mist"));
    identity_add(&post->identity, post->word);
    return parse_events(post, nodes[ROOT_EVENTS]); /* a null has no elements */
}

static int parse(struct json_doc *doc, struct batch *batch, struct problem *problem) {
    struct post post; /* its parts are set where they are first needed: it is large */
    post.doc = doc;
    post.batch = batch;
    int rc = 0;
    if (json_type(doc, 0) != JSON_OBJECT)
        batch_reject(batch, "not an object", "(root)");
    else
        rc = parse_post(&post);
    return rc ? rc : sender_finish(batch, problem);
}

const struct sender sender_mist = {.name = "mist", .auth = SENDER_AUTH_MIST, .parse = parse};
