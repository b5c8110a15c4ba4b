"""kafka-python."""

import sys

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka import errors
from kafka.admin import (
    ACL, ACLFilter, ACLOperation, ACLPermissionType, ACLResourcePatternType, ConfigResource, ConfigResourceType, OffsetSpec, ResourcePattern,
    ResourcePatternFilter, ResourceType, ScramMechanism, UserScramCredentialDeletion, UserScramCredentialUpsertion,
)
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor

from harness import BOOTSTRAP, EPOCH_MS, PARTITIONS, LoginRefused, Record, certificate, check, equal, login_refusal_logged, main, name, same_list, until
from scenarios import balanced, drained, security

ADMIN = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
NULLS = False
FENCED = (errors.FencedInstanceIdError, errors.ProducerFencedError, errors.InvalidProducerEpochError)


def create(topic, partitions=PARTITIONS, **configs):
    configs = {key.replace("_", "."): value for key, value in configs.items()}
    ADMIN.create_topics({topic: {"num_partitions": partitions, "replication_factor": 1, "configs": configs}}, wait_for_metadata=True)
    until(f"{topic} has leaders", lambda: led(topic, partitions))
    return topic


def led(topic, partitions):
    """A broker may tell of a topic a moment before it takes records for it, which a producer without acks would not notice."""
    try:
        return ADMIN.list_partition_offsets({TopicPartition(topic, p): OffsetSpec.EARLIEST for p in range(partitions)})
    except errors.KafkaError:
        return False


def send(topic, records, acks="all", codec="none", idempotent=False):
    sender = KafkaProducer(
        bootstrap_servers=BOOTSTRAP, acks=acks, compression_type=None if codec == "none" else codec, enable_idempotence=idempotent,
        linger_ms=5,
    )
    futures = [sender.send(topic, r.value, r.key, r.headers, r.partition, r.timestamp) for r in records]
    sender.flush(30)
    reports = [future.get(timeout=30) for future in futures]
    sender.close()
    if acks != 0:
        equal("timestamps told", [r.timestamp for r in reports], [r.timestamp for r in records])
    return [(report.partition, report.offset) for report in reports]


def seen(record):
    equal("timestamp type", record.timestamp_type, 0)
    return (record.offset, record.key, record.value, [tuple(h) for h in record.headers], record.timestamp)


def read(topic, count, partitions=PARTITIONS, committed=False):
    """Reads on a little behind the count, to see what is too much."""
    isolation = "read_committed" if committed else "read_uncommitted"
    reader = KafkaConsumer(bootstrap_servers=BOOTSTRAP, isolation_level=isolation, auto_offset_reset="earliest", enable_auto_commit=False)
    reader.assign([TopicPartition(topic, p) for p in range(partitions)])
    found = {}
    total = lambda: sum(map(len, found.values()))

    def step(timeout_ms=500):
        for place, records in reader.poll(timeout_ms).items():
            found.setdefault(place.partition, []).extend(map(seen, records))
        return total() >= count

    until(f"{count} records of {topic}", step, told=lambda: f"saw {total()}")
    step(300)
    equal("records read", total(), count)
    reader.close()
    return found


class Member(ConsumerRebalanceListener):
    PROTOCOLS = {"eager": RangePartitionAssignor, "cooperative": CooperativeStickyAssignor}

    def __init__(self, group, topic, protocol="eager", instance=None):
        self.consumer = KafkaConsumer(
            bootstrap_servers=BOOTSTRAP, group_id=name(group), group_instance_id=instance, auto_offset_reset="earliest",
            enable_auto_commit=False, session_timeout_ms=10_000, heartbeat_interval_ms=300, isolation_level="read_committed",
            partition_assignment_strategy=(self.PROTOCOLS[protocol],),
        )
        self.assigned, self.lost_all, self.seen = set(), 0, []
        self.consumer.partitions_for_topic(topic)  # a leader without metadata assigns nothing, and may not notice
        self.consumer.subscribe([topic], listener=self)

    def on_partitions_assigned(self, assigned):
        self.assigned |= {p.partition for p in assigned}

    def on_partitions_revoked(self, revoked):
        self.assigned -= {p.partition for p in revoked}
        self.lost_all += bool(revoked) and not self.assigned

    def step(self):
        for place, records in self.consumer.poll(50).items():
            check("a record of a partition that is not ours", place.partition in self.assigned)
            self.seen += [(place.partition, record.offset, record.value) for record in records]

    def commit(self):
        if self.seen:
            self.consumer.commit()

    def committed(self, topic, partition):
        return self.consumer.committed(TopicPartition(topic, partition))

    def close(self):
        self.consumer.close(autocommit=False)


