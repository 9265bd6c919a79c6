/* Cisco Meraki: the Scanning API's posts, versions 2 and 3.
 *
 * Version 2 posts one access point and the clients it has heard, version 3 a network and its
 * clients, with several places each. The version's major number decides: a reader that wanted
 * exactly "2.0" has lost everything when 2.1 came. What both have in common is `version`, the
 * shared `secret`, which has been checked before and goes nowhere from here, and `type`, which says
 * what radio has heard the clients. */
#include "sender/meraki.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

void meraki_reject(const struct meraki_post *post, const char *message, unsigned index,
                   const char *member) {
    batch_reject(post->batch, message, "data.observations[%u]%s", index, member);
}

/* --- Values of both versions --------------------------------------------------------------------
 */

/* A '/' may be written "\/" in JSON. */
void meraki_take_ipv4(struct meraki_post *post, uint32_t node, unsigned *left) {
    if (meraki_is_missing(post->doc, node))
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

bool meraki_read_number(const struct json_doc *doc, uint32_t node, struct span *number) {
    *number = (struct span){0};
    if (meraki_is_missing(doc, node))
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

void meraki_take_coordinate(struct meraki_post *post, enum event_field field, uint32_t node,
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
    if (!meraki_read_number(doc, value, &number))
        is_all = false;
    event_set(&post->event, field, number);
    if (!is_all)
        sender_untake(post->doc, node, left);
}

/* The text of a client's name that is no MAC address. What is wrong with it, or NULL. */
static const char *read_client_name(const struct json_doc *doc, uint32_t observation,
                                    struct span *name) {
    uint32_t node = json_find(doc, observation, SPAN("clientMac"));
    if (meraki_is_missing(doc, node))
        return "missing";
    if (json_type(doc, node) != JSON_STRING)
        return "not a string";
    *name = json_text(doc, node);
    return name->len ? NULL : "empty";
}

bool meraki_start_identity(const struct meraki_post *post, uint32_t observation, unsigned index,
                           struct identity *identity) {
    struct span name = {0};
    const char *wrong = NULL;
    if (post->event.client_mac == MAC_NONE)
        wrong = read_client_name(post->doc, observation, &name);
    if (wrong) {
        meraki_reject(post, wrong, index, ".clientMac");
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

bool meraki_is_epoch_start(const struct json_doc *doc, uint32_t node) {
    char scratch[SENDER_SCRATCH_BYTES];
    return !meraki_is_missing(doc, node) && json_type(doc, node) == JSON_STRING &&
           text_parse_iso_time(sender_string(doc, node, scratch)) == 0;
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

enum { PLACE_X, PLACE_Y, PLACE_NODES };

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
static void take_rssi_2(struct meraki_post *post, uint32_t node, char digits[RSSI_TEXT_BYTES],
                        unsigned *left) {
    struct span number;
    int64_t rssi;
    bool is_number = meraki_read_number(post->doc, node, &number);
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

static void take_location_2(struct meraki_post *post, uint32_t node, unsigned *left) {
    uint32_t nodes[PLACE_NODES] = {0};
    if (meraki_is_missing(post->doc, node))
        return;
    if (json_type(post->doc, node) != JSON_OBJECT) {
        sender_untake(post->doc, node, left);
        return;
    }
    *left += sender_take_members(post->doc, node, location_2_members, COUNT(location_2_members),
                                 &post->event, nodes);
    meraki_take_coordinate(post, EVENT_LOCATION_X, nodes[PLACE_X], left);
    meraki_take_coordinate(post, EVENT_LOCATION_Y, nodes[PLACE_Y], left);
    sender_drop_null_island(&post->event, EVENT_LOCATION_LAT, EVENT_LOCATION_LNG);
}

/* A record whose time is zero or null is one of a client that has not been heard: it is rejected,
 * but nothing is wrong with a post that has no others. */
static int parse_observation_2(struct meraki_post *post, uint32_t node, unsigned index) {
    struct event *event = &post->event;
    struct identity identity;
    uint32_t nodes[OBSERVATION_2_NODES] = {0};
    char digits[RSSI_TEXT_BYTES];
    int64_t epoch_ms;

    event->present = 0;
    event->client_mac = MAC_NONE;
    unsigned left = sender_take_members(post->doc, node, observation_2_members,
                                        COUNT(observation_2_members), event, nodes);
    if (!meraki_start_identity(post, node, index, &identity))
        return 0;
    uint32_t seen_time = meraki_is_epoch_start(post->doc, nodes[SEEN_TIME]) ? 0 : nodes[SEEN_TIME];
    event->time_ms = sender_take_times(post->doc, seen_time, nodes[SEEN_EPOCH], &epoch_ms, &left);
    if (event->time_ms == TIME_NONE) {
        post->useless++;
        meraki_reject(post, nodes[SEEN_EPOCH] ? "not a time" : "missing", index, ".seenEpoch");
        return 0;
    }
    meraki_take_ipv4(post, nodes[OBSERVATION_2_IPV4], &left);
    take_rssi_2(post, nodes[OBSERVATION_2_RSSI], digits, &left);
    take_location_2(post, nodes[LOCATION], &left);
    sender_set_extra(event, post->doc, node, left, &post->enclosing);
    identity_add_u64(&identity, (uint64_t)(epoch_ms != TIME_NONE ? epoch_ms : event->time_ms));
    return sender_emit(post->batch, event, &identity, &post->enclosing);
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
    if (meraki_is_missing(doc, type) || json_type(doc, type) != JSON_STRING)
        return SPAN("seen");
    struct span text = json_text(doc, type);
    for (size_t i = 0; i < COUNT(seen); i++)
        if (span_equals_nocase(text, seen[i]))
            return SPAN("seen");
    return text.len == 0 || text.len > EVENT_MAX_KIND_BYTES ? SPAN("seen") : text;
}

static int parse_observations(struct meraki_post *post, unsigned version, uint32_t array) {
    unsigned index = 0;
    uint32_t end = post->doc->nodes[array].next;
    for (uint32_t node = array + 1; node < end; node = post->doc->nodes[node].next, index++) {
        if (json_type(post->doc, node) != JSON_OBJECT) {
            meraki_reject(post, "not an object", index, "");
            continue;
        }
        int rc = version == 2 ? parse_observation_2(post, node, index)
                              : meraki_parse_client(post, node, index);
        if (rc)
            return rc;
    }
    return 0;
}

/* A post of another type than those known, without observations: kept, under its own word. */
static int emit_document(struct meraki_post *post, uint32_t data, unsigned left) {
    post->doc->nodes[data].flags |= JSON_TAKEN;
    event_set(&post->event, EVENT_DATA, json_raw(post->doc, data));
    sender_set_extra(&post->event, post->doc, 0, left, NULL);
    return batch_emit(post->batch, &post->event, NULL);
}

static void start_identity_of_post(struct meraki_post *post, uint32_t type,
                                   struct span place_name) {
    identity_init(&post->identity, SPAN("meraki"));
    struct span word = {0};
    if (!meraki_is_missing(post->doc, type))
        word = json_raw(post->doc, type);
    identity_add(&post->identity, word);
    uint32_t place = json_find(post->doc, post->data, place_name);
    if (post->event.ap_mac != MAC_NONE)
        identity_add_u64(&post->identity, post->event.ap_mac);
    else
        identity_add(&post->identity, place ? json_text(post->doc, place) : (struct span){0});
}

static int parse_data(struct meraki_post *post, unsigned version, uint32_t type, unsigned left) {
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
    if (!meraki_is_missing(doc, nodes[DATA_REPORTING_APS])) /* has no field, but is of use */
        sender_untake(doc, nodes[DATA_REPORTING_APS], &left);
    start_identity_of_post(post, type, version == 2 ? SPAN("apMac") : SPAN("networkId"));
    sender_enclosing_init(&post->enclosing, NULL, post->event.present, doc, 0, left);
    uint32_t observations = nodes[DATA_OBSERVATIONS];
    if (json_type(doc, observations) == JSON_ARRAY)
        return parse_observations(post, version, observations);
    if (json_type(doc, observations) != JSON_NULL)
        batch_reject(post->batch, "not an array", "data.observations");
    return 0;
}

static int parse_post(struct meraki_post *post) {
    struct json_doc *doc = post->doc;
    uint32_t nodes[ROOT_NODES] = {0};
    if (json_type(doc, 0) != JSON_OBJECT) {
        batch_reject(post->batch, "not an object", "(root)");
        return 0;
    }
    event_init(&post->event);
    unsigned left =
        sender_take_members(doc, 0, root_members, COUNT(root_members), &post->event, nodes);
    if (meraki_is_missing(doc, nodes[ROOT_VERSION])) {
        batch_reject(post->batch, "missing", "version");
        return 0;
    }
    unsigned version = read_major_version(doc, nodes[ROOT_VERSION]);
    if (version != 2 && version != 3) {
        batch_reject(post->batch, "neither 2 nor 3", "version");
        return 0;
    }
    post->data = nodes[ROOT_DATA];
    if (meraki_is_missing(doc, post->data) || json_type(doc, post->data) != JSON_OBJECT) {
        batch_reject(post->batch, meraki_is_missing(doc, post->data) ? "missing" : "not an object",
                     "data");
        return 0;
    }
    post->event.kind = read_kind(doc, nodes[ROOT_TYPE]);
    sender_untake(doc, nodes[ROOT_VERSION], &left); /* has no field, and neither has the type */
    if (!meraki_is_missing(doc, nodes[ROOT_TYPE]))
        sender_untake(doc, nodes[ROOT_TYPE], &left);
    return parse_data(post, version, nodes[ROOT_TYPE], left);
}

static int parse(struct json_doc *doc, struct batch *batch, struct problem *problem) {
    struct meraki_post post; /* its parts are set where they are first needed: it is large */
    post.doc = doc;
    post.batch = batch;
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
