/* ONE connection; the only file that knows libuv, TLS and HTTP at once.
 *
 *              accept
 *                |
 *                v    handshake done, requests answered
 *   .------> CONN_OPEN <------------.
 *   |            |  |               | all written
 *   |            |  `-> (writing) --'      reading stops while anything is unsent
 *   |            |
 *   |            | last answer given, TLS failed, deadline, drain
 *   |            v
 *   |       CONN_CLOSING  close_notify is in the output; written out, then FIN
 *   |            |
 *   |            v
 *   |       CONN_LINGERING  reads and drops, so that the last answer is not lost to a RST
 *   |            |
 *   |            | EOF, error, deadline          (any state: a broken socket, hard deadline)
 *   |            v
 *   `------ CONN_CLOSED   uv_close is under way; on_closed frees
 *
 * A read runs through everything: records, plaintext, requests, events, answers, records, one
 * write. Only callbacks of libuv and the wheel decide to close; the steps between them say what
 * came out. */
#include "conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "conn_note.h"
#include "util/clock.h"

enum state { CONN_OPEN, CONN_CLOSING, CONN_LINGERING, CONN_CLOSED };

/* What the connection is waiting for, and so which deadline it is under. */
enum wait {
    WAIT_HEAD, /* handshake and the head of a request */
    WAIT_BODY,
    WAIT_IDLE, /* the next request */
    WAIT_WRITE,
    WAIT_LINGER,
};

enum { LINGER_MS = 2000 };

struct conn {
    uv_tcp_t tcp;
    struct conn_shared *shared;
    struct list link;
    struct wheel_node deadline;
    struct ration_place
        place; /* a handshake's, a stranger's; once it is CONN_CLOSED, a closing's */
    struct tls_session tls;
    struct http_parser http;
    struct peer *peer;
    struct ingest_hold hold; /* of the request under way */
    uint32_t round;          /* in which it was last read from; see must_wait */
    uint8_t state, wait;
    bool established,
        answered;           /* answered: a request was answered since the last deadline was set */
    bool known;             /* no stranger */
    bool writing;           /* a struct conn_write is in flight */
    bool failed;            /* its handshake is counted as failed */
    uint64_t begun_ns;      /* when the request under way began; 0: none is */
    struct conn_kept *kept; /* NULL: nothing waits for the disk */
};

/* Answers that wait until the disk has what they acknowledge. */
struct conn_kept {
    struct list link; /* in conn_shared.kept */
    struct conn *conn;
    uint64_t seq; /* of the next event when they were made */
    struct latency_pending pending;
    struct buf answers;
};

/* Output that the socket did not take at once. */
struct conn_write {
    uv_write_t request;
    struct latency_pending pending;
    struct buf data;
};

static void conn_close(struct conn *conn);
static void close_now(struct conn *conn);

/* --- deadlines -----------------------------------------------------------------------------------
 */

static uint64_t wait_ms(const struct conn *conn) {
    const struct conn_timeouts *timeouts = &conn->shared->timeouts;
    switch ((enum wait)conn->wait) {
    case WAIT_HEAD:
        return timeouts->header_ms;
    case WAIT_BODY:
    case WAIT_WRITE:
        return timeouts->body_ms;
    case WAIT_IDLE:
        return timeouts->keepalive_ms;
    case WAIT_LINGER:
        break;
    }
    return LINGER_MS;
}

static void set_wait(struct conn *conn, enum wait wait) {
    conn->wait = (uint8_t)wait;
    wheel_arm(conn->shared->wheel, &conn->deadline, uv_now(conn->shared->loop) + wait_ms(conn));
}

/* After a read or a write: a deadline begins when what is waited for changes or a request was
 * answered; more bytes of the same head or body do not move it. */
static void update_wait(struct conn *conn) {
    enum wait wait = WAIT_IDLE;
    if (conn->writing || conn->kept)
        wait = WAIT_WRITE;
    else if (conn->state != CONN_OPEN)
        wait = WAIT_LINGER;
    else if (http_parser_in_body(&conn->http))
        wait = WAIT_BODY;
    else if (http_parser_in_head(&conn->http) || (conn->wait == WAIT_HEAD && !conn->answered))
        wait = WAIT_HEAD; /* the latter: nothing of a first request yet, time runs from accept */
    if (wait != conn->wait || conn->answered)
        set_wait(conn, wait);
    conn->answered = false;
}

/* --- output --------------------------------------------------------------------------------------
 */

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf);
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);

