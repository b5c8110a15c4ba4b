//! Counters of a tug of war, 60 for each hash function: adding signs by the word instead of one by one.

use crate::hash::Cubic;

/// How many counters one hash feeds: the bits of an element of the field, without the highest.
pub(super) const LANES: usize = 60;
/// How many binary digits are counted at once; also the digits of the most items that [`add`] takes.
const PLANES: usize = 8;
/// How many items [`add`] takes at most.
pub(super) const ADDED_AT_ONCE: usize = (1 << PLANES) - 1;

/// Adds the signs of items to the counters of one hash: +1 where the bit is set, −1 where it is not.
///
/// The ones of each bit are counted in binary, digit by digit across all 60 counters (Harley's and Seal's positional
/// population count), and go to the counters once for all items.
pub(super) fn add(counters: &mut [i64], hash: &Cubic, folded: &[u64]) {
    let mut planes = [0u64; PLANES];
    for x in folded {
        let mut carry = hash.hash(*x);
        for plane in &mut planes {
            (*plane, carry) = (*plane ^ carry, *plane & carry);
        }
    }
    let items = folded.len() as i64;
    for (lane, counter) in counters.iter_mut().enumerate() {
        let ones = (0..PLANES).fold(0, |ones, digit| ones + ((planes[digit] >> lane & 1) << digit));
        *counter = counter.saturating_add(2 * ones as i64 - items);
    }
}

/// Adds the signs of one item, `weight` times.
pub(super) fn add_weighted(counters: &mut [i64], hash: &Cubic, x: u64, weight: i64) {
    let bits = hash.hash(x);
    for (lane, counter) in counters.iter_mut().enumerate() {
        let sign = 2 * (bits >> lane & 1) as i64 - 1;
        *counter = counter.saturating_add(sign.saturating_mul(weight));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn by_the_word_is_one_by_one(items in prop::collection::vec(0u64..1 << 60, 0..ADDED_AT_ONCE), seed: u64) {
            let hash = Cubic::draw(&mut Generator::new(seed));
            let (mut at_once, mut singly) = ([7i64; LANES], [7i64; LANES]);
            add(&mut at_once, &hash, &items);
            items.iter().for_each(|x| add_weighted(&mut singly, &hash, *x, 1));
            prop_assert_eq!(at_once, singly);
        }
    }
}
