/* The glue between llhttp and the rest: see http.h.
 *
 * What llhttp leaves open is closed here, once the head is whole (check_head): bare CR or LF,
 * obs-fold and control bytes (RFC 9112, 2.2 and 5.2), Host (3.2), transfer codings other than
 * chunked (6.1), expectations (RFC 9110, 10.1.1). The head's bytes lie in one piece by then, so
 * that is one scan. */
#include "http.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/text.h"

enum stage {
    STAGE_IDLE,   /* between requests */
    STAGE_HEAD,   /* a method has begun */
    STAGE_CHECK,  /* the head is whole, HTTP_STEP_HEAD is due */
    STAGE_BODY,   /* HTTP_STEP_HEAD was given */
    STAGE_WHOLE,  /* HTTP_STEP_REQUEST is due */
    STAGE_DONE,   /* HTTP_STEP_REQUEST was given: the next step lets go of the request */
    STAGE_FAILED, /* HTTP_STEP_BAD is due or was given: the rest is not looked at */
};

static struct http_parser *parser_of(llhttp_t *llhttp) {
    return llhttp->data;
}

/* Ends parsing with an answer. For llhttp's callbacks: returns what stops it. */
static int fail(struct http_parser *parser, int status, const char *reason) {
    parser->bad_status = (uint16_t)status;
    parser->bad_reason = reason;
    return HPE_USER;
}

/* --- the request's memory -----------------------------------------------------------------------
 */

static void request_reset(struct http_request *request, const struct http_limits *limits) {
    memset(request, 0, offsetof(struct http_request, fields));
    request->max_body_bytes = limits->max_body_bytes;
}

static void request_release(struct http_parser *parser) {
    struct http_request *request = parser->request;
    parser->request = NULL;
    if (!request || request == parser->scratch)
        return;
    buf_deinit(&request->own_head);
    buf_deinit(&request->own_body);
    free(request);
}

/* The offset into the head of a byte of the chunk. */
static uint32_t head_offset(const struct http_parser *parser, const char *at) {
    const struct http_request *request = parser->request;
    if (request->own_head.len)
        return (uint32_t)(request->own_head.len + (size_t)(at - parser->chunk));
    return (uint32_t)(at - request->head);
}

static bool all_of(struct span text, const char *others) {
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum((unsigned char)text.ptr[i]) && !(text.ptr[i] && strchr(others, text.ptr[i])))
            return false;
    return true;
}

/* uri-host [ ":" port ] (RFC 9110, 7.2; RFC 3986, 3.2.2), by its characters. */
static bool host_is_valid(struct span host) {
    const char *end = host.ptr + host.len, *port;
    if (host.len && host.ptr[0] == '[') {
        const char *bracket = memchr(host.ptr, ']', host.len);
        if (!bracket || !all_of(span_from(host.ptr + 1, (size_t)(bracket - host.ptr - 1)), ":.%"))
            return false;
        port = bracket + 1;
    } else {
        port = host.len ? memchr(host.ptr, ':', host.len) : NULL;
        port = port ? port : end;
        if (!all_of(span_from(host.ptr, (size_t)(port - host.ptr)), "-._~!$&'()*+,;=%"))
            return false;
    }
    for (const char *p = port; p < end; p++)
        if (p == port ? *p != ':' : (*p < '0' || *p > '9'))
            return false;
    return true;
}

/* Splits the target into path and query (RFC 9112, 3.2); false where it is of no known form. */
static bool split_target(struct http_request *request) {
    struct span target = span_from(request->head + request->target, request->target_len);
    const char *end = target.ptr + target.len;

    if (target.len && target.ptr[0] != '/' && target.ptr[0] != '*') { /* absolute-form */
        size_t scheme = target.len > 8 && !strncasecmp(target.ptr, "https://", 8)  ? 8
                        : target.len > 7 && !strncasecmp(target.ptr, "http://", 7) ? 7
                                                                                   : 0;
        const char *authority = target.ptr + scheme;
        target.ptr = memchr(authority, '/', (size_t)(end - authority));
        const char *authority_end = target.ptr ? target.ptr : end;
        if (!scheme || !host_is_valid(span_from(authority, (size_t)(authority_end - authority))))
            return false;
        if (!target.ptr)
            target = SPAN("/"), end = target.ptr + 1;
    }
    size_t len = (size_t)(end - target.ptr);
    if (len == 0 || memchr(target.ptr, '#', len))
        return false;
    if (target.ptr[0] == '*' && (len > 1 || request->llhttp_method != HTTP_OPTIONS))
        return false;
    const char *mark = memchr(target.ptr, '?', len);
    request->path = span_from(target.ptr, mark ? (size_t)(mark - target.ptr) : len);
    request->query = mark ? span_from(mark + 1, (size_t)(end - mark - 1)) : (struct span){0};
    return true;
}

