import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.function.Supplier;

/** What the Java programs share: names, the records they send, and expectations that say what differed. */
final class Harness {
    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    static final int PARTITIONS = 4;
    static final long EPOCH_MS = 1_700_000_000_000L;
    static final Duration PATIENCE = Duration.ofSeconds(45);

    private Harness() {}

    interface Action {
        void run() throws Exception;
    }

    /** A topic, group or transactional id of this run alone. */
    static String name(String what) {
        return System.getenv("RUN") + "-" + what;
    }

    static void check(String what, boolean truth) {
        if (!truth) throw new AssertionError(what);
    }

    static void equal(String what, Object got, Object want) {
        check(what + "\n   got  " + shortened(got) + "\n   want " + shortened(want), Objects.equals(got, want));
    }

    /** Lists that should be equal, told by the first place where they are not. */
    static void sameList(String what, List<?> got, List<?> want) {
        for (int at = 0; at < Math.min(got.size(), want.size()); at++) equal(what + ": at " + at, got.get(at), want.get(at));
        equal(what + ": how many", got.size(), want.size());
    }

    private static String shortened(Object thing) {
        String text = String.valueOf(thing);
        return text.length() > 1500 ? text.substring(0, 1500) + "…" : text;
    }

    static void until(String what, Callable<Boolean> condition, Supplier<Object> told) throws Exception {
        for (long end = System.nanoTime() + PATIENCE.toNanos(); System.nanoTime() < end; Thread.sleep(5)) {
            if (condition.call()) return;
        }
        throw new AssertionError(what + ": not within " + PATIENCE + "; " + shortened(told.get()));
    }

    static void until(String what, Callable<Boolean> condition) throws Exception {
        until(what, condition, () -> "");
    }

    /** The action fails with this exception, or one caused by it. */
    static void failsWith(Class<? extends Exception> wanted, Action action) {
        try {
            action.run();
        } catch (Exception thrown) {
            Throwable cause = thrown instanceof ExecutionException ? thrown.getCause() : thrown;
            check(wanted.getSimpleName() + ", not " + cause, wanted.isInstance(cause));
            return;
        }
        throw new AssertionError(wanted.getSimpleName() + " was expected, but it succeeded");
    }

    /** Bytes that are compared by what they hold. */
    record Bytes(byte[] bytes) {
        static Bytes of(String text) {
            return new Bytes(text.getBytes());
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Bytes bytes && Arrays.equals(this.bytes, bytes.bytes);
        }

        @Override
        public int hashCode() {
            return Arrays.hashCode(bytes);
        }

        @Override
        public String toString() {
            return bytes == null ? "null" : new String(bytes, 0, Math.min(bytes.length, 60));
        }
    }

    record Pair(String key, Bytes value) {}

    /** A record as it was sent; its partition is the sender's choice. */
    record Sent(int partition, Bytes key, Bytes value, List<Pair> headers, long timestamp) {
        Seen at(long offset) {
            return new Seen(offset, key, value, headers, timestamp);
        }
    }

    /** A record as it was read. */
    record Seen(long offset, Bytes key, Bytes value, List<Pair> headers, long timestamp) {}

    private static final Bytes NONE = new Bytes(null);

    /** The record that belongs to a number: some without key, without value, with an empty one, with headers. */
    static Sent numbered(int number) {
        Bytes key = number % 5 == 0 ? NONE : Bytes.of("key-" + number);
        Bytes value = number % 7 == 1 ? NONE : Bytes.of(number % 11 == 0 ? "" : "value-" + number + "-" + "x".repeat(number % 200));
        List<Pair> headers = new ArrayList<>();
        if (number % 3 != 0) {
            headers.add(new Pair("a", Bytes.of("" + number)));
            headers.add(new Pair("a", Bytes.of("again")));
            headers.add(new Pair("empty", Bytes.of("")));
            headers.add(new Pair("null", NONE));
        }
        return new Sent(number % PARTITIONS, key, value, headers, EPOCH_MS + number);
    }

    static List<Sent> numbered(int from, int to) {
        List<Sent> records = new ArrayList<>();
        for (int number = from; number < to; number++) records.add(numbered(number));
        return records;
    }

    /** A record of which only the value matters. */
    static Sent plain(int partition, byte[] value) {
        return new Sent(partition, NONE, new Bytes(value), List.of(), EPOCH_MS);
    }

    static Sent plain(int partition, String value) {
        return plain(partition, value.getBytes());
    }

    /** What a reader should see of records. */
    static Map<Integer, List<Seen>> byPartition(List<Sent> records) {
        Map<Integer, List<Seen>> seen = new TreeMap<>();
        for (Sent record : records) {
            List<Seen> place = seen.computeIfAbsent(record.partition(), p -> new ArrayList<>());
            place.add(record.at(place.size()));
        }
        return seen;
    }

    static void same(Map<Integer, List<Seen>> found, Map<Integer, List<Seen>> wanted) {
        equal("partitions with records", found.keySet(), wanted.keySet());
        wanted.forEach((partition, records) -> sameList("partition " + partition, found.get(partition), records));
    }

    static int total(Map<Integer, List<Seen>> found) {
        return found.values().stream().mapToInt(List::size).sum();
    }

    static List<String> values(Map<Integer, List<Seen>> found) {
        return found.values().stream().flatMap(List::stream).map(r -> r.value().toString()).sorted().toList();
    }

    /** Runs the scenario that was named; the exit code tells. */
    static void main(String[] arguments, Map<String, Action> scenarios) {
        try {
            scenarios.get(arguments[0]).run();
            System.exit(0);
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.exit(1);
        }
    }
}
