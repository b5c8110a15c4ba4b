//! Bloom filters: k bits for each item.
//!
//! Bloom 1970, "Space/time trade-offs in hash coding with allowable errors"; with two hashes for all k, as Kirsch and Mitzenmacher
//! 2006, "Less hashing, same performance". The algorithm is that of the crate `datasketches`; here is what it needs to be safe.

use crate::codec::Reader;
use crate::hash::canonical_bits;
use crate::invalid;
use datasketches::bloom::{BloomFilter, BloomFilterBuilder};
use datasketches::hash::value::raw_bytes;
use fleuve_base::Result;
use std::hash::Hash;

/// The most bytes of a filter: 256 MiB.
pub const BLOOM_BYTES_MAX: usize = 256 << 20;
/// The most bits of an item.
pub const BLOOM_HASHES_MAX: u16 = 64;

const WHAT: &str = "stored Bloom filter";

/// A set that may take a strange item for its own, and never its own for a stranger.
///
/// **Promise.** While at most as many distinct items have come as it was made for, a strange item is taken for one of them with at most about the
/// probability that was asked for, for hashes that are as good as random. The same for the same items, in whatever order.
///
/// **Memory.** 1.44·log2(1/p) bits for each item that it was made for: 1.2 bytes for p = 1 %.
///
/// **Stored form.** That of Apache DataSketches' Bloom filter, with its hash XXH64.
///
/// ```
/// # use fleuve_sketch::membership::Bloom;
/// let mut seen = Bloom::new(7, 1000, 0.01)?;
/// seen.insert_bytes(b"cat");
/// assert!(seen.contains_bytes(b"cat") && !seen.contains_bytes(b"dog"));
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Bloom {
    filter: BloomFilter,
}

impl Bloom {
    /// A filter for so many distinct items, with this probability of a wrong yes.
    ///
    /// # Errors
    /// If there is no item, the probability does not lie between 0 and 1, or more than [`BLOOM_BYTES_MAX`] are needed.
    pub fn new(seed: u64, items: u64, wrong: f64) -> Result<Self> {
        if items == 0 {
            return Err(invalid("a Bloom filter is made for at least one item"));
        }
        if !(wrong > 0.0 && wrong < 1.0) {
            return Err(invalid(format!("the probability of a wrong yes lies between 0 and 1, but it is {wrong}")));
        }
        let bits = items as f64 * -wrong.ln() / std::f64::consts::LN_2.powi(2);
        if bits / 8.0 > BLOOM_BYTES_MAX as f64 || wrong < 0.5f64.powi(i32::from(BLOOM_HASHES_MAX)) {
            return Err(invalid(format!(
                "a Bloom filter for {items} items and {wrong} is larger than {BLOOM_BYTES_MAX} bytes"
            )));
        }
        let built = BloomFilterBuilder::with_accuracy(items, wrong).seed(seed).build();
        Ok(Bloom { filter: built.map_err(|error| invalid(error.to_string()))? })
    }

    /// Another filter of nothing, of the same size and seed.
    pub fn empty(&self) -> Self {
        let mut filter = self.filter.clone();
        filter.reset();
        Bloom { filter }
    }

    fn insert(&mut self, item: impl Hash) {
        self.filter.insert(item);
    }

    /// Adds an integer.
    pub fn insert_i64(&mut self, item: i64) {
        self.insert(item);
    }

    /// Adds integers.
    pub fn insert_i64s(&mut self, items: &[i64]) {
        items.iter().for_each(|item| self.insert(*item));
    }

    /// Adds a float; −0.0 is 0.0, and all NaN are one.
    pub fn insert_f64(&mut self, item: f64) {
        self.insert(canonical_bits(item));
    }

    /// Adds bytes, or a text by its bytes.
    pub fn insert_bytes(&mut self, item: &[u8]) {
        self.insert(raw_bytes::from_slice(item));
    }

    /// Whether an integer may have come.
    pub fn contains_i64(&self, item: i64) -> bool {
        self.filter.contains(&item)
    }

    /// Whether a float may have come.
    pub fn contains_f64(&self, item: f64) -> bool {
        self.filter.contains(&canonical_bits(item))
    }

    /// Whether bytes may have come.
    pub fn contains_bytes(&self, item: &[u8]) -> bool {
        self.filter.contains(&raw_bytes::from_slice(item))
    }

