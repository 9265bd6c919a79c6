/* Aerohive HiveManager NG and ExtremeCloud IQ: presence posts.
 *
 * The body is an array of access points (in captures) or one of them (in the vendor's sample), each
 * with its observations of clients. All of the format that is particular is told at its place; the
 * rest is in the tables. Posts of the service's log messages, which an operator may point at the
 * same URL, are kept as documents. */
#include "batch.h"
#include "sender.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

enum { AP_OBSERVATIONS, AP_NODES };

static const struct member ap_members[] = {
    MEMBER("apMac", TAKE_AP_MAC, 0),
    MEMBER("ownerId", TAKE_TEXT, EVENT_TENANT), /* documented as a string, sent as a number */
    MEMBER("observations", TAKE_NODE, AP_OBSERVATIONS),
};

enum { SEEN_TIME, SEEN_EPOCH, OBSERVATION_NODES };

static const struct member observation_members[] = {
    MEMBER("clientMac", TAKE_CLIENT_MAC, 0),
    MEMBER("ipv4", TAKE_TEXT, EVENT_CLIENT_IPV4),
    MEMBER("ipv6", TAKE_TEXT, EVENT_CLIENT_IPV6),
    MEMBER("seenTime", TAKE_NODE, SEEN_TIME),
    MEMBER("seenEpoch", TAKE_NODE, SEEN_EPOCH),
    MEMBER("ssid", TAKE_TEXT, EVENT_SSID),
    MEMBER("rssi", TAKE_NUMBER, EVENT_RSSI),
    MEMBER("manufacturer", TAKE_TEXT, EVENT_CLIENT_MANUFACTURER),
    MEMBER("os", TAKE_TEXT, EVENT_CLIENT_OS),
    MEMBER("lat", TAKE_NUMBER, EVENT_LOCATION_LAT),
    MEMBER("lng", TAKE_NUMBER, EVENT_LOCATION_LNG),
    MEMBER("unc", TAKE_NUMBER, EVENT_LOCATION_UNC),
    MEMBER("x", TAKE_NUMBER, EVENT_LOCATION_X), /* in metres, or "NaN" */
    MEMBER("y", TAKE_NUMBER, EVENT_LOCATION_Y),
};

/* One access point on its way through parse_observation. */
struct ap {
    struct json_doc *doc;
    struct batch *batch;
    int index; /* in the root array; -1 where it is the root */
    struct event
        event; /* the access point's fields, and those of one observation after the other */
    struct identity identity; /* of all its events, as far as it is the same */
    struct sender_enclosing enclosing;
};

static void reject_ap(struct batch *batch, const char *message, int index, const char *member) {
    if (index < 0)
        batch_reject(batch, message, "%s", member[0] ? member + 1 : "(root)");
    else
        batch_reject(batch, message, "[%d]%s", index, member);
}

static void reject_observation(const struct ap *ap, const char *message, unsigned index,
                               const char *member) {
    if (ap->index < 0)
        batch_reject(ap->batch, message, "observations[%u]%s", index, member);
    else
        batch_reject(ap->batch, message, "[%d].observations[%u]%s", ap->index, index, member);
}

/* --- Observations -------------------------------------------------------------------------------
 */

/* The text of a client's name that is no MAC address: the vendor means to hash them one day. What
 * is wrong with it, or NULL. */
static const char *read_client_name(const struct json_doc *doc, uint32_t observation,
                                    struct span *name) {
    uint32_t node = json_find(doc, observation, SPAN("clientMac"));
    if (!node || json_type(doc, node) == JSON_NULL)
        return "missing";
    if (json_type(doc, node) != JSON_STRING)
        return "not a string";
    *name = json_text(doc, node);
    return name->len ? NULL : "empty";
}

/* The same event: the same owner, access point, client and sender's time. */
static void make_identity(const struct ap *ap, struct span client_name, int64_t time_ms,
                          struct identity *identity) {
    identity->len = ap->identity.len;
    memcpy(identity->bytes, ap->identity.bytes, ap->identity.len);
    if (ap->event.client_mac != MAC_NONE)
        identity_add_u64(identity, ap->event.client_mac);
    else
        identity_add(identity, client_name);
    identity_add_u64(identity, (uint64_t)time_ms);
}

