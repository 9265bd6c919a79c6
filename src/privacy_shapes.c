/* What addresses look like in the midst of other text; see privacy_internal.h.
 *
 * One walk from left to right, from one run of hex digits to the next; each run is looked at once
 * as the beginning of an address. In doubt it is an address: what is taken for one by mistake
 * becomes another text of the same form, what is missed tells who somebody is. UUIDs, of which
 * senders have many, are told apart by their own form. */
#include "privacy_internal.h"

#include <arpa/inet.h>
#include <string.h>

#include "util/text.h"

enum {
    MAC_DIGITS = 12,
    EUI64_DIGITS = 16,
    MAX_PAIRS = 32,  /* looked at from one start */
    UUID_BYTES = 36, /* 8-4-4-4-12 */
    UUID_NODE = 24,  /* where the last group starts */
    UUID_VERSION = 14,
};

static bool is_hex(char c) {
    return text_hex_value(c) >= 0;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex_at(struct span text, size_t at) {
    return at < text.len && is_hex(text.ptr[at]);
}

static size_t hex_run(struct span text, size_t at) {
    size_t end = at;
    while (is_hex_at(text, end))
        end++;
    return end - at;
}

/* --- MAC addresses ------------------------------------------------------------------------------
 */

/* Bytes of what may stand between two groups; 0 where that is something else. "%3A" is a colon in a
 * query. */
static unsigned separator_len(struct span text, size_t at) {
    if (at >= text.len)
        return 0;
    if (strchr(":-._ ", text.ptr[at]) && text.ptr[at])
        return 1;
    if (text.len - at >= 3 && strncasecmp(text.ptr + at, "%3a", 3) == 0)
        return 3;
    return 0;
}

/* 8-4-4-4-12 hex digits. */
static bool is_uuid(struct span text, size_t at) {
    if (text.len - at < UUID_BYTES || is_hex_at(text, at + UUID_BYTES))
        return false;
    for (size_t i = 0; i < UUID_BYTES; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? text.ptr[at + i] != '-' : !is_hex(text.ptr[at + i]))
            return false;
    }
    return true;
}

static bool has_letter(struct span text, size_t start, size_t end) {
    for (; start < end; start++)
        if (is_letter(text.ptr[start]))
            return true;
    return false;
}

static int digit_of(struct span text, const struct shape *shape, size_t i) {
    return text_hex_value(text.ptr[shape_digit(shape, i)]);
}

/* The middle of an EUI-64 that was made of a MAC address (RFC 4291, appendix A). */
static bool is_made_of_mac(struct span text, const struct shape *shape) {
    return digit_of(text, shape, 6) == 15 && digit_of(text, shape, 7) == 15 &&
           digit_of(text, shape, 8) == 15 && digit_of(text, shape, 9) == 14;
}

static void read_mac(struct span text, struct shape *shape) {
    shape->mac = 0;
    for (size_t i = 0; i < shape->digits; i++)
        if (shape->digits == MAC_DIGITS || i < 6 || i > 9)
            shape->mac = shape->mac << 4 | (unsigned)digit_of(text, shape, i);
}

/* Numbers may look the same where letters are missing and the notation is a rare one. */
static bool is_usual(char separator, unsigned group_len) {
    return (group_len == 2 && (separator == ':' || separator == '-' || separator == '%')) ||
           (group_len == 4 && (separator == '.' || separator == ':' || separator == '-'));
}

static bool is_mac_of_groups(struct span text, struct shape *shape, size_t groups) {
    char separator = text.ptr[shape->start + shape->group_len];
    bool is_long = shape->group_len == 2   ? groups >= 6
                   : shape->group_len == 4 ? groups == 3 || groups == 4
                                           : groups == 2 && separator != ' ';
    if (!is_long ||
        (!is_usual(separator, shape->group_len) && !has_letter(text, shape->start, shape->end)))
        return false;
    shape->kind = shape->digits == MAC_DIGITS ? SHAPE_MAC : SHAPE_OCTETS;
    if (shape->digits == EUI64_DIGITS && is_made_of_mac(text, shape))
        shape->kind = SHAPE_MAC;
    /* a DHCP client identifier is 01 (Ethernet) and the address (RFC 2132, 9.14) */
    if (shape->group_len == 2 && groups == 7 && digit_of(text, shape, 0) == 0 &&
        digit_of(text, shape, 1) == 1) {
        shape->start += 2 + shape->separator_len;
        shape->digits = MAC_DIGITS;
        shape->kind = SHAPE_MAC;
    }
    return shape->group_len == 2 || shape->kind == SHAPE_MAC;
}

