/* Cisco Meraki: the Scanning API's posts, versions 2 and 3.
 *
 * Version 2 posts one access point and the clients it has heard, version 3 a network and its
 * clients, with several places each. The version's major number decides: a reader that wanted
 * exactly "2.0" has lost everything when 2.1 came. What both have in common is `version`, the
 * shared `secret`, which has been checked before and goes nowhere from here, and `type`, which says
 * what radio has heard the clients. */
#include <stdio.h>

#include "batch.h"
#include "sender.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* One post on its way. */
struct post {
    struct json_doc *doc;
    struct batch *batch;
    struct event event;       /* the post's fields, and those of one observation after the other */
    uint64_t present;         /* of the post's fields */
    struct identity identity; /* of all its events, as far as it is the same */
    struct sender_enclosing enclosing;
    unsigned enclosing_left;
    uint32_t data, reporting_aps; /* the latter 0 where there are none, or no more */
    unsigned useless;             /* records of no sighting: see parse_observation_2 */
};

static bool is_missing(const struct json_doc *doc, uint32_t node) {
    return !node || json_type(doc, node) == JSON_NULL;
}

static void reject_observation(const struct post *post, const char *message, unsigned index,
                               const char *member) {
    batch_reject(post->batch, message, "data.observations[%u]%s", index, member);
}

/* --- Values of both versions --------------------------------------------------------------------
 */

/* "name/198.51.100.7" and "/198.51.100.7" in version 2, the address alone in version 3. The name
 * has no field: with one the member goes to `extra` as well. A '/' may be written "\/" in JSON. */
static void take_ipv4(struct post *post, uint32_t node, unsigned *left) {
    if (is_missing(post->doc, node))
        return;
    if (json_type(post->doc, node) != JSON_STRING) {
        sender_untake(post->doc, node, left);
        return;
    }
    struct span text = json_text(post->doc, node);
    const char *slash = memrchr(text.ptr, '/', text.len);
    size_t name_len = slash ? (size_t)(slash - text.ptr) : 0;
    struct span address = text;
    if (slash)
        address = span_from(slash + 1, text.len - name_len - 1);
    if (address.len)
        event_set(&post->event, EVENT_CLIENT_IPV4, address);
    if (name_len && !(name_len == 1 && text.ptr[0] == '\\'))
        sender_untake(post->doc, node, left);
}

/* A number as TAKE_NUMBER has it. False where the node is none. */
static bool read_number(const struct json_doc *doc, uint32_t node, struct span *number) {
    *number = (struct span){0};
    if (is_missing(doc, node))
        return true;
    struct span text = json_text(doc, node);
    if (json_type(doc, node) == JSON_STRING) {
        text = span_trim(text);
        if (text.len == 0 || span_equals_nocase(text, SPAN("NaN")))
            return true;
        if (!text_is_number(text))
            return false;
    } else if (json_type(doc, node) != JSON_NUMBER) {
        return false;
    }
    *number = text;
    return true;
}

/* A number; or a list of them, one for each floor plan that the access point is on: the first one
 * counts, and where there are more, all go to `extra` as well. */
static void take_coordinate(struct post *post, enum event_field field, uint32_t node,
                            unsigned *left) {
    const struct json_doc *doc = post->doc;
    struct span number;
    uint32_t value = node;
    bool is_all = true;
    if (node && json_type(doc, node) == JSON_ARRAY) {
        uint32_t end = doc->nodes[node].next;
        value = node + 1 < end ? node + 1 : 0;
        is_all = !value || doc->nodes[value].next == end;
    }
    if (!read_number(doc, value, &number))
        is_all = false;
    event_set(&post->event, field, number);
    if (!is_all)
        sender_untake(post->doc, node, left);
}

/* The text of a client's name that is no MAC address. What is wrong with it, or NULL. */
static const char *read_client_name(const struct json_doc *doc, uint32_t observation,
                                    struct span *name) {
    uint32_t node = json_find(doc, observation, SPAN("clientMac"));
    if (is_missing(doc, node))
        return "missing";
    if (json_type(doc, node) != JSON_STRING)
        return "not a string";
    *name = json_text(doc, node);
    return name->len ? NULL : "empty";
}

