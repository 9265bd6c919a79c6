/* The configuration's values as text; see config_value.h. */
#include "config_value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A suffix and what it multiplies by; in a table from the largest to the smallest. */
struct unit {
    const char *suffix;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"G", UINT64_C(1) << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct unit duration_units[] = {
    {"h", UINT64_C(3600) * 1000}, {"m", UINT64_C(60) * 1000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};

/* Reads digits of `base` at *text and moves it behind them. strtoull would take blanks and signs.
 */
static int parse_digits(const char **text, unsigned base, uint64_t *value) {
    const char *p = *text;
    bool overflow = false;

    *value = 0;
    for (; *p >= '0' && (unsigned)(*p - '0') < base; p++) {
        overflow |= __builtin_mul_overflow(*value, base, value);
        overflow |= __builtin_add_overflow(*value, (uint64_t)(*p - '0'), value);
    }
    if (p == *text)
        return CONFIG_VALUE_MALFORMED;
    *text = p;
    return overflow ? CONFIG_VALUE_TOO_LARGE : CONFIG_VALUE_OK;
}

int config_parse_count(const char *text, uint64_t *count) {
    int rc = parse_digits(&text, 10, count);
    return *text ? CONFIG_VALUE_MALFORMED : rc;
}

static int parse_with_unit(const char *text, const struct unit *units, uint64_t *value) {
    int rc = parse_digits(&text, 10, value);
    if (rc == CONFIG_VALUE_MALFORMED)
        return rc;
    while (units->suffix && strcasecmp(text, units->suffix) != 0)
        units++;
    if (!units->suffix)
        return CONFIG_VALUE_MALFORMED;
    if (rc || __builtin_mul_overflow(*value, units->factor, value))
        return CONFIG_VALUE_TOO_LARGE;
    return CONFIG_VALUE_OK;
}

int config_parse_size(const char *text, uint64_t *bytes) {
    return parse_with_unit(text, size_units, bytes);
}

int config_parse_duration(const char *text, uint64_t *ms) {
    return parse_with_unit(text, duration_units, ms);
}

int config_parse_mode(const char *text, unsigned *mode) {
    uint64_t value;
    int rc = parse_digits(&text, 8, &value);
    if (rc == CONFIG_VALUE_MALFORMED || *text)
        return CONFIG_VALUE_MALFORMED;
    if (rc || value > 0777)
        return CONFIG_VALUE_TOO_LARGE;
    *mode = (unsigned)value;
    return CONFIG_VALUE_OK;
}

int config_parse_address(const char *text, struct config_address *address) {
    unsigned char binary[sizeof(struct in6_addr)];
    const char *colon = strrchr(text, ':');
    bool v6 = text[0] == '[';
    uint64_t port;

    if (!colon || colon == text || (v6 && colon[-1] != ']'))
        return CONFIG_VALUE_MALFORMED;
    const char *host = v6 ? text + 1 : text;
    size_t len = (size_t)(colon - host) - (v6 ? 1 : 0);
    if (len >= sizeof(address->host))
        return CONFIG_VALUE_MALFORMED;
    memcpy(address->host, host, len);
    address->host[len] = '\0';
    if (inet_pton(v6 ? AF_INET6 : AF_INET, address->host, binary) != 1)
        return CONFIG_VALUE_MALFORMED;
    int rc = config_parse_count(colon + 1, &port);
    if (rc)
        return rc;
    if (port > UINT16_MAX)
        return CONFIG_VALUE_TOO_LARGE;
    address->port = (uint16_t)port;
    return CONFIG_VALUE_OK;
}

static void format_with_unit(uint64_t value, const struct unit *units, const char *zero,
                             char text[CONFIG_VALUE_TEXT_BYTES]) {
    if (value == 0) {
        snprintf(text, CONFIG_VALUE_TEXT_BYTES, "%s", zero);
        return;
    }
    while (value % units->factor != 0)
        units++;
    snprintf(text, CONFIG_VALUE_TEXT_BYTES, "%llu%s", (unsigned long long)(value / units->factor),
             units->suffix);
}

void config_format_size(uint64_t bytes, char text[CONFIG_VALUE_TEXT_BYTES]) {
    format_with_unit(bytes, size_units, "0", text);
}

void config_format_duration(uint64_t ms, char text[CONFIG_VALUE_TEXT_BYTES]) {
    format_with_unit(ms, duration_units, "0s", text);
}

void config_format_address(const struct config_address *address,
                           char text[CONFIG_VALUE_TEXT_BYTES]) {
    bool v6 = strchr(address->host, ':') != NULL;
    snprintf(text, CONFIG_VALUE_TEXT_BYTES, v6 ? "[%s]:%u" : "%s:%u", address->host,
             (unsigned)address->port);
}

bool config_is_loopback(const struct config_address *address) {
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address->host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address->host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

enum { WORD_MAX = 63 };

static bool same_letter(char a, char b) {
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static unsigned smaller(unsigned a, unsigned b) {
    return a < b ? a : b;
}

/* The optimal string alignment distance, row by row; cost[0] is the row at work. */
unsigned config_word_distance(const char *a, const char *b, unsigned limit) {
    unsigned rows[3][WORD_MAX + 1];
    unsigned *cost[3] = {rows[0], rows[1], rows[2]};
    size_t a_len = strlen(a), b_len = strlen(b);

    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return limit + 1;
    for (size_t j = 0; j <= b_len; j++)
        cost[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *oldest = cost[2];
        cost[2] = cost[1];
        cost[1] = cost[0];
        cost[0] = oldest;
        cost[0][0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned best = cost[1][j - 1] + !same_letter(a[i - 1], b[j - 1]);
            best = smaller(best, smaller(cost[1][j], cost[0][j - 1]) + 1);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                same_letter(a[i - 2], b[j - 1]))
                best = smaller(best, cost[2][j - 2] + 1);
            cost[0][j] = best;
        }
    }
    return smaller(cost[0][b_len], limit + 1);
}