/* All of a closing connection is written: FIN, then read until the peer is done too. */
static void start_linger(struct conn *conn) {
    uv_os_fd_t fd;
    conn->state = CONN_LINGERING;
    if (uv_fileno((uv_handle_t *)&conn->tcp, &fd) == 0)
        (void)shutdown(fd, SHUT_WR); /* fails only where the peer is gone: its EOF comes next */
}

/* After an error: what was about to be sent is not. */
static void drop_output(struct conn_shared *shared) {
    buf_reset(&shared->plain_out, CONN_READ_BYTES);
    buf_reset(&shared->net_out, CONN_READ_BYTES);
    shared->pending = (struct latency_pending){0};
}

static void on_written(uv_write_t *request, int status) {
    struct conn_write *write = (struct conn_write *)request;
    struct conn *conn = request->data;
    if (status == 0)
        conn_note_written(conn->shared, &write->pending);
    buf_deinit(&write->data);
    free(write);
    if (conn->state == CONN_CLOSED) /* may come with status 0 after uv_close */
        return;
    conn->writing = false;
    int rc = status;
    if (rc == 0 && !conn->kept)
        rc = uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
    if (rc < 0) {
        conn_close(conn);
        return;
    }
    if (conn->state == CONN_CLOSING && !conn->kept)
        start_linger(conn);
    update_wait(conn);
}

/* The rest that the socket did not take: copied, sent later; until then nothing is read. */
static int write_later(struct conn *conn, const char *data, size_t len) {
    struct conn_write *write = calloc(1, sizeof *write);
    if (!write)
        return UV_ENOMEM;
    int rc = buf_append(&write->data, data, len);
    if (rc)
        goto fail;
    write->request.data = conn;
    uv_buf_t buf = uv_buf_init(write->data.ptr, (unsigned)len);
    rc = uv_write(&write->request, (uv_stream_t *)&conn->tcp, &buf, 1, on_written);
    if (rc)
        goto fail;
    conn->writing = true;
    write->pending = conn->shared->pending;
    conn->shared->pending = (struct latency_pending){0};
    uv_read_stop((uv_stream_t *)&conn->tcp);
    return 0;

fail:
    buf_deinit(&write->data);
    free(write);
    return rc;
}

/* Sends what this read brought forth; one write. 0 or UV_E*. */
static int flush(struct conn *conn) {
    struct buf *out = &conn->shared->net_out;
    int rc = 0;
    if (out->len) {
        uv_buf_t buf = uv_buf_init(out->ptr, (unsigned)out->len);
        int sent = uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);
        if (sent == UV_EAGAIN)
            sent = 0;
        if (sent < 0)
            rc = sent;
        else if ((size_t)sent < out->len)
            rc = write_later(conn, out->ptr + sent, out->len - (size_t)sent);
    }
    buf_reset(out, CONN_READ_BYTES);
    if (rc == 0)
        conn_note_written(conn->shared, &conn->shared->pending);
    if (rc == 0 && conn->state == CONN_CLOSING && !conn->writing && !conn->kept)
        start_linger(conn);
    return rc;
}

/* --- requests ------------------------------------------------------------------------------------
 */

/* Appends an answer. `close`: it is the connection's last. 0 or -ENOMEM. */
static int respond(struct conn *conn, struct http_response *response, bool close) {
    response->close = close;
    conn->answered = true;
    conn->shared->figures.answers[response->status / 100]++;
    latency_begin(&conn->shared->pending, conn->begun_ns ? conn->begun_ns : conn->shared->turn_ns);
    conn->begun_ns = 0;
    conn->known = response->status / 100 == 2;
    if (close)
        conn->state = CONN_CLOSING;
    return http_respond(&conn->shared->plain_out, response);
}

static int respond_answer(struct conn *conn, const struct http_request *request,
                          const struct ingest_answer *answer, bool close) {
    conn_note_answer(answer);
    struct http_response response = {
        .status = answer->status,
        .content_type = answer->content_type,
        .body = answer->body,
        .headers = answer->headers,
        .more_headers = answer->endpoint ? answer->endpoint->sender->answer_headers : NULL,
        .head = request->llhttp_method == HTTP_HEAD,
        .minor_version = request->minor_version,
    };
    return respond(conn, &response, close || !request->keep_alive || conn->shared->draining);
}

