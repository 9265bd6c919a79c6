/* rollcall-tail: prints a node's events as they come, one line each, and comes back by itself.
 *
 * One stream at a time: connect, copy whole lines to stdout, remember the last one's cursor. When
 * the connection ends before its time: connect again and go on behind that cursor. What is lost is
 * said on stderr as the node says it. The cursor file follows what was written to stdout, never
 * ahead. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "tail_cursor.h"
#include "tail_stream.h"
#include "util/clock.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum {
    STORE_EVERY_MS = 100,
    FIRST_BACKOFF_MS = 50,
    MAX_BACKOFF_MS = 2000,
    OUT_KEEP_BYTES = 256 * 1024,
};

static const char usage[] =
    "usage: rollcall-tail [OPTION]...\n"
    "\n"
    "Prints the events of a rollcall node, one JSON line each, as they come.\n"
    "\n"
    "  -s, --socket PATH       the node's socket (default: $ROLLCALL_SOCKET,\n"
    "                          else /run/rollcall/events.sock)\n"
    "      --from now|oldest   where to begin (default: now)\n"
    "      --after CURSOR      begin behind this event (<ring id>-<seq>)\n"
    "      --cursor-file FILE  begin behind the event that FILE names, if it is there, and keep\n"
    "                          it up to date: after a crash events may repeat, none is lost\n"
    "      --no-follow         end at the newest event instead of waiting for more\n"
    "  -n, --lines N           end after N events\n"
    "      --gaps              print gap lines among the events too, not only on stderr\n"
    "  -h, --help              this text\n"
    "  -V, --version           the version\n"
    "\n"
    "When the node goes away it is waited for, and the stream goes on where it was.\n"
    "Exit codes: 0 done, 1 failed at run time, 2 bad usage.\n";

struct options {
    const char *socket, *from, *after, *cursor_file;
    bool no_follow, gaps;
    unsigned long long lines; /* 0: no end */
};

struct tail {
    struct options options;
    struct tail_stream stream;
    struct buf out;
    char cursor[TAIL_CURSOR_MAX]; /* of the last line; "" before the first connection */
    bool cursor_dirty;
    uint64_t stored_ms;
    unsigned long long printed;
    bool outage; /* the user was told that the node is gone */
    bool ended;
    int status;
    struct json_parser *json;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number) {
    (void)number;
    if (stopping)
        _exit(EXIT_FAILED);
    stopping = 1;
}

static void complain(const char *what, const char *why, const char *hint) {
    fprintf(stderr, "rollcall-tail: %s: %s%s%s\n", what, why, *hint ? "; " : "", hint);
}

static void end(struct tail *tail, int status) {
    tail->ended = true;
    tail->status = status;
}

/* --- lines
 * ---------------------------------------------------------------------------------------- */

static struct span member(const struct json_doc *doc, uint32_t object, struct span name) {
    uint32_t node = json_find(doc, object, name);
    return node ? json_text(doc, node) : SPAN("?");
}

/* {"gap":{"after":A,"next":B,"lost":N,"reason":R}} as a sentence. */
static int report_gap(struct tail *tail, struct span line) {
    static const char padding[JSON_PADDING];
    struct buf text = {0};
    struct json_doc doc;
    struct json_error error;
    int rc = buf_append(&text, line.ptr, line.len);
    rc = rc ? rc : buf_append(&text, padding, sizeof padding);
    if (!tail->json)
        tail->json = json_parser_new();
    if (rc == 0 && tail->json && json_parse(tail->json, text.ptr, line.len, &doc, &error) == 0) {
        uint32_t gap = json_find(&doc, 0, SPAN("gap"));
        struct span lost = member(&doc, gap, SPAN("lost"));
        if (span_equals(lost, SPAN("null")))
            lost = SPAN("an unknown number of");
        fprintf(stderr, "rollcall-tail: gap: %.*s events lost (%.*s) after %.*s, next %.*s\n",
                SPAN_ARG(lost), SPAN_ARG(member(&doc, gap, SPAN("reason"))),
                SPAN_ARG(member(&doc, gap, SPAN("after"))),
                SPAN_ARG(member(&doc, gap, SPAN("next"))));
    }
    buf_deinit(&text);
    return rc;
}

