/* Senders' connections; see client.h. */
#include "client.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
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
    uint64_t planned_ns, sent_ns, opened_ns;
    bool established, under_way, counted, writing, closing;
    bool ending; /* the server sends no more after the answer at hand */
};

static void conn_open(struct client_conn *conn);
static void conn_break(struct client_conn *conn, enum client_error error);
static void conn_close(struct client_conn *conn);

/* --- sending -----------------------------------------------------------------------------------
 */

static void on_written(uv_write_t *write, int status) {
    struct client_conn *conn = write->data;
    conn->writing = false;
    buf_reset(&conn->pending, CLIENT_KEEP_BYTES);
    if (status < 0 && !conn->closing)
        conn_break(conn, CLIENT_BROKEN);
}

/* What the socket did not take goes on by itself. A post goes out only after the last one's answer,
 * so that nothing else is being written. */
static int write_rest(struct client_conn *conn, const char *data, size_t len) {
    if (conn->writing)
        return UV_EBUSY;
    if (buf_append(&conn->pending, data, len))
        return UV_ENOMEM;
    uv_buf_t buf = uv_buf_init(conn->pending.ptr, (unsigned)conn->pending.len);
    conn->writing = true;
    return uv_write(&conn->write, (uv_stream_t *)&conn->tcp, &buf, 1, on_written);
}

/* Sends what is in net_out, and empties it in any case: the next is another connection's. */
static void flush(struct client_conn *conn) {
    struct client *client = conn->client;
    struct buf *out = &client->net_out;
    uv_buf_t buf = uv_buf_init(out->ptr, (unsigned)out->len);
    int sent = 0;
    if (out->len && !conn->closing) {
        if (client->measuring)
            client->figures.bytes_out += out->len;
        if (!conn->writing)
            sent = uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);
        if (sent == UV_EAGAIN)
            sent = 0;
        if (sent >= 0 && (size_t)sent < out->len)
            sent = write_rest(conn, out->ptr + sent, out->len - (size_t)sent);
        if (sent < 0)
            conn_break(conn, CLIENT_BROKEN);
    }
    out->len = 0;
}

static void send_post(struct client_conn *conn, uint64_t planned_ns, uint64_t now_ns) {
    struct client *client = conn->client;
    payload_set(&conn->payload, conn->first, client->now_s);
    conn->under_way = true;
    conn->sent_ns = now_ns;
    conn->planned_ns = planned_ns;
    conn->counted = planned_ns >= client->measure_ns;
    client->under_way++;
    client->issued++;
    client->counted += conn->counted;
    if (client->options->verify)
        verify_note_sent(client->options->verify, conn->index, conn->first, now_ns);
    if (tls_session_write(&conn->tls, &client->net_out, conn->payload.text.ptr,
                          conn->payload.text.len))
        conn_break(conn, CLIENT_BROKEN);
}

/* When the open loop's post of that number is due. */
static uint64_t due_ns(const struct client *client, uint64_t number) {
    return client->start_ns + (uint64_t)((double)number * 1e9 / client->options->rate);
}

static bool may_issue(const struct client *client) {
    return !client->stopping && client->counted < client->options->requests;
}

/* Sends what is due now, if anything. */
static bool send_next(struct client_conn *conn, uint64_t now_ns) {
    struct client *client = conn->client;
    if (!client->start_ns || !may_issue(client))
        return false;
    uint64_t due = client->options->rate > 0 ? due_ns(client, client->issued) : now_ns;
    if (due > now_ns || due >= client->stop_ns)
        return false;
    send_post(conn, due, now_ns);
    return true;
}

static void send_due(struct client *client) {
    while (!list_is_empty(&client->idle)) {
        struct client_conn *conn = container_of(client->idle.next, struct client_conn, link);
        if (!send_next(conn, uv_hrtime()))
            return;
        list_remove(&conn->link);
        flush(conn);
    }
}

/* --- answers -----------------------------------------------------------------------------------
 */

struct answer {
    int status;
    size_t len; /* of head and body */
    bool close; /* the server closes the connection after it */
};

enum { ANSWER_WHOLE, ANSWER_PART, ANSWER_INVALID };

static bool has_name(struct span line, const char *name) {
    return line.len > strlen(name) && strncasecmp(line.ptr, name, strlen(name)) == 0;
}

static bool has_token(struct span line, const char *token) {
    for (size_t i = 0; i + strlen(token) <= line.len; i++)
        if (strncasecmp(line.ptr + i, token, strlen(token)) == 0)
            return true;
    return false;
}

