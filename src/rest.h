/* A listening socket that rests, because accept() fails and nothing here can help it: the system is
 * out of file table entries (ENFILE) or memory. libuv 1.44 would ask the callback and try again
 * without an end, within one turn of the loop (uv__server_io), and serve nobody meanwhile.
 *
 * It is not a listener: who rests keeps a descriptor of the same socket, closes libuv's handle,
 * and a while later listens with a new one. Connections wait in the socket's queue. */
#ifndef ROLLCALL_REST_H
#define ROLLCALL_REST_H

#include <uv.h>

#include "util/err.h"

/* To be called by a listener's connection_cb with a negative status. 0: the handle is closing,
 * on_closed comes, and *fd is the socket, for uv_tcp_open or uv_pipe_open and uv_listen, or for
 * close(). Negative: nothing has changed. */
int rest_begin(uv_stream_t *listener, uv_close_cb on_closed, int *fd) MUST_CHECK;

#endif
