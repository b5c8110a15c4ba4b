//! Online aggregation: a GROUP BY over what is still being read.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};

use crate::operator::AggregateCall;

/// Estimates of groups of rows that come in random order.
///
/// Output: the keys; for each aggregate its estimate and the two ends of its interval (three nullable DOUBLEs; an end is NULL
/// where nothing bounds it); `rows_seen`, the number of the group's rows that were read (BIGINT); and `fraction`, the share
/// of the rows or blocks that were read (DOUBLE).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OnlineAggregate {
    /// Grouping columns (positions in the first input).
    pub keys: Vec<usize>,
    /// What is estimated for each group: `count`, `sum` and `avg`, not DISTINCT.
    pub aggregates: Vec<AggregateCall>,
    /// In what units the rows were drawn.
    pub unit: OnlineUnit,
    /// How often the truth is to be in an interval: above 0 and below 1.
    pub confidence: f64,
    /// Estimates are emitted at most once in so many milliseconds of the epochs' clock, and at the end.
    pub interval_ms: u64,
}

/// The unit in which the rows of an [`OnlineAggregate`] were drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnlineUnit {
    /// Whole blocks of rows, without replacement. The second input is the source's [`Blocks`](crate::Operator::Blocks).
    Blocks {
        /// The number of a row's block (position).
        block: usize,
    },
    /// Whole blocks of each of two tables, without replacement, whose rows were joined. The second and the third input are the
    /// [`Blocks`](crate::Operator::Blocks) of the left and of the right source.
    Pairs {
        /// The number of the left row's block (position).
        left: usize,
        /// The number of the right row's block (position).
        right: usize,
    },
    /// Row by row within each group, without replacement. Rows that an aggregate's filter leaves out are drawn, too.
    Rows {
        /// The number of rows that the group has in all (position; BIGINT).
        population: usize,
    },
}

/// What [`OnlineAggregate`] appends after the aggregates.
pub const ROWS_SEEN: &str = "rows_seen";

/// The metadata key under which an index tells of how many rows a row's group has (BIGINT).
pub const POPULATION: &str = "$population";

/// As [`ROWS_SEEN`].
pub const FRACTION: &str = "fraction";

impl OnlineAggregate {
    /// The columns of the first input that are read.
    pub(crate) fn columns_read(&self) -> Vec<usize> {
        let unit = match self.unit {
            OnlineUnit::Blocks { block } => vec![block],
            OnlineUnit::Pairs { left, right } => vec![left, right],
            OnlineUnit::Rows { population } => vec![population],
        };
        let calls = self.aggregates.iter().flat_map(|call| call.args.iter().copied().chain(call.filter));
        self.keys.iter().copied().chain(calls).chain(unit).collect()
    }
}

/// The columns of [`Blocks`](crate::Operator::Blocks).
pub fn blocks_schema() -> Arc<Schema> {
    Arc::new(Schema::new(["block", "of"].map(|name| Field::new(name, DataType::Int64, false)).to_vec()))
}

/// What a user asks of a query that runs: how fast its groups are to be read (Index Stride). A group is named by the texts
/// of its key's columns, NULL being none.
#[derive(Debug, Clone, PartialEq)]
pub enum Control {
    /// Read a group at this rate relative to the others, which have 1 at first.
    SetRate {
        /// The group.
        group: Vec<Option<String>>,
        /// From 0 on; 0 lets it wait.
        rate: f64,
    },
    /// Read no more of a group.
    StopGroup {
        /// The group.
        group: Vec<Option<String>>,
    },
}
