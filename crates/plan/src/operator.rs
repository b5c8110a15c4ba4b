//! What a node does to its inputs.

use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

use crate::connector::{SinkSpec, SourceSpec};
use crate::expr::{Expr, Literal};
use crate::online::OnlineAggregate;
use crate::pipeline::NodeId;

/// The operators. Unless stated otherwise a node has one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Operator {
    /// Reads a table. No input.
    Source(Box<SourceSpec>),
    /// The records of a source that could not be decoded, as rows of [`bad_records_schema`](crate::bad_records_schema).
    /// No input: the source's decoder hands them in.
    BadRecords {
        /// The source's node, which comes before this one.
        source: NodeId,
    },
    /// One row for each block that was read of a source in [`ReadOrder::ShuffledBlocks`](crate::ReadOrder): its number and
    /// size, and those of all blocks; see [`blocks_schema`](crate::blocks_schema). No input.
    Blocks {
        /// The source's node, which comes before this one.
        source: NodeId,
    },
    /// Turns the records of an upsert table into changes. A record of weight 1 is the new row of its key, one of weight
    /// −1 says that its key has no row any more. Of an epoch's records of one key the last in `order` counts. Output: the
    /// input's first columns, without those in `order`, which come after them.
    Normalize {
        /// The key (positions); no two rows of the output agree on it.
        keys: Vec<usize>,
        /// Non-negative numbers that say which record of a key is later, most significant first; the last columns.
        order: Vec<usize>,
    },
    /// Rows of constants (`VALUES`), emitted once in the first epoch. No input.
    Values {
        /// One expression a column, without column references, for each row.
        rows: Vec<Vec<Expr>>,
    },
    /// Filters, then projects.
    Calc {
        /// Rows for which it is not true are dropped.
        predicate: Option<Expr>,
        /// The output columns, over the input's.
        projection: Vec<Expr>,
    },
    /// Appends `window_start`, `window_end` (TIMESTAMP(3)) and `window_time` to each row, once for each window that
    /// the row falls into. Not for session windows, which need their aggregate.
    AssignWindow {
        /// The windows.
        window: Window,
        /// Which time decides.
        time: TimeAttribute,
    },
    /// Groups by keys within windows and emits each group once, when the watermark (or the clock) passes the window's
    /// end. Output: the keys, then the aggregates, then `window_start`, `window_end` and `window_time`.
    WindowAggregate {
        /// Where windows come from.
        input: WindowInput,
        /// Grouping columns other than the window's bounds (positions in the input).
        keys: Vec<usize>,
        /// What is computed for each group.
        aggregates: Vec<AggregateCall>,
    },
    /// Groups by keys without windows and emits changes. Output: the keys, then the aggregates. Without aggregates it
    /// is DISTINCT; without keys it has one group, which exists (count 0) before any input.
    Aggregate {
        /// Grouping columns (positions).
        keys: Vec<usize>,
        /// What is computed for each group.
        aggregates: Vec<AggregateCall>,
    },
    /// Groups by keys what is read in random order, and emits estimates with their intervals again and again.
    Online(Box<OnlineAggregate>),
    /// Joins two inputs on equality of keys. Output: left columns, then right columns (only left ones for semi and
    /// anti joins).
    Join {
        /// Inner, left, semi or anti.
        kind: JoinKind,
        /// Key columns of the left input; as many as of the right; none is a cross join on one worker.
        left_keys: Vec<usize>,
        /// Key columns of the right input.
        right_keys: Vec<usize>,
        /// Further condition over the concatenated columns.
        filter: Option<Expr>,
        /// For an interval join of append-only inputs: bounds that let state expire.
        interval: Option<Interval>,
    },
    /// Joins rows of the same window. Both inputs carry window columns; state goes when the watermark passes a window,
    /// and only then rows leave. Output as for [`Operator::Join`].
    WindowJoin {
        /// Inner, left, semi or anti.
        kind: JoinKind,
        /// Key columns of the left input, without its window's.
        left_keys: Vec<usize>,
        /// Key columns of the right input, without its window's.
        right_keys: Vec<usize>,
        /// (window_start, window_end) of the left input.
        left_window: (usize, usize),
        /// (window_start, window_end) of the right input.
        right_window: (usize, usize),
        /// Further condition over the concatenated columns.
        filter: Option<Expr>,
    },
    /// Looks each row up in a bounded table, which is read whole before the first row. Output: the input's columns, then
    /// the table's `output`.
    LookupJoin {
        /// The table; its `output` is what is appended.
        table: Box<SourceSpec>,
        /// Inner or left.
        kind: JoinKind,
        /// What is looked up, over the input's columns.
        input_keys: Vec<Expr>,
        /// Where it is looked up: positions in the table's `output`.
        table_keys: Vec<usize>,
        /// Further condition over the concatenated columns.
        filter: Option<Expr>,
    },
    /// All rows of all inputs; two or more inputs of equal types.
    Union,
    /// Replaces each row by one row for each element of an ARRAY (or entry of a MAP) in a column. Output: the input's
    /// columns, then the element (for an array of ROWs its fields; for a map key and value).
    Unnest {
        /// The column (position).
        column: usize,
        /// Keep rows whose collection is NULL or empty, with NULLs (`LEFT JOIN UNNEST`).
        outer: bool,
        /// Also append the element's number from 1 (`WITH ORDINALITY`).
        ordinality: bool,
    },
    /// Some of the input's rows, chosen by chances that are functions of a row's content and the seed: the same rows after
    /// a restart, in any order, on any number of workers. Rows of equal content are chosen together.
    Sample {
        /// How they are chosen.
        method: SampleMethod,
        /// The columns whose content decides (positions).
        columns: Vec<usize>,
        /// What the chances are drawn from.
        seed: u64,
        /// A sample of a fixed size is emitted when the input ends, not as changes on the way.
        at_end: bool,
        /// It also tells what estimates need: each row has its key as a further column ([`SAMPLE_KEY`](crate::online::SAMPLE_KEY)),
        /// and, if the sample has a fixed size, the number of the input's rows ([`POPULATION`](crate::online::POPULATION)).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        tells: bool,
    },
    /// The first rows of the input in epoch order; ends its pipeline when full, if it is the last operator.
    Limit {
        /// Rows skipped.
        skip: u64,
        /// Rows passed on.
        fetch: Option<u64>,
    },
    /// Sorts a bounded input, emitted when it ends. With `fetch` only the first rows are kept. LIMIT and OFFSET over
    /// ORDER BY are part of it, since an operator behind it does not know the order any more.
    Sort {
        /// Sort keys, most significant first.
        keys: Vec<SortKey>,
        /// Rows left out at the front.
        skip: u64,
        /// Rows passed on after those.
        fetch: Option<u64>,
    },
    /// Writes a table. The last node of a path.
    Sink(Box<SinkSpec>),
}

