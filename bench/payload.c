/* Requests with changing digits; see payload.h. */
#include "payload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/text.h"

enum {
    MAC_DIGITS = 12,
    RSSI_DIGITS = 2,
    EPOCH_DIGITS = 13,
    ISO_BYTES = 23,             /* up to the milliseconds */
    DOCUMENT_BASE = 1000000000, /* so that numbers have ten digits and no zero in front */
    DOCUMENT_DIGITS = 10,
};

/* As HiveManager writes them (upper-case MACs, numbers as numbers); no white space, as it sends. */
static const char observation_format[] =
    "%s{\"clientMac\":\"000000000000\",\"ipv4\":\"10.%u.%u.%u\",\"ipv6\":null,"
    "\"seenTime\":\"2026-01-01T00:00:00.000Z\",\"seenEpoch\":0000000000000,"
    "\"ssid\":\"Venue Guest\",\"rssi\":-00,\"manufacturer\":\"Apple Inc\",\"os\":\"ios\","
    "\"lat\":51.5355157,\"lng\":-0.0699035,\"unc\":4.25,\"x\":10.591152352941176,"
    "\"y\":18.072204411764705}";

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

static int build_body(struct payload *payload, struct buf *body) {
    unsigned c = payload->connection;
    if (payload->options->sender == PAYLOAD_JSON)
        return append(body,
                      "{\"bench\":{\"c\":%u,\"n\":%u},\"level\":\"info\",\"temperature\":21.5}",
                      DOCUMENT_BASE + c, DOCUMENT_BASE);
    int rc = append(body, "[{\"apMac\":\"C413E2%04X40\",\"ownerId\":1490,\"observations\":[", c);
    for (unsigned i = 0; rc == 0 && i < payload->options->observations; i++)
        rc = append(body, observation_format, i ? "," : "", c & 255, i >> 8 & 255, i & 255);
    return rc ? rc : append(body, "]}]");
}

static uint32_t offset_of(const struct buf *text, uint32_t from, const char *mark) {
    const char *found = memmem(text->ptr + from, text->len - from, mark, strlen(mark));
    return found ? (uint32_t)(found - text->ptr + (ptrdiff_t)strlen(mark)) : 0;
}

static int find_patches(struct payload *payload) {
    const char *mark = payload->options->sender == PAYLOAD_JSON ? "\"n\":" : "\"clientMac\":\"";
    const struct buf *text = &payload->text;
    /* Behind the head, whose --header may hold anything. */
    uint32_t at = offset_of(text, 0, "\r\n\r\n");
    payload->patches = calloc(payload->options->observations, sizeof *payload->patches);
    if (!payload->patches)
        return -ENOMEM;
    for (unsigned i = 0; i < payload->options->observations; i++) {
        struct payload_patch *patch = &payload->patches[i];
        patch->mac = at = offset_of(text, at, mark);
        if (payload->options->sender == PAYLOAD_JSON)
            continue;
        patch->time = offset_of(text, at, "\"seenTime\":\"");
        patch->epoch = offset_of(text, at, "\"seenEpoch\":");
        patch->rssi = offset_of(text, at, "\"rssi\":-");
    }
    return 0;
}

int payload_init(struct payload *payload, const struct payload_options *options,
                 unsigned connection) {
    struct buf body = {0};
    *payload = (struct payload){.options = options, .connection = connection};
    int rc = build_body(payload, &body);
    rc = rc ? rc
            : append(&payload->text,
                     "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                     "User-Agent: rollcall-bench\r\nContent-Length: %zu\r\n",
                     options->path, options->host, body.len);
    rc = rc ? rc : buf_append(&payload->text, options->headers, strlen(options->headers));
    rc = rc ? rc : buf_append(&payload->text, "\r\n", 2);
    rc = rc ? rc : buf_append(&payload->text, body.ptr, body.len);
    rc = rc ? rc : find_patches(payload);
    buf_deinit(&body);
    if (rc)
        payload_deinit(payload);
    return rc;
}

void payload_deinit(struct payload *payload) {
    buf_deinit(&payload->text);
    free(payload->patches);
    payload->patches = NULL;
}

static void put_hex(char *dst, uint64_t value, int digits) {
    for (; digits-- > 0; value >>= 4)
        dst[digits] = "0123456789ABCDEF"[value & 15];
}

static void put_digits(char *dst, uint64_t value, int digits) {
    for (; digits-- > 0; value /= 10)
        dst[digits] = (char)('0' + value % 10);
}

static void set_times(struct payload *payload, int64_t now_s) {
    char iso[TIME_MS_TEXT_BYTES];
    int64_t now_ms = now_s * 1000 + payload->options->ms;
    if (now_s == payload->time_s)
        return;
    payload->time_s = now_s;
    text_format_time_ms(now_ms, iso);
    for (unsigned i = 0; i < payload->options->observations; i++) {
        const struct payload_patch *patch = &payload->patches[i];
        memcpy(payload->text.ptr + patch->time, iso, ISO_BYTES);
        put_digits(payload->text.ptr + patch->epoch, (uint64_t)now_ms, EPOCH_DIGITS);
    }
}

void payload_set(struct payload *payload, uint64_t first, int64_t now_s) {
    if (payload->options->sender == PAYLOAD_JSON) {
        put_digits(payload->text.ptr + payload->patches[0].mac, DOCUMENT_BASE + first,
                   DOCUMENT_DIGITS);
        return;
    }
    set_times(payload, now_s);
    for (unsigned i = 0; i < payload->options->observations; i++) {
        uint64_t number = first + i;
        const struct payload_patch *patch = &payload->patches[i];
        put_hex(payload->text.ptr + patch->mac,
                0x02ULL << 40 | (uint64_t)payload->connection << PAYLOAD_NUMBER_BITS |
                    (number & ((1 << PAYLOAD_NUMBER_BITS) - 1)),
                MAC_DIGITS);
        put_digits(payload->text.ptr + patch->rssi, 30 + number % 60, RSSI_DIGITS);
    }
}

static bool parse_aerohive(const char *line, size_t len, unsigned *connection, uint32_t *number) {
    static const char mark[] = "\"client\":{\"mac\":\"";
    const char *found = memmem(line, len, mark, sizeof mark - 1);
    if (!found || (size_t)(line + len - found) < sizeof mark - 1 + MAC_TEXT_BYTES)
        return false;
    uint64_t mac = text_parse_mac(span_from(found + sizeof mark - 1, MAC_TEXT_BYTES));
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

bool payload_parse_line(enum payload_sender sender, const char *line, size_t len,
                        unsigned *connection, uint32_t *number) {
    return sender == PAYLOAD_JSON ? parse_document(line, len, connection, number)
                                  : parse_aerohive(line, len, connection, number);
}
