//! What `SET` knows: Flink's names where Flink has one, and a few of our own.

use std::collections::BTreeMap;
use std::time::Duration;

use fleuve_base::limits::WORKERS_MAX;
use fleuve_base::{Error, Result, nearest};
use fleuve_plan::{BoundsFrom, OnlineBounds, OnlineMethod, Settings};

/// A setting: its name, what values it takes, and what it is for.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The name in `SET 'name' = '…'`.
    pub name: &'static str,
    /// The values it takes.
    pub kind: Kind,
    /// One line of explanation.
    pub about: &'static str,
}

/// The values that a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number in this range.
    Count(u64, u64),
    /// A duration: `10 s`, `5 min`, `1h`.
    Duration,
    /// A size: `8 mb`.
    Bytes,
    /// An IANA time zone or a fixed offset.
    Zone,
    /// A number above 0 and below 1.
    Share,
    /// Columns, each with its least and greatest value: `dollars 0 1500, cds 1 100`.
    Bounds,
    /// Any text.
    Text,
    /// One of these, in any case.
    Choice(&'static [&'static str]),
    /// Accepted so that Flink's scripts run, but without effect; the text says why.
    Ignored(&'static str),
}

const BATCHED: &str = "operators always work on whole batches here";
const ALWAYS: &str = "results are exactly-once here, whatever it says";
const KEPT: &str = "snapshots always go to the pipeline's directory";

