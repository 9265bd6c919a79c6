/* sd_notify(3) without its library; see notify.h. */
#include "notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOTIFY_BYTES = 512 }; /* what is longer is cut */

/* A whole number, or 0 where it is none. */
static uint64_t parse_u64(const char *text) {
    char *end;
    if (!text || *text < '0' || *text > '9')
        return 0;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    return *end || errno ? 0 : value;
}

static uint64_t read_watchdog(void) {
    const char *pid = getenv("WATCHDOG_PID");
    uint64_t ms = parse_u64(getenv("WATCHDOG_USEC")) / 1000;
    return pid && parse_u64(pid) != (uint64_t)getpid() ? 0 : ms;
}

static int set_address(struct notify *notify, const char *name) {
    size_t len = strlen(name);
    notify->address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (name[0] != '/' && name[0] != '@')
        return -EAFNOSUPPORT;
    if (len >= sizeof notify->address.sun_path)
        return -ENAMETOOLONG;
    memcpy(notify->address.sun_path, name, len);
    if (name[0] == '@')
        notify->address.sun_path[0] = 0;
    notify->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return 0;
}

static int open_socket(struct notify *notify, const char *name) {
    int rc = set_address(notify, name);
    if (rc)
        return rc;
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return notify->fd < 0 ? -errno : 0;
}

int notify_init(struct notify *notify) {
    const char *name = getenv("NOTIFY_SOCKET");
    *notify = (struct notify){.watchdog_ms = read_watchdog()};
    int rc = name && *name ? open_socket(notify, name) : 0;
    if (rc)
        *notify = (struct notify){0};
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return rc;
}

void notify_send(const struct notify *notify, const char *format, ...) {
    char text[NOTIFY_BYTES];
    va_list args;
    if (!notify->fd)
        return;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0)
        return;
    size_t bytes = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    (void)sendto(notify->fd, text, bytes, MSG_NOSIGNAL, (const struct sockaddr *)&notify->address,
                 notify->address_len);
}

void notify_deinit(struct notify *notify) {
    if (notify->fd)
        close(notify->fd);
    *notify = (struct notify){0};
}
