"""librdkafka, through confluent-kafka."""

import json

from confluent_kafka import (
    OFFSET_BEGINNING, TIMESTAMP_CREATE_TIME, Consumer, ConsumerGroupTopicPartitions, ConsumerGroupState,
    IsolationLevel, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType,
)
from harness import (
    BOOTSTRAP, CODECS, EPOCH_MS, PARTITIONS, Record, by_partition, check, equal, main, name, same_list, until,
)


def producer(**settings):
    return Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 5, **dotted(settings)})


def consumer(group, **settings):
    base = {"bootstrap.servers": BOOTSTRAP, "group.id": name(group), "auto.offset.reset": "earliest", "enable.auto.commit": False}
    return Consumer({**base, **dotted(settings)})


def dotted(settings):
    return {key.replace("_", "."): value for key, value in settings.items()}


ADMIN = AdminClient({"bootstrap.servers": BOOTSTRAP})


def done(futures):
    """The results of an admin call, by what they are for."""
    return {key: future.result(30) for key, future in futures.items()}


def create(topic, partitions=PARTITIONS, **config):
    done(ADMIN.create_topics([NewTopic(topic, partitions, 1, config=dotted(config))]))
    until(f"{topic} has leaders", lambda: led(topic, partitions))
    return topic


def led(topic, partitions):
    """A broker may tell of a topic a moment before it takes records for it, which a producer without acks would not notice."""
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
        return error.args[0]
    raise AssertionError(f"{code} was expected, but it succeeded")


def send(sender, topic, records):
    """Sends, waits until all are acknowledged, and checks what was reported of each."""
    reports = []

    def reported(error, message):
        reports.append((error, message.partition(), message.offset()))

    for record in records:
        sender.produce(
            topic, record.value, record.key, record.partition, on_delivery=reported, timestamp=record.timestamp, headers=record.headers,
        )
        sender.poll(0)
    equal("left in the queue", sender.flush(30), 0)
    equal("errors", [r for r in reports if r[0]], [])
    equal("delivery reports", len(reports), len(records))
    return reports


def seen(message):
    """A message as `Record.seen_at` tells it."""
    check(f"{message.error()}", message.error() is None)
    kind, timestamp = message.timestamp()
    equal("timestamp type", kind, TIMESTAMP_CREATE_TIME)
    return (message.offset(), message.key(), message.value(), message.headers() or [], timestamp)


def read(topic, count, partitions=PARTITIONS, **settings):
    """All of a topic from its beginning: partition → what was seen. Reads on a little to see what is too much."""
    reader = consumer("reader", enable_partition_eof=True, **settings)
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


def compare(found, wanted):
    equal("partitions with records", sorted(found), sorted(wanted))
    for partition, records in wanted.items():
        same_list(f"partition {partition}", found[partition], records)


# produce

def produce():
    records = [Record(n) for n in range(1000)]
    for acks in ["0", "1", "all"]:
        for codec in CODECS:
            topic = create(name(f"produce-{acks}-{codec}"))
            send(producer(acks=acks, compression_type=codec), topic, records)
            compare(read(topic, len(records)), by_partition(records))
    big()
    many_partitions()


def big():
    """Records of 900 KB, which no codec makes small and one that each makes tiny."""
    import random
    noise = random.Random(7)
    for codec in CODECS:
        topic = create(name(f"big-{codec}"), 1)
        values = [noise.randbytes(900_000), b"a" * 900_000, noise.randbytes(900_000)]
        sender = producer(compression_type=codec)
        for value in values:
            sender.produce(topic, value)
        equal("left", sender.flush(30), 0)
        got = read(topic, 3, 1)[0]
        check(f"big values with {codec}", [record[2] for record in got] == values)


def many_partitions():
    topic = create(name("many"), 200)
    records = [Record(n) for n in range(2000)]
    for number, record in enumerate(records):
        record.partition = number % 200
    send(producer(), topic, records)
    compare(read(topic, 2000, 200), by_partition(records))


