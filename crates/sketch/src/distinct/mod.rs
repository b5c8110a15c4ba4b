//! Counting distinct items.
//!
//! | type | error | memory | promise |
//! |---|---|---|---|
//! | [`AmsF0`] | a factor of 3 | a byte a copy | proven (Alon, Matias, Szegedy 1996) |
//! | [`Bjkst`] | ε, from 1 % | 64/ε² hashes a copy | proven (Bar-Yossef, Jayram, Kumar, Sivakumar, Trevisan 2002) |
//! | [`Hll`] | 1.04/√m | m bytes | for a hash that is as good as random |
//!
//! All four are the same, bit for bit, in whatever order the items came and however the parts were merged.

mod ams;
mod bjkst;
mod hll;
mod hll_codec;
mod hll_estimate;

pub use ams::AmsF0;
pub use bjkst::Bjkst;
pub use hll::Hll;
