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
#include "ring.h"

enum {
    PATH_MAX_BYTES = 1024, /* of an endpoint */
    SOCKET_MAX_BYTES = sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
};

/* What config_dump writes for a secret. */
#define MASKED "****"

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

static void *field(const struct config_key *key, void *base) {
    return (char *)base + key->offset;
}

static const void *const_field(const struct config_key *key, const void *base) {
    return (const char *)base + key->offset;
}

/* --- kinds of values -------------------------------------------------------------------------- */

static bool refuse_value(struct config_loader *loader, const struct config_key *key,
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
        return refuse_value(loader, key, "a whole number");
    if (!in_range(loader, key, rc, count, format_count))
        return false;
    *(unsigned *)field(key, base) = (unsigned)count;
    return true;
}

static void print_count(const struct config_key *key, const void *base, FILE *out) {
    fprintf(out, "%s = %u\n", key->name, *(const unsigned *)const_field(key, base));
}

static bool parse_size(struct config_loader *loader, const struct config_key *key,
                       const char *value, void *base) {
    uint64_t bytes;
    int rc = config_parse_size(value, &bytes);
    if (rc == CONFIG_VALUE_MALFORMED)
        return refuse_value(loader, key, "a size such as 4096, 32K, 8M or 1G");
    if (!in_range(loader, key, rc, bytes, config_format_size))
        return false;
    *(size_t *)field(key, base) = (size_t)bytes;
    return true;
}

static void print_size(const struct config_key *key, const void *base, FILE *out) {
    char text[CONFIG_VALUE_TEXT_BYTES];
    config_format_size(*(const size_t *)const_field(key, base), text);
    fprintf(out, "%s = %s\n", key->name, text);
}

static bool parse_duration(struct config_loader *loader, const struct config_key *key,
                           const char *value, void *base) {
    uint64_t ms;
    int rc = config_parse_duration(value, &ms);
    if (rc == CONFIG_VALUE_MALFORMED)
        return refuse_value(loader, key, "a time such as 500ms, 10s, 5m or 1h");
    if (!in_range(loader, key, rc, ms, config_format_duration))
        return false;
    *(uint64_t *)field(key, base) = ms;
    return true;
}

static void print_duration(const struct config_key *key, const void *base, FILE *out) {
    char text[CONFIG_VALUE_TEXT_BYTES];
    config_format_duration(*(const uint64_t *)const_field(key, base), text);
    fprintf(out, "%s = %s\n", key->name, text);
}

static bool parse_mode(struct config_loader *loader, const struct config_key *key,
                       const char *value, void *base) {
    if (config_parse_mode(value, field(key, base)) != CONFIG_VALUE_OK)
        return refuse_value(loader, key, "an octal file mode from 0000 to 0777, such as 0660");
    return true;
}

static void print_mode(const struct config_key *key, const void *base, FILE *out) {
    fprintf(out, "%s = %04o\n", key->name, *(const unsigned *)const_field(key, base));
}

static bool parse_string(struct config_loader *loader, const struct config_key *key,
                         const char *value, void *base) {
    char **string = field(key, base);

    assert(!*string); /* a repeated key never comes here */
    *string = strdup(value);
    if (!*string)
        loader->rc = -ENOMEM;
    return *string != NULL;
}

static void print_string(const struct config_key *key, const void *base, FILE *out) {
    const char *string = *(char *const *)const_field(key, base);
    fprintf(out, string ? "%s = %s\n" : "%s =\n", key->name, string);
}

static bool parse_file(struct config_loader *loader, const struct config_key *key,
                       const char *value, void *base) {
    if (access(value, R_OK) != 0) {
        config_report(loader, "cannot read the %s \"%s\": %s", key->name,
                      config_show(loader->raw_value).text, strerror(errno));
        return false;
    }
    return parse_string(loader, key, value, base);
}

static bool parse_socket(struct config_loader *loader, const struct config_key *key,
                         const char *value, void *base) {
    if (strlen(value) > SOCKET_MAX_BYTES) {
        config_report(loader, "\"%s\" has %zu bytes; a Unix socket's path holds %d", key->name,
                      strlen(value), SOCKET_MAX_BYTES);
        return false;
    }
    return parse_string(loader, key, value, base);
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
        *(int *)field(key, base) = word->value;
    return word != NULL;
}

