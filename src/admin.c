/* The admin listener; see admin.h. */
#include "admin.h"

#include <stdlib.h>
#include <unistd.h>

#include "http.h"
#include "rest.h"
#include "util/list.h"

enum { READ_BYTES = 8 * 1024, BACKLOG = 64, LINGER_MS = 2000 };

struct admin {
    uv_loop_t *loop;
    struct wheel *wheel;
    uv_tcp_t listener;
    admin_answer_fn *answer;
    void *context;
    struct http_limits limits;
    struct list conns;
    unsigned count; /* of them */
    bool closing, listener_closed;
    struct wheel_node wake;
    int rest_fd; /* -1, or the listening socket while it rests (rest.h) */
    struct http_request scratch;
    char in[READ_BYTES + HTTP_BODY_PADDING];
};

struct admin_conn {
    uv_tcp_t tcp;
    struct admin *admin;
    struct list link;
    struct wheel_node deadline;
    struct http_parser http;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct buf out;
    bool answered;
};

static void free_if_closed(struct admin *admin) {
    if (admin->closing && admin->listener_closed && admin->count == 0)
        free(admin);
}

static void on_conn_closed(uv_handle_t *handle) {
    struct admin_conn *conn = handle->data;
    struct admin *admin = conn->admin;
    list_remove(&conn->link);
    http_parser_deinit(&conn->http);
    buf_deinit(&conn->out);
    free(conn);
    admin->count--;
    free_if_closed(admin);
}

static void conn_close(struct admin_conn *conn) {
    if (uv_is_closing((uv_handle_t *)&conn->tcp))
        return;
    wheel_disarm(&conn->deadline);
    uv_close((uv_handle_t *)&conn->tcp, on_conn_closed);
}

/* FIN, and then what the peer may still send is read and dropped: closing with unread bytes would
 * reset the connection, and the answer with it. */
static void on_written(uv_write_t *write, int status) {
    struct admin_conn *conn = write->data;
    if (uv_is_closing((uv_handle_t *)&conn->tcp))
        return;
    if (status || uv_shutdown(&conn->shutdown, (uv_stream_t *)&conn->tcp, NULL))
        conn_close(conn);
    else
        wheel_arm(conn->admin->wheel, &conn->deadline, uv_now(conn->admin->loop) + LINGER_MS);
}

static void respond(struct admin_conn *conn, const struct http_request *request, int status,
                    const char *content_type, struct span body) {
    const struct http_response response = {
        .status = status,
        .content_type = content_type,
        .body = body,
        .headers = status == 405 ? "Allow: GET, HEAD\r\n" : NULL,
        .close = true,
        .head = request && request->llhttp_method == HTTP_HEAD,
        .minor_version = 1,
    };
    conn->answered = true;
    if (http_respond(&conn->out, &response)) {
        conn_close(conn);
        return;
    }
    uv_buf_t buf = uv_buf_init(conn->out.ptr, (unsigned)conn->out.len);
    conn->write.data = conn;
    if (uv_write(&conn->write, (uv_stream_t *)&conn->tcp, &buf, 1, on_written))
        conn_close(conn);
}

static void on_request(struct admin_conn *conn, const struct http_request *request) {
    struct admin *admin = conn->admin;
    struct buf body = {0};
    struct ops_answer answer;
    if (request->llhttp_method != HTTP_GET && request->llhttp_method != HTTP_HEAD) {
        respond(conn, request, 405, "text/plain", SPAN("only GET and HEAD\n"));
        return;
    }
    int rc = admin->answer(admin->context, request->path, &body, &answer);
    if (rc == OPS_UNKNOWN)
        respond(conn, request, 404, "text/plain", SPAN("nothing has this path\n"));
    else if (rc)
        respond(conn, request, 503, "text/plain", SPAN("out of memory\n"));
    else
        respond(conn, request, answer.status, answer.content_type, buf_span(&body));
    buf_deinit(&body);
}

