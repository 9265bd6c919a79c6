/* Requests with changing digits; see payload.h. */
#include "payload.h"

#include <errno.h>
#include <openssl/hmac.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/text.h"

enum {
    DOCUMENT_BASE = 1000000000, /* so that numbers have ten digits and no zero in front */
    DOCUMENT_DIGITS = 10,
    SHA256_DIGITS = 64,
    SHA1_DIGITS = 40,
};

#define SIGNATURE        "X-Mist-Signature-v2: "
#define SECOND_SIGNATURE "\r\nX-Mist-Signature: "

/* Bytes of what is put at a mark. */
static const uint8_t widths[] = {
    [MARK_MAC] = 12,      [MARK_MAC_LOWER] = 12, [MARK_MAC_COLON] = MAC_TEXT_BYTES,
    [MARK_MAC_DASH] = 17, [MARK_RSSI] = 2,       [MARK_NUMBER] = DOCUMENT_DIGITS,
    [MARK_ISO_MS] = 24,   [MARK_ISO_S] = 20,     [MARK_ISO_OFFSET] = 24,
    [MARK_EPOCH_MS] = 13, [MARK_EPOCH_S] = 10,   [MARK_EPOCH_FLOAT] = 14,
};

static int append(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
static int append(struct buf *buf, const char *format, ...) {
    char text[4096]; /* a path and a host at their bounds */
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof text)
        return -EMSGSIZE;
    return buf_append(buf, text, (size_t)len);
}

/* --- making the text ---------------------------------------------------------------------------
 */

/* What is put at a mark once and for all. */
static int append_fixed(struct payload *payload, struct buf *body, enum payload_mark mark,
                        unsigned index) {
    unsigned c = payload->connection;
    const char *secret = payload->options->secret;
    switch (mark) {
    case MARK_AP:
        return append(body, "%04X", c);
    case MARK_CONNECTION:
        return append(body, "%u", DOCUMENT_BASE + c);
    case MARK_SECRET:
        return secret ? buf_append(body, secret, strlen(secret)) : 0;
    case MARK_IPV4:
        return append(body, "10.%u.%u.%u", c & 255, index >> 8 & 255, index & 255);
    default: /* MARK_INDEX */
        return append(body, "%u", index);
    }
}

/* Appends a part of the shape. What changes is zeros yet, and noted: in `patches`, NULL to count.
 */
static int append_part(struct payload *payload, struct buf *body, const char *part, unsigned index,
                       struct buf *numbers, struct buf *times) {
    static const char zeros[] = "000000000000000000000000";
    int rc = 0;
    while (rc == 0 && *part) {
        size_t plain = 0;
        while ((unsigned char)part[plain] >= ' ')
            plain++;
        rc = buf_append(body, part, plain);
        part += plain;
        if (rc || !*part)
            break;
        enum payload_mark mark = (enum payload_mark) * part++;
        const struct payload_patch patch = {(uint32_t)body->len, index, mark};
        if (mark > MARK_LAST_TIME) {
            rc = append_fixed(payload, body, mark, index);
        } else {
            rc = buf_append(mark > MARK_LAST_NUMBER ? times : numbers, &patch, sizeof patch);
            rc = rc ? rc : buf_append(body, zeros, widths[mark]);
        }
    }
    return rc;
}

static int build_body(struct payload *payload, struct buf *body, struct buf *numbers,
                      struct buf *times) {
    const struct payload_shape *shape = &payload_shapes[payload->options->sender];
    int rc = append_part(payload, body, shape->front, 0, numbers, times);
    for (unsigned i = 0; rc == 0 && i < payload->options->observations; i++) {
        if (i)
            rc = buf_append(body, ",", 1);
        rc = rc ? rc : append_part(payload, body, shape->item, i, numbers, times);
    }
    return rc ? rc : append_part(payload, body, shape->back, 0, numbers, times);
}

static int append_secret(struct payload *payload) {
    const struct payload_options *options = payload->options;
    const struct payload_shape *shape = &payload_shapes[options->sender];
    struct buf *text = &payload->text;
    if (!options->secret)
        return 0;
    if (shape->token)
        return append(text, "Authorization: Basic %s\r\n", options->secret);
    if (!shape->signs)
        return 0;
    int rc = append(text, SIGNATURE);
    payload->signature = (uint32_t)text->len;
    return rc ? rc
              : append(text, "%0*d" SECOND_SIGNATURE "%0*d\r\n", SHA256_DIGITS, 0, SHA1_DIGITS, 0);
}

