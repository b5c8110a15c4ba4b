"""librdkafka, through confluent-kafka."""

import sys

from confluent_kafka import (
    OFFSET_BEGINNING, TIMESTAMP_CREATE_TIME, Consumer, ConsumerGroupState, ConsumerGroupTopicPartitions, IsolationLevel, KafkaError,
    KafkaException, Producer, TopicCollection, TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions,
    NewTopic, OffsetSpec, ResourcePatternType, ResourceType, ScramCredentialInfo, ScramMechanism, UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from changes import changes
from harness import BOOTSTRAP, EPOCH_MS, PARTITIONS, Record, certificate, check, equal, main, name, until
from scenarios import balanced, drained, security

ADMIN = AdminClient({"bootstrap.servers": BOOTSTRAP})


class Fenced(Exception):
    pass


FENCED = Fenced


def producer(**settings):
    return Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 5, **dotted(settings)})


def consumer(group, **settings):
    base = {"bootstrap.servers": BOOTSTRAP, "group.id": name(group), "auto.offset.reset": "earliest", "enable.auto.commit": False}
    return Consumer({**base, **dotted(settings)})


def dotted(settings):
    return {key.replace("_", "."): value for key, value in settings.items()}


def done(futures):
    """The results of an admin call, by what they are for."""
    return {key: future.result(30) for key, future in futures.items()}


def create(topic, partitions=PARTITIONS, **config):
    done(ADMIN.create_topics([NewTopic(topic, partitions, 1, config=dotted(config))]))
    until(f"{topic} has leaders", lambda: led(topic, partitions))
    return topic


def led(topic, partitions):
    """A broker may tell of a topic a moment before it takes records for it, which a producer without acks would not notice."""
    if topic not in ADMIN.list_topics(timeout=20).topics:
        return False
    try:
        return done(ADMIN.list_offsets({TopicPartition(topic, p): OffsetSpec.earliest() for p in range(partitions)}))
    except KafkaException:
        return False


def fails_with(code, action):
    """The action fails, with this error."""
    try:
        action()
    except KafkaException as error:
        equal("the error's code", error.args[0].name(), code)
        return
    raise AssertionError(f"{code} was expected, but it succeeded")


def send(topic, records, acks="all", codec="none", idempotent=False):
    sender = producer(acks=str(acks), compression_type=codec, enable_idempotence=idempotent)
    reports = []
    reported = lambda error, message: reports.append((error, message.partition(), message.offset()))
    for record in records:
        sender.produce(
            topic, record.value, record.key, record.partition, on_delivery=reported, timestamp=record.timestamp, headers=record.headers,
        )
        sender.poll(0)
    equal("left in the queue", sender.flush(30), 0)
    equal("errors", [r for r in reports if r[0]], [])
    equal("delivery reports", len(reports), len(records))
    return [(partition, offset) for _, partition, offset in reports]


def seen(message):
    """A message as `Record.seen_at` tells it."""
    check(f"{message.error()}", message.error() is None)
    kind, timestamp = message.timestamp()
    equal("timestamp type", kind, TIMESTAMP_CREATE_TIME)
    return (message.offset(), message.key(), message.value(), message.headers() or [], timestamp)


def read(topic, count, partitions=PARTITIONS, committed=False):
    isolation = "read_committed" if committed else "read_uncommitted"
    reader = consumer("reader", enable_partition_eof=True, isolation_level=isolation)
    reader.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
    found, ended = {}, set()
    total = lambda: sum(map(len, found.values()))

    def step():
        message = reader.poll(1)
        if message is not None and message.error() and message.error().code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
        elif message is not None:
            found.setdefault(message.partition(), []).append(seen(message))
        return len(ended) == partitions and total() >= count

    until(f"{count} records of {topic}", step, told=lambda: f"saw {total()}, ends of {sorted(ended)}")
    reader.close()
    return found


