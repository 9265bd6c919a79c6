/* An event as a line for people: local time, endpoint, kind, who, where, signal and delay, in
 * columns. Takes a line as the node sends it, appends one line; never fails on what a sender wrote:
 * control characters, and those that turn a line's direction, come out as a visible stand-in, and
 * what is no event is shown as it is. */
#ifndef ROLLCALL_TAIL_TEXT_H
#define ROLLCALL_TAIL_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "json.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/span.h"

enum {
    TAIL_TEXT_MIN_COLUMNS = 20,
    /* A longer line is shown by its first bytes, unread: reading takes 12 times its size. */
    TAIL_TEXT_MAX_LINE_BYTES = 16 * 1024 * 1024,
};

struct tail_text {
    unsigned columns; /* of the terminal; 0: nothing is cut */
    bool colour;
    struct json_parser *json;
    struct buf copy, value;
    int64_t second; /* whose local time `clock` is: strftime looks the zone up anew each time */
    bool with_day;
    char clock[32];
};

/* Reads the environment's time zone; widths are those of UTF-8 whatever its locale. The rest of
 * *text is zero, and the caller's to set. -ENOMEM or 0. */
int tail_text_init(struct tail_text *text) MUST_CHECK;
void tail_text_deinit(struct tail_text *text);

/* Each appends one line with its '\n'. 0 or -ENOMEM. */
int tail_text_event(struct tail_text *text, struct span line, struct buf *out) MUST_CHECK;
int tail_text_other(struct tail_text *text, struct span line, struct buf *out) MUST_CHECK;

#endif
