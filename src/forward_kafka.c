/* Kafka as a sink (see forward_sink.h), through librdkafka's idempotent producer: acks=all, no
 * message twice and none out of order within a partition as long as the producer lives, for it
 * numbers what it sends and tries again by itself without end. A producer of a later process is
 * another one to the brokers, so what an earlier one had sent and not heard of may be there twice;
 * its `id` header tells.
 *
 * Nothing of librdkafka's calls back: deliveries and errors are events in its queue, which is
 * polled when the eventfd says so. */
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "forward_sink.h"

enum {
    METADATA_TIMEOUT_MS = 4000,
    MAX_SETTING_BYTES = 8192, /* of a line of --kafka-properties; a certificate may stand in one */
    ERROR_BYTES = FORWARD_WHY_BYTES / 2,
};

struct sink {
    struct forward_sink base;
    const struct forward_options *options;
    rd_kafka_conf_t *settings; /* for every producer */
    rd_kafka_t *producer;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event; /* deliveries that were not all taken yet */
    bool connected_before, down_said;
};

static struct sink *sink_of(struct forward_sink *base) {
    return (struct sink *)base;
}

/* --- settings -------------------------------------------------------------------------------- */

static int set(rd_kafka_conf_t *settings, const char *key, const char *value, char *why) {
    char error[ERROR_BYTES];
    if (rd_kafka_conf_set(settings, key, value, error, sizeof error) == RD_KAFKA_CONF_OK)
        return 0;
    snprintf(why, FORWARD_WHY_BYTES, "Kafka setting %s: %s", key, error);
    return -EINVAL;
}

/* Those that the program's promises rest on, or that have a place elsewhere. */
static int set_wanted(rd_kafka_conf_t *settings, const char *key, const char *value, char *why) {
    static const char *const fixed[] = {"enable.idempotence",    "acks",
                                        "request.required.acks", "bootstrap.servers",
                                        "metadata.broker.list",  "message.timeout.ms",
                                        "delivery.timeout.ms",   "transactional.id"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (strcmp(key, fixed[i]) == 0) {
            snprintf(why, FORWARD_WHY_BYTES,
                     "Kafka setting %s: it is not to be changed; brokers stand in --to", key);
            return -EINVAL;
        }
    return set(settings, key, value, why);
}

static char *trim(char *text) {
    text += strspn(text, " \t");
    size_t len = strlen(text);
    while (len && strchr(" \t\r\n", text[len - 1]))
        text[--len] = 0;
    return text;
}

/* KEY=VALUE; blanks around either do not count. */
static int set_line(rd_kafka_conf_t *settings, const char *line, char *why) {
    char text[MAX_SETTING_BYTES];
    snprintf(text, sizeof text, "%s", line);
    char *value = strchr(text, '=');
    if (!value || strlen(line) >= sizeof text) {
        snprintf(why, FORWARD_WHY_BYTES, "a Kafka setting is KEY=VALUE, of at most %d bytes",
                 MAX_SETTING_BYTES - 1);
        return -EINVAL;
    }
    *value++ = 0;
    int rc = set_wanted(settings, trim(text), trim(value), why);
    explicit_bzero(text, sizeof text);
    return rc;
}

static int set_file(rd_kafka_conf_t *settings, const char *path, char *why) {
    char line[MAX_SETTING_BYTES + 1], reason[FORWARD_WHY_BYTES];
    FILE *file = fopen(path, "re");
    int rc = 0;
    if (!file) {
        snprintf(why, FORWARD_WHY_BYTES, "--kafka-properties: %s: %s", path, strerror(errno));
        return -EINVAL;
    }
    for (unsigned number = 1; rc == 0 && fgets(line, sizeof line, file); number++) {
        const char *text = trim(line);
        if (!*text || *text == '#')
            continue;
        rc = set_line(settings, text, reason);
        if (rc)
            snprintf(why, FORWARD_WHY_BYTES, "%.128s:%u: %.300s", path, number, reason);
    }
    explicit_bzero(line, sizeof line);
    fclose(file);
    return rc;
}

static int set_all(rd_kafka_conf_t *settings, const struct forward_options *options, char *why) {
    static const char *const defaults[][2] = {
        {"client.id", "rollcall-forward"},
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"message.timeout.ms", "0"}, /* tries without end */
        {"linger.ms", "5"},
        {"partitioner", "murmur2_random"}, /* as Java's, so that keys meet theirs */
        {"queue.buffering.max.messages", "1000000"},
    };
    int rc = set(settings, "bootstrap.servers", options->brokers, why);
    for (size_t i = 0; rc == 0 && i < sizeof defaults / sizeof *defaults; i++)
        rc = set(settings, defaults[i][0], defaults[i][1], why);
    if (rc == 0 && options->settings_file)
        rc = set_file(settings, options->settings_file, why);
    for (size_t i = 0; rc == 0 && i < options->setting_count; i++)
        rc = set_line(settings, options->settings[i], why);
    return rc;
}