class Transactional:
    def __init__(self, of):
        self.producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, transactional_id=name(of))
        self.producer.init_transactions()

    def begin(self):
        self.producer.begin_transaction()

    def send(self, topic, partition, value):
        self.producer.send(topic, value, partition=partition)

    def flush(self):
        self.producer.flush(30)

    def commit(self):
        self.producer.commit_transaction()

    def abort(self):
        self.producer.abort_transaction()

    def send_offsets(self, member, offsets):
        positions = {TopicPartition(*place): OffsetAndMetadata(offset, "", -1) for place, offset in offsets.items()}
        self.producer.send_offsets_to_transaction(positions, member.consumer.group_metadata())


# security

LOGIN_REFUSED = LoginRefused
TOPIC_REFUSED = errors.TopicAuthorizationFailedError
GROUP_REFUSED = errors.GroupAuthorizationFailedError


def settings_of(login):
    settings = {"bootstrap_servers": login.address, "security_protocol": login.protocol}
    if login.tls:
        settings["ssl_cafile"] = certificate("ca.pem")
    if login.mechanism:
        return {
            **settings, "sasl_mechanism": login.mechanism, "sasl_plain_username": login.user, "sasl_plain_password": login.password,
        }
    return {**settings, "ssl_certfile": certificate("client.pem"), "ssl_keyfile": certificate("client.key")}


def login(login):
    with login_refusal_logged("kafka", errors.KafkaTimeoutError, "SaslAuthenticationFailedError"):
        client = KafkaAdminClient(**settings_of(login), bootstrap_timeout_ms=3_000)
    check("it knows the broker", client.describe_cluster()["brokers"])
    client.close()


def send_as(login, topic, values, idempotent):
    sender = KafkaProducer(**settings_of(login), enable_idempotence=idempotent, acks="all")
    try:
        futures = [sender.send(topic, value, partition=0) for value in values]
        for future in futures:
            future.get(timeout=30)
    finally:
        sender.close(timeout=5)


def read_as(login, group, topic, count):
    """Asks where the topic begins: who may not read it would get no partition of it, and not be told why."""
    reader = KafkaConsumer(**settings_of(login), group_id=group, auto_offset_reset="earliest")
    values = []

    def step():
        values.extend(record.value for records in reader.poll(500).values() for record in records)
        return len(values) >= count

    try:
        equal("beginning", list(reader.beginning_offsets([TopicPartition(topic, 0)]).values()), [0])
        reader.subscribe([topic])
        until(f"{count} records", step, told=lambda: len(values))
    finally:
        reader.close(autocommit=False)
    return values