class Member:
    PROTOCOLS = {
        "eager": {"partition_assignment_strategy": "range"},
        "cooperative": {"partition_assignment_strategy": "cooperative-sticky"},
        "consumer": {"group_protocol": "consumer"},
    }

    def __init__(self, group, topic, protocol="eager", instance=None):
        settings = dict(self.PROTOCOLS[protocol])
        if protocol != "consumer":  # with which the broker says it
            settings |= {"session_timeout_ms": 10_000, "heartbeat_interval_ms": 500}
        if instance:
            settings["group_instance_id"] = instance
        self.consumer = consumer(group, isolation_level="read_committed", **settings)
        self.assigned, self.lost_all, self.seen = set(), 0, []
        self.consumer.subscribe([topic], on_assign=self.on_assign, on_revoke=self.on_revoke)

    def on_assign(self, consumer, partitions):
        self.assigned |= {p.partition for p in partitions}

    def on_revoke(self, consumer, partitions):
        self.assigned -= {p.partition for p in partitions}
        self.lost_all += not self.assigned

    def step(self):
        message = self.consumer.poll(0.05)
        if message is None:
            return
        if message.error() and message.error().code() in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID):
            raise Fenced(message.error())
        seen(message)
        check("a record of a partition that is not ours", message.partition() in self.assigned)
        self.seen.append((message.partition(), message.offset(), message.value()))

    def commit(self):
        try:
            if self.seen:
                self.consumer.commit(asynchronous=False)
        except KafkaException as error:
            raise Fenced(error) if error.args[0].code() in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID) else error

    def committed(self, topic, partition):
        offset = self.consumer.committed([TopicPartition(topic, partition)], 20)[0].offset
        return None if offset < 0 else offset

    def close(self):
        self.consumer.close()


class Transactional:
    def __init__(self, of):
        self.producer = producer(transactional_id=name(of))
        self.producer.init_transactions(30)

    def begin(self):
        self.producer.begin_transaction()

    def send(self, topic, partition, value):
        self.producer.produce(topic, value, partition=partition)

    def flush(self):
        equal("left in the queue", self.producer.flush(30), 0)

    def commit(self):
        try:
            self.producer.commit_transaction(30)
        except KafkaException as error:
            raise Fenced(error) if error.args[0].code() == KafkaError._FENCED else error

    def abort(self):
        self.producer.abort_transaction(30)

    def send_offsets(self, member, offsets):
        positions = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
        self.producer.send_offsets_to_transaction(positions, member.consumer.consumer_group_metadata(), 30)


# security

class Refused(Exception):
    """An error of the library's, by its code."""


class LoginRefused(Refused):
    CODE = KafkaError._AUTHENTICATION


class TopicRefused(Refused):
    CODE = KafkaError.TOPIC_AUTHORIZATION_FAILED


class GroupRefused(Refused):
    CODE = KafkaError.GROUP_AUTHORIZATION_FAILED


LOGIN_REFUSED, TOPIC_REFUSED, GROUP_REFUSED = LoginRefused, TopicRefused, GroupRefused


def raise_refusal(error):
    for kind in (LoginRefused, TopicRefused, GroupRefused):
        if error.code() == kind.CODE:
            raise kind(error)
    raise AssertionError(f"{error}")


def settings_of(login):
    settings = {"bootstrap.servers": login.address, "security.protocol": login.protocol, "log_level": 0}
    if login.tls:
        settings["ssl.ca.location"] = certificate("ca.pem")
    if login.mechanism:
        return {**settings, "sasl.mechanism": login.mechanism, "sasl.username": login.user, "sasl.password": login.password}
    return {**settings, "ssl.certificate.location": certificate("client.pem"), "ssl.key.location": certificate("client.key")}


def login(login):
    """What went wrong with a connection is told to a callback."""
    told = []
    client = Producer({**settings_of(login), "error_cb": told.append})

    def known():
        client.poll(0.1)
        for error in told:
            if error.code() == KafkaError._AUTHENTICATION:
                raise LoginRefused(error)
        try:
            return client.list_topics(timeout=1).brokers
        except KafkaException:
            return False

    until("an answer", known, told=lambda: told)


def send_as(login, topic, values, idempotent):
    errors = []
    sender = Producer({**settings_of(login), "enable.idempotence": idempotent})
    for value in values:
        sender.produce(topic, value, partition=0, on_delivery=lambda error, _: errors.append(error))
    equal("left in the queue", sender.flush(30), 0)
    equal("delivery reports", len(errors), len(values))
    for error in filter(None, errors):
        raise_refusal(error)


def read_as(login, group, topic, count):
    reader = Consumer({**settings_of(login), "group.id": group, "auto.offset.reset": "earliest"})
    reader.subscribe([topic])
    values = []

    def step():
        message = reader.poll(1)
        if message is not None and message.error():
            raise_refusal(message.error())
        if message is not None:
            values.append(message.value())
        return len(values) >= count

    try:
        until(f"{count} records", step, told=lambda: len(values))
    finally:
        reader.close()
    return values


