"""aiokafka; its event loop runs in a thread, so that heartbeats go on while a scenario thinks."""

import asyncio
import sys
import threading

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.helpers import create_ssl_context
from kafka.admin import ACL, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern, ResourceType

from harness import BOOTSTRAP, EPOCH_MS, PARTITIONS, LoginRefused, Record, certificate, check, equal, login_refusal_logged, main, name, same_list, until
from scenarios import balanced, drained

LOOP = asyncio.new_event_loop()
threading.Thread(target=LOOP.run_forever, daemon=True).start()
NULLS = False
FENCED = (errors.ProducerFenced, errors.CommitFailedError)


def run(coroutine):
    return asyncio.run_coroutine_threadsafe(coroutine, LOOP).result(60)


def within(function, *arguments, **settings):
    """Calls what is not a coroutine but needs the loop."""
    async def call():
        return function(*arguments, **settings)

    return run(call())


async def started(make, *arguments, **settings):
    """Clients of aiokafka are made within the loop that they live in."""
    client = make(*arguments, **{"bootstrap_servers": BOOTSTRAP, **settings})
    try:
        await client.start()
    except Exception:
        await client.stop() if hasattr(client, "stop") else await client.close()
        raise
    return client


def producer(**settings):
    return run(started(AIOKafkaProducer, **settings))


def consumer(**settings):
    return run(started(AIOKafkaConsumer, auto_offset_reset="earliest", enable_auto_commit=False, **settings))


ADMIN = run(started(AIOKafkaAdminClient))


def create(topic, partitions=PARTITIONS, **configs):
    configs = {key.replace("_", "."): value for key, value in configs.items()}
    answer = run(ADMIN.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)]))
    equal("errors of creating", [code for _, code, *_ in answer.topic_errors], [0])
    until(f"{topic} has leaders", lambda: led(topic, partitions))
    return topic


def led(topic, partitions):
    """A broker may tell of a topic a moment before it takes records for it, which a producer without acks would not notice."""
    reader = consumer()
    try:
        return run(reader.end_offsets([TopicPartition(topic, p) for p in range(partitions)]))
    except errors.KafkaError:
        return False
    finally:
        run(reader.stop())


def send(topic, records, acks="all", codec="none", idempotent=False):
    sender = producer(acks=acks, compression_type=None if codec == "none" else codec, enable_idempotence=idempotent, linger_ms=5)

    async def everything():
        futures = []
        for r in records:
            futures.append(await sender.send(topic, r.value, r.key, r.partition, r.timestamp, r.headers))
        return [await future for future in futures]

    reports = run(everything())
    run(sender.stop())
    return [(report.partition, report.offset) for report in reports if report]


def seen(record):
    equal("timestamp type", record.timestamp_type, 0)
    return (record.offset, record.key, record.value, [tuple(h) for h in record.headers], record.timestamp)


def read(topic, count, partitions=PARTITIONS, committed=False):
    """Reads on a little behind the count, to see what is too much."""
    reader = consumer(isolation_level="read_committed" if committed else "read_uncommitted")
    within(reader.assign, [TopicPartition(topic, p) for p in range(partitions)])
    found = {}
    total = lambda: sum(map(len, found.values()))

    def step(timeout_ms=500):
        for place, records in run(reader.getmany(timeout_ms=timeout_ms)).items():
            found.setdefault(place.partition, []).extend(map(seen, records))
        return total() >= count

    until(f"{count} records of {topic}", step, told=lambda: f"saw {total()}")
    step(300)
    equal("records read", total(), count)
    run(reader.stop())
    return found


