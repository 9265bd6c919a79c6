/* rollcall-tail's stdout: collects whole lines, writes them, and knows which of them were written,
 * so that what is kept of the place (cursor file, held reader) is never ahead of the reader's
 * lines, and an end that was not forced comes behind a whole line. */
#ifndef ROLLCALL_TAIL_OUT_H
#define ROLLCALL_TAIL_OUT_H

#include <signal.h>
#include <stdbool.h>

#include "tail_cursor.h"
#include "util/buf.h"
#include "util/err.h"

enum {
    TAIL_OUT_BYTES = 256 * 1024, /* full: write before another line is added */
    TAIL_OUT_MARKS = 16 * 1024,
};

struct tail_mark;
struct tail_out {
    struct buf text;
    struct tail_mark *marks;
    size_t mark_count, mark_cap;
};

enum {
    TAIL_OUT_GONE = 1, /* whoever read stdout has gone, as `head` does: an end, and no error */
};

/* Bytes may be appended to `text`; then this says that they are whole lines, and that with them
 * everything up to `cursor` is done: *written becomes it once they are. *written stays valid until
 * the next write. 0 or -ENOMEM. */
int tail_out_mark(struct tail_out *out, struct tail_cursor *written,
                  const struct tail_cursor *cursor) MUST_CHECK;
bool tail_out_is_full(const struct tail_out *out);
/* Writes all, waiting for as long as it takes; once *stop is set, up to the end of the line that
 * it is in the midst of. What was not written is dropped. 0, TAIL_OUT_GONE or -errno. */
int tail_out_write(struct tail_out *out, const volatile sig_atomic_t *stop) MUST_CHECK;
/* What poll(2) says when nobody is left to write for: its revents, asked with events = 0. */
bool tail_out_is_gone(short revents);
void tail_out_deinit(struct tail_out *out);

#endif
