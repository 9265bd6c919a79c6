/* A span: borrowed bytes, never owned, never NUL-terminated. ptr == NULL means "absent", which is
 * not the same as empty (ptr set, len 0). A span is valid as long as the buffer it points into. */
#ifndef ROLLCALL_UTIL_SPAN_H
#define ROLLCALL_UTIL_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct span {
    const char *ptr;
    size_t len;
};

/* A span over a string literal, its NUL excluded. */
#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})
/* For printf's "%.*s". */
#define SPAN_ARG(s) (int)(s).len, span_chars(s)

static inline struct span span_from(const char *ptr, size_t len) {
    return (struct span){ptr, len};
}

static inline const char *span_chars(struct span s) {
    return s.ptr ? s.ptr : "";
}

/* The whole of a NUL-terminated string; an absent span for NULL. */
static inline struct span span_from_string(const char *string) {
    return (struct span){string, string ? strlen(string) : 0};
}

static inline bool span_is_absent(struct span s) {
    return s.ptr == NULL;
}

static inline bool span_equals(struct span a, struct span b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII case-insensitive, as HTTP field names and scheme words are compared (RFC 9110, 5.1). */
static inline bool span_equals_nocase(struct span a, struct span b) {
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

/* Without leading and trailing SP and HTAB (RFC 9110's OWS). */
static inline struct span span_trim(struct span s) {
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

#endif
