/* Secrets of the configuration: in the file itself, from the environment, or each in a file of its
 * own; see config_keys.h. No message ever shows one. */
#include "config_keys.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What config_dump writes for a secret. */
#define MASKED "****"

/* Takes `file` (NULL where the secret stands in the configuration itself), whatever comes of it. */
static bool add_secret(struct config_loader *loader, const struct config_key *key, const char *text,
                       size_t len, char *file, void *base) {
    struct config_secret **secrets = config_field(key, base);
    uint64_t count = 0;
    while (count < key->max && secrets[count])
        count++;
    struct config_secret *secret = NULL;
    if (len > CONFIG_MAX_SECRET_BYTES || len < key->min)
        config_report(loader, "\"%s\" has %zu bytes; %zu to %d are allowed", key->name, len,
                      (size_t)key->min, CONFIG_MAX_SECRET_BYTES);
    else if (count == key->max && key->max == 1)
        config_report(loader, "there is a key already; one is enough");
    else if (count == key->max)
        config_report(loader, "more than %d secrets", (int)key->max);
    else if (!(secret = calloc(1, sizeof(*secret))))
        loader->rc = -ENOMEM;
    if (!secret) {
        free(file);
        return false;
    }
    memcpy(secret->bytes, text, len);
    secret->len = len;
    secret->file = file;
    secrets[count] = secret;
    if (loader->endpoint)
        loader->endpoint->secret_count = (unsigned)count + 1;
    return true;
}

static bool parse_secret(struct config_loader *loader, const struct config_key *key,
                         const char *value, void *base) {
    if (strcmp(value, MASKED) == 0) {
        config_report(loader, "\"%s\" is masked, as --dump-config writes it; put the real one in",
                      key->name);
        return false;
    }
    return add_secret(loader, key, value, strlen(value), NULL, base);
}

static void print_secret(const struct config_key *key, const void *base, FILE *out) {
    struct config_secret *const *secrets = config_const_field(key, base);
    for (uint64_t i = 0; i < key->max && secrets[i]; i++)
        if (!secrets[i]->file)
            fprintf(out, "%s = %s\n", key->name, MASKED);
}

const struct config_kind config_secret_kind = {parse_secret, print_secret};

/* A name alone is one of systemd's credentials, where there are any (systemd.exec(5),
 * LoadCredential=). NULL: out of memory. */
static char *find_file(const char *value) {
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    char *path = NULL;
    if (strchr(value, '/') || !directory || !*directory)
        return strdup(value);
    return asprintf(&path, "%s/%s", directory, value) < 0 ? NULL : path;
}

/* The file's bytes, at most `cap`; -errno. */
static ssize_t read_file(const char *path, char *dst, size_t cap) {
    size_t len = 0;
    ssize_t got = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    while (len < cap && got != 0) {
        got = read(fd, dst + len, cap - len);
        if (got < 0 && errno != EINTR) {
            int rc = -errno;
            close(fd);
            return rc;
        }
        len += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    return (ssize_t)len;
}

/* One line break at the end is an editor's, not the secret's. */
static size_t trim(const char *text, size_t len) {
    if (len && text[len - 1] == '\n')
        len--;
    if (len && text[len - 1] == '\r')
        len--;
    return len;
}

static const char *secret_problem(const char *text, size_t len) {
    if (len == 0)
        return "is empty";
    if (len > CONFIG_MAX_SECRET_BYTES)
        return "holds more than 512 bytes: this is no secret";
    for (size_t i = 0; i < len; i++)
        if (iscntrl((unsigned char)text[i]))
            return "contains a control character, such as a second line";
    return NULL;
}

static bool parse_secret_file(struct config_loader *loader, const struct config_key *key,
                              const char *value, void *base) {
    char text[CONFIG_MAX_SECRET_BYTES + 3]; /* one more than may be, and a line break */
    char *path = find_file(value);
    bool ok = false;
    if (!path) {
        loader->rc = -ENOMEM;
        return false;
    }
    ssize_t got = read_file(path, text, sizeof(text));
    size_t len = got > 0 ? trim(text, (size_t)got) : 0;
    const char *problem = got < 0 ? strerror((int)-got) : secret_problem(text, len);
    if (problem) {
        config_report(loader, got < 0 ? "cannot read the %s \"%s\": %s" : "the %s \"%s\" %s",
                      key->name, config_show(path).text, problem);
        free(path);
    } else {
        ok = add_secret(loader, key, text, len, path, base);
    }
    explicit_bzero(text, sizeof(text));
    return ok;
}

static void print_secret_file(const struct config_key *key, const void *base, FILE *out) {
    struct config_secret *const *secrets = config_const_field(key, base);
    for (uint64_t i = 0; i < key->max && secrets[i]; i++)
        if (secrets[i]->file)
            fprintf(out, "%s = %s\n", key->name, secrets[i]->file);
}

const struct config_kind config_secret_file_kind = {parse_secret_file, print_secret_file};

void config_secret_free(struct config_secret *secret) {
    if (!secret)
        return;
    free(secret->file);
    explicit_bzero(secret, sizeof(*secret));
    free(secret);
}
