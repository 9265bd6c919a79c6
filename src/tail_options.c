/* rollcall-tail's command line; see tail_options.h. */
#include "tail_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tail_message.h"

static const char usage[] =
    "usage: rollcall-tail [OPTION]...\n"
    "\n"
    "Prints the events of rollcall nodes, one line each, as they come.\n"
    "\n"
    "Where from:\n"
    "  -s, --socket PATH       a node's socket (default: $ROLLCALL_SOCKET, else\n"
    "                          /run/rollcall/events.sock); may be repeated: the nodes' events\n"
    "                          are merged by the time they were received\n"
    "      --from now|oldest   where to begin (default: now)\n"
    "      --after CURSOR      begin behind this event (<ring id>-<seq>); one socket only\n"
    "      --cursor-file FILE  begin behind the events that FILE names, if it is there, and keep\n"
    "                          it up to date: after a crash events may repeat, none is lost\n"
    "      --reader NAME       be the held reader NAME of the node, which keeps the place and "
    "what\n"
    "                          was not read yet; made where there is none, by --from or --after\n"
    "Which:\n"
    "      --endpoint NAME, --provider NAME, --kind KIND, --mac ADDRESS\n"
    "                          only such events; may be repeated: one of each name must match\n"
    "  -n, --lines N           end after N events\n"
    "      --no-follow         end at the newest event instead of waiting for more\n"
    "How:\n"
    "      --format ndjson|text|cloudevents\n"
    "                          JSON lines (default), columns for people, or CloudEvents lines\n"
    "      --gaps              print gaps among the events too, not only on stderr\n"
    "      --stats             say on stderr how many events come: as a live line on a terminal,\n"
    "                          else every 10 s; and a summary at the end\n"
    "  -h, --help              this text\n"
    "  -V, --version           the version\n"
    "\n"
    "When a node goes away it is waited for, and its stream goes on where it was.\n"
    "A line is held in memory whole, and may be up to 64 MiB long.\n"
    "Exit codes: 0 done, 1 failed at run time, 2 bad usage.\n";

static const char hint[] = "see rollcall-tail --help";

static int bad_value(const char *option, const char *value, const char *wanted) {
    tail_say("%s: '%s' is not %s; %s", option, value, wanted, hint);
    return EXIT_USAGE;
}

static int exclusive(const char *options) {
    tail_say("%s exclude each other; %s", options, hint);
    return EXIT_USAGE;
}

static int add_socket(struct tail_options *options, const char *path) {
    if (!*path || strchr(path, '\n'))
        return bad_value("--socket", path, "a path");
    for (size_t i = 0; i < options->socket_count; i++)
        if (strcmp(options->sockets[i], path) == 0) {
            tail_say("--socket: '%s' is given twice; %s", path, hint);
            return EXIT_USAGE;
        }
    if (options->socket_count == TAIL_MAX_SOCKETS) {
        tail_say("--socket: more than %d; start another rollcall-tail for the rest, and %s",
                 TAIL_MAX_SOCKETS, hint);
        return EXIT_USAGE;
    }
    options->sockets[options->socket_count++] = path;
    return EXIT_DONE;
}

static int add_filter(struct tail_options *options, const char *name, const char *value) {
    if (!*value || strlen(value) > TAIL_MAX_VALUE_BYTES) {
        tail_say("--%s: its value has 1 to %d bytes; %s", name, TAIL_MAX_VALUE_BYTES, hint);
        return EXIT_USAGE;
    }
    if (options->filter_count == TAIL_MAX_FILTERS) {
        tail_say("--%s: more than %d values to filter by, which no node takes; %s", name,
                 TAIL_MAX_FILTERS, hint);
        return EXIT_USAGE;
    }
    options->filters[options->filter_count++] = (struct tail_filter){name, value};
    return EXIT_DONE;
}

static int take_format(struct tail_options *options, const char *value) {
    static const char *const names[] = {
        [TAIL_NDJSON] = "ndjson", [TAIL_TEXT] = "text", [TAIL_CLOUDEVENTS] = "cloudevents"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(value, names[i]) == 0) {
            options->format = (enum tail_format)i;
            return EXIT_DONE;
        }
    return bad_value("--format", value, "'ndjson', 'text' or 'cloudevents'");
}

static int take_lines(struct tail_options *options, const char *value) {
    char *rest;
    errno = 0;
    options->lines = strtoull(value, &rest, 10);
    if (errno || *rest || value[0] < '0' || value[0] > '9' || options->lines == 0)
        return bad_value("--lines", value, "a whole number of at least 1");
    return EXIT_DONE;
}

