import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.LongStream;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What an administrator asks for, and where in a partition a reader is. */
final class Administration {
    private Administration() {}

    static void offsets() throws Exception {
        String topic = Io.create(Harness.name("offsets"), 2);
        List<Harness.Sent> records = new ArrayList<>();
        for (Harness.Sent r : Harness.numbered(0, 200)) {
            records.add(new Harness.Sent((int) (r.timestamp() % 2), r.key(), r.value(), r.headers(), r.timestamp()));
        }
        Io.send(topic, records);
        TopicPartition first = new TopicPartition(topic, 0);
        TopicPartition second = new TopicPartition(topic, 1);
        try (KafkaConsumer<byte[], byte[]> reader = Io.consumer(Map.of("group.id", Harness.name("offsets")))) {
            for (long[] wanted : new long[][] {{-5, 0}, {100, 50}, {101, 51}}) {
                OffsetAndTimestamp found = reader.offsetsForTimes(Map.of(first, Harness.EPOCH_MS + wanted[0])).get(first);
                Harness.equal("offset after " + wanted[0], found.offset(), wanted[1]);
                Harness.equal("its timestamp", found.timestamp(), Harness.EPOCH_MS + wanted[1] * 2);
            }
            Harness.equal("after everything", reader.offsetsForTimes(Map.of(first, Harness.EPOCH_MS + 10_000)).get(first), null);
            Harness.equal("beginnings", reader.beginningOffsets(Set.of(first, second)), Map.of(first, 0L, second, 0L));
            Harness.equal("ends", reader.endOffsets(Set.of(first, second)), Map.of(first, 100L, second, 100L));
            pauseAndSeek(reader, first, second);
            reader.commitSync(Map.of(first, new OffsetAndMetadata(30, "mine"), second, new OffsetAndMetadata(70)));
            Map<TopicPartition, OffsetAndMetadata> committed = reader.committed(Set.of(first, second));
            Harness.equal("committed", List.of(committed.get(first).offset(), committed.get(second).offset()), List.of(30L, 70L));
            Harness.equal("metadata", committed.get(first).metadata(), "mine");
            Harness.equal("lag", List.of(reader.currentLag(first).orElse(-1), reader.currentLag(second).orElse(-1)), List.of(0L, 0L));
        }
    }

    private static void pauseAndSeek(KafkaConsumer<byte[], byte[]> reader, TopicPartition first, TopicPartition second)
            throws Exception {
        reader.assign(List.of(first, second));
        reader.seek(first, 90);
        reader.seek(second, 95);
        List<List<Long>> got = polled(reader, 15);
        Harness.equal("from 90 and 95", got, List.of(range(90, 100), range(95, 100)));
        reader.pause(Set.of(second));
        reader.seek(second, 0);
        reader.seek(first, 42);
        Harness.equal("without the paused partition", polled(reader, 58), List.of(range(42, 100), range(0, 0)));
        Harness.equal("position", reader.position(first), 100L);
        reader.resume(Set.of(second));
        Harness.equal("after resuming", polled(reader, 100), List.of(range(0, 0), range(0, 100)));
    }

    private static List<Long> range(long from, long to) {
        return LongStream.range(from, to).boxed().toList();
    }

    private static List<List<Long>> polled(KafkaConsumer<byte[], byte[]> reader, int count) throws Exception {
        List<List<Long>> got = List.of(new ArrayList<>(), new ArrayList<>());
        Harness.until(count + " records", () -> {
            for (ConsumerRecord<byte[], byte[]> record : reader.poll(Duration.ofMillis(200))) {
                got.get(record.partition()).add(record.offset());
            }
            return got.get(0).size() + got.get(1).size() >= count;
        }, () -> got);
        reader.poll(Duration.ofMillis(200)).forEach(record -> got.get(record.partition()).add(record.offset()));
        return got;
    }

    static void administer() throws Exception {
        Collection<Node> nodes = Io.ADMIN.describeCluster().nodes().get();
        Harness.equal("nodes", nodes.stream().map(node -> node.host() + ":" + node.port()).toList(), List.of(Harness.BOOTSTRAP));
        Harness.check("a cluster id", !Io.ADMIN.describeCluster().clusterId().get().isEmpty());
        topics();
        configs();
        records();
        groups();
        producers();
    }

    private static void make(NewTopic topic) throws Exception {
        Io.ADMIN.createTopics(List.of(topic)).all().get();
    }

