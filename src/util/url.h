/* https:// URLs, as programs are given them. */
#ifndef ROLLCALL_UTIL_URL_H
#define ROLLCALL_UTIL_URL_H

#include <stdint.h>

enum { URL_HOST_BYTES = 256, URL_TARGET_BYTES = 2048 };

struct url {
    char host[URL_HOST_BYTES];          /* a name, or an IP address without brackets */
    char authority[URL_HOST_BYTES + 8]; /* as it stands: the Host field's value */
    char target[URL_TARGET_BYTES];      /* path and query, at least "/" */
    uint16_t port;                      /* 443 where none is said */
};

/* https://HOST[:PORT][/PATH][?QUERY] (RFC 9110, 4.2.2); HOST may be [IPv6]. NULL, or what is wrong
 * with it: static text to follow the URL, such as "has no valid port". */
const char *url_parse_https(const char *text, struct url *url);

#endif
