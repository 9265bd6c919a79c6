/* rollcalld: options, build the world, run, tear down. */
#include <errno.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "config.h"
#include "heap.h"
#include "log.h"
#include "probe_setup.h"
#include "server.h"
#include "util/clock.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char usage[] =
    "usage: rollcalld --config FILE [--check | --dump-config]\n"
    "       rollcalld --probe URL [--config FILE | --provider NAME]\n"
    "\n"
    "Takes presence webhooks over HTTPS and hands their events to local programs\n"
    "over a Unix socket.\n"
    "\n"
    "  -c, --config FILE   the configuration\n"
    "      --check         check the configuration, print every problem, exit 0 or 2\n"
    "      --dump-config   print the effective configuration, secrets masked, and exit\n"
    "\n"
    "      --probe URL         play a sender against a running node: say what would fail\n"
    "        With --config FILE, the endpoint that has the URL's path says the sender and its\n"
    "        secret; else these do, as in a configuration:\n"
    "        --provider NAME, --auth SCHEME, --secret-file FILE, --validator STRING\n"
    "      --ca FILE           trust the authorities in FILE (PEM), not the system's\n"
    "      --connect HOST[:PORT]  connect there, not to the URL's host\n"
    "      --timeout SECONDS   the longest that each step may take (15)\n"
    "\n"
    "  -h, --help          this text\n"
    "  -V, --version       the version\n"
    "\n"
    "Signals: SIGHUP reads the configuration, its secrets and certificates again, all or nothing;\n"
    "SIGTERM and SIGINT answer what is under way, then exit; a second one exits at once.\n"
    "Exit codes: 0 done, 1 failed at run time, 2 bad usage or configuration.\n";

struct options {
    const char *config;
    bool check, dump, has_probe_word;
    struct probe_words probe;
};

enum {
    OPTION_CHECK = 256,
    OPTION_DUMP,
    OPTION_PROBE,
    OPTION_PROVIDER,
    OPTION_AUTH,
    OPTION_SECRET_FILE,
    OPTION_VALIDATOR,
    OPTION_CA,
    OPTION_CONNECT,
    OPTION_TIMEOUT,
};

/* Where the word of a probe's option goes; NULL for any other option. */
static const char **word_of(struct probe_words *words, int option) {
    switch (option) {
    case OPTION_PROBE:
        return &words->url;
    case OPTION_PROVIDER:
        return &words->provider;
    case OPTION_AUTH:
        return &words->auth;
    case OPTION_SECRET_FILE:
        return &words->secret_file;
    case OPTION_VALIDATOR:
        return &words->validator;
    case OPTION_CA:
        return &words->ca;
    case OPTION_CONNECT:
        return &words->connect;
    case OPTION_TIMEOUT:
        return &words->timeout;
    default:
        return NULL;
    }
}

static int bad_usage(void) {
    fprintf(stderr, "Try 'rollcalld --help'.\n");
    return EXIT_USAGE;
}

/* EXIT_DONE and *done where there is nothing left to do; EXIT_USAGE after a message. */
static int parse_options(int argc, char **argv, struct options *options, bool *done) {
    static const struct option table[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, OPTION_CHECK},
        {"dump-config", no_argument, NULL, OPTION_DUMP},
        {"probe", required_argument, NULL, OPTION_PROBE},
        {"provider", required_argument, NULL, OPTION_PROVIDER},
        {"auth", required_argument, NULL, OPTION_AUTH},
        {"secret-file", required_argument, NULL, OPTION_SECRET_FILE},
        {"validator", required_argument, NULL, OPTION_VALIDATOR},
        {"ca", required_argument, NULL, OPTION_CA},
        {"connect", required_argument, NULL, OPTION_CONNECT},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "c:hV", table, NULL)) != -1) {
        const char **word = word_of(&options->probe, option);
        if (word) {
            *word = optarg;
            options->has_probe_word = true;
            continue;
        }
        switch (option) {
        case 'c':
            options->config = optarg;
            break;
        case OPTION_CHECK:
            options->check = true;
            break;
        case OPTION_DUMP:
            options->dump = true;
            break;
        case 'h':
            *done = true;
            return fputs(usage, stdout) < 0 ? EXIT_FAILED : EXIT_DONE;
        case 'V':
            *done = true;
            return printf("rollcalld %s\n", ROLLCALL_VERSION) < 0 ? EXIT_FAILED : EXIT_DONE;
        default:
            return bad_usage();
        }
    }
    if (optind < argc) {
        fprintf(stderr, "rollcalld: unexpected argument '%s'\n", argv[optind]);
        return bad_usage();
    }
    if (options->has_probe_word && !options->probe.url) {
        fprintf(stderr, "rollcalld: --probe URL is missing\n");
        return bad_usage();
    }
    options->probe.config = options->config;
    if (!options->config && !options->probe.url) {
        fprintf(stderr, "rollcalld: --config FILE is missing\n");
        return bad_usage();
    }
    return EXIT_DONE;
}

