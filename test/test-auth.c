/* The auth schemes: what passes, what does not, and what deserves a hint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth.h"

static const char token40[] = "0123456789abcdef0123456789ABCDEF01234567";

static struct config_secret *secret(const char *text) {
    struct config_secret *made = calloc(1, sizeof *made);
    made->len = strlen(text);
    memcpy(made->bytes, text, made->len);
    return made;
}

/* A request whose only field is Authorization, or none for NULL. */
static enum auth_result check(const struct config_endpoint *endpoint, const char *authorization) {
    static struct http_request request;
    static char head[600];
    request.head = head;
    request.field_count = 0;
    if (authorization) {
        int len = snprintf(head, sizeof head, "authorization:%s", authorization);
        request.fields[0] = (struct http_field){0, 13, 14, (uint32_t)len - 14};
        request.field_count = 1;
    }
    return auth_check_head(endpoint, &request);
}

static void test_token(void **state) {
    struct config_endpoint endpoint = {.auth = AUTH_TOKEN, .secret_count = 2};
    endpoint.secrets[0] = secret(token40);
    endpoint.secrets[1] = secret("new");
    static const struct {
        const char *value;
        enum auth_result result;
    } cases[] = {
        {NULL, AUTH_MISSING},
        {"", AUTH_MISSING},
        {" ", AUTH_MISSING},
        {"Basic 0123456789abcdef0123456789ABCDEF01234567", AUTH_OK},
        {"Bearer   new", AUTH_OK},
        {"anything new", AUTH_OK},
        {"new", AUTH_OK},
        {"Basic ne", AUTH_WRONG},
        {"Basic new2", AUTH_WRONG},
        {"Basic New", AUTH_WRONG},
        {"Basic", AUTH_WRONG},
        {"Basic new new", AUTH_WRONG},
        {"Basic 0123456789abcdef0123456789ABCDEF", AUTH_TRUNCATED},
        {"Basic 0123456789abcdef0123456789ABCDE", AUTH_WRONG},
        {"Basic 0123456789abcdef0123456789ABCDEf", AUTH_WRONG},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (check(&endpoint, cases[i].value) != cases[i].result)
            fail_msg("%s", cases[i].value ? cases[i].value : "(none)");
    free(endpoint.secrets[0]);
    free(endpoint.secrets[1]);
}

static void test_none(void **state) {
    struct config_endpoint endpoint = {.auth = AUTH_NONE};
    (void)state;
    assert_int_equal(check(&endpoint, NULL), AUTH_OK);
    assert_int_equal(check(&endpoint, "Basic x"), AUTH_OK);
}

/* --- the other schemes --------------------------------------------------------------------------
 */

/* A request with these fields ("Name: value\r\n" each), a query and a body, through the real
 * parser. */
static struct http_request *request(const char *fields, const char *query, const char *body) {
    static struct http_request scratch;
    static struct http_parser parser;
    static struct http_limits limits = {4096, 4096};
    static char chunk[8192];
    int len = snprintf(chunk, sizeof chunk - HTTP_BODY_PADDING,
                       "POST /p?%s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n%s", query,
                       fields, strlen(body), body);
    http_parser_init(&parser, &limits);
    http_feed(&parser, &scratch, chunk, (size_t)len);
    assert_int_equal(http_step(&parser), HTTP_STEP_HEAD);
    assert_int_equal(http_step(&parser), HTTP_STEP_REQUEST);
    return &scratch;
}

static void make_endpoint(struct config_endpoint *endpoint, enum auth_scheme scheme,
                          const char *name, const char *first, const char *second) {
    *endpoint = (struct config_endpoint){.auth = scheme, .auth_name = (char *)name};
    endpoint->secrets[endpoint->secret_count++] = secret(first);
    if (second)
        endpoint->secrets[endpoint->secret_count++] = secret(second);
}

static void free_secrets(struct config_endpoint *endpoint) {
    for (unsigned i = 0; i < endpoint->secret_count; i++)
        free(endpoint->secrets[i]);
}

static void test_header(void **state) {
    struct config_endpoint endpoint;
    (void)state;
    make_endpoint(&endpoint, AUTH_HEADER, "X-Key", "one", "two");
    assert_int_equal(auth_check_head(&endpoint, request("x-key: two\r\n", "", "")), AUTH_OK);
    assert_int_equal(auth_check_head(&endpoint, request("x-key: twO\r\n", "", "")), AUTH_WRONG);
    assert_int_equal(auth_check_head(&endpoint, request("x-kez: two\r\n", "", "")), AUTH_MISSING);
    free_secrets(&endpoint);
}

static void test_basic(void **state) {
    static const struct {
        const char *value;
        enum auth_result result;
    } cases[] = {
        {"Basic YW5uYTpvbmU=", AUTH_OK},                                        /* anna:one */
        {"basic YW5uYTpvbmU=", AUTH_OK},    {"Basic YW5uYTpvbmUy", AUTH_WRONG}, /* anna:one2 */
        {"Basic b3R0bzpvbmU=", AUTH_WRONG},                                     /* otto:one */
        {"Basic YW5uYQ==", AUTH_WRONG},                                         /* anna */
        {"Basic YW5uYTo=", AUTH_WRONG},                                         /* anna: */
        {"Basic %%%", AUTH_WRONG},          {"Bearer YW5uYTpvbmU=", AUTH_MISSING},
    };
    struct config_endpoint endpoint;
    (void)state;
    make_endpoint(&endpoint, AUTH_BASIC, "anna", "one", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char field[128];
        snprintf(field, sizeof field, "Authorization: %s\r\n", cases[i].value);
        if (auth_check_head(&endpoint, request(field, "", "")) != cases[i].result)
            fail_msg("%s", cases[i].value);
    }
    free_secrets(&endpoint);
}

static void test_query(void **state) {
    struct config_endpoint endpoint;
    (void)state;
    make_endpoint(&endpoint, AUTH_QUERY, "token", "a b", NULL);
    assert_int_equal(auth_check_head(&endpoint, request("", "x=1&token=a%20b", "")), AUTH_OK);
    assert_int_equal(auth_check_head(&endpoint, request("", "token=a+b&x", "")), AUTH_OK);
    assert_int_equal(auth_check_head(&endpoint, request("", "token=ab", "")), AUTH_WRONG);
    assert_int_equal(auth_check_head(&endpoint, request("", "tokens=a+b", "")), AUTH_MISSING);
    free_secrets(&endpoint);
}

/* Computed with another implementation (Python's hmac) over the same texts. */
static const char mist_body[] = "{\"topic\":\"ping\",\"events\":[{\"timestamp\":1700000000}]}";
#define MIST_V2 "827be6f877c6b5969d46dc5f9cc6c9700aedd3ff588afdcb25d7e510bbb98ccc"
#define MIST_V1 "bb37bee2275e2cf7e3b86eb78816f83e660742a8"

static void test_mist(void **state) {
    static const struct {
        const char *fields;
        enum auth_result head, body;
    } cases[] = {
        {"X-Mist-Signature-v2: " MIST_V2 "\r\n", AUTH_NEEDS_BODY, AUTH_OK},
        {"X-Mist-Signature: " MIST_V1 "\r\n", AUTH_NEEDS_BODY, AUTH_OK},
        {"X-Mist-Signature-v2: " MIST_V2 "\r\nX-Mist-Signature: 00\r\n", AUTH_NEEDS_BODY, AUTH_OK},
        {"X-Mist-Signature-v2: 00\r\nX-Mist-Signature: " MIST_V1 "\r\n", AUTH_NEEDS_BODY,
         AUTH_WRONG},
        {"X-Mist-Signature-v2: " MIST_V1 "\r\n", AUTH_NEEDS_BODY, AUTH_WRONG},
        {"X-Mist-Signature: " MIST_V2 "\r\n", AUTH_NEEDS_BODY, AUTH_WRONG},
        {"", AUTH_MISSING, AUTH_WRONG},
    };
    struct config_endpoint endpoint;
    (void)state;
    make_endpoint(&endpoint, AUTH_MIST, NULL, "other", "s3cret");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_request *made = request(cases[i].fields, "", mist_body);
        assert_int_equal(auth_check_head(&endpoint, made), cases[i].head);
        if (auth_check_body(&endpoint, made, 0) != cases[i].body)
            fail_msg("%s", cases[i].fields);
    }
    struct http_request *changed = request(cases[0].fields, "", "{\"topic\":\"pong\"}");
    assert_int_equal(auth_check_body(&endpoint, changed, 0), AUTH_WRONG);
    free_secrets(&endpoint);
}

