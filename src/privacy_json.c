/* Free data: JSON values whose members nobody has agreed upon; see privacy_internal.h.
 *
 * The text has been through json_parse (or was written by us), so it is valid and at most
 * JSON_MAX_DEPTH deep (and a few levels that senders' leftovers stand in); nothing is checked
 * again. It is copied value by value, without white space. What is not to be changed keeps its
 * bytes: numbers their digits, strings their escapes. */
#include <string.h>

#include "json.h"
#include "privacy_internal.h"
#include "util/text.h"

/* --- Output -------------------------------------------------------------------------------------
 */

static char *reserve(struct scrub *scrub, size_t len) {
    struct buf *out = &scrub->privacy->out;
    if (scrub->rc == 0 && len > scrub->max_bytes - out->len)
        scrub->rc = PRIVACY_TOO_LARGE;
    if (scrub->rc == 0)
        scrub->rc = buf_reserve(out, len);
    return scrub->rc ? NULL : out->ptr + out->len;
}

static void put(struct scrub *scrub, struct span text) {
    char *dst = text.len ? reserve(scrub, text.len) : NULL;
    if (dst) {
        memcpy(dst, text.ptr, text.len);
        scrub->privacy->out.len += text.len;
    }
}

static void put_char(struct scrub *scrub, char c) {
    put(scrub, span_from(&c, 1));
}

/* A part of a string that is not changed, with escapes where the string had some. */
static void put_part(struct scrub *scrub, struct span text, bool escaped) {
    if (!escaped) {
        put(scrub, text);
        return;
    }
    char *dst = text.len ? reserve(scrub, 6 * text.len) : NULL;
    if (dst)
        scrub->privacy->out.len += json_escape(text, dst);
}

static void put_pseudonym(struct scrub *scrub, enum domain domain, struct span text) {
    char pseudonym[PSEUDONYM_BYTES];
    if (scrub->rc == 0)
        put(scrub, span_from(pseudonym, pseudonym_text(scrub->privacy, domain, text, pseudonym)));
}

/* --- Strings ------------------------------------------------------------------------------------
 */

/* The text that a string's content means; absent when memory is short. */
static struct span unescape(struct scrub *scrub, struct span content, bool *escaped) {
    struct buf *text = &scrub->privacy->text;
    *escaped = content.len && memchr(content.ptr, '\\', content.len);
    if (!*escaped)
        return content;
    text->len = 0;
    int rc = buf_reserve(text, content.len);
    if (rc) {
        scrub->rc = rc;
        return (struct span){0};
    }
    text->len = json_unescape(content, text->ptr);
    return buf_span(text);
}

static bool hides_macs(const struct scrub *scrub) {
    return scrub->privacy->mac != PRIVACY_KEEP;
}

static bool hides_persons(const struct scrub *scrub) {
    return scrub->privacy->personal != PRIVACY_KEEP;
}

/* Writes what stands for a shape; false when the text is to be left out for it. */
static bool put_shape(struct scrub *scrub, struct span text, const struct shape *shape) {
    struct span found = span_from(text.ptr + shape->start, shape->end - shape->start);
    bool is_email = shape->kind == SHAPE_EMAIL;
    if ((is_email ? scrub->privacy->personal : scrub->privacy->mac) == PRIVACY_DROP)
        return false;
    if (is_email) {
        put_pseudonym(scrub, DOMAIN_EMAIL, found);
    } else if (shape->kind == SHAPE_IP) {
        put_pseudonym(scrub, DOMAIN_IP, found);
    } else {
        char *dst = reserve(scrub, found.len);
        if (dst) {
            struct shape moved = *shape;
            moved.start = 0;
            memcpy(dst, found.ptr, found.len);
            pseudonym_overwrite(scrub->privacy, &moved, dst);
            scrub->privacy->out.len += found.len;
        }
    }
    return true;
}

/* Looks for addresses in it. */
static enum scrubbed scrub_shapes(struct scrub *scrub, struct span text, bool escaped,
                                  struct shape_search search) {
    struct shape shape;
    size_t before = scrub->privacy->out.len, done = 0;
    search.text = text;
    while (scrub->rc == 0 && shape_next(&search, &shape)) {
        if (shape.kind == SHAPE_MAC && shape.mac == scrub->ap_mac)
            continue;
        put_part(scrub, span_from(text.ptr + done, shape.start - done), escaped);
        if (!put_shape(scrub, text, &shape)) {
            scrub->privacy->out.len = before;
            return SCRUB_GONE;
        }
        done = shape.end;
    }
    if (done == 0)
        return SCRUB_SAME;
    put_part(scrub, span_from(text.ptr + done, text.len - done), escaped);
    return SCRUB_NEW;
}

