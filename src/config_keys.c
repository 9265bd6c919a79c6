/* The keys of the configuration and their values; see config_keys.h. To add a key, add its line to
 * the table at the end. */
#include "config_keys.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "batch.h"
#include "config_value.h"
#include "json.h"
#include "log.h"
#include "privacy.h"
#include "ring.h"

enum {
    SOCKET_MAX_BYTES = sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
};

/* --- messages --------------------------------------------------------------------------------- */

void config_report_at(struct config_loader *loader, unsigned line, const char *message, ...) {
    va_list args;
    va_start(args, message);
    fprintf(loader->errors, "%s:%u: ", loader->path, line);
    vfprintf(loader->errors, message, args);
    fputc('\n', loader->errors);
    va_end(args);
    loader->error_count++;
}

struct config_shown config_show(const char *text) {
    struct config_shown out;
    size_t len = 0;
    for (; len < CONFIG_SHOWN_BYTES && text[len]; len++)
        out.text[len] = isprint((unsigned char)text[len]) ? text[len] : '?';
    memcpy(out.text + len, text[len] ? "..." : "", text[len] ? 4 : 1);
    return out;
}

void config_guess_try(struct config_guess *guess, const char *written, const char *word) {
    unsigned limit = strlen(word) < 6 ? 1 : 2;
    unsigned distance = config_word_distance(written, word, limit);
    if (distance <= limit && (!guess->word || distance < guess->distance))
        *guess = (struct config_guess){word, distance};
}

struct config_shown config_guess_hint(const struct config_guess *guess) {
    struct config_shown out = {""};
    if (guess->word)
        snprintf(out.text, sizeof(out.text), "; did you mean \"%s\"?", guess->word);
    return out;
}

void *config_field(const struct config_key *key, void *base) {
    return (char *)base + key->offset;
}

const void *config_const_field(const struct config_key *key, const void *base) {
    return (const char *)base + key->offset;
}

/* --- kinds of values -------------------------------------------------------------------------- */

bool config_refuse_value(struct config_loader *loader, const struct config_key *key,
                         const char *expected) {
    config_report(loader, "\"%s\" must be %s, not \"%s\"", key->name, expected,
                  config_show(loader->raw_value).text);
    return false;
}

static bool in_range(struct config_loader *loader, const struct config_key *key, int rc,
                     uint64_t value, void (*format)(uint64_t, char *)) {
    char min[CONFIG_VALUE_TEXT_BYTES], max[CONFIG_VALUE_TEXT_BYTES];
    if (rc == CONFIG_VALUE_OK && value >= key->min && value <= key->max)
        return true;
    format(key->min, min);
    format(key->max, max);
    config_report(loader, "\"%s\" must be from %s to %s, not %s", key->name, min, max,
                  config_show(loader->raw_value).text);
    return false;
}

static void format_count(uint64_t value, char text[CONFIG_VALUE_TEXT_BYTES]) {
    snprintf(text, CONFIG_VALUE_TEXT_BYTES, "%llu", (unsigned long long)value);
}

static bool parse_count(struct config_loader *loader, const struct config_key *key,
                        const char *value, void *base) {
    uint64_t count;
    int rc = config_parse_count(value, &count);
    if (rc == CONFIG_VALUE_MALFORMED)
        return config_refuse_value(loader, key, "a whole number");
    if (!in_range(loader, key, rc, count, format_count))
        return false;
    *(unsigned *)config_field(key, base) = (unsigned)count;
    return true;
}

static void print_count(const struct config_key *key, const void *base, FILE *out) {
    fprintf(out, "%s = %u\n", key->name, *(const unsigned *)config_const_field(key, base));
}

static bool parse_size(struct config_loader *loader, const struct config_key *key,
                       const char *value, void *base) {
    uint64_t bytes;
    int rc = config_parse_size(value, &bytes);
    if (rc == CONFIG_VALUE_MALFORMED)
        return config_refuse_value(loader, key, "a size such as 4096, 32K, 8M or 1G");
    if (!in_range(loader, key, rc, bytes, config_format_size))
        return false;
    *(size_t *)config_field(key, base) = (size_t)bytes;
    return true;
}

static void print_size(const struct config_key *key, const void *base, FILE *out) {
    char text[CONFIG_VALUE_TEXT_BYTES];
    config_format_size(*(const size_t *)config_const_field(key, base), text);
    fprintf(out, "%s = %s\n", key->name, text);
}