static void process(struct admin_conn *conn, char *data, size_t len) {
    enum http_step step;
    http_feed(&conn->http, &conn->admin->scratch, data, len);
    while (!conn->answered && (step = http_step(&conn->http)) != HTTP_STEP_MORE) {
        if (step == HTTP_STEP_HEAD)
            conn->http.request->discard_body = true;
        else if (step == HTTP_STEP_REQUEST)
            on_request(conn, conn->http.request);
        else
            respond(conn, NULL, conn->http.bad_status, "text/plain", SPAN("not HTTP\n"));
    }
    if (http_feed_end(&conn->http))
        conn_close(conn);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct admin_conn *conn = handle->data;
    (void)suggested;
    *buf = uv_buf_init(conn->admin->in, READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct admin_conn *conn = stream->data;
    if (len < 0)
        conn_close(conn);
    else if (len > 0 && !conn->answered)
        process(conn, buf->base, (size_t)len);
}

static void on_deadline(struct wheel_node *node) {
    conn_close(container_of(node, struct admin_conn, deadline));
}

static void on_listener_closed(uv_handle_t *handle) {
    struct admin *admin = handle->data;
    admin->listener_closed = true;
    if (admin->rest_fd >= 0)
        wheel_arm(admin->wheel, &admin->wake, uv_now(admin->loop) + WHEEL_TICK_MS);
    free_if_closed(admin);
}

static void on_connection(uv_stream_t *listener, int status) {
    struct admin *admin = listener->data;
    if (status < 0 && rest_begin(listener, on_listener_closed, &admin->rest_fd) == 0)
        return;
    struct admin_conn *conn = status < 0 ? NULL : calloc(1, sizeof *conn);
    if (!conn || uv_tcp_init(admin->loop, &conn->tcp)) {
        free(conn); /* the next connection brings this one along */
        return;
    }
    conn->admin = admin;
    conn->tcp.data = conn;
    wheel_node_init(&conn->deadline, on_deadline);
    http_parser_init(&conn->http, &admin->limits);
    list_append(&admin->conns, &conn->link);
    admin->count++;
    wheel_arm(admin->wheel, &conn->deadline, uv_now(admin->loop) + ADMIN_TIMEOUT_MS);
    if (uv_accept(listener, (uv_stream_t *)&conn->tcp) || admin->count > ADMIN_MAX_CONNECTIONS ||
        uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read))
        conn_close(conn);
}

static void on_wake(struct wheel_node *node) {
    struct admin *admin = container_of(node, struct admin, wake);
    int fd = admin->rest_fd;
    admin->rest_fd = -1;
    if (uv_tcp_init(admin->loop, &admin->listener)) { /* no memory: not before the next tick */
        admin->rest_fd = fd;
        wheel_arm(admin->wheel, &admin->wake, uv_now(admin->loop) + WHEEL_TICK_MS);
        return;
    }
    admin->listener_closed = false;
    admin->listener.data = admin;
    uv_unref((uv_handle_t *)&admin->listener);
    int rc = uv_tcp_open(&admin->listener, fd);
    if (rc)
        close(fd);
    rc = rc ? rc : uv_listen((uv_stream_t *)&admin->listener, BACKLOG, on_connection);
    if (rc)
        on_connection((uv_stream_t *)&admin->listener, rc);
}

int admin_new(struct admin **out, uv_loop_t *loop, struct wheel *wheel,
              const struct sockaddr *address, admin_answer_fn *answer, void *context) {
    struct admin *admin = calloc(1, sizeof *admin);
    if (!admin)
        return UV_ENOMEM;
    admin->loop = loop;
    admin->wheel = wheel;
    admin->answer = answer;
    admin->context = context;
    admin->limits = (struct http_limits){READ_BYTES, READ_BYTES};
    list_init(&admin->conns);
    wheel_node_init(&admin->wake, on_wake);
    admin->rest_fd = -1;
    int rc = uv_tcp_init(loop, &admin->listener);
    if (rc) {
        free(admin);
        return rc;
    }
    admin->listener.data = admin;
    rc = uv_tcp_bind(&admin->listener, address,
                     address->sa_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0);
    rc = rc ? rc : uv_listen((uv_stream_t *)&admin->listener, BACKLOG, on_connection);
    if (rc) {
        admin_close(admin);
        return rc;
    }
    uv_unref((uv_handle_t *)&admin->listener); /* answers as long as the node runs, and no longer */
    *out = admin;
    return 0;
}

int admin_address(const struct admin *admin, struct sockaddr_storage *address) {
    int len = sizeof *address;
    return uv_tcp_getsockname(&admin->listener, (struct sockaddr *)address, &len);
}

void admin_close(struct admin *admin) {
    struct list *next;
    if (!admin)
        return;
    admin->closing = true;
    wheel_disarm(&admin->wake);
    if (admin->rest_fd >= 0)
        close(admin->rest_fd);
    admin->rest_fd = -1;
    if (!uv_is_closing((uv_handle_t *)&admin->listener))
        uv_close((uv_handle_t *)&admin->listener, on_listener_closed);
    for (struct list *link = admin->conns.next; link != &admin->conns; link = next) {
        next = link->next;
        conn_close(container_of(link, struct admin_conn, link));
    }
    free_if_closed(admin); /* it may have rested */
}
