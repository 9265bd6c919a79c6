/* src/config.h: any file is loaded, or refused with messages that each name file and line. What is
 * loaded is dumped, and the dump, real secrets in the masks' places, loads to the same dump. (Files
 * that a configuration names must be readable; the seeds name /etc/passwd, which is so everywhere.)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"
#include "fuzz.h"

static int file = -1;
static char path[64];

static void write_file(const void *data, size_t size) {
    if (file < 0) {
        file = memfd_create("config", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
        setenv("FUZZ_SECRET", "a-secret-of-the-environment", 1);
    }
    FUZZ_CHECK(file >= 0 && ftruncate(file, 0) == 0);
    FUZZ_CHECK(pwrite(file, data, size, 0) == (ssize_t)size);
}

/* Every line begins with the file's name, a line's number but for the whole file's, and says
 * something printable. */
static void check_messages(const char *text) {
    FUZZ_CHECK(*text);
    while (*text) {
        const char *end = strchr(text, '\n');
        if (!end || strncmp(text, path, strlen(path)) || text[strlen(path)] != ':')
            FUZZ_FAIL("no message of one line: %s", text);
        for (const char *p = text; p < end; p++)
            if ((unsigned char)*p < 0x20 || *p == 0x7f)
                FUZZ_FAIL("a control character in a message: %s", text);
        text = end + 1;
    }
}

/* NULL where it was refused. */
static struct config *load(const void *data, size_t size, char **messages) {
    struct config *config = NULL;
    size_t len;
    FILE *errors = open_memstream(messages, &len);
    write_file(data, size);
    int rc = config_load(&config, path, errors);
    fclose(errors);
    FUZZ_CHECK(rc == 0 || rc == CONFIG_INVALID || rc < 0);
    if (rc)
        check_messages(*messages);
    FUZZ_CHECK((rc == 0) == (config != NULL));
    return config;
}

static char *dump(const struct config *config) {
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    config_dump(config, out);
    fclose(out);
    FUZZ_CHECK(strlen(text) == len);
    return text;
}

/* Puts secrets where the dump has masks. */
static char *unmask(const char *dumped) {
    static const char mask[] = "= ****\n", secret[] = "= 0123456789abcdef0123456789abcdef\n";
    char *text = malloc(strlen(dumped) * 8 + 1), *to = text;
    while (*dumped) {
        if (strncmp(dumped, mask, sizeof mask - 1) == 0) {
            to = stpcpy(to, secret);
            dumped += sizeof mask - 1;
        } else {
            *to++ = *dumped++;
        }
    }
    *to = 0;
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *messages = NULL, *again_messages = NULL;
    struct config *config = load(data, size, &messages);
    free(messages);
    if (!config)
        return 0;
    char *first = dump(config), *text = unmask(first);
    struct config *again = load(text, strlen(text), &again_messages);
    if (!again)
        FUZZ_FAIL("the dump is refused: %s\n%s", again_messages, text);
    char *second = dump(again);
    if (strcmp(first, second))
        FUZZ_FAIL("another dump:\n%s\nof\n%s", second, first);
    FILE *nowhere = fopen("/dev/null", "w");
    FUZZ_CHECK(nowhere && config_check_reload(config, again, path, nowhere) == 0);
    fclose(nowhere);
    free(first);
    free(second);
    free(text);
    free(again_messages);
    config_unref(config);
    config_unref(again);
    return 0;
}
