/* How many connections there are descriptors for; see server_internal.h. */
#include <sys/resource.h>

#include "log.h"
#include "server_internal.h"
#include "util/text.h"

/* Standard streams, the loop's own, listeners, the ring's files, a reload's files, the admin
 * listener's connections: what is neither a sender nor a reader. */
enum { OWN_FDS = 8 + CONFIG_MAX_LISTEN };

static void warn(rlim_t limit, unsigned wanted, unsigned most) {
    char texts[3][U64_TEXT_BYTES + 1];
    texts[0][text_format_u64(limit, texts[0])] = 0;
    texts[1][text_format_u64(wanted, texts[1])] = 0;
    texts[2][text_format_u64(most, texts[2])] = 0;
    log_write(LOG_WARNING,
              "the limit of descriptors (LimitNOFILE=, ulimit -Hn) is too low for max_connections",
              "limit", texts[0], "max_connections", texts[1], "connections", texts[2], NULL);
}

void server_set_most_conns(struct server *server) {
    struct rlimit limit;
    unsigned wanted = server->config->max_connections;
    rlim_t needed = (rlim_t)wanted + SERVER_MAX_READERS + OWN_FDS;
    server->most_conns = wanted;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= needed)
        return;
    limit.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= needed)
        return;
    /* An eighth is for readers. One connection is taken even where that is one too many. */
    rlim_t readers =
        limit.rlim_cur / 8 < SERVER_MAX_READERS ? limit.rlim_cur / 8 : (rlim_t)SERVER_MAX_READERS;
    rlim_t left = limit.rlim_cur > readers + OWN_FDS ? limit.rlim_cur - readers - OWN_FDS : 1;
    if (left >= wanted)
        return; /* fewer readers, which then wait */
    server->most_conns = (unsigned)left;
    warn(limit.rlim_cur, wanted, server->most_conns);
}
