//! Counting distinct items to within a relative error that is proven: a sample of the items whose hash ends with enough zeros.
//!
//! Bar-Yossef, Jayram, Kumar, Sivakumar and Trevisan 2002, "Counting distinct elements in a data stream", their second
//! algorithm: the set B of sampled items, the level z that rises whenever B is full, and a second hash g that keeps B small.

use crate::codec::{self, Reader};
use crate::confidence::{check_confidence, check_error, copies_for_median, median};
use crate::estimate::Estimate;
use crate::hash::{Fold, Item, Linear, field, fold_chunks};
use crate::int_set::IntSet;
use crate::invalid;
use crate::random::Generator;
use fleuve_base::Result;
use std::sync::Arc;

/// The least relative error: below it, a sample would not fit into what g leaves of the items.
pub const BJKST_ERROR_MIN: f64 = 0.01;
/// The most copies of the estimator: enough for a confidence of 0.999999999.
pub const BJKST_COPIES_MAX: u32 = 99;

/// The constant c: B is full when it holds c/ε² items.
///
/// The paper leaves it open; textbooks take 576, from Markov's inequality. Let s be the level with 8/ε² ≤ d·2⁻ˢ < 16/ε². The
/// estimate is wrong only if a level below s has a sample that is off by ε (Chebyshev, summed over levels: at most 1/8), or if
/// level s − 1 still overfills B. Its sample has mean and variance below 32/ε², so by Chebyshev again that has probability at most
/// (32/ε²)/((c − 32)/ε²)², which is ε²/32 for c = 64. With 1/100 for collisions of g, a copy is wrong with probability
/// below [`WRONG`].
const FULL: f64 = 64.0;
/// A copy is outside its error with at most this probability: 1/8 + 1/32 + 1/100, rounded up.
const WRONG: f64 = 1.0 / 6.0;
/// What is allowed for any two items of B to have the same g.
const COLLISION: f64 = 0.01;
/// How many bits of an entry tell the zeros of its hash.
const ZEROS_BITS: u32 = 6;
/// The most bits that g may have, so that an entry fits 64 bits.
const G_BITS_MAX: u32 = 57;

const KIND: [u8; 2] = *b"BJ";
const VERSION: u8 = 1;
const WHAT: &str = "stored BJKST summary";

/// The number of distinct items to within a relative error, by a sample of them.
///
/// An item belongs to the sample of level z if its hash h, pairwise independent, ends with at least z zeros. B holds the sample of
/// the current level; when it reaches 64/ε² items, z rises by one and B loses about half. The answer is |B|·2^z. What B
/// holds of an item is not the item but g of it, another pairwise-independent hash with just enough bits to keep
/// all that ever enter B apart with probability 99 %, and its zeros.
///
/// **Promise.** Within the relative error with probability 5/6 (the source file shows the sum), or, with a confidence, as the median
/// of as many copies as that takes: 5 for 0.95, 9 for 0.99. Exact, but for collisions of g, up to 64/ε² distinct items.
///
/// **Memory.** Up to 64/ε² entries of 8 bytes a copy, in a table that is three eighths to three quarters full; none while empty.
///
/// ```
/// # use fleuve_sketch::distinct::Bjkst;
/// let mut count = Bjkst::new(7, 0.1, Some(0.95))?;
/// count.update_all(&(0..100_000i64).collect::<Vec<_>>());
/// assert!(count.estimate().covers(100_000.0));
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Bjkst {
    shape: Arc<Shape>,
    copies: Vec<Copy>,
}

/// What all summaries of one aggregate share.
#[derive(Debug, PartialEq)]
struct Shape {
    seed: u64,
    error: f64,
    confidence: Option<f64>,
    /// How many items B never holds: one fewer at most.
    full: usize,
    g_mask: u64,
    fold: Fold,
    /// h and g of each copy.
    hashes: Vec<(Linear, Linear)>,
}

/// One copy of the estimator.
#[derive(Debug, Clone, PartialEq, Default)]
struct Copy {
    level: u32,
    sample: IntSet<u64>,
}