static int run(struct config *config, const char *config_path) {
    struct server *server;
    char error[512];
    uv_loop_t loop;

    CRYPTO_library_init();
    signal(SIGHUP, SIG_IGN);  /* until it can be acted on */
    signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error of its write, not of the node */
    int rc = uv_loop_init(&loop);
    if (rc) {
        fprintf(stderr, "rollcalld: event loop: %s\n", uv_strerror(rc));
        return EXIT_FAILED;
    }
    if (server_new(&server, &loop, config, config_path, error, sizeof error)) {
        fprintf(stderr, "rollcalld: %s\n", error);
        uv_loop_close(&loop);
        return EXIT_FAILED;
    }
    rc = server_run(server);
    server_free(server);
    uv_loop_close(&loop);
    return rc ? EXIT_FAILED : EXIT_DONE;
}

/* --- --check -----------------------------------------------------------------------------------
 */

struct findings {
    const char *path;
    unsigned line, problems;
};

static void on_finding(void *context, enum tls_severity severity, const char *text) {
    struct findings *findings = context;
    fprintf(stderr, "%s:%u: %s%s\n", findings->path, findings->line,
            severity == TLS_WARNING ? "warning: " : "", text);
    findings->problems += severity == TLS_PROBLEM;
}

/* What the configuration names and config_load does not read: certificate, key, client_ca. */
static int check(const struct config *config, const char *path) {
    const unsigned lines[] = {[TLS_CERTIFICATE] = config->certificate_line,
                              [TLS_PRIVATE_KEY] = config->private_key_line,
                              [TLS_CLIENT_CA] = config->client_ca_line};
    struct findings findings = {path, config->certificate_line, 0};
    const struct tls_check tls_check = {clock_realtime_us() / 1000000, on_finding, &findings};
    const struct tls_files files = server_tls_files(config);
    struct tls_error error = {.message = "out of memory"};
    struct tls_context *tls;
    if (tls_context_new(&tls, &files, &error)) {
        fprintf(stderr, "%s:%u: %s\n", path, lines[error.which], error.message);
        return EXIT_USAGE;
    }
    tls_context_check(tls, &tls_check);
    tls_context_unref(tls);
    return findings.problems ? EXIT_USAGE : EXIT_DONE;
}

int main(int argc, char **argv) {
    struct options options = {0};
    struct config *config;
    bool done = false;

    heap_keep();
    int rc = parse_options(argc, argv, &options, &done);
    if (rc || done)
        return rc;
    if (options.probe.url)
        return probe_main(&options.probe);
    rc = config_load(&config, options.config, stderr);
    if (rc)
        return rc == -ENOMEM ? EXIT_FAILED : EXIT_USAGE;
    if (options.check)
        rc = check(config, options.config);
    if (options.dump)
        config_dump(config, stdout);
    if (!options.dump && !options.check) {
        log_init((enum log_level)config->log_level, config->log_json);
        rc = run(config, options.config);
    }
    config_unref(config);
    return rc;
}
