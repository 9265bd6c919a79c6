/* Runs a fuzzer without libFuzzer: over every file of the directories given, and, where it is asked
 * to, over changes of them that follow from a seed.
 *
 * usage: fuzz-WHAT [--mutate N] [--seed S] [--split BYTES] FILE|DIRECTORY...
 *   --mutate N      N more inputs, each a file with a few changes
 *   --split BYTES   for files of at most so many bytes that begin with a flags byte and the cuts of
 *                   fuzz.h: the rest is cut in two at every position */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

enum { MAX_FILE_BYTES = 1 << 20, MAX_FILES = 10000, SCRATCH_BYTES = 2 * MAX_FILE_BYTES };

struct file {
    char *name;
    uint8_t *data;
    size_t size;
};

static struct file files[MAX_FILES];
static unsigned file_count;
static unsigned long runs;
static char current[256]; /* what is being run: shown when it ends the process */

/* From memory of the exact size, so that a sanitizer sees a byte too many. */
static void run(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        exit(1);
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    runs++;
}

/* --- reading ----------------------------------------------------------------------------- */

static void add_file(const char *name) {
    FILE *in = fopen(name, "rb");
    uint8_t *data = malloc(MAX_FILE_BYTES);
    if (!in || !data || file_count == MAX_FILES) {
        fprintf(stderr, "%s: %s\n", name, in ? "too many files" : strerror(errno));
        exit(1);
    }
    size_t size = fread(data, 1, MAX_FILE_BYTES, in);
    fclose(in);
    uint8_t *fitting = realloc(data, size ? size : 1);
    files[file_count++] = (struct file){strdup(name), fitting ? fitting : data, size};
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static void add(const char *name) {
    struct stat stat_buf;
    if (stat(name, &stat_buf) || !S_ISDIR(stat_buf.st_mode)) {
        add_file(name);
        return;
    }
    DIR *directory = opendir(name);
    if (!directory) {
        perror(name);
        exit(1);
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", name, entry->d_name);
        add_file(path);
    }
    closedir(directory);
    qsort(files, file_count, sizeof *files, by_name); /* the same seed: the same inputs */
}

/* --- changing ---------------------------------------------------------------------------- */

static uint64_t random_state;

/* splitmix64 */
static uint64_t next_random(void) {
    uint64_t z = random_state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static size_t below(size_t bound) {
    return bound ? next_random() % bound : 0;
}

static const char *const words[] = {
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    ",",
    "0",
    "-1",
    "\"",
    "\\u0000",
    "\\ud800",
    "\xff",
    "\xc0\x80",
    "\xed\xa0\x80",
    "[",
    "]",
    "{",
    "}",
    "null",
    "1e999",
    "18446744073709551616",
    "9223372036854775808",
    "4294967296",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "Content-Encoding: gzip\r\n",
    "HTTP/1.0",
    "HTTP/1.1",
    "POST ",
    "GET ",
    "0\r\n\r\n",
    "ffffffffffffffff\r\n",
    ";a=b",
    "%00",
    "%23",
    "?",
    "Host: a\r\n",
    "\"NaN\"",
};

/* Makes a gap, or closes one, so that `len` bytes at `at` are free to be written. */
static uint8_t *insert(uint8_t *data, size_t *size, size_t at, size_t len) {
    if (*size + len > SCRATCH_BYTES)
        return NULL;
    memmove(data + at + len, data + at, *size - at);
    *size += len;
    return data + at;
}

static void change(uint8_t *data, size_t *size) {
    size_t at = below(*size + 1), len = 1 + below(next_random() & 3 ? 8 : 200);
    uint8_t *to;
    if (at < *size && len > *size - at)
        len = *size - at;
    switch (below(8)) {
    case 0:
        if (at < *size)
            data[at] ^= (uint8_t)(1 << below(8));
        break;
    case 1:
        if (at < *size)
            data[at] = (uint8_t)next_random();
        break;
    case 2:
        if (at < *size) {
            memmove(data + at, data + at + len, *size - at - len);
            *size -= len;
        }
        break;
    case 3: /* again what stands there */
        if (at < *size && (to = insert(data, size, at, len)))
            memcpy(to, data + at + len, len);
        break;
    case 4: /* what stands elsewhere */
    case 5: {
        const struct file *other = &files[below(file_count)];
        size_t from = below(other->size);
        len = len < other->size - from ? len : other->size - from;
        if ((to = insert(data, size, at, len)))
            memcpy(to, other->data + from, len);
        break;
    }
    case 6: {
        const char *word = words[below(sizeof words / sizeof *words)];
        if ((to = insert(data, size, at, strlen(word))))
            memcpy(to, word, strlen(word));
        break;
    }
    default:
        if (below(4) == 0)
            *size = at;
    }
}

static void run_changed(unsigned long count, uint64_t seed) {
    static uint8_t scratch[SCRATCH_BYTES];
    for (unsigned long i = 0; i < count; i++) {
        random_state = seed + i; /* so that one of them can be run alone */
        const struct file *file = &files[below(file_count)];
        size_t size = file->size;
        memcpy(scratch, file->data, size);
        snprintf(current, sizeof current, "--mutate 1 --seed %llu (of %s)",
                 (unsigned long long)(seed + i), file->name);
        for (size_t changes = 1 + below(6); changes; changes--)
            change(scratch, &size);
        run(scratch, size);
    }
}

/* Cut in two at every position, by cuts of its own in front. */
static void run_split(const struct file *file) {
    uint8_t *data = malloc(file->size + 16);
    if (!data)
        exit(1);
    size_t skip = file->size > 1 ? 2 + (size_t)(file->data[1] & 15) : file->size;
    skip = skip > file->size ? file->size : skip;
    for (size_t at = 1; skip < file->size && at < file->size - skip; at++) {
        size_t size = 2, left = at;
        data[0] = file->data[0];
        for (; left > 255; left -= 255)
            data[size++] = 255;
        data[size++] = (uint8_t)left;
        data[size++] = 0;
        data[1] = (uint8_t)(size - 2);
        memcpy(data + size, file->data + skip, file->size - skip);
        snprintf(current, sizeof current, "%s, cut at %zu", file->name, at);
        run(data, size + file->size - skip);
    }
    free(data);
}

/* Sanitizers and assertions end the process; what was being run is worth knowing. */
static void tell_current(void) {
    if (current[0])
        fprintf(stderr, "while running: %s\n", current);
}

#if defined(__SANITIZE_ADDRESS__)
void __sanitizer_set_death_callback(void (*callback)(void));
#else
#include <signal.h>
static void on_death(int number) {
    tell_current();
    signal(number, SIG_DFL);
    raise(number);
}
#endif

int main(int argc, char **argv) {
    static const struct option table[] = {{"mutate", required_argument, NULL, 'm'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"split", required_argument, NULL, 'p'},
                                          {NULL, 0, NULL, 0}};
    unsigned long count = 0, split = 0;
    uint64_t seed = 1;
    int option;
    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (option == 'm')
            count = strtoul(optarg, NULL, 10);
        else if (option == 's')
            seed = strtoull(optarg, NULL, 10);
        else if (option == 'p')
            split = strtoul(optarg, NULL, 10);
        else
            return 2;
    }
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_set_death_callback(tell_current);
#else
    signal(SIGABRT, on_death);
    signal(SIGSEGV, on_death);
    signal(SIGBUS, on_death);
#endif
    for (int i = optind; i < argc; i++)
        add(argv[i]);
    if (file_count == 0) {
        fprintf(stderr, "no files\n");
        return 2;
    }
    for (unsigned i = 0; i < file_count; i++) {
        snprintf(current, sizeof current, "%s", files[i].name);
        run(files[i].data, files[i].size);
        if (files[i].size <= split)
            run_split(&files[i]);
    }
    run_changed(count, seed);
    printf("%u files, %lu inputs\n", file_count, runs);
    current[0] = 0;
    for (unsigned i = 0; i < file_count; i++) {
        free(files[i].name);
        free(files[i].data);
    }
    return 0;
}