static int append_line(struct tail *tail, struct span line) {
    int rc = buf_append(&tail->out, line.ptr, line.len);
    return rc ? rc : buf_append(&tail->out, "\n", 1);
}

static bool on_line(void *context, struct span line) {
    struct tail *tail = context;
    unsigned long long seq;
    int rc = 0;
    if (tail_cursor_line_seq(line, &seq)) {
        rc = append_line(tail, line);
        snprintf(tail->cursor, sizeof tail->cursor, "%.16s-%llu", tail->stream.cursor, seq);
        tail->cursor_dirty = true;
        tail->printed++;
    } else {
        rc = report_gap(tail, line);
        if (rc == 0 && tail->options.gaps)
            rc = append_line(tail, line);
    }
    if (rc) {
        complain("line", strerror(-rc), "");
        end(tail, EXIT_FAILED);
        return false;
    }
    return tail->options.lines == 0 || tail->printed < tail->options.lines;
}

/* Writes all whole lines. A reader that has gone (| head) is the end, and no error. */
static void write_out(struct tail *tail) {
    size_t done = 0;
    while (done < tail->out.len) {
        ssize_t len = write(STDOUT_FILENO, tail->out.ptr + done, tail->out.len - done);
        if (len >= 0) {
            done += (size_t)len;
        } else if (errno == EAGAIN) {
            struct pollfd out = {STDOUT_FILENO, POLLOUT, 0};
            (void)poll(&out, 1, -1);
        } else if (errno != EINTR) {
            tail->cursor_dirty = false; /* these lines were not written: the cursor stays behind */
            if (errno != EPIPE)
                complain("stdout", strerror(errno), "");
            end(tail, errno == EPIPE ? EXIT_DONE : EXIT_FAILED);
            break;
        }
    }
    buf_reset(&tail->out, OUT_KEEP_BYTES);
}

static void store_cursor(struct tail *tail) {
    if (!tail->cursor_dirty || !tail->options.cursor_file)
        return;
    int rc = tail_cursor_store(tail->options.cursor_file, tail->cursor);
    tail->cursor_dirty = false;
    tail->stored_ms = clock_monotonic_ms();
    if (rc) {
        complain(tail->options.cursor_file, strerror(-rc), "the cursor cannot be kept there");
        end(tail, EXIT_FAILED);
    }
}

/* --- the connection
 * ------------------------------------------------------------------------------- */

