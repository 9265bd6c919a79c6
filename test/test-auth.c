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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
