/* rollcall-forward's command line; see forward_options.h. */
#include "forward_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_value.h"
#include "forward_event.h"
#include "tail_message.h"

/* More than a slow disk has under way in a commit's time, less than any JetStream window of
 * duplicates. */
enum { DEFAULT_WINDOW = 8192 };
enum { DEFAULT_DUPLICATES_MS = 10 * 60 * 1000, MIN_DUPLICATES_MS = 1000 };

static const char usage[] =
    "usage: rollcall-forward --to URL [OPTION]...\n"
    "\n"
    "Publishes a rollcall node's events to NATS JetStream or Kafka, and commits with the node "
    "what\n"
    "was acknowledged there, so that a crash of any part loses nothing.\n"
    "\n"
    "Where from:\n"
    "  -s, --socket PATH       the node's socket (default: $ROLLCALL_SOCKET, else\n"
    "                          /run/rollcall/events.sock)\n"
    "      --reader NAME       the held reader of the node that keeps the place (forward); made\n"
    "                          where there is none\n"
    "      --from oldest|now   where such a new one begins (oldest)\n"
    "      --no-follow         end at the newest event, once it is acknowledged\n"
    "Where to:\n"
    "      --to nats://HOST[:PORT][,nats://...] | tls://HOST[:PORT][,...]\n"
    "      --to kafka://HOST[:PORT][,HOST...]/TOPIC\n"
    "      --window N          at most N events under way, 1 to 65536 (8192)\n"
    "NATS JetStream (subject PREFIX.<endpoint>.<kind>, Nats-Msg-Id = the event's id):\n"
    "      --stream NAME       the stream, which takes PREFIX.> (PRESENCE)\n"
    "      --create            make the stream where there is none: file storage, no limits\n"
    "      --duplicates TIME   its window of duplicates then: 10m, 4h (10m)\n"
    "      --subject-prefix P  of the subjects (presence)\n"
    "      --credentials FILE  a NATS credentials file, or one line: USER:PASSWORD or TOKEN\n"
    "      --ca FILE           what the server's certificate is checked with; means TLS\n"
    "      --certificate FILE, --private-key FILE\n"
    "                          this client's own, where the server wants one\n"
    "Kafka (idempotent producer, acks=all; key = client's MAC or channel; headers id, kind):\n"
    "      --kafka-config KEY=VALUE\n"
    "                          a setting of librdkafka; may be repeated\n"
    "      --kafka-properties FILE\n"
    "                          such settings, one a line: for passwords, which a command line "
    "shows\n"
    "Watching:\n"
    "      --stats             say on stderr how many events go: as a live line on a terminal,\n"
    "                          else every 10 s; and a summary at the end\n"
    "      --metrics-file FILE write counters there every 5 s, as Prometheus' textfile collector\n"
    "                          takes them (FILE ends in .prom then)\n"
    "  -h, --help              this text\n"
    "  -V, --version           the version\n"
    "\n"
    "When either side goes away it is waited for, and all that was not acknowledged goes again.\n"
    "Exit codes: 0 done, 1 failed at run time, 2 bad usage.\n";

static const char hint[] = "see rollcall-forward --help";

static int bad_value(const char *option, const char *value, const char *wanted) {
    tail_say("%s: '%s' is not %s; %s", option, value, wanted, hint);
    return EXIT_USAGE;
}

static int take_reader(struct forward_options *options, const char *value) {
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (!*value || strspn(value, allowed) != strlen(value) || strlen(value) > TAIL_MAX_VALUE_BYTES)
        return bad_value("--reader", value, "a name of A-Z a-z 0-9 . _ -");
    options->node.reader = value;
    return EXIT_DONE;
}

static int take_window(struct forward_options *options, const char *value) {
    uint64_t count;
    if (config_parse_count(value, &count) || count < 1 || count > FORWARD_MAX_WINDOW)
        return bad_value("--window", value, "a number from 1 to 65536");
    options->window = (size_t)count;
    return EXIT_DONE;
}

/* A stream's name has none of what means something in a subject or a path (NATS' own rule). */
static int take_stream(struct forward_options *options, const char *value) {
    if (!*value || strlen(value) > 255 || strpbrk(value, " \t\r\n.*>/\\\""))
        return bad_value("--stream", value,
                         "a stream's name, which has no blanks, dots, slashes, '*' or '>'");
    options->stream = value;
    return EXIT_DONE;
}

static int take_setting(struct forward_options *options, const char *value) {
    const char *equals = strchr(value, '=');
    if (!equals || equals == value)
        return bad_value("--kafka-config", value, "KEY=VALUE");
    if (options->setting_count == FORWARD_MAX_SETTINGS) {
        tail_say("--kafka-config: more than %d; write them into a --kafka-properties file",
                 FORWARD_MAX_SETTINGS);
        return EXIT_USAGE;
    }
    options->settings[options->setting_count++] = value;
    return EXIT_DONE;
}

