//! The settings of a topic by Kafka's names, and what they make of it.

use fleuve_journal::{Cleanup, Durability, SEGMENT_BYTES, Settings, Timestamps, TopicConfig};
use fleuve_record::Codec;
use fleuve_wire::ErrorCode;

use super::definition::{Allowed, Definition, Kind, items};
use crate::config::BrokerConfig;
use crate::failure::{Failure, Outcome};

const fn setting(name: &'static str, kind: Kind, allowed: Allowed, docs: &'static str) -> Definition {
    Definition { name, kind, allowed, docs, broker_name: None }
}

const fn from_broker(broker_name: &'static str, definition: Definition) -> Definition {
    Definition { broker_name: Some(broker_name), ..definition }
}

/// Bytes of the largest batch that a topic may ask for: a frame has to hold it.
const MESSAGE_BYTES_MAX: i64 = fleuve_base::limits::BATCH_BYTES_MAX as i64;

/// Kafka allows segments from 1 MiB; the log could do with less.
const SEGMENT_BYTES_MIN: i64 = 1 << 20;

const SEGMENT_BYTES_MOST: i64 = *SEGMENT_BYTES.end() as i64;

const DURABILITIES: &[&str] = &["fsync", "os"];

/// All settings of a topic, by name.
pub(crate) const DEFINITIONS: &[Definition] = &[
    from_broker(
        "log.cleanup.policy",
        setting(
            "cleanup.policy",
            Kind::List,
            Allowed::Words(&["compact", "delete"]),
            "How records go: by age and size, by a later record of the same key, or both.",
        ),
    ),
    from_broker(
        "compression.type",
        setting(
            "compression.type",
            Kind::String,
            Allowed::Words(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
            "How batches are compressed when they are stored; `producer`: as they come.",
        ),
    ),
    from_broker(
        "log.cleaner.delete.retention.ms",
        setting(
            "delete.retention.ms",
            Kind::Long,
            Allowed::AtLeast(0),
            "How long a tombstone stays after its compaction.",
        ),
    ),
    setting(
        "durability",
        Kind::String,
        Allowed::Words(DURABILITIES),
        "When a record is acknowledged: after an fdatasync, or when the operating system has it.",
    ),
    from_broker(
        "log.segment.delete.delay.ms",
        setting("file.delete.delay.ms", Kind::Long, Allowed::AtLeast(0), "Without effect: files go at once."),
    ),
    from_broker(
        "log.flush.interval.messages",
        setting(
            "flush.messages",
            Kind::Long,
            Allowed::AtLeast(1),
            "Without effect: records are synced before they are acknowledged; see durability.",
        ),
    ),
    from_broker(
        "log.flush.interval.ms",
        setting("flush.ms", Kind::Long, Allowed::AtLeast(0), "Without effect; see flush.messages."),
    ),
    from_broker(
        "log.index.interval.bytes",
        setting("index.interval.bytes", Kind::Int, Allowed::AtLeast(0), "Without effect: the interval is fixed."),
    ),
    from_broker(
        "log.cleaner.max.compaction.lag.ms",
        setting(
            "max.compaction.lag.ms",
            Kind::Long,
            Allowed::AtLeast(1),
            "Age of the oldest uncompacted record at which the log is compacted whatever its dirty ratio.",
        ),
    ),
    from_broker(
        "message.max.bytes",
        setting(
            "max.message.bytes",
            Kind::Int,
            Allowed::Between(0, MESSAGE_BYTES_MAX),
            "Bytes of the largest record batch, as compressed.",
        ),
    ),
    from_broker(
        "log.message.timestamp.after.max.ms",
        setting(
            "message.timestamp.after.max.ms",
            Kind::Long,
            Allowed::AtLeast(0),
            "How far a record's timestamp may lie after the broker's clock.",
        ),
    ),
    from_broker(
        "log.message.timestamp.before.max.ms",
        setting(
            "message.timestamp.before.max.ms",
            Kind::Long,
            Allowed::AtLeast(0),
            "How far a record's timestamp may lie before the broker's clock.",
        ),
    ),
    from_broker(
        "log.message.timestamp.type",
        setting(
            "message.timestamp.type",
            Kind::String,
            Allowed::Words(&["CreateTime", "LogAppendTime"]),
            "Whose clock timestamps are: the producer's, or the broker's.",
        ),
    ),
    from_broker(
        "log.cleaner.min.cleanable.ratio",
        setting(
            "min.cleanable.dirty.ratio",
            Kind::Double,
            Allowed::Fraction,
            "Share of uncompacted bytes at which the log is compacted.",
        ),
    ),
    from_broker(
        "log.cleaner.min.compaction.lag.ms",
        setting(
            "min.compaction.lag.ms",
            Kind::Long,
            Allowed::AtLeast(0),
            "Records younger than this are not compacted.",
        ),
    ),
    from_broker(
        "min.insync.replicas",
        setting(
            "min.insync.replicas",
            Kind::Int,
            Allowed::AtLeast(1),
            "Without effect: there is one replica, which syncs.",
        ),
    ),
    from_broker(
        "log.preallocate",
        setting("preallocate", Kind::Boolean, Allowed::All, "Without effect: files are not preallocated."),
    ),
    setting(
        "remote.storage.enable",
        Kind::Boolean,
        Allowed::All,
        "Whether old segments move to a remote store; there is none.",
    ),
    from_broker(
        "log.retention.bytes",
        setting(
            "retention.bytes",
            Kind::Long,
            Allowed::AtLeast(-1),
            "Bytes of a partition above which its oldest segments go; -1 for no limit.",
        ),
    ),
    from_broker(
        "log.retention.ms",
        setting("retention.ms", Kind::Long, Allowed::AtLeast(-1), "Age at which segments go; -1 for never."),
    ),
    from_broker(
        "log.segment.bytes",
        setting(
            "segment.bytes",
            Kind::Int,
            Allowed::Between(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MOST),
            "Bytes at which a segment is sealed.",
        ),
    ),
    from_broker(
        "log.index.size.max.bytes",
        setting(
            "segment.index.bytes",
            Kind::Int,
            Allowed::AtLeast(4),
            "Without effect: indexes have the size they need.",
        ),
    ),
    from_broker(
        "log.roll.jitter.ms",
        setting("segment.jitter.ms", Kind::Long, Allowed::AtLeast(0), "Without effect: segments are sealed in time."),
    ),
    from_broker(
        "log.roll.ms",
        setting("segment.ms", Kind::Long, Allowed::AtLeast(1), "Age at which a segment is sealed."),
    ),
    from_broker(
        "unclean.leader.election.enable",
        setting("unclean.leader.election.enable", Kind::Boolean, Allowed::All, "Without effect: there is one replica."),
    ),
];

/// The definition of the topic's setting of that name.
pub(crate) fn definition(name: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().find(|definition| definition.name == name)
}

/// The value of a setting that nobody has set; the broker's settings decide some of them.
pub(crate) fn default_value(broker: &BrokerConfig, name: &str) -> String {
    let unbounded = |value: Option<u64>| value.map_or("-1".to_owned(), |value| value.to_string());
    match name {
        "cleanup.policy" => "delete".to_owned(),
        "compression.type" => "producer".to_owned(),
        "delete.retention.ms" => "86400000".to_owned(),
        "durability" => "fsync".to_owned(),
        "file.delete.delay.ms" => "60000".to_owned(),
        "index.interval.bytes" => "4096".to_owned(),
        "max.message.bytes" => broker.message_max_bytes.to_string(),
        "message.timestamp.after.max.ms" => "3600000".to_owned(),
        "message.timestamp.type" => "CreateTime".to_owned(),
        "min.cleanable.dirty.ratio" => "0.5".to_owned(),
        "min.compaction.lag.ms" | "segment.jitter.ms" => "0".to_owned(),
        "min.insync.replicas" => "1".to_owned(),
        "preallocate" | "remote.storage.enable" | "unclean.leader.election.enable" => "false".to_owned(),
        "retention.bytes" => unbounded(broker.retention_bytes),
        "retention.ms" => unbounded(broker.retention_ms),
        "segment.bytes" => TopicConfig::default().segment_bytes.to_string(),
        "segment.index.bytes" => "10485760".to_owned(),
        "segment.ms" => "604800000".to_owned(),
        _ => i64::MAX.to_string(),
    }
}

/// Checks one setting by its definition.
pub(crate) fn check(name: &str, value: &str) -> Outcome<()> {
    let invalid = |message: String| Err(Failure::new(ErrorCode::INVALID_CONFIG, message));
    let Some(definition) = definition(name) else {
        return invalid(format!("Unknown topic config name: {name}"));
    };
    definition.check(value)?;
    match (name, value.trim()) {
        ("remote.storage.enable", on) if on.eq_ignore_ascii_case("true") => invalid(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
                .to_owned(),
        ),
        ("cleanup.policy", list) if items(list).next().is_none() => {
            invalid(format!("Invalid value {value} for configuration {name}: the list is empty"))
        }
        _ => Ok(()),
    }
}

/// What the log is told: settings, and defaults for what is not set.
pub(crate) fn topic_config(broker: &BrokerConfig, settings: &Settings) -> Outcome<TopicConfig> {
    let values = Values { broker, settings };
    let (least, most) = (values.number("min.compaction.lag.ms"), values.number("max.compaction.lag.ms"));
    if least > most {
        return Err(Failure::new(
            ErrorCode::INVALID_CONFIG,
            format!("conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"),
        ));
    }
    Ok(TopicConfig {
        cleanup: cleanup(&values.text("cleanup.policy")),
        retention_ms: values.bounded("retention.ms"),
        retention_bytes: values.bounded("retention.bytes"),
        segment_bytes: values.number("segment.bytes") as u64,
        segment_ms: values.bounded("segment.ms"),
        min_cleanable_permille: permille(&values.text("min.cleanable.dirty.ratio")),
        min_compaction_lag_ms: least as u64,
        max_compaction_lag_ms: Some(most as u64).filter(|_| most < i64::MAX),
        delete_retention_ms: values.number("delete.retention.ms") as u64,
        timestamps: match values.text("message.timestamp.type").as_str() {
            "LogAppendTime" => Timestamps::Append,
            _ => Timestamps::Create,
        },
        batch_bytes_max: values.number("max.message.bytes") as u32,
        durability: if values.text("durability") == "os" { Durability::Os } else { Durability::Sync },
    })
}

/// Settings that were checked, over defaults that are right.
struct Values<'a> {
    broker: &'a BrokerConfig,
    settings: &'a Settings,
}

