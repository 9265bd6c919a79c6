/* Reads the configuration file; see config.h. The keys are in config_keys.c.
 *
 * inih takes the key lines apart and the comments off. Our reader under it does the rest: it counts
 * the lines, reads the section headers itself (inih cuts a name at 49 bytes), takes leading blanks
 * away, so that inih never joins an indented line to the one above, and refuses a line that inih
 * would cut in silence. */
#include "config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "config_keys.h"
#include "config_value.h"
#include "privacy.h"

enum {
    LINE_MAX_BYTES = 4096,
    FILE_MAX_BYTES = 1024 * 1024, /* far past any real one: this is some other file */
    VALUE_MAX_BYTES = 8192,       /* with every ${NAME} put in */
    ENDPOINT_NAME_MAX_BYTES = 64,
};

/* Debian's inih makes its longest line (200) a variable; where it is none, lines stay that short.
 */
extern int ini_max_line __attribute__((weak));

/* Until an endpoint's auth is written or defaulted; what is wrong was reported. */
enum { AUTH_UNSET = -1 };

struct reader {
    struct config_loader loader;
    FILE *file;
    size_t bytes_read;
    bool given_up;    /* what is missing in the rest of the file is not to be complained of */
    bool awaits_pair; /* inih was given a line and has not called back yet */
    /* The section at work; NULL in front of the first and in one that is unknown. */
    const char *section;
    bool in_any_section;
    unsigned section_line;
    struct config_endpoint **endpoints_tail;
    unsigned first_line[CONFIG_SECTIONS]; /* where each sort of section stands first; 0: nowhere */
    unsigned key_line[CONFIG_MAX_KEYS];   /* the same of each key; an endpoint's: of this one */
};

/* --- sections --------------------------------------------------------------------------------- */

/* Where a key stands in the section at work, which is of that sort; 0: nowhere. */
static unsigned line_of(const struct reader *reader, int section, const char *name) {
    for (unsigned i = 0; config_keys[i].section; i++)
        if (strcmp(config_keys[i].section, config_sections[section]) == 0 &&
            strcmp(config_keys[i].name, name) == 0)
            return reader->key_line[i];
    assert(!"a key of the table");
    return 0;
}

/* What the sender really sends, where the configuration does not say. False: it must say. */
static bool set_default_auth(struct config_loader *loader, struct config_endpoint *endpoint) {
    switch (endpoint->sender->auth) {
    case SENDER_AUTH_UNSAID:
        return false;
    case SENDER_AUTH_TOKEN:
        endpoint->auth = AUTH_TOKEN;
        return true;
    case SENDER_AUTH_PATH:
        endpoint->auth = AUTH_NONE;
        return true;
    case SENDER_AUTH_MIST:
        endpoint->auth = AUTH_MIST;
        return true;
    case SENDER_AUTH_BODY:
        endpoint->auth = AUTH_BODY;
        endpoint->auth_name = strdup("secret");
        if (!endpoint->auth_name)
            loader->rc = -ENOMEM;
        return true;
    }
    return false;
}

/* Whether every secret of a standard-webhooks endpoint is one. */
static void check_webhook_secrets(struct config_loader *loader, struct config_endpoint *endpoint,
                                  unsigned line) {
    uint8_t key[CONFIG_MAX_SECRET_BYTES];
    size_t len;
    for (unsigned i = 0; i < endpoint->secret_count; i++) {
        struct span secret = span_from(endpoint->secrets[i]->bytes, endpoint->secrets[i]->len);
        if (!auth_decode_webhook_secret(secret, key, &len))
            config_report_at(loader, line,
                             "a secret of standard-webhooks is \"whsec_\" and base64; this is not");
    }
}

