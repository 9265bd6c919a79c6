/* A Unix socket with a name in the file system: bound under a tight umask, with its rights set
 * before anybody can connect; a file that nobody answers on is taken over, whatever else is there
 * is left as it is. Knows no loop. */
#ifndef ROLLCALL_SOCKET_FILE_H
#define ROLLCALL_SOCKET_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "util/err.h"

/* The file that was made, to be known again. Zeroed: none. */
struct socket_file {
    const char *path; /* borrowed */
    bool made;
    dev_t device;
    ino_t inode;
};

enum { SOCKET_FILE_LIVE = 1 }; /* another process answers on it: it is not taken over */

/* *fd becomes a descriptor that listens (close-on-exec, non-blocking), the caller's. `mode` are the
 * permission bits of the file, `group` its group (NULL or "": left as it is). The path outlives
 * `file`. Processes that do so at the same moment take turns. 0, SOCKET_FILE_LIVE, -EEXIST (no
 * socket is there), -ENAMETOOLONG (past 107 bytes), -EINVAL (empty), -ENOENT (no such directory or
 * group) or another -errno. */
int socket_file_open(struct socket_file *file, const char *path, unsigned mode, const char *group,
                     int backlog, int *fd) MUST_CHECK;
/* Removes the file, unless the name is another's by now. Copes with a zeroed one. */
void socket_file_remove(struct socket_file *file);

#endif
