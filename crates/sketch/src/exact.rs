//! Sums without rounding: the order of the terms does not matter, and what is taken away leaves no trace.
//!
//! A sum is a fixed-point number wide enough that every term fits exactly (U. Kulisch, *Computer Arithmetic and
//! Validity*, 2008). Few sums need the width of a double's whole range, so each starts as a window of a few words around
//! its first term, and moves to the full width when a term falls outside. It is rounded once, when it is read.

use crate::magnitude::Magnitude;

/// Words of a product of up to four mantissas and a weight, lowest first.
pub type Limbs = [u64; 5];

/// A sum of numbers `mantissa · 2^exponent`, in a window of `W` words unless it needs more.
///
/// Three words serve for sums of doubles, five for their squares, seven for cubes, nine for fourth powers.
#[derive(Debug, Clone)]
pub enum Exact<const W: usize> {
    /// Two's complement, lowest word first.
    Window {
        /// The words; all 0 as long as nothing was added.
        words: [u64; W],
        /// Exponent of the lowest bit; [`UNSET`] as long as nothing was added.
        exponent: i32,
    },
    /// The full width, from [`Exact::WIDE_EXPONENT`].
    Wide(Box<[u64]>),
}

/// Exponent of a window that has no place yet.
const UNSET: i32 = i32::MIN;

impl<const W: usize> Default for Exact<W> {
    fn default() -> Self {
        Exact::Window { words: [0; W], exponent: UNSET }
    }
}

impl<const W: usize> Exact<W> {
    /// Words of the full width: enough for the squares of all doubles, or for their fourth powers where the window is
    /// as wide as those want.
    pub const WIDE_WORDS: usize = if W <= 5 { 70 } else { 140 };

    /// Exponent of the full width's lowest bit: below that of the square (2^-2148) or the fourth power (2^-4296) of the
    /// smallest double. As far above 1 the width ends, beyond 2^63 such powers of the largest.
    pub const WIDE_EXPONENT: i32 = -32 * Self::WIDE_WORDS as i32;

    /// Bits that a window has below its first term.
    const MARGIN_BITS: i32 = 32 * (W / 2) as i32;

    /// Adds `mantissa · 2^exponent`, where `exponent` is at least [`Exact::WIDE_EXPONENT`] plus 32, and the term below the
    /// end of the width.
    #[inline]
    pub fn add(&mut self, mantissa: i128, exponent: i32) {
        if mantissa == 0 {
            return;
        }
        if let Exact::Window { words, exponent: base } = self {
            if *base == UNSET {
                *base = Self::base_for(exponent);
            }
            let top = 128 - mantissa.unsigned_abs().leading_zeros() as i32 + exponent - *base;
            if exponent >= *base && top <= 64 * W as i32 - 2 {
                add_shifted(words, mantissa, (exponent - *base) as u32);
                if has_room(words) {
                    return;
                }
                self.widen();
                return;
            }
        }
        self.add_outside(mantissa, exponent);
    }

    /// Adds `limbs · 2^exponent`, or takes it away, under the conditions of [`Exact::add`].
    #[inline]
    pub fn add_limbs(&mut self, limbs: &Limbs, negative: bool, exponent: i32) {
        let bits = bit_length(limbs);
        if bits == 0 {
            return;
        }
        if let Exact::Window { words, exponent: base } = self {
            if *base == UNSET {
                *base = Self::base_for(exponent);
            }
            if exponent >= *base && bits + exponent - *base <= 64 * W as i32 - 2 {
                add_limbs_shifted(words, limbs, negative, (exponent - *base) as u32);
                if !has_room(words) {
                    self.widen();
                }
                return;
            }
        }
        self.add_limbs_outside(limbs, negative, exponent);
    }

    #[cold]
    fn add_limbs_outside(&mut self, limbs: &Limbs, negative: bool, exponent: i32) {
        for (i, limb) in limbs.iter().enumerate() {
            let part = if negative { -i128::from(*limb) } else { i128::from(*limb) };
            self.add(part, exponent + 64 * i as i32);
        }
    }