/* Digits with nothing but blanks around, at most CLIENT_MAX_ANSWER_BYTES; or -1. */
static long parse_length(struct span value) {
    long len = -1;
    while (value.len && (*value.ptr == ' ' || *value.ptr == '\t'))
        value = span_from(value.ptr + 1, value.len - 1);
    while (value.len && (value.ptr[value.len - 1] == ' ' || value.ptr[value.len - 1] == '\t'))
        value.len--;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return -1;
        len = (len < 0 ? 0 : len) * 10 + (value.ptr[i] - '0');
        if (len > CLIENT_MAX_ANSWER_BYTES)
            return -1;
    }
    return len;
}

static int parse_status_line(struct span head, struct answer *answer) {
    const char *p = head.ptr;
    if (head.len < 14 || memcmp(p, "HTTP/1.", 7) != 0 || (p[7] != '0' && p[7] != '1') ||
        p[8] != ' ' || (p[12] != ' ' && p[12] != '\r'))
        return ANSWER_INVALID;
    for (int i = 9; i < 12; i++) {
        if (p[i] < '0' || p[i] > '9')
            return ANSWER_INVALID;
        answer->status = answer->status * 10 + (p[i] - '0');
    }
    answer->close = p[7] == '0';
    return answer->status >= 200 ? ANSWER_WHOLE : ANSWER_INVALID; /* nothing here asks for a 1xx */
}

/* The answer at the front of `text`. Only what a server of webhooks sends is understood: a body has
 * a Content-Length, or there is none (RFC 9112, 6.3; chunks would be invalid). */
static int parse_answer(struct span text, struct answer *answer) {
    const char *end = memmem(text.ptr, text.len, "\r\n\r\n", 4);
    long body = -1;
    *answer = (struct answer){0};
    if (!end)
        return text.len >= CLIENT_MAX_ANSWER_BYTES ? ANSWER_INVALID : ANSWER_PART;
    if (parse_status_line(span_from(text.ptr, (size_t)(end + 2 - text.ptr)), answer))
        return ANSWER_INVALID;
    const char *p = text.ptr;
    while ((p = memchr(p, '\n', (size_t)(end + 2 - p))) && ++p < end) {
        struct span line =
            span_from(p, (size_t)((char *)memchr(p, '\r', (size_t)(end + 1 - p)) - p));
        if (has_name(line, "content-length:")) {
            body = parse_length(span_from(p + 15, line.len - 15));
            if (body < 0)
                return ANSWER_INVALID;
        } else if (has_name(line, "transfer-encoding:")) {
            return ANSWER_INVALID;
        } else if (has_name(line, "connection:")) {
            answer->close =
                has_token(line, "close") || (answer->close && !has_token(line, "keep-alive"));
        }
    }
    size_t head_len = (size_t)(end + 4 - text.ptr);
    if (body < 0 && answer->status != 204 && answer->status != 304 && !answer->close)
        return ANSWER_INVALID;
    answer->len = head_len + (body < 0 ? 0 : (size_t)body);
    if (answer->len > CLIENT_MAX_ANSWER_BYTES)
        return ANSWER_INVALID;
    return text.len >= answer->len ? ANSWER_WHOLE : ANSWER_PART;
}

static void count_answer(struct client_conn *conn, int status, uint64_t now_ns) {
    struct client *client = conn->client;
    if (status / 100 != 2)
        client->figures.refused++;
    if (!conn->counted)
        return;
    client->figures.answered++;
    client->figures.by_code[status]++;
    client->end_ns = now_ns;
    histogram_add(&client->latency, now_ns - conn->planned_ns);
    if (client->options->rate > 0)
        histogram_add(&client->service, now_ns - conn->sent_ns);
}

static void take_answer(struct client_conn *conn, const struct answer *answer) {
    struct client *client = conn->client;
    uint64_t now_ns = uv_hrtime();
    count_answer(conn, answer->status, now_ns);
    client->under_way--;
    conn->under_way = false;
    if (answer->status == 200) { /* else the same observations go out again, as a sender's retry */
        if (client->options->verify)
            verify_note_acked(client->options->verify, conn->index, conn->first);
        conn->first += client->options->payload.observations;
    }
    /* Who answers before the whole post has left (a 413) has stopped reading, or will close. */
    if (answer->close || conn->ending || conn->writing)
        conn_close(conn);
    else if (!send_next(conn, now_ns))
        list_append(&client->idle, &conn->link);
}

