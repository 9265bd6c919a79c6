/* Which part of the page is asked for; see page.h. */
#include "page.h"

#include <string.h>

static struct span until(struct span *rest, char end) {
    const char *found = memchr(rest->ptr, end, rest->len);
    struct span part = span_from(rest->ptr, found ? (size_t)(found - rest->ptr) : rest->len);
    size_t skip = part.len + (found != NULL);
    *rest = span_from(rest->ptr + skip, rest->len - skip);
    return span_trim(part);
}

/* "gzip", or "gzip;q=0.5"; not "gzip;q=0". */
static bool takes_gzip(struct span field) {
    while (field.len) {
        struct span coding = until(&field, ',');
        struct span name = until(&coding, ';');
        if (!span_equals_nocase(name, SPAN("gzip")))
            continue;
        struct span weight = span_trim(coding);
        return weight.len < 3 || strspn(weight.ptr + 2, "0.") < weight.len - 2;
    }
    return false;
}

/* The tag is a hash in quotes, so that a list that has its letters has it (W/ in front or not). */
static bool is_known(struct span if_none_match, const char *etag) {
    if (!if_none_match.len)
        return false;
    return span_equals(if_none_match, SPAN("*")) ||
           memmem(if_none_match.ptr, if_none_match.len, etag, strlen(etag)) != NULL;
}

bool page_find(const struct http_request *request, struct page_answer *answer) {
    const struct page_part *part = page_parts;
    while (part->path && !span_equals(request->path, span_from_string(part->path)))
        part++;
    if (!part->path)
        return false;
    bool gzip = takes_gzip(http_request_field(request, SPAN("accept-encoding")));
    struct span known = http_request_field(request, SPAN("if-none-match"));
    bool has_it = is_known(known, gzip ? part->gzip_etag : part->etag);
    *answer = (struct page_answer){
        .status = has_it ? 304 : 200,
        .content_type = part->content_type,
        .headers = gzip ? part->gzip_headers : part->headers,
        .body =
            gzip ? span_from(part->gzip_bytes, part->gzip_len) : span_from(part->bytes, part->len),
    };
    return true;
}
