//! The stream algorithms: answers in bounded memory, and while the data is still being read.
//!
//! **What it is.** Plain types, one for each algorithm, exact to its source: each says in its documentation what it
//! promises, in how much memory, and who found it.
//!
//! **What it is not.** It reads no file, no clock and no random source but the seeds it is given; SQL names, planning and
//! storage live elsewhere.
//!
//! **Invariants.** The same seed and the same items give the same state. Where the documentation says that a summary does
//! not depend on order, merging parts gives exactly what one summary of all items would be.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod codec;
mod confidence;
pub mod distinct;
pub mod estimate;
pub mod exact;
pub mod frequency;
pub mod hash;
pub mod index;
mod int_set;
pub mod magnitude;
pub mod membership;
pub mod moment;
pub mod normal;
pub mod online;
pub mod quantile;
pub mod random;
pub mod sample;
pub mod statistics;
pub mod stored;
#[cfg(test)]
mod trials;
pub mod window;

/// The error that an argument, or a stored summary, cannot be used.
pub(crate) fn invalid(message: impl Into<String>) -> fleuve_base::Error {
    fleuve_base::Error::input("E304", message)
}
