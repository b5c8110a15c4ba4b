//! From items to elements of the field, so that the families hold for items of every type.

use super::field::{PRIME, multiply_add, reduce_once};
use crate::random::Generator;

/// How many bits of a number are kept as they are.
const LOW_BITS: u32 = 60;
/// How many bytes one coefficient of the polynomial over bytes holds: 56 bits are surely below the prime.
const COEFFICIENT_BYTES: usize = 7;

/// A random map from 64-bit numbers and byte strings to elements of the field of 2⁶¹ − 1.
///
/// A number is its low 60 bits plus a random multiple of its high 4 bits: numbers within one sixteenth of the range (all from 0
/// to 2⁶⁰, say) never meet, others with probability 2⁻⁶¹. A byte string is a polynomial at a random point, with 7 bytes for a
/// coefficient and its length for the first (Dietzfelbinger, Gil, Matias, Pippenger 1992, "Polynomial hash functions are
/// reliable"): two strings of up to n bytes meet with probability below (n/7 + 2)·2⁻⁶¹. Where d distinct items do not meet, and
/// that is so with probability 1 − d²·2⁻⁶², a family's promise over the field is its promise over the items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// What each value of the high 4 bits adds.
    high: [u64; 16],
    /// Where the polynomial of a byte string is evaluated.
    point: u64,
}

impl Fold {
    /// Draws a map.
    pub fn draw(random: &mut Generator) -> Self {
        let multiple = random.below(PRIME);
        let point = random.below(PRIME);
        Fold { high: std::array::from_fn(|high| multiply_add(multiple, high as u64, 0)), point }
    }

    /// The element of a number.
    #[inline(always)]
    pub fn number(&self, x: u64) -> u64 {
        reduce_once((x & ((1 << LOW_BITS) - 1)) + self.high[(x >> LOW_BITS) as usize])
    }

    /// The element of a byte string.
    pub fn bytes(&self, bytes: &[u8]) -> u64 {
        let mut element = bytes.len() as u64 & (PRIME >> 1);
        let mut chunks = bytes.chunks_exact(COEFFICIENT_BYTES);
        for chunk in &mut chunks {
            element = multiply_add(element, self.point, little_endian(chunk));
        }
        if chunks.remainder().is_empty() {
            return element;
        }
        multiply_add(element, self.point, little_endian(chunks.remainder()))
    }
}

/// The number that up to 8 bytes are.
#[inline(always)]
pub(super) fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::Fold;
    use crate::random::Generator;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn strings_that_look_alike_stay_apart() {
        let fold = Fold::draw(&mut Generator::new(3));
        let strings: [&[u8]; 9] =
            [b"", b"\0", b"\0\0", b"a", b"a\0", b"aaaaaaa", b"aaaaaaa\0", b"aaaaaaab", b"\0aaaaaaa"];
        let elements: BTreeSet<u64> = strings.iter().map(|string| fold.bytes(string)).collect();
        assert_eq!(elements.len(), strings.len());
    }

    proptest! {
        #[test]
        fn different_items_have_different_elements(seed: u64, x: u64, y: u64, a: Vec<u8>, b: Vec<u8>) {
            let fold = Fold::draw(&mut Generator::new(seed));
            prop_assert!(fold.number(x) < super::PRIME && fold.bytes(&a) < super::PRIME);
            prop_assert_eq!(x == y, fold.number(x) == fold.number(y));
            prop_assert_eq!(a == b, fold.bytes(&a) == fold.bytes(&b));
        }
    }
}
