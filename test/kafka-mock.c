/* A Kafka cluster for the tests: librdkafka's own mock brokers, on loopback, without a disk. Prints
 * their addresses as one line, then does what stdin says, a line each, and answers each with a
 * line:
 *
 *     topic NAME PARTITIONS   makes it                                  -> ok
 *     down ID | up ID         a broker goes away (1, 2, ...), comes back -> ok
 *     errors N                the next N requests to produce are refused, to be tried again -> ok
 *     dump NAME               all its messages: PARTITION KEY id=ID kind=KIND BODY, then "end"
 *
 * Ends at the end of stdin. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BROKERS = 3, PRODUCE = 0, READ_TIMEOUT_MS = 10000 };

static void die(const char *what) {
    fprintf(stderr, "kafka-mock: %s\n", what);
    exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
    char error[256];
    if (rd_kafka_conf_set(conf, key, value, error, sizeof error) != RD_KAFKA_CONF_OK)
        die(error);
}

static rd_kafka_t *make(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
    char error[256];
    rd_kafka_t *client = rd_kafka_new(type, conf, error, sizeof error);
    if (!client)
        die(error);
    return client;
}

static void print_header(const rd_kafka_message_t *message, const char *name) {
    rd_kafka_headers_t *headers;
    const void *value = "";
    size_t len = 0;
    if (!rd_kafka_message_headers(message, &headers))
        rd_kafka_header_get_last(headers, name, &value, &len);
    printf(" %s=%.*s", name, (int)len, (const char *)value);
}

/* Up to the end that the partition had at the start. */
static void dump_partition(rd_kafka_t *client, const char *topic, int32_t partition) {
    int64_t low, high, at = 0;
    if (rd_kafka_query_watermark_offsets(client, topic, partition, &low, &high, READ_TIMEOUT_MS))
        return; /* there is no such partition */
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = low;
    if (rd_kafka_assign(client, list))
        die("assign");
    while (at < high) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, READ_TIMEOUT_MS);
        if (!message)
            die("a message is missing");
        if (!message->err) {
            printf("%d %.*s", (int)partition, (int)message->key_len, (const char *)message->key);
            print_header(message, "id");
            print_header(message, "kind");
            printf(" %.*s\n", (int)message->len, (const char *)message->payload);
            at = message->offset + 1;
        }
        rd_kafka_message_destroy(message);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void dump(const char *brokers, const char *topic, int partitions) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "group.id", "dump");
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "enable.auto.commit", "false");
    rd_kafka_t *client = make(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(client);
    for (int partition = 0; partition < partitions; partition++)
        dump_partition(client, topic, partition);
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
    puts("end");
}

/* Takes `word` and a blank off the front. */
static bool take_word(char **line, const char *word) {
    size_t len = strlen(word);
    if (strncmp(*line, word, len) != 0 || (*line)[len] != ' ')
        return false;
    *line += len + 1;
    return true;
}

static int number_of(const char *text) {
    long number = strtol(text, NULL, 10);
    return number > 0 && number < 1000 ? (int)number : 0;
}

static bool push_errors(rd_kafka_mock_cluster_t *cluster, int count) {
    for (int i = 0; i < count; i++)
        rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1,
                                          RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
    return count > 0;
}

static void do_line(rd_kafka_mock_cluster_t *cluster, char *line, int *partitions) {
    bool fine = false;
    line[strcspn(line, "\n")] = 0;
    if (take_word(&line, "topic")) {
        char *blank = strchr(line, ' ');
        *partitions = blank ? number_of(blank) : 0;
        if (blank)
            *blank = 0;
        fine = *partitions && !rd_kafka_mock_topic_create(cluster, line, *partitions, 1);
    } else if (take_word(&line, "down")) {
        fine = !rd_kafka_mock_broker_set_down(cluster, number_of(line));
    } else if (take_word(&line, "up")) {
        fine = !rd_kafka_mock_broker_set_up(cluster, number_of(line));
    } else if (take_word(&line, "errors")) {
        fine = push_errors(cluster, number_of(line));
    } else if (take_word(&line, "dump")) {
        dump(rd_kafka_mock_cluster_bootstraps(cluster), line, *partitions);
        fflush(stdout);
        return;
    }
    puts(fine ? "ok" : "failed");
    fflush(stdout);
}

int main(void) {
    char line[256];
    int partitions = 1;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *client = make(RD_KAFKA_PRODUCER, conf);
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(client, BROKERS);
    if (!cluster)
        die("no cluster");
    puts(rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin))
        do_line(cluster, line, &partitions);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(client);
    return 0;
}
