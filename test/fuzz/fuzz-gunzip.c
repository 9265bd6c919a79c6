/* src/gunzip.h: any bytes are refused or decoded within the bounds; what zlib has made is decoded
 * to what it was, however it is set apart into members.
 *
 * Input: a byte of flags (1: the rest is text that zlib packs first; 2: small max_bytes), the
 * rest. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "fuzz.h"
#include "gunzip.h"

enum { PADDING = 64, SMALL_BYTES = 1000, LARGE_BYTES = 1 << 20 };

static struct gunzip *gunzip;

static void pack(struct span text, struct buf *out) {
    z_stream stream = {.next_in = (Bytef *)text.ptr, .avail_in = (uInt)text.len};
    FUZZ_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    size_t bound = deflateBound(&stream, text.len);
    FUZZ_CHECK(buf_reserve(out, bound) == 0);
    stream.next_out = (Bytef *)out->ptr + out->len;
    stream.avail_out = (uInt)bound;
    FUZZ_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out->len += stream.total_out;
    deflateEnd(&stream);
}

static void check_bounds(int rc, size_t size, size_t max, const struct buf *out) {
    FUZZ_CHECK(rc == GUNZIP_OK || rc == GUNZIP_INVALID || rc == GUNZIP_TOO_LARGE);
    if (rc)
        return;
    FUZZ_CHECK(out->len <= max);
    FUZZ_CHECK(out->len <= GUNZIP_FREE_BYTES || out->len <= size * GUNZIP_MAX_RATIO);
    FUZZ_CHECK(out->cap >= out->len + PADDING);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    struct buf out = {0}, packed = {0};
    unsigned flags = fuzz_take_byte(&input);
    size_t max = flags & 2 ? SMALL_BYTES : LARGE_BYTES;
    struct span text = span_from((const char *)input.data, input.left);
    if (!gunzip)
        gunzip = gunzip_new();
    if (!(flags & 1)) {
        check_bounds(gunzip_decode(gunzip, text, max, PADDING, &out), text.len, max, &out);
        buf_deinit(&out);
        return 0;
    }
    size_t first = text.len ? flags * text.len / 256 : 0;
    pack(span_from(text.ptr, first), &packed);
    pack(span_from(text.ptr + first, text.len - first), &packed);
    int rc = gunzip_decode(gunzip, buf_span(&packed), max, PADDING, &out);
    check_bounds(rc, packed.len, max, &out);
    FUZZ_CHECK(rc != GUNZIP_INVALID);
    if (rc == GUNZIP_TOO_LARGE)
        FUZZ_CHECK(text.len > max || text.len > GUNZIP_FREE_BYTES);
    else
        FUZZ_CHECK(span_equals(buf_span(&out), text));
    buf_deinit(&out);
    buf_deinit(&packed);
    return 0;
}
