//! The first algorithm that counts distinct items in logarithmic memory: remember how many zeros a hash has ended with.
//!
//! Alon, Matias and Szegedy 1996, "The space complexity of approximating the frequency moments", section 2.3; the answer
//! 2^(z+½) in place of their 2^z centres the error.

use crate::codec::{self, Reader};
use crate::confidence::{check_confidence, copies_for_median};
use crate::estimate::Estimate;
use crate::hash::{Fold, Item, Linear, field, fold_chunks};
use crate::invalid;
use crate::random::Generator;
use fleuve_base::Result;
use std::sync::Arc;

/// The most copies of the estimator: enough for a confidence of 0.999999.
pub const AMS_F0_COPIES_MAX: u32 = 8191;

/// What the median promises: at most this factor away.
const FACTOR: f64 = 3.0;
/// What a single copy promises: at most this factor away, with probability 2/3.
const FACTOR_OF_ONE: f64 = 8.0;

/// A copy exceeds three times the truth with at most this probability. It does so only if some item has at least r zeros, where
/// 2^(r+½) ≥ 3d: d·2⁻ʳ ≤ √2/3, by the union bound.
const TOO_HIGH: f64 = std::f64::consts::SQRT_2 / 3.0;
/// A copy stays below a third of the truth with at most this probability. It does so only if none of the d items has at least r
/// zeros, where 2^(r−½) ≤ d/3: their number has mean μ ≥ 3/√2 and, the hashes being pairwise independent, variance below
/// μ, so that it is 0 with probability at most 1/(1 + μ), by Cantelli's inequality.
const TOO_LOW: f64 = 1.0 / (1.0 + 3.0 / std::f64::consts::SQRT_2);

const KIND: [u8; 2] = *b"A0";
const VERSION: u8 = 1;
const WHAT: &str = "stored AMS_F0 summary";

/// The number of distinct items within a constant factor, in one byte.
///
/// A pairwise-independent hash h(x) = ax + b over the field of 2⁶¹ − 1; z is the most trailing zeros that a hash had;
/// the answer is 2^(z+½), and 0 if nothing came.
///
/// **Promise.** One copy is within a factor of 8 with probability 2/3 (too high with probability √2/8, too low with
/// 1/(1 + 8/√2)). With a confidence, it is the median of as many copies as that takes for a factor of 3: a copy is too high with
/// probability at most √2/3 and too low with at most 1/(1 + 3/√2), and the tails of both binomial distributions are summed
/// exactly. 0.95 takes some 800 copies.
///
/// **Memory.** A byte for each copy, none while empty; the hash functions are shared by all that [`AmsF0::empty`] gave.
///
/// ```
/// # use fleuve_sketch::distinct::AmsF0;
/// let mut count = AmsF0::new(7, Some(0.95))?;
/// count.update_all(&(0..10_000i64).collect::<Vec<_>>());
/// assert!(count.estimate().covers(10_000.0));
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct AmsF0 {
    shape: Arc<Shape>,
    /// The most trailing zeros for each copy; empty if nothing came.
    zeros: Vec<u8>,
}

/// What all summaries of one aggregate share.
#[derive(Debug, PartialEq)]
struct Shape {
    seed: u64,
    confidence: Option<f64>,
    fold: Fold,
    hashes: Vec<Linear>,
}

impl Shape {
    fn new(seed: u64, confidence: Option<f64>) -> Result<Self> {
        let copies = match confidence {
            Some(confidence) => copies_for_median(confidence, TOO_HIGH, TOO_LOW, AMS_F0_COPIES_MAX)?,
            None => 1,
        };
        let mut random = Generator::new(seed);
        let fold = Fold::draw(&mut random);
        Ok(Shape { seed, confidence, fold, hashes: (0..copies).map(|_| Linear::draw(&mut random)).collect() })
    }
}

impl AmsF0 {
    /// A summary of nothing; with a confidence, the median of as many copies as it takes for a factor of 3.
    ///
    /// # Errors
    /// If the confidence is not between 0 and 1, or takes more than [`AMS_F0_COPIES_MAX`] copies.
    pub fn new(seed: u64, confidence: Option<f64>) -> Result<Self> {
        Ok(AmsF0 { shape: Arc::new(Shape::new(seed, confidence)?), zeros: Vec::new() })
    }

    /// Another summary of nothing, with the same hash functions, which both share.
    pub fn empty(&self) -> Self {
        AmsF0 { shape: Arc::clone(&self.shape), zeros: Vec::new() }
    }

