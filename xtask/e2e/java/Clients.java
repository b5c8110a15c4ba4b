import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

/** Apache Kafka's own clients. */
final class Clients {
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");

    private Clients() {}

    public static void main(String[] arguments) {
        Harness.main(arguments, Map.of(
                "produce", Clients::produce, "idempotent", Clients::idempotent,
                "group", () -> rebalance("eager"), "cooperative", () -> rebalance("cooperative"), "kip848", () -> rebalance("consumer"),
                "static", Clients::staticMembers, "transactions", Clients::transactions, "offsets", Administration::offsets,
                "admin", Administration::administer, "security", Security::check));
    }

    private static void produce() throws Exception {
        List<Harness.Sent> records = Harness.numbered(0, 1000);
        for (String acks : List.of("0", "1", "all")) {
            for (String codec : CODECS) {
                String topic = Io.create(Harness.name("produce-" + acks + "-" + codec), Harness.PARTITIONS);
                Io.send(topic, records, Map.of("acks", acks, "compression.type", codec, "enable.idempotence", false));
                Harness.same(Io.read(topic, 1000, Harness.PARTITIONS, false), Harness.byPartition(records));
            }
        }
        big();
        String topic = Io.create(Harness.name("many"), 200);
        List<Harness.Sent> spread = new ArrayList<>();
        for (Harness.Sent r : Harness.numbered(0, 2000)) {
            spread.add(new Harness.Sent((int) (r.timestamp() % 200), r.key(), r.value(), r.headers(), r.timestamp()));
        }
        Io.send(topic, spread);
        Harness.same(Io.read(topic, 2000, 200, false), Harness.byPartition(spread));
    }

    /** Records of 900 KB, which no codec makes smaller or every one makes tiny. */
    private static void big() throws Exception {
        Random random = new Random(7);
        for (String codec : CODECS) {
            String topic = Io.create(Harness.name("big-" + codec), 1);
            byte[][] values = {new byte[900_000], new byte[900_000], new byte[900_000]};
            random.nextBytes(values[0]);
            random.nextBytes(values[2]);
            List<Harness.Sent> records = Stream.of(values).map(value -> Harness.plain(0, value)).toList();
            Io.send(topic, records, Map.of("compression.type", codec));
            Harness.same(Io.read(topic, 3, 1, false), Harness.byPartition(records));
        }
    }

    private static void idempotent() throws Exception {
        String topic = Io.create(Harness.name("idempotent"), Harness.PARTITIONS);
        List<Harness.Sent> records = Harness.numbered(0, 20_000);
        List<Long> offsets = Io.send(topic, records, Map.of("enable.idempotence", true, "compression.type", "lz4"));
        for (int at = 0; at < offsets.size(); at++) Harness.equal("an offset", offsets.get(at), (long) at / Harness.PARTITIONS);
        Harness.same(Io.read(topic, records.size(), Harness.PARTITIONS, false), Harness.byPartition(records));
    }

    private static void balanced(Io.Member... members) throws Exception {
        Callable<Boolean> even = () -> {
            Set<Integer> owned = new TreeSet<>();
            boolean share = true;
            for (Io.Member member : members) {
                member.step();
                owned.addAll(member.assigned);
                share &= member.assigned.size() == 6 / members.length;
            }
            return share && owned.size() == 6;
        };
        Harness.until(members.length + " members share", even, () -> Stream.of(members).map(member -> member.assigned).toList());
    }

