/* Preloaded into a node: fdatasync fails with EIO while the file $ROLLCALL_TEST_FAIL exists. */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int fdatasync(int fd) {
    const char *path = getenv("ROLLCALL_TEST_FAIL");
    if (path && access(path, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}
