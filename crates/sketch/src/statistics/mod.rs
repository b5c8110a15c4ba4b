//! Running statistics of numbers and of pairs of numbers, mergeable and with retraction.
//!
//! There are two forms. [`Moments`] and [`Pairs`] keep the sums of powers **without rounding** ([`crate::exact`]), so that
//! neither the order of the rows, nor how they were cut into parts and merged, nor rows that came and were retracted
//! leave a trace in the result: it is the exact rational number, rounded once. They are what SQL's aggregates use.
//! [`Running`] and [`RunningPair`] are the stable recurrences of floating point, a few doubles of state and nanoseconds a
//! value, right to rounding errors: they are what estimates from samples use, whose error is larger by far.

mod compensated;
mod moments;
mod pairs;
mod running;
mod running_pair;

pub use compensated::Compensated;
pub use moments::Moments;
pub use pairs::Pairs;
pub use running::Running;
pub use running_pair::RunningPair;
