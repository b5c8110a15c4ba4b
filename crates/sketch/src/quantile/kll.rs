//! Quantiles with a proven error in rank: levels of samples, where each item of a level stands for twice as many as below.
//!
//! Karnin, Lang and Liberty 2016, "Optimal quantile approximation in streams", with the levels' capacities of Apache DataSketches.

use crate::estimate::Estimate;
use crate::invalid;
use crate::random::split_mix;
use fleuve_base::Result;
use std::cmp::Ordering;

/// The values that k can have.
pub const KLL_K: std::ops::RangeInclusive<u16> = 8..=u16::MAX;
/// What is taken where nobody chooses: an error of 1.3 % of the rank.
pub const KLL_K_DEFAULT: u16 = 200;

/// The least capacity of a level.
pub(super) const LEAST_CAPACITY: u8 = 8;
/// For how many items a level that was halved may keep room.
const ROOM_KEPT: usize = 32;
/// The most levels: enough for 2⁶³ items.
pub(super) const LEVELS_MAX: usize = 60;

/// What quantiles can be asked of: floats (no NaN among them), and integers.
pub trait Quantity: Copy + Default {
    /// The order of two values.
    fn order(&self, other: &Self) -> Ordering;
    /// Whether the value has a place in the order: NaN has not.
    fn is_ordered(&self) -> bool;
    /// The value as it is stored.
    fn to_stored(self) -> [u8; 8];
    /// The value from what is stored.
    fn from_stored(bytes: [u8; 8]) -> Self;
}

impl Quantity for f64 {
    fn order(&self, other: &Self) -> Ordering {
        // −0.0 and 0.0 are equal, and NaN never comes here.
        self.partial_cmp(other).unwrap_or(Ordering::Equal)
    }

    fn is_ordered(&self) -> bool {
        !self.is_nan()
    }

    fn to_stored(self) -> [u8; 8] {
        self.to_le_bytes()
    }

    fn from_stored(bytes: [u8; 8]) -> Self {
        f64::from_le_bytes(bytes)
    }
}

impl Quantity for i64 {
    fn order(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }

    fn is_ordered(&self) -> bool {
        true
    }

    fn to_stored(self) -> [u8; 8] {
        self.to_le_bytes()
    }

    fn from_stored(bytes: [u8; 8]) -> Self {
        i64::from_le_bytes(bytes)
    }
}

/// Quantiles of a stream of numbers, in a few hundred of them.
///
/// Level 0 takes the items. When the whole is full, the lowest level that is full is sorted, and every second item of it goes one level up,
/// where it stands for two: beginning with the first or the second, as a coin decides. The coin is a function of a seed, the number
/// of items and the level, so that the same items in the same order always give the same state.
///
/// **Promise.** The rank of any value is off by at most 2.3/k^0.97 of all items, 1.33 % at the default k = 200, with confidence 99 % (the
/// constants are those measured by DataSketches; the paper proves the order of growth). This holds after merging, too, for the
/// smaller k. Exact up to k items. NaN are not counted.
///
/// **Memory.** 3k items of 8 bytes, growing by 8 items with every doubling of the stream, and room for as many again and 32 a level.
///
/// **Stored form.** That of Apache DataSketches' kll_doubles_sketch, and of its kll_items_sketch for 64-bit integers.
///
/// ```
/// # use fleuve_sketch::quantile::Kll;
/// let mut quantiles = Kll::new(200, 7)?;
/// quantiles.update_all(&(0..100_000i64).collect::<Vec<_>>());
/// let median = quantiles.quantile(0.5)?.expect("it is not empty");
/// assert!((median - 50_000).abs() < 1_500);
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Kll<T> {
    pub(super) k: u16,
    /// The smallest k of all that were merged into it: what its error follows from.
    pub(super) k_min: u16,
    pub(super) seed: u64,
    /// The number of all items.
    pub(super) total: u64,
    /// From the items themselves to those that stand for most; all but the first are sorted.
    pub(super) levels: Vec<Vec<T>>,
    /// How many items all levels hold, and how many they may.
    pub(super) held: usize,
    pub(super) capacity: usize,
    /// How many items each level may hold.
    capacities: Vec<usize>,
    pub(super) least: T,
    pub(super) greatest: T,
}

