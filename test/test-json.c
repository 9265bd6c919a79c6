/* The JSON reader: RFC 8259's grammar rule by rule, the nodes' layout, and that nothing is read or
 * written outside what json.h promises. Every text is parsed with its padding ending at a page that
 * may not be touched, once for each of several contents of the padding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "json.h"

/* A struct span over a literal, where static data needs a constant. */
#define S(literal)                                                                                 \
    { (literal), sizeof(literal) - 1 }
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { GUARDED_BYTES = 64 * 1024 };

static struct json_parser *parser;
static char *guarded_end; /* GUARDED_BYTES before it may be used, nothing from it on */

static int setup(void **state) {
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, GUARDED_BYTES + page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + GUARDED_BYTES, page, PROT_NONE))
        return -1;
    guarded_end = memory + GUARDED_BYTES;
    parser = json_parser_new();
    return parser ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    json_parser_free(parser);
    return munmap(guarded_end - GUARDED_BYTES, GUARDED_BYTES + (size_t)sysconf(_SC_PAGESIZE));
}

static int parse_padded(struct span text, char padding, struct json_doc *doc,
                        struct json_error *error) {
    char *place = guarded_end - JSON_PADDING - text.len;
    assert_true(text.len + JSON_PADDING <= GUARDED_BYTES);
    memcpy(place, text.ptr, text.len);
    memset(place + text.len, padding, JSON_PADDING);
    return json_parse(parser, place, text.len, doc, error);
}

/* Parses with every padding, checks that it makes no difference, and keeps the last result. */
static int parse(struct span text, struct json_doc *doc, struct json_error *error) {
    static const char paddings[] = "\0 ,:[{]}\"\\1e.a\xff";
    int first = 0;
    size_t offset = 0;
    for (size_t i = 0; i < sizeof(paddings); i++) {
        int rc = parse_padded(text, paddings[i], doc, error);
        if (i == 0) {
            first = rc;
            offset = rc ? error->offset : 0;
        }
        if (rc != first || (rc && error->offset != offset))
            fail_msg("padding '%c' changes %.*s", paddings[i], SPAN_ARG(text));
        if (rc == 0)
            assert_true(doc->count > 0 && doc->nodes[0].next == doc->count);
    }
    return first;
}

static void assert_accepted(struct span text) {
    struct json_doc doc;
    struct json_error error = {"", 0};
    if (parse(text, &doc, &error) != 0)
        fail_msg("refused: %.*s: %s at %zu", SPAN_ARG(text), error.message, error.offset);
}

static void assert_refused_at(struct span text, size_t offset) {
    struct json_doc doc;
    struct json_error error;
    if (parse(text, &doc, &error) != JSON_INVALID)
        fail_msg("accepted: %.*s", SPAN_ARG(text));
    if (error.offset != offset)
        fail_msg("%.*s: \"%s\" at %zu, not at %zu", SPAN_ARG(text), error.message, error.offset,
                 offset);
}

static void test_accepted(void **state) {
    (void)state;
    static const struct span texts[] = {
        /* a root of any type */
        S("null"), S("true"), S("false"), S("0"), S("-1.5e3"), S("\"\""), S("\"a\""), S("[]"),
        S("{}"),
        /* white space everywhere */
        S(" null "), S("\t\r\n 1\n"), S("[ ]"), S("{ \n}"), S(" [ 1 , 2 ] "),
        S("{ \"a\" : 1 , \"b\" : [ ] }"), S("[\"a\" \n]"), S("[true ,false\t,null\r]"),
        /* structure */
        S("[1,2,3]"), S("[[],[[]],{}]"), S("{\"a\":{\"b\":{\"c\":[{}]}}}"), S("{\"\":\"\"}"),
        S("[{\"a\":1},{\"a\":2}]"), S("{\"a\":1,\"a\":2}"),
        /* numbers */
        S("[0,-0,1,-1,10,0.5,-0.5,1e5,1E5,1e+5,1e-5,1.25E-10,0e0]"),
        S("123456789012345678901234567890"), S("1e400"), S("-1e-400"),
        S("0.1234567890123456789012345678901234567890"),
        /* strings */
        S("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), S("\"\\u0000\\u00e9\\uFFFF\""),
        S("\"\\ud83d\\ude00\""), S("\"\\uD800\\uDC00\\uDBFF\\uDFFF\""), S("\"{}[],:\""),
        S("[\"a\\\\\",\"b\"]"), S("\"\\\\\\\"\""), S("\"\\\\u12\""), S("\"\x7f\""),
        S("\"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\""),
        S("\"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\xf0\x90\x80\x80\xe0\xa0\x80\xc2\x80\""),
        S("\"\xef\xbb\xbf\""),
        /* byte order mark */
        S("\xef\xbb\xbf[1]"), S("\xef\xbb\xbf \"\\n\"")};
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_accepted(texts[i]);
}

