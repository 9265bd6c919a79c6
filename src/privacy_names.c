/* What a member tells, by its name; see privacy_internal.h.
 *
 * Names are compared in lower case, without '_', '-', '.' and blanks. A table of names, then of
 * words that make a name a person's wherever they stand in it ("guestEmailAddress"). The table is
 * what the known senders have (their wire formats are in test/data), and what people call such
 * things in data of their own. In doubt it is a person's: a floor's name that is hidden by mistake
 * costs less. A name may mean something else with a sender, or in an object that is no person. */
#include <stdlib.h>
#include <string.h>

#include "privacy_internal.h"

enum { MAX_NAME_BYTES = 64 }; /* none in the table is longer; a word behind that is not found */

struct name {
    const char *name;
    enum rule rule;
    enum domain domain;
};

/* In strcmp's order. */
static const struct name names[] = {
    {"account", RULE_USER, DOMAIN_ID},
    {"accountid", RULE_PERSON, DOMAIN_ID},
    {"accountname", RULE_PERSON, DOMAIN_ID},
    {"adid", RULE_DEVICE, DOMAIN_ID},
    {"admin", RULE_USER, DOMAIN_ID},
    {"advertisingid", RULE_DEVICE, DOMAIN_ID},
    {"age", RULE_HIDDEN, DOMAIN_TEXT},
    {"agegroup", RULE_HIDDEN, DOMAIN_TEXT},
    {"agerange", RULE_HIDDEN, DOMAIN_TEXT},
    {"androidid", RULE_DEVICE, DOMAIN_ID},
    {"ap", RULE_AP, DOMAIN_MAC},
    {"apid", RULE_AP, DOMAIN_MAC},
    {"apmac", RULE_AP, DOMAIN_MAC},
    {"apname", RULE_AP, DOMAIN_MAC},
    {"aps", RULE_AP, DOMAIN_MAC},
    {"area", RULE_PLACE, DOMAIN_TEXT},
    {"assetid", RULE_DEVICE, DOMAIN_ID},
    {"assetname", RULE_PERSON, DOMAIN_NAME},
    {"author", RULE_USER, DOMAIN_NAME},
    {"avatar", RULE_PERSON, DOMAIN_TEXT},
    {"avatarurl", RULE_PERSON, DOMAIN_TEXT},
    {"beaconid", RULE_DEVICE, DOMAIN_ID},
    {"bssid", RULE_AP, DOMAIN_MAC},
    {"building", RULE_PLACE, DOMAIN_TEXT},
    {"calledstationid", RULE_AP, DOMAIN_MAC}, /* RADIUS: the access point's, the client's */
    {"callingstationid", RULE_DEVICE, DOMAIN_ID},
    {"cell", RULE_PERSON, DOMAIN_TEXT},
    {"cellnumber", RULE_PERSON, DOMAIN_TEXT},
    {"channel", RULE_PLACE, DOMAIN_TEXT},
    {"client", RULE_USER, DOMAIN_ID},
    {"clienthostname", RULE_PERSON, DOMAIN_NAME},
    {"clientid", RULE_DEVICE, DOMAIN_ID},
    {"clientip", RULE_ADDRESS, DOMAIN_IP},
    {"clientname", RULE_PERSON, DOMAIN_NAME},
    {"clientos", RULE_VERSION, DOMAIN_TEXT},
    {"company", RULE_PLACE, DOMAIN_TEXT},
    {"contact", RULE_USER, DOMAIN_TEXT},
    {"customer", RULE_USER, DOMAIN_ID},
    {"customerid", RULE_PERSON, DOMAIN_ID},
    {"device", RULE_USER, DOMAIN_NAME},
    {"deviceid", RULE_DEVICE, DOMAIN_ID},
    {"devicename", RULE_PERSON, DOMAIN_NAME},
    {"dob", RULE_HIDDEN, DOMAIN_TEXT},
    {"employee", RULE_USER, DOMAIN_ID},
    {"employeeid", RULE_PERSON, DOMAIN_ID},
    {"eui64", RULE_DEVICE, DOMAIN_ID},
    {"facebookid", RULE_PERSON, DOMAIN_ID},
    {"fax", RULE_PERSON, DOMAIN_TEXT},
    {"fingerprint", RULE_DEVICE, DOMAIN_ID},
    {"firmware", RULE_VERSION, DOMAIN_TEXT},
    {"firmwareversion", RULE_VERSION, DOMAIN_TEXT},
    {"floor", RULE_PLACE, DOMAIN_TEXT},
    {"floorplan", RULE_PLACE, DOMAIN_TEXT},
    {"gaid", RULE_DEVICE, DOMAIN_ID},
    {"guest", RULE_USER, DOMAIN_ID},
    {"guestid", RULE_PERSON, DOMAIN_ID},
    {"hardwareaddress", RULE_DEVICE, DOMAIN_ID},
    {"host", RULE_USER, DOMAIN_NAME},
    {"hostname", RULE_PERSON, DOMAIN_NAME},
    {"hwaddr", RULE_DEVICE, DOMAIN_ID},
    {"hwaddress", RULE_DEVICE, DOMAIN_ID},
    {"iccid", RULE_DEVICE, DOMAIN_ID},
    {"idfa", RULE_DEVICE, DOMAIN_ID},
    {"idfv", RULE_DEVICE, DOMAIN_ID},
    {"imei", RULE_DEVICE, DOMAIN_ID},
    {"imsi", RULE_DEVICE, DOMAIN_ID},
    {"ip", RULE_ADDRESS, DOMAIN_IP},
    {"ip4", RULE_ADDRESS, DOMAIN_IP},
    {"ip6", RULE_ADDRESS, DOMAIN_IP},
    {"ipaddress", RULE_ADDRESS, DOMAIN_IP},
    {"ipv4", RULE_ADDRESS, DOMAIN_IP},
    {"ipv6", RULE_ADDRESS, DOMAIN_IP},
    {"location", RULE_PLACE, DOMAIN_TEXT},
    {"login", RULE_USER, DOMAIN_ID},
    {"loginname", RULE_PERSON, DOMAIN_ID},
    {"logonname", RULE_PERSON, DOMAIN_ID},
    {"loyaltyid", RULE_PERSON, DOMAIN_ID},
    {"macaddr", RULE_DEVICE, DOMAIN_ID},
    {"macaddress", RULE_DEVICE, DOMAIN_ID},
    {"map", RULE_PLACE, DOMAIN_TEXT},
    {"meid", RULE_DEVICE, DOMAIN_ID},
    {"member", RULE_USER, DOMAIN_ID},
    {"memberid", RULE_PERSON, DOMAIN_ID},
    {"mobile", RULE_PERSON, DOMAIN_TEXT},
    {"mobilenumber", RULE_PERSON, DOMAIN_TEXT},
    {"name", RULE_PERSON, DOMAIN_NAME},
    {"nationality", RULE_HIDDEN, DOMAIN_TEXT},
    {"network", RULE_PLACE, DOMAIN_TEXT},
    {"nextap", RULE_AP, DOMAIN_MAC},
    {"nick", RULE_PERSON, DOMAIN_NAME},
    {"org", RULE_PLACE, DOMAIN_TEXT},
    {"organisation", RULE_PLACE, DOMAIN_TEXT},
    {"organization", RULE_PLACE, DOMAIN_TEXT},
    {"osversion", RULE_VERSION, DOMAIN_TEXT},
    {"owner", RULE_USER, DOMAIN_NAME},
    {"ownername", RULE_PERSON, DOMAIN_NAME},
    {"person", RULE_USER, DOMAIN_ID},
    {"personid", RULE_PERSON, DOMAIN_ID},
    {"photo", RULE_PERSON, DOMAIN_TEXT},
    {"physicaladdress", RULE_DEVICE, DOMAIN_ID},
    {"picture", RULE_PERSON, DOMAIN_TEXT},
    {"place", RULE_PLACE, DOMAIN_TEXT},
    {"previousap", RULE_AP, DOMAIN_MAC},
    {"profile", RULE_USER, DOMAIN_ID},
    {"rawdata", RULE_DEVICE, DOMAIN_TEXT}, /* what a BLE device advertises; its ids are in it */
    {"reportingaps", RULE_AP, DOMAIN_MAC},
    {"room", RULE_PLACE, DOMAIN_TEXT},
    {"salutation", RULE_HIDDEN, DOMAIN_TEXT},
    {"senderid", RULE_PERSON, DOMAIN_ID},
    {"sex", RULE_HIDDEN, DOMAIN_TEXT},
    {"site", RULE_PLACE, DOMAIN_TEXT},
    {"socialid", RULE_PERSON, DOMAIN_ID},
    {"sponsor", RULE_USER, DOMAIN_NAME},
    {"sponsorname", RULE_PERSON, DOMAIN_NAME},
    {"ssn", RULE_PERSON, DOMAIN_ID},
    {"sta", RULE_DEVICE, DOMAIN_ID},
    {"staid", RULE_DEVICE, DOMAIN_ID},
    {"station", RULE_DEVICE, DOMAIN_ID},
    {"street", RULE_PERSON, DOMAIN_TEXT},
    {"subscriber", RULE_USER, DOMAIN_ID},
    {"subscriberid", RULE_PERSON, DOMAIN_ID},
    {"tel", RULE_PERSON, DOMAIN_TEXT},
    {"twitter", RULE_PERSON, DOMAIN_ID},
    {"udid", RULE_DEVICE, DOMAIN_ID},
    {"uid", RULE_PERSON, DOMAIN_ID},
    {"user", RULE_USER, DOMAIN_ID},
    {"userid", RULE_PERSON, DOMAIN_ID},
    {"userids", RULE_PERSON, DOMAIN_ID},
    {"users", RULE_USER, DOMAIN_ID},
    {"usersjoined", RULE_PERSON, DOMAIN_ID},
    {"usersleft", RULE_PERSON, DOMAIN_ID},
    {"userstimedout", RULE_PERSON, DOMAIN_ID},
    {"uuid", RULE_PERSON, DOMAIN_ID},
    {"uuids", RULE_PERSON, DOMAIN_ID},
    {"venue", RULE_PLACE, DOMAIN_TEXT},
    {"version", RULE_VERSION, DOMAIN_TEXT},
    {"visitor", RULE_USER, DOMAIN_ID},
    {"visitorid", RULE_PERSON, DOMAIN_ID},
    {"wlan", RULE_PLACE, DOMAIN_TEXT},
    {"zone", RULE_PLACE, DOMAIN_TEXT},
};

