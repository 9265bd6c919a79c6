/* A stream from a node; see tail_stream.h. */
#include "tail_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_FIELD_BYTES = 1024, MAX_ERROR_BYTES = 4096 };

static int on_field(llhttp_t *http, const char *at, size_t len) {
    struct tail_stream *stream = http->data;
    if (stream->field.len + len > MAX_FIELD_BYTES)
        return 0; /* no field of ours is that long */
    return buf_append(&stream->field, at, len) ? HPE_USER : 0;
}

static int on_field_complete(llhttp_t *http) {
    struct tail_stream *stream = http->data;
    stream->on_cursor_field = span_equals_nocase(buf_span(&stream->field), SPAN("rollcall-cursor"));
    stream->field.len = 0;
    return 0;
}

static int on_value_complete(llhttp_t *http) {
    struct tail_stream *stream = http->data;
    if (stream->on_cursor_field && stream->field.len < sizeof stream->cursor)
        snprintf(stream->cursor, sizeof stream->cursor, "%.*s", SPAN_ARG(buf_span(&stream->field)));
    stream->field.len = 0;
    return 0;
}

/* The end of a line that began in an earlier piece. */
static bool end_line(struct tail_stream *stream, const char *at, size_t len, int *error) {
    if (stream->line.len == 0)
        return stream->on_line(stream->context, span_from(at, len));
    *error = buf_append(&stream->line, at, len);
    if (*error)
        return false;
    bool go_on = stream->on_line(stream->context, buf_span(&stream->line));
    buf_reset(&stream->line, TAIL_READ_BYTES);
    return go_on;
}

static int on_body(llhttp_t *http, const char *at, size_t len) {
    struct tail_stream *stream = http->data;
    const char *end = at + len, *newline;
    int error = 0;
    if (http->status_code != 200) {
        size_t room = MAX_ERROR_BYTES - stream->error.len;
        return buf_append(&stream->error, at, len < room ? len : room) ? HPE_USER : 0;
    }
    while ((newline = memchr(at, '\n', (size_t)(end - at)))) {
        if (!end_line(stream, at, (size_t)(newline - at), &error))
            return error ? HPE_USER : HPE_PAUSED;
        at = newline + 1;
    }
    if (stream->line.len + (size_t)(end - at) > TAIL_MAX_LINE_BYTES)
        return HPE_USER;
    return buf_append(&stream->line, at, (size_t)(end - at)) ? HPE_USER : 0;
}

static int on_complete(llhttp_t *http) {
    struct tail_stream *stream = http->data;
    stream->complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_field,
    .on_header_field_complete = on_field_complete,
    .on_header_value = on_field,
    .on_header_value_complete = on_value_complete,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

void tail_stream_init(struct tail_stream *stream, bool (*on_line)(void *context, struct span line),
                      void *context) {
    *stream = (struct tail_stream){.fd = -1, .on_line = on_line, .context = context};
}

static int send_all(int fd, const char *data, size_t len) {
    while (len) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return -errno;
        if (sent > 0) {
            data += sent;
            len -= (size_t)sent;
        }
    }
    return 0;
}

int tail_stream_open(struct tail_stream *stream, const char *path, const char *target) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char request[1024];
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int len = snprintf(request, sizeof request,
                       "GET %s HTTP/1.1\r\nHost: rollcall\r\nConnection: close\r\n\r\n", target);
    if (len < 0 || (size_t)len >= sizeof request)
        return -EMSGSIZE;
    stream->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (stream->fd < 0)
        return -errno;
    int rc = connect(stream->fd, (struct sockaddr *)&address, sizeof address) ? -errno : 0;
    rc = rc ? rc : send_all(stream->fd, request, (size_t)len);
    if (rc) {
        tail_stream_close(stream);
        return rc;
    }
    llhttp_init(&stream->http, HTTP_RESPONSE, &settings);
    stream->http.data = stream;
    stream->complete = false;
    stream->cursor[0] = 0;
    return 0;
}

static int on_end(struct tail_stream *stream) {
    return llhttp_finish(&stream->http) == HPE_OK && stream->complete ? TAIL_END : TAIL_BROKEN;
}

int tail_stream_read(struct tail_stream *stream) {
    static char data[TAIL_READ_BYTES];
    ssize_t len = read(stream->fd, data, sizeof data);
    if (len < 0)
        return errno == EINTR || errno == EAGAIN ? TAIL_OK
               : errno == ECONNRESET             ? TAIL_BROKEN
                                                 : -errno;
    if (len == 0)
        return on_end(stream);
    switch (llhttp_execute(&stream->http, data, (size_t)len)) {
    case HPE_OK:
        return TAIL_OK;
    case HPE_PAUSED:
        return stream->complete ? TAIL_END : TAIL_STOP;
    default:
        return TAIL_INVALID;
    }
}

int tail_stream_status(const struct tail_stream *stream) {
    return stream->http.status_code;
}

void tail_stream_close(struct tail_stream *stream) {
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
    stream->field.len = 0;
    stream->error.len = 0;
    buf_reset(&stream->line, TAIL_READ_BYTES);
}

void tail_stream_deinit(struct tail_stream *stream) {
    tail_stream_close(stream);
    buf_deinit(&stream->field);
    buf_deinit(&stream->line);
    buf_deinit(&stream->error);
}
