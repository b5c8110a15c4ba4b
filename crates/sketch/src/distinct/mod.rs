//! Counting distinct items.
//!
//! | type | error | memory | promise |
//! |---|---|---|---|
//! | [`AmsF0`] | a factor of 3 | a byte a copy | proven (Alon, Matias, Szegedy 1996) |
//! | [`Bjkst`] | ε, from 1 % | 64/ε² hashes a copy | proven (Bar-Yossef, Jayram, Kumar, Sivakumar, Trevisan 2002) |
//! | [`Hll`] | 1.04/√m | m bytes | for a hash that is as good as random |
//! | [`Theta`] | 1/√k | k hashes | for a hash that is as good as random; and set operations |
//!
//! All four are the same, bit for bit, in whatever order the items came and however the parts were merged.

mod ams;
mod bjkst;
mod hll;
mod hll_codec;
mod hll_estimate;
mod theta;
mod theta_set;

pub use ams::{AMS_F0_COPIES_MAX, AmsF0};
pub use bjkst::{BJKST_COPIES_MAX, BJKST_ERROR_MIN, Bjkst};
pub use hll::{HLL_PRECISION, HLL_PRECISION_DEFAULT, Hll};
pub use theta::{THETA_LG_K, THETA_LG_K_DEFAULT, Theta};
pub use theta_set::ThetaSet;
