"""The command-line tools that come with Apache Kafka (kafka-topics.sh and its kin), each a process; what they print is compared."""

import os
import re
import subprocess
import sys
import traceback

BOOTSTRAP = os.environ["BOOTSTRAP"]
SCRATCH = os.environ["SCRATCH"]
MACHINE = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", "libs/*"]
PATIENCE_S = 60


def name(what):
    return f"{os.environ['RUN']}-{what}"


def tool(command, *arguments, given="", fails=False):
    """Runs a tool, and returns what it printed."""
    line = [*MACHINE, f"org.apache.kafka.tools.{command}", "--bootstrap-server", BOOTSTRAP, *arguments]
    done = subprocess.run(line, input=given, capture_output=True, text=True, timeout=PATIENCE_S)
    output = done.stdout + done.stderr
    check(f"{command} {' '.join(arguments)}: exit code {done.returncode}\n{output}", (done.returncode != 0) == fails)
    return output


def check(what, truth):
    if not truth:
        raise AssertionError(what)


def equal(what, got, want):
    check(f"{what}\n   got  {got}\n   want {want}", got == want)


def tells(output, *patterns):
    """Each pattern is found in the output."""
    for pattern in patterns:
        check(f"no {pattern!r} in\n{output}", re.search(pattern, output))


def topics():
    topic = name("tooled")
    tells(tool("TopicCommand", "--create", "--topic", topic, "--partitions", "3", "--config", "retention.ms=86400000"), "Created topic")
    tells(tool("TopicCommand", "--create", "--topic", topic, fails=True), "already exists")
    tool("TopicCommand", "--create", "--topic", topic, "--if-not-exists")
    check("listed", topic in tool("TopicCommand", "--list").split())
    tells(tool("TopicCommand", "--describe", "--topic", topic), "PartitionCount: 3", "retention.ms=86400000", "Partition: 2\tLeader: ")
    tool("TopicCommand", "--alter", "--topic", topic, "--partitions", "5")
    tells(tool("TopicCommand", "--describe", "--topics-with-overrides"), f"{topic}\t.*PartitionCount: 5")
    equal("under-replicated", tool("TopicCommand", "--describe", "--under-replicated-partitions"), "")
    tool("TopicCommand", "--delete", "--topic", topic)
    check("not listed", topic not in tool("TopicCommand", "--list").split())


def console():
    """What the one writes the other reads, keys and headers too; offsets are listed, and records deleted."""
    topic = name("console")
    tool("TopicCommand", "--create", "--topic", topic)
    lines = [f"h:{n}\tkey-{n}\tvalue-{n}" for n in range(100)]
    parse = ["--reader-property", "parse.key=true", "--reader-property", "parse.headers=true"]
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        tool("ConsoleProducer", "--topic", topic, "--compression-codec", codec, *parse, given="\n".join(lines) + "\n")
    printed = [word for what in ("key", "headers", "offset") for word in ("--formatter-property", f"print.{what}=true")]
    read = ["--topic", topic, "--from-beginning", "--max-messages", "500", "--timeout-ms", "20000"]
    output = tool("consumer.ConsoleConsumer", *read, *printed)
    got = [line for line in output.splitlines() if line.startswith("Offset:")]
    equal("records", got, [f"Offset:{n}\th:{n % 100}\tkey-{n % 100}\tvalue-{n % 100}" for n in range(500)])
    tells(tool("GetOffsetShell", "--topic", topic), f"{topic}:0:500")
    cut = os.path.join(SCRATCH, "cut.json")
    with open(cut, "w") as file:
        file.write(f'{{"partitions":[{{"topic":"{topic}","partition":0,"offset":70}}],"version":1}}')
    tells(tool("DeleteRecordsCommand", "--offset-json-file", cut), "low_watermark: 70")
    tells(tool("GetOffsetShell", "--topic", topic, "--time", "earliest"), f"{topic}:0:70")
    groups(topic)


def groups(topic):
    """A group that read all is described, set back, and deleted."""
    group = name("console-group")
    read = ["--topic", topic, "--group", group, "--from-beginning", "--max-messages", "430", "--timeout-ms", "20000"]
    tells(tool("consumer.ConsoleConsumer", *read), "Processed a total of 430 messages")
    command = "consumer.group.ConsumerGroupCommand"
    check("listed", group in tool(command, "--list").split())
    tells(tool("GroupsCommand", "--list"), rf"{group} +Classic +consumer")
    tells(tool(command, "--describe", "--group", group), rf"{group} +{topic} +0 +500 +500 +0 ")
    tells(tool(command, "--describe", "--group", group, "--state"), "Empty +0")
    reset = ["--group", group, "--topic", topic, "--reset-offsets"]
    tells(tool(command, *reset, "--shift-by", "-100", "--dry-run"), rf"{group} +{topic} +0 +400")
    tells(tool(command, *reset, "--to-earliest", "--execute"), rf"{group} +{topic} +0 +70")
    tells(tool(command, "--describe", "--group", group), rf"{group} +{topic} +0 +70 +500 +430 ")
    tells(tool(command, "--group", group, "--topic", topic, "--delete-offsets"), "Successful")
    tells(tool(command, "--group", group, "--delete"), "successful")


def configs():
    topic, user, client = name("configured"), name("user"), name("client")
    tool("TopicCommand", "--create", "--topic", topic)
    of_topic = ["--entity-type", "topics", "--entity-name", topic]
    tool("ConfigCommand", *of_topic, "--alter", "--add-config", "max.message.bytes=2000000,cleanup.policy=[delete,compact]")
    tells(tool("ConfigCommand", *of_topic, "--describe"), "cleanup.policy=delete,compact ", "DYNAMIC_TOPIC_CONFIG:max.message.bytes=2000000")
    tool("ConfigCommand", *of_topic, "--alter", "--delete-config", "max.message.bytes")
    check("deleted", "max.message.bytes" not in tool("ConfigCommand", *of_topic, "--describe"))
    tells(tool("ConfigCommand", *of_topic, "--alter", "--add-config", "retention.ms=soon", fails=True), "retention.ms")
    of_user = ["--entity-type", "users", "--entity-name", user]
    tool("ConfigCommand", *of_user, "--alter", "--add-config", "SCRAM-SHA-256=[iterations=8192,password=secret]")
    tells(tool("ConfigCommand", *of_user, "--describe"), "SCRAM-SHA-256=iterations=8192")
    tool("ConfigCommand", *of_user, "--alter", "--delete-config", "SCRAM-SHA-256")
    of_client = ["--entity-type", "clients", "--entity-name", client]
    tool("ConfigCommand", *of_client, "--alter", "--add-config", "producer_byte_rate=1000000")
    tells(tool("ConfigCommand", *of_client, "--describe"), "producer_byte_rate=1000000")
    tool("ConfigCommand", *of_client, "--alter", "--delete-config", "producer_byte_rate")
    node = re.search(r"\(id: (\d+) ", tool("BrokerApiVersionsCommand")).group(1)
    tells(tool("ConfigCommand", "--entity-type", "brokers", "--entity-name", node, "--describe", "--all"), "message.max.bytes=")


def performance():
    """The tools that measure, and those that are made for tests of systems."""
    topic = name("measured")
    tool("TopicCommand", "--create", "--topic", topic, "--partitions", "2")
    size = ["--num-records", "20000", "--record-size", "100", "--throughput", "-1"]
    tells(tool("ProducerPerformance", "--topic", topic, *size), "20000 records sent")
    tells(tool("ProducerPerformance", "--topic", topic, *size, "--transaction-duration-ms", "100"), "20000 records sent")
    tells(tool("ConsumerPerformance", "--topic", topic, "--num-records", "40000"), r", 40\d\d\d, ")
    verified = name("verified")
    tool("TopicCommand", "--create", "--topic", verified)
    sent = tool("VerifiableProducer", "--topic", verified, "--max-messages", "1000", "--acks", "-1")
    tells(sent, '"sent":1000,"acked":1000')
    for protocol in ["classic", "consumer"]:
        read = ["--topic", verified, "--group-id", name(protocol), "--max-messages", "1000", "--reset-policy", "earliest"]
        output = tool("VerifiableConsumer", *read, "--group-protocol", protocol)
        counts = re.findall(r'"records_consumed","count":(\d+)', output)
        equal(f"read by {protocol}", sum(map(int, counts)), 1000)


def cluster():
    topic = name("clustered")
    tool("TopicCommand", "--create", "--topic", topic)
    tells(tool("BrokerApiVersionsCommand"), r"Produce\(0\): 0 to 1\d ")
    tells(tool("LogDirsCommand", "--describe", "--topic-list", topic), f'"partition":"{topic}-0"')
    tool("LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions")
    tells(tool("reassign.ReassignPartitionsCommand", "--list"), "No partition reassignments found")


def tools():
    for scenario in (topics, console, configs, performance, cluster):
        scenario()


try:
    {"tools": tools}[sys.argv[1]]()
except Exception:
    traceback.print_exc()
    sys.exit(1)
