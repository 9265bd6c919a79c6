/* Which post is due when, and what came of it; see client.h. The connections are client_conn.c's.
 */
#include "client.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <time.h>

#include "client_internal.h"

/* --- what is due -------------------------------------------------------------------------------
 */

/* When the open loop's post of that number is due. */
static uint64_t due_ns(const struct client *client, uint64_t number) {
    return client->start_ns + (uint64_t)((double)number * 1e9 / client->options->rate);
}

bool client_may_issue(const struct client *client) {
    return !client->stopping && client->counted < client->options->requests;
}

static void begin_post(struct client_conn *conn, uint64_t planned_ns) {
    struct client *client = conn->client;
    conn->under_way = true;
    conn->sent = false;
    conn->planned_ns = planned_ns;
    conn->counted = conn->role == CLIENT_MEASURED && planned_ns >= client->measure_ns;
    client->under_way++;
}

bool client_send_next(struct client_conn *conn, uint64_t now_ns) {
    struct client *client = conn->client;
    if (!client->start_ns || !client_may_issue(client))
        return false;
    uint64_t due = client->options->rate > 0 ? due_ns(client, client->issued) : now_ns;
    if (due > now_ns || due >= client->stop_ns)
        return false;
    begin_post(conn, due);
    client->issued++;
    client->counted += conn->counted;
    if (client->options->new_connections)
        conn_open(conn); /* the post follows the handshake */
    else
        conn_send_post(conn, now_ns);
    return true;
}

static void send_due(struct client *client) {
    while (!list_is_empty(&client->ready)) {
        struct client_conn *conn = container_of(client->ready.next, struct client_conn, link);
        list_remove(&conn->link);
        if (!client_send_next(conn, uv_hrtime())) {
            list_append(&client->ready, &conn->link);
            return;
        }
        conn_flush(conn);
    }
}

static void on_due(void *context) {
    send_due(context);
}

/* Before the loop sleeps: until when it may. Where no connection is free, an answer wakes it. */
static void on_prepare(uv_prepare_t *prepare) {
    struct client *client = prepare->data;
    uint64_t due = PACE_NEVER;
    if (client->start_ns && client_may_issue(client) && !list_is_empty(&client->ready))
        due = due_ns(client, client->issued);
    pace_set(&client->pace, due < client->stop_ns ? due : PACE_NEVER);
}

/* --- what connections say ----------------------------------------------------------------------
 */

static void open_idle(struct client *client) {
    while (client->idle_opened < client->options->idle &&
           client->idle_opened - client->idle_parked < CLIENT_OPENING) {
        struct client_conn *conn =
            &client->conns[client->options->connections + client->idle_opened++];
        const struct payload_options *targets = client->options->targets;
        if (payload_init(&conn->payload, &targets[conn->index % client->options->target_count],
                         conn->index)) {
            client->figures.errors[CLIENT_CONNECT]++;
            client->idle_parked++;
            continue;
        }
        conn_open(conn);
    }
}

void client_note_ready(struct client_conn *conn, uint64_t now_ns) {
    struct client *client = conn->client;
    if (conn->role == CLIENT_SLOW) {
        slow_note_ready(conn, now_ns);
        return;
    }
    if (conn->role == CLIENT_IDLE)
        begin_post(conn, now_ns);
    if (conn->under_way)
        conn_send_post(conn, now_ns);
    else if (!client_send_next(conn, now_ns))
        list_append(&client->ready, &conn->link);
}

static void park(struct client_conn *conn) {
    conn->parked = true;
    conn->client->idle_parked++;
    payload_deinit(&conn->payload);
}

static unsigned observations_of(const struct client_conn *conn) {
    return conn->payload.options->observations;
}

static void count_answer(struct client_conn *conn, int status, struct span body, uint64_t now_ns) {
    struct client *client = conn->client;
    struct client_figures *figures = &client->figures;
    if (status / 100 != 2)
        figures->refused++;
    if (!conn->counted)
        return;
    figures->answered++;
    figures->by_code[status]++;
    if (conn->repeating)
        figures->repeated++;
    else if (status == 200)
        figures->observations += observations_of(conn);
    if (client->options->repeat_percent) {
        figures->accepted += answer_number(body, SPAN("\"accepted\":"));
        figures->duplicates += answer_number(body, SPAN("\"duplicates\":"));
    }
    client->end_ns = now_ns;
    histogram_add(&client->latency, now_ns - conn->planned_ns);
    if (client->options->rate > 0)
        histogram_add(&client->service, now_ns - conn->sent_ns);
    series_add(&client->answers, now_ns - client->measure_ns);
}

/* Whether the post that was just taken is sent once more, as by a sender that has not heard of it.
 */
