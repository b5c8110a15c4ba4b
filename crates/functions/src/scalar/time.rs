//! Functions over timestamps, dates and times.

mod arithmetic;
mod civil;
mod conversions;
mod formats;
mod instants;
mod parts;
mod pattern;
pub(crate) mod standard;
mod unit;
mod zone;

pub(super) use conversions::FUNCTIONS as CONVERSIONS;
pub(super) use formats::FUNCTIONS as FORMATS;
pub(crate) use instants::{Instants, per_second};
pub(super) use parts::FUNCTIONS as PARTS;
pub(crate) use zone::Zone;

/// Seconds of a day.
const DAY: i64 = 86_400;
