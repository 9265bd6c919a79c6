/* The values of the configuration as text: sizes, times, counts, addresses, file modes, and which
 * known word a misspelt one was meant to be. Pure: no file, no environment, no messages.
 *
 * Not here: which key takes which value and its range (config.c). */
#ifndef ROLLCALL_CONFIG_VALUE_H
#define ROLLCALL_CONFIG_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "util/err.h"

enum config_value_result {
    CONFIG_VALUE_OK = 0,
    CONFIG_VALUE_MALFORMED = 1,
    CONFIG_VALUE_TOO_LARGE = 2, /* past what 64 bits hold */
};

/* Decimal digits. */
int config_parse_count(const char *text, uint64_t *count) MUST_CHECK;
/* Digits and K, M or G (of 1024, either case); without a unit bytes. */
int config_parse_size(const char *text, uint64_t *bytes) MUST_CHECK;
/* Digits and ms, s, m or h. The unit must be written: nobody should guess whether 10 is ms. */
int config_parse_duration(const char *text, uint64_t *ms) MUST_CHECK;
/* Octal digits, as chmod takes them, up to 0777. */
int config_parse_mode(const char *text, unsigned *mode) MUST_CHECK;
/* ADDRESS:PORT, numeric; IPv6 in brackets. Leaves `line` alone. */
int config_parse_address(const char *text, struct config_address *address) MUST_CHECK;

/* Whether nobody but this machine can reach it. */
bool config_is_loopback(const struct config_address *address);

/* The shortest text that parses to the same value; always fits. */
enum { CONFIG_VALUE_TEXT_BYTES = 80 };
void config_format_size(uint64_t bytes, char text[CONFIG_VALUE_TEXT_BYTES]);
void config_format_duration(uint64_t ms, char text[CONFIG_VALUE_TEXT_BYTES]);
void config_format_address(const struct config_address *address,
                           char text[CONFIG_VALUE_TEXT_BYTES]);

/* How many single-letter mistakes (one too many, missing, wrong, or two swapped) lie between the
 * two, letter case aside; `limit` + 1 when more than `limit`, or when a word is over 63 bytes. */
unsigned config_word_distance(const char *a, const char *b, unsigned limit);

#endif