/* The post's identity and its client's; false where the observation has none, and is rejected. */
static bool start_identity(const struct post *post, uint32_t observation, unsigned index,
                           struct identity *identity) {
    struct span name = {0};
    const char *wrong = NULL;
    if (post->event.client_mac == MAC_NONE)
        wrong = read_client_name(post->doc, observation, &name);
    if (wrong) {
        reject_observation(post, wrong, index, ".clientMac");
        return false;
    }
    identity->len = post->identity.len;
    memcpy(identity->bytes, post->identity.bytes, post->identity.len);
    if (post->event.client_mac != MAC_NONE)
        identity_add_u64(identity, post->event.client_mac);
    else
        identity_add(identity, name);
    return true;
}

/* Version 3 has all access points of the network in every post, which is far more than an event:
 * they stand in the first event that is kept only. */
static int emit(struct post *post, const struct identity *identity) {
    unsigned accepted = post->batch->accepted;
    int rc = batch_emit(post->batch, &post->event, identity);
    if (!post->reporting_aps)
        return rc;
    if (post->batch->accepted == accepted) {
        post->enclosing.any = true; /* a duplicate, whose line is gone */
        return rc;
    }
    bool was_once = post->enclosing.once;
    post->doc->nodes[post->reporting_aps - 1].flags |= JSON_TAKEN;
    post->doc->nodes[post->reporting_aps].flags |= JSON_TAKEN;
    post->reporting_aps = 0;
    sender_enclosing_init(&post->enclosing, post->doc, 0, --post->enclosing_left);
    if (was_once && post->enclosing.once) /* large without them too, and written just now */
        post->enclosing.any = false;
    return rc;
}

/* --- Version 2 ----------------------------------------------------------------------------------
 */

enum {
    SEEN_TIME,
    SEEN_EPOCH,
    OBSERVATION_2_IPV4,
    OBSERVATION_2_RSSI,
    LOCATION,
    OBSERVATION_2_NODES
};

/* Bluetooth has `name` too, which has no field. */
static const struct member observation_2_members[] = {
    MEMBER("clientMac", TAKE_CLIENT_MAC, 0),
    MEMBER("ipv4", TAKE_NODE, OBSERVATION_2_IPV4),
    MEMBER("ipv6", TAKE_TEXT, EVENT_CLIENT_IPV6),
    MEMBER("seenTime", TAKE_NODE, SEEN_TIME),
    MEMBER("seenEpoch", TAKE_NODE, SEEN_EPOCH),
    MEMBER("ssid", TAKE_TEXT, EVENT_SSID),
    MEMBER("rssi", TAKE_NODE, OBSERVATION_2_RSSI),
    MEMBER("manufacturer", TAKE_TEXT, EVENT_CLIENT_MANUFACTURER),
    MEMBER("os", TAKE_TEXT, EVENT_CLIENT_OS),
    MEMBER("location", TAKE_NODE, LOCATION),
};

enum { PLACE_X, PLACE_Y, PLACE_TIME, PLACE_NODES };

static const struct member location_2_members[] = {
    MEMBER("lat", TAKE_NUMBER, EVENT_LOCATION_LAT),
    MEMBER("lng", TAKE_NUMBER, EVENT_LOCATION_LNG),
    MEMBER("unc", TAKE_NUMBER, EVENT_LOCATION_UNC),
    MEMBER("x", TAKE_NODE, PLACE_X),
    MEMBER("y", TAKE_NODE, PLACE_Y),
};

/* A positive number is one above -95 dBm: version 1's page says so, and 2 has the same numbers.
 * What is no integer goes to `extra`. `digits` lives until the event is emitted. */
