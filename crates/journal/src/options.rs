//! What can be set: for the whole log, and for each topic.

use fleuve_base::limits::BATCH_BYTES_MAX;
use fleuve_base::{Error, Result};
use serde::{Deserialize, Serialize};

/// Who commits: syncs what was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CommitMode {
    /// Threads of the log's own.
    #[default]
    Thread,
    /// The caller, by [`Log::commit_now`](crate::Log::commit_now) or by waiting for a ticket. For simulations.
    Manual,
}

/// Settings of a [`Log`](crate::Log).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogOptions {
    /// Who commits: syncs what was appended.
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

/// How a topic is kept from growing for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cleanup {
    /// Old segments go, by age and size.
    #[default]
    Delete,
    /// Of each key the last record stays.
    Compact,
    /// Both.
    Both,
}

impl Cleanup {
    /// Whether age and size remove segments.
    pub fn deletes(self) -> bool {
        self != Cleanup::Compact
    }

    /// Whether records go that a later one of the same key has replaced.
    pub fn compacts(self) -> bool {
        self != Cleanup::Delete
    }
}

/// Whose clock a record's timestamp is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Timestamps {
    /// The producer's.
    #[default]
    Create,
    /// The log's, when it appended the batch.
    Append,
}

/// Bytes of the smallest and largest segment that may be asked for. One batch always fits, so a segment
/// may become larger than asked by almost [`BATCH_BYTES_MAX`]; positions stay below 2^32.
pub const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 1 << 10..=1 << 30;

/// Settings of a topic. A file of settings that lacks some of them means their defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicConfig {
    /// How records go.
    pub cleanup: Cleanup,
    /// Records may go when their segment was last appended to so long ago. `None`: never.
    pub retention_ms: Option<u64>,
    /// The oldest segments may go when the rest holds so many bytes. `None`: never.
    pub retention_bytes: Option<u64>,
    /// A segment that has reached so many bytes is sealed.
    pub segment_bytes: u64,
    /// A segment that began so long ago is sealed. `None`: never.
    pub segment_ms: Option<u64>,
    /// The log is compacted when so many thousandths of its sealed bytes have not been compacted yet.
    pub min_cleanable_permille: u16,
    /// Records of segments younger than this are not compacted.
    pub min_compaction_lag_ms: u64,
    /// The log is compacted, whatever the share, when its oldest segment that was not is older than this.
    pub max_compaction_lag_ms: Option<u64>,
    /// A tombstone stays so long after its compaction, for readers that are behind.
    pub delete_retention_ms: u64,
    /// Whose clock timestamps are.
    pub timestamps: Timestamps,
    /// Bytes of the largest batch that [`Partition::append`](crate::Partition::append) takes.
    pub batch_bytes_max: u32,
    /// When a record counts as stored.
    pub durability: Durability,
}

impl Default for TopicConfig {
    /// Kept for ever, in segments of 128 MiB (what a restart reads again), synced before acknowledged.
    fn default() -> Self {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        TopicConfig {
            cleanup: Cleanup::Delete,
            retention_ms: None,
            retention_bytes: None,
            segment_bytes: 2 * BATCH_BYTES_MAX as u64,
            segment_ms: None,
            min_cleanable_permille: 500,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: None,
            delete_retention_ms: DAY_MS,
            timestamps: Timestamps::Create,
            batch_bytes_max: BATCH_BYTES_MAX as u32,
            durability: Durability::Sync,
        }
    }
}

impl TopicConfig {
    pub(crate) fn check(&self) -> Result<()> {
        if !SEGMENT_BYTES.contains(&self.segment_bytes) {
            let (asked, least, most) = (self.segment_bytes, SEGMENT_BYTES.start(), SEGMENT_BYTES.end());
            return Err(wrong(format!("a segment cannot have {asked} bytes; from {least} to {most} are possible")));
        }
        if self.min_cleanable_permille > 1000 {
            return Err(wrong(format!("{} thousandths are more than all", self.min_cleanable_permille)));
        }
        Ok(())
    }
}

fn wrong(message: String) -> Error {
    Error::input("E712", message)
}
