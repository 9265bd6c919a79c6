/* rollcall-tail: prints the events of one node or several as they come, one line each, and comes
 * back by itself.
 *
 * One thread, one poll(2). Each node is a source (tail_source); its lines go straight to stdout's
 * buffer (tail_out) where it is the only one, else through the merge (tail_merge). What is lost is
 * said on stderr as the node says it. The kept place, in the cursor file or with the node, follows
 * what was written to stdout and is never ahead of it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tail_merge.h"
#include "tail_message.h"
#include "tail_options.h"
#include "tail_out.h"
#include "tail_source.h"
#include "tail_stats.h"
#include "tail_text.h"
#include "util/clock.h"

enum { STORE_EVERY_MS = 100, COMMIT_EVERY_MS = 1000 };

/* A source and what waits of it for the merge. */
struct lane {
    struct tail_source source;
    struct tail_queue queue;
    uint64_t quiet_ms; /* since when nothing waits */
};

struct tail {
    struct tail_options options;
    struct lane *lanes; /* options.socket_count of them */
    struct tail_out out;
    struct tail_text text;
    struct tail_stats stats;
    uint64_t printed, kept_ms, merge_due_ms;
    bool is_terminal; /* stdout */
    bool ended;
    int status;
};

/* --- signals ----------------------------------------------------------------------------- */

static volatile sig_atomic_t stopping, resized;

/* A second one ends at once. The first may come just before a write that nobody takes: the alarm
 * interrupts that. */
static void on_stop(int number) {
    (void)number;
    if (stopping)
        _exit(EXIT_FAILED);
    stopping = 1;
    alarm(1);
}

static void on_alarm(int number) {
    (void)number;
}

static void on_resize(int number) {
    (void)number;
    resized = 1;
}

/* Without SA_RESTART, so that a write that waits is interrupted. */
static void catch_signal(int number, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler}, before;
    if (number == SIGHUP && sigaction(number, NULL, &before) == 0 && before.sa_handler == SIG_IGN)
        return; /* nohup */
    sigaction(number, &action, NULL);
}

static void catch_signals(void) {
    catch_signal(SIGINT, on_stop);
    catch_signal(SIGTERM, on_stop);
    catch_signal(SIGHUP, on_stop);
    catch_signal(SIGALRM, on_alarm);
    catch_signal(SIGWINCH, on_resize);
    signal(SIGPIPE, SIG_IGN); /* EPIPE says the same, at a place where it can be handled */
}

/* --- ends ---------------------------------------------------------------------------------- */

static void end(struct tail *tail, int status) {
    tail->ended = true;
    if (status > tail->status)
        tail->status = status;
}

static void end_with(struct tail *tail, const char *what, int error) {
    tail_say("%s: %s", what, strerror(-error));
    end(tail, EXIT_FAILED);
}

static bool is_over(const struct tail *tail) {
    return tail->ended || stopping;
}

/* --- lines --------------------------------------------------------------------------------- */

/* Writes all whole lines. A reader that has gone (| head) is the end, and no error. */
static void write_out(struct tail *tail) {
    if (!tail->out.text.len && !tail->out.mark_count)
        return;
    bool shared = tail->is_terminal && tail->stats.live;
    if (shared)
        tail_status_hide();
    int rc = tail_out_write(&tail->out, &stopping);
    if (shared)
        tail_status_draw();
    if (rc == TAIL_OUT_GONE)
        end(tail, EXIT_DONE);
    else if (rc)
        end_with(tail, "stdout", rc);
}

/* On stderr, behind what stands in front of it on stdout. */
static void report_gap(struct tail *tail, struct span line) {
    struct tail_gap gap;
    tail_line_read_gap(line, &gap);
    write_out(tail);
    tail->stats.gaps++;
    tail->stats.lost += gap.count;
    tail->stats.lost_unknown = tail->stats.lost_unknown || !gap.is_count;
    struct span lost = gap.is_count ? gap.lost : SPAN("an unknown number of");
    tail_say("gap: %.*s events lost (%.*s) after %.*s, next %.*s", SPAN_ARG(lost),
             SPAN_ARG(gap.reason), SPAN_ARG(gap.after), SPAN_ARG(gap.next));
}

/* The '\n' stands behind the line. */
static int append_line(struct tail *tail, enum tail_line_kind kind, struct span line) {
    if (tail->options.format != TAIL_TEXT)
        return buf_append(&tail->out.text, line.ptr, line.len + 1);
    return kind == TAIL_LINE_EVENT ? tail_text_event(&tail->text, line, &tail->out.text)
                                   : tail_text_other(&tail->text, line, &tail->out.text);
}

