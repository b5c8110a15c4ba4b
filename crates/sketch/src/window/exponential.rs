//! Counting in a sliding window without keeping what is in it: buckets that grow with their age.
//!
//! Datar, Gionis, Indyk and Motwani 2002, "Maintaining stream statistics over sliding windows".

use crate::codec::{self, Reader};
use crate::confidence::check_error;
use crate::estimate::Estimate;
use crate::invalid;
use fleuve_base::Result;
use std::collections::VecDeque;

/// The least relative error.
pub const EXPONENTIAL_ERROR_MIN: f64 = 0.0001;

/// Sizes are powers of two up to this exponent.
const LEVELS_MAX: usize = 63;

const KIND: [u8; 2] = *b"EH";
const VERSION: u8 = 1;
const WHAT: &str = "stored exponential histogram";

/// How many items came within the last so many units of time, to within a relative error.
///
/// Items lie in buckets of 1, 2, 4 … items, of which only the time of the newest item is known. When there are more than ⌈k/2⌉ + 1 buckets
/// of one size (of size 1: more than k + 1), with k = ⌈1/ε⌉, the two oldest become one of twice the size. The oldest bucket may lie partly
/// outside the window, and half of it is counted; all that are smaller lie inside, and hold k times as much as that half.
///
/// **Promise.** Within the relative error ε, always (no chance is involved). A histogram that others were merged into is within 2ε + ε²:
/// the time of an item is known only by that of its bucket.
///
/// **Memory.** (1/(2ε) + 2)·log2(2εN + 1) times of 8 bytes for N items in the window; none while empty.
///
/// ```
/// # use fleuve_sketch::window::ExponentialHistogram;
/// let mut last_minute = ExponentialHistogram::new(60, 0.1)?;
/// for second in 0..1000 {
///     last_minute.add(second, 7)?;
/// }
/// let count = last_minute.estimate(999);
/// assert!((count.value - 420.0).abs() <= 42.0 && count.covers(420.0));
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ExponentialHistogram {
    window: i64,
    error: f64,
    /// k = ⌈1/ε⌉.
    k: usize,
    /// The time of the last item.
    newest: i64,
    /// For each size, the times of the newest items of its buckets, from the oldest to the newest.
    levels: Vec<VecDeque<i64>>,
}

impl ExponentialHistogram {
    /// A summary of nothing for a window of so many units of time.
    ///
    /// # Errors
    /// If the window is not positive, or the error not between [`EXPONENTIAL_ERROR_MIN`] and 1.
    pub fn new(window: i64, error: f64) -> Result<Self> {
        check_error(error, EXPONENTIAL_ERROR_MIN)?;
        if window <= 0 {
            return Err(invalid(format!("a window lasts at least one unit of time, not {window}")));
        }
        let k = (1.0 / error).ceil() as usize;
        Ok(ExponentialHistogram { window, error, k, newest: i64::MIN, levels: Vec::new() })
    }

    /// Another summary of nothing, for the same window and error.
    pub fn empty(&self) -> Self {
        ExponentialHistogram { newest: i64::MIN, levels: Vec::new(), ..*self }
    }

    /// How many buckets of a size there are at most; one fewer is the least while there are larger ones.
    ///
    /// A bucket of size 2ʲ then has at least k·2ʲ⁻¹ items before it, so that half of it is at most 1/k of all.
    fn most(&self, level: usize) -> usize {
        if level == 0 { self.k + 1 } else { self.k.div_ceil(2) + 1 }
    }

    /// Adds so many items of a time, in time logarithmic in their number.
    ///
    /// # Errors
    /// If the time lies before that of an earlier item, or more than 2⁶² items lie in the window.
    pub fn add(&mut self, time: i64, count: u64) -> Result<()> {
        if time < self.newest {
            return Err(invalid(format!(
                "an exponential histogram takes items in order of time, but {time} comes after {}",
                self.newest
            )));
        }
        if count > 1 << 62 || self.total().saturating_add(u128::from(count)) > 1 << 62 {
            return Err(invalid("an exponential histogram holds up to 2⁶² items"));
        }
        self.newest = time;
        self.expire(time);
        self.carry(time, count);
        Ok(())
    }

    /// Adds buckets of size 1, and merges the oldest two of a size for as long as there are too many.
    ///
    /// New buckets all have the same time and are only counted; of those merged on the way up, only a few are older.
    fn carry(&mut self, time: i64, count: u64) {
        let (mut older, mut new) = (Vec::<i64>::new(), count);
        let mut level = 0;
        while new > 0 || !older.is_empty() {
            if level == self.levels.len() {
                self.levels.push(VecDeque::new());
            }
            let most = self.most(level) as u64;
            let buckets = &mut self.levels[level];
            buckets.extend(older.drain(..));
            let known = buckets.len() as u64;
            let merges = (known + new).saturating_sub(most).div_ceil(2);
            // The second of each pair is the newer; beyond the known ones all have the time of now.
            older.extend(buckets.iter().skip(1).step_by(2).take(merges.min(known) as usize));
            buckets.drain(..(2 * merges).min(known) as usize);
            let stay = new - (2 * merges).saturating_sub(known);
            buckets.extend((0..stay).map(|_| time));
            new = merges - older.len() as u64;
            level += 1;
        }
    }