    fn base_for(exponent: i32) -> i32 {
        ((exponent - Self::MARGIN_BITS) & !31).max(Self::WIDE_EXPONENT)
    }

    #[cold]
    fn add_outside(&mut self, mantissa: i128, exponent: i32) {
        let zeros = mantissa.trailing_zeros();
        if let Exact::Window { exponent: base, .. } = self
            && exponent < *base
            && exponent + zeros as i32 >= *base
        {
            return self.add(mantissa >> zeros, exponent + zeros as i32);
        }
        let wide = self.widen();
        add_shifted(wide, mantissa, (exponent - Self::WIDE_EXPONENT) as u32);
    }

    fn widen(&mut self) -> &mut [u64] {
        if let Exact::Window { words, exponent } = self {
            let mut wide = vec![0; Self::WIDE_WORDS].into_boxed_slice();
            add_words(&mut wide, words, *exponent - Self::WIDE_EXPONENT);
            *self = Exact::Wide(wide);
        }
        match self {
            Exact::Wide(wide) => wide,
            Exact::Window { .. } => unreachable!("it was widened just before"),
        }
    }

    /// Adds another sum.
    pub fn add_sum(&mut self, words: &[u64], exponent: i32) {
        let Some(top) = words.len().checked_sub(1) else { return };
        if let Exact::Window { words: own, exponent: base } = self
            && words.len() == W
            && (*base == UNSET || *base == exponent)
        {
            *base = exponent;
            add_aligned(own, words);
            if !has_room(own) {
                self.widen();
            }
            return;
        }
        for (i, word) in words.iter().enumerate() {
            let part = if i == top { i128::from(*word as i64) } else { i128::from(*word) };
            let zeros = if part == 0 { 0 } else { part.trailing_zeros() };
            self.add(part >> zeros, exponent + 64 * i as i32 + zeros as i32);
        }
    }

    /// The words and the exponent of the lowest bit.
    pub fn parts(&self) -> (&[u64], i32) {
        match self {
            Exact::Window { exponent: UNSET, .. } => (&[], 0),
            Exact::Window { words, exponent } => (words, *exponent),
            Exact::Wide(words) => (words, Self::WIDE_EXPONENT),
        }
    }

    /// The nearest double, ties to even.
    pub fn to_f64(&self) -> f64 {
        self.magnitude().to_f64()
    }

    /// The sum as a number to compute with.
    pub fn magnitude(&self) -> Magnitude {
        let (words, exponent) = self.parts();
        Magnitude::new(words, exponent)
    }

    /// The sum as an integer, if it is one and fits.
    pub fn to_i128(&self) -> Option<i128> {
        self.magnitude().to_i128()
    }

    /// The stored form: the exponent (4 bytes, little-endian), then the words; nothing for 0.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (words, exponent) = self.parts();
        if words.is_empty() {
            return vec![];
        }
        exponent.to_le_bytes().into_iter().chain(words.iter().flat_map(|word| word.to_le_bytes())).collect()
    }

    /// Adds a sum from its stored form; `None` if it is none.
    pub fn add_bytes(&mut self, bytes: &[u8]) -> Option<()> {
        if bytes.is_empty() {
            return Some(());
        }
        let (exponent, words) = bytes.split_first_chunk::<4>()?;
        let (words, rest) = words.as_chunks::<8>();
        let exponent = i32::from_le_bytes(*exponent);
        let fits = rest.is_empty() && words.len() <= Self::WIDE_WORDS && exponent >= Self::WIDE_EXPONENT;
        let end = i64::from(exponent) + 64 * words.len() as i64;
        if !fits || end > 32 * Self::WIDE_WORDS as i64 {
            return None;
        }
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        self.add_sum(&words, exponent);
        Some(())
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Exact::Window { .. } => 0,
            Exact::Wide(words) => size_of_val::<[u64]>(words),
        }
    }
}