/* A line's turn has come. 0, TAIL_SINK_ENOUGH or -errno. */
static int print_line(struct tail *tail, struct tail_source *source, enum tail_line_kind kind,
                      const struct tail_cursor *cursor, struct span line) {
    int rc = 0;
    if (kind == TAIL_LINE_GAP)
        report_gap(tail, line);
    if (is_over(tail))
        return TAIL_SINK_ENOUGH;
    if (kind != TAIL_LINE_GAP || tail->options.gaps)
        rc = append_line(tail, kind, line);
    rc = rc ? rc : tail_out_mark(&tail->out, &source->written, cursor);
    if (rc)
        return rc;
    if (kind == TAIL_LINE_EVENT) {
        tail->printed++;
        tail->stats.events++;
    }
    if (tail->options.lines && tail->printed >= tail->options.lines) {
        write_out(tail);
        end(tail, EXIT_DONE);
    } else if (tail_out_is_full(&tail->out)) {
        write_out(tail);
    }
    return is_over(tail) ? TAIL_SINK_ENOUGH : 0;
}

/* The only node's lines: their turn is when they come. */
static int on_only_line(void *context, struct tail_source *source, const struct tail_line *what,
                        struct span line) {
    return print_line(context, source, what->kind, &source->seen, line);
}

static int on_one_of_many(void *context, struct tail_source *source, const struct tail_line *what,
                          struct span line) {
    struct tail *tail = context;
    struct lane *lane = tail->lanes;
    while (&lane->source != source)
        lane++;
    return tail_queue_push(&lane->queue, line, what, &source->seen, clock_monotonic_ms());
}

static void pop(struct lane *lane, uint64_t now_ms) {
    tail_queue_pop(&lane->queue);
    if (!tail_queue_head(&lane->queue))
        lane->quiet_ms = now_ms;
}

/* Prints what is due of the queues; *due_ms: when to come again although nothing came. A node that
 * is away is not waited for, unless the order is to be exact. */
static void merge(struct tail *tail) {
    struct tail_input inputs[TAIL_MAX_SOCKETS];
    bool exact = tail->options.no_follow;
    unsigned count = (unsigned)tail->options.socket_count;
    uint64_t now_ms = clock_monotonic_ms();
    int64_t realtime_ms = clock_realtime_us() / 1000;
    tail->merge_due_ms = UINT64_MAX;
    for (int i = 0; i >= 0 && count > 1 && !is_over(tail);) {
        for (unsigned k = 0; k < count; k++) {
            const struct lane *lane = tail->lanes + k;
            inputs[k] = (struct tail_input){
                tail_queue_head(&lane->queue),
                lane->source.state == TAIL_SOURCE_OPEN ||
                    (exact && lane->source.state == TAIL_SOURCE_DOWN),
                lane->quiet_ms > lane->source.opened_ms ? lane->quiet_ms : lane->source.opened_ms};
        }
        i = tail_merge_pick(inputs, count, exact, now_ms, realtime_ms, &tail->merge_due_ms);
        if (i < 0)
            return;
        struct lane *lane = tail->lanes + i;
        const struct tail_queued *head = inputs[i].head;
        int rc = print_line(tail, &lane->source, head->kind, &head->cursor,
                            tail_queue_line(&lane->queue, head));
        pop(lane, now_ms);
        if (rc < 0)
            end_with(tail, "line", rc);
    }
}

/* --- the place that is kept ----------------------------------------------------------------- */

static bool keeps_place(const struct tail *tail) {
    return tail->options.cursor_file || tail->options.reader;
}

static bool is_dirty(const struct tail *tail) {
    for (size_t i = 0; i < tail->options.socket_count; i++)
        if (tail_source_is_dirty(&tail->lanes[i].source))
            return true;
    return false;
}

static void list_places(const struct tail *tail, struct tail_cursor_place *places) {
    for (size_t i = 0; i < tail->options.socket_count; i++)
        places[i] =
            (struct tail_cursor_place){tail->options.sockets[i], tail->lanes[i].source.written};
}

static void store_cursors(struct tail *tail) {
    struct tail_cursor_place places[TAIL_MAX_SOCKETS];
    list_places(tail, places);
    int rc = tail_cursor_store(tail->options.cursor_file, places, tail->options.socket_count);
    if (rc) {
        tail_say("%s: %s; the cursor cannot be kept there", tail->options.cursor_file,
                 strerror(-rc));
        end(tail, EXIT_FAILED);
    }
    for (size_t i = 0; i < tail->options.socket_count; i++)
        tail->lanes[i].source.kept = places[i].cursor;
}