static bool parse_duration(struct config_loader *loader, const struct config_key *key,
                           const char *value, void *base) {
    uint64_t ms;
    int rc = config_parse_duration(value, &ms);
    if (rc == CONFIG_VALUE_MALFORMED)
        return config_refuse_value(loader, key, "a time such as 500ms, 10s, 5m or 1h");
    if (!in_range(loader, key, rc, ms, config_format_duration))
        return false;
    *(uint64_t *)config_field(key, base) = ms;
    return true;
}

static void print_duration(const struct config_key *key, const void *base, FILE *out) {
    char text[CONFIG_VALUE_TEXT_BYTES];
    config_format_duration(*(const uint64_t *)config_const_field(key, base), text);
    fprintf(out, "%s = %s\n", key->name, text);
}

static bool parse_mode(struct config_loader *loader, const struct config_key *key,
                       const char *value, void *base) {
    if (config_parse_mode(value, config_field(key, base)) != CONFIG_VALUE_OK)
        return config_refuse_value(loader, key,
                                   "an octal file mode from 0000 to 0777, such as 0660");
    return true;
}

static void print_mode(const struct config_key *key, const void *base, FILE *out) {
    fprintf(out, "%s = %04o\n", key->name, *(const unsigned *)config_const_field(key, base));
}

bool config_parse_string(struct config_loader *loader, const struct config_key *key,
                         const char *value, void *base) {
    char **string = config_field(key, base);

    assert(!*string); /* a repeated key never comes here */
    *string = strdup(value);
    if (!*string)
        loader->rc = -ENOMEM;
    return *string != NULL;
}

void config_print_string(const struct config_key *key, const void *base, FILE *out) {
    const char *string = *(char *const *)config_const_field(key, base);
    fprintf(out, string ? "%s = %s\n" : "%s =\n", key->name, string);
}

static bool parse_file(struct config_loader *loader, const struct config_key *key,
                       const char *value, void *base) {
    if (access(value, R_OK) != 0) {
        config_report(loader, "cannot read the %s \"%s\": %s", key->name,
                      config_show(loader->raw_value).text, strerror(errno));
        return false;
    }
    return config_parse_string(loader, key, value, base);
}

static bool parse_socket(struct config_loader *loader, const struct config_key *key,
                         const char *value, void *base) {
    if (strlen(value) > SOCKET_MAX_BYTES) {
        config_report(loader, "\"%s\" has %zu bytes; a Unix socket's path holds %d", key->name,
                      strlen(value), SOCKET_MAX_BYTES);
        return false;
    }
    return config_parse_string(loader, key, value, base);
}

static const struct config_word *find_word(struct config_loader *loader,
                                           const struct config_key *key, const char *value) {
    struct config_guess guess = {0};
    char known[128] = "";

    for (const struct config_word *word = key->words; word->text; word++) {
        if (strcmp(value, word->text) == 0)
            return word;
        config_guess_try(&guess, value, word->text);
        const char *joint = word == key->words ? "" : word[1].text ? ", " : " or ";
        snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", joint, word->text);
    }
    config_report(loader, "\"%s\" must be %s, not \"%s\"%s", key->name, known,
                  config_show(loader->raw_value).text, config_guess_hint(&guess).text);
    return NULL;
}

static const char *word_of(const struct config_key *key, int value) {
    const struct config_word *word = key->words;
    while (word->value != value)
        word++;
    return word->text;
}

static bool parse_word(struct config_loader *loader, const struct config_key *key,
                       const char *value, void *base) {
    const struct config_word *word = find_word(loader, key, value);
    if (word)
        *(int *)config_field(key, base) = word->value;
    return word != NULL;
}

static void print_word(const struct config_key *key, const void *base, FILE *out) {
    fprintf(out, "%s = %s\n", key->name, word_of(key, *(const int *)config_const_field(key, base)));
}

static bool parse_flag(struct config_loader *loader, const struct config_key *key,
                       const char *value, void *base) {
    const struct config_word *word = find_word(loader, key, value);
    if (word)
        *(bool *)config_field(key, base) = word->value;
    return word != NULL;
}