    /// Adds an item.
    pub fn update<I: Item + ?Sized>(&mut self, item: &I) {
        self.absorb(&[item.fold(&self.shape.fold)]);
    }

    /// Adds items.
    pub fn update_all<I: Item>(&mut self, items: &[I]) {
        let shape = Arc::clone(&self.shape);
        fold_chunks(items, &shape.fold, |folded| self.absorb(folded));
    }

    fn absorb(&mut self, folded: &[u64]) {
        self.zeros.resize(self.shape.hashes.len(), 0);
        for (zeros, hash) in self.zeros.iter_mut().zip(&self.shape.hashes) {
            *zeros = (*zeros).max(most_trailing_zeros(folded, hash));
        }
    }

    /// Adds all that another summary has seen.
    ///
    /// # Errors
    /// If the other one has another seed or confidence.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.shape != other.shape {
            return Err(invalid("AMS_F0 summaries of another seed or confidence cannot be merged"));
        }
        self.zeros.resize(self.zeros.len().max(other.zeros.len()), 0);
        self.zeros.iter_mut().zip(&other.zeros).for_each(|(zeros, more)| *zeros = (*zeros).max(*more));
        Ok(())
    }

    /// The number of distinct items, with the bounds of the promise (see the type).
    pub fn estimate(&self) -> Estimate {
        if self.zeros.is_empty() {
            return Estimate::exact(0.0);
        }
        let mut zeros = self.zeros.clone();
        let (_, middle, _) = zeros.select_nth_unstable(self.zeros.len() / 2);
        let value = (f64::from(*middle) + 0.5).exp2();
        let factor = if self.shape.confidence.is_some() { FACTOR } else { FACTOR_OF_ONE };
        Estimate { value, low: value / factor, high: value * factor }
    }

    /// How many copies of the estimator there are.
    pub fn copies(&self) -> usize {
        self.shape.hashes.len()
    }

    /// How many bytes this summary holds, without what it shares with others.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.zeros.capacity()
    }

    /// The stored form; `docs/internals/sketches.md` has its layout.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = codec::begin(KIND, VERSION);
        bytes.push(u8::from(!self.zeros.is_empty()));
        let confidence = self.shape.confidence.unwrap_or(0.0);
        codec::put_u64s(&mut bytes, [self.shape.seed, confidence.to_bits()]);
        bytes.extend(&self.zeros);
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
    /// As [`AmsF0::from_bytes`] and [`AmsF0::merge`].
    pub fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let other = Self::read(bytes, Some(&self.shape))?;
        self.merge(&other)
    }

    fn read(bytes: &[u8], known: Option<&Arc<Shape>>) -> Result<Self> {
        let mut reader = Reader::open(bytes, WHAT, KIND, VERSION)?;
        let seen = reader.u8()?;
        let (seed, confidence) = (reader.u64()?, reader.f64()?);
        reader.demand(seen <= 1, "a flag is unknown")?;
        let confidence = if confidence == 0.0 { None } else { Some(confidence) };
        confidence.map_or(Ok(()), check_confidence)?;
        let mut summary = match known.filter(|shape| (shape.seed, shape.confidence) == (seed, confidence)) {
            Some(shape) => AmsF0 { shape: Arc::clone(shape), zeros: Vec::new() },
            None => AmsF0::new(seed, confidence)?,
        };
        if seen == 1 {
            summary.zeros = reader.take(summary.copies())?.to_vec();
            let most = field::BITS as u8;
            reader.demand(summary.zeros.iter().all(|zeros| *zeros <= most), "a hash has too many zeros")?;
        }
        reader.finish()?;
        Ok(summary)
    }
}