/// Every setting.
pub const KEYS: &[Key] = &[
    key("parallelism.default", Kind::Count(1, WORKERS_MAX as u64), "worker threads of a pipeline"),
    key(
        "table.exec.resource.default-parallelism",
        Kind::Count(1, WORKERS_MAX as u64),
        "the same as parallelism.default",
    ),
    key(
        "table.exec.source.idle-timeout",
        Kind::Duration,
        "a source without rows for so long no longer holds the watermark back; 0 is never",
    ),
    key("table.local-time-zone", Kind::Zone, "the zone in which TIMESTAMP_LTZ is shown and cast"),
    key("table.exec.state.ttl", Kind::Duration, "unwindowed state not touched for so long may go; 0 is never"),
    key("execution.checkpointing.interval", Kind::Duration, "time between snapshots"),
    key("execution.checkpointing.retained", Kind::Count(1, 1_000), "snapshots kept"),
    key("execution.checkpointing.num-retained", Kind::Count(1, 1_000), "the same as execution.checkpointing.retained"),
    key("state.checkpoints.num-retained", Kind::Count(1, 1_000), "the same as execution.checkpointing.retained"),
    key("pipeline.name", Kind::Text, "the name under which a pipeline is found again"),
    key("pipeline.epoch-bytes", Kind::Bytes, "a worker reads at most so much into one epoch"),
    key("pipeline.memory-limit", Kind::Bytes, "for all state of a pipeline; over it the pipeline fails"),
    key(
        "pipeline.seed",
        Kind::Count(0, u64::MAX >> 1),
        "what hash functions and random choices are drawn from; sketches of one seed can be merged",
    ),
    key("online.confidence", Kind::Share, "how often the truth is to be in the intervals of SELECT ONLINE; 0.95"),
    key(
        "online.method",
        Kind::Choice(&["clt", "hoeffding", "deterministic"]),
        "how the intervals of SELECT ONLINE are come by: as a rule right (clt, the default), at least as often right as they \
         claim, always right",
    ),
    key(
        "online.bounds",
        Kind::Bounds,
        "least and greatest values of columns, known beforehand, for the last two methods",
    ),
    key("online.interval", Kind::Duration, "time between the estimates of SELECT ONLINE; 100 ms"),
    key("execution.runtime-mode", Kind::Choice(&["streaming"]), "only streaming"),
    key(
        "sql-client.execution.result-mode",
        Kind::Choice(&["table", "changelog", "tableau"]),
        "how a query's rows are shown",
    ),
    key(
        "sql-client.execution.max-table-result.rows",
        Kind::Count(1, 1_000_000_000),
        "rows shown of a query in table mode",
    ),
    key("table.dml-sync", Kind::Choice(&["true", "false"]), "whether INSERT waits for its pipeline to end"),
    key(
        "table.exec.sink.upsert-materialize",
        Kind::Ignored("a sink always sees one net change per key and epoch"),
        "no effect",
    ),
    key(
        "table.exec.sink.not-null-enforcer",
        Kind::Ignored("a NULL in a NOT NULL column is always an error"),
        "no effect",
    ),
    key("table.exec.mini-batch.enabled", Kind::Ignored(BATCHED), "no effect"),
    key("table.exec.mini-batch.allow-latency", Kind::Ignored(BATCHED), "no effect"),
    key("table.exec.mini-batch.size", Kind::Ignored(BATCHED), "no effect"),
    key("table.optimizer.agg-phase-strategy", Kind::Ignored(BATCHED), "no effect"),
    key("table.optimizer.distinct-agg.split.enabled", Kind::Ignored(BATCHED), "no effect"),
    key("table.optimizer.distinct-agg.split.bucket-num", Kind::Ignored(BATCHED), "no effect"),
    key(
        "table.optimizer.join-reorder-enabled",
        Kind::Ignored("joins run in the order in which they are written"),
        "no effect",
    ),
    key("table.optimizer.multiple-input-enabled", Kind::Ignored(BATCHED), "no effect"),
    key(
        "table.optimizer.reuse-source-enabled",
        Kind::Ignored("equal parts of a pipeline are always shared"),
        "no effect",
    ),
    key(
        "table.optimizer.reuse-sub-plan-enabled",
        Kind::Ignored("equal parts of a pipeline are always shared"),
        "no effect",
    ),
    key("table.exec.deduplicate.mini-batch.compact-changes-enabled", Kind::Ignored(BATCHED), "no effect"),
    key("table.exec.legacy-cast-behaviour", Kind::Ignored("casts fail loudly; TRY_CAST gives NULL"), "no effect"),
    key("pipeline.object-reuse", Kind::Ignored(BATCHED), "no effect"),
    key("pipeline.max-parallelism", Kind::Ignored("state always lies in 256 key groups"), "no effect"),
    key("execution.checkpointing.mode", Kind::Ignored(ALWAYS), "no effect"),
    key("execution.checkpointing.timeout", Kind::Ignored(ALWAYS), "no effect"),
    key("execution.checkpointing.unaligned", Kind::Ignored(ALWAYS), "no effect"),
    key("execution.checkpointing.unaligned.enabled", Kind::Ignored(ALWAYS), "no effect"),
    key("execution.checkpointing.incremental", Kind::Ignored("snapshots are always incremental"), "no effect"),
    key("execution.checkpointing.min-pause", Kind::Ignored(ALWAYS), "no effect"),
    key("execution.checkpointing.max-concurrent-checkpoints", Kind::Ignored(ALWAYS), "no effect"),
    key("execution.checkpointing.externalized-checkpoint-retention", Kind::Ignored(KEPT), "no effect"),
    key("state.backend", Kind::Ignored(KEPT), "no effect"),
    key("state.backend.type", Kind::Ignored(KEPT), "no effect"),
    key("state.backend.incremental", Kind::Ignored("snapshots are always incremental"), "no effect"),
    key("state.checkpoints.dir", Kind::Ignored(KEPT), "no effect"),
    key("execution.checkpointing.dir", Kind::Ignored(KEPT), "no effect"),
    key("sql-client.verbose", Kind::Ignored("errors are always told in full"), "no effect"),
];

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, about }
}

/// The setting of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The settings of a session: what SET has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionSettings {
    changed: BTreeMap<&'static str, String>,
}

