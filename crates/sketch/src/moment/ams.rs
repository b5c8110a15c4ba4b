//! The second frequency moment, by a tug of war.
//!
//! Alon, Matias and Szegedy 1996, "The space complexity of approximating the frequency moments", section 2.2.

use super::counters::{ADDED_AT_ONCE, LANES, add, add_weighted};
use crate::codec::{self, Reader};
use crate::confidence::{check_error, copies_for_median, median};
use crate::estimate::Estimate;
use crate::hash::{Cubic, Fold, Item};
use crate::invalid;
use crate::random::Generator;
use fleuve_base::Result;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The least relative error: 16/ε² counters are to fit into a few megabytes.
pub const AMS_F2_ERROR_MIN: f64 = 0.01;
/// The most means whose median is taken.
pub const AMS_F2_MEANS_MAX: u32 = 31;

/// How many counters a mean has, times ε². The square of a counter has the mean F2 and a variance of at most 2·F2²
/// (Theorem 2.2), so that the mean of 16/ε² of them is off by ε·F2 with probability at most 1/8, by Chebyshev.
const COUNTERS: f64 = 16.0;
const WRONG: f64 = 1.0 / 8.0;
/// Up to a quarter of the memory of the counters, but not more than this, items are counted exactly.
const EXACT_ITEMS_MAX: usize = 128;

const KIND: [u8; 2] = *b"A2";
const VERSION: u8 = 1;
const WHAT: &str = "stored AMS_F2 summary";

/// The sum of the squares of the items' frequencies, F2, to within a relative error: the size of a self-join, or a measure of skew.
///
/// Every counter adds a random sign for each item, +1 or −1, the same whenever the item comes, four-wise independent among items.
/// The square of a counter is right in the mean. The answer is the median of means of 16/ε² counters each.
///
/// One four-wise independent hash serves 60 counters of the same mean, by its bits: the paper's bound needs four-wise
/// independence of the items within a counter, and that two counters of a mean are uncorrelated; both hold for the bits, since
/// the hashes of any four items are independent as a whole. Different means have different hashes.
///
/// **Promise.** Within the relative error with at least the confidence. Exact for the first few dozen distinct items.
///
/// **Memory.** 8 bytes a counter, 16/ε² counters a mean, 3 means for a confidence of 0.95, 5 for 0.99. Some tens of bytes for each
/// distinct item while these are few.
///
/// ```
/// # use fleuve_sketch::moment::AmsF2;
/// let mut moment = AmsF2::new(7, 0.2, 0.95)?;
/// for item in 0..1000i64 {
///     moment.update(&(item % 10));
/// }
/// assert_eq!(moment.estimate().value, 10.0 * 100.0 * 100.0);
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct AmsF2 {
    shape: Arc<Shape>,
    state: State,
}

/// What all summaries of one aggregate share.
#[derive(Debug, PartialEq)]
struct Shape {
    seed: u64,
    error: f64,
    confidence: f64,
    /// How many hashes feed a mean.
    hashes_a_mean: usize,
    exact_items: usize,
    fold: Fold,
    hashes: Vec<Cubic>,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    /// How often each item came, by its element of the field. An item whose weights add up to nothing stays, so that the state
    /// does not depend on the order.
    Exact(BTreeMap<u64, i64>),
    /// The counters: 60 for each hash.
    Counters(Vec<i64>),
}

impl Shape {
    fn new(seed: u64, error: f64, confidence: f64) -> Result<Self> {
        check_error(error, AMS_F2_ERROR_MIN)?;
        let means = copies_for_median(confidence, WRONG, 0.0, AMS_F2_MEANS_MAX)?;
        let hashes_a_mean = ((COUNTERS / (error * error)).ceil() as usize).div_ceil(LANES);
        let mut random = Generator::new(seed);
        let fold = Fold::draw(&mut random);
        let hashes: Vec<Cubic> = (0..means * hashes_a_mean).map(|_| Cubic::draw(&mut random)).collect();
        let exact_items = (hashes.len() * LANES / 16).min(EXACT_ITEMS_MAX);
        Ok(Shape { seed, error, confidence, hashes_a_mean, exact_items, fold, hashes })
    }
}

impl AmsF2 {
    /// A summary of nothing for this relative error with this confidence.
    ///
    /// # Errors
    /// If the error is not between [`AMS_F2_ERROR_MIN`] and 1, or the confidence not between 0 and 1, or too near to 1.
    pub fn new(seed: u64, error: f64, confidence: f64) -> Result<Self> {
        Ok(Self::of(Arc::new(Shape::new(seed, error, confidence)?)))
    }

    fn of(shape: Arc<Shape>) -> Self {
        AmsF2 { shape, state: State::Exact(BTreeMap::new()) }
    }

    /// Another summary of nothing, with the same hash functions, which both share.
    pub fn empty(&self) -> Self {
        Self::of(Arc::clone(&self.shape))
    }

    /// Adds an item.
    pub fn update<I: Item + ?Sized>(&mut self, item: &I) {
        self.update_weighted(item, 1);
    }