class Member(ConsumerRebalanceListener):
    def __init__(self, group, topic, protocol="eager", instance=None):
        self.assigned, self.lost_all, self.seen = set(), 0, []
        self.consumer = consumer(
            group_id=name(group), group_instance_id=instance, heartbeat_interval_ms=300, isolation_level="read_committed",
        )
        within(self.consumer.subscribe, [topic], listener=self)

    async def on_partitions_assigned(self, assigned):
        self.assigned |= {p.partition for p in assigned}

    async def on_partitions_revoked(self, revoked):
        self.assigned -= {p.partition for p in revoked}
        self.lost_all += bool(revoked) and not self.assigned

    def step(self):
        for place, records in run(self.consumer.getmany(timeout_ms=50)).items():
            self.seen += [(place.partition, record.offset, record.value) for record in records]

    def commit(self):
        if self.seen:
            run(self.consumer.commit())

    def committed(self, topic, partition):
        return run(self.consumer.committed(TopicPartition(topic, partition)))

    def close(self):
        run(self.consumer.stop())


class Transactional:
    def __init__(self, of):
        self.producer = producer(transactional_id=name(of))

    def begin(self):
        run(self.producer.begin_transaction())

    def send(self, topic, partition, value):
        run(self.producer.send(topic, value, partition=partition))

    def flush(self):
        run(self.producer.flush())

    def commit(self):
        run(self.producer.commit_transaction())

    def abort(self):
        run(self.producer.abort_transaction())

    def send_offsets(self, member, offsets):
        positions = {TopicPartition(*place): offset for place, offset in offsets.items()}
        run(self.producer.send_offsets_to_transaction(positions, member.consumer._group_id))


# security

LOGIN_REFUSED = LoginRefused
TOPIC_REFUSED = errors.TopicAuthorizationFailedError
GROUP_REFUSED = errors.GroupAuthorizationFailedError


def settings_of(login):
    settings = {"bootstrap_servers": login.address, "security_protocol": login.protocol}
    if login.tls:
        files = {} if login.mechanism else {"certfile": certificate("client.pem"), "keyfile": certificate("client.key")}
        settings["ssl_context"] = create_ssl_context(cafile=certificate("ca.pem"), **files)
    if login.mechanism:
        settings |= {"sasl_mechanism": login.mechanism, "sasl_plain_username": login.user, "sasl_plain_password": login.password}
    return settings


def login(login):
    with login_refusal_logged("aiokafka", errors.KafkaConnectionError, "SaslAuthenticationFailed"):
        client = run(started(AIOKafkaAdminClient, **settings_of(login)))
    check("it knows the broker", run(client.describe_cluster())["brokers"])
    run(client.close())


def send_as(login, topic, values, idempotent):
    sender = producer(**settings_of(login), enable_idempotence=idempotent, acks="all")

    async def everything():
        futures = [await sender.send(topic, value, partition=0) for value in values]
        return [await future for future in futures]

    try:
        run(everything())
    finally:
        run(sender.stop())


def read_as(login, group, topic, count):
    reader = run(started(AIOKafkaConsumer, topic, **settings_of(login), group_id=group, auto_offset_reset="earliest"))
    values = []

    def step():
        values.extend(record.value for records in run(reader.getmany(timeout_ms=500)).values() for record in records)
        return len(values) >= count

    try:
        until(f"{count} records", step, told=lambda: len(values))
    finally:
        run(reader.stop())
    return values


