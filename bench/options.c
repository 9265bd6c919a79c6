/* The command line; see options.h. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: rollcall-bench [OPTION]... https://HOST[:PORT]/PATH\n"
    "\n"
    "Posts presence webhooks as a sender does, and measures the answers.\n"
    "\n"
    "  -c, --connections N     keep-alive TLS connections (64)\n"
    "  -d, --duration TIME     how long: 10s, 500ms, 2m (10s)\n"
    "  -r, --requests N        end after N posts instead\n"
    "      --rate N            N posts a second, at fixed times; latency counts from the planned\n"
    "                          moment. Without it each connection posts as soon as it is answered\n"
    "      --sender NAME       aerohive or json (aerohive)\n"
    "  -o, --observations N    in each post, for aerohive (3)\n"
    "      --secret TOKEN      sent as Authorization: Basic TOKEN\n"
    "  -H, --header FIELD      a further header field, 'Name: value'; repeatable\n"
    "      --verify            read the node's socket meanwhile, and prove that every "
    "acknowledged\n"
    "                          observation arrived once and in order; needs --socket\n"
    "  -s, --socket PATH       the node's Unix socket\n"
    "  -p, --pid PID           also report this process's CPU time and memory\n"
    "      --cacert FILE       check the certificate against FILE (default: not checked)\n"
    "      --json              print the result as one JSON object\n"
    "  -h, --help              this text\n"
    "  -V, --version           the version\n"
    "\n"
    "Exit codes: 0 done, 1 errors, answers other than 2xx, or a failed --verify, 2 bad usage.\n";

static int bad_usage(const char *format, ...) PRINTF_LIKE(1, 2);
static int bad_usage(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("rollcall-bench: ", stderr);
    vfprintf(stderr, format, args);
    fputs("; try --help\n", stderr);
    va_end(args);
    return EXIT_USAGE;
}

static bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value) {
    char *rest;
    errno = 0;
    *value = strtoull(text, &rest, 10);
    return text[0] >= '0' && text[0] <= '9' && !*rest && !errno && *value >= min && *value <= max;
}

static bool parse_time(const char *text, uint64_t *ns) {
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    char *rest;
    double value = strtod(text, &rest);
    if (rest == text || !isfinite(value) || value <= 0)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(rest, units[i].unit) == 0 && value * units[i].ns < 1e18) {
            *ns = (uint64_t)(value * units[i].ns);
            return *ns > 0;
        }
    }
    return false;
}

/* https://HOST[:PORT]/PATH; HOST may be [IPv6]. */
static int parse_url(struct options *options, const char *url) {
    uint64_t port = 443;
    if (strncmp(url, "https://", 8) != 0)
        return bad_usage("'%s' is no https:// URL", url);
    const char *authority = url + 8, *slash = strchr(authority, '/');
    const char *end = slash ? slash : authority + strlen(authority);
    const char *host = authority, *host_end = end;
    if (*authority == '[') {
        host++;
        host_end = memchr(authority, ']', (size_t)(end - authority));
    } else if (memchr(authority, ':', (size_t)(end - authority))) {
        host_end = memchr(authority, ':', (size_t)(end - authority));
    }
    if (!host_end || host_end == host || (size_t)(host_end - host) >= sizeof options->host)
        return bad_usage("'%s' has no host", url);
    const char *colon = host_end + (*authority == '[');
    if (colon < end) {
        char digits[8] = "";
        if (*colon == ':' && end - colon <= 6)
            memcpy(digits, colon + 1, (size_t)(end - colon - 1));
        if (!parse_number(digits, 1, 65535, &port))
            return bad_usage("'%s' has no valid port", url);
    }
    if (strlen(end) >= sizeof options->path)
        return bad_usage("the URL's path is too long");
    snprintf(options->host, sizeof options->host, "%.*s", (int)(host_end - host), host);
    snprintf(options->path, sizeof options->path, "%s", *end ? end : "/");
    options->port = (unsigned short)port;
    return EXIT_DONE;
}

static int add_header(struct options *options, const char *front, const char *text) {
    if (strpbrk(text, "\r\n") || (!*front && !strchr(text, ':')))
        return bad_usage("'%s' is no header field", text);
    if (buf_append(&options->headers, front, strlen(front)) ||
        buf_append(&options->headers, text, strlen(text)) ||
        buf_append(&options->headers, "\r\n", 2))
        return bad_usage("out of memory");
    return EXIT_DONE;
}

enum { OPTION_RATE = 256, OPTION_SENDER, OPTION_SECRET, OPTION_VERIFY, OPTION_CACERT, OPTION_JSON };

