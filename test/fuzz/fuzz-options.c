/* rollcalld's command line: whatever it is, it ends with exit code 0 or 2, or says what to run. The
 * program's own source is compiled in, its main() under another name and never called.
 *
 * Input: the arguments, a line each. */
int rollcalld_main(int argc, char **argv);
#define main rollcalld_main
#include "../../src/main.c"
#undef main

#include "fuzz.h"

enum { MAX_ARGUMENTS = 200 };

/* What is said goes nowhere; what this program says itself does not. */
static int parse(int argc, char **argv, struct options *options, bool *done) {
    static FILE *nowhere;
    FILE *out = stdout, *error = stderr;
    if (!nowhere)
        FUZZ_CHECK((nowhere = fopen("/dev/null", "w")) != NULL);
    stdout = stderr = nowhere;
    optind = 0; /* getopt begins anew */
    *done = false;
    *options = (struct options){0};
    int rc = parse_options(argc, argv, options, done);
    stdout = out;
    stderr = error;
    return rc;
}

static void check_options(const struct options *options) {
    const struct probe_words *probe = &options->probe;
    FUZZ_CHECK(options->config || probe->url);
    FUZZ_CHECK(probe->config == options->config);
    if (probe->provider || probe->auth || probe->secret_file || probe->validator || probe->ca ||
        probe->connect || probe->timeout)
        FUZZ_CHECK(probe->url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct options options, again;
    char *argv[MAX_ARGUMENTS + 2] = {(char[]){"rollcalld"}}, *rotated[MAX_ARGUMENTS + 2];
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
        check_options(&options);
    FUZZ_CHECK(parse(argc, rotated, &again, &done_again) == rc && done_again == done);
    FUZZ_CHECK(options.config == again.config && options.check == again.check &&
               options.dump == again.dump && options.probe.url == again.probe.url);
    free(text);
    return 0;
}
