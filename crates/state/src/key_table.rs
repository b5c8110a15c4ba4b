//! From rows of key columns to dense group numbers.
//!
//! A group's number indexes whatever an operator keeps for each key; numbers of removed keys are given out again. Keys
//! of up to three one-word columns (integers, times, floats, booleans) lie in the hash table itself; all others are kept
//! by column. NULL equals NULL, −0.0 equals 0.0, and NaN equals NaN.

pub mod bytes;
mod columns;
mod index;
pub mod values;
mod words;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use fleuve_base::{Error, Result};

use crate::hash::hash_rows;
use columns::ColumnTable;
use words::WordTable;

/// What [`KeyTable::lookup`] yields for a key that is not there.
pub const NO_GROUP: u32 = u32::MAX;

/// A table is shrunk when its keys have become so many times fewer than they were.
const SHRINK_FACTOR: usize = 8;

/// A smaller table is never shrunk.
const SHRINK_KEYS_MIN: usize = 8 << 10;

/// A table from keys to groups.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{ArrayRef, Int64Array};
/// use arrow::datatypes::DataType;
/// use fleuve_state::key_table::KeyTable;
///
/// let mut table = KeyTable::new(&[DataType::Int64])?;
/// let keys: ArrayRef = Arc::new(Int64Array::from(vec![Some(70), None, Some(70)]));
/// let mut groups = Vec::new();
/// table.intern(&[keys], &mut groups)?;
/// assert_eq!(groups, [0, 1, 0]);
/// # Ok::<(), fleuve_base::Error>(())
/// ```
#[derive(Debug)]
pub struct KeyTable {
    types: Vec<DataType>,
    layout: Layout,
    slots: Slots,
    hashes: Vec<u64>,
    /// The most keys since the table was last shrunk.
    keys_max: usize,
}

#[derive(Debug)]
enum Layout {
    One(WordTable<1>),
    Two(WordTable<2>),
    Three(WordTable<3>),
    Columns(ColumnTable),
}

/// Which group numbers are in use.
#[derive(Debug, Default)]
struct Slots {
    /// Numbers given out so far lie below.
    end: u32,
    free: Vec<u32>,
    /// Given out by the last call of `intern`.
    created: Vec<u32>,
}

impl Slots {
    fn create(&mut self) -> u32 {
        let group = self.free.pop().unwrap_or_else(|| {
            assert!(self.end < NO_GROUP, "a table holds fewer than 2^32 - 1 keys");
            self.end += 1;
            self.end - 1
        });
        self.created.push(group);
        group
    }
}

macro_rules! each_layout {
    ($layout:expr, $table:ident => $body:expr) => {
        match $layout {
            Layout::One($table) => $body,
            Layout::Two($table) => $body,
            Layout::Three($table) => $body,
            Layout::Columns($table) => $body,
        }
    };
}

impl KeyTable {
    /// An empty table for keys of one or more columns of these types.
    pub fn new(types: &[DataType]) -> Result<Self> {
        let words = types.iter().all(values::is_word);
        let layout = match types.len() {
            0 => return Err(Error::internal("a key table needs a key column")),
            1 if words => Layout::One(WordTable::new()),
            2 if words => Layout::Two(WordTable::new()),
            3 if words => Layout::Three(WordTable::new()),
            _ => Layout::Columns(ColumnTable::new(types)?),
        };
        Ok(KeyTable { types: types.to_vec(), layout, slots: Slots::default(), hashes: Vec::new(), keys_max: 0 })
    }

    /// Replaces `groups` by the group of each row, creating those that are new.
    pub fn intern(&mut self, columns: &[ArrayRef], groups: &mut Vec<u32>) -> Result<()> {
        let mut hashes = std::mem::take(&mut self.hashes);
        let done = hash_rows(columns, &mut hashes).and_then(|()| self.intern_hashed(columns, &hashes, groups));
        self.hashes = hashes;
        done
    }

    /// As [`KeyTable::intern`], with the rows' hashes from [`hash_rows`] over the same columns.
    pub fn intern_hashed(&mut self, columns: &[ArrayRef], hashes: &[u64], groups: &mut Vec<u32>) -> Result<()> {
        self.check(columns, hashes)?;
        self.slots.created.clear();
        match &mut self.layout {
            Layout::One(table) => table.intern(columns, hashes, &mut self.slots, groups),
            Layout::Two(table) => table.intern(columns, hashes, &mut self.slots, groups),
            Layout::Three(table) => table.intern(columns, hashes, &mut self.slots, groups),
            Layout::Columns(table) => table.intern(columns, hashes, &mut self.slots, groups)?,
        }
        self.keys_max = self.keys_max.max(self.len());
        Ok(())
    }

    /// Replaces `groups` by the group of each row, [`NO_GROUP`] for keys that are not there.
    pub fn lookup(&mut self, columns: &[ArrayRef], groups: &mut Vec<u32>) -> Result<()> {
        let mut hashes = std::mem::take(&mut self.hashes);
        hash_rows(columns, &mut hashes)?;
        self.check(columns, &hashes)?;
        match &mut self.layout {
            Layout::One(table) => table.lookup(columns, &hashes, groups),
            Layout::Two(table) => table.lookup(columns, &hashes, groups),
            Layout::Three(table) => table.lookup(columns, &hashes, groups),
            Layout::Columns(table) => table.lookup(columns, &hashes, groups)?,
        }
        self.hashes = hashes;
        Ok(())
    }

    fn check(&self, columns: &[ArrayRef], hashes: &[u64]) -> Result<()> {
        let fits = columns.len() == self.types.len()
            && columns.iter().zip(&self.types).all(|(c, t)| c.data_type() == t && c.len() == hashes.len());
        if fits { Ok(()) } else { Err(Error::internal("key columns do not have the types of their table")) }
    }

    /// The groups that the last [`KeyTable::intern`] created, in the order of their first rows.
    pub fn created(&self) -> &[u32] {
        &self.slots.created
    }

    /// Forgets keys; their numbers will be given out again. Groups that are not there are passed over.
    pub fn remove(&mut self, groups: &[u32]) {
        for group in groups {
            if each_layout!(&mut self.layout, table => table.remove(*group)) {
                self.slots.free.push(*group);
            }
        }
        if self.keys_max > SHRINK_KEYS_MIN && self.len() < self.keys_max / SHRINK_FACTOR {
            each_layout!(&mut self.layout, table => table.shrink());
            self.keys_max = self.len();
        }
    }

    /// The key columns of groups, one row for each.
    pub fn keys(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let column = |(i, data_type)| match &self.layout {
            Layout::One(table) => table.key(i, data_type, groups),
            Layout::Two(table) => table.key(i, data_type, groups),
            Layout::Three(table) => table.key(i, data_type, groups),
            Layout::Columns(table) => table.key(i, groups),
        };
        self.types.iter().enumerate().map(column).collect()
    }

    /// All groups in use, ascending.
    pub fn groups(&self) -> Vec<u32> {
        let mut used = vec![true; self.slots.end as usize];
        self.slots.free.iter().for_each(|group| used[*group as usize] = false);
        (0..self.slots.end).filter(|group| used[*group as usize]).collect()
    }

    /// Every group's number is smaller: the length of what is kept by group.
    pub fn total_groups(&self) -> usize {
        self.slots.end as usize
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        each_layout!(&self.layout, table => table.len())
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The types of the key columns.
    pub fn types(&self) -> &[DataType] {
        &self.types
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let numbers = (self.slots.free.capacity() + self.slots.created.capacity()) * size_of::<u32>();
        each_layout!(&self.layout, table => table.bytes()) + numbers + self.hashes.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests;
