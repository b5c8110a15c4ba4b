//! What an index may serve of a table that is read: a range of its key, and the first rows in its order.
//!
//! The plan says what would suffice; whether the index or the table is read is decided when the source is opened, by how many
//! rows the range has. The source's predicate is evaluated either way.

use serde::{Deserialize, Serialize};

use crate::expr::Literal;

/// A part of a table that can be found through an index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexRead {
    /// The index's name.
    pub index: String,
    /// For each of the leading columns of its key what every wanted row fulfils; fewer than the key has, perhaps.
    pub key: Vec<KeyColumn>,
    /// Only the first rows in the order of the key's first column are wanted. Then `key` is all that the predicate says.
    pub first: Option<FirstRows>,
}

/// A column of a key, and what its value fulfils: of every list one interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyColumn {
    /// The column's name.
    pub name: String,
    /// Each list is a condition: the value lies in one of its intervals.
    pub all_of: Vec<Vec<KeyInterval>>,
}

/// Values of a column that lie side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum KeyInterval {
    /// NULL.
    Null,
    /// Exactly this value.
    Is(Literal),
    /// Values between two bounds, each of which is there or not; never NULL.
    Between {
        /// The least.
        low: Option<KeyBound>,
        /// The greatest.
        high: Option<KeyBound>,
    },
    /// Texts that begin so.
    Prefix(String),
}

/// An end of an interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyBound {
    /// The value.
    pub value: Literal,
    /// Whether the value itself belongs to the interval.
    pub inclusive: bool,
}

/// The first rows of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstRows {
    /// How many; of those that are tied with the last one, all are needed.
    pub rows: u64,
    /// From the greatest value on.
    pub descending: bool,
    /// NULLs come before all values, in either direction.
    pub nulls_first: bool,
}
