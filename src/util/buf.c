/* The growable byte buffer; see buf.h. */
#include "util/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST_BYTES = 256 };

int buf_reserve(struct buf *buf, size_t extra) {
    if (buf->cap - buf->len >= extra)
        return 0;
    if (extra > SIZE_MAX / 2 - buf->len)
        return -ENOMEM;
    size_t need = buf->len + extra;
    size_t cap = buf->cap ? buf->cap * 2 : BUF_FIRST_BYTES;
    if (cap < need)
        cap = need;
    if (cap > PTRDIFF_MAX)
        return -ENOMEM;
    char *ptr = realloc(buf->ptr, cap);
    if (!ptr)
        return -ENOMEM;
    buf->ptr = ptr;
    buf->cap = cap;
    return 0;
}

int buf_append(struct buf *buf, const void *data, size_t len) {
    int rc = buf_reserve(buf, len);
    if (rc)
        return rc;
    if (len)
        memcpy(buf->ptr + buf->len, data, len);
    buf->len += len;
    return 0;
}

void buf_consume(struct buf *buf, size_t len) {
    assert(len <= buf->len);
    buf->len -= len;
    if (buf->len && len)
        memmove(buf->ptr, buf->ptr + len, buf->len);
}

void buf_reset(struct buf *buf, size_t keep) {
    if (buf->cap > keep)
        buf_deinit(buf);
    buf->len = 0;
}

void buf_deinit(struct buf *buf) {
    free(buf->ptr);
    *buf = (struct buf){0};
}
