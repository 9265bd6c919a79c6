/* Proof that what was acknowledged arrives: reads the node's socket while the load runs, and keeps,
 * for each connection, the number that must come next. Flat memory: a counter and a small window of
 * bits a connection, however many observations there are. */
#ifndef ROLLCALL_BENCH_VERIFY_H
#define ROLLCALL_BENCH_VERIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "histogram.h"
#include "payload.h"
#include "util/buf.h"
#include "util/err.h"

enum {
    VERIFY_WINDOW = 4096, /* numbers back that late ones are told from doubled ones */
    VERIFY_READ_BYTES = 256 * 1024,
};

/* A post whose lines may be on their way. */
struct verify_post {
    uint64_t first, end, sent_ns;
};

struct verify_connection {
    uint64_t next;               /* the number that must come next */
    uint64_t acked_end;          /* numbers below were acknowledged */
    struct verify_post posts[2]; /* the last and the one before */
    uint64_t seen[VERIFY_WINDOW / 64];
};

struct verify_figures {
    uint64_t lines;     /* event lines read, others' included */
    uint64_t ours;      /* of these, observations of this run */
    uint64_t missing;   /* passed over and not seen since */
    uint64_t reordered; /* came late */
    uint64_t doubled;
    uint64_t unanswered; /* observations of posts without an answer: they may be there or not */
    uint64_t gaps;       /* gap lines: the node says that this reader was too slow */
};

struct verify {
    uv_pipe_t pipe;
    uv_connect_t connect;
    uv_write_t write;
    enum payload_sender sender;
    struct verify_connection *connections; /* owned */
    unsigned connection_count;
    struct verify_figures figures;
    struct histogram latency; /* from POST sent to line read */
    struct buf line;          /* what is not whole yet */
    bool open, ready, failed; /* ready: the stream has begun */
    const char *error;
    char in[VERIFY_READ_BYTES];
};

/* Connects and waits (running the loop) until the stream has begun. 0, or negative with *error set.
 */
int verify_start(struct verify *verify, uv_loop_t *loop, const char *socket,
                 enum payload_sender sender, unsigned connections) MUST_CHECK;
void verify_note_sent(struct verify *verify, unsigned connection, uint64_t first, uint64_t end,
                      uint64_t now_ns);
void verify_note_acked(struct verify *verify, unsigned connection, uint64_t end);
void verify_note_unanswered(struct verify *verify, unsigned observations);
/* Acknowledged and not arrived; as many as were never answered are given the benefit of the doubt.
 */
uint64_t verify_lost(const struct verify *verify);
/* Closes; run the loop afterwards, then free the memory. */
void verify_close(struct verify *verify);
void verify_deinit(struct verify *verify);

#endif
