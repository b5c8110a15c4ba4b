//! How often an item came, without bias: rows of counters to which an item adds its random sign.
//!
//! Charikar, Chen and Farach-Colton 2002, "Finding frequent items in data streams".

use crate::codec::{self, Reader};
use crate::confidence::{check_error, copies_for_median, median};
use crate::estimate::Estimate;
use crate::hash::field::BITS;
use crate::hash::{Fold, Item, Linear, fold_chunks};
use crate::invalid;
use crate::random::Generator;
use fleuve_base::Result;
use std::sync::Arc;

/// The least error, as a share of √F2.
pub const COUNT_SKETCH_ERROR_MIN: f64 = 0.002;

const ROWS_MAX: u32 = 99;
/// How many counters a row has, times ε²: the sum of all others' signs in a counter has a variance of at most F2/width, so that a
/// row is off by ε√F2 with probability at most 1/8, by Chebyshev.
const COUNTERS: f64 = 8.0;
const WRONG: f64 = 1.0 / COUNTERS;

const KIND: [u8; 2] = *b"CS";
const VERSION: u8 = 1;
const WHAT: &str = "stored count sketch";

/// How often each item came, to within a share of √F2, the root of the sum of the squares of all frequencies.
///
/// In every row an item adds its sign, +1 or −1, to one counter; its counter times its sign is right in the mean; the median of the
/// rows is the answer. Both hashes are pairwise independent.
///
/// **Promise.** Within ε√F2 with at least the confidence.
///
/// **Memory.** 8 bytes a counter, 8/ε² counters a row, 3 rows for a confidence of 0.95, 5 for 0.99; none while empty.
///
/// ```
/// # use fleuve_sketch::frequency::CountSketch;
/// let mut counts = CountSketch::new(7, 0.1, 0.95)?;
/// counts.update_weighted("cat", 3);
/// counts.update_weighted("cat", -1);
/// assert_eq!(counts.estimate("cat").value, 2.0);
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct CountSketch {
    shape: Arc<Shape>,
    /// Row by row; nothing while empty.
    counters: Vec<i64>,
}

#[derive(Debug, PartialEq)]
struct Shape {
    seed: u64,
    error: f64,
    confidence: f64,
    width: usize,
    fold: Fold,
    /// Of each row, what chooses the counter, and what chooses the sign.
    rows: Vec<(Linear, Linear)>,
}

impl Shape {
    fn new(seed: u64, error: f64, confidence: f64) -> Result<Self> {
        check_error(error, COUNT_SKETCH_ERROR_MIN)?;
        let rows = copies_for_median(confidence, WRONG, 0.0, ROWS_MAX)?;
        let mut random = Generator::new(seed);
        let fold = Fold::draw(&mut random);
        let rows = (0..rows).map(|_| (Linear::draw(&mut random), Linear::draw(&mut random))).collect();
        Ok(Shape { seed, error, confidence, width: (COUNTERS / (error * error)).ceil() as usize, fold, rows })
    }

    /// The counter of an item in a row, and its sign.
    #[inline(always)]
    fn place(&self, (place, sign): &(Linear, Linear), x: u64) -> (usize, i64) {
        let place = (u128::from(place.hash(x)) * self.width as u128) >> BITS;
        (place as usize, 1 - 2 * (sign.hash(x) & 1) as i64)
    }
}

impl CountSketch {
    /// A summary of nothing for an error of so much of √F2, with this confidence.
    ///
    /// # Errors
    /// If the error is not between [`COUNT_SKETCH_ERROR_MIN`] and 1, or the confidence not between 0 and 1, or too near to 1.
    pub fn new(seed: u64, error: f64, confidence: f64) -> Result<Self> {
        Ok(CountSketch { shape: Arc::new(Shape::new(seed, error, confidence)?), counters: Vec::new() })
    }

    /// Another summary of nothing, with the same hash functions, which both share.
    pub fn empty(&self) -> Self {
        CountSketch { shape: Arc::clone(&self.shape), counters: Vec::new() }
    }

    /// Adds an item.
    pub fn update<I: Item + ?Sized>(&mut self, item: &I) {
        self.update_weighted(item, 1);
    }

    /// Adds an item so many times; a negative number takes it away again.
    pub fn update_weighted<I: Item + ?Sized>(&mut self, item: &I, weight: i64) {
        self.add(&[item.fold(&self.shape.fold)], weight);
    }

    /// Adds items.
    pub fn update_all<I: Item>(&mut self, items: &[I]) {
        let shape = Arc::clone(&self.shape);
        fold_chunks(items, &shape.fold, |folded| self.add(folded, 1));
    }

    fn add(&mut self, folded: &[u64], weight: i64) {
        let shape = &*self.shape;
        self.counters.resize(shape.rows.len() * shape.width, 0);
        for (counters, row) in self.counters.chunks_mut(shape.width).zip(&shape.rows) {
            for x in folded {
                let (place, sign) = shape.place(row, *x);
                counters[place] = counters[place].saturating_add(sign.saturating_mul(weight));
            }
        }
    }

