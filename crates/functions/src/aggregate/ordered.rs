//! MIN and MAX of rows that may be retracted: every group keeps its values, in order, with their counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StructArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Field, Fields, Int64Type};
use fleuve_base::Result;

use super::accumulator::{Accumulator, Rows, entries, grow, list, list_type, reset};
use super::extreme::End;
use super::key::Key;

/// Memory of one value in a tree, its share of a node included (half-full nodes are the usual ones).
const VALUE_BYTES: usize = 40;

/// Values in order by group.
#[derive(Debug)]
pub struct Ordered<K> {
    end: End,
    data_type: DataType,
    values: Vec<BTreeMap<K, i64>>,
    /// Values in all groups together.
    total: usize,
}

impl<K: Key> Ordered<K> {
    /// Of a column of this type.
    pub fn new(end: End, data_type: &DataType) -> Self {
        Ordered { end, data_type: data_type.clone(), values: Vec::new(), total: 0 }
    }

    fn add(
        &mut self,
        column: &ArrayRef,
        valid: Option<&BooleanBuffer>,
        place: impl Fn(usize) -> (usize, i64),
    ) -> Result<()> {
        let (values, total) = (&mut self.values[..], &mut self.total);
        K::each(column.as_ref(), |row, key| {
            if valid.is_none_or(|valid| valid.value(row)) {
                let (group, weight) = place(row);
                let map = &mut values[group];
                *total -= map.len();
                let count = K::entry(map, key);
                *count += weight;
                if *count == 0 {
                    K::remove(map, key);
                }
                *total += map.len();
            }
        })
    }

    fn value(&self, group: u32) -> Option<&K> {
        let mut present = self.values.get(group as usize)?.iter().filter(|(_, count)| **count > 0);
        let found = if self.end == End::Min { present.next() } else { present.next_back() };
        found.map(|(key, _)| key)
    }

    fn fields(&self) -> Fields {
        vec![Field::new("value", self.data_type.clone(), false), Field::new("count", DataType::Int64, false)].into()
    }
}

impl<K: Key> Accumulator for Ordered<K> {
    fn update(&mut self, rows: &Rows<'_>) -> Result<()> {
        grow(&mut self.values, rows.total_groups);
        let weight = |row: usize| rows.weights.map_or(1, |weights| weights.value(row));
        self.add(&rows.args[0], rows.valid().as_ref(), |row| (rows.groups[row] as usize, weight(row)))
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        K::column(&self.data_type, groups.iter().map(|group| self.value(*group)))
    }

    fn save(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let maps = || groups.iter().filter_map(|group| self.values.get(*group as usize));
        let lengths = groups.iter().map(|group| self.values.get(*group as usize).map_or(0, BTreeMap::len));
        let keys = K::column(&self.data_type, maps().flat_map(BTreeMap::keys).map(Some))?;
        let counts = Int64Array::from_iter_values(maps().flat_map(BTreeMap::values).copied());
        let entries = StructArray::new(self.fields(), vec![keys, Arc::new(counts)], None);
        Ok(vec![list(lengths, entries)])
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![list_type(self.fields())]
    }

    fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        grow(&mut self.values, total_groups);
        let (owners, values) = entries(groups, &saved[0])?;
        let counts = values.column(1).as_primitive::<Int64Type>();
        self.add(values.column(0), None, |row| (owners[row] as usize, counts.value(row)))
    }

    fn clear(&mut self, groups: &[u32]) {
        let known = groups.iter().filter_map(|group| self.values.get(*group as usize));
        self.total -= known.map(BTreeMap::len).sum::<usize>();
        reset(&mut self.values, groups);
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<BTreeMap<K, i64>>() + self.total * (size_of::<K>() + VALUE_BYTES)
    }
}