impl Shape {
    fn new(seed: u64, error: f64, confidence: Option<f64>) -> Result<Self> {
        check_error(error, BJKST_ERROR_MIN)?;
        let copies = match confidence {
            Some(confidence) => copies_for_median(confidence, WRONG, 0.0, BJKST_COPIES_MAX)?,
            None => 1,
        };
        let full = (FULL / (error * error)).ceil();
        let mut random = Generator::new(seed);
        let fold = Fold::draw(&mut random);
        let hashes = (0..copies).map(|_| (Linear::draw(&mut random), Linear::draw(&mut random))).collect();
        Ok(Shape { seed, error, confidence, full: full as usize, g_mask: (1 << g_bits(full)) - 1, fold, hashes })
    }
}

/// How many bits g needs: at most `full` items enter B at each of 61 levels, and no two of them all shall meet.
fn g_bits(full: f64) -> u32 {
    let items = full * f64::from(field::BITS);
    ((items * items / 2.0 / COLLISION).log2().ceil() as u32).min(G_BITS_MAX)
}

impl Copy {
    /// Looks at items: the level rejects most of them before anything else is done.
    #[inline]
    fn absorb(&mut self, folded: &[u64], shape: &Shape, (h, g): &(Linear, Linear)) {
        let mut mask = (1u64 << self.level) - 1;
        for x in folded {
            let hash = h.hash(*x);
            if hash & mask == 0 {
                self.insert((g.hash(*x) & shape.g_mask) << ZEROS_BITS | u64::from(zeros(hash)), shape.full);
                mask = (1 << self.level) - 1;
            }
        }
    }

    /// Takes an entry into B, and raises the level while B is full.
    #[inline(never)]
    fn insert(&mut self, entry: u64, full: usize) {
        // 0 is no member of the set.
        if !self.sample.insert(entry + 1) {
            return;
        }
        while self.sample.len() >= full {
            self.raise(self.level + 1);
        }
    }

    fn raise(&mut self, level: u32) {
        self.level = level;
        self.sample.retain(|entry| entry_zeros(entry) >= level);
    }

    fn merge(&mut self, other: &Copy, full: usize) {
        if other.level > self.level {
            self.raise(other.level);
        }
        for entry in other.sample.iter() {
            if entry_zeros(entry) >= self.level {
                self.insert(entry - 1, full);
            }
        }
    }

    fn estimate(&self) -> f64 {
        self.sample.len() as f64 * f64::from(self.level).exp2()
    }
}

/// How many zeros a hash ends with; 0 has as many as the field has bits.
#[inline]
fn zeros(hash: u64) -> u32 {
    (hash | 1 << field::BITS).trailing_zeros()
}

/// How many zeros the hash of a member of B ends with.
#[inline]
fn entry_zeros(member: u64) -> u32 {
    ((member - 1) & ((1 << ZEROS_BITS) - 1)) as u32
}

impl Bjkst {
    /// A summary of nothing for this relative error; with a confidence, the median of as many copies as it takes.
    ///
    /// # Errors
    /// If the error is not between [`BJKST_ERROR_MIN`] and 1, or the confidence not between 0 and 1, or too near to 1.
    pub fn new(seed: u64, error: f64, confidence: Option<f64>) -> Result<Self> {
        Ok(Self::of(Arc::new(Shape::new(seed, error, confidence)?)))
    }

    fn of(shape: Arc<Shape>) -> Self {
        let copies = vec![Copy::default(); shape.hashes.len()];
        Bjkst { shape, copies }
    }