impl<T: Quantity> Kll<T> {
    /// A summary of nothing, with a parameter for its size and a seed for its coins.
    ///
    /// # Errors
    /// If k is not in [`KLL_K`].
    pub fn new(k: u16, seed: u64) -> Result<Self> {
        if !KLL_K.contains(&k) {
            return Err(invalid(format!(
                "the parameter k of a KLL sketch is {} to {}, not {k}",
                KLL_K.start(),
                KLL_K.end()
            )));
        }
        Ok(Self::of(k, seed))
    }

    fn of(k: u16, seed: u64) -> Self {
        let capacity = capacity(k, 1, 0);
        Kll {
            k,
            k_min: k,
            seed,
            total: 0,
            levels: Vec::new(),
            held: 0,
            capacity,
            capacities: Vec::new(),
            least: T::default(),
            greatest: T::default(),
        }
    }

    /// Another summary of nothing.
    pub fn empty(&self) -> Self {
        Self::of(self.k, self.seed)
    }

    /// Adds an item; NaN are passed over.
    #[inline]
    pub fn update(&mut self, item: T) {
        self.update_all(&[item]);
    }

    /// Adds items; NaN are passed over.
    pub fn update_all(&mut self, items: &[T]) {
        // Almost always there are none, and then all that there is room for comes at once.
        if items.iter().all(T::is_ordered) {
            self.take(items);
        } else {
            items.split(|item| !item.is_ordered()).for_each(|ordered| self.take(ordered));
        }
    }

    fn take(&mut self, items: &[T]) {
        let mut rest = items;
        while !rest.is_empty() {
            if self.held >= self.capacity {
                self.compact();
            }
            if self.levels.is_empty() {
                self.levels.push(Vec::new());
                self.count_again();
            }
            let (taken, others) = rest.split_at(rest.len().min(self.capacity - self.held));
            self.bound_all(taken);
            self.levels[0].extend_from_slice(taken);
            self.held += taken.len();
            self.total += taken.len() as u64;
            rest = others;
        }
    }

    fn bound_all(&mut self, items: &[T]) {
        let Some(first) = items.first() else { return };
        let (mut least, mut greatest) = if self.total == 0 { (*first, *first) } else { (self.least, self.greatest) };
        for item in items {
            least = if item.order(&least).is_lt() { *item } else { least };
            greatest = if item.order(&greatest).is_gt() { *item } else { greatest };
        }
        (self.least, self.greatest) = (least, greatest);
    }

    /// Makes room: halves the lowest level that is full.
    fn compact(&mut self) {
        let levels = self.levels.len();
        // If all levels hold less than they may, so do they together.
        let full = self.levels.iter().zip(&self.capacities).position(|(items, capacity)| items.len() >= *capacity);
        let level = full.unwrap_or(levels.saturating_sub(1));
        if level + 1 == levels {
            self.levels.push(Vec::new());
            self.count_again();
        }
        let first = usize::from(self.coin(level));
        let (below, above) = self.levels.split_at_mut(level + 1);
        let (items, above) = (&mut below[level], &mut above[0]);
        // One item of an odd number stays: that which came last, or the greatest.
        let stays = if items.len() % 2 == 1 { items.pop() } else { None };
        if level == 0 {
            items.sort_unstable_by(T::order);
        }
        merge_half(items, first, above);
        self.held -= items.len() / 2;
        items.clear();
        items.extend(stays);
        // It may never hold so much again.
        if items.capacity() > ROOM_KEPT {
            items.shrink_to(ROOM_KEPT / 2);
        }
    }

    /// Counts what is held, and what may be with so many levels.
    pub(super) fn count_again(&mut self) {
        let levels = self.levels.len();
        self.held = self.levels.iter().map(Vec::len).sum();
        self.capacities.clear();
        self.capacities.extend((0..levels).map(|level| capacity(self.k, levels, level)));
        self.capacity = if levels == 0 { capacity(self.k, 1, 0) } else { self.capacities.iter().sum() };
    }

    fn coin(&self, level: usize) -> bool {
        let mut state = self.seed ^ self.total.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ (level as u64) << 56;
        split_mix(&mut state) >> 63 == 1
    }

