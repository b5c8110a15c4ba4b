//! The most frequent items, each with a count that is never too low and a bound on how much it may be too high.
//!
//! Metwally, Agrawal and El Abbadi 2005, "Efficient computation of frequent and top-k elements in data streams" (Space-Saving);
//! merging as Agarwal, Cormode, Huang, Phillips, Wei and Yi 2012, "Mergeable summaries", and Cafaro, Pulimeno and Tempesta 2016.

use super::lowest::Lowest;
use super::stored::{Stored, StoredBytes};
use crate::codec::{self, Reader};
use crate::invalid;
use fleuve_base::Result;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

/// The most items that a summary watches.
pub const SPACE_SAVING_ITEMS_MAX: usize = 1 << 20;

const KIND: [u8; 2] = *b"SS";
const VERSION: u8 = 1;
const WHAT: &str = "stored Space-Saving summary";

/// An item with how often it came: at most `count` times, and at least `count − error` times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted<T> {
    /// The item.
    pub item: T,
    /// How often it came at most.
    pub count: u64,
    /// How much of that may belong to others.
    pub error: u64,
}

/// The most frequent items of a stream, by watching k of them.
///
/// An item that is watched is counted. Another takes the place, and the count, of the one that is counted least, plus one; what it
/// took over is its error. Of those with the same count, the first in their order goes, so that what comes next depends on nothing
/// but what is stored.
///
/// **Promise.** With N items seen: count − error ≤ the truth ≤ count, error ≤ N/k, and every item that came more than N/k times
/// is among those watched. Exact while there are at most k distinct items. All this holds after merging, too.
///
/// **Memory.** k items, and some 50 bytes for each.
///
/// ```
/// # use fleuve_sketch::frequency::SpaceSaving;
/// let mut frequent = SpaceSaving::<Vec<u8>>::new(10)?;
/// for word in ["the", "cat", "and", "the", "dog"] {
///     frequent.update(word.as_bytes());
/// }
/// let top = frequent.top(1);
/// assert_eq!((top[0].item.as_slice(), top[0].count), (b"the".as_slice(), 2));
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SpaceSaving<T> {
    watched_max: usize,
    /// N: the weight of all items seen.
    total: u64,
    watched: Vec<Counted<T>>,
    /// Where each item is among those watched.
    places: HashTable<u32>,
    /// Which is counted least, once there is no more room.
    lowest: Lowest,
}

/// The hash of an item, the same in every process.
#[inline]
fn hash<Q: Hash + ?Sized>(item: &Q) -> u64 {
    FixedState::default().hash_one(item)
}

impl<T: Stored> SpaceSaving<T> {
    /// A summary of nothing that watches so many items.
    ///
    /// # Errors
    /// If the number is not between 1 and [`SPACE_SAVING_ITEMS_MAX`].
    pub fn new(watched_max: usize) -> Result<Self> {
        if !(1..=SPACE_SAVING_ITEMS_MAX).contains(&watched_max) {
            return Err(invalid(format!("1 to {SPACE_SAVING_ITEMS_MAX} items can be watched, not {watched_max}")));
        }
        Ok(Self::watching(watched_max))
    }

    fn watching(watched_max: usize) -> Self {
        SpaceSaving { watched_max, total: 0, watched: Vec::new(), places: HashTable::new(), lowest: Lowest::default() }
    }

    /// Another summary of nothing.
    pub fn empty(&self) -> Self {
        Self::watching(self.watched_max)
    }

    /// Adds an item.
    #[inline]
    pub fn update<Q>(&mut self, item: &Q)
    where
        T: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = T> + ?Sized,
    {
        self.update_weighted(item, 1);
    }

    /// Adds an item so many times.
    #[inline]
    pub fn update_weighted<Q>(&mut self, item: &Q, weight: u64)
    where
        T: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = T> + ?Sized,
    {
        if weight == 0 {
            return;
        }
        self.total = self.total.saturating_add(weight);
        let hash = hash(item);
        match self.place(hash, item) {
            Some(place) => {
                let count = &mut self.watched[place].count;
                *count = count.saturating_add(weight);
            }
            None => self.meet(hash, item.to_owned(), weight),
        }
    }

    /// Adds items.
    pub fn update_all(&mut self, items: &[T])
    where
        T: ToOwned<Owned = T>,
    {
        items.iter().for_each(|item| self.update(item));
    }

