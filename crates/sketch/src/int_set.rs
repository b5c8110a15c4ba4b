//! A set of small integers in one array: what samples of hashes are kept in.
//!
//! Open addressing with linear probing; 0 marks a free place and is no member. An empty set holds no memory, and the array doubles
//! when it is three quarters full, so that a set of a few costs tens of bytes.

/// What a set can hold.
pub(crate) trait Key: Copy + Ord + Default {
    /// The number as 64 bits.
    fn wide(self) -> u64;
}

impl Key for u32 {
    fn wide(self) -> u64 {
        u64::from(self)
    }
}

impl Key for u64 {
    fn wide(self) -> u64 {
        self
    }
}

/// How many places the smallest array has.
const LEAST_PLACES: usize = 8;

/// A set of integers other than 0.
#[derive(Debug, Clone, Default)]
pub(crate) struct IntSet<K> {
    places: Vec<K>,
    len: usize,
}

impl<K: Key> IntSet<K> {
    /// The number of members.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a member and tells whether it is new.
    #[inline]
    pub(crate) fn insert(&mut self, key: K) -> bool {
        debug_assert!(key != K::default(), "0 marks a free place");
        if self.len * 4 >= self.places.len() * 3 {
            self.resize((self.places.len() * 2).max(LEAST_PLACES));
        }
        let mask = self.places.len() - 1;
        let mut place = self.home(key);
        while self.places[place] != K::default() {
            if self.places[place] == key {
                return false;
            }
            place = (place + 1) & mask;
        }
        self.places[place] = key;
        self.len += 1;
        true
    }

    /// Where a member lies if the place is free: Fibonacci hashing (Knuth 1973).
    #[inline]
    fn home(&self, key: K) -> usize {
        let spread = key.wide().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (spread >> (64 - self.places.len().trailing_zeros())) as usize
    }

    fn resize(&mut self, places: usize) {
        let old = std::mem::replace(&mut self.places, vec![K::default(); places]);
        self.len = 0;
        for key in old.into_iter().filter(|key| *key != K::default()) {
            self.insert(key);
        }
    }

    /// The members, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = K> + '_ {
        self.places.iter().copied().filter(|key| *key != K::default())
    }

    /// The members in order.
    pub(crate) fn sorted(&self) -> Vec<K> {
        let mut keys: Vec<K> = self.iter().collect();
        keys.sort_unstable();
        keys
    }

    /// Drops all members but these.
    pub(crate) fn retain(&mut self, keep: impl Fn(K) -> bool) {
        let places = self.places.len().max(LEAST_PLACES);
        let old = std::mem::take(self);
        self.resize(places);
        for key in old.iter().filter(|key| keep(*key)) {
            self.insert(key);
        }
    }

    /// How many bytes it holds beside itself.
    pub(crate) fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<K>()
    }
}

impl<K: Key> PartialEq for IntSet<K> {
    fn eq(&self, other: &Self) -> bool {
        self.sorted() == other.sorted()
    }
}

#[cfg(test)]
mod tests {
    use super::IntSet;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn is_a_set(keys in prop::collection::vec(1u64..400, 0..600), bound in 1u64..400) {
            let (mut set, mut model) = (IntSet::<u64>::default(), BTreeSet::new());
            for key in keys {
                prop_assert_eq!(set.insert(key), model.insert(key));
            }
            prop_assert_eq!(set.sorted(), model.iter().copied().collect::<Vec<_>>());
            set.retain(|key| key < bound);
            model.retain(|key| *key < bound);
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(set.sorted(), model.into_iter().collect::<Vec<_>>());
        }
    }
}
