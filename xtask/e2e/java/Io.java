import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Sending, reading, and members of groups, with everything that goes wrong thrown. */
final class Io {
    static final Admin ADMIN = Admin.create(Map.of("bootstrap.servers", Harness.BOOTSTRAP));

    private Io() {}

    static String create(String topic, int partitions, Map<String, String> configs) throws Exception {
        ADMIN.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all().get();
        // A broker may tell of a topic a moment before it takes records for it, which a producer without acks would not notice.
        Map<TopicPartition, OffsetSpec> places = new HashMap<>();
        places(topic, partitions).forEach(place -> places.put(place, OffsetSpec.earliest()));
        ADMIN.listOffsets(places).all().get();
        return topic;
    }

    static String create(String topic, int partitions) throws Exception {
        return create(topic, partitions, Map.of());
    }

    static List<TopicPartition> places(String topic, int partitions) {
        return IntStream.range(0, partitions).mapToObj(p -> new TopicPartition(topic, p)).toList();
    }

    static KafkaProducer<byte[], byte[]> producer(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", Harness.BOOTSTRAP, "linger.ms", 5));
        all.putAll(settings);
        return new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(
                Map.of("bootstrap.servers", Harness.BOOTSTRAP, "auto.offset.reset", "earliest", "enable.auto.commit", false));
        all.putAll(settings);
        return new KafkaConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static ProducerRecord<byte[], byte[]> outgoing(String topic, Harness.Sent record) {
        List<Header> headers = new ArrayList<>();
        record.headers().forEach(header -> headers.add(new RecordHeader(header.key(), header.value().bytes())));
        return new ProducerRecord<>(
                topic, record.partition(), record.timestamp(), record.key().bytes(), record.value().bytes(), headers);
    }

    /** Sends, and returns the offsets in the records' order. */
    static List<Long> send(String topic, List<Harness.Sent> records, Map<String, Object> settings) throws Exception {
        List<Long> offsets = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> sender = producer(settings)) {
            List<Future<RecordMetadata>> futures = new ArrayList<>();
            for (Harness.Sent record : records) futures.add(sender.send(outgoing(topic, record)));
            for (Future<RecordMetadata> future : futures) offsets.add(future.get().offset());
        }
        return offsets;
    }

    static List<Long> send(String topic, List<Harness.Sent> records) throws Exception {
        return send(topic, records, Map.of());
    }

    static Harness.Seen seen(ConsumerRecord<byte[], byte[]> record) {
        Harness.equal("timestamp type", record.timestampType(), TimestampType.CREATE_TIME);
        List<Harness.Pair> headers = new ArrayList<>();
        record.headers().forEach(header -> headers.add(new Harness.Pair(header.key(), new Harness.Bytes(header.value()))));
        Harness.Bytes key = new Harness.Bytes(record.key());
        return new Harness.Seen(record.offset(), key, new Harness.Bytes(record.value()), headers, record.timestamp());
    }

    /** Reads from the beginning, and on a little to see what is too much. */
    static Map<Integer, List<Harness.Seen>> read(String topic, int count, int partitions, boolean committed) throws Exception {
        Map<Integer, List<Harness.Seen>> found = new TreeMap<>();
        String isolation = committed ? "read_committed" : "read_uncommitted";
        try (KafkaConsumer<byte[], byte[]> reader = consumer(Map.of("isolation.level", isolation))) {
            reader.assign(places(topic, partitions));
            reader.seekToBeginning(reader.assignment());
            Harness.until(count + " records of " + topic, () -> {
                poll(reader, found, 500);
                return Harness.total(found) >= count;
            }, () -> Harness.total(found));
            poll(reader, found, 300);
        }
        Harness.equal("records read", Harness.total(found), count);
        return found;
    }

    private static void poll(KafkaConsumer<byte[], byte[]> reader, Map<Integer, List<Harness.Seen>> found, int patienceMs) {
        for (ConsumerRecord<byte[], byte[]> record : reader.poll(Duration.ofMillis(patienceMs))) {
            found.computeIfAbsent(record.partition(), p -> new ArrayList<>()).add(seen(record));
        }
    }

    /** A record that a member of a group saw. */
    record Value(int partition, long offset, String value) {}

    /** A member of a group, which reads when it is stepped. */
    static final class Member implements ConsumerRebalanceListener {
        final KafkaConsumer<byte[], byte[]> consumer;
        final Set<Integer> assigned = new TreeSet<>();
        final List<Value> seen = new ArrayList<>();
        int lostAll = 0;

        Member(String group, String topic, String protocol, String instance) {
            Map<String, Object> settings = new HashMap<>(Map.of("group.id", group, "isolation.level", "read_committed"));
            switch (protocol) {
                case "consumer" -> settings.put("group.protocol", "consumer");
                case "cooperative" -> settings.put(
                        "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
                default -> settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor");
            }
            if (!protocol.equals("consumer")) settings.putAll(Map.of("session.timeout.ms", 10_000, "heartbeat.interval.ms", 300));
            if (instance != null) settings.put("group.instance.id", instance);
            consumer = consumer(settings);
            consumer.subscribe(List.of(topic), this);
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> added) {
            added.forEach(place -> assigned.add(place.partition()));
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> removed) {
            removed.forEach(place -> assigned.remove(place.partition()));
            if (!removed.isEmpty() && assigned.isEmpty()) lostAll++;
        }

        void step() {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(50))) {
                Harness.check("a record of a partition that is not ours", assigned.contains(record.partition()));
                seen.add(new Value(record.partition(), record.offset(), new String(record.value())));
            }
        }

        void commit() {
            if (!seen.isEmpty()) consumer.commitSync();
        }

        Long committed(String topic, int partition) {
            TopicPartition place = new TopicPartition(topic, partition);
            OffsetAndMetadata offset = consumer.committed(Set.of(place)).get(place);
            return offset == null ? null : offset.offset();
        }

        Stream<Integer> newsSince(int known) {
            return seen.stream().skip(known).map(value -> Integer.parseInt(value.value()));
        }

        void close() {
            consumer.close();
        }
    }
}