    /// Where an item is watched.
    #[inline]
    fn place<Q>(&self, hash: u64, item: &Q) -> Option<usize>
    where
        T: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let found = self.places.find(hash, |place| self.watched[*place as usize].item.borrow() == item);
        found.map(|place| *place as usize)
    }

    /// Takes an item that is not watched: there is room for it, or it takes the place of the one that is counted least.
    #[inline(never)]
    fn meet(&mut self, hash: u64, item: T, weight: u64) {
        if self.watched.len() < self.watched_max {
            self.watch(hash, Counted { item, count: weight, error: 0 });
            return;
        }
        let Some(place) = self.least() else { return };
        let gone = &mut self.watched[place as usize];
        let error = gone.count;
        let old = std::mem::replace(gone, Counted { item, count: error.saturating_add(weight), error });
        if let Ok(entry) = self.places.find_entry(self::hash(&old.item), |found| *found == place) {
            entry.remove();
        }
        let watched = &self.watched;
        self.places.insert_unique(hash, place, |place| self::hash(&watched[*place as usize].item));
    }

    fn watch(&mut self, hash: u64, counted: Counted<T>) {
        self.watched.push(counted);
        let (place, watched) = (self.watched.len() as u32 - 1, &self.watched);
        self.places.insert_unique(hash, place, |place| self::hash(&watched[*place as usize].item));
    }

    /// The place of the item that is counted least, the first of them in their order.
    fn least(&mut self) -> Option<u32> {
        let watched = &self.watched;
        let below = |a: u32, b: u32| watched[a as usize].item < watched[b as usize].item;
        if self.lowest.is_empty() {
            self.lowest.fill(watched.iter().map(|counted| counted.count), below);
        }
        self.lowest.find(|place| watched[place as usize].count, below)
    }

    /// How often an item that is not watched may have come.
    fn unwatched(&self) -> u64 {
        if self.watched.len() < self.watched_max {
            return 0;
        }
        self.watched.iter().map(|counted| counted.count).min().unwrap_or(0)
    }

    /// How often an item came; one that is not watched came at most as often as the least frequent that is.
    pub fn count<Q>(&self, item: &Q) -> Counted<T>
    where
        T: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = T> + ?Sized,
    {
        match self.place(hash(item), item) {
            Some(place) => self.watched[place].clone(),
            None => Counted { item: item.to_owned(), count: self.unwatched(), error: self.unwatched() },
        }
    }

    /// The most frequent items, at most so many, the most frequent first; items of the same count in their order.
    pub fn top(&self, most: usize) -> Vec<Counted<T>> {
        let mut all = self.watched.clone();
        sort(&mut all);
        all.truncate(most);
        all
    }

    /// The number of all items seen.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Adds all that another summary has seen. An item that one of them does not watch may have come as often there as its least.
    ///
    /// # Errors
    /// If the other one watches another number of items.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.watched_max != other.watched_max {
            return Err(invalid("Space-Saving summaries that watch different numbers of items cannot be merged"));
        }
        let (here, there) = (self.unwatched(), other.unwatched());
        let mut all = self.watched.clone();
        for counted in &mut all {
            let place = other.place(hash(&counted.item), &counted.item).map(|place| &other.watched[place]);
            let (count, error) = place.map_or((there, there), |known| (known.count, known.error));
            counted.count = counted.count.saturating_add(count);
            counted.error = counted.error.saturating_add(error);
        }
        for counted in &other.watched {
            if self.place(hash(&counted.item), &counted.item).is_none() {
                let (count, error) = (counted.count.saturating_add(here), counted.error.saturating_add(here));
                all.push(Counted { item: counted.item.clone(), count, error });
            }
        }
        self.rebuild(all, self.total.saturating_add(other.total));
        Ok(())
    }

    /// Watches the most frequent of these and nothing else.
    fn rebuild(&mut self, mut all: Vec<Counted<T>>, total: u64) {
        sort(&mut all);
        all.truncate(self.watched_max);
        *self = self.empty();
        self.total = total;
        for counted in all {
            let hash = hash(&counted.item);
            if self.place(hash, &counted.item).is_none() {
                self.watch(hash, counted);
            }
        }
    }

    /// How many bytes this summary holds.
    pub fn bytes(&self) -> usize {
        let outside: usize = self.watched.iter().map(|counted| counted.item.outside()).sum();
        let watched = self.watched.capacity() * size_of::<Counted<T>>();
        size_of::<Self>() + self.places.allocation_size() + watched + self.lowest.bytes() + outside
    }

    /// The stored form; `docs/internals/sketches.md` has its layout.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = codec::begin(KIND, VERSION);
        bytes.push(T::TAG);
        bytes.extend((self.watched_max as u32).to_le_bytes());
        bytes.extend(self.total.to_le_bytes());
        bytes.extend((self.watched.len() as u32).to_le_bytes());
        for counted in self.top(usize::MAX) {
            codec::put_u64s(&mut bytes, [counted.count, counted.error]);
            counted.item.put(&mut bytes);
        }
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// If the bytes are not such a form, in a version that this build knows, with items of this type.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::open(bytes, WHAT, KIND, VERSION)?;
        let tag = reader.u8()?;
        reader.demand(tag == T::TAG, "its items are of another type")?;
        let mut summary = Self::new(reader.u32()? as usize)?;
        let total = reader.u64()?;
        let count = reader.count(16)?;
        reader.demand(count <= summary.watched_max, "it watches more items than it may")?;
        let mut all = Vec::new();
        for _ in 0..count {
            let (count, error) = (reader.u64()?, reader.u64()?);
            reader.demand(count > error && count <= total, "a count is impossible")?;
            all.push(Counted { item: T::take(&mut StoredBytes(&mut reader))?, count, error });
        }
        summary.rebuild(all, total);
        reader.demand(summary.places.len() == count, "an item is there twice")?;
        reader.finish()?;
        Ok(summary)
    }
}