enum { RSSI_FLOOR_DBM = -95, RSSI_TEXT_BYTES = U64_TEXT_BYTES + 1 };
static void take_rssi_2(struct post *post, uint32_t node, char digits[RSSI_TEXT_BYTES],
                        unsigned *left) {
    struct span number;
    int64_t rssi;
    bool is_number = read_number(post->doc, node, &number);
    if (is_number && span_is_absent(number))
        return;
    if (!is_number || !text_parse_integer(number, &rssi)) {
        sender_untake(post->doc, node, left);
        return;
    }
    if (number.ptr[0] == '-') {
        event_set(&post->event, EVENT_RSSI, number);
        return;
    }
    rssi += RSSI_FLOOR_DBM;
    digits[0] = '-';
    unsigned sign = rssi < 0;
    unsigned len = text_format_u64((uint64_t)(sign ? -rssi : rssi), digits + sign);
    event_set(&post->event, EVENT_RSSI, span_from(digits, sign + len));
}

static void take_location_2(struct post *post, uint32_t node, unsigned *left) {
    uint32_t nodes[PLACE_NODES] = {0};
    if (is_missing(post->doc, node))
        return;
    if (json_type(post->doc, node) != JSON_OBJECT) {
        sender_untake(post->doc, node, left);
        return;
    }
    *left += sender_take_members(post->doc, node, location_2_members, COUNT(location_2_members),
                                 &post->event, nodes);
    take_coordinate(post, EVENT_LOCATION_X, nodes[PLACE_X], left);
    take_coordinate(post, EVENT_LOCATION_Y, nodes[PLACE_Y], left);
    sender_drop_null_island(&post->event, EVENT_LOCATION_LAT, EVENT_LOCATION_LNG);
}

/* Whether a record's ISO time is that of an epoch of zero. */
static bool is_epoch_start(const struct json_doc *doc, uint32_t node) {
    char scratch[SENDER_SCRATCH_BYTES];
    return !is_missing(doc, node) && json_type(doc, node) == JSON_STRING &&
           text_parse_iso_time(sender_string(doc, node, scratch)) == 0;
}

/* A record whose time is zero or null is one of a client that has not been heard: it is rejected,
 * but nothing is wrong with a post that has no others. */
static int parse_observation_2(struct post *post, uint32_t node, unsigned index) {
    struct event *event = &post->event;
    struct identity identity;
    uint32_t nodes[OBSERVATION_2_NODES] = {0};
    char digits[RSSI_TEXT_BYTES];
    int64_t epoch_ms;

    event->client_mac = MAC_NONE;
    unsigned left = sender_take_members(post->doc, node, observation_2_members,
                                        COUNT(observation_2_members), event, nodes);
    if (!start_identity(post, node, index, &identity))
        return 0;
    uint32_t seen_time = is_epoch_start(post->doc, nodes[SEEN_TIME]) ? 0 : nodes[SEEN_TIME];
    event->time_ms = sender_take_times(post->doc, seen_time, nodes[SEEN_EPOCH], &epoch_ms, &left);
    if (event->time_ms == TIME_NONE) {
        post->useless++;
        reject_observation(post, nodes[SEEN_EPOCH] ? "not a time" : "missing", index, ".seenEpoch");
        return 0;
    }
    take_ipv4(post, nodes[OBSERVATION_2_IPV4], &left);
    take_rssi_2(post, nodes[OBSERVATION_2_RSSI], digits, &left);
    take_location_2(post, nodes[LOCATION], &left);
    sender_set_extra(event, post->doc, node, left, &post->enclosing);
    identity_add_u64(&identity, (uint64_t)(epoch_ms != TIME_NONE ? epoch_ms : event->time_ms));
    return emit(post, &identity);
}

/* --- Version 3 ----------------------------------------------------------------------------------
 *
 * A client comes with its places over the last minute, and with the latest time that it was heard.
 * Each place is an event. Only a client without places is the event of its latest record. */

enum { OBSERVATION_3_IPV4, LATEST_RECORD, LOCATIONS, OBSERVATION_3_NODES };

static const struct member observation_3_members[] = {
    MEMBER("clientMac", TAKE_CLIENT_MAC, 0),
    MEMBER("ipv4", TAKE_NODE, OBSERVATION_3_IPV4),
    MEMBER("ipv6", TAKE_TEXT, EVENT_CLIENT_IPV6),
    MEMBER("ssid", TAKE_TEXT, EVENT_SSID),
    MEMBER("os", TAKE_TEXT, EVENT_CLIENT_OS),
    MEMBER("manufacturer", TAKE_TEXT, EVENT_CLIENT_MANUFACTURER),
    MEMBER("userId", TAKE_TEXT, EVENT_USER_ID),
    MEMBER("latestRecord", TAKE_NODE, LATEST_RECORD),
    MEMBER("locations", TAKE_NODE, LOCATIONS),
};

