/* One node of the tail; see tail_source.h. */
#include "tail_source.h"

#include <errno.h>
#include <string.h>

#include "tail_message.h"
#include "tail_request.h"
#include "util/clock.h"

enum {
    FIRST_BACKOFF_MS = 50,
    MAX_BACKOFF_MS = 2000,
    STEADY_MS = 2000, /* a stream that lasted so long, or brought a line, was a good one */
};

static void set_cursor(struct tail_cursor *cursor, const char *ring, uint64_t seq) {
    memcpy(cursor->ring, ring, sizeof cursor->ring);
    cursor->seq = seq;
}

/* --- lines ----------------------------------------------------------------------------- */

/* Whether the event is not to be seen: a held reader begins again at its last commit, which may be
 * older than what came; and where the node was away when "now" was, its older events are older. */
static bool is_passed_over(struct tail_source *source, const struct tail_line *line) {
    if (source->options->reader && strcmp(source->ring, source->seen.ring) == 0 &&
        line->seq <= source->seen.seq)
        return true;
    set_cursor(&source->seen, source->ring, line->seq);
    if (!source->skip_until[0])
        return false;
    if (line->received.ptr &&
        memcmp(line->received.ptr, source->skip_until, sizeof source->skip_until) < 0)
        return true;
    source->skip_until[0] = 0;
    return false;
}

/* What a gap has said is not to be said again: behind it stands the next event's forerunner. */
static void pass_gap(struct tail_source *source, struct span text) {
    struct tail_gap gap;
    struct tail_cursor next;
    tail_line_read_gap(text, &gap);
    if (tail_cursor_parse(gap.next, &next) && next.seq > 0)
        set_cursor(&source->seen, next.ring, next.seq - 1);
}

/* The head of a stream is there: where it begins. False: it is none of a node's. */
static bool take_head(struct tail_source *source) {
    struct tail_cursor begin = {0};
    if (!tail_cursor_parse(span_from_string(source->stream.cursor), &begin))
        return false;
    memcpy(source->ring, begin.ring, sizeof source->ring);
    if (!source->seen.ring[0])
        source->seen = begin;
    if (!source->written.ring[0]) {
        source->written = begin;
        if (source->options->reader)
            source->kept = begin; /* that is where the node has it */
    }
    return true;
}

/* Once a stream, before its first line. */
static bool begin_stream(struct tail_source *source) {
    if (source->answered)
        return !source->invalid;
    source->answered = true;
    source->invalid = !take_head(source);
    if (source->invalid)
        return false;
    source->opened++;
    source->made = false;
    if (source->outage)
        tail_say("%s: the node is back", source->path);
    source->outage = false;
    return true;
}

static bool on_line(void *context, struct span text) {
    struct tail_source *source = context;
    struct tail_line line;
    if (!begin_stream(source))
        return false;
    tail_line_read(text, &line);
    if (line.kind == TAIL_LINE_EVENT && is_passed_over(source, &line))
        return true;
    if (line.kind == TAIL_LINE_EVENT)
        source->taken++;
    if (line.kind == TAIL_LINE_GAP)
        pass_gap(source, text);
    source->error = source->sink(source->context, source, &line, text);
    return source->error == 0;
}

/* --- outages ---------------------------------------------------------------------------- */

static int fail(const struct tail_source *source, const char *why, const char *what_to_do) {
    tail_say("%s: %s; %s", source->path, why, what_to_do);
    return EXIT_FAILED;
}

/* Closes; the next attempt comes later, and later each time. */
static int come_back_later(struct tail_source *source, const char *why) {
    uint64_t now_ms = clock_monotonic_ms();
    tail_stream_close(&source->stream);
    if (source->opened && (source->taken || now_ms - source->opened_ms >= STEADY_MS))
        source->backoff_ms = 0;
    source->taken = 0;
    source->state = TAIL_SOURCE_DOWN;
    source->backoff_ms = source->backoff_ms ? source->backoff_ms * 2 : FIRST_BACKOFF_MS;
    if (source->backoff_ms > MAX_BACKOFF_MS)
        source->backoff_ms = MAX_BACKOFF_MS;
    source->retry_ms = now_ms + source->backoff_ms;
    if (!source->outage)
        tail_say("%s: %s; waiting for the node", source->path, why);
    source->outage = true;
    return 0;
}

