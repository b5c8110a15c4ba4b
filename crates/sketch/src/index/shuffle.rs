//! Numbers in random order, each once.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::ops::Range;

use fleuve_base::Result;

use crate::random::Generator;
use crate::stored::{Reader, Stored, wrong};

/// Kind and version of the stored form.
const KIND: (u8, u8) = (b'F', 1);

/// The numbers of a range in random order, every order equally likely: draws without replacement.
///
/// The shuffle of R. A. Fisher and F. Yates (1938), in the form of R. Durstenfeld (1964), which keeps the places that were
/// swapped in place of all numbers: about 20 bytes for each draw out of many, and none once all are drawn.
#[derive(Debug, Clone)]
pub struct Shuffle {
    start: u64,
    count: u64,
    drawn: u64,
    swapped: HashMap<u64, u64, BuildHasherDefault<DefaultHasher>>,
    random: Generator,
}

impl Shuffle {
    /// Of these numbers.
    pub fn new(numbers: Range<u64>, seed: u64) -> Self {
        let count = numbers.end.saturating_sub(numbers.start);
        Shuffle { start: numbers.start, count, drawn: 0, swapped: HashMap::default(), random: Generator::new(seed) }
    }

    /// The stored form, from which the rest comes in the same order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![KIND.0, KIND.1];
        [self.start, self.count, self.drawn].iter().for_each(|number| number.write(&mut out));
        self.random.write(&mut out);
        let mut swapped: Vec<(u64, u64)> = self.swapped.iter().map(|(place, number)| (*place, *number)).collect();
        swapped.sort_unstable();
        crate::stored::write_items(swapped.iter(), &mut out);
        out
    }

    /// What [`Shuffle::to_bytes`] wrote.
    ///
    /// # Errors
    /// Corrupt, if the bytes are not such a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader::new(bytes, KIND.0, KIND.1)?;
        let (start, count, drawn) = (u64::read(&mut from)?, u64::read(&mut from)?, u64::read(&mut from)?);
        let random = Generator::read(&mut from)?;
        let swapped: Vec<(u64, u64)> = from.items(usize::MAX)?;
        from.finish()?;
        let fits = |(place, number): &(u64, u64)| (drawn..count).contains(place) && *number < count;
        if drawn > count || start.checked_add(count).is_none() || !swapped.iter().all(fits) {
            return Err(wrong("of a random order contradicts itself"));
        }
        Ok(Shuffle { start, count, drawn, swapped: swapped.into_iter().collect(), random })
    }

    /// How many numbers were drawn.
    pub fn drawn(&self) -> u64 {
        self.drawn
    }

    /// How many numbers there are.
    pub fn size(&self) -> u64 {
        self.count
    }
}

impl Iterator for Shuffle {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.drawn == self.count {
            return None;
        }
        let own = self.swapped.remove(&self.drawn).unwrap_or(self.drawn);
        let place = self.drawn + self.random.below(self.count - self.drawn);
        let found = if place == self.drawn { own } else { self.swapped.insert(place, own).unwrap_or(place) };
        self.drawn += 1;
        Some(self.start + found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing::uniform;

    #[test]
    fn every_order_is_equally_likely_and_complete() {
        let mut counts = vec![0; 125];
        for seed in 0..12_000 {
            let order: Vec<u64> = Shuffle::new(10..15, seed).collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [10, 11, 12, 13, 14]);
            counts[order[..3].iter().fold(0, |code, number| code * 5 + (*number as usize - 10))] += 1;
        }
        counts.retain(|count| *count > 0);
        assert_eq!(counts.len(), 60);
        uniform(&counts).expect("uniform");
        let mut all = Shuffle::new(0..10_000, 1);
        assert_eq!(all.by_ref().sum::<u64>(), 49_995_000);
        assert!(all.swapped.is_empty());
    }

    #[test]
    fn a_restored_order_goes_on_and_damage_is_refused() {
        let mut order = Shuffle::new(3..500, 8);
        order.nth(99);
        let bytes = order.to_bytes();
        assert!(order.eq(Shuffle::from_bytes(&bytes).unwrap()));
        for at in 0..bytes.len() {
            assert!(Shuffle::from_bytes(&bytes[..at]).is_err());
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            let _ = Shuffle::from_bytes(&damaged).map(|order| order.take(1_000).count());
        }
    }
}
