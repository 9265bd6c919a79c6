/* The Unix socket: its file, with what stands at the path already, and its rights. */
#include "feed_harness.h"

#include <grp.h>
#include <signal.h>
#include <sys/stat.h>

static void leave_stale_socket(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    close(fd);
}

static ino_t inode_of(const char *path) {
    struct stat found;
    return lstat(path, &found) ? 0 : found.st_ino;
}

static void test_takeover(void **state) {
    struct world world;
    struct feed *other = NULL;
    (void)state;
    make_place(&world, RING_MIN_BYTES);
    leave_stale_socket(world.path);
    assert_int_equal(try_feed(&world, &world.feed, world.path, 0600, NULL), FEED_OK);
    struct answer answer = get(&world, "/v1/events?follow=0");
    assert_int_equal(answer.status, 200);
    free_answer(&answer);
    /* A live one stays what and whose it is. */
    ino_t inode = inode_of(world.path);
    assert_int_equal(try_feed(&world, &other, world.path, 0600, NULL), FEED_SOCKET_LIVE);
    assert_null(other);
    assert_int_equal(inode_of(world.path), inode);
    settle(&world, NULL); /* the visit leaves no reader behind */
    assert_int_equal(feed_reader_count(world.feed), 0);
    answer = get(&world, "/v1/events?follow=0");
    assert_int_equal(answer.status, 200);
    free_answer(&answer);
    /* When the name has become another's, our end does not touch it. */
    assert_int_equal(unlink(world.path), 0);
    assert_int_equal(try_feed(&world, &other, world.path, 0600, NULL), FEED_OK);
    inode = inode_of(world.path);
    end_feed(&world, world.feed);
    world.feed = other;
    assert_int_equal(inode_of(world.path), inode);
    answer = get(&world, "/v1/events?follow=0");
    assert_int_equal(answer.status, 200);
    free_answer(&answer);
    end_feed(&world, world.feed);
    world.feed = NULL;
    assert_int_equal(inode_of(world.path), 0);
    close_world(&world);
}

/* A live socket whose backlog is full refuses connections, too, and is not taken over. */
static void test_live_with_a_full_backlog(void **state) {
    struct world world;
    struct feed *feed = NULL;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fds[16], count = 0, listener = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)state;
    make_place(&world, RING_MIN_BYTES);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", world.path);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    do {
        fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        assert_true(count < 15);
    } while (connect(fds[count++], (struct sockaddr *)&address, sizeof address) == 0);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(try_feed(&world, &feed, world.path, 0600, NULL), FEED_SOCKET_LIVE);
    assert_true(inode_of(world.path) != 0);
    while (count)
        close(fds[--count]);
    close(listener);
    unlink(world.path);
    close_world(&world);
}

static void test_other_things_at_the_path(void **state) {
    struct world world;
    struct feed *feed = NULL;
    char path[256], target[128];
    (void)state;
    open_world(&world, RING_MIN_BYTES); /* so that the loop has what it keeps open */
    end_feed(&world, world.feed);
    world.feed = NULL;
    unsigned before = open_descriptors();
    int fd = open(world.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "precious", 8), 8);
    close(fd);
    assert_int_equal(try_feed(&world, &feed, world.path, 0600, NULL), -EEXIST);
    struct stat found;
    assert_int_equal(stat(world.path, &found), 0);
    assert_int_equal(found.st_size, 8);
    /* Nor is what a symbolic link points to anything of ours. */
    snprintf(target, sizeof target, "%s/link", world.directory);
    assert_int_equal(symlink(world.path, target), 0);
    assert_int_equal(try_feed(&world, &feed, target, 0600, NULL), -EEXIST);
    unlink(target);
    unlink(world.path);
    assert_int_equal(try_feed(&world, &feed, world.directory, 0600, NULL), -EEXIST);
    snprintf(path, sizeof path, "%s/no/sock", world.directory);
    assert_int_equal(try_feed(&world, &feed, path, 0600, NULL), -ENOENT);
    assert_int_equal(try_feed(&world, &feed, "", 0600, NULL), -EINVAL);
    /* No such group: nothing is left behind. */
    assert_int_equal(try_feed(&world, &feed, world.path, 0600, "no-such-group-here"), -ENOENT);
    assert_int_equal(inode_of(world.path), 0);
    assert_null(feed);
    /* The longest path that a socket can have, and one byte more. */
    size_t room = sizeof((struct sockaddr_un *)0)->sun_path;
    snprintf(path, sizeof path, "%s/", world.directory);
    memset(path + strlen(path), 'x', sizeof path - strlen(path));
    path[room] = 0;
    assert_int_equal(try_feed(&world, &feed, path, 0600, NULL), -ENAMETOOLONG);
    path[room - 1] = 0;
    assert_int_equal(try_feed(&world, &feed, path, 0600, NULL), FEED_OK);
    assert_true(inode_of(path) != 0);
    end_feed(&world, feed);
    assert_int_equal(inode_of(path), 0);
    assert_int_equal(open_descriptors(), before);
    close_world(&world);
}

static void test_rights(void **state) {
    static const unsigned modes[] = {0600, 0660, 0666, 0000, 0777};
    static const mode_t umasks[] = {0, 022, 077, 0777};
    (void)state;
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
        for (size_t u = 0; u < sizeof umasks / sizeof *umasks; u++) {
            struct world world;
            struct stat found;
            const struct group *group = getgrgid(getegid());
            make_place(&world, RING_MIN_BYTES);
            mode_t before = umask(umasks[u]);
            int rc = try_feed(&world, &world.feed, world.path, modes[m],
                              group && m % 2 ? group->gr_name : "");
            mode_t now = umask(before);
            assert_int_equal(rc, FEED_OK);
            assert_int_equal(now, umasks[u]);
            assert_int_equal(lstat(world.path, &found), 0);
            assert_int_equal(found.st_mode & 07777, modes[m]);
            assert_int_equal(found.st_gid, getegid());
            close_world(&world);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takeover),
        cmocka_unit_test(test_live_with_a_full_backlog),
        cmocka_unit_test(test_other_things_at_the_path),
        cmocka_unit_test(test_rights),
    };
    signal(SIGPIPE, SIG_IGN); /* as the node does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
