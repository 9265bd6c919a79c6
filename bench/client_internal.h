/* What client.c (which post is due when), client_slow.c (slow ones) and client_conn.c (connections)
 * share. */
#ifndef ROLLCALL_BENCH_CLIENT_INTERNAL_H
#define ROLLCALL_BENCH_CLIENT_INTERNAL_H

#include "answer.h"
#include "client.h"

enum client_role {
    CLIENT_MEASURED,
    CLIENT_IDLE, /* posts once, then only stays */
    CLIENT_SLOW,
};

struct client_conn {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct client *client;
    struct list link; /* in client->ready */
    unsigned index;
    struct tls_session tls;
    struct ssl_session_st *session; /* to resume; owned */
    struct payload payload;
    struct buf answer;  /* an answer that is not whole yet */
    struct buf pending; /* what is being written */
    uint64_t first;     /* number of the first observation of the post under way, or the next */
    uint64_t planned_ns, sent_ns, opened_ns, answered_ns;
    bool open, established, closing;
    bool under_way, sent, counted; /* sent: with under_way, it is not the connection it waits for */
    bool repeating;                /* the post under way, or the next, is the last one again */
    bool writing;
    bool ending; /* the server sends no more after the answer at hand */
    bool over;   /* the post was answered; the server is to close */
    enum client_role role;
    bool parked; /* an idle one has posted */
    /* Of a slow one: */
    enum client_slow_kind kind;
    bool tried, coming, up;
    bool stalled;               /* it is where it stays */
    size_t trickled;            /* bytes of the post under way that were sent */
    size_t trickle_from;        /* of these, at once */
    size_t trickle_end;         /* it does not send more */
    uint64_t begun_ns, wait_ns; /* of the post under way; not to be opened before */
    uint64_t connected_ns;
    uint64_t soonest_ns, due_ns; /* of a stalled one: between these the server closes it */
};

/* --- client.c --- */

bool client_may_issue(const struct client *client);
/* Sends the next post on it, if one is due. */
bool client_send_next(struct client_conn *conn, uint64_t now_ns);
/* Its handshake is done. */
void client_note_ready(struct client_conn *conn, uint64_t now_ns);
void client_note_answer(struct client_conn *conn, const struct answer *answer, struct span body);
/* A post is given up: nobody knows whether it was taken. */
void client_note_given_up(struct client_conn *conn);
/* Its handle is closed, and it may be opened again. */
void client_note_closed(struct client_conn *conn);

/* --- client_slow.c --- */

/* Whatever is due by then. */
void slow_turn(struct client *client, uint64_t now_ns);
void slow_note_ready(struct client_conn *conn, uint64_t now_ns);
void slow_note_answer(struct client_conn *conn, const struct answer *answer);
/* It is about to be closed, not by an answer's leave. */
void slow_note_broken(struct client_conn *conn);

void slow_note_opened(struct client_conn *conn);
/* It has come as far as it is to, or to its first post. */
void slow_note_up(struct client_conn *conn);
void slow_note_closed(struct client_conn *conn);

/* --- client_stall.c --- */

/* Its socket is there, but not connected yet. */
void stall_opening(struct client_conn *conn);
/* Whether it stays where TLS has not come up. */
bool stall_is_before_tls(const struct client_conn *conn);
/* TCP is up; the ClientHello, unless it says nothing, is in client->net_out. */
void stall_note_connected(struct client_conn *conn);
void stall_begin(struct client_conn *conn, uint64_t now_ns);
/* Its time has come, or what it wrote was taken. */
void stall_go_on(struct client_conn *conn);
void stall_note_answer(struct client_conn *conn, int status);
void stall_note_closed(struct client_conn *conn, uint64_t now_ns);
void stall_note_end(struct client_conn *conn, uint64_t now_ns);

/* --- client_conn.c --- */

void conn_open(struct client_conn *conn);
/* Encrypts that to client->net_out; conn_flush sends it. */
void conn_write(struct client_conn *conn, const char *data, size_t len);
void conn_send_post(struct client_conn *conn, uint64_t now_ns);
void conn_flush(struct client_conn *conn);
void conn_break(struct client_conn *conn, enum client_error error);
void conn_close(struct client_conn *conn);
/* Closes without the kernel's remembering the pair of ports for a minute (TIME_WAIT). */
void conn_reset(struct client_conn *conn);

#endif
