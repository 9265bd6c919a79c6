/* fdatasync beside the loop; see sync.h. */
#include "sync.h"

void sync_init(struct sync *sync, uv_loop_t *loop, struct ring *ring,
               void (*on_done)(void *context, int rc), void *context) {
    *sync = (struct sync){.loop = loop, .ring = ring, .on_done = on_done, .context = context};
    sync->done = ring_committed(ring);
}

static void on_work(uv_work_t *work) {
    struct sync *sync = work->data;
    sync->result = ring_sync(sync->ring);
}

static void on_worked(uv_work_t *work, int status) {
    struct sync *sync = work->data;
    int rc = status ? status : sync->result; /* status: cancelled, which nobody does */
    sync->under_way = false;
    sync->count++;
    sync->failures += rc != 0;
    sync->failed = rc != 0;
    if (rc == 0)
        sync->done = sync->target;
    sync->on_done(sync->context, rc);
}

void sync_start(struct sync *sync) {
    if (sync->under_way || (!sync->failed && sync->done.seq == ring_committed(sync->ring).seq))
        return;
    sync->target = ring_committed(sync->ring);
    sync->work.data = sync;
    sync->under_way = true;
    (void)uv_queue_work(sync->loop, &sync->work, on_work,
                        on_worked); /* fails without on_work only */
}