# idempotent

def idempotent():
    topic = create(name("idempotent"))
    records = [Record(n) for n in range(20_000)]
    reports = send(producer(enable_idempotence=True, compression_type="lz4"), topic, records)
    equal("offsets told", sorted(r[2] for r in reports if r[1] == 2), list(range(5000)))
    compare(read(topic, len(records)), by_partition(records))


# groups

class Member:
    """A member of a group, with what it is assigned and has seen."""

    def __init__(self, group, topic, **settings):
        if "group_protocol" not in settings:  # where the broker says it
            settings["session_timeout_ms"] = 10_000
        self.consumer = consumer(group, **settings)
        self.assigned, self.lost_all, self.seen = set(), 0, []
        self.cooperative = settings.get("partition_assignment_strategy") == "cooperative-sticky" or "group_protocol" in settings
        self.consumer.subscribe([topic], on_assign=self.on_assign, on_revoke=self.on_revoke)

    def on_assign(self, consumer, partitions):
        self.assigned |= {p.partition for p in partitions}

    def on_revoke(self, consumer, partitions):
        self.assigned -= {p.partition for p in partitions}
        if not self.assigned:
            self.lost_all += 1

    def step(self):
        message = self.consumer.poll(0.05)
        if message is not None:
            seen(message)
            check("a record of a partition that is not ours", message.partition() in self.assigned)
            self.seen.append((message.partition(), message.offset(), message.value()))

    def commit(self):
        if self.seen:
            self.consumer.commit(asynchronous=False)


def balanced(members, partitions):
    """Waits until the members share the partitions evenly."""
    share = partitions // len(members)

    def step():
        for member in members:
            member.step()
        owned = sorted(p for member in members for p in member.assigned)
        return owned == list(range(partitions)) and all(len(m.assigned) == share for m in members)

    until(f"{len(members)} members share {partitions} partitions", step)


def drained(members, topic, numbers, partitions=6):
    """Sends numbered records, and all members together see each just once."""
    before = {id(member): len(member.seen) for member in members}
    sender = producer()
    for number in numbers:
        sender.produce(topic, str(number).encode(), partition=number % partitions)
    equal("left", sender.flush(30), 0)

    def news():
        return [value for member in members for _, _, value in member.seen[before[id(member)]:]]

    def step():
        for member in members:
            member.step()
        return len(news()) >= len(numbers)

    until("every record seen", step)
    for _ in range(5):
        for member in members:
            member.step()
    same_list("records seen by the group", sorted(int(v) for v in news()), list(numbers))
    for member in members:
        member.commit()


def rebalance(label, **settings):
    """Members come and go; what is sent while a set of members stands is seen once by them."""
    group, topic = f"{label}-group", create(name(label), 6)
    first = Member(group, topic, **settings)
    balanced([first], 6)
    drained([first], topic, range(0, 600))
    second = Member(group, topic, **settings)
    balanced([first, second], 6)
    drained([first, second], topic, range(600, 1200))
    third = Member(group, topic, **settings)
    balanced([first, second, third], 6)
    drained([first, second, third], topic, range(1200, 1800))
    if first.cooperative:
        equal("how often the first lost everything", first.lost_all, 0)
    second.consumer.close()
    balanced([first, third], 6)
    drained([first, third], topic, range(1800, 2400))
    first.consumer.close()
    third.consumer.close()
    resumed(group, topic, **settings)


def resumed(group, topic, **settings):
    """A member that starts again goes on from the commits."""
    again = Member(group, topic, **settings)
    committed = again.consumer.committed([TopicPartition(topic, p) for p in range(6)], 20)
    equal("committed", [p.offset for p in committed], [400] * 6)
    balanced([again], 6)
    drained([again], topic, range(2400, 3000))
    equal("first offsets after the restart", {offset for _, offset, _ in again.seen if offset < 400}, set())
    again.consumer.close()


