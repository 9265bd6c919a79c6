/* The page's parts (src/page/), compiled in: which one a request asks for, and how it is answered.
 * Knows no socket; what the page shows is the browser's work. */
#ifndef ROLLCALL_PAGE_H
#define ROLLCALL_PAGE_H

#include "http.h"

/* One part, as src/embed_page.py has made it. Header fields: Cache-Control, Vary, a strong ETag of
 * the bytes, and Content-Encoding where they are compressed. */
struct page_part {
    const char *path, *content_type;
    const char *etag, *headers;           /* of the bytes as they are */
    const char *gzip_etag, *gzip_headers; /* of the compressed ones */
    const char *bytes, *gzip_bytes;
    size_t len, gzip_len;
};
extern const struct page_part page_parts[]; /* the last one's path is NULL */

struct page_answer {
    int status; /* 200, or 304: the client has it (RFC 9110, 13.1.2) */
    const char *content_type, *headers;
    struct span body;
};

/* False: no part has this path. Compressed for whoever takes gzip (RFC 9110, 12.5.3). */
bool page_find(const struct http_request *request, struct page_answer *answer);

#endif