    private static void topics() throws Exception {
        String topic = Io.create(Harness.name("admin"), 3);
        Harness.failsWith(TopicExistsException.class, () -> make(new NewTopic(topic, 3, (short) 1)));
        Harness.failsWith(InvalidTopicException.class, () -> make(new NewTopic("no spaces", 1, (short) 1)));
        Harness.failsWith(InvalidPartitionsException.class, () -> make(new NewTopic(Harness.name("bad"), 0, (short) 1)));
        Harness.failsWith(InvalidReplicationFactorException.class, () -> make(new NewTopic(Harness.name("bad"), 1, (short) 9)));
        Uuid id = describe(topic).topicId();
        Io.ADMIN.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
        Harness.until("more partitions", () -> describe(topic).partitions().size() == 5);
        Harness.failsWith(
                InvalidPartitionsException.class,
                () -> Io.ADMIN.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get());
        Io.ADMIN.deleteTopics(List.of(topic)).all().get();
        Harness.failsWith(UnknownTopicOrPartitionException.class, () -> Io.ADMIN.deleteTopics(List.of(topic)).all().get());
        Harness.until("deleted", () -> !Io.ADMIN.listTopics().names().get().contains(topic));
        Io.create(topic, 1);
        Harness.check("another id", !describe(topic).topicId().equals(id));
    }

    private static TopicDescription describe(String topic) throws Exception {
        return Io.ADMIN.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
    }

