/* What bodies leave is kept, and goes back with heap_trim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap.h"

enum { BODIES = 96, BODY_BYTES = 300 * 1000, ALL_BYTES = BODIES * BODY_BYTES };
/* Kept, and more than what is never given back. */
_Static_assert(ALL_BYTES - (size_t)HEAP_REST_BYTES > ALL_BYTES / 2, "too few bodies");
_Static_assert(ALL_BYTES + (size_t)HEAP_REST_BYTES < HEAP_KEEP_BYTES, "too many bodies");

static size_t resident(void) {
    unsigned long size, pages;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &size, &pages), 2);
    (void)fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void use_and_free(void) {
    char *bodies[BODIES];
    for (unsigned i = 0; i < BODIES; i++) {
        bodies[i] = malloc(BODY_BYTES);
        assert_non_null(bodies[i]);
        memset(bodies[i], 1, BODY_BYTES);
    }
    for (unsigned i = 0; i < BODIES; i++)
        free(bodies[i]);
}

/* A sanitizer's malloc knows nothing of this. */
static int is_glibc(void) {
    struct mallinfo2 before = mallinfo2();
    char *volatile block = malloc(BODY_BYTES);
    struct mallinfo2 after = mallinfo2();
    free(block);
    return after.uordblks >= before.uordblks + BODY_BYTES;
}

static void test_bodies_memory_is_kept_and_given_back(void **state) {
    (void)state;
    heap_keep();
    if (!is_glibc())
        skip();
    size_t start = resident();
    use_and_free();
    size_t kept = resident();
    assert_true(kept > start + ALL_BYTES / 2);
    heap_trim();
    assert_true(resident() < start + HEAP_REST_BYTES + (1 << 20));
    use_and_free(); /* as before */
    assert_true(resident() > start + ALL_BYTES / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies_memory_is_kept_and_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
