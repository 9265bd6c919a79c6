/* An event's identity; see identity.h.
 *
 * Each field goes in as four bytes that say its length (0 = absent, length + 1, or NUMBER_MARK) and
 * then its bytes. What does not fit any more makes the bytes so far shrink to their hash. That hash
 * has a fixed key, because an id must come out the same after a restart and on every node; the key
 * given to identity_finish goes over everything in the end. */
#include "identity.h"

#include <assert.h>
#include <string.h>

#define NUMBER_MARK UINT32_MAX

static const uint8_t fold_key[HASH_KEY_BYTES] = "rollcallidentity"; /* 16 letters, no NUL */

static void identity_fold(struct identity *identity) {
    uint8_t digest[HASH_BYTES];
    hash128(fold_key, identity->bytes, identity->len, digest);
    memcpy(identity->bytes, digest, sizeof(digest));
    identity->len = sizeof(digest);
}

static void identity_append(struct identity *identity, const void *data, size_t len) {
    const uint8_t *p = data;
    while (len > 0) {
        if (identity->len == IDENTITY_BYTES)
            identity_fold(identity);
        size_t room = IDENTITY_BYTES - identity->len;
        size_t part = len < room ? len : room;
        memcpy(identity->bytes + identity->len, p, part);
        identity->len += (unsigned)part;
        p += part;
        len -= part;
    }
}

/* As little-endian bytes, so that nodes of either byte order give an event the same id. */
static inline uint64_t little_endian(uint64_t value) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(value);
#else
    return value;
#endif
}

static inline void append_number(struct identity *identity, uint64_t value, unsigned bytes) {
    uint64_t number = little_endian(value);
    if (identity->len <= IDENTITY_BYTES - sizeof number) { /* nearly always */
        memcpy(identity->bytes + identity->len, &number, sizeof number);
        identity->len += bytes;
    } else {
        identity_append(identity, &number, bytes);
    }
}

void identity_init(struct identity *identity, struct span sender) {
    identity->len = 0;
    identity_add(identity, sender);
}

void identity_add(struct identity *identity, struct span field) {
    assert(field.len < NUMBER_MARK - 1); /* fields are parts of a body, which is far shorter */
    append_number(identity, span_is_absent(field) ? 0 : field.len + 1, 4);
    if (!span_is_absent(field))
        identity_append(identity, field.ptr, field.len);
}

void identity_add_u64(struct identity *identity, uint64_t value) {
    append_number(identity, NUMBER_MARK, 4);
    append_number(identity, value, 8);
}

void identity_finish(const struct identity *identity, const uint8_t key[HASH_KEY_BYTES],
                     uint8_t id[HASH_BYTES]) {
    hash128(key, identity->bytes, identity->len, id);
}