    /// Adds an item so many times; a negative number takes it away again.
    pub fn update_weighted<I: Item + ?Sized>(&mut self, item: &I, weight: i64) {
        self.add_folded(item.fold(&self.shape.fold), weight);
    }

    /// Adds items.
    pub fn update_all<I: Item>(&mut self, items: &[I]) {
        let mut folded = [0; ADDED_AT_ONCE];
        for chunk in items.chunks(ADDED_AT_ONCE) {
            folded.iter_mut().zip(chunk).for_each(|(to, item)| *to = item.fold(&self.shape.fold));
            self.absorb(&folded[..chunk.len()]);
        }
    }

    fn absorb(&mut self, folded: &[u64]) {
        let mut rest = folded;
        while let (State::Exact(_), Some((first, others))) = (&self.state, rest.split_first()) {
            self.add_folded(*first, 1);
            rest = others;
        }
        if let State::Counters(counters) = &mut self.state {
            for (counters, hash) in counters.chunks_mut(LANES).zip(&self.shape.hashes) {
                add(counters, hash, rest);
            }
        }
    }

    fn add_folded(&mut self, x: u64, weight: i64) {
        match &mut self.state {
            State::Exact(counts) => {
                let count = counts.entry(x).or_insert(0);
                *count = count.saturating_add(weight);
                if counts.len() > self.shape.exact_items {
                    self.count_by_signs();
                }
            }
            State::Counters(counters) => {
                for (counters, hash) in counters.chunks_mut(LANES).zip(&self.shape.hashes) {
                    add_weighted(counters, hash, x, weight);
                }
            }
        }
    }

    /// Gives up exact counts for counters.
    fn count_by_signs(&mut self) {
        let counters = State::Counters(vec![0; self.shape.hashes.len() * LANES]);
        if let State::Exact(counts) = std::mem::replace(&mut self.state, counters) {
            counts.into_iter().for_each(|(x, count)| self.add_folded(x, count));
        }
    }

    /// Adds all that another summary has seen.
    ///
    /// # Errors
    /// If the other one has another seed, error or confidence.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.shape != other.shape {
            return Err(invalid("AMS_F2 summaries of another seed, error or confidence cannot be merged"));
        }
        match &other.state {
            State::Exact(counts) => counts.iter().for_each(|(x, count)| self.add_folded(*x, *count)),
            State::Counters(more) => {
                if matches!(self.state, State::Exact(_)) {
                    self.count_by_signs();
                }
                if let State::Counters(counters) = &mut self.state {
                    counters.iter_mut().zip(more).for_each(|(to, count)| *to = to.saturating_add(*count));
                }
            }
        }
        Ok(())
    }

    /// The sum of the squares of all items' frequencies, with the bounds of the promise.
    pub fn estimate(&self) -> Estimate {
        let square = |count: &i64| (*count as f64).powi(2);
        let counters = match &self.state {
            State::Exact(counts) => return Estimate::exact(counts.values().map(square).sum()),
            State::Counters(counters) => counters,
        };
        let size = self.shape.hashes_a_mean * LANES;
        let mean = |counters: &[i64]| counters.iter().map(square).sum::<f64>() / size as f64;
        let value = median(&mut counters.chunks(size).map(mean).collect::<Vec<_>>());
        Estimate::within(value, self.shape.error)
    }

    /// How many bytes this summary holds, without what it shares with others.
    pub fn bytes(&self) -> usize {
        let state = match &self.state {
            // A node of the tree holds up to 11 pairs and is on average two thirds full.
            State::Exact(counts) => counts.len() * 24,
            State::Counters(counters) => counters.capacity() * 8,
        };
        size_of::<Self>() + state
    }

    /// The stored form; `docs/internals/sketches.md` has its layout.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = codec::begin(KIND, VERSION);
        bytes.push(u8::from(matches!(self.state, State::Counters(_))));
        let parameters = [self.shape.error.to_bits(), self.shape.confidence.to_bits()];
        codec::put_u64s(&mut bytes, [self.shape.seed, parameters[0], parameters[1]]);
        match &self.state {
            State::Exact(counts) => {
                bytes.extend((counts.len() as u32).to_le_bytes());
                codec::put_u64s(&mut bytes, counts.iter().flat_map(|(x, count)| [*x, *count as u64]));
            }
            State::Counters(counters) => codec::put_u64s(&mut bytes, counters.iter().map(|count| *count as u64)),
        }
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// If the bytes are not such a form, in a version that this build knows.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::read(bytes, None)
    }

    /// Adds all that a stored summary has seen: quicker than reading it first, since its hash functions are known already.
    ///
    /// # Errors
    /// As [`AmsF2::from_bytes`] and [`AmsF2::merge`].
    pub fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let other = Self::read(bytes, Some(&self.shape))?;
        self.merge(&other)
    }

    fn read(bytes: &[u8], known: Option<&Arc<Shape>>) -> Result<Self> {
        let mut reader = Reader::open(bytes, WHAT, KIND, VERSION)?;
        let mode = reader.u8()?;
        let (seed, error, confidence) = (reader.u64()?, reader.f64()?, reader.f64()?);
        let same = |shape: &&Arc<Shape>| (shape.seed, shape.error, shape.confidence) == (seed, error, confidence);
        let shape = match known.filter(same) {
            Some(shape) => Arc::clone(shape),
            None => Arc::new(Shape::new(seed, error, confidence)?),
        };
        let state = match mode {
            0 => State::Exact(read_exact(&mut reader, &shape)?),
            1 => {
                let counters = reader.u64s(shape.hashes.len() * LANES)?;
                State::Counters(counters.into_iter().map(|count| count as i64).collect())
            }
            _ => return Err(reader.damaged("a flag is unknown")),
        };
        reader.finish()?;
        Ok(AmsF2 { shape, state })
    }
}

