//! A partition that a waiting fetch watches: what has happened to it since it was last read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fleuve_journal::Partition;

/// A partition, and how it was before it was last read.
pub(super) struct Watched {
    pub(super) partition: Arc<Partition>,
    offset: u64,
    high_watermark: AtomicU64,
    size_bytes: AtomicU64,
}

impl Watched {
    /// Nothing is known yet.
    pub(super) fn new(partition: &Arc<Partition>, offset: i64) -> Self {
        let offset = u64::try_from(offset).unwrap_or(0);
        let (high_watermark, size_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Watched { partition: Arc::clone(partition), offset, high_watermark, size_bytes }
    }

    /// Notes how the partition is now. The size matters only to those who want more than one byte.
    pub(super) fn note(&self, with_size: bool) {
        self.high_watermark.store(self.partition.high_watermark(), Ordering::Release);
        if with_size {
            self.size_bytes.store(self.partition.size_bytes(), Ordering::Release);
        }
    }

    /// Whether records became durable since the last note.
    pub(super) fn has_moved(&self) -> bool {
        self.partition.high_watermark() != self.high_watermark.load(Ordering::Acquire)
    }

    /// Whether a reader of committed records would get any.
    pub(super) fn has_stable_records(&self) -> bool {
        self.partition.last_stable_offset() > self.offset
    }

    /// Bytes that were added since the last call or note.
    pub(super) fn added_bytes(&self) -> u64 {
        let size_bytes = self.partition.size_bytes();
        size_bytes.saturating_sub(self.size_bytes.swap(size_bytes, Ordering::AcqRel))
    }
}
