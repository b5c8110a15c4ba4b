//! Cuckoo filters: a fingerprint of each item, in one of two buckets, so that items can be taken out again.
//!
//! Fan, Andersen, Kaminsky and Mitzenmacher 2014, "Cuckoo filter: practically better than Bloom".

use crate::codec::{self, Reader};
use crate::hash::Item;
use crate::invalid;
use crate::random::split_mix;
use fleuve_base::{Error, ErrorKind, Result};

/// The most items that a filter is made for: 256 MiB.
pub const CUCKOO_ITEMS_MAX: u64 = 1 << 27;

/// The fingerprints of a bucket: with four, some 95 % of all places can be used in large filters, and 90 % in small ones.
const BUCKET: usize = 4;
const LOAD: f64 = 0.9;
/// How often fingerprints push one another out before the filter counts as full.
const KICKS_MAX: usize = 500;

const KIND: [u8; 2] = *b"CK";
const VERSION: u8 = 1;
const WHAT: &str = "stored cuckoo filter";

/// Where an item lies in a [`Cuckoo`] filter of some size and seed: all that the filter knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CuckooPlace {
    bucket: u32,
    print: u16,
}

/// A set that may take a strange item for its own, and never its own for a stranger, and from which items can be removed.
///
/// An item has a fingerprint of 16 bits and two buckets of four; each bucket follows from the other and the fingerprint. A
/// fingerprint that finds both full pushes another out, which goes to its other bucket.
///
/// **Promise.** A strange item is taken for one of the filter's own with probability at most 8/65,535, for a hash that is as good as
/// random. Adding fails only when the filter is full; up to the number of items that it was made for, that is very unlikely.
/// Only what has been added may be removed; an item that was added n times has to be removed n times,
/// and there is room for four times at least.
///
/// **Memory.** 2 bytes a place: for n items, the next power of two from n/0.9; none while empty.
///
/// ```
/// # use fleuve_sketch::membership::Cuckoo;
/// let mut seen = Cuckoo::new(7, 1000)?;
/// seen.insert("cat")?;
/// assert!(seen.contains("cat") && !seen.contains("dog"));
/// assert!(seen.remove("cat") && !seen.contains("cat"));
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Cuckoo {
    seed: u64,
    /// log2 of the number of buckets.
    lg_buckets: u8,
    len: u64,
    /// Fingerprints, bucket by bucket; 0 is a free place. Nothing while empty.
    places: Vec<u16>,
}

impl Cuckoo {
    /// A filter for so many items.
    ///
    /// # Errors
    /// If the number is not between 1 and [`CUCKOO_ITEMS_MAX`].
    pub fn new(seed: u64, items: u64) -> Result<Self> {
        if !(1..=CUCKOO_ITEMS_MAX).contains(&items) {
            return Err(invalid(format!("a cuckoo filter is made for 1 to {CUCKOO_ITEMS_MAX} items, not {items}")));
        }
        let buckets = (items as f64 / LOAD / BUCKET as f64).ceil() as u64;
        Ok(Self::with_buckets(seed, buckets.next_power_of_two().trailing_zeros() as u8))
    }

    fn with_buckets(seed: u64, lg_buckets: u8) -> Self {
        Cuckoo { seed, lg_buckets, len: 0, places: Vec::new() }
    }

    /// Another filter of nothing, of the same size and seed.
    pub fn empty(&self) -> Self {
        Self::with_buckets(self.seed, self.lg_buckets)
    }

    fn mask(&self) -> usize {
        (1 << self.lg_buckets) - 1
    }

    /// An item's fingerprint, which is not 0, and its first bucket.
    fn home<I: Item + ?Sized>(&self, item: &I) -> (u16, usize) {
        let (first, second) = item.murmur(self.seed);
        let print = ((u32::from(second as u16) * 0xffff) >> 16) as u16 + 1;
        (print, first as usize & self.mask())
    }

    /// Where an item lies in filters of this size and seed.
    pub fn place_of<I: Item + ?Sized>(&self, item: &I) -> CuckooPlace {
        let (print, bucket) = self.home(item);
        CuckooPlace { bucket: bucket as u32, print }
    }

    /// The other bucket of a fingerprint.
    fn other(&self, bucket: usize, print: u16) -> usize {
        let mut state = u64::from(print);
        (bucket ^ split_mix(&mut state) as usize) & self.mask()
    }

    fn bucket(&self, bucket: usize) -> &[u16] {
        self.places.get(bucket * BUCKET..(bucket + 1) * BUCKET).unwrap_or(&[])
    }

    /// Puts a fingerprint in place of another in a bucket, if that is there.
    fn swap(&mut self, bucket: usize, from: u16, to: u16) -> bool {
        let places = self.places.get_mut(bucket * BUCKET..(bucket + 1) * BUCKET).unwrap_or(&mut []);
        let place = places.iter_mut().find(|print| **print == from);
        place.map(|print| *print = to).is_some()
    }

