/* What is noted of connections: log lines, and figures that take more than an addition. Decides and
 * changes nothing else. */
#ifndef ROLLCALL_CONN_NOTE_H
#define ROLLCALL_CONN_NOTE_H

#include "conn.h"

/* At debug level: what is the internet's noise, unless somebody looks for it. `reason` is static
 * text. */
void conn_note_noise(const char *message, const char *reason);
/* What an operator has to know of: an endpoint's sender that is not understood. */
void conn_note_answer(const struct ingest_answer *answer);
/* A handshake came to nothing; `reason` is static text. */
void conn_note_failure(struct conn_shared *shared, const char *reason);
/* Those answers are the kernel's to send: counts how long they took, and forgets them. */
void conn_note_written(struct conn_shared *shared, struct latency_pending *pending);

#endif
