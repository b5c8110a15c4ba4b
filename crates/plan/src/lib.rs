//! The plan: what a pipeline does, as plain data.
//!
//! **What it is.** The contract between whoever understands a query (`sql`) and whoever runs it (`flow`). A
//! [`Pipeline`] is a list of [`Node`]s in topological order; expressions ([`Expr`]) name scalar functions by name
//! and columns by position. Everything here is serialised: EXPLAIN prints it, a pipeline's directory stores it (a
//! restart runs the stored plan and never plans again), and another engine could run it.
//!
//! **What it is not.** It holds no planner's or executor's type, no closure, and decides nothing.
//!
//! **Invariants.** A node's inputs have smaller ids than the node. Column positions are valid in the schema of the
//! input (for a join: of left and right, concatenated). [`Pipeline::check`] verifies this before anything runs.
//!
//! Start with [`pipeline`], then [`operator`] and [`expr`].
//!
//! ```
//! use fleuve_plan::{BinaryOp, Expr};
//!
//! let predicate = Expr::binary(BinaryOp::Gt, Expr::Column(2), Expr::int64(100));
//! assert_eq!(predicate.to_string(), "#2 > 100");
//! ```

pub mod connector;
pub mod expr;
pub mod index_read;
pub mod online;
pub mod operator;
pub mod pipeline;
pub mod settings;

pub use connector::{ReadOrder, SinkSpec, SourceSpec, TableOptions, WatermarkSpec, bad_records_schema};
pub use expr::{BinaryOp, Expr, Literal, Value};
pub use index_read::{FirstRows, IndexRead, KeyBound, KeyColumn, KeyInterval};
pub use online::{
    BoundsFrom, Control, OnlineAggregate, OnlineBounds, OnlineMethod, OnlineUnit, SampleUnit, blocks_schema,
};
pub use operator::{
    AggregateCall, Interval, JoinKind, Operator, SampleMethod, SortKey, TimeAttribute, Window, WindowInput,
};
pub use pipeline::{Changelog, Node, NodeId, Pipeline};
pub use settings::Settings;