    /// Adds an item.
    ///
    /// # Errors
    /// If the filter is full; it is left as it was.
    pub fn insert<I: Item + ?Sized>(&mut self, item: &I) -> Result<()> {
        self.insert_at(self.place_of(item))
    }

    /// Adds the item of a place, which has to be one of filters of this size and seed.
    ///
    /// # Errors
    /// If the filter is full; it is left as it was.
    pub fn insert_at(&mut self, place: CuckooPlace) -> Result<()> {
        self.place(place.print, place.bucket as usize & self.mask())
    }

    /// Adds items.
    ///
    /// # Errors
    /// If the filter is full; then those up to there have been added.
    pub fn insert_all<I: Item>(&mut self, items: &[I]) -> Result<()> {
        items.iter().try_for_each(|item| self.insert(item))
    }

    fn place(&mut self, print: u16, bucket: usize) -> Result<()> {
        self.places.resize(BUCKET << self.lg_buckets, 0);
        let other = self.other(bucket, print);
        if !self.swap(bucket, 0, print) && !self.swap(other, 0, print) {
            self.kick(print, other)?;
        }
        self.len += 1;
        Ok(())
    }

    /// Finds a place by pushing others out, and takes it all back if there is none.
    fn kick(&mut self, mut print: u16, mut bucket: usize) -> Result<()> {
        let mut random = self.seed ^ self.len;
        let mut kicked = Vec::with_capacity(KICKS_MAX);
        for _ in 0..KICKS_MAX {
            let place = bucket * BUCKET + split_mix(&mut random) as usize % BUCKET;
            std::mem::swap(&mut self.places[place], &mut print);
            kicked.push(place);
            bucket = self.other(bucket, print);
            if self.swap(bucket, 0, print) {
                return Ok(());
            }
        }
        kicked.into_iter().rev().for_each(|place| std::mem::swap(&mut self.places[place], &mut print));
        let message = format!("the cuckoo filter is full with {} items", self.len);
        Err(Error::new(ErrorKind::Limit, "E904", message).with_hint("make it for more items"))
    }

    /// Whether an item may have been added.
    pub fn contains<I: Item + ?Sized>(&self, item: &I) -> bool {
        self.contains_at(self.place_of(item))
    }

    /// [`Cuckoo::contains`] of the item of a place, which has to be one of filters of this size and seed.
    pub fn contains_at(&self, place: CuckooPlace) -> bool {
        let (print, bucket) = (place.print, place.bucket as usize & self.mask());
        self.bucket(bucket).contains(&print) || self.bucket(self.other(bucket, print)).contains(&print)
    }

    /// Takes out an item that has been added, once, and tells whether something was there. Never remove what was not added: it may be
    /// another item's fingerprint.
    pub fn remove<I: Item + ?Sized>(&mut self, item: &I) -> bool {
        self.remove_at(self.place_of(item))
    }

    /// [`Cuckoo::remove`] of the item of a place, which has to be one of filters of this size and seed.
    pub fn remove_at(&mut self, place: CuckooPlace) -> bool {
        let (print, bucket) = (place.print, place.bucket as usize & self.mask());
        let other = self.other(bucket, print);
        let removed = self.swap(bucket, print, 0) || self.swap(other, print, 0);
        self.len -= u64::from(removed);
        removed
    }

