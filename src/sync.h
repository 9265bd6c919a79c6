/* Writes the ring's file through to the disk, in libuv's pool: the loop never waits for it. One
 * write-through at a time; what is committed meanwhile goes with the next, so that a busy node pays
 * for one per turn of the disk, not one per post (group commit). */
#ifndef ROLLCALL_SYNC_H
#define ROLLCALL_SYNC_H

#include <uv.h>

#include "ring.h"
#include "util/err.h"

struct sync {
    uv_work_t work;
    uv_loop_t *loop;
    struct ring *ring;
    struct ring_cursor target; /* what the one under way writes through */
    struct ring_cursor done;   /* what is on disk for sure */
    uint64_t count, failures;  /* since start */
    int result;
    bool under_way, failed; /* failed: the last one; nothing is on disk for sure since */
    void (*on_done)(void *context, int rc);
    void *context;
};

/* A ring with a file. on_done is called after each, with 0 or -errno. All outlive it. */
void sync_init(struct sync *sync, uv_loop_t *loop, struct ring *ring,
               void (*on_done)(void *context, int rc), void *context);
/* Begins one, where something is not on disk and none is under way. */
void sync_start(struct sync *sync);

#endif