/* Nothing of it is kept, but for a MAC address's notation. */
static enum scrubbed scrub_whole(struct scrub *scrub, struct span text, enum privacy_mode mode,
                                 enum domain domain) {
    uint64_t mac = hides_macs(scrub) ? text_parse_mac(span_trim(text)) : MAC_NONE;
    if (mac != MAC_NONE && mac == scrub->ap_mac)
        return SCRUB_SAME;
    if (mode == PRIVACY_DROP || (mac != MAC_NONE && scrub->privacy->mac == PRIVACY_DROP))
        return SCRUB_GONE;
    if (mac == MAC_NONE) {
        put_pseudonym(scrub, domain, text);
        return SCRUB_NEW;
    }
    char *dst = reserve(scrub, MAC_TEXT_BYTES);
    if (dst) {
        text_format_mac(pseudonym_mac(scrub->privacy, mac), dst);
        scrub->privacy->out.len += MAC_TEXT_BYTES;
    }
    return SCRUB_NEW;
}

/* "10.0.0.1", or "ada-phone/10.0.0.1" as one sender writes it. */
static enum scrubbed scrub_address(struct scrub *scrub, struct span text) {
    const char *slash = memrchr(text.ptr, '/', text.len);
    if (hides_macs(scrub)) {
        size_t skip = slash ? (size_t)(slash + 1 - text.ptr) : 0;
        return scrub_whole(scrub, span_from(text.ptr + skip, text.len - skip), scrub->privacy->mac,
                           DOMAIN_IP);
    }
    if (hides_persons(scrub) && slash && slash > text.ptr)
        return scrub_whole(scrub, text, scrub->privacy->personal, DOMAIN_TEXT);
    return SCRUB_SAME;
}

enum scrubbed scrub_text(struct scrub *scrub, struct span content, struct name_rule rule) {
    bool escaped;
    struct shape_search search = {.addresses = hides_macs(scrub), .emails = hides_persons(scrub)};
    struct span text = unescape(scrub, content, &escaped);
    if (span_trim(text).len == 0)
        return SCRUB_SAME; /* says nothing; or memory is short */
    switch (rule.rule) {
    case RULE_HIDDEN:
        if (hides_persons(scrub))
            return SCRUB_GONE;
        break;
    case RULE_PERSON:
    case RULE_USER:
        if (hides_persons(scrub))
            return scrub_whole(scrub, text, scrub->privacy->personal, rule.domain);
        break;
    case RULE_DEVICE:
        if (hides_macs(scrub)) {
            enum scrubbed found = scrub_shapes(scrub, text, escaped, search);
            return found != SCRUB_SAME ? found
                                       : scrub_whole(scrub, text, scrub->privacy->mac, rule.domain);
        }
        break;
    case RULE_ADDRESS:
        return scrub_address(scrub, text);
    case RULE_AP:
        if (text_parse_mac(text) != MAC_NONE)
            return SCRUB_SAME;
        break;
    case RULE_VERSION:
        search.no_ips = true;
        break;
    case RULE_NONE:
    case RULE_PLACE:
        break;
    }
    return scrub_shapes(scrub, text, escaped, search);
}

/* --- Values -------------------------------------------------------------------------------------
 */

/* What is left to read of the text, and what is known of where it stands. */
struct reader {
    const char *p, *end;
};

