/* The kinds of values that only an [endpoint] has; see config_keys.h. */
#include "config_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_MAX_BYTES = 1024 }; /* of an endpoint */

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
    return config_parse_string(loader, key, value, base);
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

const struct config_kind config_path_kind = {parse_path, config_print_string};

const struct config_kind config_provider_kind = {parse_provider, print_provider};

const struct config_kind config_auth_kind = {parse_auth, print_auth};

/* --- who may post ------------------------------------------------------------------------------
 */

static bool add_range(struct config_loader *loader, struct config_endpoint *endpoint,
                      const struct address_range *range) {
    if (endpoint->allow_from_count == CONFIG_MAX_ALLOW_FROM) {
        config_report(loader, "more than %d ranges in \"allow_from\"", CONFIG_MAX_ALLOW_FROM);
        return false;
    }
    struct address_range *grown =
        realloc(endpoint->allow_from, (endpoint->allow_from_count + 1) * sizeof(*grown));
    if (!grown) {
        loader->rc = -ENOMEM;
        return false;
    }
    endpoint->allow_from = grown;
    grown[endpoint->allow_from_count++] = *range;
    return true;
}

static bool parse_range(struct config_loader *loader, struct config_endpoint *endpoint,
                        const char *text) {
    struct address_range range;
    char meant[ADDRESS_TEXT_BYTES];
    int rc = address_parse(text, &range);
    if (rc == ADDRESS_OK)
        return add_range(loader, endpoint, &range);
    if (rc == ADDRESS_HOST_BITS) {
        address_format(&range, meant);
        config_report(loader,
                      "\"allow_from\" has \"%s\", which sets bits behind its prefix; did you "
                      "mean \"%s\"?",
                      config_show(text).text, meant);
    } else {
        config_report(loader,
                      "\"allow_from\" must be addresses or ranges such as 192.0.2.0/24 or "
                      "2001:db8::/32, not \"%s\"",
                      config_show(text).text);
    }
    return false;
}

/* Ranges between commas or blanks; several lines add up. */
static bool parse_allow_from(struct config_loader *loader, const struct config_key *key,
                             const char *value, void *base) {
    char *text = strdup(value), *rest = text, *word;
    bool ok = text != NULL;
    (void)key;
    if (!text)
        loader->rc = -ENOMEM;
    while (ok && (word = strsep(&rest, ", \t")))
        ok = !*word || parse_range(loader, base, word);
    free(text);
    return ok;
}

static void print_allow_from(const struct config_key *key, const void *base, FILE *out) {
    const struct config_endpoint *endpoint = base;
    if (!endpoint->allow_from_count)
        fprintf(out, "%s =\n", key->name);
    for (unsigned i = 0; i < endpoint->allow_from_count; i++) {
        char text[ADDRESS_TEXT_BYTES];
        address_format(&endpoint->allow_from[i], text);
        fprintf(out, "%s = %s\n", key->name, text);
    }
}

const struct config_kind config_allow_from_kind = {parse_allow_from, print_allow_from};

static bool parse_rate_limit(struct config_loader *loader, const struct config_key *key,
                             const char *value, void *base) {
    if (quota_parse(value, config_field(key, base)))
        return true;
    return config_refuse_value(loader, key,
                               "a rate such as 200/s, 200/s burst 400, 1000/m or 5000/h (1 to "
                               "1000000 each)");
}

static void print_rate_limit(const struct config_key *key, const void *base, FILE *out) {
    const struct quota_limit *limit = config_const_field(key, base);
    char text[QUOTA_TEXT_BYTES] = "";
    if (limit->count)
        quota_format(limit, text);
    fprintf(out, "%s =%s%s\n", key->name, *text ? " " : "", text);
}

const struct config_kind config_rate_limit_kind = {parse_rate_limit, print_rate_limit};

/* --- which events are the same -----------------------------------------------------------------
 */

static const struct config_word identity_words[] = {{"sender", CONFIG_IDENTITY_SENDER},
                                                    {"body", CONFIG_IDENTITY_BODY},
                                                    {"none", CONFIG_IDENTITY_NONE},
                                                    {NULL, 0}};

static bool parse_identity(struct config_loader *loader, const struct config_key *key,
                           const char *value, void *base) {
    struct config_endpoint *endpoint = base;
    if (strncmp(value, "header", 6) == 0 && (value[6] == ' ' || value[6] == '\t')) {
        const char *name = value + 6 + strspn(value + 6, " \t");
        endpoint->identity = CONFIG_IDENTITY_HEADER;
        endpoint->identity_header = strdup(name);
        if (!endpoint->identity_header)
            loader->rc = -ENOMEM;
        if (!name[strcspn(name, " \t:")])
            return loader->rc == 0;
    }
    for (const struct config_word *word = identity_words; word->text; word++)
        if (strcmp(value, word->text) == 0) {
            endpoint->identity = (enum config_identity)word->value;
            return true;
        }
    return config_refuse_value(loader, key, "sender, body, header NAME or none");
}

static void print_identity(const struct config_key *key, const void *base, FILE *out) {
    const struct config_endpoint *endpoint = base;
    const struct config_word *word = identity_words;
    if (endpoint->identity == CONFIG_IDENTITY_HEADER) {
        fprintf(out, "%s = header %s\n", key->name, endpoint->identity_header);
        return;
    }
    while (word->value != (int)endpoint->identity)
        word++;
    fprintf(out, "%s = %s\n", key->name, word->text);
}

const struct config_kind config_identity_kind = {parse_identity, print_identity};
