//! Polynomials with random coefficients: of degree 1 they are pairwise independent, of degree 3 four-wise (Carter, Wegman
//! 1979; Wegman, Carter 1981, "New hash functions and their use in authentication and set equality").
//!
//! Low bits of a hash are as good as the whole: over the field of 2⁶¹ − 1 elements, its r lowest bits are zero with
//! probability 2⁻ʳ·(1 + 2⁻⁶¹).

use super::field::{PRIME, multiply_add};
use crate::random::Generator;

/// h(x) = ax + b modulo 2⁶¹ − 1 with random a and b: a pairwise-independent function of field elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    a: u64,
    b: u64,
}

impl Linear {
    /// Draws a function.
    pub fn draw(random: &mut Generator) -> Self {
        Linear { a: random.below(PRIME), b: random.below(PRIME) }
    }

    /// Not drawn at all: what tests break a summary with.
    #[cfg(test)]
    pub(crate) fn fixed(a: u64, b: u64) -> Self {
        Linear { a, b }
    }

    /// The hash of an element of the field: an element again, below 2⁶¹ − 1.
    #[inline(always)]
    pub fn hash(&self, x: u64) -> u64 {
        multiply_add(self.a, x, self.b)
    }
}

/// A random polynomial of degree 3 modulo 2⁶¹ − 1: a four-wise independent function of field elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cubic {
    coefficients: [u64; 4],
}

impl Cubic {
    /// Draws a function.
    pub fn draw(random: &mut Generator) -> Self {
        Cubic { coefficients: std::array::from_fn(|_| random.below(PRIME)) }
    }

    /// Not drawn at all: what tests break a summary with.
    #[cfg(test)]
    pub(crate) fn fixed(coefficients: [u64; 4]) -> Self {
        Cubic { coefficients }
    }

    /// The hash of an element of the field: an element again, below 2⁶¹ − 1.
    #[inline(always)]
    pub fn hash(&self, x: u64) -> u64 {
        let [a, b, c, d] = self.coefficients;
        multiply_add(multiply_add(multiply_add(a, x, b), x, c), x, d)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cubic, Linear};
    use crate::random::Generator;

    /// Over the draw of the function, the low two bits of the hashes of any two items are all 16 pairs equally often.
    #[test]
    fn two_items_are_independent() {
        let draws = 32_000;
        for (x, y) in [(0, 1), (1, 2), (5, 5 << 40), (7, (1 << 60) - 1)] {
            let mut counts = [0f64; 16];
            let mut random = Generator::new(x ^ y);
            for _ in 0..draws {
                let hash = Linear::draw(&mut random);
                counts[((hash.hash(x) & 3) << 2 | hash.hash(y) & 3) as usize] += 1.0;
            }
            let expected = f64::from(draws) / 16.0;
            let chi: f64 = counts.iter().map(|count| (count - expected).powi(2) / expected).sum();
            assert!(chi < 37.7, "chi-square of 15 degrees of freedom, at 0.1 %: {chi}");
        }
    }

    /// The signs of four items are all 16 patterns equally often. A line would fail: h(0) + h(3) = h(1) + h(2).
    #[test]
    fn four_items_are_independent() {
        let draws = 32_000;
        let mut counts = [0f64; 16];
        let mut random = Generator::new(11);
        for _ in 0..draws {
            let hash = Cubic::draw(&mut random);
            counts[(0..4).fold(0, |bits, x| bits << 1 | (hash.hash(x) >> 59 & 1) as usize)] += 1.0;
        }
        let expected = f64::from(draws) / 16.0;
        let chi: f64 = counts.iter().map(|count| (count - expected).powi(2) / expected).sum();
        assert!(chi < 37.7, "chi-square of 15 degrees of freedom, at 0.1 %: {chi}");
    }
}
