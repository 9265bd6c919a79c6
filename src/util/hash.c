/* SipHash with 128-bit output; see hash.h. The rounds are parameters because the published test
 * vectors are those of SipHash-2-4: test-hash.c checks both with the same code. */
#include "util/hash.h"

#include <string.h>

struct sip {
    uint64_t v0;
    uint64_t v1;
    uint64_t v2;
    uint64_t v3;
};

static inline uint64_t load_le64(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline void store_le64(uint64_t word, uint8_t *p) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    memcpy(p, &word, sizeof(word));
}

static inline uint64_t rotate_left(uint64_t word, unsigned bits) {
    return word << bits | word >> (64 - bits);
}

static inline void sip_rounds(struct sip *s, unsigned rounds) {
    while (rounds--) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotate_left(s->v1, 13) ^ s->v0;
        s->v3 = rotate_left(s->v3, 16) ^ s->v2;
        s->v0 = rotate_left(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = rotate_left(s->v1, 17) ^ s->v2;
        s->v3 = rotate_left(s->v3, 21) ^ s->v0;
        s->v2 = rotate_left(s->v2, 32);
    }
}

static inline void sip_add(struct sip *s, uint64_t word, unsigned rounds) {
    s->v3 ^= word;
    sip_rounds(s, rounds);
    s->v0 ^= word;
}

/* The last word: what is left of the data, and the length's low byte on top. */
static inline uint64_t last_word(const uint8_t *rest, size_t len) {
    uint8_t bytes[8] = {0};
    memcpy(bytes, rest, len % 8);
    bytes[7] = (uint8_t)len;
    return load_le64(bytes);
}

static inline void siphash128(unsigned compress_rounds, unsigned finish_rounds,
                              const uint8_t key[HASH_KEY_BYTES], const uint8_t *data, size_t len,
                              uint8_t digest[HASH_BYTES]) {
    uint64_t k0 = load_le64(key);
    uint64_t k1 = load_le64(key + 8);
    /* "somepseudorandomlygeneratedbytes"; 0xee marks the 128-bit variant. */
    struct sip s = {
        k0 ^ 0x736f6d6570736575,
        k1 ^ 0x646f72616e646f6d ^ 0xee,
        k0 ^ 0x6c7967656e657261,
        k1 ^ 0x7465646279746573,
    };
    const uint8_t *whole_end = data + len / 8 * 8;
    for (; data < whole_end; data += 8)
        sip_add(&s, load_le64(data), compress_rounds);
    sip_add(&s, last_word(data, len), compress_rounds);
    s.v2 ^= 0xee;
    sip_rounds(&s, finish_rounds);
    store_le64(s.v0 ^ s.v1 ^ s.v2 ^ s.v3, digest);
    s.v1 ^= 0xdd;
    sip_rounds(&s, finish_rounds);
    store_le64(s.v0 ^ s.v1 ^ s.v2 ^ s.v3, digest + 8);
}

void hash128(const uint8_t key[HASH_KEY_BYTES], const void *data, size_t len,
             uint8_t digest[HASH_BYTES]) {
    siphash128(1, 3, key, data, len, digest);
}
