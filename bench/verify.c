/* The reader that keeps count; see verify.h. */
#include "verify.h"

#include <stdlib.h>
#include <string.h>

/* --- one connection's numbers ------------------------------------------------------------------
 */

static bool is_seen(const struct verify_connection *c, uint64_t number) {
    return c->seen[number % VERIFY_WINDOW / 64] >> number % 64 & 1;
}

static void set_seen(struct verify_connection *c, uint64_t number, bool seen) {
    uint64_t *word = &c->seen[number % VERIFY_WINDOW / 64], bit = 1ULL << number % 64;
    *word = seen ? *word | bit : *word & ~bit;
}

static uint64_t overlap(const struct verify_doubt *doubt, uint64_t first, uint64_t end) {
    uint64_t from = first > doubt->first ? first : doubt->first;
    uint64_t to = end < doubt->end ? end : doubt->end;
    return to > from ? to - from : 0;
}

/* How many of the numbers are not in doubt. */
static uint64_t count_expected(const struct verify_connection *c, uint64_t first, uint64_t end) {
    uint64_t count = end > first ? end - first : 0;
    for (unsigned i = 0; i < VERIFY_DOUBTS && i < c->doubt_count; i++)
        count -= overlap(&c->doubts[i], first, end);
    return count;
}

/* The full number of which the low bits came: the one nearest to what is expected. */
static uint64_t full_number(uint64_t next, uint32_t low) {
    const uint64_t span = 1ULL << PAYLOAD_NUMBER_BITS;
    uint64_t number = next / span * span + low;
    if (number + span / 2 < next)
        return number + span;
    if (number > next + span / 2 && number >= span)
        return number - span;
    return number;
}

/* --- one observation ---------------------------------------------------------------------------
 */

/* Where the post's own time is overwritten, the oldest that is remembered: the true latency is
 * larger. Leaving these out would hide just the slow ones. */
static void note_latency(struct verify *verify, const struct verify_connection *c,
                         uint64_t number) {
    uint64_t base = verify->options.base;
    uint64_t post = (number - base) / c->observations;
    uint64_t posts = (c->sent_end - base) / c->observations;
    if (posts - post > VERIFY_POSTS) {
        verify->figures.capped++;
        post = posts - VERIFY_POSTS;
    }
    uint64_t sent_ns = c->sent_ns[post % VERIFY_POSTS];
    if (sent_ns < verify->measure_ns)
        return;
    histogram_add(&verify->latency, verify->read_ns > sent_ns ? verify->read_ns - sent_ns : 0);
}

static void note_late(struct verify *verify, struct verify_connection *c, uint64_t number) {
    if (c->next - number > VERIFY_WINDOW || is_seen(c, number)) {
        verify->figures.doubled++;
        return;
    }
    set_seen(c, number, true);
    if (count_expected(c, number, number + 1)) { /* else its connection is not the later ones' */
        verify->figures.reordered++;
        verify->figures.missing -= verify->figures.missing > 0; /* none, if in doubt when passed */
    }
}

static void note_arrived(struct verify *verify, unsigned connection, uint32_t low) {
    struct verify_connection *c = &verify->connections[connection];
    uint64_t number = full_number(c->next, low);
    if (number < verify->options.base || number >= c->sent_end) {
        verify->figures.foreign++;
        return;
    }
    verify->figures.ours++;
    note_latency(verify, c, number);
    if (number < c->next) {
        note_late(verify, c, number);
        return;
    }
    verify->figures.missing += count_expected(c, c->next, number);
    for (uint64_t n = c->next; n < number && n < c->next + VERIFY_WINDOW; n++)
        set_seen(c, n, false);
    set_seen(c, number, true);
    c->next = number + 1;
}