impl Operator {
    /// What kind of operator it is, in one word, for EXPLAIN and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Operator::Source(_) => "Source",
            Operator::BadRecords { .. } => "BadRecords",
            Operator::Blocks { .. } => "Blocks",
            Operator::Normalize { .. } => "Normalize",
            Operator::Values { .. } => "Values",
            Operator::Calc { .. } => "Calc",
            Operator::AssignWindow { .. } => "AssignWindow",
            Operator::WindowAggregate { .. } => "WindowAggregate",
            Operator::Aggregate { .. } => "Aggregate",
            Operator::Online(_) => "OnlineAggregate",
            Operator::Join { interval: Some(_), .. } => "IntervalJoin",
            Operator::Join { .. } => "Join",
            Operator::WindowJoin { .. } => "WindowJoin",
            Operator::LookupJoin { .. } => "LookupJoin",
            Operator::Union => "Union",
            Operator::Unnest { .. } => "Unnest",
            Operator::Sample { .. } => "Sample",
            Operator::Limit { .. } => "Limit",
            Operator::Sort { .. } => "Sort",
            Operator::Sink(_) => "Sink",
        }
    }
}

/// The windows of TUMBLE, HOP and SESSION. All times in milliseconds; windows are `[start, end)`, aligned to 1970-01-01
/// UTC plus `offset_ms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Window {
    /// Adjacent windows.
    Tumble {
        /// Length.
        size_ms: i64,
        /// Shift of the alignment.
        offset_ms: i64,
    },
    /// Overlapping windows; `size_ms` is a multiple of `slide_ms`.
    Hop {
        /// Length.
        size_ms: i64,
        /// Distance between starts.
        slide_ms: i64,
        /// Shift of the alignment.
        offset_ms: i64,
    },
    /// Windows that close after a gap in their key's rows.
    Session {
        /// The gap.
        gap_ms: i64,
    },
}