/// The most trailing zeros of the hashes; that of 0 has as many as the field has bits.
///
/// The lowest bit that is set, of each hash, all put together by OR: the highest of them is the answer. No branch.
#[inline]
fn most_trailing_zeros(folded: &[u64], hash: &Linear) -> u8 {
    let lowest = folded.iter().fold(0, |bits, x| {
        let h = hash.hash(*x) | 1 << field::BITS;
        bits | (h & h.wrapping_neg())
    });
    63u32.saturating_sub(lowest.leading_zeros()) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trials::{SEEDS, share, streams};
    use proptest::prelude::*;

    const CONFIDENCE: f64 = 0.7;

    /// The share of the seeds for which the summary is within its bounds, the worst over all streams.
    fn worst_share(confidence: Option<f64>, meddle: impl Fn(&mut AmsF0, bool)) -> f64 {
        let shares = [3, 21, 49].into_iter().flat_map(streams).map(|(_, items)| {
            let distinct = items.iter().collect::<std::collections::BTreeSet<_>>().len() as f64;
            share(|seed| {
                let mut summary = AmsF0::new(seed, confidence).unwrap();
                meddle(&mut summary, false);
                summary.update_all(&items);
                meddle(&mut summary, true);
                summary.estimate().covers(distinct)
            })
        });
        shares.fold(1.0, f64::min)
    }

    #[test]
    fn keeps_its_promise() {
        let share = worst_share(Some(CONFIDENCE), |_, _| ());
        assert!(share >= CONFIDENCE, "{share}");
        let share = worst_share(None, |_, _| ());
        assert!(share >= 2.0 / 3.0, "{share}");
    }

    #[test]
    fn a_biased_hash_is_caught() {
        let biased = worst_share(Some(CONFIDENCE), |summary, seen| {
            if !seen {
                let mut shape = Shape::new(summary.shape.seed, Some(CONFIDENCE)).unwrap();
                // Every second hash is thrown away: low bits of the element instead of random ones.
                shape.hashes.iter_mut().step_by(2).for_each(|hash| *hash = Linear::fixed(1, 0));
                shape.hashes.iter_mut().skip(1).step_by(8).for_each(|hash| *hash = Linear::fixed(1, 0));
                summary.shape = Arc::new(shape);
            }
        });
        assert!(biased < CONFIDENCE, "{biased}");
    }

    /// How far z is from its mean for a hash that is random, the mean over all seeds. Sharper than the promise.
    fn deviation_of_zeros(lost: u8) -> f64 {
        let (_, items) = streams(97).into_iter().next().unwrap();
        let expected: f64 = (1..60).map(|r| 1.0 - (1.0 - f64::from(-r).exp2()).powi(97)).sum();
        let zeros = |seed| {
            let mut summary = AmsF0::new(seed, None).unwrap();
            summary.update_all(&items);
            f64::from(summary.zeros[0] & !lost)
        };
        (0..SEEDS).map(zeros).sum::<f64>() / SEEDS as f64 - expected
    }

    #[test]
    fn a_lost_bit_of_z_is_caught() {
        assert!(deviation_of_zeros(0).abs() < 0.2, "{}", deviation_of_zeros(0));
        for bit in [1, 2, 4] {
            assert!(deviation_of_zeros(bit).abs() > 0.2, "without bit {bit}: {}", deviation_of_zeros(bit));
        }
        let lost = worst_share(Some(CONFIDENCE), |summary, seen| {
            if seen {
                summary.zeros.iter_mut().for_each(|zeros| *zeros &= !4);
            }
        });
        assert!(lost < CONFIDENCE, "{lost}");
    }

    #[test]
    fn empty_is_zero_and_wrong_confidences_are_refused() {
        assert_eq!(AmsF0::new(1, None).unwrap().estimate(), Estimate::exact(0.0));
        for wrong in [0.0, 1.0, 1.5, -0.1, f64::NAN, 0.999_999_999] {
            assert_eq!(AmsF0::new(1, Some(wrong)).unwrap_err().code(), "E304");
        }
    }

    proptest! {
        #[test]
        fn parts_merge_to_the_whole(items: Vec<i64>, parts in 1usize..5, seed: u64) {
            let empty = AmsF0::new(seed, Some(0.1)).unwrap();
            let mut whole = empty.empty();
            items.iter().for_each(|item| whole.update(item));
            let mut merged = empty.empty();
            for part in items.chunks(items.len() / parts + 1) {
                let mut summary = empty.empty();
                summary.update_all(part);
                merged.merge(&AmsF0::from_bytes(&summary.to_bytes()).unwrap()).unwrap();
                merged.merge_bytes(&summary.to_bytes()).unwrap();
            }
            prop_assert_eq!(merged.to_bytes(), whole.to_bytes());
        }

        #[test]
        fn strange_bytes_are_refused_or_read(bytes: Vec<u8>, at in 0usize..40, byte: u8) {
            let _ = AmsF0::from_bytes(&bytes);
            let mut summary = AmsF0::new(5, Some(0.3)).unwrap();
            summary.update("text");
            let mut bytes = summary.to_bytes();
            let place = at % bytes.len();
            bytes[place] = byte;
            if let Ok(read) = AmsF0::from_bytes(&bytes) {
                read.estimate();
            }
            prop_assert!(AmsF0::from_bytes(&bytes[..place]).is_err());
        }
    }
}