static void test_hmac(void **state) {
    struct config_endpoint endpoint;
    (void)state;
    make_endpoint(&endpoint, AUTH_HMAC_SHA256, "X-Sig", "s3cret", NULL);
    struct http_request *made =
        request("X-Sig: 827BE6f877c6b5969d46dc5f9cc6c9700aedd3ff588afdcb25d7e"
                "510bbb98ccc\r\n",
                "", mist_body);
    assert_int_equal(auth_check_head(&endpoint, made), AUTH_NEEDS_BODY);
    assert_int_equal(auth_check_body(&endpoint, made, 0), AUTH_OK);
    assert_int_equal(auth_check_head(&endpoint, request("", "", "")), AUTH_MISSING);
    endpoint.auth_base64 = true;
    made = request("X-Sig: gnvm+HfGtZadRtxfnMbJcArt0/9Yiv3LJdflELu5jMw=\r\n", "", mist_body);
    assert_int_equal(auth_check_body(&endpoint, made, 0), AUTH_OK);
    made = request("X-Sig: GNVM+HfGtZadRtxfnMbJcArt0/9Yiv3LJdflELu5jMw=\r\n", "", mist_body);
    assert_int_equal(auth_check_body(&endpoint, made, 0), AUTH_WRONG);
    free_secrets(&endpoint);
}

