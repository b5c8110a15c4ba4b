//! Numbers of any length in binary, to compute with exact sums: what is rounded is the result alone.

use crate::exact::{add_aligned, add_shifted};

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

    /// Whether it is 0.
    pub fn is_zero(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The number as an integer, if it is one and fits.
    pub fn to_i128(&self) -> Option<i128> {
        let low = self.trailing_zeros().unwrap_or(0);
        let (shift, bits) = (self.exponent + low as i32, self.bits() - low);
        if bits == 0 {
            return Some(0);
        }
        if shift < 0 || bits as i32 + shift > 127 {
            return None;
        }
        let value = (self.extract(low, bits) << shift) as i128;
        Some(if self.negative { -value } else { value })
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

    /// `-self`.
    pub fn negated(mut self) -> Magnitude {
        self.negative = !self.negative;
        self
    }

    /// `self + other`.
    pub fn plus(&self, other: &Magnitude) -> Magnitude {
        self.minus(&other.clone().negated())
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

    proptest! {
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