    /// Adds all that another summary has seen. Its k may be another.
    ///
    /// # Errors
    /// If both together have seen more than 2⁶² items.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if other.total == 0 {
            return Ok(());
        }
        let total = self.total.checked_add(other.total).filter(|total| *total <= 1 << 62);
        let total = total.ok_or_else(|| invalid("a KLL sketch holds up to 2⁶² items"))?;
        self.bound_all(&[other.least, other.greatest]);
        self.levels.resize(self.levels.len().max(other.levels.len()), Vec::new());
        for (level, more) in other.levels.iter().enumerate() {
            let items = &mut self.levels[level];
            if level == 0 {
                items.extend(more);
            } else {
                merge_sorted(more.iter().copied(), items);
            }
        }
        self.total = total;
        self.k_min = self.k_min.min(other.k_min);
        self.count_again();
        while self.held > self.capacity {
            self.compact();
        }
        Ok(())
    }

    /// The items in order, each with the number of items that are not above it, by the summary's account.
    fn ranked(&self) -> Vec<(T, u64)> {
        let weighted = self
            .levels
            .iter()
            .enumerate()
            .flat_map(|(level, items)| items.iter().map(move |item| (*item, 1u64 << level)));
        let mut ranked: Vec<(T, u64)> = weighted.collect();
        ranked.sort_unstable_by(|a, b| a.0.order(&b.0));
        ranked.iter_mut().fold(0, |rank, (_, weight)| {
            *weight += rank;
            *weight
        });
        ranked
    }

    /// The least item so that at least a share `q` of all items is not above it; none if there are no items.
    ///
    /// # Errors
    /// If q is not between 0 and 1.
    pub fn quantile(&self, q: f64) -> Result<Option<T>> {
        Ok(self.quantiles(&[q])?.map(|values| values[0]))
    }

    /// The quantiles of several shares at once; none if there are no items.
    ///
    /// # Errors
    /// If one of them is not between 0 and 1.
    pub fn quantiles(&self, shares: &[f64]) -> Result<Option<Vec<T>>> {
        shares.iter().try_for_each(|q| check_share(*q))?;
        if self.total == 0 {
            return Ok(None);
        }
        let ranked = self.ranked();
        let find = |q: &f64| match (q * self.total as f64).ceil() as u64 {
            0 => self.least,
            rank if rank >= self.total => self.greatest,
            rank => ranked[ranked.partition_point(|(_, below)| *below < rank).min(ranked.len() - 1)].0,
        };
        Ok(Some(shares.iter().map(find).collect()))
    }

    /// Values between which the quantile lies with confidence 99 %; none if there are no items.
    ///
    /// # Errors
    /// If q is not between 0 and 1.
    pub fn quantile_bounds(&self, q: f64) -> Result<Option<(T, T)>> {
        check_share(q)?;
        let error = self.rank_error();
        let values = self.quantiles(&[(q - error).max(0.0), (q + error).min(1.0)])?;
        Ok(values.map(|values| (values[0], values[1])))
    }

    /// Which share of the items is not above a value, with bounds of confidence 99 %.
    pub fn rank(&self, value: T) -> Estimate {
        if self.total == 0 {
            return Estimate::exact(0.0);
        }
        let weights = self
            .levels
            .iter()
            .enumerate()
            .map(|(level, items)| (items.iter().filter(|item| item.order(&value).is_le()).count() as u64) << level);
        let rank = weights.sum::<u64>() as f64 / self.total as f64;
        let error = self.rank_error();
        Estimate { value: rank, low: (rank - error).max(0.0), high: (rank + error).min(1.0) }
    }

    /// How far a rank may be off, as a share of all items, with confidence 99 %; 0 while nothing has been left out.
    pub fn rank_error(&self) -> f64 {
        if self.levels.len() <= 1 { 0.0 } else { 2.296 / f64::from(self.k_min).powf(0.9723) }
    }

    /// The number of all items.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many bytes this summary holds.
    pub fn bytes(&self) -> usize {
        let items: usize = self.levels.iter().map(Vec::capacity).sum();
        size_of::<Self>() + self.levels.capacity() * size_of::<Vec<T>>() + items * size_of::<T>()
    }
}

fn check_share(q: f64) -> Result<()> {
    if (0.0..=1.0).contains(&q) {
        return Ok(());
    }
    Err(invalid(format!("a quantile is asked for by a number from 0 to 1, not {q}")))
}

/// How many items a level may hold: k at the top, two thirds of that below, and so on, as DataSketches rounds it.
pub(super) fn capacity(k: u16, levels: usize, level: usize) -> usize {
    let depth = levels - level - 1;
    let shallow = |k: u64, depth: usize| ((k << (depth + 1)) / 3u64.pow(depth as u32)).div_ceil(2);
    let capacity = match depth {
        0..=30 => shallow(u64::from(k), depth),
        deep => shallow(shallow(u64::from(k), deep / 2), deep - deep / 2),
    };
    (capacity as usize).max(usize::from(LEAST_CAPACITY))
}

