"""What happens to topics and records while librdkafka's producers and readers live: deleted, made again, added, cut, too large."""

import os

from confluent_kafka import TopicPartition

from harness import check, equal, name, until

PROTOCOLS = ["eager", "cooperative", "consumer"]


def changes(lib):
    for protocol in PROTOCOLS:
        made_again(lib, protocol)
        pattern(lib, protocol)
    cut_under_a_reader(lib)
    too_large(lib)
    not_there(lib)


def sent(sender, topic, values, **message):
    """Sends to partition 0; the names of the errors that it was told."""
    errors = []
    for value in values:
        sender.produce(topic, value, partition=0, on_delivery=lambda error, _: errors.append(error and error.name()), **message)
    equal("left in the queue", sender.flush(30), 0)
    return [error for error in errors if error]


def next_of(reader, what):
    """The next message or error."""
    found = []
    until(what, lambda: found.append(reader.poll(0.2)) or found[-1] is not None)
    return found[-1]


def made_again(lib, protocol):
    """A topic goes and comes again under its name, while a producer and a group's member stay: the member reads the new one."""
    topic = lib.create(name(f"again-{protocol}"), 1)
    sender = lib.producer(enable_idempotence=True)
    equal("errors", sent(sender, topic, [b"old-%d" % n for n in range(100)]), [])
    reader = lib.consumer(f"again-{protocol}", **lib.Member.PROTOCOLS[protocol])
    reader.subscribe([topic])
    equal("old", [next_of(reader, "an old record").value() for _ in range(100)], [b"old-%d" % n for n in range(100)])
    reader.commit(asynchronous=False)
    lib.done(lib.ADMIN.delete_topics([topic]))
    until("gone", lambda: topic not in lib.ADMIN.list_topics(timeout=20).topics)
    lib.create(topic, 1)
    wanted = [b"new-%d" % n for n in range(50)]
    equal("errors", sent(sender, topic, wanted), [])
    values = []

    def step():
        message = reader.poll(0.2)
        if message is not None and not message.error():
            values.append(message.value())
        return len(values) >= len(wanted)

    until("the new records", step, lambda: values[:5])
    equal("new", values, wanted)
    reader.close()


def pattern(lib, protocol):
    """Who subscribes to a pattern reads a topic that is made later, too."""
    settings = {**lib.Member.PROTOCOLS[protocol], "topic_metadata_refresh_interval_ms": 500}
    reader = lib.consumer(f"pattern-{protocol}", **settings)
    sender = lib.producer()
    topic = lambda which: name(f"pattern-{protocol}-{which}")
    reader.subscribe(["^" + topic(".*")])
    for which in "abc":
        equal("errors", sent(sender, lib.create(topic(which), 1), [which.encode()]), [])
        equal("the topic's record", next_of(reader, f"the record of {which}").value(), which.encode())
        reader.commit(asynchronous=False)
    reader.close()


def cut_under_a_reader(lib):
    topic = lib.create(name("cut"), 1)
    equal("errors", sent(lib.producer(), topic, [b"%d" % n for n in range(100)]), [])
    lib.done(lib.ADMIN.delete_records([TopicPartition(topic, 0, 50)]))
    for reset, wanted in [("earliest", 50), ("error", "_AUTO_OFFSET_RESET")]:
        reader = lib.consumer(f"cut-{reset}", auto_offset_reset=reset)
        reader.assign([TopicPartition(topic, 0, 10)])
        message = next_of(reader, "an answer")
        equal(f"reset to {reset}", message.error().name() if message.error() else message.offset(), wanted)
        reader.close()


def too_large(lib):
    """A batch over the topic's limit is refused, and the next one is taken; one under a larger limit comes back whole."""
    topic = lib.create(name("limited"), 1, max_message_bytes="1000")
    sender = lib.producer()
    equal("too large", sent(sender, topic, [os.urandom(2_000)]), ["MSG_SIZE_TOO_LARGE"])
    equal("small", sent(sender, topic, [b"small"]), [])
    topic, large = lib.create(name("large"), 1, max_message_bytes="20000000"), os.urandom(10_000_000)
    equal("large", sent(lib.producer(message_max_bytes=15_000_000), topic, [large]), [])
    reader = lib.consumer("large", fetch_message_max_bytes=1000)
    reader.subscribe([topic])
    check("the large one", next_of(reader, "the large one").value() == large)
    reader.close()


def not_there(lib):
    """A topic is made by writing to it; who may not make it by reading is told that it is not there."""
    equal("made by writing", sent(lib.producer(), name("made"), [b"first"]), [])
    reader = lib.consumer("not-there", allow_auto_create_topics=False)
    reader.subscribe([name("never-made")])
    equal("never made", next_of(reader, "an error").error().name(), "UNKNOWN_TOPIC_OR_PART")
    reader.close()
