//! Aggregates that are summaries: running statistics of one or two columns, and the sketches of [`fleuve_sketch`].
//!
//! **What it is.** [`SUMMARIES`] names each with what it takes and gives; the planner declares them from it, checks their
//! constant arguments, and [`Spec::create`] makes the accumulator. [`held`] keeps one summary a group, [`stored`] merges
//! those that a column holds, both in [`slots`], [`kinds`] says for each type what it does with a row.
//!
//! **Invariants.** A group's summary has seen the rows of the group and nothing else; what it was merged from does not show
//! where its documentation says so.

mod bag;
pub mod constants;
mod held;
pub(crate) mod items;
mod kinds;
mod recent;
mod slots;
mod sorted;
mod spec;
mod stored;
mod table;
mod top;

#[cfg(test)]
mod tests;

pub use constants::{Constant, ConstantKind, Constants};
pub use spec::{Returns, Spec, Takes};
pub use table::{SUMMARIES, find};
