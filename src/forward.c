/* rollcall-forward: moves a node's events to NATS JetStream or Kafka.
 *
 * One loop, one poll(2): lines come from the node's held reader (tail_source), go to the sink, and
 * wait in the window until the sink has acknowledged them; what is acknowledged without a hole is
 * committed with the node. That commit is the only thing that is kept anywhere: when either side
 * goes away, what is in flight is forgotten, and the stream begins again behind the last event that
 * was acknowledged. What had arrived all the same comes with the same id, by which the sink knows
 * it. Nothing is read while the sink is away, so the node's reader holds what waits.
 *
 * Gaps of the node are said on stderr, and are messages of their own: whoever reads the stream is
 * to know of them, too. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "forward_event.h"
#include "forward_metrics.h"
#include "forward_options.h"
#include "forward_sink.h"
#include "forward_window.h"
#include "tail_message.h"
#include "tail_source.h"
#include "tail_stats.h"
#include "util/clock.h"

enum {
    COMMIT_EVERY_MS = 250,
    METRICS_EVERY_MS = 5000,
    FIRST_BACKOFF_MS = 100,
    MAX_BACKOFF_MS = 2000,
    STALL_MS = 5000, /* a sink that acknowledges nothing for so long is as good as gone */
    DRAIN_MS = 2000, /* at the end, for what is in flight */
    /* In flight, beside --window: nothing more is read above it. One read may still come on top. */
    MAX_BYTES_IN_FLIGHT = 16 * 1024 * 1024,
    POLL_BATCH = 1024,
    GAP_BYTES = 512,
};

struct forward {
    struct forward_options options;
    struct tail_source source;
    struct forward_window window;
    struct forward_sink *sink;
    const struct forward_sink_class *class;
    struct forward_metrics metrics;
    struct tail_stats stats;
    uint64_t sink_retry_ms, progress_ms, commit_ms, metrics_ms;
    unsigned backoff_ms;
    bool sink_failed;  /* noticed while a line was published */
    bool sink_outage;  /* the user was told */
    bool node_outage;  /* counted */
    bool metrics_said; /* that the file cannot be written */
    bool ask_age;      /* the next event may have been published before */
    bool other_said;
    bool ended;
    int status;
};

/* --- signals ----------------------------------------------------------------------------- */

static volatile sig_atomic_t stopping;

/* A second one ends at once. */
static void on_stop(int number) {
    (void)number;
    if (stopping)
        _exit(EXIT_FAILED);
    stopping = 1;
}

static void stop_signals(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
}

static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_stop}, before;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* nohup */
        sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Threads that a sink's library starts inherit the mask: the signals are the loop's. */
