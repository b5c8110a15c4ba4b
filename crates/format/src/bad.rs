//! Bad rows: what to do about them, and what is told about them.

use fleuve_base::{Error, Place};

/// What a decoder does with a row that it cannot decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBad {
    /// The decoder fails with an error that names line and column.
    #[default]
    Fail,
    /// The row is left out and counted.
    Skip,
    /// The row is left out, counted, and handed back as a [`BadRecord`] (for a dead-letter topic).
    Collect,
}

/// A row that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// The line's number from 1 (or the record's, if records were pushed one by one), as `seek` set it.
    pub line: u64,
    /// The byte within the line where decoding went wrong, from 1; 0 if the whole line is meant.
    pub column: u64,
    /// Position of the line's first byte, as `seek` set it.
    pub position: u64,
    /// Bytes of the line, without its newline.
    pub length: usize,
    /// Why, in words for people.
    pub reason: String,
    /// The line itself; empty unless the policy is [`OnBad::Collect`].
    pub raw: Vec<u8>,
}

impl BadRecord {
    /// The same as an error, whose place the caller adds if it knows a better one than line and column.
    pub fn to_error(&self, format: &str) -> Error {
        Error::input("E410", format!("this row is not valid {format}: {}", self.reason))
            .with_hint("fix the input, or have bad rows skipped with '*.ignore-parse-errors' = 'true'")
    }

    /// The error with its place in `origin` (a path); without a place if `origin` is empty.
    pub(crate) fn to_error_in(&self, format: &str, origin: &str) -> Error {
        let error = self.to_error(format);
        if origin.is_empty() { error } else { error.at(Place::file(origin, self.line, self.column)) }
    }
}

/// A value of a row that could not be converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadValue {
    /// The row in the table of spans.
    pub(crate) row: u32,
    /// Where in the block the value stands; `None` if it is missing.
    pub(crate) position: Option<u32>,
    pub(crate) reason: String,
}

/// Where columns report values that they cannot convert.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Turn what cannot be converted into NULL where the column allows it (`ignore-parse-errors`).
    pub(crate) null_instead: bool,
    /// Values that were turned into NULL.
    pub(crate) nulled: u64,
    /// The same before the current block.
    pub(crate) nulled_before: u64,
    pub(crate) bad: Vec<BadValue>,
}

impl Faults {
    /// Rewrites the row numbers of the faults from `mark` on, from a nested table's rows to their owners'.
    pub(crate) fn reassign(&mut self, mark: usize, owners: &[u32]) {
        for bad in &mut self.bad[mark..] {
            bad.row = owners[bad.row as usize];
        }
    }

    /// The bad rows, ascending, each once, with the fault that stands first in the row.
    pub(crate) fn take_rows(&mut self) -> Vec<BadValue> {
        self.bad.sort_by_key(|bad| (bad.row, bad.position.is_none(), bad.position));
        self.bad.dedup_by_key(|bad| bad.row);
        std::mem::take(&mut self.bad)
    }
}