def grant(principal, topic=None, group=None):
    operations = [AclOperation.WRITE, AclOperation.READ] if topic else [AclOperation.READ]
    kind = ResourceType.TOPIC if topic else ResourceType.GROUP
    done(ADMIN.create_acls([rule(kind, topic or group, principal, operation) for operation in operations]))


def rule(kind, of, principal, operation):
    return AclBinding(kind, of, ResourcePatternType.LITERAL, principal, "*", operation, AclPermissionType.ALLOW)


# offsets

def add(messages, message):
    if message is not None:
        check(f"{message.error()}", message.error() is None)
        messages.append(message)
    return True


def offsets():
    topic = create(name("offsets"), 2)
    records = [Record(n) for n in range(200)]
    for record in records:
        record.partition %= 2
    send(topic, records)
    reader = consumer("offsets")
    times = [EPOCH_MS - 5, EPOCH_MS + 100, EPOCH_MS + 101, EPOCH_MS + 10_000]
    found = [reader.offsets_for_times([TopicPartition(topic, 0, time)], 20)[0].offset for time in times]
    equal("offsets for times", found, [0, 50, 51, -1])
    reader.assign([TopicPartition(topic, 0, 90), TopicPartition(topic, 1, 95)])
    got = []
    until("the tail", lambda: add(got, reader.poll(1)) and len(got) >= 15)
    equal("from 90 and 95", sorted((m.partition(), m.offset()) for m in got), [(0, o) for o in range(90, 100)] + [(1, o) for o in range(95, 100)])
    pause_and_seek(reader, topic)
    lag(reader, topic)


def pause_and_seek(reader, topic):
    reader.pause([TopicPartition(topic, 1)])
    reader.seek(TopicPartition(topic, 1, 0))
    reader.seek(TopicPartition(topic, 0, 42))
    got = []
    until("partition 0 from 42", lambda: add(got, reader.poll(1)) and len(got) >= 58)
    check("nothing of the paused partition", reader.poll(1) is None)
    equal("after the seek", [(m.partition(), m.offset()) for m in got], [(0, o) for o in range(42, 100)])
    reader.resume([TopicPartition(topic, 1)])
    got = []
    until("partition 1 from 0", lambda: add(got, reader.poll(1)) and len(got) >= 100)
    equal("after resuming", [(m.partition(), m.offset()) for m in got], [(1, o) for o in range(100)])


def lag(reader, topic):
    reader.commit(offsets=[TopicPartition(topic, 0, 30), TopicPartition(topic, 1, 70)], asynchronous=False)
    committed = reader.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], 20)
    ends = [reader.get_watermark_offsets(TopicPartition(topic, p), 20) for p in range(2)]
    equal("watermarks", ends, [(0, 100), (0, 100)])
    equal("lag", [end[1] - c.offset for end, c in zip(ends, committed)], [70, 30])
    reader.close()


# admin

def admin(client=ADMIN):
    cluster(client)
    topics(client)
    configs(client)
    records_and_offsets(client)
    last_stable(client)
    group_admin(client)


def cluster(client):
    described = client.describe_cluster().result(30)
    check("a cluster id", described.cluster_id)
    nodes = [f"{node.host}:{node.port}" for node in described.nodes]
    equal("nodes", nodes, [BOOTSTRAP])
    equal("controller", described.controller.id in [node.id for node in described.nodes], True)


def topics(client):
    topic = create(name("admin"), 3, retention_ms="86400000", cleanup_policy="compact,delete")
    fails_with("TOPIC_ALREADY_EXISTS", lambda: done(client.create_topics([NewTopic(topic, 3, 1)])))
    fails_with("INVALID_PARTITIONS", lambda: done(client.create_topics([NewTopic(name("bad"), 0, 1)])))
    fails_with("INVALID_REPLICATION_FACTOR", lambda: done(client.create_topics([NewTopic(name("bad"), 1, 9)])))
    fails_with("TOPIC_EXCEPTION", lambda: done(client.create_topics([NewTopic("no spaces", 1, 1)])))
    fails_with("INVALID_CONFIG", lambda: done(client.create_topics([NewTopic(name("bad"), 1, 1, config={"retention.ms": "soon"})])))
    done(client.create_topics([NewTopic(name("only-checked"), 1, 1)], validate_only=True))
    check("only checked", name("only-checked") not in client.list_topics(timeout=20).topics)
    described = done(client.describe_topics(TopicCollection([topic])))[topic]
    equal("partitions", [(p.id, len(p.replicas), len(p.isr)) for p in described.partitions], [(n, 1, 1) for n in range(3)])
    done(client.create_partitions([NewPartitions(topic, 5)]))
    fails_with("INVALID_PARTITIONS", lambda: done(client.create_partitions([NewPartitions(topic, 2)])))
    equal("more partitions", len(client.list_topics(topic, 20).topics[topic].partitions), 5)
    old_id = str(described.topic_id)
    done(client.delete_topics([topic]))
    fails_with("UNKNOWN_TOPIC_OR_PART", lambda: done(client.delete_topics([topic])))
    until("deleted", lambda: topic not in client.list_topics(timeout=20).topics)
    create(topic, 1)
    again = done(client.describe_topics(TopicCollection([topic])))[topic]
    check("a topic made again has another id", str(again.topic_id) != old_id)


