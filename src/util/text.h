/* Text forms of the senders' values: MAC addresses, times, numbers. Pure functions over spans. */
#ifndef ROLLCALL_UTIL_TEXT_H
#define ROLLCALL_UTIL_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "util/span.h"

/* A 48-bit MAC address, first octet highest; MAC_NONE for none. */
#define MAC_NONE UINT64_MAX
/* The locally administered bit of the first octet (IEEE 802): a randomised address. */
#define MAC_IS_RANDOMIZED(mac) (((mac) >> 41) & 1)
enum { MAC_TEXT_BYTES = 17 };

/* Any spelling of 12 hex digits: bare, or pairs joined by ':' or '-', or Cisco's quads joined by
 * '.'; either case. MAC_NONE when it is none of them. */
uint64_t text_parse_mac(struct span text);
/* Writes "aa:bb:cc:dd:ee:ff", 17 bytes, no NUL. */
void text_format_mac(uint64_t mac, char *dst);

/* Unix time in ms; TIME_NONE for none. */
#define TIME_NONE INT64_MIN

/* An ISO 8601 / RFC 3339 date and time: 'T', 't' or a blank between, 0-9 decimals, then 'Z', 'z',
 * +hh:mm, +hhmm or +hh (or -). What is finer than ms is cut off. A leap second (23:59:60 UTC) is
 * the second behind it, as Unix time has it. TIME_NONE when it is none, names a day that is not, or
 * is not within 1970-9999 UTC. */
int64_t text_parse_iso_time(struct span text);
/* A JSON number of seconds, fractional seconds or milliseconds since 1970, told apart by magnitude
 * (>= 1e11 is milliseconds; see SENDERS of the contract: 1e11 s would be the year 5138). Zero and
 * below, not a number, or beyond 9999-12-31: TIME_NONE. What is finer than ms is cut off, exactly.
 */
int64_t text_parse_epoch(struct span text);

/* Whether the text is exactly one JSON number (RFC 8259, 6), as senders also quote them. */
bool text_is_number(struct span text);

/* The same, in a few instructions, of a number of at most TEXT_NUMBER_PADDING bytes without an
 * exponent; false of others, whatever they are. So many bytes from text.ptr on must be readable. */
enum { TEXT_NUMBER_PADDING = 32 };

#ifdef __SSE2__
/* A bit for each of the 16 bytes that is a digit. */
static inline uint64_t text_digits_of_16(const char *p) {
    __m128i values = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)p), _mm_set1_epi8('0'));
    __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(values, _mm_set1_epi8(9)), values);
    return (uint64_t)_mm_movemask_epi8(is_digit);
}
#endif

static inline bool text_is_plain_number(struct span text) {
#ifdef __SSE2__
    if (text.len - 1 >= TEXT_NUMBER_PADDING)
        return false;
    uint64_t digits = text_digits_of_16(text.ptr);
    if (text.len > 16)
        digits |= text_digits_of_16(text.ptr + 16) << 16;
    unsigned sign = text.ptr[0] == '-';
    const char *p = text.ptr + sign;
    size_t len = text.len - sign;
    uint64_t other = ~digits >> sign; /* what is beyond the bytes looked at counts as no digit */
    unsigned whole = (unsigned)__builtin_ctzll(other);
    if (whole == 0 || (p[0] == '0' && whole > 1))
        return false;
    if (whole == len)
        return true;
    unsigned end = (unsigned)__builtin_ctzll(other & (other - 1));
    return p[whole] == '.' && end == len && end > whole + 1;
#else
    return (void)text, false;
#endif
}
/* Whether a JSON number is zero, however it is written (0, -0.0, 0e5). */
bool text_number_is_zero(struct span number);
/* An integer of up to 18 digits, optional '-'. False when it is none. */
bool text_parse_integer(struct span text, int64_t *value);

/* RFC 3339, UTC. Bytes written: 24 with milliseconds, 27 with microseconds; no NUL. The date part
 * is kept from call to call, so a run of times of one day is cheap. time in 1970-9999. Not
 * thread-safe. */
enum { TIME_MS_TEXT_BYTES = 24, TIME_US_TEXT_BYTES = 27 };
void text_format_time_ms(int64_t time_ms, char *dst);
void text_format_time_us(int64_t time_us, char *dst);

/* The value of a hexadecimal digit, or -1. A table, because the branches of a comparison would be
 * guessed wrong for every third digit of a MAC address. */
extern const uint8_t text_hex_values_plus_1[256];
static inline int text_hex_value(char c) {
    return text_hex_values_plus_1[(unsigned char)c] - 1;
}

/* Decimal digits of a number; returns the bytes written (at most 20), no NUL. */
enum { U64_TEXT_BYTES = 20 };
unsigned text_format_u64(uint64_t value, char *dst);
/* Lower-case hex of `len` bytes: 2 * len bytes written. */
void text_format_hex(const void *bytes, size_t len, char *dst);

#endif
