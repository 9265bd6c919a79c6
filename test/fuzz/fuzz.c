/* See fuzz.h. */
#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_fail(const char *file, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

/* --- an input --------------------------------------------------------------------------- */

uint8_t fuzz_take_byte(struct fuzz_input *input) {
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->data++;
}

uint16_t fuzz_take_u16(struct fuzz_input *input) {
    uint8_t high = fuzz_take_byte(input);
    return (uint16_t)(high << 8 | fuzz_take_byte(input));
}

struct span fuzz_take_text(struct fuzz_input *input) {
    size_t len = fuzz_take_byte(input);
    if (len > input->left)
        len = input->left;
    struct span text = span_from((const char *)input->data, len);
    input->data += len;
    input->left -= len;
    return text;
}

void fuzz_take_cuts(struct fuzz_input *input, struct fuzz_cuts *cuts) {
    *cuts = (struct fuzz_cuts){.count = fuzz_take_byte(input) & 15};
    for (unsigned i = 0; i < cuts->count; i++)
        cuts->lengths[i] = fuzz_take_byte(input);
}

size_t fuzz_next_cut(struct fuzz_cuts *cuts, size_t left) {
    if (cuts->count == 0)
        return left;
    size_t len = cuts->lengths[cuts->next];
    cuts->next = (uint8_t)((cuts->next + 1) % cuts->count);
    return len == 0 || len > left ? left : len;
}

/* --- JSON, byte by byte ------------------------------------------------------------------ */

struct reader {
    const unsigned char *at, *end;
    unsigned depth; /* that may still be entered */
};

static int peek(const struct reader *reader) {
    return reader->at < reader->end ? *reader->at : -1;
}

static bool take(struct reader *reader, int c) {
    if (peek(reader) != c)
        return false;
    reader->at++;
    return true;
}

static void skip_space(struct reader *reader) {
    while (take(reader, ' ') || take(reader, '\t') || take(reader, '\n') || take(reader, '\r'))
        ;
}

static bool read_word(struct reader *reader, const char *word) {
    while (*word && take(reader, *word))
        word++;
    return *word == 0;
}

static bool read_digits(struct reader *reader) {
    const unsigned char *from = reader->at;
    while (peek(reader) >= '0' && peek(reader) <= '9')
        reader->at++;
    return reader->at > from;
}

static bool read_number(struct reader *reader) {
    (void)take(reader, '-');
    if (!take(reader, '0') && !read_digits(reader))
        return false;
    if (take(reader, '.') && !read_digits(reader))
        return false;
    if (!take(reader, 'e') && !take(reader, 'E'))
        return true;
    (void)(take(reader, '+') || take(reader, '-'));
    return read_digits(reader);
}

/* Four hex digits; -1 where they are not. */
static int read_unit(struct reader *reader) {
    int unit = 0;
    for (int i = 0; i < 4; i++) {
        int c = peek(reader);
        if (c >= '0' && c <= '9')
            unit = unit * 16 + c - '0';
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            unit = unit * 16 + (c | 32) - 'a' + 10;
        else
            return -1;
        reader->at++;
    }
    return unit;
}

static bool read_escape(struct reader *reader) {
    int c = peek(reader);
    if (c < 0 || !strchr("\"\\/bfnrtu", c) || c == 0)
        return false;
    reader->at++;
    if (c != 'u')
        return true;
    int unit = read_unit(reader);
    if (unit < 0 || (unit >= 0xdc00 && unit < 0xe000))
        return false;
    if (unit < 0xd800 || unit >= 0xe000)
        return true;
    int low = take(reader, '\\') && take(reader, 'u') ? read_unit(reader) : -1;
    return low >= 0xdc00 && low < 0xe000;
}

/* A character of more than one byte (RFC 3629, 4). */
static bool read_wide(struct reader *reader) {
    unsigned char first = *reader->at++;
    unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    int least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    int most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first < 0xc2 || first > 0xf4)
        return false;
    for (; more; more--, least = 0x80, most = 0xbf) {
        if (peek(reader) < least || peek(reader) > most)
            return false;
        reader->at++;
    }
    return true;
}

static bool read_string(struct reader *reader) {
    if (!take(reader, '"'))
        return false;
    while (!take(reader, '"')) {
        int c = peek(reader);
        if (c < 0x20) /* the end, too */
            return false;
        if (c >= 0x80) {
            if (!read_wide(reader))
                return false;
            continue;
        }
        reader->at++;
        if (c == '\\' && !read_escape(reader))
            return false;
    }
    return true;
}

