/* A load driver over librdkafka: the same one for every broker. Each run prints one line of JSON.
 *
 *   driver create  BROKER TOPIC PARTITIONS
 *   driver first   BROKER TOPIC BYTES                     a topic of one partition and one acknowledged record, one client
 *   driver produce BROKER TOPIC COUNT BYTES CODEC         acks=all, linger 5 ms, batches of up to 1 MB
 *   driver lines   BROKER TOPIC FILE CODEC                every line of a file as a record, partitions in turn
 *   driver consume BROKER TOPIC COUNT PARTITIONS          assigned, from the beginning
 *   driver print   BROKER TOPIC PARTITIONS                every committed value as a line, up to the end of the topic
 *   driver latency BROKER TOPIC RATE SECONDS BYTES        linger 0, one partition, from due time to receipt
 */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define FAIL(...) do { fprintf(stderr, __VA_ARGS__); fputc('\n', stderr); exit(2); } while (0)

static const char *broker, *topic;
static long acknowledged, refused;
static int64_t last_acknowledged_ns;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static double cpu_s(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
    char error[512];
    if (rd_kafka_conf_set(conf, key, value, error, sizeof error) != RD_KAFKA_CONF_OK) FAIL("%s", error);
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
    char error[512];
    set(conf, "bootstrap.servers", broker);
    rd_kafka_t *made = rd_kafka_new(type, conf, error, sizeof error);
    if (!made) FAIL("%s", error);
    return made;
}

/* Random lower-case hexadecimal digits: a codec finds little to gain in them, so its own cost shows. */
static uint64_t seed = 88172645463325252ULL;
static uint64_t next_random(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}
static void fill(char *bytes, long count) {
    for (long i = 0; i < count; i++) bytes[i] = "0123456789abcdef"[next_random() & 15];
}

static void create_with(rd_kafka_t *admin, int partitions) {
    char error[256];
    rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(topic, partitions, 1, error, sizeof error);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
    rd_kafka_CreateTopics(admin, &wanted, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 20000);
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        event ? rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count) : NULL;
    if (!count || rd_kafka_topic_result_error(results[0])) FAIL("the topic cannot be created");
}

static void create(int partitions) {
    create_with(client(RD_KAFKA_PRODUCER, rd_kafka_conf_new()), partitions);
    printf("{\"created\":true}\n");
    fflush(stdout);
    _exit(0);
}

static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *unused) {
    (void)producer, (void)unused;
    if (message->err) refused++; else acknowledged++;
    last_acknowledged_ns = now_ns();
}

static void first(long bytes) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "acks", "-1");
    set(conf, "linger.ms", "0");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    int64_t begun = now_ns();
    rd_kafka_t *producer = client(RD_KAFKA_PRODUCER, conf);
    create_with(producer, 1);
    int64_t created = now_ns();
    char *value = malloc(bytes);
    fill(value, bytes);
    rd_kafka_topic_t *handle = rd_kafka_topic_new(producer, topic, NULL);
    if (rd_kafka_produce(handle, 0, RD_KAFKA_MSG_F_COPY, value, bytes, NULL, 0, NULL)) FAIL("it cannot be sent");
    while (acknowledged + refused < 1) rd_kafka_poll(producer, 10);
    printf("{\"created_ms\":%.3f,\"acknowledged_ms\":%.3f}\n", (created - begun) / 1e6, (last_acknowledged_ns - begun) / 1e6);
    fflush(stdout);
    _exit(refused != 0);
}

/* A producer as one tunes it for throughput. */
static rd_kafka_t *loader(const char *codec) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "acks", "-1");
    set(conf, "compression.codec", codec);
    set(conf, "linger.ms", "5");
    set(conf, "queue.buffering.max.messages", "500000");
    set(conf, "queue.buffering.max.kbytes", "1048576");
    set(conf, "batch.size", "1000000");
    set(conf, "batch.num.messages", "10000");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return client(RD_KAFKA_PRODUCER, conf);
}

static int partitions_of(rd_kafka_t *producer, rd_kafka_topic_t *handle) {
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(producer, 0, handle, &metadata, 20000)) FAIL("no metadata");
    int partitions = metadata->topics[0].partition_cnt;
    if (partitions < 1) FAIL("no partitions");
    return partitions;
}

