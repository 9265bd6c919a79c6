/* src/json.h against a reader of its own (fuzz.c): both take the same texts. What is taken is taken
 * again minified, with the same nodes; strings come through unescape and escape unchanged. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "json.h"

static struct json_parser *parser, *minified_parser;

/* A copy of the exact size and the padding that json_parse needs. */
static char *pad(struct span text) {
    char *copy = malloc(text.len + JSON_PADDING);
    FUZZ_CHECK(copy);
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    memset(copy + text.len, '"', JSON_PADDING);
    return copy;
}

static void check_string(const struct json_doc *doc, uint32_t node) {
    struct span text = json_text(doc, node);
    char *plain = malloc(text.len + 1), *again = malloc(text.len + 1);
    size_t len = json_unescape(text, plain);
    FUZZ_CHECK(len <= text.len);
    FUZZ_CHECK(json_string_equals(doc, node, span_from(plain, len)));
    char *escaped = malloc(6 * len + 1);
    struct span second = span_from(escaped, json_escape(span_from(plain, len), escaped));
    FUZZ_CHECK(second.len <= 6 * len);
    char *room = realloc(again, second.len + 1);
    FUZZ_CHECK(room);
    size_t again_len = json_unescape(second, room);
    FUZZ_CHECK(again_len == len && memcmp(plain, room, len) == 0);
    free(plain);
    free(room);
    free(escaped);
}

/* A flat object read from the indexes says the same as its nodes do once they are written. */
static void check_flat(const struct json_doc *doc, uint32_t object) {
    uint32_t end = doc->nodes[object].next;
    const uint32_t *member = json_flat(doc, object);
    FUZZ_CHECK(doc->nodes[object].type == JSON_OBJECT && end > object + 1);
    json_expand(doc, object);
    FUZZ_CHECK(!(doc->nodes[object].flags & JSON_FLAT));
    for (uint32_t key = object + 1; key < end; key += 2, member += JSON_FLAT_INDEXES) {
        struct json_node name = json_flat_key(member, key);
        struct json_node value = json_flat_value(doc, member, key + 1);
        FUZZ_CHECK(memcmp(&name, &doc->nodes[key], sizeof name) == 0);
        FUZZ_CHECK(memcmp(&value, &doc->nodes[key + 1], sizeof value) == 0);
        FUZZ_CHECK(value.type < JSON_OBJECT && value.next == key + 2);
    }
}

static void check_nodes(const struct json_doc *doc) {
    for (uint32_t i = 0; i < doc->count; i++) {
        const struct json_node *node = &doc->nodes[i];
        if (node->flags & JSON_FLAT)
            check_flat(doc, i);
        FUZZ_CHECK(node->next > i && node->next <= doc->count);
        FUZZ_CHECK((size_t)node->start + node->len <= doc->len);
        if (node->type == JSON_STRING)
            check_string(doc, i);
        if (node->type != JSON_OBJECT)
            continue;
        for (uint32_t key = i + 1; key < node->next; key = doc->nodes[key + 1].next) {
            char *name = malloc(doc->nodes[key].len + 1);
            size_t len = json_unescape(json_text(doc, key), name);
            FUZZ_CHECK(json_find(doc, i, span_from(name, len)) >= key + 1);
            free(name);
        }
    }
}

static void check_minified(const struct json_doc *doc) {
    struct buf once = {0}, twice = {0};
    struct json_doc again;
    struct json_error error;
    FUZZ_CHECK(json_minify(json_raw(doc, 0), &once) == 0);
    FUZZ_CHECK(once.len <= doc->len);
    char *padded = pad(buf_span(&once));
    FUZZ_CHECK(json_parse(minified_parser, padded, once.len, &again, &error) == 0);
    FUZZ_CHECK(again.count == doc->count);
    for (uint32_t i = 0; i < doc->count; i++) {
        json_expand(&again, i);
        FUZZ_CHECK(again.nodes[i].type == doc->nodes[i].type);
        FUZZ_CHECK(again.nodes[i].next == doc->nodes[i].next);
        if (doc->nodes[i].type < JSON_OBJECT)
            FUZZ_CHECK(span_equals(json_raw(&again, i), json_raw(doc, i)));
    }
    FUZZ_CHECK(json_minify(json_raw(&again, 0), &twice) == 0);
    FUZZ_CHECK(span_equals(buf_span(&once), buf_span(&twice)));
    free(padded);
    buf_deinit(&once);
    buf_deinit(&twice);
}

/* Read for its root alone, a text is refused for the same reason at the same place, or has the same
 * root. No input here is long enough to be too dense. */
static void check_root(const char *padded, size_t size, int rc, const struct json_doc *doc,
                       const struct json_error *error) {
    struct json_doc root;
    struct json_error root_error;
    int root_rc = json_parse_scope(minified_parser, JSON_ROOT, padded, size, &root, &root_error);
    FUZZ_CHECK(root_rc == rc);
    if (rc) {
        FUZZ_CHECK(root_error.message == error->message && root_error.offset == error->offset);
        return;
    }
    FUZZ_CHECK(root.count == 1 && root.nodes[0].next == 1);
    FUZZ_CHECK(root.text == doc->text && root.nodes[0].type == doc->nodes[0].type);
    FUZZ_CHECK(root.nodes[0].start == doc->nodes[0].start);
    FUZZ_CHECK(root.nodes[0].len == doc->nodes[0].len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct json_doc doc;
    struct json_error error;
    struct span text = span_from((const char *)data, size);
    if (!parser) {
        parser = json_parser_new();
        minified_parser = json_parser_new();
    }
    char *padded = pad(text);
    int rc = json_parse(parser, padded, size, &doc, &error);
    if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
        text = span_from(text.ptr + 3, size - 3);
    check_root(padded, size, rc, &doc, &error);
    bool expected = fuzz_is_json(text, JSON_MAX_DEPTH);
    if ((rc == 0) != expected)
        FUZZ_FAIL("json_parse %d (%s), the other reader %d", rc, rc ? error.message : "", expected);
    if (rc == 0) {
        check_nodes(&doc);
        check_minified(&doc);
    } else {
        FUZZ_CHECK(rc == JSON_INVALID && error.offset <= size && error.message);
    }
    free(padded);
    return 0;
}