    /// Another summary of nothing, with the same hash functions, which both share.
    pub fn empty(&self) -> Self {
        Self::of(Arc::clone(&self.shape))
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

    #[inline]
    fn absorb(&mut self, folded: &[u64]) {
        for (copy, hashes) in self.copies.iter_mut().zip(&self.shape.hashes) {
            copy.absorb(folded, &self.shape, hashes);
        }
    }

    /// Adds all that another summary has seen.
    ///
    /// # Errors
    /// If the other one has another seed, error or confidence.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.shape != other.shape {
            return Err(invalid("BJKST summaries of another seed, error or confidence cannot be merged"));
        }
        for (copy, more) in self.copies.iter_mut().zip(&other.copies) {
            copy.merge(more, self.shape.full);
        }
        Ok(())
    }

    /// The number of distinct items, with the bounds of the promise.
    pub fn estimate(&self) -> Estimate {
        let value = median(&mut self.copies.iter().map(Copy::estimate).collect::<Vec<_>>());
        if self.copies.iter().all(|copy| copy.level == 0) {
            return Estimate::exact(value);
        }
        Estimate::within(value, self.shape.error)
    }

    /// The level z of the first copy: items arrive in B with probability 2⁻ᶻ.
    pub fn level(&self) -> u32 {
        self.copies[0].level
    }

    /// How many copies of the estimator there are.
    pub fn copies(&self) -> usize {
        self.copies.len()
    }

    /// How many bytes this summary holds, without what it shares with others.
    pub fn bytes(&self) -> usize {
        let copies: usize = self.copies.iter().map(|copy| size_of::<Copy>() + copy.sample.bytes()).sum();
        size_of::<Self>() + copies
    }

    /// The stored form; `docs/internals/sketches.md` has its layout.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = codec::begin(KIND, VERSION);
        let confidence = self.shape.confidence.unwrap_or(0.0);
        codec::put_u64s(&mut bytes, [self.shape.seed, self.shape.error.to_bits(), confidence.to_bits()]);
        for copy in &self.copies {
            bytes.push(copy.level as u8);
            bytes.extend((copy.sample.len() as u32).to_le_bytes());
            codec::put_u64s(&mut bytes, copy.sample.sorted());
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
    /// As [`Bjkst::from_bytes`] and [`Bjkst::merge`].
    pub fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let other = Self::read(bytes, Some(&self.shape))?;
        self.merge(&other)
    }

    fn read(bytes: &[u8], known: Option<&Arc<Shape>>) -> Result<Self> {
        let mut reader = Reader::open(bytes, WHAT, KIND, VERSION)?;
        let (seed, error, confidence) = (reader.u64()?, reader.f64()?, reader.f64()?);
        let confidence = if confidence == 0.0 { None } else { Some(confidence) };
        confidence.map_or(Ok(()), check_confidence)?;
        let same = |shape: &&Arc<Shape>| (shape.seed, shape.error, shape.confidence) == (seed, error, confidence);
        let mut summary = match known.filter(same) {
            Some(shape) => Self::of(Arc::clone(shape)),
            None => Bjkst::new(seed, error, confidence)?,
        };
        for copy in &mut summary.copies {
            *copy = read_copy(&mut reader, &summary.shape)?;
        }
        reader.finish()?;
        Ok(summary)
    }
}

