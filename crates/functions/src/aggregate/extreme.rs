//! MIN and MAX of rows that are never retracted: one value for each group.

use arrow::array::{Array, ArrayRef};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::DataType;
use fleuve_base::Result;
use fleuve_state::key_table::bytes::ByteStore;
use fleuve_state::key_table::values::{each_bytes, from_bytes};

use super::accumulator::{Accumulator, Rows, grow, reset};
use super::key::Key;

/// Which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
}

/// A row counts if there is no buffer of valid rows, or it is set there.
#[inline]
fn is_valid(valid: Option<&BooleanBuffer>, row: usize) -> bool {
    valid.is_none_or(|valid| valid.value(row))
}

/// Smallest or largest numbers and times by group. `K` is `i64` or `i128`.
#[derive(Debug)]
pub struct Extreme<K> {
    end: End,
    data_type: DataType,
    /// Before the first value of a group: what any value beats or equals.
    worst: K,
    values: Vec<K>,
    seen: Vec<bool>,
}

impl<K> Extreme<K>
where
    K: Copy + for<'a> Key<Ref<'a> = K>,
{
    /// Of a column of this type; `smallest` and `largest` are the ends of the keys' range.
    pub fn new(end: End, data_type: &DataType, smallest: K, largest: K) -> Self {
        let worst = if end == End::Min { largest } else { smallest };
        Extreme { end, data_type: data_type.clone(), worst, values: Vec::new(), seen: Vec::new() }
    }

    fn add(
        &mut self,
        groups: &[u32],
        total_groups: usize,
        column: &ArrayRef,
        valid: Option<&BooleanBuffer>,
    ) -> Result<()> {
        if self.values.len() < total_groups {
            self.values.resize(total_groups, self.worst);
        }
        grow(&mut self.seen, total_groups);
        let (end, worst) = (self.end, self.worst);
        let (values, seen) = (&mut self.values[..], &mut self.seen[..]);
        K::each(column.as_ref(), |row, key: K| {
            let group = groups[row] as usize;
            let held = values[group];
            let better = if end == End::Min { key < held } else { key > held };
            // The worst value beats nothing, but is still a value.
            if (better || key == worst) && is_valid(valid, row) {
                values[group] = if better { key } else { held };
                seen[group] = true;
            }
        })
    }

    fn column(&self, groups: &[u32]) -> Result<ArrayRef> {
        let seen = |group: &u32| self.seen.get(*group as usize).is_some_and(|seen| *seen);
        let keys = groups.iter().map(|group| seen(group).then(|| &self.values[*group as usize]));
        K::column(&self.data_type, keys)
    }
}

impl<K> Accumulator for Extreme<K>
where
    K: Copy + for<'a> Key<Ref<'a> = K>,
{
    fn update(&mut self, rows: &Rows<'_>) -> Result<()> {
        self.add(rows.groups, rows.total_groups, &rows.args[0], rows.valid().as_ref())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        self.column(groups)
    }

    fn save(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.column(groups)?])
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![self.data_type.clone()]
    }

    fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        let valid = saved[0].logical_nulls().map(NullBuffer::into_inner);
        self.add(groups, total_groups, &saved[0], valid.as_ref())
    }

    fn clear(&mut self, groups: &[u32]) {
        reset(&mut self.seen, groups);
        for group in groups {
            if let Some(value) = self.values.get_mut(*group as usize) {
                *value = self.worst;
            }
        }
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<K>() + self.seen.capacity()
    }
}

/// Smallest or largest strings by group.
#[derive(Debug)]
pub struct BytesExtreme {
    end: End,
    data_type: DataType,
    values: ByteStore,
    seen: Vec<bool>,
}

impl BytesExtreme {
    /// Of a column of strings or bytes.
    pub fn new(end: End, data_type: &DataType) -> Self {
        BytesExtreme { end, data_type: data_type.clone(), values: ByteStore::default(), seen: Vec::new() }
    }

    fn add(
        &mut self,
        groups: &[u32],
        total_groups: usize,
        column: &ArrayRef,
        valid: Option<&BooleanBuffer>,
    ) -> Result<()> {
        grow(&mut self.seen, total_groups);
        self.values.grow(total_groups);
        each_bytes(column.as_ref(), |row, bytes| {
            if is_valid(valid, row) {
                let group = groups[row] as usize;
                let held = self.values.get(group);
                let better = if self.end == End::Min { bytes < held } else { bytes > held };
                if better || !self.seen[group] {
                    self.values.set(group, bytes);
                    self.seen[group] = true;
                }
            }
        })
    }
}

impl Accumulator for BytesExtreme {
    fn update(&mut self, rows: &Rows<'_>) -> Result<()> {
        self.add(rows.groups, rows.total_groups, &rows.args[0], rows.valid().as_ref())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        let seen = |group: usize| self.seen.get(group).is_some_and(|seen| *seen);
        let values = groups.iter().map(|group| *group as usize);
        let nulls: NullBuffer = values.clone().map(seen).collect();
        let bytes = values.map(|group| if seen(group) { self.values.get(group) } else { &[] });
        from_bytes(&self.data_type, bytes, (nulls.null_count() > 0).then_some(nulls))
    }

    fn save(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(groups)?])
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![self.data_type.clone()]
    }

    fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        let valid = saved[0].logical_nulls().map(NullBuffer::into_inner);
        self.add(groups, total_groups, &saved[0], valid.as_ref())
    }

    fn clear(&mut self, groups: &[u32]) {
        reset(&mut self.seen, groups);
        let known = self.seen.len();
        groups.iter().filter(|group| (**group as usize) < known).for_each(|group| self.values.clear(*group as usize));
    }

    fn bytes(&self) -> usize {
        self.values.bytes() + self.seen.capacity()
    }
}
