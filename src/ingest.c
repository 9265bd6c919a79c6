/* From a whole request to events in the ring and an answer; see ingest.h. */
#include "ingest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth.h"

enum {
    JSON_KEEP_BYTES = 1 << 20
}; /* what a larger body has taken beyond is given back behind it */

/* --- the beginning -------------------------------------------------------------------------------
 */

const char *ingest_path_headers(const struct ingest *ingest, struct span path) {
    const struct route *route = path.ptr ? routes_find(ingest->routes, path) : NULL;
    return route ? route->endpoint->sender->answer_headers : NULL;
}

/* The id of a record's event: every line begins {"seq":N,"id":"<32 hex>". */
static bool id_of(const struct ring_record *record, uint8_t id[HASH_BYTES]) {
    struct span line = ring_record_line(record);
    const char *hex = line.len > 64 ? memmem(line.ptr, 64, "\"id\":\"", 6) : NULL;
    if (!hex || (size_t)(hex + 6 - line.ptr) + 2 * HASH_BYTES > line.len)
        return false;
    for (unsigned i = 0; i < HASH_BYTES; i++) {
        int high = text_hex_value(hex[6 + 2 * i]), low = text_hex_value(hex[7 + 2 * i]);
        if (high < 0 || low < 0)
            return false;
        id[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* The events of a ring that outlived its process were seen, whatever the ids' own file says. */
static int restore_ids(struct dedupe *dedupe, const struct ring *ring) {
    struct ring_cursor cursor = ring_oldest(ring);
    const struct ring_record *record;
    uint8_t id[HASH_BYTES];
    int rc = 0;
    while (rc == 0 && ring_next(ring, &cursor, &record) == RING_OK)
        if (id_of(record, id))
            rc = dedupe_restore(dedupe, id, (uint32_t)(record->received_us / 1000000));
    return rc;
}

/* Beside the ring's file, or in memory. */
static int open_dedupe(const struct config *config, const struct ring *ring,
                       struct dedupe **dedupe) {
    uint32_t window_s = (uint32_t)(config->dedupe_window_ms / 1000);
    char *path = NULL;
    if (!config->ring_file)
        return dedupe_new(dedupe, config->dedupe_max_ids, window_s);
    if (asprintf(&path, "%s.ids", config->ring_file) < 0)
        return -ENOMEM;
    int rc = dedupe_open(dedupe, path, config->dedupe_max_ids, window_s);
    free(path);
    return rc < 0 ? rc : restore_ids(*dedupe, ring);
}

/* What a configuration makes anew. The duplicates' memory is as large as it was at the start. */
int ingest_prepare(struct ingest *ingest, struct config *config, struct ingest_parts *parts) {
    const struct privacy_options options = {
        .mac = (enum privacy_mode)config->privacy_mac,
        .personal = (enum privacy_mode)config->privacy_personal,
        .key = config->privacy_key ? span_from(config->privacy_key->bytes, config->privacy_key->len)
                                   : (struct span){0},
        .rotate_ms = config->privacy_rotate_ms,
    };
    bool is_private = options.mac != PRIVACY_KEEP || options.personal != PRIVACY_KEEP;
    *parts = (struct ingest_parts){0};
    int rc = routes_new(&parts->routes, config, ingest->routes);
    if (rc == 0 && is_private)
        rc = privacy_new(&parts->privacy, &options);
    if (rc == 0 && config->dedupe_mode != BATCH_KEEP && !ingest->dedupe)
        rc = open_dedupe(config, ingest->ring, &parts->dedupe);
    if (rc)
        ingest_discard(parts);
    return rc;
}

void ingest_discard(struct ingest_parts *parts) {
    routes_unref(parts->routes);
    privacy_free(parts->privacy);
    dedupe_free(parts->dedupe);
    *parts = (struct ingest_parts){0};
}

void ingest_apply(struct ingest *ingest, struct ingest_parts *parts) {
    routes_unref(ingest->routes);
    privacy_free(ingest->batch.privacy);
    ingest->routes = parts->routes;
    ingest->config = parts->routes->config;
    ingest->batch.privacy = parts->privacy;
    if (parts->dedupe)
        ingest->dedupe = parts->dedupe;
    ingest->batch.mode = (enum batch_duplicates)ingest->config->dedupe_mode;
    ingest->batch.dedupe = ingest->batch.mode == BATCH_KEEP ? NULL : ingest->dedupe;
    if (ingest->dedupe)
        dedupe_set_window(ingest->dedupe, (uint32_t)(ingest->config->dedupe_window_ms / 1000));
    *parts = (struct ingest_parts){0};
}

int ingest_init(struct ingest *ingest, struct config *config, struct ring *ring) {
    struct ingest_parts parts;
    *ingest = (struct ingest){.ring = ring};
    ingest->json = json_parser_new();
    ingest->gunzip = gunzip_new();
    int rc = ingest->json && ingest->gunzip ? ingest_prepare(ingest, config, &parts) : -ENOMEM;
    if (rc == 0)
        ingest_apply(ingest, &parts);
    else
        ingest_deinit(ingest);
    return rc;
}

void ingest_deinit(struct ingest *ingest) {
    json_parser_free(ingest->json);
    gunzip_free(ingest->gunzip);
    buf_deinit(&ingest->inflated);
    privacy_free(ingest->batch.privacy);
    batch_deinit(&ingest->batch);
    dedupe_free(ingest->dedupe);
    routes_unref(ingest->routes);
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
    answer->where[0] =
        0; /* of a body that was to be kept as unreadable, and is refused all the same */
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
    answer->reason = status == 422   ? "not this sender's shape"
                     : status == 413 ? "too many values for its length"
                                     : "not JSON";
    snprintf(answer->where, sizeof answer->where, "%s", where);
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
    answer->hold.reserved = bytes;
    return true;
}

void ingest_release(struct ingest *ingest, struct ingest_hold *hold) {
    ingest->unauthenticated -= hold->reserved;
    if (hold->route)
        routes_unref(hold->route->routes);
    *hold = (struct ingest_hold){0};
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

static bool is_allowed(const struct config_endpoint *endpoint, const struct in6_addr *peer) {
    unsigned i = 0;
    while (i < endpoint->allow_from_count && !address_matches(&endpoint->allow_from[i], peer))
        i++;
    return i < endpoint->allow_from_count || !endpoint->allow_from_count;
}

/* RFC 6585, 4. Only who has shown the secret, or may still show it in the body, counts: strangers
 * cannot use up what a sender may post. */
static bool take_quota(struct route *route, int64_t now_us, struct ingest_answer *answer) {
    int64_t wait_us = quota_take(&route->state->quota, &route->endpoint->rate_limit, now_us);
    if (wait_us == 0)
        return true;
    answer_error(answer, 429, "more requests than rate_limit allows");
    snprintf(answer->header_text, sizeof answer->header_text, "Retry-After: %lld\r\n",
             (long long)(wait_us + 999999) / 1000000);
    answer->headers = answer->header_text;
    return false;
}

/* True where the request may go on to its body. */
static bool check_head(struct ingest *ingest, struct route *route, struct http_request *request,
                       const struct ingest_peer *peer, struct ingest_answer *answer) {
    const struct config_endpoint *endpoint = answer->endpoint;
    if (!is_allowed(endpoint, &peer->address)) {
        answer_error(answer, 403, "this address may not post here");
        return false;
    }
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
    if (ingest->disk_failed) {
        answer_unavailable(answer, "events cannot be written to disk");
        return false;
    }
    return take_quota(route, peer->now_us, answer) &&
           (result == AUTH_OK || reserve_body(ingest, request, answer));
}

static void note_trouble(struct route_trouble *trouble, int64_t now_us,
                         const struct ingest_answer *answer) {
    trouble->time_us = now_us;
    trouble->reason = answer->reason;
    trouble->status = answer->status;
    memcpy(trouble->where, answer->where, sizeof trouble->where);
}

static void count_answer(struct ingest *ingest, struct route_state *state, int64_t now_us,
                         const struct ingest_answer *answer) {
    route_count_code(state->codes, answer->status);
    if (answer->status >= 400) {
        ingest->figures.refused++;
        note_trouble(&state->last_error, now_us, answer);
    } else if (answer->reason) {
        note_trouble(&state->last_unread, now_us, answer);
    }
}

void ingest_count_bad(struct ingest *ingest, const struct route *route, int status) {
    ingest->figures.refused++;
    route_count_code(route ? route->state->codes : ingest->strangers, status);
}

static void count_events(struct ingest *ingest, struct route_state *state, int64_t now_us) {
    const struct batch *batch = &ingest->batch;
    ingest->figures.accepted += batch->accepted;
    ingest->figures.duplicates += batch->duplicates;
    ingest->figures.rejected += batch->rejected;
    state->accepted += batch->accepted;
    state->duplicates += batch->duplicates;
    state->rejected += batch->rejected;
    state->late += batch->late;
    if (batch->accepted || batch->duplicates)
        state->last_event_us = now_us;
    for (unsigned i = 0; i < batch->kind_count; i++)
        route_count_events(state, span_from(batch->kinds[i].name, batch->kinds[i].len),
                           batch->kinds[i].count);
}

enum ingest_verdict ingest_head(struct ingest *ingest, struct http_request *request,
                                const struct ingest_peer *peer, struct ingest_answer *answer) {
    answer->headers = NULL;
    answer->reason = NULL;
    answer->where[0] = 0;
    answer->hold = (struct ingest_hold){0};
    struct route *route = routes_find(ingest->routes, request->path);
    answer->endpoint = route ? route->endpoint : NULL;
    if (!route) {
        ingest->figures.refused++;
        answer_error(answer, 404, "no endpoint has this path");
        route_count_code(ingest->strangers, answer->status);
        return INGEST_ANSWERED;
    }
    ingest->figures.requests++;
    if (check_head(ingest, route, request, peer, answer)) {
        request->user = answer->hold.route = route;
        routes_ref(route->routes);
        return INGEST_GO_ON;
    }
    count_answer(ingest, route->state, peer->now_us, answer);
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

/* A document that is passed through is one value to us; a secret may be one of its members. */
static enum json_scope scope_of(const struct config_endpoint *endpoint) {
    return endpoint->sender->is_passed_through && endpoint->auth != AUTH_BODY ? JSON_ROOT
                                                                              : JSON_NODES;
}

static int read_body(struct ingest *ingest, struct span body, struct ingest_answer *answer) {
    struct batch *batch = &ingest->batch;
    struct json_doc doc;
    struct json_error error;
    struct problem problem = {0};

    if (body.len == 0 && answer->endpoint->sender->empty_is_validation)
        return 0;
    int rc = json_parse_scope(ingest->json, scope_of(answer->endpoint), body.ptr, body.len, &doc,
                              &error);
    if (rc == JSON_TOO_DENSE)
        return unreadable(batch, body, 413, error.message, "(root)", answer);
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
    rc = sender_parse(answer->endpoint->sender, &doc, batch, &problem);
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

/* What stands for the sender's own notion of an event's identity, where the configuration says so:
 * the batch numbers the events that share it. */
static void set_identity(struct batch *batch, const struct config_endpoint *endpoint,
                         const struct http_request *request, struct span body,
                         struct identity *identity) {
    struct span value = body;
    batch->own_identity = endpoint->identity != CONFIG_IDENTITY_SENDER;
    batch->identity = NULL;
    if (endpoint->identity == CONFIG_IDENTITY_NONE)
        return;
    if (endpoint->identity == CONFIG_IDENTITY_HEADER)
        value = http_request_field(request, span_from_string(endpoint->identity_header));
    else if (endpoint->identity == CONFIG_IDENTITY_SENDER && endpoint->sender->identity_header)
        value = http_request_field(request, span_from_string(endpoint->sender->identity_header));
    else if (endpoint->identity == CONFIG_IDENTITY_SENDER)
        return;
    batch->own_identity = true;
    if (span_is_absent(value) || value.len == 0)
        return;
    identity_init(identity, span_from_string(endpoint->name));
    identity_add(identity, value);
    batch->identity = identity;
}

void ingest_request(struct ingest *ingest, const struct http_request *request, int64_t now_us,
                    struct ingest_answer *answer) {
    struct batch *batch = &ingest->batch;
    const struct route *route = request->user;
    const struct config_endpoint *endpoint = route->endpoint;
    struct identity identity;

    answer->headers = NULL;
    answer->reason = NULL;
    answer->where[0] = 0;
    answer->endpoint = endpoint;
    struct span body;
    if (!check_signature(request, now_us, answer) || !decode_body(ingest, request, &body, answer)) {
        buf_reset(&ingest->inflated, JSON_KEEP_BYTES);
        count_answer(ingest, route->state, now_us, answer);
        return;
    }
    batch_begin(batch, ingest->ring, span_from_string(endpoint->name),
                span_from_string(endpoint->sender->name), now_us);
    set_identity(batch, endpoint, request, body, &identity);
    int rc = read_body(ingest, body, answer);
    if (rc == 0) {
        batch_commit(batch);
        count_events(ingest, route->state, now_us);
        if (batch->rejected) {
            answer->reason = "parts of it are not this sender's shape";
            snprintf(answer->where, sizeof answer->where, "%s", batch->first_rejection.path);
        }
        answer_accepted(answer, batch);
    } else {
        batch_abort(batch);
        if (rc == SENDER_BATCH_HELD) {
            answer_unavailable(answer, "a held reader has not committed what would make room");
        } else if (rc == SENDER_BATCH_FULL) {
            answer_error(answer, 413, "the events of one post may fill half of the ring at most");
        } else if (rc < 0) {
            answer_unavailable(answer, "out of memory");
        }
    }
    count_answer(ingest, route->state, now_us, answer);
    if (body.len > JSON_KEEP_BYTES)
        json_parser_trim(ingest->json, JSON_KEEP_BYTES);
    buf_reset(&ingest->inflated, JSON_KEEP_BYTES);
}