static int build_head(struct payload *payload, size_t body_len) {
    const struct payload_options *options = payload->options;
    int rc = append(&payload->text,
                    "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                    "User-Agent: rollcall-bench\r\nContent-Length: %zu\r\n%s",
                    options->path, options->host, body_len,
                    options->close ? "Connection: close\r\n" : "");
    rc = rc ? rc : append_secret(payload);
    rc = rc ? rc : buf_append(&payload->text, options->headers, strlen(options->headers));
    rc = rc ? rc : buf_append(&payload->text, "\r\n", 2);
    payload->body = (uint32_t)payload->text.len;
    return rc;
}

/* Offsets were the body's; now they are the text's. */
static struct payload_patch *take_patches(struct payload *payload, struct buf *from,
                                          uint32_t *count) {
    struct payload_patch *patches = (struct payload_patch *)(void *)from->ptr;
    *count = (uint32_t)(from->len / sizeof *patches);
    for (uint32_t i = 0; i < *count; i++)
        patches[i].offset += payload->body;
    *from = (struct buf){0};
    return patches;
}

int payload_init(struct payload *payload, const struct payload_options *options,
                 unsigned connection) {
    struct buf body = {0}, numbers = {0}, times = {0};
    *payload = (struct payload){.options = options, .connection = connection};
    int rc = build_body(payload, &body, &numbers, &times);
    rc = rc ? rc : build_head(payload, body.len);
    rc = rc ? rc : buf_append(&payload->text, body.ptr, body.len);
    if (rc == 0) {
        payload->numbers = take_patches(payload, &numbers, &payload->number_count);
        payload->times = take_patches(payload, &times, &payload->time_count);
    }
    buf_deinit(&body);
    buf_deinit(&numbers);
    buf_deinit(&times);
    if (rc)
        payload_deinit(payload);
    return rc;
}

void payload_deinit(struct payload *payload) {
    buf_deinit(&payload->text);
    free(payload->numbers);
    free(payload->times);
    payload->numbers = payload->times = NULL;
}

/* --- from post to post -------------------------------------------------------------------------
 */

static const char upper[] = "0123456789ABCDEF", lower[] = "0123456789abcdef";

static void put_hex(char *dst, uint64_t value, int digits, const char *alphabet) {
    for (; digits-- > 0; value >>= 4)
        dst[digits] = alphabet[value & 15];
}

static void put_pairs(char *dst, uint64_t mac, char between, const char *alphabet) {
    for (int i = 5; i >= 0; i--, mac >>= 8) {
        dst[i * 3] = alphabet[mac >> 4 & 15];
        dst[i * 3 + 1] = alphabet[mac & 15];
        if (i < 5)
            dst[i * 3 + 2] = between;
    }
}

static void put_digits(char *dst, uint64_t value, int digits) {
    for (; digits-- > 0; value /= 10)
        dst[digits] = (char)('0' + value % 10);
}

static void put_time(char *dst, enum payload_mark mark, int64_t now_ms, const char *iso) {
    switch (mark) {
    case MARK_ISO_MS:
        memcpy(dst, iso, TIME_MS_TEXT_BYTES);
        break;
    case MARK_ISO_S:
        memcpy(dst, iso, 19);
        dst[19] = 'Z';
        break;
    case MARK_ISO_OFFSET:
        memcpy(dst, iso, 19);
        memcpy(dst + 19, "+0000", 5);
        break;
    case MARK_EPOCH_MS:
        put_digits(dst, (uint64_t)now_ms, 13);
        break;
    case MARK_EPOCH_FLOAT:
        dst[10] = '.';
        put_digits(dst + 11, (uint64_t)now_ms % 1000, 3);
        put_digits(dst, (uint64_t)now_ms / 1000, 10);
        break;
    default: /* MARK_EPOCH_S */
        put_digits(dst, (uint64_t)now_ms / 1000, 10);
    }
}

static void set_times(struct payload *payload, int64_t now_s) {
    char iso[TIME_MS_TEXT_BYTES];
    int64_t now_ms = now_s * 1000 + payload->options->ms;
    if (now_s == payload->time_s)
        return;
    payload->time_s = now_s;
    text_format_time_ms(now_ms, iso);
    for (uint32_t i = 0; i < payload->time_count; i++)
        put_time(payload->text.ptr + payload->times[i].offset, payload->times[i].mark, now_ms, iso);
}