def rule(principal, kind, of, operation):
    return ACL(principal, "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, of))


def grant(principal, topic=None, group=None):
    kind = ResourceType.TOPIC if topic else ResourceType.GROUP
    operations = [ACLOperation.WRITE, ACLOperation.READ] if topic else [ACLOperation.READ]
    made = ADMIN.create_acls([rule(principal, kind, topic or group, operation) for operation in operations])
    equal("not granted", made["failed"], [])


def acls():
    """Rules are made, found by whose and of what they are, and deleted."""
    topic, alice = name("ruled"), f"User:{name('alice')}"
    rules = [rule(alice, ResourceType.TOPIC, topic, operation) for operation in (ACLOperation.READ, ACLOperation.WRITE)]
    prefixed = ResourcePattern(ResourceType.GROUP, name("r"), ACLResourcePatternType.PREFIXED)
    deny = ACL(alice, "127.0.0.1", ACLOperation.ALL, ACLPermissionType.DENY, prefixed)
    equal("made", len(ADMIN.create_acls([*rules, deny])["succeeded"]), 3)

    def pattern(kind, of):
        resources = ResourcePatternFilter(kind, of, ACLResourcePatternType.ANY)
        return ACLFilter(alice, None, ACLOperation.ANY, ACLPermissionType.ANY, resources)

    described = lambda kind=ResourceType.ANY, of=None: sorted(map(repr, ADMIN.describe_acls(pattern(kind, of))[0]))
    until("all rules", lambda: described() == sorted(map(repr, [*rules, deny])), described)
    equal("of the topic", described(ResourceType.TOPIC, topic), sorted(map(repr, rules)))
    [(_, deleted, error)] = ADMIN.delete_acls([pattern(ResourceType.TOPIC, topic)])
    equal("deleted", (error, len(deleted)), (errors.NoError, 2))
    until("what is left", lambda: described() == [repr(deny)], described)


def users():
    user = name("scram-user")
    mechanisms = [ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512]
    altered = lambda changes: ADMIN.alter_user_scram_credentials(changes)[user]
    equal("made", altered([UserScramCredentialUpsertion(user, mechanism, "secret", 8192) for mechanism in mechanisms]), None)
    described = lambda: ADMIN.describe_user_scram_credentials([user])[user]
    wanted = [{"mechanism": mechanism, "iterations": 8192} for mechanism in mechanisms]
    until("both mechanisms", lambda: described()["credential_infos"] == wanted, described)
    for mechanism in mechanisms:
        equal("deleted", altered([UserScramCredentialDeletion(user, mechanism)]), None)
    until("no such user", lambda: described()["error"], described)
    check("deleted again", altered([UserScramCredentialDeletion(user, mechanisms[0])]))


def secured():
    """What an administrator of users and permissions does, beside the logins."""
    security(sys.modules[__name__])
    acls()
    users()


# offsets

def offsets():
    topic = create(name("offsets"), 2)
    records = [Record(n) for n in range(200)]
    for record in records:
        record.partition %= 2
    send(topic, records)
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    reader = KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=name("offsets"), enable_auto_commit=False)
    times = [EPOCH_MS - 5, EPOCH_MS + 100, EPOCH_MS + 101, EPOCH_MS + 10_000]
    found = [reader.offsets_for_times({first: time})[first] for time in times]
    equal("offsets for times", [f and (f.offset, f.timestamp - EPOCH_MS) for f in found], [(0, 0), (50, 100), (51, 102), None])
    equal("beginnings", reader.beginning_offsets([first, second]), {first: 0, second: 0})
    equal("ends", reader.end_offsets([first, second]), {first: 100, second: 100})
    reader.assign([first, second])
    reader.seek(first, 90)
    reader.seek(second, 95)
    equal("from 90 and 95", sorted(polled(reader, 15)), [(0, o) for o in range(90, 100)] + [(1, o) for o in range(95, 100)])
    reader.pause(second)
    reader.seek(second, 0)
    reader.seek(first, 42)
    equal("without the paused partition", polled(reader, 58), [(0, o) for o in range(42, 100)])
    reader.resume(second)
    equal("after resuming", polled(reader, 100), [(1, o) for o in range(100)])
    reader.commit({first: OffsetAndMetadata(30, "mine", -1), second: OffsetAndMetadata(70, "", -1)})
    equal("committed", [reader.committed(first), reader.committed(second)], [30, 70])
    equal("metadata", reader.committed(first, metadata=True).metadata, "mine")
    equal("lag", [reader.highwater(p) - reader.committed(p) for p in (first, second)], [70, 30])
    reader.close()


def polled(reader, count):
    got = []

    def step(timeout_ms=500):
        for place, records in reader.poll(timeout_ms).items():
            got.extend((place.partition, record.offset) for record in records)
        return len(got) >= count

    until(f"{count} records", step, told=lambda: f"saw {len(got)}")
    step(200)
    return got


# admin

def fails_with(error, action):
    try:
        answer = action()
    except error:
        return
    raise AssertionError(f"{error.__name__} was expected, but it succeeded: {answer}")


def admin():
    cluster = ADMIN.describe_cluster()
    equal("nodes", [f"{b['host']}:{b['port']}" for b in cluster["brokers"]], [BOOTSTRAP])
    check("a cluster id", cluster["cluster_id"])
    topics()
    configs()
    records()
    groups()
    producers()


def topics():
    topic = create(name("admin"), 3)
    fails_with(errors.TopicAlreadyExistsError, lambda: ADMIN.create_topics([topic]))
    described = ADMIN.describe_topics([topic])[0]
    equal("partitions", sorted(p["partition_index"] for p in described["partitions"]), [0, 1, 2])
    ADMIN.create_partitions({topic: 5})
    until("more partitions", lambda: len(ADMIN.describe_topics([topic])[0]["partitions"]) == 5)
    fails_with(errors.InvalidPartitionsError, lambda: ADMIN.create_partitions({topic: 2}))
    ADMIN.delete_topics([topic])
    fails_with(errors.UnknownTopicOrPartitionError, lambda: ADMIN.delete_topics([topic]))
    until("deleted", lambda: topic not in ADMIN.list_topics())
    create(topic, 1)
    check("another id", ADMIN.describe_topics([topic])[0]["topic_id"] != described["topic_id"])


