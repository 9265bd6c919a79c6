/* Keys, pseudonyms, and the fields of an event; see privacy.h.
 *
 *   master = HMAC(configured key, "rollcall privacy")
 *   id key = first 16 bytes of HMAC(master, "id")
 *   key of a period = HMAC(master, "period" and its number, 8 bytes, big-endian)
 *   pseudonym = the beginning of HMAC(key of the period, domain ":" value)
 *
 * HMAC's first block (RFC 2104) is the same for all values of a period: the two states behind it
 * are kept, so that a MAC address costs two compressions instead of four. */
#include "privacy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <stdlib.h>
#include <string.h>

#include "privacy_internal.h"
#include "util/text.h"

enum {
    KEEP_BYTES = 64 * 1024, /* of each buffer, from event to event */
    DIGEST_BYTES = SHA256_DIGEST_LENGTH,
};

/* Nothing was hashed in it yet: the last period of all, 2^64 ms after 1970, never comes. */
#define NO_PERIOD UINT64_MAX

/* --- Keys ---------------------------------------------------------------------------------------
 */

static int derive(const uint8_t key[DIGEST_BYTES], const void *label, size_t label_len,
                  uint8_t out[DIGEST_BYTES]) {
    unsigned len;
    return HMAC(EVP_sha256(), key, DIGEST_BYTES, label, label_len, out, &len) ? 0 : -ENOMEM;
}

int privacy_new(struct privacy **privacyp, const struct privacy_options *options) {
    uint8_t digest[DIGEST_BYTES];
    unsigned len;
    *privacyp = NULL;
    if (options->key.len < PRIVACY_MIN_KEY_BYTES)
        return -EINVAL;
    struct privacy *privacy = calloc(1, sizeof *privacy);
    if (!privacy)
        return -ENOMEM;
    privacy->mac = options->mac;
    privacy->personal = options->personal;
    privacy->rotate_ms = options->rotate_ms;
    privacy->period = NO_PERIOD;
    struct span label = SPAN("rollcall privacy");
    if (!HMAC(EVP_sha256(), options->key.ptr, options->key.len, (const uint8_t *)label.ptr,
              label.len, privacy->key, &len) ||
        derive(privacy->key, "id", 2, digest)) {
        privacy_free(privacy);
        return -ENOMEM;
    }
    memcpy(privacy->id_key, digest, HASH_KEY_BYTES);
    OPENSSL_cleanse(digest, sizeof digest);
    *privacyp = privacy;
    return 0;
}

static void empty_buffer(struct buf *buf) {
    if (buf->ptr)
        OPENSSL_cleanse(buf->ptr, buf->cap); /* a person's text was in it */
    buf_deinit(buf);
}

void privacy_free(struct privacy *privacy) {
    if (!privacy)
        return;
    buf_deinit(&privacy->out);
    empty_buffer(&privacy->leftovers);
    empty_buffer(&privacy->text);
    OPENSSL_cleanse(privacy, sizeof *privacy);
    free(privacy);
}

void privacy_trim(struct privacy *privacy) {
    buf_reset(&privacy->out, KEEP_BYTES);
    buf_reset(&privacy->leftovers, KEEP_BYTES);
    buf_reset(&privacy->text, KEEP_BYTES);
}

const uint8_t *privacy_id_key(const struct privacy *privacy) {
    return privacy->id_key;
}

/* RFC 2104: the key in a block of its own, each byte xor'ed. */
static void begin_hmac(SHA256_CTX *state, const uint8_t key[DIGEST_BYTES], uint8_t pad) {
    uint8_t block[SHA256_CBLOCK];
    memset(block, pad, sizeof block);
    for (unsigned i = 0; i < DIGEST_BYTES; i++)
        block[i] ^= key[i];
    SHA256_Init(state);
    SHA256_Update(state, block, sizeof block);
    OPENSSL_cleanse(block, sizeof block);
}

static int set_period(struct privacy *privacy, int64_t received_us) {
    uint64_t ms = (uint64_t)received_us / 1000;
    uint64_t period = privacy->rotate_ms ? ms / privacy->rotate_ms : 0;
    uint8_t label[6 + 8] = "period", key[DIGEST_BYTES];
    if (period == privacy->period)
        return 0;
    for (unsigned i = 0; i < 8; i++)
        label[6 + i] = (uint8_t)(period >> (56 - 8 * i));
    int rc = derive(privacy->key, label, sizeof label, key);
    if (rc)
        return rc;
    begin_hmac(&privacy->inner, key, 0x36);
    begin_hmac(&privacy->outer, key, 0x5c);
    OPENSSL_cleanse(key, sizeof key);
    privacy->period = period;
    return 0;
}