struct refusal {
    struct span text;
    size_t offset;
};

static const struct refusal refusals[] = {
    /* nothing there */
    {S(""), 0},
    {S(" \n"), 2},
    {S("\xef\xbb\xbf"), 3},
    {S("\xef\xbb\xbf "), 4},
    /* numbers */
    {S("01"), 0},
    {S("[-]"), 1},
    {S("[-01]"), 1},
    {S("[+1]"), 1},
    {S("[1.]"), 1},
    {S("[.5]"), 1},
    {S("[1,2.e3]"), 3},
    {S("[1e]"), 1},
    {S("[1e+]"), 1},
    {S("1a"), 0},
    {S("0x10"), 0},
    {S("[1-2]"), 1},
    {S("[1.5.5]"), 1},
    {S("[1\0]"), 1},
    {S("[1\x0b]"), 1},
    {S("[1\"a\"]"), 1},
    {S("[1\\]"), 1},
    {S("1."), 0},
    {S("-"), 0},
    {S("1e"), 0},
    {S("[NaN]"), 1},
    {S("[Infinity]"), 1},
    {S("[-Infinity]"), 1},
    /* literals */
    {S("tru"), 0},
    {S("truex"), 0},
    {S("True"), 0},
    {S("[nul]"), 1},
    {S("nulll"), 0},
    {S("fals"), 0},
    {S("falsey"), 0},
    {S("[true\"\"]"), 1},
    {S("[true\0]"), 1},
    {S("undefined"), 0},
    {S("'a'"), 0},
    {S("[a]"), 1},
    {S("[\xc3\xa9]"), 1},
    /* something missing between two tokens, or too much of it */
    {S("12 34"), 3},
    {S("\"a\"\"b\""), 3},
    {S("\"a\"b"), 3},
    {S("[\"a\"b]"), 4},
    {S("[1 2]"), 3},
    {S("[\"a\" \"b\"]"), 5},
    {S("[true false]"), 6},
    {S("[1,]"), 3},
    {S("[,1]"), 1},
    {S("[1,,2]"), 3},
    {S("[,]"), 1},
    {S("[1:2]"), 2},
    {S("[[] []]"), 4},
    {S("{\"a\"}"), 4},
    {S("{\"a\" 1}"), 5},
    {S("{\"a\"::1}"), 5},
    {S("{\"a\":}"), 5},
    {S("{\"a\":1,}"), 7},
    {S("{,\"a\":1}"), 1},
    {S("{\"a\":1 \"b\":2}"), 7},
    {S("{\"a\":1;\"b\":2}"), 5},
    {S("{\"a\",\"b\"}"), 4},
    {S("{1:2}"), 1},
    {S("{null:1}"), 1},
    {S("{[]:1}"), 1},
    {S("{{}:1}"), 1},
    {S("{a:1}"), 1},
    {S(":"), 0},
    {S(","), 0},
    {S("]"), 0},
    {S("}"), 0},
    /* brackets */
    {S("["), 1},
    {S("{"), 1},
    {S("[1"), 2},
    {S("[1,"), 3},
    {S("{\"a\""), 4},
    {S("{\"a\":"), 5},
    {S("{\"a\":1"), 6},
    {S("{\"a\":1,"), 7},
    {S("[1}"), 2},
    {S("{\"a\":1]"), 6},
    {S("[}"), 1},
    {S("{]"), 1},
    {S("[[1]"), 4},
    {S("[{\"a\":[1}]"), 8},
    /* behind the value */
    {S("[1]]"), 3},
    {S("[1],"), 3},
    {S("{} x"), 3},
    {S("null null"), 5},
    {S("{}{}"), 2},
    {S("1,"), 1},
    {S("[]\0"), 2},
    {S("1 // a comment"), 2},
    {S("[1/**/]"), 1},
    /* a second byte order mark, and one inside */
    {S("\xef\xbb\xbf\xef\xbb\xbf[]"), 3},
    {S("[\xef\xbb\xbf]"), 1},
    {S("\xef\xbb\xbf[1,]"), 6},
    {S("\xef\xbb"), 0},
    /* strings */
    {S("\""), 0},
    {S("[\"a"), 1},
    {S("[\"a\",\"b]"), 5},
    {S("\"a\\\""), 0},
    {S("\"\\"), 0},
    {S("\"a\nb\""), 2},
    {S("[\"a\",\"\t\"]"), 6},
    {S("\"\x1f\""), 1},
    {S("\"\0\""), 1},
    {S("\"\\\n\""), 1},
    {S("[\"\\a\"]"), 2},
    {S("[\"\\x41\"]"), 2},
    {S("[\"\\'\"]"), 2},
    {S("[\"\\0\"]"), 2},
    {S("[\"\\U0041\"]"), 2},
    {S("[\"\\\xc3\xa9\"]"), 2},
    {S("[\"\\n\",\"x\\n\\q\"]"), 10},
    {S("{\"\\q\":1}"), 2},
    {S("\"\\u\""), 1},
    {S("\"\\u12\""), 1},
    {S("\"\\u123\""), 1},
    {S("\"\\u123g\""), 1},
    {S("\"\\u 123\""), 1},
    {S("\"\\u-123\""), 1},
    {S("[\"\\u123\",\"4\"]"), 2},
    /* surrogates: alone, reversed, cut */
    {S("\"\\ud800\""), 1},
    {S("\"\\udbffx\""), 1},
    {S("\"\\udc00\""), 1},
    {S("\"\\udfff\""), 1},
    {S("\"\\ude00\\ud83d\""), 1},
    {S("\"\\ud83d\\ud83d\""), 1},
    {S("\"\\ud83d\\u0041\""), 1},
    {S("\"\\ud83d\\ude0\""), 1},
    {S("\"\\ud83d\\\""), 1},
    {S("\"\\ud83d\\n\""), 1},
    {S("\"\\ud83d \\ude00\""), 1},
    {S("[\"\\ud83d\",\"\\ude00\"]"), 2},
    /* backslashes outside of strings */
    {S("\\"), 0},
    {S("[\\\"a\\\"]"), 1},
    {S("[\\\"]"), 1},
    {S("[1,\\n2]"), 3},
    {S("[\"a\"\\,1]"), 4},
    /* UTF-8 (RFC 3629) */
    {S("\"\x80\""), 1},
    {S("\"a\xff\""), 2},
    {S("\"\xc0\x80\""), 1},
    {S("\"\xc1\xbf\""), 1},
    {S("\"\xc3\""), 1},
    {S("\"\xe0\x9f\xbf\""), 1},
    {S("\"\xe2\x82\""), 1},
    {S("\"\xe2\x28\xa1\""), 1},
    {S("\"\xed\xa0\x80\""), 1},
    {S("\"\xed\xbf\xbf\""), 1},
    {S("\"\xf0\x8f\xbf\xbf\""), 1},
    {S("\"\xf0\x9f\x98\""), 1},
    {S("\"\xf4\x90\x80\x80\""), 1},
    {S("\"\xf5\x80\x80\x80\""), 1},
    {S("[\"ok\",\"\xf8\x88\x80\x80\x80\"]"), 7},
    {S("\xff\xfe[\0]\0"), 0},
    {S("[\0"), 1},
};