static bool choose_repeat(struct client_conn *conn) {
    struct client *client = conn->client;
    if (conn->repeating || conn->role == CLIENT_IDLE)
        return false;
    client->repeat_sum += client->options->repeat_percent;
    if (client->repeat_sum < 100)
        return false;
    client->repeat_sum -= 100;
    return true;
}

static void end_connection(struct client_conn *conn, bool announced) {
    if (!conn->client->options->new_connections || conn->role == CLIENT_IDLE) {
        conn_close(conn);
    } else if (announced || conn->ending) {
        conn->over = true; /* whoever closes first has to remember the ports: not this side */
    } else {
        conn_reset(conn);
    }
}

void client_note_answer(struct client_conn *conn, const struct answer *answer, struct span body) {
    struct client *client = conn->client;
    uint64_t now_ns = uv_hrtime();
    if (conn->role == CLIENT_SLOW) {
        slow_note_answer(conn, answer);
        return;
    }
    count_answer(conn, answer->status, body, now_ns);
    client->under_way--;
    conn->under_way = false;
    conn->answered_ns = now_ns;
    if (answer->status == 200) { /* else the same observations go out again, as a sender's retry */
        if (client->options->verify)
            verify_note_acked(client->options->verify, conn->index, conn->first);
        conn->repeating = choose_repeat(conn);
        if (!conn->repeating)
            conn->first += observations_of(conn);
    }
    bool idle = conn->role == CLIENT_IDLE;
    if (idle)
        park(conn);
    /* Who answers before the whole post has left (a 413) has stopped reading, or will close. */
    if (answer->close || conn->ending || conn->writing ||
        (client->options->new_connections && !idle))
        end_connection(conn, answer->close);
    else if (!idle && !client_send_next(conn, now_ns))
        list_append(&client->ready, &conn->link);
    if (conn->parked)
        client->figures.idle_lost += conn->closing;
}

void client_note_given_up(struct client_conn *conn) {
    struct client *client = conn->client;
    client->under_way--;
    conn->under_way = false;
    if (!conn->sent)
        return;
    if (client->options->verify)
        verify_note_unanswered(client->options->verify, conn->index, conn->first);
    conn->first += observations_of(conn);
    conn->repeating = false;
}

/* Where as many attempts have failed as there are connections, nobody is there. */
static bool is_nobody_there(const struct client *client) {
    return client->figures.errors[CLIENT_CONNECT] >= client->options->connections;
}

void client_note_closed(struct client_conn *conn) {
    struct client *client = conn->client;
    if (conn->role == CLIENT_SLOW)
        return; /* its next turn opens it again */
    if (conn->role == CLIENT_IDLE) {
        client->idle_parked += !conn->parked; /* no more is to be waited for */
        conn->parked = true;
        payload_deinit(&conn->payload);
        return;
    }
    if (is_nobody_there(client))
        return;
    if (!client->options->new_connections) {
        if (!client_may_issue(client))
            return;
        client->figures.reconnects++;
        conn_open(conn);
    } else if (!client_send_next(conn, uv_hrtime())) {
        list_append(&client->ready, &conn->link);
    }
}

/* --- the whole ---------------------------------------------------------------------------------
 */