    private static void expect(String topic, String key, String value, ConfigEntry.ConfigSource source) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Config config = Io.ADMIN.describeConfigs(List.of(resource)).all().get().get(resource);
        Harness.equal(key, List.of(config.get(key).value(), config.get(key).source()), List.of(value, source));
    }

    private static void alter(String topic, String key, String value, AlterConfigOp.OpType operation) throws Exception {
        AlterConfigOp change = new AlterConfigOp(new ConfigEntry(key, value), operation);
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Io.ADMIN.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
    }

    private static void configs() throws Exception {
        String topic = Io.create(Harness.name("configs"), 1, Map.of("retention.ms", "86400000"));
        ConfigEntry.ConfigSource own = ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG;
        ConfigEntry.ConfigSource byDefault = ConfigEntry.ConfigSource.DEFAULT_CONFIG;
        expect(topic, "retention.ms", "86400000", own);
        expect(topic, "cleanup.policy", "delete", byDefault);
        alter(topic, "segment.bytes", "1048576", AlterConfigOp.OpType.SET);
        expect(topic, "segment.bytes", "1048576", own);
        expect(topic, "retention.ms", "86400000", own);
        alter(topic, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
        expect(topic, "cleanup.policy", "delete,compact", own);
        alter(topic, "cleanup.policy", "delete", AlterConfigOp.OpType.SUBTRACT);
        expect(topic, "cleanup.policy", "compact", own);
        alter(topic, "cleanup.policy", null, AlterConfigOp.OpType.DELETE);
        expect(topic, "cleanup.policy", "delete", byDefault);
        Harness.failsWith(InvalidConfigurationException.class, () -> alter(topic, "retention.ms", "soon", AlterConfigOp.OpType.SET));
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, Io.ADMIN.describeCluster().controller().get().idString());
        Config config = Io.ADMIN.describeConfigs(List.of(broker)).all().get().get(broker);
        Harness.check("the broker's settings", config.get("auto.create.topics.enable") != null);
    }

    private static ListOffsetsResultInfo listed(TopicPartition place, OffsetSpec spec) throws Exception {
        return Io.ADMIN.listOffsets(Map.of(place, spec)).partitionResult(place).get();
    }

    private static void records() throws Exception {
        TopicPartition place = new TopicPartition(Io.create(Harness.name("records"), 1), 0);
        List<Harness.Sent> sent = new ArrayList<>();
        for (int at = 0; at < 100; at++) {
            Harness.Sent r = Harness.numbered(at * 4);
            long timestamp = at == 7 ? Harness.EPOCH_MS + 1_000_000 : r.timestamp();
            sent.add(new Harness.Sent(0, r.key(), r.value(), r.headers(), timestamp));
        }
        Io.send(place.topic(), sent);
        Harness.equal("earliest", listed(place, OffsetSpec.earliest()).offset(), 0L);
        Harness.equal("latest", listed(place, OffsetSpec.latest()).offset(), 100L);
        Harness.equal("max timestamp", listed(place, OffsetSpec.maxTimestamp()).offset(), 7L);
        Harness.equal("max timestamp", listed(place, OffsetSpec.maxTimestamp()).timestamp(), Harness.EPOCH_MS + 1_000_000);
        Harness.equal("at a timestamp", listed(place, OffsetSpec.forTimestamp(Harness.EPOCH_MS + 8)).offset(), 2L);
        long low = Io.ADMIN.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(40))).lowWatermarks().get(place).get().lowWatermark();
        Harness.equal("low watermark", low, 40L);
        Harness.equal("earliest after it", listed(place, OffsetSpec.earliest()).offset(), 40L);
        List<Long> left = Io.read(place.topic(), 60, 1, false).get(0).stream().map(Harness.Seen::offset).toList();
        Harness.equal("what is left", left, range(40, 100));
        Harness.failsWith(
                OffsetOutOfRangeException.class,
                () -> Io.ADMIN.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(1000))).all().get());
    }

    private static void groups() throws Exception {
        String topic = Io.create(Harness.name("grouped"), 6);
        String group = Harness.name("admin-group");
        Io.Member member = new Io.Member(group, topic, "eager", null);
        Io.send(topic, List.of(Harness.plain(0, "0"), Harness.plain(1, "1")));
        Harness.until("both seen", () -> {
            member.step();
            return member.seen.size() == 2;
        });
        member.commit();
        ConsumerGroupDescription described = Io.ADMIN.describeConsumerGroups(List.of(group)).all().get().get(group);
        Harness.equal("state", described.groupState(), GroupState.STABLE);
        Harness.equal("members", described.members().size(), 1);
        Harness.equal("assigned", described.members().iterator().next().assignment().topicPartitions().size(), 6);
        Harness.check("listed", Io.ADMIN.listGroups().all().get().stream().anyMatch(listing -> listing.groupId().equals(group)));
        Harness.failsWith(GroupNotEmptyException.class, () -> Io.ADMIN.deleteConsumerGroups(List.of(group)).all().get());
        member.close();
        TopicPartition first = new TopicPartition(topic, 0);
        TopicPartition second = new TopicPartition(topic, 1);
        Harness.equal("offsets", List.of(committed(group, first), committed(group, second)), List.of(1L, 1L));
        Io.ADMIN.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(0))).all().get();
        Io.ADMIN.deleteConsumerGroupOffsets(group, Set.of(second)).all().get();
        Harness.equal("altered and deleted", List.of(committed(group, first), committed(group, second)), List.of(0L, -1L));
        Io.ADMIN.deleteConsumerGroups(List.of(group)).all().get();
        Harness.failsWith(GroupIdNotFoundException.class, () -> Io.ADMIN.deleteConsumerGroups(List.of(group)).all().get());
    }

    private static long committed(String group, TopicPartition place) throws Exception {
        OffsetAndMetadata offset = Io.ADMIN.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(place);
        return offset == null ? -1 : offset.offset();
    }

    /** What the broker tells of an open transaction, and of the directory that holds it. */
    private static void producers() throws Exception {
        TopicPartition place = new TopicPartition(Io.create(Harness.name("producers"), 1), 0);
        String id = Harness.name("told");
        try (KafkaProducer<byte[], byte[]> sender = Io.producer(Map.of("transactional.id", id))) {
            sender.initTransactions();
            sender.beginTransaction();
            sender.send(new ProducerRecord<>(place.topic(), 0, null, "open".getBytes())).get();
            List<ProducerState> active = Io.ADMIN.describeProducers(Set.of(place)).partitionResult(place).get().activeProducers();
            Harness.equal("active producers", active.size(), 1);
            Harness.equal("open from", active.get(0).currentTransactionStartOffset().orElse(-1), 0L);
            TransactionDescription told = Io.ADMIN.describeTransactions(Set.of(id)).description(id).get();
            Harness.equal("state", told.state(), TransactionState.ONGOING);
            Harness.equal("partitions", told.topicPartitions(), Set.of(place));
            Harness.equal("producer id", told.producerId(), active.get(0).producerId());
            ListTransactionsOptions ongoing = new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING));
            List<String> listed = Io.ADMIN.listTransactions(ongoing).all().get().stream().map(TransactionListing::transactionalId).toList();
            Harness.check("listed", listed.contains(id));
            sender.commitTransaction();
        }
        int broker = Io.ADMIN.describeCluster().controller().get().id();
        long size = Io.ADMIN.describeLogDirs(List.of(broker)).allDescriptions().get().get(broker).values().stream()
                .filter(directory -> directory.replicaInfos().containsKey(place))
                .mapToLong(directory -> directory.replicaInfos().get(place).size()).sum();
        Harness.check("a size", size > 0);
    }
}