static int on_head(struct conn *conn, struct http_request *request, struct ingest_answer *answer) {
    bool waits = request->expect_continue && request->has_body &&
                 conn->http.chunk_used == conn->http.chunk_len;
    const struct ingest_peer peer = {conn->peer->address, conn->shared->now_us};
    enum ingest_verdict verdict = ingest_head(conn->shared->ingest, request, &peer, answer);
    conn->hold = answer->hold;
    conn->known = verdict == INGEST_GO_ON;
    if (verdict == INGEST_GO_ON)
        return waits ? buf_append(&conn->shared->plain_out, "HTTP/1.1 100 Continue\r\n\r\n", 25)
                     : 0;
    request->discard_body = true;
    /* Who waits for 100 Continue may or may not send the body now: only closing is clear. */
    return respond_answer(conn, request, answer, waits);
}

static int on_request(struct conn *conn, struct http_request *request,
                      struct ingest_answer *answer) {
    if (request->discard_body) {
        conn->begun_ns = 0;
        return 0; /* answered at its head */
    }
    ingest_request(conn->shared->ingest, request, conn->shared->now_us, answer);
    int rc = respond_answer(conn, request, answer, false);
    ingest_release(conn->shared->ingest, &conn->hold);
    return rc;
}

static int on_bad(struct conn *conn, int status, const char *reason) {
    const struct http_request *request = conn->http.request;
    char text[160];
    int len = snprintf(text, sizeof text, "{\"error\":\"%s\"}\n", reason);
    struct http_response response = {.status = status,
                                     .content_type = "application/json",
                                     .body = span_from(text, (size_t)len),
                                     .minor_version = 1};
    if (request)
        response.more_headers = ingest_path_headers(conn->shared->ingest, request->path);
    conn_note_noise("not HTTP", reason);
    ingest_count_bad(conn->shared->ingest, conn->hold.route, status);
    return respond(conn, &response, true);
}

/* Steps through a read's plaintext. What follows a last answer is not looked at. 0 or -ENOMEM. */
static int process_plain(struct conn *conn, char *data, size_t len) {
    struct ingest_answer answer;
    enum http_step step;
    int rc = 0;

    http_feed(&conn->http, &conn->shared->scratch, data, len);
    while (rc == 0 && conn->state == CONN_OPEN &&
           (step = http_step(&conn->http)) != HTTP_STEP_MORE) {
        if (step == HTTP_STEP_HEAD)
            rc = on_head(conn, conn->http.request, &answer);
        else if (step == HTTP_STEP_REQUEST)
            rc = on_request(conn, conn->http.request, &answer);
        else
            rc = on_bad(conn, conn->http.bad_status, conn->http.bad_reason);
    }
    int end_rc = http_feed_end(&conn->http);
    return rc ? rc : end_rc;
}

/* Encrypts the answers, and the end where this was the last. */
static int encrypt_answers(struct conn *conn) {
    struct conn_shared *shared = conn->shared;
    int rc = 0;
    if (shared->plain_out.len)
        rc = tls_session_write(&conn->tls, &shared->net_out, shared->plain_out.ptr,
                               shared->plain_out.len);
    buf_reset(&shared->plain_out, CONN_READ_BYTES);
    if (conn->state == CONN_CLOSING)
        tls_session_shutdown(&conn->tls, &shared->net_out);
    return rc;
}

/* --- answers that wait for the disk --------------------------------------------------------------
 */

/* Takes the answers that this read has brought forth; until they are out, nothing more is read. */
static int keep_answers(struct conn *conn) {
    struct conn_shared *shared = conn->shared;
    struct conn_kept *kept = calloc(1, sizeof *kept);
    int rc =
        kept ? buf_append(&kept->answers, shared->plain_out.ptr, shared->plain_out.len) : -ENOMEM;
    if (rc) {
        free(kept);
        return rc; /* closed without an answer: the sender comes again, and is a repeat */
    }
    buf_reset(&shared->plain_out, CONN_READ_BYTES);
    kept->conn = conn;
    kept->pending = shared->pending;
    shared->pending = (struct latency_pending){0};
    kept->seq = ring_committed(shared->ingest->ring).seq;
    conn->kept = kept;
    list_append(&shared->kept, &kept->link);
    uv_read_stop((uv_stream_t *)&conn->tcp);
    return 0;
}

static void drop_kept(struct conn *conn) {
    struct conn_kept *kept = conn->kept;
    if (!kept)
        return;
    conn->kept = NULL;
    list_remove(&kept->link);
    buf_deinit(&kept->answers);
    free(kept);
}