/* A reader's name is part of a request's path. */
static int take_reader(struct tail_options *options, const char *value) {
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (!*value || strspn(value, allowed) != strlen(value) || strlen(value) > TAIL_MAX_VALUE_BYTES)
        return bad_value("--reader", value, "a name of A-Z a-z 0-9 . _ -");
    options->reader = value;
    return EXIT_DONE;
}

static int take_option(struct tail_options *options, int option) {
    switch (option) {
    case 's':
        return add_socket(options, optarg);
    case 'f':
        options->from = optarg;
        if (strcmp(optarg, "now") != 0 && strcmp(optarg, "oldest") != 0)
            return bad_value("--from", optarg, "'now' or 'oldest'");
        return EXIT_DONE;
    case 'a':
        if (!tail_cursor_parse(span_from_string(optarg), &options->after))
            return bad_value("--after", optarg, "a cursor (<ring id>-<seq>)");
        return EXIT_DONE;
    case 'c':
        options->cursor_file = optarg;
        return *optarg ? EXIT_DONE : bad_value("--cursor-file", optarg, "a path");
    case 'r':
        return take_reader(options, optarg);
    case 'e':
        return add_filter(options, "endpoint", optarg);
    case 'p':
        return add_filter(options, "provider", optarg);
    case 'k':
        return add_filter(options, "kind", optarg);
    case 'm':
        return add_filter(options, "mac", optarg);
    case 't':
        return take_format(options, optarg);
    case 'n':
        return take_lines(options, optarg);
    case 'o':
        options->no_follow = true;
        return EXIT_DONE;
    case 'g':
        options->gaps = true;
        return EXIT_DONE;
    case 'S':
        options->stats = true;
        return EXIT_DONE;
    default: /* getopt has said what is wrong */
        fprintf(stderr, "Try 'rollcall-tail --help'.\n");
        return EXIT_USAGE;
    }
}

/* What only shows when all of them are there. */
static int check(struct tail_options *options) {
    bool after = options->after.ring[0];
    if (options->from && after)
        return exclusive("--from and --after");
    if (options->reader && options->cursor_file)
        return exclusive("--reader and --cursor-file");
    if (after && options->socket_count > 1) {
        tail_say("--after: a cursor is of one node, and there are %zu sockets; use --cursor-file "
                 "or see rollcall-tail --help",
                 options->socket_count);
        return EXIT_USAGE;
    }
    if (options->socket_count == 0) {
        const char *path = getenv("ROLLCALL_SOCKET");
        return add_socket(options, path && *path ? path : "/run/rollcall/events.sock");
    }
    return EXIT_DONE;
}

static int show(int option) {
    int written =
        option == 'h' ? fputs(usage, stdout) : printf("rollcall-tail %s\n", ROLLCALL_VERSION);
    if (written >= 0 && fflush(stdout) == 0)
        return EXIT_DONE;
    tail_say("stdout: %s", strerror(errno));
    return EXIT_FAILED;
}

int tail_options_parse(int argc, char **argv, struct tail_options *options, bool *done) {
    static const struct option table[] = {
        {"socket", required_argument, NULL, 's'},
        {"from", required_argument, NULL, 'f'},
        {"after", required_argument, NULL, 'a'},
        {"cursor-file", required_argument, NULL, 'c'},
        {"reader", required_argument, NULL, 'r'},
        {"endpoint", required_argument, NULL, 'e'},
        {"provider", required_argument, NULL, 'p'},
        {"kind", required_argument, NULL, 'k'},
        {"mac", required_argument, NULL, 'm'},
        {"format", required_argument, NULL, 't'},
        {"lines", required_argument, NULL, 'n'},
        {"no-follow", no_argument, NULL, 'o'},
        {"gaps", no_argument, NULL, 'g'},
        {"stats", no_argument, NULL, 'S'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int option, rc = EXIT_DONE;
    while (rc == EXIT_DONE && (option = getopt_long(argc, argv, "s:n:hV", table, NULL)) != -1) {
        *done = option == 'h' || option == 'V';
        if (*done)
            return show(option);
        rc = take_option(options, option);
    }
    if (rc == EXIT_DONE && optind < argc) {
        tail_say("unexpected argument '%s'; %s", argv[optind], hint);
        return EXIT_USAGE;
    }
    return rc ? rc : check(options);
}
