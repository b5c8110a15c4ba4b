//! The tables of options, under Flink's names where Flink has them.

use super::doc::OptionKind::{Bool, Bytes, Character, Choice, Count, Duration, Number, Text};
use super::doc::{ConnectorDoc, OptionDoc, OptionKind};
use super::kafka;

pub(super) const fn option(
    name: &'static str,
    kind: OptionKind,
    default: &'static str,
    doc: &'static str,
) -> OptionDoc {
    OptionDoc { name, kind, default, doc }
}

pub(super) const CONNECTORS: &[ConnectorDoc] = &[
    ConnectorDoc {
        name: "topic",
        doc: "A topic of the built-in log. The default; with a PRIMARY KEY it is an upsert table.",
        source: true,
        sink: true,
        formats: &["json", "csv", "avro", "raw", "debezium-json"],
        default_format: Some("json"),
        keyed: true,
        options: TOPIC,
    },
    ConnectorDoc {
        name: "kafka",
        doc: "Topics of a Kafka broker; with our own address those of the built-in log.",
        source: true,
        sink: true,
        formats: &["json", "csv", "avro", "raw", "debezium-json"],
        default_format: None,
        keyed: true,
        options: kafka::KAFKA,
    },
    ConnectorDoc {
        name: "upsert-kafka",
        doc: "A topic of a Kafka broker that holds the latest row of each PRIMARY KEY.",
        source: true,
        sink: true,
        formats: &["json", "csv", "avro", "raw"],
        default_format: None,
        keyed: true,
        options: kafka::UPSERT_KAFKA,
    },
    ConnectorDoc {
        name: "filesystem",
        doc: "A file, the files of a directory, or those that a pattern matches.",
        source: true,
        sink: true,
        formats: &["json", "csv", "parquet", "debezium-json", "raw"],
        default_format: None,
        keyed: false,
        options: FILESYSTEM,
    },
    ConnectorDoc {
        name: "stdin",
        doc: "Standard input, one record a line; kept in the log before it is read.",
        source: true,
        sink: false,
        formats: &["json", "csv", "raw"],
        default_format: Some("json"),
        keyed: false,
        options: STDIN,
    },
    ConnectorDoc {
        name: "socket",
        doc: "A TCP server that is dialled and sends one record a line; kept in the log before it is read.",
        source: true,
        sink: false,
        formats: &["json", "csv", "raw"],
        default_format: Some("json"),
        keyed: false,
        options: SOCKET,
    },
    ConnectorDoc {
        name: "datagen",
        doc: "Made-up rows; the same ones whenever a range is read again.",
        source: true,
        sink: false,
        formats: &[],
        default_format: None,
        keyed: false,
        options: DATAGEN,
    },
    ConnectorDoc {
        name: "nexmark",
        doc: "The events of the Nexmark benchmark's auction site.",
        source: true,
        sink: false,
        formats: &[],
        default_format: None,
        keyed: false,
        options: NEXMARK,
    },
    ConnectorDoc {
        name: "print",
        doc: "Prints every row, with its kind of change, to standard output.",
        source: false,
        sink: true,
        formats: &[],
        default_format: None,
        keyed: false,
        options: PRINT,
    },
    ConnectorDoc {
        name: "blackhole",
        doc: "Drops every row.",
        source: false,
        sink: true,
        formats: &[],
        default_format: None,
        keyed: false,
        options: &[],
    },
];

pub(super) const BAD_RECORDS: OptionDoc = option(
    "bad-records",
    Choice(&["fail", "skip", "dead-letter"]),
    "fail",
    "what becomes of a record that cannot be decoded: the pipeline fails and names it, it is skipped and counted, or it goes to 'dead-letter.topic' with the reason",
);
pub(super) const DEAD_LETTER_TOPIC: OptionDoc =
    option("dead-letter.topic", Text, "", "the topic for records that cannot be decoded; created if it is missing");

pub(super) const VALUE_FIELDS: OptionDoc = option(
    "value.fields-include",
    Choice(&["ALL", "EXCEPT_KEY"]),
    "ALL",
    "whether the record's value holds the key's columns, too",
);

const TOPIC: &[OptionDoc] = &[
    option("topic", Text, "", "the topic's name; the table's name if it is not stated"),
    option("partitions", Count, "1", "partitions of the topic if a sink has to create it"),
    option("key.fields", Text, "", "columns, separated by ';', that make the record's key and choose the partition"),
    VALUE_FIELDS,
    option(
        "scan.startup.mode",
        Choice(&["earliest-offset", "latest-offset", "timestamp"]),
        "earliest-offset",
        "where reading starts",
    ),
    option("scan.startup.timestamp-millis", Count, "", "where reading starts in mode 'timestamp', in ms since 1970"),
    option(
        "scan.bounded.mode",
        Choice(&["unbounded", "latest-offset"]),
        "unbounded",
        "'latest-offset' ends the table at what the topic holds when the pipeline starts",
    ),
    BAD_RECORDS,
    DEAD_LETTER_TOPIC,
];