/* No connection came about. A node that was not there when the user asked for "now" may be there
 * with events of its own by the next attempt, and those came after that now. */
static int on_unreachable(struct tail_source *source, int error) {
    bool absent = error == -ENOENT || error == -ECONNREFUSED;
    bool passing = absent || error == -EAGAIN || error == -ECONNRESET || error == -EPIPE;
    if (error == -EACCES)
        return fail(source, strerror(-error), "is this user in the socket's group?");
    if (!passing || (absent && source->options->no_follow && !source->opened))
        return fail(source, strerror(-error), "is the node running? see --socket");
    bool now = !source->options->from || strcmp(source->options->from, "now") == 0;
    if (absent && now && !source->opened && !source->seen.ring[0] && !source->skip_until[0])
        text_format_time_us(clock_realtime_us(), source->skip_until);
    return come_back_later(source, error == -EAGAIN ? "it takes no connection" : strerror(-error));
}

/* --- connecting -------------------------------------------------------------------------- */

static void init_wish(const struct tail_source *source, struct tail_wish *wish) {
    *wish =
        (struct tail_wish){.follow = !source->options->no_follow, .from = source->options->from};
    if (source->skip_until[0])
        wish->from = "oldest";
    if (source->seen.ring[0])
        wish->after = &source->seen;
}

int tail_source_connect(struct tail_source *source, uint64_t lines_left) {
    struct buf request = {0};
    struct tail_wish wish;
    if (source->options->reader && tail_source_is_dirty(source))
        (void)!tail_source_commit(
            source); /* else it begins further back, and that is passed over */
    init_wish(source, &wish);
    wish.held = source->options->reader;
    source->limit = wish.held || source->skip_until[0] ? 0 : lines_left;
    wish.limit = source->limit;
    int rc = tail_request_stream(source->options, &wish, &request);
    rc = rc ? rc : tail_stream_open(&source->stream, source->path, buf_span(&request));
    buf_deinit(&request);
    if (rc)
        return on_unreachable(source, rc);
    source->state = TAIL_SOURCE_OPEN;
    source->opened_ms = clock_monotonic_ms();
    source->answered = source->invalid = false;
    source->taken = 0;
    return 0;
}

/* --- held readers -------------------------------------------------------------------------- */

/* The first line says whether the place that was asked for is there; no event is wanted yet. */
static bool on_probe_line(void *context, struct span text) {
    struct tail_source *source = context;
    struct tail_line line;
    tail_line_read(text, &line);
    if (line.kind != TAIL_LINE_GAP || !take_head(source))
        return false;
    return on_line(source, text);
}

/* The node's own words for a refusal, else the body itself. */
static struct span error_of(const struct tail_stream *stream) {
    struct span body = buf_span(&stream->error), label = SPAN("{\"error\":\"");
    while (body.len && (body.ptr[body.len - 1] == '\n' || body.ptr[body.len - 1] == '\r'))
        body.len--;
    if (body.len > label.len + 2 && memcmp(body.ptr, label.ptr, label.len) == 0 &&
        memcmp(body.ptr + body.len - 2, "\"}", 2) == 0)
        body = span_from(body.ptr + label.len, body.len - label.len - 2);
    return body;
}

static int say_refusal(const struct tail_source *source, const struct tail_stream *stream) {
    struct span why = error_of(stream);
    int status = tail_stream_status(stream);
    tail_say("%s: the node answered %d%s%.*s", source->path, status, why.len ? ": " : "",
             SPAN_ARG(why));
    return EXIT_FAILED;
}

/* A request of its own and its answer; *stream is to be deinitialised. */
static int commit(const struct tail_source *source, const struct tail_cursor *cursor,
                  struct tail_stream *stream) {
    struct buf request = {0};
    int rc = tail_request_commit(source->options->reader, cursor, &request);
    rc = rc ? rc : tail_request_wait(stream, source->path, buf_span(&request));
    buf_deinit(&request);
    return rc;
}

static bool ignore_line(void *context, struct span line) {
    (void)context;
    (void)line;
    return true;
}

