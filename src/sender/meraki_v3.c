/* Meraki's posts, version 3: a network, and the clients that its access points have heard.
 *
 * A client comes with its places over the last minute, and with the latest time that it was heard.
 * Each place is an event. Only a client without places is the event of its latest record. */
#include "sender/meraki.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

enum { CLIENT_IPV4, LATEST_RECORD, LOCATIONS, CLIENT_NODES };

static const struct member client_members[] = {
    MEMBER("clientMac", TAKE_CLIENT_MAC, 0),
    MEMBER("ipv4", TAKE_NODE, CLIENT_IPV4),
    MEMBER("ipv6", TAKE_TEXT, EVENT_CLIENT_IPV6),
    MEMBER("ssid", TAKE_TEXT, EVENT_SSID),
    MEMBER("os", TAKE_TEXT, EVENT_CLIENT_OS),
    MEMBER("manufacturer", TAKE_TEXT, EVENT_CLIENT_MANUFACTURER),
    MEMBER("userId", TAKE_TEXT, EVENT_USER_ID),
    MEMBER("latestRecord", TAKE_NODE, LATEST_RECORD),
    MEMBER("locations", TAKE_NODE, LOCATIONS),
};

enum { PLACE_X, PLACE_Y, PLACE_TIME, PLACE_NODES };

static const struct member latest_members[] = {
    MEMBER("time", TAKE_NODE, PLACE_TIME), MEMBER("nearestApMac", TAKE_AP_MAC, 0),
    MEMBER("nearestApRssi", TAKE_NUMBER, EVENT_RSSI), /* dBm, in some versions quoted */
};

static const struct member location_members[] = {
    MEMBER("time", TAKE_NODE, PLACE_TIME),
    MEMBER("lat", TAKE_NUMBER, EVENT_LOCATION_LAT),
    MEMBER("lng", TAKE_NUMBER, EVENT_LOCATION_LNG),
    MEMBER("variance", TAKE_NUMBER, EVENT_LOCATION_UNC),
    MEMBER("x", TAKE_NODE, PLACE_X),
    MEMBER("y", TAKE_NODE, PLACE_Y),
};

static int64_t take_time(struct meraki_post *post, uint32_t node, unsigned *left) {
    if (meraki_is_epoch_start(post->doc, node))
        return TIME_NONE;
    if (node && json_type(post->doc, node) == JSON_NUMBER)
        return sender_take_epoch(post->doc, node, left);
    return sender_take_iso_time(post->doc, node, left);
}

/* Which access point has heard the client, and how well. */
struct hearing {
    uint64_t ap_mac;
    struct span rssi;
    int64_t time_ms;
};

static uint64_t find_mac(const struct json_doc *doc, uint32_t object, struct span name) {
    char scratch[SENDER_SCRATCH_BYTES];
    uint32_t node = json_find(doc, object, name);
    if (meraki_is_missing(doc, node) || json_type(doc, node) != JSON_STRING)
        return MAC_NONE;
    return text_parse_mac(sender_string(doc, node, scratch));
}

/* Reads the latest record of a client that has places: it stays in `extra` as a whole. */
static void read_latest(struct meraki_post *post, uint32_t record, struct hearing *latest) {
    unsigned left = 0; /* of no meaning here: nothing is taken */
    *latest = (struct hearing){.ap_mac = MAC_NONE, .time_ms = TIME_NONE};
    if (meraki_is_missing(post->doc, record)) /* 0 would be looked for in the root */
        return;
    latest->ap_mac = find_mac(post->doc, record, SPAN("nearestApMac"));
    uint32_t rssi = json_find(post->doc, record, SPAN("nearestApRssi"));
    if (!meraki_read_number(post->doc, rssi, &latest->rssi))
        latest->rssi = (struct span){0};
    latest->time_ms = take_time(post, json_find(post->doc, record, SPAN("time")), &left);
}

/* The access point that has heard the client best at this place; unchanged where none is told. */
static void find_strongest(const struct json_doc *doc, uint32_t location,
                           struct hearing *strongest) {
    int64_t best = INT64_MIN, rssi;
    struct span number;
    uint32_t records = json_find(doc, location, SPAN("rssiRecords"));
    if (!records || json_type(doc, records) != JSON_ARRAY)
        return;
    uint32_t end = doc->nodes[records].next;
    for (uint32_t record = records + 1; record < end; record = doc->nodes[record].next) {
        uint64_t mac = find_mac(doc, record, SPAN("apMac"));
        uint32_t node = json_find(doc, record, SPAN("rssi"));
        if (mac == MAC_NONE || !meraki_read_number(doc, node, &number) ||
            !text_parse_integer(number, &rssi) || rssi >= 0 || rssi <= best)
            continue;
        best = rssi;
        strongest->ap_mac = mac;
        strongest->rssi = number;
    }
}

