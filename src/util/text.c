/* Text forms of the senders' values; see text.h. */
#include "util/text.h"

#include <assert.h>
#include <string.h>

const uint8_t text_hex_values_plus_1[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

static inline bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *p, const char *end) {
    while (p < end && is_digit(*p))
        p++;
    return p;
}

/* --- Numbers --------------------------------------------------------------- */

bool text_is_number(struct span text) {
    if (!text.len)
        return false;
    const char *p = text.ptr;
    const char *end = p + text.len;
    if (*p == '-')
        p++;
    const char *digits = p;
    p = skip_digits(p, end);
    if (p == digits || (*digits == '0' && p - digits > 1))
        return false;
    if (p < end && *p == '.') {
        digits = ++p;
        p = skip_digits(p, end);
        if (p == digits)
            return false;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        digits = p;
        p = skip_digits(p, end);
        if (p == digits)
            return false;
    }
    return p == end;
}

bool text_number_is_zero(struct span number) {
    for (size_t i = 0; i < number.len; i++) {
        char c = number.ptr[i];
        if (c == 'e' || c == 'E')
            break;
        if (c >= '1' && c <= '9')
            return false;
    }
    return number.len > 0;
}

bool text_parse_integer(struct span text, int64_t *value) {
    enum { MAX_DIGITS = 18 }; /* 10^18 - 1 fits into 63 bits */
    bool negative = text.len && text.ptr[0] == '-';
    size_t digits = text.len - negative;
    if (digits < 1 || digits > MAX_DIGITS)
        return false;
    int64_t sum = 0;
    for (size_t i = negative; i < text.len; i++) {
        if (!is_digit(text.ptr[i]))
            return false;
        sum = sum * 10 + (text.ptr[i] - '0');
    }
    *value = negative ? -sum : sum;
    return true;
}

/* Writes the two digits of a number below 100. */
static inline void format_two(unsigned value, char *dst) {
    dst[0] = (char)('0' + value / 10);
    dst[1] = (char)('0' + value % 10);
}

/* Two digits at a time, from the end. */
static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324"
                                  "25262728293031323334353637383940414243444546474849"
                                  "50515253545556575859606162636465666768697071727374"
                                  "75767778798081828384858687888990919293949596979899";

unsigned text_format_u64(uint64_t value, char *dst) {
    char reversed[U64_TEXT_BYTES];
    char *p = reversed + sizeof reversed;
    while (value >= 100) {
        p -= 2;
        memcpy(p, digit_pairs + 2 * (value % 100), 2);
        value /= 100;
    }
    if (value >= 10) {
        p -= 2;
        memcpy(p, digit_pairs + 2 * value, 2);
    } else {
        *--p = (char)('0' + value);
    }
    unsigned len = (unsigned)(reversed + sizeof reversed - p);
    memcpy(dst, p, len);
    return len;
}

/* Eight digits at a time: each nibble gets a byte of its own, and those past 9 what lies between
 * '9' + 1 and 'a' in ASCII. */
static uint64_t hex_digits(const uint8_t bytes[4]) {
    uint64_t x = (uint64_t)bytes[0] | (uint64_t)bytes[1] << 16 | (uint64_t)bytes[2] << 32 |
                 (uint64_t)bytes[3] << 48;
    x = (x >> 4 & 0x000f000f000f000f) | (x & 0x000f000f000f000f) << 8;
    uint64_t past_nine = (x + 0x0606060606060606) >> 4 & 0x0101010101010101;
    return x + 0x3030303030303030 + past_nine * ('a' - '9' - 1);
}

void text_format_hex(const void *bytes, size_t len, char *dst) {
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = bytes;
    for (; len >= 4; len -= 4, p += 4, dst += 8) {
        uint64_t text = hex_digits(p);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        text = __builtin_bswap64(text);
#endif
        memcpy(dst, &text, sizeof text);
    }
    for (; len; len--, p++) {
        *dst++ = digits[*p >> 4];
        *dst++ = digits[*p & 15];
    }
}

