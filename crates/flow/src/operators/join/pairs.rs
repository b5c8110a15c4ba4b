//! The pairs of a batch's rows and the stored rows that match them, a bounded number at a time.

use arrow::array::RecordBatch;
use fleuve_base::{Result, limits};
use fleuve_state::multimap::{Cursor, Keys, Multimap, Pairs};

use super::filter::PairFilter;

/// Pairs looked at together, however many rows share a key.
const PAIRS_MAX: usize = limits::BATCH_ROWS;

/// Which input's rows look up the other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Probing {
    /// New left rows among the right rows.
    Left,
    /// New right rows among the left rows.
    Right,
}

/// Pairs in pieces.
pub(in super::super) struct PairStream {
    pub probing: Probing,
    pub rows: RecordBatch,
    keys: Keys,
    cursor: Option<Cursor>,
    pairs: Pairs,
}

impl PairStream {
    /// All pairs of some rows.
    pub fn new(probing: Probing, rows: RecordBatch, keys: Keys) -> Self {
        PairStream { probing, rows, keys, cursor: Some(Cursor::start()), pairs: Pairs::default() }
    }

    /// The current pairs: of equal keys, and fulfilling the filter.
    pub fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    /// Goes on to the next piece that is not empty; false at the end.
    pub fn advance(&mut self, store: &Multimap, filter: Option<&PairFilter>) -> Result<bool> {
        self.pairs.clear();
        while let Some(mut cursor) = self.cursor {
            let more = store.probe(&self.keys, &mut cursor, PAIRS_MAX, &mut self.pairs)?;
            self.cursor = more.then_some(cursor);
            if let (Some(filter), false) = (filter, self.pairs.is_empty()) {
                let keep = filter.evaluate(self.probing, self.rows.columns(), store, &self.pairs)?;
                self.pairs.retain(|place| keep.value(place));
            }
            if !self.pairs.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
