//! The options of `kafka` and `upsert-kafka`, under Flink's names.

use super::doc::OptionDoc;
use super::doc::OptionKind::{Bytes, Choice, Count, Duration, Text};
use super::tables::{BAD_RECORDS, DEAD_LETTER_TOPIC, VALUE_FIELDS, option};

const TOPIC: OptionDoc = option("topic", Text, "", "the topic's name; a source reads several, separated by ';'");
const PROPERTIES: OptionDoc = option(
    "properties.#",
    Text,
    "",
    "a setting of Kafka's client, such as 'properties.bootstrap.servers' (needed) or 'properties.group.id'",
);
const KEY_PREFIX: OptionDoc =
    option("key.fields-prefix", Text, "", "what the key's columns begin with in the table, and not in the key");
const STARTUP_MILLIS: OptionDoc =
    option("scan.startup.timestamp-millis", Count, "", "where reading starts in mode 'timestamp', in ms since 1970");
const STARTUP_OFFSETS: OptionDoc = option(
    "scan.startup.specific-offsets",
    Text,
    "",
    "where reading starts in mode 'specific-offsets': 'partition:0,offset:42;partition:1,offset:300'",
);
const BOUNDED_MODE: OptionDoc = option(
    "scan.bounded.mode",
    Choice(&["unbounded", "latest-offset", "timestamp", "specific-offsets"]),
    "unbounded",
    "where the table ends: never, at what the topic holds when the pipeline starts, at a time, or at stated offsets",
);
const BOUNDED_MILLIS: OptionDoc =
    option("scan.bounded.timestamp-millis", Count, "", "where the table ends in mode 'timestamp', in ms since 1970");
const BOUNDED_OFFSETS: OptionDoc = option(
    "scan.bounded.specific-offsets",
    Text,
    "",
    "the offsets that end the table in mode 'specific-offsets': 'partition:0,offset:42;partition:1,offset:300'",
);
const DISCOVERY: OptionDoc = option(
    "scan.topic-partition-discovery.interval",
    Duration,
    "5 min",
    "accepted: partitions that are added later are read when the pipeline is started again",
);
const DELIVERY: OptionDoc = option(
    "sink.delivery-guarantee",
    Choice(&["none", "at-least-once", "exactly-once"]),
    "at-least-once",
    "what a foreign Kafka is written with; a topic of our own is exactly-once whatever is asked for",
);
const TRANSACTIONAL_PREFIX: OptionDoc = option(
    "sink.transactional-id-prefix",
    Text,
    "",
    "what the ids of a foreign Kafka's transactions begin with; the pipeline's name if it is not stated",
);
const PARALLELISM: OptionDoc = option(
    "sink.parallelism",
    Count,
    "4",
    "producers of a foreign Kafka, each with transactions of its own; a topic of our own has one for each partition",
);

pub(super) const KAFKA: &[OptionDoc] = &[
    TOPIC,
    PROPERTIES,
    option("key.fields", Text, "", "columns, separated by ';', that make the record's key; needs 'key.format'"),
    KEY_PREFIX,
    VALUE_FIELDS,
    option(
        "scan.startup.mode",
        Choice(&["earliest-offset", "latest-offset", "group-offsets", "timestamp", "specific-offsets"]),
        "group-offsets",
        "where reading starts when the pipeline starts for the first time",
    ),
    STARTUP_MILLIS,
    STARTUP_OFFSETS,
    BOUNDED_MODE,
    BOUNDED_MILLIS,
    BOUNDED_OFFSETS,
    DISCOVERY,
    option(
        "sink.partitioner",
        Choice(&["default", "fixed", "round-robin"]),
        "default",
        "'default' goes by the key, as Kafka's clients do, and spreads rows without one; 'round-robin' spreads all rows evenly; 'fixed' writes to the first partition, as one task of Flink does",
    ),
    DELIVERY,
    TRANSACTIONAL_PREFIX,
    PARALLELISM,
    BAD_RECORDS,
    DEAD_LETTER_TOPIC,
];

pub(super) const UPSERT_KAFKA: &[OptionDoc] = &[
    TOPIC,
    PROPERTIES,
    KEY_PREFIX,
    VALUE_FIELDS,
    BOUNDED_MODE,
    BOUNDED_MILLIS,
    BOUNDED_OFFSETS,
    DISCOVERY,
    DELIVERY,
    TRANSACTIONAL_PREFIX,
    PARALLELISM,
    option("sink.buffer-flush.max-rows", Count, "0", "accepted: a key is written once an epoch"),
    option("sink.buffer-flush.interval", Duration, "0 s", "accepted: a key is written once an epoch"),
    option("sink.buffer-flush.max-bytes", Bytes, "0", "accepted: a key is written once an epoch"),
    BAD_RECORDS,
    DEAD_LETTER_TOPIC,
];
