/* Senders' connections; see client.h. */
#include "client.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct client_conn {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct client *client;
    struct list link; /* in client->idle */
    unsigned index;
    struct tls_session tls;
    struct payload payload;
    struct buf answer;  /* an answer that is not whole yet */
    struct buf pending; /* what is being written */
    uint64_t first;     /* number of the first observation of the post under way, or the next */
    uint64_t planned_ns, sent_ns;
    bool established, under_way, writing, closing;
};

static void conn_open(struct client_conn *conn);
static void conn_break(struct client_conn *conn);
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf);

/* --- sending
 * -------------------------------------------------------------------------------------- */

static void on_written(uv_write_t *write, int status) {
    struct client_conn *conn = write->data;
    conn->writing = false;
    buf_reset(&conn->pending, 0);
    if (status < 0 && !conn->closing)
        conn_break(conn);
}

/* Sends what is in net_out; the rest that the socket does not take goes on by itself. */
static void flush(struct client_conn *conn) {
    struct buf *out = &conn->client->net_out;
    uv_buf_t buf = uv_buf_init(out->ptr, (unsigned)out->len);
    int sent = 0;
    if (out->len == 0)
        return;
    conn->client->figures.bytes_out += out->len;
    if (!conn->writing)
        sent = uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);
    if (sent == UV_EAGAIN)
        sent = 0;
    if (sent >= 0 && (size_t)sent < out->len) {
        /* A post goes out only after the last one's answer, so that nothing else is being written.
         */
        if (conn->writing || buf_append(&conn->pending, out->ptr + sent, out->len - (size_t)sent)) {
            sent = UV_ENOMEM;
        } else {
            buf = uv_buf_init(conn->pending.ptr, (unsigned)conn->pending.len);
            conn->writing = true;
            int rc = uv_write(&conn->write, (uv_stream_t *)&conn->tcp, &buf, 1, on_written);
            sent = rc ? rc : sent;
        }
    }
    out->len = 0;
    if (sent < 0)
        conn_break(conn);
}

static void send_post(struct client_conn *conn, uint64_t planned_ns) {
    struct client *client = conn->client;
    uint64_t end = conn->first + client->options->payload.observations;
    payload_set(&conn->payload, conn->first, client->now_s);
    conn->under_way = true;
    conn->sent_ns = uv_hrtime();
    conn->planned_ns = planned_ns ? planned_ns : conn->sent_ns;
    client->under_way++;
    client->issued++;
    client->figures.sent++;
    if (client->options->verify)
        verify_note_sent(client->options->verify, conn->index, conn->first, end, conn->sent_ns);
    if (tls_session_write(&conn->tls, &client->net_out, conn->payload.text.ptr,
                          conn->payload.text.len))
        conn_break(conn);
}

/* When the next post of the open loop is due. */
static uint64_t next_due_ns(const struct client *client) {
    return client->start_ns + (uint64_t)((double)client->issued * 1e9 / client->options->rate);
}

static bool may_issue(const struct client *client) {
    return !client->stopping && client->issued < client->options->requests;
}

/* The connection is free: sends at once (closed loop), or what is due, or waits. */
static void conn_ready(struct client_conn *conn) {
    struct client *client = conn->client;
    uint64_t due = 0;
    if (client->options->rate > 0 && client->start_ns)
        due = next_due_ns(client);
    bool now = client->start_ns && (client->options->rate > 0 ? due <= uv_hrtime() : true);
    if (may_issue(client) && now)
        send_post(conn, due);
    else
        list_append(&client->idle, &conn->link);
}

static void send_due(struct client *client) {
    while (!list_is_empty(&client->idle) && may_issue(client)) {
        uint64_t due = client->options->rate > 0 ? next_due_ns(client) : 0;
        if (due > uv_hrtime())
            return;
        struct client_conn *conn = container_of(client->idle.next, struct client_conn, link);
        list_remove(&conn->link);
        send_post(conn, due);
        flush(conn);
    }
}

/* --- answers
 * -------------------------------------------------------------------------------------- */