/* --- MAC addresses --------------------------------------------------------- */

/* Groups of `digits` hex digits with `separator` between them; text.len fits exactly. */
static inline uint64_t parse_mac_groups(struct span text, size_t digits, char separator) {
    uint64_t mac = 0;
    int bad = 0; /* its sign: any digit that was -1 */
    for (const char *p = text.ptr, *end = p + text.len; p < end;) {
        if (p > text.ptr && *p++ != separator)
            return MAC_NONE;
        for (size_t i = 0; i < digits; i++) {
            int digit = text_hex_value(*p++);
            bad |= digit;
            mac = mac << 4 | (unsigned)digit;
        }
    }
    return bad < 0 ? MAC_NONE : mac;
}

uint64_t text_parse_mac(struct span text) {
    enum { BARE_BYTES = 12, QUADS_BYTES = 14 };
    if (text.len == BARE_BYTES)
        return parse_mac_groups(text, 12, 0);
    if (text.len == MAC_TEXT_BYTES && (text.ptr[2] == ':' || text.ptr[2] == '-'))
        return parse_mac_groups(text, 2, text.ptr[2]);
    if (text.len == QUADS_BYTES)
        return parse_mac_groups(text, 4, '.');
    return MAC_NONE;
}

void text_format_mac(uint64_t mac, char *dst) {
    uint8_t octets[8] = {0};
    char digits[16];
    for (unsigned i = 0; i < 6; i++)
        octets[i] = (uint8_t)(mac >> (40 - 8 * i));
    text_format_hex(octets, sizeof octets, digits);
    for (unsigned i = 0; i < 6; i++) {
        memcpy(dst + 3 * i, digits + 2 * i, 2);
        if (i < 5)
            dst[3 * i + 2] = ':';
    }
}

/* --- Times ----------------------------------------------------------------- */

#define SECOND_MS INT64_C(1000)
#define DAY_MS    (INT64_C(86400) * SECOND_MS)
#define DAY_US    (DAY_MS * 1000)
#define TIME_END  INT64_C(253402300800000) /* 10000-01-01T00:00:00Z, in ms */

/* The Gregorian calendar repeats itself every 400 years, which have 146097 days. Years are counted
 * from March here, so that the leap day is the last of its year and month lengths before it follow
 * one formula: the months from March on begin at day (153 * month + 2) / 5. */
enum { CYCLE_YEARS = 400, CYCLE_DAYS = 146097, EPOCH_FROM_MARCH_YEAR_0 = 719468 };

static bool is_leap_year(unsigned year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_in_month(unsigned year, unsigned month) {
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap_year(year) ? 29 : days[month - 1];
}

/* Days from 1970-01-01 to a valid date. */
static int64_t days_from_date(unsigned year, unsigned month, unsigned day) {
    unsigned march_year = year - (month <= 2);
    unsigned march_month = month <= 2 ? month + 9 : month - 3;
    unsigned cycle = march_year / CYCLE_YEARS;
    unsigned y = march_year % CYCLE_YEARS;
    unsigned day_of_year = (153 * march_month + 2) / 5 + day - 1;
    unsigned day_of_cycle = y * 365 + y / 4 - y / 100 + day_of_year;
    return (int64_t)cycle * CYCLE_DAYS + day_of_cycle - EPOCH_FROM_MARCH_YEAR_0;
}

/* Writes "yyyy-mm-dd" for a day counted from 1970-01-01. */
static void format_date(uint32_t days, char *dst) {
    uint32_t shifted = days + EPOCH_FROM_MARCH_YEAR_0;
    uint32_t cycle = shifted / CYCLE_DAYS;
    uint32_t day_of_cycle = shifted % CYCLE_DAYS;
    /* Takes the leap days passed off first, so that all years left are 365 days long. */
    uint32_t y =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36524 - day_of_cycle / 146096) / 365;
    uint32_t day_of_year = day_of_cycle - (y * 365 + y / 4 - y / 100);
    uint32_t march_month = (5 * day_of_year + 2) / 153;
    uint32_t day = day_of_year - (153 * march_month + 2) / 5 + 1;
    uint32_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    uint32_t year = cycle * CYCLE_YEARS + y + (month <= 2);
    format_two(year / 100, dst);
    format_two(year % 100, dst + 2);
    dst[4] = '-';
    format_two(month, dst + 5);
    dst[7] = '-';
    format_two(day, dst + 8);
}

