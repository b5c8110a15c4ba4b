//! How often items come.
//!
//! | type | asks | error | memory |
//! |---|---|---|---|
//! | [`SpaceSaving`] | which are the most frequent | ≤ N/k, never too low | k items |
//! | [`CountMin`] | how often did this one come | ≤ εN with confidence, never too low | e/ε · ln 1/δ counters |
//! | [`CountSketch`] | how often did this one come | ± ε√F2 with confidence | 8/ε² · (a few) counters |
//!
//! N is the number of all items, F2 the sum of the squares of all frequencies: the last is much better where a few items make up
//! most of the stream, and it can take items back.

mod count_min;
mod count_sketch;
mod lowest;
mod space_saving;
mod stored;

pub use count_min::{COUNT_MIN_COUNTERS_MAX, CountMin};
pub use count_sketch::{COUNT_SKETCH_ERROR_MIN, CountSketch};
pub use space_saving::{Counted, SPACE_SAVING_ITEMS_MAX, SpaceSaving};
pub use stored::{Float, Stored};