/* The length of the whole answer at the front of `text`, 0 while it is not whole, -1 where it is
 * none. Only what a server of webhooks answers is understood: a status line and Content-Length. */
static long answer_len(struct span text, int *status) {
    const char *head_end = memmem(text.ptr, text.len, "\r\n\r\n", 4);
    size_t body = 0;
    if (!head_end)
        return text.len > CLIENT_MAX_ANSWER_BYTES ? -1 : 0;
    if (memcmp(text.ptr, "HTTP/1.", 7) != 0 || head_end - text.ptr < 12)
        return -1;
    *status = atoi(text.ptr + 9);
    for (const char *line = text.ptr; line < head_end;) {
        line = memchr(line, '\n', (size_t)(head_end + 2 - line));
        if (!line++)
            break;
        if (head_end - line > 15 && strncasecmp(line, "content-length:", 15) == 0)
            body = strtoul(line + 15, NULL, 10);
    }
    size_t whole = (size_t)(head_end + 4 - text.ptr) + body;
    if (whole > CLIENT_MAX_ANSWER_BYTES)
        return -1;
    return text.len >= whole ? (long)whole : 0;
}

static void take_answer(struct client_conn *conn, int status) {
    struct client *client = conn->client;
    uint64_t now = uv_hrtime();
    histogram_add(&client->corrected, now - conn->planned_ns);
    histogram_add(&client->service, now - conn->sent_ns);
    client->figures.answered++;
    client->figures.by_status[status >= 100 && status < 600 ? status / 100 : 0]++;
    client->end_ns = now;
    client->under_way--;
    conn->under_way = false;
    if (status == 200) { /* else the same observations go out again, as a sender's retry */
        conn->first += client->options->payload.observations;
        if (client->options->verify)
            verify_note_acked(client->options->verify, conn->index, conn->first);
    }
    conn_ready(conn);
}

static int take_plain(struct client_conn *conn, const char *data, size_t len) {
    struct span text = span_from(data, len);
    int status = 0;
    if (conn->answer.len) {
        if (buf_append(&conn->answer, data, len))
            return UV_ENOMEM;
        text = buf_span(&conn->answer);
    }
    long whole = answer_len(text, &status);
    if (whole < 0 || (whole > 0 && ((size_t)whole != text.len || !conn->under_way))) {
        conn->client->figures.invalid++;
        return UV_EPROTO;
    }
    if (whole == 0)
        return conn->answer.len ? 0 : buf_append(&conn->answer, data, len);
    conn->answer.len = 0;
    take_answer(conn, status);
    return 0;
}

/* --- connections
 * ---------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct client_conn *conn = handle->data;
    (void)suggested;
    *buf = uv_buf_init(conn->client->net_in, CLIENT_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct client_conn *conn = stream->data;
    struct client *client = conn->client;
    size_t plain_len;
    if (len < 0) {
        conn_break(conn);
        return;
    }
    client->figures.bytes_in += (uint64_t)len;
    tls_session_feed(&conn->tls, buf->base, (size_t)len);
    int result = tls_session_read(&conn->tls, &client->net_out, client->plain, sizeof client->plain,
                                  &plain_len);
    conn->tls.in = (struct span){0};
    if (!conn->established && tls_session_is_established(&conn->tls)) {
        conn->established = true;
        conn_ready(conn);
    }
    bool broken = plain_len && take_plain(conn, client->plain, plain_len);
    if (!conn->closing)
        flush(conn);
    if (!conn->closing && (broken || result != TLS_WANT))
        conn_break(conn);
}

static void on_closed(uv_handle_t *handle) {
    struct client_conn *conn = handle->data;
    struct client *client = conn->client;
    tls_session_deinit(&conn->tls);
    buf_deinit(&conn->answer);
    buf_deinit(&conn->pending);
    client->open--;
    if (may_issue(client) && client->figures.connect_errors < client->options->connections)
        conn_open(conn);
}

static void conn_close(struct client_conn *conn) {
    if (conn->closing)
        return;
    conn->closing = true;
    list_remove(&conn->link);
    uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

/* Lost before its time: counted, and opened again. Whether a post that was under way was taken
 * nobody knows; its numbers are left out of what must arrive. */
