//! What can be set: for the whole log, and for each topic.

use fleuve_base::limits::BATCH_BYTES_MAX;
use fleuve_base::{Error, Result};
use serde::{Deserialize, Serialize};

/// Who runs the commit rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CommitMode {
    /// A thread of the log's own.
    #[default]
    Thread,
    /// The caller, by [`Log::commit_now`](crate::Log::commit_now) or by waiting for a ticket. For simulations.
    Manual,
}

/// Settings of a [`Log`](crate::Log).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogOptions {
    /// Who runs the commit rounds.
    pub commit: CommitMode,
}

/// When a record counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// After an `fdatasync`: it survives a power cut.
    #[default]
    Sync,
    /// When the operating system has it: it survives the process, not a power cut.
    Os,
}

/// Bytes of the smallest and largest segment that may be asked for. One batch always fits, so a segment
/// may become larger than asked by almost [`BATCH_BYTES_MAX`]; positions stay below 2^32.
pub const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 1 << 10..=1 << 30;

/// Settings of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TopicConfig {
    /// Records may go when their segment was last appended to so long ago. `None`: never.
    pub retention_ms: Option<u64>,
    /// The oldest segments may go when the rest holds so many bytes. `None`: never.
    pub retention_bytes: Option<u64>,
    /// A segment that has reached so many bytes is sealed.
    pub segment_bytes: u64,
    /// When a record counts as stored.
    pub durability: Durability,
}

impl Default for TopicConfig {
    /// Kept for ever, in segments of 128 MiB (what a restart reads again), synced before acknowledged.
    fn default() -> Self {
        TopicConfig {
            retention_ms: None,
            retention_bytes: None,
            segment_bytes: 2 * BATCH_BYTES_MAX as u64,
            durability: Durability::Sync,
        }
    }
}

impl TopicConfig {
    pub(crate) fn check(&self) -> Result<()> {
        if SEGMENT_BYTES.contains(&self.segment_bytes) {
            return Ok(());
        }
        let (asked, least, most) = (self.segment_bytes, SEGMENT_BYTES.start(), SEGMENT_BYTES.end());
        Err(Error::input("E712", format!("a segment cannot have {asked} bytes; from {least} to {most} are possible")))
    }
}
