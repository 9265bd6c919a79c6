/* Content-Encoding: gzip (RFC 9110, 8.4.1.3; RFC 1952) over zlib, with a bound on what a body may
 * become: by size, and by ratio, so that a few bytes cannot make the node work for seconds. */
#ifndef ROLLCALL_GUNZIP_H
#define ROLLCALL_GUNZIP_H

#include "util/buf.h"
#include "util/err.h"
#include "util/span.h"

enum {
    GUNZIP_MAX_RATIO = 100,       /* presence bodies come to about 20 */
    GUNZIP_FREE_BYTES = 64 * 1024 /* up to here any ratio goes */
};

enum gunzip_result {
    GUNZIP_OK = 0,
    GUNZIP_INVALID = 1,   /* not gzip, or cut off, or bytes behind its end */
    GUNZIP_TOO_LARGE = 2, /* past max_bytes or the ratio */
};

struct gunzip;

/* NULL when memory is short. */
struct gunzip *gunzip_new(void);
void gunzip_free(struct gunzip *gunzip);
/* Decodes all of `text` into `out` (emptied first), behind which `padding` bytes stay allocated.
 * Takes several members in a row, as RFC 1952 has it. GUNZIP_* or -ENOMEM. */
int gunzip_decode(struct gunzip *gunzip, struct span text, size_t max_bytes, size_t padding,
                  struct buf *out) MUST_CHECK;

#endif