fn read_exact(reader: &mut Reader<'_>, shape: &Shape) -> Result<BTreeMap<u64, i64>> {
    let count = reader.count(16)?;
    reader.demand(count <= shape.exact_items, "it holds too many items")?;
    let mut counts = BTreeMap::new();
    for _ in 0..count {
        let (x, count) = (reader.u64()?, reader.i64()?);
        reader.demand(x < crate::hash::field::PRIME, "an item is out of range")?;
        reader.demand(counts.insert(x, count).is_none(), "an item is there twice")?;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trials::{share, streams};
    use proptest::prelude::*;

    const ERROR: f64 = 0.7;
    const CONFIDENCE: f64 = 0.8;

    /// The share of the seeds for which the summary is within its error, the worst over all streams.
    fn worst_share(meddle: impl Fn(&mut AmsF2)) -> f64 {
        let shares = [150].into_iter().flat_map(streams).map(|(_, items)| {
            let mut counts = BTreeMap::new();
            items.iter().for_each(|item| *counts.entry(item).or_insert(0) += 1);
            let truth: f64 = counts.values().map(|count| f64::from(count * count)).sum();
            share(|seed| {
                let mut summary = AmsF2::new(seed, ERROR, CONFIDENCE).unwrap();
                meddle(&mut summary);
                summary.update_all(&items);
                (summary.estimate().value - truth).abs() <= ERROR * truth
            })
        });
        shares.fold(1.0, f64::min)
    }

    #[test]
    fn keeps_its_promise() {
        let share = worst_share(|_| ());
        assert!(share >= CONFIDENCE, "{share}");
    }

    #[test]
    fn signs_that_are_alike_are_caught() {
        let alike = worst_share(|summary| {
            let mut shape = Shape::new(summary.shape.seed, ERROR, CONFIDENCE).unwrap();
            // A polynomial of degree 0: all items pull to the same side.
            shape.hashes.iter_mut().for_each(|hash| *hash = Cubic::fixed([0, 0, 0, 12345]));
            summary.shape = Arc::new(shape);
        });
        assert!(alike < CONFIDENCE, "{alike}");
    }

    #[test]
    fn is_exact_while_small_and_takes_items_back() {
        let mut summary = AmsF2::new(3, 0.5, 0.9).unwrap();
        assert_eq!(summary.estimate(), Estimate::exact(0.0));
        summary.update_weighted("a", 3);
        summary.update_weighted("b", 4);
        assert_eq!(summary.estimate(), Estimate::exact(25.0));
        summary.update_weighted("a", -3);
        assert_eq!(summary.estimate(), Estimate::exact(16.0));
    }

    #[test]
    fn wrong_errors_and_confidences_are_refused() {
        for (error, confidence) in [(0.0, 0.9), (1.1, 0.9), (f64::NAN, 0.9), (0.1, 0.0), (0.1, 1.0), (0.1, f64::NAN)] {
            assert_eq!(AmsF2::new(1, error, confidence).unwrap_err().code(), "E304");
        }
    }

    proptest! {
        #[test]
        fn parts_merge_to_the_whole(items in prop::collection::vec(0i64..200, 0..600), parts in 1usize..5, seed: u64) {
            let empty = AmsF2::new(seed, 1.0, 0.8).unwrap();
            let mut whole = empty.empty();
            items.iter().for_each(|item| whole.update(item));
            let mut merged = empty.empty();
            for part in items.chunks(items.len() / parts + 1).rev() {
                let mut summary = empty.empty();
                summary.update_all(part);
                merged.merge_bytes(&summary.to_bytes()).unwrap();
            }
            prop_assert_eq!(merged.to_bytes(), whole.to_bytes());
            let read = AmsF2::from_bytes(&whole.to_bytes()).unwrap();
            prop_assert_eq!(read.to_bytes(), whole.to_bytes());
        }

        #[test]
        fn strange_bytes_are_refused_or_read(bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = AmsF2::from_bytes(&bytes);
            let mut summary = AmsF2::new(5, 0.9, 0.9).unwrap();
            ["a", "b", "c"].iter().for_each(|text| summary.update(*text));
            let mut bytes = summary.to_bytes();
            let place = at % bytes.len();
            bytes[place] = byte;
            if let Ok(mut read) = AmsF2::from_bytes(&bytes) {
                read.update(&1i64);
                read.estimate();
            }
            prop_assert!(AmsF2::from_bytes(&bytes[..place]).is_err());
        }
    }
}
