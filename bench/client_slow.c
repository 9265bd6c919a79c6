/* Slow connections: their posts trickle, a few bytes at a time, as from a sender behind a bad line
 * or from one that means to keep the server busy. See client.h. What becomes of them is counted
 * apart (struct client_slow_figures). A post is begun as soon as the last one was answered; a
 * connection that ended is opened again. */
#include "client_internal.h"

enum { AGAIN_NS = 500000000 }; /* before a connection that would not come up is tried again */

static struct client_slow_figures *figures_of(const struct client_conn *conn) {
    return &conn->client->figures.slow;
}

static bool is_whole(const struct client_conn *conn) {
    return conn->trickled == conn->payload.text.len;
}

static void note_tried(struct client_conn *conn) {
    conn->client->slow_tried += !conn->tried;
    conn->tried = true;
}

static void begin(struct client_conn *conn, uint64_t now_ns) {
    payload_set(&conn->payload, conn->first, conn->client->now_s);
    conn->under_way = conn->sent = true;
    conn->trickled = conn->trickle_from = 0;
    conn->trickle_end = conn->payload.text.len;
    conn->begun_ns = now_ns;
    figures_of(conn)->begun += conn->kind == CLIENT_SLOW_POST;
}

void slow_note_opened(struct client_conn *conn) {
    conn->coming = true;
    conn->client->slow_coming++;
}

void slow_note_up(struct client_conn *conn) {
    struct client *client = conn->client;
    struct client_slow_figures *figures = figures_of(conn);
    note_tried(conn);
    client->slow_coming -= conn->coming;
    client->slow_up += !conn->up;
    conn->coming = false;
    conn->up = true;
    if (client->slow_up > figures->up)
        figures->up = client->slow_up;
}

void slow_note_closed(struct client_conn *conn) {
    conn->client->slow_coming -= conn->coming;
    conn->client->slow_up -= conn->up;
    conn->coming = conn->up = conn->stalled = false;
}

/* As many bytes as the time since the post's beginning has brought. */
static void trickle(struct client_conn *conn, uint64_t now_ns) {
    struct client *client = conn->client;
    double seconds = (double)(now_ns - conn->begun_ns) / 1e9;
    double may = (double)conn->trickle_from + seconds * client->options->slow_rate;
    size_t last = conn->trickle_end, end = may < (double)last ? (size_t)may : last;
    if (end <= conn->trickled || conn->writing)
        return;
    const char *piece = conn->payload.text.ptr + conn->trickled;
    size_t piece_len = end - conn->trickled;
    conn->trickled = end;
    figures_of(conn)->bytes += piece_len;
    if (is_whole(conn)) { /* from here on the server may take it */
        conn->sent_ns = now_ns;
        if (client->options->verify)
            verify_note_sent(client->options->verify, conn->index, conn->first, now_ns);
    }
    conn_write(conn, piece, piece_len);
    conn_flush(conn);
}

static void give_up(struct client_conn *conn) {
    struct client *client = conn->client;
    conn->under_way = false;
    if (!is_whole(conn))
        return;
    if (client->options->verify)
        verify_note_unanswered(client->options->verify, conn->index, conn->first);
    conn->first += conn->payload.options->observations;
}

static bool is_late(const struct client_conn *conn, uint64_t now_ns) {
    if (conn->stalled)
        return false; /* the server's deadline is what ends it */
    uint64_t since_ns = conn->established ? conn->sent_ns : conn->opened_ns;
    bool waits = !conn->established || (conn->under_way && is_whole(conn));
    return waits && now_ns > since_ns && now_ns - since_ns > conn->client->options->timeout_ns;
}

static void take_turn(struct client_conn *conn, uint64_t now_ns) {
    if (!conn->open) {
        if (now_ns >= conn->wait_ns && conn->client->slow_coming < CLIENT_SLOW_OPENING)
            conn_open(conn);
    } else if (conn->closing) {
        return;
    } else if (is_late(conn, now_ns)) {
        conn_break(conn, CLIENT_TIMEOUT);
    } else if (conn->kind == CLIENT_SLOW_READ) {
        stall_go_on(conn);
    } else if (conn->under_way) {
        trickle(conn, now_ns);
    }
}

