//! Where reading a topic begins and ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleuve_base::{Error, Result};
use fleuve_journal::Partition;
use parking_lot::Mutex;

use crate::options::Options;

/// The offsets that consumer groups have committed: who keeps them is for the owner of the log to know.
pub trait GroupOffsets: Send + Sync {
    /// The offset from which `group` reads on, if it has committed one.
    fn committed(&self, group: &str, topic: &str, partition: u32) -> Result<Option<u64>>;

    /// Has `group` go on at these offsets of (topic, partition), for all to see how far a pipeline is. It does not depend
    /// on that, so nobody waits for it.
    fn commit(&self, group: &str, offsets: Vec<(String, u32, u64)>);
}

/// Where reading starts: `scan.startup.mode`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// At the first record that is there.
    Earliest,
    /// After the last one.
    Latest,
    /// At the first record that is not older, in ms since 1970.
    Timestamp(i64),
    /// At these offsets, by partition; where none is stated at the first record.
    Specific(BTreeMap<u32, u64>),
    /// Where a group reads on.
    Group {
        /// Its name.
        group: String,
        /// Where to start if it has committed nothing: an error without an answer.
        otherwise: Option<Reset>,
    },
}

/// `properties.auto.offset.reset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reset {
    Earliest,
    Latest,
}

impl Start {
    pub(crate) fn of(options: &Options) -> Result<Self> {
        Ok(match options.text("scan.startup.mode") {
            Some("latest-offset") => Start::Latest,
            Some("timestamp") => Start::Timestamp(needed_millis(options, "scan.startup.timestamp-millis")?),
            Some("specific-offsets") => Start::Specific(offsets(options, "scan.startup.specific-offsets")?),
            Some("group-offsets") => Start::Group { group: needed_group(options)?, otherwise: reset(options)? },
            _ => Start::Earliest,
        })
    }

    /// Whether another look later would give the same offset; if not, the first answer has to be journalled.
    pub(crate) fn is_fixed(&self) -> bool {
        matches!(self, Start::Earliest | Start::Specific(_))
    }

    /// The offset in a partition of the log.
    pub(crate) fn offset(&self, partition: &Partition, groups: Option<&Arc<dyn GroupOffsets>>) -> Result<u64> {
        let (start, end) = (partition.log_start_offset(), partition.last_stable_offset());
        let (topic, number) = (&partition.id().topic, partition.id().partition);
        match self {
            Start::Earliest => Ok(start),
            Start::Latest => Ok(end),
            Start::Timestamp(ms) => Ok(partition.offset_for_time(*ms)?.unwrap_or(end)),
            Start::Specific(offsets) => Ok(offsets.get(&number).copied().unwrap_or(start)),
            Start::Group { group, otherwise } => {
                let committed = groups.map(|groups| groups.committed(group, topic, number)).transpose()?.flatten();
                match (committed, otherwise) {
                    (Some(offset), _) => Ok(offset),
                    (None, Some(Reset::Earliest)) => Ok(start),
                    (None, Some(Reset::Latest)) => Ok(end),
                    (None, None) => Err(nothing_committed(group, topic, number)),
                }
            }
        }
    }
}

/// A group from whose place reading was to go on has none.
pub(crate) fn nothing_committed(group: &str, topic: &str, partition: u32) -> Error {
    let message = format!("group `{group}` has committed no offset of topic `{topic}`, partition {partition}");
    Error::input("E513", message).with_hint(
        "set 'properties.auto.offset.reset' = 'earliest' or 'latest', or another 'scan.startup.mode' such as 'earliest-offset'",
    )
}

fn needed_millis(options: &Options, key: &str) -> Result<i64> {
    options.integer(key)?.ok_or_else(|| {
        let mode = key.replace("timestamp-millis", "mode");
        Error::input("E503", format!("table `{}`: '{mode}' = 'timestamp' needs '{key}'", options.table()))
    })
}