/* --- llhttp's callbacks --------------------------------------------------------------------------
 */

static int on_message_begin(llhttp_t *llhttp) {
    struct http_parser *parser = parser_of(llhttp);
    parser->request = parser->scratch;
    parser->overhead = 0;
    request_reset(parser->request, parser->limits);
    parser->stage = STAGE_HEAD;
    parser->head_open = true;
    return 0;
}

static int on_method(llhttp_t *llhttp, const char *at, size_t len) {
    struct http_parser *parser = parser_of(llhttp);
    struct http_request *request = parser->request;
    if (!request->head)
        request->head = (char *)at; /* the head begins with the method */
    request->method_len = head_offset(parser, at) + (uint32_t)len;
    return 0;
}

static int on_url(llhttp_t *llhttp, const char *at, size_t len) {
    struct http_parser *parser = parser_of(llhttp);
    struct http_request *request = parser->request;
    if (request->target_len == 0)
        request->target = head_offset(parser, at);
    request->target_len += (uint32_t)len;
    if (request->target_len > HTTP_MAX_TARGET)
        return fail(parser, 414, "request target too long");
    return 0;
}

/* Trailer fields and chunk extensions mean nothing here, but they have a bound. */
static int count_overhead(struct http_parser *parser, size_t len) {
    parser->overhead += (uint32_t)len;
    if (parser->overhead > parser->limits->max_header_bytes)
        return fail(parser, 431, "trailers or chunk extensions too long");
    return 0;
}

static int on_chunk_extension(llhttp_t *llhttp, const char *at, size_t len) {
    (void)at;
    return count_overhead(parser_of(llhttp), len);
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t len) {
    struct http_parser *parser = parser_of(llhttp);
    struct http_request *request = parser->request;
    if (parser->stage != STAGE_HEAD)
        return count_overhead(parser, len);
    if (!request->in_name) {
        if (request->field_count == HTTP_MAX_FIELDS)
            return fail(parser, 431, "too many header fields");
        request->fields[request->field_count++] =
            (struct http_field){.name = head_offset(parser, at)};
        request->in_name = request->value_due = true;
    }
    request->fields[request->field_count - 1].name_len += (uint32_t)len;
    return 0;
}

static int on_header_field_complete(llhttp_t *llhttp) {
    parser_of(llhttp)->request->in_name = false;
    return 0;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t len) {
    struct http_parser *parser = parser_of(llhttp);
    struct http_request *request = parser->request;
    if (parser->stage != STAGE_HEAD)
        return count_overhead(parser, len);
    if (!request->value_due) /* ": value": llhttp gives a value without a name */
        return fail(parser, 400, "header field without a name");
    struct http_field *field = &request->fields[request->field_count - 1];
    uint32_t offset = head_offset(parser, at);
    if (field->value_len == 0)
        field->value = offset;
    field->value_len = offset + (uint32_t)len - field->value;
    return 0;
}

static int on_header_value_complete(llhttp_t *llhttp) {
    parser_of(llhttp)->request->value_due = false;
    return 0;
}

static int on_headers_complete(llhttp_t *llhttp) {
    struct http_parser *parser = parser_of(llhttp);
    struct http_request *request = parser->request;
    request->llhttp_method = llhttp->method;
    request->minor_version = llhttp->http_minor;
    request->chunked = llhttp->flags & F_CHUNKED;
    request->content_length =
        !request->chunked && llhttp->flags & F_CONTENT_LENGTH ? llhttp->content_length : 0;
    request->has_body = request->chunked || request->content_length > 0;
    llhttp->upgrade = 0; /* an Upgrade is optional to follow (RFC 9110, 7.8): it is ignored */
    parser->stage = STAGE_CHECK;
    return HPE_PAUSED;
}

