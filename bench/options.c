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
    "How much:\n"
    "  -c, --connections N     keep-alive TLS connections (64)\n"
    "  -d, --duration TIME     how long: 10s, 500ms, 2m (10s)\n"
    "  -r, --requests N        end after N posts instead\n"
    "      --rate N            N posts a second, each at its own moment, kept to microseconds;\n"
    "                          latency counts from that moment. Without it each connection\n"
    "                          posts as soon as it is answered\n"
    "      --find-max          find the highest rate at which 99 % of the posts are answered\n"
    "                          within --p99, from --rate (1000) on, in steps of --duration (2s)\n"
    "      --p99 TIME          the bound of --find-max: 500us, 2ms\n"
    "      --warmup TIME       before that: sent and verified, but not measured\n"
    "                          (--find-max: before each step, 500ms)\n"
    "      --timeout TIME      for an answer, and for a connection to come up (10s)\n"
    "      --new-connections   a connection for each post; latency counts from its TCP connect\n"
    "      --resume            of these, TLS sessions: without a whole handshake\n"
    "      --idle N            N idle connections beside, which have posted once\n"
    "      --slow N[:BYTES]    N slow connections beside, whose posts trickle, BYTES a second\n"
    "                          each (100); what became of these is said apart, and is no error\n"
    "      --slow-kinds LIST   what they do, in turn: post (trickle a whole post; the default), "
    "or,\n"
    "                          until the server closes them: silent, hello (half a ClientHello),\n"
    "                          head, body (trickle, without an end), idle (after a post), read\n"
    "                          (no answers): how early or late it closed them is said; head:3 is\n"
    "                          head three times in turn\n"
    "      --slow-deadlines HEAD,BODY,IDLE\n"
    "                          when it should: its header, body and keep-alive timeouts\n"
    "                          (10s,30s,75s)\n"
    "\n"
    "What:\n"
    "      --sender NAME       aerohive, bt, pubnub, pubnub-flat, meraki, meraki-v3, mist or json\n"
    "                          (aerohive)\n"
    "      --also NAME=/PATH   another sender, at another path; connections are shared out among\n"
    "                          all of them; repeatable\n"
    "  -o, --observations N    in each post, for senders that post several (3)\n"
    "      --repeat PERCENT    of the posts are sent again, as by a sender that got no answer\n"
    "      --seed N            where the numbers in the MACs begin, and the times' milliseconds\n"
    "                          (by chance, so that no run is taken for the last one's repeat)\n"
    "      --secret TEXT       said as each sender does: meraki in its body, mist by its\n"
    "                          signature, the others as Authorization: Basic TEXT\n"
    "  -H, --header FIELD      a further header field, 'Name: value'; repeatable\n"
    "\n"
    "What is looked at:\n"
    "      --verify            read the node's socket meanwhile, and prove that every "
    "acknowledged\n"
    "                          observation arrived once and in order; needs --socket\n"
    "  -s, --socket PATH       the node's Unix socket\n"
    "      --patience TIME     silence on the socket after which what is missing is lost (5s)\n"
    "  -p, --pid PID           also report this process's CPU time and memory\n"
    "      --insecure          do not check the certificate; the default\n"
    "      --cacert FILE       check it, and that it is HOST's, against the authorities in FILE\n"
    "      --json              print the result as one JSON object\n"
    "      --svg FILE          draw latency by percentile, and the rate over time\n"
    "      --hdr FILE          write the latency's percentiles as HdrHistogram does; those from\n"
    "                          sending, uncorrected, to FILE.uncorrected\n"
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
    } units[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
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

static int parse_url(struct options *options, const char *text) {
    const char *problem = url_parse_https(text, &options->url);
    return problem ? bad_usage("'%s' %s", text, problem) : EXIT_DONE;
}

static bool is_plain(const char *text) {
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
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

static int append_header(struct options *options, const char *text) {
    for (const char *c = text; *c; c++)
        if (iscntrl((unsigned char)*c) && *c != '\t')
            return bad_usage("a header field must not hold control characters");
    if (options->headers.len + strlen(text) + 2 > OPTIONS_MAX_HEADER_BYTES)
        return bad_usage("the header fields are longer than %d bytes", OPTIONS_MAX_HEADER_BYTES);
    if (buf_append(&options->headers, text, strlen(text)) ||
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
    return append_header(options, optarg);
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
    OPTION_FIND_MAX,
    OPTION_P99,
    OPTION_NEW_CONNECTIONS,
    OPTION_RESUME,
    OPTION_IDLE,
    OPTION_SLOW,
    OPTION_SLOW_KINDS,
    OPTION_SLOW_DEADLINES,
    OPTION_ALSO,
    OPTION_REPEAT,
    OPTION_SVG,
    OPTION_HDR,
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

/* N[:BYTES] */
static int take_slow(struct options *options) {
    char digits[16];
    uint64_t count, rate = OPTIONS_SLOW_RATE;
    size_t len = strcspn(optarg, ":");
    snprintf(digits, sizeof digits, "%.*s", (int)len, optarg);
    if (len >= sizeof digits || !parse_number(digits, 1, PAYLOAD_MAX_CONNECTIONS - 1, &count) ||
        (optarg[len] && !parse_number(optarg + len + 1, 1, OPTIONS_MAX_SLOW_RATE, &rate)))
        return bad_usage("--slow: '%s' is not N or N:BYTES, of at most %d connections and %d bytes "
                         "a second",
                         optarg, PAYLOAD_MAX_CONNECTIONS - 1, OPTIONS_MAX_SLOW_RATE);
    options->slow = (unsigned)count;
    options->slow_rate = (unsigned)rate;
    return EXIT_DONE;
}

static bool find_slow_kind(const char *name, size_t len, enum client_slow_kind *kind) {
    for (unsigned i = 0; i < CLIENT_SLOW_KINDS; i++) {
        const char *known = client_slow_shapes[i].name;
        *kind = (enum client_slow_kind)i;
        if (strlen(known) == len && memcmp(known, name, len) == 0)
            return true;
    }
    return false;
}

/* NAME[:SHARE], which ends at a comma. 0 where it is none. */
static unsigned parse_slow_kind(const char *text, size_t len, enum client_slow_kind *kind) {
    char digits[8] = "1";
    uint64_t share;
    const char *colon = memchr(text, ':', len);
    size_t name_len = colon ? (size_t)(colon - text) : len;
    if (colon)
        snprintf(digits, sizeof digits, "%.*s", (int)(len - name_len - 1), colon + 1);
    return find_slow_kind(text, name_len, kind) &&
                   parse_number(digits, 1, CLIENT_MAX_SLOW_KINDS, &share)
               ? (unsigned)share
               : 0;
}

/* NAME[:SHARE][,NAME[:SHARE]]... */
static int take_slow_kinds(struct options *options) {
    const char *text = optarg;
    options->slow_kind_count = 0;
    for (;;) {
        enum client_slow_kind kind;
        size_t len = strcspn(text, ",");
        unsigned share = parse_slow_kind(text, len, &kind);
        if (!share || options->slow_kind_count + share > CLIENT_MAX_SLOW_KINDS)
            return bad_usage("--slow-kinds: '%s' is no list of post, silent, hello, head, body, "
                             "idle or read, each with a share such as head:3, of %d in all",
                             optarg, CLIENT_MAX_SLOW_KINDS);
        while (share--)
            options->slow_kinds[options->slow_kind_count++] = kind;
        text += len;
        if (!*text)
            return EXIT_DONE;
        text++;
    }
}

/* HEAD,BODY,IDLE */
static int take_slow_deadlines(struct options *options) {
    const char *part = optarg;
    for (int i = 0; i < CLIENT_DEADLINES; i++) {
        char text[32];
        size_t len = strcspn(part, ",");
        bool last = i == CLIENT_DEADLINES - 1;
        snprintf(text, sizeof text, "%.*s", (int)len, part);
        if (len >= sizeof text || !parse_time(text, &options->slow_deadlines_ns[i]) ||
            last != !part[len])
            return bad_usage("--slow-deadlines: '%s' is not three times such as 10s,30s,75s",
                             optarg);
        part += len + !last;
    }
    return EXIT_DONE;
}

static bool find_sender(const char *name, size_t len, enum payload_sender *sender) {
    for (unsigned i = 0; i < PAYLOAD_SENDERS; i++) {
        *sender = (enum payload_sender)i;
        if (strlen(payload_shapes[i].name) == len && memcmp(payload_shapes[i].name, name, len) == 0)
            return true;
    }
    return false;
}

static int take_sender(struct options *options) {
    return find_sender(optarg, strlen(optarg), &options->sender)
               ? EXIT_DONE
               : bad_usage("--sender: '%s' is no sender; there are aerohive, bt, pubnub, "
                           "pubnub-flat, meraki, meraki-v3, mist and json",
                           optarg);
}

/* NAME=/PATH */
static int take_also(struct options *options) {
    struct options_also *also = &options->also[options->also_count];
    size_t len = strcspn(optarg, "=");
    if (options->also_count == OPTIONS_MAX_ALSO)
        return bad_usage("--also: not more than %d", OPTIONS_MAX_ALSO);
    if (!find_sender(optarg, len, &also->sender) || optarg[len] != '=' || optarg[len + 1] != '/' ||
        !is_plain(optarg) || strchr(optarg, '#') ||
        strlen(optarg + len + 1) >= sizeof options->url.target)
        return bad_usage("--also: '%s' is not SENDER=/PATH", optarg);
    also->path = optarg + len + 1;
    options->also_count++;
    return EXIT_DONE;
}

/* It stands in a header field or in a JSON string. */
static int take_secret(struct options *options) {
    if (strlen(optarg) > OPTIONS_MAX_SECRET_BYTES)
        return bad_usage("--secret: longer than %d bytes", OPTIONS_MAX_SECRET_BYTES);
    for (const char *c = optarg; *c; c++)
        if (iscntrl((unsigned char)*c) || strchr("\"\\", *c))
            return bad_usage("--secret: it must not hold control characters, '\"' or '\\'");
    options->secret = optarg;
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

static int take_flag(struct options *options, int option) {
    options->verify |= option == OPTION_VERIFY;
    options->insecure |= option == OPTION_INSECURE;
    options->find_max |= option == OPTION_FIND_MAX;
    options->new_connections |= option == OPTION_NEW_CONNECTIONS;
    options->resume |= option == OPTION_RESUME;
    options->json |= option == OPTION_JSON;
    return EXIT_DONE;
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
        return take_secret(options);
    case OPTION_ALSO:
        return take_also(options);
    case OPTION_P99:
        return take_time(&options->p99_ns, "--p99");
    case OPTION_IDLE:
        return take_number(&options->idle, "--idle", PAYLOAD_MAX_CONNECTIONS - 1);
    case OPTION_SLOW:
        return take_slow(options);
    case OPTION_SLOW_KINDS:
        return take_slow_kinds(options);
    case OPTION_SLOW_DEADLINES:
        return take_slow_deadlines(options);
    case OPTION_REPEAT:
        return take_number(&options->repeat_percent, "--repeat", 100);
    case OPTION_FIND_MAX:
    case OPTION_NEW_CONNECTIONS:
    case OPTION_RESUME:
    case OPTION_JSON:
        return take_flag(options, option);
    case OPTION_SVG:
        options->svg = optarg;
        return EXIT_DONE;
    case OPTION_HDR:
        options->hdr = optarg;
        return EXIT_DONE;
    case OPTION_VERIFY:
    case OPTION_INSECURE:
        return take_flag(options, option);
    case OPTION_CACERT:
        options->cacert = optarg;
        return EXIT_DONE;
    default:
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
    if (payload_shapes[options->sender].single && options->observations > 1)
        return bad_usage("--observations: the %s sender posts one document at a time",
                         payload_shapes[options->sender].name);
    if (options->connections + options->idle + options->slow > PAYLOAD_MAX_CONNECTIONS)
        return bad_usage("%s: not more than %d connections in all",
                         options->slow ? "--slow" : "--idle", PAYLOAD_MAX_CONNECTIONS);
    if (!options->slow && (options->slow_kind_count || options->slow_deadlines_ns[0]))
        return bad_usage("%s is of no use without --slow",
                         options->slow_kind_count ? "--slow-kinds" : "--slow-deadlines");
    if (options->resume && !options->new_connections)
        return bad_usage("--resume is of no use without --new-connections");
    return EXIT_DONE;
}

static int check_search(struct options *options) {
    if (options->find_max != (options->p99_ns > 0))
        return bad_usage("--find-max and --p99 need each other");
    if (!options->find_max)
        return EXIT_DONE;
    if (options->requests != UINT64_MAX || options->verify || options->svg || options->hdr ||
        options->slow)
        return bad_usage("--find-max excludes --requests, --verify, --slow, --svg and --hdr");
    if (options->rate == 0)
        options->rate = 1000;
    if (options->duration_ns == UINT64_MAX)
        options->duration_ns = 2000000000ULL;
    if (options->warmup_ns == 0)
        options->warmup_ns = 500000000ULL;
    return EXIT_DONE;
}

/* The node's own deadlines, as they are by default. */
static void set_slow_defaults(struct options *options) {
    static const uint64_t seconds[CLIENT_DEADLINES] = {10, 30, 75};
    if (!options->slow_kind_count)
        options->slow_kinds[options->slow_kind_count++] = CLIENT_SLOW_POST;
    for (int i = 0; i < CLIENT_DEADLINES && !options->slow_deadlines_ns[i]; i++)
        options->slow_deadlines_ns[i] = seconds[i] * 1000000000ULL;
}

static int check(struct options *options, int argc, char **argv) {
    if (optind + 1 != argc)
        return optind < argc ? bad_usage("one URL, not more") : bad_usage("the URL is missing");
    int rc = check_together(options);
    rc = rc ? rc : check_search(options);
    if (rc)
        return rc;
    if (options->requests == UINT64_MAX && options->duration_ns == UINT64_MAX)
        options->duration_ns = 10000000000ULL;
    if (options->seed == UINT64_MAX)
        options->seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    set_slow_defaults(options);
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
        {"find-max", no_argument, NULL, OPTION_FIND_MAX},
        {"p99", required_argument, NULL, OPTION_P99},
        {"new-connections", no_argument, NULL, OPTION_NEW_CONNECTIONS},
        {"resume", no_argument, NULL, OPTION_RESUME},
        {"idle", required_argument, NULL, OPTION_IDLE},
        {"slow", required_argument, NULL, OPTION_SLOW},
        {"slow-kinds", required_argument, NULL, OPTION_SLOW_KINDS},
        {"slow-deadlines", required_argument, NULL, OPTION_SLOW_DEADLINES},
        {"also", required_argument, NULL, OPTION_ALSO},
        {"repeat", required_argument, NULL, OPTION_REPEAT},
        {"svg", required_argument, NULL, OPTION_SVG},
        {"hdr", required_argument, NULL, OPTION_HDR},
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