    /// Adds all items of another filter.
    ///
    /// # Errors
    /// If the other one has another size or seed.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.filter.union(&other.filter).map_err(|_| invalid("Bloom filters of another size or seed cannot be merged"))
    }

    /// The probability of a wrong yes, as full as the filter is now.
    pub fn wrong(&self) -> f64 {
        self.filter.load_factor().powi(i32::from(self.filter.num_hashes()))
    }

    /// How many bytes this filter holds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.filter.estimated_size()
    }

    /// The stored form of Apache DataSketches.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.filter.serialize()
    }

    /// Reads the stored form of Apache DataSketches.
    ///
    /// # Errors
    /// If the bytes are not such a form, or the filter is larger than [`BLOOM_BYTES_MAX`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes, WHAT);
        let _preamble = reader.u32()?;
        let hashes = reader.u16()?;
        let (_unused, _seed) = (reader.u16()?, reader.u64()?);
        let words = reader.u32()? as usize;
        // An empty filter is stored as its size alone: whoever reads it allocates what that says.
        reader.demand(words <= BLOOM_BYTES_MAX / 8, "the filter is too large")?;
        reader.demand(hashes <= BLOOM_HASHES_MAX, "an item has too many bits")?;
        let filter = BloomFilter::deserialize(bytes).map_err(|error| reader.damaged(error))?;
        Ok(Bloom { filter })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;
    use crate::trials::SEEDS;
    use proptest::prelude::*;

    /// How often a strange item is taken for one of 100, over all seeds and 20 strangers each.
    fn wrong(share_of_bits: u64) -> f64 {
        let wrong = (0..SEEDS).map(|seed| {
            let mut random = Generator::new(seed);
            let mut filter = Bloom::new(seed, 100 / share_of_bits, 0.05).unwrap();
            (0..100).for_each(|_| filter.insert_i64(random.next_u64() as i64));
            (0..20).filter(|_| filter.contains_i64(random.next_u64() as i64)).count()
        });
        wrong.sum::<usize>() as f64 / (20 * SEEDS) as f64
    }

    #[test]
    fn strangers_are_rarely_let_in() {
        // 5 %, and three standard errors of 20,000 trials; a filter of half the bits fails.
        assert!(wrong(1) <= 0.055, "{}", wrong(1));
        assert!(wrong(2) > 0.055, "{}", wrong(2));
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for (items, wrong) in [(0, 0.1), (9, 0.0), (9, 1.0), (9, f64::NAN), (u64::MAX, 0.01), (9, 1e-300)] {
            assert_eq!(Bloom::new(1, items, wrong).unwrap_err().code(), "E304");
        }
        let huge = [3, 1, 21, 4, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0];
        assert!(Bloom::from_bytes(&huge).is_err(), "16 GiB of nothing");
    }

    proptest! {
        #[test]
        fn parts_merge_to_the_whole(items: Vec<Vec<u8>>, numbers: Vec<i64>, parts in 1usize..5, seed: u64) {
            let mut whole = Bloom::new(seed, 50, 0.01).unwrap();
            let mut merged = whole.empty();
            for part in items.chunks(items.len() / parts + 1) {
                let mut filter = whole.empty();
                part.iter().for_each(|item| filter.insert_bytes(item));
                merged.merge(&Bloom::from_bytes(&filter.to_bytes()).unwrap()).unwrap();
            }
            items.iter().for_each(|item| whole.insert_bytes(item));
            prop_assert!(items.iter().all(|item| whole.contains_bytes(item)));
            prop_assert_eq!(merged.to_bytes(), whole.to_bytes());
            whole.insert_i64s(&numbers);
            prop_assert!(numbers.iter().all(|item| whole.contains_i64(*item)));
            whole.insert_f64(-0.0);
            prop_assert!(whole.contains_f64(0.0) && whole.wrong() <= 1.0);
        }

        #[test]
        fn strange_bytes_are_refused_or_read(bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = Bloom::from_bytes(&bytes);
            let mut filter = Bloom::new(1, 20, 0.1).unwrap();
            filter.insert_i64(5);
            let mut bytes = filter.to_bytes();
            let place = at % bytes.len();
            prop_assert!(Bloom::from_bytes(&bytes[..place]).is_err());
            bytes[place] = byte;
            if let Ok(mut read) = Bloom::from_bytes(&bytes) {
                read.insert_i64(6);
                let _ = read.merge(&filter);
            }
        }
    }
}
