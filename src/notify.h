/* What a service manager is told: sd_notify(3)'s protocol, a datagram of VARIABLE=VALUE lines to
 * the socket that NOTIFY_SOCKET names (a path, or a name of Linux's abstract space behind '@').
 * Nothing here blocks, and a manager that does not listen is nobody's trouble. */
#ifndef ROLLCALL_NOTIFY_H
#define ROLLCALL_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util/err.h"

/* Zeroed: nobody is told. */
struct notify {
    int fd; /* 0: none */
    struct sockaddr_un address;
    socklen_t address_len;
    uint64_t watchdog_ms; /* a sign of life is due within so long (WATCHDOG_USEC); 0: none is */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID (what is meant for another process counts for
 * nothing), and takes them out of the environment. 0, also where nobody is to be told;
 * -EAFNOSUPPORT for an address that is neither a path nor abstract, -ENAMETOOLONG past 107 bytes,
 * or another -errno: then nobody is told. */
int notify_init(struct notify *notify) MUST_CHECK;
/* Lines without a NUL or a last newline: "READY=1", "STATUS=...". */
void notify_send(const struct notify *notify, const char *format, ...) PRINTF_LIKE(2, 3);
/* Copes with a zeroed one. */
void notify_deinit(struct notify *notify);

#endif
