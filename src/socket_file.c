/* Unix sockets with a name; see socket_file.h. */
#include "socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int set_address(struct sockaddr_un *address, const char *path) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (!*path)
        return -EINVAL; /* Linux would bind it to a name that is no file */
    if (strlen(path) >= sizeof address->sun_path)
        return -ENAMETOOLONG;
    strcpy(address->sun_path, path);
    return 0;
}

/* Between one process's look at a dead socket file and its bind, another's new file could be taken
 * for the dead one. Whoever binds there holds a lock on the directory meanwhile: a descriptor to
 * close; -1 where it cannot be locked (a directory that may not be read). */
static int lock_directory(const struct sockaddr_un *address) {
    char path[sizeof address->sun_path];
    memcpy(path, address->sun_path, sizeof path);
    int fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    while (flock(fd, LOCK_EX) && errno == EINTR)
        ;
    return fd;
}

/* What is at the path: nothing (after removing what nobody answers on), a live node, or an error.
 */
static int clear_path(const struct sockaddr_un *address) {
    struct stat found;
    if (lstat(address->sun_path, &found))
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(found.st_mode))
        return -EEXIST;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int rc = connect(fd, (const struct sockaddr *)address, sizeof *address) ? -errno : 0;
    close(fd);
    if (rc == 0 || rc == -EAGAIN) /* EAGAIN: its backlog is full, so it lives */
        return SOCKET_FILE_LIVE;
    if (rc != -ECONNREFUSED)
        return rc == -ENOENT ? 0 : rc;
    return unlink(address->sun_path) && errno != ENOENT ? -errno : 0;
}

static int set_rights(const char *path, unsigned mode, const char *group_name) {
    if (group_name && *group_name) {
        const struct group *group = getgrnam(group_name);
        if (!group)
            return -ENOENT;
        if (chown(path, (uid_t)-1, group->gr_gid))
            return -errno;
    }
    return chmod(path, mode & 0777) ? -errno : 0;
}

/* Binds under a tight umask and listens when the rights are set, so that nobody gets in between. */
static int bind_path(struct socket_file *file, int fd, const struct sockaddr_un *address,
                     unsigned mode, const char *group, int backlog) {
    struct stat made;
    mode_t umask_before = umask(0177);
    int rc = bind(fd, (const struct sockaddr *)address, sizeof *address) ? -errno : 0;
    umask(umask_before);
    if (rc)
        return rc;
    if (lstat(address->sun_path, &made)) {
        rc = -errno;
        unlink(address->sun_path); /* the directory is locked: it is ours */
        return rc;
    }
    file->device = made.st_dev;
    file->inode = made.st_ino;
    file->made = true;
    rc = set_rights(file->path, mode, group);
    return rc ? rc : listen(fd, backlog) ? -errno : 0;
}

static int open_cleared(struct socket_file *file, const struct sockaddr_un *address, unsigned mode,
                        const char *group, int backlog, int *fd) {
    int rc = clear_path(address);
    if (rc)
        return rc;
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0)
        return -errno;
    rc = bind_path(file, *fd, address, mode, group, backlog);
    if (rc) {
        socket_file_remove(file);
        close(*fd);
        *fd = -1;
    }
    return rc;
}

int socket_file_open(struct socket_file *file, const char *path, unsigned mode, const char *group,
                     int backlog, int *fd) {
    struct sockaddr_un address;
    *file = (struct socket_file){.path = path};
    *fd = -1;
    int rc = set_address(&address, path);
    if (rc)
        return rc;
    int lock = lock_directory(&address);
    rc = open_cleared(file, &address, mode, group, backlog, fd);
    if (lock >= 0)
        close(lock);
    return rc;
}

void socket_file_remove(struct socket_file *file) {
    struct stat found;
    if (file->made && lstat(file->path, &found) == 0 && found.st_dev == file->device &&
        found.st_ino == file->inode)
        unlink(file->path);
    file->made = false;
}