fn read_copy(reader: &mut Reader<'_>, shape: &Shape) -> Result<Copy> {
    let mut copy = Copy { level: u32::from(reader.u8()?), sample: IntSet::default() };
    reader.demand(copy.level <= field::BITS, "a level is too high")?;
    let count = reader.count(8)?;
    reader.demand(count < shape.full, "a sample is too large")?;
    let largest = (shape.g_mask << ZEROS_BITS | ((1 << ZEROS_BITS) - 1)) + 1;
    for member in reader.u64s(count)? {
        reader.demand(member > 0 && member <= largest, "a sample has an impossible member")?;
        let zeros = entry_zeros(member);
        reader.demand(zeros >= copy.level && zeros <= field::BITS, "a sample has a member of another level")?;
        reader.demand(copy.sample.insert(member), "a sample has a member twice")?;
    }
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trials::{share, streams};
    use proptest::prelude::*;

    const ERROR: f64 = 0.8;

    /// The share of the seeds for which the summary is within its error, the worst over all streams.
    fn worst_share(confidence: Option<f64>, meddle: impl Fn(&mut Bjkst, bool)) -> f64 {
        let empty = Bjkst::new(0, ERROR, confidence).unwrap();
        assert_eq!(empty.shape.full, 100);
        let shares = [110, 700].into_iter().flat_map(streams).map(|(_, items)| {
            let distinct = items.iter().collect::<std::collections::BTreeSet<_>>().len() as f64;
            share(|seed| {
                let mut summary = Bjkst::new(seed, ERROR, confidence).unwrap();
                meddle(&mut summary, false);
                summary.update_all(&items);
                meddle(&mut summary, true);
                (summary.estimate().value - distinct).abs() <= ERROR * distinct && summary.level() > 0
            })
        });
        shares.fold(1.0, f64::min)
    }

    #[test]
    fn keeps_its_promise() {
        assert!(worst_share(None, |_, _| ()) >= 5.0 / 6.0);
        assert!(worst_share(Some(0.9), |_, _| ()) >= 0.9);
    }

    #[test]
    fn a_biased_hash_is_caught() {
        let biased = worst_share(None, |summary, seen| {
            if !seen {
                let mut shape = Shape::new(summary.shape.seed, ERROR, None).unwrap();
                shape.hashes[0].0 = Linear::fixed(1, 0);
                summary.shape = Arc::new(shape);
            }
        });
        assert!(biased < 5.0 / 6.0, "{biased}");
    }

    #[test]
    fn a_lost_bit_of_z_and_a_level_too_far_are_caught() {
        let lost = worst_share(None, |summary, seen| summary.copies[0].level &= if seen { !1 } else { !0 });
        assert!(lost < 5.0 / 6.0, "{lost}");
        let narrow = worst_share(None, |summary, seen| {
            if !seen {
                let mut shape = Shape::new(summary.shape.seed, ERROR, None).unwrap();
                shape.g_mask = 3;
                summary.shape = Arc::new(shape);
            }
        });
        assert!(narrow < 5.0 / 6.0, "a second hash of 2 bits: {narrow}");
    }

    #[test]
    fn is_exact_while_small() {
        let mut summary = Bjkst::new(3, 0.1, Some(0.95)).unwrap();
        assert_eq!(summary.estimate(), Estimate::exact(0.0));
        for item in 0..6000i64 {
            summary.update(&(item % 3000));
        }
        assert_eq!(summary.estimate(), Estimate::exact(3000.0));
    }

    #[test]
    fn wrong_errors_and_confidences_are_refused() {
        for (error, confidence) in [(0.0, None), (1.1, None), (f64::NAN, None), (0.001, None), (0.1, Some(1.0))] {
            assert_eq!(Bjkst::new(1, error, confidence).unwrap_err().code(), "E304");
        }
    }

    proptest! {
        #[test]
        fn parts_merge_to_the_whole(items in prop::collection::vec(-900i64..900, 0..1500), parts in 1usize..5, seed: u64) {
            let empty = Bjkst::new(seed, 1.0, Some(0.9)).unwrap();
            let mut whole = empty.empty();
            items.iter().for_each(|item| whole.update(item));
            let mut merged = empty.empty();
            for part in items.chunks(items.len() / parts + 1).rev() {
                let mut summary = empty.empty();
                summary.update_all(part);
                merged.merge(&Bjkst::from_bytes(&summary.to_bytes()).unwrap()).unwrap();
                merged.merge_bytes(&summary.to_bytes()).unwrap();
            }
            prop_assert_eq!(merged.to_bytes(), whole.to_bytes());
        }

        #[test]
        fn strange_bytes_are_refused_or_read(bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = Bjkst::from_bytes(&bytes);
            let mut summary = Bjkst::new(5, 0.9, None).unwrap();
            ["a", "b", "c"].iter().for_each(|text| summary.update(*text));
            let mut bytes = summary.to_bytes();
            let place = at % bytes.len();
            bytes[place] = byte;
            if let Ok(mut read) = Bjkst::from_bytes(&bytes) {
                read.update(&1i64);
                read.estimate();
            }
            prop_assert!(Bjkst::from_bytes(&bytes[..place]).is_err());
        }
    }
}
