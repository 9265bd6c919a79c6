/* The command line; see options.h. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: rollcall-bench [OPTION]... https://HOST[:PORT]/PATH\n"
    "\n"
    "Posts presence webhooks as a sender does, and measures the answers.\n"
    "\n"
    "  -c, --connections N     keep-alive TLS connections (64)\n"
    "  -d, --duration TIME     how long: 10s, 500ms, 2m (10s)\n"
    "  -r, --requests N        end after N posts instead\n"
    "      --rate N            N posts a second, at fixed times; latency counts from the planned\n"
    "                          moment, which is kept to the millisecond. Without it each\n"
    "                          connection posts as soon as it is answered\n"
    "      --warmup TIME       before that: sent and verified, but not measured\n"
    "      --timeout TIME      for an answer, and for a connection to come up (10s)\n"
    "      --sender NAME       aerohive or json (aerohive)\n"
    "  -o, --observations N    in each post, for aerohive (3)\n"
    "      --seed N            where the numbers in the MACs begin, and the times' milliseconds\n"
    "                          (by chance, so that no run is taken for the last one's repeat)\n"
    "      --secret TOKEN      sent as Authorization: Basic TOKEN\n"
    "  -H, --header FIELD      a further header field, 'Name: value'; repeatable\n"
    "      --verify            read the node's socket meanwhile, and prove that every "
    "acknowledged\n"
    "                          observation arrived once and in order; needs --socket\n"
    "  -s, --socket PATH       the node's Unix socket\n"
    "      --patience TIME     silence on the socket after which what is missing is lost (5s)\n"
    "  -p, --pid PID           also report this process's CPU time and memory\n"
    "      --insecure          do not check the certificate; the default\n"
    "      --cacert FILE       check it, and that it is HOST's, against the authorities in FILE\n"
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
    fputs("; see rollcall-bench --help\n", stderr);
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

/* "", or ":8443"; 443 without. */
static bool parse_port(const char *text, size_t len, unsigned short *port) {
    char digits[8] = "";
    uint64_t value = 443;
    if (len) {
        if (*text != ':' || len > 6)
            return false;
        memcpy(digits, text + 1, len - 1);
        if (!parse_number(digits, 1, 65535, &value))
            return false;
    }
    *port = (unsigned short)value;
    return true;
}

static bool is_plain(const char *text) {
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

/* https://HOST[:PORT]/PATH; HOST may be [IPv6]. */
static int parse_url(struct options *options, const char *url) {
    if (strncmp(url, "https://", 8) != 0)
        return bad_usage("'%s' is no https:// URL", url);
    if (!is_plain(url) || strchr(url, '#'))
        return bad_usage("the URL must be printable ASCII, without blanks and without '#'");
    const char *authority = url + 8;
    size_t len = strcspn(authority, "/?"), host_len;
    bool bracket = *authority == '[';
    const char *host = authority + bracket, *rest = authority + len;
    host_len = strcspn(host, bracket ? "]/?" : ":/?");
    if (host_len == 0 || host_len >= sizeof options->host || memchr(authority, '@', len) ||
        (bracket && host[host_len] != ']'))
        return bad_usage("'%s' has no valid host", url);
    const char *colon = host + host_len + bracket;
    if (!parse_port(colon, (size_t)(rest - colon), &options->port))
        return bad_usage("'%s' has no valid port", url);
    if (strlen(rest) + 1 >= sizeof options->path)
        return bad_usage("the URL's path is longer than %zu characters", sizeof options->path - 2);
    snprintf(options->host, sizeof options->host, "%.*s", (int)host_len, host);
    snprintf(options->authority, sizeof options->authority, "%.*s", (int)len, authority);
    snprintf(options->path, sizeof options->path, "%s%s", *rest == '/' ? "" : "/", rest);
    return EXIT_DONE;
}

static bool is_name(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("!#$%&'*+-.^_`|~", text[i]))
            return false;
    return len > 0;
}

