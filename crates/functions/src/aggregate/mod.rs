//! Aggregate functions: columnar, for many groups at once, retractable, and independent of the order of rows.
//!
//! **What it is.** [`AggregateSet`] holds the state of all aggregate calls of one operator, by dense group numbers that
//! the operator gives out. It adds rows of a batch, computes values, saves and merges states, and clears groups.
//!
//! **What it is not.** It knows neither keys nor windows nor epochs.
//!
//! **Invariants.** The values of a group are a function of the multiset of its rows: not of their order, of how they were
//! cut into batches or merged from parts, nor of rows that came and were retracted. Sums of floats are exact until they
//! are read ([`fleuve_sketch::exact`]).
//!
//! ```
//! use std::sync::Arc;
//! use arrow::array::{ArrayRef, Int64Array};
//! use arrow::datatypes::DataType;
//! use fleuve_functions::aggregate::AggregateSet;
//! use fleuve_plan::AggregateCall;
//!
//! let sum = AggregateCall {
//!     function: "sum".into(), args: vec![0], parameters: vec![], distinct: false, filter: None,
//!     data_type: DataType::Int64,
//! };
//! let mut set = AggregateSet::new(&[sum], &[DataType::Int64], false, false)?;
//! let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 20, 300]));
//! set.update(&[0, 1, 0], 2, &[column], None)?;
//! assert_eq!(set.evaluate(&[0, 1])?[0].as_ref(), &Int64Array::from(vec![301, 20]));
//! # Ok::<(), fleuve_base::Error>(())
//! ```

pub mod accumulator;
pub mod count;
pub mod distinct;
pub mod extreme;
pub mod key;
pub mod moments;
pub mod ordered;
mod output;
pub mod set;
pub mod sum;
pub mod summary;

pub use accumulator::{Accumulator, Rows};
pub use set::AggregateSet;

#[cfg(test)]
mod tests;
