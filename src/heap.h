/* The process's heap. Memory that large bodies leave is kept for a while: giving it back for each
 * of them, only to ask for it again page by page with the next, took up to a tenth of the CPU time
 * of posts of 1,000 observations. So malloc keeps up to HEAP_KEEP_BYTES at the heap's end, and
 * every HEAP_TRIM_MS all but HEAP_REST_BYTES of what is free goes back to the kernel. Of glibc's
 * malloc; with another one (a sanitizer's) nothing here does anything. */
#ifndef ROLLCALL_HEAP_H
#define ROLLCALL_HEAP_H

enum {
    HEAP_KEEP_BYTES = 64 << 20,
    HEAP_REST_BYTES = 4 << 20,
    HEAP_MMAP_BYTES = 2 << 20, /* from here on a block is a mapping of its own, and goes at once */
    HEAP_TRIM_MS = 10000,
};

/* Once, at the start. */
void heap_keep(void);
/* Gives back what is free but for HEAP_REST_BYTES. */
void heap_trim(void);

#endif
