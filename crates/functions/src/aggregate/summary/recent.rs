//! Counts of the rows within a time before the newest one, by exponential histograms.

use arrow::datatypes::{DataType, TimeUnit};
use fleuve_base::{Error, Result};
use fleuve_sketch::window::ExponentialHistogram;

use super::constants::Constants;
use super::items::Items;
use super::kinds::{Ordered, Summary};
use super::sorted::take_over;

/// An empty histogram for times of this type, with the constants `window` and `error`.
pub(super) fn create(time: &DataType, constants: &Constants<'_>) -> Result<ExponentialHistogram> {
    let window = constants.interval("window").ok_or_else(|| Error::internal("the window was checked before"))?;
    let unit = nanoseconds(time);
    if window % unit != 0 {
        let text = format!("the window is shorter than what {time} tells apart");
        return Err(Error::input("E304", text));
    }
    let window = i64::try_from(window / unit).map_err(|_| Error::input("E304", "the window is too long"))?;
    ExponentialHistogram::new(window, constants.needed("error")?)
}

/// Nanoseconds of one unit of a time.
fn nanoseconds(time: &DataType) -> i128 {
    match time {
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        _ => 1,
    }
}

impl Summary for ExponentialHistogram {
    fn empty(&self) -> Self {
        ExponentialHistogram::empty(self)
    }

    fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let nothing = |own: &Self| own.newest().is_none();
        take_over(self, ExponentialHistogram::from_bytes(bytes)?, nothing, ExponentialHistogram::merge)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        ExponentialHistogram::from_bytes(bytes)
    }

    fn to_bytes(&self) -> Vec<u8> {
        ExponentialHistogram::to_bytes(self)
    }

    fn bytes(&self) -> usize {
        ExponentialHistogram::bytes(self)
    }
}

impl Ordered for ExponentialHistogram {
    type Item = i64;

    fn item(&self, items: &Items, row: usize, _weight: i64) -> i64 {
        match items {
            Items::Integers(times) => times.value(row),
            Items::Floats(_) | Items::Bytes(_) | Items::Decimals(_) => 0,
        }
    }

    /// A time before the newest of an earlier epoch counts as that, if it lies in the window at all.
    fn add_sorted(&mut self, items: &mut dyn Iterator<Item = i64>) -> Result<()> {
        let mut items = items.peekable();
        while let Some(time) = items.next() {
            let mut count = 1;
            while items.next_if_eq(&time).is_some() {
                count += 1;
            }
            let newest = self.newest().unwrap_or(time);
            if time > newest.saturating_sub(self.window()) {
                self.add(time.max(newest), count)?;
            }
        }
        Ok(())
    }
}
