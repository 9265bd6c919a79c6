/* An event for people; see tail_text.h. */
#include "tail_text.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "util/text.h"

enum {
    /* A cell is at most this many bytes however little it shows: combining marks are 0 wide. */
    MAX_CELL_BYTES = 4096,
    TIME_BYTES = 64,
    SHORT_TIME_COLUMNS = 12, /* hh:mm:ss.mmm */
    LONG_TIME_COLUMNS = 18,  /* and the day in front: mm-dd */
    WIDE_COLUMNS = 110,      /* from here there is room for it */
    GLIMPSE_COLUMNS = 80,
};

enum column { TIME, ENDPOINT, KIND, WHO, WHERE, RSSI, DELAY, COLUMNS };

static const unsigned char wide[COLUMNS] = {LONG_TIME_COLUMNS, 12, 12, 20, 24, 4, 6};
static const unsigned char narrow[COLUMNS] = {SHORT_TIME_COLUMNS, 8, 8, 17, 8, 4, 6};

static const char reset[] = "\033[0m";
static const char dim[] = "\033[2m";
static const char bold[] = "\033[1m";
static const char red[] = "\033[31m";
static const char green[] = "\033[32m";
static const char yellow[] = "\033[33m";
static const char magenta[] = "\033[35m";
static const char cyan[] = "\033[36m";

int tail_text_init(struct tail_text *text) {
    *text = (struct tail_text){.json = json_parser_new()};
    tzset();
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    return text->json ? 0 : -ENOMEM;
}

void tail_text_deinit(struct tail_text *text) {
    json_parser_free(text->json);
    buf_deinit(&text->copy);
    buf_deinit(&text->value);
}

/* --- cells ---------------------------------------------------------------------------- */

/* The next character, and its bytes; 0xfffd for what is not UTF-8. */
static uint32_t next_character(struct span text, size_t *len) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)text.ptr[0];
    size_t need = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : 4;
    uint32_t character = need == 1 ? first : first & (0x7fU >> need);
    *len = 1;
    if ((first >= 0x80 && first < 0xc0) || first >= 0xf8 || need > text.len)
        return 0xfffd;
    for (size_t i = 1; i < need; i++) {
        if ((text.ptr[i] & 0xc0) != 0x80)
            return 0xfffd;
        character = character << 6 | (text.ptr[i] & 0x3f);
    }
    if (character < least[need] || character > 0x10ffff ||
        (character >= 0xd800 && character <= 0xdfff))
        return 0xfffd;
    *len = need;
    return character;
}

/* What would move the cursor, hide text or turn its direction round (Unicode's bidirectional
 * controls and separators): shown as a stand-in. */
static bool is_harmful(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
           c >= 0xe0000;
}

/* Columns; -1: not to be shown as it is. Most of what senders write is ASCII. */
static int width_of(uint32_t c) {
    if (c >= 0x20 && c < 0x7f)
        return 1;
    return is_harmful(c) || c == 0xfffd ? -1 : wcwidth((wchar_t)c);
}

/* How many bytes of the text fit into `columns` (0: all), and how many columns they take. */
static size_t measure(struct span text, unsigned columns, unsigned *used) {
    size_t at = 0, len;
    *used = 0;
    while (at < text.len && at < MAX_CELL_BYTES) {
        int width = width_of(next_character(span_from(text.ptr + at, text.len - at), &len));
        unsigned step = width < 0 ? 1 : (unsigned)width;
        if (columns && *used + step > columns)
            break;
        *used += step;
        at += len;
    }
    return at;
}

static int put_characters(struct span text, struct buf *out) {
    int rc = 0;
    size_t done = 0, len; /* what is to be shown as it is goes in one piece */
    for (size_t at = 0; rc == 0 && at < text.len; at += len) {
        if (width_of(next_character(span_from(text.ptr + at, text.len - at), &len)) >= 0)
            continue;
        rc = buf_append(out, text.ptr + done, at - done);
        rc = rc ? rc : buf_append(out, "\xef\xbf\xbd", 3);
        done = at + len;
    }
    return rc ? rc : buf_append(out, text.ptr + done, text.len - done);
}

static int put_blanks(unsigned count, struct buf *out) {
    static const char blanks[] = "                                ";
    int rc = 0;
    for (unsigned step; rc == 0 && count; count -= step) {
        step = count < sizeof blanks - 1 ? count : (unsigned)sizeof blanks - 1;
        rc = buf_append(out, blanks, step);
    }
    return rc;
}

