/* Makes a program's n-th call of some kind fail: loaded in front of it with LD_PRELOAD, told what
 * to do by whoever shares the file that ROLLCALL_FAULTS names (test/blackbox/test_faults.py), which
 * can do so at any moment: a start and a steady state are told apart.
 *
 * Counted from main() on. What a library calls within itself (stdio's own reads and writes) does
 * not come by here, and the standard error is left alone, so that messages are seen. It may stand
 * in front of a program with AddressSanitizer (ASAN_OPTIONS=verify_asan_link_order=0): memory then
 * comes from the sanitizer, so that what a failed call leaves behind is found; strdup() and C++'s
 * new, which the sanitizer has of its own, do not come by here. */
/* A program that is built with it calls open64, mmap64 ...: both names are here. */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The bits of control.kinds; test_faults.py has the same names in the same order. */
enum kind {
    ALLOC,
    READ,
    WRITE,
    ACCEPT,
    EPOLL_CTL,
    EPOLL_WAIT,
    SOCKET,
    BIND,
    LISTEN,
    OPEN,
    MMAP,
    UNLINK,
    SETSOCKOPT,
    FDATASYNC,
    FTRUNCATE,
    MAKE_FD, /* epoll_create1, eventfd, pipe2, memfd_create */
    RANDOM,
    CHMOD,
    IOCTL,
    STAT,
    FALLOCATE,
    RENAME, /* and link */
    FLOCK,
};

enum { FRAMES = 16 };

/* The shared file. */
struct control {
    uint32_t armed;
    uint32_t kinds;          /* bits of enum kind */
    uint32_t cut;            /* not to fail, but to take one byte only (reads and writes) */
    int32_t error;           /* else: errno */
    uint32_t repeat;         /* how many calls in a row */
    uint32_t hits;           /* how many have failed */
    uint64_t n;              /* the first that fails, from 1 */
    uint64_t calls;          /* of these kinds, since it was armed */
    uint64_t frames[FRAMES]; /* of the first that failed: who called, as offsets into the program */
};

static struct control *control;
static bool in_main, is_busy;
static uintptr_t base;

static int take_base(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size;
    (void)data;
    base = info->dlpi_addr; /* the program itself comes first */
    return 1;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("ROLLCALL_FAULTS");
    void *frames[2];
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *map =
        (void *)syscall(SYS_mmap, NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    dl_iterate_phdr(take_base, NULL);
    (void)backtrace(frames, 2); /* it allocates when it is first called */
    control = map == MAP_FAILED ? NULL : map;
}

static void note_frames(void) {
    void *frames[FRAMES];
    int count = backtrace(frames, FRAMES);
    for (int i = 0; i < count; i++)
        control->frames[i] = (uint64_t)((uintptr_t)frames[i] - base);
}

/* Whether this call is one that fails; errno is set then. */
static bool fails(enum kind kind) {
    if (!control || !in_main || is_busy || !control->armed || !(control->kinds >> kind & 1))
        return false;
    uint64_t call = ++control->calls;
    if (call < control->n || call - control->n >= control->repeat)
        return false;
    is_busy = true;
    if (control->hits++ == 0)
        note_frames();
    is_busy = false;
    errno = control->error;
    return true;
}

/* Sockets and files; not the pipes and eventfds by which libuv tells itself something: the kernel
 * does not fail these, and libuv takes it that it does not. */
static bool is_real(int fd) {
    struct stat stat_buf;
    return fd != STDERR_FILENO && syscall(SYS_fstat, fd, &stat_buf) == 0 &&
           (S_ISSOCK(stat_buf.st_mode) || S_ISREG(stat_buf.st_mode));
}

/* As fails, for what can be cut short: *len becomes 1 then. */
static bool fails_or_cuts(enum kind kind, int fd, size_t *len) {
    if (!is_real(fd) || !fails(kind))
        return false;
    if (!control->cut)
        return true;
    *len = *len ? 1 : 0;
    return false;
}

/* --- the program's main -------------------------------------------------------------------- */

typedef int main_function(int, char **, char **);
static main_function *program_main;

static int counted_main(int argc, char **argv, char **environment) {
    in_main = true;
    int status = program_main(argc, argv, environment);
    in_main = false;
    return status;
}

int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end);
int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end) {
    int (*real)(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void),
                void *);
    *(void **)&real = dlsym(RTLD_NEXT, "__libc_start_main");
    program_main = main;
    return real(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}

