//! The hash index of a key table: from hashes to group numbers, without the keys.
//!
//! Open addressing with linear probing (D. Knuth, *The Art of Computer Programming* 3, 6.4, algorithms L and R). A bucket
//! is 8 bytes: the low half of the hash, and the group plus one (0: empty). The half hash tells the bucket's home, so
//! growing and removing never touch keys; and looking up a batch reads all home buckets, then all their keys, in loops
//! without branches, so that the misses of a large table overlap.

use super::NO_GROUP;

/// Buckets of the smallest table.
const BUCKETS_MIN: usize = 16;

/// A table grows when more than 5 of 8 buckets are taken.
const LOAD: (usize, usize) = (5, 8);

/// Groups by hash.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// A power of two of them, or none.
    buckets: Vec<u64>,
    len: usize,
}

#[inline]
fn bucket(hash: u64, group: u32) -> u64 {
    hash << 32 | u64::from(group + 1)
}

#[inline]
fn group_of(bucket: u64) -> u32 {
    (bucket as u32).wrapping_sub(1)
}

impl Index {
    fn mask(&self) -> usize {
        self.buckets.len() - 1
    }

    #[inline]
    fn home(&self, bucket: u64) -> usize {
        (bucket >> 32) as usize & self.mask()
    }

    /// Appends for each hash the group in its home bucket if half the hash agrees, else [`NO_GROUP`]. The key is still
    /// to be compared, and other buckets may hold it.
    pub(super) fn candidates(&self, hashes: &[u64], groups: &mut Vec<u32>) {
        if self.buckets.is_empty() {
            groups.resize(groups.len() + hashes.len(), NO_GROUP);
            return;
        }
        let mask = self.mask();
        groups.extend(hashes.iter().map(|hash| {
            let bucket = self.buckets[*hash as u32 as usize & mask];
            if bucket >> 32 == *hash & 0xffff_ffff { group_of(bucket) } else { NO_GROUP }
        }));
    }

    /// The groups whose half hash agrees; the key is still to be compared.
    #[inline]
    pub(super) fn candidates_of(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        let (start, mask) = (hash as u32 as usize, self.buckets.len().wrapping_sub(1));
        let places = (0..self.buckets.len()).map(move |step| self.buckets[(start + step) & mask]);
        let taken = places.take_while(|bucket| *bucket != 0);
        taken.filter(move |bucket| bucket >> 32 == hash & 0xffff_ffff).map(group_of)
    }

    /// The group of a hash for which `is_key` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is_key: impl FnMut(u32) -> bool) -> Option<u32> {
        self.candidates_of(hash).find(|group| is_key(*group))
    }

    /// Adds a group that is not there.
    pub(super) fn insert(&mut self, hash: u64, group: u32) {
        if (self.len + 1) * LOAD.1 > self.buckets.len() * LOAD.0 {
            self.resize((self.buckets.len() * 2).max(BUCKETS_MIN));
        }
        self.place(bucket(hash, group));
        self.len += 1;
    }

    fn place(&mut self, bucket: u64) {
        let mut place = self.home(bucket);
        while self.buckets[place] != 0 {
            place = (place + 1) & self.mask();
        }
        self.buckets[place] = bucket;
    }

    fn resize(&mut self, buckets: usize) {
        let old = std::mem::replace(&mut self.buckets, vec![0; buckets]);
        old.into_iter().filter(|bucket| *bucket != 0).for_each(|bucket| self.place(bucket));
    }

    /// Removes a group; whether it was there.
    pub(super) fn remove(&mut self, hash: u64, group: u32) -> bool {
        if self.buckets.is_empty() {
            return false;
        }
        let wanted = bucket(hash, group);
        let mut hole = self.home(wanted);
        while self.buckets[hole] != wanted {
            if self.buckets[hole] == 0 {
                return false;
            }
            hole = (hole + 1) & self.mask();
        }
        self.close(hole);
        self.len -= 1;
        true
    }

    /// Empties a bucket and moves up those after it that would no longer be found.
    fn close(&mut self, mut hole: usize) {
        let mask = self.mask();
        let mut place = hole;
        loop {
            place = (place + 1) & mask;
            let bucket = self.buckets[place];
            if bucket == 0 {
                break;
            }
            // It may move up unless its home lies behind the hole.
            if place.wrapping_sub(self.home(bucket)) & mask >= place.wrapping_sub(hole) & mask {
                self.buckets[hole] = bucket;
                hole = place;
            }
        }
        self.buckets[hole] = 0;
    }

    /// Gives back what the groups that are left do not need.
    pub(super) fn shrink(&mut self) {
        let needed = (self.len * LOAD.1 / LOAD.0 + 1).next_power_of_two().max(BUCKETS_MIN);
        if needed < self.buckets.len() {
            self.resize(needed);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Hashes from a small range, so that runs of buckets meet, wrap around and are torn apart.
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((any::<bool>(), 0u64..40), 0..200)) {
            let (mut index, mut model) = (Index::default(), HashMap::new());
            for (group, (remove, n)) in steps.into_iter().enumerate() {
                let hash = (n % 20).wrapping_sub(5) | n << 50;
                match (model.get(&hash).copied(), remove) {
                    (Some(known), true) => {
                        prop_assert!(index.remove(hash, known));
                        model.remove(&hash);
                    }
                    (None, false) => {
                        index.insert(hash, group as u32);
                        model.insert(hash, group as u32);
                    }
                    (None, true) => prop_assert!(!index.remove(hash, group as u32)),
                    (Some(_), false) => {}
                }
                if group % 50 == 0 {
                    index.shrink();
                }
                prop_assert_eq!(index.len(), model.len());
                for (hash, group) in &model {
                    prop_assert_eq!(index.find(*hash, |found| found == *group), Some(*group));
                    prop_assert_eq!(index.find(*hash, |_| false), None);
                }
            }
        }
    }
}
