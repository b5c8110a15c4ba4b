//! Frequency moments: how unevenly items are spread.

mod ams;
mod counters;

pub use ams::AmsF2;