fn needed_group(options: &Options) -> Result<String> {
    options.stated("properties.group.id").map(str::to_owned).ok_or_else(|| {
        let message =
            format!("table `{}`: 'scan.startup.mode' = 'group-offsets' needs 'properties.group.id'", options.table());
        Error::input("E503", message)
            .with_detail("reading goes on where a consumer group is, unless another mode is stated")
            .with_hint("add 'scan.startup.mode' = 'earliest-offset' to its WITH options to read all that is there")
    })
}

fn reset(options: &Options) -> Result<Option<Reset>> {
    match options.stated("properties.auto.offset.reset") {
        None | Some("none") => Ok(None),
        Some("earliest") => Ok(Some(Reset::Earliest)),
        Some("latest") => Ok(Some(Reset::Latest)),
        Some(other) => {
            let message = format!(
                "table `{}`: 'properties.auto.offset.reset' = '{other}' is not one of earliest, latest, none",
                options.table()
            );
            Err(Error::input("E502", message))
        }
    }
}

/// `partition:0,offset:42;partition:1,offset:300`.
fn offsets(options: &Options, key: &str) -> Result<BTreeMap<u32, u64>> {
    let text = options.required(key)?;
    let entry = |entry: &str| {
        let (partition, offset) = entry.trim().split_once(',')?;
        let partition = partition.trim().strip_prefix("partition:")?.trim().parse().ok()?;
        Some((partition, offset.trim().strip_prefix("offset:")?.trim().parse().ok()?))
    };
    let found: Option<BTreeMap<u32, u64>> = text.split(';').map(entry).collect();
    found.ok_or_else(|| {
        Error::input("E502", format!("table `{}`: '{key}' = '{text}' is no list of offsets", options.table()))
            .with_hint("for example 'partition:0,offset:42;partition:1,offset:300'")
    })
}

/// Where a table ends: `scan.bounded.mode`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Never.
    Never,
    /// At what is there when the pipeline starts.
    Latest,
    /// Before the first record that is not older, in ms since 1970.
    Timestamp(i64),
    /// At these offsets, by partition; a partition without one is not read.
    Specific(BTreeMap<u32, u64>),
}

impl Bound {
    pub(crate) fn of(options: &Options) -> Result<Self> {
        Ok(match options.text("scan.bounded.mode") {
            Some("latest-offset") => Bound::Latest,
            Some("timestamp") => Bound::Timestamp(needed_millis(options, "scan.bounded.timestamp-millis")?),
            Some("specific-offsets") => Bound::Specific(offsets(options, "scan.bounded.specific-offsets")?),
            _ => Bound::Never,
        })
    }

    fn offset(&self, partition: &Partition) -> Result<u64> {
        let end = partition.last_stable_offset();
        Ok(match self {
            Bound::Never => u64::MAX,
            Bound::Latest => end,
            Bound::Timestamp(ms) => partition.offset_for_time(*ms)?.unwrap_or(end),
            Bound::Specific(offsets) => offsets.get(&partition.id().partition).copied().unwrap_or(0),
        })
    }
}

/// Where a partition ends, if it does.
#[derive(Debug, Clone)]
pub(crate) enum Ending {
    /// It does not.
    Never,
    /// At these offsets, by split.
    At(Vec<u64>),
    /// When whoever fills the only partition says so.
    WhenClosed(Arc<Mutex<Option<u64>>>),
}

impl Ending {
    /// The ends of these splits; those of none are at 0.
    pub(crate) fn of(bound: &Bound, splits: &[Option<Arc<Partition>>]) -> Result<Self> {
        let end = |split: &Option<Arc<Partition>>| split.as_ref().map_or(Ok(0), |partition| bound.offset(partition));
        match bound {
            Bound::Never => Ok(Ending::Never),
            _ => Ok(Ending::At(splits.iter().map(end).collect::<Result<_>>()?)),
        }
    }

    /// The end of a split, if it is known by now.
    pub(crate) fn of_split(&self, split: usize) -> Option<u64> {
        match self {
            Ending::Never => None,
            Ending::At(ends) => ends.get(split).copied(),
            Ending::WhenClosed(end) => *end.lock(),
        }
    }
}
