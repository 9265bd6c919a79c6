/* The checksum of the ring's file: three CRC-32C, each of every third word of 64 bits, in one. One
 * CRC alone waits three cycles for each word, three side by side for none. Damage that only one of
 * the three sees is found as surely as CRC-32C finds it, any other but once in 2^32. Not a format
 * of anybody else's; the portable way gives the same result. */
#ifndef ROLLCALL_RING_CHECKSUM_H
#define ROLLCALL_RING_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

static inline uint64_t ring_checksum_word(const char *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* One to one, and not linear: were the three but added up, the same change to two words that stand
 * side by side, as zeros over a text of one letter are, would not show. */
static inline uint32_t ring_checksum_mix(uint32_t sum) {
    sum = (sum ^ sum >> 16) * 0x9e3779b1U;
    sum = (sum ^ sum >> 15) * 0x7feb352dU;
    return sum ^ sum >> 16;
}

/* `first` and `second` go ahead of the `len` bytes, which are a multiple of 8. */
#define RING_CHECKSUM_BODY(step)                                                                   \
    uint32_t a = step(UINT32_MAX, first), b = step(UINT32_MAX, second), c = UINT32_MAX;            \
    const char *end = bytes + len;                                                                 \
    for (; end - bytes >= 24; bytes += 24) {                                                       \
        a = step(a, ring_checksum_word(bytes));                                                    \
        b = step(b, ring_checksum_word(bytes + 8));                                                \
        c = step(c, ring_checksum_word(bytes + 16));                                               \
    }                                                                                              \
    if (bytes < end)                                                                               \
        a = step(a, ring_checksum_word(bytes));                                                    \
    if (end - bytes > 8)                                                                           \
        b = step(b, ring_checksum_word(bytes + 8));                                                \
    return ring_checksum_mix(ring_checksum_mix(a) ^ b) ^ c

static inline uint32_t ring_checksum_step(uint32_t crc, uint64_t word) {
    static uint32_t table[8][256]; /* [n][b]: of the byte b and n bytes of 0 behind it */
    if (!table[0][1]) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t value = byte;
            for (int bit = 0; bit < 8; bit++) /* Castagnoli's polynomial, lowest bit first */
                value = value >> 1 ^ (value & 1 ? 0x82f63b78 : 0);
            table[0][byte] = value;
        }
        for (int n = 1; n < 8; n++)
            for (int byte = 0; byte < 256; byte++)
                table[n][byte] = table[n - 1][byte] >> 8 ^ table[0][table[n - 1][byte] & 255];
    }
    word ^= crc;
    crc = 0;
    for (int n = 0; n < 8; n++)
        crc ^= table[7 - n][word >> (8 * n) & 255];
    return crc;
}

/* Not thread-safe the first time. */
static inline uint32_t ring_checksum_portable(uint64_t first, uint64_t second, const char *bytes,
                                              size_t len) {
    RING_CHECKSUM_BODY(ring_checksum_step);
}

#if defined(__x86_64__)
#define RING_CHECKSUM_STEP(crc, word) ((uint32_t)__builtin_ia32_crc32di(crc, word))
#define RING_CHECKSUM_TARGET          "sse4.2"
#define RING_CHECKSUM_SUPPORTED()     __builtin_cpu_supports("sse4.2")
#elif defined(__aarch64__)
#ifdef __clang__
#define RING_CHECKSUM_STEP(crc, word) __builtin_arm_crc32cd(crc, word)
#define RING_CHECKSUM_TARGET          "crc"
#else
#define RING_CHECKSUM_STEP(crc, word) __builtin_aarch64_crc32cx(crc, word)
#define RING_CHECKSUM_TARGET          "+crc"
#endif
#define RING_CHECKSUM_SUPPORTED() (getauxval(AT_HWCAP) >> 7 & 1) /* HWCAP_CRC32 */
#endif

#ifdef RING_CHECKSUM_STEP
__attribute__((target(RING_CHECKSUM_TARGET))) static inline uint32_t
ring_checksum_hardware(uint64_t first, uint64_t second, const char *bytes, size_t len) {
    RING_CHECKSUM_BODY(RING_CHECKSUM_STEP);
}
#endif

static inline uint32_t ring_checksum(uint64_t first, uint64_t second, const void *bytes,
                                     size_t len) {
#ifdef RING_CHECKSUM_STEP
    if (RING_CHECKSUM_SUPPORTED())
        return ring_checksum_hardware(first, second, bytes, len);
#endif
    return ring_checksum_portable(first, second, bytes, len);
}

#endif