/* Puts the body together: in the chunk while it can be, else in the request's own memory. */
static int on_body(llhttp_t *llhttp, const char *at, size_t len) {
    struct http_parser *parser = parser_of(llhttp);
    struct http_request *request = parser->request;
    if (len > request->max_body_bytes - request->body_seen)
        return fail(parser, 413, "body too large");
    request->body_seen += len;
    if (request->discard_body)
        return 0;
    if (request->own_body.ptr && at == request->own_body.ptr + request->own_body.len) {
        request->own_body.len += len; /* see http_body_place */
        return 0;
    }
    if (request->own_body.ptr) {
        if (buf_reserve(&request->own_body, len + HTTP_BODY_PADDING))
            return fail(parser, 503, "out of memory");
        memcpy(request->own_body.ptr + request->own_body.len, at, len);
        request->own_body.len += len;
        return 0;
    }
    if (request->body.len == 0)
        request->body.ptr = at;
    else if (request->body.ptr + request->body.len != at) /* over the chunk framing, already read */
        memmove((char *)request->body.ptr + request->body.len, at, len);
    request->body.len += len;
    return 0;
}

static int on_message_complete(llhttp_t *llhttp) {
    parser_of(llhttp)->stage = STAGE_WHOLE;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_message_begin,
    .on_method = on_method,
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* --- the head, once it is whole ------------------------------------------------------------------
 */

static struct span field_name(const struct http_request *request, unsigned i) {
    return span_from(request->head + request->fields[i].name, request->fields[i].name_len);
}

static struct span field_value(const struct http_request *request, unsigned i) {
    return span_trim(
        span_from(request->head + request->fields[i].value, request->fields[i].value_len));
}

struct span http_request_field(const struct http_request *request, struct span name) {
    for (unsigned i = 0; i < request->field_count; i++)
        if (span_equals_nocase(field_name(request, i), name))
            return field_value(request, i);
    return (struct span){0};
}

/* Every line ends in CRLF, no CR stands elsewhere, none begins with a blank (obs-fold) or a colon
 * (no name), and no control byte but HTAB is in it. */
static bool head_is_clean(struct span head) {
    unsigned bad = 0, returns = 0, lines = 0;
    for (size_t i = 0; i < head.len; i++) {
        unsigned char c = (unsigned char)head.ptr[i];
        bad += ((c < 0x20) & (c != '\r') & (c != '\n') & (c != '\t')) | (c == 0x7f);
        returns += c == '\r';
    }
    if (bad)
        return false;
    for (const char *p = head.ptr, *end = p + head.len; p < end; lines++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        if (!newline || newline == head.ptr || newline[-1] != '\r' || *p == ' ' || *p == '\t' ||
            *p == ':')
            return false;
        p = newline + 1;
    }
    return returns == lines;
}

/* Whether a comma-separated list has that token (RFC 9110, 5.6.1). */
static bool list_has(struct span list, struct span token) {
    while (list.len) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.ptr) : list.len;
        if (span_equals_nocase(span_trim(span_from(list.ptr, len)), token))
            return true;
        len += comma != NULL;
        list = span_from(list.ptr + len, list.len - len);
    }
    return false;
}

/* Which of the fields that steer HTTP itself are there, in one pass. */
static int check_fields(struct http_parser *parser) {
    struct http_request *request = parser->request;
    unsigned hosts = 0, codings = 0;
    bool close = false, keep_alive = request->minor_version > 0;

    for (unsigned i = 0; i < request->field_count; i++) {
        struct span name = field_name(request, i);
        if (name.len == 4 && span_equals_nocase(name, SPAN("host"))) {
            hosts++;
            if (!host_is_valid(field_value(request, i)))
                return fail(parser, 400, "invalid Host");
        } else if (name.len == 10 && span_equals_nocase(name, SPAN("connection"))) {
            /* llhttp's own reading misses "close" before a tab. */
            close |= list_has(field_value(request, i), SPAN("close"));
            keep_alive |= list_has(field_value(request, i), SPAN("keep-alive"));
        } else if (name.len == 6 && span_equals_nocase(name, SPAN("expect"))) {
            if (!span_equals_nocase(field_value(request, i), SPAN("100-continue")))
                return fail(parser, 417, "unknown expectation");
            request->expect_continue = request->minor_version > 0;
        } else if (name.len == 17 && span_equals_nocase(name, SPAN("transfer-encoding"))) {
            if (codings++ || request->minor_version == 0)
                return fail(parser, 400, "invalid Transfer-Encoding");
            if (!span_equals_nocase(field_value(request, i), SPAN("chunked")))
                return fail(parser, 501, "transfer coding not implemented");
        }
    }
    request->keep_alive = keep_alive && !close; /* RFC 9112, 9.3 */
    if (hosts > 1 || (hosts == 0 && request->minor_version > 0))
        return fail(parser, 400, hosts ? "more than one Host" : "Host missing");
    return 0;
}