/* A MAC address whose first run of digits, `run` of them, starts at `at`. */
static bool match_mac(struct span text, size_t at, size_t run, struct shape *shape) {
    *shape =
        (struct shape){.start = at, .end = at + run, .digits = run, .group_len = (unsigned)run};
    if (run == MAC_DIGITS || run == EUI64_DIGITS) {
        if (run == EUI64_DIGITS && !is_made_of_mac(text, shape))
            return false;
        shape->kind = SHAPE_MAC;
        read_mac(text, shape);
        return true;
    }
    unsigned separator = separator_len(text, at + run);
    if ((run != 2 && run != 4 && run != 6) || !separator)
        return false;
    /* one more than is needed to tell; but pairs may be many, and are then taken in pieces */
    size_t groups = 1, max_groups = run == 2 ? MAX_PAIRS : 5;
    shape->separator_len = separator;
    while (groups < max_groups && separator_len(text, shape->end) == separator &&
           text.ptr[shape->end] == text.ptr[at + run] &&
           hex_run(text, shape->end + separator) == run) {
        shape->end += separator + run;
        shape->digits += run;
        groups++;
    }
    if (groups == 1 || !is_mac_of_groups(text, shape, groups))
        return false;
    if (shape->kind == SHAPE_MAC)
        read_mac(text, shape);
    return true;
}

/* --- IP addresses -------------------------------------------------------------------------------
 */

static bool match_ipv4(struct span text, size_t at, struct shape *shape) {
    size_t p = at;
    if (at && (is_digit(text.ptr[at - 1]) || text.ptr[at - 1] == '.'))
        return false;
    for (unsigned group = 0; group < 4; group++) {
        unsigned value = 0, digits = 0;
        if (group && (p >= text.len || text.ptr[p++] != '.'))
            return false;
        for (; p < text.len && is_digit(text.ptr[p]) && digits < 4; digits++)
            value = value * 10 + (unsigned)(text.ptr[p++] - '0');
        if (digits < 1 || digits > 3 || value > 255)
            return false;
    }
    if (p < text.len && (is_digit(text.ptr[p]) ||
                         (text.ptr[p] == '.' && p + 1 < text.len && is_digit(text.ptr[p + 1]))))
        return false;
    *shape = (struct shape){.kind = SHAPE_IP, .start = at, .end = p};
    return true;
}

static bool is_ipv6(const char *token, size_t len) {
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (len < 3 || len >= sizeof copy) /* "::" is nobody's */
        return false;
    memcpy(copy, token, len);
    copy[len] = 0;
    return inet_pton(AF_INET6, copy, &address) == 1;
}

/* An IPv6 address at the beginning of a token of its characters; a sentence's point or colon may
 * stand behind it. */
static bool match_ipv6(struct span text, size_t at, struct shape *shape) {
    size_t end = at, colons = 0;
    bool has_gap = false;
    for (; end < text.len && end - at < INET6_ADDRSTRLEN &&
           (is_hex(text.ptr[end]) || text.ptr[end] == ':' || text.ptr[end] == '.');
         end++) {
        has_gap |= text.ptr[end] == ':' && end > at && text.ptr[end - 1] == ':';
        colons += text.ptr[end] == ':';
    }
    if (!has_gap && colons < 6) /* 6 before an IPv4 address, else 7 */
        return false;
    if (end < text.len && (is_letter(text.ptr[end]) || is_digit(text.ptr[end])))
        return false;
    for (unsigned behind = 0; !is_ipv6(text.ptr + at, end - at); behind++, end--)
        if (behind == 2 || (text.ptr[end - 1] != ':' && text.ptr[end - 1] != '.'))
            return false;
    *shape = (struct shape){.kind = SHAPE_IP, .start = at, .end = end};
    return true;
}

static bool may_start_ipv6(struct span text, size_t at) {
    if (text.ptr[at] == ':')
        return at + 1 < text.len && text.ptr[at + 1] == ':';
    return at == 0 || !(is_letter(text.ptr[at - 1]) || is_digit(text.ptr[at - 1]));
}

/* --- E-mail addresses ---------------------------------------------------------------------------
 */

/* What stands in them without being quoted, as far as people have such addresses; non-ASCII too
 * (RFC 6531). */
static bool is_local(char c) {
    return is_letter(c) || is_digit(c) || (unsigned char)c >= 0x80 || (c && strchr("._+-'~", c));
}

static bool is_domain(char c) {
    return is_letter(c) || is_digit(c) || (unsigned char)c >= 0x80 || c == '-' || c == '.';
}

