//! Transactions as readers see them: which were aborted, and before which offset all are decided.
//!
//! A transaction is decided for readers when its marker is *durable*: until then its records stay behind the
//! last stable offset, so that offset never goes back, whatever a crash takes away.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::Ordering;

use fleuve_base::Result;

use crate::partition::Partition;

/// A transaction whose records do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Who wrote it.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: u64,
    /// Offset of the marker that aborted it.
    pub last_offset: u64,
}

/// An aborted transaction, and the offset before which all others were decided when it was: the first offset
/// of every later one is at or after it, which ends a search early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AbortedEntry {
    pub(crate) aborted: AbortedTransaction,
    pub(crate) stable_offset: u64,
}

/// A transaction that was just decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: u64,
    pub(crate) last_offset: u64,
    pub(crate) commit: bool,
}

/// The transactions of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Transactions {
    /// By the markers' offsets.
    pub(crate) aborted: Vec<AbortedEntry>,
    /// First record and marker of those that are decided, but not durably.
    undurable: VecDeque<(u64, u64)>,
    /// Start of the oldest one that is open.
    pub(crate) open: Option<u64>,
}

impl Transactions {
    /// Notes a transaction whose marker was written.
    pub(crate) fn note(&mut self, decided: Decided, open: Option<u64>) {
        let Decided { producer_id, first_offset, last_offset, commit } = decided;
        if !commit {
            let aborted = AbortedTransaction { producer_id, first_offset, last_offset };
            self.aborted.push(AbortedEntry { aborted, stable_offset: open.unwrap_or(last_offset + 1) });
        }
        self.undurable.push_back((first_offset, last_offset));
    }

    /// All before `end_offset` is durable now.
    pub(crate) fn note_durable(&mut self, end_offset: u64) {
        while self.undurable.front().is_some_and(|(_, marker)| *marker < end_offset) {
            self.undurable.pop_front();
        }
    }

    /// Offset of the first record whose transaction is not durably decided; `u64::MAX` without one.
    pub(crate) fn first_unstable(&self) -> u64 {
        let undurable = self.undurable.iter().map(|(first, _)| *first).min();
        undurable.unwrap_or(u64::MAX).min(self.open.unwrap_or(u64::MAX))
    }

    /// Forgets those that lie wholly before `offset`.
    pub(crate) fn forget_before(&mut self, offset: u64) {
        let gone = self.aborted.partition_point(|entry| entry.aborted.last_offset < offset);
        self.aborted.drain(..gone);
    }

    /// The aborted ones with records in `offsets`.
    pub(crate) fn aborted_in(&self, offsets: Range<u64>) -> Vec<AbortedTransaction> {
        let from = self.aborted.partition_point(|entry| entry.aborted.last_offset < offsets.start);
        let mut found = Vec::new();
        for entry in &self.aborted[from..] {
            if entry.aborted.first_offset < offsets.end {
                found.push(entry.aborted);
            }
            if entry.stable_offset >= offsets.end {
                break;
            }
        }
        found
    }
}

impl Partition {
    /// The high watermark, or the start of the oldest transaction that is not durably decided, if that is
    /// before it; never before the log's start.
    pub fn last_stable_offset(&self) -> u64 {
        let high_watermark = self.high_watermark();
        self.stable_before(high_watermark)
    }

    /// The watermark must have been read before this is called.
    pub(crate) fn stable_before(&self, high_watermark: u64) -> u64 {
        let unstable = self.first_unstable.load(Ordering::Acquire);
        high_watermark.min(unstable.max(self.log_start_offset()))
    }

    /// The aborted transactions that have records in `offsets`, by the offset of their markers.
    ///
    /// Error: `E901` if the range reaches beyond damage, since markers may be among what is damaged.
    pub fn aborted(&self, offsets: Range<u64>) -> Result<Vec<AbortedTransaction>> {
        if let Some(error) = self.read_only.as_ref().filter(|_| offsets.end > self.first_damaged()) {
            return Err(error.clone());
        }
        Ok(self.transactions.lock().aborted_in(offsets))
    }

    /// Offset from which on the producers' history is not known; 0 if it never was.
    fn first_damaged(&self) -> u64 {
        self.damage.iter().map(|damage| damage.offsets.start).min().unwrap_or(0)
    }

    /// Notes what an append did to transactions; the appender is locked.
    pub(crate) fn note_transactions(&self, decided: Option<Decided>, open: Option<u64>) {
        let mut transactions = self.transactions.lock();
        if let Some(decided) = decided {
            transactions.note(decided, open);
        }
        transactions.open = open;
        self.first_unstable.store(transactions.first_unstable(), Ordering::Release);
    }

    /// All before `end_offset` is durable. Called before the watermark moves, so that whoever it wakes finds
    /// the last stable offset moved as well.
    pub(crate) fn settle_transactions(&self, end_offset: u64) {
        let mut transactions = self.transactions.lock();
        transactions.note_durable(end_offset);
        self.first_unstable.store(transactions.first_unstable(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aborted_ones_are_found_by_overlap() {
        let mut transactions = Transactions::default();
        let decided =
            |producer_id, first_offset, last_offset| Decided { producer_id, first_offset, last_offset, commit: false };
        // Producer 1: 10..=20, producer 2: 5..=30, producer 3: 31..=33.
        transactions.note(decided(1, 10, 20), Some(5));
        transactions.note(decided(2, 5, 30), None);
        transactions.note(decided(3, 31, 33), None);
        let found = |from, to| -> Vec<i64> {
            transactions.aborted_in(from..to).iter().map(|aborted| aborted.producer_id).collect()
        };
        assert!(found(0, 5).is_empty());
        assert_eq!(found(0, 6), [2]);
        assert_eq!(found(0, 11), [1, 2]);
        assert_eq!(found(20, 21), [1, 2]);
        assert_eq!(found(21, 31), [2]);
        assert_eq!(found(31, 40), [3]);
        assert!(found(34, 40).is_empty());
    }

    #[test]
    fn what_is_decided_is_unstable_until_the_marker_is_durable() {
        let mut transactions = Transactions::default();
        transactions.note(Decided { producer_id: 1, first_offset: 4, last_offset: 9, commit: true }, None);
        transactions.note_durable(9);
        assert_eq!(transactions.first_unstable(), 4);
        transactions.note_durable(10);
        assert_eq!(transactions.first_unstable(), u64::MAX);
    }
}
