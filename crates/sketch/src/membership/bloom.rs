//! Bloom filters: a few bits of a long row of bits for each item.
//!
//! Bloom 1970, "Space/time trade-offs in hash coding with allowable errors"; Kirsch and Mitzenmacher 2006, "Less hashing, same
//! performance: building a better Bloom filter", for all bits from two hashes.

use crate::codec::Reader;
use crate::hash::{HASHED_AT_ONCE, Work, canonical_bits, on_wide_vectors, xx_bytes, xx_number};
use crate::invalid;
use fleuve_base::Result;

/// The most bytes of a filter: 256 MiB.
pub const BLOOM_BYTES_MAX: usize = 256 << 20;
/// The most bits of an item.
pub const BLOOM_HASHES_MAX: u16 = 64;

const WHAT: &str = "stored Bloom filter";
const VERSION: u8 = 1;
const FAMILY: u8 = 21;
const EMPTY: u8 = 4;
/// The header in 8-byte words, of an empty filter and of any other.
const WORDS_EMPTY: u8 = 3;
const WORDS: u8 = 4;

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
    seed: u64,
    /// How many bits an item has.
    hashes: u16,
    words: Box<[u64]>,
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
        let bits = (items as f64 * -wrong.ln() / std::f64::consts::LN_2.powi(2)).ceil();
        if bits / 8.0 > BLOOM_BYTES_MAX as f64 || wrong < 0.5f64.powi(i32::from(BLOOM_HASHES_MAX)) {
            return Err(invalid(format!(
                "a Bloom filter for {items} items and {wrong} is larger than {BLOOM_BYTES_MAX} bytes"
            )));
        }
        let hashes = (bits / items as f64 * std::f64::consts::LN_2).ceil().clamp(1.0, f64::from(BLOOM_HASHES_MAX));
        Ok(Self::with_words(seed, hashes as u16, (bits as usize).div_ceil(64).max(1)))
    }

    fn with_words(seed: u64, hashes: u16, words: usize) -> Self {
        Bloom { seed, hashes, words: vec![0; words].into_boxed_slice() }
    }

    /// Another filter of nothing, of the same size and seed.
    pub fn empty(&self) -> Self {
        Self::with_words(self.seed, self.hashes, self.words.len())
    }

    /// Both hashes of a number: the first is the seed of the second.
    #[inline(always)]
    fn of_number(&self, x: u64) -> (u64, u64) {
        let first = xx_number(x, self.seed);
        (first, xx_number(x, first))
    }

    fn of_bytes(&self, bytes: &[u8]) -> (u64, u64) {
        let first = xx_bytes(bytes, self.seed);
        (first, xx_bytes(bytes, first))
    }

    fn insert(&mut self, hashes: (u64, u64)) {
        let places = Places::new(self.words.len(), self.hashes);
        places.each(hashes, |word, bit| {
            self.words[word] |= bit;
            true
        });
    }

    fn contains(&self, hashes: (u64, u64)) -> bool {
        Places::new(self.words.len(), self.hashes).each(hashes, |word, bit| self.words[word] & bit != 0)
    }

    /// Adds an integer.
    pub fn insert_i64(&mut self, item: i64) {
        self.insert(self.of_number(item as u64));
    }

    /// Adds integers.
    pub fn insert_i64s(&mut self, items: &[i64]) {
        on_wide_vectors(InsertNumbers { filter: self, items });
    }

    /// Adds a float; −0.0 is 0.0, and all NaN are one.
    pub fn insert_f64(&mut self, item: f64) {
        self.insert(self.of_number(canonical_bits(item)));
    }

    /// Adds bytes, or a text by its bytes.
    pub fn insert_bytes(&mut self, item: &[u8]) {
        self.insert(self.of_bytes(item));
    }

    /// Whether an integer may have come.
    pub fn contains_i64(&self, item: i64) -> bool {
        self.contains(self.of_number(item as u64))
    }

    /// Whether a float may have come.
    pub fn contains_f64(&self, item: f64) -> bool {
        self.contains(self.of_number(canonical_bits(item)))
    }

    /// Whether bytes may have come.
    pub fn contains_bytes(&self, item: &[u8]) -> bool {
        self.contains(self.of_bytes(item))
    }

    /// Adds all items of another filter.
    ///
    /// # Errors
    /// If the other one has another size or seed.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if (self.seed, self.hashes, self.words.len()) != (other.seed, other.hashes, other.words.len()) {
            return Err(invalid("Bloom filters of another size or seed cannot be merged"));
        }
        self.words.iter_mut().zip(&other.words).for_each(|(word, more)| *word |= more);
        Ok(())
    }

    /// How many bits are set.
    fn bits_set(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The probability of a wrong yes, as full as the filter is now.
    pub fn wrong(&self) -> f64 {
        (self.bits_set() as f64 / (64 * self.words.len()) as f64).powi(i32::from(self.hashes))
    }

    /// How many bytes this filter holds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.words.len() * size_of::<u64>()
    }

    /// The stored form of Apache DataSketches.
    pub fn to_bytes(&self) -> Vec<u8> {
        let set = self.bits_set();
        let (words, flags) = if set == 0 { (WORDS_EMPTY, EMPTY) } else { (WORDS, 0) };
        let mut bytes = vec![words, VERSION, FAMILY, flags];
        bytes.extend(self.hashes.to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(self.seed.to_le_bytes());
        bytes.extend((self.words.len() as u64).to_le_bytes());
        if set > 0 {
            bytes.extend(set.to_le_bytes());
            self.words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        }
        bytes
    }

    /// Reads the stored form of Apache DataSketches.
    ///
    /// # Errors
    /// If the bytes are not such a form, or the filter is larger than [`BLOOM_BYTES_MAX`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes, WHAT);
        let [header, version, family, flags] = reader.array::<4>()?;
        reader.demand(family == FAMILY, "they are of another family")?;
        reader.demand(version == VERSION && (WORDS_EMPTY..=WORDS).contains(&header), "their version is unknown")?;
        let hashes = reader.u16()?;
        reader.demand((1..=BLOOM_HASHES_MAX).contains(&hashes), "an item has too many bits, or none")?;
        let (_unused, seed) = (reader.u16()?, reader.u64()?);
        let (words, _unused) = (reader.u32()? as usize, reader.u32()?);
        // An empty filter is stored as its size alone: whoever reads it allocates what that says.
        reader.demand((1..=BLOOM_BYTES_MAX / 8).contains(&words), "the filter is too large, or has no bits")?;
        let mut filter = Self::with_words(seed, hashes, if flags & EMPTY != 0 { words } else { 0 });
        if flags & EMPTY == 0 {
            let set = reader.u64()?;
            filter.words = reader.u64s(words)?.into_boxed_slice();
            // All ones: whoever wrote it had not counted.
            reader.demand(set == u64::MAX || set == filter.bits_set(), "its bits are of another number")?;
        }
        reader.finish()?;
        Ok(filter)
    }
}

