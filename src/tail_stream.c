/* A connection to a node; see tail_stream.h. */
#include "tail_stream.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_FIELD_BYTES = 1024, SEND_TIMEOUT_MS = 2000 };

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

static int on_head_complete(llhttp_t *http) {
    struct tail_stream *stream = http->data;
    stream->head = true;
    return 0;
}

/* An empty line only shows that the stream lives. */
static bool hand_over(struct tail_stream *stream, struct span line) {
    return line.len == 0 || stream->on_line(stream->context, line);
}

/* The end of a line, its '\n' at at[len]. */
static bool end_line(struct tail_stream *stream, const char *at, size_t len, int *error) {
    if (stream->line.len + len >= TAIL_MAX_LINE_BYTES) {
        stream->too_long = true;
        *error = HPE_USER;
        return false;
    }
    if (stream->line.len == 0)
        return hand_over(stream, span_from(at, len));
    *error = buf_append(&stream->line, at, len + 1);
    if (*error)
        return false;
    bool go_on = hand_over(stream, span_from(stream->line.ptr, stream->line.len - 1));
    buf_reset(&stream->line, TAIL_READ_BYTES);
    return go_on;
}

static int on_body(llhttp_t *http, const char *at, size_t len) {
    struct tail_stream *stream = http->data;
    const char *end = at + len, *newline;
    int error = 0;
    if (http->status_code != 200) {
        size_t room = TAIL_MAX_ERROR_BYTES - stream->error.len;
        return buf_append(&stream->error, at, len < room ? len : room) ? HPE_USER : 0;
    }
    while ((newline = memchr(at, '\n', (size_t)(end - at)))) {
        if (!end_line(stream, at, (size_t)(newline - at), &error))
            return error ? HPE_USER : HPE_PAUSED;
        at = newline + 1;
    }
    stream->too_long = stream->line.len + (size_t)(end - at) >= TAIL_MAX_LINE_BYTES;
    if (stream->too_long)
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
    .on_headers_complete = on_head_complete,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

void tail_stream_init(struct tail_stream *stream, bool (*on_line)(void *context, struct span line),
                      void *context) {
    *stream = (struct tail_stream){.fd = -1, .on_line = on_line, .context = context};
}

/* The request is far smaller than a socket's buffer: it goes out at once, or something is wrong. */
static int send_all(int fd, struct span data) {
    while (data.len) {
        ssize_t sent = send(fd, data.ptr, data.len, MSG_NOSIGNAL);
        struct pollfd out = {fd, POLLOUT, 0};
        if (sent < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        if (sent < 0 && errno == EAGAIN && poll(&out, 1, SEND_TIMEOUT_MS) == 0)
            return -EAGAIN;
        if (sent > 0)
            data = span_from(data.ptr + sent, data.len - (size_t)sent);
    }
    return 0;
}

int tail_stream_open(struct tail_stream *stream, const char *path, struct span request) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    stream->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (stream->fd < 0)
        return -errno;
    int rc = connect(stream->fd, (struct sockaddr *)&address, sizeof address) ? -errno : 0;
    rc = rc ? rc : send_all(stream->fd, request);
    if (rc) {
        tail_stream_close(stream);
        return rc;
    }
    llhttp_init(&stream->http, HTTP_RESPONSE, &settings);
    stream->http.data = stream;
    stream->head = stream->complete = false;
    stream->too_long = false;
    stream->cursor[0] = 0;
    stream->error.len = 0;
    return 0;
}

/* A body without a length ends with the connection; a line that it cuts was cut by something else.
 */
static int on_end(struct tail_stream *stream) {
    (void)llhttp_finish(&stream->http); /* says so itself through on_complete */
    return stream->complete && stream->line.len == 0 ? TAIL_END : TAIL_BROKEN;
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
        return stream->too_long ? TAIL_TOO_LONG : TAIL_INVALID;
    }
}

int tail_stream_status(const struct tail_stream *stream) {
    return stream->head ? stream->http.status_code : 0;
}

void tail_stream_close(struct tail_stream *stream) {
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
    stream->field.len = 0;
    buf_reset(&stream->line, TAIL_READ_BYTES);
}

void tail_stream_deinit(struct tail_stream *stream) {
    tail_stream_close(stream);
    buf_deinit(&stream->field);
    buf_deinit(&stream->line);
    buf_deinit(&stream->error);
}