static int check_head(struct http_parser *parser) {
    struct http_request *request = parser->request;
    struct span head = span_from(request->head, request->head_len);

    if (head.len > parser->limits->max_header_bytes)
        return fail(parser, 431, "header fields too long");
    if (!head_is_clean(head))
        return fail(parser, 400, "invalid byte in the header fields");
    if (parser->llhttp.http_major != 1)
        return fail(parser, 505, "HTTP version not supported");
    request->method = span_from(request->head, request->method_len);
    if (request->llhttp_method == HTTP_CONNECT)
        return fail(parser, 501, "CONNECT not implemented");
    if (!split_target(request))
        return fail(parser, 400, "invalid request target");
    int rc = check_fields(parser);
    if (rc)
        return rc;
    if (request->content_length > parser->limits->max_body_bytes)
        return fail(parser, 413, "body too large");
    return 0;
}

/* The head ends at chunk + used: gives it its place and length. */
static int close_head(struct http_parser *parser, size_t used) {
    struct http_request *request = parser->request;
    parser->head_open = false;
    if (request->own_head.len) {
        if (buf_append(&request->own_head, parser->chunk, used))
            return fail(parser, 503, "out of memory");
        request->head = request->own_head.ptr;
        request->head_len = (uint32_t)request->own_head.len;
    } else {
        request->head_len = (uint32_t)(parser->chunk + used - request->head);
    }
    return check_head(parser);
}

/* --- steps ---------------------------------------------------------------------------------------
 */

void http_parser_init(struct http_parser *parser, const struct http_limits *limits) {
    *parser = (struct http_parser){.limits = limits};
    llhttp_init(&parser->llhttp, HTTP_REQUEST, &settings);
    parser->llhttp.data = parser;
}

void http_parser_deinit(struct http_parser *parser) {
    request_release(parser);
}

void http_feed(struct http_parser *parser, struct http_request *scratch, char *chunk, size_t len) {
    assert(!parser->chunk);
    parser->scratch = scratch;
    parser->chunk = chunk;
    parser->chunk_len = len;
    parser->chunk_used = 0;
}

static bool is_token(const char *ptr, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)ptr[i]) && !strchr("!#$%&'*+-.^_`|~", ptr[i]))
            return false;
    return len > 0;
}

/* A method that llhttp does not know is 501 where it is a token (RFC 9110, 9.1), else 400. `from`
 * is where the request line begins; of a line cut into chunks only the last piece is looked at. */
static int method_status(const struct http_parser *parser, const char *from) {
    const char *end = parser->chunk + parser->chunk_len;
    while (from < end && (*from == '\r' || *from == '\n'))
        from++;
    const char *blank = memchr(from, ' ', (size_t)(end - from));
    return blank && is_token(from, (size_t)(blank - from)) ? 501 : 400;
}

static enum http_step step_bad(struct http_parser *parser, llhttp_errno_t error, const char *from) {
    parser->stage = STAGE_FAILED;
    parser->head_open = false;
    if (error != HPE_USER) {
        parser->bad_reason = llhttp_get_error_reason(&parser->llhttp);
        parser->bad_status = 400;
        if (error == HPE_INVALID_VERSION || error == HPE_PAUSED_H2_UPGRADE)
            parser->bad_status = 505;
        else if (error == HPE_INVALID_METHOD)
            parser->bad_status = (uint16_t)method_status(parser, from);
    }
    return HTTP_STEP_BAD;
}

static enum http_step step_paused(struct http_parser *parser) {
    struct http_request *request = parser->request;
    llhttp_resume(&parser->llhttp);
    if (parser->stage == STAGE_CHECK) {
        if (close_head(parser, parser->chunk_used))
            return step_bad(parser, HPE_USER, NULL);
        parser->stage = STAGE_BODY;
        return HTTP_STEP_HEAD;
    }
    assert(parser->stage == STAGE_WHOLE);
    parser->stage = STAGE_DONE;
    if (request->own_body.ptr)
        request->body = buf_span(&request->own_body);
    else if (span_is_absent(request->body))
        request->body = span_from(parser->chunk, 0);
    return HTTP_STEP_REQUEST;
}

