/* The configuration as text: all of it, and what of it differs from another; see config.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "config_keys.h"

static void dump_section(const char *section, const void *base, FILE *out) {
    for (const struct config_key *key = config_keys; key->section; key++)
        if (strcmp(key->section, section) == 0)
            key->kind->print(key, base, out);
}

void config_dump(const struct config *config, FILE *out) {
    for (int i = 0; i < CONFIG_ENDPOINT; i++) {
        fprintf(out, "%s[%s]\n", i ? "\n" : "", config_sections[i]);
        dump_section(config_sections[i], config, out);
    }
    for (const struct config_endpoint *endpoint = config->endpoints; endpoint;
         endpoint = endpoint->next) {
        fprintf(out, "\n[%s %s]\n", config_sections[CONFIG_ENDPOINT], endpoint->name);
        dump_section(config_sections[CONFIG_ENDPOINT], endpoint, out);
    }
}

/* How a key would be dumped; to be freed. NULL: out of memory. */
static char *print_key(const struct config_key *key, const struct config *config) {
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    key->kind->print(key, config, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

int config_check_reload(const struct config *now, const struct config *next, const char *path,
                        FILE *errors) {
    int rc = 0;
    for (const struct config_key *key = config_keys; key->section && rc >= 0; key++) {
        if (!(key->flags & CONFIG_FIXED))
            continue;
        char *old_text = print_key(key, now), *new_text = print_key(key, next);
        if (!old_text || !new_text) {
            rc = -ENOMEM;
        } else if (strcmp(old_text, new_text) != 0) {
            fprintf(errors, "%s: \"%s\" in [%s] changes only when the node is restarted\n", path,
                    key->name, key->section);
            rc = CONFIG_INVALID;
        }
        free(old_text);
        free(new_text);
    }
    return rc;
}