def grant(principal, topic=None, group=None):
    """Through kafka-python: aiokafka's administrator has no rules."""
    kind = ResourceType.TOPIC if topic else ResourceType.GROUP
    operations = [ACLOperation.WRITE, ACLOperation.READ] if topic else [ACLOperation.READ]
    rule = lambda operation: ACL(principal, "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, topic or group))
    administrator = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    equal("not granted", administrator.create_acls([rule(operation) for operation in operations])["failed"], [])
    administrator.close()


# offsets

def offsets():
    topic = create(name("offsets"), 2)
    records = [Record(n) for n in range(200)]
    for record in records:
        record.partition %= 2
    send(topic, records)
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    reader = consumer(group_id=name("offsets"))
    times = [EPOCH_MS - 5, EPOCH_MS + 100, EPOCH_MS + 101, EPOCH_MS + 10_000]
    found = [run(reader.offsets_for_times({first: time}))[first] for time in times]
    equal("offsets for times", [f and (f.offset, f.timestamp - EPOCH_MS) for f in found], [(0, 0), (50, 100), (51, 102), None])
    equal("beginnings", run(reader.beginning_offsets([first, second])), {first: 0, second: 0})
    equal("ends", run(reader.end_offsets([first, second])), {first: 100, second: 100})
    within(reader.assign, [first, second])
    within(reader.seek, first, 90)
    within(reader.seek, second, 95)
    equal("from 90 and 95", sorted(polled(reader, 15)), [(0, o) for o in range(90, 100)] + [(1, o) for o in range(95, 100)])
    within(reader.pause, second)
    within(reader.seek, second, 0)
    within(reader.seek, first, 42)
    equal("without the paused partition", polled(reader, 58), [(0, o) for o in range(42, 100)])
    within(reader.resume, second)
    equal("after resuming", polled(reader, 100), [(1, o) for o in range(100)])
    run(reader.commit({first: (30, "mine"), second: 70}))
    equal("committed", [run(reader.committed(place)) for place in (first, second)], [30, 70])
    equal("lag", [reader.highwater(place) - run(reader.committed(place)) for place in (first, second)], [70, 30])
    run(reader.stop())


def polled(reader, count):
    got = []

    def step(timeout_ms=500):
        for place, records in run(reader.getmany(timeout_ms=timeout_ms)).items():
            got.extend((place.partition, record.offset) for record in records)
        return len(got) >= count

    until(f"{count} records", step, told=lambda: f"saw {len(got)}")
    step(200)
    return got


# admin

def admin():
    cluster = run(ADMIN.describe_cluster())
    equal("nodes", [f"{b['host']}:{b['port']}" for b in cluster["brokers"]], [BOOTSTRAP])
    topics()
    configs()
    deleted_records()
    groups()


def topics():
    topic = create(name("admin"), 3)
    again = run(ADMIN.create_topics([NewTopic(topic, 3, 1)]))
    equal("made twice", again.topic_errors[0][1], errors.TopicAlreadyExistsError.errno)
    described = lambda: run(ADMIN.describe_topics([topic]))[0]
    equal("partitions", sorted(p["partition"] for p in described()["partitions"]), [0, 1, 2])
    equal("more", [code for _, code, *_ in run(ADMIN.create_partitions({topic: NewPartitions(5)})).topic_errors], [0])
    until("more partitions", lambda: len(described()["partitions"]) == 5)
    equal("deleted", [code for _, code, *_ in run(ADMIN.delete_topics([topic])).topic_error_codes], [0])
    until("deleted", lambda: topic not in run(ADMIN.list_topics()))


def configs():
    topic = create(name("configs"), 1, retention_ms="86400000")

    def described():
        [answer] = run(ADMIN.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]))
        return {entry[0]: entry[1] for entry in answer.resources[0][4]}

    equal("what was set", described()["retention.ms"], "86400000")
    equal("a default", described()["cleanup.policy"], "delete")
    run(ADMIN.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"segment.bytes": "1048576"})]))
    equal("all replaced", (described()["retention.ms"], described()["segment.bytes"]), ("604800000", "1048576"))


def deleted_records():
    topic = create(name("records"), 1)
    send(topic, [Record(n) for n in range(0, 400, 4)])
    equal("low watermark", run(ADMIN.delete_records({TopicPartition(topic, 0): RecordsToDelete(40)})), {TopicPartition(topic, 0): 40})
    same_list("what is left", [r[0] for r in read(topic, 60, 1)[0]], list(range(40, 100)))


def groups():
    topic, group = create(name("grouped"), 6), name("admin-group")
    member = Member("admin-group", topic)
    balanced([member])
    drained(sys.modules[__name__], [member], topic, range(60))
    [described] = run(ADMIN.describe_consumer_groups([group]))
    equal("described", described.groups[0][:4], (0, group, "Stable", "consumer"))
    check("listed", (group, "consumer") in [tuple(g) for g in run(ADMIN.list_consumer_groups())])
    equal("offsets", {p.partition: o.offset for p, o in run(ADMIN.list_consumer_group_offsets(group)).items()}, {p: 10 for p in range(6)})
    member.close()


main(sys.modules[__name__], offsets=offsets, admin=admin)
