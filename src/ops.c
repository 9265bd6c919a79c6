/* Figures as text; see ops.h. */
#include "ops.h"

#include <stdio.h>

#include "dedupe.h"
#include "ops_internal.h"

/* --- Prometheus ----------------------------------------------------------------------- */

static void describe(struct writer *w, const char *name, const char *type, const char *help) {
    put(w, "# HELP rollcall_%s %s\n# TYPE rollcall_%s %s\n", name, help, name, type);
}

static void put_one(struct writer *w, const char *name, const char *type, const char *help,
                    unsigned long long value) {
    describe(w, name, type, help);
    put(w, "rollcall_%s %llu\n", name, value);
}

static void put_codes(struct writer *w, const char *endpoint, const struct route_code *codes) {
    for (unsigned c = 0; c < ROUTE_CODES && codes[c].status; c++)
        put(w, "rollcall_http_requests_total{endpoint=\"%s\",code=\"%d\"} %llu\n", endpoint,
            codes[c].status, (unsigned long long)codes[c].count);
}

static void put_endpoints(struct writer *w, const struct ops *ops) {
    const struct routes *routes = ops->ingest->routes;
    describe(w, "http_requests_total", "counter", "Requests answered, by endpoint and status.");
    put_codes(w, "", ops->ingest->strangers);
    for (size_t i = 0; i < routes->count; i++)
        put_codes(w, routes->all[i].endpoint->name, routes->all[i].state->codes);
    describe(w, "events_total", "counter", "Events that went into the ring, by endpoint and kind.");
    for (size_t i = 0; i < routes->count; i++) {
        const struct route_state *state = routes->all[i].state;
        for (unsigned k = 0; k < ROUTE_KINDS && state->kinds[k].name[0]; k++)
            put(w, "rollcall_events_total{endpoint=\"%s\",kind=\"%s\"} %llu\n",
                routes->all[i].endpoint->name, state->kinds[k].name,
                (unsigned long long)state->kinds[k].count);
        if (state->other_kinds)
            put(w, "rollcall_events_total{endpoint=\"%s\",kind=\"other\"} %llu\n",
                routes->all[i].endpoint->name, (unsigned long long)state->other_kinds);
    }
    describe(w, "events_duplicate_total", "counter", "Events that were sent before.");
    for (size_t i = 0; i < routes->count; i++)
        put(w, "rollcall_events_duplicate_total{endpoint=\"%s\"} %llu\n",
            routes->all[i].endpoint->name, (unsigned long long)routes->all[i].state->duplicates);
    describe(w, "events_late_total", "counter",
             "Events that went into the ring more than 5 minutes after their own time.");
    for (size_t i = 0; i < routes->count; i++)
        put(w, "rollcall_events_late_total{endpoint=\"%s\"} %llu\n", routes->all[i].endpoint->name,
            (unsigned long long)routes->all[i].state->late);
    describe(w, "last_event_timestamp_seconds", "gauge",
             "When an endpoint's sender last sent an event, new or not.");
    for (size_t i = 0; i < routes->count; i++)
        if (routes->all[i].state->last_event_us)
            put(w, "rollcall_last_event_timestamp_seconds{endpoint=\"%s\"} %.3f\n",
                routes->all[i].endpoint->name, (double)routes->all[i].state->last_event_us / 1e6);
    describe(w, "events_rejected_total", "counter", "Parts of bodies that could not be read.");
    for (size_t i = 0; i < routes->count; i++)
        put(w, "rollcall_events_rejected_total{endpoint=\"%s\",reason=\"shape\"} %llu\n",
            routes->all[i].endpoint->name, (unsigned long long)routes->all[i].state->rejected);
}