static void take_plain(struct client_conn *conn, const char *data, size_t len) {
    struct span text = span_from(data, len);
    struct answer answer;
    if (conn->answer.len) {
        if (buf_append(&conn->answer, data, len)) {
            conn_break(conn, CLIENT_INVALID);
            return;
        }
        text = buf_span(&conn->answer);
    }
    int result = parse_answer(text, &answer);
    bool surplus = result == ANSWER_WHOLE && text.len > answer.len && !answer.close;
    if (result == ANSWER_INVALID || surplus || !conn->under_way) {
        conn_break(conn, CLIENT_INVALID);
    } else if (result == ANSWER_PART) {
        if (!conn->answer.len && buf_append(&conn->answer, data, len))
            conn_break(conn, CLIENT_INVALID);
    } else {
        conn->answer.len = 0;
        take_answer(conn, &answer);
    }
}

/* --- connections -------------------------------------------------------------------------------
 */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct client_conn *conn = handle->data;
    (void)suggested;
    *buf = uv_buf_init(conn->client->net_in, CLIENT_READ_BYTES);
}

static void note_established(struct client_conn *conn) {
    if (conn->established || !tls_session_is_established(&conn->tls))
        return;
    conn->established = true;
    conn->client->established++;
    if (!send_next(conn, uv_hrtime()))
        list_append(&conn->client->idle, &conn->link);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct client_conn *conn = stream->data;
    struct client *client = conn->client;
    size_t plain_len;
    if (len < 0) {
        conn_break(conn, CLIENT_BROKEN);
        return;
    }
    if (client->measuring)
        client->figures.bytes_in += (uint64_t)len;
    tls_session_feed(&conn->tls, buf->base, (size_t)len);
    int result = tls_session_read(&conn->tls, &client->net_out, client->plain, sizeof client->plain,
                                  &plain_len);
    conn->tls.in = (struct span){0};
    conn->ending = result != TLS_WANT;
    if (result == TLS_WANT)
        note_established(conn);
    if (plain_len && !conn->closing)
        take_plain(conn, client->plain, plain_len);
    flush(conn);
    if (result != TLS_WANT)
        conn_break(conn, CLIENT_BROKEN);
}

static void on_closed(uv_handle_t *handle) {
    struct client_conn *conn = handle->data;
    struct client *client = conn->client;
    tls_session_deinit(&conn->tls);
    buf_deinit(&conn->answer);
    buf_deinit(&conn->pending);
    client->open--;
    client->established -= conn->established;
    conn->established = false;
    /* Where as many attempts have failed as there are connections, nobody is there. */
    if (!may_issue(client) ||
        client->figures.errors[CLIENT_CONNECT] >= client->options->connections)
        return;
    client->figures.reconnects++;
    conn_open(conn);
}

