"""The scenarios that every library can run, over what a library's module offers:

create(topic, partitions)                        a topic, ready to be written
send(topic, records, acks=, codec=, idempotent=) → [(partition, offset)] as acknowledged
read(topic, count, partitions, committed)        → partition → [Record.seen_at], from the beginning to the end
Member(group, topic, protocol=, instance=)       a group's member: assigned, lost_all, seen, step(), commit(), committed(topic, p), close()
Transactional(id)                                begin(), send(topic, partition, value), flush(), commit(), abort(), send_offsets(member)
FENCED                                           the exceptions that tell a fenced producer or member so

and for `security`:

login(login)                                     comes in, or raises LOGIN_REFUSED
send_as(login, topic, values, idempotent)        sends to partition 0, or raises TOPIC_REFUSED
read_as(login, group, topic, count)              → values, by a group's member from the beginning; or raises TOPIC_REFUSED, GROUP_REFUSED
grant(principal, topic=, group=)                 lets a principal write and read the topic, or read with the group
"""

import random
import time
from dataclasses import replace

from harness import CODECS, LOGINS, PARTITIONS, Record, by_partition, check, equal, name, same_list, until


def compare(found, wanted):
    equal("partitions with records", sorted(found), sorted(wanted))
    for partition, records in wanted.items():
        same_list(f"partition {partition}", found[partition], records)


def values(found):
    return sorted(record[2] for records in found.values() for record in records)


def produce(lib):
    """Acks and codecs; then large records and many partitions."""
    records = [Record(n) for n in range(1000)]
    for acks in [0, 1, "all"]:
        for codec in CODECS:
            topic = lib.create(name(f"produce-{acks}-{codec}"), PARTITIONS)
            lib.send(topic, records, acks=acks, codec=codec)
            compare(lib.read(topic, len(records), PARTITIONS), by_partition(records))
    big(lib)
    many_partitions(lib)


def plain(values, partition=0):
    """Records of which only the value matters."""
    records = [Record(3) for _ in values]
    for record, value in zip(records, values):
        record.partition, record.key, record.value = partition, None, value
    return records


def big(lib):
    """Records of 900 KB, which no codec makes smaller or every one makes tiny."""
    noise = random.Random(7)
    for codec in CODECS:
        topic = lib.create(name(f"big-{codec}"), 1)
        records = plain([noise.randbytes(900_000), b"a" * 900_000, noise.randbytes(900_000)])
        lib.send(topic, records, codec=codec)
        check(f"big values with {codec}", lib.read(topic, 3, 1) == by_partition(records))


def many_partitions(lib):
    topic = lib.create(name("many"), 200)
    records = [Record(n) for n in range(2000)]
    for number, record in enumerate(records):
        record.partition = number % 200
    lib.send(topic, records)
    compare(lib.read(topic, 2000, 200), by_partition(records))


def idempotent(lib):
    topic = lib.create(name("idempotent"), PARTITIONS)
    records = [Record(n) for n in range(10_000)]
    reports = lib.send(topic, records, idempotent=True, codec="lz4")
    equal("offsets told", sorted(offset for partition, offset in reports if partition == 2), list(range(2500)))
    compare(lib.read(topic, len(records), PARTITIONS), by_partition(records))


# groups

def stepped(members, condition):
    for member in members:
        member.step()
    return condition()


def balanced(members, partitions=6):
    """Waits until the members share the partitions evenly."""
    def even():
        owned = sorted(p for member in members for p in member.assigned)
        return owned == list(range(partitions)) and len({len(member.assigned) for member in members}) == 1

    told = lambda: f"they have {[sorted(member.assigned) for member in members]}"
    until(f"{len(members)} members share {partitions} partitions", lambda: stepped(members, even), told)


def drained(lib, members, topic, numbers, partitions=6):
    """Sends numbered records; all members together see each just once, and commit."""
    before = [len(member.seen) for member in members]
    for partition in range(partitions):
        lib.send(topic, plain([str(n).encode() for n in numbers if n % partitions == partition], partition))
    news = lambda: [int(value) for member, known in zip(members, before) for _, _, value in member.seen[known:]]
    told = lambda: f"{len(news())} of {len(numbers)}"
    until("every record seen", lambda: stepped(members, lambda: len(news()) >= len(numbers)), told)
    for _ in range(5):
        stepped(members, lambda: None)
    same_list("records seen by the group", sorted(news()), sorted(numbers))
    for member in members:
        in_order(member)
        member.commit()