/* The answers, or what has become of them, into plain_out. */
static int take_kept(struct conn *conn, int error) {
    struct conn_shared *shared = conn->shared;
    int rc = 0;
    if (error) { /* one answer, in place of all of them */
        struct http_response response = {
            .status = 503,
            .content_type = "application/json",
            .headers = "Retry-After: 1\r\n",
            .body = SPAN("{\"error\":\"the events could not be written to disk\"}\n"),
            .minor_version = 1,
        };
        conn->begun_ns = conn->kept->pending.first_ns;
        ingest_count_bad(shared->ingest, NULL, response.status);
        rc = respond(conn, &response, true);
    } else {
        shared->pending = conn->kept->pending;
        rc = buf_append(&shared->plain_out, conn->kept->answers.ptr, conn->kept->answers.len);
    }
    drop_kept(conn);
    return rc;
}

static void go_on(struct conn *conn, int error) {
    int rc = take_kept(conn, error);
    rc = rc ? rc : encrypt_answers(conn);
    rc = rc ? rc : flush(conn);
    if (rc == 0 && !conn->writing)
        rc = uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
    if (rc) {
        drop_output(conn->shared);
        conn_close(conn);
        return;
    }
    update_wait(conn);
}

void conn_on_disk(struct conn_shared *shared, uint64_t seq, int error) {
    while (!list_is_empty(&shared->kept)) {
        struct conn_kept *kept = container_of(shared->kept.next, struct conn_kept, link);
        if (kept->seq > seq)
            return;
        go_on(kept->conn, error);
    }
}

static void note_failure(struct conn *conn, const char *reason) {
    if (!conn->failed)
        conn_note_failure(conn->shared, reason);
    conn->failed = true;
}

static void note_handshake(struct conn *conn, int result) {
    struct conn_figures *figures = &conn->shared->figures;
    if (tls_session_is_established(&conn->tls)) {
        conn->established = true;
        figures->handshakes++;
        figures->handshakes_resumed += tls_session_was_resumed(&conn->tls);
    } else if (result == TLS_FAILED || result == TLS_CLOSED) {
        note_failure(conn, tls_session_failure(&conn->tls));
    }
}

/* Everything a read brings: from records to answers in net_out. 0, or an error that closes. */
static int process_records(struct conn *conn, const char *data, size_t len) {
    struct conn_shared *shared = conn->shared;
    uint64_t seq = ring_committed(shared->ingest->ring).seq;
    size_t room, plain_len;
    char *plain;
    int result, rc = 0;

    tls_session_feed(&conn->tls, data, len);
    do {
        if (!http_body_place(&conn->http, &plain, &room)) {
            plain = shared->plain_in;
            room = CONN_PLAIN_BYTES;
        }
        result = tls_session_read(&conn->tls, &shared->net_out, plain, room, &plain_len);
        if (!conn->established)
            note_handshake(conn, result);
        if (plain_len && conn->state == CONN_OPEN)
            rc = process_plain(conn, plain, plain_len);
    } while (rc == 0 && result == TLS_OK);
    if (result != TLS_WANT && conn->state == CONN_OPEN)
        conn->state = CONN_CLOSING; /* an alert or close_notify, ours or theirs, ends it */
    conn->tls.in = (struct span){0};
    if (rc == 0 && shared->durable && ring_committed(shared->ingest->ring).seq != seq)
        return keep_answers(conn);
    return rc ? rc : encrypt_answers(conn);
}

/* --- libuv ---------------------------------------------------------------------------------------
 */

void conn_init_shared(struct conn_shared *shared) {
    shared->turn_end = UINT64_MAX;
    shared->round = 1; /* a new connection's is 0 */
    list_init(&shared->conns);
    list_init(&shared->kept);
    ration_init(&shared->handshakes, CONN_TURN_HANDSHAKES);
    ration_init(&shared->strangers, CONN_TURN_STRANGERS);
    ration_init(&shared->closings, CONN_TURN_CLOSINGS);
}

bool conn_is_behind(const struct conn_shared *shared) {
    return ration_is_awaited(&shared->closings) || ration_is_awaited(&shared->handshakes) ||
           ration_is_awaited(&shared->strangers);
}

/* Those whose turn has come need not be readable any more: one whose bytes just filled the buffer
 * of its last read is asked for more, and queues, with nothing left to read. A turn that calls none
 * but such is woken by none of them: conn_is_behind keeps it from sleeping. */
static void call_readers(struct ration *ration) {
    struct ration_place *place;
    ration_begin_turn(ration);
    while ((place = ration_call(ration))) {
        struct conn *conn = container_of(place, struct conn, place);
        if (uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read))
            conn_close(conn);
    }
}