/* This program's turns are what its slow connections wait for: a closing is seen so late. */
static void note_lag(struct client *client, uint64_t now_ns) {
    struct client_slow_figures *figures = &client->figures.slow;
    if (client->turn_ns && now_ns - client->turn_ns > figures->lag_ns)
        figures->lag_ns = now_ns - client->turn_ns;
    client->turn_ns = now_ns;
}

void slow_turn(struct client *client, uint64_t now_ns) {
    const struct client_options *options = client->options;
    if (!client->slow_opened)
        return;
    note_lag(client, now_ns);
    if (now_ns < client->slow_slot_ns)
        return;
    client->slow_slot_ns = now_ns + CLIENT_SLOT_MS * 1000000ULL;
    client->slow_slot = (client->slow_slot + 1) % CLIENT_SLOW_SLOTS;
    struct client_conn *conns = client->conns + options->connections + options->idle;
    for (unsigned i = client->slow_slot; i < client->slow_opened; i += CLIENT_SLOW_SLOTS)
        take_turn(&conns[i], now_ns);
    /* As with idle ones: a server's queue of connections is not endless. */
    client_open_slow(client);
}

void slow_note_ready(struct client_conn *conn, uint64_t now_ns) {
    begin(conn, now_ns);
    if (conn->kind == CLIENT_SLOW_POST)
        slow_note_up(conn);
    else
        stall_begin(conn, now_ns);
}

static void count_answer(struct client_conn *conn, int status) {
    struct client_slow_figures *figures = figures_of(conn);
    if (status / 100 == 2)
        figures->answered++;
    else if (status == CLIENT_TIMED_OUT)
        figures->timed_out++;
    else
        figures->refused++;
}

void slow_note_answer(struct client_conn *conn, const struct answer *answer) {
    const struct client_options *options = conn->client->options;
    bool whole = is_whole(conn);
    if (conn->kind == CLIENT_SLOW_POST)
        count_answer(conn, answer->status);
    else if (answer->status / 100 != 2 && answer->status != CLIENT_TIMED_OUT)
        figures_of(conn)->refused++;
    conn->under_way = false;
    if (answer->status == 200 && whole) {
        if (options->verify)
            verify_note_acked(options->verify, conn->index, conn->first);
        conn->first += conn->payload.options->observations;
    }
    if (conn->kind != CLIENT_SLOW_POST)
        stall_note_answer(conn, answer->status);
    /* Who answers half a post does not want the rest. */
    else if (answer->close || conn->ending || conn->writing || !whole)
        conn_close(conn);
    else
        begin(conn, uv_hrtime());
}

void slow_note_broken(struct client_conn *conn) {
    bool stays = conn->kind != CLIENT_SLOW_POST, stalled = conn->stalled;
    stall_note_closed(conn, uv_hrtime());
    if (!stalled && (stays || !conn->established)) {
        figures_of(conn)->connect++;
        conn->wait_ns = uv_hrtime() + AGAIN_NS;
        note_tried(conn);
    }
    if (conn->under_way) {
        figures_of(conn)->lost += !stays;
        give_up(conn);
    }
}

void client_open_slow(struct client *client) {
    const struct client_options *options = client->options;
    while (client->slow_opened < options->slow && client->slow_coming < CLIENT_SLOW_OPENING) {
        unsigned index = client->slow_opened++;
        struct client_conn *conn = &client->conns[options->connections + options->idle + index];
        conn->kind = options->slow_kinds[index % options->slow_kind_count];
        if (payload_init(&conn->payload, &options->targets[conn->index % options->target_count],
                         conn->index)) {
            slow_note_broken(conn);
            conn->wait_ns = UINT64_MAX; /* without a post it is of no use */
        } else {
            conn_open(conn);
        }
    }
}

bool client_is_trickling(const struct client *client) {
    return client->slow_tried == client->options->slow;
}

void client_close_slow(struct client *client) {
    const struct client_options *options = client->options;
    struct client_conn *conns = client->conns + options->connections + options->idle;
    uint64_t now_ns = uv_hrtime();
    for (unsigned i = 0; i < client->slow_opened; i++) {
        stall_note_end(&conns[i], now_ns);
        if (conns[i].under_way) {
            figures_of(&conns[i])->unfinished += conns[i].kind == CLIENT_SLOW_POST;
            give_up(&conns[i]);
        }
        conn_close(&conns[i]);
    }
    client->slow_opened = 0;
}
