/* The reader that keeps count; see verify.h. */
#include "verify.h"

#include <stdlib.h>
#include <string.h>

/* --- one observation
 * ------------------------------------------------------------------------------ */

static bool test_and_set(struct verify_connection *c, uint64_t number) {
    uint64_t *word = &c->seen[number % VERIFY_WINDOW / 64], bit = 1ULL << number % 64;
    bool before = *word & bit;
    *word |= bit;
    return before;
}

static void clear(struct verify_connection *c, uint64_t number) {
    c->seen[number % VERIFY_WINDOW / 64] &= ~(1ULL << number % 64);
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

static void note_latency(struct verify *verify, const struct verify_connection *c,
                         uint64_t number) {
    for (int i = 0; i < 2; i++) {
        const struct verify_post *post = &c->posts[i];
        if (number >= post->first && number < post->end) {
            histogram_add(&verify->latency, uv_hrtime() - post->sent_ns);
            return;
        }
    }
}

static void note_arrived(struct verify *verify, unsigned connection, uint32_t low) {
    struct verify_connection *c = &verify->connections[connection];
    uint64_t number = full_number(c->next, low);
    verify->figures.ours++;
    note_latency(verify, c, number);
    if (number < c->next) {
        if (c->next - number > VERIFY_WINDOW || test_and_set(c, number)) {
            verify->figures.doubled++;
        } else {
            verify->figures.reordered++;
            verify->figures.missing--;
        }
        return;
    }
    verify->figures.missing += number - c->next;
    for (uint64_t n = c->next; n < number && n < c->next + VERIFY_WINDOW; n++)
        clear(c, n);
    clear(c, number);
    (void)test_and_set(c, number);
    c->next = number + 1;
}

static void take_line(struct verify *verify, const char *line, size_t len) {
    unsigned connection;
    uint32_t low;
    if (len > 6 && memcmp(line, "{\"gap\"", 6) == 0) {
        verify->figures.gaps++;
        return;
    }
    verify->figures.lines++;
    if (payload_parse_line(verify->sender, line, len, &connection, &low) &&
        connection < verify->connection_count)
        note_arrived(verify, connection, low);
}

/* --- the stream: HTTP/1.0, so that the body is nothing but lines
 * ----------------------------------- */

static void give_up(struct verify *verify, const char *why) {
    verify->failed = true;
    verify->error = why;
}

/* Takes whole lines off `data`; the rest waits in verify->line. */
static void take_lines(struct verify *verify, const char *data, size_t len) {
    const char *end = data + len, *newline;
    while ((newline = memchr(data, '\n', (size_t)(end - data)))) {
        if (verify->line.len) {
            if (buf_append(&verify->line, data, (size_t)(newline - data)))
                give_up(verify, "out of memory");
            take_line(verify, verify->line.ptr, verify->line.len);
            verify->line.len = 0;
        } else {
            take_line(verify, data, (size_t)(newline - data));
        }
        data = newline + 1;
    }
    if (buf_append(&verify->line, data, (size_t)(end - data)))
        give_up(verify, "out of memory");
}

/* Until the head is whole, all of it gathers in verify->line. */
static void take_head(struct verify *verify, const char *data, size_t len) {
    if (buf_append(&verify->line, data, len)) {
        give_up(verify, "out of memory");
        return;
    }
    const char *end = memmem(verify->line.ptr, verify->line.len, "\r\n\r\n", 4);
    if (!end)
        return;
    if (verify->line.len < 12 || memcmp(verify->line.ptr + 8, " 200", 4) != 0) {
        give_up(verify, "the node refuses the stream");
        return;
    }
    verify->ready = true;
    struct buf head = verify->line;
    verify->line = (struct buf){0};
    take_lines(verify, end + 4, head.len - (size_t)(end + 4 - head.ptr));
    buf_deinit(&head);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct verify *verify = handle->data;
    (void)suggested;
    *buf = uv_buf_init(verify->in, sizeof verify->in);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct verify *verify = stream->data;
    if (len < 0) {
        give_up(verify, "the node ended the stream");
        uv_read_stop(stream);
    } else if (verify->ready) {
        take_lines(verify, buf->base, (size_t)len);
    } else {
        take_head(verify, buf->base, (size_t)len);
    }
}

static void on_written(uv_write_t *write, int status) {
    if (status < 0)
        give_up(write->data, uv_strerror(status));
}

static void on_connected(uv_connect_t *connect, int status) {
    struct verify *verify = connect->data;
    static char request[] = "GET /v1/events?from=now HTTP/1.0\r\n\r\n";
    uv_buf_t buf = uv_buf_init(request, sizeof request - 1);
    if (status == 0)
        status = uv_read_start((uv_stream_t *)&verify->pipe, on_alloc, on_read);
    if (status == 0)
        status = uv_write(&verify->write, (uv_stream_t *)&verify->pipe, &buf, 1, on_written);
    if (status < 0)
        give_up(verify, uv_strerror(status));
}

int verify_start(struct verify *verify, uv_loop_t *loop, const char *socket,
                 enum payload_sender sender, unsigned connections) {
    verify->sender = sender;
    verify->connection_count = connections;
    verify->connections = calloc(connections, sizeof *verify->connections);
    if (!verify->connections || uv_pipe_init(loop, &verify->pipe, 0)) {
        verify->error = "out of memory";
        return UV_ENOMEM;
    }
    verify->open = true;
    verify->pipe.data = verify->connect.data = verify->write.data = verify;
    uv_pipe_connect(&verify->connect, &verify->pipe, socket, on_connected);
    while (!verify->ready && !verify->failed)
        uv_run(loop, UV_RUN_ONCE);
    return verify->failed ? UV_ECONNREFUSED : 0;
}

void verify_note_sent(struct verify *verify, unsigned connection, uint64_t first, uint64_t end,
                      uint64_t now_ns) {
    struct verify_connection *c = &verify->connections[connection];
    c->posts[1] = c->posts[0];
    c->posts[0] = (struct verify_post){first, end, now_ns};
}

void verify_note_acked(struct verify *verify, unsigned connection, uint64_t end) {
    verify->connections[connection].acked_end = end;
}

void verify_note_unanswered(struct verify *verify, unsigned observations) {
    verify->figures.unanswered += observations;
}

uint64_t verify_lost(const struct verify *verify) {
    uint64_t lost = verify->figures.missing;
    for (unsigned i = 0; i < verify->connection_count; i++) {
        const struct verify_connection *c = &verify->connections[i];
        if (c->acked_end > c->next)
            lost += c->acked_end - c->next;
    }
    uint64_t doubt = verify->figures.unanswered;
    return lost > doubt ? lost - doubt : 0;
}

void verify_close(struct verify *verify) {
    if (verify->open)
        uv_close((uv_handle_t *)&verify->pipe, NULL);
    verify->open = false;
}

void verify_deinit(struct verify *verify) {
    buf_deinit(&verify->line);
    free(verify->connections);
    verify->connections = NULL;
}