    /// Forgets buckets whose newest item lies outside the window that ends at a time.
    fn expire(&mut self, now: i64) {
        let start = now.saturating_sub(self.window);
        for buckets in self.levels.iter_mut().rev() {
            while buckets.front().is_some_and(|time| *time <= start) {
                buckets.pop_front();
            }
            if !buckets.is_empty() {
                break;
            }
        }
        while self.levels.last().is_some_and(VecDeque::is_empty) {
            self.levels.pop();
        }
    }

    fn total(&self) -> u128 {
        self.levels.iter().enumerate().map(|(level, buckets)| (buckets.len() as u128) << level).sum()
    }

    /// How many items came after `now` − window, up to `now`, with bounds that hold for certain unless others were merged into this one.
    ///
    /// A time before the last item's counts as that.
    pub fn estimate(&self, now: i64) -> Estimate {
        let start = now.max(self.newest).saturating_sub(self.window);
        let inside = self.levels.iter().enumerate().map(|(level, buckets)| {
            let count = buckets.len() - buckets.partition_point(|time| *time <= start);
            (count as f64, f64::from(level as u32).exp2())
        });
        let (mut total, mut oldest) = (0.0, 0.0);
        for (count, size) in inside.filter(|(count, _)| *count > 0.0) {
            total += count * size;
            oldest = size;
        }
        if oldest <= 1.0 {
            return Estimate::exact(total);
        }
        Estimate { value: total - oldest / 2.0, low: total - oldest + 1.0, high: total }
    }

    /// How many items came within the window that ends with the newest of them: [`ExponentialHistogram::estimate`] of that time.
    pub fn recent(&self) -> Estimate {
        self.estimate(self.newest)
    }

    /// The time of the newest item.
    pub fn newest(&self) -> Option<i64> {
        (self.newest > i64::MIN).then_some(self.newest)
    }

    /// The length of the window.
    pub fn window(&self) -> i64 {
        self.window
    }

    /// Adds the buckets of another summary, each as so many items of its newest item's time.
    ///
    /// # Errors
    /// If the other one has another window or error.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if (self.window, self.error) != (other.window, other.error) {
            return Err(invalid("exponential histograms of another window or error cannot be merged"));
        }
        let buckets = |histogram: &Self| {
            let levels = histogram.levels.iter().enumerate();
            levels.flat_map(|(level, times)| times.iter().map(move |time| (*time, 1u64 << level))).collect::<Vec<_>>()
        };
        let mut all = [buckets(self), buckets(other)].concat();
        all.sort_unstable();
        let mut merged = self.empty();
        for (time, count) in all {
            merged.add(time, count)?;
        }
        merged.newest = self.newest.max(other.newest);
        *self = merged;
        Ok(())
    }

    /// How many bytes this summary holds.
    pub fn bytes(&self) -> usize {
        let buckets: usize =
            self.levels.iter().map(|buckets| buckets.capacity() * 8 + size_of::<VecDeque<i64>>()).sum();
        size_of::<Self>() + buckets
    }

    /// The stored form; `docs/internals/sketches.md` has its layout.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = codec::begin(KIND, VERSION);
        codec::put_u64s(&mut bytes, [self.window as u64, self.error.to_bits(), self.newest as u64]);
        bytes.push(self.levels.len() as u8);
        for buckets in &self.levels {
            bytes.extend((buckets.len() as u32).to_le_bytes());
            codec::put_u64s(&mut bytes, buckets.iter().map(|time| *time as u64));
        }
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// If the bytes are not such a form, in a version that this build knows.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::open(bytes, WHAT, KIND, VERSION)?;
        let (window, error) = (reader.i64()?, reader.f64()?);
        let mut histogram = Self::new(window, error)?;
        histogram.newest = reader.i64()?;
        let levels = usize::from(reader.u8()?);
        reader.demand(levels <= LEVELS_MAX, "there are too many sizes")?;
        // Larger buckets are older: times go back from level to level.
        let mut before = histogram.newest;
        for level in 0..levels {
            let buckets = read_buckets(&mut reader, histogram.most(level), before)?;
            before = buckets.front().copied().unwrap_or(before);
            histogram.levels.push(buckets);
        }
        reader.demand(histogram.total() <= 1 << 62, "there are too many items")?;
        reader
            .demand(histogram.levels.last().is_none_or(|buckets| !buckets.is_empty()), "the largest size is empty")?;
        reader.finish()?;
        Ok(histogram)
    }
}