/* --- connecting ------------------------------------------------------------------------------ */

/* The last of librdkafka's own words about why nobody answers; "" where it has none. */
static void read_errors(struct sink *sink, char text[ERROR_BYTES]) {
    rd_kafka_event_t *event;
    text[0] = 0;
    while ((event = rd_kafka_queue_poll(sink->queue, 0))) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR &&
            rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
            snprintf(text, ERROR_BYTES, "%s", rd_kafka_event_error_string(event));
        rd_kafka_event_destroy(event);
    }
}

static int find_topic(struct sink *sink) {
    const struct rd_kafka_metadata *metadata = NULL;
    char detail[ERROR_BYTES];
    rd_kafka_resp_err_t error =
        rd_kafka_metadata(sink->producer, 0, sink->topic, &metadata, METADATA_TIMEOUT_MS);
    if (error) {
        read_errors(sink, detail);
        snprintf(sink->base.why, sizeof sink->base.why, "no broker answers: %s",
                 detail[0] ? detail : rd_kafka_err2str(error));
        return FORWARD_SINK_DOWN;
    }
    if (metadata->topic_cnt > 0)
        error = metadata->topics[0].err;
    rd_kafka_metadata_destroy(metadata);
    if (!error || error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
        return 0; /* without a leader it is just being made; the producer waits for one */
    snprintf(sink->base.why, sizeof sink->base.why, "topic %s: %s", sink->options->topic,
             rd_kafka_err2str(error));
    return sink->connected_before ? FORWARD_SINK_DOWN : FORWARD_SINK_REFUSED;
}

static int sink_connect(struct forward_sink *base) {
    static const uint64_t one = 1;
    struct sink *sink = sink_of(base);
    char error[ERROR_BYTES];
    rd_kafka_conf_t *settings = rd_kafka_conf_dup(sink->settings);
    rd_kafka_conf_set_events(settings, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    rd_kafka_conf_set_log_cb(settings, NULL); /* its events say what matters */
    sink->producer = rd_kafka_new(RD_KAFKA_PRODUCER, settings, error, sizeof error);
    if (!sink->producer) {
        rd_kafka_conf_destroy(settings);
        snprintf(base->why, sizeof base->why, "%s", error);
        return FORWARD_SINK_REFUSED; /* settings that exclude each other, files that are not there
                                      */
    }
    sink->queue = rd_kafka_queue_get_main(sink->producer);
    sink->topic = rd_kafka_topic_new(sink->producer, sink->options->topic, NULL);
    if (!sink->queue || !sink->topic) {
        snprintf(base->why, sizeof base->why, "%s", rd_kafka_err2str(rd_kafka_last_error()));
        return FORWARD_SINK_REFUSED;
    }
    int rc = find_topic(sink);
    if (rc)
        return rc;
    rd_kafka_queue_io_event_enable(sink->queue, base->fd, &one, sizeof one);
    sink->connected_before = true;
    sink->down_said = false;
    return 0;
}

static void sink_disconnect(struct forward_sink *base) {
    struct sink *sink = sink_of(base);
    uint64_t ignored;
    rd_kafka_event_destroy(sink->event);
    sink->event = NULL;
    if (sink->producer)
        rd_kafka_purge(sink->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    if (sink->queue)
        rd_kafka_queue_destroy(sink->queue);
    if (sink->topic)
        rd_kafka_topic_destroy(sink->topic);
    if (sink->producer)
        rd_kafka_destroy(sink->producer);
    sink->queue = NULL;
    sink->topic = NULL;
    sink->producer = NULL;
    (void)!read(base->fd, &ignored, sizeof ignored);
}

/* --- messages -------------------------------------------------------------------------------- */

/* Not by RD_KAFKA_V_* and rd_kafka_producev: these are no ISO C. */
static rd_kafka_vu_t bytes_of(rd_kafka_vtype_t type, struct span value) {
    return (rd_kafka_vu_t){.vtype = type, .u.mem = {(void *)(uintptr_t)value.ptr, value.len}};
}

static rd_kafka_vu_t header_of(const char *name, struct span value) {
    return (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_HEADER,
                           .u.header = {name, value.ptr, (ssize_t)value.len}};
}

static int sink_publish(struct forward_sink *base, const struct forward_message *message) {
    struct sink *sink = sink_of(base);
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = sink->topic},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *)(uintptr_t)message->ticket},
        bytes_of(RD_KAFKA_VTYPE_KEY, message->key),
        bytes_of(RD_KAFKA_VTYPE_VALUE, message->body),
        header_of("id", message->id),
        header_of("kind", message->kind),
    };
    rd_kafka_error_t *error =
        rd_kafka_produceva(sink->producer, parts, sizeof parts / sizeof *parts);
    if (!error)
        return 0;
    bool too_large = rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    snprintf(base->why, sizeof base->why, "publish: %s", rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return too_large ? FORWARD_SINK_TOO_LARGE : FORWARD_SINK_DOWN;
}