/* What the requests are framed by is not for the user to say. */
static bool is_ours(const char *text, size_t len) {
    static const char *const ours[] = {"host", "content-length", "transfer-encoding"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strlen(ours[i]) == len && strncasecmp(text, ours[i], len) == 0)
            return true;
    return false;
}

static int append_header(struct options *options, const char *front, const char *text) {
    for (const char *c = text; *c; c++)
        if (iscntrl((unsigned char)*c) && *c != '\t')
            return bad_usage("a header field must not hold control characters");
    if (options->headers.len + strlen(front) + strlen(text) + 2 > OPTIONS_MAX_HEADER_BYTES)
        return bad_usage("the header fields are longer than %d bytes", OPTIONS_MAX_HEADER_BYTES);
    if (buf_append(&options->headers, front, strlen(front)) ||
        buf_append(&options->headers, text, strlen(text)) ||
        buf_append(&options->headers, "\r\n", 2))
        return bad_usage("out of memory");
    return EXIT_DONE;
}

static int take_header(struct options *options) {
    size_t len = strcspn(optarg, ":");
    if (!optarg[len] || !is_name(optarg, len))
        return bad_usage("--header: '%s' is not 'Name: value'", optarg);
    if (is_ours(optarg, len))
        return bad_usage("--header: %.*s is set by the program itself", (int)len, optarg);
    return append_header(options, "", optarg);
}

enum {
    OPTION_RATE = 256,
    OPTION_WARMUP,
    OPTION_TIMEOUT,
    OPTION_PATIENCE,
    OPTION_SENDER,
    OPTION_SEED,
    OPTION_SECRET,
    OPTION_VERIFY,
    OPTION_INSECURE,
    OPTION_CACERT,
    OPTION_JSON
};

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
    if (strcmp(rest, "/s") == 0)
        rest += 2;
    if (rest == optarg || *rest || !(options->rate >= 0.001) || options->rate > 1e7)
        return bad_usage("--rate: '%s' is not a number from 0.001 to 10000000", optarg);
    return EXIT_DONE;
}

static int take_time(uint64_t *ns, const char *name) {
    return parse_time(optarg, ns) ? EXIT_DONE
                                  : bad_usage("%s: '%s' is no time such as 10s", name, optarg);
}

static int take_long(uint64_t *value, const char *name, uint64_t min) {
    return parse_number(optarg, min, UINT64_MAX - 1, value)
               ? EXIT_DONE
               : bad_usage("%s: '%s' is not a number from %llu", name, optarg,
                           (unsigned long long)min);
}

static int take_option(struct options *options, int option) {
    switch (option) {
    case 'c':
        return take_number(&options->connections, "--connections", PAYLOAD_MAX_CONNECTIONS);
    case 'o':
        return take_number(&options->observations, "--observations", PAYLOAD_MAX_OBSERVATIONS);
    case 'p':
        return take_number(&options->pid, "--pid", 1 << 22);
    case 'd':
        return take_time(&options->duration_ns, "--duration");
    case 'r':
        return take_long(&options->requests, "--requests", 1);
    case 'H':
        return take_header(options);
    case 's':
        options->socket = optarg;
        return EXIT_DONE;
    case OPTION_RATE:
        return take_rate(options);
    case OPTION_WARMUP:
        return take_time(&options->warmup_ns, "--warmup");
    case OPTION_TIMEOUT:
        return take_time(&options->timeout_ns, "--timeout");
    case OPTION_PATIENCE:
        return take_time(&options->patience_ns, "--patience");
    case OPTION_SENDER:
        return take_sender(options);
    case OPTION_SEED:
        return take_long(&options->seed, "--seed", 0);
    case OPTION_SECRET:
        return append_header(options, "Authorization: Basic ", optarg);
    case OPTION_VERIFY:
        options->verify = true;
        return EXIT_DONE;
    case OPTION_INSECURE:
        options->insecure = true;
        return EXIT_DONE;
    case OPTION_CACERT:
        options->cacert = optarg;
        return EXIT_DONE;
    default:
        options->json = true;
        return EXIT_DONE;
    }
}