static void take_line(struct verify *verify, const char *line, size_t len) {
    static const char mark[] = "\"duplicate\":true";
    unsigned connection;
    uint32_t low;
    if (len > 6 && memcmp(line, "{\"gap\"", 6) == 0) {
        verify->figures.gaps++;
        return;
    }
    if (len == 0) /* a heartbeat */
        return;
    verify->figures.lines++;
    if (verify->options.repeats && memmem(line, len, mark, sizeof mark - 1)) {
        verify->figures.marked++;
        return;
    }
    for (unsigned kind = 0; kind < PAYLOAD_LINES; kind++)
        if (verify->kinds[kind] &&
            payload_parse_line((enum payload_line)kind, line, len, &connection, &low) &&
            connection < verify->options.connections) {
            note_arrived(verify, connection, low);
            return;
        }
}

/* --- the stream: HTTP/1.0, so that the body is nothing but lines -------------------------------
 */

static void give_up(struct verify *verify, const char *why) {
    if (verify->failed)
        return;
    verify->failed = true;
    verify->error = why;
    uv_read_stop((uv_stream_t *)&verify->pipe);
}

static bool keep(struct verify *verify, const char *data, size_t len) {
    if (verify->line.len + len > VERIFY_MAX_LINE_BYTES)
        give_up(verify, "a line or an answer's head on the socket is longer than 16 MiB");
    else if (buf_append(&verify->line, data, len))
        give_up(verify, "out of memory");
    return !verify->failed;
}

/* Takes whole lines off `data`; the rest waits in verify->line. */
static void take_lines(struct verify *verify, const char *data, size_t len) {
    const char *end = data + len, *newline;
    while ((newline = memchr(data, '\n', (size_t)(end - data)))) {
        if (verify->line.len) {
            if (!keep(verify, data, (size_t)(newline - data)))
                return;
            take_line(verify, verify->line.ptr, verify->line.len);
            buf_reset(&verify->line, VERIFY_READ_BYTES);
        } else {
            take_line(verify, data, (size_t)(newline - data));
        }
        data = newline + 1;
    }
    if (data < end)
        (void)keep(verify, data, (size_t)(end - data));
}

/* Until the head is whole, all of it gathers in verify->line. */
static void take_head(struct verify *verify, const char *data, size_t len) {
    if (!keep(verify, data, len))
        return;
    const char *end = memmem(verify->line.ptr, verify->line.len, "\r\n\r\n", 4);
    if (!end)
        return;
    struct buf head = verify->line;
    verify->line = (struct buf){0};
    if (head.len < 12 || memcmp(head.ptr + 8, " 200", 4) != 0) {
        give_up(verify, "the node refuses the stream");
    } else if (memmem(head.ptr, (size_t)(end - head.ptr), "chunked", 7)) {
        give_up(verify, "the node answers HTTP/1.0 with chunks");
    } else {
        verify->ready = true;
        take_lines(verify, end + 4, head.len - (size_t)(end + 4 - head.ptr));
    }
    buf_deinit(&head);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct verify *verify = handle->data;
    (void)suggested;
    *buf = uv_buf_init(verify->in, sizeof verify->in);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct verify *verify = stream->data;
    verify->read_ns = uv_hrtime();
    if (len < 0)
        give_up(verify, "the node ended the stream");
    else if (verify->ready)
        take_lines(verify, buf->base, (size_t)len);
    else
        take_head(verify, buf->base, (size_t)len);
}

static void on_written(uv_write_t *write, int status) {
    if (status < 0)
        give_up(write->data, uv_strerror(status));
}

static void on_start_timer(uv_timer_t *timer) {
    give_up(timer->data, "the node does not answer within 5 s");
}

static void on_connected(uv_connect_t *connect, int status) {
    struct verify *verify = connect->data;
    static char request[] = "GET /v1/events?from=now HTTP/1.0\r\n\r\n";
    uv_buf_t buf = uv_buf_init(request, sizeof request - 1);
    if (uv_is_closing((uv_handle_t *)&verify->pipe))
        return;
    if (status == 0)
        status = uv_read_start((uv_stream_t *)&verify->pipe, on_alloc, on_read);
    if (status == 0)
        status = uv_write(&verify->write, (uv_stream_t *)&verify->pipe, &buf, 1, on_written);
    if (status < 0)
        give_up(verify, uv_strerror(status));
}