fn read_buckets(reader: &mut Reader<'_>, most: usize, before: i64) -> Result<VecDeque<i64>> {
    let count = reader.count(8)?;
    reader.demand(count <= most, "there are too many buckets of a size")?;
    let times = (0..count).map(|_| reader.i64()).collect::<Result<VecDeque<i64>>>()?;
    let ordered = times.iter().zip(times.iter().skip(1)).all(|(older, newer)| older <= newer);
    reader.demand(ordered && times.back().is_none_or(|last| *last <= before), "times are not in order")?;
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn truth(items: &[(i64, u64)], now: i64, window: i64) -> f64 {
        items.iter().filter(|(time, _)| (now - window..now).contains(&(time - 1))).map(|(_, count)| *count as f64).sum()
    }

    /// Times and counts: gaps, bursts, and nothing.
    fn steps() -> impl Strategy<Value = Vec<(i64, u64)>> {
        prop::collection::vec((prop_oneof![Just(0i64), 0i64..4, 0i64..40], prop_oneof![0u64..3, 0u64..2000]), 1..200)
    }

    fn timed(steps: &[(i64, u64)]) -> Vec<(i64, u64)> {
        steps
            .iter()
            .scan(0, |now, (gap, count)| {
                *now += gap;
                Some((*now, *count))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn is_always_within_the_error(steps in steps(), error in 0.01f64..0.6, window in 1i64..200, later in 0i64..100) {
            let items = timed(&steps);
            let mut histogram = ExponentialHistogram::new(window, error).unwrap();
            for (index, (time, count)) in items.iter().enumerate() {
                histogram.add(*time, *count).unwrap();
                let now = time + later * i64::from(index % 3 == 0);
                let (estimate, truth) = (histogram.estimate(now), truth(&items[..=index], now, window));
                prop_assert!((estimate.value - truth).abs() <= error * truth && estimate.covers(truth), "{:?} {}", estimate, truth);
            }
            let mut levels = histogram.levels.iter().enumerate();
            prop_assert!(levels.all(|(level, buckets)| buckets.len() <= histogram.most(level)));
            prop_assert_eq!(ExponentialHistogram::from_bytes(&histogram.to_bytes()).unwrap(), histogram);
        }

        /// Adding many items at once is adding them one by one.
        #[test]
        fn at_once_is_one_by_one(steps in prop::collection::vec((0i64..5, 0u64..60), 1..40), error in 0.05f64..0.9) {
            let mut at_once = ExponentialHistogram::new(50, error).unwrap();
            let mut singly = at_once.clone();
            for (time, count) in timed(&steps) {
                at_once.add(time, count).unwrap();
                singly.add(time, 0).unwrap();
                (0..count).for_each(|_| singly.add(time, 1).unwrap());
                prop_assert_eq!(at_once.total(), singly.total());
            }
        }

        #[test]
        fn merged_ones_are_within_twice_the_error(a in steps(), b in steps(), error in 0.01f64..0.4, window in 1i64..200) {
            let (a, b) = (timed(&a), timed(&b));
            let mut parts = [&a, &b].map(|items| {
                let mut histogram = ExponentialHistogram::new(window, error).unwrap();
                items.iter().for_each(|(time, count)| histogram.add(*time, *count).unwrap());
                histogram
            });
            let [first, second] = &mut parts;
            first.merge(second).unwrap();
            let now = first.newest;
            let truth = truth(&[a, b].concat(), now, window);
            let allowed = (2.0 * error + error * error) * truth;
            prop_assert!((first.estimate(now).value - truth).abs() <= allowed + 1e-9, "{:?} {}", first.estimate(now), truth);
        }

        #[test]
        fn strange_bytes_are_refused_or_read(bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = ExponentialHistogram::from_bytes(&bytes);
            let mut histogram = ExponentialHistogram::new(100, 0.3).unwrap();
            (0..30).for_each(|time| histogram.add(time, 3).unwrap());
            let mut bytes = histogram.to_bytes();
            let place = at % bytes.len();
            prop_assert!(ExponentialHistogram::from_bytes(&bytes[..place]).is_err());
            bytes[place] = byte;
            if let Ok(mut read) = ExponentialHistogram::from_bytes(&bytes) {
                let _ = read.add(i64::MAX, 1 << 40);
                let _ = read.merge(&histogram);
                read.estimate(i64::MAX);
            }
        }
    }

    #[test]
    fn too_few_buckets_are_caught() {
        let mut histogram = ExponentialHistogram::new(1000, 0.1).unwrap();
        histogram.k = 2;
        (0..3000).for_each(|time| histogram.add(time, 1).unwrap());
        let off =
            (3000..3999).map(|now| (histogram.estimate(now).value - (3999 - now) as f64).abs() / (3999 - now) as f64);
        assert!(off.fold(0.0, f64::max) > 0.1);
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for (window, error) in [(0, 0.1), (-5, 0.1), (5, 0.0), (5, 1.5), (5, f64::NAN)] {
            assert_eq!(ExponentialHistogram::new(window, error).unwrap_err().code(), "E304");
        }
        let mut histogram = ExponentialHistogram::new(5, 0.1).unwrap();
        histogram.add(7, 1).unwrap();
        assert!(histogram.add(6, 1).is_err() && histogram.add(8, u64::MAX).is_err());
        assert_eq!(histogram.estimate(100), Estimate::exact(0.0));
    }
}
