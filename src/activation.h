/* Sockets that a service manager has opened and passes on: sd_listen_fds(3)'s protocol. They wait
 * here, each known by its address, until the node has come to that line of its configuration; while
 * it restarts they go on listening, so that nobody is refused. */
#ifndef ROLLCALL_ACTIVATION_H
#define ROLLCALL_ACTIVATION_H

#include <stddef.h>
#include <sys/socket.h>

#include "util/err.h"

enum {
    ACTIVATION_FIRST_FD = 3,
    ACTIVATION_MAX = 32,         /* sockets */
    ACTIVATION_NAME_BYTES = 128, /* an address as text, with its NUL */
};

/* Zeroed: none. */
struct activation {
    unsigned count;
    int fds[ACTIVATION_MAX]; /* ours until taken; 0: taken */
};

/* Reads LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, takes them out of the environment, and makes the
 * sockets close-on-exec and non-blocking. 0, also where there are none or they are another
 * process's; or -EINVAL with one line in `error`: which variable or socket is of no use, and why
 * (each must be a listening stream socket of TCP or of the file system). */
int activation_init(struct activation *activation, char *error, size_t error_len) MUST_CHECK;
/* The socket that listens on this address, the caller's from now on; 0 where there is none. */
int activation_take(struct activation *activation, const struct sockaddr *address);
/* Likewise the one of that path. */
int activation_take_path(struct activation *activation, const char *path);
/* Writes the address of one that nobody has taken, and returns its descriptor; 0 where none is
 * left.
 */
int activation_left(const struct activation *activation, char *name, size_t name_len);
/* Closes those that were not taken. Copes with a zeroed one. */
void activation_deinit(struct activation *activation);

#endif
