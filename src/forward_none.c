/* The sinks that this build lacks; see forward_sink.h. */
#include "forward_sink.h"

#ifndef ROLLCALL_NATS
const struct forward_sink_class *const forward_sink_nats = NULL;
#endif
#ifndef ROLLCALL_KAFKA
const struct forward_sink_class *const forward_sink_kafka = NULL;
#endif