const FILESYSTEM: &[OptionDoc] = &[
    option("path", Text, "", "a file, a directory or a pattern such as 'data/*.json'; also as a file:// URL"),
    option("source.path.regex-pattern", Text, "", "read only files whose whole path matches this regular expression"),
    option(
        "source.monitor-interval",
        Duration,
        "",
        "look for new files so often, and never end; without it the files that are there are read once",
    ),
    option(
        "source.compression",
        Choice(&["auto", "none", "gzip", "zstd"]),
        "auto",
        "how files are compressed; 'auto' goes by the extension (.gz, .zst)",
    ),
    option("scan.follow", Bool, "false", "read one file like 'tail -F', also over its rotation"),
    option("scan.follow.interval", Duration, "50 ms", "look for new lines so often"),
    option("scan.replay.time", Text, "", "the column by whose times rows are released, relative to the first row's"),
    option("scan.replay.speed", Number, "1", "how much faster than in reality rows are released"),
    BAD_RECORDS,
    DEAD_LETTER_TOPIC,
    option("sink.rolling-policy.file-size", Bytes, "128 MB", "begin another file at this size"),
    option(
        "sink.rolling-policy.rollover-interval",
        Duration,
        "30 min",
        "accepted: a file ends with each snapshot, which comes sooner",
    ),
    option("sink.rolling-policy.inactivity-interval", Duration, "30 min", "accepted: a file ends with each snapshot"),
    option("sink.rolling-policy.check-interval", Duration, "1 min", "accepted: a file ends with each snapshot"),
    option("sink.shuffle-by-partition.enable", Bool, "false", "accepted: each worker writes files of its own"),
    option("sink.parallelism", Count, "", "accepted: each worker writes files of its own"),
    option(
        "partition.default-name",
        Text,
        "__DEFAULT_PARTITION__",
        "the directory for rows whose partition column is NULL or empty",
    ),
    option("partition.time-extractor.kind", Choice(&["default"]), "default", "how a partition's time is found"),
    option(
        "partition.time-extractor.timestamp-pattern",
        Text,
        "",
        "a partition's time, made of its columns: '$dt $hm:00'",
    ),
    option(
        "sink.partition-commit.trigger",
        Choice(&["process-time", "partition-time"]),
        "process-time",
        "whether a partition is complete by the clock, or when the times of later partitions have passed it",
    ),
    option("sink.partition-commit.delay", Duration, "0 s", "a partition is not complete before this has passed"),
    option(
        "sink.partition-commit.policy.kind",
        Choice(&["success-file"]),
        "",
        "'success-file' puts an empty file into a partition when it is complete; there is no metastore",
    ),
    option("sink.partition-commit.success-file.name", Text, "_SUCCESS", "the name of that file"),
    option("sink.partition-commit.watermark-time-zone", Text, "UTC", "accepted: partition times are read as UTC"),
];

const STDIN: &[OptionDoc] = &[BAD_RECORDS, DEAD_LETTER_TOPIC];

const SOCKET: &[OptionDoc] = &[
    option("url", Text, "", "the server as socket://host:port, instead of 'host' and 'port'"),
    option("host", Text, "localhost", "the server's name or address"),
    option("hostname", Text, "", "Flink's name for 'host'"),
    option("port", Count, "", "the server's port"),
    option("socket.reconnect", Bool, "true", "dial again when the server closes; otherwise the table ends there"),
    BAD_RECORDS,
    DEAD_LETTER_TOPIC,
];

const DATAGEN: &[OptionDoc] = &[
    option("rows-per-second", Count, "10000", "rows made in a second"),
    option("number-of-rows", Count, "", "rows made in all; without it the table never ends"),
    option("seed", Count, "42", "another seed gives other rows"),
    option("scan.parallelism", Count, "", "accepted: all workers make rows"),
    option(
        "fields.#.kind",
        Choice(&["random", "sequence"]),
        "random",
        "whether a column's values are random or count up",
    ),
    option("fields.#.min", Number, "", "the least random value"),
    option("fields.#.max", Number, "", "the greatest random value"),
    option("fields.#.max-past", Duration, "0 ms", "how far a random timestamp may lie before its row's time"),
    option("fields.#.length", Count, "", "characters of a random text (100), or elements of a random collection (3)"),
    option("fields.#.var-len", Bool, "false", "make random texts of up to 'length' characters"),
    option("fields.#.start", Number, "", "the first value of a sequence"),
    option("fields.#.end", Number, "", "the last value of a sequence; the table ends there"),
    option("fields.#.null-rate", Number, "0", "which part of the values is NULL"),
];

