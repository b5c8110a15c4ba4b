import java.io.File;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;

/** Kafka Streams counts words, loses its local state, restores it from the changelog, and counts on. */
final class WordCount {
    private static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    private static final Duration PATIENCE = Duration.ofSeconds(90);
    private static final int WORDS = 20;

    private final String guarantee;
    private final String run;
    private final String lines;
    private final String counts;
    private Throwable failure = null;

    private WordCount(String guarantee) {
        this.guarantee = guarantee;
        this.run = System.getenv("RUN") + "-" + guarantee;
        this.lines = run + "-lines";
        this.counts = run + "-counts";
    }

    public static void main(String[] arguments) {
        try {
            new WordCount(arguments[0].equals("exactly-once") ? StreamsConfig.EXACTLY_ONCE_V2 : StreamsConfig.AT_LEAST_ONCE).check();
            System.exit(0);
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.exit(1);
        }
    }

    private void check() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", BOOTSTRAP))) {
            admin.createTopics(List.of(new NewTopic(lines, 2, (short) 1), new NewTopic(counts, 2, (short) 1))).all().get();
        }
        try (KafkaStreams streams = start()) {
            send(0, 500);
            expect(streams, 500);
        }
        try (KafkaStreams streams = start()) {
            send(500, 800);
            expect(streams, 800);
        }
        delete(new File(System.getenv("SCRATCH"), run));
        try (KafkaStreams streams = start()) {
            send(800, 1200);
            expect(streams, 1200);
        }
    }

    private static void delete(File file) {
        File[] inside = file.listFiles();
        if (inside != null) for (File one : inside) delete(one);
        if (!file.delete()) throw new AssertionError(file + " cannot be deleted");
    }

    private KafkaStreams start() {
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream(lines)
                .flatMapValues(line -> Arrays.asList(line.split(" ")))
                .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
                .count(Materialized.as("counts"))
                .toStream()
                .to(counts, Produced.with(Serdes.String(), Serdes.Long()));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings());
        streams.setUncaughtExceptionHandler(thrown -> {
            failure = thrown;
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
        return streams;
    }

    private Properties settings() {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, run);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, BOOTSTRAP);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, System.getenv("SCRATCH"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, guarantee);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0); // every count is seen, not the last of many
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.consumerPrefix("session.timeout.ms"), 10_000);
        return settings;
    }

    /** Line n holds the words n and n + 1, so that each word of a round appears twice in it. */
    private void send(int from, int to) {
        Map<String, Object> settings = Map.of("bootstrap.servers", BOOTSTRAP);
        try (KafkaProducer<String, String> sender = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (int n = from; n < to; n++) {
                String line = "word-" + n % WORDS + " word-" + (n + 1) % WORDS;
                sender.send(new ProducerRecord<>(lines, n % 2, null, line));
            }
        }
    }

    /** After so many lines each word's counts are 1, 2, 3 … in order; the store agrees. */
    private void expect(KafkaStreams streams, int sent) throws Exception {
        long each = 2L * sent / WORDS;
        Map<String, List<Long>> wanted = new TreeMap<>();
        IntStream.range(0, WORDS).forEach(w -> wanted.put("word-" + w, LongStream.rangeClosed(1, each).boxed().toList()));
        Map<String, List<Long>> found = read(2 * sent);
        for (String word : wanted.keySet()) equal("counts of " + word, found.get(word), wanted.get(word));
        ReadOnlyKeyValueStore<String, Long> store =
                streams.store(StoreQueryParameters.fromNameAndType("counts", QueryableStoreTypes.keyValueStore()));
        for (String word : wanted.keySet()) equal("the store's count of " + word, store.get(word), each);
    }

    /** All counts that were written and committed, word by word, and on a little to see what is too much. */
    private Map<String, List<Long>> read(int count) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", BOOTSTRAP, "isolation.level", "read_committed");
        Map<String, List<Long>> found = new TreeMap<>();
        try (KafkaConsumer<String, Long> reader = new KafkaConsumer<>(settings, new StringDeserializer(), new LongDeserializer())) {
            reader.assign(List.of(new TopicPartition(counts, 0), new TopicPartition(counts, 1)));
            reader.seekToBeginning(reader.assignment());
            long end = System.nanoTime() + PATIENCE.toNanos();
            while (total(found) < count) {
                if (failure != null) throw new AssertionError("a thread of Streams failed", failure);
                if (System.nanoTime() > end) throw new AssertionError(count + " counts, saw " + total(found) + " within " + PATIENCE);
                poll(reader, found);
            }
            poll(reader, found);
        }
        equal("how many counts", total(found), count);
        return found;
    }

    private static void poll(KafkaConsumer<String, Long> reader, Map<String, List<Long>> found) {
        for (ConsumerRecord<String, Long> record : reader.poll(Duration.ofMillis(300))) {
            found.computeIfAbsent(record.key(), word -> new ArrayList<>()).add(record.value());
        }
    }

    private static int total(Map<String, List<Long>> found) {
        return found.values().stream().mapToInt(List::size).sum();
    }

    private static void equal(String what, Object got, Object want) {
        if (!got.equals(want)) throw new AssertionError(what + "\n   got  " + got + "\n   want " + want);
    }
}
