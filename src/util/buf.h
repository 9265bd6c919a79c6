/* A growable byte buffer. Its owner decides the bound by what it appends; growth is geometric, so
 * appending is linear in total. Zero-initialised is empty and valid. Not thread-safe. */
#ifndef ROLLCALL_UTIL_BUF_H
#define ROLLCALL_UTIL_BUF_H

#include <stddef.h>

#include "util/err.h"
#include "util/span.h"

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
};

/* Room for `extra` more bytes behind len. 0 or -ENOMEM (the buffer is unchanged then). */
int buf_reserve(struct buf *buf, size_t extra) MUST_CHECK;
/* Copies the bytes to the end. 0 or -ENOMEM (unchanged). `data` must not point into buf. */
int buf_append(struct buf *buf, const void *data, size_t len) MUST_CHECK;
/* Removes `len` bytes from the front; len <= buf->len. */
void buf_consume(struct buf *buf, size_t len);
/* Empties it; gives the memory back when it is larger than `keep` bytes. */
void buf_reset(struct buf *buf, size_t keep);
/* Frees the memory; the buffer is empty and valid afterwards. */
void buf_deinit(struct buf *buf);

static inline struct span buf_span(const struct buf *buf) {
    return (struct span){buf->ptr ? buf->ptr : "", buf->len};
}

#endif
