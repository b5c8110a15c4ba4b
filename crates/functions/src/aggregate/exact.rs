//! Sums without rounding: the order of the terms does not matter, and what is taken away leaves no trace.
//!
//! A sum is a fixed-point number wide enough that every term fits exactly (U. Kulisch, *Computer Arithmetic and
//! Validity*, 2008). Few sums need the width of a double's whole range, so each starts as a window of a few words around
//! its first term, and moves to the full width when a term falls outside. It is rounded once, when it is read.

/// Words of the full width.
const WIDE_WORDS: usize = 70;

/// Exponent of the full width's lowest bit: below that of the square of the smallest double (2^-2148), above which the
/// width also takes 2^63 squares of the largest (2^2048).
const WIDE_EXPONENT: i32 = -2240;

/// Bits that a window has below its first term.
const MARGIN_BITS: i32 = 32;

/// A sum of numbers `mantissa · 2^exponent`, in a window of `W` words unless it needs more.
#[derive(Debug, Clone)]
pub enum Exact<const W: usize> {
    /// Two's complement, lowest word first.
    Window {
        /// The words; all 0 as long as nothing was added.
        words: [u64; W],
        /// Exponent of the lowest bit; [`UNSET`] as long as nothing was added.
        exponent: i32,
    },
    /// The full width, from [`WIDE_EXPONENT`].
    Wide(Box<[u64; WIDE_WORDS]>),
}

/// Exponent of a window that has no place yet.
const UNSET: i32 = i32::MIN;

impl<const W: usize> Default for Exact<W> {
    fn default() -> Self {
        Exact::Window { words: [0; W], exponent: UNSET }
    }
}