    /// How often an item came, with the bounds of the promise; for √F2 the summary's own estimate is taken.
    pub fn estimate<I: Item + ?Sized>(&self, item: &I) -> Estimate {
        if self.counters.is_empty() {
            return Estimate::exact(0.0);
        }
        let shape = &*self.shape;
        let (x, rows) = (item.fold(&shape.fold), self.counters.chunks(shape.width));
        let count = |(counters, row): (&[i64], _)| {
            let (place, sign) = shape.place(row, x);
            counters[place] as f64 * sign as f64
        };
        let value = median(&mut rows.clone().zip(&shape.rows).map(count).collect::<Vec<_>>());
        let square = |counters: &[i64]| counters.iter().map(|count| (*count as f64).powi(2)).sum::<f64>();
        let error = shape.error * median(&mut rows.map(square).collect::<Vec<_>>()).sqrt();
        Estimate { value, low: value - error, high: value + error }
    }

    /// Adds all that another summary has seen.
    ///
    /// # Errors
    /// If the other one has another seed, error or confidence.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.shape != other.shape {
            return Err(invalid("count sketches of another seed, error or confidence cannot be merged"));
        }
        self.counters.resize(self.counters.len().max(other.counters.len()), 0);
        self.counters.iter_mut().zip(&other.counters).for_each(|(to, count)| *to = to.saturating_add(*count));
        Ok(())
    }

    /// How many bytes this summary holds, without what it shares with others.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.counters.capacity() * 8
    }

    /// The stored form; `docs/internals/sketches.md` has its layout.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = codec::begin(KIND, VERSION);
        bytes.push(u8::from(!self.counters.is_empty()));
        let parameters = [self.shape.error.to_bits(), self.shape.confidence.to_bits()];
        codec::put_u64s(&mut bytes, [self.shape.seed, parameters[0], parameters[1]]);
        codec::put_u64s(&mut bytes, self.counters.iter().map(|count| *count as u64));
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// If the bytes are not such a form, in a version that this build knows.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::open(bytes, WHAT, KIND, VERSION)?;
        let seen = reader.u8()?;
        reader.demand(seen <= 1, "a flag is unknown")?;
        let mut summary = CountSketch::new(reader.u64()?, reader.f64()?, reader.f64()?)?;
        if seen == 1 {
            let counters = reader.u64s(summary.shape.rows.len() * summary.shape.width)?;
            summary.counters = counters.into_iter().map(|count| count as i64).collect();
        }
        reader.finish()?;
        Ok(summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trials::{share, streams};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const ERROR: f64 = 0.6;
    const CONFIDENCE: f64 = 0.95;

    /// The worst share, over all streams, of the seeds for which an item's count is within the error.
    fn worst_share(meddle: impl Fn(&mut CountSketch)) -> f64 {
        let shares = streams(90).into_iter().map(|(_, items)| {
            let mut truth = BTreeMap::new();
            items.iter().for_each(|item| *truth.entry(item).or_insert(0) += 1);
            let root: f64 = truth.values().map(|count| f64::from(count * count)).sum::<f64>().sqrt();
            share(|seed| {
                let mut summary = CountSketch::new(seed, ERROR, CONFIDENCE).unwrap();
                meddle(&mut summary);
                summary.update_all(&items);
                let item = items[seed as usize % items.len()];
                (summary.estimate(&item).value - f64::from(truth[&item])).abs() <= ERROR * root
            })
        });
        shares.fold(1.0, f64::min)
    }

    #[test]
    fn keeps_its_promise_and_broken_variants_are_caught() {
        let share = worst_share(|_| ());
        assert!(share >= CONFIDENCE, "{share}");
        let unsigned = worst_share(|summary| {
            let mut shape = Shape::new(summary.shape.seed, ERROR, CONFIDENCE).unwrap();
            shape.rows.iter_mut().for_each(|row| *row = (Linear::fixed(1, 0), Linear::fixed(0, 2)));
            summary.shape = Arc::new(shape);
        });
        assert!(unsigned < CONFIDENCE, "all items in one counter with the same sign: {unsigned}");
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for (error, confidence) in [(0.0, 0.9), (2.0, 0.9), (f64::NAN, 0.9), (1e-9, 0.9), (0.1, 0.0), (0.1, 1.0)] {
            assert_eq!(CountSketch::new(1, error, confidence).unwrap_err().code(), "E304");
        }
    }

    proptest! {
        #[test]
        fn parts_merge_to_the_whole(items in prop::collection::vec(0i64..99, 0..600), parts in 1usize..5, seed: u64) {
            let mut whole = CountSketch::new(seed, 0.5, 0.9).unwrap();
            items.iter().for_each(|item| whole.update(item));
            let mut merged = whole.empty();
            for part in items.chunks(items.len() / parts + 1).rev() {
                let mut summary = whole.empty();
                summary.update_all(part);
                merged.merge(&CountSketch::from_bytes(&summary.to_bytes()).unwrap()).unwrap();
            }
            prop_assert_eq!(merged.to_bytes(), whole.to_bytes());
        }

        #[test]
        fn strange_bytes_are_refused_or_read(bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = CountSketch::from_bytes(&bytes);
            let mut summary = CountSketch::new(1, 0.9, 0.7).unwrap();
            ["a", "b", "b"].iter().for_each(|text| summary.update(*text));
            let mut bytes = summary.to_bytes();
            let place = at % bytes.len();
            prop_assert!(CountSketch::from_bytes(&bytes[..place]).is_err());
            bytes[place] = byte;
            if let Ok(mut read) = CountSketch::from_bytes(&bytes) {
                read.update("c");
                read.estimate("c");
            }
        }
    }
}