/// The same sum, however it was come by: windows may lie elsewhere.
impl<const W: usize> PartialEq for Exact<W> {
    fn eq(&self, other: &Self) -> bool {
        self.magnitude().minus(&other.magnitude()).is_zero()
    }
}

/// Whether the two highest bits agree, so that another term cannot wrap.
#[inline]
fn has_room(words: &[u64]) -> bool {
    matches!(words[words.len() - 1] >> 62, 0 | 3)
}

/// `words += mantissa · 2^shift`.
#[inline]
pub(crate) fn add_shifted(words: &mut [u64], mantissa: i128, shift: u32) {
    let (first, bits) = ((shift / 64) as usize, shift % 64);
    let low = (mantissa as u128) << bits;
    let sign = (mantissa >> 127) as u64;
    let high = if bits == 0 { sign } else { (mantissa >> (128 - bits)) as u64 };
    let parts = [low as u64, (low >> 64) as u64, high];
    let mut carry = false;
    for (i, word) in words[first..].iter_mut().enumerate() {
        let part = parts.get(i).copied().unwrap_or(sign);
        (*word, carry) = carrying_add(*word, part, carry);
    }
}

#[inline]
fn carrying_add(a: u64, b: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = a.overflowing_add(b);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum, first | second)
}

pub(crate) fn add_aligned(words: &mut [u64], other: &[u64]) {
    let mut carry = false;
    for (word, other) in words.iter_mut().zip(other) {
        (*word, carry) = carrying_add(*word, *other, carry);
    }
}

/// The number of bits up to the highest 1.
#[inline]
fn bit_length(limbs: &Limbs) -> i32 {
    let top = limbs.iter().rposition(|limb| *limb != 0);
    top.map_or(0, |i| 64 * i as i32 + 64 - limbs[i].leading_zeros() as i32)
}

/// `words ± limbs · 2^shift`.
#[inline]
fn add_limbs_shifted(words: &mut [u64], limbs: &Limbs, negative: bool, shift: u32) {
    let (first, bits) = ((shift / 64) as usize, shift % 64);
    let (mut below, mut carry) = (0, false);
    for (i, word) in words[first..].iter_mut().enumerate() {
        let limb = limbs.get(i).copied().unwrap_or(0);
        if i > limbs.len() && !carry {
            break;
        }
        let part = if bits == 0 { limb } else { limb << bits | below >> (64 - bits) };
        below = limb;
        (*word, carry) = if negative { borrowing_sub(*word, part, carry) } else { carrying_add(*word, part, carry) };
    }
}

#[inline]
fn borrowing_sub(a: u64, b: u64, borrow: bool) -> (u64, bool) {
    let (difference, first) = a.overflowing_sub(b);
    let (difference, second) = difference.overflowing_sub(u64::from(borrow));
    (difference, first | second)
}

