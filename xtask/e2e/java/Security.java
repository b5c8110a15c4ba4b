import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialAlteration;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AccessControlEntryFilter;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.errors.GroupAuthorizationException;
import org.apache.kafka.common.errors.ResourceNotFoundException;
import org.apache.kafka.common.errors.SaslAuthenticationException;
import org.apache.kafka.common.errors.TopicAuthorizationException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourcePatternFilter;
import org.apache.kafka.common.resource.ResourceType;

/** Every way to come in; a wrong password is of no use; what was not granted is refused, and what was is done. */
final class Security {
    /** Kafka's permissions hold a moment after they were acknowledged. */
    private static final long PERMISSION_DELAY_MS = 300;

    private static final int VALUES = 100;

    private Security() {}

    /** How to come in at a listener that asks who it is; without a mechanism a certificate tells. */
    private record Login(String listener, String mechanism, String user, String password) {
        Login(String listener, String mechanism) {
            this(listener, mechanism, System.getenv("USERNAME"), System.getenv("PASSWORD"));
        }

        String label() {
            return (listener + "-" + mechanism).toLowerCase();
        }

        String principal() {
            return mechanism.isEmpty() ? System.getenv("PRINCIPAL") : "User:" + user;
        }

        Map<String, Object> settings() {
            Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", System.getenv(listener)));
            boolean tls = !listener.equals("SCRAM");
            settings.put("security.protocol", mechanism.isEmpty() ? "SSL" : tls ? "SASL_SSL" : "SASL_PLAINTEXT");
            if (tls) settings.putAll(Map.of("ssl.truststore.type", "PEM", "ssl.truststore.location", file("ca.pem")));
            if (mechanism.isEmpty()) {
                settings.putAll(Map.of("ssl.keystore.type", "PEM", "ssl.keystore.location", file("client.both.pem")));
                return settings;
            }
            String module = mechanism.equals("PLAIN") ? "plain.PlainLoginModule" : "scram.ScramLoginModule";
            settings.put("sasl.mechanism", mechanism);
            settings.put("sasl.jaas.config", "org.apache.kafka.common.security." + module + " required username=\"" + user
                    + "\" password=\"" + password + "\";");
            return settings;
        }
    }

    private static String file(String name) {
        return Path.of(System.getenv("CERTIFICATES"), name).toString();
    }

    static void check() throws Exception {
        List<Login> logins = List.of(
                new Login("SCRAM", "SCRAM-SHA-256"), new Login("SCRAM", "SCRAM-SHA-512"), new Login("TLS", "SCRAM-SHA-512"),
                new Login("TLS", "PLAIN"), new Login("MTLS", ""));
        for (Login login : logins) {
            if (!login.mechanism().isEmpty()) {
                Login wrong = new Login(login.listener(), login.mechanism(), login.user(), "wrong");
                Harness.failsWith(SaslAuthenticationException.class, () -> comeIn(wrong));
                Login nobody = new Login(login.listener(), login.mechanism(), "nobody", login.password());
                Harness.failsWith(SaslAuthenticationException.class, () -> comeIn(nobody));
            }
            comeIn(login);
            permissions(login);
        }
        acls();
        users();
        quotas();
    }

    private static void comeIn(Login login) throws Exception {
        try (Admin admin = Admin.create(login.settings())) {
            Harness.check("a broker", !admin.describeCluster().nodes().get().isEmpty());
        }
    }

    private static void permissions(Login login) throws Exception {
        String topic = Io.create(Harness.name("secure-" + login.label()), 1);
        String other = Io.create(topic + "-other", 1);
        Harness.failsWith(TopicAuthorizationException.class, () -> send(login, topic, false));
        grant(login, ResourceType.TOPIC, topic, AclOperation.WRITE, AclOperation.READ);
        send(login, topic, true);
        List<String> wanted = IntStream.range(0, VALUES).mapToObj(Integer::toString).toList();
        for (String protocol : List.of("classic", "consumer")) {
            String group = topic + "-" + protocol;
            Harness.failsWith(GroupAuthorizationException.class, () -> read(login, protocol, group, topic));
            grant(login, ResourceType.GROUP, group, AclOperation.READ);
            Harness.equal("what was read by " + login.label() + " " + protocol, read(login, protocol, group, topic), wanted);
            Harness.failsWith(TopicAuthorizationException.class, () -> read(login, protocol, group, other));
        }
    }

    private static void send(Login login, String topic, boolean idempotent) throws Exception {
        Map<String, Object> settings = login.settings();
        settings.put("enable.idempotence", idempotent);
        try (KafkaProducer<byte[], byte[]> sender = Io.producer(settings)) {
            for (int n = 0; n < VALUES; n++) sender.send(new ProducerRecord<>(topic, 0, null, ("" + n).getBytes())).get();
        }
    }