/// Which time places a row in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeAttribute {
    /// A timestamp column with a watermark (position).
    Event(usize),
    /// The clock of the row's epoch.
    Processing,
}

/// Where a windowed aggregate takes its windows from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WindowInput {
    /// It assigns them itself (and shares panes between the windows of a HOP).
    Assign {
        /// The windows.
        window: Window,
        /// Which time decides.
        time: TimeAttribute,
    },
    /// The rows carry them already, from a windowed operator below.
    Attached {
        /// Position of `window_start`.
        start: usize,
        /// Position of `window_end`.
        end: usize,
        /// Whether the windows lie in processing time.
        processing: bool,
    },
}

/// One aggregate of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AggregateCall {
    /// Canonical (lower-case) name: `count`, `sum`, `avg`, `min`, `max`, `stddev_pop`, `stddev_samp`, `var_pop`, `var_samp`, …
    pub function: String,
    /// Argument columns (positions); none for `count(*)`.
    pub args: Vec<usize>,
    /// Constant arguments, which say how to aggregate: an error, a confidence, a seed.
    #[serde(default)]
    pub parameters: Vec<Literal>,
    /// Each distinct argument counts once.
    pub distinct: bool,
    /// A BOOLEAN column (position): only rows where it is true count.
    pub filter: Option<usize>,
    /// The result's type.
    pub data_type: DataType,
}

/// What a join keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinKind {
    /// Pairs that match.
    Inner,
    /// Pairs that match, and left rows without a match with NULLs.
    Left,
    /// Left rows with a match, once.
    Semi,
    /// Left rows without a match.
    Anti,
}

/// Bounds of an interval join: a pair matches only if
/// `left.time + lower_ms <= right.time <= left.time + upper_ms`. The filter checks it too; the bounds are for expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// Time column of the left input.
    pub left_time: usize,
    /// Time column of the right input.
    pub right_time: usize,
    /// Lower bound of `right.time - left.time`, in milliseconds.
    pub lower_ms: i64,
    /// Upper bound of `right.time - left.time`, in milliseconds.
    pub upper_ms: i64,
}

/// How rows are sampled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum SampleMethod {
    /// Each row by itself. Keeps no state.
    Bernoulli {
        /// With this probability, 0 to 1.
        probability: f64,
    },
    /// So many rows, any of them as likely, of an append-only input.
    Reservoir {
        /// Their number.
        rows: u64,
    },
    /// So many rows without replacement, each drawn in proportion to its weight, of an append-only input.
    Weighted {
        /// The column of the weight, a number (position).
        weight: usize,
        /// Their number.
        rows: u64,
    },
}

impl SampleMethod {
    /// The most rows of a sample of a fixed size, which is kept in memory.
    pub const ROWS_MAX: u64 = 1 << 20;

    /// The size of the sample, if it is fixed.
    pub fn rows(&self) -> Option<u64> {
        match self {
            SampleMethod::Bernoulli { .. } => None,
            SampleMethod::Reservoir { rows } | SampleMethod::Weighted { rows, .. } => Some(*rows),
        }
    }
}

/// One key of a sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SortKey {
    /// The column (position).
    pub column: usize,
    /// Largest first.
    pub descending: bool,
    /// NULLs before all values.
    pub nulls_first: bool,
}