    /** Sends numbered records; all members together see each just once, and commit. */
    private static void drained(String topic, int from, int to, Io.Member... members) throws Exception {
        int[] before = Stream.of(members).mapToInt(member -> member.seen.size()).toArray();
        Io.send(topic, IntStream.range(from, to).mapToObj(number -> Harness.plain(number % 6, "" + number)).toList());
        Callable<List<Integer>> news = () -> IntStream.range(0, members.length).boxed()
                .flatMap(at -> members[at].newsSince(before[at])).sorted().toList();
        Callable<Boolean> step = () -> {
            for (Io.Member member : members) member.step();
            return news.call().size() >= to - from;
        };
        Harness.until("every record seen", step);
        for (int round = 0; round < 5; round++) step.call();
        Harness.sameList("records seen", news.call(), IntStream.range(from, to).boxed().toList());
        for (Io.Member member : members) {
            for (Io.Value v : member.seen) Harness.equal(v + "", v.value(), "" + (v.offset() * 6 + v.partition()));
            member.commit();
        }
    }

    /** Members come and go; what is sent while a set of members stands is seen once by them. One that starts again resumes. */
    private static void rebalance(String protocol) throws Exception {
        String group = Harness.name(protocol + "-group");
        String topic = Io.create(Harness.name(protocol), 6);
        Io.Member first = new Io.Member(group, topic, protocol, null);
        balanced(first);
        drained(topic, 0, 600, first);
        Io.Member second = new Io.Member(group, topic, protocol, null);
        balanced(first, second);
        drained(topic, 600, 1200, first, second);
        Io.Member third = new Io.Member(group, topic, protocol, null);
        balanced(first, second, third);
        drained(topic, 1200, 1800, first, second, third);
        if (!protocol.equals("eager")) Harness.equal("how often the first lost everything", first.lostAll, 0);
        second.close();
        balanced(first, third);
        drained(topic, 1800, 2400, first, third);
        first.close();
        third.close();
        Io.Member again = new Io.Member(group, topic, protocol, null);
        balanced(again);
        for (int partition = 0; partition < 6; partition++) Harness.equal("committed", again.committed(topic, partition), 400L);
        drained(topic, 2400, 3000, again);
        Harness.check("seen again after the restart", again.seen.stream().allMatch(value -> value.offset() >= 400));
        again.close();
    }

    /** A static member that restarts gets its partitions back, and nobody else notices; of twins the elder is fenced. */
    private static void staticMembers() throws Exception {
        String group = Harness.name("static-group");
        String topic = Io.create(Harness.name("static"), 6);
        Io.Member one = new Io.Member(group, topic, "eager", "one");
        Io.Member two = new Io.Member(group, topic, "eager", "two");
        balanced(one, two);
        drained(topic, 0, 600, one, two);
        Set<Integer> kept = Set.copyOf(one.assigned);
        int lost = one.lostAll;
        two.close();
        two = new Io.Member(group, topic, "eager", "two");
        balanced(one, two);
        drained(topic, 600, 1200, one, two);
        Harness.equal("the other's partitions", one.assigned, kept);
        Harness.equal("rebalances of the other", one.lostAll, lost);
        Io.Member twin = new Io.Member(group, topic, "eager", "two");
        Harness.until("the younger twin took over", () -> {
            twin.step();
            return twin.assigned.size() == 3;
        });
        Harness.failsWith(FencedInstanceIdException.class, two::commit);
        twin.close();
        one.close();
    }

    // transactions

    private static KafkaProducer<byte[], byte[]> transactional(String id) {
        KafkaProducer<byte[], byte[]> producer = Io.producer(Map.of("transactional.id", Harness.name(id)));
        producer.initTransactions();
        return producer;
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, String topic, int partition, String value) {
        producer.send(new ProducerRecord<>(topic, partition, null, value.getBytes()));
    }

