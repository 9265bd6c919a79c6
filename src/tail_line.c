/* The front of a line; see tail_line.h. */
#include "tail_line.h"

#include <string.h>

enum { ID_DIGITS = 32, ENVELOPE_BYTES = 1024 }; /* a CloudEvent's attributes are within these */

/* Takes `label` off the front. */
static bool take_label(struct span *rest, struct span label) {
    if (rest->len < label.len || memcmp(rest->ptr, label.ptr, label.len) != 0)
        return false;
    *rest = span_from(rest->ptr + label.len, rest->len - label.len);
    return true;
}

/* The `data` of a CloudEvent, else the line itself. The attributes in front of it are escaped, so
 * none can look like it. */
static struct span find_data(struct span line) {
    static const char label[] = ",\"data\":{\"";
    if (!take_label(&(struct span){line.ptr, line.len}, SPAN("{\"specversion\":")))
        return line;
    size_t len = line.len < ENVELOPE_BYTES ? line.len : ENVELOPE_BYTES;
    const char *found = memmem(line.ptr, len, label, sizeof label - 1);
    if (!found)
        return line;
    found += sizeof label - 3;
    return span_from(found, line.len - (size_t)(found - line.ptr));
}

void tail_line_read(struct span line, struct tail_line *out) {
    struct span rest = find_data(line);
    uint64_t seq = 0;
    size_t digits = 0;
    *out = (struct tail_line){.kind = TAIL_LINE_OTHER};
    if (!take_label(&rest, SPAN("{\"seq\":"))) {
        if (take_label(&rest, SPAN("{\"gap\":")))
            out->kind = TAIL_LINE_GAP;
        return;
    }
    for (; digits < rest.len && (unsigned char)(rest.ptr[digits] - '0') <= 9; digits++)
        if (__builtin_mul_overflow(seq, 10U, &seq) ||
            __builtin_add_overflow(seq, (unsigned)(rest.ptr[digits] - '0'), &seq))
            return;
    if (!digits)
        return;
    out->kind = TAIL_LINE_EVENT;
    out->seq = seq;
    rest = span_from(rest.ptr + digits, rest.len - digits);
    if (!take_label(&rest, SPAN(",\"id\":\"")) || rest.len < ID_DIGITS)
        return;
    rest = span_from(rest.ptr + ID_DIGITS, rest.len - ID_DIGITS);
    if (take_label(&rest, SPAN("\",\"received\":\"")) && rest.len > TIME_US_TEXT_BYTES &&
        rest.ptr[TIME_US_TEXT_BYTES] == '"')
        out->received = span_from(rest.ptr, TIME_US_TEXT_BYTES);
}

/* The value behind `label`, up to its end: none of a gap's values holds a quote or a comma. */
static struct span value_of(struct span gap, struct span label) {
    const char *found = memmem(gap.ptr, gap.len, label.ptr, label.len);
    if (!found)
        return SPAN("?");
    found += label.len;
    size_t len = 0, room = gap.len - (size_t)(found - gap.ptr);
    while (len < room && !strchr("\",}", found[len]))
        len++;
    return len < room ? span_from(found, len) : SPAN("?");
}

void tail_line_read_gap(struct span line, struct tail_gap *gap) {
    struct span data = find_data(line);
    int64_t count;
    *gap = (struct tail_gap){
        .after = value_of(data, SPAN("\"after\":\"")),
        .next = value_of(data, SPAN("\"next\":\"")),
        .lost = value_of(data, SPAN("\"lost\":")),
        .reason = value_of(data, SPAN("\"reason\":\"")),
    };
    gap->is_count = text_parse_integer(gap->lost, &count) && count >= 0;
    gap->count = gap->is_count ? (uint64_t)count : 0;
}
