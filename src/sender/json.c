/* Any JSON document, passed through as one event's `data`: for senders that are not known here. */
#include "batch.h"
#include "sender.h"

static int parse(struct json_doc *doc, struct batch *batch, struct problem *problem) {
    struct event event;
    (void)problem;
    event_init(&event);
    event.kind = SPAN("document");
    event_set(&event, EVENT_DATA, json_raw(doc, 0));
    /* No identity but that of a delivery's header: what makes two documents the same is not known,
     * and two that are alike may be two events. */
    return batch_emit(batch, &event, NULL);
}

const struct sender sender_json = {
    .name = "json",
    .identity_header = "webhook-id", /* Standard Webhooks: the same for each attempt */
    .is_passed_through = true,
    .parse = parse,
};