static void give_up_late(struct client *client, uint64_t now_ns) {
    client->scan_ns = now_ns;
    for (unsigned i = 0; i < client->options->connections + client->idle_opened; i++) {
        struct client_conn *conn = &client->conns[i];
        if (!conn->open || conn->closing || conn->parked)
            continue;
        uint64_t since_ns = conn->under_way && conn->sent ? conn->sent_ns : conn->opened_ns;
        if (conn->over && now_ns - conn->answered_ns > CLIENT_END_MS * 1000000ULL)
            conn_reset(conn);
        else if (!conn->over && (conn->under_way || !conn->established) && now_ns > since_ns &&
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

static void read_clock(struct client *client) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    client->now_s =
        now.tv_sec - 1; /* so that no time is in the future, whatever its milliseconds */
}

static void on_tick(uv_timer_t *timer) {
    struct client *client = timer->data;
    uint64_t now_ns = uv_hrtime();
    read_clock(client);
    if (now_ns - client->scan_ns >= CLIENT_SCAN_MS * 1000000ULL)
        give_up_late(client, now_ns);
    if (client->idle_opened)
        open_idle(client);
    slow_turn(client, now_ns);
    if (!client->start_ns || client->stopping)
        return;
    if (!client->measuring && now_ns >= client->measure_ns) {
        client->measuring = true;
        uv_timer_set_repeat(timer, CLIENT_SLOW_TICK_MS);
    }
    if (now_ns >= client->stop_ns) {
        client->figures.unsent = count_unsent(client);
        client_stop(client);
    }
}

static unsigned conn_count(const struct client *client) {
    return client->options->connections + client->options->idle + client->options->slow;
}

static enum client_role role_of(const struct client *client, unsigned index) {
    unsigned measured = client->options->connections;
    if (index < measured)
        return CLIENT_MEASURED;
    return index < measured + client->options->idle ? CLIENT_IDLE : CLIENT_SLOW;
}

static int init_conns(struct client *client) {
    const struct client_options *options = client->options;
    client->conns = calloc(conn_count(client), sizeof *client->conns);
    if (!client->conns)
        return UV_ENOMEM;
    for (unsigned i = 0; i < conn_count(client); i++) {
        struct client_conn *conn = &client->conns[i];
        conn->client = client;
        conn->index = i;
        conn->first = options->base;
        conn->role = role_of(client, i);
        list_init(&conn->link);
        if (conn->role != CLIENT_MEASURED)
            continue;
        int rc = payload_init(&conn->payload, &options->targets[i % options->target_count], i);
        if (rc)
            return rc;
        if (options->new_connections)
            list_append(&client->ready, &conn->link);
        else
            conn_open(conn);
    }
    return 0;
}

int client_start(struct client *client, uv_loop_t *loop, const struct client_options *options) {
    client->loop = loop;
    client->options = options;
    client->scan_ns = uv_hrtime();
    list_init(&client->ready);
    read_clock(client);
    int rc = uv_timer_init(loop, &client->tick);
    rc = rc ? rc : uv_prepare_init(loop, &client->prepare);
    client->tick.data = client->prepare.data = client;
    rc = rc ? rc : pace_init(&client->pace, loop, on_due, client);
    rc = rc ? rc : init_conns(client);
    rc = rc ? rc : uv_prepare_start(&client->prepare, on_prepare);
    return rc ? rc : uv_timer_start(&client->tick, on_tick, 0, CLIENT_TICK_MS);
}

bool client_is_connected(const struct client *client) {
    return client->options->new_connections || client->figures.errors[CLIENT_CONNECT] ||
           client->established == client->options->connections;
}

void client_open_idle(struct client *client) {
    open_idle(client);
}

bool client_is_idling(const struct client *client) {
    return client->idle_parked == client->options->idle;
}

/* Errors and what is counted with them go on; all else begins anew. */
static void reset_figures(struct client *client) {
    struct client_figures old = client->figures;
    client->figures = (struct client_figures){.refused = old.refused,
                                              .reconnects = old.reconnects,
                                              .idle_lost = old.idle_lost,
                                              .slow = old.slow};
    for (int i = 0; i < CLIENT_ERRORS; i++)
        client->figures.errors[i] = old.errors[i];
    histogram_reset(&client->latency);
    histogram_reset(&client->service);
    histogram_reset(&client->handshake);
    series_reset(&client->answers, CLIENT_SERIES_MS * 1000000ULL);
}

void client_begin(struct client *client) {
    const struct client_options *options = client->options;
    reset_figures(client);
    client->stopping = client->measuring = false;
    client->issued = client->counted = 0;
    client->start_ns = uv_hrtime();
    client->measure_ns = client->start_ns + options->warmup_ns;
    client->end_ns = client->measure_ns;
    client->stop_ns =
        options->duration_ns == UINT64_MAX ? UINT64_MAX : client->measure_ns + options->duration_ns;
    for (unsigned i = 0; i < options->connections && !options->new_connections; i++)
        if (!client->conns[i].open && !is_nobody_there(client))
            conn_open(&client->conns[i]);
    uv_timer_start(&client->tick, on_tick, 0, CLIENT_TICK_MS);
    send_due(client);
}

bool client_is_done(const struct client *client) {
    if (client->under_way)
        return false;
    return !client_may_issue(client) || (is_nobody_there(client) && client->open == 0);
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
    pace_close(&client->pace);
    if (client->tick.data && !uv_is_closing((uv_handle_t *)&client->tick))
        uv_close((uv_handle_t *)&client->tick, NULL);
    if (client->prepare.data && !uv_is_closing((uv_handle_t *)&client->prepare))
        uv_close((uv_handle_t *)&client->prepare, NULL);
    for (unsigned i = 0; client->conns && i < conn_count(client); i++)
        if (client->conns[i].client)
            conn_close(&client->conns[i]);
}

void client_deinit(struct client *client) {
    for (unsigned i = 0; client->conns && i < conn_count(client); i++) {
        payload_deinit(&client->conns[i].payload);
        SSL_SESSION_free(client->conns[i].session);
    }
    free(client->conns);
    buf_deinit(&client->net_out);
}
