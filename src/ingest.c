/* From a whole request to events in the ring and an answer; see ingest.h. */
#include "ingest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth.h"

enum {
    JSON_KEEP_BYTES = 1 << 20
}; /* what a larger body has taken beyond is given back behind it */

/* --- endpoints by path ---------------------------------------------------------------------------
 */

static size_t hash_path(struct span path) {
    uint64_t hash = 14695981039346656037ULL; /* FNV-1a: the table holds only what was configured */
    for (size_t i = 0; i < path.len; i++)
        hash = (hash ^ (unsigned char)path.ptr[i]) * 1099511628211ULL;
    return (size_t)(hash ^ hash >> 32);
}

static const struct config_endpoint *find_endpoint(const struct ingest *ingest, struct span path) {
    for (size_t i = hash_path(path);; i++) {
        const struct config_endpoint *endpoint = ingest->table[i & ingest->table_mask];
        if (!endpoint || span_equals(span_from_string(endpoint->path), path))
            return endpoint;
    }
}

const char *ingest_path_headers(const struct ingest *ingest, struct span path) {
    const struct config_endpoint *endpoint = path.ptr ? find_endpoint(ingest, path) : NULL;
    return endpoint ? endpoint->sender->answer_headers : NULL;
}

static int build_table(struct ingest *ingest) {
    size_t count = 0, slots = 8;
    for (const struct config_endpoint *e = ingest->config->endpoints; e; e = e->next)
        count++;
    while (slots < count * 2)
        slots *= 2;
    ingest->table = calloc(slots, sizeof *ingest->table);
    if (!ingest->table)
        return -ENOMEM;
    ingest->table_mask = slots - 1;
    for (const struct config_endpoint *e = ingest->config->endpoints; e; e = e->next) {
        size_t i = hash_path(span_from_string(e->path));
        while (ingest->table[i & ingest->table_mask])
            i++;
        ingest->table[i & ingest->table_mask] = e;
    }
    return 0;
}

static int open_dedupe(struct ingest *ingest) {
    const struct config *config = ingest->config;
    ingest->batch.mode = (enum batch_duplicates)config->dedupe_mode;
    if (ingest->batch.mode == BATCH_KEEP)
        return 0;
    int rc = dedupe_new(&ingest->dedupe, config->dedupe_max_ids,
                        (uint32_t)(config->dedupe_window_ms / 1000));
    ingest->batch.dedupe = ingest->dedupe;
    return rc;
}

int ingest_init(struct ingest *ingest, const struct config *config, struct ring *ring) {
    *ingest = (struct ingest){.config = config, .ring = ring};
    ingest->json = json_parser_new();
    ingest->gunzip = gunzip_new();
    if (!ingest->json || !ingest->gunzip || build_table(ingest) || open_dedupe(ingest)) {
        ingest_deinit(ingest);
        return -ENOMEM;
    }
    return 0;
}

void ingest_deinit(struct ingest *ingest) {
    json_parser_free(ingest->json);
    gunzip_free(ingest->gunzip);
    buf_deinit(&ingest->inflated);
    batch_deinit(&ingest->batch);
    dedupe_free(ingest->dedupe);
    free(ingest->table);
    *ingest = (struct ingest){0};
}

/* --- answers -------------------------------------------------------------------------------------
 */

static void answer_error(struct ingest_answer *answer, int status, const char *message) {
    int len = snprintf(answer->text, sizeof answer->text, "{\"error\":\"%s\"}\n", message);
    answer->status = status;
    answer->body = span_from(answer->text, (size_t)len);
    answer->content_type = "application/json";
    answer->reason = message;
}

static void answer_unavailable(struct ingest_answer *answer, const char *message) {
    answer_error(answer, 503, message);
    answer->headers = "Retry-After: 1\r\n";
}

/* `message` is static text of ours without quotes; `where` may hold what the peer wrote. */
static void answer_error_at(struct ingest_answer *answer, int status, const char *message,
                            const char *where) {
    char escaped[6 * sizeof(((struct problem *)0)->path)];
    size_t escaped_len = json_escape(span_from_string(where), escaped);
    int len = snprintf(answer->text, sizeof answer->text, "{\"error\":\"%s\",\"at\":\"%.*s\"}\n",
                       message, (int)(escaped_len < 200 ? escaped_len : 0), escaped);
    answer->status = status;
    answer->body = span_from(answer->text, (size_t)len);
    answer->content_type = "application/json";
    answer->reason = status == 422 ? "not this sender's shape" : "not JSON";
}