def group():
    rebalance("eager", partition_assignment_strategy="range")


def cooperative():
    rebalance("cooperative", partition_assignment_strategy="cooperative-sticky")


def kip848():
    rebalance("kip848", group_protocol="consumer")


def static():
    """A static member that restarts gets its partitions back, and nobody else notices."""
    topic = create(name("static"), 6)
    names = ["one", "two"]
    members = [Member("static-group", topic, group_instance_id=instance) for instance in names]
    balanced(members, 6)
    drained(members, topic, range(0, 600))
    owned, lost = set(members[1].assigned), members[0].lost_all
    kept = set(members[0].assigned)
    members[1].consumer.close()
    members[1] = Member("static-group", topic, group_instance_id="two")
    until("assigned again", lambda: [m.step() for m in members] and members[1].assigned == owned)
    equal("the other's partitions", members[0].assigned, kept)
    equal("rebalances of the other", members[0].lost_all, lost)
    drained(members, topic, range(600, 1200))
    fenced_twin(topic)
    for member in members:
        member.consumer.close()


def fenced_twin(topic):
    """Of two members with one instance id the elder is fenced."""
    elder = Member("twin-group", topic, group_instance_id="twin")
    balanced([elder], 6)
    younger = Member("twin-group", topic, group_instance_id="twin")
    errors = []

    def step():
        message = elder.consumer.poll(0.05)
        if message is not None and message.error():
            errors.append(message.error().name())
        younger.step()
        return errors and younger.assigned == set(range(6))

    try:
        until("the elder is fenced", step)
    except KafkaException as error:
        errors.append(error.args[0].name())
    check(f"fenced, not {errors}", "FENCED_INSTANCE_ID" in errors or "_FATAL" in errors)
    younger.consumer.close()


# transactions

def values(found):
    return sorted(record[2] for records in found.values() for record in records)


def transactional(name_of_it, **settings):
    sender = producer(transactional_id=name(name_of_it), **settings)
    sender.init_transactions(30)
    return sender


def transactions():
    topic = create(name("transactions"))
    sender = transactional("committer")
    for round_of_it in range(6):
        sender.begin_transaction()
        for number in range(100):
            word = "commit" if round_of_it % 2 == 0 else "abort"
            sender.produce(topic, f"{word}-{round_of_it}-{number}".encode(), partition=number % PARTITIONS)
        sender.flush()
        sender.commit_transaction(30) if round_of_it % 2 == 0 else sender.abort_transaction(30)
    committed = [f"commit-{r}-{n}".encode() for r in (0, 2, 4) for n in range(100)]
    aborted = [f"abort-{r}-{n}".encode() for r in (1, 3, 5) for n in range(100)]
    equal("read_committed", values(read(topic, 300, isolation_level="read_committed")), sorted(committed))
    equal("read_uncommitted", values(read(topic, 600, isolation_level="read_uncommitted")), sorted(committed + aborted))
    open_transaction(topic)
    transform(topic)
    zombie(topic)


def open_transaction(topic):
    """What is not committed yet is not read, and neither is what comes behind it; its end lets both through."""
    sender = transactional("open")
    sender.begin_transaction()
    sender.produce(topic, b"open", partition=0)
    sender.flush()
    plain = producer()
    plain.produce(topic, b"behind", partition=0)
    plain.flush()
    before = values(read(topic, 300, isolation_level="read_committed"))
    check("an open transaction was read", b"open" not in before and b"behind" not in before)
    low, stable = end_offsets(topic, IsolationLevel.READ_COMMITTED), end_offsets(topic, IsolationLevel.READ_UNCOMMITTED)
    equal("last stable offset", stable - low, 2)
    sender.commit_transaction(30)
    after = values(read(topic, 302, isolation_level="read_committed"))
    check("the end of it lets both through", b"open" in after and b"behind" in after)