impl SessionSettings {
    /// Changes a setting. Returns a note if it is accepted but has no effect. The error has no place.
    pub fn set(&mut self, name: &str, value: &str) -> Result<Option<&'static str>> {
        let key = find(name).ok_or_else(|| unknown(name))?;
        let value = value.trim();
        check(key, value)?;
        self.changed.insert(key.name, value.to_owned());
        match key.kind {
            Kind::Ignored(why) => Ok(Some(why)),
            _ => Ok(None),
        }
    }

    /// Changes a setting back to its default. The error has no place.
    pub fn reset(&mut self, name: &str) -> Result<()> {
        let key = find(name).ok_or_else(|| unknown(name))?;
        self.changed.remove(key.name);
        Ok(())
    }

    /// Changes all settings back to their defaults.
    pub fn reset_all(&mut self) {
        self.changed.clear();
    }

    /// The value that SET gave to a setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.changed.get(name).map(String::as_str)
    }

    /// What SET has changed, by name.
    pub fn changed(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.changed.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The settings of SELECT ONLINE.
    pub fn online(&self) -> OnlineSettings {
        let defaults = OnlineSettings::default();
        let confidence = self.get("online.confidence").and_then(|value| value.parse().ok());
        let interval_ms = self.get("online.interval").and_then(|value| duration(value).ok()).map(millis);
        let method = match self.get("online.method").map(str::to_lowercase).as_deref() {
            Some("hoeffding") => OnlineMethod::Conservative,
            Some("deterministic") => OnlineMethod::Deterministic,
            _ => OnlineMethod::LargeSample,
        };
        OnlineSettings {
            confidence: confidence.unwrap_or(defaults.confidence),
            interval_ms: interval_ms.unwrap_or(defaults.interval_ms),
            method,
            bounds: self.get("online.bounds").and_then(|text| online_bounds(text).ok()).unwrap_or_default(),
        }
    }

    /// `pipeline.name`, if set.
    pub fn pipeline_name(&self) -> Option<&str> {
        self.get("pipeline.name")
    }

    /// The settings that a pipeline's execution depends on.
    pub fn pipeline(&self) -> Settings {
        let defaults = Settings::default();
        let first = |names: &[&str]| names.iter().find_map(|name| self.get(name));
        let count = |names: &[&str]| first(names).and_then(|value| value.parse::<usize>().ok());
        let millis = |name: &str| self.get(name).and_then(|value| duration(value).ok()).map(millis);
        let size = |name: &str| self.get(name).and_then(|value| bytes(value).ok());
        let retained = [
            "execution.checkpointing.retained",
            "execution.checkpointing.num-retained",
            "state.checkpoints.num-retained",
        ];
        Settings {
            workers: count(&["parallelism.default", "table.exec.resource.default-parallelism"])
                .unwrap_or(defaults.workers),
            idle_timeout_ms: millis("table.exec.source.idle-timeout").unwrap_or(defaults.idle_timeout_ms),
            state_ttl_ms: millis("table.exec.state.ttl").unwrap_or(defaults.state_ttl_ms),
            snapshot_interval_ms: millis("execution.checkpointing.interval").unwrap_or(defaults.snapshot_interval_ms),
            snapshots_retained: count(&retained).unwrap_or(defaults.snapshots_retained),
            time_zone: self.get("table.local-time-zone").map_or(defaults.time_zone, str::to_owned),
            epoch_bytes: size("pipeline.epoch-bytes").unwrap_or(defaults.epoch_bytes),
            memory_limit: size("pipeline.memory-limit").unwrap_or(defaults.memory_limit),
            seed: self.get("pipeline.seed").and_then(|seed| seed.parse().ok()).unwrap_or(defaults.seed),
        }
    }
}

/// How SELECT ONLINE answers.
#[derive(Debug, Clone, PartialEq)]
pub struct OnlineSettings {
    /// `online.confidence`: how often the truth is to be in an interval, above 0 and below 1.
    pub confidence: f64,
    /// `online.interval`: milliseconds between estimates.
    pub interval_ms: u64,
    /// `online.method`: how intervals are come by.
    pub method: OnlineMethod,
    /// `online.bounds`: what is known of columns beforehand.
    pub bounds: Vec<OnlineBounds>,
}

impl Default for OnlineSettings {
    fn default() -> Self {
        OnlineSettings { confidence: 0.95, interval_ms: 100, method: OnlineMethod::LargeSample, bounds: vec![] }
    }
}