static int init(struct verify *verify, uv_loop_t *loop, const struct verify_options *options) {
    verify->options = *options;
    verify->connections = calloc(options->connections, sizeof *verify->connections);
    if (!verify->connections || uv_pipe_init(loop, &verify->pipe, 0))
        return UV_ENOMEM;
    (void)uv_timer_init(loop, &verify->start_timer); /* never fails */
    verify->open = true;
    verify->pipe.data = verify->connect.data = verify->write.data = verify;
    verify->start_timer.data = verify;
    for (unsigned i = 0; i < options->connections; i++) {
        struct verify_connection *c = &verify->connections[i];
        const struct payload_options *target = &options->targets[i % options->target_count];
        c->observations = target->observations;
        c->next = c->sent_end = c->past_end = options->base;
        verify->kinds[payload_line_of(target->sender)] = true;
    }
    return 0;
}

int verify_start(struct verify *verify, uv_loop_t *loop, const struct verify_options *options) {
    if (init(verify, loop, options)) {
        verify->error = "out of memory";
        return UV_ENOMEM;
    }
    uv_timer_start(&verify->start_timer, on_start_timer, VERIFY_START_MS, 0);
    uv_pipe_connect(&verify->connect, &verify->pipe, options->socket, on_connected);
    while (!verify->ready && !verify->failed)
        uv_run(loop, UV_RUN_ONCE);
    uv_timer_stop(&verify->start_timer);
    return verify->failed ? UV_ECONNREFUSED : 0;
}

/* --- what the senders say ----------------------------------------------------------------------
 */

void verify_note_sent(struct verify *verify, unsigned connection, uint64_t first, uint64_t now_ns) {
    struct verify_connection *c = &verify->connections[connection];
    uint64_t post = (first - verify->options.base) / c->observations;
    c->sent_ns[post % VERIFY_POSTS] = now_ns;
    c->sent_end = first + c->observations;
}

void verify_note_acked(struct verify *verify, unsigned connection, uint64_t first) {
    struct verify_connection *c = &verify->connections[connection];
    c->past_end = first + c->observations;
}

void verify_note_unanswered(struct verify *verify, unsigned connection, uint64_t first) {
    struct verify_connection *c = &verify->connections[connection];
    uint64_t end = first + c->observations;
    /* What of it was passed over already was counted as missing; it is excused now. */
    for (uint64_t n = first; n < end && n < c->next; n++)
        verify->figures.missing -= c->next - n <= VERIFY_WINDOW && !is_seen(c, n);
    c->doubts[c->doubt_count++ % VERIFY_DOUBTS] = (struct verify_doubt){first, end};
    c->past_end = end;
    verify->figures.unanswered += c->observations;
}

uint64_t verify_lost(const struct verify *verify) {
    uint64_t lost = verify->figures.missing;
    for (unsigned i = 0; i < verify->options.connections; i++) {
        const struct verify_connection *c = &verify->connections[i];
        lost += count_expected(c, c->next, c->past_end);
    }
    return lost;
}

bool verify_is_ok(const struct verify *verify) {
    const struct verify_figures *figures = &verify->figures;
    return !verify->failed && verify_lost(verify) == 0 && figures->doubled == 0 &&
           figures->reordered == 0 && figures->gaps == 0;
}

void verify_close(struct verify *verify) {
    if (verify->open) {
        uv_close((uv_handle_t *)&verify->pipe, NULL);
        uv_close((uv_handle_t *)&verify->start_timer, NULL);
    }
    verify->open = false;
}

void verify_deinit(struct verify *verify) {
    buf_deinit(&verify->line);
    free(verify->connections);
    verify->connections = NULL;
}