/* As much of the text as fits, the last column an ellipsis where it does not. */
static int put_cut(struct span text, unsigned columns, unsigned *used, struct buf *out) {
    size_t len = measure(text, columns, used);
    bool cut = len < text.len;
    if (cut && columns)
        len = measure(text, columns > 1 ? columns - 1 : 1, used);
    int rc = cut && columns == 1 ? 0 : put_characters(span_from(text.ptr, len), out);
    if (rc || !cut)
        return rc;
    *used = columns == 1 ? 1 : *used + 1;
    return buf_append(out, "\xe2\x80\xa6", 3);
}

struct cell {
    unsigned columns; /* at least so wide */
    unsigned limit;   /* at most; 0: what is longer pushes the rest aside */
    bool right, last; /* aligned to the right; nothing stands behind it */
    const char *colour;
};

static int put_cell(const struct tail_text *text, struct span value, const struct cell *cell,
                    struct buf *out) {
    unsigned used, shown;
    value = value.len ? value : SPAN("-");
    (void)measure(value, 0, &shown);
    bool coloured = text->colour && cell->colour;
    unsigned before = cell->right && shown < cell->columns ? cell->columns - shown : 0;
    int rc = put_blanks(before, out);
    if (rc == 0 && coloured)
        rc = buf_append(out, cell->colour, strlen(cell->colour));
    rc = rc ? rc : put_cut(value, cell->limit, &used, out);
    if (rc == 0 && coloured)
        rc = buf_append(out, reset, sizeof reset - 1);
    if (rc || cell->last)
        return rc;
    used += before;
    rc = put_blanks(used < cell->columns ? cell->columns - used : 0, out);
    return rc ? rc : buf_append(out, " ", 1);
}

/* --- an event's values ----------------------------------------------------------------- */

struct event_values {
    struct span column[COLUMNS];
    const char *colour[COLUMNS];
    bool glimpse; /* `where` is the start of a document */
    char time[TIME_BYTES], delay[32], place[128], name[256];
};

/* A member as text, at most MAX_CELL_BYTES of it; empty where it is missing. Stays until the text's
 * next event. */
static struct span find_text(struct tail_text *text, const struct json_doc *doc, uint32_t object,
                             struct span name) {
    uint32_t node = object == UINT32_MAX ? 0 : json_find(doc, object, name);
    if (!node || json_type(doc, node) == JSON_NULL || json_type(doc, node) >= JSON_OBJECT)
        return SPAN("");
    struct span raw = json_text(doc, node);
    if (json_type(doc, node) != JSON_STRING || !memchr(raw.ptr, '\\', raw.len))
        return raw;
    /* The buffer was reserved for the whole line at the start, so it never moves. */
    char *dst = text->value.ptr + text->value.len;
    size_t len = json_unescape(raw, dst);
    text->value.len += len;
    return span_from(dst, len);
}

/* The object of that name; UINT32_MAX where there is none. */
static uint32_t find_object(const struct json_doc *doc, struct span name) {
    uint32_t node = json_find(doc, 0, name);
    return node ? node : UINT32_MAX;
}

static struct span first_of(struct span a, struct span b) {
    return a.len ? a : b;
}

static struct span join(char *dst, size_t size, struct span a, const char *between, struct span b) {
    int len = snprintf(dst, size, "%.*s%s%.*s", SPAN_ARG(a), between, SPAN_ARG(b));
    return span_from(dst, len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1);
}

static struct span who(struct tail_text *text, const struct json_doc *doc,
                       struct event_values *values) {
    uint32_t user = find_object(doc, SPAN("user"));
    struct span mac = find_text(text, doc, find_object(doc, SPAN("client")), SPAN("mac"));
    if (mac.len)
        return mac;
    struct span email = find_text(text, doc, user, SPAN("email"));
    struct span first = find_text(text, doc, user, SPAN("first_name"));
    struct span last = find_text(text, doc, user, SPAN("last_name"));
    if (email.len)
        return email;
    if (first.len && last.len)
        return join(values->name, sizeof values->name, first, " ", last);
    return first_of(first_of(first_of(first, last), find_text(text, doc, user, SPAN("id"))),
                    find_text(text, doc, find_object(doc, SPAN("channel")), SPAN("uuid")));
}

