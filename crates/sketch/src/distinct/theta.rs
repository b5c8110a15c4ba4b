//! Theta sketches: the smallest hashes of a set, from which sets can be counted, united, intersected and subtracted.
//!
//! Bar-Yossef et al. 2002 (their first algorithm) and Beyer, Haas, Reinwald, Sismanis and Gemulla 2007, "On synopses for
//! distinct-value estimation under multiset operations", for the k smallest hashes; Dasgupta, Lang, Rhodes and Thaler 2016, "A
//! framework for estimating stream expression cardinalities", for the threshold θ that makes them sets.

use super::theta_set::{THETA_MAX, ThetaSet};
use crate::hash::murmur::DEFAULT_SEED;
use crate::hash::{HASHED_AT_ONCE, Item, Work, on_wide_vectors};
use crate::int_set::IntSet;
use crate::invalid;
use fleuve_base::Result;

/// The least and most hashes that are kept, as powers of two.
pub const THETA_LG_K: std::ops::RangeInclusive<u8> = 5..=20;
/// What is taken where nobody chooses: 4,096 hashes, an error of 1.6 %.
pub const THETA_LG_K_DEFAULT: u8 = 12;

/// A summary of a set that is being read; [`Theta::set`] gives the set to calculate with.
///
/// It keeps the k smallest hashes of the items, and θ, the next smaller one: every item whose hash is below θ is known, so that the
/// number of items is k/θ, with θ as a fraction of all hashes.
///
/// **Promise.** For a hash that is as good as random: without bias, and with a standard error of 1/√(k − 1), 1.6 % at
/// the default k = 4,096; exact up to k items.
///
/// **Memory.** Up to 3k/2 hashes of 8 bytes, in a table of 2k places; less while there are few; none while empty.
///
/// ```
/// # use fleuve_sketch::distinct::Theta;
/// let (mut even, mut threes) = (Theta::new(12)?, Theta::new(12)?);
/// even.update_all(&(0..60_000i64).map(|i| 2 * i).collect::<Vec<_>>());
/// threes.update_all(&(0..60_000i64).map(|i| 3 * i).collect::<Vec<_>>());
/// let both = even.set().intersection(&threes.set());
/// assert!(both.estimate().covers(20_000.0));
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Theta {
    lg_k: u8,
    theta: u64,
    hashes: IntSet<u64>,
}

/// The hash of an item: 63 bits, as Apache DataSketches has them.
#[inline(always)]
fn hash<I: Item + ?Sized>(item: &I) -> u64 {
    item.murmur(DEFAULT_SEED).0 >> 1
}

impl Theta {
    /// A summary of nothing that keeps 2^`lg_k` hashes.
    ///
    /// # Errors
    /// If it is not in [`THETA_LG_K`].
    pub fn new(lg_k: u8) -> Result<Self> {
        if !THETA_LG_K.contains(&lg_k) {
            let (least, most) = THETA_LG_K.into_inner();
            return Err(invalid(format!("a Theta sketch keeps 2^{least} to 2^{most} hashes, not 2^{lg_k}")));
        }
        Ok(Theta { lg_k, theta: THETA_MAX, hashes: IntSet::default() })
    }

    /// Another summary of nothing.
    pub fn empty(&self) -> Self {
        Theta { lg_k: self.lg_k, theta: THETA_MAX, hashes: IntSet::default() }
    }

    fn k(&self) -> usize {
        1 << self.lg_k
    }

    /// Adds an item.
    #[inline]
    pub fn update<I: Item + ?Sized>(&mut self, item: &I) {
        self.insert(hash(item));
    }

    /// Adds items: hashes many of them, then compares the hashes with θ.
    pub fn update_all<I: Item>(&mut self, items: &[I]) {
        on_wide_vectors(Update { theta: self, items });
    }

    /// 0 is no member of the set, and no item's hash but by a chance of 2⁻⁶³.
    #[inline(always)]
    fn insert(&mut self, hash: u64) {
        if hash.wrapping_sub(1) < self.theta - 1 {
            self.insert_below(hash);
        }
    }

    #[inline(never)]
    fn insert_below(&mut self, hash: u64) {
        if self.hashes.insert(hash) && self.hashes.len() >= self.k() + self.k() / 2 {
            self.trim();
        }
    }

    /// Lowers θ to the (k + 1)-th smallest hash.
    fn trim(&mut self) {
        let k = self.k();
        let mut hashes: Vec<u64> = self.hashes.iter().collect();
        if hashes.len() > k {
            self.theta = *hashes.select_nth_unstable(k).1;
            let theta = self.theta;
            self.hashes.retain(|hash| hash < theta);
        }
    }

