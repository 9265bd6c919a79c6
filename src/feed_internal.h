/* What feed.c (the socket and its connections) and feed_stream.c (what a stream says) share. */
#ifndef ROLLCALL_FEED_INTERNAL_H
#define ROLLCALL_FEED_INTERNAL_H

#include "feed.h"
#include "feed_door.h"
#include "feed_filter.h"
#include "feed_format.h"
#include "http.h"
#include "json.h"
#include "readers.h"
#include "socket_file.h"
#include "util/buf.h"
#include "util/list.h"

enum {
    FEED_BACKLOG = 512,
    FEED_READ_BYTES = 16 * 1024,
    FEED_CHUNK_BYTES = 64 * 1024,          /* of lines in one write; one line may be longer */
    FEED_CHUNK_RECORDS = 2048,             /* looked at for one write, wanted or not */
    FEED_CHUNKS_PER_TURN = 4,              /* for one reader, then it is another's turn */
    FEED_TURN_BYTES = 1024 * 1024,         /* for all that catch up, then it is the senders' turn */
    FEED_LIVE_BYTES = 4 * FEED_TURN_BYTES, /* for all at the live edge, before they catch up, too */
    FEED_SKIP_BYTES = 256, /* an event that is filtered out takes as long as these do to be sent */
    FEED_OUT_KEEP_BYTES = 256 * 1024,
    FEED_EARLY_MAX_BYTES = 32 * 1024, /* of requests that came while an answer was under way */
    FEED_BODY_MAX_BYTES = 4096,       /* of a request */
    FEED_REFUSED_MAX = 64, /* readers past max_readers that are told so; more are only closed */
};

enum reader_state {
    READER_REQUEST, /* reads requests */
    READER_STREAM,  /* a stream is under way */
    READER_LAST,    /* what is being written is the connection's last */
    READER_CLOSED,  /* uv_close is under way */
};

/* One connection: of a local program, or of an operator's browser or the like. */
struct reader {
    union feed_stream io;
    struct feed *feed;
    struct feed_door *door; /* that it has come through */
    struct list link;       /* in feed->readers */
    struct list turn;       /* in feed->live, feed->behind or neither */
    struct wheel_node deadline;
    struct http_parser http;
    struct buf early; /* what came while an answer was under way */
    uint8_t state;
    bool writing;     /* a write is in flight: nothing is sent until it is done */
    bool stepping;    /* requests are being stepped through: no other begins to */
    bool refused;     /* one reader too many: its request is answered 503 */
    bool last;        /* the connection ends with this answer */
    bool half_closed; /* the peer has shut down its sending side */
    /* the stream */
    bool follow, chunked;
    enum feed_format format;
    struct feed_filter *filter; /* NULL: everything is wanted */
    struct wheel_node beat;
    uint64_t beat_ms; /* heartbeat=; 0: none */
    uint64_t left;    /* of limit */
    struct ring_cursor cursor;
    char held[READERS_NAME_BYTES + 1]; /* of reader=; empty: none */
    uint64_t sent_seq;                 /* of the last event sent, or where the stream began */
};

struct feed {
    uv_loop_t *loop;
    struct ring *ring;
    struct wheel *wheel;
    struct feed_options options;
    struct http_limits limits;
    struct feed_door unix_door, admin_door;
    struct socket_file file; /* of the Unix socket; none where that was inherited */
    struct config_secret *const *admin_secrets; /* see feed_set_admin_secrets */
    uv_idle_t idle;                             /* active while a reader is behind */
    bool idle_is_there;                         /* it is not closed */
    bool draining;
    struct readers held;
    struct json_parser *json;    /* for the bodies of requests */
    struct wheel_node hold_tick; /* once a second */
    uint64_t hold_tick_ms;       /* when it was last */
    uint64_t hold_ms;            /* a clock that stands still while the node is stopped */
    struct list readers;
    struct list live;      /* followers that have got all there is */
    struct list behind;    /* readers that have more to get than one turn gives */
    struct list turns_end; /* a mark in one of these two while turns are given */
    uint64_t lost;         /* events that readers were told they have lost */
    uint64_t woken_seq;    /* what the live ones have got up to */
    void (*on_done)(void *context);
    void *done_context;
    struct http_request scratch;
    struct buf out; /* what is about to be sent; empty between two callbacks */
    char in[FEED_READ_BYTES + HTTP_BODY_PADDING];
};

/* --- feed.c --- */

/* Its turn comes when the loop has been round. */
void feed_note_behind(struct feed *feed, struct reader *reader);
/* An error of its socket or of memory: closes it, whatever was to be sent. */
void reader_fail(struct reader *reader);
/* Sends feed->out; what the socket does not take goes on later (reader->writing). 0 or negative. */
int reader_send(struct reader *reader) MUST_CHECK;
/* The answer in feed->out is complete: sends it, then takes up the next request or ends. */
void reader_finish(struct reader *reader);
/* --- feed_request.c --- */

/* Answers the request that is whole. */
void reader_on_request(struct reader *reader);
/* A whole answer with a JSON body of at most 511 bytes. */
void reader_answer(struct reader *reader, int status, const char *headers, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* A whole answer with a body of any length, which is copied. */
void reader_answer_text(struct reader *reader, int status, const char *content_type,
                        const char *headers, struct span body);

/* The fields that every answer at the reader's door has, or NULL. */
const char *reader_door_headers(const struct reader *reader);

/* --- feed_readers.c --- */

/* Answers what is below /v1/readers. */
void reader_answer_list(struct reader *reader, struct http_request *request);
void reader_answer_held(struct reader *reader, struct http_request *request);

/* --- feed_stream.c --- */

/* Answers GET /v1/events: 400, or a stream that has begun. */
void reader_start_stream(struct reader *reader, struct http_request *request);
/* Sends what the ring has for it, as much as one turn gives; returns how many bytes that was, or
 * was worth. */
size_t reader_pump(struct reader *reader);
/* What the filter of a held reader's stream has left out since the last event that was sent counts
 * as committed when that one is: who waits for something rare would hold all the rest up. Not where
 * the reader has another stream, which may want just that. */
void reader_commit_skipped(struct reader *reader);
/* Something was sent: the next heartbeat is as far away as it can be. */
void reader_arm_beat(struct reader *reader);
/* Gives back what only a stream needs; does nothing where none is under way. */
void reader_end_stream(struct reader *reader);

#endif
