/* src/tail_options.h: any command line is taken within the bounds that the header states, or
 * refused with EXIT_USAGE; what is taken once is taken the same way again.
 *
 * Input: the arguments, a line each. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tail_message.h"
#include "tail_options.h"

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
static int parse(int argc, char **argv, struct tail_options *options, bool *done) {
    static FILE *nowhere;
    FILE *out = stdout, *error = stderr;
    if (!nowhere)
        FUZZ_CHECK((nowhere = fopen("/dev/null", "w")) != NULL);
    stdout = stderr = nowhere;
    optind = 0; /* getopt begins anew */
    *done = false;
    memset(options, 0, sizeof *options);
    int rc = tail_options_parse(argc, argv, options, done);
    stdout = out;
    stderr = error;
    return rc;
}

static bool is_one_of(const char *text, const char *one, const char *other) {
    return strcmp(text, one) == 0 || strcmp(text, other) == 0;
}

static void check(const struct tail_options *options) {
    FUZZ_CHECK(options->socket_count >= 1 && options->socket_count <= TAIL_MAX_SOCKETS);
    FUZZ_CHECK(options->filter_count <= TAIL_MAX_FILTERS);
    FUZZ_CHECK(!options->from || is_one_of(options->from, "now", "oldest"));
    FUZZ_CHECK(!options->from || !options->after.ring[0]);
    FUZZ_CHECK(!options->reader || (*options->reader && !options->cursor_file));
    FUZZ_CHECK(!options->after.ring[0] || options->socket_count == 1);
    FUZZ_CHECK(!options->cursor_file || *options->cursor_file);
    for (size_t i = 0; i < options->socket_count; i++)
        FUZZ_CHECK(options->sockets[i] && *options->sockets[i]);
    for (size_t i = 0; i < options->filter_count; i++)
        FUZZ_CHECK(strlen(options->filters[i].value) <= TAIL_MAX_VALUE_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct tail_options options, again;
    char *argv[MAX_ARGUMENTS + 2] = {(char[]){"rollcall-tail"}}, *rotated[MAX_ARGUMENTS + 2];
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
    FUZZ_CHECK(memcmp(&options, &again, sizeof options) == 0);
    free(text);
    return 0;
}