/// Where the bits of an item are, in so many words.
struct Places {
    words: u64,
    /// 2⁶⁴ by the number of words: what a remainder takes instead of a division (Barrett 1986).
    inverse: u64,
    hashes: u16,
}

impl Places {
    fn new(words: usize, hashes: u16) -> Self {
        let words = words as u64;
        Places { words, inverse: u64::MAX / words, hashes }
    }

    /// Looks at the word and the bit of every hash, until one says no; tells whether all say yes.
    #[inline(always)]
    fn each(&self, (first, second): (u64, u64), mut look: impl FnMut(usize, u64) -> bool) -> bool {
        let mut hash = first;
        (0..self.hashes).all(|_| {
            hash = hash.wrapping_add(second);
            look(self.word(hash >> 7), 1 << (hash >> 1 & 63))
        })
    }

    /// x modulo the number of words, for x < 2⁵⁷: the quotient found is at most one too low.
    #[inline(always)]
    fn word(&self, x: u64) -> usize {
        let quotient = ((u128::from(x) * u128::from(self.inverse)) >> 64) as u64;
        let rest = x - quotient * self.words;
        (if rest >= self.words { rest - self.words } else { rest }) as usize
    }
}

/// Hashes many numbers before it sets bits: the first loop becomes vector instructions, the second waits for many words at once.
struct InsertNumbers<'a> {
    filter: &'a mut Bloom,
    items: &'a [i64],
}

impl Work for InsertNumbers<'_> {
    #[inline(always)]
    fn run(self) {
        let places = Places::new(self.filter.words.len(), self.filter.hashes);
        let mut hashes = [(0, 0); HASHED_AT_ONCE];
        for chunk in self.items.chunks(HASHED_AT_ONCE) {
            hashes.iter_mut().zip(chunk).for_each(|(to, item)| *to = self.filter.of_number(*item as u64));
            for both in &hashes[..chunk.len()] {
                places.each(*both, |word, bit| {
                    self.filter.words[word] |= bit;
                    true
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;
    use crate::trials::SEEDS;
    use datasketches::bloom::{BloomFilter, BloomFilterBuilder};
    use datasketches::hash::value::raw_bytes;
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
        /// The same items give the same bytes as in `datasketches`, and each reads the other's.
        #[test]
        fn is_the_filter_of_datasketches(
            numbers: Vec<i64>, texts: Vec<Vec<u8>>, floats: Vec<f64>, items in 1u64..500, wrong in 0.001f64..0.9, seed: u64
        ) {
            let mut ours = Bloom::new(seed, items, wrong).unwrap();
            let mut theirs = BloomFilterBuilder::with_accuracy(items, wrong).seed(seed).build().unwrap();
            prop_assert_eq!(ours.to_bytes(), theirs.serialize());
            ours.insert_i64s(&numbers);
            numbers.iter().for_each(|item| theirs.insert(*item));
            texts.iter().for_each(|item| ours.insert_bytes(item));
            texts.iter().for_each(|item| theirs.insert(raw_bytes::from_slice(item)));
            floats.iter().for_each(|item| ours.insert_f64(*item));
            floats.iter().for_each(|item| theirs.insert(canonical_bits(*item)));
            prop_assert_eq!(ours.to_bytes(), theirs.serialize());
            prop_assert_eq!(Bloom::from_bytes(&theirs.serialize()).unwrap(), ours);
            prop_assert!(BloomFilter::deserialize(&theirs.serialize()).is_ok());
        }

        #[test]
        fn a_remainder_takes_no_division(x in 0u64..1 << 57, words in 1usize..1 << 25) {
            prop_assert_eq!(Places::new(words, 1).word(x), (x % words as u64) as usize);
        }

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