    /// Adds all that another summary has seen.
    ///
    /// # Errors
    /// If the other one keeps another number of hashes.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.lg_k != other.lg_k {
            return Err(invalid(
                "Theta sketches that keep different numbers of hashes cannot be merged; unite their sets",
            ));
        }
        self.lower(other.theta);
        other.hashes.iter().for_each(|hash| self.insert(hash));
        Ok(())
    }

    /// Adds the items of a set.
    pub fn merge_set(&mut self, set: &ThetaSet) {
        self.lower(set.theta());
        set.hashes().iter().for_each(|hash| self.insert(*hash));
    }

    fn lower(&mut self, theta: u64) {
        if theta < self.theta {
            self.theta = theta;
            self.hashes.retain(|hash| hash < theta);
        }
    }

    /// The set of the items: the same for the same items, whatever their order and however parts were merged.
    pub fn set(&self) -> ThetaSet {
        let (mut theta, mut hashes) = (self.theta, self.hashes.sorted());
        if hashes.len() > self.k() {
            theta = hashes[self.k()];
            hashes.truncate(self.k());
        }
        ThetaSet::new(theta, hashes)
    }

    /// The stored form of the set; [`ThetaSet::from_bytes`] reads it.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.set().to_bytes()
    }

    /// How many bytes this summary holds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.hashes.bytes()
    }
}

struct Update<'a, I> {
    theta: &'a mut Theta,
    items: &'a [I],
}

impl<I: Item> Work for Update<'_, I> {
    #[inline(always)]
    fn run(self) {
        let mut hashes = [0; HASHED_AT_ONCE];
        for chunk in self.items.chunks(HASHED_AT_ONCE) {
            hashes.iter_mut().zip(chunk).for_each(|(to, item)| *to = hash(item));
            hashes[..chunk.len()].iter().for_each(|hash| self.theta.insert(*hash));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;
    use crate::trials::share;
    use proptest::prelude::*;

    /// The worst share, over several counts, of the seeds for which the truth lies between the bounds.
    fn worst_share(meddle: impl Fn(u64) -> u64, spoil: impl Fn(&mut Theta)) -> f64 {
        let shares = [20u64, 60, 400].map(|items| {
            share(|seed| {
                let mut summary = Theta::new(5).unwrap();
                let mut random = Generator::new(seed);
                (0..items).for_each(|_| summary.update(&meddle(random.next_u64())));
                spoil(&mut summary);
                summary.set().estimate().covers(items as f64)
            })
        });
        shares.into_iter().fold(1.0, f64::min)
    }

    #[test]
    fn the_truth_lies_between_the_bounds_and_broken_variants_are_caught() {
        let share = worst_share(|x| x, |_| ());
        assert!(share >= 0.94, "{share}");
        let colliding = worst_share(|x| x % 300, |_| ());
        assert!(colliding < 0.9, "a hash with collisions: {colliding}");
        let lost = worst_share(|x| x, |summary| summary.theta = (summary.theta / 2).max(1));
        assert!(lost < 0.9, "a bit of θ lost: {lost}");
    }

    #[test]
    fn has_no_bias() {
        let estimates = (0..1000u64).map(|seed| {
            let mut summary = Theta::new(5).unwrap();
            let mut random = Generator::new(seed);
            (0..300).for_each(|_| summary.update(&random.next_u64()));
            summary.set().estimate().value
        });
        let mean = estimates.sum::<f64>() / 1000.0;
        assert!((mean / 300.0 - 1.0).abs() < 0.02, "{mean}");
        assert!(Theta::new(4).is_err() && Theta::new(21).is_err());
    }

    proptest! {
        #[test]
        fn parts_merge_to_the_whole(items in prop::collection::vec(-300i64..300, 0..900), parts in 1usize..5) {
            let mut whole = Theta::new(6).unwrap();
            items.iter().for_each(|item| whole.update(item));
            let (mut merged, mut united) = (whole.empty(), ThetaSet::default());
            for part in items.chunks(items.len() / parts + 1).rev() {
                let mut summary = whole.empty();
                summary.update_all(part);
                merged.merge(&summary).unwrap();
                merged.merge_set(&ThetaSet::from_bytes(&summary.to_bytes()).unwrap());
                united = united.union(&summary.set(), 6);
            }
            prop_assert_eq!(merged.set(), whole.set());
            prop_assert_eq!(united, whole.set());
        }
    }
}
