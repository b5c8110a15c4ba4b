//! Tables whose keys are a few words: a key is compared as a whole.

use arrow::array::{Array, ArrayRef};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use fleuve_base::Result;

use super::index::Index;
use super::values::{each_word, from_words};
use super::{NO_GROUP, Slots};
use crate::hash::hash_words;

/// A key of `N` columns; `nulls` has bit i set where column i is NULL, and then word i is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key<const N: usize> {
    words: [u64; N],
    nulls: u32,
}

impl<const N: usize> Key<N> {
    fn hash(&self) -> u64 {
        hash_words(&self.words, self.nulls)
    }
}

/// A table from keys of `N` words to groups.
#[derive(Debug)]
pub(super) struct WordTable<const N: usize> {
    index: Index,
    /// By group.
    keys: Vec<Key<N>>,
    /// The keys of the batch at hand.
    scratch: Vec<Key<N>>,
}

impl<const N: usize> WordTable<N> {
    pub(super) fn new() -> Self {
        WordTable { index: Index::default(), keys: Vec::new(), scratch: Vec::new() }
    }

    fn read(&mut self, columns: &[ArrayRef], rows: usize) {
        self.scratch.clear();
        self.scratch.resize(rows, Key { words: [0; N], nulls: 0 });
        for (i, column) in columns.iter().enumerate() {
            let keys = &mut self.scratch;
            each_word(column.as_ref(), |row, word| keys[row].words[i] = word);
            if let Some(nulls) = column.nulls().filter(|nulls| nulls.null_count() > 0) {
                (0..rows).filter(|row| nulls.is_null(*row)).for_each(|row| {
                    keys[row].words[i] = 0;
                    keys[row].nulls |= 1 << i;
                });
            }
        }
    }

    pub(super) fn intern(&mut self, columns: &[ArrayRef], hashes: &[u64], slots: &mut Slots, groups: &mut Vec<u32>) {
        self.lookup_home(columns, hashes, groups);
        for (row, group) in groups.iter_mut().enumerate().filter(|(_, group)| **group == NO_GROUP) {
            let (key, keys) = (self.scratch[row], &self.keys);
            *group = match self.index.find(hashes[row], |group| keys[group as usize] == key) {
                Some(group) => group,
                None => self.create(hashes[row], key, slots),
            };
        }
    }

    pub(super) fn lookup(&mut self, columns: &[ArrayRef], hashes: &[u64], groups: &mut Vec<u32>) {
        self.lookup_home(columns, hashes, groups);
        for (row, group) in groups.iter_mut().enumerate().filter(|(_, group)| **group == NO_GROUP) {
            let (key, keys) = (self.scratch[row], &self.keys);
            *group = self.index.find(hashes[row], |group| keys[group as usize] == key).unwrap_or(NO_GROUP);
        }
    }

    /// Replaces `groups` by those that are found at once, in the home buckets, and [`NO_GROUP`] for all others.
    fn lookup_home(&mut self, columns: &[ArrayRef], hashes: &[u64], groups: &mut Vec<u32>) {
        self.read(columns, hashes.len());
        groups.clear();
        self.index.candidates(hashes, groups);
        if self.keys.is_empty() {
            return;
        }
        for (key, group) in self.scratch.iter().zip(groups) {
            // A key is read also where there is no candidate: a branch would wait for the bucket.
            let held = &self.keys[if *group == NO_GROUP { 0 } else { *group as usize }];
            *group = if held == key { *group } else { NO_GROUP };
        }
    }

    #[cold]
    fn create(&mut self, hash: u64, key: Key<N>, slots: &mut Slots) -> u32 {
        let group = slots.create();
        if group as usize == self.keys.len() {
            self.keys.push(key);
        } else {
            self.keys[group as usize] = key;
        }
        self.index.insert(hash, group);
        group
    }

    pub(super) fn remove(&mut self, group: u32) -> bool {
        self.keys.get(group as usize).is_some_and(|key| self.index.remove(key.hash(), group))
    }

    pub(super) fn shrink(&mut self) {
        self.index.shrink();
    }

    pub(super) fn key(&self, i: usize, data_type: &DataType, groups: &[u32]) -> Result<ArrayRef> {
        let keys = || groups.iter().map(|group| &self.keys[*group as usize]);
        let any_null = keys().any(|key| key.nulls >> i & 1 == 1);
        let nulls = any_null.then(|| keys().map(|key| key.nulls >> i & 1 == 0).collect::<NullBuffer>());
        from_words(data_type, keys().map(|key| key.words[i]), nulls)
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.index.bytes() + (self.keys.capacity() + self.scratch.capacity()) * size_of::<Key<N>>()
    }
}