static void print_word(const struct config_key *key, const void *base, FILE *out) {
    fprintf(out, "%s = %s\n", key->name, word_of(key, *(const int *)const_field(key, base)));
}

static bool parse_flag(struct config_loader *loader, const struct config_key *key,
                       const char *value, void *base) {
    const struct config_word *word = find_word(loader, key, value);
    if (word)
        *(bool *)field(key, base) = word->value;
    return word != NULL;
}

static void print_flag(const struct config_key *key, const void *base, FILE *out) {
    fprintf(out, "%s = %s\n", key->name, word_of(key, *(const bool *)const_field(key, base)));
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
        return refuse_value(loader, key,
                            "a numeric address and a port, such as 0.0.0.0:8443 or [::]:8443");
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

/* --- kinds of values of an endpoint ----------------------------------------------------------- */

static bool parse_path(struct config_loader *loader, const struct config_key *key,
                       const char *value, void *base) {
    const char *problem = NULL;
    if (value[0] != '/')
        problem = "must begin with \"/\"";
    else if (strlen(value) > PATH_MAX_BYTES)
        problem = "is longer than 1024 bytes";
    else if (value[strcspn(value, "?#")])
        problem = "must not contain \"?\" or \"#\": senders' queries are no part of it";
    else if (strchr(value, ' '))
        problem = "must not contain blanks (a comment begins with \" ;\")";
    if (problem) {
        config_report(loader, "\"path\" %s", problem);
        return false;
    }
    for (struct config_endpoint *other = loader->config->endpoints; other != loader->endpoint;
         other = other->next)
        if (other->path && strcmp(other->path, value) == 0) {
            config_report(loader, "\"path\" is the same as that of [endpoint %s] in line %u",
                          other->name, other->line);
            return false;
        }
    return parse_string(loader, key, value, base);
}

static bool parse_provider(struct config_loader *loader, const struct config_key *key,
                           const char *value, void *base) {
    struct config_endpoint *endpoint = base;
    struct config_guess guess = {0};
    char known[256] = "";

    (void)key;
    endpoint->sender = sender_find(span_from_string(value));
    if (endpoint->sender)
        return true;
    for (unsigned i = 0; senders[i]; i++) {
        config_guess_try(&guess, value, senders[i]->name);
        snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "",
                 senders[i]->name);
    }
    if (guess.word)
        config_report(loader, "unknown provider \"%s\"%s", config_show(loader->raw_value).text,
                      config_guess_hint(&guess).text);
    else
        config_report(loader, "unknown provider \"%s\"; known are %s",
                      config_show(loader->raw_value).text, known);
    return false;
}

static void print_provider(const struct config_key *key, const void *base, FILE *out) {
    const struct config_endpoint *endpoint = base;
    fprintf(out, "%s = %s\n", key->name, endpoint->sender->name);
}

static bool parse_secret(struct config_loader *loader, const struct config_key *key,
                         const char *value, void *base) {
    struct config_endpoint *endpoint = base;
    size_t len = strlen(value);

    (void)key;
    if (strcmp(value, MASKED) == 0) {
        config_report(loader,
                      "\"secret\" is masked, as --dump-config writes it; put the real one in");
        return false;
    }
    if (len > CONFIG_MAX_SECRET_BYTES) {
        config_report(loader, "\"secret\" has %zu bytes; at most %d are allowed", len,
                      CONFIG_MAX_SECRET_BYTES);
        return false;
    }
    if (endpoint->secret_count == CONFIG_MAX_SECRETS) {
        config_report(loader, "more than %d \"secret\" lines", CONFIG_MAX_SECRETS);
        return false;
    }
    struct config_secret *secret = calloc(1, sizeof(*secret));
    if (!secret) {
        loader->rc = -ENOMEM;
        return false;
    }
    memcpy(secret->bytes, value, len + 1);
    secret->len = len;
    endpoint->secrets[endpoint->secret_count++] = secret;
    return true;
}

