/* Slow connections that come to a standstill, each kind at another stage, and stay until the server
 * closes them: was that when its deadline had passed, and how much before or after? See client.h.
 *
 * The server's deadline begins at a moment that this side does not see. It lies between two that it
 * does: before what the deadline counts from was sent, and after that was taken or answered. So no
 * closing is right before the first plus the deadline, and one after the second plus the deadline
 * is late by the server's lag, and by this program's own. */
#include <string.h>

#include "client_internal.h"

enum {
    HEAD_BYTES = 10,  /* of a head, sent at once */
    SMALL_BUF = 4096, /* the kernel's, of one that does not read: it is to be full soon */
};

/* Requests whose answers nobody reads; each is answered with some 150 bytes. */
static const char unread[] = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
                             "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
                             "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
                             "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n";
enum { UNREAD_TIMES = 64, UNREAD_PIECES = 8 };

const struct client_slow_shape client_slow_shapes[CLIENT_SLOW_KINDS] = {
    [CLIENT_SLOW_POST] = {"post", CLIENT_DEADLINES},
    [CLIENT_SLOW_SILENT] = {"silent", CLIENT_DEADLINE_HEAD},
    [CLIENT_SLOW_HELLO] = {"hello", CLIENT_DEADLINE_HEAD},
    [CLIENT_SLOW_HEAD] = {"head", CLIENT_DEADLINE_HEAD},
    [CLIENT_SLOW_BODY] = {"body", CLIENT_DEADLINE_BODY},
    [CLIENT_SLOW_IDLE] = {"idle", CLIENT_DEADLINE_IDLE},
    [CLIENT_SLOW_READ] = {"read", CLIENT_DEADLINE_BODY},
};

static uint64_t deadline_ns(const struct client_conn *conn) {
    return conn->client->options->slow_deadlines_ns[client_slow_shapes[conn->kind].deadline];
}

static struct client_stall_figures *figures_of(const struct client_conn *conn) {
    return &conn->client->figures.slow.stalls[conn->kind];
}

void stall_opening(struct client_conn *conn) {
    int bytes = SMALL_BUF, more = SMALL_BUF;
    if (conn->kind != CLIENT_SLOW_READ)
        return;
    /* What fails costs memory, not the result. */
    (void)uv_recv_buffer_size((uv_handle_t *)&conn->tcp, &bytes);
    (void)uv_send_buffer_size((uv_handle_t *)&conn->tcp, &more);
}

/* It has come to where it stays. */
static void stay(struct client_conn *conn, uint64_t since_ns, uint64_t until_ns) {
    conn->stalled = true;
    conn->soonest_ns = since_ns + deadline_ns(conn);
    conn->due_ns = until_ns + deadline_ns(conn);
    figures_of(conn)->stalled++;
    slow_note_up(conn);
}

bool stall_is_before_tls(const struct client_conn *conn) {
    return conn->role == CLIENT_SLOW &&
           (conn->kind == CLIENT_SLOW_SILENT || conn->kind == CLIENT_SLOW_HELLO);
}

void stall_note_connected(struct client_conn *conn) {
    conn->client->net_out.len /= 2;
    stay(conn, conn->opened_ns, conn->connected_ns);
}

/* Requests until no more are taken: then its answers are what the server waits to be rid of. */
static void stuff(struct client_conn *conn) {
    for (int piece = 0; piece < UNREAD_PIECES && !conn->writing && !conn->closing; piece++) {
        for (int i = 0; i < UNREAD_TIMES; i++)
            conn_write(conn, unread, sizeof unread - 1);
        conn_flush(conn);
    }
    conn->due_ns = uv_hrtime() + deadline_ns(conn); /* from the last that was taken */
}

/* The handshake is done. */
void stall_begin(struct client_conn *conn, uint64_t now_ns) {
    size_t head = conn->payload.body;
    switch (conn->kind) {
    case CLIENT_SLOW_HEAD:
        conn->trickle_from = HEAD_BYTES;
        conn->trickle_end = head - 1;
        break;
    case CLIENT_SLOW_BODY:
        conn->trickle_from = head;
        conn->trickle_end = conn->payload.text.len - 1;
        break;
    case CLIENT_SLOW_READ:
        uv_read_stop((uv_stream_t *)&conn->tcp);
        stay(conn, now_ns, now_ns);
        stuff(conn);
        return;
    default: /* idle: one post, and its answer */
        conn->trickle_from = conn->trickle_end = conn->payload.text.len;
        conn_send_post(conn, now_ns);
        conn->trickled = conn->payload.text.len;
        return;
    }
    conn_write(conn, conn->payload.text.ptr, conn->trickle_from);
    conn->trickled = conn->trickle_from;
    if (conn->kind == CLIENT_SLOW_HEAD) /* counts from its being accepted */
        stay(conn, conn->opened_ns, conn->connected_ns);
    else
        stay(conn, now_ns, now_ns);
}

void stall_go_on(struct client_conn *conn) {
    if (conn->kind == CLIENT_SLOW_READ && conn->stalled && !conn->writing)
        stuff(conn);
}

static void note_distance(struct client_stall_figures *figures, const struct client_conn *conn,
                          uint64_t now_ns) {
    int64_t early_ns = (int64_t)(conn->soonest_ns - now_ns);
    int64_t late_ns = (int64_t)(now_ns - conn->due_ns);
    /* It may have taken some after the server had stopped reading. */
    if (conn->kind != CLIENT_SLOW_READ && early_ns > figures->early_ns)
        figures->early_ns = early_ns;
    if (late_ns > figures->late_ns)
        figures->late_ns = late_ns;
}

/* The idle one's, or the server's last word to one of another kind. */
void stall_note_answer(struct client_conn *conn, int status) {
    uint64_t now_ns = uv_hrtime();
    if (conn->kind == CLIENT_SLOW_IDLE && !conn->stalled && status / 100 == 2) {
        stay(conn, conn->sent_ns, now_ns);
        return;
    }
    if (conn->stalled && status == CLIENT_TIMED_OUT)
        stall_note_closed(conn, now_ns);
    conn_close(conn);
}

void stall_note_closed(struct client_conn *conn, uint64_t now_ns) {
    if (!conn->stalled)
        return;
    conn->stalled = false;
    figures_of(conn)->closed++;
    note_distance(figures_of(conn), conn, now_ns);
}

/* The run is over: whoever is still here has not been closed, and it may be high time. */
void stall_note_end(struct client_conn *conn, uint64_t now_ns) {
    if (!conn->stalled)
        return;
    conn->stalled = false;
    figures_of(conn)->left++;
    if (now_ns > conn->due_ns)
        note_distance(figures_of(conn), conn, now_ns);
}