    private static List<String> read(Login login, String protocol, String group, String topic) throws Exception {
        Map<String, Object> settings = login.settings();
        settings.putAll(Map.of("group.id", group, "group.protocol", protocol));
        List<String> values = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> reader = Io.consumer(settings)) {
            reader.subscribe(List.of(topic));
            Harness.until(VALUES + " records", () -> {
                for (ConsumerRecord<byte[], byte[]> record : reader.poll(Duration.ofMillis(500))) values.add(new String(record.value()));
                return values.size() >= VALUES;
            }, values::size);
        }
        return values;
    }

    private static AclBinding rule(ResourcePattern resource, String principal, AclOperation operation, AclPermissionType type) {
        return new AclBinding(resource, new AccessControlEntry(principal, "*", operation, type));
    }

    private static void grant(Login login, ResourceType type, String of, AclOperation... operations) throws Exception {
        ResourcePattern resource = new ResourcePattern(type, of, PatternType.LITERAL);
        List<AclBinding> rules = new ArrayList<>();
        for (AclOperation operation : operations) rules.add(rule(resource, login.principal(), operation, AclPermissionType.ALLOW));
        Io.ADMIN.createAcls(rules).all().get();
        Thread.sleep(PERMISSION_DELAY_MS);
    }

    /** Rules are made, found by whose and of what they are, and deleted. */
    private static void acls() throws Exception {
        String alice = "User:" + Harness.name("alice");
        ResourcePattern topic = new ResourcePattern(ResourceType.TOPIC, Harness.name("ruled"), PatternType.LITERAL);
        ResourcePattern groups = new ResourcePattern(ResourceType.GROUP, Harness.name("r"), PatternType.PREFIXED);
        AclBinding read = rule(topic, alice, AclOperation.READ, AclPermissionType.ALLOW);
        AclBinding deny = rule(groups, alice, AclOperation.ALL, AclPermissionType.DENY);
        Io.ADMIN.createAcls(List.of(read, deny)).all().get();
        AccessControlEntryFilter hers = new AccessControlEntryFilter(alice, null, AclOperation.ANY, AclPermissionType.ANY);
        AclBindingFilter all = new AclBindingFilter(ResourcePatternFilter.ANY, hers);
        Harness.until("both rules", () -> Io.ADMIN.describeAcls(all).values().get().size() == 2);
        AclBindingFilter matching = new AclBindingFilter(
                new ResourcePatternFilter(ResourceType.GROUP, Harness.name("rest"), PatternType.MATCH), hers);
        Harness.equal("what matches a group", List.copyOf(Io.ADMIN.describeAcls(matching).values().get()), List.of(deny));
        Harness.equal("deleted", List.copyOf(Io.ADMIN.deleteAcls(List.of(read.toFilter())).all().get()), List.of(read));
        Harness.until("one is left", () -> List.copyOf(Io.ADMIN.describeAcls(all).values().get()).equals(List.of(deny)));
    }

    private static void users() throws Exception {
        String user = Harness.name("scram-user");
        List<ScramCredentialInfo> infos = List.of(
                new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 8192), new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8192));
        List<UserScramCredentialAlteration> made = new ArrayList<>();
        List<UserScramCredentialAlteration> gone = new ArrayList<>();
        for (ScramCredentialInfo info : infos) {
            made.add(new UserScramCredentialUpsertion(user, info, "secret"));
            gone.add(new UserScramCredentialDeletion(user, info.mechanism()));
        }
        Io.ADMIN.alterUserScramCredentials(made).all().get();
        Harness.until("both mechanisms", () -> Io.ADMIN.describeUserScramCredentials().all().get().containsKey(user));
        Harness.equal("both", Io.ADMIN.describeUserScramCredentials(List.of(user)).all().get().get(user).credentialInfos(), infos);
        Io.ADMIN.alterUserScramCredentials(gone).all().get();
        Harness.until("no such user", () -> !Io.ADMIN.describeUserScramCredentials().all().get().containsKey(user));
        Harness.failsWith(ResourceNotFoundException.class, () -> Io.ADMIN.alterUserScramCredentials(gone).all().get());
    }

    private static void quotas() throws Exception {
        ClientQuotaEntity slow = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, Harness.name("slow")));
        ClientQuotaFilter filter = ClientQuotaFilter.containsOnly(
                List.of(ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.USER, Harness.name("slow"))));
        ClientQuotaAlteration.Op set = new ClientQuotaAlteration.Op("producer_byte_rate", 1e6);
        Io.ADMIN.alterClientQuotas(List.of(new ClientQuotaAlteration(slow, List.of(set)))).all().get();
        Map<ClientQuotaEntity, Map<String, Double>> wanted = Map.of(slow, Map.of("producer_byte_rate", 1e6));
        Harness.until("the quota", () -> Io.ADMIN.describeClientQuotas(filter).entities().get().equals(wanted));
        ClientQuotaAlteration.Op unset = new ClientQuotaAlteration.Op("producer_byte_rate", null);
        Io.ADMIN.alterClientQuotas(List.of(new ClientQuotaAlteration(slow, List.of(unset)))).all().get();
        Harness.until("no quota", () -> Io.ADMIN.describeClientQuotas(filter).entities().get().isEmpty());
    }
}