def end_offsets(topic, isolation):
    spec = {TopicPartition(topic, 0): OffsetSpec.latest()}
    return list(done(ADMIN.list_offsets(spec, isolation_level=isolation)).values())[0].offset


def transform(topic):
    """Read, write, and commit the offsets with the output; an abort takes the offsets back with it."""
    source, target = create(name("source"), 2), create(name("target"), 2)
    plain = producer()
    for number in range(200):
        plain.produce(source, str(number).encode(), partition=number % 2)
    plain.flush()
    sender = transactional("transformer")
    reader = consumer("transform", isolation_level="read_committed")
    reader.subscribe([source])
    for attempt, end in enumerate(["abort_transaction", "commit_transaction"]):
        got = []
        sender.begin_transaction()
        until("200 records", lambda: add(got, reader.poll(1)) and len(got) >= 200)
        for message in got:
            sender.produce(target, b"<" + message.value() + b">", partition=message.partition())
        sender.send_offsets_to_transaction(reader.position(reader.assignment()), reader.consumer_group_metadata(), 30)
        getattr(sender, end)(30)
        partitions = [TopicPartition(source, p) for p in range(2)]
        committed = [p.offset for p in reader.committed(partitions, 20)]
        equal("committed offsets", committed, [-1001, -1001] if attempt == 0 else [100, 100])
        for partition in partitions:
            if attempt == 0:
                reader.seek(TopicPartition(source, partition.partition, 0))
    reader.close()
    wanted = sorted(f"<{n}>".encode() for n in range(200))
    equal("transformed", values(read(target, 200, 2, isolation_level="read_committed")), wanted)


def add(messages, message):
    if message is not None:
        check(f"{message.error()}", message.error() is None)
        messages.append(message)
    return True


def zombie(topic):
    """The elder of two producers with one transactional id may not commit any more."""
    elder = transactional("zombie")
    elder.begin_transaction()
    elder.produce(topic, b"zombie", partition=1)
    elder.flush()
    younger = transactional("zombie")
    try:
        elder.commit_transaction(30)
        raise AssertionError("a zombie committed")
    except KafkaException as error:
        check(f"fatal: {error}", error.args[0].fatal() or error.args[0].name() in ("_FENCED", "PRODUCER_FENCED"))
    younger.begin_transaction()
    younger.produce(topic, b"younger", partition=1)
    younger.commit_transaction(30)
    got = values(read(topic, 303, isolation_level="read_committed"))
    check("the zombie's record was read", b"zombie" not in got)
    check("the younger's record was not read", b"younger" in got)


# offsets

def offsets():
    topic = create(name("offsets"), 2)
    records = [Record(n) for n in range(200)]
    for record in records:
        record.partition %= 2
    send(producer(), topic, records)
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

def admin_scenario():
    client = ADMIN
    cluster(client)
    topics(client)
    configs(client)
    records_and_offsets(client)
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
    send(producer(), topic, records)
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


def group_admin(client):
    topic = create(name("grouped"), 6)
    member = Member("admin-group", topic)
    balanced([member], 6)
    drained([member], topic, range(60))
    wanted = name("admin-group")
    described = done(client.describe_consumer_groups([wanted]))[wanted]
    equal("state", described.state, ConsumerGroupState.STABLE)
    parts = sorted(p.partition for m in described.members for p in m.assignment.topic_partitions)
    equal("assignment", (len(described.members), parts), (1, list(range(6))))
    listed = client.list_consumer_groups().result(30)
    check("listed", wanted in [g.group_id for g in listed.valid])
    fails_with("NON_EMPTY_GROUP", lambda: done(client.delete_consumer_groups([wanted])))
    member.consumer.close()
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


main({
    "produce": produce, "idempotent": idempotent, "group": group, "cooperative": cooperative, "static": static, "kip848": kip848,
    "transactions": transactions, "offsets": offsets, "admin": admin_scenario,
})