def configs(client):
    topic = create(name("configs"), 1, retention_ms="86400000")
    resource = ConfigResource(ResourceType.TOPIC, topic)

    def described():
        return list(done(client.describe_configs([resource])).values())[0]

    one = described()
    equal("retention.ms", (one["retention.ms"].value, one["retention.ms"].is_default, one["retention.ms"].source), ("86400000", False, 1))
    equal("cleanup.policy", (one["cleanup.policy"].value, one["cleanup.policy"].is_default), ("delete", True))
    change(client, topic, "segment.bytes", "1048576", AlterConfigOpType.SET)
    two = described()
    equal("both", (two["retention.ms"].value, two["segment.bytes"].value), ("86400000", "1048576"))
    change(client, topic, "retention.ms", None, AlterConfigOpType.DELETE)
    equal("back to the default", described()["retention.ms"].is_default, True)
    change(client, topic, "cleanup.policy", "compact", AlterConfigOpType.APPEND)
    equal("appended", described()["cleanup.policy"].value, "delete,compact")
    change(client, topic, "cleanup.policy", "delete", AlterConfigOpType.SUBTRACT)
    equal("subtracted", described()["cleanup.policy"].value, "compact")
    fails_with("INVALID_CONFIG", lambda: change(client, topic, "retention.ms", "x", AlterConfigOpType.SET))
    done(client.alter_configs([ConfigResource(ResourceType.TOPIC, topic, set_config={"max.message.bytes": "2000000"})]))
    three = described()
    equal("alter replaces all", (three["max.message.bytes"].value, three["segment.bytes"].is_default), ("2000000", True))
    broker = ConfigResource(ResourceType.BROKER, str(list(client.list_topics(timeout=20).brokers)[0]))
    check("the broker's settings", "auto.create.topics.enable" in list(done(client.describe_configs([broker])).values())[0])


def change(client, topic, key, value, operation):
    entry = ConfigEntry(key, value, incremental_operation=operation)
    done(client.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]))


def records_and_offsets(client):
    topic = create(name("records"), 1)
    records = [Record(n) for n in range(0, 400, 4)]
    records[7].timestamp = EPOCH_MS + 1_000_000
    send(topic, records)
    place = TopicPartition(topic, 0)

    def listed(spec):
        result = list(done(client.list_offsets({place: spec})).values())[0]
        return (result.offset, result.timestamp)

    equal("earliest and latest", (listed(OffsetSpec.earliest())[0], listed(OffsetSpec.latest())[0]), (0, 100))
    equal("max timestamp", listed(OffsetSpec.max_timestamp()), (7, EPOCH_MS + 1_000_000))
    equal("for a timestamp", listed(OffsetSpec.for_timestamp(EPOCH_MS + 8)), (2, EPOCH_MS + 8))
    deleted = list(done(client.delete_records([TopicPartition(topic, 0, 40)])).values())[0]
    equal("low watermark", deleted.low_watermark, 40)
    equal("earliest after it", listed(OffsetSpec.earliest())[0], 40)
    equal("what is left", [r[0] for r in read(topic, 60, 1)[0]], list(range(40, 100)))
    fails_with("OFFSET_OUT_OF_RANGE", lambda: done(client.delete_records([TopicPartition(topic, 0, 1000)])))


