/* What the forwarder has to know of a node's line: the front of an event, as the node writes it
 * (the order of the members is part of the contract), and the words that are made of it: a NATS
 * subject, a Kafka key. Pure, and allocates nothing. */
#ifndef ROLLCALL_FORWARD_EVENT_H
#define ROLLCALL_FORWARD_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "util/span.h"

enum {
    FORWARD_TOKEN_BYTES = 64,    /* of a subject's token; the rest is cut */
    FORWARD_PREFIX_BYTES = 64,   /* of a subject's prefix */
    FORWARD_SUBJECT_BYTES = 256, /* prefix, two tokens, dots and a NUL */
};

/* Spans into the line, strings as they stand in it: without quotes, escapes not undone. */
struct forward_event {
    struct span id, endpoint, kind;
    struct span mac, channel; /* absent where the event has none */
    int64_t received_us;      /* 0: unknown */
};

/* False where the line is no event of a node. */
bool forward_event_read(struct span line, struct forward_event *event);

/* What messages with the same key have in common: the client's MAC, else the channel's name, else
 * the endpoint. */
struct span forward_event_key(const struct forward_event *event);

/* "<prefix>.<endpoint>.<kind>", NUL-terminated. What means something in a subject (dots, blanks,
 * '*', '>', control characters), quotes and backslashes become '_'; an empty token is "_"; a long
 * one is cut between two characters. The prefix is at most FORWARD_PREFIX_BYTES long. */
void forward_event_subject(const char *prefix, const struct forward_event *event,
                           char subject[FORWARD_SUBJECT_BYTES]);
/* Whether the text is tokens, joined by dots, that forward_event_subject would leave as they are,
 * and no longer than FORWARD_PREFIX_BYTES. */
bool forward_event_is_prefix(const char *text);

#endif
