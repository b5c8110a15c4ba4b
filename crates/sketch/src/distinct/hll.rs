//! HyperLogLog: the largest number of leading zeros that a hash has had, in each of thousands of registers.
//!
//! Flajolet, Fusy, Gandouet and Meunier 2007, "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm";
//! Heule, Nunkesser and Hall 2013, "HyperLogLog in practice", for the sparse form and 64-bit hashes; Ertl 2017 for the estimate.

use super::hll_estimate::{REGISTER_MAX, estimate};
use crate::estimate::Estimate;
use crate::hash::murmur::DEFAULT_SEED;
use crate::hash::{HASHED_AT_ONCE, Item, Work, on_wide_vectors};
use crate::int_set::IntSet;
use crate::invalid;
use fleuve_base::Result;

/// The least and most registers, as powers of two: from 16 bytes to 2 MiB.
pub const HLL_PRECISION: std::ops::RangeInclusive<u8> = 4..=21;
/// What is taken where nobody chooses: 4,096 registers, an error of 1.6 %.
pub const HLL_PRECISION_DEFAULT: u8 = 12;

/// How many bits of a coupon tell the register, before as many as the precision has are taken of them.
pub(super) const SLOT_BITS: u32 = 26;
/// From this precision on there is a sparse form; below, seven items are all that it would hold.
const SPARSE_PRECISION_MIN: u8 = 8;
/// How many standard errors the bounds of an estimate are away: 95 %.
const BOUND_ERRORS: f64 = 2.0;

/// The number of distinct items within a few percent, in a few kilobytes.
///
/// A 64-bit half of an item's hash chooses one of m = 2^precision registers; the register keeps the most leading zeros, plus one, that
/// the other half ever had. While fewer than about m/10 items have come, the pairs themselves are kept ("coupons", with 26
/// bits for the register), which makes small counts exact.
///
/// **Promise.** For a hash that is as good as random: a standard error of 1.04/√m (1.6 % at the default precision 12), without
/// bias; the bounds of the estimate are two of them away, about 95 %. Exact while sparse, but for coupons that meet.
///
/// **Memory.** m bytes; less while sparse; none while empty.
///
/// **Stored form.** That of Apache DataSketches' HLL_8 sketch, whose other implementations read it, and whose it reads.
///
/// ```
/// # use fleuve_sketch::distinct::Hll;
/// let mut count = Hll::new(12)?;
/// count.update_all(&(0..100_000i64).collect::<Vec<_>>());
/// assert!((count.estimate().value / 100_000.0 - 1.0).abs() < 0.05);
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Hll {
    pub(super) precision: u8,
    pub(super) state: State,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    /// Coupons: the register in the low 26 bits, its value above.
    Sparse(IntSet<u32>),
    Dense(Box<[u8]>),
}

/// The coupon of the two halves of a hash. It is never 0, since the value is at least 1.
#[inline(always)]
fn coupon((first, second): (u64, u64)) -> u32 {
    let value = second.leading_zeros().min(u32::from(REGISTER_MAX) - 1) + 1;
    value << SLOT_BITS | first as u32 & ((1 << SLOT_BITS) - 1)
}

impl Hll {
    /// A summary of nothing, with 2^`precision` registers.
    ///
    /// # Errors
    /// If the precision is not in [`HLL_PRECISION`].
    pub fn new(precision: u8) -> Result<Self> {
        if !HLL_PRECISION.contains(&precision) {
            let (least, most) = HLL_PRECISION.into_inner();
            return Err(invalid(format!("the precision of HyperLogLog is {least} to {most}, not {precision}")));
        }
        Ok(Hll { precision, state: State::Sparse(IntSet::default()) })
    }

    /// Another summary of nothing.
    pub fn empty(&self) -> Self {
        Hll { precision: self.precision, state: State::Sparse(IntSet::default()) }
    }

    /// Adds an item.
    #[inline]
    pub fn update<I: Item + ?Sized>(&mut self, item: &I) {
        self.insert(coupon(item.murmur(DEFAULT_SEED)));
    }