static void test_standard_webhooks(void **state) {
#define STANDARD  "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\r\nwebhook-timestamp: 1614265330\r\n"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    static const char body[] = "{\"test\": 2432232314}";
    static const struct {
        const char *fields;
        int64_t now_s;
        enum auth_result result;
    } cases[] = {
        {STANDARD "webhook-signature: " SIGNATURE "\r\n", 1614265330, AUTH_OK},
        {STANDARD "webhook-signature: v1a,xyz v1,AAAA " SIGNATURE "\r\n", 1614265330, AUTH_OK},
        {STANDARD "webhook-signature: " SIGNATURE "\r\n", 1614265330 + 300, AUTH_OK},
        {STANDARD "webhook-signature: " SIGNATURE "\r\n", 1614265330 + 301, AUTH_EXPIRED},
        {STANDARD "webhook-signature: " SIGNATURE "\r\n", 1614265330 - 300, AUTH_OK},
        {STANDARD "webhook-signature: " SIGNATURE "\r\n", 1614265330 - 301, AUTH_EXPIRED},
        {STANDARD "webhook-signature: v1,g1hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\r\n",
         1614265330, AUTH_WRONG},
        {STANDARD "webhook-signature: v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\r\n",
         1614265330, AUTH_WRONG},
    };
    struct config_endpoint endpoint;
    (void)state;
    make_endpoint(&endpoint, AUTH_STANDARD_WEBHOOKS, NULL, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                  "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_request *made = request(cases[i].fields, "", body);
        assert_int_equal(auth_check_head(&endpoint, made), AUTH_NEEDS_BODY);
        if (auth_check_body(&endpoint, made, cases[i].now_s) != cases[i].result)
            fail_msg("%s", cases[i].fields);
    }
    assert_int_equal(auth_check_head(&endpoint, request(STANDARD, "", body)), AUTH_MISSING);
    free_secrets(&endpoint);
}

static void expect_document(const char *text, enum auth_result result) {
    char padded[256] = "";
    struct config_endpoint endpoint;
    struct json_parser *parser = json_parser_new();
    struct json_doc doc;
    struct json_error error;
    make_endpoint(&endpoint, AUTH_BODY, "secret", "s3cret", NULL);
    strcpy(padded, text);
    assert_int_equal(json_parse(parser, padded, strlen(text), &doc, &error), 0);
    if (auth_check_document(&endpoint, &doc) != result)
        fail_msg("%s", text);
    free_secrets(&endpoint);
    json_parser_free(parser);
}

static void test_body(void **state) {
    (void)state;
    expect_document("{\"data\":{\"secret\":\"x\"},\"secret\":\"s3cret\"}", AUTH_OK);
    expect_document("{\"secret\":\"s3\\u0063ret\"}", AUTH_OK);
    expect_document("{\"secret\":\"s3cret\",\"secret\":\"x\"}", AUTH_WRONG); /* the last counts */
    expect_document("{\"secret\":\"s3cre\"}", AUTH_WRONG);
    expect_document("{\"secret\":7}", AUTH_MISSING);
    expect_document("{\"secret\":\"\"}", AUTH_MISSING);
    expect_document("[\"s3cret\"]", AUTH_MISSING);
}

/* --- what a comparison takes --------------------------------------------------------------------
 */

#define LONG_SECRET                                                                                \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* For analysis/secret_timing.py, which counts its instructions: a post with this secret, or this
 * signature (of an empty body). The right secret is longer than what memcmp looks at in one go. */
static int compare_once(const char *scheme, const char *given) {
    struct config_endpoint endpoint;
    char fields[256], query[256] = "";
    enum auth_result result;
    snprintf(fields, sizeof fields, "X-Key: %s\r\n", given);
    make_endpoint(&endpoint, AUTH_HEADER, "X-Key", LONG_SECRET, "another");
    if (strcmp(scheme, "token") == 0) {
        endpoint.auth = AUTH_TOKEN;
        snprintf(fields, sizeof fields, "Authorization: Basic %s\r\n", given);
    } else if (strcmp(scheme, "query") == 0) {
        endpoint.auth = AUTH_QUERY;
        snprintf(query, sizeof query, "X-Key=%s", given);
    } else if (strcmp(scheme, "hmac") == 0) {
        endpoint.auth = AUTH_HMAC_SHA256;
    }
    const struct http_request *post = request(fields, query, "");
    result = auth_check_head(&endpoint, post);
    if (result == AUTH_NEEDS_BODY)
        result = auth_check_body(&endpoint, post, 0);
    free_secrets(&endpoint);
    return result == AUTH_OK ? 0 : result == AUTH_WRONG ? 3 : 4;
}

int main(int argc, char **argv) {
    if (argc == 3)
        return compare_once(argv[1], argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token),  cmocka_unit_test(test_none),
        cmocka_unit_test(test_header), cmocka_unit_test(test_basic),
        cmocka_unit_test(test_query),  cmocka_unit_test(test_mist),
        cmocka_unit_test(test_hmac),   cmocka_unit_test(test_standard_webhooks),
        cmocka_unit_test(test_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
