/* src/auth.h: any scheme, any secrets, any request. A right answer to a secret that is compared as
 * it is stands somewhere in the request; a signature is right where it is the one made here.
 *
 * Input: a byte of the scheme, then texts (a length byte and so many bytes): the name, two secrets,
 * the fields' values; the rest is the body. */
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "fuzz.h"

static struct json_parser *parser;

static void set_secret(struct config_secret *secret, struct span text) {
    secret->len = text.len < CONFIG_MAX_SECRET_BYTES ? text.len : CONFIG_MAX_SECRET_BYTES;
    memcpy(secret->bytes, text.ptr, secret->len);
}

/* A request of one field, made as the parser makes it. */
struct made {
    struct http_request request;
    char head[2048];
};

static void add_field(struct made *made, const char *name, struct span value) {
    struct http_request *request = &made->request;
    struct http_field *field = &request->fields[request->field_count++];
    field->name = request->head_len;
    field->name_len = (uint32_t)strlen(name);
    memcpy(made->head + request->head_len, name, strlen(name));
    request->head_len += field->name_len;
    field->value = request->head_len;
    field->value_len = (uint32_t)value.len;
    memcpy(made->head + request->head_len, value.ptr, value.len);
    request->head_len += field->value_len;
}

/* In upper-case hex, which is as right as lower-case. */
static void sign_hex(const struct config_secret *secret, struct span body, char dst[64]) {
    uint8_t mac[32];
    unsigned len;
    HMAC(EVP_sha256(), secret->bytes, secret->len, (const uint8_t *)body.ptr, body.len, mac, &len);
    for (unsigned i = 0; i < 32; i++) {
        dst[2 * i] = "0123456789ABCDEF"[mac[i] >> 4];
        dst[2 * i + 1] = "0123456789ABCDEF"[mac[i] & 15];
    }
}

static enum auth_result decide(const struct config_endpoint *endpoint, struct made *made,
                               struct span body) {
    enum auth_result result = auth_check_head(endpoint, &made->request);
    if (result != AUTH_NEEDS_BODY)
        return result;
    result = auth_check_body(endpoint, &made->request, 1767607933);
    if (result != AUTH_NEEDS_BODY)
        return result;
    struct json_doc doc;
    struct json_error error;
    char *padded = malloc(body.len + JSON_PADDING);
    memcpy(padded, body.ptr, body.len);
    result = AUTH_WRONG;
    if (json_parse(parser, padded, body.len, &doc, &error) == 0)
        result = auth_check_document(endpoint, &doc);
    free(padded);
    FUZZ_CHECK(result != AUTH_NEEDS_BODY);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct made made;
    static struct config_secret secrets[2];
    char name[256], signature[64];
    struct fuzz_input input = {data, size};
    if (!parser)
        parser = json_parser_new();
    unsigned scheme = fuzz_take_byte(&input);
    struct span name_text = fuzz_take_text(&input);
    memcpy(name, name_text.ptr, name_text.len);
    name[name_text.len] = 0;
    for (int i = 0; i < 2; i++)
        set_secret(&secrets[i], fuzz_take_text(&input));
    struct config_endpoint endpoint = {.auth = (enum auth_scheme)(scheme % 9),
                                       .auth_name = name,
                                       .auth_base64 = scheme >= 128,
                                       .secrets = {&secrets[0], &secrets[1]},
                                       .secret_count = secrets[1].len ? 2 : 1};
    made.request.field_count = 0;
    made.request.head_len = 0;
    made.request.head = made.head;
    struct span value = fuzz_take_text(&input), second = fuzz_take_text(&input);
    struct span third = fuzz_take_text(&input);
    struct span body = span_from((const char *)input.data, input.left);
    char query[256];
    memcpy(query, value.ptr, value.len);
    made.request.query = span_from(query, value.len);
    made.request.body = body;
    bool signs = endpoint.auth == AUTH_HMAC_SHA256 && !endpoint.auth_base64 && name[0];
    if (signs && scheme & 64) {
        sign_hex(&secrets[0], body, signature);
        value = span_from(signature, 64);
    }
    add_field(&made, "Authorization", value);
    if (endpoint.auth == AUTH_HMAC_SHA256 || endpoint.auth == AUTH_HEADER)
        add_field(&made, name, value);
    add_field(&made, "webhook-id", second);
    add_field(&made, "webhook-timestamp", third);
    add_field(&made, "webhook-signature", value);
    add_field(&made, "x-mist-signature-v2", second);
    add_field(&made, "x-mist-signature", value);
    enum auth_result result = decide(&endpoint, &made, body);
    if (result == AUTH_OK && endpoint.auth == AUTH_TOKEN)
        FUZZ_CHECK(
            (secrets[0].len <= value.len &&
             memmem(value.ptr, value.len, secrets[0].bytes, secrets[0].len)) ||
            (secrets[1].len && memmem(value.ptr, value.len, secrets[1].bytes, secrets[1].len)));
    if (signs && scheme & 64 && strcasecmp(name, "authorization"))
        FUZZ_CHECK(result == AUTH_OK);
    return 0;
}