static int call_with_signals_blocked(struct forward_sink *sink,
                                     int (*call)(struct forward_sink *sink)) {
    sigset_t ours, before;
    stop_signals(&ours);
    sigprocmask(SIG_BLOCK, &ours, &before);
    int rc = call(sink);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static struct forward_sink *make_sink(const struct forward_sink_class *class,
                                      const struct forward_options *options, char *why) {
    sigset_t ours, before;
    stop_signals(&ours);
    sigprocmask(SIG_BLOCK, &ours, &before);
    struct forward_sink *sink = class->make(options, why);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return sink;
}

/* --- ends ---------------------------------------------------------------------------------- */

static void end(struct forward *forward, int status) {
    forward->ended = true;
    if (status > forward->status)
        forward->status = status;
}

static bool is_over(const struct forward *forward) {
    return forward->ended || stopping;
}

/* --- the sink goes and comes --------------------------------------------------------------- */

/* The stream is to begin again behind what was acknowledged. */
static void rewind_source(struct forward *forward) {
    struct tail_source *source = &forward->source;
    tail_stream_close(&source->stream);
    source->state = TAIL_SOURCE_DOWN;
    source->retry_ms = 0;
    source->error = 0;
    source->made = false;
    if (source->written.ring[0])
        source->seen = source->written;
    size_t forgotten = forward_window_clear(&forward->window);
    forward->metrics.again += forgotten;
    forward->ask_age = forward->ask_age || forgotten > 0;
}

static void on_sink_down(struct forward *forward, const char *why) {
    if (!forward->sink_outage) {
        tail_say("%s: %s; waiting for it", forward->class->name, why);
        forward->metrics.sink_outages++;
    }
    forward->sink_outage = true;
    forward->class->disconnect(forward->sink);
    forward->metrics.sink_up = forward->sink_failed = false;
    rewind_source(forward);
    forward->backoff_ms = forward->backoff_ms ? forward->backoff_ms * 2 : FIRST_BACKOFF_MS;
    if (forward->backoff_ms > MAX_BACKOFF_MS)
        forward->backoff_ms = MAX_BACKOFF_MS;
    forward->sink_retry_ms = clock_monotonic_ms() + forward->backoff_ms;
}

static void say_warning(struct forward *forward) {
    if (forward->sink->warning[0])
        tail_say("%s: %s", forward->class->name, forward->sink->warning);
    forward->sink->warning[0] = 0;
}

static void connect_sink(struct forward *forward) {
    struct forward_sink *sink = forward->sink;
    int rc = call_with_signals_blocked(sink, forward->class->connect);
    if (rc == FORWARD_SINK_REFUSED) {
        tail_say("%s: %s", forward->class->name, sink->why);
        end(forward, EXIT_FAILED);
        return;
    }
    if (rc) {
        on_sink_down(forward, sink->why);
        return;
    }
    say_warning(forward);
    if (forward->sink_outage)
        tail_say("%s is back", forward->class->name);
    forward->sink_outage = false;
    forward->metrics.sink_up = true;
    forward->progress_ms = clock_monotonic_ms();
}

/* --- lines --------------------------------------------------------------------------------- */

/* 0, FORWARD_SINK_TOO_LARGE, TAIL_SINK_ENOUGH when the sink has failed, or -errno. */
static int publish(struct forward *forward, const struct tail_cursor *cursor, int64_t received_us,
                   struct forward_message *message) {
    struct forward_slot slot = {
        .cursor = *cursor, .bytes = message->body.len, .received_us = received_us};
    if (forward_window_count(&forward->window) == 0)
        forward->progress_ms = clock_monotonic_ms();
    message->ticket = forward->window.next;
    int rc = forward->class->publish(forward->sink, message);
    if (rc == FORWARD_SINK_TOO_LARGE)
        return rc;
    if (rc) {
        forward->sink_failed = true;
        return TAIL_SINK_ENOUGH;
    }
    rc = forward_window_push(&forward->window, &slot, &message->ticket);
    forward->metrics.published++;
    forward->metrics.published_bytes += message->body.len;
    return rc ? -ENOBUFS : 0; /* no node sends so many lines in one read */
}

/* As the node's own gap lines. Its id says what it is about: the same again is a duplicate. */
static int publish_gap(struct forward *forward, const struct tail_cursor *cursor,
                       const struct tail_gap *gap, struct span line) {
    char id[GAP_BYTES], subject[FORWARD_SUBJECT_BYTES];
    int len = snprintf(id, sizeof id, "gap-%.*s-%.*s", SPAN_ARG(gap->after), SPAN_ARG(gap->next));
    snprintf(subject, sizeof subject, "%s.gap", forward->options.prefix);
    size_t id_len = (size_t)len < sizeof id ? (size_t)len : sizeof id - 1;
    struct forward_message message = {.id = span_from(id, id_len),
                                      .kind = SPAN("gap"),
                                      .key = SPAN("gap"),
                                      .subject = subject,
                                      .body = line};
    int rc = publish(forward, cursor, 0, &message);
    return rc == FORWARD_SINK_TOO_LARGE ? -EMSGSIZE : rc;
}

static int on_gap(struct forward *forward, const struct tail_cursor *cursor, struct span line) {
    struct tail_gap gap;
    tail_line_read_gap(line, &gap);
    struct span lost = gap.is_count ? gap.lost : SPAN("an unknown number of");
    tail_say("gap: %.*s events lost (%.*s) after %.*s, next %.*s", SPAN_ARG(lost),
             SPAN_ARG(gap.reason), SPAN_ARG(gap.after), SPAN_ARG(gap.next));
    forward->metrics.gaps++;
    forward->metrics.lost += gap.count;
    forward->stats.gaps++;
    forward->stats.lost += gap.count;
    forward->stats.lost_unknown = forward->stats.lost_unknown || !gap.is_count;
    return publish_gap(forward, cursor, &gap, line);
}

/* An event that the sink will never take: a gap of one stands in its place, so that it is neither
 * silently missing nor holds up all that comes after it. */
static int on_too_large(struct forward *forward, const struct tail_cursor *cursor, size_t bytes) {
    struct tail_cursor before = *cursor, behind = *cursor;
    char after[TAIL_CURSOR_MAX], next[TAIL_CURSOR_MAX], line[GAP_BYTES];
    before.seq--;
    behind.seq++;
    tail_cursor_format(&before, after);
    tail_cursor_format(&behind, next);
    int len = snprintf(line, sizeof line,
                       "{\"gap\":{\"after\":\"%s\",\"next\":\"%s\",\"lost\":1,\"reason\":"
                       "\"too-large\"}}",
                       after, next);
    forward->metrics.too_large++;
    struct tail_gap gap = {.after = span_from_string(after), .next = span_from_string(next)};
    tail_say("the event behind %s has %zu bytes, which %s does not take; a gap stands for it",
             after, bytes, forward->class->name);
    return publish_gap(forward, cursor, &gap, span_from(line, (size_t)len));
}

/* Once after each outage: whether the sink still knows what it may have got before. */
static void check_age(struct forward *forward, int64_t received_us) {
    int64_t age_ms = clock_realtime_us() / 1000 - received_us / 1000;
    int64_t window_ms = forward->sink->duplicates_ms;
    bool is_first = forward->source.created && !forward->metrics.published;
    forward->ask_age = false;
    if (is_first || window_ms <= 0 || !received_us || age_ms <= window_ms)
        return;
    tail_say("what comes now is up to %" PRId64 " s old, and %s knows an event again for %" PRId64
             " s: what reached it before an outage and was not acknowledged may be there twice",
             age_ms / 1000, forward->class->name, window_ms / 1000);
}

static int on_event(struct forward *forward, const struct tail_cursor *cursor, struct span line) {
    struct forward_event event;
    char subject[FORWARD_SUBJECT_BYTES];
    if (!forward_event_read(line, &event))
        return -EPROTO;
    if (forward->ask_age)
        check_age(forward, event.received_us);
    forward_event_subject(forward->options.prefix, &event, subject);
    struct forward_message message = {.id = event.id,
                                      .kind = event.kind,
                                      .key = forward_event_key(&event),
                                      .subject = subject,
                                      .body = line};
    int rc = publish(forward, cursor, event.received_us, &message);
    return rc == FORWARD_SINK_TOO_LARGE ? on_too_large(forward, cursor, line.len) : rc;
}

static int on_line(void *context, struct tail_source *source, const struct tail_line *what,
                   struct span line) {
    struct forward *forward = context;
    if (what->kind == TAIL_LINE_EVENT)
        return on_event(forward, &source->seen, line);
    if (what->kind == TAIL_LINE_GAP)
        return on_gap(forward, &source->seen, line);
    if (!forward->other_said)
        tail_say("%s: left out a line that is neither event nor gap: %.*s", source->path,
                 (int)(line.len < 80 ? line.len : 80), line.ptr);
    forward->other_said = true;
    return 0;
}

/* --- acknowledgements ------------------------------------------------------------------------ */

static void take_acknowledged(struct forward *forward, const struct forward_acknowledgement *done,
                              unsigned count) {
    struct forward_slot last;
    for (unsigned i = 0; i < count; i++) {
        if (forward_window_acknowledge(&forward->window, done[i].ticket))
            continue; /* of before an outage */
        forward->metrics.acknowledged++;
        forward->metrics.duplicates += done[i].duplicate;
    }
    size_t settled = forward_window_advance(&forward->window, &last);
    if (!settled)
        return;
    forward->source.written = last.cursor;
    forward->stats.events += settled;
    forward->progress_ms = clock_monotonic_ms();
    forward->metrics.acknowledged_us = clock_realtime_us();
    if (last.received_us)
        forward->metrics.received_us = last.received_us;
    forward->backoff_ms = 0;
}

static void poll_sink(struct forward *forward) {
    struct forward_acknowledgement done[POLL_BATCH];
    unsigned count = POLL_BATCH;
    int rc = 0;
    while (rc == 0 && count == POLL_BATCH) {
        rc = forward->class->poll(forward->sink, done, POLL_BATCH, &count);
        take_acknowledged(forward, done, count);
        say_warning(forward);
    }
    bool stalled = !forward->class->is_patient && forward_window_count(&forward->window) &&
                   clock_monotonic_ms() - forward->progress_ms >= STALL_MS;
    if (rc || forward->sink_failed)
        on_sink_down(forward, forward->sink->why);
    else if (stalled)
        on_sink_down(forward, "no acknowledgement for 5 s");
}

/* --- what comes now and then ----------------------------------------------------------------- */

/* One that fails is tried again; the last one has no again. */
static void commit(struct forward *forward, bool last) {
    struct tail_source *source = &forward->source;
    if (!tail_source_is_dirty(source))
        return;
    int rc = tail_source_commit(source);
    forward->commit_ms = clock_monotonic_ms();
    forward->metrics.commits += rc == 0;
    if (rc == 0 || !last)
        return;
    char why[64];
    snprintf(why, sizeof why, "the node answered %d", rc);
    tail_say("%s: the reader %s could not commit: %s; its last events will go again", source->path,
             source->options->reader, rc < 0 ? strerror(-rc) : why);
    end(forward, EXIT_FAILED);
}

static void write_metrics(struct forward *forward) {
    const char *path = forward->options.metrics_file;
    if (!path)
        return;
    forward->metrics.in_flight = forward_window_count(&forward->window);
    forward->metrics.node_up = forward->source.state == TAIL_SOURCE_OPEN;
    int rc = forward_metrics_write(&forward->metrics, path, forward->options.node.reader,
                                   forward->class->name);
    if (rc && !forward->metrics_said)
        tail_say("--metrics-file: %s: %s; going on without it", path, strerror(-rc));
    forward->metrics_said = rc != 0;
    forward->metrics_ms = clock_monotonic_ms();
}

static void do_chores(struct forward *forward) {
    uint64_t now_ms = clock_monotonic_ms();
    if (forward->source.outage && !forward->node_outage) {
        forward->metrics.node_outages++;
        forward->ask_age = true;
    }
    forward->node_outage = forward->source.outage;
    forward->stats.reconnects = forward->metrics.node_outages + forward->metrics.sink_outages;
    if (now_ms - forward->commit_ms >= COMMIT_EVERY_MS)
        commit(forward, false);
    if (now_ms - forward->metrics_ms >= METRICS_EVERY_MS)
        write_metrics(forward);
    if (forward->stats.on)
        tail_stats_tick(&forward->stats, now_ms);
}

/* --- the loop -------------------------------------------------------------------------------- */

static bool has_room(const struct forward *forward) {
    return forward_window_has_room(&forward->window, forward->options.window, MAX_BYTES_IN_FLIGHT);
}

/* Milliseconds until something is due; -1: nothing is. */
static int timeout_ms(const struct forward *forward) {
    uint64_t now_ms = clock_monotonic_ms(), due = tail_stats_due_ms(&forward->stats);
    bool up = forward->metrics.sink_up;
    bool may_stall =
        up && !forward->class->is_patient && forward_window_count(&forward->window) > 0;
    uint64_t others[] = {
        tail_source_is_dirty(&forward->source) ? forward->commit_ms + COMMIT_EVERY_MS : UINT64_MAX,
        forward->options.metrics_file ? forward->metrics_ms + METRICS_EVERY_MS : UINT64_MAX,
        up ? UINT64_MAX : forward->sink_retry_ms,
        up && forward->source.state == TAIL_SOURCE_DOWN ? forward->source.retry_ms : UINT64_MAX,
        may_stall ? forward->progress_ms + STALL_MS : UINT64_MAX,
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        due = others[i] < due ? others[i] : due;
    if (due == UINT64_MAX)
        return -1;
    uint64_t left = due > now_ms ? due - now_ms : 0;
    return left < INT_MAX ? (int)left : INT_MAX;
}

/* Waits for either side, a signal, or the time. What the node has is in *readable. */
static void wait_for_any(struct forward *forward, bool *readable) {
    bool wanted = forward->source.state == TAIL_SOURCE_OPEN && has_room(forward) && !stopping;
    struct pollfd fds[] = {
        {wanted ? forward->source.stream.fd : -1, POLLIN, 0},
        {forward->sink->fd, POLLIN, 0},
    };
    int wait_ms = timeout_ms(forward);
    struct timespec timeout = {wait_ms / 1000, wait_ms % 1000 * 1000000L};
    sigset_t ours, before;
    stop_signals(&ours);
    /* Blocked between the look at the flag and the wait, so that no signal slips in between. */
    sigprocmask(SIG_BLOCK, &ours, &before);
    int ready = forward->ended ? 0 : ppoll(fds, 2, wait_ms < 0 ? NULL : &timeout, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    *readable = ready > 0 && fds[0].revents;
}

static void read_source(struct forward *forward) {
    if (tail_source_read(&forward->source))
        end(forward, EXIT_FAILED);
    if (forward->source.error < 0) {
        tail_say("%s: %s", forward->source.path, strerror(-forward->source.error));
        end(forward, EXIT_FAILED);
    }
}

static void connect_due(struct forward *forward) {
    uint64_t now_ms = clock_monotonic_ms();
    struct tail_source *source = &forward->source;
    if (!forward->metrics.sink_up && forward->sink_retry_ms <= now_ms)
        connect_sink(forward);
    if (is_over(forward) || !forward->metrics.sink_up || source->state != TAIL_SOURCE_DOWN ||
        source->retry_ms > now_ms)
        return;
    if (tail_source_connect(source, 0))
        end(forward, EXIT_FAILED);
}

/* What was sent before the end may still be acknowledged; what is not goes again next time. */
static void drain(struct forward *forward) {
    uint64_t end_ms = clock_monotonic_ms() + DRAIN_MS, now_ms;
    while (forward->metrics.sink_up && forward_window_count(&forward->window) &&
           (now_ms = clock_monotonic_ms()) < end_ms) {
        struct pollfd in = {forward->sink->fd, POLLIN, 0};
        (void)poll(&in, 1, (int)(end_ms - now_ms));
        poll_sink(forward);
    }
}

static void run(struct forward *forward) {
    forward->metrics_ms = forward->commit_ms = clock_monotonic_ms();
    write_metrics(forward);
    while (!is_over(forward)) {
        bool readable = false;
        connect_due(forward);
        if (is_over(forward))
            break;
        wait_for_any(forward, &readable);
        if (readable)
            read_source(forward);
        if (forward->metrics.sink_up)
            poll_sink(forward);
        do_chores(forward);
        if (forward->source.state == TAIL_SOURCE_ENDED && !forward_window_count(&forward->window))
            end(forward, EXIT_DONE);
    }
    drain(forward);
    commit(forward, true);
    tail_stream_close(&forward->source.stream);
    forward->source.state = TAIL_SOURCE_DOWN;
    forward->class->disconnect(forward->sink);
    forward->metrics.sink_up = false;
    write_metrics(forward);
    tail_stats_end(&forward->stats, clock_monotonic_ms());
}

/* --- beginning and end ------------------------------------------------------------------------ */

static int init(struct forward *forward) {
    char why[FORWARD_WHY_BYTES] = "";
    bool is_nats = forward->options.target == FORWARD_NATS;
    forward->class = is_nats ? forward_sink_nats : forward_sink_kafka;
    if (!forward->class) {
        tail_say("--to: this rollcall-forward was built without %s; install %s and build it again",
                 is_nats ? "NATS" : "Kafka", is_nats ? "libnats-dev" : "librdkafka-dev");
        return EXIT_USAGE;
    }
    tail_source_init(&forward->source, &forward->options.node, forward->options.node.sockets[0],
                     on_line, forward);
    forward->ask_age = true;
    if (forward_window_init(&forward->window, forward->options.window + FORWARD_LINES_OF_A_READ) ==
        0)
        forward->sink = make_sink(forward->class, &forward->options, why);
    if (!forward->sink) {
        tail_say("%s", why[0] ? why : strerror(ENOMEM));
        return why[0] ? EXIT_USAGE : EXIT_FAILED;
    }
    if (forward->options.stats)
        tail_stats_init(&forward->stats, clock_monotonic_ms());
    return EXIT_DONE;
}

static void deinit(struct forward *forward) {
    if (forward->sink)
        forward->class->free(forward->sink);
    if (forward->source.path)
        tail_source_deinit(&forward->source);
    forward_window_deinit(&forward->window);
    forward_options_deinit(&forward->options);
}

int main(int argc, char **argv) {
    struct forward forward = {0};
    bool done = false;
    tail_message_name("rollcall-forward");
    int rc = forward_options_parse(argc, argv, &forward.options, &done);
    if (rc == EXIT_DONE && !done) {
        catch_signals();
        rc = init(&forward);
        if (rc == EXIT_DONE) {
            run(&forward);
            rc = forward.status;
        }
    }
    deinit(&forward);
    return rc;
}