/* Only that of --socket is bounded: by sockaddr_un, where libuv would cut it. */
static int check_together(const struct options *options) {
    if (options->verify && !options->socket)
        return bad_usage("--verify needs --socket");
    if (options->socket && !options->verify)
        return bad_usage("--socket is of no use without --verify");
    if (options->socket && strlen(options->socket) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return bad_usage("--socket: the path is longer than a Unix socket's can be");
    if (options->insecure && options->cacert)
        return bad_usage("--insecure and --cacert exclude each other");
    if (options->requests != UINT64_MAX && options->duration_ns != UINT64_MAX)
        return bad_usage("--requests and --duration exclude each other");
    if (options->sender == PAYLOAD_JSON && options->observations > 1)
        return bad_usage("--observations: the json sender posts one document at a time");
    return EXIT_DONE;
}

static int check(struct options *options, int argc, char **argv) {
    if (optind + 1 != argc)
        return optind < argc ? bad_usage("one URL, not more") : bad_usage("the URL is missing");
    int rc = check_together(options);
    if (rc)
        return rc;
    if (options->requests == UINT64_MAX && options->duration_ns == UINT64_MAX)
        options->duration_ns = 10000000000ULL;
    if (options->observations == 0)
        options->observations = options->sender == PAYLOAD_JSON ? 1 : 3;
    if (options->seed == UINT64_MAX)
        options->seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    if (buf_append(&options->headers, "", 1))
        return bad_usage("out of memory");
    return parse_url(options, argv[optind]);
}

static int say(int option) {
    int rc = option == 'h' ? fputs(usage, stdout) : printf("rollcall-bench %s\n", ROLLCALL_VERSION);
    return rc < 0 || fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
}

/* An abbreviation of two options, a value too many, one too few: getopt tells them only in lines of
 * its own. */
static int refuse(int option, char **argv) {
    const char *given = argv[optind - 1];
    if (option == ':')
        return bad_usage("%s needs a value", given);
    if (optopt && optopt < 256 && given[0] == '-' && given[1] != '-')
        return bad_usage("there is no option -%c", optopt);
    return bad_usage(optopt ? "%s takes no value" : "there is no option %s", given);
}

int options_parse(struct options *options, int argc, char **argv, bool *done) {
    static const struct option table[] = {
        {"connections", required_argument, NULL, 'c'},
        {"duration", required_argument, NULL, 'd'},
        {"requests", required_argument, NULL, 'r'},
        {"rate", required_argument, NULL, OPTION_RATE},
        {"warmup", required_argument, NULL, OPTION_WARMUP},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"patience", required_argument, NULL, OPTION_PATIENCE},
        {"sender", required_argument, NULL, OPTION_SENDER},
        {"seed", required_argument, NULL, OPTION_SEED},
        {"observations", required_argument, NULL, 'o'},
        {"secret", required_argument, NULL, OPTION_SECRET},
        {"header", required_argument, NULL, 'H'},
        {"verify", no_argument, NULL, OPTION_VERIFY},
        {"socket", required_argument, NULL, 's'},
        {"pid", required_argument, NULL, 'p'},
        {"insecure", no_argument, NULL, OPTION_INSECURE},
        {"cacert", required_argument, NULL, OPTION_CACERT},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    *options = (struct options){.connections = 64,
                                .requests = UINT64_MAX,
                                .duration_ns = UINT64_MAX,
                                .timeout_ns = 10000000000ULL,
                                .patience_ns = 5000000000ULL,
                                .seed = UINT64_MAX};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:d:r:o:H:s:p:hV", table, NULL)) != -1) {
        *done = option == 'h' || option == 'V';
        if (*done)
            return say(option);
        int rc =
            option == '?' || option == ':' ? refuse(option, argv) : take_option(options, option);
        if (rc)
            return rc;
    }
    return check(options, argc, argv);
}
