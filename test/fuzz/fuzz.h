/* What the fuzzers share: one file a surface, fuzz-<what>.c, which defines LLVMFuzzerTestOneInput.
 * clang links it with libFuzzer (`./dev fuzz`); gcc with replay.c, which hands it the kept files of
 * corpus/<what>/, so that each of them is a plain test.
 *
 * A fuzzer keeps nothing from one input to the next but what it has allocated once, so that a
 * finding is one file. What it expects is said with FUZZ_CHECK, which aborts. */
#ifndef ROLLCALL_TEST_FUZZ_H
#define ROLLCALL_TEST_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring.h"
#include "util/buf.h"
#include "util/span.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

__attribute__((noreturn, format(printf, 3, 4))) void fuzz_fail(const char *file, int line,
                                                               const char *format, ...);
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_fail(__FILE__, __LINE__, "%s", #condition);                                       \
    } while (0)
#define FUZZ_FAIL(...) fuzz_fail(__FILE__, __LINE__, __VA_ARGS__)

/* --- an input, taken from its front ----------------------------------------------------- */

struct fuzz_input {
    const uint8_t *data;
    size_t left;
};

/* 0 where nothing is left. */
uint8_t fuzz_take_byte(struct fuzz_input *input);
uint16_t fuzz_take_u16(struct fuzz_input *input);
/* A length byte and so many bytes, or what is left. */
struct span fuzz_take_text(struct fuzz_input *input);

/* Where a stream of bytes is cut: in the input a count (of its low four bits) and as many lengths,
 * each a byte; 0 stands for all that is left. When they are used up they begin anew. */
struct fuzz_cuts {
    uint8_t count, next;
    uint8_t lengths[15];
};
void fuzz_take_cuts(struct fuzz_input *input, struct fuzz_cuts *cuts);
size_t fuzz_next_cut(struct fuzz_cuts *cuts, size_t left);

/* --- what is true of whatever comes out -------------------------------------------------- */

/* Whether it is JSON (RFC 8259) of valid UTF-8 without lone surrogates, no deeper than `depth`:
 * a reading of its own, byte by byte, that shares nothing with src/json.c. */
bool fuzz_is_json(struct span text, unsigned depth);
/* An event's line: one line, JSON, its members in the order of the contract and none of them twice,
 * its seq the given one. Aborts where it is not. */
void fuzz_check_line(struct span line, uint64_t seq);
/* All lines of the ring from seq `from` on: each as above, none missing. Returns how many. */
unsigned fuzz_check_ring(const struct ring *ring, uint64_t from);

#endif