def in_order(member):
    last = {}
    for partition, offset, value in member.seen:
        check(f"{partition}@{offset} after {last.get(partition)}", offset > last.get(partition, -1))
        check(f"{partition}@{offset} holds {value}", int(value) == offset * 6 + partition)
        last[partition] = offset


def rebalance(lib, label, incremental, **settings):
    """Members come and go; what is sent while a set of members stands is seen once by them. A member that starts again resumes."""
    group, topic = f"{label}-group", lib.create(name(label), 6)
    start = lambda: lib.Member(group, topic, **settings)
    first = start()
    balanced([first])
    drained(lib, [first], topic, range(0, 600))
    second = start()
    balanced([first, second])
    drained(lib, [first, second], topic, range(600, 1200))
    third = start()
    balanced([first, second, third])
    drained(lib, [first, second, third], topic, range(1200, 1800))
    if incremental:
        equal("how often the first lost everything", first.lost_all, 0)
    second.close()
    balanced([first, third])
    drained(lib, [first, third], topic, range(1800, 2400))
    first.close()
    third.close()
    again = start()
    balanced([again])
    equal("committed", [again.committed(topic, p) for p in range(6)], [400] * 6)
    drained(lib, [again], topic, range(2400, 3000))
    equal("seen again after the restart", [s for s in again.seen if s[1] < 400], [])
    again.close()


def group(lib):
    rebalance(lib, "eager", False, protocol="eager")


def cooperative(lib):
    rebalance(lib, "cooperative", True, protocol="cooperative")


def kip848(lib):
    rebalance(lib, "kip848", True, protocol="consumer")


def static(lib):
    """A static member that restarts gets its partitions back, and nobody else notices; of twins the elder is fenced."""
    topic = lib.create(name("static"), 6)
    members = [lib.Member("static-group", topic, instance=instance) for instance in ["one", "two"]]
    balanced(members)
    drained(lib, members, topic, range(0, 600))
    kept, owned, lost = set(members[0].assigned), set(members[1].assigned), members[0].lost_all
    members[1].close()
    members[1] = lib.Member("static-group", topic, instance="two")
    until("assigned again", lambda: stepped(members, lambda: members[1].assigned == owned))
    equal("the other's partitions", members[0].assigned, kept)
    drained(lib, members, topic, range(600, 1200))
    equal("rebalances of the other", members[0].lost_all, lost)
    for member in members:
        member.close()
    twins(lib, topic)


def twins(lib, topic):
    elder = lib.Member("twin-group", topic, instance="twin")
    balanced([elder])
    until("something to commit", lambda: stepped([elder], lambda: elder.seen))
    younger = lib.Member("twin-group", topic, instance="twin")
    try:
        until("the younger is there", lambda: stepped([younger, elder], lambda: younger.assigned))
        elder.commit()
        raise AssertionError("the elder could commit")
    except lib.FENCED:
        pass
    balanced([younger])
    younger.close()


# transactions

def transactions(lib):
    topic = lib.create(name("transactions"), PARTITIONS)
    sender = lib.Transactional("committer")
    for turn in range(6):
        sender.begin()
        for number in range(100):
            word = "commit" if turn % 2 == 0 else "abort"
            sender.send(topic, number % PARTITIONS, f"{word}-{turn}-{number}".encode())
        sender.flush()
        sender.commit() if turn % 2 == 0 else sender.abort()
    committed = [f"commit-{r}-{n}".encode() for r in (0, 2, 4) for n in range(100)]
    aborted = [f"abort-{r}-{n}".encode() for r in (1, 3, 5) for n in range(100)]
    same_list("read_committed", values(lib.read(topic, 300, PARTITIONS, True)), sorted(committed))
    same_list("read_uncommitted", values(lib.read(topic, 600, PARTITIONS, False)), sorted(committed + aborted))
    open_transaction(lib, topic)
    transform(lib)
    zombie(lib, topic)