static void print_flag(const struct config_key *key, const void *base, FILE *out) {
    fprintf(out, "%s = %s\n", key->name,
            word_of(key, *(const bool *)config_const_field(key, base)));
}

static bool parse_admin(struct config_loader *loader, const struct config_key *key,
                        const char *value, void *base) {
    struct config_address *address = config_field(key, base);
    int rc = config_parse_address(value, address);
    address->line = loader->line;
    return rc == CONFIG_VALUE_OK ||
           config_refuse_value(loader, key, "a numeric address and a port, such as 127.0.0.1:9464");
}

static void print_admin(const struct config_key *key, const void *base, FILE *out) {
    const struct config_address *address = config_const_field(key, base);
    char text[CONFIG_VALUE_TEXT_BYTES] = "";
    if (address->host[0])
        config_format_address(address, text);
    fprintf(out, "%s =%s%s\n", key->name, *text ? " " : "", text);
}

static bool parse_sync(struct config_loader *loader, const struct config_key *key,
                       const char *value, void *base) {
    struct config *config = base;
    config->ring_sync = CONFIG_SYNC_ALWAYS;
    if (strcmp(value, "always") == 0)
        return true;
    config->ring_sync = CONFIG_SYNC_NEVER;
    if (strcmp(value, "never") == 0)
        return true;
    config->ring_sync = CONFIG_SYNC_INTERVAL;
    if (strncmp(value, "interval", 8) == 0 && (value[8] == ' ' || value[8] == '\t')) {
        int rc = config_parse_duration(value + 8 + strspn(value + 8, " \t"), &config->ring_sync_ms);
        if (rc != CONFIG_VALUE_MALFORMED)
            return in_range(loader, key, rc, config->ring_sync_ms, config_format_duration);
    }
    return config_refuse_value(loader, key,
                               "never, always or interval TIME, such as interval 100ms");
}

static void print_sync(const struct config_key *key, const void *base, FILE *out) {
    const struct config *config = base;
    char text[CONFIG_VALUE_TEXT_BYTES] = "";
    if (config->ring_sync == CONFIG_SYNC_INTERVAL)
        config_format_duration(config->ring_sync_ms, text);
    fprintf(out, "%s = %s%s\n", key->name,
            config->ring_sync == CONFIG_SYNC_NEVER    ? "never"
            : config->ring_sync == CONFIG_SYNC_ALWAYS ? "always"
                                                      : "interval ",
            text);
}

static bool parse_listen(struct config_loader *loader, const struct config_key *key,
                         const char *value, void *base) {
    struct config *config = loader->config;
    struct config_address *address = &config->listen[config->listen_count];

    (void)base;
    if (config->listen_count == CONFIG_MAX_LISTEN) {
        config_report(loader, "more than %d \"listen\" lines", CONFIG_MAX_LISTEN);
        return false;
    }
    int rc = config_parse_address(value, address);
    if (rc == CONFIG_VALUE_TOO_LARGE) {
        config_report(loader, "the port of \"listen\" must be from 0 to 65535, not \"%s\"",
                      config_show(loader->raw_value).text);
        return false;
    }
    if (rc)
        return config_refuse_value(
            loader, key, "a numeric address and a port, such as 0.0.0.0:8443 or [::]:8443");
    for (struct config_address *other = config->listen; other < address; other++)
        if (address->port && other->port == address->port &&
            strcasecmp(other->host, address->host) == 0) {
            config_report(loader, "\"listen\" names the address of line %u again", other->line);
            return false;
        }
    address->line = loader->line;
    config->listen_count++;
    return true;
}

static void print_listen(const struct config_key *key, const void *base, FILE *out) {
    const struct config *config = base;
    for (unsigned i = 0; i < config->listen_count; i++) {
        char text[CONFIG_VALUE_TEXT_BYTES];
        config_format_address(&config->listen[i], text);
        fprintf(out, "%s = %s\n", key->name, text);
    }
}

const char *const config_sections[CONFIG_SECTIONS] = {"server",  "ring", "dedupe",
                                                      "privacy", "log",  "endpoint"};

/* --- the table -------------------------------------------------------------------------------- */