/* Waits until the fd is readable, a signal comes or the time is up. Whether it is readable. */
static bool wait_for(int fd, int timeout_ms) {
    struct pollfd in = {fd, POLLIN, 0};
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    sigset_t ours, before;
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    /* Blocked between the look at `stopping` and the wait, so that no signal slips in between. */
    sigprocmask(SIG_BLOCK, &ours, &before);
    int ready = stopping ? 0 : ppoll(&in, fd >= 0, timeout_ms < 0 ? NULL : &timeout, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return ready > 0;
}

static int store_timeout_ms(const struct tail *tail) {
    if (!tail->cursor_dirty || !tail->options.cursor_file)
        return -1;
    uint64_t due = tail->stored_ms + STORE_EVERY_MS, now = clock_monotonic_ms();
    return due > now ? (int)(due - now) : 0;
}

/* The head of the answer is there: what it says of where the stream begins, or that there is none.
 */
static void check_answer(struct tail *tail, int result) {
    struct tail_stream *stream = &tail->stream;
    int status = tail_stream_status(stream);
    if (status == 200 && !tail->cursor[0] && stream->cursor[0]) {
        snprintf(tail->cursor, sizeof tail->cursor, "%s", stream->cursor);
        tail->cursor_dirty = true;
    }
    if (status == 200 && tail->outage) {
        tail->outage = false;
        complain(tail->options.socket, "the node is back", "");
    }
    if (status >= 400 && status < 500 && result != TAIL_OK) {
        struct span body = buf_span(&stream->error);
        while (body.len && body.ptr[body.len - 1] == '\n')
            body.len--;
        fprintf(stderr, "rollcall-tail: %s: the node answered %d: %.*s\n", tail->options.socket,
                status, SPAN_ARG(body));
        end(tail, EXIT_FAILED);
    }
}

/* Copies the stream until it ends. What ended it, or 0 for a signal. */
static int copy_stream(struct tail *tail) {
    int result = TAIL_OK;
    while (result == TAIL_OK && !tail->ended && !stopping) {
        if (wait_for(tail->stream.fd, store_timeout_ms(tail))) {
            result = tail_stream_read(&tail->stream);
            check_answer(tail, result);
            write_out(tail);
        }
        if (store_timeout_ms(tail) == 0)
            store_cursor(tail);
    }
    return result;
}

static void make_target(const struct tail *tail, char *target, size_t len) {
    const struct options *options = &tail->options;
    int used = snprintf(target, len, "/v1/events?follow=%d", !options->no_follow);
    if (tail->cursor[0])
        used += snprintf(target + used, len - (size_t)used, "&after=%s", tail->cursor);
    else if (options->from)
        used += snprintf(target + used, len - (size_t)used, "&from=%s", options->from);
    if (options->lines)
        snprintf(target + used, len - (size_t)used, "&limit=%llu", options->lines - tail->printed);
}

static void note_outage(struct tail *tail, const char *why) {
    if (!tail->outage)
        complain(tail->options.socket, why, "waiting for the node");
    tail->outage = true;
}

/* One connection, from its beginning to its end. Whether lines or at least an answer came. */
static bool run_stream(struct tail *tail) {
    char target[256];
    make_target(tail, target, sizeof target);
    int rc = tail_stream_open(&tail->stream, tail->options.socket, target);
    if (rc) {
        bool final = rc != -ENOENT && rc != -ECONNREFUSED && rc != -EAGAIN && rc != -ECONNRESET &&
                     rc != -EPIPE;
        if (final || (tail->options.no_follow && !tail->cursor[0])) {
            complain(tail->options.socket, strerror(-rc), "is the node running? see --socket");
            end(tail, EXIT_FAILED);
        } else {
            note_outage(tail, strerror(-rc));
        }
        return false;
    }
    int result = copy_stream(tail);
    int status = tail_stream_status(&tail->stream);
    tail_stream_close(&tail->stream);
    if (tail->ended || stopping)
        return true;
    if (result == TAIL_INVALID || result < 0) {
        complain(tail->options.socket, result < 0 ? strerror(-result) : "this is no event stream",
                 "is it a rollcall node's socket?");
        end(tail, EXIT_FAILED);
    } else if (result == TAIL_STOP ||
               (result == TAIL_END && status == 200 &&
                (tail->options.no_follow ||
                 (tail->options.lines && tail->printed >= tail->options.lines)))) {
        end(tail, EXIT_DONE);
    } else {
        note_outage(tail, status >= 500 ? "the node is busy" : "the connection ended");
    }
    return status == 200;
}

static void run(struct tail *tail) {
    int backoff_ms = FIRST_BACKOFF_MS;
    while (!tail->ended && !stopping) {
        if (run_stream(tail))
            backoff_ms = FIRST_BACKOFF_MS;
        if (tail->ended || stopping)
            break;
        store_cursor(tail);
        (void)wait_for(-1, backoff_ms);
        backoff_ms = backoff_ms * 2 < MAX_BACKOFF_MS ? backoff_ms * 2 : MAX_BACKOFF_MS;
    }
    write_out(tail);
    store_cursor(tail);
}

/* --- options
 * -------------------------------------------------------------------------------------- */

static int bad_usage(void) {
    fprintf(stderr, "Try 'rollcall-tail --help'.\n");
    return EXIT_USAGE;
}

static int bad_value(const char *option, const char *value, const char *wanted) {
    fprintf(stderr, "rollcall-tail: %s: '%s' is not %s\n", option, value, wanted);
    return bad_usage();
}

static int take_option(struct options *options, int option) {
    char *rest;
    switch (option) {
    case 's':
        options->socket = optarg;
        return EXIT_DONE;
    case 'f':
        options->from = optarg;
        if (strcmp(optarg, "now") != 0 && strcmp(optarg, "oldest") != 0)
            return bad_value("--from", optarg, "'now' or 'oldest'");
        return EXIT_DONE;
    case 'a':
        options->after = optarg;
        if (!tail_cursor_is_valid(span_from_string(optarg)))
            return bad_value("--after", optarg, "a cursor (<ring id>-<seq>)");
        return EXIT_DONE;
    case 'c':
        options->cursor_file = optarg;
        return EXIT_DONE;
    case 'o':
        options->no_follow = true;
        return EXIT_DONE;
    case 'g':
        options->gaps = true;
        return EXIT_DONE;
    case 'n':
        errno = 0;
        options->lines = strtoull(optarg, &rest, 10);
        if (errno || *rest || optarg[0] < '0' || optarg[0] > '9' || options->lines == 0)
            return bad_value("--lines", optarg, "a whole number of at least 1");
        return EXIT_DONE;
    default:
        return bad_usage();
    }
}

/* EXIT_DONE, or EXIT_USAGE after a message; *done where --help or --version was all. */
static int parse_options(int argc, char **argv, struct options *options, bool *done) {
    static const struct option table[] = {
        {"socket", required_argument, NULL, 's'}, {"from", required_argument, NULL, 'f'},
        {"after", required_argument, NULL, 'a'},  {"cursor-file", required_argument, NULL, 'c'},
        {"no-follow", no_argument, NULL, 'o'},    {"lines", required_argument, NULL, 'n'},
        {"gaps", no_argument, NULL, 'g'},         {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {NULL, 0, NULL, 0},
    };
    int option, rc = EXIT_DONE;
    while (rc == EXIT_DONE && (option = getopt_long(argc, argv, "s:n:hV", table, NULL)) != -1) {
        if (option == 'h' || option == 'V') {
            *done = true;
            int written = option == 'h' ? fputs(usage, stdout)
                                        : printf("rollcall-tail %s\n", ROLLCALL_VERSION);
            return written < 0 || fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
        }
        rc = take_option(options, option);
    }
    if (rc == EXIT_DONE && optind < argc) {
        fprintf(stderr, "rollcall-tail: unexpected argument '%s'\n", argv[optind]);
        return bad_usage();
    }
    if (rc == EXIT_DONE && options->from && options->after) {
        fprintf(stderr, "rollcall-tail: --from and --after exclude each other\n");
        return bad_usage();
    }
    return rc;
}

static const char *default_socket(void) {
    const char *path = getenv("ROLLCALL_SOCKET");
    return path && *path ? path : "/run/rollcall/events.sock";
}

/* Where to begin: --after, else the cursor file, else --from. */
static int load_start(struct tail *tail) {
    const struct options *options = &tail->options;
    if (options->after)
        snprintf(tail->cursor, sizeof tail->cursor, "%s", options->after);
    if (options->after || !options->cursor_file)
        return EXIT_DONE;
    int rc = tail_cursor_load(options->cursor_file, tail->cursor);
    if (rc == 0)
        return EXIT_DONE;
    tail->cursor[0] = 0;
    if (rc == TAIL_CURSOR_NONE)
        return EXIT_DONE;
    complain(options->cursor_file, rc == TAIL_CURSOR_INVALID ? "holds no cursor" : strerror(-rc),
             "remove it to begin anew");
    return EXIT_USAGE;
}

static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* EPIPE says the same, at a place where it can be handled */
}

int main(int argc, char **argv) {
    struct tail tail = {.options = {.socket = default_socket()}};
    bool done = false;
    int rc = parse_options(argc, argv, &tail.options, &done);
    if (rc || done)
        return rc;
    rc = load_start(&tail);
    if (rc)
        return rc;
    catch_signals();
    tail_stream_init(&tail.stream, on_line, &tail);
    run(&tail);
    tail_stream_deinit(&tail.stream);
    buf_deinit(&tail.out);
    json_parser_free(tail.json);
    return tail.status;
}