/* Of a head that is not whole at the end of the chunk. */
static size_t head_len_so_far(const struct http_parser *parser) {
    return head_offset(parser, parser->chunk + parser->chunk_len);
}

enum http_step http_step(struct http_parser *parser) {
    if (parser->stage == STAGE_DONE) {
        request_release(parser);
        parser->stage = STAGE_IDLE;
    }
    if (parser->stage == STAGE_FAILED || parser->chunk_used == parser->chunk_len)
        if (parser->stage != STAGE_BODY || parser->request->has_body)
            return HTTP_STEP_MORE;
    const char *from = parser->chunk + parser->chunk_used;
    llhttp_errno_t error =
        llhttp_execute(&parser->llhttp, from, parser->chunk_len - parser->chunk_used);
    if (error == HPE_OK) {
        parser->chunk_used = parser->chunk_len;
        if (!parser->head_open || head_len_so_far(parser) <= parser->limits->max_header_bytes)
            return HTTP_STEP_MORE;
        error = (llhttp_errno_t)fail(parser, 431, "header fields too long");
    }
    parser->chunk_used = (size_t)(llhttp_get_error_pos(&parser->llhttp) - parser->chunk);
    if (error == HPE_PAUSED)
        return step_paused(parser);
    return step_bad(parser, error, from);
}

/* Moves the request out of the shared scratch, into memory of its own. 0 or -ENOMEM. */
static int request_own(struct http_parser *parser) {
    struct http_request *request = parser->request;
    if (request != parser->scratch)
        return 0;
    struct http_request *own = malloc(sizeof *own);
    if (!own)
        return -ENOMEM;
    memcpy(own, request,
           offsetof(struct http_request, fields) + request->field_count * sizeof own->fields[0]);
    parser->request = own;
    return 0;
}

/* A head that is not whole: what came of it so far joins own_head. */
static int persist_head(struct http_parser *parser) {
    struct http_request *request = parser->request;
    const char *from = request->own_head.len || !request->head ? parser->chunk : request->head;
    size_t len = (size_t)(parser->chunk + parser->chunk_len - from);
    if (!request->head)
        return 0; /* not one byte of the method yet */
    int rc = buf_append(&request->own_head, from, len);
    request->head = request->own_head.ptr;
    return rc;
}

/* A span into the head goes where own_head has the same bytes; "/" for a path that is not there is
 * static. By its place, not by splitting the target again: who has read the query has decoded it in
 * place, and %23 in it would be taken for a fragment now. */
static void follow_head(struct span *span, const struct http_request *request) {
    const char *end = request->head + request->head_len;
    if (span->ptr >= request->head && span->ptr <= end)
        span->ptr = request->own_head.ptr + (span->ptr - request->head);
}

/* A whole head of a request whose body is not: the spans follow the bytes into own_head. */
static int persist_whole_head(struct http_request *request) {
    if (request->own_head.len)
        return 0;
    int rc = buf_append(&request->own_head, request->head, request->head_len);
    if (rc)
        return rc;
    follow_head(&request->path, request);
    follow_head(&request->query, request);
    request->head = request->own_head.ptr;
    request->method = span_from(request->head, request->method_len);
    return 0;
}

static int persist_body(struct http_request *request) {
    if (request->discard_body || request->own_body.ptr)
        return 0;
    /* Where the length is known, its memory is asked for at once: pages not written cost nothing.
     */
    size_t more = request->body.len;
    if (!request->chunked)
        more = (size_t)request->content_length;
    int rc = buf_reserve(&request->own_body, more + HTTP_BODY_PADDING);
    if (rc)
        return rc;
    rc = buf_append(&request->own_body, request->body.ptr, request->body.len);
    request->body = (struct span){0};
    return rc;
}

/* persist_body has asked for all of it. */
bool http_body_place(const struct http_parser *parser, char **place, size_t *len) {
    const struct http_request *request = parser->request;
    if (parser->stage != STAGE_BODY || !request || request->chunked || request->discard_body ||
        !request->own_body.ptr)
        return false;
    *place = request->own_body.ptr + request->own_body.len;
    *len = (size_t)request->content_length - request->own_body.len;
    return *len != 0;
}