/// Adds a window, whose lowest bit is bit `shift` of the full width.
fn add_words(wide: &mut [u64], words: &[u64], shift: i32) {
    for (i, word) in words.iter().enumerate() {
        let part = if i + 1 == words.len() { i128::from(*word as i64) } else { i128::from(*word) };
        if part != 0 {
            add_shifted(wide, part, shift as u32 + 64 * i as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::magnitude::decompose;

    fn sum(values: &[f64]) -> Exact<3> {
        let mut sum = Exact::default();
        values.iter().map(|v| decompose(*v)).for_each(|(m, e)| sum.add(m.into(), e));
        sum
    }

    #[test]
    fn sums_round_once() {
        assert_eq!(sum(&[1e308, 1e308, -1e308]).to_f64(), 1e308);
        assert_eq!(sum(&[1e16, 1.0, 1.0]).to_f64(), 1e16 + 2.0);
        assert_eq!(sum(&[1e100, 1.0, -1e100, f64::MIN_POSITIVE, 5e-324]).to_f64(), 1.0);
        assert_eq!(sum(&[5e-324, 5e-324, -5e-324]).to_f64(), 5e-324);
        assert_eq!(sum(&[0.1; 10]).to_f64(), 1.0);
        assert_eq!(sum(&[f64::MAX, f64::MAX]).to_f64(), f64::INFINITY);
        assert_eq!(sum(&[-1.5, 1.5]).to_f64(), 0.0);
        let tie = 2f64.powi(53);
        assert_eq!(sum(&[tie, 1.0]).to_f64(), tie, "ties go to even");
        assert_eq!(sum(&[tie, 1.0, 1e-300]).to_f64(), tie + 2.0, "a little more than a tie does not");
    }

    #[test]
    fn integers_come_back() {
        let mut sum = Exact::<3>::default();
        (0..1000).for_each(|_| sum.add(10i128.pow(38) - 1, 0));
        assert_eq!(sum.to_i128(), None);
        (1..1000).for_each(|_| sum.add(1 - 10i128.pow(38), 0));
        assert_eq!(sum.to_i128(), Some(10i128.pow(38) - 1));
        sum.add(-(10i128.pow(38)), 0);
        assert_eq!(sum.to_i128(), Some(-1));
        sum.add(1, -1);
        assert_eq!(sum.to_i128(), None, "a half is no integer");
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let mut sum = Exact::<3>::default();
        assert!(sum.add_bytes(&[1]).is_none());
        assert!(sum.add_bytes(&[0; 9]).is_none());
        assert!(sum.add_bytes(&[0xff; 4 + 8 * (Exact::<3>::WIDE_WORDS + 1)]).is_none());
        assert!(sum.add_bytes(&[&i32::MAX.to_le_bytes()[..], &[1; 8]].concat()).is_none());
    }

    /// Doubles of all magnitudes, and many of the usual ones.
    fn doubles() -> impl Strategy<Value = Vec<f64>> {
        let value = prop_oneof![
            (-1_000_000i32..1_000_000).prop_map(|v| f64::from(v) / 100.0),
            any::<f64>().prop_filter("finite", |v| v.is_finite()),
        ];
        prop::collection::vec(value, 0..20)
    }

    proptest! {
        /// Any order, any grouping, and through the stored form.
        #[test]
        fn order_does_not_matter(mut values in doubles(), cut in 0usize..20, swap in 0usize..20) {
            let whole = sum(&values).to_f64();
            if !values.is_empty() {
                let n = values.len();
                values.rotate_left(swap % n);
                values[..swap % n].reverse();
            }
            prop_assert_eq!(sum(&values).to_f64(), whole);
            let (left, right) = values.split_at(cut.min(values.len()));
            let mut merged = sum(left);
            merged.add_bytes(&sum(right).to_bytes()).unwrap();
            prop_assert_eq!(merged.to_f64(), whole);
        }

        /// What is taken away leaves no trace.
        #[test]
        fn retraction_is_exact(kept in doubles(), gone in doubles()) {
            let mut all = sum(&[kept.clone(), gone.clone()].concat());
            gone.iter().map(|v| decompose(-v)).for_each(|(m, e)| all.add(m.into(), e));
            prop_assert_eq!(all.to_f64(), sum(&kept).to_f64());
        }

        /// Against integers, whose sums are known: values are multiples of 2^-20 below 2^40.
        #[test]
        fn agrees_with_integers(values in prop::collection::vec(-(1i64 << 60)..(1 << 60), 0..20)) {
            let exact: i128 = values.iter().map(|v| i128::from(v >> 7 << 7)).sum();
            let doubles: Vec<f64> = values.iter().map(|v| (v >> 7 << 7) as f64 / 1_048_576.0).collect();
            prop_assert_eq!(sum(&doubles).to_f64(), exact as f64 / 1_048_576.0);
        }
    }
}
