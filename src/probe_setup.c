/* The probe's command line; see probe_setup.h. Without a configuration, one is made of the words
 * and read as any other, so that a sender, its usual secret and their mistakes are known in one
 * place. */
#include "probe_setup.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"
#include "probe.h"

enum { TIMEOUT_S = 15, MAX_TIMEOUT_S = 3600 };

static int bad_usage(const char *format, ...) PRINTF_LIKE(1, 2);
static int bad_usage(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("rollcalld: --probe: ", stderr);
    vfprintf(stderr, format, args);
    fputs("; see rollcalld --help\n", stderr);
    va_end(args);
    return PROBE_EXIT_USAGE;
}

static bool parse_timeout(const char *text, unsigned *ms) {
    char *rest;
    errno = 0;
    unsigned long seconds = text ? strtoul(text, &rest, 10) : TIMEOUT_S;
    if (text && (*text < '0' || *text > '9' || *rest || errno))
        return false;
    *ms = (unsigned)seconds * 1000;
    return seconds > 0 && seconds <= MAX_TIMEOUT_S;
}

/* --- An endpoint of the words ------------------------------------------------------------------
 */

/* One line of a configuration; a value cannot begin another. */
static bool write_line(FILE *out, const char *key, const char *value) {
    if (!value)
        return true;
    return !strpbrk(value, "\r\n") && fprintf(out, "%s = %s\n", key, value) > 0;
}

static bool write_config(int fd, const struct probe_words *words) {
    FILE *out = fdopen(dup(fd), "w");
    if (!out)
        return false;
    bool is_written = fprintf(out, "[server]\ncertificate = /dev/null\n"
                                   "private_key = /dev/null\nsocket = -\n"
                                   "[endpoint probe]\npath = /\n") > 0 &&
                      write_line(out, "provider", words->provider) &&
                      write_line(out, "auth", words->auth) &&
                      write_line(out, "secret_file", words->secret_file) &&
                      write_line(out, "validator", words->validator);
    return fclose(out) == 0 && is_written;
}

/* What is said of a line that nobody wrote, without its place. */
static void print_mistakes(char *text) {
    char *line;
    while ((line = strsep(&text, "\n"))) {
        char *message = strstr(line, ": ");
        if (*line)
            fprintf(stderr, "rollcalld: --probe: %s\n", message ? message + 2 : line);
    }
}

static int load_words(struct config **config, const struct probe_words *words) {
    char path[32], *text = NULL;
    size_t len;
    if (!words->provider)
        return bad_usage(
            "whom to play? --config FILE has this path's endpoint, or --provider NAME");
    int fd = memfd_create("probe", MFD_CLOEXEC);
    FILE *errors = open_memstream(&text, &len);
    if (fd < 0 || !errors || !write_config(fd, words)) {
        if (errors)
            fclose(errors);
        free(text);
        return bad_usage("a value holds a line break, or memory is short");
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = config_load(config, path, errors);
    fclose(errors);
    close(fd);
    if (rc)
        print_mistakes(text);
    free(text);
    return rc ? PROBE_EXIT_USAGE : 0;
}

/* --- An endpoint of a configuration ------------------------------------------------------------
 */

static const struct config_endpoint *
find_endpoint(const struct config *config, const struct probe_words *words, const struct url *url) {
    size_t len = strcspn(url->target, "?");
    const struct config_endpoint *endpoint = config->endpoints;
    while (words->config && endpoint &&
           (strlen(endpoint->path) != len || memcmp(endpoint->path, url->target, len) != 0))
        endpoint = endpoint->next;
    return endpoint;
}

static int load(struct config **config, const struct probe_words *words) {
    if (!words->config)
        return load_words(config, words);
    if (words->provider || words->auth || words->secret_file || words->validator)
        return bad_usage("the configuration says provider, auth, secret and validator");
    return config_load(config, words->config, stderr) ? PROBE_EXIT_USAGE : 0;
}

int probe_main(const struct probe_words *words) {
    struct url url;
    struct config *config;
    struct probe_options options = {.url = &url, .connect = words->connect, .ca_file = words->ca};
    const char *problem = url_parse_https(words->url, &url);
    if (problem)
        return bad_usage("'%s' %s", words->url, problem);
    if (!parse_timeout(words->timeout, &options.timeout_ms))
        return bad_usage("--timeout wants 1 to 3600 seconds, not '%s'", words->timeout);
    int rc = load(&config, words);
    if (rc)
        return rc;
    signal(SIGPIPE, SIG_IGN); /* a node that closes is a finding */
    options.endpoint = find_endpoint(config, words, &url);
    if (options.endpoint)
        rc = probe_run(&options, stdout) ? PROBE_EXIT_FAILED : PROBE_EXIT_DONE;
    else /* a path may be a secret: it is not said again */
        rc = bad_usage("no endpoint of %s has the URL's path", words->config);
    config_unref(config);
    return rc;
}
