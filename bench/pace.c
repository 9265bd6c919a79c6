/* A timerfd and a loop that stays awake; see pace.h. */
#include "pace.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void check(struct pace *pace) {
    if (pace->due_ns != PACE_NEVER && uv_hrtime() >= pace->due_ns)
        pace->on_due(pace->context);
}

/* The descriptor stays readable until it is set again, and so keeps the loop awake meanwhile. */
static void on_timer(uv_poll_t *timer, int status, int events) {
    (void)status, (void)events;
    check(timer->data);
}

static void on_awake(uv_idle_t *awake) {
    check(awake->data);
}

/* at_ns 0: off. */
static void arm(struct pace *pace, uint64_t at_ns) {
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(at_ns / 1000000000),
                                           .tv_nsec = (long)(at_ns % 1000000000)}};
    if (!at_ns && !pace->armed)
        return;
    pace->armed = at_ns;
    (void)timerfd_settime(pace->fd, TFD_TIMER_ABSTIME, &when, NULL); /* valid, so it cannot fail */
}

void pace_set(struct pace *pace, uint64_t due_ns) {
    if (due_ns == pace->due_ns)
        return;
    pace->due_ns = due_ns;
    if (due_ns == PACE_NEVER) {
        uv_idle_stop(&pace->awake);
        arm(pace, 0);
    } else if (due_ns < uv_hrtime() + PACE_AWAKE_NS) {
        uv_idle_start(&pace->awake, on_awake); /* cannot fail with a callback */
    } else {
        uv_idle_stop(&pace->awake);
        arm(pace, due_ns - PACE_AWAKE_NS);
    }
}

int pace_init(struct pace *pace, uv_loop_t *loop, void (*on_due)(void *context), void *context) {
    *pace = (struct pace){.due_ns = PACE_NEVER, .on_due = on_due, .context = context};
    pace->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (pace->fd < 0)
        return -errno;
    int rc = uv_poll_init(loop, &pace->timer, pace->fd);
    if (rc) {
        close(pace->fd);
        return rc;
    }
    (void)uv_idle_init(loop, &pace->awake); /* never fails */
    pace->timer.data = pace->awake.data = pace;
    pace->open = true;
    return uv_poll_start(&pace->timer, UV_READABLE, on_timer);
}

static void on_closed(uv_handle_t *timer) {
    struct pace *pace = timer->data;
    close(pace->fd);
}

void pace_close(struct pace *pace) {
    if (!pace->open)
        return;
    pace->open = false;
    uv_close((uv_handle_t *)&pace->timer, on_closed);
    uv_close((uv_handle_t *)&pace->awake, NULL);
}
