/* Listening sockets that rest; see rest.h. */
#include "rest.h"

#include <errno.h>
#include <fcntl.h>

int rest_begin(uv_stream_t *listener, uv_close_cb on_closed, int *fd) {
    uv_os_fd_t own;
    int rc = uv_fileno((uv_handle_t *)listener, &own);
    if (rc)
        return rc;
    /* Another number for the same file: that takes no entry of the system's. */
    int other = fcntl(own, F_DUPFD_CLOEXEC, 0);
    if (other < 0)
        return uv_translate_sys_error(errno);
    *fd = other;
    uv_close((uv_handle_t *)listener, on_closed);
    return 0;
}
