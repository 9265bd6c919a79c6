/* The tail's stderr; see tail_message.h. */
#include "tail_message.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 8192, STATUS_BYTES = 256 };

static char status[STATUS_BYTES];
static bool drawn;
static const char *program = "rollcall-tail";

void tail_message_name(const char *name) {
    program = name;
}

/* stderr has nobody left to complain to: what cannot be written there is dropped. */
static void put(const char *text, size_t len) {
    while (len) {
        ssize_t written = write(STDERR_FILENO, text, len);
        if (written <= 0)
            return;
        text += written;
        len -= (size_t)written;
    }
}

void tail_status_hide(void) {
    if (drawn)
        put("\r\033[K", 4);
    drawn = false;
}

void tail_status_draw(void) {
    struct winsize size;
    size_t len = strlen(status);
    if (!len)
        return;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && len >= size.ws_col)
        len = size.ws_col - 1u; /* the last column would make the terminal go on to a new line */
    tail_status_hide();
    put(status, len);
    drawn = true;
}

void tail_status_set(const char *text) {
    tail_status_hide();
    snprintf(status, sizeof status, "%s", text);
    tail_status_draw();
}

void tail_say(const char *format, ...) {
    char text[MESSAGE_BYTES];
    size_t len = (size_t)snprintf(text, sizeof text, "%s: ", program), room = sizeof text - len - 1;
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(text + len, room, format, args);
    va_end(args);
    if (wanted > 0)
        len += (size_t)wanted < room ? (size_t)wanted : room - 1;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = ' ';
    text[len++] = '\n';
    tail_status_hide();
    put(text, len);
    tail_status_draw();
}
