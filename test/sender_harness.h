/* What the senders' tests share: a body goes through a sender into a ring of its own, and the lines
 * come out. The clock stands at 2026-01-05T10:12:13.456789Z, the endpoint is "lobby". */
#ifndef ROLLCALL_TEST_SENDER_HARNESS_H
#define ROLLCALL_TEST_SENDER_HARNESS_H

#include "sender.h"
#include "util/span.h"

/* For cmocka_run_group_tests. */
int sender_harness_setup(void **state);
int sender_harness_teardown(void **state);

struct sender_outcome {
    int rc; /* what parse answered; the batch is aborted where it is not 0 */
    unsigned accepted, rejected;
    struct problem first; /* what was rejected first, as problem or in the batch; empty for none */
    struct span lines;    /* valid until the next body */
};

/* The body must be JSON. Fails the test where a line is not JSON, has a name twice (`data` apart),
 * or lies about its seq, its layout or its client. */
struct sender_outcome sender_harness_parse(const char *sender, struct span body);

/* One sample: test/data/<sender>/<name>.json and what comes of it, <name>.expected.ndjson. An id of
 * zeros in the latter stands for any: of events without identity it is another in every run. */
struct sender_sample {
    const char *name;
    unsigned accepted, rejected;
    const char *first_path, *first_message; /* NULL where nothing is rejected */
};

void sender_harness_check(const char *sender, const struct sender_sample *sample);

#endif