def last_stable(client):
    """An open transaction holds the last stable offset back, and nothing else."""
    topic = create(name("stable"), 1)
    sender = Transactional("stable")
    sender.begin()
    sender.send(topic, 0, b"open")
    sender.flush()

    def end(isolation):
        answer = done(client.list_offsets({TopicPartition(topic, 0): OffsetSpec.latest()}, isolation_level=isolation))
        return list(answer.values())[0].offset

    both = [IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED]
    equal("ends while it is open", [end(isolation) for isolation in both], [0, 1])
    sender.commit()
    until("both ends behind the marker", lambda: [end(isolation) for isolation in both] == [2, 2])


def group_admin(client):
    topic = create(name("grouped"), 6)
    member = Member("admin-group", topic)
    balanced([member])
    drained(sys.modules[__name__], [member], topic, range(60))
    wanted = name("admin-group")
    described = done(client.describe_consumer_groups([wanted]))[wanted]
    equal("state", described.state, ConsumerGroupState.STABLE)
    parts = sorted(p.partition for m in described.members for p in m.assignment.topic_partitions)
    equal("assignment", (len(described.members), parts), (1, list(range(6))))
    listed = client.list_consumer_groups().result(30)
    check("listed", wanted in [g.group_id for g in listed.valid])
    fails_with("NON_EMPTY_GROUP", lambda: done(client.delete_consumer_groups([wanted])))
    member.close()
    group_offsets(client, wanted, topic)
    done(client.delete_consumer_groups([wanted]))
    fails_with("GROUP_ID_NOT_FOUND", lambda: done(client.delete_consumer_groups([wanted])))


def group_offsets(client, group, topic):
    def listed():
        answer = done(client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))[group]
        return sorted((p.partition, p.offset) for p in answer.topic_partitions)

    equal("offsets of the group", listed(), [(p, 10) for p in range(6)])
    altered = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 3, 4)])
    done(client.alter_consumer_group_offsets([altered]))
    equal("altered", listed()[3], (3, 4))


# permissions and users

def acls():
    """Rules are made, found by whose and of what they are, and deleted."""
    topic, alice = name("ruled"), f"User:{name('alice')}"
    rules = [rule(ResourceType.TOPIC, topic, alice, operation) for operation in (AclOperation.READ, AclOperation.WRITE)]
    deny = AclBinding(
        ResourceType.GROUP, name("r"), ResourcePatternType.PREFIXED, alice, "127.0.0.1", AclOperation.ALL, AclPermissionType.DENY,
    )
    done(ADMIN.create_acls([*rules, deny]))
    pattern = lambda kind, of: AclBindingFilter(
        kind, of, ResourcePatternType.ANY, alice, None, AclOperation.ANY, AclPermissionType.ANY,
    )
    described = lambda kind=ResourceType.ANY, of=None: sorted(map(str, ADMIN.describe_acls(pattern(kind, of)).result(30)))
    until("all rules", lambda: described() == sorted(map(str, [*rules, deny])), described)
    equal("of the topic", described(ResourceType.TOPIC, topic), sorted(map(str, rules)))
    [deleted] = done(ADMIN.delete_acls([pattern(ResourceType.TOPIC, topic)])).values()
    equal("deleted", sorted(map(str, deleted)), sorted(map(str, rules)))
    until("what is left", lambda: described() == [str(deny)], described)


def users():
    user = name("scram-user")
    mechanisms = [ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512]
    made = [UserScramCredentialUpsertion(user, ScramCredentialInfo(mechanism, 8192), b"secret") for mechanism in mechanisms]
    done(ADMIN.alter_user_scram_credentials(made))

    def described():
        try:
            return [(i.mechanism, i.iterations) for i in done(ADMIN.describe_user_scram_credentials([user]))[user].scram_credential_infos]
        except KafkaException as error:
            return error.args[0].name()

    until("both mechanisms", lambda: described() == [(mechanism, 8192) for mechanism in mechanisms], described)
    for mechanism in mechanisms:
        done(ADMIN.alter_user_scram_credentials([UserScramCredentialDeletion(user, mechanism)]))
    until("no such user", lambda: described() == "RESOURCE_NOT_FOUND", described)
    gone = ADMIN.alter_user_scram_credentials([UserScramCredentialDeletion(user, mechanisms[0])])
    fails_with("RESOURCE_NOT_FOUND", lambda: done(gone))


def secured():
    """What an administrator of users and permissions does, beside the logins."""
    security(sys.modules[__name__])
    acls()
    users()


main(sys.modules[__name__], offsets=offsets, admin=admin, security=secured, changes=lambda: changes(sys.modules[__name__]))