/* The next '@', or "%40" as queries have it; its length goes to *len. No further than that is
 * looked: a text of many of them is walked once. */
static size_t find_at_sign(struct span text, size_t from, size_t *len) {
    size_t at = from;
    for (; at < text.len; at++) {
        char c = text.ptr[at];
        *len = c == '@' ? 1 : 3;
        if (c == '@' || (c == '%' && text.len - at >= 3 && memcmp(text.ptr + at, "%40", 3) == 0))
            break;
    }
    return at;
}

/* The next e-mail address that starts at `from` or behind. */
static bool find_email(struct span text, size_t from, struct shape *shape, size_t *at_sign,
                       size_t *at_sign_len) {
    size_t least = from, at;
    while ((at = find_at_sign(text, least, at_sign_len)) < text.len) {
        size_t start = at, end = at + *at_sign_len;
        bool has_point = false;
        while (start > least && is_local(text.ptr[start - 1]))
            start--;
        size_t domain = end;
        while (end < text.len && is_domain(text.ptr[end]))
            end++;
        while (end > domain && (text.ptr[end - 1] == '.' || text.ptr[end - 1] == '-'))
            end--;
        for (size_t i = domain + 1; i < end; i++)
            has_point |= text.ptr[i] == '.';
        if (start < at && has_point) {
            *shape = (struct shape){.kind = SHAPE_EMAIL, .start = start, .end = end};
            *at_sign = at;
            return true;
        }
        least = at + *at_sign_len;
    }
    return false;
}

bool shape_is_email(struct span text, struct span *local, struct span *domain) {
    struct shape shape;
    size_t at, len;
    if (!find_email(text, 0, &shape, &at, &len) || shape.start != 0 || shape.end != text.len)
        return false;
    *local = span_from(text.ptr, at);
    *domain = span_from(text.ptr + at + len, text.len - at - len);
    return true;
}

/* --- The walk -----------------------------------------------------------------------------------
 */

/* Passes over what no address starts with, to a run's first digit at the latest. */
static size_t skip_others(struct span text, size_t at) {
    while (at < text.len && !is_hex(text.ptr[at]) && text.ptr[at] != ':' && text.ptr[at] != '%')
        at++;
    return at;
}

/* An address at `at`; else false, and *next is where to go on. */
static bool match_address(const struct shape_search *search, size_t at, struct shape *shape,
                          size_t *next) {
    struct span text = search->text;
    size_t run = hex_run(text, at);
    if (!search->no_ips && (run || text.ptr[at] == ':') && may_start_ipv6(text, at) &&
        match_ipv6(text, at, shape))
        return true;
    *next = at + (run ? run : 1);
    while (!run && *next < text.len && text.ptr[at] == ':' && text.ptr[*next] == ':')
        ++*next;
    if (run == 8 && is_uuid(text, at)) {
        /* of version 1 the last group is the maker's MAC address (RFC 9562, 5.1) */
        *next = at + (text.ptr[at + UUID_VERSION] == '1' ? UUID_NODE : UUID_BYTES);
        return false;
    }
    if (run && !search->no_ips && is_digit(text.ptr[at]) && match_ipv4(text, at, shape))
        return true;
    return run && match_mac(text, at, run, shape);
}

/* Goes past an octet that is escaped as in a URL, unless a MAC address starts behind its '%'. */
static bool is_escaped_octet(struct span text, size_t at) {
    return text.ptr[at] == '%' && is_hex_at(text, at + 1) && is_hex_at(text, at + 2) &&
           hex_run(text, at + 1) != MAC_DIGITS;
}

/* Only what is there is looked for again, so that a text of many addresses is walked once. */
static void prepare_email(struct shape_search *search) {
    size_t at, len;
    if (search->has_email && search->email.start < search->at)
        search->has_email = false;
    if (!search->emails || search->has_email)
        return;
    search->has_email = find_email(search->text, search->at, &search->email, &at, &len);
    search->emails = search->has_email;
}

bool shape_next(struct shape_search *search, struct shape *shape) {
    prepare_email(search);
    size_t limit = search->has_email ? search->email.start : search->text.len;
    while (search->addresses && (search->at = skip_others(search->text, search->at)) < limit) {
        size_t at = search->at;
        if (match_address(search, at, shape, &search->at)) {
            search->at = shape->end; /* may reach into the e-mail address: a MAC address's user */
            return true;
        }
        if (is_escaped_octet(search->text, at))
            search->at = at + 3;
    }
    if (!search->has_email)
        return false;
    *shape = search->email;
    search->at = shape->end;
    search->has_email = false;
    return true;
}