static struct span where(struct tail_text *text, const struct json_doc *doc,
                         struct event_values *values) {
    uint32_t ap = find_object(doc, SPAN("ap")), venue = find_object(doc, SPAN("venue"));
    uint32_t location = find_object(doc, SPAN("location"));
    struct span place = find_text(text, doc, ap, SPAN("name"));
    place = first_of(place, find_text(text, doc, ap, SPAN("mac")));
    place = first_of(place, find_text(text, doc, venue, SPAN("name")));
    place = first_of(place, find_text(text, doc, venue, SPAN("id")));
    if (place.len)
        return place;
    struct span y = find_text(text, doc, location, SPAN("lat"));
    struct span x = find_text(text, doc, location, SPAN("lng"));
    if (!x.len || !y.len) {
        y = find_text(text, doc, location, SPAN("x"));
        x = find_text(text, doc, location, SPAN("y"));
    }
    if (x.len && y.len)
        return join(values->place, sizeof values->place, y, ",", x);
    return find_text(text, doc, find_object(doc, SPAN("channel")), SPAN("name"));
}

/* 950ms, 12.3s, 4m05s, 3h20m, 12d. */
static struct span format_delay(int64_t ms, char dst[32]) {
    const char *sign = ms < 0 ? "-" : "";
    uint64_t abs = ms < 0 ? (uint64_t)-ms : (uint64_t)ms, s = abs / 1000;
    int len;
    if (abs < 1000)
        len = snprintf(dst, 32, "%s%" PRIu64 "ms", sign, abs);
    else if (s < 60)
        len = snprintf(dst, 32, "%s%" PRIu64 ".%" PRIu64 "s", sign, s, abs / 100 % 10);
    else if (s < 3600)
        len = snprintf(dst, 32, "%s%" PRIu64 "m%02" PRIu64 "s", sign, s / 60, s % 60);
    else if (s < 86400)
        len = snprintf(dst, 32, "%s%" PRIu64 "h%02" PRIu64 "m", sign, s / 3600, s / 60 % 60);
    else
        len = snprintf(dst, 32, "%s%" PRIu64 "d", sign, s / 86400);
    return span_from(dst, (size_t)len);
}

/* Local time; the day only where there is room. What is no time is shown as it is. */
static struct span format_time(struct tail_text *text, struct span received, bool day,
                               char dst[TIME_BYTES]) {
    int64_t ms = text_parse_iso_time(received);
    if (ms == TIME_NONE)
        return received;
    if (ms / 1000 != text->second || day != text->with_day || !text->clock[0]) {
        time_t seconds = (time_t)(ms / 1000);
        struct tm tm;
        localtime_r(&seconds, &tm);
        strftime(text->clock, sizeof text->clock, day ? "%m-%d %H:%M:%S" : "%H:%M:%S", &tm);
        text->second = ms / 1000;
        text->with_day = day;
    }
    int len = snprintf(dst, TIME_BYTES, "%s.%03d", text->clock, (int)(ms % 1000));
    return span_from(dst, (size_t)len);
}