/* What can only be judged or set when all keys of the endpoint are known. */
static void finish_endpoint(struct reader *reader) {
    struct config_loader *loader = &reader->loader;
    struct config_endpoint *endpoint = loader->endpoint;
    unsigned auth_line = line_of(reader, CONFIG_ENDPOINT, "auth");
    unsigned secret_line = line_of(reader, CONFIG_ENDPOINT, "secret");
    if (!secret_line)
        secret_line = line_of(reader, CONFIG_ENDPOINT, "secret_file");

    if (!endpoint->sender)
        return; /* reported already; without it nothing below can be judged */
    if (!line_of(reader, CONFIG_ENDPOINT, "on_unreadable"))
        endpoint->keep_unreadable = endpoint->sender->keep_unreadable;
    if (!auth_line) {
        if (!set_default_auth(loader, endpoint)) {
            config_report_at(loader, reader->section_line,
                             "[endpoint %s] has no \"auth\"; write auth = token with a secret, or "
                             "auth = none to let anyone post",
                             endpoint->name);
            return;
        }
    }
    if (endpoint->auth == (enum auth_scheme)AUTH_UNSET)
        return; /* reported already, too */
    if (endpoint->auth != AUTH_NONE && !secret_line)
        config_report_at(loader, auth_line ? auth_line : reader->section_line,
                         "[endpoint %s] has no \"secret\"; without one, write auth = none",
                         endpoint->name);
    if (endpoint->auth == AUTH_NONE && secret_line)
        config_report_at(loader, secret_line,
                         "\"secret\" has no meaning with auth = none; take one of the two away");
    if (endpoint->auth == AUTH_STANDARD_WEBHOOKS)
        check_webhook_secrets(loader, endpoint, secret_line);
    if (endpoint->auth == AUTH_BODY && endpoint->keep_unreadable)
        config_report_at(loader, reader->section_line,
                         "[endpoint %s] has its secret in the body: with on_unreadable = keep it "
                         "would get into events; write on_unreadable = refuse",
                         endpoint->name);
}

static void finish_server(struct reader *reader) {
    struct config *config = reader->loader.config;
    config->certificate_line = line_of(reader, CONFIG_SERVER, "certificate");
    config->private_key_line = line_of(reader, CONFIG_SERVER, "private_key");
    config->client_ca_line = line_of(reader, CONFIG_SERVER, "client_ca");
    if (config->admin.host[0] && !config_is_loopback(&config->admin) &&
        !line_of(reader, CONFIG_SERVER, "admin_secret") &&
        !line_of(reader, CONFIG_SERVER, "admin_secret_file"))
        config_report_at(&reader->loader, line_of(reader, CONFIG_SERVER, "admin"),
                         "\"admin\" is not a loopback address: whoever reaches it could read every "
                         "event; write admin_secret_file = FILE, or admin = 127.0.0.1:%u",
                         config->admin.port);
}

static void finish_ring(struct reader *reader) {
    struct config_loader *loader = &reader->loader;
    if (loader->config->ring_sync != CONFIG_SYNC_NEVER && !loader->config->ring_file)
        config_report_at(loader, line_of(reader, CONFIG_RING, "sync"),
                         "\"sync\" has no meaning without \"file\": there is nothing to write to");
}

static void finish_privacy(struct reader *reader) {
    struct config_loader *loader = &reader->loader;
    const struct config *config = loader->config;
    bool wanted = config->privacy_mac != PRIVACY_KEEP || config->privacy_personal != PRIVACY_KEEP;
    if (wanted && !line_of(reader, CONFIG_PRIVACY, "key") &&
        !line_of(reader, CONFIG_PRIVACY, "key_file"))
        config_report_at(loader, reader->section_line,
                         "[privacy] has no \"key\"; without one, anyone could try out who an event "
                         "is about: write key = ${ROLLCALL_PRIVACY_KEY} or key_file = FILE");
}