/* --- Pseudonyms ---------------------------------------------------------------------------------
 */

static void start_digest(const struct privacy *privacy, enum domain domain, SHA256_CTX *inner) {
    static const char labels[][8] = {
        [DOMAIN_ID] = "id:",     [DOMAIN_NAME] = "name:", [DOMAIN_EMAIL] = "email:",
        [DOMAIN_TEXT] = "text:", [DOMAIN_IP] = "ip:",     [DOMAIN_MAC] = "mac:",
    };
    *inner = privacy->inner;
    SHA256_Update(inner, labels[domain], strlen(labels[domain]));
}

static void end_digest(const struct privacy *privacy, SHA256_CTX *inner,
                       uint8_t digest[DIGEST_BYTES]) {
    SHA256_CTX outer = privacy->outer;
    SHA256_Final(digest, inner);
    SHA256_Update(&outer, digest, DIGEST_BYTES);
    SHA256_Final(digest, &outer);
}

static void digest_bytes(const struct privacy *privacy, enum domain domain, const void *bytes,
                         size_t len, uint8_t digest[DIGEST_BYTES]) {
    SHA256_CTX inner;
    start_digest(privacy, domain, &inner);
    SHA256_Update(&inner, bytes, len);
    end_digest(privacy, &inner, digest);
}