    private static void transactions() throws Exception {
        String topic = Io.create(Harness.name("transactions"), Harness.PARTITIONS);
        List<String> all = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> sender = transactional("committer")) {
            for (int turn = 0; turn < 6; turn++) {
                String word = turn % 2 == 0 ? "commit" : "abort";
                sender.beginTransaction();
                for (int number = 0; number < 100; number++) {
                    all.add(word + "-" + turn + "-" + number);
                    send(sender, topic, number % Harness.PARTITIONS, all.get(all.size() - 1));
                }
                sender.flush();
                if (turn % 2 == 0) sender.commitTransaction();
                else sender.abortTransaction();
            }
        }
        List<String> committed = all.stream().filter(value -> value.startsWith("commit")).sorted().toList();
        Harness.sameList("read_committed", Harness.values(Io.read(topic, 300, Harness.PARTITIONS, true)), committed);
        Harness.sameList("read_uncommitted", Harness.values(Io.read(topic, 600, Harness.PARTITIONS, false)), all.stream().sorted().toList());
        openTransaction(topic);
        transform();
        zombie(topic);
    }

    /** What is not committed yet is not read, and neither is what comes behind it; its end lets both through. */
    private static void openTransaction(String topic) throws Exception {
        KafkaProducer<byte[], byte[]> sender = transactional("open");
        sender.beginTransaction();
        send(sender, topic, 0, "open");
        sender.flush();
        Io.send(topic, List.of(Harness.plain(0, "behind")));
        List<String> before = Harness.values(Io.read(topic, 300, Harness.PARTITIONS, true));
        Harness.check("an open transaction was read", !before.contains("open") && !before.contains("behind"));
        sender.commitTransaction();
        List<String> after = Harness.values(Io.read(topic, 302, Harness.PARTITIONS, true));
        Harness.check("the end of it lets both through", after.contains("open") && after.contains("behind"));
        sender.close();
    }

    /** Read, write, and commit the offsets with the output; an abort takes the offsets back with it. */
    private static void transform() throws Exception {
        String source = Io.create(Harness.name("source"), 2);
        String target = Io.create(Harness.name("target"), 2);
        Io.send(source, IntStream.range(0, 200).mapToObj(number -> Harness.plain(number % 2, "" + number)).toList());
        KafkaProducer<byte[], byte[]> sender = transactional("transformer");
        for (boolean commit : new boolean[] {false, true}) {
            Io.Member reader = new Io.Member(Harness.name("transform"), source, "eager", null);
            Harness.until("200 records", () -> {
                reader.step();
                return reader.seen.size() >= 200;
            });
            sender.beginTransaction();
            for (Io.Value value : reader.seen) send(sender, target, value.partition(), "<" + value.value() + ">");
            OffsetAndMetadata offset = new OffsetAndMetadata(100);
            Map<TopicPartition, OffsetAndMetadata> offsets =
                    Map.of(new TopicPartition(source, 0), offset, new TopicPartition(source, 1), offset);
            sender.sendOffsetsToTransaction(offsets, reader.consumer.groupMetadata());
            sender.flush();
            if (commit) sender.commitTransaction();
            else sender.abortTransaction();
            for (int partition = 0; partition < 2; partition++) {
                Harness.equal("offset after the end", reader.committed(source, partition), commit ? 100L : null);
            }
            reader.close();
        }
        List<String> wanted = IntStream.range(0, 200).mapToObj(number -> "<" + number + ">").sorted().toList();
        Harness.sameList("transformed", Harness.values(Io.read(target, 200, 2, true)), wanted);
        sender.close();
    }

    /** The elder of two producers with one transactional id may not commit any more. */
    private static void zombie(String topic) throws Exception {
        KafkaProducer<byte[], byte[]> elder = transactional("zombie");
        elder.beginTransaction();
        send(elder, topic, 1, "zombie");
        elder.flush();
        KafkaProducer<byte[], byte[]> younger = transactional("zombie");
        try {
            elder.commitTransaction();
            throw new AssertionError("a zombie committed");
        } catch (ProducerFencedException | InvalidProducerEpochException fenced) {
            elder.close();
        }
        younger.beginTransaction();
        send(younger, topic, 1, "younger");
        younger.commitTransaction();
        List<String> got = Harness.values(Io.read(topic, 303, Harness.PARTITIONS, true));
        Harness.check("the zombie's record was read", !got.contains("zombie"));
        Harness.check("the younger's record was not read", got.contains("younger"));
        younger.close();
    }
}
