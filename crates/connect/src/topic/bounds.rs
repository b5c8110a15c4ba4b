//! Where reading a topic begins and ends.

use std::sync::Arc;

use fleuve_base::{Error, Result};
use fleuve_journal::Partition;
use parking_lot::Mutex;

use crate::options::Options;

/// `scan.startup.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// At the first record that is there.
    Earliest,
    /// After the last one.
    Latest,
    /// At the first record that is not older, in ms since 1970.
    Timestamp(i64),
}

impl Start {
    pub(crate) fn of(options: &Options) -> Result<Self> {
        Ok(match options.text("scan.startup.mode") {
            Some("latest-offset") => Start::Latest,
            Some("timestamp") => match options.integer("scan.startup.timestamp-millis")? {
                Some(ms) => Start::Timestamp(ms),
                None => {
                    let table = options.table();
                    let message =
                        format!("table `{table}`: startup mode 'timestamp' needs 'scan.startup.timestamp-millis'");
                    return Err(Error::input("E503", message));
                }
            },
            _ => Start::Earliest,
        })
    }

    /// The offset in a partition.
    pub(crate) fn offset(self, partition: &Partition) -> Result<u64> {
        match self {
            Start::Earliest => Ok(partition.log_start_offset()),
            Start::Latest => Ok(partition.last_stable_offset()),
            Start::Timestamp(ms) => {
                Ok(partition.offset_for_time(ms)?.unwrap_or_else(|| partition.last_stable_offset()))
            }
        }
    }

    /// Whether another look later would give the same offset; if not, the first answer has to be journalled.
    pub(crate) fn is_fixed(self) -> bool {
        self == Start::Earliest
    }
}

/// Where a partition ends, if it does.
#[derive(Debug, Clone)]
pub(crate) enum Ending {
    /// It does not.
    Never,
    /// At these offsets, by partition.
    At(Vec<u64>),
    /// When whoever fills the only partition says so.
    WhenClosed(Arc<Mutex<Option<u64>>>),
}

impl Ending {
    /// `scan.bounded.mode`.
    pub(crate) fn of(options: &Options, partitions: &[Arc<Partition>]) -> Self {
        match options.text("scan.bounded.mode") {
            Some("latest-offset") => Ending::At(partitions.iter().map(|p| p.last_stable_offset()).collect()),
            _ => Ending::Never,
        }
    }

    /// The end of a partition, if it is known by now.
    pub(crate) fn of_partition(&self, partition: usize) -> Option<u64> {
        match self {
            Ending::Never => None,
            Ending::At(ends) => ends.get(partition).copied(),
            Ending::WhenClosed(end) => *end.lock(),
        }
    }
}