/* Where simdjson's kernels differ in what they take for a token, so that the offset is either of
 * two: form feed and SUB (structure to the SIMD kernels, not to the portable one). */
static const struct span refused_somewhere[] = {
    S("[\x0c]"),        S("[1\x0c,2]"), S("[1\x0c 2]"), S("[\"a\"\x0c]"), S("{\"a\"\x1a:1}"),
    S("{\"a\"\x1a 1}"), S("[1\x1a]"),   S("[1,\x1a]"),  S("\x0c[]"),      S("[]\x1a"),
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(refused_somewhere); i++) {
        struct json_doc doc;
        struct json_error error;
        assert_int_equal(parse(refused_somewhere[i], &doc, &error), JSON_INVALID);
    }
    for (size_t i = 0; i < COUNT(refusals); i++)
        assert_refused_at(refusals[i].text, refusals[i].offset);
}

/* The first stage works on blocks of 64 and 128 bytes: every rule again at every place in one. */
static void test_refused_at_every_alignment(void **state) {
    (void)state;
    static char spaced[512];
    struct json_doc doc;
    struct json_error error;
    memset(spaced, ' ', sizeof(spaced));
    for (size_t i = 0; i < COUNT(refusals); i++) {
        struct span text = refusals[i].text;
        if (text.len == 0 || text.ptr[0] == '\xef')
            continue;
        for (size_t shift = 0; shift < 140; shift++) {
            memcpy(spaced + shift, text.ptr, text.len);
            if (parse_padded(span_from(spaced, shift + text.len), ' ', &doc, &error) !=
                JSON_INVALID)
                fail_msg("accepted behind %zu blanks: %.*s", shift, SPAN_ARG(text));
            assert_int_equal(error.offset, shift + refusals[i].offset);
            memset(spaced, ' ', shift + text.len);
        }
    }
}