static const struct member latest_members[] = {
    MEMBER("time", TAKE_NODE, PLACE_TIME), MEMBER("nearestApMac", TAKE_AP_MAC, 0),
    MEMBER("nearestApRssi", TAKE_NUMBER, EVENT_RSSI), /* dBm, in some versions quoted */
};

static const struct member location_3_members[] = {
    MEMBER("time", TAKE_NODE, PLACE_TIME),
    MEMBER("lat", TAKE_NUMBER, EVENT_LOCATION_LAT),
    MEMBER("lng", TAKE_NUMBER, EVENT_LOCATION_LNG),
    MEMBER("variance", TAKE_NUMBER, EVENT_LOCATION_UNC),
    MEMBER("x", TAKE_NODE, PLACE_X),
    MEMBER("y", TAKE_NODE, PLACE_Y),
};

static int64_t take_time_3(struct post *post, uint32_t node, unsigned *left) {
    if (is_epoch_start(post->doc, node))
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
    if (is_missing(doc, node) || json_type(doc, node) != JSON_STRING)
        return MAC_NONE;
    return text_parse_mac(sender_string(doc, node, scratch));
}

/* Reads the latest record of a client that has places: it stays in `extra` as a whole. */
static void read_latest(struct post *post, uint32_t record, struct hearing *latest) {
    unsigned left = 0; /* of no meaning here: nothing is taken */
    *latest = (struct hearing){.ap_mac = MAC_NONE, .time_ms = TIME_NONE};
    if (is_missing(post->doc, record)) /* 0 would be looked for in the root */
        return;
    latest->ap_mac = find_mac(post->doc, record, SPAN("nearestApMac"));
    uint32_t rssi = json_find(post->doc, record, SPAN("nearestApRssi"));
    if (!read_number(post->doc, rssi, &latest->rssi))
        latest->rssi = (struct span){0};
    latest->time_ms = take_time_3(post, json_find(post->doc, record, SPAN("time")), &left);
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
        if (mac == MAC_NONE || !read_number(doc, node, &number) ||
            !text_parse_integer(number, &rssi) || rssi >= 0 || rssi <= best)
            continue;
        best = rssi;
        strongest->ap_mac = mac;
        strongest->rssi = number;
    }
}

/* Three levels: the place, the client around it, the post around that. */
static void set_extra_of_location(struct post *post, uint32_t location, unsigned left,
                                  struct sender_enclosing *observation) {
    struct event *event = &post->event;
    sender_set_extra(event, post->doc, location, left, observation);
    if (!post->enclosing.any)
        return;
    while (event->extra_count < 2)
        event->extra[event->extra_count++] = (struct event_extra){.members = SPAN("")};
    event->extra[event->extra_count++] = post->enclosing.extra;
    post->enclosing.any = !post->enclosing.once;
}

static int emit_location(struct post *post, uint32_t location, const struct hearing *latest,
                         struct sender_enclosing *observation, struct identity identity) {
    struct event *event = &post->event;
    uint32_t nodes[PLACE_NODES] = {0};
    struct hearing hearing = *latest;

    event->ap_mac = MAC_NONE;
    unsigned left = sender_take_members(post->doc, location, location_3_members,
                                        COUNT(location_3_members), event, nodes);
    take_coordinate(post, EVENT_LOCATION_X, nodes[PLACE_X], &left);
    take_coordinate(post, EVENT_LOCATION_Y, nodes[PLACE_Y], &left);
    sender_drop_null_island(event, EVENT_LOCATION_LAT, EVENT_LOCATION_LNG);
    event->time_ms = take_time_3(post, nodes[PLACE_TIME], &left);
    if (event->time_ms == TIME_NONE)
        event->time_ms = latest->time_ms;
    find_strongest(post->doc, location, &hearing);
    event->ap_mac = hearing.ap_mac;
    event_set(event, EVENT_RSSI, hearing.rssi);
    set_extra_of_location(post, location, left, observation);
    identity_add_u64(&identity, (uint64_t)event->time_ms);
    return emit(post, event->time_ms == TIME_NONE ? NULL : &identity);
}