enum { NAMES = sizeof names / sizeof *names };

/* Names that mean it wherever they stand in a longer name; the first of two lists all end in
 * "name", which is looked for first. */
static const struct name named_words[] = {
    {"firstname", RULE_PERSON, DOMAIN_NAME},   {"forename", RULE_PERSON, DOMAIN_NAME},
    {"givenname", RULE_PERSON, DOMAIN_NAME},   {"lastname", RULE_PERSON, DOMAIN_NAME},
    {"surname", RULE_PERSON, DOMAIN_NAME},     {"familyname", RULE_PERSON, DOMAIN_NAME},
    {"middlename", RULE_PERSON, DOMAIN_NAME},  {"fullname", RULE_PERSON, DOMAIN_NAME},
    {"displayname", RULE_PERSON, DOMAIN_NAME}, {"nickname", RULE_PERSON, DOMAIN_NAME},
    {"username", RULE_PERSON, DOMAIN_ID},      {"guestname", RULE_PERSON, DOMAIN_NAME},
    {"visitorname", RULE_PERSON, DOMAIN_NAME}, {"contactname", RULE_PERSON, DOMAIN_NAME},
    {"customername", RULE_PERSON, DOMAIN_NAME}};
static const struct name words[] = {
    {"mail", RULE_PERSON, DOMAIN_EMAIL},  {"phone", RULE_PERSON, DOMAIN_TEXT},
    {"msisdn", RULE_PERSON, DOMAIN_TEXT}, {"useragent", RULE_PERSON, DOMAIN_TEXT},
    {"passport", RULE_PERSON, DOMAIN_ID}, {"birth", RULE_HIDDEN, DOMAIN_TEXT},
    {"gender", RULE_HIDDEN, DOMAIN_TEXT}, {"apmac", RULE_AP, DOMAIN_MAC}};

