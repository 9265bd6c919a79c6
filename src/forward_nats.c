/* NATS JetStream as a sink (see forward_sink.h), through libnats.
 *
 * Each message goes out with a reply subject of its own, "<inbox>.<ticket>", and JetStream's answer
 * there is the acknowledgement. (The library's js_PublishMsgAsync does the same with a list of its
 * own; here the window is that list.) libnats runs threads: on_reply, on_lost and on_error are
 * called there and touch only what `lock` guards. They wake the program's loop through an eventfd,
 * once until it has looked.
 *
 * The library's own reconnecting is off: what it would send again by itself could overtake. */
#include <errno.h>
#include <inttypes.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "forward_event.h"
#include "forward_sink.h"
#include "util/buf.h"
#include "util/text.h"

enum {
    CONNECT_TIMEOUT_MS = 2000,
    API_TIMEOUT_MS = 5000,
    WRITE_TIMEOUT_MS = 5000, /* a server that takes nothing for so long is gone */
    PING_EVERY_MS = 10000,
    MAX_PINGS_OUT = 2,
    CLOSE_TIMEOUT_MS = 2000,
    HEADER_BYTES = 256, /* at most, of a message: they count for the server */
    MAX_CREDENTIALS_BYTES = 64 * 1024,
    INBOX_PREFIX_BYTES = 64,
};

struct sink {
    struct forward_sink base;
    const struct forward_options *options;
    struct buf credentials; /* one line: USER:PASSWORD or TOKEN; empty where there is none */
    bool is_credentials_file;
    char stream_mark[300]; /* "stream":"NAME" */
    natsConnection *connection;
    natsSubscription *subscription;
    char inbox[INBOX_PREFIX_BYTES];
    size_t inbox_len; /* with the '.' in front of the ticket */
    size_t max_bytes; /* of a body */
    uint64_t next_ticket;
    bool connected_before;

    pthread_mutex_t lock; /* for what stands below */
    struct forward_acknowledgement *done;
    size_t done_count, done_capacity;
    uint64_t first_ticket; /* of this connection */
    natsConnection *current;
    bool woken, failed;
    char why[FORWARD_WHY_BYTES];
};

static struct sink *sink_of(struct forward_sink *base) {
    return (struct sink *)base;
}

/* --- in libnats' threads -------------------------------------------------------------------- */

static void wake(struct sink *sink) {
    uint64_t one = 1;
    if (!sink->woken && write(sink->base.fd, &one, sizeof one) == sizeof one)
        sink->woken = true;
}

/* The first reason counts; the others follow from it. */
static void fail(struct sink *sink, const char *why, size_t len) {
    if (!sink->failed)
        snprintf(sink->why, sizeof sink->why, "%.*s", (int)len, why);
    sink->failed = true;
    wake(sink);
}

static bool contains(struct span text, const char *mark) {
    return memmem(text.ptr, text.len, mark, strlen(mark)) != NULL;
}

static uint64_t ticket_of(const char *subject, size_t inbox_len) {
    return strlen(subject) > inbox_len ? strtoull(subject + inbox_len, NULL, 10) : UINT64_MAX;
}

/* {"stream":"PRESENCE", "seq":12}, perhaps with "duplicate": true; or {"error":{...,
 * "description":"..."},...}; or nothing, with the status 503, where nobody listens. */