/* What all events of a client repeat is bounded as its leftovers are: a longer text stands in the
 * first one only. */
static uint64_t without_long_fields(const struct event *event, uint64_t present) {
    for (unsigned i = 0; i < EVENT_FIELD_COUNT; i++)
        if (present >> i & 1 && event->fields[i].len > SENDER_MAX_REPEATED_BYTES)
            present &= ~(1ULL << i);
    return present;
}

/* A member called "enclosing" gives way where there is something around: see event.h. Here that is
 * done by hand, because the leftovers of the level in between are ready-made text. */
static unsigned drop_enclosing_members(struct json_doc *doc, uint32_t object) {
    unsigned dropped = 0;
    uint32_t end = doc->nodes[object].next;
    for (uint32_t key = object + 1; key < end; key = doc->nodes[key + 1].next) {
        if (doc->nodes[key].flags & JSON_TAKEN || !json_string_equals(doc, key, SPAN("enclosing")))
            continue;
        doc->nodes[key].flags |= JSON_TAKEN;
        doc->nodes[key + 1].flags |= JSON_TAKEN;
        dropped++;
    }
    return dropped;
}

static int emit_locations(struct post *post, uint32_t observation, const uint32_t *nodes,
                          unsigned left, unsigned index, const struct identity *identity) {
    struct json_doc *doc = post->doc;
    struct sender_enclosing enclosing;
    struct hearing latest;
    uint64_t present = post->event.present;
    unsigned place = 0;

    read_latest(post, nodes[LATEST_RECORD], &latest);
    if (!is_missing(doc, nodes[LATEST_RECORD]))
        sender_untake(doc, nodes[LATEST_RECORD], &left);
    if (left)
        left -= drop_enclosing_members(doc, observation);
    sender_enclosing_init(&enclosing, doc, observation, left);
    uint32_t end = doc->nodes[nodes[LOCATIONS]].next;
    for (uint32_t node = nodes[LOCATIONS] + 1; node < end; node = doc->nodes[node].next, place++) {
        if (json_type(doc, node) != JSON_OBJECT) {
            batch_reject(post->batch, "not an object", "data.observations[%u].locations[%u]", index,
                         place);
            continue;
        }
        post->event.present = present;
        int rc = emit_location(post, node, &latest, &enclosing, *identity);
        if (rc)
            return rc;
        present = without_long_fields(&post->event, present);
        post->present = without_long_fields(&post->event, post->present);
    }
    return 0;
}

static int emit_latest(struct post *post, uint32_t observation, uint32_t record, unsigned left,
                       struct identity *identity) {
    struct event *event = &post->event;
    uint32_t nodes[PLACE_NODES] = {0};
    event->ap_mac = MAC_NONE;
    if (!is_missing(post->doc, record) && json_type(post->doc, record) != JSON_OBJECT)
        sender_untake(post->doc, record, &left);
    else if (record)
        left += sender_take_members(post->doc, record, latest_members, COUNT(latest_members), event,
                                    nodes);
    event->time_ms = take_time_3(post, nodes[PLACE_TIME], &left);
    sender_set_extra(event, post->doc, observation, left, &post->enclosing);
    identity_add_u64(identity, (uint64_t)event->time_ms);
    int rc = emit(post, event->time_ms == TIME_NONE ? NULL : identity);
    post->present = without_long_fields(event, post->present);
    return rc;
}

static int parse_observation_3(struct post *post, uint32_t node, unsigned index) {
    struct json_doc *doc = post->doc;
    struct identity identity;
    uint32_t nodes[OBSERVATION_3_NODES] = {0};

    post->event.client_mac = MAC_NONE;
    unsigned left = sender_take_members(doc, node, observation_3_members,
                                        COUNT(observation_3_members), &post->event, nodes);
    if (!start_identity(post, node, index, &identity))
        return 0;
    take_ipv4(post, nodes[OBSERVATION_3_IPV4], &left);
    uint32_t locations = nodes[LOCATIONS];
    bool is_array = locations && json_type(doc, locations) == JSON_ARRAY;
    if (is_array && doc->nodes[locations].next > locations + 1)
        return emit_locations(post, node, nodes, left, index, &identity);
    if (!is_array && !is_missing(doc, locations))
        sender_untake(doc, locations, &left);
    return emit_latest(post, node, nodes[LATEST_RECORD], left, &identity);
}