static void conn_close(struct client_conn *conn) {
    if (conn->closing)
        return;
    conn->closing = true;
    list_remove(&conn->link);
    uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

/* Gives the connection up before its time. Whether a post that was under way was taken nobody
 * knows. Once nothing more is to be sent, a server may close as it likes. */
static void conn_break(struct client_conn *conn, enum client_error error) {
    struct client *client = conn->client;
    if (conn->closing)
        return;
    if (!conn->established)
        error = CLIENT_CONNECT;
    else if (error == CLIENT_BROKEN && !conn->under_way)
        error = CLIENT_CLOSED;
    if (error != CLIENT_CLOSED || may_issue(client))
        client->figures.errors[error]++;
    if (conn->under_way) {
        client->under_way--;
        conn->under_way = false;
        if (client->options->verify)
            verify_note_unanswered(client->options->verify, conn->index, conn->first);
        conn->first += client->options->payload.observations;
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
    if (status == 0)
        (void)uv_tcp_nodelay(&conn->tcp, 1);
    if (status < 0 || tls_session_read(&conn->tls, &conn->client->net_out, conn->client->plain,
                                       sizeof conn->client->plain, &len) != TLS_WANT)
        conn_break(conn, CLIENT_CONNECT);
    flush(conn);
}

/* RFC 6066, 3: no addresses in SNI. */
static int set_name(struct client_conn *conn) {
    const struct client_options *options = conn->client->options;
    struct ssl_st *ssl = conn->tls.ssl;
    struct in6_addr address;
    bool is_address = inet_pton(AF_INET, options->host, &address) == 1 ||
                      inet_pton(AF_INET6, options->host, &address) == 1;
    if (!is_address && !SSL_set_tlsext_host_name(ssl, options->host))
        return UV_EINVAL;
    if (!options->check_certificate)
        return 0;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    return (is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, options->host)
                       : X509_VERIFY_PARAM_set1_host(param, options->host, strlen(options->host)))
               ? 0
               : UV_EINVAL;
}

static void conn_open(struct client_conn *conn) {
    struct client *client = conn->client;
    conn->established = conn->closing = conn->writing = conn->ending = false;
    conn->answer = conn->pending = (struct buf){0};
    conn->opened_ns = uv_hrtime();
    list_init(&conn->link);
    (void)uv_tcp_init(client->loop, &conn->tcp); /* never fails: the socket comes with connect */
    client->open++;
    conn->tcp.data = conn->connect.data = conn->write.data = conn;
    int rc = tls_session_init(&conn->tls, client->options->tls);
    rc = rc ? rc : set_name(conn);
    rc = rc ? rc
            : uv_tcp_connect(&conn->connect, &conn->tcp,
                             (const struct sockaddr *)&client->options->address, on_connected);
    if (rc)
        conn_break(conn, CLIENT_CONNECT);
}

/* --- the whole ---------------------------------------------------------------------------------
 */

static void start(struct client *client) {
    const struct client_options *options = client->options;
    if (client->established < options->connections && !client->figures.errors[CLIENT_CONNECT])
        return;
    client->start_ns = uv_hrtime();
    client->measure_ns = client->start_ns + options->warmup_ns;
    client->end_ns = client->measure_ns;
    client->stop_ns =
        options->duration_ns == UINT64_MAX ? UINT64_MAX : client->measure_ns + options->duration_ns;
}

static void give_up_late(struct client *client, uint64_t now_ns) {
    client->scan_ns = now_ns;
    for (unsigned i = 0; i < client->options->connections; i++) {
        struct client_conn *conn = &client->conns[i];
        bool waits = conn->under_way || !conn->established;
        uint64_t since_ns = conn->under_way ? conn->sent_ns : conn->opened_ns;
        if (!uv_is_closing((uv_handle_t *)&conn->tcp) && waits &&
            now_ns - since_ns > client->options->timeout_ns)
            conn_break(conn, CLIENT_TIMEOUT);
    }
}

/* How many of the open loop's posts were due before the end and found no connection. */
static uint64_t count_unsent(const struct client *client) {
    double seconds = (double)(client->stop_ns - client->start_ns) / 1e9;
    if (client->options->rate == 0)
        return 0;
    uint64_t planned = (uint64_t)(seconds * client->options->rate);
    while (planned && due_ns(client, planned - 1) >= client->stop_ns)
        planned--;
    while (due_ns(client, planned) < client->stop_ns)
        planned++;
    return planned > client->issued ? planned - client->issued : 0;
}

static void on_tick(uv_timer_t *timer) {
    struct client *client = timer->data;
    struct timespec now;
    uint64_t now_ns = uv_hrtime();
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    client->now_s =
        now.tv_sec - 1; /* so that no time is in the future, whatever its milliseconds */
    if (now_ns - client->scan_ns >= CLIENT_SCAN_MS * 1000000ULL)
        give_up_late(client, now_ns);
    if (!client->start_ns)
        start(client);
    if (!client->start_ns || client->stopping)
        return;
    client->measuring = now_ns >= client->measure_ns;
    send_due(client);
    if (now_ns >= client->stop_ns) {
        client->figures.unsent = count_unsent(client);
        client_stop(client);
    }
}

int client_start(struct client *client, uv_loop_t *loop, const struct client_options *options) {
    client->loop = loop;
    client->options = options;
    client->scan_ns = uv_hrtime();
    list_init(&client->idle);
    client->conns = calloc(options->connections, sizeof *client->conns);
    if (!client->conns)
        return UV_ENOMEM;
    for (unsigned i = 0; i < options->connections; i++) {
        struct client_conn *conn = &client->conns[i];
        conn->client = client;
        conn->index = i;
        conn->first = options->base;
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
    return client->under_way == 0 && (!may_issue(client) || client->open == 0);
}

void client_stop(struct client *client) {
    client->stopping = true;
}

uint64_t client_error_count(const struct client *client) {
    uint64_t count = 0;
    for (int i = 0; i < CLIENT_ERRORS; i++)
        count += client->figures.errors[i];
    return count;
}

void client_close(struct client *client) {
    client->stopping = true;
    if (client->tick.data && !uv_is_closing((uv_handle_t *)&client->tick))
        uv_close((uv_handle_t *)&client->tick, NULL);
    for (unsigned i = 0; client->conns && i < client->options->connections; i++)
        if (client->conns[i].client && client->conns[i].tcp.data &&
            !uv_is_closing((uv_handle_t *)&client->conns[i].tcp))
            conn_close(&client->conns[i]);
}

void client_deinit(struct client *client) {
    for (unsigned i = 0; client->conns && i < client->options->connections; i++)
        payload_deinit(&client->conns[i].payload);
    free(client->conns);
    buf_deinit(&client->net_out);
}