static int take_delivery(struct sink *sink, const rd_kafka_message_t *message,
                         struct forward_acknowledgement *done) {
    if (message->err) {
        snprintf(sink->base.why, sizeof sink->base.why, "not delivered: %s",
                 rd_kafka_err2str(message->err));
        return FORWARD_SINK_DOWN;
    }
    *done = (struct forward_acknowledgement){.ticket = (uintptr_t)message->_private};
    sink->down_said = false;
    return 0;
}

/* A broker that is away is waited for; a fatal error ends this producer. */
static int take_error(struct sink *sink) {
    char text[ERROR_BYTES];
    rd_kafka_resp_err_t error = rd_kafka_event_error(sink->event);
    if (rd_kafka_event_error_is_fatal(sink->event)) {
        rd_kafka_fatal_error(sink->producer, text, sizeof text);
        snprintf(sink->base.why, sizeof sink->base.why, "%s", text);
        return FORWARD_SINK_DOWN;
    }
    if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !sink->down_said) {
        snprintf(sink->base.warning, sizeof sink->base.warning, "%s; waiting for one",
                 rd_kafka_event_error_string(sink->event));
        sink->down_said = true;
    }
    return 0;
}

static int sink_poll(struct forward_sink *base, struct forward_acknowledgement *done, unsigned max,
                     unsigned *count) {
    struct sink *sink = sink_of(base);
    const rd_kafka_message_t *message;
    uint64_t ignored;
    int rc = 0;
    *count = 0;
    (void)!read(base->fd, &ignored, sizeof ignored); /* before the look into the queue */
    while (rc == 0 && *count < max) {
        if (!sink->event && !(sink->event = rd_kafka_queue_poll(sink->queue, 0)))
            break;
        if (rd_kafka_event_type(sink->event) == RD_KAFKA_EVENT_DR &&
            (message = rd_kafka_event_message_next(sink->event))) {
            rc = take_delivery(sink, message, done + *count);
            *count += rc == 0;
            continue;
        }
        if (rd_kafka_event_type(sink->event) == RD_KAFKA_EVENT_ERROR)
            rc = take_error(sink);
        rd_kafka_event_destroy(sink->event);
        sink->event = NULL;
    }
    return rc;
}

/* --- beginning and end ----------------------------------------------------------------------- */

static void sink_free(struct forward_sink *base) {
    struct sink *sink = sink_of(base);
    sink_disconnect(base);
    if (sink->settings)
        rd_kafka_conf_destroy(sink->settings);
    rd_kafka_wait_destroyed(2000);
    if (base->fd >= 0)
        close(base->fd);
    free(sink);
}

static const struct forward_sink_class class;

static struct forward_sink *sink_make(const struct forward_options *options, char *why) {
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink)
        return NULL;
    sink->base.class = &class;
    sink->options = options;
    sink->settings = rd_kafka_conf_new();
    sink->base.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (sink->settings && sink->base.fd >= 0 && set_all(sink->settings, options, why) == 0)
        return &sink->base;
    sink_free(&sink->base);
    return NULL;
}

static const struct forward_sink_class class = {
    .name = "Kafka",
    .is_patient = true,
    .make = sink_make,
    .connect = sink_connect,
    .publish = sink_publish,
    .poll = sink_poll,
    .disconnect = sink_disconnect,
    .free = sink_free,
};
const struct forward_sink_class *const forward_sink_kafka = &class;