/* --- Posts --------------------------------------------------------------------------------------
 */

enum { ROOT_VERSION, ROOT_TYPE, ROOT_DATA, ROOT_NODES };

/* sharedSecret is what Meraki's other webhooks, its alerts, have in secret's place. */
static const struct member root_members[] = {
    MEMBER("version", TAKE_NODE, ROOT_VERSION), MEMBER("secret", TAKE_IGNORE, 0),
    MEMBER("sharedSecret", TAKE_IGNORE, 0),     MEMBER("type", TAKE_NODE, ROOT_TYPE),
    MEMBER("data", TAKE_NODE, ROOT_DATA),
};

enum { DATA_OBSERVATIONS, DATA_REPORTING_APS, DATA_NODES };

static const struct member data_2_members[] = {
    MEMBER("apMac", TAKE_AP_MAC, 0),
    MEMBER("observations", TAKE_NODE, DATA_OBSERVATIONS),
};
static const struct member data_3_members[] = {
    MEMBER("networkId", TAKE_TEXT, EVENT_VENUE_ID),
    MEMBER("reportingAps", TAKE_NODE, DATA_REPORTING_APS),
    MEMBER("observations", TAKE_NODE, DATA_OBSERVATIONS),
};

/* The number before the version's first point; 0 where it has none. */
static unsigned read_major_version(const struct json_doc *doc, uint32_t node) {
    char scratch[SENDER_SCRATCH_BYTES];
    struct span text = {0};
    int64_t major;
    if (json_type(doc, node) == JSON_STRING)
        text = sender_string(doc, node, scratch);
    else if (json_type(doc, node) == JSON_NUMBER)
        text = json_text(doc, node);
    const char *point = text.len ? memchr(text.ptr, '.', text.len) : NULL;
    if (point)
        text.len = (size_t)(point - text.ptr);
    if (!text_parse_integer(text, &major) || major < 0 || major > UINT16_MAX)
        return 0;
    return (unsigned)major;
}

/* "seen" of the types that are known, and of a post that has none; else the type itself. */
static struct span read_kind(const struct json_doc *doc, uint32_t type) {
    static const struct span seen[] = {
        {"DevicesSeen", 11}, {"BluetoothDevicesSeen", 20}, {"WiFi", 4}, {"BLE", 3},
        {"Bluetooth", 9},
    };
    if (is_missing(doc, type) || json_type(doc, type) != JSON_STRING)
        return SPAN("seen");
    struct span text = json_text(doc, type);
    for (size_t i = 0; i < COUNT(seen); i++)
        if (span_equals_nocase(text, seen[i]))
            return SPAN("seen");
    return text.len == 0 || text.len > EVENT_MAX_KIND_BYTES ? SPAN("seen") : text;
}

static int parse_observations(struct post *post, unsigned version, uint32_t array) {
    unsigned index = 0;
    uint32_t end = post->doc->nodes[array].next;
    for (uint32_t node = array + 1; node < end; node = post->doc->nodes[node].next, index++) {
        if (json_type(post->doc, node) != JSON_OBJECT) {
            reject_observation(post, "not an object", index, "");
            continue;
        }
        post->event.present = post->present;
        int rc = version == 2 ? parse_observation_2(post, node, index)
                              : parse_observation_3(post, node, index);
        if (rc)
            return rc;
    }
    return 0;
}

/* A post of another type than those known, without observations: kept, under its own word. */
static int emit_document(struct post *post, uint32_t data, unsigned left) {
    post->doc->nodes[data].flags |= JSON_TAKEN;
    event_set(&post->event, EVENT_DATA, json_raw(post->doc, data));
    sender_set_extra(&post->event, post->doc, 0, left, NULL);
    return batch_emit(post->batch, &post->event, NULL);
}