/* What a name means with one sender only. */
static const struct {
    const char *provider, *name;
    bool root_only;
    struct name_rule rule;
} special[] = {
    /* prose on people, in its logs */
    {"aerohive", "description", false, {RULE_PERSON, DOMAIN_TEXT}},
    /* an installed app's, which has no MAC address to show */
    {"mist", "id", true, {RULE_PERSON, DOMAIN_ID}},
    /* what a guest writes into a portal's form */
    {"mist", "company", true, {RULE_PERSON, DOMAIN_TEXT}},
    {"mist", "field1", false, {RULE_PERSON, DOMAIN_TEXT}},
    {"mist", "field2", false, {RULE_PERSON, DOMAIN_TEXT}},
    {"mist", "field3", false, {RULE_PERSON, DOMAIN_TEXT}},
    {"mist", "field4", false, {RULE_PERSON, DOMAIN_TEXT}},
    {"pubnub", "join", false, {RULE_PERSON, DOMAIN_ID}},
    {"pubnub", "joined", false, {RULE_PERSON, DOMAIN_ID}},
    {"pubnub", "leave", false, {RULE_PERSON, DOMAIN_ID}},
    {"pubnub", "left", false, {RULE_PERSON, DOMAIN_ID}},
    {"pubnub", "timeout", false, {RULE_PERSON, DOMAIN_ID}},
    {"pubnub", "timedout", false, {RULE_PERSON, DOMAIN_ID}},
};