static void put_latency(struct writer *w, const struct latency *latency) {
    static const char name[] = "http_request_duration_seconds";
    uint64_t count = 0;
    describe(w, name, "histogram", "From a request's first byte to its answer being written.");
    for (unsigned i = 0; i < LATENCY_BOUNDS; i++) {
        count += latency->counts[i];
        put(w, "rollcall_%s_bucket{le=\"%g\"} %llu\n", name, (double)latency_bound_ns(i) / 1e9,
            (unsigned long long)count);
    }
    count += latency->counts[LATENCY_BOUNDS];
    put(w, "rollcall_%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)count);
    put(w, "rollcall_%s_sum %.9f\n", name, (double)latency->sum_ns / 1e9);
    put(w, "rollcall_%s_count %llu\n", name, (unsigned long long)count);
}

static void put_ring(struct writer *w, const struct ops *ops) {
    struct ring_figures figures = ring_figures(ops->ring);
    put_one(w, "ring_accepted_total", "counter", "Events since the ring was made.",
            figures.accepted);
    put_one(w, "ring_overwritten_total", "counter", "Of these, dropped to make room.",
            figures.overwritten);
    put_one(w, "ring_events", "gauge", "Of these, still there.", figures.readable);
    put_one(w, "ring_bytes", "gauge", "Bytes that they take.", figures.bytes);
    put_one(w, "ring_size_bytes", "gauge", "Bytes that they may take.", ring_size(ops->ring));
    describe(w, "ring_oldest_age_seconds", "gauge", "Age of the oldest event in the ring.");
    put(w, "rollcall_ring_oldest_age_seconds %.3f\n", ops_oldest_age_s(ops));
    if (!ops->ingest->dedupe)
        return;
    put_one(w, "dedupe_ids", "gauge", "Ids in the window of duplicates, expired ones included.",
            dedupe_figures(ops->ingest->dedupe).ids);
    put_one(w, "dedupe_evicted_total", "counter", "Live ids that gave way to others.",
            dedupe_figures(ops->ingest->dedupe).evicted);
}

static void put_readers(struct writer *w, const struct ops *ops) {
    uint64_t newest = ring_newest(ops->ring).seq - 1;
    put_one(w, "readers", "gauge", "Connections on the Unix socket.", ops->feed_readers);
    put_one(w, "reader_lost_total", "counter", "Events that readers were told they have missed.",
            ops->reader_lost);
    describe(w, "reader_lag_events", "gauge", "Events that a held reader has not committed.");
    for (unsigned i = 0; i < READERS_MAX; i++)
        if (ops->held->places[i].name[0])
            put(w, "rollcall_reader_lag_events{reader=\"%s\"} %llu\n", ops->held->places[i].name,
                (unsigned long long)(newest > ops->held->places[i].seq
                                         ? newest - ops->held->places[i].seq
                                         : 0));
}

static void put_failure(struct writer *w, const struct conn_failure *failure) {
    char reason[OPS_REASON_BYTES];
    ops_lower_reason(failure->reason, reason);
    put(w, "rollcall_tls_handshake_failures_total{reason=\"%s\"} %llu\n", reason,
        (unsigned long long)failure->count);
}

static void put_connections(struct writer *w, const struct ops *ops) {
    const struct conn_figures *figures = &ops->conns->figures;
    describe(w, "tls_handshakes_total", "counter", "Handshakes done, full or resumed.");
    put(w, "rollcall_tls_handshakes_total{resumed=\"false\"} %llu\n",
        (unsigned long long)(figures->handshakes - figures->handshakes_resumed));
    put(w, "rollcall_tls_handshakes_total{resumed=\"true\"} %llu\n",
        (unsigned long long)figures->handshakes_resumed);
    describe(w, "tls_handshake_failures_total", "counter", "Handshakes that came to nothing.");
    for (unsigned i = 0; i < CONN_FAILURES; i++)
        if (figures->failures[i].count)
            put_failure(w, &figures->failures[i]);
    put_one(w, "connections", "gauge", "Connections of senders.", ops->conns->count);
    put_one(w, "connections_accepted_total", "counter", "Connections since start.",
            figures->accepted);
    describe(w, "connections_refused_total", "counter", "Connections closed at once.");
    put(w, "rollcall_connections_refused_total{reason=\"limit\"} %llu\n",
        (unsigned long long)ops->refused.limit);
    put(w, "rollcall_connections_refused_total{reason=\"address\"} %llu\n",
        (unsigned long long)ops->refused.address);
    put(w, "rollcall_connections_refused_total{reason=\"error\"} %llu\n",
        (unsigned long long)ops->refused.error);
    put_one(w, "timeouts_total", "counter", "Connections whose deadline passed.",
            figures->timeouts);
}

static int answer_metrics(const struct ops *ops, struct buf *body) {
    struct writer w = {body, 0};
    put_one(&w, "ready", "gauge", "1 while /readyz is answered with 200.", ops_is_ready(ops));
    put_endpoints(&w, ops);
    put_latency(&w, &ops->conns->latency);
    describe(&w, "loop_lag_seconds", "gauge",
             "The longest that the event loop has kept somebody waiting, in the last 30 to 60 s.");
    put(&w, "rollcall_loop_lag_seconds %.6f\n", (double)lag_worst_ns(&ops->conns->lag) / 1e9);
    put_ring(&w, ops);
    put_readers(&w, ops);
    put_connections(&w, ops);
    put_one(&w, "certificate_expiry_timestamp_seconds", "gauge", "When the certificate ends.",
            (unsigned long long)ops->certificate_expiry_s);
    put_one(&w, "config_reload_success", "gauge", "Whether the last reload took.", ops->reload_ok);
    put_one(&w, "config_reload_failures_total", "counter", "Reloads that did not.",
            ops->reload_fails);
    describe(&w, "start_time_seconds", "gauge", "When the node was started.");
    put(&w, "rollcall_start_time_seconds %.3f\n", (double)ops->started_us / 1e6);
    describe(&w, "build_info", "gauge", "1, with what it was built as.");
    put(&w, "rollcall_build_info{version=\"%s\"} 1\n", ROLLCALL_VERSION);
    return w.rc;
}

/* --- both ----------------------------------------------------------------------------- */

bool ops_is_ready(const struct ops *ops) {
    return !ops->draining && !ops->ingest->disk_failed;
}

double ops_oldest_age_s(const struct ops *ops) {
    struct ring_cursor cursor = ring_oldest(ops->ring);
    const struct ring_record *record;
    if (ring_next(ops->ring, &cursor, &record) != RING_OK || ops->now_us < record->received_us)
        return 0;
    return (double)(ops->now_us - record->received_us) / 1e6;
}

void ops_lower_reason(const char *reason, char dst[OPS_REASON_BYTES]) {
    size_t len = 0;
    for (; reason && reason[len] && len < OPS_REASON_BYTES - 1; len++) {
        char c = reason[len];
        dst[len] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    dst[len] = 0;
    if (!len)
        snprintf(dst, OPS_REASON_BYTES, "other");
}

int ops_answer(const struct ops *ops, struct span path, struct buf *body,
               struct ops_answer *answer) {
    *answer = (struct ops_answer){200, "text/plain; charset=utf-8"};
    if (span_equals(path, SPAN("/metrics"))) {
        answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
        return answer_metrics(ops, body);
    }
    if (span_equals(path, SPAN("/v1/status"))) {
        answer->content_type = "application/json";
        return ops_answer_status(ops, body);
    }
    if (span_equals(path, SPAN("/livez")))
        return buf_append(body, "ok\n", 3);
    if (!span_equals(path, SPAN("/readyz")))
        return OPS_UNKNOWN;
    if (ops_is_ready(ops))
        return buf_append(body, "ok\n", 3);
    answer->status = 503;
    return ops->draining ? buf_append(body, "draining\n", 9) : buf_append(body, "disk\n", 5);
}
