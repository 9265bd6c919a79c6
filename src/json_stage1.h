/* Between json.c and json.cc alone: simdjson's first stage behind C functions. It checks UTF-8 and
 * that strings end and hold no raw control characters, and lists the offsets of the structural
 * characters ({ } [ ] , :) and of the first byte of every string and of every other run of bytes
 * that are neither structural nor white space. It checks nothing else. */
#ifndef ROLLCALL_JSON_STAGE1_H
#define ROLLCALL_JSON_STAGE1_H

#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct json_stage1;

struct json_indexes {
    uint32_t *at; /* the stage's memory, valid until the next run; one more may be written behind */
    uint32_t count;
};

enum { JSON_STAGE1_REFUSED = 1 };

/* NULL when memory is short. */
struct json_stage1 *json_stage1_new(void);
void json_stage1_free(struct json_stage1 *stage);
/* Memory for texts of up to `bytes`: four bytes a byte of text. 0 or -ENOMEM (none is held then).
 */
int json_stage1_resize(struct json_stage1 *stage, size_t bytes) MUST_CHECK;
/* len is at most what was last resized to. 0 or JSON_STAGE1_REFUSED; it does not say where. */
int json_stage1_run(struct json_stage1 *stage, const char *text, size_t len,
                    struct json_indexes *indexes) MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