static const char *colour_of_kind(struct span kind) {
    static const struct {
        struct span kind;
        const char *colour;
    } known[] = {
        {{"seen", 4}, cyan},       {{"login", 5}, magenta},     {{"join", 4}, green},
        {{"active", 6}, green},    {{"zone-enter", 10}, green}, {{"leave", 5}, yellow},
        {{"inactive", 8}, yellow}, {{"zone-exit", 9}, yellow},  {{"timeout", 7}, red},
        {{"unreadable", 10}, red},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (span_equals(known[i].kind, kind))
            return known[i].colour;
    return bold;
}

static const char *colour_of_rssi(struct span rssi) {
    int64_t dbm;
    if (!text_parse_integer(rssi, &dbm))
        return dim;
    return dbm >= -60 ? green : dbm >= -75 ? yellow : red;
}

static void read_values(struct tail_text *text, const struct json_doc *doc, bool day,
                        struct event_values *values) {
    struct span *column = values->column;
    struct span delay = find_text(text, doc, 0, SPAN("delay_ms"));
    int64_t delay_ms = 0;
    column[TIME] = find_text(text, doc, 0, SPAN("received"));
    column[TIME] = format_time(text, first_of(column[TIME], find_text(text, doc, 0, SPAN("time"))),
                               day, values->time);
    column[ENDPOINT] = find_text(text, doc, 0, SPAN("endpoint"));
    column[KIND] = find_text(text, doc, 0, SPAN("kind"));
    column[WHO] = who(text, doc, values);
    column[WHERE] = where(text, doc, values);
    column[RSSI] = find_text(text, doc, 0, SPAN("rssi"));
    if (text_parse_integer(delay, &delay_ms))
        delay = format_delay(delay_ms, values->delay);
    column[DELAY] = delay;
    uint32_t data = json_find(doc, 0, SPAN("data"));
    values->glimpse = data && !column[WHO].len && !column[WHERE].len;
    if (values->glimpse)
        column[WHERE] = json_raw(doc, data);
    values->colour[TIME] = values->colour[DELAY] = dim;
    values->colour[KIND] = colour_of_kind(column[KIND]);
    values->colour[WHO] = bold;
    values->colour[RSSI] = colour_of_rssi(column[RSSI]);
    if (delay_ms >= 60000)
        values->colour[DELAY] = yellow;
}

/* --- lines ----------------------------------------------------------------------------- */

/* The columns' widths. Where the terminal is too narrow for all, the last ones are left out. */
static void lay_out(unsigned columns, unsigned width[COLUMNS]) {
    bool is_narrow = columns && columns < WIDE_COLUMNS;
    unsigned sum = 0, room = columns;
    for (int i = 0; i < COLUMNS; i++) {
        width[i] = is_narrow ? narrow[i] : wide[i];
        sum += width[i] + (i ? 1 : 0);
    }
    if (columns >= sum && columns) {
        unsigned spare = columns - sum; /* names are the longest in `where`, then in `who` */
        unsigned for_who = spare / 4 < 16 ? spare / 4 : 16;
        width[WHO] += for_who;
        width[WHERE] += spare - for_who;
        return;
    }
    for (int i = 0; columns && i < COLUMNS; i++) {
        unsigned blank = i ? 1 : 0;
        if (room <= blank)
            width[i] = 0;
        else if (width[i] > room - blank)
            width[i] = room - blank;
        room -= width[i] ? width[i] + blank : room;
    }
}

static int put_event(struct tail_text *text, const struct event_values *values, struct buf *out) {
    unsigned width[COLUMNS];
    int rc = 0;
    lay_out(text->columns, width);
    for (int i = 0; rc == 0 && i < COLUMNS && width[i]; i++) {
        struct cell cell = {.columns = width[i],
                            .limit = text->columns                   ? width[i]
                                     : i == WHERE && values->glimpse ? GLIMPSE_COLUMNS
                                                                     : 0,
                            .right = i >= RSSI,
                            .last = i + 1 == COLUMNS || !width[i + 1],
                            .colour = values->colour[i]};
        rc = put_cell(text, values->column[i], &cell, out);
    }
    return rc ? rc : buf_append(out, "\n", 1);
}

int tail_text_other(struct tail_text *text, struct span line, struct buf *out) {
    unsigned used;
    int rc = put_cut(line, text->columns, &used, out);
    return rc ? rc : buf_append(out, "\n", 1);
}

int tail_text_event(struct tail_text *text, struct span line, struct buf *out) {
    struct event_values values = {0};
    struct json_doc doc;
    struct json_error error;
    if (line.len > TAIL_TEXT_MAX_LINE_BYTES)
        return tail_text_other(text, line, out);
    text->copy.len = text->value.len = 0;
    int rc = buf_append(&text->copy, line.ptr, line.len);
    rc = rc ? rc : buf_reserve(&text->copy, JSON_PADDING);
    rc = rc ? rc : buf_reserve(&text->value, line.len);
    if (rc)
        return rc;
    rc = json_parse(text->json, text->copy.ptr, line.len, &doc, &error);
    if (rc < 0)
        return rc;
    if (rc || json_type(&doc, 0) != JSON_OBJECT)
        return tail_text_other(text, line, out);
    unsigned columns = text->columns;
    read_values(text, &doc, !columns || columns >= WIDE_COLUMNS, &values);
    rc = put_event(text, &values, out);
    json_parser_trim(text->json, TAIL_TEXT_MAX_LINE_BYTES / 64);
    buf_reset(&text->copy, TAIL_TEXT_MAX_LINE_BYTES / 64);
    buf_reset(&text->value, TAIL_TEXT_MAX_LINE_BYTES / 64);
    return rc;
}
