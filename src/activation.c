/* sd_listen_fds(3) without its library; see activation.h. */
#include "activation.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

union any_address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

static int fail(char *error, size_t error_len, const char *what, const char *why) {
    snprintf(error, error_len, "%s: %s", what, why);
    return -EINVAL;
}

/* A whole number of at most max, or -1. */
static long parse_number(const char *text, long max) {
    char *end;
    if (*text < '0' || *text > '9')
        return -1;
    errno = 0;
    long value = strtol(text, &end, 10);
    return *end || errno || value > max ? -1 : value;
}

/* The socket's own address, its text ended even where the kernel did not. */
static bool get_address(int fd, union any_address *address) {
    socklen_t len = sizeof *address - 1;
    memset(address, 0, sizeof *address);
    return getsockname(fd, &address->any, &len) == 0;
}

static bool has_option(int fd, int option, int wanted) {
    int value = 0;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == wanted;
}

/* What is wrong with it, or NULL. */
static const char *find_fault(int fd) {
    union any_address address;
    if (!get_address(fd, &address))
        return "not a socket";
    if (address.any.sa_family != AF_INET && address.any.sa_family != AF_INET6 &&
        (address.any.sa_family != AF_UNIX || address.un.sun_path[0] != '/'))
        return "neither TCP nor a Unix socket with a path";
    if (!has_option(fd, SO_TYPE, SOCK_STREAM))
        return "not a stream socket (ListenStream=)";
    if (!has_option(fd, SO_ACCEPTCONN, 1))
        return "does not listen (Accept= must be no)";
    int flags = fcntl(fd, F_GETFL);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
        return "cannot be set up";
    return NULL;
}

static int take_over(struct activation *activation, unsigned count, char *error, size_t error_len) {
    for (unsigned i = 0; i < count; i++) {
        char name[32];
        const char *fault = find_fault(ACTIVATION_FIRST_FD + (int)i);
        snprintf(name, sizeof name, "inherited socket %u", ACTIVATION_FIRST_FD + i);
        if (fault)
            return fail(error, error_len, name, fault);
        activation->fds[i] = ACTIVATION_FIRST_FD + (int)i;
        activation->count = i + 1;
    }
    return 0;
}

static int read_environment(struct activation *activation, char *error, size_t error_len) {
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    if (!pid || !fds || parse_number(pid, INT32_MAX) != getpid())
        return 0; /* for whoever started us, perhaps */
    long count = parse_number(fds, ACTIVATION_MAX);
    if (count < 0)
        return fail(error, error_len, "LISTEN_FDS", "not a number from 0 to 32");
    return take_over(activation, (unsigned)count, error, error_len);
}

int activation_init(struct activation *activation, char *error, size_t error_len) {
    *activation = (struct activation){0};
    int rc = read_environment(activation, error, error_len);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return rc;
}

static bool is_same(const union any_address *a, const union any_address *b) {
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    if (a->any.sa_family == AF_INET6)
        return a->in6.sin6_port == b->in6.sin6_port &&
               memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr) == 0;
    return strcmp(a->un.sun_path, b->un.sun_path) == 0;
}

static int take(struct activation *activation, const union any_address *wanted) {
    for (unsigned i = 0; i < activation->count; i++) {
        union any_address address;
        int fd = activation->fds[i];
        if (fd && get_address(fd, &address) && is_same(&address, wanted)) {
            activation->fds[i] = 0;
            return fd;
        }
    }
    return 0;
}

int activation_take(struct activation *activation, const struct sockaddr *address) {
    union any_address wanted = {0};
    if (address->sa_family == AF_INET6)
        memcpy(&wanted.in6, address, sizeof wanted.in6);
    else
        memcpy(&wanted.in, address, sizeof wanted.in);
    return take(activation, &wanted);
}

int activation_take_path(struct activation *activation, const char *path) {
    union any_address wanted = {.un = {.sun_family = AF_UNIX}};
    if (strlen(path) >= sizeof wanted.un.sun_path)
        return 0;
    strcpy(wanted.un.sun_path, path);
    return take(activation, &wanted);
}

static void format_name(int fd, char *name, size_t len) {
    char host[INET6_ADDRSTRLEN] = "";
    union any_address address;
    name[0] = 0;
    if (!get_address(fd, &address))
        return;
    if (address.any.sa_family == AF_UNIX) {
        snprintf(name, len, "%s", address.un.sun_path);
    } else if (address.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address.in6.sin6_addr, host, sizeof host);
        snprintf(name, len, "[%s]:%u", host, ntohs(address.in6.sin6_port));
    } else {
        inet_ntop(AF_INET, &address.in.sin_addr, host, sizeof host);
        snprintf(name, len, "%s:%u", host, ntohs(address.in.sin_port));
    }
}

int activation_left(const struct activation *activation, char *name, size_t name_len) {
    for (unsigned i = 0; i < activation->count; i++) {
        if (activation->fds[i]) {
            format_name(activation->fds[i], name, name_len);
            return activation->fds[i];
        }
    }
    return 0;
}

void activation_deinit(struct activation *activation) {
    for (unsigned i = 0; i < activation->count; i++)
        if (activation->fds[i])
            close(activation->fds[i]);
    *activation = (struct activation){0};
}