static const struct span sample =
    S("[\n {\"apMac\": \"C413E2008040\", \"ownerId\": 1490, \"a\\u0062\\n\": \"x\\ud83d\\ude00\",\n"
      "  \"observations\": [ {\"ssid\": null, \"rssi\": -89, \"up\": true, \"x\": 10.5e-1},\n"
      "   {\"h\xc3\xa9\": false, \"list\": [[], {}, [1, \"\"]]}]}, {\"y\": \"NaN\"} ]");

static void test_every_prefix_is_refused(void **state) {
    (void)state;
    struct json_doc doc;
    struct json_error error;
    assert_accepted(sample);
    for (size_t len = 0; len < sample.len; len++) {
        assert_int_equal(parse(span_from(sample.ptr, len), &doc, &error), JSON_INVALID);
        assert_true(error.offset <= len);
        assert_non_null(error.message);
    }
}

/* Any byte changed to any other: no crash, and the answer does not depend on the padding. */
static void test_every_byte_changed(void **state) {
    (void)state;
    static char text[512];
    static const char bytes[] = "\"\\{}[],:0-e.tnfu \n\0\x1f\x80\xc3\xf0\xff";
    struct json_doc doc;
    struct json_error error;
    assert_true(sample.len <= sizeof(text));
    for (size_t at = 0; at < sample.len; at++) {
        for (size_t i = 0; i < sizeof(bytes); i++) {
            memcpy(text, sample.ptr, sample.len);
            text[at] = bytes[i];
            int rc = parse(span_from(text, sample.len), &doc, &error);
            assert_true(rc == 0 || (rc == JSON_INVALID && error.offset <= sample.len));
        }
    }
}

static void assert_node(const struct json_doc *doc, uint32_t at, enum json_type type,
                        const char *text, uint32_t next, unsigned flags) {
    assert_true(at < doc->count);
    const struct json_node *node = &doc->nodes[at];
    assert_int_equal(node->type, type);
    assert_int_equal(node->len, strlen(text));
    assert_memory_equal(doc->text + node->start, text, node->len);
    assert_int_equal(node->next, next);
    assert_int_equal(node->flags, flags);
}

