/* BT Wi-Fi, and Purple behind it: one post for each login of a user to the wireless network.
 *
 * The body is one object of small objects: client, company, session, user, venue. The vendor's
 * sample has one bracket too few, so that the venue may stand beside the user (where its table has
 * it) or inside. PHP writes an empty map as `[]`: so that is what such an array means anywhere.
 *
 * The sender tries every URL before it uses it, presumably with the sample's user. What looks like
 * that user is an event of kind "validation", so that nobody counts it as a visitor. A refusal is
 * sent again every three hours and in the end switches the webhook off: hence keep_unreadable. */
#include "batch.h"
#include "sender.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* The order is the sender's, which is the alphabet's. */
enum { ROOT_CLIENT, ROOT_COMPANY, ROOT_SESSION, ROOT_USER, ROOT_VENUE, ROOT_NODES };

static const struct member root_members[] = {
    MEMBER("client", TAKE_NODE, ROOT_CLIENT),   MEMBER("company", TAKE_NODE, ROOT_COMPANY),
    MEMBER("session", TAKE_NODE, ROOT_SESSION), MEMBER("user", TAKE_NODE, ROOT_USER),
    MEMBER("venue", TAKE_NODE, ROOT_VENUE),
};

static const struct member client_members[] = {
    MEMBER("mac", TAKE_CLIENT_MAC, 0),
    MEMBER("userAgent", TAKE_TEXT, EVENT_CLIENT_USER_AGENT),
};

static const struct member company_members[] = {MEMBER("id", TAKE_TEXT, EVENT_TENANT)};

static const struct member session_members[] = {MEMBER("authenticationTime", TAKE_NODE, 0)};

enum { USER_VISITS, USER_VISITS_OF_TABLE, USER_VENUE, USER_NODES };

static const struct member user_members[] = {
    MEMBER("dateOfBirth", TAKE_TEXT, EVENT_USER_BIRTH_DATE),
    MEMBER("email", TAKE_TEXT, EVENT_USER_EMAIL),
    MEMBER("firstName", TAKE_TEXT, EVENT_USER_FIRST_NAME),
    MEMBER("gender", TAKE_TEXT, EVENT_USER_GENDER),
    MEMBER("id", TAKE_TEXT, EVENT_USER_ID),
    MEMBER("lastName", TAKE_TEXT, EVENT_USER_LAST_NAME),
    MEMBER("provider", TAKE_TEXT, EVENT_USER_PROVIDER),
    MEMBER("venue", TAKE_NODE, USER_VENUE),
    MEMBER("visitCountsForVenues", TAKE_NODE, USER_VISITS), /* in the vendor's sample */
    MEMBER("visitCountForVenues", TAKE_NODE, USER_VISITS_OF_TABLE),
};

static const struct member venue_members[] = {
    MEMBER("id", TAKE_TEXT, EVENT_VENUE_ID),
    MEMBER("latitude", TAKE_NUMBER, EVENT_VENUE_LAT), /* quoted, as a rule */
    MEMBER("longitude", TAKE_NUMBER, EVENT_VENUE_LNG),
    MEMBER("name", TAKE_TEXT, EVENT_VENUE_NAME),
};

/* The post on its way. */
struct login {
    struct json_doc *doc;
    struct event event;
    unsigned left; /* members of any level that go to `extra` */
};

/* --- Objects ------------------------------------------------------------------------------------
 */

static bool is_missing(const struct json_doc *doc, uint32_t node) {
    return !node || json_type(doc, node) == JSON_NULL;
}

static bool is_empty(const struct json_doc *doc, uint32_t node) {
    return json_type(doc, node) >= JSON_OBJECT && doc->nodes[node].next == node + 1;
}

/* An object with something in it. */
static bool is_filled(const struct json_doc *doc, uint32_t node) {
    return node && json_type(doc, node) == JSON_OBJECT && !is_empty(doc, node);
}

/* Takes an object's members; what is neither an object nor nothing goes to `extra`. */
static void take_object(struct login *login, uint32_t node, const struct member *table,
                        size_t table_len, uint32_t *nodes) {
    struct json_doc *doc = login->doc;
    if (is_missing(doc, node) || is_empty(doc, node))
        return;
    if (json_type(doc, node) == JSON_OBJECT)
        login->left += sender_take_members(doc, node, table, table_len, &login->event, nodes);
    else
        sender_untake(doc, node, &login->left);
}

/* --- The parts ----------------------------------------------------------------------------------
 */

/* An ISO time; a number is one of seconds or milliseconds. */
static void take_time(struct login *login, uint32_t session) {
    uint32_t time = 0;
    take_object(login, session, session_members, COUNT(session_members), &time);
    if (time && json_type(login->doc, time) == JSON_NUMBER)
        login->event.time_ms = sender_take_epoch(login->doc, time, &login->left);
    else
        login->event.time_ms = sender_take_iso_time(login->doc, time, &login->left);
}

/* The first map that has anything in it; what is no map, and a second one, go to `extra`. */
static void take_visits(struct login *login, const uint32_t *nodes) {
    for (unsigned i = USER_VISITS; i <= USER_VISITS_OF_TABLE; i++) {
        uint32_t node = nodes[i];
        if (is_missing(login->doc, node) || is_empty(login->doc, node))
            continue;
        if (is_filled(login->doc, node) && !event_has(&login->event, EVENT_USER_VISITS)) {
            event_set(&login->event, EVENT_USER_VISITS, json_raw(login->doc, node));
            login->doc->nodes[node].flags |= JSON_TAKEN;
        } else {
            sender_untake(login->doc, node, &login->left);
        }
    }
}