static int emit_location(struct meraki_post *post, uint32_t location, const struct hearing *latest,
                         struct sender_enclosing *client, struct identity identity) {
    struct event *event = &post->event;
    uint32_t nodes[PLACE_NODES] = {0};
    struct hearing hearing = *latest;

    event->present = 0;
    unsigned left = sender_take_members(post->doc, location, location_members,
                                        COUNT(location_members), event, nodes);
    meraki_take_coordinate(post, EVENT_LOCATION_X, nodes[PLACE_X], &left);
    meraki_take_coordinate(post, EVENT_LOCATION_Y, nodes[PLACE_Y], &left);
    sender_drop_null_island(event, EVENT_LOCATION_LAT, EVENT_LOCATION_LNG);
    event->time_ms = take_time(post, nodes[PLACE_TIME], &left);
    if (event->time_ms == TIME_NONE)
        event->time_ms = latest->time_ms;
    find_strongest(post->doc, location, &hearing);
    event->ap_mac = hearing.ap_mac;
    event_set(event, EVENT_RSSI, hearing.rssi);
    sender_set_extra(event, post->doc, location, left, client);
    identity_add_u64(&identity, (uint64_t)event->time_ms);
    return sender_emit(post->batch, event, event->time_ms == TIME_NONE ? NULL : &identity, client);
}

static bool is_empty(const struct json_doc *doc, uint32_t node) {
    return doc->nodes[node].next == node + 1;
}

/* `left` is the client's. */
static int emit_locations(struct meraki_post *post, uint32_t client, const uint32_t *nodes,
                          unsigned left, unsigned index, const struct identity *identity) {
    struct json_doc *doc = post->doc;
    struct sender_enclosing enclosing;
    struct hearing latest;
    unsigned place = 0;

    read_latest(post, nodes[LATEST_RECORD], &latest);
    if (!meraki_is_missing(doc, nodes[LATEST_RECORD]))
        sender_untake(doc, nodes[LATEST_RECORD], &left);
    sender_enclosing_init(&enclosing, &post->enclosing, post->event.present, doc, client, left);
    uint32_t end = doc->nodes[nodes[LOCATIONS]].next;
    for (uint32_t node = nodes[LOCATIONS] + 1; node < end; node = doc->nodes[node].next, place++) {
        bool is_object = json_type(doc, node) == JSON_OBJECT;
        if (!is_object || is_empty(doc, node)) {
            batch_reject(post->batch, is_object ? "empty" : "not an object",
                         "data.observations[%u].locations[%u]", index, place);
            continue;
        }
        int rc = emit_location(post, node, &latest, &enclosing, *identity);
        if (rc)
            return rc;
    }
    return 0;
}

static int emit_latest(struct meraki_post *post, uint32_t client, uint32_t record, unsigned left,
                       struct identity *identity) {
    struct event *event = &post->event;
    uint32_t nodes[PLACE_NODES] = {0};
    event->ap_mac = MAC_NONE;
    if (!meraki_is_missing(post->doc, record) && json_type(post->doc, record) != JSON_OBJECT)
        sender_untake(post->doc, record, &left);
    else if (record)
        left += sender_take_members(post->doc, record, latest_members, COUNT(latest_members), event,
                                    nodes);
    event->time_ms = take_time(post, nodes[PLACE_TIME], &left);
    sender_set_extra(event, post->doc, client, left, &post->enclosing);
    identity_add_u64(identity, (uint64_t)event->time_ms);
    return sender_emit(post->batch, event, event->time_ms == TIME_NONE ? NULL : identity,
                       &post->enclosing);
}

/* Whether any of the places says anything: where none does, what is known of the client counts. */
static bool has_places(const struct json_doc *doc, uint32_t locations) {
    uint32_t end = doc->nodes[locations].next;
    for (uint32_t node = locations + 1; node < end; node = doc->nodes[node].next)
        if (json_type(doc, node) != JSON_OBJECT || !is_empty(doc, node))
            return true;
    return false;
}

int meraki_parse_client(struct meraki_post *post, uint32_t node, unsigned index) {
    struct json_doc *doc = post->doc;
    struct identity identity;
    uint32_t nodes[CLIENT_NODES] = {0};

    post->event.present = 0;
    post->event.client_mac = MAC_NONE;
    unsigned left =
        sender_take_members(doc, node, client_members, COUNT(client_members), &post->event, nodes);
    if (!meraki_start_identity(post, node, index, &identity))
        return 0;
    meraki_take_ipv4(post, nodes[CLIENT_IPV4], &left);
    uint32_t locations = nodes[LOCATIONS];
    bool is_array = locations && json_type(doc, locations) == JSON_ARRAY;
    if (is_array && has_places(doc, locations))
        return emit_locations(post, node, nodes, left, index, &identity);
    if (!is_array && !meraki_is_missing(doc, locations))
        sender_untake(doc, locations, &left);
    return emit_latest(post, node, nodes[LATEST_RECORD], left, &identity);
}
