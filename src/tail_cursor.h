/* rollcall-tail's cursor, and the file that outlives the process. The file is replaced by rename,
 * so it holds one whole cursor at any time; it is not synced to disk: after a power loss it may be
 * an older one, and then events are repeated, never lost. */
#ifndef ROLLCALL_TAIL_CURSOR_H
#define ROLLCALL_TAIL_CURSOR_H

#include <stdbool.h>

#include "util/err.h"
#include "util/span.h"

enum { TAIL_CURSOR_MAX = 64 }; /* room for "<ring id>-<seq>" and a NUL */

/* Whether it looks like one: 16 hex digits, '-', digits. */
bool tail_cursor_is_valid(struct span text);
/* The seq at the front of an event line, {"seq":N,... False where the line is none. */
bool tail_cursor_line_seq(struct span line, unsigned long long *seq);

enum { TAIL_CURSOR_NONE = 1, TAIL_CURSOR_INVALID = 2 };
/* 0 and the cursor; TAIL_CURSOR_NONE where there is no file; TAIL_CURSOR_INVALID where it holds
 * something else; or -errno. */
int tail_cursor_load(const char *path, char cursor[TAIL_CURSOR_MAX]) MUST_CHECK;
/* 0 or -errno. */
int tail_cursor_store(const char *path, const char *cursor) MUST_CHECK;

#endif