    /// Adds items.
    pub fn update_all<I: Item>(&mut self, items: &[I]) {
        let mut rest = items;
        while let (State::Sparse(_), Some((item, others))) = (&self.state, rest.split_first()) {
            self.update(item);
            rest = others;
        }
        if let State::Dense(registers) = &mut self.state {
            on_wide_vectors(UpdateRegisters { registers, items: rest });
        }
    }

    /// How many coupons the sparse form holds at most; what Apache DataSketches does, too.
    pub(super) fn sparse_max(&self) -> usize {
        if self.precision < SPARSE_PRECISION_MIN { 7 } else { 3 << (self.precision - 5) }
    }

    #[inline]
    pub(super) fn insert(&mut self, coupon: u32) {
        match &mut self.state {
            State::Sparse(coupons) => {
                coupons.insert(coupon);
                if coupons.len() > self.sparse_max() {
                    self.densify();
                }
            }
            State::Dense(registers) => raise(registers, coupon),
        }
    }

    /// Gives up coupons for registers.
    pub(super) fn densify(&mut self) {
        let registers = State::Dense(vec![0; 1 << self.precision].into_boxed_slice());
        if let State::Sparse(coupons) = std::mem::replace(&mut self.state, registers) {
            coupons.iter().for_each(|coupon| self.insert(coupon));
        }
    }

    /// Adds all that another summary has seen.
    ///
    /// # Errors
    /// If the other one has another precision.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.precision != other.precision {
            return Err(invalid("HyperLogLog summaries of different precision cannot be merged"));
        }
        match &other.state {
            State::Sparse(coupons) => coupons.iter().for_each(|coupon| self.insert(coupon)),
            State::Dense(more) => {
                if matches!(self.state, State::Sparse(_)) {
                    self.densify();
                }
                if let State::Dense(registers) = &mut self.state {
                    registers.iter_mut().zip(more).for_each(|(to, value)| *to = (*to).max(*value));
                }
            }
        }
        Ok(())
    }

    /// The number of distinct items, with bounds two standard errors away.
    pub fn estimate(&self) -> Estimate {
        match &self.state {
            State::Sparse(coupons) => Estimate::exact(estimate_sparse(coupons.len() as f64)),
            State::Dense(registers) => Estimate::within(estimate(registers), BOUND_ERRORS * self.standard_error()),
        }
    }

    /// The relative standard error once the summary is no longer sparse.
    pub fn standard_error(&self) -> f64 {
        1.04 / f64::from(1u32 << self.precision).sqrt()
    }

    /// How many bytes this summary holds.
    pub fn bytes(&self) -> usize {
        let state = match &self.state {
            State::Sparse(coupons) => coupons.bytes(),
            State::Dense(registers) => registers.len(),
        };
        size_of::<Self>() + state
    }
}

/// How many items gave so many different coupons: two items share one with probability 2⁻²⁶/3.
fn estimate_sparse(coupons: f64) -> f64 {
    (coupons + coupons * coupons / f64::from(6 << SLOT_BITS)).round()
}

#[inline(always)]
fn raise(registers: &mut [u8], coupon: u32) {
    let slot = (coupon & ((1 << SLOT_BITS) - 1)) as usize & (registers.len() - 1);
    let value = (coupon >> SLOT_BITS) as u8;
    if value > registers[slot] {
        registers[slot] = value;
    }
}

/// Hashes many items before it looks at registers: the first loop becomes vector instructions, the second hardly ever branches.
struct UpdateRegisters<'a, I> {
    registers: &'a mut [u8],
    items: &'a [I],
}