/* --- where to -------------------------------------------------------------------------------- */

/* Without the value: a password may stand in it. */
static int bad_to(const char *wanted) {
    tail_say("--to: it is not %s; %s", wanted, hint);
    return EXIT_USAGE;
}

/* nats://a:4222,nats://b: each part a URL of its own; a part without a scheme has the first's. */
static int take_servers(struct forward_options *options) {
    char *rest = options->to, *part;
    while ((part = strsep(&rest, ","))) {
        if (options->server_count == FORWARD_MAX_SERVERS)
            return bad_to("a list of at most 16 servers");
        const char *host = strstr(part, "://");
        bool known = strncmp(part, "nats://", 7) == 0 || strncmp(part, "tls://", 6) == 0;
        if (!known || !host[3])
            return bad_to("a list of nats://HOST[:PORT] or tls://HOST[:PORT], with commas between");
        options->servers[options->server_count++] = part;
    }
    return EXIT_DONE;
}

static int take_topic(struct forward_options *options) {
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    char *brokers = options->to + strlen("kafka://"), *slash = strchr(brokers, '/');
    if (!slash || slash == brokers || !slash[1] ||
        strspn(slash + 1, allowed) != strlen(slash + 1) || strlen(slash + 1) > 249)
        return bad_to("kafka://HOST[:PORT][,HOST...]/TOPIC");
    *slash = 0;
    options->brokers = brokers;
    options->topic = slash + 1;
    return EXIT_DONE;
}

static int take_to(struct forward_options *options, const char *value) {
    free(options->to);
    options->server_count = 0;
    options->to = strdup(value);
    if (!options->to) {
        tail_say("start: %s", strerror(ENOMEM));
        return EXIT_FAILED;
    }
    if (strncmp(value, "nats://", 7) == 0 || strncmp(value, "tls://", 6) == 0) {
        options->target = FORWARD_NATS;
        return take_servers(options);
    }
    if (strncmp(value, "kafka://", 8) == 0) {
        options->target = FORWARD_KAFKA;
        return take_topic(options);
    }
    return bad_to("a URL of nats://, tls:// or kafka://");
}

/* --- options --------------------------------------------------------------------------------- */

enum {
    OPTION_TO = 256,
    OPTION_READER,
    OPTION_FROM,
    OPTION_NO_FOLLOW,
    OPTION_WINDOW,
    OPTION_STREAM,
    OPTION_CREATE,
    OPTION_DUPLICATES,
    OPTION_PREFIX,
    OPTION_CREDENTIALS,
    OPTION_CA,
    OPTION_CERTIFICATE,
    OPTION_PRIVATE_KEY,
    OPTION_SETTING,
    OPTION_SETTINGS_FILE,
    OPTION_STATS,
    OPTION_METRICS_FILE,
};

static int take_path(const char *option, const char **where, const char *value) {
    *where = value;
    return *value ? EXIT_DONE : bad_value(option, value, "a path");
}

static int take_value(struct forward_options *options, int option, const char *value) {
    switch (option) {
    case 's':
        options->node.socket_count = 1;
        return take_path("--socket", &options->node.sockets[0], value);
    case OPTION_TO:
        return take_to(options, value);
    case OPTION_READER:
        return take_reader(options, value);
    case OPTION_FROM:
        options->node.from = value;
        if (strcmp(value, "now") != 0 && strcmp(value, "oldest") != 0)
            return bad_value("--from", value, "'now' or 'oldest'");
        return EXIT_DONE;
    case OPTION_WINDOW:
        return take_window(options, value);
    case OPTION_STREAM:
        return take_stream(options, value);
    case OPTION_DUPLICATES:
        if (config_parse_duration(value, &options->duplicates_ms) ||
            options->duplicates_ms < MIN_DUPLICATES_MS ||
            options->duplicates_ms > UINT64_C(365) * 24 * 3600 * 1000)
            return bad_value("--duplicates", value, "a time from 1s to 8760h");
        return EXIT_DONE;
    case OPTION_PREFIX:
        options->prefix = value;
        return forward_event_is_prefix(value)
                   ? EXIT_DONE
                   : bad_value("--subject-prefix", value,
                               "a subject's beginning: words with dots between, 64 bytes at most");
    case OPTION_CREDENTIALS:
        return take_path("--credentials", &options->credentials, value);
    case OPTION_CA:
        return take_path("--ca", &options->ca, value);
    case OPTION_CERTIFICATE:
        return take_path("--certificate", &options->certificate, value);
    case OPTION_PRIVATE_KEY:
        return take_path("--private-key", &options->private_key, value);
    case OPTION_SETTING:
        return take_setting(options, value);
    case OPTION_SETTINGS_FILE:
        return take_path("--kafka-properties", &options->settings_file, value);
    case OPTION_METRICS_FILE:
        return take_path("--metrics-file", &options->metrics_file, value);
    default: /* getopt has said what is wrong */
        fprintf(stderr, "Try 'rollcall-forward --help'.\n");
        return EXIT_USAGE;
    }
}

