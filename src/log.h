/* The log: the only writer to stderr. One line an event, logfmt or JSON; never a secret, a body or
 * a query string. Callers are programs and the server layer; library layers do not log. */
#ifndef ROLLCALL_LOG_H
#define ROLLCALL_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "util/err.h"
#include "util/span.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_init(enum log_level level, bool json);
bool log_enabled(enum log_level level);

/* One line. `message` is static text that names the event; then pairs of key and value as strings,
 * ended by NULL: log_write(LOG_INFO, "listening", "address", text, NULL). Values are quoted and
 * escaped as the format asks; a value past 1 KiB ends in an ellipsis, and pairs past a line of 8
 * KiB are left out (cut=true says so). A value may be NULL: it is written as "". Leaves errno
 * alone. */
void log_write(enum log_level level, const char *message, ...) __attribute__((sentinel));

/* For lines that a peer can cause at will: whether one more may be written for that reason (static
 * text, told apart by its address), LOG_LIMIT_LINES in any LOG_LIMIT_MS. Where it may, *suppressed
 * is how many were not since the last that was: the line should say so. */
enum { LOG_LIMIT_LINES = 10, LOG_LIMIT_MS = 10 * 1000, LOG_LIMIT_REASONS = 64 };
bool log_admit(const char *reason, uint64_t *suppressed);

#endif