static void take_reply(struct sink *sink, uint64_t ticket, natsMsg *message) {
    struct span text = span_from(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
    if (ticket < sink->first_ticket || ticket == UINT64_MAX)
        return; /* of an earlier connection */
    if (natsMsg_IsNoResponders(message)) {
        static const char why[] = "no stream takes the subject, or JetStream is not ready";
        fail(sink, why, sizeof why - 1);
    } else if (contains(text, "\"error\":{")) {
        static const char label[] = "\"description\":\"";
        const char *found = memmem(text.ptr, text.len, label, sizeof label - 1);
        const char *end = text.ptr + text.len;
        found = found ? found + sizeof label - 1 : text.ptr;
        const char *quote = memchr(found, '"', (size_t)(end - found));
        fail(sink, found, (size_t)((quote ? quote : end) - found));
    } else if (!contains(text, sink->stream_mark)) {
        static const char why[] = "another stream takes the subject; see --subject-prefix";
        fail(sink, why, sizeof why - 1);
    } else if (sink->done_count < sink->done_capacity) {
        sink->done[sink->done_count++] =
            (struct forward_acknowledgement){ticket, contains(text, "\"duplicate\"")};
        wake(sink);
    }
}

static void on_reply(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
                     void *closure) {
    struct sink *sink = closure;
    (void)connection;
    (void)subscription;
    pthread_mutex_lock(&sink->lock);
    take_reply(sink, ticket_of(natsMsg_GetSubject(message), sink->inbox_len), message);
    pthread_mutex_unlock(&sink->lock);
    natsMsg_Destroy(message);
}

/* The library holds the connection as long as it calls, so none has the address of an older one. */
static void on_lost(natsConnection *connection, void *closure) {
    struct sink *sink = closure;
    const char *why = NULL;
    natsConnection_GetLastError(connection, &why);
    why = why && *why ? why : "the connection ended";
    pthread_mutex_lock(&sink->lock);
    if (connection == sink->current)
        fail(sink, why, strlen(why));
    pthread_mutex_unlock(&sink->lock);
}

static void on_error(natsConnection *connection, natsSubscription *subscription, natsStatus status,
                     void *closure) {
    struct sink *sink = closure;
    const char *why = NULL;
    (void)subscription;
    natsConnection_GetLastError(connection, &why);
    why = why && *why ? why : natsStatus_GetText(status);
    pthread_mutex_lock(&sink->lock);
    if (connection == sink->current)
        fail(sink, why, strlen(why));
    pthread_mutex_unlock(&sink->lock);
}

/* --- connecting ------------------------------------------------------------------------------ */

static int say(struct sink *sink, int result, const char *what, natsStatus status) {
    const char *detail = nats_GetLastError(NULL);
    snprintf(sink->base.why, sizeof sink->base.why, "%s: %s%s%s", what, natsStatus_GetText(status),
             detail && *detail ? ": " : "", detail && *detail ? detail : "");
    return result;
}

static natsStatus set_credentials(struct sink *sink, natsOptions *options) {
    char *text = sink->credentials.ptr, *colon;
    if (sink->is_credentials_file)
        return natsOptions_SetUserCredentialsFromFiles(options, sink->options->credentials, NULL);
    if (!text)
        return NATS_OK;
    colon = strchr(text, ':');
    if (!colon)
        return natsOptions_SetToken(options, text);
    *colon = 0;
    natsStatus status = natsOptions_SetUserInfo(options, text, colon + 1);
    *colon = ':';
    return status;
}

static natsStatus set_tls(const struct forward_options *wanted, natsOptions *options) {
    natsStatus status = NATS_OK;
    bool tls = wanted->ca || wanted->certificate;
    for (int i = 0; i < wanted->server_count; i++)
        tls = tls || strncmp(wanted->servers[i], "tls://", 6) == 0;
    if (tls)
        status = natsOptions_SetSecure(options, true);
    if (status == NATS_OK && wanted->ca)
        status = natsOptions_LoadCATrustedCertificates(options, wanted->ca);
    if (status == NATS_OK && wanted->certificate)
        status =
            natsOptions_LoadCertificatesChain(options, wanted->certificate, wanted->private_key);
    return status;
}

static natsStatus set_options(struct sink *sink, natsOptions *options) {
    const struct forward_options *wanted = sink->options;
    natsStatus status =
        natsOptions_SetServers(options, (const char **)wanted->servers, wanted->server_count);
    if (status == NATS_OK)
        status = natsOptions_SetName(options, "rollcall-forward");
    if (status == NATS_OK)
        status = natsOptions_SetAllowReconnect(options, false);
    if (status == NATS_OK)
        status = natsOptions_SetTimeout(options, CONNECT_TIMEOUT_MS);
    if (status == NATS_OK)
        status = natsOptions_SetWriteDeadline(options, WRITE_TIMEOUT_MS);
    if (status == NATS_OK)
        status = natsOptions_SetPingInterval(options, PING_EVERY_MS);
    if (status == NATS_OK)
        status = natsOptions_SetMaxPingsOut(options, MAX_PINGS_OUT);
    if (status == NATS_OK)
        status = natsOptions_SetClosedCB(options, on_lost, sink);
    if (status == NATS_OK)
        status = natsOptions_SetErrorHandler(options, on_error, sink);
    if (status == NATS_OK)
        status = set_credentials(sink, options);
    return status == NATS_OK ? set_tls(wanted, options) : status;
}

static int open_connection(struct sink *sink) {
    natsOptions *options = NULL;
    natsStatus status = natsOptions_Create(&options);
    if (status == NATS_OK)
        status = set_options(sink, options);
    if (status != NATS_OK) {
        say(sink, 0, "options", status);
        natsOptions_Destroy(options);
        return FORWARD_SINK_REFUSED;
    }
    status = natsConnection_Connect(&sink->connection, options);
    natsOptions_Destroy(options);
    if (status == NATS_OK)
        return 0;
    bool refused = !sink->connected_before &&
                   (status == NATS_CONNECTION_AUTH_FAILED || status == NATS_SSL_ERROR ||
                    status == NATS_SECURE_CONNECTION_REQUIRED || status == NATS_INVALID_ARG ||
                    status == NATS_SECURE_CONNECTION_WANTED);
    return say(sink, refused ? FORWARD_SINK_REFUSED : FORWARD_SINK_DOWN, "connect", status);
}

static natsStatus listen_for_replies(struct sink *sink) {
    char subject[INBOX_PREFIX_BYTES + 2];
    natsInbox *inbox = NULL;
    natsStatus status = natsInbox_Create(&inbox);
    if (status != NATS_OK)
        return status;
    pthread_mutex_lock(&sink->lock);
    sink->inbox_len = (size_t)snprintf(sink->inbox, sizeof sink->inbox, "%s.", inbox);
    pthread_mutex_unlock(&sink->lock);
    natsInbox_Destroy(inbox);
    snprintf(subject, sizeof subject, "%s*", sink->inbox);
    status =
        natsConnection_Subscribe(&sink->subscription, sink->connection, subject, on_reply, sink);
    /* No more come than were asked for. */
    return status == NATS_OK ? natsSubscription_SetPendingLimits(sink->subscription, -1, -1)
                             : status;
}

/* --- the stream ------------------------------------------------------------------------------ */

static natsStatus add_stream(struct sink *sink, jsCtx *context, jsStreamInfo **info,
                             jsErrCode *code) {
    char subjects[FORWARD_PREFIX_BYTES + 3];
    const char *list[] = {subjects};
    jsStreamConfig config;
    snprintf(subjects, sizeof subjects, "%s.>", sink->options->prefix);
    jsStreamConfig_Init(&config);
    config.Name = sink->options->stream;
    config.Subjects = list;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    config.Duplicates = (int64_t)sink->options->duplicates_ms * 1000000;
    return js_AddStream(info, context, &config, NULL, code);
}

static void take_stream(struct sink *sink, const jsStreamInfo *info) {
    int64_t max = natsConnection_GetMaxPayload(sink->connection);
    if (info->Config->MaxMsgSize > 0 && info->Config->MaxMsgSize < max)
        max = info->Config->MaxMsgSize;
    sink->max_bytes = max > HEADER_BYTES ? (size_t)max - HEADER_BYTES : 0;
    sink->base.warning[0] = 0;
    sink->base.duplicates_ms = info->Config->Duplicates / 1000000;
    if (info->Config->NoAck)
        snprintf(sink->base.warning, sizeof sink->base.warning,
                 "the stream %s acknowledges nothing (no_ack); nothing can be committed",
                 sink->options->stream);
}

/* Looks at the stream, or makes it. One that was there before and is away now may be on its way
 * back, as when a cluster starts. */
static int find_stream(struct sink *sink) {
    const char *name = sink->options->stream;
    jsStreamInfo *info = NULL;
    jsCtx *context = NULL;
    jsErrCode code = 0;
    jsOptions options;
    jsOptions_Init(&options);
    options.Wait = API_TIMEOUT_MS;
    natsStatus status = natsConnection_JetStream(&context, sink->connection, &options);
    if (status == NATS_OK)
        status = js_GetStreamInfo(&info, context, name, NULL, &code);
    bool missing = status == NATS_NOT_FOUND || code == JSStreamNotFoundErr;
    if (missing && sink->options->create) {
        code = 0;
        status = add_stream(sink, context, &info, &code);
        missing = code != 0; /* else it was not refused: no answer came */
    }
    if (status == NATS_OK) {
        take_stream(sink, info);
    } else if (missing && !sink->options->create) {
        snprintf(sink->base.why, sizeof sink->base.why,
                 "there is no stream %s; make it, or say --create", name);
    } else {
        say(sink, 0, name, status);
    }
    jsStreamInfo_Destroy(info);
    jsCtx_Destroy(context);
    if (status == NATS_OK)
        return 0;
    bool refused = missing || code == JSNotEnabledForAccountErr;
    return refused && !sink->connected_before ? FORWARD_SINK_REFUSED : FORWARD_SINK_DOWN;
}

static int sink_connect(struct forward_sink *base) {
    struct sink *sink = sink_of(base);
    pthread_mutex_lock(&sink->lock);
    sink->failed = false;
    sink->done_count = 0;
    sink->first_ticket = sink->next_ticket;
    pthread_mutex_unlock(&sink->lock);
    int rc = open_connection(sink);
    if (rc)
        return rc;
    pthread_mutex_lock(&sink->lock);
    sink->current = sink->connection;
    pthread_mutex_unlock(&sink->lock);
    rc = find_stream(sink);
    if (rc)
        return rc;
    natsStatus status = listen_for_replies(sink);
    if (status != NATS_OK)
        return say(sink, FORWARD_SINK_DOWN, "subscribe", status);
    sink->connected_before = true;
    return 0;
}

static void sink_disconnect(struct forward_sink *base) {
    struct sink *sink = sink_of(base);
    uint64_t ignored;
    pthread_mutex_lock(&sink->lock);
    sink->current = NULL;
    sink->woken = sink->failed = false;
    sink->done_count = 0;
    pthread_mutex_unlock(&sink->lock);
    natsSubscription_Destroy(sink->subscription);
    natsConnection_Destroy(sink->connection);
    sink->subscription = NULL;
    sink->connection = NULL;
    (void)!read(base->fd, &ignored, sizeof ignored);
}

/* --- messages -------------------------------------------------------------------------------- */

static int sink_publish(struct forward_sink *base, const struct forward_message *message) {
    struct sink *sink = sink_of(base);
    char reply[INBOX_PREFIX_BYTES + U64_TEXT_BYTES + 1], id[HEADER_BYTES / 2];
    natsMsg *nats = NULL;
    if (message->body.len > sink->max_bytes)
        return FORWARD_SINK_TOO_LARGE;
    sink->next_ticket = message->ticket + 1;
    snprintf(reply, sizeof reply, "%s%" PRIu64, sink->inbox, message->ticket);
    snprintf(id, sizeof id, "%.*s", SPAN_ARG(message->id));
    for (char *c = id; *c; c++)
        if ((unsigned char)*c < 0x20)
            *c = '_'; /* a header is a line */
    natsStatus status =
        natsMsg_Create(&nats, message->subject, reply, message->body.ptr, (int)message->body.len);
    if (status == NATS_OK)
        status = natsMsgHeader_Set(nats, "Nats-Msg-Id", id);
    if (status == NATS_OK)
        status = natsConnection_PublishMsg(sink->connection, nats);
    natsMsg_Destroy(nats);
    return status == NATS_OK ? 0 : say(sink, FORWARD_SINK_DOWN, "publish", status);
}

static int sink_poll(struct forward_sink *base, struct forward_acknowledgement *done, unsigned max,
                     unsigned *count) {
    struct sink *sink = sink_of(base);
    uint64_t ignored;
    pthread_mutex_lock(&sink->lock);
    *count = sink->done_count < max ? (unsigned)sink->done_count : max;
    memcpy(done, sink->done, *count * sizeof *done);
    sink->done_count -= *count;
    memmove(sink->done, sink->done + *count, sink->done_count * sizeof *done);
    bool failed = sink->failed && !sink->done_count;
    if (failed)
        snprintf(base->why, sizeof base->why, "%s", sink->why);
    if (!sink->done_count && sink->woken) {
        (void)!read(base->fd, &ignored, sizeof ignored);
        sink->woken = false;
    }
    pthread_mutex_unlock(&sink->lock);
    return failed ? FORWARD_SINK_DOWN : 0;
}

/* --- beginning and end ----------------------------------------------------------------------- */

/* A file of `nsc` holds a token and a key; else it is a line. */
static int load_credentials(struct sink *sink, const char *path, char *why) {
    FILE *file = fopen(path, "re");
    int rc = file ? buf_reserve(&sink->credentials, MAX_CREDENTIALS_BYTES + 1) : -errno;
    size_t len = 0;
    if (rc == 0) {
        len = fread(sink->credentials.ptr, 1, MAX_CREDENTIALS_BYTES + 1, file);
        rc = ferror(file) ? -EIO : 0;
    }
    if (file)
        fclose(file);
    if (rc == 0 && len <= MAX_CREDENTIALS_BYTES) {
        sink->credentials.ptr[len] = 0;
        sink->is_credentials_file = strstr(sink->credentials.ptr, "BEGIN NATS USER JWT") != NULL;
        sink->credentials.ptr[strcspn(sink->credentials.ptr, "\r\n")] = 0;
        if (sink->credentials.ptr[0])
            return 0;
    }
    snprintf(why, FORWARD_WHY_BYTES, "--credentials: %s: %s", path,
             rc ? strerror(-rc) : "holds no credentials: a NATS file, or a line of at most 64 KiB");
    return -EINVAL;
}

static bool is_readable(const char *option, const char *path, char *why) {
    if (!path || access(path, R_OK) == 0)
        return true;
    snprintf(why, FORWARD_WHY_BYTES, "%s: %s: %s", option, path, strerror(errno));
    return false;
}

static void sink_free(struct forward_sink *base) {
    struct sink *sink = sink_of(base);
    sink_disconnect(base);
    nats_CloseAndWait(CLOSE_TIMEOUT_MS); /* its threads call nobody any more */
    if (base->fd >= 0)
        close(base->fd);
    pthread_mutex_destroy(&sink->lock);
    if (sink->credentials.ptr)
        explicit_bzero(sink->credentials.ptr, sink->credentials.cap);
    buf_deinit(&sink->credentials);
    free(sink->done);
    free(sink);
}

static const struct forward_sink_class class;

static struct forward_sink *sink_make(const struct forward_options *options, char *why) {
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink)
        return NULL;
    sink->base.class = &class;
    sink->options = options;
    sink->done_capacity = options->window + FORWARD_LINES_OF_A_READ; /* all in flight */
    sink->done = calloc(sink->done_capacity, sizeof *sink->done);
    sink->base.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&sink->lock, NULL);
    snprintf(sink->stream_mark, sizeof sink->stream_mark, "\"stream\":\"%s\"", options->stream);
    bool fine = sink->done && sink->base.fd >= 0 && is_readable("--ca", options->ca, why) &&
                is_readable("--certificate", options->certificate, why) &&
                is_readable("--private-key", options->private_key, why);
    if (fine && options->credentials)
        fine = load_credentials(sink, options->credentials, why) == 0;
    if (fine)
        return &sink->base;
    sink_free(&sink->base);
    return NULL;
}

static const struct forward_sink_class class = {
    .name = "NATS",
    .make = sink_make,
    .connect = sink_connect,
    .publish = sink_publish,
    .poll = sink_poll,
    .disconnect = sink_disconnect,
    .free = sink_free,
};
const struct forward_sink_class *const forward_sink_nats = &class;