/// Columns with their bounds: `dollars 0 1500, cds 1 100`. The error is what is wrong with the text.
fn online_bounds(text: &str) -> std::result::Result<Vec<OnlineBounds>, String> {
    let one = |entry: &str| {
        let words: Vec<&str> = entry.split_whitespace().collect();
        let [column, low, high] = words[..] else { return Err(format!("`{}` is not of that form", entry.trim())) };
        let number = |word: &str| word.parse::<f64>().ok().filter(|value| value.is_finite());
        let number = |word: &str| number(word).ok_or_else(|| format!("`{word}` is no number"));
        let (low, high) = (number(low)?, number(high)?);
        if low > high {
            return Err(format!("{low} is greater than {high}"));
        }
        Ok(OnlineBounds { column: column.to_owned(), from: BoundsFrom::Known { low, high } })
    };
    text.split(',').map(one).collect()
}

/// All settings as text for a terminal: name, values, purpose.
pub fn documentation() -> String {
    let width = KEYS.iter().map(|key| key.name.len()).max().unwrap_or(0);
    let line = |key: &Key| {
        let about = match key.kind {
            Kind::Ignored(why) => format!("accepted without effect: {why}"),
            _ => format!("{}; {}", key.kind, key.about),
        };
        format!("{:width$}  {about}\n", key.name)
    };
    KEYS.iter().map(line).collect()
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kind::Count(min, max) => write!(f, "{min} to {max}"),
            Kind::Duration => f.write_str("a duration such as '10 s'"),
            Kind::Bytes => f.write_str("a size such as '8 mb'"),
            Kind::Zone => f.write_str("a time zone such as 'Europe/Berlin'"),
            Kind::Share => f.write_str("a number above 0 and below 1"),
            Kind::Bounds => f.write_str("columns with bounds such as 'dollars 0 1500, cds 1 100'"),
            Kind::Text => f.write_str("a text"),
            Kind::Choice(choices) => f.write_str(&choices.join(" or ")),
            Kind::Ignored(_) => f.write_str("any value"),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn unknown(name: &str) -> Error {
    let error = Error::input("E018", format!("unknown setting '{name}'"));
    match nearest(name, KEYS.iter().map(|key| key.name)) {
        Some(near) => error.with_hint(format!("did you mean '{near}'?")),
        None => error.with_hint("SET; without arguments lists every setting"),
    }
}

fn check(key: &Key, value: &str) -> Result<()> {
    let wrong = |what: String| Error::input("E019", format!("'{}' takes {what}, not '{value}'", key.name));
    match key.kind {
        Kind::Count(min, max) => match value.parse::<u64>() {
            Ok(count) if (min..=max).contains(&count) => Ok(()),
            _ => Err(wrong(format!("a whole number from {min} to {max}"))),
        },
        Kind::Duration => duration(value).map(drop).map_err(|()| {
            wrong("a duration".to_owned()).with_hint("for example '500 ms', '10 s', '5 min', '1 h' or '2 d'")
        }),
        Kind::Bytes => match bytes(value) {
            Ok(size) if size > 0 => Ok(()),
            _ => Err(wrong("a size".to_owned()).with_hint("for example '64 kb', '8 mb' or '4 gb'")),
        },
        Kind::Zone if is_zone(value) => Ok(()),
        Kind::Zone => Err(wrong("a time zone".to_owned()).with_hint("for example 'UTC', 'Europe/Berlin' or '+02:00'")),
        Kind::Choice(choices) if choices.iter().any(|choice| choice.eq_ignore_ascii_case(value)) => Ok(()),
        Kind::Choice(_) if key.name == "execution.runtime-mode" && value.eq_ignore_ascii_case("batch") => {
            Err(Error::unsupported("E201", "batch mode is not in this build")
                .with_hint("a bounded source ends by itself in streaming mode, with the same final answer"))
        }
        Kind::Choice(choices) => Err(wrong(format!("one of {}", choices.join(", ")))),
        Kind::Share => match value.parse::<f64>() {
            Ok(share) if share > 0.0 && share < 1.0 => Ok(()),
            _ => Err(wrong("a number above 0 and below 1".to_owned())),
        },
        Kind::Bounds => online_bounds(value).map(drop).map_err(|problem| {
            wrong("columns, each with its least and greatest value".to_owned())
                .with_detail(problem)
                .with_hint("for example 'dollars 0 1500, cds 1 100'")
        }),
        Kind::Text if value.is_empty() => Err(wrong("a text".to_owned())),
        Kind::Text | Kind::Ignored(_) => Ok(()),
    }
}

/// Units of a duration, in nanoseconds.
const DURATION_UNITS: &[(&[&str], u64)] = &[
    (&["ns", "nano", "nanos", "nanosecond", "nanoseconds"], 1),
    (&["us", "µs", "micro", "micros", "microsecond", "microseconds"], 1_000),
    (&["", "ms", "milli", "millis", "millisecond", "milliseconds"], 1_000_000),
    (&["s", "sec", "secs", "second", "seconds"], 1_000_000_000),
    (&["m", "min", "mins", "minute", "minutes"], 60_000_000_000),
    (&["h", "hour", "hours"], 3_600_000_000_000),
    (&["d", "day", "days"], 86_400_000_000_000),
];

/// Units of a size, in bytes.
const BYTE_UNITS: &[(&[&str], u64)] = &[
    (&["", "b", "byte", "bytes"], 1),
    (&["k", "kb", "kib", "kibibytes"], 1 << 10),
    (&["m", "mb", "mib", "mebibytes"], 1 << 20),
    (&["g", "gb", "gib", "gibibytes"], 1 << 30),
    (&["t", "tb", "tib", "tebibytes"], 1 << 40),
];

/// A duration as Flink writes it: a whole number and a unit, which without one is milliseconds.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(fleuve_sql::settings::duration("5 min"), Ok(Duration::from_secs(300)));
/// assert_eq!(fleuve_sql::settings::duration("5 parsecs"), Err(()));
/// ```
#[allow(clippy::result_unit_err, reason = "the caller knows what the value is for and says so")]
pub fn duration(text: &str) -> Result<Duration, ()> {
    number_with_unit(text, DURATION_UNITS).map(Duration::from_nanos)
}

/// A size as Flink writes it: a whole number and a unit (powers of 1,024), which without one is bytes.
#[allow(clippy::result_unit_err, reason = "the caller knows what the value is for and says so")]
pub fn bytes(text: &str) -> Result<usize, ()> {
    number_with_unit(text, BYTE_UNITS).and_then(|bytes| usize::try_from(bytes).map_err(drop))
}

fn number_with_unit(text: &str, units: &[(&[&str], u64)]) -> Result<u64, ()> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(drop)?;
    let unit = text[digits..].trim().to_lowercase();
    let (_, scale) = units.iter().find(|(names, _)| names.contains(&unit.as_str())).ok_or(())?;
    number.checked_mul(*scale).ok_or(())
}