static void answer_accepted(struct ingest_answer *answer, const struct batch *batch) {
    char *dst = answer->text;
    memcpy(dst, "{\"accepted\":", 12);
    dst += 12;
    dst += text_format_u64(batch->accepted, dst);
    memcpy(dst, ",\"duplicates\":", 14);
    dst += 14;
    dst += text_format_u64(batch->duplicates, dst);
    memcpy(dst, ",\"rejected\":", 12);
    dst += 12;
    dst += text_format_u64(batch->rejected, dst);
    memcpy(dst, "}\n", 2);
    answer->status = 200;
    answer->content_type = "application/json";
    answer->body = span_from(answer->text, (size_t)(dst + 2 - answer->text));
}

/* --- the head ------------------------------------------------------------------------------------
 */

static void answer_auth(struct ingest_answer *answer, enum auth_result result) {
    answer_error(answer, 401,
                 result == AUTH_MISSING   ? "secret missing"
                 : result == AUTH_EXPIRED ? "signed too long ago, or in the future"
                                          : "secret wrong");
    /* RFC 9110, 11.6.1: a 401 names a scheme. */
    answer->headers = "WWW-Authenticate: Bearer realm=\"rollcall\"\r\n";
    if (result == AUTH_TRUNCATED)
        answer->reason = "secret wrong: it is the first 32 characters of the configured one; "
                         "HiveManager cuts tokens there, configure one of at most 32";
}

/* A body that is read before anyone knows whose it is gets a tighter bound, alone and all together.
 */
static bool reserve_body(struct ingest *ingest, struct http_request *request,
                         struct ingest_answer *answer) {
    const struct config *config = ingest->config;
    if (request->max_body_bytes > config->max_unauthenticated_body_bytes)
        request->max_body_bytes = config->max_unauthenticated_body_bytes;
    if (request->content_length > request->max_body_bytes) {
        answer_error(answer, 413, "body too large for one that is signed or holds its secret");
        return false;
    }
    size_t bytes = request->chunked ? request->max_body_bytes : (size_t)request->content_length;
    if (bytes > config->max_unauthenticated_total - ingest->unauthenticated) {
        answer_unavailable(answer, "too many unauthenticated bodies are under way");
        return false;
    }
    ingest->unauthenticated += bytes;
    answer->reserved = bytes;
    return true;
}

void ingest_release(struct ingest *ingest, size_t reserved) {
    ingest->unauthenticated -= reserved;
}

static bool is_get(const struct http_request *request) {
    return request->llhttp_method == HTTP_GET || request->llhttp_method == HTTP_HEAD;
}

static bool is_gzip(struct span coding) {
    return span_equals_nocase(coding, SPAN("gzip")) || span_equals_nocase(coding, SPAN("x-gzip"));
}

/* A sender that looks whether its URL is there; Meraki wants its validator back, and nothing else.
 */
static void answer_get(struct ingest_answer *answer) {
    const struct config_endpoint *endpoint = answer->endpoint;
    if (endpoint->sender->wants_validator && !endpoint->validator) {
        answer_error(answer, 404, "this endpoint has no validator");
        return;
    }
    answer->status = 200;
    answer->content_type = endpoint->validator ? "text/plain" : "application/json";
    answer->body = endpoint->validator ? span_from_string(endpoint->validator) : SPAN("{}\n");
}

/* True where the request may go on to its body. */
static bool check_head(struct ingest *ingest, struct http_request *request,
                       struct ingest_answer *answer) {
    const struct config_endpoint *endpoint = answer->endpoint;
    if (is_get(request) && endpoint->sender->answers_get) {
        answer_get(answer);
        return false;
    }
    if (request->llhttp_method != HTTP_POST) {
        answer_error(answer, 405, "method not allowed: events are posted");
        answer->headers =
            endpoint->sender->answers_get ? "Allow: GET, HEAD, POST\r\n" : "Allow: POST\r\n";
        return false;
    }
    enum auth_result result = auth_check_head(endpoint, request);
    if (result != AUTH_OK && result != AUTH_NEEDS_BODY) {
        answer_auth(answer, result);
        return false;
    }
    struct span coding = http_request_field(request, SPAN("content-encoding"));
    if (coding.len && !is_gzip(coding) && !span_equals_nocase(coding, SPAN("identity"))) {
        answer_error(answer, 415, "content coding not supported");
        answer->headers = "Accept-Encoding: gzip\r\n"; /* RFC 9110, 12.5.3 */
        return false;
    }
    return result == AUTH_OK || reserve_body(ingest, request, answer);
}

