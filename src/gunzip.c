/* gzip bodies; see gunzip.h. */
#include "gunzip.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

enum { GZIP_ONLY = 16, STEP_BYTES = 16 * 1024 };

struct gunzip {
    z_stream stream;
};

struct gunzip *gunzip_new(void) {
    struct gunzip *gunzip = calloc(1, sizeof *gunzip);
    if (gunzip && inflateInit2(&gunzip->stream, GZIP_ONLY + MAX_WBITS) != Z_OK) {
        free(gunzip);
        return NULL;
    }
    return gunzip;
}

void gunzip_free(struct gunzip *gunzip) {
    if (!gunzip)
        return;
    inflateEnd(&gunzip->stream);
    free(gunzip);
}

static bool is_past_bounds(size_t out_len, size_t in_len, size_t max_bytes) {
    return out_len > max_bytes ||
           (out_len > GUNZIP_FREE_BYTES && out_len / GUNZIP_MAX_RATIO > in_len);
}

int gunzip_decode(struct gunzip *gunzip, struct span text, size_t max_bytes, size_t padding,
                  struct buf *out) {
    z_stream *stream = &gunzip->stream;
    int rc = Z_STREAM_END;

    out->len = 0;
    stream->next_in = (Bytef *)text.ptr;
    stream->avail_in = (uInt)text.len;
    while (stream->avail_in || rc == Z_OK) {
        if (rc == Z_STREAM_END && inflateReset(stream) != Z_OK)
            return GUNZIP_INVALID;
        if (buf_reserve(out, STEP_BYTES + padding))
            return -ENOMEM;
        size_t room = out->cap - out->len - padding;
        stream->next_out = (Bytef *)out->ptr + out->len;
        stream->avail_out = (uInt)room;
        rc = inflate(stream, Z_NO_FLUSH);
        out->len += room - stream->avail_out;
        if (rc == Z_MEM_ERROR)
            return -ENOMEM;
        if (rc != Z_OK && rc != Z_STREAM_END)
            return GUNZIP_INVALID;
        if (is_past_bounds(out->len, text.len, max_bytes))
            return GUNZIP_TOO_LARGE;
        if (rc == Z_OK && stream->avail_in == 0 && stream->avail_out)
            return GUNZIP_INVALID; /* the end is missing */
    }
    return text.len ? GUNZIP_OK : GUNZIP_INVALID;
}
