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

static unsigned count_digits(uint64_t value) {
    unsigned count = 1;
    for (; value >= 10000; value /= 10000)
        count += 4;
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

unsigned text_format_u64(uint64_t value, char *dst) {
    unsigned len = count_digits(value);
    char *p = dst + len;
    while (value >= 100) {
        p -= 2;
        memcpy(p, digit_pairs + 2 * (value % 100), 2);
        value /= 100;
    }
    if (value >= 10)
        memcpy(dst, digit_pairs + 2 * value, 2);
    else
        *dst = (char)('0' + value);
    return len;
}

#define HEX_ROW(digit)                                                                             \
    digit "0" digit "1" digit "2" digit "3" digit "4" digit "5" digit "6" digit "7" digit          \
          "8" digit "9" digit "a" digit "b" digit "c" digit "d" digit "e" digit "f"

/* The two digits of each byte. */
static const char hex_pairs[] = HEX_ROW("0") HEX_ROW("1") HEX_ROW("2") HEX_ROW("3") HEX_ROW("4")
    HEX_ROW("5") HEX_ROW("6") HEX_ROW("7") HEX_ROW("8") HEX_ROW("9") HEX_ROW("a") HEX_ROW("b")
        HEX_ROW("c") HEX_ROW("d") HEX_ROW("e") HEX_ROW("f");

enum { HEX_BLOCK = 16 };

#ifdef __SSE2__
/* 16 nibbles as digits. */
static inline __m128i hex_digits(__m128i nibbles) {
    __m128i letters =
        _mm_and_si128(_mm_cmpgt_epi8(nibbles, _mm_set1_epi8(9)), _mm_set1_epi8('a' - '0' - 10));
    return _mm_add_epi8(_mm_add_epi8(nibbles, _mm_set1_epi8('0')), letters);
}

static inline void format_hex_block(const uint8_t *bytes, char *dst) {
    __m128i all = _mm_loadu_si128((const __m128i *)bytes), mask = _mm_set1_epi8(15);
    __m128i high = _mm_and_si128(_mm_srli_epi16(all, 4), mask), low = _mm_and_si128(all, mask);
    _mm_storeu_si128((__m128i *)dst, hex_digits(_mm_unpacklo_epi8(high, low)));
    _mm_storeu_si128((__m128i *)(dst + 16), hex_digits(_mm_unpackhi_epi8(high, low)));
}
#else
static inline void format_hex_block(const uint8_t *bytes, char *dst) {
    for (size_t i = 0; i < HEX_BLOCK; i++)
        memcpy(dst + 2 * i, hex_pairs + 2 * bytes[i], 2);
}
#endif

void text_format_hex(const void *bytes, size_t len, char *dst) {
    const uint8_t *p = bytes;
    for (; len >= HEX_BLOCK; len -= HEX_BLOCK, p += HEX_BLOCK, dst += 2 * HEX_BLOCK)
        format_hex_block(p, dst);
    for (size_t i = 0; i < len; i++)
        memcpy(dst + 2 * i, hex_pairs + 2 * p[i], 2);
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
    memcpy(dst, "00:00:00:00:00:00", MAC_TEXT_BYTES);
    memcpy(dst, hex_pairs + 2 * (mac >> 40 & 255), 2);
    memcpy(dst + 3, hex_pairs + 2 * (mac >> 32 & 255), 2);
    memcpy(dst + 6, hex_pairs + 2 * (mac >> 24 & 255), 2);
    memcpy(dst + 9, hex_pairs + 2 * (mac >> 16 & 255), 2);
    memcpy(dst + 12, hex_pairs + 2 * (mac >> 8 & 255), 2);
    memcpy(dst + 15, hex_pairs + 2 * (mac & 255), 2);
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

/* Eight bytes at a time, the first one lowest. */
static inline uint64_t load_le64(const char *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* Eight bytes that should be as in `pattern`, in which a '0' stands for any digit: what they differ
 * by from it, which of a digit is its value. */
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
static inline bool match_eight(const char *p, const char pattern[9], uint64_t *values) {
    uint64_t expected = load_le64(pattern);
    uint64_t zero = expected ^ EACH('0');              /* 0 where a digit is expected ... */
    uint64_t other = (zero + EACH(0x7f)) & EACH(0x80); /* ... and bit 7 elsewhere */
    uint64_t limit = EACH(0x76) + (other >> 7) * (0x7f - 0x76); /* past bit 7 with 10; with 1 */
    *values = load_le64(p) ^ expected;
    return !(((*values + limit) | *values) & EACH(0x80));
}

/* The two digits at that place of what match_eight has found. */
static inline unsigned two_digits(uint64_t values, unsigned place) {
    return (unsigned)(values >> 8 * place & 15) * 10 + (unsigned)(values >> (8 * place + 8) & 15);
}

/* Days to a date, which is nearly always that of the time before. */
static bool find_date(const char *date, int64_t *days) {
    enum { DATE_BYTES = 10 };
    static char last[DATE_BYTES];
    static int64_t last_days;
    if (memcmp(last, date, DATE_BYTES) != 0) {
        struct span text = span_from(date, DATE_BYTES);
        if (!take_date(&text, &last_days)) {
            last[0] = 0;
            return false;
        }
        memcpy(last, date, DATE_BYTES);
    }
    *days = last_days;
    return true;
}

/* The usual forms: "2026-01-05T10:11:12Z", the same with ".345". TIME_NONE for any other. */
static int64_t parse_usual_iso_time(struct span text) {
    enum { SECONDS_BYTES = 20, MS_BYTES = 24 };
    uint64_t clock, rest;
    int64_t days;
    unsigned ms = 0;
    if (text.len != SECONDS_BYTES && text.len != MS_BYTES)
        return TIME_NONE;
    if (text.ptr[10] != 'T' || !match_eight(text.ptr + 11, "00:00:00", &clock))
        return TIME_NONE;
    if (text.len == MS_BYTES) {
        if (!match_eight(text.ptr + 16, ":00.000Z", &rest))
            return TIME_NONE;
        ms = (unsigned)(rest >> 32 & 15) * 100 + two_digits(rest, 5);
    } else if (text.ptr[19] != 'Z') {
        return TIME_NONE;
    }
    unsigned hour = two_digits(clock, 0), minute = two_digits(clock, 3);
    unsigned second = two_digits(clock, 6);
    if (hour > 23 || minute > 59 || second > 59 || !find_date(text.ptr, &days))
        return TIME_NONE;
    return ((days * 24 + hour) * 60 + minute) * 60 * SECOND_MS + second * SECOND_MS + ms;
}

int64_t text_parse_iso_time(struct span text) {
    int64_t usual = parse_usual_iso_time(text);
    if (usual != TIME_NONE)
        return usual;
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

enum { EPOCH_MS_DIGITS = 12, EPOCH_MAX_DIGITS = 15 }; /* 1e11 has 12 digits, TIME_END has 15 */

/* The usual form: as many digits as a time of our days has in seconds or ms. TIME_NONE for any
 * other. */
static int64_t parse_usual_epoch(struct span text) {
    enum { FEWEST = 10, MOST = 13 };
    uint64_t values;
    if (text.len < FEWEST || text.len > MOST || text.ptr[0] == '0' ||
        !match_eight(text.ptr, "00000000", &values))
        return TIME_NONE;
    /* Neighbours are added up: eight digits, four pairs, two fours. */
    values = values * 10 + (values >> 8);
    values = (values & 0x00ff00ff00ff00ff) * 100 + (values >> 16 & 0x00ff00ff00ff00ff);
    values = (values & 0x0000ffff0000ffff) * 10000 + (values >> 32 & 0x0000ffff0000ffff);
    int64_t time = (int64_t)(uint32_t)values;
    for (size_t i = 8; i < text.len; i++) {
        if (!is_digit(text.ptr[i]))
            return TIME_NONE;
        time = time * 10 + (text.ptr[i] - '0');
    }
    return text.len < EPOCH_MS_DIGITS ? time * SECOND_MS : time;
}

int64_t text_parse_epoch(struct span text) {
    int64_t usual = parse_usual_epoch(text);
    if (usual != TIME_NONE)
        return usual;
    if (!text_is_number(text) || text.ptr[0] == '-')
        return TIME_NONE;
    struct decimal d = parse_decimal(text);
    if (d.digit_count + d.exponent < EPOCH_MS_DIGITS)
        d.exponent += 3; /* seconds */
    if (d.digit_count + d.exponent > EPOCH_MAX_DIGITS)
        return TIME_NONE;
    for (; d.exponent > 0 && d.digits; d.exponent--)
        d.digits *= 10;
    for (; d.exponent < 0 && d.digits; d.exponent++)
        d.digits /= 10;
    return d.digits > 0 && d.digits < (uint64_t)TIME_END ? (int64_t)d.digits : TIME_NONE;
}