def configs():
    topic = create(name("configs"), 1, retention_ms="86400000")

    def described(filter_of):
        return ADMIN.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter=filter_of)["topic"][topic]

    equal("what was set", {key: c["value"] for key, c in described("modified").items()}, {"retention.ms": "86400000"})
    equal("a default", described("all")["cleanup.policy"]["value"], "delete")
    ADMIN.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"segment.bytes": "1048576"})])
    wanted = {"retention.ms": "86400000", "segment.bytes": "1048576"}
    equal("one more", {key: c["value"] for key, c in described("modified").items()}, wanted)
    ADMIN.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"cleanup.policy": ("APPEND", "compact")})])
    equal("appended", described("modified")["cleanup.policy"]["value"], "delete,compact")
    ADMIN.reset_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"cleanup.policy": None, "segment.bytes": None})])
    equal("reset", list(described("modified")), ["retention.ms"])


def records():
    topic = create(name("records"), 1)
    place = TopicPartition(topic, 0)
    all_of_it = [Record(n) for n in range(0, 400, 4)]
    all_of_it[7].timestamp = EPOCH_MS + 1_000_000
    send(topic, all_of_it)
    listed = lambda spec: ADMIN.list_partition_offsets({place: spec})[place]
    equal("ends", [listed(spec).offset for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST)], [0, 100])
    newest = listed(OffsetSpec.MAX_TIMESTAMP)
    equal("max timestamp", (newest.offset, newest.timestamp), (7, EPOCH_MS + 1_000_000))
    equal("at a timestamp", listed(EPOCH_MS + 8).offset, 2)
    equal("low watermark", ADMIN.delete_records({place: 40})[place]["low_watermark"], 40)
    equal("earliest after it", listed(OffsetSpec.EARLIEST).offset, 40)
    same_list("what is left", [r[0] for r in read(topic, 60, 1)[0]], list(range(40, 100)))


def groups():
    topic, group = create(name("grouped"), 6), name("admin-group")
    member = Member("admin-group", topic)
    balanced([member])
    drained(sys.modules[__name__], [member], topic, range(60))
    described = ADMIN.describe_groups([group])[group]
    equal("state", (described["group_state"], described["protocol_type"], len(described["members"])), ("Stable", "consumer", 1))
    check("listed", group in [g["group_id"] for g in ADMIN.list_groups()])
    equal("not deleted", ADMIN.delete_groups([group])[group], "NonEmptyGroupError")
    member.close()
    places = [TopicPartition(topic, p) for p in range(6)]
    listed = lambda: {place: o.offset for place, o in ADMIN.list_group_offsets([group])[group].items()}
    equal("offsets", listed(), {place: 10 for place in places})
    equal("altered", ADMIN.alter_group_offsets(group, {places[3]: OffsetAndMetadata(4, "", -1)})[places[3]], errors.NoError)
    equal("deleted", ADMIN.delete_group_offsets(group, [places[5]])[places[5]], errors.NoError)
    equal("offsets now", listed(), {**{place: 10 for place in places[:5]}, places[3]: 4})
    equal("deleted", ADMIN.delete_groups([group])[group], "OK")
    equal("deleted again", ADMIN.delete_groups([group])[group], "GroupIdNotFoundError")


def producers():
    """What the broker tells of an open transaction, and of the directory that holds it."""
    topic = create(name("producers"), 1)
    sender = Transactional("told")
    sender.begin()
    sender.send(topic, 0, b"open")
    sender.flush()
    state = ADMIN.describe_producers([TopicPartition(topic, 0)])[TopicPartition(topic, 0)].active_producers
    equal("open from", [(p.current_transaction_start_offset, p.last_sequence) for p in state], [(0, 0)])
    told = ADMIN.describe_transactions([name("told")])[name("told")]
    equal("the transaction", (told.state.value, told.topic_partitions, told.producer_id), ("Ongoing", {TopicPartition(topic, 0)}, state[0].producer_id))
    listed = [t.transactional_id for transactions in ADMIN.list_transactions(state_filters=["Ongoing"]).values() for t in transactions]
    check("listed", name("told") in listed)
    sender.commit()
    directories = ADMIN.describe_log_dirs([topic])[0]["log_dirs"]
    sizes = [p["partition_size"] for d in directories for t in d["topics"] if t["name"] == topic for p in t["partitions"]]
    check(f"sizes {sizes}", len(sizes) == 1 and sizes[0] > 0)


main(sys.modules[__name__], offsets=offsets, admin=admin, security=secured)
