//! Arithmetic modulo the Mersenne prime 2⁶¹ − 1, where a remainder takes a shift and an addition (Carter, Wegman 1979,
//! "Universal classes of hash functions").

/// The prime 2⁶¹ − 1.
pub const PRIME: u64 = (1 << 61) - 1;

/// How many bits an element has.
pub const BITS: u32 = 61;

/// `x` modulo the prime, for x < 2·[`PRIME`].
#[inline(always)]
pub fn reduce_once(x: u64) -> u64 {
    if x >= PRIME { x - PRIME } else { x }
}

/// `x` modulo the prime, for any x.
#[inline(always)]
pub fn reduce(x: u64) -> u64 {
    reduce_once((x & PRIME) + (x >> BITS))
}

/// a·x + b modulo the prime, for three elements of the field.
#[inline(always)]
pub fn multiply_add(a: u64, x: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(x) + u128::from(b);
    reduce_once((wide as u64 & PRIME) + (wide >> BITS) as u64)
}

#[cfg(test)]
mod tests {
    use super::{PRIME, multiply_add, reduce};
    use proptest::prelude::*;

    #[test]
    fn the_ends_of_the_field_are_right() {
        assert_eq!(multiply_add(PRIME - 1, PRIME - 1, PRIME - 1), 0, "(−1)(−1) − 1");
        assert_eq!(multiply_add(PRIME - 1, PRIME - 1, 0), 1);
        assert_eq!((reduce(PRIME), reduce(u64::MAX), reduce(0)), (0, 7, 0));
    }

    proptest! {
        #[test]
        fn agrees_with_long_division(a in 0..PRIME, x in 0..PRIME, b in 0..PRIME, any: u64) {
            let expected = (u128::from(a) * u128::from(x) + u128::from(b)) % u128::from(PRIME);
            prop_assert_eq!(u128::from(multiply_add(a, x, b)), expected);
            prop_assert_eq!(reduce(any), any % PRIME);
        }
    }
}
