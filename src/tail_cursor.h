/* rollcall-tail's cursors, and the file that outlives the process. The file holds one line: the
 * cursor of the only socket, or for each of several sockets its cursor, a blank, its path. It is
 * replaced by rename, so it is whole at any time; it is not synced to disk: after a power loss it
 * may be an older one, and then events are repeated, never lost. */
#ifndef ROLLCALL_TAIL_CURSOR_H
#define ROLLCALL_TAIL_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"
#include "util/span.h"

enum {
    TAIL_RING_DIGITS = 16,
    TAIL_CURSOR_MAX = 64,                   /* room for "<ring id>-<seq>" and a NUL */
    TAIL_MAX_CURSOR_FILE_BYTES = 64 * 1024, /* 64 sockets with the longest paths are 12 KiB */
};

/* The last event that was seen; ring is "" where there is none. */
struct tail_cursor {
    uint64_t seq;
    char ring[TAIL_RING_DIGITS + 1];
};

/* Reads "<ring id>-<seq>"; false, and *cursor as it was, where it is none. */
bool tail_cursor_parse(struct span text, struct tail_cursor *cursor);
void tail_cursor_format(const struct tail_cursor *cursor, char text[TAIL_CURSOR_MAX]);

/* What the file says of one socket. */
struct tail_cursor_place {
    const char *socket;
    struct tail_cursor cursor;
};

enum {
    TAIL_CURSOR_NONE = 1,    /* there is no file */
    TAIL_CURSOR_INVALID = 2, /* it holds something else */
    TAIL_CURSOR_NO_FILE = 3, /* it is a directory, a device or the like: not ours to replace */
};
/* Fills in the cursors of those sockets that the file names; the others are left as they are. 0,
 * TAIL_CURSOR_* or -errno. */
int tail_cursor_load(const char *path, struct tail_cursor_place *places, size_t count) MUST_CHECK;
/* Replaces the file; places without a cursor are left out. 0 or -errno. */
int tail_cursor_store(const char *path, const struct tail_cursor_place *places,
                      size_t count) MUST_CHECK;

#endif
