/* Answers read; see answer.h. */
#include "answer.h"

#include <stdlib.h>
#include <string.h>

/* Most lines are told by their first letter. */
static bool has_name(struct span line, const char *name) {
    return line.len > strlen(name) && (*line.ptr | 0x20) == *name &&
           strncasecmp(line.ptr, name, strlen(name)) == 0;
}

static bool has_token(struct span line, const char *token) {
    for (size_t i = 0; i + strlen(token) <= line.len; i++)
        if (strncasecmp(line.ptr + i, token, strlen(token)) == 0)
            return true;
    return false;
}

/* Digits with nothing but blanks around, at most ANSWER_MAX_BYTES; or -1. */
static long parse_length(struct span value) {
    long len = -1;
    while (value.len && (*value.ptr == ' ' || *value.ptr == '\t'))
        value = span_from(value.ptr + 1, value.len - 1);
    while (value.len && (value.ptr[value.len - 1] == ' ' || value.ptr[value.len - 1] == '\t'))
        value.len--;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return -1;
        len = (len < 0 ? 0 : len) * 10 + (value.ptr[i] - '0');
        if (len > ANSWER_MAX_BYTES)
            return -1;
    }
    return len;
}

static int parse_status_line(struct span head, struct answer *answer) {
    const char *p = head.ptr;
    if (head.len < 14 || memcmp(p, "HTTP/1.", 7) != 0 || (p[7] != '0' && p[7] != '1') ||
        p[8] != ' ' || (p[12] != ' ' && p[12] != '\r'))
        return ANSWER_INVALID;
    for (int i = 9; i < 12; i++) {
        if (p[i] < '0' || p[i] > '9')
            return ANSWER_INVALID;
        answer->status = answer->status * 10 + (p[i] - '0');
    }
    answer->close = p[7] == '0';
    return answer->status >= 200 ? ANSWER_WHOLE : ANSWER_INVALID; /* nothing here asks for a 1xx */
}

int answer_parse(struct span text, struct answer *answer) {
    const char *end = memmem(text.ptr, text.len, "\r\n\r\n", 4);
    long body = -1;
    *answer = (struct answer){0};
    if (!end)
        return text.len >= ANSWER_MAX_BYTES ? ANSWER_INVALID : ANSWER_PART;
    if (parse_status_line(span_from(text.ptr, (size_t)(end + 2 - text.ptr)), answer))
        return ANSWER_INVALID;
    const char *p = text.ptr;
    while ((p = memchr(p, '\n', (size_t)(end + 2 - p))) && ++p < end) {
        struct span line =
            span_from(p, (size_t)((char *)memchr(p, '\r', (size_t)(end + 1 - p)) - p));
        if (has_name(line, "content-length:")) {
            body = parse_length(span_from(p + 15, line.len - 15));
            if (body < 0)
                return ANSWER_INVALID;
        } else if (has_name(line, "transfer-encoding:")) {
            return ANSWER_INVALID;
        } else if (has_name(line, "connection:")) {
            answer->close =
                has_token(line, "close") || (answer->close && !has_token(line, "keep-alive"));
        }
    }
    size_t head_len = (size_t)(end + 4 - text.ptr);
    if (body < 0 && answer->status != 204 && answer->status != 304 && !answer->close)
        return ANSWER_INVALID;
    answer->body_len = body < 0 ? 0 : (size_t)body;
    answer->len = head_len + answer->body_len;
    if (answer->len > ANSWER_MAX_BYTES)
        return ANSWER_INVALID;
    return text.len >= answer->len ? ANSWER_WHOLE : ANSWER_PART;
}

uint64_t answer_number(struct span body, struct span name) {
    const char *found = memmem(body.ptr, body.len, name.ptr, name.len), *end = body.ptr + body.len;
    uint64_t value = 0;
    for (const char *p = found ? found + name.len : end; p < end && *p >= '0' && *p <= '9'; p++)
        value = value * 10 + (uint64_t)(*p - '0');
    return value;
}
