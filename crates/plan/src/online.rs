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
    /// What is estimated for each group: `count`, `sum`, `avg`, `var_pop`, `var_samp`, `stddev_pop`, `stddev_samp`, not
    /// DISTINCT.
    pub aggregates: Vec<AggregateCall>,
    /// In what units the rows were drawn.
    pub unit: OnlineUnit,
    /// How often the truth is to be in an interval: above 0 and below 1.
    pub confidence: f64,
    /// How intervals are come by.
    pub method: OnlineMethod,
    /// For each aggregate what is known of its argument, where the method needs that.
    pub bounds: Vec<Option<OnlineBounds>>,
    /// Estimates are emitted at most once in so many milliseconds of the epochs' clock, and at the end.
    pub interval_ms: u64,
}

/// How the intervals of an [`OnlineAggregate`] are come by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnlineMethod {
    /// By the central limit theorem.
    #[default]
    LargeSample,
    /// By Hoeffding's inequality, from the bounds of the values: at least as often right as claimed.
    Conservative,
    /// What is certain from the bounds of the values.
    Deterministic,
}

/// The least and the greatest value of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OnlineBounds {
    /// The column's name, for messages.
    pub column: String,
    /// Where they come from.
    pub from: BoundsFrom,
}

/// Where the bounds of a column come from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum BoundsFrom {
    /// They are known beforehand.
    Known {
        /// The least value.
        low: f64,
        /// The greatest value.
        high: f64,
    },
    /// One row of an input (its number among the node's inputs): the least and the greatest value, two DOUBLEs, NULL if
    /// there is none.
    Input(usize),
}

/// The unit in which the rows of an [`OnlineAggregate`] were drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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
    /// All at once: the rows of a sample. It is estimated from when the input ends. Rows that an aggregate's filter leaves
    /// out are of the sample, too.
    Sample(SampleUnit),
}

/// How the rows of a sample were chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum SampleUnit {
    /// By chances of rows, each with the same probability.
    Bernoulli {
        /// The column [`SAMPLE_KEY`] (position).
        key: usize,
        /// The probability.
        probability: f64,
    },
    /// The rows of the smallest keys, and one row more, whose key is the threshold of the others.
    Smallest {
        /// The column [`SAMPLE_KEY`] (position).
        key: usize,
        /// The column [`POPULATION`] (position).
        population: usize,
        /// The rows of the sample.
        rows: u64,
        /// The column of the weight (position), if keys are by weight.
        weight: Option<usize>,
    },
    /// Drawn one by one of a number of rows that is known.
    Draws {
        /// The column [`POPULATION`] (position).
        population: usize,
        /// A row may have been drawn several times.
        replacement: bool,
    },
}

/// The column of a sample that tells each row's key, from which its chance can be seen (BIGINT, of 64 bits).
pub const SAMPLE_KEY: &str = "$key";

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
            OnlineUnit::Sample(SampleUnit::Bernoulli { key, .. }) => vec![key],
            OnlineUnit::Sample(SampleUnit::Smallest { key, population, weight, .. }) => {
                [key, population].into_iter().chain(weight).collect()
            }
            OnlineUnit::Sample(SampleUnit::Draws { population, .. }) => vec![population],
        };
        let calls = self.aggregates.iter().flat_map(|call| call.args.iter().copied().chain(call.filter));
        self.keys.iter().copied().chain(calls).chain(unit).collect()
    }
}

/// The columns of [`Blocks`](crate::Operator::Blocks): the block's number, its size and its rows, filtered ones included;
/// and of all blocks their number, their size together, and that of the largest. No block has more rows than its size.
pub fn blocks_schema() -> Arc<Schema> {
    let columns = ["block", "size", "rows", "of", "size_all", "size_max"];
    Arc::new(Schema::new(columns.map(|name| Field::new(name, DataType::Int64, false)).to_vec()))
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