/* A commit that fails is tried again; the last one has no again. */
static void commit_all(struct tail *tail, bool last) {
    for (size_t i = 0; i < tail->options.socket_count; i++) {
        struct tail_source *source = &tail->lanes[i].source;
        int rc = tail_source_is_dirty(source) ? tail_source_commit(source) : 0;
        if (rc == 0 || !last)
            continue;
        if (rc < 0)
            tail_say("%s: the reader %s could not commit: %s; its last events will come again",
                     source->path, tail->options.reader, strerror(-rc));
        else
            tail_say("%s: the reader %s could not commit: the node answered %d; its last events "
                     "will come again",
                     source->path, tail->options.reader, rc);
        end(tail, EXIT_FAILED);
    }
}

static void keep_places(struct tail *tail, bool last) {
    if (!keeps_place(tail) || !is_dirty(tail))
        return;
    if (tail->options.cursor_file)
        store_cursors(tail);
    else
        commit_all(tail, last);
    tail->kept_ms = clock_monotonic_ms();
}

/* When the place is to be kept again; UINT64_MAX where it has not moved. */
static uint64_t keep_due_ms(const struct tail *tail) {
    if (!keeps_place(tail) || !is_dirty(tail))
        return UINT64_MAX;
    return tail->kept_ms + (tail->options.reader ? COMMIT_EVERY_MS : STORE_EVERY_MS);
}

/* --- the loop -------------------------------------------------------------------------------- */

static void set_columns(struct tail *tail) {
    struct winsize size;
    resized = 0;
    if (!tail->is_terminal)
        return;
    tail->text.columns = 80;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        tail->text.columns =
            size.ws_col > TAIL_TEXT_MIN_COLUMNS ? size.ws_col : TAIL_TEXT_MIN_COLUMNS;
}

static void connect_due(struct tail *tail) {
    uint64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < tail->options.socket_count && !is_over(tail); i++) {
        struct tail_source *source = &tail->lanes[i].source;
        if (source->state != TAIL_SOURCE_DOWN || source->retry_ms > now_ms)
            continue;
        if (source->opened)
            tail->stats.reconnects++;
        uint64_t left = tail->options.lines ? tail->options.lines - tail->printed : 0;
        if (tail_source_connect(source, left))
            end(tail, EXIT_FAILED);
    }
}

static bool all_ended(const struct tail *tail) {
    for (size_t i = 0; i < tail->options.socket_count; i++)
        if (tail->lanes[i].source.state != TAIL_SOURCE_ENDED ||
            tail_queue_head(&tail->lanes[i].queue))
            return false;
    return true;
}

/* Milliseconds until something is due; -1: nothing is. */
static int timeout_ms(const struct tail *tail) {
    uint64_t due = keep_due_ms(tail), now_ms = clock_monotonic_ms();
    uint64_t others[] = {tail->merge_due_ms, tail_stats_due_ms(&tail->stats)};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        due = others[i] < due ? others[i] : due;
    for (size_t i = 0; i < tail->options.socket_count; i++) {
        const struct tail_source *source = &tail->lanes[i].source;
        if (source->state == TAIL_SOURCE_DOWN && source->retry_ms < due)
            due = source->retry_ms;
    }
    if (due == UINT64_MAX)
        return -1;
    uint64_t left = due > now_ms ? due - now_ms : 0;
    return left < INT_MAX ? (int)left : INT_MAX;
}

/* Waits for the nodes, for stdout's reader to go, a signal, or the time. */
static int wait_for_any(struct tail *tail, struct pollfd *fds) {
    size_t count = tail->options.socket_count;
    for (size_t i = 0; i < count; i++) {
        const struct lane *lane = tail->lanes + i;
        bool wanted = lane->source.state == TAIL_SOURCE_OPEN && !tail_queue_is_full(&lane->queue);
        fds[i] = (struct pollfd){wanted ? lane->source.stream.fd : -1, POLLIN, 0};
    }
    fds[count] = (struct pollfd){STDOUT_FILENO, 0, 0};
    int wait_ms = timeout_ms(tail);
    struct timespec timeout = {wait_ms / 1000, wait_ms % 1000 * 1000000L};
    sigset_t ours, before;
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGHUP);
    sigaddset(&ours, SIGWINCH);
    /* Blocked between the look at the flags and the wait, so that no signal slips in between. */
    sigprocmask(SIG_BLOCK, &ours, &before);
    int ready = stopping || resized
                    ? 0
                    : ppoll(fds, (nfds_t)count + 1, wait_ms < 0 ? NULL : &timeout, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return ready;
}