/* Writes "yyyy-mm-ddThh:mm:ss.". One batch is of today and of yesterday (HiveManager repeats
 * records a day old), so neighbouring days have a place each. The node has one thread. */
static void format_seconds(uint32_t day, uint32_t second, char *dst) {
    enum { DATE_BYTES = 10, PLACES = 2 };
    static struct {
        uint32_t day_plus_1; /* 0 = nothing here yet */
        char date[DATE_BYTES];
    } cache[PLACES];
    if (cache[day % PLACES].day_plus_1 != day + 1) {
        format_date(day, cache[day % PLACES].date);
        cache[day % PLACES].day_plus_1 = day + 1;
    }
    memcpy(dst, cache[day % PLACES].date, DATE_BYTES);
    dst[10] = 'T';
    format_two(second / 3600, dst + 11);
    dst[13] = ':';
    format_two(second / 60 % 60, dst + 14);
    dst[16] = ':';
    format_two(second % 60, dst + 17);
    dst[19] = '.';
}

static void format_decimals(uint32_t value, unsigned digits, char *dst) {
    while (digits--) {
        dst[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

void text_format_time_ms(int64_t time_ms, char *dst) {
    assert(time_ms >= 0 && time_ms < TIME_END);
    uint32_t ms = (uint32_t)(time_ms % DAY_MS);
    format_seconds((uint32_t)(time_ms / DAY_MS), ms / 1000, dst);
    format_decimals(ms % 1000, 3, dst + 20);
    dst[23] = 'Z';
}

void text_format_time_us(int64_t time_us, char *dst) {
    assert(time_us >= 0 && time_us < TIME_END * 1000);
    uint64_t us = (uint64_t)(time_us % DAY_US);
    format_seconds((uint32_t)(time_us / DAY_US), (uint32_t)(us / 1000000), dst);
    format_decimals((uint32_t)(us % 1000000), 6, dst + 20);
    dst[26] = 'Z';
}

/* Reads exactly `count` digits off the front; false when they are not there. */
static bool take_digits(struct span *text, unsigned count, unsigned *value) {
    if (text->len < count)
        return false;
    *value = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!is_digit(text->ptr[i]))
            return false;
        *value = *value * 10 + (unsigned)(text->ptr[i] - '0');
    }
    text->ptr += count;
    text->len -= count;
    return true;
}

/* Takes one character off the front when it is one of `set`; 0 when it is not. */
static char take_char(struct span *text, const char *set) {
    if (!text->len || !text->ptr[0] || !strchr(set, text->ptr[0]))
        return 0;
    text->len--;
    return *text->ptr++;
}

/* Decimals of a second, 1-9 of them, cut off to ms. */
static bool take_fraction(struct span *text, unsigned *ms) {
    enum { MAX_DECIMALS = 9 };
    unsigned weight = 100;
    size_t before = text->len;
    *ms = 0;
    for (unsigned digit; take_digits(text, 1, &digit); weight /= 10)
        *ms += digit * weight;
    return before > text->len && before - text->len <= MAX_DECIMALS;
}

/* "Z", or what local time is ahead of UTC. */
static bool take_zone(struct span *text, int *ahead_minutes) {
    unsigned hours;
    unsigned minutes = 0;
    *ahead_minutes = 0;
    if (take_char(text, "Zz"))
        return true;
    char sign = take_char(text, "+-");
    if (!sign || !take_digits(text, 2, &hours) || hours > 23)
        return false;
    if (text->len) {
        take_char(text, ":");
        if (!take_digits(text, 2, &minutes) || minutes > 59)
            return false;
    }
    *ahead_minutes = (int)(hours * 60 + minutes) * (sign == '-' ? -1 : 1);
    return true;
}

static bool take_date(struct span *text, int64_t *days) {
    unsigned year;
    unsigned month;
    unsigned day;
    if (!take_digits(text, 4, &year) || !take_char(text, "-") || !take_digits(text, 2, &month) ||
        !take_char(text, "-") || !take_digits(text, 2, &day))
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *days = days_from_date(year, month, day);
    return true;
}

int64_t text_parse_iso_time(struct span text) {
    int64_t days;
    unsigned hour;
    unsigned minute;
    unsigned second;
    unsigned ms = 0;
    int ahead_minutes;
    if (!take_date(&text, &days) || !take_char(&text, "Tt ") || !take_digits(&text, 2, &hour) ||
        !take_char(&text, ":") || !take_digits(&text, 2, &minute) || !take_char(&text, ":") ||
        !take_digits(&text, 2, &second) || (take_char(&text, ".") && !take_fraction(&text, &ms)) ||
        !take_zone(&text, &ahead_minutes) || text.len || hour > 23 || minute > 59 || second > 60)
        return TIME_NONE;
    int64_t minutes = days * 1440 + hour * 60 + minute - ahead_minutes;
    if (second == 60 && (minutes < 0 || minutes % 1440 != 1439))
        return TIME_NONE; /* leap seconds are the last of a UTC day (RFC 3339, 5.7) */
    int64_t time = (minutes * 60 + second) * SECOND_MS + ms;
    return time >= 0 && time < TIME_END ? time : TIME_NONE;
}

/* A JSON number above zero as digits * 10^exponent, its digits cut off after the 18th. */
struct decimal {
    uint64_t digits;
    int digit_count;
    int64_t exponent;
};

static struct decimal parse_decimal(struct span number) {
    enum { MAX_DIGITS = 18, MAX_EXPONENT = 1000000 };
    struct decimal d = {0};
    size_t i = 0;
    bool behind_point = false;
    for (; i < number.len && number.ptr[i] != 'e' && number.ptr[i] != 'E'; i++) {
        if (number.ptr[i] == '.') {
            behind_point = true;
            continue;
        }
        bool kept = d.digit_count < MAX_DIGITS;
        if (kept) {
            d.digits = d.digits * 10 + (uint64_t)(number.ptr[i] - '0');
            d.digit_count += d.digits > 0;
        }
        d.exponent += !kept - behind_point;
    }
    if (i >= number.len)
        return d;
    bool negative = number.ptr[++i] == '-';
    int64_t exponent = 0;
    for (i += !is_digit(number.ptr[i]); i < number.len; i++)
        if (exponent < MAX_EXPONENT) /* far from any time already */
            exponent = exponent * 10 + (number.ptr[i] - '0');
    d.exponent += negative ? -exponent : exponent;
    return d;
}

int64_t text_parse_epoch(struct span text) {
    enum { MS_DIGITS = 12, MAX_DIGITS = 15 }; /* 1e11 has 12 digits, TIME_END has 15 */
    if (!text_is_number(text) || text.ptr[0] == '-')
        return TIME_NONE;
    struct decimal d = parse_decimal(text);
    if (d.digit_count + d.exponent < MS_DIGITS)
        d.exponent += 3; /* seconds */
    if (d.digit_count + d.exponent > MAX_DIGITS)
        return TIME_NONE;
    for (; d.exponent > 0 && d.digits; d.exponent--)
        d.digits *= 10;
    for (; d.exponent < 0 && d.digits; d.exponent++)
        d.digits /= 10;
    return d.digits > 0 && d.digits < (uint64_t)TIME_END ? (int64_t)d.digits : TIME_NONE;
}