enum { SPECIAL = sizeof special / sizeof *special };

/* The name as it is compared; NUL-terminated, cut where it is longer. */
static size_t normalise(struct span name, char dst[MAX_NAME_BYTES + 1]) {
    size_t len = 0;
    for (size_t i = 0; i < name.len && len < MAX_NAME_BYTES; i++) {
        char c = name.ptr[i];
        if (c == '_' || c == '-' || c == '.' || c == ' ' || !c)
            continue;
        dst[len++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    dst[len] = 0;
    return len;
}

static int compare_names(const void *key, const void *entry) {
    return strcmp(key, ((const struct name *)entry)->name);
}

static const struct name *find_word(const char *name, const struct name *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strstr(name, list[i].name))
            return &list[i];
    return NULL;
}

static const struct name_rule *find_special(const char *name, enum parent parent,
                                            struct span provider) {
    for (unsigned i = 0; i < SPECIAL; i++)
        if (span_equals(provider, span_from_string(special[i].provider)) &&
            strcmp(special[i].name, name) == 0 && (!special[i].root_only || parent == PARENT_ROOT))
            return &special[i].rule;
    return NULL;
}

/* What a few names mean in an object of a kind. */
static bool find_in_parent(const char *name, enum parent parent, struct name_rule *rule) {
    if (parent == PARENT_PERSON && strcmp(name, "id") == 0)
        *rule = (struct name_rule){RULE_PERSON, DOMAIN_ID};
    else if (parent == PARENT_PERSON && (strcmp(name, "first") == 0 || strcmp(name, "last") == 0))
        *rule = (struct name_rule){RULE_PERSON, DOMAIN_NAME};
    else if (parent == PARENT_PERSON && strcmp(name, "address") == 0)
        *rule = (struct name_rule){RULE_PERSON, DOMAIN_TEXT};
    else if (parent == PARENT_AP && (strcmp(name, "mac") == 0 || strcmp(name, "name") == 0))
        *rule = (struct name_rule){RULE_AP, DOMAIN_MAC};
    else if (parent == PARENT_PLACE && strcmp(name, "name") == 0)
        *rule = (struct name_rule){RULE_NONE, DOMAIN_TEXT};
    else
        return false;
    return true;
}

struct name_rule name_find_rule(struct span name, enum parent parent, struct span provider) {
    char normal[MAX_NAME_BYTES + 1];
    struct name_rule rule = {RULE_NONE, DOMAIN_TEXT};
    size_t len = normalise(name, normal);
    const struct name_rule *found = find_special(normal, parent, provider);
    if (found)
        return *found;
    if (find_in_parent(normal, parent, &rule))
        return rule;
    const struct name *entry = bsearch(normal, names, NAMES, sizeof *names, compare_names);
    if (!entry && strstr(normal, "name"))
        entry = find_word(normal, named_words, sizeof named_words / sizeof *named_words);
    if (!entry)
        entry = find_word(normal, words, sizeof words / sizeof *words);
    if (entry)
        return (struct name_rule){entry->rule, entry->domain};
    if (len >= 3 && strcmp(normal + len - 3, "mac") == 0)
        return (struct name_rule){RULE_DEVICE, DOMAIN_ID};
    return rule;
}

enum parent name_parent_of(struct name_rule rule, enum parent parent) {
    switch (rule.rule) {
    case RULE_USER:
        return PARENT_PERSON;
    case RULE_PLACE:
        return PARENT_PLACE;
    case RULE_AP:
        return PARENT_AP;
    default:
        return parent == PARENT_PERSON ? PARENT_PERSON : PARENT_OTHER;
    }
}

bool name_table_is_sorted(void) {
    for (unsigned i = 1; i < NAMES; i++)
        if (strcmp(names[i - 1].name, names[i].name) >= 0)
            return false;
    return true;
}