static void hand_over(rd_kafka_t *producer, rd_kafka_topic_t *handle, int partition, char *value, size_t bytes) {
    while (rd_kafka_produce(handle, partition, RD_KAFKA_MSG_F_COPY, value, bytes, NULL, 0, NULL))
        rd_kafka_poll(producer, 10);
}

/* Waits for all acknowledgements and tells how long everything took. */
static void finish(rd_kafka_t *producer, long count, int64_t begun, double cpu) {
    while (acknowledged + refused < count) rd_kafka_poll(producer, 50);
    double seconds = (last_acknowledged_ns - begun) / 1e9;
    printf("{\"records\":%ld,\"refused\":%ld,\"seconds\":%.4f,\"client_cpu_s\":%.3f,\"library\":\"%s\"}\n", acknowledged,
           refused, seconds, cpu_s() - cpu, rd_kafka_version_str());
    fflush(stdout);
    _exit(refused != 0);
}

static void produce(long count, long bytes, const char *codec) {
    static char pool[1 << 20];
    rd_kafka_t *producer = loader(codec);
    rd_kafka_topic_t *handle = rd_kafka_topic_new(producer, topic, NULL);
    int partitions = partitions_of(producer, handle);
    fill(pool, sizeof pool);
    int64_t begun = now_ns();
    double cpu = cpu_s();
    for (long i = 0; i < count; i++) {
        hand_over(producer, handle, i / 64 % partitions, pool + next_random() % (sizeof pool - bytes - 1), bytes);
        if ((i & 1023) == 0) rd_kafka_poll(producer, 0);
    }
    finish(producer, count, begun, cpu);
}

static void lines(const char *path, const char *codec) {
    FILE *file = fopen(path, "r");
    if (!file) FAIL("%s cannot be read", path);
    rd_kafka_t *producer = loader(codec);
    rd_kafka_topic_t *handle = rd_kafka_topic_new(producer, topic, NULL);
    int partitions = partitions_of(producer, handle);
    char *line = NULL;
    size_t room = 0;
    ssize_t bytes;
    long count = 0;
    int64_t begun = now_ns();
    double cpu = cpu_s();
    while ((bytes = getline(&line, &room, file)) > 0) {
        if (line[bytes - 1] == '\n') bytes--;
        hand_over(producer, handle, count / 64 % partitions, line, bytes);
        if ((count++ & 1023) == 0) rd_kafka_poll(producer, 0);
    }
    finish(producer, count, begun, cpu);
}

static void consume(long count, int partitions) {
    static rd_kafka_message_t *messages[10000];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "group.id", "driver");
    set(conf, "enable.auto.commit", "false");
    set(conf, "fetch.message.max.bytes", "4194304");
    set(conf, "queued.min.messages", "1000000");
    set(conf, "check.crcs", "false");
    rd_kafka_t *consumer = client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_poll_set_consumer(consumer);
    int64_t begun = now_ns();
    double cpu = cpu_s();
    rd_kafka_assign(consumer, list);
    long got = 0;
    while (got < count) {
        ssize_t batch = rd_kafka_consume_batch_queue(queue, 1000, messages, 10000);
        if (batch < 0 || now_ns() - begun > 120000000000LL) FAIL("%ld of %ld records came", got, count);
        for (ssize_t i = 0; i < batch; i++) {
            if (!messages[i]->err) got++;
            rd_kafka_message_destroy(messages[i]);
        }
    }
    printf("{\"records\":%ld,\"seconds\":%.4f,\"client_cpu_s\":%.3f}\n", got, (now_ns() - begun) / 1e9, cpu_s() - cpu);
    fflush(stdout);
    _exit(0);
}

