/* What a service manager is told. */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "notify.h"

/* A manager's socket, abstract or in a directory of its own; NOTIFY_SOCKET names it. */
struct manager {
    int fd;
    char directory[32];
    char name[64];
};

static struct manager start_manager(bool is_abstract) {
    struct manager manager = {.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(manager.directory, "/tmp/rollcall-notify-XXXXXX");
    assert_non_null(mkdtemp(manager.directory));
    snprintf(manager.name, sizeof manager.name, "%s%s/n", is_abstract ? "@" : "",
             manager.directory);
    strcpy(address.sun_path, manager.name);
    if (is_abstract)
        address.sun_path[0] = 0;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(manager.name));
    assert_int_equal(bind(manager.fd, (struct sockaddr *)&address, len), 0);
    setenv("NOTIFY_SOCKET", manager.name, 1);
    return manager;
}

static void stop_manager(struct manager *manager) {
    close(manager->fd);
    unlink(manager->name);
    rmdir(manager->directory);
}

static void expect_text(const struct manager *manager, const char *expected) {
    char text[1024];
    ssize_t len = recv(manager->fd, text, sizeof text - 1, 0);
    assert_in_range(len, 1, sizeof text - 1);
    text[len] = 0;
    assert_string_equal(text, expected);
}

static void expect_silence(const struct manager *manager) {
    char text[16];
    assert_int_equal(recv(manager->fd, text, sizeof text, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

static void test_nobody_is_told_where_nobody_asks(void **state) {
    struct notify notify;
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(notify_init(&notify), 0);
    notify_send(&notify, "READY=1");
    notify_deinit(&notify);
    setenv("NOTIFY_SOCKET", "", 1);
    assert_int_equal(notify_init(&notify), 0);
    assert_int_equal(notify.fd, 0);
}

static void test_both_kinds_of_address(void **state) {
    (void)state;
    for (int is_abstract = 0; is_abstract < 2; is_abstract++) {
        struct manager manager = start_manager(is_abstract);
        struct notify notify;
        assert_int_equal(notify_init(&notify), 0);
        assert_null(getenv("NOTIFY_SOCKET"));
        notify_send(&notify, "READY=1\nSTATUS=%d sockets", 2);
        expect_text(&manager, "READY=1\nSTATUS=2 sockets");
        notify_deinit(&notify);
        notify_send(&notify, "READY=1");
        expect_silence(&manager);
        stop_manager(&manager);
    }
}

static void test_what_is_too_long_is_cut(void **state) {
    struct manager manager = start_manager(true);
    struct notify notify;
    char text[1024], expected[1024];
    (void)state;
    assert_int_equal(notify_init(&notify), 0);
    for (size_t len = 510; len <= 513; len++) {
        memset(text, 'x', len);
        text[len] = 0;
        notify_send(&notify, "%s", text);
        snprintf(expected, sizeof expected, "%.511s", text);
        expect_text(&manager, expected);
    }
    notify_deinit(&notify);
    stop_manager(&manager);
}

static void test_addresses_that_cannot_be(void **state) {
    struct notify notify;
    char name[110];
    (void)state;
    setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
    assert_int_equal(notify_init(&notify), -EAFNOSUPPORT);
    assert_int_equal(notify.fd, 0);
    memset(name, 'x', sizeof name);
    name[0] = '/';
    name[107] = 0;
    setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(notify_init(&notify), 0);
    notify_send(&notify, "READY=1"); /* nobody is there: nothing happens */
    notify_deinit(&notify);
    name[107] = 'x';
    name[108] = 0;
    setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(notify_init(&notify), -ENAMETOOLONG);
    notify_send(&notify, "READY=1");
}

static uint64_t watchdog_ms(const char *usec, const char *pid) {
    struct notify notify;
    setenv("WATCHDOG_USEC", usec, 1);
    if (pid)
        setenv("WATCHDOG_PID", pid, 1);
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(notify_init(&notify), 0);
    assert_null(getenv("WATCHDOG_USEC"));
    assert_null(getenv("WATCHDOG_PID"));
    return notify.watchdog_ms;
}

static void test_the_watchdog_of_this_process(void **state) {
    char pid[16];
    (void)state;
    snprintf(pid, sizeof pid, "%d", getpid());
    assert_int_equal(watchdog_ms("3000000", pid), 3000);
    assert_int_equal(watchdog_ms("3000000", NULL), 3000);
    assert_int_equal(watchdog_ms("3000000", "1"), 0);
    assert_int_equal(watchdog_ms("", pid), 0);
    assert_int_equal(watchdog_ms("3s", pid), 0);
    assert_int_equal(watchdog_ms("-3000000", pid), 0);
    assert_int_equal(watchdog_ms("99999999999999999999", pid), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_is_told_where_nobody_asks),
        cmocka_unit_test(test_both_kinds_of_address),
        cmocka_unit_test(test_what_is_too_long_is_cut),
        cmocka_unit_test(test_addresses_that_cannot_be),
        cmocka_unit_test(test_the_watchdog_of_this_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