static void call_waiting(struct conn_shared *shared) {
    struct ration_place *place;
    call_readers(&shared->handshakes);
    call_readers(&shared->strangers);
    ration_begin_turn(&shared->closings);
    while ((place = ration_call(&shared->closings)))
        close_now(container_of(place, struct conn, place));
}

void conn_begin_turn(struct conn_shared *shared, bool bounded) {
    uint64_t position = ring_committed(shared->ingest->ring).position;
    shared->turn_end = bounded ? position + CONN_TURN_BYTES : UINT64_MAX;
    shared->round += !shared->turn_cut; /* those that were cut off come first: same round */
    shared->turn_cut = false;
    shared->turn_ns = 0;
    call_waiting(shared);
}

/* What its reads are taken from. NULL: no ration. */
static struct ration *ration_of(struct conn *conn) {
    if (!conn->established)
        return &conn->shared->handshakes;
    return conn->known ? NULL : &conn->shared->strangers;
}

/* Whether the connection has to wait for another turn. The kernel names ready sockets in the same
 * order each time: without rounds the first few would be read from over and over. */
static bool must_wait(struct conn *conn) {
    struct conn_shared *shared = conn->shared;
    struct ration *ration = ration_of(conn);
    if (ration) /* a flood of them costs those that post little */
        return !ration_take(ration, &conn->place);
    if (shared->turn_end == UINT64_MAX)
        return false;
    if (conn->round == shared->round)
        return true;
    if (ring_committed(shared->ingest->ring).position <= shared->turn_end)
        return false;
    shared->turn_cut = true;
    return true;
}

/* No memory for one that has to wait: on_read is told UV_ENOBUFS. The socket of one that posts is
 * still readable in the next turn, after the readers have had theirs. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct conn *conn = handle->data;
    (void)suggested;
    unsigned len = conn->known ? CONN_READ_BYTES : CONN_STRANGER_BYTES;
    *buf = uv_buf_init(conn->shared->net_in, must_wait(conn) ? 0 : len);
}

/* One that is not whole goes on from when its first byte was read. */
static void note_begun(struct conn *conn) {
    if (!http_parser_in_head(&conn->http) && !http_parser_in_body(&conn->http))
        conn->begun_ns = 0;
    else if (!conn->begun_ns)
        conn->begun_ns = conn->shared->turn_ns;
}

/* Thousands that stay readable would be named by the kernel, and refused here, over and over: at
 * 10,000 this took a hundred milliseconds a turn. Until its turn comes, nobody listens to it. */
static void put_off(struct conn *conn) {
    struct ration *ration = ration_of(conn);
    if (!ration)
        return;
    uv_read_stop((uv_stream_t *)&conn->tcp);
    ration_queue(ration, &conn->place);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct conn *conn = stream->data;
    int rc = 0;
    if (len == UV_ENOBUFS) {
        put_off(conn);
        return;
    }
    if (len < 0) {
        if (!conn->established && conn->round) /* it had begun to speak: no mere look at the port */
            note_failure(conn, "closed");
        conn_close(conn);
        return;
    }
    if (len == 0 || conn->state != CONN_OPEN)
        return;
    if (conn->established && !conn->known && len <= CONN_FREE_BYTES)
        ration_return(&conn->shared->strangers);
    conn->round = conn->shared->round;
    conn->shared->now_us = clock_realtime_us();
    if (!conn->shared->turn_ns)
        conn->shared->turn_ns = clock_monotonic_ns();
    rc = process_records(conn, buf->base, (size_t)len);
    if (rc == 0)
        rc = flush(conn);
    if (rc) {
        drop_output(conn->shared);
        conn_close(conn);
        return;
    }
    note_begun(conn);
    update_wait(conn);
}

static void on_closed(uv_handle_t *handle) {
    struct conn *conn = handle->data;
    struct conn_shared *shared = conn->shared;
    list_remove(&conn->link);
    tls_session_deinit(&conn->tls);
    http_parser_deinit(&conn->http);
    peers_release(conn->peer);
    ingest_release(shared->ingest, &conn->hold);
    free(conn);
    shared->figures.closed++;
    if (--shared->count == 0 && shared->on_last_closed)
        shared->on_last_closed(shared->context);
}