static void put_number(char *dst, enum payload_mark mark, unsigned connection, uint64_t number) {
    uint64_t mac = 0x02ULL << 40 | (uint64_t)connection << PAYLOAD_NUMBER_BITS |
                   (number & ((1 << PAYLOAD_NUMBER_BITS) - 1));
    switch (mark) {
    case MARK_MAC:
        put_hex(dst, mac, 12, upper);
        break;
    case MARK_MAC_LOWER:
        put_hex(dst, mac, 12, lower);
        break;
    case MARK_MAC_COLON:
        put_pairs(dst, mac, ':', lower);
        break;
    case MARK_MAC_DASH:
        put_pairs(dst, mac, '-', upper);
        break;
    case MARK_RSSI:
        put_digits(dst, 30 + number % 60, 2);
        break;
    default: /* MARK_NUMBER */
        put_digits(dst, DOCUMENT_BASE + number, DOCUMENT_DIGITS);
    }
}

/* Juniper's: lower-case hex of HMAC-SHA-256, and of HMAC-SHA-1 for those who check only that. */
static void sign(struct payload *payload) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    const char *secret = payload->options->secret;
    const uint8_t *body = (const uint8_t *)payload->text.ptr + payload->body;
    size_t body_len = payload->text.len - payload->body;
    char *dst = payload->text.ptr + payload->signature;
    HMAC(EVP_sha256(), secret, strlen(secret), body, body_len, digest, &len);
    text_format_hex(digest, len, dst);
    HMAC(EVP_sha1(), secret, strlen(secret), body, body_len, digest, &len);
    text_format_hex(digest, len, dst + SHA256_DIGITS + sizeof SECOND_SIGNATURE - 1);
}

void payload_set(struct payload *payload, uint64_t first, int64_t now_s) {
    set_times(payload, now_s);
    for (uint32_t i = 0; i < payload->number_count; i++) {
        const struct payload_patch *patch = &payload->numbers[i];
        put_number(payload->text.ptr + patch->offset, patch->mark, payload->connection,
                   first + patch->index);
    }
    if (payload->signature)
        sign(payload);
}

/* --- reading back ------------------------------------------------------------------------------
 */

enum payload_line payload_line_of(enum payload_sender sender) {
    if (sender == PAYLOAD_JSON)
        return PAYLOAD_LINE_DOCUMENT;
    return sender == PAYLOAD_PUBNUB || sender == PAYLOAD_PUBNUB_FLAT ? PAYLOAD_LINE_USER
                                                                     : PAYLOAD_LINE_MAC;
}

/* The MAC of `bytes` characters behind the mark. */
static bool parse_mac(const char *line, size_t len, struct span mark, size_t bytes,
                      unsigned *connection, uint32_t *number) {
    const char *found = memmem(line, len, mark.ptr, mark.len);
    if (!found || (size_t)(line + len - found) < mark.len + bytes)
        return false;
    uint64_t mac = text_parse_mac(span_from(found + mark.len, bytes));
    if (mac == MAC_NONE || mac >> 40 != 0x02)
        return false;
    *connection = (unsigned)(mac >> PAYLOAD_NUMBER_BITS & 0xffff);
    *number = (uint32_t)(mac & ((1 << PAYLOAD_NUMBER_BITS) - 1));
    return true;
}

static bool parse_document(const char *line, size_t len, unsigned *connection, uint32_t *number) {
    static const char mark[] = "\"data\":{\"bench\":{\"c\":", second[] = ",\"n\":";
    int64_t c, n;
    const char *found = memmem(line, len, mark, sizeof mark - 1);
    if (!found ||
        (size_t)(line + len - found) < sizeof mark + sizeof second - 2 + 2 * DOCUMENT_DIGITS)
        return false;
    found += sizeof mark - 1;
    if (!text_parse_integer(span_from(found, DOCUMENT_DIGITS), &c) ||
        !text_parse_integer(span_from(found + DOCUMENT_DIGITS + sizeof second - 1, DOCUMENT_DIGITS),
                            &n))
        return false;
    if (c < DOCUMENT_BASE || c >= DOCUMENT_BASE + PAYLOAD_MAX_CONNECTIONS || n < DOCUMENT_BASE)
        return false;
    *connection = (unsigned)(c - DOCUMENT_BASE);
    *number = (uint32_t)(n - DOCUMENT_BASE) & ((1 << PAYLOAD_NUMBER_BITS) - 1);
    return true;
}

bool payload_parse_line(enum payload_line kind, const char *line, size_t len, unsigned *connection,
                        uint32_t *number) {
    switch (kind) {
    case PAYLOAD_LINE_MAC:
        return parse_mac(line, len, SPAN("\"client\":{\"mac\":\""), MAC_TEXT_BYTES, connection,
                         number);
    case PAYLOAD_LINE_USER:
        return parse_mac(line, len, SPAN("\"uuid\":\"bench-"), 12, connection, number);
    default:
        return parse_document(line, len, connection, number);
    }
}
