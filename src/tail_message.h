/* What rollcall-tail and rollcall-forward say to their user: the only writer to stderr. A message
 * is one line; the status is a line that is drawn over, at the bottom of a terminal. Control
 * characters that a peer or a path brings in are made blanks. */
#ifndef ROLLCALL_TAIL_MESSAGE_H
#define ROLLCALL_TAIL_MESSAGE_H

#include "util/err.h"

/* Whose name stands in front of every message; without it rollcall-tail's. Stays the caller's. */
void tail_message_name(const char *name);
/* "rollcall-tail: ..." and a newline. */
void tail_say(const char *format, ...) PRINTF_LIKE(1, 2);
/* Shows this status from now on; "" for none. It is cut to the terminal's width. */
void tail_status_set(const char *text);
/* Takes the status off the terminal for what else is written there; tail_status_draw brings it
 * back. */
void tail_status_hide(void);
void tail_status_draw(void);

#endif