impl Values<'_> {
    fn text(&self, name: &str) -> String {
        match self.settings.get(name) {
            Some(value) => value.trim().to_owned(),
            None => default_value(self.broker, name),
        }
    }

    fn number(&self, name: &str) -> i64 {
        self.text(name).parse().expect("settings are checked before they are used")
    }

    /// `None` for -1.
    fn bounded(&self, name: &str) -> Option<u64> {
        u64::try_from(self.number(name)).ok()
    }
}

fn cleanup(policy: &str) -> Cleanup {
    let has = |word| items(policy).any(|item| item == word);
    match (has("delete"), has("compact")) {
        (true, true) => Cleanup::Both,
        (false, true) => Cleanup::Compact,
        _ => Cleanup::Delete,
    }
}

fn permille(fraction: &str) -> u16 {
    fraction.parse::<f64>().map_or(500, |fraction| (fraction * 1000.0).round() as u16)
}

/// How far a timestamp may lie before and after the clock, where the topic or its default says so.
pub(crate) fn timestamp_bounds_ms(settings: &Settings) -> (i64, i64) {
    let bound = |name: &str, default| settings.get(name).and_then(|value| value.trim().parse().ok()).unwrap_or(default);
    (bound("message.timestamp.before.max.ms", i64::MAX), bound("message.timestamp.after.max.ms", 3_600_000))
}

/// How the topic's batches are to be compressed; `None`: as their producer did.
pub(crate) fn codec(settings: &Settings) -> Option<Codec> {
    match settings.get("compression.type")?.trim() {
        "uncompressed" => Some(Codec::None),
        name => Codec::from_name(name),
    }
}