static void skip_space(struct reader *r) {
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

/* The content of the string that starts here. */
static struct span take_string(struct reader *r) {
    const char *start = ++r->p;
    while (*r->p != '"')
        r->p += *r->p == '\\' ? 2 : 1;
    return span_from(start, (size_t)(r->p++ - start));
}

/* A number, or true, false or null. */
static struct span take_scalar(struct reader *r) {
    const char *start = r->p;
    while (r->p < r->end && !strchr(",]} \t\n\r", *r->p))
        r->p++;
    return span_from(start, (size_t)(r->p - start));
}

static void skip_value(struct reader *r) {
    unsigned depth = 0;
    do {
        skip_space(r);
        char c = *r->p;
        if (c == '"') {
            take_string(r);
        } else if (c == '{' || c == '[') {
            depth++;
            r->p++;
        } else if (c == '}' || c == ']') {
            depth--;
            r->p++;
        } else if (c == ',' || c == ':') {
            r->p++;
        } else {
            take_scalar(r);
        }
    } while (depth);
}

/* In quotes; false when it is to be left out. */
static bool scrub_string(struct scrub *scrub, struct span content, struct name_rule rule) {
    size_t before = scrub->privacy->out.len;
    put_char(scrub, '"');
    switch (scrub_text(scrub, content, rule)) {
    case SCRUB_SAME:
        put(scrub, content);
        break;
    case SCRUB_NEW:
        break;
    case SCRUB_GONE:
        scrub->privacy->out.len = before;
        return false;
    }
    put_char(scrub, '"');
    return true;
}

/* A number may be a person's or a device's: its digits are. */
static bool scrub_scalar(struct scrub *scrub, struct span text, struct name_rule rule) {
    bool hides =
        (rule.rule == RULE_DEVICE && hides_macs(scrub)) ||
        ((rule.rule == RULE_PERSON || rule.rule == RULE_USER || rule.rule == RULE_HIDDEN) &&
         hides_persons(scrub));
    enum privacy_mode mode =
        rule.rule == RULE_DEVICE ? scrub->privacy->mac : scrub->privacy->personal;
    if (hides && (mode == PRIVACY_DROP || rule.rule == RULE_HIDDEN))
        return false;
    bool is_number = text.ptr[0] == '-' || (text.ptr[0] >= '0' && text.ptr[0] <= '9');
    if (hides && is_number)
        return scrub_string(scrub, text, rule);
    put(scrub, text);
    return true;
}

static bool take_value(struct scrub *scrub, struct reader *r, struct name_rule rule,
                       enum parent parent);

static void take_array(struct scrub *scrub, struct reader *r, struct name_rule rule,
                       enum parent parent) {
    bool first = true;
    put_char(scrub, '[');
    r->p++;
    for (skip_space(r); *r->p != ']'; skip_space(r)) {
        if (!first)
            put_char(scrub, ',');
        first = false;
        if (*r->p == ',') {
            r->p++;
            skip_space(r);
        }
        if (!take_value(scrub, r, rule, parent))
            put(scrub, SPAN("null"));
    }
    r->p++;
    put_char(scrub, ']');
}

static struct name_rule rule_of_member(struct scrub *scrub, struct span name,
                                       struct name_rule outer, enum parent parent) {
    bool escaped;
    struct span text = unescape(scrub, name, &escaped);
    if (span_is_absent(text))
        return outer;
    struct name_rule rule = name_find_rule(text, parent, scrub->provider);
    bool is_inside = outer.rule == RULE_PERSON && hides_persons(scrub);
    return is_inside && rule.rule != RULE_HIDDEN ? outer : rule;
}

/* One member, without its comma. False when it is to be left out; then nothing is appended. */
static bool take_member(struct scrub *scrub, struct reader *r, struct name_rule outer,
                        enum parent parent) {
    size_t before = scrub->privacy->out.len;
    struct span name = take_string(r);
    skip_space(r);
    r->p++; /* the colon */
    skip_space(r);
    struct name_rule rule = rule_of_member(scrub, name, outer, parent);
    if (!scrub_string(scrub, name, (struct name_rule){RULE_NONE, DOMAIN_TEXT})) {
        skip_value(r);
        return false;
    }
    put_char(scrub, ':');
    if (take_value(scrub, r, rule, name_parent_of(rule, parent)))
        return true;
    scrub->privacy->out.len = before;
    return false;
}

/* Members up to a brace or the end. */
static void take_members(struct scrub *scrub, struct reader *r, struct name_rule rule,
                         enum parent parent) {
    struct buf *out = &scrub->privacy->out;
    size_t start = out->len;
    for (skip_space(r); r->p < r->end && *r->p != '}'; skip_space(r)) {
        if (*r->p == ',') {
            r->p++;
            skip_space(r);
        }
        size_t before = out->len;
        if (before > start)
            put_char(scrub, ',');
        if (!take_member(scrub, r, rule, parent))
            out->len = before;
    }
}

/* False when it is to be left out; then nothing is appended. Behind an error the rest is read, and
 * nothing written. */
static bool take_value(struct scrub *scrub, struct reader *r, struct name_rule rule,
                       enum parent parent) {
    bool is_gone = (rule.rule == RULE_HIDDEN && hides_persons(scrub)) ||
                   (rule.rule == RULE_PERSON && scrub->privacy->personal == PRIVACY_DROP);
    if (is_gone) {
        skip_value(r);
        return false;
    }
    switch (*r->p) {
    case '{':
        put_char(scrub, '{');
        r->p++;
        take_members(scrub, r, rule, parent);
        r->p++;
        put_char(scrub, '}');
        return true;
    case '[':
        take_array(scrub, r, rule, parent);
        return true;
    case '"':
        return scrub_string(scrub, take_string(r), rule);
    default:
        return scrub_scalar(scrub, take_scalar(r), rule);
    }
}

bool scrub_value(struct scrub *scrub, struct span value, struct name_rule rule) {
    struct reader r = {value.ptr, value.ptr + value.len};
    skip_space(&r);
    return take_value(scrub, &r, rule, PARENT_ROOT);
}

void scrub_members(struct scrub *scrub, struct span members) {
    struct reader r = {members.ptr, members.ptr + members.len};
    take_members(scrub, &r, (struct name_rule){RULE_NONE, DOMAIN_TEXT}, PARENT_ROOT);
}