/* --- memory -------------------------------------------------------------------------------- */

void *__libc_malloc(size_t len);
void *__libc_calloc(size_t count, size_t len);
void *__libc_realloc(void *old, size_t len);
/* AddressSanitizer's, where the program has it. */
void *__interceptor_malloc(size_t len) __attribute__((weak));
void *__interceptor_calloc(size_t count, size_t len) __attribute__((weak));
void *__interceptor_realloc(void *old, size_t len) __attribute__((weak));

void *malloc(size_t len) {
    if (fails(ALLOC))
        return NULL;
    return __interceptor_malloc ? __interceptor_malloc(len) : __libc_malloc(len);
}

void *calloc(size_t count, size_t len) {
    if (fails(ALLOC))
        return NULL;
    return __interceptor_calloc ? __interceptor_calloc(count, len) : __libc_calloc(count, len);
}

void *realloc(void *old, size_t len) {
    if (fails(ALLOC))
        return NULL;
    return __interceptor_realloc ? __interceptor_realloc(old, len) : __libc_realloc(old, len);
}

void *mmap(void *address, size_t len, int protection, int flags, int fd, off_t offset) {
    if (fails(MMAP))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, address, len, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t len, int protection, int flags, int fd, off64_t offset) {
    return mmap(address, len, protection, flags, fd, offset);
}

/* --- bytes --------------------------------------------------------------------------------- */

ssize_t read(int fd, void *dst, size_t len) {
    return fails_or_cuts(READ, fd, &len) ? -1 : syscall(SYS_read, fd, dst, len);
}

ssize_t pread(int fd, void *dst, size_t len, off_t offset) {
    return fails_or_cuts(READ, fd, &len) ? -1 : syscall(SYS_pread64, fd, dst, len, offset);
}

ssize_t pread64(int fd, void *dst, size_t len, off64_t offset) {
    return pread(fd, dst, len, offset);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    return fails(READ) && !control->cut ? -1 : syscall(SYS_recvmsg, fd, message, flags);
}

ssize_t write(int fd, const void *data, size_t len) {
    return fails_or_cuts(WRITE, fd, &len) ? -1 : syscall(SYS_write, fd, data, len);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    size_t len = SIZE_MAX;
    if (fails_or_cuts(WRITE, fd, &len))
        return -1;
    if (len == 1)
        return syscall(SYS_write, fd, parts[0].iov_base, parts[0].iov_len ? 1 : 0);
    return syscall(SYS_writev, fd, parts, count);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    return fails(WRITE) && !control->cut ? -1 : syscall(SYS_sendmsg, fd, message, flags);
}

/* --- sockets ------------------------------------------------------------------------------- */

/* Addresses have glibc's own type for those of any family. */
int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict len, int flags) {
    return fails(ACCEPT) ? -1 : (int)syscall(SYS_accept4, fd, address.__sockaddr__, len, flags);
}

int accept(int fd, __SOCKADDR_ARG address, socklen_t *restrict len) {
    return accept4(fd, address, len, 0);
}

int socket(int domain, int type, int protocol) {
    return fails(SOCKET) ? -1 : (int)syscall(SYS_socket, domain, type, protocol);
}

int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t len) {
    return fails(BIND) ? -1 : (int)syscall(SYS_bind, fd, address.__sockaddr__, len);
}

int listen(int fd, int backlog) {
    return fails(LISTEN) ? -1 : (int)syscall(SYS_listen, fd, backlog);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
    return fails(SETSOCKOPT) ? -1 : (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event) {
    return fails(EPOLL_CTL) ? -1 : (int)syscall(SYS_epoll_ctl, epoll, what, fd, event);
}

int epoll_pwait(int epoll, struct epoll_event *events, int count, int timeout,
                const sigset_t *mask) {
    if (fails(EPOLL_WAIT))
        return -1;
    return (int)syscall(SYS_epoll_pwait, epoll, events, count, timeout, mask, 8);
}

int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout) {
    return epoll_pwait(epoll, events, count, timeout, NULL);
}

/* --- files --------------------------------------------------------------------------------- */

static int open_at(int directory, const char *path, int flags, mode_t mode) {
    return fails(OPEN) ? -1 : (int)syscall(SYS_openat, directory, path, flags, mode);
}