fn sort<T: Ord>(all: &mut [Counted<T>]) {
    all.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.item.cmp(&b.item)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// The promise, against exact counts.
    fn check(summary: &SpaceSaving<i64>, truth: &BTreeMap<i64, u64>) -> Result<(), TestCaseError> {
        let total: u64 = truth.values().sum();
        prop_assert_eq!(summary.total(), total);
        let most = total / summary.watched_max as u64;
        let top = summary.top(usize::MAX);
        prop_assert!(top.len() <= summary.watched_max);
        for counted in &top {
            let count = truth.get(&counted.item).copied().unwrap_or(0);
            prop_assert!(counted.count - counted.error <= count && count <= counted.count && counted.error <= most);
        }
        for (item, count) in truth {
            prop_assert!(*count <= most || top.iter().any(|counted| counted.item == *item));
            prop_assert!(*count <= summary.count(item).count);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn keeps_its_promise(
            items in prop::collection::vec((0i64..40, 0u64..3), 0..400), watched in 1usize..30, parts in 1usize..5
        ) {
            let mut truth = BTreeMap::new();
            let (mut whole, mut merged) = (SpaceSaving::new(watched).unwrap(), SpaceSaving::new(watched).unwrap());
            for part in items.chunks(items.len() / parts + 1) {
                let mut summary = whole.empty();
                for (item, weight) in part {
                    // Some items are far more frequent than others.
                    let item = item * item / 40;
                    summary.update_weighted(&item, *weight);
                    whole.update_weighted(&item, *weight);
                    *truth.entry(item).or_insert(0) += weight;
                }
                merged.merge(&SpaceSaving::from_bytes(&summary.to_bytes()).unwrap()).unwrap();
            }
            let mut read = SpaceSaving::from_bytes(&whole.to_bytes()).unwrap();
            for item in 0..60 {
                read.update(&item);
                whole.update(&item);
                *truth.entry(item).or_insert(0) += 1;
                merged.update(&item);
            }
            prop_assert_eq!(read.to_bytes(), whole.to_bytes(), "a restart changes nothing");
            check(&whole, &truth)?;
            check(&merged, &truth)?;
        }

        #[test]
        fn strange_bytes_are_refused_or_read(bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = SpaceSaving::<Vec<u8>>::from_bytes(&bytes);
            let mut summary = SpaceSaving::<Vec<u8>>::new(5).unwrap();
            ["a", "b", "", "b", "c"].iter().for_each(|text| summary.update(text.as_bytes()));
            let mut bytes = summary.to_bytes();
            let place = at % bytes.len();
            prop_assert!(SpaceSaving::<Vec<u8>>::from_bytes(&bytes[..place]).is_err());
            prop_assert!(SpaceSaving::<i64>::from_bytes(&bytes).is_err());
            bytes[place] = byte;
            if let Ok(mut read) = SpaceSaving::<Vec<u8>>::from_bytes(&bytes) {
                read.update(b"d".as_slice());
                read.top(3);
            }
        }
    }

    #[test]
    fn floats_and_limits() {
        use crate::frequency::Float;
        let mut summary = SpaceSaving::<Float>::new(3).unwrap();
        [0.0, -0.0, f64::NAN, -f64::NAN, 1.5].iter().for_each(|x| summary.update(&Float(*x)));
        let top = summary.top(2);
        assert_eq!((top[0].count, top[1].count), (2, 2));
        assert!(SpaceSaving::<i64>::new(0).is_err() && SpaceSaving::<i64>::new(usize::MAX).is_err());
    }
}