static void conn_break(struct client_conn *conn) {
    struct client *client = conn->client;
    if (conn->closing)
        return;
    if (!conn->established)
        client->figures.connect_errors++;
    if (conn->under_way) {
        client->figures.broken++;
        client->under_way--;
        conn->under_way = false;
        conn->first += client->options->payload.observations;
        if (client->options->verify)
            verify_note_unanswered(client->options->verify, client->options->payload.observations);
    }
    conn_close(conn);
}

static void on_connected(uv_connect_t *connect, int status) {
    struct client_conn *conn = connect->data;
    size_t len;
    if (conn->closing)
        return;
    if (status == 0)
        status = uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
    if (status < 0) {
        conn_break(conn);
        return;
    }
    (void)uv_tcp_nodelay(&conn->tcp, 1);
    if (tls_session_read(&conn->tls, &conn->client->net_out, conn->client->plain,
                         sizeof conn->client->plain, &len) != TLS_WANT)
        conn_break(conn);
    else
        flush(conn);
}

static void conn_open(struct client_conn *conn) {
    struct client *client = conn->client;
    conn->established = conn->closing = conn->writing = false;
    conn->answer = conn->pending = (struct buf){0};
    list_init(&conn->link);
    if (uv_tcp_init(client->loop, &conn->tcp))
        return;
    client->open++;
    conn->tcp.data = conn->connect.data = conn->write.data = conn;
    int rc = tls_session_init(&conn->tls, client->options->tls);
    rc = rc ? rc
            : uv_tcp_connect(&conn->connect, &conn->tcp,
                             (const struct sockaddr *)&client->options->address, on_connected);
    if (rc)
        conn_break(conn);
}

/* --- the whole
 * ------------------------------------------------------------------------------------ */

static bool all_established(const struct client *client) {
    for (unsigned i = 0; i < client->options->connections; i++)
        if (!client->conns[i].established)
            return false;
    return true;
}

static void on_tick(uv_timer_t *timer) {
    struct client *client = timer->data;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    client->now_s = now.tv_sec;
    if (!client->start_ns && (all_established(client) || client->figures.connect_errors)) {
        client->start_ns = uv_hrtime();
    }
    if (!client->start_ns)
        return;
    if (uv_hrtime() - client->start_ns >= client->options->duration_ns)
        client_stop(client);
    send_due(client);
}

int client_start(struct client *client, uv_loop_t *loop, const struct client_options *options) {
    client->loop = loop;
    client->options = options;
    list_init(&client->idle);
    client->conns = calloc(options->connections, sizeof *client->conns);
    if (!client->conns)
        return UV_ENOMEM;
    for (unsigned i = 0; i < options->connections; i++) {
        struct client_conn *conn = &client->conns[i];
        conn->client = client;
        conn->index = i;
        int rc = payload_init(&conn->payload, &options->payload, i);
        if (rc)
            return rc;
        conn_open(conn);
    }
    int rc = uv_timer_init(loop, &client->tick);
    client->tick.data = client;
    return rc ? rc : uv_timer_start(&client->tick, on_tick, 0, CLIENT_TICK_MS);
}

bool client_is_done(const struct client *client) {
    return client->under_way == 0 &&
           (!may_issue(client) || (client->open == 0 && client->figures.connect_errors));
}

void client_stop(struct client *client) {
    client->stopping = true;
}

void client_close(struct client *client) {
    client->stopping = true;
    if (client->tick.data && !uv_is_closing((uv_handle_t *)&client->tick))
        uv_close((uv_handle_t *)&client->tick, NULL);
    for (unsigned i = 0; client->conns && i < client->options->connections; i++)
        if (client->conns[i].client && client->conns[i].tcp.data)
            conn_close(&client->conns[i]);
}

void client_deinit(struct client *client) {
    for (unsigned i = 0; client->conns && i < client->options->connections; i++)
        payload_deinit(&client->conns[i].payload);
    free(client->conns);
    buf_deinit(&client->net_out);
}