static void test_node_layout(void **state) {
    (void)state;
    struct json_doc doc;
    struct json_error error;
    const char *text =
        " {\"a\" : [1, -2.50 ,{} ,[ ] ], \"b\\t\":{\"c\":\"d \" , \"e\":null},\"f\":true} ";
    assert_int_equal(parse(span_from_string(text), &doc, &error), 0);
    assert_int_equal(doc.count, 15);
    assert_int_equal(doc.nodes[0].start, 1);
    assert_int_equal(doc.nodes[0].len, strlen(text) - 2);
    assert_int_equal(doc.nodes[0].next, 15);
    assert_node(&doc, 1, JSON_STRING, "a", 2, 0);
    assert_node(&doc, 2, JSON_ARRAY, "[1, -2.50 ,{} ,[ ] ]", 7, 0);
    assert_node(&doc, 3, JSON_NUMBER, "1", 4, 0);
    assert_node(&doc, 4, JSON_NUMBER, "-2.50", 5, 0);
    assert_node(&doc, 5, JSON_OBJECT, "{}", 6, 0);
    assert_node(&doc, 6, JSON_ARRAY, "[ ]", 7, 0);
    assert_node(&doc, 7, JSON_STRING, "b\\t", 8, JSON_ESCAPED);
    assert_node(&doc, 8, JSON_OBJECT, "{\"c\":\"d \" , \"e\":null}", 13, 0);
    assert_node(&doc, 9, JSON_STRING, "c", 10, 0);
    assert_node(&doc, 10, JSON_STRING, "d ", 11, 0);
    assert_node(&doc, 11, JSON_STRING, "e", 12, 0);
    assert_node(&doc, 12, JSON_NULL, "null", 13, 0);
    assert_node(&doc, 13, JSON_STRING, "f", 14, 0);
    assert_node(&doc, 14, JSON_TRUE, "true", 15, 0);
    assert_true(span_equals(json_raw(&doc, 7), SPAN("\"b\\t\"")));
    assert_true(span_equals(json_text(&doc, 7), SPAN("b\\t")));
    assert_true(span_equals(json_raw(&doc, 6), SPAN("[ ]")));
}

/* Which strings hold a backslash, in a long row of strings of both kinds. */
static void test_escaped_flags(void **state) {
    (void)state;
    static char text[8 * 2000 + 2];
    struct json_doc doc;
    struct json_error error;
    size_t len = 0;
    for (unsigned i = 0; i < 2000; i++) {
        const char *string = i * i % 7 == 2 ? "\"x\\\\\"" : "\"xyz\"";
        text[len++] = i ? ',' : '[';
        memcpy(text + len, string, strlen(string));
        len += strlen(string);
    }
    text[len++] = ']';
    assert_int_equal(parse(span_from(text, len), &doc, &error), 0);
    for (unsigned i = 0; i < 2000; i++)
        assert_int_equal(doc.nodes[i + 1].flags, i * i % 7 == 2 ? JSON_ESCAPED : 0);
}

static void test_numbers_keep_their_digits(void **state) {
    (void)state;
    struct json_doc doc;
    struct json_error error;
    assert_int_equal(
        parse(SPAN("[123456789012345678901234567890 ,1e400,0.10,-0,1E+05]"), &doc, &error), 0);
    assert_true(span_equals(json_text(&doc, 1), SPAN("123456789012345678901234567890")));
    assert_true(span_equals(json_text(&doc, 2), SPAN("1e400")));
    assert_true(span_equals(json_text(&doc, 3), SPAN("0.10")));
    assert_true(span_equals(json_text(&doc, 4), SPAN("-0")));
    assert_true(span_equals(json_raw(&doc, 5), SPAN("1E+05")));
}

/* `depth` containers inside each other, `open` and `close` being one's two halves. */
static struct span nested(const char *open, const char *close, unsigned depth, char *text) {
    size_t len = 0;
    for (unsigned i = 0; i < depth; i++, len += strlen(open))
        memcpy(text + len, open, strlen(open));
    text[len++] = '1';
    for (unsigned i = 0; i < depth; i++, len += strlen(close))
        memcpy(text + len, close, strlen(close));
    return span_from(text, len);
}

static void test_depth(void **state) {
    (void)state;
    static char text[8 * (JSON_MAX_DEPTH + 1)];
    struct json_doc doc;
    struct json_error error;
    assert_accepted(nested("[", "]", JSON_MAX_DEPTH, text));
    assert_refused_at(nested("[", "]", JSON_MAX_DEPTH + 1, text), JSON_MAX_DEPTH);
    assert_accepted(nested("{\"\":", "}", JSON_MAX_DEPTH, text));
    assert_refused_at(nested("{\"\":", "}", JSON_MAX_DEPTH + 1, text), 4 * JSON_MAX_DEPTH);
    assert_accepted(nested("[1,", ",1]", JSON_MAX_DEPTH, text));
    /* Open containers are where nodes are most for the indexes: cut behind the last value. */
    struct span deep = nested("{\"\":", "", JSON_MAX_DEPTH, text);
    assert_int_equal(parse(deep, &doc, &error), JSON_INVALID);
    assert_int_equal(error.offset, deep.len);
}