static int take_option(struct forward_options *options, int option, const char *value) {
    switch (option) {
    case OPTION_NO_FOLLOW:
        options->node.no_follow = true;
        return EXIT_DONE;
    case OPTION_CREATE:
        options->create = true;
        return EXIT_DONE;
    case OPTION_STATS:
        options->stats = true;
        return EXIT_DONE;
    default:
        return take_value(options, option, value);
    }
}

/* What only shows when all of them are there. */
static int check(struct forward_options *options) {
    if (!options->to) {
        tail_say("--to: missing; name where the events go, e.g. --to nats://127.0.0.1:4222, and %s",
                 hint);
        return EXIT_USAGE;
    }
    if (!options->certificate != !options->private_key) {
        tail_say("--certificate and --private-key: one without the other; %s", hint);
        return EXIT_USAGE;
    }
    if (options->target == FORWARD_NATS && (options->setting_count || options->settings_file)) {
        tail_say("--kafka-config and --kafka-properties are Kafka's; %s", hint);
        return EXIT_USAGE;
    }
    if (options->target == FORWARD_KAFKA &&
        (options->create || options->credentials || options->ca || options->certificate)) {
        tail_say("--create, --credentials, --ca and --certificate are NATS'; write Kafka's into "
                 "--kafka-properties, and %s",
                 hint);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

static int show(int option) {
    int written =
        option == 'h' ? fputs(usage, stdout) : printf("rollcall-forward %s\n", ROLLCALL_VERSION);
    if (written >= 0 && fflush(stdout) == 0)
        return EXIT_DONE;
    tail_say("stdout: %s", strerror(errno));
    return EXIT_FAILED;
}

static void set_defaults(struct forward_options *options) {
    const char *socket = getenv("ROLLCALL_SOCKET");
    *options = (struct forward_options){
        .node = {.reader = "forward", .from = "oldest", .socket_count = 1},
        .stream = "PRESENCE",
        .prefix = "presence",
        .duplicates_ms = DEFAULT_DUPLICATES_MS,
        .window = DEFAULT_WINDOW,
    };
    options->node.sockets[0] = socket && *socket ? socket : "/run/rollcall/events.sock";
}

int forward_options_parse(int argc, char **argv, struct forward_options *options, bool *done) {
    static const struct option table[] = {
        {"socket", required_argument, NULL, 's'},
        {"to", required_argument, NULL, OPTION_TO},
        {"reader", required_argument, NULL, OPTION_READER},
        {"from", required_argument, NULL, OPTION_FROM},
        {"no-follow", no_argument, NULL, OPTION_NO_FOLLOW},
        {"window", required_argument, NULL, OPTION_WINDOW},
        {"stream", required_argument, NULL, OPTION_STREAM},
        {"create", no_argument, NULL, OPTION_CREATE},
        {"duplicates", required_argument, NULL, OPTION_DUPLICATES},
        {"subject-prefix", required_argument, NULL, OPTION_PREFIX},
        {"credentials", required_argument, NULL, OPTION_CREDENTIALS},
        {"ca", required_argument, NULL, OPTION_CA},
        {"certificate", required_argument, NULL, OPTION_CERTIFICATE},
        {"private-key", required_argument, NULL, OPTION_PRIVATE_KEY},
        {"kafka-config", required_argument, NULL, OPTION_SETTING},
        {"kafka-properties", required_argument, NULL, OPTION_SETTINGS_FILE},
        {"stats", no_argument, NULL, OPTION_STATS},
        {"metrics-file", required_argument, NULL, OPTION_METRICS_FILE},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int option, rc = EXIT_DONE;
    set_defaults(options);
    while (rc == EXIT_DONE && (option = getopt_long(argc, argv, "s:hV", table, NULL)) != -1) {
        *done = option == 'h' || option == 'V';
        if (*done)
            return show(option);
        rc = take_option(options, option, optarg);
    }
    if (rc == EXIT_DONE && optind < argc) {
        tail_say("unexpected argument '%s'; %s", argv[optind], hint);
        return EXIT_USAGE;
    }
    return rc ? rc : check(options);
}

void forward_options_deinit(struct forward_options *options) {
    free(options->to);
    options->to = NULL;
}