static void print_secret(const struct config_key *key, const void *base, FILE *out) {
    const struct config_endpoint *endpoint = base;
    for (unsigned i = 0; i < endpoint->secret_count; i++)
        fprintf(out, "%s = %s\n", key->name, MASKED);
}

/* A scheme's word, and what follows it. */
static const struct {
    const char *word;
    enum auth_scheme scheme;
    const char *argument; /* what must follow; NULL: nothing may */
} auth_schemes[] = {
    {"none", AUTH_NONE, NULL},
    {"token", AUTH_TOKEN, NULL},
    {"header", AUTH_HEADER, "NAME"},
    {"basic", AUTH_BASIC, "USER"},
    {"query", AUTH_QUERY, "NAME"},
    {"body", AUTH_BODY, "FIELD"},
    {"hmac-sha256", AUTH_HMAC_SHA256, "HEADER [hex|base64]"},
    {"mist", AUTH_MIST, NULL},
    {"standard-webhooks", AUTH_STANDARD_WEBHOOKS, NULL},
};
enum { AUTH_SCHEMES = sizeof(auth_schemes) / sizeof(auth_schemes[0]) };

static bool refuse_auth(struct config_loader *loader, const char *word) {
    char known[256] = "";
    struct config_guess guess = {0};
    for (int i = 0; i < AUTH_SCHEMES; i++) {
        size_t len = strlen(known);
        snprintf(known + len, sizeof(known) - len, "%s%s%s%s",
                 i == 0                  ? ""
                 : i + 1 == AUTH_SCHEMES ? " or "
                                         : ", ",
                 auth_schemes[i].word, auth_schemes[i].argument ? " " : "",
                 auth_schemes[i].argument ? auth_schemes[i].argument : "");
        config_guess_try(&guess, word, auth_schemes[i].word);
    }
    config_report(loader, "\"auth\" must be %s, not \"%s\"%s", known,
                  config_show(loader->raw_value).text, config_guess_hint(&guess).text);
    return false;
}

/* The encoding behind an hmac-sha256's header. */
static bool parse_encoding(struct config_loader *loader, struct config_endpoint *endpoint,
                           const char *encoding) {
    endpoint->auth_base64 = encoding && strcmp(encoding, "base64") == 0;
    if (!encoding || endpoint->auth_base64 || strcmp(encoding, "hex") == 0)
        return true;
    config_report(loader, "behind \"auth\"'s header stands hex or base64, not \"%s\"",
                  config_show(encoding).text);
    return false;
}

static bool parse_auth(struct config_loader *loader, const struct config_key *key,
                       const char *value, void *base) {
    struct config_endpoint *endpoint = base;
    char text[256], *rest = text;
    int i = 0;

    (void)key;
    if (strlen(value) >= sizeof(text))
        return refuse_auth(loader, "");
    strcpy(text, value);
    const char *word = strsep(&rest, " \t");
    while (i < AUTH_SCHEMES && strcmp(word, auth_schemes[i].word) != 0)
        i++;
    if (i == AUTH_SCHEMES)
        return refuse_auth(loader, word);
    rest = rest ? rest + strspn(rest, " \t") : NULL;
    const char *argument = rest ? strsep(&rest, " \t") : NULL;
    if (rest)
        rest += strspn(rest, " \t");
    if (!argument != !auth_schemes[i].argument ||
        (rest && auth_schemes[i].scheme != AUTH_HMAC_SHA256))
        return refuse_auth(loader, word);
    if (!parse_encoding(loader, endpoint, rest))
        return false;
    endpoint->auth = auth_schemes[i].scheme;
    endpoint->auth_name = argument ? strdup(argument) : NULL;
    if (argument && !endpoint->auth_name)
        loader->rc = -ENOMEM;
    return loader->rc == 0;
}

