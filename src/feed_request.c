/* What the feed answers to a request, by its path and by the door that it came through: a stream,
 * the held readers, figures (ops.h), a part of the page (page.h), or why not. See feed_internal.h.
 */
#include "feed_internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin.h"
#include "ops.h"
#include "page.h"
#include "schema.h"

/* --- answers ------------------------------------------------------------------------- */

const char *reader_door_headers(const struct reader *reader) {
    return reader->door->is_admin ? admin_headers : NULL;
}

static void answer_whole(struct reader *reader, int status, const char *content_type,
                         const char *headers, struct span body, bool without_body) {
    const struct http_request *request = reader->http.request;
    struct http_response response = {
        .status = status,
        .content_type = content_type,
        .body = body,
        .headers = headers,
        .more_headers = reader_door_headers(reader),
        .close = reader->last,
        .head = without_body || (request && request->llhttp_method == HTTP_HEAD),
        .minor_version = request ? request->minor_version : 1,
    };
    if (http_respond(&reader->feed->out, &response))
        reader_fail(reader);
    else
        reader_finish(reader);
}

void reader_answer_text(struct reader *reader, int status, const char *content_type,
                        const char *headers, struct span body) {
    answer_whole(reader, status, content_type, headers, body, false);
}

void reader_answer(struct reader *reader, int status, const char *headers, const char *format,
                   ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert(len >= 0 && (size_t)len < sizeof text);
    reader_answer_text(reader, status, "application/json", headers, span_from(text, (size_t)len));
}

/* --- what is asked for --------------------------------------------------------------- */

static void answer_schema(struct reader *reader, struct http_request *request) {
    (void)request;
    reader_answer_text(reader, 200, "application/schema+json", "Cache-Control: max-age=3600\r\n",
                       span_from(event_schema, event_schema_len));
}

#define METHOD(name) (1U << HTTP_##name)

static const struct place {
    const char *path; /* one that ends in "/" stands for all below it */
    unsigned methods; /* METHOD(GET) ... */
    const char *allow;
    void (*answer)(struct reader *reader, struct http_request *request);
} routes[] = {
    {"/v1/events", METHOD(GET) | METHOD(HEAD), "Allow: GET, HEAD\r\n", reader_start_stream},
    {"/v1/readers", METHOD(GET) | METHOD(HEAD), "Allow: GET, HEAD\r\n", reader_answer_list},
    {"/v1/readers/", METHOD(GET) | METHOD(HEAD) | METHOD(PUT) | METHOD(DELETE),
     "Allow: GET, HEAD, PUT, DELETE\r\n", reader_answer_held},
    {"/v1/schema", METHOD(GET) | METHOD(HEAD), "Allow: GET, HEAD\r\n", answer_schema},
};

static bool is_get(const struct http_request *request) {
    return request->llhttp_method == HTTP_GET || request->llhttp_method == HTTP_HEAD;
}

/* /metrics and the like. False: there is nothing of that path, or method. */
static bool answer_ops(struct reader *reader, const struct http_request *request) {
    const struct feed_options *options = &reader->feed->options;
    struct buf body = {0};
    struct ops_answer answer;
    int rc = OPS_UNKNOWN;
    if (options->ops && is_get(request))
        rc = options->ops(options->context, request->path, &body, &answer);
    if (rc < 0)
        reader_answer(reader, 503, NULL, "{\"error\":\"out of memory\"}\n");
    else if (rc == 0)
        reader_answer_text(reader, answer.status, answer.content_type, NULL, buf_span(&body));
    buf_deinit(&body);
    return rc != OPS_UNKNOWN;
}

static bool is_routed(const struct place *route, struct span path) {
    struct span start = span_from_string(route->path);
    if (start.ptr[start.len - 1] == '/')
        return path.len > start.len && memcmp(path.ptr, start.ptr, start.len) == 0;
    return span_equals(path, start);
}

static void answer_route(struct reader *reader, struct http_request *request) {
    const struct place *route = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (is_routed(&routes[i], request->path))
            route = &routes[i];
    if (!route && answer_ops(reader, request))
        return;
    if (!route)
        reader_answer(reader, 404, NULL, "{\"error\":\"nothing has this path\"}\n");
    else if (request->llhttp_method >= 32 || !(route->methods >> request->llhttp_method & 1))
        reader_answer(reader, 405, route->allow, "{\"error\":\"this path does not take %.*s\"}\n",
                      SPAN_ARG(request->method));
    else
        route->answer(reader, request);
}

/* A part of the page. False: it has none of that path. */
static bool answer_page(struct reader *reader, const struct http_request *request) {
    struct page_answer answer;
    if (!page_find(request, &answer))
        return false;
    answer_whole(reader, answer.status, answer.content_type, answer.headers, answer.body,
                 answer.status == 304);
    return true;
}

static void answer_admin(struct reader *reader, struct http_request *request) {
    static struct config_secret *const none[1] = {NULL};
    const struct feed *feed = reader->feed;
    struct admin_refusal refusal;
    if (admin_refuses(feed->admin_secrets ? feed->admin_secrets : none, request, &refusal)) {
        if (feed->options.on_admin_refused)
            feed->options.on_admin_refused(feed->options.context, refusal.status, refusal.reason);
        reader_answer(reader, refusal.status, refusal.headers, "{\"error\":\"%s\"}\n",
                      refusal.reason);
    } else if (!is_get(request)) {
        reader_answer(reader, 405, "Allow: GET, HEAD\r\n", "{\"error\":\"only GET and HEAD\"}\n");
    } else if (!answer_page(reader, request)) {
        answer_route(reader, request);
    }
}

void reader_on_request(struct reader *reader) {
    struct http_request *request = reader->http.request;
    reader->last = !request->keep_alive || (reader->door->is_admin && reader->feed->draining);
    if (reader->refused) {
        reader->last = true;
        reader_answer(reader, 503, "Retry-After: 1\r\n", "{\"error\":\"too many readers\"}\n");
    } else if (reader->door->is_admin) {
        answer_admin(reader, request);
    } else {
        answer_route(reader, request);
    }
}
