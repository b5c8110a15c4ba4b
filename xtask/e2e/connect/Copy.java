import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.connect.cli.ConnectDistributed;
import org.apache.kafka.connect.cli.ConnectStandalone;
import org.apache.kafka.connect.runtime.Connect;

/**
 * Kafka Connect brings a growing file through a topic into another file, line by line, each once and in order, while workers stop, start
 * and, when there are two, take over from one another.
 */
final class Copy {
    private static final Duration PATIENCE = Duration.ofSeconds(90);
    private static final String RUN = System.getenv("RUN");
    private static final Path SCRATCH = Path.of(System.getenv("SCRATCH"));
    private static final Path SOURCE = SCRATCH.resolve("source.txt");
    private static final Path SINK = SCRATCH.resolve("sink.txt");
    private static final HttpClient HTTP = HttpClient.newHttpClient();

    private Copy() {}

    /** A worker in this process, and where it is told what to do. */
    private record Worker(Connect<?> connect, String url) {
        void stop() {
            connect.stop();
            connect.awaitStop();
        }
    }

    public static void main(String[] arguments) {
        try {
            if (arguments[0].equals("distributed")) distributed();
            else standalone();
            Runtime.getRuntime().halt(0);
        } catch (Throwable failure) {
            failure.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    private static void standalone() throws Exception {
        Map<String, String> settings = Map.of("offset.storage.file.filename", SCRATCH.resolve("offsets").toString());
        append(0, 300);
        Worker worker = start(settings, false);
        connectors(worker);
        expect(300);
        append(300, 500);
        expect(500);
        worker.stop();
        append(500, 800);
        worker = start(settings, false);
        connectors(worker);
        expect(800);
        worker.stop();
    }

    private static void distributed() throws Exception {
        Map<String, String> settings = new HashMap<>(Map.of("group.id", RUN + "-connect"));
        for (String storage : List.of("config", "offset", "status")) {
            settings.put(storage + ".storage.topic", RUN + "-connect-" + storage);
            settings.put(storage + ".storage.replication.factor", "1");
        }
        append(0, 300);
        Worker first = start(settings, true);
        connectors(first);
        expect(300);
        Worker second = start(settings, true);
        until("both tasks run beside another worker", () -> running(second));
        append(300, 500);
        expect(500);
        first.stop();
        until("both tasks run on what is left", () -> running(second));
        append(500, 800);
        expect(800);
        second.stop();
    }

    private static Worker start(Map<String, String> settings, boolean distributed) throws Exception {
        String url = "http://127.0.0.1:" + freePort();
        Map<String, String> all = new HashMap<>(settings);
        all.put("bootstrap.servers", System.getenv("BOOTSTRAP"));
        all.put("listeners", url);
        all.put("key.converter", "org.apache.kafka.connect.storage.StringConverter");
        all.put("value.converter", "org.apache.kafka.connect.storage.StringConverter");
        all.put("offset.flush.interval.ms", "500");
        all.put("scheduled.rebalance.max.delay.ms", "0");
        all.put("plugin.discovery", "only_scan");
        return new Worker((distributed ? new ConnectDistributed() : new ConnectStandalone()).startConnect(all), url);
    }

    private static int freePort() throws Exception {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    private static void connectors(Worker worker) throws Exception {
        String topic = RUN + "-file";
        put(worker, "source", Map.of("connector.class", "FileStreamSource", "file", SOURCE.toString(), "topic", topic));
        put(worker, "sink", Map.of("connector.class", "FileStreamSink", "file", SINK.toString(), "topics", topic));
        until("both tasks run", () -> running(worker));
    }

    private static void put(Worker worker, String name, Map<String, String> config) throws Exception {
        String body = config.entrySet().stream().map(e -> "\"" + e.getKey() + "\":\"" + e.getValue() + "\"").collect(Collectors.joining(","));
        HttpRequest request = HttpRequest.newBuilder(URI.create(worker.url() + "/connectors/" + name + "/config"))
                .header("Content-Type", "application/json").PUT(BodyPublishers.ofString("{" + body + "}")).build();
        until("the connector " + name, () -> HTTP.send(request, BodyHandlers.ofString()).statusCode() / 100 == 2);
    }

    private static boolean running(Worker worker) throws Exception {
        for (String name : List.of("source", "sink")) {
            URI uri = URI.create(worker.url() + "/connectors/" + name + "/status");
            HttpResponse<String> answer = HTTP.send(HttpRequest.newBuilder(uri).build(), BodyHandlers.ofString());
            if (answer.body().contains("FAILED")) throw new AssertionError(answer.body());
            if (answer.statusCode() != 200 || answer.body().split("\"RUNNING\"", -1).length < 3) return false;
        }
        return true;
    }

    /** ASCII alone: after a restart the source connector finds its place by counting characters, and takes them for bytes. */
    private static String lines(int from, int to) {
        return IntStream.range(from, to).mapToObj(n -> "line " + n + " " + "x".repeat(n % 50) + "\n").collect(Collectors.joining());
    }

    private static void append(int from, int to) throws Exception {
        Files.writeString(SOURCE, lines(from, to), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    /** The sink's file holds all lines, and a moment later nothing more. */
    private static void expect(int count) throws Exception {
        String wanted = lines(0, count);
        until(count + " lines", () -> Files.exists(SINK) && Files.size(SINK) >= wanted.getBytes().length);
        Thread.sleep(1000);
        String found = Files.readString(SINK);
        if (!found.equals(wanted)) throw new AssertionError("the sink's file differs: " + found.lines().count() + " lines, not " + count);
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private static void until(String what, Condition condition) throws Exception {
        for (long end = System.nanoTime() + PATIENCE.toNanos(); System.nanoTime() < end; Thread.sleep(100)) {
            if (condition.holds()) return;
        }
        throw new AssertionError(what + ": not within " + PATIENCE);
    }
}
