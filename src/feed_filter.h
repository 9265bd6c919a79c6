/* Which events a reader wants: endpoint=, provider=, kind= and mac=, each of them repeatable; one
 * of the values of each name that is there has to fit. Decided on a record's own header, without
 * parsing its line. Pure. */
#ifndef ROLLCALL_FEED_FILTER_H
#define ROLLCALL_FEED_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "ring.h"
#include "util/err.h"
#include "util/span.h"

enum {
    FEED_FILTER_VALUES = 64,       /* in all */
    FEED_FILTER_VALUE_BYTES = 256, /* no name and no kind of event is longer */
};

enum feed_filter_result {
    FEED_FILTER_OK = 0,
    FEED_FILTER_NO_NAME = 1,  /* not the name of a filter */
    FEED_FILTER_FULL = 2,     /* more than FEED_FILTER_VALUES */
    FEED_FILTER_BAD_MAC = 3,  /* no spelling of a MAC address */
    FEED_FILTER_TOO_LONG = 4, /* longer than any such value can be */
};

struct feed_filter;

/* Adds a value, copied; makes the filter where *filter is NULL. A feed_filter_result or -ENOMEM. */
int feed_filter_add(struct feed_filter **filter, struct span name, struct span value) MUST_CHECK;
void feed_filter_free(struct feed_filter *filter); /* NULL is fine */
bool feed_filter_matches(const struct feed_filter *filter, const struct ring_record *record);

#endif