static void close_section(struct reader *reader) {
    if (!reader->section)
        return;
    for (unsigned i = 0; config_keys[i].section; i++) {
        const struct config_key *key = &config_keys[i];
        if (strcmp(key->section, reader->section) == 0 && (key->flags & CONFIG_REQUIRED) &&
            !reader->key_line[i])
            config_report_at(&reader->loader, reader->section_line, "[%s%s%s] has no \"%s\"",
                             key->section, reader->loader.endpoint ? " " : "",
                             reader->loader.endpoint ? reader->loader.endpoint->name : "",
                             key->name);
    }
    if (reader->loader.endpoint)
        finish_endpoint(reader);
    else if (reader->section == config_sections[CONFIG_SERVER])
        finish_server(reader);
    else if (reader->section == config_sections[CONFIG_RING])
        finish_ring(reader);
    else if (reader->section == config_sections[CONFIG_PRIVACY])
        finish_privacy(reader);
    reader->loader.endpoint = NULL;
    reader->section = NULL;
}

static bool is_endpoint_name(const char *name) {
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return len > 0 && len <= ENDPOINT_NAME_MAX_BYTES && name[len] == '\0';
}

static void open_endpoint(struct reader *reader, const char *name) {
    struct config_loader *loader = &reader->loader;
    bool ok = is_endpoint_name(name);

    if (!*name)
        config_report(loader, "an endpoint needs a name, as in [endpoint hq]");
    else if (!ok)
        config_report(loader,
                      "the name of an endpoint is at most %d of A-Z a-z 0-9 . _ -, not \"%s\"",
                      ENDPOINT_NAME_MAX_BYTES, config_show(name).text);
    for (struct config_endpoint *other = loader->config->endpoints; ok && other;
         other = other->next)
        if (strcmp(other->name, name) == 0) {
            config_report(loader, "[endpoint %s] is there already, in line %u", name, other->line);
            break;
        }
    struct config_endpoint *endpoint = calloc(1, sizeof(*endpoint));
    if (!endpoint || !(endpoint->name = strdup(ok ? name : "?"))) {
        free(endpoint);
        loader->rc = -ENOMEM;
        reader->section = NULL;
        return;
    }
    endpoint->line = loader->line;
    endpoint->auth = (enum auth_scheme)AUTH_UNSET;
    *reader->endpoints_tail = endpoint;
    reader->endpoints_tail = &endpoint->next;
    loader->endpoint = endpoint;
}

/* The header's words: its kind and, behind blanks, a name (empty where there is none). */
static void open_section(struct reader *reader, char *kind) {
    struct config_loader *loader = &reader->loader;
    char *name = kind + strcspn(kind, " \t");
    struct config_guess guess = {0};
    int i = 0;

    close_section(reader);
    /* A second endpoint's keys are its own; of another section, those of the first still count. */
    for (unsigned k = 0; config_keys[k].section; k++)
        if (strcmp(config_keys[k].section, config_sections[CONFIG_ENDPOINT]) == 0)
            reader->key_line[k] = 0;
    reader->in_any_section = true;
    reader->section_line = loader->line;
    if (*name)
        *name++ = '\0';
    name += strspn(name, " \t");
    while (i < CONFIG_SECTIONS && strcmp(kind, config_sections[i]) != 0)
        config_guess_try(&guess, kind, config_sections[i++]);
    if (i == CONFIG_SECTIONS) {
        config_report(loader, "unknown section [%s]%s", config_show(kind).text,
                      config_guess_hint(&guess).text);
        return;
    }
    reader->section = config_sections[i];
    if (i == CONFIG_ENDPOINT) {
        open_endpoint(reader, name);
    } else if (*name) {
        config_report(loader, "[%s] takes no name", kind);
    } else if (reader->first_line[i]) {
        config_report(loader, "[%s] is there already, in line %u", kind, reader->first_line[i]);
    }
    if (!reader->first_line[i])
        reader->first_line[i] = loader->line;
}