static const struct config_kind count_kind = {parse_count, print_count};
static const struct config_kind size_kind = {parse_size, print_size};
static const struct config_kind duration_kind = {parse_duration, print_duration};
static const struct config_kind mode_kind = {parse_mode, print_mode};
static const struct config_kind string_kind = {config_parse_string, config_print_string};
static const struct config_kind file_kind = {parse_file, config_print_string};
static const struct config_kind socket_kind = {parse_socket, config_print_string};
static const struct config_kind word_kind = {parse_word, print_word};
static const struct config_kind flag_kind = {parse_flag, print_flag};
static const struct config_kind sync_kind = {parse_sync, print_sync};
static const struct config_kind admin_kind = {parse_admin, print_admin};
static const struct config_kind listen_kind = {parse_listen, print_listen};

static const struct config_word level_words[] = {{"error", LOG_ERROR},
                                                 {"warning", LOG_WARNING},
                                                 {"info", LOG_INFO},
                                                 {"debug", LOG_DEBUG},
                                                 {NULL, 0}};
static const struct config_word duplicates_words[] = {
    {"drop", BATCH_DROP}, {"mark", BATCH_MARK}, {"off", BATCH_KEEP}, {NULL, 0}};
static const struct config_word format_words[] = {{"logfmt", false}, {"json", true}, {NULL, 0}};
static const struct config_word yes_words[] = {{"no", false}, {"yes", true}, {NULL, 0}};
static const struct config_word mac_words[] = {
    {"plain", PRIVACY_KEEP}, {"pseudonym", PRIVACY_PSEUDONYM}, {"drop", PRIVACY_DROP}, {NULL, 0}};
static const struct config_word personal_words[] = {
    {"keep", PRIVACY_KEEP}, {"pseudonym", PRIVACY_PSEUDONYM}, {"drop", PRIVACY_DROP}, {NULL, 0}};
static const struct config_word unreadable_words[] = {{"refuse", false}, {"keep", true}, {NULL, 0}};

#define SECOND UINT64_C(1000) /* in ms, as durations are kept */
#define HOUR   (3600 * SECOND)
#define KIB    UINT64_C(1024)
#define MIB    (1024 * KIB)
#define GIB    (1024 * MIB)

#define IN(field) offsetof(struct config, field)
#define OF(field) offsetof(struct config_endpoint, field)