static void print(int partitions) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "group.id", "driver-print");
    set(conf, "enable.auto.commit", "false");
    set(conf, "isolation.level", "read_committed");
    set(conf, "enable.partition.eof", "true");
    rd_kafka_t *consumer = client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_assign(consumer, list);
    int left = partitions;
    int64_t begun = now_ns();
    while (left) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 1000);
        if (now_ns() - begun > 120000000000LL) FAIL("%d partitions do not end", left);
        if (!message) continue;
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            left--;
        } else if (message->err) {
            fprintf(stderr, "%s\n", rd_kafka_message_errstr(message));
        } else {
            fwrite(message->payload, 1, message->len, stdout);
            fputc('\n', stdout);
        }
        rd_kafka_message_destroy(message);
    }
    fflush(stdout);
    _exit(0);
}

static int64_t *delays;
static volatile long received, wanted;
static volatile int listening, finished;

static void *receive(void *unused) {
    (void)unused;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "group.id", "driver-latency");
    set(conf, "enable.auto.commit", "false");
    set(conf, "fetch.wait.max.ms", "500");
    set(conf, "fetch.min.bytes", "1");
    set(conf, "enable.partition.eof", "true");
    rd_kafka_t *consumer = client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = RD_KAFKA_OFFSET_END;
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_assign(consumer, list);
    while (received < wanted) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 1000);
        if (!message) {
            if (finished) break;
            continue;
        }
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            listening = 1;
        } else if (!message->err && message->len >= 8) {
            int64_t due;
            memcpy(&due, message->payload, 8);
            delays[received++] = now_ns() - due;
        }
        rd_kafka_message_destroy(message);
    }
    return NULL;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void latency(long rate, long seconds, long bytes) {
    wanted = rate * seconds;
    delays = calloc(wanted + 1, sizeof *delays);
    pthread_t receiver;
    pthread_create(&receiver, NULL, receive, NULL);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "acks", "-1");
    set(conf, "linger.ms", "0");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *producer = client(RD_KAFKA_PRODUCER, conf);
    rd_kafka_topic_t *handle = rd_kafka_topic_new(producer, topic, NULL);
    while (!listening) rd_kafka_poll(producer, 20);
    char *value = malloc(bytes);
    fill(value, bytes);
    int64_t begun = now_ns() + 100000000LL;
    for (long i = 0; i < wanted; i++) {
        int64_t due = begun + i * (1000000000LL / rate), now;
        while ((now = now_ns()) < due) {
            rd_kafka_poll(producer, 0);
            if (due - now > 60000) nanosleep(&(struct timespec){0, due - now > 300000 ? 250000 : 50000}, NULL);
        }
        memcpy(value, &due, 8);
        while (rd_kafka_produce(handle, 0, RD_KAFKA_MSG_F_COPY, value, bytes, NULL, 0, NULL)) rd_kafka_poll(producer, 1);
    }
    rd_kafka_flush(producer, 20000);
    finished = 1;
    pthread_join(receiver, NULL);
    /* The first three seconds, or a quarter of a short run, warm up. */
    long warm = rate * 3 < received / 4 ? rate * 3 : received / 4, left = received - warm;
    if (left < 1) FAIL("nothing was received");
    qsort(delays + warm, left, sizeof *delays, ascending);
    printf("{\"received\":%ld,\"sent\":%ld,\"refused\":%ld,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n", received,
           wanted, refused, delays[warm + left / 2] / 1e6, delays[warm + left * 99 / 100] / 1e6,
           delays[received - 1] / 1e6);
    fflush(stdout);
    _exit(0);
}

int main(int count, char **words) {
    if (count < 5) FAIL("usage: driver create|first|produce|lines|consume|print|latency BROKER TOPIC …");
    broker = words[2];
    topic = words[3];
    if (!strcmp(words[1], "create")) create(atoi(words[4]));
    if (!strcmp(words[1], "first")) first(atol(words[4]));
    if (!strcmp(words[1], "produce") && count == 7) produce(atol(words[4]), atol(words[5]), words[6]);
    if (!strcmp(words[1], "lines") && count == 6) lines(words[4], words[5]);
    if (!strcmp(words[1], "consume") && count == 6) consume(atol(words[4]), atoi(words[5]));
    if (!strcmp(words[1], "print") && count == 5) print(atoi(words[4]));
    if (!strcmp(words[1], "latency") && count == 7) latency(atol(words[4]), atol(words[5]), atol(words[6]));
    FAIL("usage: driver create|first|produce|lines|consume|print|latency BROKER TOPIC …");
}