static int take_number(unsigned *target, const char *name, uint64_t max) {
    uint64_t value;
    if (!parse_number(optarg, 1, max, &value))
        return bad_usage("%s: '%s' is not a number from 1 to %llu", name, optarg,
                         (unsigned long long)max);
    *target = (unsigned)value;
    return EXIT_DONE;
}

static int take_sender(struct options *options) {
    if (strcmp(optarg, "aerohive") != 0 && strcmp(optarg, "json") != 0)
        return bad_usage("--sender: '%s' is neither aerohive nor json", optarg);
    options->sender = strcmp(optarg, "json") == 0 ? PAYLOAD_JSON : PAYLOAD_AEROHIVE;
    return EXIT_DONE;
}

static int take_rate(struct options *options) {
    char *rest;
    options->rate = strtod(optarg, &rest);
    if (rest == optarg || *rest || !(options->rate > 0) || options->rate > 1e7)
        return bad_usage("--rate: '%s' is not a number above 0", optarg);
    return EXIT_DONE;
}

static int take_option(struct options *options, int option) {
    unsigned pid;
    int rc;
    switch (option) {
    case 'c':
        return take_number(&options->connections, "--connections", PAYLOAD_MAX_CONNECTIONS);
    case 'o':
        return take_number(&options->observations, "--observations", PAYLOAD_MAX_OBSERVATIONS);
    case 'p':
        rc = take_number(&pid, "--pid", 1 << 22);
        options->pid = rc ? 0 : (int)pid;
        return rc;
    case 'd':
        return parse_time(optarg, &options->duration_ns)
                   ? EXIT_DONE
                   : bad_usage("--duration: '%s' is no time such as 10s", optarg);
    case 'r':
        return parse_number(optarg, 1, UINT64_MAX - 1, &options->requests)
                   ? EXIT_DONE
                   : bad_usage("--requests: '%s' is not a number above 0", optarg);
    case 'H':
        return add_header(options, "", optarg);
    case 's':
        options->socket = optarg;
        return EXIT_DONE;
    case OPTION_RATE:
        return take_rate(options);
    case OPTION_SENDER:
        return take_sender(options);
    case OPTION_SECRET:
        return add_header(options, "Authorization: Basic ", optarg);
    case OPTION_VERIFY:
        options->verify = true;
        return EXIT_DONE;
    case OPTION_CACERT:
        options->cacert = optarg;
        return EXIT_DONE;
    case OPTION_JSON:
        options->json = true;
        return EXIT_DONE;
    default: /* getopt has said what is wrong */
        fprintf(stderr, "Try 'rollcall-bench --help'.\n");
        return EXIT_USAGE;
    }
}

static int check(struct options *options, int argc, char **argv) {
    if (optind + 1 != argc)
        return optind < argc ? bad_usage("one URL, not more") : bad_usage("the URL is missing");
    if (options->verify && !options->socket)
        return bad_usage("--verify needs --socket");
    if (options->requests != UINT64_MAX && options->duration_ns != UINT64_MAX)
        return bad_usage("--requests and --duration exclude each other");
    if (options->requests == UINT64_MAX && options->duration_ns == UINT64_MAX)
        options->duration_ns = 10000000000ULL;
    if (options->sender == PAYLOAD_JSON)
        options->observations = 1;
    if (buf_append(&options->headers, "", 1))
        return bad_usage("out of memory");
    return parse_url(options, argv[optind]);
}

int options_parse(struct options *options, int argc, char **argv, bool *done) {
    static const struct option table[] = {
        {"connections", required_argument, NULL, 'c'},
        {"duration", required_argument, NULL, 'd'},
        {"requests", required_argument, NULL, 'r'},
        {"rate", required_argument, NULL, OPTION_RATE},
        {"sender", required_argument, NULL, OPTION_SENDER},
        {"observations", required_argument, NULL, 'o'},
        {"secret", required_argument, NULL, OPTION_SECRET},
        {"header", required_argument, NULL, 'H'},
        {"verify", no_argument, NULL, OPTION_VERIFY},
        {"socket", required_argument, NULL, 's'},
        {"pid", required_argument, NULL, 'p'},
        {"cacert", required_argument, NULL, OPTION_CACERT},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    *options = (struct options){
        .connections = 64, .observations = 3, .requests = UINT64_MAX, .duration_ns = UINT64_MAX};
    int option;
    while ((option = getopt_long(argc, argv, "c:d:r:o:H:s:p:hV", table, NULL)) != -1) {
        if (option == 'h' || option == 'V') {
            *done = true;
            return (option == 'h' ? fputs(usage, stdout)
                                  : printf("rollcall-bench %s\n", ROLLCALL_VERSION)) < 0
                       ? EXIT_FAILED
                       : EXIT_DONE;
        }
        int rc = take_option(options, option);
        if (rc)
            return rc;
    }
    return check(options, argc, argv);
}