impl<I: Item> Work for UpdateRegisters<'_, I> {
    #[inline(always)]
    fn run(self) {
        let mut coupons = [0; HASHED_AT_ONCE];
        for chunk in self.items.chunks(HASHED_AT_ONCE) {
            coupons.iter_mut().zip(chunk).for_each(|(to, item)| *to = coupon(item.murmur(DEFAULT_SEED)));
            coupons[..chunk.len()].iter().for_each(|coupon| raise(self.registers, *coupon));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;
    use crate::trials::{SEEDS, share};
    use proptest::prelude::*;

    /// The summary's hash has no seed, so the items have.
    fn after(seed: u64, items: u64, precision: u8, meddle: impl Fn(u64) -> u64) -> Hll {
        let mut summary = Hll::new(precision).unwrap();
        let mut random = Generator::new(seed);
        let items: Vec<u64> = (0..items).map(|_| meddle(random.next_u64())).collect();
        summary.update_all(&items);
        summary
    }

    /// The worst share, over several counts, of the seeds for which the truth lies between the bounds.
    fn worst_share(meddle: impl Fn(u64) -> u64, spoil: impl Fn(&mut Hll)) -> f64 {
        let shares = [40u64, 200, 700].map(|items| {
            share(|seed| {
                let mut summary = after(seed, items, 8, &meddle);
                spoil(&mut summary);
                summary.estimate().covers(items as f64)
            })
        });
        shares.into_iter().fold(1.0, f64::min)
    }

    #[test]
    fn the_truth_lies_between_the_bounds() {
        // 95 % less two standard errors of a share over a thousand seeds; the bounds are those of a normal distribution.
        let share = worst_share(|x| x, |_| ());
        assert!(share >= 0.94, "{share}");
    }

    #[test]
    fn has_no_bias_and_the_promised_error() {
        for items in [40u64, 300, 1500] {
            let errors: Vec<f64> =
                (0..SEEDS).map(|seed| after(seed, items, 8, |x| x).estimate().value / items as f64 - 1.0).collect();
            let mean = errors.iter().sum::<f64>() / SEEDS as f64;
            let deviation = (errors.iter().map(|error| error * error).sum::<f64>() / SEEDS as f64).sqrt();
            assert!(mean.abs() < 0.008 && deviation < 1.04 / 16.0 * 1.06, "{items}: {mean} {deviation}");
        }
    }

    #[test]
    fn broken_variants_are_caught() {
        let biased = worst_share(|x| x & !7, |_| ());
        assert!(biased >= 0.94, "items without low bits are items all the same: {biased}");
        let colliding = worst_share(|x| x % 20_000, |_| ());
        assert!(colliding >= 0.94, "few collisions are within the error: {colliding}");
        let fewer = worst_share(|x| x % 500, |_| ());
        assert!(fewer < 0.9, "a hash with collisions: {fewer}");
        for bit in [1, 2, 4] {
            let lost = worst_share(
                |x| x,
                |summary| {
                    if let State::Dense(registers) = &mut summary.state {
                        registers.iter_mut().for_each(|register| *register &= !bit);
                    }
                },
            );
            assert!(lost < 0.9, "without bit {bit}: {lost}");
        }
    }

    #[test]
    fn is_exact_while_sparse() {
        let mut summary = Hll::new(14).unwrap();
        assert_eq!(summary.estimate(), Estimate::exact(0.0));
        (0..3000i64).for_each(|item| summary.update(&(item % 1500)));
        assert_eq!(summary.estimate(), Estimate::exact(1500.0));
        assert!(Hll::new(3).is_err() && Hll::new(22).is_err());
    }

    proptest! {
        #[test]
        fn parts_merge_to_the_whole(
            items in prop::collection::vec(-400i64..400, 0..700), parts in 1usize..5, precision in 4u8..11
        ) {
            let mut whole = Hll::new(precision).unwrap();
            items.iter().for_each(|item| whole.update(item));
            let mut merged = whole.empty();
            for part in items.chunks(items.len() / parts + 1).rev() {
                let mut summary = whole.empty();
                summary.update_all(part);
                merged.merge(&Hll::from_bytes(&summary.to_bytes()).unwrap()).unwrap();
            }
            prop_assert_eq!(merged.to_bytes(), whole.to_bytes());
            prop_assert_eq!(merged, whole);
        }
    }
}
