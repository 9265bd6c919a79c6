/* rollcall-forward's command line. */
#ifndef ROLLCALL_FORWARD_OPTIONS_H
#define ROLLCALL_FORWARD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tail_options.h"
#include "tail_stream.h"

enum {
    FORWARD_MAX_WINDOW = 65536,
    FORWARD_MAX_SERVERS = 16,
    FORWARD_MAX_SETTINGS = 64, /* --kafka-config */
    /* What one read may bring beyond the window: lines of the 8 bytes that begin an event or a gap.
     */
    FORWARD_LINES_OF_A_READ = TAIL_READ_BYTES / 8 + 1,
};

enum forward_target { FORWARD_NATS, FORWARD_KAFKA };

/* Strings are argv's, the environment's, or the options' own. */
struct forward_options {
    struct tail_options node; /* socket, reader, from */
    enum forward_target target;
    char *to;                                 /* the copy that the parts below point into */
    const char *servers[FORWARD_MAX_SERVERS]; /* NATS: URLs */
    int server_count;
    const char *brokers, *topic; /* Kafka */
    const char *stream, *prefix;
    bool create;
    uint64_t duplicates_ms; /* of a stream that is made */
    const char *credentials, *ca, *certificate, *private_key;
    const char *settings[FORWARD_MAX_SETTINGS]; /* KEY=VALUE */
    size_t setting_count;
    const char *settings_file;
    size_t window;
    bool stats;
    const char *metrics_file;
};

/* EXIT_DONE, or EXIT_USAGE or EXIT_FAILED after a message; *done where --help or --version was all.
 * To be deinitialised in any case. */
int forward_options_parse(int argc, char **argv, struct forward_options *options, bool *done);
void forward_options_deinit(struct forward_options *options);

#endif