def open_transaction(lib, topic):
    """What is not committed yet is not read, and neither is what comes behind it; its end lets both through."""
    sender = lib.Transactional("open")
    sender.begin()
    sender.send(topic, 0, b"open")
    sender.flush()
    lib.send(topic, plain([b"behind"]))
    before = values(lib.read(topic, 300, PARTITIONS, True))
    check("an open transaction was read", b"open" not in before and b"behind" not in before)
    sender.commit()
    after = values(lib.read(topic, 302, PARTITIONS, True))
    check("the end of it lets both through", b"open" in after and b"behind" in after)


def transform(lib):
    """Read, write, and commit the offsets with the output; an abort takes the offsets back with it."""
    source, target = lib.create(name("source"), 2), lib.create(name("target"), 2)
    for partition in range(2):
        lib.send(source, plain([str(n).encode() for n in range(partition, 200, 2)], partition))
    sender = lib.Transactional("transformer")
    for end in ["abort", "commit"]:
        reader = lib.Member("transform", source)
        until("200 records", lambda: stepped([reader], lambda: len(reader.seen) >= 200))
        sender.begin()
        for partition, _, value in reader.seen:
            sender.send(target, partition, b"<" + value + b">")
        sender.send_offsets(reader, {(source, partition): 100 for partition in range(2)})
        sender.flush()
        getattr(sender, end)()
        wanted = [None, None] if end == "abort" else [100, 100]
        committed = lambda: [reader.committed(source, p) for p in range(2)]
        until(f"offsets after the {end}", lambda: committed() == wanted, committed)
        reader.close()
    same_list("transformed", values(lib.read(target, 200, 2, True)), sorted(f"<{n}>".encode() for n in range(200)))


def zombie(lib, topic):
    """The elder of two producers with one transactional id may not commit any more."""
    elder = lib.Transactional("zombie")
    elder.begin()
    elder.send(topic, 1, b"zombie")
    elder.flush()
    younger = lib.Transactional("zombie")
    try:
        elder.commit()
        raise AssertionError("a zombie committed")
    except lib.FENCED:
        pass
    younger.begin()
    younger.send(topic, 1, b"younger")
    younger.commit()
    got = values(lib.read(topic, 303, PARTITIONS, True))
    check("the zombie's record was read", b"zombie" not in got)
    check("the younger's record was not read", b"younger" in got)


# security

# Kafka's permissions hold a moment after they were acknowledged.
PERMISSION_DELAY_S = 0.3


def refused(what, error, action):
    """The action fails with this exception of the library's."""
    try:
        answer = action()
    except error:
        return
    raise AssertionError(f"{what}: it was let in: {answer}")


def security(lib):
    """Every way to come in; a wrong password is of no use; what was not granted is refused, and what was is done."""
    for login in LOGINS:
        label = f"{login.listener}-{login.mechanism}".lower()
        if login.mechanism:
            refused(f"{label}: wrong password", lib.LOGIN_REFUSED, lambda: lib.login(replace(login, password="wrong")))
            refused(f"{label}: nobody", lib.LOGIN_REFUSED, lambda: lib.login(replace(login, user="nobody")))
        lib.login(login)
        permissions(lib, label, login)


def permissions(lib, label, login):
    topic, group = lib.create(name(f"secure-{label}"), 1), name(f"secure-{label}-group")
    values = [f"{label}-{number}".encode() for number in range(100)]
    send = lambda idempotent: lib.send_as(login, topic, values, idempotent)
    read = lambda: lib.read_as(login, group, topic, len(values))
    refused(f"{label}: writing", lib.TOPIC_REFUSED, lambda: send(False))
    lib.grant(login.principal, topic=topic)
    time.sleep(PERMISSION_DELAY_S)
    send(True)
    refused(f"{label}: joining", lib.GROUP_REFUSED, read)
    lib.grant(login.principal, group=group)
    time.sleep(PERMISSION_DELAY_S)
    equal(f"{label}: what was read", read(), values)
    other = lib.create(name(f"secure-{label}-other"), 1)
    refused(f"{label}: reading another topic", lib.TOPIC_REFUSED, lambda: lib.read_as(login, group, other, 1))


SHARED = {
    "produce": produce, "idempotent": idempotent, "group": group, "cooperative": cooperative, "static": static, "kip848": kip848,
    "transactions": transactions, "security": security,
}