/* There is no held reader of that name: makes it at the place where the stream would have begun. */
static int make_reader(struct tail_source *source) {
    struct tail_stream stream;
    struct buf request = {0};
    struct tail_wish wish;
    struct tail_cursor begin = {0};
    tail_stream_close(&source->stream);
    init_wish(source, &wish);
    wish.follow = false;
    wish.limit = 1;
    /* The source's own stream, so that a gap is taken as any other. */
    source->stream.on_line = on_probe_line;
    source->answered = true;
    source->invalid = false;
    int rc = tail_request_stream(source->options, &wish, &request);
    rc = rc ? rc : tail_request_wait(&source->stream, source->path, buf_span(&request));
    source->stream.on_line = on_line;
    buf_deinit(&request);
    if (source->error)
        return 0; /* the sink's, and its owner's to end with */
    if (rc < 0)
        return on_unreachable(source, rc == -ETIMEDOUT ? -EAGAIN : rc);
    if (rc >= 400 && rc != 503)
        return say_refusal(source, &source->stream);
    if (rc != 200 || !tail_cursor_parse(span_from_string(source->stream.cursor), &begin))
        return come_back_later(source, "the held reader cannot be made yet");
    tail_stream_close(&source->stream);
    tail_stream_init(&stream, ignore_line, NULL);
    rc = commit(source, &begin, &stream);
    int refused = rc >= 400 && rc < 500 ? say_refusal(source, &stream) : 0;
    tail_stream_deinit(&stream);
    if (refused)
        return refused;
    source->made = true;
    if (rc != 200 && rc != 201)
        return come_back_later(source, "the held reader cannot be made yet");
    source->written = source->kept = begin;
    source->created = true;
    return tail_source_connect(source, 0);
}

bool tail_source_is_dirty(const struct tail_source *source) {
    return source->written.ring[0] && (source->written.seq != source->kept.seq ||
                                       strcmp(source->written.ring, source->kept.ring) != 0);
}

int tail_source_commit(struct tail_source *source) {
    struct tail_stream stream;
    tail_stream_init(&stream, ignore_line, NULL);
    int rc = commit(source, &source->written, &stream);
    tail_stream_deinit(&stream);
    if (rc != 200 && rc != 201)
        return rc ? rc : -EPROTO;
    source->kept = source->written;
    return 0;
}

/* --- reading --------------------------------------------------------------------------------- */

/* An answer other than 200, once it is whole or has ended. */
static int on_refusal(struct tail_source *source, int status) {
    if (status == 503 || status == 429)
        return come_back_later(source, "the node is busy");
    if (status == 404 && source->options->reader && !source->made)
        return make_reader(source);
    return say_refusal(source, &source->stream);
}

static int on_end(struct tail_source *source, int result) {
    const struct tail_options *options = source->options;
    static const char is_it[] = "is it a rollcall node's socket?";
    bool sated = source->limit && source->taken >= source->limit;
    switch (result) {
    case TAIL_STOP:
        source->state = TAIL_SOURCE_ENDED;
        tail_stream_close(&source->stream);
        return 0;
    case TAIL_END:
        if (!options->no_follow && !sated)
            return come_back_later(source, "the stream ended");
        source->state = TAIL_SOURCE_ENDED;
        tail_stream_close(&source->stream);
        return 0;
    case TAIL_BROKEN:
        return come_back_later(source, "the connection ended");
    case TAIL_TOO_LONG:
        return fail(source, "a line is longer than 64 MiB",
                    "read this one with another client, and go on behind it with --after");
    case TAIL_INVALID:
        return fail(source, "this is no event stream", is_it);
    default:
        return fail(source, strerror(-result), is_it);
    }
}

int tail_source_read(struct tail_source *source) {
    int result = tail_stream_read(&source->stream);
    int status = tail_stream_status(&source->stream);
    if (status && status != 200 && result != TAIL_INVALID)
        return result == TAIL_OK ? 0 : on_refusal(source, status);
    if (status == 200 && !begin_stream(source))
        return on_end(source, TAIL_INVALID);
    return result == TAIL_OK || source->error < 0 ? 0 : on_end(source, result);
}

void tail_source_init(struct tail_source *source, const struct tail_options *options,
                      const char *path, tail_sink *sink, void *context) {
    *source =
        (struct tail_source){.options = options, .path = path, .sink = sink, .context = context};
    tail_stream_init(&source->stream, on_line, source);
}

void tail_source_deinit(struct tail_source *source) {
    tail_stream_deinit(&source->stream);
}