const NEXMARK: &[OptionDoc] = &[
    option("events", Count, "", "events in all; without it the table never ends"),
    option("events.num", Count, "", "Nexmark's name for 'events'; 0 is without end"),
    option("rate", Number, "10000", "events in a second of event time"),
    option("first-event.rate", Count, "", "Nexmark's name for 'rate'"),
    option("next-event.rate", Count, "", "must equal 'first-event.rate'"),
    option("wall-rate", Number, "", "events released in a second of real time; without it as fast as they are read"),
    option("ooo-group", Count, "1", "events are shuffled inside groups of so many"),
    option("seed", Count, "42", "another seed gives other events"),
    option("base-ms", Count, "1436918400000", "event time of the first event, in ms since 1970"),
    option("person.proportion", Choice(&["1"]), "1", "persons among 50 events"),
    option("auction.proportion", Choice(&["3"]), "3", "auctions among 50 events"),
    option("bid.proportion", Choice(&["46"]), "46", "bids among 50 events"),
    BAD_RECORDS,
    DEAD_LETTER_TOPIC,
];

const PRINT: &[OptionDoc] = &[
    option("print-identifier", Text, "", "a text before each row"),
    option("standard-error", Bool, "false", "print to standard error"),
    option("sink.parallelism", Count, "", "accepted: one thread prints"),
];

const JSON: &[OptionDoc] = &[
    option("json.fail-on-missing-field", Bool, "false", "a record without one of the columns cannot be decoded"),
    option("json.ignore-parse-errors", Bool, "false", "skip records that cannot be decoded"),
    option(
        "json.timestamp-format.standard",
        Choice(&["SQL", "ISO-8601"]),
        "SQL",
        "how timestamps are written; both are read",
    ),
    option("json.encode.ignore-null-fields", Choice(&["false"]), "false", "NULL is written as null"),
    option("json.encode.decimal-as-plain-number", Bool, "true", "accepted: decimals are written in full"),
    option("json.map-null-key.mode", Choice(&["FAIL"]), "FAIL", "accepted: a map's key cannot be NULL"),
];

const DEBEZIUM: &[OptionDoc] = &[
    option("debezium-json.schema-include", Choice(&["false"]), "false", "messages carry no schema"),
    option("debezium-json.ignore-parse-errors", Bool, "false", "skip records that cannot be decoded"),
    option(
        "debezium-json.timestamp-format.standard",
        Choice(&["SQL", "ISO-8601"]),
        "SQL",
        "how timestamps are written; both are read",
    ),
    option("debezium-json.encode.decimal-as-plain-number", Bool, "true", "accepted: decimals are written in full"),
    option("debezium-json.map-null-key.mode", Choice(&["FAIL"]), "FAIL", "accepted: a map's key cannot be NULL"),
];

const CSV: &[OptionDoc] = &[
    option("csv.field-delimiter", Character, ",", "what separates fields"),
    option("csv.disable-quote-character", Bool, "false", "take quotes as they are"),
    option("csv.quote-character", Character, "\"", "what encloses fields that hold delimiters or newlines"),
    option("csv.escape-character", Character, "", "what precedes a character that is to be taken as it is"),
    option("csv.null-literal", Text, "", "the text that stands for NULL"),
    option("csv.array-element-delimiter", Character, ";", "what separates the elements of an array"),
    option("csv.allow-comments", Bool, "false", "skip lines that begin with '#'"),
    option("csv.ignore-parse-errors", Bool, "false", "skip records that cannot be decoded"),
    option("csv.header", Bool, "false", "the first line of each file names the columns and is not a row"),
    option("csv.write-bigdecimal-in-scientific-notation", Choice(&["false"]), "false", "decimals are written in full"),
];

const RAW: &[OptionDoc] = &[
    option("raw.charset", Choice(&["UTF-8"]), "UTF-8", "how texts are encoded"),
    option("raw.endianness", Choice(&["big-endian", "little-endian"]), "big-endian", "the order of a number's bytes"),
];

const AVRO: &[OptionDoc] = &[
    option("avro.schema", Text, "", "the writer's schema as JSON, if it is not the one that the table's columns give"),
    option("avro.encoding", Choice(&["binary"]), "binary", "how records are encoded"),
    option(
        "avro.timestamp_mapping.legacy",
        Bool,
        "true",
        "accepted: the mappings of timestamps differ in the schema's names, not in a record's bytes",
    ),
];

const PARQUET: &[OptionDoc] = &[
    option(
        "parquet.compression",
        Choice(&["SNAPPY", "ZSTD", "LZ4", "UNCOMPRESSED"]),
        "SNAPPY",
        "how written files are compressed",
    ),
    option("parquet.utc-timezone", Bool, "true", "accepted: timestamps are UTC"),
];

/// The options that a format adds to its connector's.
pub(super) fn format_options(format: &str) -> &'static [OptionDoc] {
    match format {
        "json" => JSON,
        "csv" => CSV,
        "raw" => RAW,
        "avro" => AVRO,
        "parquet" => PARQUET,
        "debezium-json" => DEBEZIUM,
        _ => &[],
    }
}
