/* How much free memory the heap keeps; see heap.h. */
#include "heap.h"

#include <malloc.h>

void heap_keep(void) {
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_KEEP_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_MMAP_BYTES);
}

void heap_trim(void) {
    (void)malloc_trim(HEAP_REST_BYTES);
}
