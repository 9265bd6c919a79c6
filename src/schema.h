/* The JSON Schema of a line, as the node serves it at /v1/schema: event.schema.json, put into the
 * program when it is built. */
#ifndef ROLLCALL_SCHEMA_H
#define ROLLCALL_SCHEMA_H

#include <stddef.h>

extern const char event_schema[];
extern const size_t event_schema_len;

#endif