/// Whether the text has the form of a zone: `UTC`, `Area/City`, `+02:00`, `GMT+2`. Whether the zone exists is for
/// whoever holds the zones' table.
fn is_zone(text: &str) -> bool {
    let offset = text.strip_prefix("GMT").or(text.strip_prefix("UTC")).unwrap_or(text);
    let is_offset = offset.strip_prefix(['+', '-']).is_some_and(|rest| {
        let digits = rest.chars().filter(char::is_ascii_digit).count();
        (1..=4).contains(&digits) && rest.chars().all(|c| c.is_ascii_digit() || c == ':')
    });
    let is_name = text.contains('/') && text.chars().all(|c| c.is_ascii_alphanumeric() || "/_-+".contains(c));
    ["UTC", "GMT", "Z"].contains(&text) || is_offset || is_name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = SessionSettings::default();
        for (name, value) in pairs {
            settings.set(name, value).expect("a valid setting");
        }
        settings.pipeline()
    }

    #[test]
    fn nothing_set_is_the_default() {
        assert_eq!(with(&[]), Settings::default());
    }

    #[test]
    fn every_setting_of_the_plan_can_be_set() {
        let settings = with(&[
            ("parallelism.default", "4"),
            ("table.exec.source.idle-timeout", "5 s"),
            ("table.exec.state.ttl", "24 h"),
            ("execution.checkpointing.interval", "1 min"),
            ("state.checkpoints.num-retained", "3"),
            ("table.local-time-zone", "Europe/Berlin"),
            ("pipeline.epoch-bytes", "1 mb"),
            ("pipeline.memory-limit", "2gb"),
            ("pipeline.seed", "17"),
        ]);
        let expected = Settings {
            workers: 4,
            idle_timeout_ms: 5_000,
            state_ttl_ms: 86_400_000,
            snapshot_interval_ms: 60_000,
            snapshots_retained: 3,
            time_zone: "Europe/Berlin".to_owned(),
            epoch_bytes: 1 << 20,
            memory_limit: 2 << 30,
            seed: 17,
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn wrong_names_and_values_say_what_is_right() {
        let error = |name: &str, value: &str| {
            let error = SessionSettings::default().set(name, value).expect_err("a wrong setting");
            format!("{error} | {}", error.hint().unwrap_or(""))
        };
        assert_eq!(
            error("table.exec.state.tll", "1 h"),
            "error[E018]: unknown setting 'table.exec.state.tll' | did you mean 'table.exec.state.ttl'?"
        );
        assert_eq!(
            error("parallelism.default", "0"),
            "error[E019]: 'parallelism.default' takes a whole number from 1 to 256, not '0' | "
        );
        assert_eq!(
            error("table.exec.state.ttl", "soon"),
            "error[E019]: 'table.exec.state.ttl' takes a duration, not 'soon' | for example '500 ms', '10 s', '5 min', '1 h' or '2 d'"
        );
        assert!(error("execution.runtime-mode", "BATCH").starts_with("error[E201]: batch mode is not in this build"));
        assert!(
            error("table.local-time-zone", "Mars")
                .starts_with("error[E019]: 'table.local-time-zone' takes a time zone")
        );
        assert!(error("pipeline.memory-limit", "99999999 tb").starts_with("error[E019]"));
    }

    #[test]
    fn methods_and_bounds_of_estimates() {
        let mut settings = SessionSettings::default();
        settings.set("online.method", "Hoeffding").expect("a method");
        settings.set("online.bounds", "dollars 0 1500, cds -1 1e2").expect("bounds");
        let (online, known) = (settings.online(), |low, high| BoundsFrom::Known { low, high });
        let bounds = |column: &str, from| OnlineBounds { column: column.to_owned(), from };
        assert_eq!(online.method, OnlineMethod::Conservative);
        assert_eq!(online.bounds, [bounds("dollars", known(0.0, 1500.0)), bounds("cds", known(-1.0, 100.0))]);
        for (wrong, detail) in [
            ("dollars 0", "`dollars 0` is not of that form"),
            ("dollars 0 many", "`many` is no number"),
            ("dollars 0 inf", "`inf` is no number"),
            ("dollars 5 1", "5 is greater than 1"),
        ] {
            let error = settings.set("online.bounds", wrong).expect_err("a wrong setting");
            assert_eq!((error.code(), error.detail()), ("E019", Some(detail)));
        }
    }

    #[test]
    fn harmless_settings_come_with_a_note() {
        let mut settings = SessionSettings::default();
        assert!(settings.set("table.exec.mini-batch.enabled", "true").is_ok_and(|note| note.is_some()));
        assert!(settings.set("pipeline.name", "orders").is_ok_and(|note| note.is_none()));
        assert_eq!(settings.pipeline_name(), Some("orders"));
        settings.reset("pipeline.name").expect("a known setting");
        assert_eq!(settings.pipeline_name(), None);
    }

    #[test]
    fn durations_and_sizes() {
        assert_eq!(duration("10 s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("10"), Ok(Duration::from_millis(10)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3_600)));
        assert_eq!(duration("-1 s"), Err(()));
        assert_eq!(duration(""), Err(()));
        assert_eq!(bytes("64 KB"), Ok(65_536));
        assert_eq!(bytes("1 mile"), Err(()));
    }

    #[test]
    fn names_are_unique() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(KEYS[..index].iter().all(|other| other.name != key.name), "{}", key.name);
        }
    }
}
