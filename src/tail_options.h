/* rollcall-tail's command line. */
#ifndef ROLLCALL_TAIL_OPTIONS_H
#define ROLLCALL_TAIL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tail_cursor.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum {
    TAIL_MAX_SOCKETS = 64,
    TAIL_MAX_FILTERS = 64, /* as many as a node takes */
    TAIL_MAX_VALUE_BYTES = 256,
};

enum tail_format { TAIL_NDJSON, TAIL_TEXT, TAIL_CLOUDEVENTS };

struct tail_filter {
    const char *name, *value;
};

/* Strings are argv's or the environment's. */
struct tail_options {
    const char *sockets[TAIL_MAX_SOCKETS];
    size_t socket_count; /* at least 1 */
    struct tail_filter filters[TAIL_MAX_FILTERS];
    size_t filter_count;
    const char *from; /* NULL, "now" or "oldest" */
    struct tail_cursor after;
    const char *cursor_file, *reader;
    enum tail_format format;
    bool no_follow, gaps, stats;
    uint64_t lines; /* 0: no end */
};

/* EXIT_DONE, or EXIT_USAGE or EXIT_FAILED after a message; *done where --help or --version was all.
 */
int tail_options_parse(int argc, char **argv, struct tail_options *options, bool *done);

#endif
