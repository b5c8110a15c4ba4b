//! Samples of streams in bounded memory, and what they say of the whole.
//!
//! | sample | of | memory |
//! |---|---|---|
//! | [`Reservoir`] | all rows so far, each set of k equally likely | k |
//! | [`Weighted`] | all rows so far, drawn by weight without replacement | k + 1 |
//! | [`Bernoulli`] | each row by itself with probability p | none |
//! | [`Stratified`] | k rows of each group | k a group |
//! | [`Chain`] | the last n rows, with replacement | k chains of about e links |
//! | [`Priority`] | the rows of the last span of time, without replacement | about k·ln(rows in it) |
//!
//! Where a sample estimates, it says with what confidence: for simple random samples with the finite-population factor.

mod bernoulli;
mod chain;
mod priority;
mod reservoir;
mod stratified;
mod weighted;

use fleuve_base::{Error, Result};

pub use bernoulli::Bernoulli;
pub use chain::Chain;
pub use priority::Priority;
pub use reservoir::{Method, Reservoir};
pub use stratified::Stratified;
pub use weighted::{Weighted, WeightedMethod};

/// The most rows of one sample.
pub const SAMPLE_ROWS_MAX: usize = 1 << 24;

/// A number of rows to sample, checked.
pub(crate) fn checked_rows(rows: usize) -> Result<usize> {
    match rows {
        0 => Err(Error::input("E304", "a sample of 0 rows says nothing").with_hint("ask for at least 1 row")),
        1..=SAMPLE_ROWS_MAX => Ok(rows),
        _ => Err(Error::input("E304", format!("a sample has at most {SAMPLE_ROWS_MAX} rows, not {rows}"))),
    }
}

#[cfg(test)]
pub(crate) mod testing;