static bool read_value(struct reader *reader);

static bool read_container(struct reader *reader, bool is_object, char closing) {
    reader->at++;
    if (reader->depth-- == 0)
        return false;
    skip_space(reader);
    if (!take(reader, closing)) {
        do {
            skip_space(reader);
            if (is_object) {
                if (!read_string(reader))
                    return false;
                skip_space(reader);
                if (!take(reader, ':'))
                    return false;
            }
            if (!read_value(reader))
                return false;
        } while (take(reader, ','));
        if (!take(reader, closing))
            return false;
    }
    reader->depth++;
    return true;
}

/* A value and the white space around it. */
static bool read_value(struct reader *reader) {
    bool ok;
    skip_space(reader);
    switch (peek(reader)) {
    case '{':
        ok = read_container(reader, true, '}');
        break;
    case '[':
        ok = read_container(reader, false, ']');
        break;
    case '"':
        ok = read_string(reader);
        break;
    case 't':
        ok = read_word(reader, "true");
        break;
    case 'f':
        ok = read_word(reader, "false");
        break;
    case 'n':
        ok = read_word(reader, "null");
        break;
    default:
        ok = read_number(reader);
    }
    skip_space(reader);
    return ok;
}

bool fuzz_is_json(struct span text, unsigned depth) {
    const unsigned char *at = (const unsigned char *)text.ptr;
    struct reader reader = {at, at + text.len, depth};
    return read_value(&reader) && reader.at == reader.end;
}

/* --- events ------------------------------------------------------------------------------ */

static const char *const members[] = {
    "seq",      "id",        "received", "endpoint", "provider", "kind",  "time",
    "delay_ms", "duplicate", "client",   "ap",       "ssid",     "rssi",  "location",
    "venue",    "user",      "channel",  "tenant",   "data",     "extra",
};
enum { MEMBERS = sizeof members / sizeof *members, LINE_DEPTH = 160 };

static size_t member_index(struct span name, size_t from) {
    while (from < MEMBERS && !span_equals(name, span_from_string(members[from])))
        from++;
    return from;
}

void fuzz_check_line(struct span line, uint64_t seq) {
    char begin[48];
    int begin_len = snprintf(begin, sizeof begin, "{\"seq\":%llu,", (unsigned long long)seq);
    if (line.len < 2 || memchr(line.ptr, '\n', line.len) != line.ptr + line.len - 1 ||
        line.ptr[line.len - 2] != '}')
        FUZZ_FAIL("not one line: %.*s", SPAN_ARG(line));
    if (!fuzz_is_json(line, LINE_DEPTH))
        FUZZ_FAIL("not JSON: %.*s", SPAN_ARG(line));
    if (line.len < (size_t)begin_len || memcmp(line.ptr, begin, (size_t)begin_len))
        FUZZ_FAIL("not seq %llu: %.*s", (unsigned long long)seq, SPAN_ARG(line));
    struct reader reader = {(const unsigned char *)line.ptr + 1,
                            (const unsigned char *)line.ptr + line.len, LINE_DEPTH};
    size_t next = 0;
    do {
        const char *name = (const char *)reader.at + 1;
        FUZZ_CHECK(read_string(&reader));
        struct span text = span_from(name, (size_t)((const char *)reader.at - 1 - name));
        next = member_index(text, next) + 1;
        if (next > MEMBERS)
            FUZZ_FAIL("%.*s out of place: %.*s", SPAN_ARG(text), SPAN_ARG(line));
        FUZZ_CHECK(take(&reader, ':') && read_value(&reader));
    } while (take(&reader, ','));
}

unsigned fuzz_check_ring(const struct ring *ring, uint64_t from) {
    struct ring_cursor cursor;
    const struct ring_record *record = NULL;
    unsigned count = 0;
    FUZZ_CHECK(ring_seek(ring, from, &cursor) == RING_OK);
    for (; ring_next(ring, &cursor, &record) == RING_OK; count++) {
        struct span line = ring_record_line(record);
        FUZZ_CHECK(record->seq == from + count);
        fuzz_check_line(line, from + count);
        FUZZ_CHECK(record->endpoint_offset + record->endpoint_len < line.len);
        FUZZ_CHECK(record->kind_offset + record->kind_len < line.len);
        FUZZ_CHECK(line.ptr[record->kind_offset - 1] == '"');
        FUZZ_CHECK(line.ptr[record->kind_offset + record->kind_len] == '"');
    }
    return count;
}