enum ingest_verdict ingest_head(struct ingest *ingest, struct http_request *request,
                                struct ingest_answer *answer) {
    answer->headers = NULL;
    answer->reason = NULL;
    answer->reserved = 0;
    answer->endpoint = find_endpoint(ingest, request->path);
    if (!answer->endpoint) {
        ingest->figures.refused++;
        answer_error(answer, 404, "no endpoint has this path");
        return INGEST_ANSWERED;
    }
    ingest->figures.requests++;
    request->user = (void *)answer->endpoint;
    if (check_head(ingest, request, answer))
        return INGEST_GO_ON;
    ingest->figures.refused += answer->status >= 400;
    return INGEST_ANSWERED;
}

/* --- the body ------------------------------------------------------------------------------------
 */

/* A body that cannot be read: refused, or kept as an event where a refusal would be punished. */
static int unreadable(struct batch *batch, struct span body, int status, const char *message,
                      const char *where, struct ingest_answer *answer) {
    answer_error_at(answer, status, message, where);
    if (!answer->endpoint->keep_unreadable)
        return SENDER_WRONG_SHAPE;
    return batch_emit_unreadable(batch, body, message, where);
}

static int read_body(struct ingest *ingest, struct span body, struct ingest_answer *answer) {
    struct batch *batch = &ingest->batch;
    struct json_doc doc;
    struct json_error error;
    struct problem problem = {0};

    if (body.len == 0 && answer->endpoint->sender->empty_is_validation)
        return 0;
    int rc = json_parse(ingest->json, body.ptr, body.len, &doc, &error);
    if (rc == JSON_INVALID) {
        char where[32];
        snprintf(where, sizeof where, "byte %zu", error.offset);
        return unreadable(batch, body, 400, error.message, where, answer);
    }
    if (rc)
        return rc;
    enum auth_result result = auth_check_document(answer->endpoint, &doc);
    if (result != AUTH_OK) {
        answer_auth(answer, result);
        return SENDER_WRONG_SHAPE;
    }
    rc = answer->endpoint->sender->parse(&doc, batch, &problem);
    if (rc == SENDER_WRONG_SHAPE)
        return unreadable(batch, body, 422, problem.message, problem.path, answer);
    return rc;
}

/* The body as it was before its content coding; valid until the next request. False: answered. */
static bool decode_body(struct ingest *ingest, const struct http_request *request,
                        struct span *body, struct ingest_answer *answer) {
    *body = request->body;
    if (!is_gzip(http_request_field(request, SPAN("content-encoding"))))
        return true;
    int rc = gunzip_decode(ingest->gunzip, request->body, request->max_body_bytes, JSON_PADDING,
                           &ingest->inflated);
    *body = buf_span(&ingest->inflated);
    switch (rc) {
    case GUNZIP_OK:
        return true;
    case GUNZIP_INVALID:
        answer_error(answer, 400, "the body is not gzip, though Content-Encoding says so");
        return false;
    case GUNZIP_TOO_LARGE:
        answer_error(answer, 413, "body too large once decoded");
        return false;
    default:
        answer_unavailable(answer, "out of memory");
        return false;
    }
}

/* Signatures are of the bytes as they came. */
static bool check_signature(const struct http_request *request, int64_t now_us,
                            struct ingest_answer *answer) {
    enum auth_result result = auth_check_body(answer->endpoint, request, now_us / 1000000);
    if (result == AUTH_OK || result == AUTH_NEEDS_BODY)
        return true;
    answer_auth(answer, result);
    return false;
}

void ingest_request(struct ingest *ingest, const struct http_request *request, int64_t now_us,
                    struct ingest_answer *answer) {
    struct batch *batch = &ingest->batch;
    const struct config_endpoint *endpoint = request->user;

    answer->headers = NULL;
    answer->reason = NULL;
    answer->endpoint = endpoint;
    struct span body;
    if (!check_signature(request, now_us, answer) || !decode_body(ingest, request, &body, answer)) {
        buf_reset(&ingest->inflated, JSON_KEEP_BYTES);
        ingest->figures.refused++;
        return;
    }
    batch_begin(batch, ingest->ring, span_from_string(endpoint->name),
                span_from_string(endpoint->sender->name), now_us);
    int rc = read_body(ingest, body, answer);
    if (rc == 0) {
        batch_commit(batch);
        ingest->figures.accepted += batch->accepted;
        ingest->figures.duplicates += batch->duplicates;
        ingest->figures.rejected += batch->rejected;
        answer_accepted(answer, batch);
    } else {
        batch_abort(batch);
        ingest->figures.refused++;
        if (rc == SENDER_BATCH_FULL) {
            answer_error(answer, 413, "the events of one post may fill half of the ring at most");
        } else if (rc < 0) {
            answer_unavailable(answer, "out of memory");
        }
    }
    if (body.len > JSON_KEEP_BYTES)
        json_parser_trim(ingest->json, JSON_KEEP_BYTES);
    buf_reset(&ingest->inflated, JSON_KEEP_BYTES);
}
