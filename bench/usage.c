/* CPU time and memory from /proc; see usage.h. */
#include "usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

static bool read_text(const char *path, char *text, size_t cap) {
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t len = fread(text, 1, cap - 1, file);
    fclose(file);
    text[len] = 0;
    return len > 0;
}

static uint64_t status_kib(const char *status, const char *name) {
    const char *found = strstr(status, name);
    return found ? strtoull(found + strlen(name), NULL, 10) : 0;
}

/* In clock ticks of 10 ms as a rule. */
static bool read_cpu(const char *stat, struct usage *usage) {
    unsigned long user, system;
    const char *behind_name = strrchr(stat, ')'); /* the name may hold anything */
    if (!behind_name ||
        // The kernel writes no number that is none. NOLINTNEXTLINE(cert-err34-c)
        sscanf(behind_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system) != 2)
        return false;
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    usage->user_s = (double)user * tick;
    usage->system_s = (double)system * tick;
    return true;
}

static double seconds_of(const struct timeval *time) {
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

bool usage_read(unsigned pid, struct usage *usage) {
    char path[64], text[4096];
    struct rusage own;
    *usage = (struct usage){0};
    if (pid) {
        snprintf(path, sizeof path, "/proc/%u/stat", pid);
        if (!read_text(path, text, sizeof text) || !read_cpu(text, usage))
            return false;
        snprintf(path, sizeof path, "/proc/%u/status", pid);
    } else {
        if (getrusage(RUSAGE_SELF, &own))
            return false;
        usage->user_s = seconds_of(&own.ru_utime);
        usage->system_s = seconds_of(&own.ru_stime);
        snprintf(path, sizeof path, "/proc/self/status");
    }
    if (read_text(path, text, sizeof text)) {
        usage->rss_kib = status_kib(text, "\nVmRSS:");
        usage->peak_kib = status_kib(text, "\nVmHWM:");
    }
    return true;
}

void usage_subtract(struct usage *usage, const struct usage *before) {
    usage->user_s -= before->user_s;
    usage->system_s -= before->system_s;
}
