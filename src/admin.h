/* The admin listener: plain HTTP for whoever watches the node (Prometheus, a load balancer): a GET,
 * an answer, the end. What is answered is ops.c's. Meant for loopback or a network of one's own: it
 * asks for no secret. */
#ifndef ROLLCALL_ADMIN_H
#define ROLLCALL_ADMIN_H

#include <uv.h>

#include "ops.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/span.h"
#include "util/wheel.h"

struct admin;

enum { ADMIN_MAX_CONNECTIONS = 64, ADMIN_TIMEOUT_MS = 10 * 1000 };

/* What answers: as ops_answer. */
typedef int admin_answer_fn(void *context, struct span path, struct buf *body,
                            struct ops_answer *answer);

/* Listens. 0 or UV_E*; where it fails, the loop may have to go round before all is freed. */
int admin_new(struct admin **admin, uv_loop_t *loop, struct wheel *wheel,
              const struct sockaddr *address, admin_answer_fn *answer, void *context) MUST_CHECK;
/* The address that it listens on. */
int admin_address(const struct admin *admin, struct sockaddr_storage *address) MUST_CHECK;
/* Closes everything; it is freed when its handles are closed. NULL is fine. */
void admin_close(struct admin *admin);

#endif