/// Merges every second item of a sorted level, from the first or the second on, into the level above.
fn merge_half<T: Quantity>(items: &[T], first: usize, above: &mut Vec<T>) {
    merge_sorted(items.chunks_exact(2).map(|pair| pair[first]), above);
}

/// Merges a sorted sequence into another, from the end, so that nothing has to make room; of equal items the new ones come first.
fn merge_sorted<T: Quantity>(new: impl DoubleEndedIterator<Item = T> + ExactSizeIterator, items: &mut Vec<T>) {
    let mut old = items.len();
    let mut free = old + new.len();
    items.resize(free, T::default());
    for item in new.rev() {
        while old > 0 && items[old - 1].order(&item).is_ge() {
            (old, free) = (old - 1, free - 1);
            items[free] = items[old];
        }
        free -= 1;
        items[free] = item;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;
    use crate::trials::share;
    use proptest::prelude::*;

    const ITEMS: i64 = 1500;
    const K: u16 = 40;

    /// Sorted, reversed, shuffled and clustered streams of the numbers below [`ITEMS`], each once.
    fn stream(seed: u64) -> Vec<i64> {
        let mut items: Vec<i64> = (0..ITEMS).collect();
        let mut random = Generator::new(seed);
        match seed % 4 {
            0 => (),
            1 => items.reverse(),
            2 => (1..items.len()).for_each(|i| items.swap(i, random.below(i as u64 + 1) as usize)),
            _ => items.sort_by_key(|item| (item % 7, *item)),
        }
        items
    }

    /// The share of the seeds for which the ranks of a few values are right to within the error.
    fn kept(parts: usize, meddle: impl Fn(&mut Kll<i64>)) -> f64 {
        share(|seed| {
            let items = stream(seed);
            let mut merged = Kll::new(K, seed).unwrap();
            for (part, items) in items.chunks(items.len() / parts + 1).enumerate() {
                let mut summary = Kll::new(K, seed ^ part as u64).unwrap();
                summary.update_all(items);
                merged.merge(&summary).unwrap();
            }
            meddle(&mut merged);
            assert!(merged.held <= merged.capacity && merged.total == ITEMS as u64);
            let value = (seed % ITEMS as u64) as i64;
            merged.rank(value).covers((value + 1) as f64 / ITEMS as f64)
        })
    }

    #[test]
    fn ranks_are_within_the_error_and_broken_variants_are_caught() {
        let whole = kept(1, |_| ());
        assert!(whole >= 0.99, "{whole}");
        let merged = kept(4, |_| ());
        assert!(merged >= 0.99, "{merged}");
        let shifted = kept(1, |summary| summary.levels.iter_mut().flatten().for_each(|item| *item += 150));
        assert!(shifted < 0.99, "{shifted}");
        let lost = kept(1, |summary| {
            let level = summary.levels.len() - 1;
            summary.levels[level].clear();
        });
        assert!(lost < 0.99, "a level lost: {lost}");
    }

    #[test]
    fn quantiles_lie_between_their_bounds() {
        let mut summary = Kll::new(KLL_K_DEFAULT, 1).unwrap();
        assert_eq!(summary.quantile(0.5).unwrap(), None);
        summary.update_all(&[3.0, f64::NAN, 1.0, 2.0]);
        assert_eq!(summary.quantiles(&[0.0, 0.33, 0.5, 1.0]).unwrap(), Some(vec![1.0, 1.0, 2.0, 3.0]));
        (0..50_000).for_each(|i| summary.update(f64::from(i * 7919 % 50_000)));
        let (low, high) = summary.quantile_bounds(0.9).unwrap().unwrap();
        assert!(low < 45_000.0 && 45_000.0 < high && high - low < 2_000.0, "{low} {high}");
        for wrong in [-0.1, 1.1, f64::NAN] {
            assert_eq!(summary.quantile(wrong).unwrap_err().code(), "E304");
        }
        assert!(Kll::<i64>::new(7, 0).is_err());
    }

    proptest! {
        #[test]
        fn small_streams_are_exact(mut items in prop::collection::vec(-50i64..50, 1..40), q in 0.0f64..=1.0) {
            let mut summary = Kll::new(K, 0).unwrap();
            summary.update_all(&items);
            items.sort_unstable();
            let rank = ((q * items.len() as f64).ceil() as usize).max(1);
            prop_assert_eq!(summary.quantile(q).unwrap(), Some(items[rank - 1]));
            prop_assert_eq!(summary.rank_error(), 0.0);
        }
    }
}
