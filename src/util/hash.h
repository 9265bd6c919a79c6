/* SipHash-1-3 with 128-bit output (Aumasson and Bernstein): a keyed hash, fast on short inputs.
 * Used for event identities; not for secrets (auth.h uses HMAC-SHA-256). */
#ifndef ROLLCALL_UTIL_HASH_H
#define ROLLCALL_UTIL_HASH_H

#include <stddef.h>
#include <stdint.h>

enum { HASH_KEY_BYTES = 16, HASH_BYTES = 16 };

void hash128(const uint8_t key[HASH_KEY_BYTES], const void *data, size_t len,
             uint8_t digest[HASH_BYTES]);

#endif
