/* Senders' connections: TCP, TLS, a post out, an answer in. See client.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client_internal.h"

/* --- sending -----------------------------------------------------------------------------------
 */

static void on_written(uv_write_t *write, int status) {
    struct client_conn *conn = write->data;
    conn->writing = false;
    buf_reset(&conn->pending, CLIENT_KEEP_BYTES);
    if (status < 0 && !conn->closing)
        conn_break(conn, CLIENT_BROKEN);
    else if (conn->role == CLIENT_SLOW && !conn->closing)
        stall_go_on(conn);
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
void conn_flush(struct client_conn *conn) {
    struct client *client = conn->client;
    struct buf *out = &client->net_out;
    uv_buf_t buf = uv_buf_init(out->ptr, (unsigned)out->len);
    int sent = 0;
    if (out->len && !conn->closing) {
        if (client->measuring && conn->role != CLIENT_SLOW)
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

void conn_write(struct client_conn *conn, const char *data, size_t len) {
    if (tls_session_write(&conn->tls, &conn->client->net_out, data, len))
        conn_break(conn, CLIENT_BROKEN);
}

void conn_send_post(struct client_conn *conn, uint64_t now_ns) {
    struct client *client = conn->client;
    if (!conn->repeating)
        payload_set(&conn->payload, conn->first, client->now_s);
    conn->sent = true;
    conn->sent_ns = now_ns;
    if (client->options->verify)
        verify_note_sent(client->options->verify, conn->index, conn->first, now_ns);
    conn_write(conn, conn->payload.text.ptr, conn->payload.text.len);
}

/* --- receiving ---------------------------------------------------------------------------------
 */

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
    int result = answer_parse(text, &answer);
    bool surplus = result == ANSWER_WHOLE && text.len > answer.len && !answer.close;
    if (result == ANSWER_INVALID || surplus || !conn->under_way || !conn->sent) {
        conn_break(conn, CLIENT_INVALID);
    } else if (result == ANSWER_PART) {
        if (!conn->answer.len && buf_append(&conn->answer, data, len))
            conn_break(conn, CLIENT_INVALID);
    } else {
        conn->answer.len = 0;
        client_note_answer(conn, &answer,
                           span_from(text.ptr + answer.len - answer.body_len, answer.body_len));
    }
}

static void note_established(struct client_conn *conn) {
    struct client *client = conn->client;
    if (conn->established || !tls_session_is_established(&conn->tls))
        return;
    uint64_t now_ns = uv_hrtime();
    conn->established = true;
    client->established += conn->role == CLIENT_MEASURED;
    if (client->measuring && conn->role == CLIENT_MEASURED) {
        client->figures.handshakes++;
        client->figures.resumed += tls_session_was_resumed(&conn->tls);
        histogram_add(&client->handshake, now_ns - conn->opened_ns);
    }
    client_note_ready(conn, now_ns);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct client_conn *conn = handle->data;
    (void)suggested;
    *buf = uv_buf_init(conn->client->net_in, CLIENT_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct client_conn *conn = stream->data;
    struct client *client = conn->client;
    size_t plain_len;
    if (len < 0 && conn->over) {
        conn_close(conn);
        return;
    }
    if (len < 0) {
        conn_break(conn, CLIENT_BROKEN);
        return;
    }
    if (client->measuring && conn->role != CLIENT_SLOW)
        client->figures.bytes_in += (uint64_t)len;
    if (conn->over)
        return; /* the server's last words: the end of TCP is what counts */
    tls_session_feed(&conn->tls, buf->base, (size_t)len);
    int result = tls_session_read(&conn->tls, &client->net_out, client->plain, sizeof client->plain,
                                  &plain_len);
    conn->tls.in = (struct span){0};
    conn->ending = result != TLS_WANT;
    if (result == TLS_WANT)
        note_established(conn);
    if (plain_len && !conn->closing)
        take_plain(conn, client->plain, plain_len);
    conn_flush(conn);
    if (result != TLS_WANT && !conn->over)
        conn_break(conn, CLIENT_BROKEN);
}

/* --- the end -----------------------------------------------------------------------------------
 */

static void on_closed(uv_handle_t *handle) {
    struct client_conn *conn = handle->data;
    struct client *client = conn->client;
    tls_session_deinit(&conn->tls);
    buf_deinit(&conn->answer);
    buf_deinit(&conn->pending);
    if (conn->role == CLIENT_MEASURED) {
        client->open--;
        client->established -= conn->established;
    }
    conn->established = conn->open = false;
    if (conn->role == CLIENT_SLOW)
        slow_note_closed(conn);
    client_note_closed(conn);
}

void conn_close(struct client_conn *conn) {
    if (conn->closing || !conn->open)
        return;
    conn->closing = true;
    list_remove(&conn->link);
    uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

void conn_reset(struct client_conn *conn) {
    if (conn->closing || !conn->open)
        return;
    if (uv_tcp_close_reset(&conn->tcp, on_closed)) {
        conn_close(conn);
        return;
    }
    conn->closing = true;
    list_remove(&conn->link);
}

/* Gives the connection up before its time. Once nothing more is to be sent, a server may close as
 * it likes. */
void conn_break(struct client_conn *conn, enum client_error error) {
    struct client *client = conn->client;
    if (conn->closing)
        return;
    if (conn->role == CLIENT_SLOW) {
        slow_note_broken(conn);
        conn_close(conn);
        return;
    }
    if (!conn->established)
        error = CLIENT_CONNECT;
    else if (error == CLIENT_BROKEN && !conn->under_way)
        error = CLIENT_CLOSED;
    if (conn->parked)
        client->figures.idle_lost++;
    else if (error != CLIENT_CLOSED || client_may_issue(client))
        client->figures.errors[error]++;
    if (conn->under_way)
        client_note_given_up(conn);
    conn_close(conn);
}

/* --- the beginning -----------------------------------------------------------------------------
 */

static int begin_handshake(struct client_conn *conn) {
    struct client *client = conn->client;
    size_t len;
    return tls_session_read(&conn->tls, &client->net_out, client->plain, sizeof client->plain,
                            &len) != TLS_WANT;
}

static void on_connected(uv_connect_t *connect, int status) {
    struct client_conn *conn = connect->data;
    bool silent = conn->role == CLIENT_SLOW && conn->kind == CLIENT_SLOW_SILENT;
    if (conn->closing)
        return;
    if (status == 0)
        status = uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
    if (status == 0)
        (void)uv_tcp_nodelay(&conn->tcp, 1);
    if (status < 0 || (!silent && begin_handshake(conn)))
        conn_break(conn, CLIENT_CONNECT);
    conn->connected_ns = uv_hrtime();
    if (stall_is_before_tls(conn) && !conn->closing)
        stall_note_connected(conn);
    conn_flush(conn);
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

/* 1: the session is ours to free now. */
static int on_session(SSL *ssl, SSL_SESSION *session) {
    struct client_conn *conn = SSL_get_app_data(ssl);
    SSL_SESSION_free(conn->session);
    conn->session = session;
    return 1;
}

static int set_session(struct client_conn *conn) {
    SSL_CTX *ctx = SSL_get_SSL_CTX(conn->tls.ssl);
    if (!conn->client->options->resume)
        return 0;
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    return SSL_set_app_data(conn->tls.ssl, conn) &&
                   (!conn->session || SSL_set_session(conn->tls.ssl, conn->session))
               ? 0
               : UV_ENOMEM;
}

/* Before it connects: what it can hold is settled then. */
static int open_slow_socket(struct client_conn *conn) {
    int fd = socket(conn->client->options->address.ss_family,
                    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return uv_translate_sys_error(errno);
    int rc = uv_tcp_open(&conn->tcp, fd);
    if (rc) {
        close(fd);
        return rc;
    }
    stall_opening(conn);
    return 0;
}

void conn_open(struct client_conn *conn) {
    struct client *client = conn->client;
    conn->open = true;
    conn->established = conn->closing = conn->writing = conn->ending = conn->over = false;
    conn->answer = conn->pending = (struct buf){0};
    conn->opened_ns = uv_hrtime();
    list_init(&conn->link);
    (void)uv_tcp_init(client->loop, &conn->tcp); /* never fails: the socket comes later */
    client->open += conn->role == CLIENT_MEASURED;
    conn->tcp.data = conn->connect.data = conn->write.data = conn;
    int rc = conn->role == CLIENT_SLOW ? open_slow_socket(conn) : 0;
    int tls_rc = tls_session_init(&conn->tls, client->options->tls);
    rc = rc ? rc : tls_rc;
    rc = rc ? rc : set_name(conn);
    rc = rc ? rc : set_session(conn);
    rc = rc ? rc
            : uv_tcp_connect(&conn->connect, &conn->tcp,
                             (const struct sockaddr *)&client->options->address, on_connected);
    if (conn->role == CLIENT_SLOW)
        slow_note_opened(conn);
    if (rc)
        conn_break(conn, CLIENT_CONNECT);
}
