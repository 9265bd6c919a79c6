/* The tail's requests; see tail_request.h. */
#include "tail_request.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/clock.h"

static int append(struct buf *out, const char *format, ...) PRINTF_LIKE(2, 3);
static int append(struct buf *out, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return len < 0 || (size_t)len >= sizeof text ? -ENOMEM : buf_append(out, text, (size_t)len);
}

/* All but the unreserved characters (RFC 3986, 2.3) as %XX. */
static int append_encoded(struct buf *out, const char *value) {
    int rc = 0;
    for (const unsigned char *p = (const unsigned char *)value; rc == 0 && *p; p++) {
        bool plain = (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= 'a' && *p <= 'z') || strchr("-._~", *p);
        rc = append(out, plain ? "%c" : "%%%02X", *p);
    }
    return rc;
}

int tail_request_stream(const struct tail_options *options, const struct tail_wish *wish,
                        struct buf *out) {
    char cursor[TAIL_CURSOR_MAX];
    int rc = append(out, "GET /v1/events?follow=%d", wish->follow);
    if (wish->held) {
        rc = rc ? rc : append(out, "&reader=");
        rc = rc ? rc : append_encoded(out, options->reader);
    } else if (wish->after) {
        tail_cursor_format(wish->after, cursor);
        rc = rc ? rc : append(out, "&after=%s", cursor);
    } else if (wish->from) {
        rc = rc ? rc : append(out, "&from=%s", wish->from);
    }
    if (wish->limit)
        rc = rc ? rc : append(out, "&limit=%" PRIu64, wish->limit);
    for (size_t i = 0; i < options->filter_count; i++) {
        rc = rc ? rc : append(out, "&%s=", options->filters[i].name);
        rc = rc ? rc : append_encoded(out, options->filters[i].value);
    }
    return rc ? rc
              : append(out,
                       " HTTP/1.1\r\nHost: rollcall\r\nAccept: %s\r\nConnection: close\r\n\r\n",
                       options->format == TAIL_CLOUDEVENTS ? "application/cloudevents+json"
                                                           : "application/x-ndjson");
}

int tail_request_commit(const char *reader, const struct tail_cursor *cursor, struct buf *out) {
    char text[TAIL_CURSOR_MAX], body[TAIL_CURSOR_MAX + 16];
    tail_cursor_format(cursor, text);
    int len = snprintf(body, sizeof body, "{\"after\":\"%s\"}", text);
    int rc = append(out, "PUT /v1/readers/");
    rc = rc ? rc : append_encoded(out, reader);
    return rc ? rc
              : append(out,
                       " HTTP/1.1\r\nHost: rollcall\r\nContent-Type: application/json\r\n"
                       "Content-Length: %d\r\nConnection: close\r\n\r\n%s",
                       len, body);
}

int tail_request_wait(struct tail_stream *stream, const char *path, struct span request) {
    int rc = tail_stream_open(stream, path, request);
    if (rc)
        return rc;
    uint64_t end = clock_monotonic_ms() + TAIL_REQUEST_TIMEOUT_MS, now;
    int result = TAIL_OK;
    while (result == TAIL_OK && (now = clock_monotonic_ms()) < end) {
        struct pollfd in = {stream->fd, POLLIN, 0};
        if (poll(&in, 1, (int)(end - now)) > 0)
            result = tail_stream_read(stream);
    }
    int status = tail_stream_status(stream);
    if (result == TAIL_END || result == TAIL_STOP)
        return status;
    return result < 0 ? result : result == TAIL_OK ? -ETIMEDOUT : -ECONNRESET;
}