int http_feed_end(struct http_parser *parser) {
    int rc = 0;
    if (parser->stage == STAGE_DONE || parser->stage == STAGE_FAILED) {
        request_release(parser);
        if (parser->stage == STAGE_DONE)
            parser->stage = STAGE_IDLE;
    } else if (parser->request) {
        rc = request_own(parser);
        if (rc == 0 && parser->head_open)
            rc = persist_head(parser);
        else if (rc == 0) {
            rc = persist_whole_head(parser->request);
            if (rc == 0)
                rc = persist_body(parser->request);
        }
    }
    parser->chunk = NULL;
    return rc;
}

/* --- answers -------------------------------------------------------------------------------------
 */

const char *http_reason(int status) {
    switch (status) {
    case 200:
        return "OK";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 421:
        return "Misdirected Request";
    case 422:
        return "Unprocessable Content";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Unknown";
    }
}

/* The Date field of this second (RFC 9110, 6.6.1), made once a second. */
static struct span date_field(void) {
    static char text[48];
    static time_t made_for = -1;
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != made_for) {
        gmtime_r(&now.tv_sec, &tm);
        strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
        made_for = now.tv_sec;
    }
    return span_from(text, 37);
}

static char *put(char *dst, struct span text) {
    if (text.len)
        memcpy(dst, text.ptr, text.len);
    return dst + text.len;
}

static char *put_number(char *dst, uint64_t number) {
    return dst + text_format_u64(number, dst);
}

static struct span connection_field(const struct http_response *response) {
    if (response->close)
        return SPAN("Connection: close\r\n");
    if (response->minor_version == 0)
        return SPAN("Connection: keep-alive\r\n");
    return SPAN("");
}

enum { RESPONSE_FIXED_BYTES = 256 }; /* status line and the fields made here */

int http_respond(struct buf *out, const struct http_response *response) {
    struct span type = span_from_string(response->content_type);
    struct span headers = span_from_string(response->headers);
    struct span more_headers = span_from_string(response->more_headers);
    struct span reason = span_from_string(http_reason(response->status));
    int rc = buf_reserve(out, RESPONSE_FIXED_BYTES + type.len + headers.len + more_headers.len +
                                  response->body.len);
    if (rc)
        return rc;
    char *dst = put(out->ptr + out->len, SPAN("HTTP/1.1 "));
    dst = put_number(dst, (uint64_t)response->status);
    *dst++ = ' ';
    dst = put(dst, reason);
    dst = put(dst, SPAN("\r\n"));
    dst = put(dst, date_field());
    if (type.ptr) {
        dst = put(dst, SPAN("Content-Type: "));
        dst = put(dst, type);
        dst = put(dst, SPAN("\r\n"));
    }
    dst = put(dst, SPAN("Content-Length: "));
    dst = put_number(dst, response->body.len);
    dst = put(dst, SPAN("\r\n"));
    dst = put(dst, headers);
    dst = put(dst, more_headers);
    dst = put(dst, connection_field(response));
    dst = put(dst, SPAN("\r\n"));
    if (!response->head)
        dst = put(dst, response->body);
    out->len = (size_t)(dst - out->ptr);
    return 0;
}

/* --- query strings -------------------------------------------------------------------------------
 */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place: what it decodes to is never longer. */
static struct span percent_decode(char *text, size_t len) {
    size_t to = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i] == '+' ? ' ' : text[i];
        if (c == '%' && i + 2 < len && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
            c = (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
            i += 2;
        }
        text[to++] = c;
    }
    return span_from(text, to);
}

bool http_query_next(struct span *query, struct span *name, struct span *value) {
    while (query->len && query->ptr[0] == '&') {
        query->ptr++;
        query->len--;
    }
    if (query->len == 0)
        return false;
    char *pair = (char *)query->ptr;
    char *end = memchr(pair, '&', query->len);
    size_t len = end ? (size_t)(end - pair) : query->len;
    query->ptr += len;
    query->len -= len;
    char *equals = memchr(pair, '=', len);
    size_t name_len = equals ? (size_t)(equals - pair) : len;
    *name = percent_decode(pair, name_len);
    *value = equals ? percent_decode(equals + 1, len - name_len - 1) : span_from(pair + len, 0);
    return true;
}
