//! The engine: pipelines of Arrow batches over Timely Dataflow, in epochs.

pub mod batch;
pub mod connectors;
pub mod operator;
pub mod operators;
pub mod runtime;
pub mod sink;
pub mod source;

pub use batch::Batch;
pub use operator::{EpochInfo, EpochOperator, OperatorStats, Share, StateTable};