#define TAKE_MODE(flags, mode)                                                                     \
    do {                                                                                           \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        mode = (flags) & (O_CREAT | __O_TMPFILE) ? va_arg(args, mode_t) : 0;                       \
        va_end(args);                                                                              \
    } while (0)

int open(const char *path, int flags, ...) {
    mode_t mode;
    TAKE_MODE(flags, mode);
    return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    mode_t mode;
    TAKE_MODE(flags, mode);
    return open_at(AT_FDCWD, path, flags, mode);
}

FILE *fopen(const char *restrict path, const char *restrict mode) {
    FILE *(*real)(const char *, const char *);
    if (fails(OPEN))
        return NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "fopen");
    return real(path, mode);
}

FILE *fopen64(const char *restrict path, const char *restrict mode) {
    return fopen(path, mode);
}

int unlink(const char *path) {
    return fails(UNLINK) ? -1 : (int)syscall(SYS_unlink, path);
}

int fdatasync(int fd) {
    return fails(FDATASYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd) {
    return fails(FDATASYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

int msync(void *address, size_t len, int flags) {
    return fails(FDATASYNC) ? -1 : (int)syscall(SYS_msync, address, len, flags);
}

int ftruncate(int fd, off_t len) {
    return fails(FTRUNCATE) ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

int ftruncate64(int fd, off64_t len) {
    return ftruncate(fd, len);
}

/* An error is what it returns, not errno. */
int posix_fallocate(int fd, off_t offset, off_t len) {
    int (*real)(int, off_t, off_t);
    if (fails(FALLOCATE))
        return control->error;
    *(void **)&real = dlsym(RTLD_NEXT, "posix_fallocate");
    return real(fd, offset, len);
}

int posix_fallocate64(int fd, off64_t offset, off64_t len) {
    return posix_fallocate(fd, offset, len);
}

int stat(const char *restrict path, struct stat *restrict dst) {
    return fails(STAT) ? -1 : (int)syscall(SYS_stat, path, dst);
}

int lstat(const char *restrict path, struct stat *restrict dst) {
    return fails(STAT) ? -1 : (int)syscall(SYS_lstat, path, dst);
}

int fstat(int fd, struct stat *dst) {
    return fails(STAT) ? -1 : (int)syscall(SYS_fstat, fd, dst);
}

/* Where off_t has 64 bits the two structs are one. */
int stat64(const char *restrict path, struct stat64 *restrict dst) {
    return stat(path, (struct stat *)dst);
}

int lstat64(const char *restrict path, struct stat64 *restrict dst) {
    return lstat(path, (struct stat *)dst);
}

int fstat64(int fd, struct stat64 *dst) {
    return fstat(fd, (struct stat *)dst);
}

int rename(const char *from, const char *to) {
    return fails(RENAME) ? -1 : (int)syscall(SYS_rename, from, to);
}

int link(const char *from, const char *to) {
    return fails(RENAME) ? -1 : (int)syscall(SYS_link, from, to);
}

int flock(int fd, int what) {
    return fails(FLOCK) ? -1 : (int)syscall(SYS_flock, fd, what);
}

int chmod(const char *path, mode_t mode) {
    return fails(CHMOD) ? -1 : (int)syscall(SYS_chmod, path, mode);
}

int fchmod(int fd, mode_t mode) {
    return fails(CHMOD) ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

int memfd_create(const char *name, unsigned flags) {
    return fails(MAKE_FD) ? -1 : (int)syscall(SYS_memfd_create, name, flags);
}

int epoll_create1(int flags) {
    return fails(MAKE_FD) ? -1 : (int)syscall(SYS_epoll_create1, flags);
}

int eventfd(unsigned value, int flags) {
    return fails(MAKE_FD) ? -1 : (int)syscall(SYS_eventfd2, value, flags);
}

int pipe2(int fds[2], int flags) {
    return fails(MAKE_FD) ? -1 : (int)syscall(SYS_pipe2, fds, flags);
}

ssize_t getrandom(void *dst, size_t len, unsigned flags) {
    return fails(RANDOM) ? -1 : syscall(SYS_getrandom, dst, len, flags);
}

int ioctl(int fd, unsigned long request, ...) {
    va_list args;
    va_start(args, request);
    void *argument = va_arg(args, void *);
    va_end(args);
    return fails(IOCTL) ? -1 : (int)syscall(SYS_ioctl, fd, request, argument);
}
