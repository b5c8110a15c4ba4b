//! Frequency moments: how unevenly items are spread.

mod ams;
mod counters;

pub use ams::{AMS_F2_ERROR_MIN, AMS_F2_MEANS_MAX, AmsF2};