/* The socket's end; idempotent. */
static void close_now(struct conn *conn) {
    ration_leave(&conn->place);
    if (!uv_is_closing((uv_handle_t *)&conn->tcp))
        uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

/* Closes, in this turn of the loop or in one of the next; idempotent, frees nothing: on_closed
 * does. */
static void conn_close(struct conn *conn) {
    struct ration *closings = &conn->shared->closings;
    if (conn->state == CONN_CLOSED)
        return;
    conn->state = CONN_CLOSED;
    drop_kept(conn);
    wheel_disarm(&conn->deadline);
    ration_leave(&conn->place);
    ration_place_init(&conn->place); /* it may have been called for a handshake */
    if (ration_take(closings, &conn->place)) {
        close_now(conn);
        return;
    }
    uv_read_stop((uv_stream_t *)&conn->tcp);
    ration_queue(closings, &conn->place);
}

/* Says goodbye as TLS wants it, after an answer where one is due. */
static void conn_end(struct conn *conn) {
    if (conn->state == CONN_OPEN)
        conn->state = CONN_CLOSING;
    if (encrypt_answers(conn) || flush(conn)) {
        drop_output(conn->shared);
        conn_close(conn);
        return;
    }
    update_wait(conn);
}

static void on_deadline(struct wheel_node *node) {
    struct conn *conn = container_of(node, struct conn, deadline);
    conn->shared->figures.timeouts++;
    if (conn->state != CONN_OPEN || conn->wait == WAIT_WRITE) {
        conn_close(conn);
        return;
    }
    if (!conn->established) {
        note_failure(conn, "timeout");
        conn_close(conn);
        return;
    }
    if ((http_parser_in_head(&conn->http) || http_parser_in_body(&conn->http)) &&
        on_bad(conn, 408, "the request did not come in time")) {
        drop_output(conn->shared);
        conn_close(conn);
        return;
    }
    conn_end(conn);
}

static int start(struct conn *conn, uv_stream_t *listener, struct peers *peers, unsigned max) {
    struct sockaddr_storage address;
    int address_len = sizeof address;
    bool full;
    int rc = uv_accept(listener, (uv_stream_t *)&conn->tcp);
    if (rc == 0)
        rc = uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&address, &address_len);
    if (rc)
        return rc;
    conn->peer = peers_acquire(peers, &address, max, &full);
    if (!conn->peer)
        return full ? UV_E2BIG : UV_ENOMEM;
    (void)uv_tcp_nodelay(&conn->tcp, 1); /* answers are whole in one write: nothing to wait for */
    return uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
}

int conn_accept(struct conn_shared *shared, uv_stream_t *listener, struct tls_context *tls,
                struct peers *peers, unsigned max_per_peer) {
    struct conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        return UV_ENOMEM;
    conn->shared = shared;
    int rc = tls_session_init(&conn->tls, tls);
    if (rc == 0)
        rc = uv_tcp_init(shared->loop, &conn->tcp);
    if (rc) {
        tls_session_deinit(&conn->tls);
        free(conn);
        return rc;
    }
    conn->tcp.data = conn;
    wheel_node_init(&conn->deadline, on_deadline);
    ration_place_init(&conn->place);
    http_parser_init(&conn->http, &shared->limits);
    list_append(&shared->conns, &conn->link);
    shared->count++;
    rc = start(conn, listener, peers, max_per_peer);
    if (rc) {
        conn_close(conn);
        return rc;
    }
    shared->figures.accepted++;
    set_wait(conn, WAIT_HEAD);
    return 0;
}

/* --- the end -------------------------------------------------------------------------------------
 */

/* Whether a request is under way: begun, or already in the socket or TLS layer but not yet read. */
static bool is_busy(const struct conn *conn) {
    uv_os_fd_t fd;
    int waiting = 0;
    if (conn->state != CONN_OPEN || conn->writing || conn->kept)
        return true;
    if (http_parser_in_head(&conn->http) || http_parser_in_body(&conn->http))
        return true;
    return uv_fileno((const uv_handle_t *)&conn->tcp, &fd) == 0 &&
           ioctl(fd, FIONREAD, &waiting) == 0 && waiting > 0;
}

void conn_drain_all(struct conn_shared *shared) {
    struct list *next;
    shared->draining = true;
    for (struct list *link = shared->conns.next; link != &shared->conns; link = next) {
        struct conn *conn = container_of(link, struct conn, link);
        next = link->next;
        if (!is_busy(conn))
            conn_end(conn);
    }
}

void conn_close_all(struct conn_shared *shared) {
    struct list *next;
    for (struct list *link = shared->conns.next; link != &shared->conns; link = next) {
        struct conn *conn = container_of(link, struct conn, link);
        next = link->next;
        conn_close(conn);
        close_now(conn);
    }
}