static void test_big_texts(void **state) {
    (void)state;
    enum { STRING_BYTES = 8 << 20, NUMBERS = 4000000, BRACKETS = 100000 };
    struct json_doc doc;
    struct json_error error;
    char *text = malloc(STRING_BYTES + JSON_PADDING);
    assert_non_null(text);

    memset(text, 'a', STRING_BYTES);
    text[0] = text[STRING_BYTES - 1] = '"';
    assert_int_equal(json_parse(parser, text, STRING_BYTES, &doc, &error), 0);
    assert_int_equal(doc.nodes[0].len, STRING_BYTES - 2);
    memset(text + 1, '\\', STRING_BYTES - 2);
    assert_int_equal(json_parse(parser, text, STRING_BYTES, &doc, &error), 0);
    assert_int_equal(doc.nodes[0].flags, JSON_ESCAPED);

    text[0] = '[';
    for (size_t i = 0; i < NUMBERS; i++) {
        text[1 + 2 * i] = '7';
        text[2 + 2 * i] = ',';
    }
    text[2 * NUMBERS] = ']';
    assert_int_equal(json_parse(parser, text, 2 * NUMBERS + 1, &doc, &error), 0);
    assert_int_equal(doc.count, NUMBERS + 1);
    assert_int_equal(doc.nodes[NUMBERS].start, 2 * NUMBERS - 1);

    memset(text, '[', BRACKETS);
    assert_int_equal(json_parse(parser, text, BRACKETS, &doc, &error), JSON_INVALID);
    assert_int_equal(error.offset, JSON_MAX_DEPTH);
    memset(text, ' ', STRING_BYTES);
    assert_int_equal(json_parse(parser, text, STRING_BYTES, &doc, &error), JSON_INVALID);
    assert_int_equal(error.offset, STRING_BYTES);
    free(text);

    json_parser_trim(parser, 1 << 20);
    assert_accepted(SPAN("[1]"));
    json_parser_trim(parser, 0);
    assert_accepted(SPAN("[1]"));
    assert_int_equal(json_parse(parser, "1", (size_t)JSON_MAX_BYTES + 1, &doc, &error),
                     JSON_INVALID);
}

/* `tokens` of them, an odd number, in a text padded with white space to `len` bytes. */
static int parse_dense(enum json_scope scope, size_t tokens, size_t len) {
    struct json_doc doc;
    struct json_error error = {"", 0};
    char *text = malloc(len + JSON_PADDING);
    assert_non_null(text);
    memset(text, ' ', len);
    text[0] = '[';
    for (size_t i = 1; i < tokens - 1; i += 2) {
        text[i] = '7';
        text[i + 1] = ',';
    }
    text[tokens - 1] = ']';
    int rc = json_parse_scope(parser, scope, text, len, &doc, &error);
    if (rc == 0)
        assert_int_equal(doc.nodes[0].len, tokens);
    else
        assert_string_equal(error.message, "too many values for its length");
    json_parser_trim(parser, 0);
    free(text);
    return rc;
}

static void test_density(void **state) {
    (void)state;
    /* Of 8 n + 7 bytes: the last seven bring nothing. An array has an odd number of tokens. */
    enum { LEN = (4 << 20) + 7 };
    size_t most = JSON_FREE_TOKENS + LEN / 8 * JSON_TOKENS_OF_8;
    assert_int_equal(parse_dense(JSON_NODES, most - 1, LEN), 0);
    assert_int_equal(parse_dense(JSON_NODES, most + 1, LEN), JSON_TOO_DENSE);
    assert_int_equal(parse_dense(JSON_ROOT, LEN, LEN), 0);
    assert_int_equal(parse_dense(JSON_ALL, LEN, LEN), 0);
    /* As dense as can be, within what is free. */
    assert_int_equal(parse_dense(JSON_NODES, (256 << 10) - 1, 256 << 10), 0);
}

static void test_fresh_parser_takes_empty_text(void **state) {
    (void)state;
    struct json_doc doc;
    struct json_error error;
    char padding[JSON_PADDING] = "";
    struct json_parser *fresh = json_parser_new();
    assert_non_null(fresh);
    json_parser_trim(fresh, 0);
    assert_int_equal(json_parse(fresh, padding, 0, &doc, &error), JSON_INVALID);
    json_parser_free(fresh);
    json_parser_free(NULL);
}