impl<const W: usize> Exact<W> {
    /// Adds `mantissa · 2^exponent`, where `exponent` is at least [`WIDE_EXPONENT`] plus 32, and the term below 2^2200.
    #[inline]
    pub fn add(&mut self, mantissa: i128, exponent: i32) {
        if mantissa == 0 {
            return;
        }
        if let Exact::Window { words, exponent: base } = self {
            if *base == UNSET {
                *base = ((exponent - MARGIN_BITS) & !31).max(WIDE_EXPONENT);
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
        add_shifted(wide, mantissa, (exponent - WIDE_EXPONENT) as u32);
    }

    fn widen(&mut self) -> &mut [u64; WIDE_WORDS] {
        if let Exact::Window { words, exponent } = self {
            let mut wide = Box::new([0; WIDE_WORDS]);
            add_words(wide.as_mut_slice(), words, *exponent);
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
            Exact::Wide(words) => (words.as_slice(), WIDE_EXPONENT),
        }
    }

    /// The nearest double, ties to even.
    pub fn to_f64(&self) -> f64 {
        let (words, exponent) = self.parts();
        Magnitude::new(words, exponent).to_f64()
    }

    /// The sum as an integer, if it is one and fits.
    pub fn to_i128(&self) -> Option<i128> {
        let (words, exponent) = self.parts();
        let integer = Magnitude::new(words, exponent);
        let low = integer.trailing_zeros().unwrap_or(0);
        let (shift, bits) = (integer.exponent + low as i32, integer.bits() - low);
        if bits == 0 {
            return Some(0);
        }
        if shift < 0 || bits as i32 + shift > 127 {
            return None;
        }
        let value = (integer.extract(low, bits) << shift) as i128;
        Some(if integer.negative { -value } else { value })
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
        let fits = rest.is_empty() && words.len() <= WIDE_WORDS && exponent >= WIDE_EXPONENT;
        let end = i64::from(exponent) + 64 * words.len() as i64;
        if !fits || end > i64::from(WIDE_EXPONENT) + 64 * WIDE_WORDS as i64 {
            return None;
        }
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        self.add_sum(&words, exponent);
        Some(())
    }
}

/// Whether the two highest bits agree, so that another term cannot wrap.
#[inline]
fn has_room(words: &[u64]) -> bool {
    matches!(words[words.len() - 1] >> 62, 0 | 3)
}

/// `words += mantissa · 2^shift`.
#[inline]
fn add_shifted(words: &mut [u64], mantissa: i128, shift: u32) {
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

fn add_aligned(words: &mut [u64], other: &[u64]) {
    let mut carry = false;
    for (word, other) in words.iter_mut().zip(other) {
        (*word, carry) = carrying_add(*word, *other, carry);
    }
}

/// Adds a window to the full width.
fn add_words(wide: &mut [u64], words: &[u64], exponent: i32) {
    for (i, word) in words.iter().enumerate() {
        let part = if i + 1 == words.len() { i128::from(*word as i64) } else { i128::from(*word) };
        if part != 0 {
            add_shifted(wide, part, (exponent - WIDE_EXPONENT) as u32 + 64 * i as u32);
        }
    }
}

/// A number as sign and magnitude, `± words · 2^exponent`: what reading a sum computes with.
#[derive(Debug, Clone)]
pub struct Magnitude {
    negative: bool,
    words: Vec<u64>,
    exponent: i32,
}

impl Magnitude {
    /// From two's complement.
    pub fn new(words: &[u64], exponent: i32) -> Self {
        let negative = words.last().is_some_and(|top| *top >> 63 == 1);
        let mut magnitude: Vec<u64> = words.iter().map(|word| if negative { !word } else { *word }).collect();
        if negative {
            let mut one = vec![0; magnitude.len()];
            one[0] = 1;
            add_aligned(&mut magnitude, &one);
        }
        Magnitude { negative, words: magnitude, exponent }
    }

    /// The number of bits up to the highest 1.
    fn bits(&self) -> usize {
        let top = self.words.iter().rposition(|word| *word != 0);
        top.map_or(0, |i| 64 * i + 64 - self.words[i].leading_zeros() as usize)
    }

    fn trailing_zeros(&self) -> Option<usize> {
        let i = self.words.iter().position(|word| *word != 0)?;
        Some(64 * i + self.words[i].trailing_zeros() as usize)
    }

    /// `count` (at most 128) bits from bit `low` on.
    fn extract(&self, low: usize, count: usize) -> u128 {
        let word = |i: usize| u128::from(self.words.get(i).copied().unwrap_or(0));
        let (first, shift) = (low / 64, low % 64);
        let value = word(first) >> shift | word(first + 1) << (64 - shift);
        let value =
            if shift == 0 { value } else { value | word(first + 2).checked_shl(128 - shift as u32).unwrap_or(0) };
        if count >= 128 { value } else { value & ((1 << count) - 1) }
    }

    /// Rounded to a mantissa of at most 53 bits whose lowest has at least this exponent.
    fn round(&self, exponent_min: i32) -> (u64, i32) {
        let bits = self.bits();
        let low = (bits as i32 - 53).max(exponent_min - self.exponent).max(0) as usize;
        let kept = self.extract(low, 53.min(bits.saturating_sub(low))) as u64;
        let half = low > 0 && self.extract(low - 1, 1) == 1;
        let sticky = half && self.trailing_zeros().is_some_and(|zeros| zeros < low - 1);
        let up = half && (sticky || kept & 1 == 1);
        (kept + u64::from(up), self.exponent + low as i32)
    }

    /// The nearest double, ties to even.
    pub fn to_f64(&self) -> f64 {
        let (mantissa, exponent) = self.round(-1074);
        let value = scale(mantissa as f64, exponent);
        if self.negative { -value } else { value }
    }

    /// A mantissa and an exponent whose product is nearest, however large or small.
    pub fn to_scaled(&self) -> (f64, i32) {
        let (mantissa, exponent) = self.round(i32::MIN / 2);
        (if self.negative { -(mantissa as f64) } else { mantissa as f64 }, exponent)
    }

    /// `self · factor`.
    pub fn times(&self, factor: u64) -> Magnitude {
        self.product(&Magnitude { negative: false, words: vec![factor], exponent: 0 })
    }

    /// `self · other`.
    pub fn product(&self, other: &Magnitude) -> Magnitude {
        let mut words = vec![0u64; self.words.len() + other.words.len()];
        for (i, a) in self.words.iter().enumerate().filter(|(_, a)| **a != 0) {
            let mut carry = 0u128;
            for (j, b) in other.words.iter().enumerate() {
                carry += u128::from(*a) * u128::from(*b) + u128::from(words[i + j]);
                words[i + j] = carry as u64;
                carry >>= 64;
            }
            words[i + other.words.len()] = carry as u64;
        }
        Magnitude { negative: self.negative != other.negative, words, exponent: self.exponent + other.exponent }
    }

    /// `self - other`, in two's complement until the sign is known.
    pub fn minus(&self, other: &Magnitude) -> Magnitude {
        let exponent = self.exponent.min(other.exponent);
        let end = |m: &Magnitude| 64 * m.words.len() as i32 + m.exponent - exponent;
        let mut difference = vec![0u64; (end(self).max(end(other)) / 64 + 2) as usize];
        for (number, minus) in [(self, self.negative), (other, !other.negative)] {
            for (i, word) in number.words.iter().enumerate().filter(|(_, word)| **word != 0) {
                let part = if minus { -i128::from(*word) } else { i128::from(*word) };
                add_shifted(&mut difference, part, (number.exponent - exponent) as u32 + 64 * i as u32);
            }
        }
        Magnitude::new(&difference, exponent)
    }
}

/// `value · 2^exponent`, rounded at most once.
pub fn scale(value: f64, exponent: i32) -> f64 {
    let power = |exponent: i32| match exponent {
        -1074..-1022 => f64::from_bits(1 << (exponent + 1074)),
        _ => f64::from_bits(((exponent + 1023) as u64) << 52),
    };
    match exponent {
        -1074..=1023 => value * power(exponent),
        1024.. => value * power(1023) * power((exponent - 1023).min(1023)),
        _ => value * power(-1000) * power((exponent + 1000).max(-1074)),
    }
}

/// A finite double as mantissa and exponent.
#[inline]
pub fn decompose(value: f64) -> (i64, i32) {
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, (bits & ((1 << 52) - 1)) as i64);
    let (mantissa, exponent) = if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    (if value.is_sign_negative() { -mantissa } else { mantissa }, exponent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
        assert!(sum.add_bytes(&[0xff; 4 + 8 * (WIDE_WORDS + 1)]).is_none());
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

        #[test]
        fn magnitudes_multiply_and_subtract(a in any::<i64>(), b in any::<i64>(), c in any::<i64>(), shift in 0i32..70) {
            let number = |v: i64, e| Magnitude::new(&[v as u64], e);
            let product = number(a, 0).product(&number(b, 0));
            prop_assert_eq!(product.to_f64(), (i128::from(a) * i128::from(b)) as f64);
            let difference = product.minus(&number(c, 0).times(1 << 10));
            prop_assert_eq!(difference.to_f64(), (i128::from(a) * i128::from(b) - (i128::from(c) << 10)) as f64);
            prop_assert_eq!(number(a, shift).minus(&number(a, shift)).to_f64(), 0.0);
        }
    }
}
