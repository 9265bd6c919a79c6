/* One node that rollcall-tail reads: connects, asks for its stream, comes back after an outage and
 * goes on where it was; keeps its place with the node where it is a held reader. Says on stderr
 * what becomes of the node. Knows no output: lines go to its sink. */
#ifndef ROLLCALL_TAIL_SOURCE_H
#define ROLLCALL_TAIL_SOURCE_H

#include "tail_line.h"
#include "tail_options.h"
#include "tail_stream.h"

enum tail_source_state {
    TAIL_SOURCE_DOWN, /* connects at retry_ms */
    TAIL_SOURCE_OPEN,
    TAIL_SOURCE_ENDED, /* has sent all that is wanted */
};

struct tail_source;
/* What becomes of a line. `source->seen` is already behind it. 0; or TAIL_SINK_ENOUGH; or -errno.
 */
enum { TAIL_SINK_ENOUGH = 1 };
typedef int tail_sink(void *context, struct tail_source *source, const struct tail_line *what,
                      struct span line);

struct tail_source {
    const struct tail_options *options;
    const char *path;
    tail_sink *sink;
    void *context;
    struct tail_stream stream;
    enum tail_source_state state;
    uint64_t retry_ms, opened_ms;
    unsigned backoff_ms;
    unsigned opened;                 /* how often a stream began */
    bool answered;                   /* the head of the answer was looked at */
    bool invalid;                    /* and is none of a node's */
    bool made;                       /* the held reader was made for this attempt */
    bool created;                    /* the held reader is new: this source has made it */
    bool outage;                     /* the user was told that the node is gone */
    int error;                       /* of the sink */
    uint64_t taken, limit;           /* events of this connection; how many were asked for, or 0 */
    struct tail_cursor seen;         /* the last that came: where to go on */
    struct tail_cursor written;      /* the last that is done with; the sink's owner moves it on */
    struct tail_cursor kept;         /* the last that the cursor file or the node knows of */
    char ring[TAIL_RING_DIGITS + 1]; /* of the stream */
    char skip_until[TIME_US_TEXT_BYTES]; /* what was received earlier is older than "now"; zeros */
};

/* The sockets and all else that the options name stay theirs. */
void tail_source_init(struct tail_source *source, const struct tail_options *options,
                      const char *path, tail_sink *sink, void *context);
/* Each: 0, or EXIT_FAILED after a message. */
int tail_source_connect(struct tail_source *source, uint64_t lines_left) MUST_CHECK;
/* When its fd is readable. */
int tail_source_read(struct tail_source *source) MUST_CHECK;
/* Whether `written` is ahead of `kept`. */
bool tail_source_is_dirty(const struct tail_source *source);
/* Commits `written` with the node: 0; or -errno; or the status of an answer other than 2xx. */
int tail_source_commit(struct tail_source *source) MUST_CHECK;
void tail_source_deinit(struct tail_source *source);

#endif