/* 46 bits of it: two devices of a million share a pseudonym once in 140 periods. */
uint64_t pseudonym_mac(const struct privacy *privacy, uint64_t mac) {
    uint8_t octets[6], digest[DIGEST_BYTES];
    uint64_t pseudonym = 0;
    for (unsigned i = 0; i < 6; i++)
        octets[i] = (uint8_t)(mac >> (40 - 8 * i));
    digest_bytes(privacy, DOMAIN_MAC, octets, sizeof octets, digest);
    for (unsigned i = 0; i < 6; i++)
        pseudonym = pseudonym << 8 | digest[i];
    /* IEEE 802: of the first octet, locally administered is set, group is not */
    return (pseudonym | UINT64_C(2) << 40) & ~(UINT64_C(1) << 40);
}

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct span trim(struct span text) {
    for (; text.len && is_blank(text.ptr[0]); text.len--)
        text.ptr++;
    while (text.len && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

static void update_lower(SHA256_CTX *state, struct span text) {
    char lower[64];
    for (size_t done = 0; done < text.len;) {
        size_t len = 0;
        for (; len < sizeof lower && done < text.len; len++, done++) {
            char c = text.ptr[done];
            lower[len] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        }
        SHA256_Update(state, lower, len);
    }
}

/* An address's bytes, so that all its spellings are one; 0 where it is none. */
static size_t read_ip(struct span text, uint8_t bytes[16]) {
    char copy[INET6_ADDRSTRLEN];
    if (text.len >= sizeof copy)
        return 0;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    if (inet_pton(AF_INET, copy, bytes) == 1)
        return 4;
    return inet_pton(AF_INET6, copy, bytes) == 1 ? 16 : 0;
}

size_t pseudonym_text(const struct privacy *privacy, enum domain domain, struct span text,
                      char dst[PSEUDONYM_BYTES]) {
    uint8_t digest[DIGEST_BYTES], ip[16];
    struct span local, host;
    SHA256_CTX inner;
    text = trim(text);
    size_t ip_len = domain == DOMAIN_IP ? read_ip(text, ip) : 0;
    if (shape_is_email(text, &local, &host)) { /* whatever field it is in: an id, a name */
        start_digest(privacy, DOMAIN_EMAIL, &inner);
        update_lower(&inner, local);
        SHA256_Update(&inner, "@", 1);
        update_lower(&inner, host);
    } else {
        start_digest(privacy, domain, &inner);
        if (ip_len)
            SHA256_Update(&inner, ip, ip_len);
        else if (domain == DOMAIN_EMAIL)
            update_lower(&inner, text);
        else
            SHA256_Update(&inner, text.ptr, text.len);
    }
    end_digest(privacy, &inner, digest);
    size_t prefix = domain == DOMAIN_IP ? 3 : 2;
    memcpy(dst, domain == DOMAIN_IP ? "ip-" : "p-", prefix);
    text_format_hex(digest, 8, dst + prefix);
    return prefix + 16;
}

void pseudonym_overwrite(const struct privacy *privacy, const struct shape *shape, char *text) {
    uint8_t digest[DIGEST_BYTES];
    char hex[2 * DIGEST_BYTES + 1];
    size_t hex_len = sizeof hex - 1;
    bool upper = false;
    for (size_t i = 0; i < shape->digits; i++)
        upper |= text[shape_digit(shape, i)] >= 'A' && text[shape_digit(shape, i)] <= 'F';
    if (shape->kind == SHAPE_MAC) {
        uint64_t mac = pseudonym_mac(privacy, shape->mac);
        for (unsigned i = 0; i < 6; i++)
            digest[i] = (uint8_t)(mac >> (40 - 8 * i));
        hex_len = 12;
    } else {
        SHA256_CTX inner;
        start_digest(privacy, DOMAIN_MAC, &inner);
        for (size_t i = 0; i < shape->digits; i++)
            update_lower(&inner, span_from(text + shape_digit(shape, i), 1));
        end_digest(privacy, &inner, digest);
    }
    text_format_hex(digest, hex_len / 2, hex);
    for (size_t i = 0, next = 0; i < shape->digits; i++) {
        /* an EUI-64 keeps its middle */
        if (shape->kind == SHAPE_MAC && shape->digits == 16 && i >= 6 && i < 10)
            continue;
        char c = hex[next++ % hex_len];
        text[shape_digit(shape, i)] = upper && c >= 'a' ? (char)(c & ~0x20) : c;
    }
}

/* --- An event -----------------------------------------------------------------------------------
 */

/* What a field tells. That of a field that is not here is RULE_NONE. */
static const struct name_rule field_rules[EVENT_FIELD_COUNT] = {
    [EVENT_CLIENT_OS] = {RULE_VERSION, DOMAIN_TEXT},
    [EVENT_CLIENT_USER_AGENT] = {RULE_PERSON, DOMAIN_TEXT},
    [EVENT_AP_NAME] = {RULE_AP, DOMAIN_MAC},
    [EVENT_USER_ID] = {RULE_PERSON, DOMAIN_ID},
    [EVENT_USER_EMAIL] = {RULE_PERSON, DOMAIN_EMAIL},
    [EVENT_USER_FIRST_NAME] = {RULE_PERSON, DOMAIN_NAME},
    [EVENT_USER_LAST_NAME] = {RULE_PERSON, DOMAIN_NAME},
    [EVENT_USER_GENDER] = {RULE_HIDDEN, DOMAIN_TEXT},
    [EVENT_USER_BIRTH_DATE] = {RULE_HIDDEN, DOMAIN_TEXT},
    [EVENT_CHANNEL_UUID] = {RULE_PERSON, DOMAIN_ID},
    [EVENT_CHANNEL_JOINED] = {RULE_PERSON, DOMAIN_ID},
    [EVENT_CHANNEL_LEFT] = {RULE_PERSON, DOMAIN_ID},
    [EVENT_CHANNEL_TIMED_OUT] = {RULE_PERSON, DOMAIN_ID},
};

/* Ids of organisations and places may look like a MAC address, and are none. */
#define KEPT_FIELDS (1ULL << EVENT_TENANT | 1ULL << EVENT_VENUE_ID)

/* A span that lies in privacy->out, which may still move. */
struct moved {
    struct span *span;
    size_t offset;
};

/* One event on its way. */
struct hiding {
    struct scrub scrub;
    struct event *hidden;
    struct moved moved[EVENT_FIELD_COUNT + EVENT_MAX_EXTRA + 1];
    unsigned moved_count;
};

/* Lets a span be what was appended to privacy->out since `start`. */
static void set_moved(struct hiding *hiding, struct span *span, size_t start) {
    span->len = hiding->scrub.privacy->out.len - start;
    hiding->moved[hiding->moved_count++] = (struct moved){span, start};
}

static void hide_field(struct hiding *hiding, enum event_field field) {
    struct event *hidden = hiding->hidden;
    struct privacy *privacy = hiding->scrub.privacy;
    struct span *value = &hidden->fields[field];
    size_t start = privacy->out.len;
    enum scrubbed result;
    if (event_field_type(field) == EVENT_RAW)
        result = scrub_value(&hiding->scrub, *value, field_rules[field]) ? SCRUB_NEW : SCRUB_GONE;
    else
        result = scrub_text(&hiding->scrub, *value, field_rules[field]);
    if (result == SCRUB_NEW)
        set_moved(hiding, value, start);
    else if (result == SCRUB_GONE)
        hidden->present &= ~(1ULL << field);
}

static void hide_client(const struct privacy *privacy, struct event *hidden) {
    if (privacy->mac == PRIVACY_KEEP)
        return;
    hidden->present &= ~(1ULL << EVENT_CLIENT_IPV4 | 1ULL << EVENT_CLIENT_IPV6);
    if (hidden->client_mac == MAC_NONE)
        return;
    hidden->client_was_global = !MAC_IS_RANDOMIZED(hidden->client_mac);
    hidden->client_mac =
        privacy->mac == PRIVACY_DROP ? MAC_NONE : pseudonym_mac(privacy, hidden->client_mac);
}

/* A kind is a word, and never missing. It may have become too long for one. */
static void hide_kind(struct hiding *hiding) {
    struct span *kind = &hiding->hidden->kind;
    size_t start = hiding->scrub.privacy->out.len;
    struct name_rule rule = {RULE_NONE, DOMAIN_TEXT};
    enum scrubbed result = scrub_text(&hiding->scrub, *kind, rule);
    if (result == SCRUB_SAME)
        return;
    if (result == SCRUB_NEW && hiding->scrub.privacy->out.len - start <= EVENT_MAX_KIND_BYTES)
        set_moved(hiding, kind, start);
    else
        *kind = SPAN("hidden");
}

/* Each level becomes ready-made text. */
static void hide_extra(struct hiding *hiding, unsigned level) {
    struct event_extra *extra = &hiding->hidden->extra[level];
    struct privacy *privacy = hiding->scrub.privacy;
    struct span members = extra->members;
    size_t start = privacy->out.len;
    if (extra->doc) {
        privacy->leftovers.len = 0;
        int rc =
            buf_reserve(&privacy->leftovers, event_leftovers_bound(extra->doc, extra->object) + 1);
        if (rc) {
            hiding->scrub.rc = rc;
            return;
        }
        privacy->leftovers.len =
            event_leftovers_write(extra->doc, extra->object, privacy->leftovers.ptr);
        members = buf_span(&privacy->leftovers);
    }
    scrub_members(&hiding->scrub, members);
    extra->doc = NULL;
    set_moved(hiding, &extra->members, start);
}

/* Only what the event has is copied: most of it is the table of fields. */
static void copy_event(const struct event *event, struct event *hidden) {
    hidden->kind = event->kind;
    hidden->time_ms = event->time_ms;
    hidden->client_mac = event->client_mac;
    hidden->ap_mac = event->ap_mac;
    hidden->present = event->present;
    for (uint64_t left = event->present; left; left &= left - 1)
        hidden->fields[__builtin_ctzll(left)] = event->fields[__builtin_ctzll(left)];
    memcpy(hidden->extra, event->extra, event->extra_count * sizeof *event->extra);
    hidden->extra_count = event->extra_count;
    memcpy(hidden->id, event->id, sizeof event->id);
    hidden->duplicate = event->duplicate;
    hidden->client_was_global = event->client_was_global;
}

int privacy_apply(struct privacy *privacy, const struct event *event,
                  const struct event_context *context, size_t max_bytes, struct event *hidden) {
    struct hiding hiding;
    hiding.scrub = (struct scrub){privacy, context->provider, event->ap_mac, max_bytes, 0};
    hiding.hidden = hidden;
    hiding.moved_count = 0;
    privacy->out.len = 0;
    int rc = set_period(privacy, context->received_us);
    if (rc)
        return rc;
    copy_event(event, hidden);
    hide_client(privacy, hidden);
    hide_kind(&hiding);
    for (uint64_t left = hidden->present & ~KEPT_FIELDS; left; left &= left - 1) {
        enum event_field field = (enum event_field)__builtin_ctzll(left);
        if (event_field_type(field) != EVENT_NUMBER)
            hide_field(&hiding, field);
    }
    for (unsigned i = 0; i < hidden->extra_count; i++)
        hide_extra(&hiding, i);
    for (unsigned i = 0; i < hiding.moved_count; i++)
        hiding.moved[i].span->ptr = buf_span(&privacy->out).ptr + hiding.moved[i].offset;
    return hiding.scrub.rc;
}