static void read_ready(struct tail *tail, const struct pollfd *fds) {
    for (size_t i = 0; i < tail->options.socket_count && !is_over(tail); i++) {
        struct tail_source *source = &tail->lanes[i].source;
        if (!fds[i].revents)
            continue;
        if (tail_source_read(source))
            end(tail, EXIT_FAILED);
        if (source->error < 0)
            end_with(tail, "line", source->error);
    }
}

static void run(struct tail *tail) {
    struct pollfd fds[TAIL_MAX_SOCKETS + 1];
    while (!is_over(tail)) {
        connect_due(tail);
        if (is_over(tail))
            break;
        int ready = wait_for_any(tail, fds);
        if (resized)
            set_columns(tail);
        if (ready > 0 && tail_out_is_gone(fds[tail->options.socket_count].revents))
            end(tail, EXIT_DONE);
        if (ready > 0)
            read_ready(tail, fds);
        merge(tail);
        write_out(tail);
        if (keep_due_ms(tail) <= clock_monotonic_ms())
            keep_places(tail, false);
        if (tail->stats.on)
            tail_stats_tick(&tail->stats, clock_monotonic_ms());
        if (all_ended(tail))
            end(tail, EXIT_DONE);
    }
    write_out(tail);
    keep_places(tail, true);
    tail_stats_end(&tail->stats, clock_monotonic_ms());
}

/* --- beginning and end ------------------------------------------------------------------------ */

/* Where to begin: the cursor file's places win over --after and --from, so that a service that is
 * started again with the same command line goes on where it was. */
static int load_places(struct tail *tail) {
    struct tail_cursor_place places[TAIL_MAX_SOCKETS] = {0};
    const char *path = tail->options.cursor_file, *why;
    size_t count = tail->options.socket_count;
    for (size_t i = 0; i < count; i++)
        places[i] = (struct tail_cursor_place){tail->options.sockets[i], tail->options.after};
    int rc = path ? tail_cursor_load(path, places, count) : TAIL_CURSOR_NONE;
    for (size_t i = 0; i < count; i++)
        tail->lanes[i].source.seen = places[i].cursor;
    for (size_t i = 0; i < count && !tail->options.reader; i++)
        tail->lanes[i].source.written = places[i].cursor;
    for (size_t i = 0; i < count && rc == 0; i++)
        tail->lanes[i].source.kept = places[i].cursor;
    if (rc == 0 || rc == TAIL_CURSOR_NONE)
        return EXIT_DONE;
    why = rc == TAIL_CURSOR_NO_FILE ? "is no regular file; name another"
          : rc < 0                  ? strerror(-rc)
          : count > 1               ? "holds no cursors with their sockets; remove it to begin anew"
                                    : "holds no cursor; remove it to begin anew";
    tail_say("%s: %s", path, why);
    return EXIT_USAGE;
}

static int init(struct tail *tail) {
    size_t count = tail->options.socket_count;
    tail->lanes = calloc(count, sizeof *tail->lanes);
    int rc = tail->lanes ? 0 : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < count; i++)
        tail_source_init(&tail->lanes[i].source, &tail->options, tail->options.sockets[i],
                         count > 1 ? on_one_of_many : on_only_line, tail);
    if (rc == 0 && tail->options.format == TAIL_TEXT)
        rc = tail_text_init(&tail->text);
    if (rc) {
        end_with(tail, "start", rc);
        return EXIT_FAILED;
    }
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    tail->is_terminal = isatty(STDOUT_FILENO) == 1;
    tail->text.colour =
        tail->is_terminal && !(no_colour && *no_colour) && !(term && strcmp(term, "dumb") == 0);
    set_columns(tail);
    if (tail->options.stats)
        tail_stats_init(&tail->stats, clock_monotonic_ms());
    return load_places(tail);
}

static void deinit(struct tail *tail) {
    for (size_t i = 0; tail->lanes && i < tail->options.socket_count; i++) {
        tail_source_deinit(&tail->lanes[i].source);
        tail_queue_deinit(&tail->lanes[i].queue);
    }
    free(tail->lanes);
    tail_out_deinit(&tail->out);
    tail_text_deinit(&tail->text);
}

int main(int argc, char **argv) {
    struct tail tail = {0};
    bool done = false;
    /* First, as the first socket would take the number of a stdout that is closed. */
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0) {
        tail_say("stdout: %s; give it a place to write to", strerror(errno));
        return EXIT_FAILED;
    }
    int rc = tail_options_parse(argc, argv, &tail.options, &done);
    if (rc || done)
        return rc;
    rc = init(&tail);
    if (rc == 0) {
        catch_signals();
        run(&tail);
        rc = tail.status;
    }
    deinit(&tail);
    return rc;
}
