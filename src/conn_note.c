/* Log lines and figures of connections; see conn_note.h. */
#include "conn_note.h"

#include <string.h>

#include "log.h"
#include "util/clock.h"
#include "util/text.h"

void conn_note_noise(const char *message, const char *reason) {
    char count[U64_TEXT_BYTES + 1];
    uint64_t suppressed;
    if (!log_enabled(LOG_DEBUG) || !log_admit(reason, &suppressed))
        return;
    count[text_format_u64(suppressed, count)] = 0;
    log_write(LOG_DEBUG, message, "reason", reason, suppressed ? "suppressed" : NULL, count, NULL);
}

/* What comes for nobody's path is the internet's noise. */
void conn_note_answer(const struct ingest_answer *answer) {
    enum log_level level = answer->endpoint ? LOG_WARNING : LOG_DEBUG;
    char status[U64_TEXT_BYTES + 1], count[U64_TEXT_BYTES + 1];
    uint64_t suppressed;
    if (!answer->reason || !log_enabled(level) || !log_admit(answer->reason, &suppressed))
        return;
    status[text_format_u64((uint64_t)answer->status, status)] = 0;
    count[text_format_u64(suppressed, count)] = 0;
    log_write(level, answer->status == 200 ? "body not read in full" : "request refused", "status",
              status, "endpoint", answer->endpoint ? answer->endpoint->name : "-", "reason",
              answer->reason, "at", answer->where, suppressed ? "suppressed" : NULL, count, NULL);
}

void conn_note_failure(struct conn_shared *shared, const char *reason) {
    struct conn_failure *failures = shared->figures.failures;
    unsigned i = 0;
    while (i < CONN_FAILURES - 1 && failures[i].reason && strcmp(failures[i].reason, reason) != 0)
        i++;
    failures[i].count++;
    if (i < CONN_FAILURES - 1)
        failures[i].reason = reason;
    conn_note_noise("handshake failed", reason);
}

void conn_note_written(struct conn_shared *shared, struct latency_pending *pending) {
    if (!pending->count)
        return;
    uint64_t now_ns = clock_monotonic_ns();
    latency_settle(&shared->latency, pending, now_ns);
    if (shared->turn_ns)
        lag_note(&shared->lag, now_ns - shared->turn_ns);
}
