//! What the log holds when all is over, read once more from the first offset to the last.

use std::collections::BTreeMap;

use crate::history::Place;
use crate::value::Value;

/// A record as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its offset.
    pub offset: i64,
    /// Its value; `None` for bytes that nobody wrote.
    pub value: Option<Value>,
}

/// The offsets of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Offset of its first record.
    pub first: i64,
    /// Offset of its last record.
    pub last: i64,
}

/// One partition's content.
#[derive(Debug, Clone, Default)]
pub struct Partition {
    /// Every batch, markers of transactions included.
    pub extents: Vec<Extent>,
    /// All records but markers.
    pub all: Vec<Stored>,
    /// Those that a reader of committed records gets.
    pub committed: Vec<Stored>,
}

/// The content of all partitions, and the offsets of all groups.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// By partition.
    pub partitions: BTreeMap<Place, Partition>,
    /// Committed offsets by group and partition; −1 for none.
    pub groups: BTreeMap<(u32, Place), i64>,
}
