/* src/forward_options.h: any command line is taken within the bounds that the header states, or
 * refused with EXIT_USAGE; what is taken once is taken the same way again.
 *
 * Input: the arguments, a line each. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forward_event.h"
#include "forward_options.h"
#include "fuzz.h"
#include "tail_message.h"

enum { MAX_ARGUMENTS = 200 };

/* Instead of tail_message.c's, which writes to the descriptor: the text is made, and that is all.
 */
void tail_say(const char *format, ...) {
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
}

/* What is said goes nowhere; what this program says itself does not. */
static int parse(int argc, char **argv, struct forward_options *options, bool *done) {
    static FILE *nowhere;
    FILE *out = stdout, *error = stderr;
    if (!nowhere)
        FUZZ_CHECK((nowhere = fopen("/dev/null", "w")) != NULL);
    stdout = stderr = nowhere;
    optind = 0; /* getopt begins anew */
    *done = false;
    int rc = forward_options_parse(argc, argv, options, done);
    stdout = out;
    stderr = error;
    return rc;
}

static void check_nats(const struct forward_options *options) {
    FUZZ_CHECK(options->server_count >= 1 && options->server_count <= FORWARD_MAX_SERVERS);
    FUZZ_CHECK(!options->setting_count && !options->settings_file);
    for (int i = 0; i < options->server_count; i++)
        FUZZ_CHECK(strstr(options->servers[i], "://"));
}

static void check_kafka(const struct forward_options *options) {
    FUZZ_CHECK(*options->brokers && *options->topic && strlen(options->topic) <= 249);
    FUZZ_CHECK(!options->create && !options->credentials && !options->ca && !options->certificate);
}

static void check(const struct forward_options *options) {
    FUZZ_CHECK(options->to && options->node.socket_count == 1 && *options->node.sockets[0]);
    FUZZ_CHECK(*options->node.reader && strlen(options->node.reader) <= TAIL_MAX_VALUE_BYTES);
    FUZZ_CHECK(strcmp(options->node.from, "now") == 0 || strcmp(options->node.from, "oldest") == 0);
    FUZZ_CHECK(options->window >= 1 && options->window <= FORWARD_MAX_WINDOW);
    FUZZ_CHECK(*options->stream && strlen(options->stream) <= 255);
    FUZZ_CHECK(forward_event_is_prefix(options->prefix));
    FUZZ_CHECK(options->duplicates_ms >= 1000);
    FUZZ_CHECK(!options->certificate == !options->private_key);
    FUZZ_CHECK(options->setting_count <= FORWARD_MAX_SETTINGS);
    for (size_t i = 0; i < options->setting_count; i++)
        FUZZ_CHECK(strchr(options->settings[i], '=') > options->settings[i]);
    if (options->target == FORWARD_NATS)
        check_nats(options);
    else
        check_kafka(options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct forward_options options, again;
    char *argv[MAX_ARGUMENTS + 2] = {(char[]){"rollcall-forward"}}, *rotated[MAX_ARGUMENTS + 2];
    int argc = 1;
    bool done, done_again;
    char *text = malloc(size + 1), *rest = text;
    FUZZ_CHECK(text);
    memcpy(text, data, size);
    text[size] = 0;
    while (rest && *rest && argc <= MAX_ARGUMENTS)
        argv[argc++] = strsep(&rest, "\n");
    memcpy(rotated, argv, sizeof argv);
    int rc = parse(argc, argv, &options, &done);
    FUZZ_CHECK(rc == EXIT_DONE || rc == EXIT_USAGE);
    if (rc == EXIT_DONE && !done)
        check(&options);
    FUZZ_CHECK(parse(argc, rotated, &again, &done_again) == rc && done_again == done);
    FUZZ_CHECK(options.window == again.window && options.target == again.target &&
               options.server_count == again.server_count &&
               options.setting_count == again.setting_count &&
               options.node.reader == again.node.reader);
    forward_options_deinit(&options);
    forward_options_deinit(&again);
    free(text);
    return 0;
}
