/* Ranges of IP addresses; see address.h. */
#include "address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { V4_PREFIX = 96 }; /* bits of ::ffff:0:0, which stands in front of an IPv4 address */

static void map_v4(const struct in_addr *v4, struct in6_addr *address) {
    memset(address, 0, sizeof *address);
    address->s6_addr[10] = address->s6_addr[11] = 0xff;
    memcpy(address->s6_addr + 12, v4, sizeof *v4);
}

bool address_from_sockaddr(const struct sockaddr_storage *from, struct in6_addr *address) {
    if (from->ss_family == AF_INET6)
        *address = ((const struct sockaddr_in6 *)from)->sin6_addr;
    else if (from->ss_family == AF_INET)
        map_v4(&((const struct sockaddr_in *)from)->sin_addr, address);
    else
        return false;
    return true;
}

/* Digits only, 0 to `max`; -1 for anything else. */
static int parse_prefix(const char *text, int max) {
    int value = 0;
    if (!*text)
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        value = value * 10 + (*text - '0');
        if (value > max)
            return -1;
    }
    return value;
}

static unsigned char mask_of(unsigned prefix, unsigned byte) {
    unsigned bits = prefix <= 8 * byte ? 0 : prefix - 8 * byte;
    return bits >= 8 ? 0xff : (unsigned char)(0xff00U >> bits);
}

int address_parse(const char *text, struct address_range *range) {
    char host[ADDRESS_TEXT_BYTES];
    struct in_addr v4;
    int prefix, result = ADDRESS_OK;
    size_t len = strcspn(text, "/");

    if (len >= sizeof host)
        return ADDRESS_MALFORMED;
    memcpy(host, text, len);
    host[len] = 0;
    bool is_v4 = inet_pton(AF_INET, host, &v4) == 1;
    int bits = is_v4 ? 32 : 128;
    if (is_v4)
        map_v4(&v4, &range->base);
    else if (inet_pton(AF_INET6, host, &range->base) != 1)
        return ADDRESS_MALFORMED;
    prefix = text[len] ? parse_prefix(text + len + 1, bits) : bits;
    if (prefix < 0)
        return ADDRESS_MALFORMED;
    range->prefix = (unsigned)prefix + (is_v4 ? V4_PREFIX : 0);
    for (unsigned i = 0; i < sizeof range->base.s6_addr; i++) {
        unsigned char mask = mask_of(range->prefix, i);
        if (range->base.s6_addr[i] & ~mask)
            result = ADDRESS_HOST_BITS;
        range->base.s6_addr[i] &= mask;
    }
    return result;
}

void address_format(const struct address_range *range, char text[ADDRESS_TEXT_BYTES]) {
    bool is_v4 = IN6_IS_ADDR_V4MAPPED(&range->base) && range->prefix >= V4_PREFIX;
    unsigned prefix = range->prefix - (is_v4 ? V4_PREFIX : 0), bits = is_v4 ? 32 : 128;
    const void *address = is_v4 ? &range->base.s6_addr[12] : range->base.s6_addr;
    (void)inet_ntop(is_v4 ? AF_INET : AF_INET6, address, text, ADDRESS_TEXT_BYTES); /* it fits */
    if (prefix != bits)
        snprintf(text + strlen(text), ADDRESS_TEXT_BYTES - strlen(text), "/%u", prefix);
}

bool address_matches(const struct address_range *range, const struct in6_addr *address) {
    unsigned whole = range->prefix / 8;
    if (memcmp(range->base.s6_addr, address->s6_addr, whole) != 0)
        return false;
    return range->prefix % 8 == 0 || ((range->base.s6_addr[whole] ^ address->s6_addr[whole]) &
                                      mask_of(range->prefix, whole)) == 0;
}
