/* URLs taken apart; see url.h. */
#include "util/url.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "", or ":8443"; 443 without. */
static bool parse_port(const char *text, size_t len, uint16_t *port) {
    unsigned long value = 0;
    *port = 443;
    if (len == 0)
        return true;
    if (*text != ':' || len < 2 || len > 6)
        return false;
    for (size_t i = 1; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (unsigned long)(text[i] - '0');
    }
    *port = (uint16_t)value;
    return value > 0 && value < 65536;
}

static bool is_plain(const char *text) {
    for (; *text; text++)
        if (*text <= ' ' || *text > '~' || *text == '#')
            return false;
    return true;
}

const char *url_parse_https(const char *text, struct url *url) {
    if (strncmp(text, "https://", 8) != 0)
        return "is no https:// URL";
    if (!is_plain(text))
        return "is not printable ASCII without blanks and '#'";
    const char *authority = text + 8;
    size_t len = strcspn(authority, "/?");
    bool bracket = *authority == '[';
    const char *host = authority + bracket, *rest = authority + len;
    size_t host_len = strcspn(host, bracket ? "]/?" : ":/?");
    if (host_len == 0 || host_len >= sizeof url->host || memchr(authority, '@', len) ||
        (bracket && host[host_len] != ']'))
        return "has no valid host";
    const char *colon = host + host_len + bracket;
    if (!parse_port(colon, (size_t)(rest - colon), &url->port))
        return "has no valid port";
    if (strlen(rest) + 1 >= sizeof url->target)
        return "has a path of more than 2046 characters";
    snprintf(url->host, sizeof url->host, "%.*s", (int)host_len, host);
    snprintf(url->authority, sizeof url->authority, "%.*s", (int)len, authority);
    snprintf(url->target, sizeof url->target, "%s%s", *rest == '/' ? "" : "/", rest);
    return NULL;
}