/* clang-format off */
const struct config_key config_keys[] = {
    /* section, name, kind, field, flags, default, least, most, words */
    {"server", "listen", &listen_kind, IN(listen), CONFIG_REPEATABLE | CONFIG_FIXED, NULL},
    {"server", "certificate", &file_kind, IN(certificate), CONFIG_REQUIRED, NULL},
    {"server", "private_key", &file_kind, IN(private_key), CONFIG_REQUIRED, NULL},
    {"server", "client_ca", &file_kind, IN(client_ca), CONFIG_MAY_BE_EMPTY, NULL},
    {"server", "socket", &socket_kind, IN(socket), CONFIG_REQUIRED | CONFIG_FIXED, NULL},
    {"server", "socket_mode", &mode_kind, IN(socket_mode), CONFIG_FIXED, "0660"},
    {"server", "socket_group", &string_kind, IN(socket_group), CONFIG_MAY_BE_EMPTY | CONFIG_FIXED, NULL},
    {"server", "max_connections", &count_kind, IN(max_connections), 0, "10000", 1, 1000000},
    {"server", "max_connections_per_ip", &count_kind, IN(max_connections_per_ip), 0, "1000",
        1, 1000000},
    {"server", "header_timeout", &duration_kind, IN(header_timeout_ms), 0, "10s", 100, HOUR},
    {"server", "body_timeout", &duration_kind, IN(body_timeout_ms), 0, "30s", 100, HOUR},
    {"server", "keepalive_timeout", &duration_kind, IN(keepalive_timeout_ms), 0, "75s",
        100, 24 * HOUR},
    {"server", "drain_timeout", &duration_kind, IN(drain_timeout_ms), 0, "10s", 0, HOUR},
    {"server", "max_header_bytes", &size_kind, IN(max_header_bytes), 0, "32K", KIB, MIB},
    {"server", "max_body_bytes", &size_kind, IN(max_body_bytes), 0, "8M", 1, JSON_MAX_BYTES},
    {"server", "max_unauthenticated_body_bytes", &size_kind, IN(max_unauthenticated_body_bytes), 0,
        "4M", 1, JSON_MAX_BYTES},
    {"server", "max_unauthenticated_total", &size_kind, IN(max_unauthenticated_total), 0, "64M", 1,
        1024 * GIB},
    {"server", "admin", &admin_kind, IN(admin), CONFIG_MAY_BE_EMPTY | CONFIG_FIXED, NULL},
    {"server", "admin_secret", &config_secret_kind, IN(admin_secrets), CONFIG_REPEATABLE, NULL,
        1, CONFIG_MAX_SECRETS},
    {"server", "admin_secret_file", &config_secret_file_kind, IN(admin_secrets), CONFIG_REPEATABLE,
        NULL, 1, CONFIG_MAX_SECRETS},
    {"server", "reuse_port", &flag_kind, IN(reuse_port), CONFIG_FIXED, "no", 0, 0, yes_words},
    {"ring", "size", &size_kind, IN(ring_size_bytes), CONFIG_FIXED, "64M", RING_MIN_BYTES, 1024 * GIB},
    {"ring", "file", &string_kind, IN(ring_file), CONFIG_MAY_BE_EMPTY | CONFIG_FIXED, NULL},
    {"ring", "sync", &sync_kind, IN(ring_sync), CONFIG_FIXED, "never", 1, HOUR},
    {"ring", "max_hold", &duration_kind, IN(max_hold_ms), 0, "10m", 1000, 365 * 24 * HOUR},
    {"dedupe", "window", &duration_kind, IN(dedupe_window_ms), 0, "4h", 1000, 365 * 24 * HOUR},
    {"dedupe", "max_ids", &count_kind, IN(dedupe_max_ids), CONFIG_FIXED, "1000000", 1, 1000000000},
    {"dedupe", "mode", &word_kind, IN(dedupe_mode), 0, "drop", 0, 0, duplicates_words},
    {"privacy", "mac", &word_kind, IN(privacy_mac), 0, "plain", 0, 0, mac_words},
    {"privacy", "personal", &word_kind, IN(privacy_personal), 0, "keep", 0, 0, personal_words},
    {"privacy", "key", &config_secret_kind, IN(privacy_key), CONFIG_MAY_BE_EMPTY, NULL,
        CONFIG_MIN_KEY_BYTES, 1},
    {"privacy", "key_file", &config_secret_file_kind, IN(privacy_key), CONFIG_MAY_BE_EMPTY, NULL,
        CONFIG_MIN_KEY_BYTES, 1},
    {"privacy", "rotate", &duration_kind, IN(privacy_rotate_ms), 0, "24h", 60 * SECOND, 366 * 24 * HOUR},
    {"log", "level", &word_kind, IN(log_level), 0, "info", 0, 0, level_words},
    {"log", "format", &flag_kind, IN(log_json), 0, "logfmt", 0, 0, format_words},
    {"endpoint", "path", &config_path_kind, OF(path), CONFIG_REQUIRED, NULL},
    {"endpoint", "provider", &config_provider_kind, OF(sender), CONFIG_REQUIRED, NULL},
    {"endpoint", "auth", &config_auth_kind, OF(auth), 0, NULL},
    {"endpoint", "secret", &config_secret_kind, OF(secrets), CONFIG_REPEATABLE, NULL,
        1, CONFIG_MAX_SECRETS},
    {"endpoint", "secret_file", &config_secret_file_kind, OF(secrets), CONFIG_REPEATABLE, NULL,
        1, CONFIG_MAX_SECRETS},
    {"endpoint", "on_unreadable", &flag_kind, OF(keep_unreadable), 0, NULL, 0, 0,
        unreadable_words},
    {"endpoint", "allow_from", &config_allow_from_kind, OF(allow_from),
        CONFIG_REPEATABLE | CONFIG_MAY_BE_EMPTY, NULL},
    {"endpoint", "rate_limit", &config_rate_limit_kind, OF(rate_limit), CONFIG_MAY_BE_EMPTY, NULL},
    {"endpoint", "identity", &config_identity_kind, OF(identity), 0, NULL},
    {"endpoint", "validator", &string_kind, OF(validator), CONFIG_MAY_BE_EMPTY, NULL},
    {NULL},
};
/* clang-format on */
_Static_assert(sizeof(config_keys) / sizeof(config_keys[0]) <= CONFIG_MAX_KEYS,
               "every key has a place in what a load remembers");
