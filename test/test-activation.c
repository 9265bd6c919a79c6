/* Sockets that a service manager passes on. Each case is a process of its own, whose descriptors
 * from 3 on are what the manager would have put there. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "activation.h"

enum { FAR = 100 }; /* where a socket is made before it is put to its place */

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static char directory[] = "/tmp/rollcall-activation-XXXXXX";
static char path[64];

static void place(int fd, int at) {
    CHECK(fd >= 0 && dup2(fd, at) == at);
    if (fd != at)
        close(fd);
}

static int high_socket(int family, int type) {
    int fd = socket(family, type, 0);
    int high = fcntl(fd, F_DUPFD, FAR);
    close(fd);
    return high;
}

static struct sockaddr_in listen_on_loopback(int at) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = high_socket(AF_INET, SOCK_STREAM);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(fd, 5) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    place(fd, at);
    return address;
}

static void listen_on_path(int at) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = high_socket(AF_UNIX, SOCK_STREAM);
    strcpy(address.sun_path, path);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 5) == 0);
    place(fd, at);
}

static void set_environment(const char *fds) {
    char pid[16];
    snprintf(pid, sizeof pid, "%d", getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", fds, 1);
    setenv("LISTEN_FDNAMES", "a:b", 1);
}

static void expect_error(const char *fds, const char *expected) {
    struct activation activation;
    char error[256] = "";
    set_environment(fds);
    CHECK(activation_init(&activation, error, sizeof error) == -EINVAL);
    if (strcmp(error, expected) != 0)
        fprintf(stderr, "%s, expected %s\n", error, expected);
    CHECK(strcmp(error, expected) == 0);
    activation_deinit(&activation);
}

static void case_taken_by_address(void) {
    struct activation activation;
    char error[256], name[ACTIVATION_NAME_BYTES];
    struct sockaddr_in address = listen_on_loopback(3);
    listen_on_path(4);
    set_environment("2");
    CHECK(activation_init(&activation, error, sizeof error) == 0);
    CHECK(!getenv("LISTEN_PID") && !getenv("LISTEN_FDS") && !getenv("LISTEN_FDNAMES"));
    CHECK(fcntl(3, F_GETFD) == FD_CLOEXEC && fcntl(4, F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(3, F_GETFL) & O_NONBLOCK);

    struct sockaddr_in other = address;
    other.sin_port ^= 1;
    CHECK(activation_take(&activation, (struct sockaddr *)&other) == 0);
    CHECK(activation_left(&activation, name, sizeof name) == 3);
    CHECK(strncmp(name, "127.0.0.1:", 10) == 0);
    CHECK(activation_take(&activation, (struct sockaddr *)&address) == 3);
    CHECK(activation_take(&activation, (struct sockaddr *)&address) == 0); /* it is gone */
    CHECK(activation_take_path(&activation, "/tmp/another") == 0);
    CHECK(activation_left(&activation, name, sizeof name) == 4 && strcmp(name, path) == 0);
    CHECK(activation_take_path(&activation, path) == 4);
    CHECK(activation_left(&activation, name, sizeof name) == 0);
}

static void case_ipv6(void) {
    struct activation activation;
    char error[256], name[ACTIVATION_NAME_BYTES];
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof address;
    int fd = high_socket(AF_INET6, SOCK_STREAM);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address))
        return; /* a machine without IPv6 */
    CHECK(listen(fd, 5) == 0 && getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    place(fd, 3);
    set_environment("1");
    CHECK(activation_init(&activation, error, sizeof error) == 0);
    CHECK(activation_left(&activation, name, sizeof name) == 3 && strncmp(name, "[::1]:", 6) == 0);
    struct sockaddr_in6 other = address;
    other.sin6_addr.s6_addr[0] = 0xfe;
    CHECK(activation_take(&activation, (struct sockaddr *)&other) == 0);
    CHECK(activation_take(&activation, (struct sockaddr *)&address) == 3);
}

static void case_none_or_anothers(void) {
    struct activation activation;
    char error[256], name[ACTIVATION_NAME_BYTES];
    unsetenv("LISTEN_FDS");
    CHECK(activation_init(&activation, error, sizeof error) == 0 && activation.count == 0);
    setenv("LISTEN_PID", "1", 1);
    setenv("LISTEN_FDS", "nonsense", 1);
    CHECK(activation_init(&activation, error, sizeof error) == 0 && activation.count == 0);
    CHECK(!getenv("LISTEN_FDS"));
    set_environment("0");
    CHECK(activation_init(&activation, error, sizeof error) == 0 && activation.count == 0);
    CHECK(activation_left(&activation, name, sizeof name) == 0);
}

static void case_bad_numbers(void) {
    expect_error("", "LISTEN_FDS: not a number from 0 to 32");
    expect_error("-1", "LISTEN_FDS: not a number from 0 to 32");
    expect_error("1x", "LISTEN_FDS: not a number from 0 to 32");
    expect_error("33", "LISTEN_FDS: not a number from 0 to 32");
    expect_error("4294967297", "LISTEN_FDS: not a number from 0 to 32");
}

/* 32 is the bound: all of them are there, or it is the first missing one that is named. */
static void case_the_most(void) {
    struct activation activation;
    char error[256];
    listen_on_loopback(3);
    for (int fd = 4; fd < 3 + ACTIVATION_MAX; fd++)
        CHECK(dup2(3, fd) == fd);
    set_environment("32");
    CHECK(activation_init(&activation, error, sizeof error) == 0 && activation.count == 32);
    activation_deinit(&activation);
    CHECK(fcntl(34, F_GETFD) == -1);
    expect_error("32", "inherited socket 3: not a socket");
}

static void case_what_is_of_no_use(void) {
    int pair[2];
    listen_on_loopback(3);
    CHECK(open("/dev/null", O_RDONLY) == 4);
    expect_error("2", "inherited socket 4: not a socket");

    listen_on_loopback(3);
    place(high_socket(AF_INET, SOCK_DGRAM), 4);
    expect_error("2", "inherited socket 4: not a stream socket (ListenStream=)");

    listen_on_loopback(3);
    place(high_socket(AF_INET, SOCK_STREAM), 4);
    expect_error("2", "inherited socket 4: does not listen (Accept= must be no)");

    listen_on_loopback(3);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    place(fcntl(pair[0], F_DUPFD, FAR), 4);
    expect_error("2", "inherited socket 4: neither TCP nor a Unix socket with a path");
}

static void run_case(void (*body)(void)) {
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    unlink(path);
    assert_int_equal(status, 0);
}

#define CASE(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        run_case(case_##name);                                                                     \
    }

CASE(taken_by_address)
CASE(ipv6)
CASE(none_or_anothers)
CASE(bad_numbers)
CASE(the_most)
CASE(what_is_of_no_use)

static int make_directory(void **state) {
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/events.sock", directory);
    return 0;
}

static int remove_directory(void **state) {
    (void)state;
    return rmdir(directory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_by_address), cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_none_or_anothers), cmocka_unit_test(test_bad_numbers),
        cmocka_unit_test(test_the_most),         cmocka_unit_test(test_what_is_of_no_use),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
