/* Proof that what was acknowledged arrives: reads the node's socket while the load runs, and keeps,
 * for each connection, the number that must come next. Flat memory: counters and a small window of
 * bits a connection, however many observations there are.
 *
 * An observation is expected once its post was answered 200. A post that was never answered may
 * have been kept or not; its numbers, and no others, are excused. Where memory of these runs out (a
 * connection broken VERIFY_DOUBTS times while the stream lags behind), what is forgotten counts as
 * lost: the error is on the side of a failed run. */
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
    VERIFY_DOUBTS = 8,
    VERIFY_POSTS = 128, /* posts a connection whose time of sending is remembered */
    VERIFY_READ_BYTES = 256 * 1024,
    VERIFY_MAX_LINE_BYTES = 16 * 1024 * 1024, /* twice the largest body a node takes by default */
    VERIFY_START_MS = 5000,
};

struct verify_options {
    const char *socket;
    const struct payload_options *targets; /* connection i posts as targets[i % target_count] */
    unsigned target_count;
    unsigned connections;
    uint64_t base; /* the first number of each connection */
    bool repeats;  /* posts are sent again: their events may come marked as duplicates */
};

/* The numbers of a post that was never answered. */
struct verify_doubt {
    uint64_t first, end;
};

struct verify_connection {
    unsigned observations; /* a post */
    uint64_t next;         /* the number that must come next */
    uint64_t sent_end;     /* numbers below were sent */
    uint64_t past_end;     /* numbers below were acknowledged, or are in doubt */
    struct verify_doubt doubts[VERIFY_DOUBTS]; /* the last ones, in a ring */
    unsigned doubt_count;
    uint64_t sent_ns[VERIFY_POSTS]; /* of post k at k % VERIFY_POSTS */
    uint64_t seen[VERIFY_WINDOW / 64];
};

struct verify_figures {
    uint64_t lines;     /* event lines read, others' included */
    uint64_t ours;      /* of these, observations that this run sent */
    uint64_t missing;   /* expected, passed over and not seen since */
    uint64_t reordered; /* came late */
    uint64_t doubled;
    uint64_t marked;     /* repeats that the node passes on, marked as such */
    uint64_t unanswered; /* observations of posts without an answer: they may be there or not */
    uint64_t foreign;    /* look like ours, but this run did not send them: another run's */
    uint64_t gaps;       /* gap lines: the node says that this reader was too slow */
    uint64_t capped; /* so late that the time of sending is forgotten: latency is a lower bound */
};

struct verify {
    struct verify_options options;
    bool kinds[PAYLOAD_LINES]; /* of lines that are looked for */
    uv_pipe_t pipe;
    uv_connect_t connect;
    uv_write_t write;
    uv_timer_t start_timer;
    struct verify_connection *connections; /* owned */
    struct verify_figures figures;
    struct histogram latency; /* from POST sent to line read */
    struct buf line;          /* what is not whole yet, at most VERIFY_MAX_LINE_BYTES */
    uint64_t read_ns;         /* when the bytes at hand were read */
    uint64_t measure_ns;      /* the warm-up ends: lines of posts sent before count in no latency */
    bool open, ready, failed; /* ready: the stream has begun */
    const char *error;
    char in[VERIFY_READ_BYTES];
};

/* Connects and waits (running the loop) until the stream has begun. 0, or negative with *error set.
 */
int verify_start(struct verify *verify, uv_loop_t *loop,
                 const struct verify_options *options) MUST_CHECK;
/* A post with the numbers from `first` goes out; the same again where it was refused. */
void verify_note_sent(struct verify *verify, unsigned connection, uint64_t first, uint64_t now_ns);
void verify_note_acked(struct verify *verify, unsigned connection, uint64_t first);
void verify_note_unanswered(struct verify *verify, unsigned connection, uint64_t first);
/* Acknowledged and not arrived. */
uint64_t verify_lost(const struct verify *verify);
/* Whether the stream held and every acknowledged observation came once and in order. */
bool verify_is_ok(const struct verify *verify);
/* Closes; run the loop afterwards, then free the memory. */
void verify_close(struct verify *verify);
void verify_deinit(struct verify *verify);

#endif
