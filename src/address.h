/* Ranges of IP addresses (CIDR, RFC 4632 and 4291), for allow_from. IPv4 stands as ::ffff:a.b.c.d,
 * so that a peer matches whichever socket it came by. Pure. */
#ifndef ROLLCALL_ADDRESS_H
#define ROLLCALL_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "util/err.h"

struct address_range {
    struct in6_addr base;
    unsigned prefix; /* bits of base that count, 0 to 128 */
};

enum address_result {
    ADDRESS_OK = 0,
    ADDRESS_MALFORMED = 1,
    ADDRESS_HOST_BITS = 2, /* bits behind the prefix are set: most likely a slip of the pen */
};

enum { ADDRESS_TEXT_BYTES = INET6_ADDRSTRLEN + 4 };

/* "192.0.2.0/24", "2001:db8::/32", or an address alone. On ADDRESS_HOST_BITS the range is what was
 * probably meant. */
int address_parse(const char *text, struct address_range *range) MUST_CHECK;
/* As address_parse reads it, NUL-terminated. */
void address_format(const struct address_range *range, char text[ADDRESS_TEXT_BYTES]);
bool address_matches(const struct address_range *range, const struct in6_addr *address);
/* An IPv4 or IPv6 socket's address; false for any other family. */
bool address_from_sockaddr(const struct sockaddr_storage *from, struct in6_addr *address);

#endif
