/* The log; see log.h.
 *
 * One write(2) a line, so that lines of several processes on one pipe stay whole as far as the
 * system lets them (PIPE_BUF). What comes from outside is bounded and escaped: no value can forge a
 * line, drive a terminal, or make JSON that is none. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/text.h"

enum {
    VALUE_MAX_BYTES = 1024, /* of a value, before escaping; the rest becomes an ellipsis */
    LINE_MAX_BYTES = 8192,
    TAIL_BYTES = 32, /* kept free for what says that pairs were left out, and the line's end */
};

struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
    bool full;
};

static enum log_level max_level = LOG_INFO;
static bool as_json;

void log_init(enum log_level level, bool json) {
    max_level = level;
    as_json = json;
}

bool log_enabled(enum log_level level) {
    return level <= max_level;
}

static void put(struct line *line, size_t limit, const char *text, size_t len) {
    if (line->full || len > limit - line->len) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

#define LIMIT (LINE_MAX_BYTES - TAIL_BYTES)

static void put_string(struct line *line, const char *text) {
    put(line, LIMIT, text, strlen(text));
}

/* The bytes of the well-formed UTF-8 character at p (RFC 3629, 4), or 0. The text ends with NUL,
 * which is no continuation byte, so nothing behind it is read. */
static size_t character_bytes(const unsigned char *p) {
    static const struct {
        unsigned char first_min, first_max, second_min, second_max, len;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (p[0] < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (p[0] < forms[i].first_min || p[0] > forms[i].first_max)
            continue;
        if (p[1] < forms[i].second_min || p[1] > forms[i].second_max)
            return 0;
        for (size_t k = 2; k < forms[i].len; k++)
            if ((p[k] & 0xc0) != 0x80)
                return 0;
        return forms[i].len;
    }
    return 0;
}

/* U+202A to 202E, U+2066 to 2069 (UAX #9): what a terminal then shows is not what is there. */
static bool is_reordering(const unsigned char *p, size_t len) {
    return len == 3 && p[0] == 0xe2 &&
           ((p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae) ||
            (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

/* One character of a string in quotes; the escapes are those of JSON in both formats. Returns the
 * bytes of `text` that it took. */
static size_t put_escaped(struct line *line, const unsigned char *text) {
    static const char names[] = "\"\\\n\r\t", letters[] = "\"\\nrt";
    size_t len = character_bytes(text);
    char escape[8];

    if (len == 0) {
        put_string(line, "\\ufffd"); /* the replacement character for what is no UTF-8 */
        return 1;
    }
    const char *name = len == 1 ? memchr(names, text[0], sizeof(names) - 1) : NULL;
    if (name)
        snprintf(escape, sizeof(escape), "\\%c", letters[name - names]);
    else if (len == 1 && (text[0] < 0x20 || text[0] == 0x7f))
        snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)text[0]);
    else if (len == 2 && text[0] == 0xc2 && text[1] < 0xa0) /* C1: some terminals obey these too */
        snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)text[1]);
    else if (is_reordering(text, len))
        snprintf(escape, sizeof(escape), "\\u%04x",
                 0x2000U | (text[1] & 0x3fU) << 6 | (text[2] & 0x3fU));
    else {
        put(line, LIMIT, (const char *)text, len);
        return len;
    }
    put_string(line, escape);
    return len;
}

/* Whether logfmt can have it without quotes. */
static bool is_bare(const char *text) {
    size_t len = 0;
    for (; text[len]; len++)
        if (text[len] <= ' ' || text[len] > '~' || text[len] == '"' || text[len] == '=' ||
            text[len] == '\\')
            return false;
    return len > 0 && len <= VALUE_MAX_BYTES;
}

static void put_value(struct line *line, const char *value) {
    const unsigned char *text = (const unsigned char *)value;
    size_t taken = 0;

    if (!as_json && is_bare(value)) {
        put_string(line, value);
        return;
    }
    put_string(line, "\"");
    while (taken < VALUE_MAX_BYTES && text[taken] && !line->full)
        taken += put_escaped(line, text + taken);
    if (text[taken])
        put_string(line, "\xe2\x80\xa6"); /* … */
    put_string(line, "\"");
}

static void put_pair(struct line *line, const char *key, const char *value) {
    const char *before = line->len ? (as_json ? "," : " ") : (as_json ? "{" : "");
    put_string(line, before);
    put_string(line, as_json ? "\"" : "");
    put_string(line, key);
    put_string(line, as_json ? "\":" : "=");
    put_value(line, value);
}

static void put_head(struct line *line, enum log_level level, const char *message) {
    static const char *const level_names[] = {"error", "warning", "info", "debug"};
    char time[TIME_MS_TEXT_BYTES + 1];

    text_format_time_ms(clock_realtime_us() / 1000, time);
    time[TIME_MS_TEXT_BYTES] = '\0';
    put_pair(line, "ts", time);
    put_pair(line, "level", level_names[level]);
    put_pair(line, "msg", message);
}

static void put_tail(struct line *line, bool cut) {
    const char *tail =
        cut ? (as_json ? ",\"cut\":\"true\"}\n" : " cut=true\n") : (as_json ? "}\n" : "\n");
    line->full = false;
    put(line, LINE_MAX_BYTES, tail, strlen(tail));
}

/* A line that stderr does not take is lost: there is nowhere left to say so. */
static void write_line(const struct line *line) {
    while (write(STDERR_FILENO, line->text, line->len) < 0 && errno == EINTR)
        ;
}

void log_write(enum log_level level, const char *message, ...) {
    struct line line;
    const char *key;
    bool cut = false;
    int saved_errno = errno;
    va_list args;

    if (!log_enabled(level))
        return;
    line.len = 0;
    line.full = false;
    put_head(&line, level, message);
    va_start(args, message);
    while (!cut && (key = va_arg(args, const char *))) {
        const char *value = va_arg(args, const char *);
        size_t before = line.len;
        put_pair(&line, key, value ? value : "");
        if (line.full) {
            line.len = before; /* a pair is there whole or not at all */
            cut = true;
        }
    }
    va_end(args);
    put_tail(&line, cut);
    write_line(&line);
    errno = saved_errno;
}

/* --- reasons -----------------------------------------------------------------------------------
 */

static struct {
    const char *reason;
    uint64_t until_ms; /* when the count begins again */
    unsigned lines;
    uint64_t suppressed;
} limits[LOG_LIMIT_REASONS];

bool log_admit(const char *reason, uint64_t *suppressed) {
    uint64_t now_ms = clock_monotonic_ms();
    unsigned i = 0;
    /* Reasons past the last place share it: they are static text, so that is a matter of our code.
     */
    while (i < LOG_LIMIT_REASONS - 1 && limits[i].reason && limits[i].reason != reason)
        i++;
    limits[i].reason = reason;
    if (now_ms >= limits[i].until_ms) {
        limits[i].until_ms = now_ms + LOG_LIMIT_MS;
        limits[i].lines = 0;
    }
    if (limits[i].lines >= LOG_LIMIT_LINES) {
        limits[i].suppressed++;
        return false;
    }
    limits[i].lines++;
    *suppressed = limits[i].suppressed;
    limits[i].suppressed = 0;
    return true;
}