static int parse_observation(struct ap *ap, uint32_t node, unsigned index) {
    struct event *event = &ap->event;
    struct identity identity;
    struct span client_name = {0};
    uint32_t nodes[OBSERVATION_NODES] = {0};
    int64_t epoch_ms;

    if (json_type(ap->doc, node) != JSON_OBJECT) {
        reject_observation(ap, "not an object", index, "");
        return 0;
    }
    event->present = 0;
    event->client_mac = MAC_NONE;
    unsigned left = sender_take_members(ap->doc, node, observation_members,
                                        COUNT(observation_members), event, nodes);
    if (event->client_mac == MAC_NONE) {
        const char *wrong = read_client_name(ap->doc, node, &client_name);
        if (wrong) {
            reject_observation(ap, wrong, index, ".clientMac");
            return 0;
        }
    }
    event->time_ms =
        sender_take_times(ap->doc, nodes[SEEN_TIME], nodes[SEEN_EPOCH], &epoch_ms, &left);
    sender_drop_null_island(event, EVENT_LOCATION_LAT, EVENT_LOCATION_LNG);
    sender_drop_zero(event, EVENT_LOCATION_UNC); /* 0: not computed, as for all that only probe */
    sender_set_extra(event, ap->doc, node, left, &ap->enclosing);
    make_identity(ap, client_name, epoch_ms != TIME_NONE ? epoch_ms : event->time_ms, &identity);
    return sender_emit(ap->batch, event, &identity, &ap->enclosing);
}

static int parse_observations(struct ap *ap, uint32_t array) {
    unsigned index = 0;
    uint32_t end = ap->doc->nodes[array].next;
    for (uint32_t node = array + 1; node < end; node = ap->doc->nodes[node].next, index++) {
        int rc = parse_observation(ap, node, index);
        if (rc)
            return rc;
    }
    return 0;
}

/* --- Access points ------------------------------------------------------------------------------
 */

/* Audit, accounting and other log messages: `ownerId` and `timeStamp`, and nothing of an access
 * point. */
static bool is_log_message(const struct json_doc *doc, uint32_t node, uint32_t *time_stamp) {
    *time_stamp = json_find(doc, node, SPAN("timeStamp"));
    return *time_stamp && json_find(doc, node, SPAN("ownerId")) &&
           !json_find(doc, node, SPAN("apMac"));
}

static int emit_log_message(struct ap *ap, uint32_t node, uint32_t time_stamp) {
    struct event *event = &ap->event;
    unsigned left = 0;
    event->kind = SPAN("document");
    event->time_ms = sender_take_epoch(ap->doc, time_stamp, &left);
    event_set(event, EVENT_DATA, json_raw(ap->doc, node));
    identity_add(&ap->identity, event->fields[EVENT_DATA]);
    return batch_emit(ap->batch, event, &ap->identity);
}

/* Fields and identity that all events of the access point share. */
static void start_ap(struct ap *ap, uint32_t node, uint32_t *nodes) {
    struct event *event = &ap->event;
    struct span raw_mac = {0};
    event_init(event);
    event->kind = SPAN("seen");
    unsigned left = sender_take_members(ap->doc, node, ap_members, COUNT(ap_members), event, nodes);
    sender_enclosing_init(&ap->enclosing, NULL, event->present, ap->doc, node, left);
    identity_init(&ap->identity, SPAN("aerohive"));
    identity_add(&ap->identity,
                 event_has(event, EVENT_TENANT) ? event->fields[EVENT_TENANT] : (struct span){0});
    if (event->ap_mac != MAC_NONE) {
        identity_add_u64(&ap->identity, event->ap_mac);
        return;
    }
    uint32_t mac = json_find(ap->doc, node, SPAN("apMac"));
    if (mac)
        raw_mac = json_raw(ap->doc, mac);
    identity_add(&ap->identity, raw_mac);
}

static int parse_ap(struct json_doc *doc, struct batch *batch, uint32_t node, int index) {
    struct ap ap; /* its parts are set where they are first needed: it is large */
    uint32_t nodes[AP_NODES] = {0}, time_stamp;

    if (json_type(doc, node) != JSON_OBJECT) {
        reject_ap(batch, index < 0 ? "neither an array nor an object" : "not an object", index, "");
        return 0;
    }
    ap.doc = doc;
    ap.batch = batch;
    ap.index = index;
    start_ap(&ap, node, nodes);
    uint32_t observations = nodes[AP_OBSERVATIONS];
    if (!observations && is_log_message(doc, node, &time_stamp))
        return emit_log_message(&ap, node, time_stamp);
    if (!observations) {
        reject_ap(batch, "missing", index, ".observations");
        return 0;
    }
    if (json_type(doc, observations) == JSON_ARRAY)
        return parse_observations(&ap, observations);
    if (json_type(doc, observations) != JSON_NULL)
        reject_ap(batch, "not an array", index, ".observations");
    return 0;
}

static int parse(struct json_doc *doc, struct batch *batch, struct problem *problem) {
    int rc = 0;
    if (json_type(doc, 0) != JSON_ARRAY) {
        rc = parse_ap(doc, batch, 0, -1);
    } else {
        int index = 0;
        for (uint32_t node = 1; node < doc->count && !rc; node = doc->nodes[node].next)
            rc = parse_ap(doc, batch, node, index++);
    }
    return rc ? rc : sender_finish(batch, problem);
}

const struct sender sender_aerohive = {
    .name = "aerohive", .auth = SENDER_AUTH_TOKEN, .answers_get = true, .parse = parse};