static void start_identity_of_post(struct post *post, uint32_t type, struct span place_name) {
    identity_init(&post->identity, SPAN("meraki"));
    identity_add(&post->identity,
                 is_missing(post->doc, type) ? (struct span){0} : json_raw(post->doc, type));
    uint32_t place = json_find(post->doc, post->data, place_name);
    if (post->event.ap_mac != MAC_NONE)
        identity_add_u64(&post->identity, post->event.ap_mac);
    else
        identity_add(&post->identity, place ? json_text(post->doc, place) : (struct span){0});
}

static int parse_data(struct post *post, unsigned version, uint32_t type, unsigned left) {
    struct json_doc *doc = post->doc;
    uint32_t nodes[DATA_NODES] = {0};
    if (!json_find(doc, post->data, SPAN("observations"))) {
        if (!span_equals(post->event.kind, SPAN("seen")))
            return emit_document(post, post->data, left);
        batch_reject(post->batch, "missing", "data.observations");
        return 0;
    }
    left += version == 2 ? sender_take_members(doc, post->data, data_2_members,
                                               COUNT(data_2_members), &post->event, nodes)
                         : sender_take_members(doc, post->data, data_3_members,
                                               COUNT(data_3_members), &post->event, nodes);
    if (!is_missing(doc, nodes[DATA_REPORTING_APS])) {
        post->reporting_aps = nodes[DATA_REPORTING_APS];
        sender_untake(doc, post->reporting_aps, &left);
    }
    start_identity_of_post(post, type, version == 2 ? SPAN("apMac") : SPAN("networkId"));
    sender_enclosing_init(&post->enclosing, doc, 0, left);
    post->enclosing_left = left;
    post->present = post->event.present;
    uint32_t observations = nodes[DATA_OBSERVATIONS];
    if (json_type(doc, observations) == JSON_ARRAY)
        return parse_observations(post, version, observations);
    if (json_type(doc, observations) != JSON_NULL)
        batch_reject(post->batch, "not an array", "data.observations");
    return 0;
}

static int parse_post(struct post *post) {
    struct json_doc *doc = post->doc;
    uint32_t nodes[ROOT_NODES] = {0};
    if (json_type(doc, 0) != JSON_OBJECT) {
        batch_reject(post->batch, "not an object", "(root)");
        return 0;
    }
    event_init(&post->event);
    unsigned left =
        sender_take_members(doc, 0, root_members, COUNT(root_members), &post->event, nodes);
    if (is_missing(doc, nodes[ROOT_VERSION])) {
        batch_reject(post->batch, "missing", "version");
        return 0;
    }
    unsigned version = read_major_version(doc, nodes[ROOT_VERSION]);
    if (version != 2 && version != 3) {
        batch_reject(post->batch, "neither 2 nor 3", "version");
        return 0;
    }
    post->data = nodes[ROOT_DATA];
    if (is_missing(doc, post->data) || json_type(doc, post->data) != JSON_OBJECT) {
        batch_reject(post->batch, is_missing(doc, post->data) ? "missing" : "not an object",
                     "data");
        return 0;
    }
    post->event.kind = read_kind(doc, nodes[ROOT_TYPE]);
    sender_untake(doc, nodes[ROOT_VERSION], &left); /* has no field, and neither has the type */
    if (!is_missing(doc, nodes[ROOT_TYPE]))
        sender_untake(doc, nodes[ROOT_TYPE], &left);
    return parse_data(post, version, nodes[ROOT_TYPE], left);
}

static int parse(struct json_doc *doc, struct batch *batch, struct problem *problem) {
    struct post post; /* its parts are set where they are first needed: it is large */
    post.doc = doc;
    post.batch = batch;
    post.reporting_aps = 0;
    post.useless = 0;
    int rc = parse_post(&post);
    if (rc || (batch->rejected && batch->rejected == post.useless))
        return rc;
    return sender_finish(batch, problem);
}

const struct sender sender_meraki = {.name = "meraki",
                                     .auth = SENDER_AUTH_BODY,
                                     .answers_get = true,
                                     .wants_validator = true,
                                     .parse = parse};
