//! Counts over windows that slide with every item.

mod exponential;

pub use exponential::{EXPONENTIAL_ERROR_MIN, ExponentialHistogram};