static void test_find(void **state) {
    (void)state;
    struct json_doc doc;
    struct json_error error;
    struct span text = SPAN("{\"a\":{\"b\":1,\"z\":[{\"c\":2}]},\"c\":3,\"\\u0064\\n\":4,\"a\":[5],"
                            "\"\":6,\"\\ud83d\\ude00\":7,\"c\":8,\"h\xc3\xa9\":9,\"\\u00e9\":10}");
    assert_int_equal(parse(text, &doc, &error), 0);
    static const struct {
        struct span name;
        struct span raw;
    } cases[] = {
        {S("a"), S("[5]")},                                        /* the last one wins */
        {S("c"), S("8")},                                          /* and not the one further in */
        {S("d\n"), S("4")},                                        /* escaped */
        {S(""), S("6")},          {S("\xf0\x9f\x98\x80"), S("7")}, /* a surrogate pair */
        {S("h\xc3\xa9"), S("9")}, {S("\xc3\xa9"), S("10")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t found = json_find(&doc, 0, cases[i].name);
        assert_int_not_equal(found, 0);
        assert_true(span_equals(json_raw(&doc, found), cases[i].raw));
    }
    static const struct span absent[] = {S("b"),          S("z"), S("d"),    S("d\nx"),
                                         S("\\u0064\\n"), S("A"), S("\xc3"), S("8")};
    for (size_t i = 0; i < COUNT(absent); i++)
        assert_int_equal(json_find(&doc, 0, absent[i]), 0);
    assert_int_equal(json_find(&doc, json_find(&doc, 0, SPAN("a")), SPAN("a")), 0);
    assert_int_equal(json_find(&doc, json_find(&doc, 0, SPAN("c")), SPAN("c")), 0);
    assert_int_equal(json_find(&doc, 2, SPAN("b")), 4);
    assert_false(json_string_equals(&doc, 4, SPAN("1"))); /* a number is no string */
    assert_int_equal(parse(SPAN("{}"), &doc, &error), 0);
    assert_int_equal(json_find(&doc, 0, SPAN("")), 0);
}

static void test_unescape(void **state) {
    (void)state;
    static const struct {
        struct span text;
        struct span meaning;
    } cases[] = {
        {S(""), S("")},
        {S("plain"), S("plain")},
        {S("\\\"\\\\\\/\\b\\f\\n\\r\\t"), S("\"\\/\b\f\n\r\t")},
        {S("\\u0000"), S("\0")},
        {S("\\u007f\\u0080\\u07FF\\u0800\\uffff"),
         S("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf")},
        {S("\\ud800\\udc00\\uDBFF\\uDFFF"), S("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")},
        {S("a\\\\nb\\u0041"), S("a\\nbA")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *dst = guarded_end - cases[i].text.len;
        size_t len = json_unescape(cases[i].text, dst);
        assert_true(span_equals(span_from(dst, len), cases[i].meaning));
    }
}

static void test_escape(void **state) {
    (void)state;
    static const struct {
        struct span text;
        struct span content;
    } cases[] = {
        {S(""), S("")},
        {S("a/b\x7f"), S("a/b\x7f")},
        {S("\"\\\b\f\n\r\t"), S("\\\"\\\\\\b\\f\\n\\r\\t")},
        {S("\0\x01\x1f"), S("\\u0000\\u0001\\u001f")},
        {S("h\xc3\xa9\xf0\x9f\x98\x80"), S("h\xc3\xa9\xf0\x9f\x98\x80")},
        {S("\xff"), S("\xef\xbf\xbd")},
        {S("a\xe2\x82"), S("a\xef\xbf\xbd\xef\xbf\xbd")},
        {S("\xe2\x82\x22"), S("\xef\xbf\xbd\xef\xbf\xbd\\\"")},
        {S("\xed\xa0\x80"), S("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")},
        {S("\xc0\x80"), S("\xef\xbf\xbd\xef\xbf\xbd")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *dst = guarded_end - 6 * cases[i].text.len;
        size_t len = json_escape(cases[i].text, dst);
        assert_true(span_equals(span_from(dst, len), cases[i].content));
    }
    assert_int_equal(json_escape((struct span){0}, guarded_end), 0);
}

/* Every pair of bytes, escaped, is a string's content, and means itself where it was UTF-8. */
static void test_escape_round_trip(void **state) {
    (void)state;
    for (unsigned pair = 0; pair < 0x10000; pair++) {
        char text[2] = {(char)(pair >> 8), (char)pair};
        char string[2 + 6 * sizeof(text) + JSON_PADDING] = "\"";
        char meaning[6 * sizeof(text)];
        struct json_doc doc;
        struct json_error error;
        size_t len = json_escape(span_from(text, sizeof(text)), string + 1);
        string[len + 1] = '"';
        assert_int_equal(json_parse(parser, string, len + 2, &doc, &error), 0);
        size_t meaning_len = json_unescape(json_text(&doc, 0), meaning);
        if ((unsigned char)text[0] < 0x80 && (unsigned char)text[1] < 0x80)
            assert_true(span_equals(span_from(meaning, meaning_len), span_from(text, 2)));
    }
}

/* The nodes of two documents in turn: same types, same content, same shape. */
static void assert_same_meaning(struct span a, struct span b) {
    struct json_parser *other_parser = json_parser_new();
    struct json_doc doc;
    struct json_doc other;
    struct json_error error;
    char *copy = calloc(1, b.len + JSON_PADDING);
    assert_true(other_parser && copy);
    memcpy(copy, b.ptr, b.len);
    assert_int_equal(parse(a, &doc, &error), 0);
    assert_int_equal(json_parse(other_parser, copy, b.len, &other, &error), 0);
    assert_int_equal(doc.count, other.count);
    for (uint32_t i = 0; i < doc.count; i++) {
        json_expand(&doc, i);
        json_expand(&other, i);
        assert_int_equal(doc.nodes[i].type, other.nodes[i].type);
        assert_int_equal(doc.nodes[i].next, other.nodes[i].next);
        if (doc.nodes[i].type < JSON_OBJECT)
            assert_true(span_equals(json_text(&doc, i), json_text(&other, i)));
    }
    free(copy);
    json_parser_free(other_parser);
}

static void test_minify(void **state) {
    (void)state;
    static const struct {
        struct span raw;
        struct span minified;
    } cases[] = {
        {S("1"), S("1")},
        {S("\" a\\\" b \""), S("\" a\\\" b \"")},
        {S("\"\\\\\""), S("\"\\\\\"")},
        {S("[ ]"), S("[]")},
        {S("[ 1 ,\t2\r\n, \" \\\\\" , \" [ \" ]"), S("[1,2,\" \\\\\",\" [ \"]")},
        {S("{\"a b\" : { \"c\" : [ true , null ] } }"), S("{\"a b\":{\"c\":[true,null]}}")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *raw = guarded_end - cases[i].raw.len;
        memcpy(raw, cases[i].raw.ptr, cases[i].raw.len);
        char *dst = malloc(cases[i].raw.len); /* exactly what json.h asks for */
        assert_non_null(dst);
        size_t len = json_minify_to(span_from(raw, cases[i].raw.len), dst);
        assert_true(span_equals(span_from(dst, len), cases[i].minified));
        free(dst);
    }
    struct buf out = {0};
    assert_int_equal(buf_append(&out, "data: ", 6), 0);
    assert_int_equal(json_minify(sample, &out), 0);
    struct span minified = span_from(out.ptr + 6, out.len - 6);
    assert_null(memchr(minified.ptr, ' ', minified.len)); /* the sample has none in its strings */
    assert_null(memchr(minified.ptr, '\n', minified.len));
    assert_same_meaning(sample, minified);
    assert_int_equal(json_minify((struct span){0}, &out), 0);
    buf_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_at_every_alignment),
        cmocka_unit_test(test_every_prefix_is_refused),
        cmocka_unit_test(test_every_byte_changed),
        cmocka_unit_test(test_node_layout),
        cmocka_unit_test(test_escaped_flags),
        cmocka_unit_test(test_numbers_keep_their_digits),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_big_texts),
        cmocka_unit_test(test_fresh_parser_takes_empty_text),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_density),
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_escape_round_trip),
        cmocka_unit_test(test_minify),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