/* `line` begins with '['. */
static void read_header(struct reader *reader, char *line) {
    char *end = strchr(line, ']');
    char *rest = end ? end + 1 + strspn(end + 1, " \t") : NULL;
    char *name = line + 1 + strspn(line + 1, " \t");

    if (!end || (*rest && *rest != ';' && *rest != '#')) {
        close_section(reader);
        reader->in_any_section = true;
        config_report(&reader->loader, "a section's header must be [NAME] and nothing else");
        return;
    }
    while (end > name && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    open_section(reader, name);
}

/* --- keys and values -------------------------------------------------------------------------- */

/* Keys are lower-case words; anything else may be half of a secret, and is not shown. */
static bool is_key_like(const char *name) {
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz_");
    return len > 0 && len <= CONFIG_SHOWN_BYTES && name[len] == '\0';
}

static void report_unknown_key(struct reader *reader, const char *name) {
    struct config_loader *loader = &reader->loader;
    struct config_guess guess = {0};
    const struct config_key *key;

    for (key = config_keys; key->section; key++)
        if (strcmp(key->section, reader->section) == 0)
            config_guess_try(&guess, name, key->name);
    for (key = config_keys; key->section && strcmp(key->name, name) != 0; key++)
        ;
    if (key->section)
        config_report(loader, "unknown key \"%s\" in [%s]; it belongs into [%s]", name,
                      reader->section, key->section);
    else if (is_key_like(name))
        config_report(loader, "unknown key \"%s\" in [%s]%s", name, reader->section,
                      config_guess_hint(&guess).text);
    else
        config_report(loader, "what stands before the \"=\" is no key of [%s]%s", reader->section,
                      config_guess_hint(&guess).text);
}

static bool append(char *dst, size_t *len, const char *text, size_t text_len) {
    if (text_len >= VALUE_MAX_BYTES - *len)
        return false;
    memcpy(dst + *len, text, text_len);
    *len += text_len;
    dst[*len] = '\0';
    return true;
}

/* The value of the ${NAME} at *text, which is moved behind it; NULL: reported. */
static const char *read_variable(struct config_loader *loader, const char *key, const char **text) {
    const char *name = *text + 2;
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    char variable[CONFIG_SHOWN_BYTES + 1];

    if (name[len] != '}' || !len || len >= sizeof(variable) || isdigit((unsigned char)name[0])) {
        config_report(loader, "\"%s\" has a \"${\" that does not begin a ${NAME}", key);
        return NULL;
    }
    memcpy(variable, name, len);
    variable[len] = '\0';
    *text = name + len + 1;
    const char *value = getenv(variable);
    if (!value)
        config_report(loader, "\"%s\" needs the environment variable %s, which is not set", key,
                      variable);
    return value;
}

/* Copies the value with the environment's variables put in. dst holds VALUE_MAX_BYTES. */
static bool substitute(struct config_loader *loader, const char *key, const char *text, char *dst) {
    size_t len = 0;

    dst[0] = '\0';
    while (*text) {
        const char *piece = text, *open = strstr(text, "${");
        size_t piece_len = open ? (size_t)(open - text) : strlen(text);
        if (open == text) {
            piece = read_variable(loader, key, &text);
            if (!piece)
                return false;
            piece_len = strlen(piece);
        } else {
            text += piece_len;
        }
        if (!append(dst, &len, piece, piece_len)) {
            config_report(loader, "\"%s\" is longer than %d bytes", key, VALUE_MAX_BYTES - 1);
            return false;
        }
    }
    return true;
}

/* What no value may be, whatever its kind. `raw` is as it stands in the file. */
static const char *value_problem(const char *raw, const char *value) {
    size_t raw_len = strlen(raw), len = strlen(value);

    if (raw_len >= 2 && raw[0] == '"' && raw[raw_len - 1] == '"')
        return "stands in quotes; they would be part of the value: take them away";
    for (const unsigned char *p = (const unsigned char *)value; *p; p++)
        if (iscntrl(*p))
            return "contains a control character, such as a tab or a line break";
    if (len && (value[0] == ' ' || value[len - 1] == ' '))
        return "begins or ends with a blank";
    return NULL;
}

static void set_key(struct reader *reader, const struct config_key *key, const char *raw) {
    struct config_loader *loader = &reader->loader;
    char value[VALUE_MAX_BYTES];

    loader->raw_value = raw;
    if (substitute(loader, key->name, raw, value)) {
        const char *problem = value_problem(raw, value);
        void *base = loader->endpoint ? (void *)loader->endpoint : loader->config;
        if (problem)
            config_report(loader, "\"%s\" %s", key->name, problem);
        else if (*value)
            (void)key->kind->parse(loader, key, value, base);
        else if (!(key->flags & CONFIG_MAY_BE_EMPTY))
            config_report(loader, "\"%s\" has no value", key->name);
    }
    loader->raw_value = NULL;
    explicit_bzero(value, sizeof(value));
}

/* inih's handler; 1 always: what is wrong is reported here, not through it. */
static int on_pair(void *user, const char *section, const char *name, const char *value) {
    struct reader *reader = user;
    struct config_loader *loader = &reader->loader;
    unsigned i = 0;

    (void)section; /* inih saw no header: ours are read in read_header */
    reader->awaits_pair = false;
    if (!reader->in_any_section)
        config_report(loader, "a key stands before the first section, such as [server]");
    if (!reader->section)
        return 1;
    while (config_keys[i].section && (strcmp(config_keys[i].section, reader->section) != 0 ||
                                      strcmp(config_keys[i].name, name) != 0))
        i++;
    if (!config_keys[i].section) {
        report_unknown_key(reader, name);
        return 1;
    }
    if (reader->key_line[i] && !(config_keys[i].flags & CONFIG_REPEATABLE)) {
        config_report(loader, "\"%s\" is there already, in line %u", name, reader->key_line[i]);
        return 1;
    }
    if (!reader->key_line[i])
        reader->key_line[i] = loader->line;
    set_key(reader, &config_keys[i], value);
    return 1;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Whether inih made something of the line that it was given last. */
static void check_last_pair(struct reader *reader) {
    if (reader->awaits_pair)
        config_report(&reader->loader, "this is neither \"key = value\" nor [section]");
    reader->awaits_pair = false;
}

enum line { LINE_READ, LINE_END, LINE_TOO_LONG, LINE_HAS_NUL };

/* The next line, without its end, cut to `cap` - 1 bytes. */
static enum line get_line(struct reader *reader, char *line, size_t cap) {
    enum line result = LINE_END;
    size_t len = 0;
    int c = EOF;

    while (reader->bytes_read <= FILE_MAX_BYTES && (c = getc_unlocked(reader->file)) != EOF) {
        reader->bytes_read++;
        if (result == LINE_END)
            result = LINE_READ;
        if (c == '\n')
            break;
        if (c == '\0')
            result = LINE_HAS_NUL;
        else if (len < cap - 1)
            line[len++] = (char)c;
        else if (result == LINE_READ)
            result = LINE_TOO_LONG;
    }
    line[len] = '\0';
    if (c == EOF && ferror(reader->file))
        reader->loader.rc = -errno;
    return result;
}

static char *skip_blanks(char *text) {
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

/* inih's reader: gives it the lines that hold a key, one by one, and deals with all others. */
static char *next_line(char *line, int cap, void *stream) {
    struct reader *reader = stream;
    struct config_loader *loader = &reader->loader;
    /* inih takes a line that fills its buffer for a piece of a longer one. */
    size_t usable = (size_t)cap - 1;
    enum line got;

    check_last_pair(reader);
    while ((got = get_line(reader, line, usable)) != LINE_END) {
        loader->line++;
        if (got == LINE_TOO_LONG) {
            config_report(loader, "the line is longer than %zu bytes", usable - 1);
            continue;
        }
        if (got == LINE_HAS_NUL) {
            config_report(loader, "the line contains a NUL byte: this is no text file");
            reader->given_up = true;
            return NULL;
        }
        bool has_mark = loader->line == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0; /* UTF-8's */
        char *text = skip_blanks(line + (has_mark ? 3 : 0));
        if (*text == '[') {
            text[strcspn(text, "\r")] = '\0';
            read_header(reader, text);
        } else if (*text && *text != ';' && *text != '#') {
            memmove(line, text, strlen(text) + 1);
            reader->awaits_pair = true;
            return line;
        }
    }
    if (reader->bytes_read > FILE_MAX_BYTES) {
        config_report(loader, "the file is larger than 1 MiB: this is no configuration");
        reader->given_up = true;
    }
    return NULL;
}

/* --- the whole -------------------------------------------------------------------------------- */

static void set_defaults(struct config_loader *loader) {
    for (const struct config_key *key = config_keys; key->section; key++) {
        if (!key->fallback)
            continue;
        bool ok = key->kind->parse(loader, key, key->fallback, loader->config);
        assert(ok);
        (void)ok;
    }
}

static void finish_file(struct reader *reader) {
    struct config_loader *loader = &reader->loader;
    struct config *config = loader->config;

    close_section(reader);
    if (!reader->first_line[CONFIG_SERVER])
        config_report_at(loader, 1,
                         "there is no [server] section; certificate, private_key and socket must "
                         "be set");
    if (!reader->first_line[CONFIG_ENDPOINT])
        config_report_at(loader, 1, "there is no [endpoint NAME] section; nothing could be posted");
    if (config->listen_count == 0) {
        strcpy(config->listen[0].host, "0.0.0.0");
        config->listen[0].port = 8443;
        config->listen[0].line = reader->first_line[CONFIG_SERVER];
        config->listen_count = 1;
    }
}

static void parse(struct reader *reader) {
    if (&ini_max_line)
        ini_max_line = LINE_MAX_BYTES + 2; /* a NUL, and the byte that says "not cut" */
    (void)ini_parse_stream(next_line, reader, on_pair, reader); /* see check_last_pair */
    if (reader->loader.rc == 0 && !reader->given_up)
        finish_file(reader);
}

int config_load(struct config **config, const char *path, FILE *errors) {
    struct reader reader = {.loader = {.path = path, .errors = errors}};
    struct config_loader *loader = &reader.loader;

    *config = NULL;
    loader->config = calloc(1, sizeof(*loader->config));
    if (!loader->config) {
        fprintf(errors, "%s: cannot read the configuration: %s\n", path, strerror(ENOMEM));
        return -ENOMEM;
    }
    loader->config->references = 1;
    reader.endpoints_tail = &loader->config->endpoints;
    set_defaults(loader);
    reader.file = fopen(path, "re");
    if (!reader.file)
        loader->rc = -errno;
    else
        parse(&reader);
    if (reader.file)
        fclose(reader.file);
    if (loader->rc)
        fprintf(errors, "%s: cannot read the configuration: %s\n", path, strerror(-loader->rc));
    if (loader->rc || loader->error_count) {
        config_unref(loader->config);
        return loader->rc ? loader->rc : CONFIG_INVALID;
    }
    *config = loader->config;
    return 0;
}

static void endpoint_free(struct config_endpoint *endpoint) {
    for (unsigned i = 0; i < endpoint->secret_count; i++)
        config_secret_free(endpoint->secrets[i]);
    free(endpoint->allow_from);
    free(endpoint->identity_header);
    free(endpoint->name);
    free(endpoint->path);
    free(endpoint->auth_name);
    free(endpoint->validator);
    free(endpoint);
}

struct config *config_ref(struct config *config) {
    config->references++;
    return config;
}

void config_unref(struct config *config) {
    if (!config || --config->references)
        return;
    while (config->endpoints) {
        struct config_endpoint *endpoint = config->endpoints;
        config->endpoints = endpoint->next;
        endpoint_free(endpoint);
    }
    free(config->certificate);
    free(config->private_key);
    free(config->client_ca);
    config_secret_free(config->privacy_key);
    for (unsigned i = 0; i < CONFIG_MAX_SECRETS; i++)
        config_secret_free(config->admin_secrets[i]);
    free(config->socket);
    free(config->socket_group);
    free(config->ring_file);
    free(config);
}