    /// The number of items in it, each as often as it was added.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds all items of another filter.
    ///
    /// # Errors
    /// If the other one has another size or seed, or if this one gets full; it is left as it was.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.take(other, |_, _| true)
    }

    /// Adds those items of another filter that are not in this one. Nothing may be removed from either later: both may have had it.
    ///
    /// # Errors
    /// As [`Cuckoo::merge`].
    pub fn union(&mut self, other: &Self) -> Result<()> {
        self.take(other, |own, place| !own.contains_at(place))
    }

    fn take(&mut self, other: &Self, wanted: fn(&Self, CuckooPlace) -> bool) -> Result<()> {
        if (self.seed, self.lg_buckets) != (other.seed, other.lg_buckets) {
            return Err(invalid("cuckoo filters of another size or seed cannot be merged"));
        }
        let mut merged = self.clone();
        for (nth, print) in other.places.iter().enumerate().filter(|(_, print)| **print != 0) {
            let place = CuckooPlace { bucket: (nth / BUCKET) as u32, print: *print };
            if wanted(&merged, place) {
                merged.insert_at(place)?;
            }
        }
        *self = merged;
        Ok(())
    }

    /// How many bytes this filter holds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.places.capacity() * 2
    }

    /// The stored form; `docs/internals/sketches.md` has its layout.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = codec::begin(KIND, VERSION);
        bytes.extend([u8::from(!self.places.is_empty()), self.lg_buckets]);
        bytes.extend(self.seed.to_le_bytes());
        self.places.iter().for_each(|print| bytes.extend(print.to_le_bytes()));
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// If the bytes are not such a form, in a version that this build knows.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::open(bytes, WHAT, KIND, VERSION)?;
        let [seen, lg_buckets] = reader.array::<2>()?;
        reader.demand(seen <= 1 && lg_buckets <= 26, "the filter is too large")?;
        let mut filter = Self::with_buckets(reader.u64()?, lg_buckets);
        if seen == 1 {
            let prints = reader.take((BUCKET << lg_buckets) * 2)?.chunks_exact(2);
            filter.places = prints.map(|print| u16::from_le_bytes([print[0], print[1]])).collect();
            filter.len = filter.places.iter().filter(|print| **print != 0).count() as u64;
        }
        reader.finish()?;
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;
    use crate::trials::{SEEDS, share};
    use proptest::prelude::*;

    #[test]
    fn takes_all_items_that_it_was_made_for() {
        let share = share(|seed| {
            let mut random = Generator::new(seed);
            let mut filter = Cuckoo::new(seed, 230).unwrap();
            (0..230).all(|_| filter.insert(&random.next_u64()).is_ok())
        });
        assert!(share > 0.99, "{share}");
        let mut full = Cuckoo::new(1, 1).unwrap();
        let placed = (0..99i64).take_while(|item| full.insert(item).is_ok()).count();
        assert!(placed == 4 && full.len() == 4 && (0..4i64).all(|item| full.contains(&item)), "{placed}");
    }

    /// How often one of 20,000 strangers is let in, when only so many bits of a fingerprint are looked at.
    fn wrong(bits: u32) -> f64 {
        let mut random = Generator::new(5);
        let mut filter = Cuckoo::new(5, 3_680).unwrap();
        (0..3_680).for_each(|_| filter.insert(&random.next_u64()).unwrap());
        let alike = |a: u16, b: u16| (a ^ b) & ((1u32 << bits) - 1) as u16 == 0;
        let strangers = 200 * SEEDS;
        let wrong = (0..strangers).filter(|_| {
            let (print, bucket) = filter.home(&random.next_u64());
            let both = [bucket, filter.other(bucket, print)];
            both.iter().any(|bucket| filter.bucket(*bucket).iter().any(|there| alike(*there, print)))
        });
        wrong.count() as f64 / strangers as f64
    }

    #[test]
    fn strangers_are_rarely_let_in() {
        // Eight places, almost all taken; three standard errors of 200,000 trials.
        let limit = 8.0 / 65_535.0 + 3.0 * (8.0 / 65_535.0 / (200 * SEEDS) as f64).sqrt();
        assert!(wrong(16) <= limit, "{}", wrong(16));
        assert!(wrong(14) > limit, "fingerprints of 14 bits: {}", wrong(14));
    }

    proptest! {
        #[test]
        fn behaves_as_a_bag(steps in prop::collection::vec((0i64..30, any::<bool>()), 0..150), seed: u64) {
            let (mut filter, mut model) = (Cuckoo::new(seed, 400).unwrap(), [0u32; 30]);
            for (item, add) in steps {
                if add && model[item as usize] < 2 {
                    filter.insert(&item).unwrap();
                    model[item as usize] += 1;
                } else if model[item as usize] > 0 {
                    prop_assert!(filter.remove(&item));
                    model[item as usize] -= 1;
                }
            }
            prop_assert_eq!(filter.len(), u64::from(model.iter().sum::<u32>()));
            prop_assert!((0..30i64).all(|item| model[item as usize] == 0 || filter.contains(&item)));
            let read = Cuckoo::from_bytes(&filter.to_bytes()).unwrap();
            prop_assert_eq!(&read, &filter);
            let mut merged = filter.empty();
            merged.merge(&read).unwrap();
            prop_assert!((0..30i64).all(|item| model[item as usize] == 0 || merged.contains(&item)));
            prop_assert_eq!(merged.len(), filter.len());
            merged.union(&read).unwrap();
            prop_assert_eq!(merged.len(), filter.len());
        }

        #[test]
        fn strange_bytes_are_refused_or_read(bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = Cuckoo::from_bytes(&bytes);
            let mut filter = Cuckoo::new(1, 20).unwrap();
            filter.insert("a").unwrap();
            let mut bytes = filter.to_bytes();
            let place = at % bytes.len();
            prop_assert!(Cuckoo::from_bytes(&bytes[..place]).is_err());
            bytes[place] = byte;
            if let Ok(mut read) = Cuckoo::from_bytes(&bytes) {
                let _ = read.insert(&6i64);
                let _ = read.merge(&filter);
                read.remove("a");
            }
        }
    }

    #[test]
    fn wrong_arguments_are_refused() {
        assert!(Cuckoo::new(1, 0).is_err() && Cuckoo::new(1, u64::MAX).is_err());
    }
}