static void print_auth(const struct config_key *key, const void *base, FILE *out) {
    const struct config_endpoint *endpoint = base;
    int i = 0;
    while (auth_schemes[i].scheme != endpoint->auth)
        i++;
    fprintf(out, "%s = %s%s%s%s\n", key->name, auth_schemes[i].word, endpoint->auth_name ? " " : "",
            endpoint->auth_name ? endpoint->auth_name : "",
            endpoint->auth != AUTH_HMAC_SHA256 ? ""
            : endpoint->auth_base64            ? " base64"
                                               : " hex");
}

/* --- the table -------------------------------------------------------------------------------- */

static const struct config_kind count_kind = {parse_count, print_count};
static const struct config_kind size_kind = {parse_size, print_size};
static const struct config_kind duration_kind = {parse_duration, print_duration};
static const struct config_kind mode_kind = {parse_mode, print_mode};
static const struct config_kind string_kind = {parse_string, print_string};
static const struct config_kind file_kind = {parse_file, print_string};
static const struct config_kind socket_kind = {parse_socket, print_string};
static const struct config_kind word_kind = {parse_word, print_word};
static const struct config_kind flag_kind = {parse_flag, print_flag};
static const struct config_kind listen_kind = {parse_listen, print_listen};
static const struct config_kind path_kind = {parse_path, print_string};
static const struct config_kind provider_kind = {parse_provider, print_provider};
static const struct config_kind auth_kind = {parse_auth, print_auth};
static const struct config_kind secret_kind = {parse_secret, print_secret};

static const struct config_word level_words[] = {{"error", LOG_ERROR},
                                                 {"warning", LOG_WARNING},
                                                 {"info", LOG_INFO},
                                                 {"debug", LOG_DEBUG},
                                                 {NULL, 0}};
static const struct config_word duplicates_words[] = {
    {"drop", BATCH_DROP}, {"mark", BATCH_MARK}, {"off", BATCH_KEEP}, {NULL, 0}};
static const struct config_word format_words[] = {{"logfmt", false}, {"json", true}, {NULL, 0}};
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
    {"server", "listen", &listen_kind, IN(listen), CONFIG_REPEATABLE, NULL},
    {"server", "certificate", &file_kind, IN(certificate), CONFIG_REQUIRED, NULL},
    {"server", "private_key", &file_kind, IN(private_key), CONFIG_REQUIRED, NULL},
    {"server", "socket", &socket_kind, IN(socket), CONFIG_REQUIRED, NULL},
    {"server", "socket_mode", &mode_kind, IN(socket_mode), 0, "0660"},
    {"server", "socket_group", &string_kind, IN(socket_group), CONFIG_MAY_BE_EMPTY, NULL},
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
    {"ring", "size", &size_kind, IN(ring_size_bytes), 0, "64M", RING_MIN_BYTES, 1024 * GIB},
    {"dedupe", "window", &duration_kind, IN(dedupe_window_ms), 0, "4h", 1000, 365 * 24 * HOUR},
    {"dedupe", "max_ids", &count_kind, IN(dedupe_max_ids), 0, "1000000", 1, 1000000000},
    {"dedupe", "mode", &word_kind, IN(dedupe_mode), 0, "drop", 0, 0, duplicates_words},
    {"log", "level", &word_kind, IN(log_level), 0, "info", 0, 0, level_words},
    {"log", "format", &flag_kind, IN(log_json), 0, "logfmt", 0, 0, format_words},
    {"endpoint", "path", &path_kind, OF(path), CONFIG_REQUIRED, NULL},
    {"endpoint", "provider", &provider_kind, OF(sender), CONFIG_REQUIRED, NULL},
    {"endpoint", "auth", &auth_kind, OF(auth), 0, NULL},
    {"endpoint", "secret", &secret_kind, OF(secrets), CONFIG_REPEATABLE, NULL},
    {"endpoint", "on_unreadable", &flag_kind, OF(keep_unreadable), 0, NULL, 0, 0,
        unreadable_words},
    {"endpoint", "validator", &string_kind, OF(validator), CONFIG_MAY_BE_EMPTY, NULL},
    {NULL},
};
/* clang-format on */
_Static_assert(sizeof(config_keys) / sizeof(config_keys[0]) <= CONFIG_MAX_KEYS,
               "every key has a place in what a load remembers");