/* The venue beside the user; where there is none, the one inside. Of two, the latter is kept in
 * `extra`. */
static void take_venue(struct login *login, uint32_t beside, uint32_t inside) {
    struct json_doc *doc = login->doc;
    bool is_beside = is_filled(doc, beside);
    take_object(login, beside, venue_members, COUNT(venue_members), NULL);
    if (!is_beside)
        take_object(login, inside, venue_members, COUNT(venue_members), NULL);
    else if (!is_missing(doc, inside) && !is_empty(doc, inside))
        sender_untake(doc, inside, &login->left);
}

/* Whether a member is a string that means the text, regardless of case. */
static bool is_text(const struct json_doc *doc, uint32_t object, struct span member,
                    struct span text) {
    char scratch[SENDER_SCRATCH_BYTES];
    uint32_t node = json_find(doc, object, member);
    return node && json_type(doc, node) == JSON_STRING &&
           span_equals_nocase(sender_string(doc, node, scratch), text);
}

/* The user of the vendor's samples, by name or by address. */
static bool is_validation(const struct json_doc *doc, uint32_t user) {
    if (!is_filled(doc, user))
        return false;
    if (is_text(doc, user, SPAN("email"), SPAN("webhook@test.com")) ||
        is_text(doc, user, SPAN("email"), SPAN("webhook@example.com")))
        return true;
    return is_text(doc, user, SPAN("firstName"), SPAN("Webhook")) &&
           is_text(doc, user, SPAN("lastName"), SPAN("Test"));
}

/* --- Identity -----------------------------------------------------------------------------------
 */

/* A field, absent where it is unset or empty: neither says which. */
static struct span known_field(const struct event *event, enum event_field field) {
    return event_has(event, field) && event->fields[field].len ? event->fields[field]
                                                               : (struct span){0};
}

/* The same login: the same venue, user, client and time. Where it is told neither who nor which
 * client, the whole body counts, for two may log in within a second. False without a time: who logs
 * in again is not a repeat. */
static bool make_identity(const struct login *login, uint32_t client, struct identity *identity) {
    const struct json_doc *doc = login->doc;
    const struct event *event = &login->event;
    struct span user = known_field(event, EVENT_USER_ID), mac = {0};
    uint32_t mac_node = is_filled(doc, client) ? json_find(doc, client, SPAN("mac")) : 0;
    if (!is_missing(doc, mac_node) && json_text(doc, mac_node).len)
        mac = json_text(doc, mac_node);
    identity_init(identity, SPAN("bt"));
    identity_add(identity, known_field(event, EVENT_VENUE_ID));
    identity_add(identity, user);
    if (event->client_mac != MAC_NONE)
        identity_add_u64(identity, event->client_mac);
    else
        identity_add(identity, mac);
    identity_add_u64(identity, (uint64_t)event->time_ms);
    if (span_is_absent(user) && span_is_absent(mac))
        identity_add(identity, json_raw(doc, 0));
    return event->time_ms != TIME_NONE;
}

/* --- The post -----------------------------------------------------------------------------------
 */

/* Whether there is anything of this sender's. A company alone says nothing of anybody. */
static bool is_login(const struct json_doc *doc, const uint32_t *nodes) {
    return is_filled(doc, nodes[ROOT_CLIENT]) || is_filled(doc, nodes[ROOT_SESSION]) ||
           is_filled(doc, nodes[ROOT_USER]) || is_filled(doc, nodes[ROOT_VENUE]);
}

static int parse_login(struct json_doc *doc, struct batch *batch) {
    struct login login; /* its parts are set where they are first needed: it is large */
    struct identity identity;
    uint32_t nodes[ROOT_NODES] = {0}, user_nodes[USER_NODES] = {0};

    event_init(&login.event);
    login.doc = doc;
    login.left =
        sender_take_members(doc, 0, root_members, COUNT(root_members), &login.event, nodes);
    if (!is_login(doc, nodes)) {
        batch_reject(batch, "no client, session, user or venue with anything in it", "(root)");
        return 0;
    }
    take_object(&login, nodes[ROOT_CLIENT], client_members, COUNT(client_members), NULL);
    take_object(&login, nodes[ROOT_COMPANY], company_members, COUNT(company_members), NULL);
    take_time(&login, nodes[ROOT_SESSION]);
    take_object(&login, nodes[ROOT_USER], user_members, COUNT(user_members), user_nodes);
    take_visits(&login, user_nodes);
    take_venue(&login, nodes[ROOT_VENUE], user_nodes[USER_VENUE]);
    login.event.kind = is_validation(doc, nodes[ROOT_USER]) ? SPAN("validation") : SPAN("login");
    sender_set_extra(&login.event, doc, 0, login.left, NULL);
    bool has_identity = make_identity(&login, nodes[ROOT_CLIENT], &identity);
    return batch_emit(batch, &login.event, has_identity ? &identity : NULL);
}

static int parse(struct json_doc *doc, struct batch *batch, struct problem *problem) {
    if (is_empty(doc, 0))
        return SENDER_OK; /* asks whether the URL is there */
    if (json_type(doc, 0) != JSON_OBJECT) {
        batch_reject(batch, "not an object", "(root)");
        return sender_finish(batch, problem);
    }
    int rc = parse_login(doc, batch);
    return rc ? rc : sender_finish(batch, problem);
}

const struct sender sender_bt = {
    .name = "bt",
    .auth = SENDER_AUTH_PATH,
    .keep_unreadable = true,
    .answers_get = true,
    .empty_is_validation = true,
    .answer_headers = "wifiWebhookListener: 1\r\n",
    .parse = parse,
};
