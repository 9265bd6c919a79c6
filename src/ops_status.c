/* /v1/status: what one look at the node tells, as one JSON object. Its members are described in
 * docs/contract.md: new ones may come, none goes or changes its meaning.
 *
 * Its length is bounded by the configuration: at most 4 KiB, 256 bytes for each held reader, and
 * 8 KiB for each endpoint (24 statuses, 32 kinds, two places in a body); in use it is about 2 KiB
 * and 400 bytes for each endpoint. Whatever a peer may have written (a place in a body) or the
 * machine (its name) is escaped; kinds stand as they do in lines, names of endpoints and readers
 * are of letters that need no escape. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dedupe.h"
#include "json.h"
#include "ops_internal.h"
#include "privacy.h"
#include "util/text.h"

enum { TEXT_MAX_BYTES = 160 }; /* of what others have written */

static void put_bool(struct writer *w, const char *name, bool value) {
    put(w, ",\"%s\":%s", name, value ? "true" : "false");
}

static void put_count(struct writer *w, const char *name, uint64_t value) {
    put(w, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void put_time(struct writer *w, const char *name, int64_t time_us) {
    char text[TIME_MS_TEXT_BYTES + 1];
    if (!time_us)
        return;
    text_format_time_ms(time_us / 1000, text);
    text[TIME_MS_TEXT_BYTES] = 0;
    put(w, ",\"%s\":\"%s\"", name, text);
}

/* Text of others. */
static void put_text(struct writer *w, const char *name, const char *value) {
    char escaped[6 * TEXT_MAX_BYTES];
    size_t len = json_escape(span_from(value, strnlen(value, TEXT_MAX_BYTES)), escaped);
    put(w, ",\"%s\":\"%.*s\"", name, (int)len, escaped);
}

/* --- the node --------------------------------------------------------------------------- */

static void put_node(struct writer *w, const struct ops *ops) {
    char host[TEXT_MAX_BYTES];
    put(w, "{\"version\":\"%s\",\"uptime_s\":%lld", ROLLCALL_VERSION,
        (long long)((ops->now_us - ops->started_us) / 1000000));
    put_bool(w, "draining", ops->draining);
    put_time(w, "certificate_expires", ops->certificate_expiry_s * 1000000);
    put_time(w, "now", ops->now_us);
    put_time(w, "started", ops->started_us);
    if (gethostname(host, sizeof host) == 0) /* 64 bytes at most on Linux: it is whole */
        put_text(w, "host", host);
    put_bool(w, "ready", ops_is_ready(ops));
    put(w, ",\"loop_lag_s\":%.6f", (double)lag_worst_ns(&ops->conns->lag) / 1e9);
    put(w, ",\"certificate\":{\"refused\":%s", ops->certificate_refused ? "true" : "false");
    put_time(w, "expires", ops->certificate_expiry_s * 1000000);
    put(w, "},\"reload\":{\"ok\":%s", ops->reload_ok ? "true" : "false");
    put_count(w, "count", ops->reloads);
    put_count(w, "failed", ops->reload_fails);
    put(w, "},\"disk\":{\"failed\":%s}", ops->disk_failed ? "true" : "false");
}

static void put_settings(struct writer *w, const struct ops *ops) {
    static const char *const mac_words[] = {"plain", "pseudonym", "drop"};
    static const char *const personal_words[] = {"keep", "pseudonym", "drop"};
    static const char *const mode_words[] = {"off", "drop", "mark"};
    const struct config *config = ops->ingest->config;
    put(w, ",\"privacy\":{\"mac\":\"%s\",\"personal\":\"%s\"}", mac_words[config->privacy_mac],
        personal_words[config->privacy_personal]);
    put(w, ",\"dedupe\":{\"mode\":\"%s\"", mode_words[config->dedupe_mode]);
    if (ops->ingest->dedupe) {
        struct dedupe_figures figures = dedupe_figures(ops->ingest->dedupe);
        put_count(w, "ids", figures.ids);
        put_count(w, "max_ids", config->dedupe_max_ids);
        put_count(w, "evicted", figures.evicted);
        put_count(w, "window_s", config->dedupe_window_ms / 1000);
    }
    put(w, "}");
}

static void put_ring(struct writer *w, const struct ops *ops) {
    static const char *const sync_words[] = {"never", "interval", "always"};
    struct ring_figures figures = ring_figures(ops->ring);
    put(w, ",\"ring\":{\"id\":\"%s\"", ring_id(ops->ring));
    put_count(w, "size_bytes", ring_size(ops->ring));
    put_count(w, "bytes", figures.bytes);
    put_count(w, "events", figures.readable);
    put_count(w, "accepted", figures.accepted);
    put_count(w, "overwritten", figures.overwritten);
    put_count(w, "oldest_seq", ring_oldest(ops->ring).seq);
    put_count(w, "newest_seq", ring_newest(ops->ring).seq - 1);
    put(w, ",\"oldest_age_s\":%.3f", ops_oldest_age_s(ops));
    put_bool(w, "file", ring_has_file(ops->ring));
    put(w, ",\"sync\":\"%s\"}", sync_words[ops->ingest->config->ring_sync]);
}

/* --- who posts -------------------------------------------------------------------------- */

static void put_latency(struct writer *w, const struct latency *latency) {
    put(w, ",\"latency\":{\"bounds_s\":[");
    for (unsigned i = 0; i < LATENCY_BOUNDS; i++)
        put(w, "%s%g", i ? "," : "", (double)latency_bound_ns(i) / 1e9);
    put(w, "],\"counts\":[");
    for (unsigned i = 0; i <= LATENCY_BOUNDS; i++)
        put(w, "%s%llu", i ? "," : "", (unsigned long long)latency->counts[i]);
    put(w, "],\"sum_s\":%.9f}", (double)latency->sum_ns / 1e9);
}

static void put_failures(struct writer *w, const struct conn_figures *figures) {
    bool first = true;
    put(w, ",\"failed\":{");
    for (unsigned i = 0; i < CONN_FAILURES; i++) {
        char reason[OPS_REASON_BYTES];
        if (!figures->failures[i].count)
            continue;
        ops_lower_reason(figures->failures[i].reason, reason);
        put(w, "%s\"%s\":%llu", first ? "" : ",", reason,
            (unsigned long long)figures->failures[i].count);
        first = false;
    }
    put(w, "}");
}

static void put_codes(struct writer *w, const char *name, const struct route_code *codes) {
    put(w, ",\"%s\":{", name);
    for (unsigned c = 0; c < ROUTE_CODES && codes[c].status; c++)
        put(w, "%s\"%d\":%llu", c ? "," : "", codes[c].status, (unsigned long long)codes[c].count);
    put(w, "}");
}

static void put_connections(struct writer *w, const struct ops *ops) {
    const struct conn_figures *figures = &ops->conns->figures;
    put_count(w, "connections", ops->conns->count);
    put_count(w, "connections_max", ops->most_conns);
    put_count(w, "connections_accepted", figures->accepted);
    put(w, ",\"connections_refused\":{\"limit\":%llu", (unsigned long long)ops->refused.limit);
    put_count(w, "address", ops->refused.address);
    put_count(w, "error", ops->refused.error);
    put(w, "}");
    put_count(w, "timeouts", figures->timeouts);
    put(w, ",\"handshakes\":{\"full\":%llu",
        (unsigned long long)(figures->handshakes - figures->handshakes_resumed));
    put_count(w, "resumed", figures->handshakes_resumed);
    put_failures(w, figures);
    put(w, "}");
    put_codes(w, "strangers", ops->ingest->strangers);
}

/* --- who reads -------------------------------------------------------------------------- */

static void put_readers(struct writer *w, const struct ops *ops) {
    uint64_t newest = ring_newest(ops->ring).seq - 1;
    bool first = true;
    put_count(w, "readers", ops->feed_readers);
    put_count(w, "readers_lost", ops->reader_lost);
    put(w, ",\"held\":[");
    for (unsigned i = 0; i < READERS_MAX; i++) {
        const struct ring_held *place = &ops->held->places[i];
        if (!place->name[0])
            continue;
        put(w, "%s{\"reader\":\"%s\"", first ? "" : ",", place->name);
        put_count(w, "committed", place->seq);
        put_bool(w, "holds", ops->held->all[i].holds);
        put_count(w, "lag", newest > place->seq ? newest - place->seq : 0);
        put(w, "}");
        first = false;
    }
    put(w, "]");
}

/* --- endpoints -------------------------------------------------------------------------- */

static void put_kinds(struct writer *w, const struct route_state *state) {
    put(w, ",\"kinds\":{");
    for (unsigned k = 0; k < ROUTE_KINDS && state->kinds[k].name[0]; k++)
        put(w, "%s\"%s\":%llu", k ? "," : "", state->kinds[k].name,
            (unsigned long long)state->kinds[k].count);
    put(w, "}");
    if (state->other_kinds)
        put_count(w, "other_kinds", state->other_kinds);
}

/* Members `name`, and with _time, _status and _at behind it. */
static void put_trouble(struct writer *w, const char *name, const struct route_trouble *trouble) {
    char member[32];
    if (!trouble->time_us)
        return;
    snprintf(member, sizeof member, "%s_time", name);
    put_time(w, member, trouble->time_us);
    if (trouble->reason)
        put_text(w, name, trouble->reason);
    put(w, ",\"%s_status\":%d", name, trouble->status);
    snprintf(member, sizeof member, "%s_at", name);
    if (trouble->where[0])
        put_text(w, member, trouble->where);
}

static void put_endpoint(struct writer *w, const struct route *route) {
    const struct route_state *state = route->state;
    put(w, "{\"endpoint\":\"%s\",\"provider\":\"%s\"", route->endpoint->name,
        route->endpoint->sender->name);
    put_count(w, "accepted", state->accepted);
    put_count(w, "duplicates", state->duplicates);
    put_count(w, "rejected", state->rejected);
    put_count(w, "late", state->late);
    put_time(w, "last_event", state->last_event_us);
    put_trouble(w, "last_error", &state->last_error);
    put_trouble(w, "last_unread", &state->last_unread);
    put_codes(w, "codes", state->codes);
    put_kinds(w, state);
    put(w, "}");
}

int ops_answer_status(const struct ops *ops, struct buf *body) {
    struct writer w = {body, 0};
    put_node(&w, ops);
    put_settings(&w, ops);
    put_ring(&w, ops);
    put_latency(&w, &ops->conns->latency);
    put_connections(&w, ops);
    put_readers(&w, ops);
    put(&w, ",\"endpoints\":[");
    for (size_t i = 0; i < ops->ingest->routes->count; i++) {
        put(&w, i ? "," : "");
        put_endpoint(&w, &ops->ingest->routes->all[i]);
    }
    put(&w, "]}\n");
    return w.rc;
}
