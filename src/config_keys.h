/* What a configuration file may say: one table of keys, and the sorts of value they take. Internal
 * to the configuration (config.c); everyone else reads struct config.
 *
 * Messages show a value as it stands in the file, before ${NAME} is put in, and never a secret or
 * an endpoint's path (some senders' only secret). */
#ifndef ROLLCALL_CONFIG_KEYS_H
#define ROLLCALL_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config.h"
#include "util/err.h"

/* One load, as far as the values are concerned. */
struct config_loader {
    struct config *config;
    struct config_endpoint *endpoint; /* of the section at work; NULL elsewhere */
    const char *path;
    FILE *errors;
    unsigned line, error_count;
    const char *raw_value; /* the value at work as it stands in the file */
    int rc;                /* -ENOMEM, or why the file could not be read */
};

/* Writes "path:line: message" and counts it. */
void config_report_at(struct config_loader *loader, unsigned line, const char *message, ...)
    PRINTF_LIKE(3, 4);
#define config_report(loader, ...) config_report_at((loader), (loader)->line, __VA_ARGS__)

/* Text of the file for a message: bounded, and without anything that a terminal would act on. */
enum { CONFIG_SHOWN_BYTES = 64 };
struct config_shown {
    char text[CONFIG_SHOWN_BYTES + 4];
};
struct config_shown config_show(const char *text);

/* Which known word was probably meant: start with {0}, try each, then put the hint behind the
 * message: empty, or "; did you mean ...?". */
struct config_guess {
    const char *word;
    unsigned distance;
};
void config_guess_try(struct config_guess *guess, const char *written, const char *word);
struct config_shown config_guess_hint(const struct config_guess *guess);

struct config_key;

/* A sort of value: how it gets into its field, and how it is written as "name = value" lines.
 * `base` is the struct that holds the field: the config, or the endpoint. */
struct config_kind {
    /* False: reported, or loader->rc is set. `value` is not empty and has no control characters. */
    bool (*parse)(struct config_loader *loader, const struct config_key *key, const char *value,
                  void *base);
    void (*print)(const struct config_key *key, const void *base, FILE *out);
};

struct config_word {
    const char *text;
    int value;
};

/* In the order of a dump; an endpoint's comes last. */
enum {
    CONFIG_SERVER,
    CONFIG_RING,
    CONFIG_DEDUPE,
    CONFIG_PRIVACY,
    CONFIG_LOG,
    CONFIG_ENDPOINT,
    CONFIG_SECTIONS
};
extern const char *const config_sections[CONFIG_SECTIONS];

enum {
    CONFIG_REQUIRED = 1,
    CONFIG_REPEATABLE = 2,
    CONFIG_MAY_BE_EMPTY = 4,
    CONFIG_FIXED = 8, /* stays as it was when the node started */
};

struct config_key {
    const char *section, *name;
    const struct config_kind *kind;
    size_t offset; /* of the field */
    unsigned flags;
    const char *fallback; /* the default as a file would say it; NULL: none, or not that simple */
    uint64_t min, max;
    const struct config_word *words;
};

/* For parse and print: where the key's field lies. */
void *config_field(const struct config_key *key, void *base);
const void *config_const_field(const struct config_key *key, const void *base);
/* Reports `"name" must be EXPECTED, not "..."`. False always. */
bool config_refuse_value(struct config_loader *loader, const struct config_key *key,
                         const char *expected);
bool config_parse_string(struct config_loader *loader, const struct config_key *key,
                         const char *value, void *base);
void config_print_string(const struct config_key *key, const void *base, FILE *out);

/* config_endpoint.c */
extern const struct config_kind config_path_kind, config_provider_kind, config_auth_kind,
    config_allow_from_kind, config_rate_limit_kind, config_identity_kind;
/* config_secret.c; the field is an array of as many struct config_secret * as the key's max; each
 * has at least the key's min bytes. */
extern const struct config_kind config_secret_kind, config_secret_file_kind;
void config_secret_free(struct config_secret *secret); /* overwrites it first; NULL is fine */

enum { CONFIG_MAX_KEYS = 64 };
/* In the order of a dump, section by section; the one with name == NULL ends it. */
extern const struct config_key config_keys[];

#endif
