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

pub mod estimate;
pub mod exact;
pub mod index;
pub mod magnitude;
pub mod normal;
pub mod online;
pub mod random;
pub mod sample;
pub mod statistics;
pub mod stored;
