/* Which start of the machine this is. Files that are mapped are sure to be whole only while the
 * kernel that has their pages runs. */
#ifndef ROLLCALL_BOOT_ID_H
#define ROLLCALL_BOOT_ID_H

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { BOOT_ID_BYTES = 40 };

/* All 0 where it cannot be known. */
static inline void boot_id_read(char id[BOOT_ID_BYTES]) {
    memset(id, 0, BOOT_ID_BYTES);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, id, 36) != 36)
        memset(id, 0, BOOT_ID_BYTES);
    if (fd >= 0)
        close(fd);
}

#endif
