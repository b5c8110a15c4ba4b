//! Random numbers from a seed, the same on every machine and in every version.
//!
//! xoshiro256++ (Blackman, Vigna 2021, "Scrambled linear pseudorandom number generators"), seeded through SplitMix64
//! (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"). Its state is part of what a sampling
//! operator saves, so that a restart draws the same numbers.

/// A generator of random numbers; 256 bits of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generator {
    state: [u64; 4],
}

impl Generator {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        Generator { state: std::array::from_fn(|_| split_mix(&mut state)) }
    }

    /// Goes on where [`Generator::state`] was taken. All zeros is no state of the generator and counts as seed 0.
    pub fn from_state(state: [u64; 4]) -> Self {
        if state == [0; 4] { Generator::new(0) } else { Generator { state } }
    }

    /// What [`Generator::from_state`] takes.
    pub fn state(&self) -> [u64; 4] {
        self.state
    }

    /// 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A number below `bound`, each equally likely (Lemire 2019, "Fast random integer generation in an interval").
    ///
    /// # Panics
    /// If `bound` is 0: no number is below it.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below 0");
        let mut product = u128::from(self.next_u64()) * u128::from(bound);
        if (product as u64) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u64) < threshold {
                product = u128::from(self.next_u64()) * u128::from(bound);
            }
        }
        (product >> 64) as u64
    }

    /// A number in [0, 1), a multiple of 2⁻⁵³.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A number in (0, 1]: one whose logarithm is finite.
    #[inline]
    pub fn unit_positive(&mut self) -> f64 {
        1.0 - self.unit()
    }

    /// True with this probability.
    #[inline]
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

/// The next number of SplitMix64: a good mixer of counters and seeds into 64 bits.
#[inline]
pub fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::{Generator, split_mix};

    /// The first numbers of the reference implementation (xoshiro256plusplus.c) from the state 1, 2, 3, 4.
    #[test]
    fn follows_the_reference() {
        let mut generator = Generator::from_state([1, 2, 3, 4]);
        let expected = [41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205];
        assert_eq!(std::array::from_fn::<_, 5, _>(|_| generator.next_u64()), expected);
        assert_eq!(split_mix(&mut 0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn is_uniform_below_a_bound() {
        let mut generator = Generator::new(7);
        let mut counts = [0u32; 7];
        (0..70_000).for_each(|_| counts[generator.below(7) as usize] += 1);
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
    }
}
