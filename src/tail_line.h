/* What a line of a node's stream is: an event, a gap, or something else; and what the tail has to
 * know of it. Reads the front of the line only, as the node writes it, so that it keeps up with
 * the node. Pure. */
#ifndef ROLLCALL_TAIL_LINE_H
#define ROLLCALL_TAIL_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "tail_cursor.h"
#include "util/span.h"
#include "util/text.h"

enum tail_line_kind {
    TAIL_LINE_EVENT,
    TAIL_LINE_GAP,
    TAIL_LINE_OTHER, /* passed on as it is: a node may say what this tail does not know yet */
};

struct tail_line {
    enum tail_line_kind kind;
    uint64_t seq;         /* of an event */
    struct span received; /* RFC 3339, TIME_US_TEXT_BYTES long, of an event; absent where unknown */
};

/* `line` is without its '\n'. Takes NDJSON, and CloudEvents with that in their `data`. */
void tail_line_read(struct span line, struct tail_line *out);

/* A gap, as text; each is "?" where the line does not say. Spans into the line. */
struct tail_gap {
    struct span after, next, lost, reason;
    bool is_count; /* lost is a number */
    uint64_t count;
};
void tail_line_read_gap(struct span line, struct tail_gap *gap);

#endif
