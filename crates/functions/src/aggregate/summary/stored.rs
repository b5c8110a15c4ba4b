//! Summaries that a column holds, merged into one for each group.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use fleuve_base::{Error, Result};

use super::super::accumulator::{Accumulator, Rows};
use super::kinds::Summary;

/// Merged summaries by group. Each group takes its shape (errors, seeds, sizes) from its first summary; one of another
/// shape is an error.
pub(super) struct Merged<S> {
    groups: Vec<Option<S>>,
}

impl<S: Summary> Merged<S> {
    /// Without rows.
    pub(super) fn new() -> Self {
        Merged { groups: Vec::new() }
    }

    fn add(&mut self, group: usize, bytes: &[u8]) -> Result<()> {
        match &mut self.groups[group] {
            Some(summary) => summary.merge_bytes(bytes),
            none => {
                *none = Some(S::from_bytes(bytes)?);
                Ok(())
            }
        }
    }

    fn grow(&mut self, total_groups: usize) {
        if self.groups.len() < total_groups {
            self.groups.resize_with(total_groups, || None);
        }
    }

    fn stored(&self, groups: &[u32]) -> ArrayRef {
        let held = groups.iter().map(|group| self.groups.get(*group as usize).and_then(Option::as_ref));
        Arc::new(held.map(|summary| summary.map(S::to_bytes)).collect::<BinaryArray>())
    }
}

impl<S> fmt::Debug for Merged<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merged").field("groups", &self.groups.len()).finish()
    }
}

impl<S: Summary> Accumulator for Merged<S> {
    fn update(&mut self, rows: &Rows<'_>) -> Result<()> {
        self.grow(rows.total_groups);
        let column = cast(&rows.args[0], &DataType::Binary)
            .map_err(|e| Error::internal(format!("a column of summaries could not be read: {e}")))?;
        let column = column.as_binary::<i32>();
        let mut result = Ok(());
        rows.each(rows.valid().as_ref(), |row, group, _| {
            if result.is_ok() {
                result = self.add(group, column.value(row));
            }
        });
        result
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        Ok(self.stored(groups))
    }

    fn save(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.stored(groups)])
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Binary]
    }

    fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        self.grow(total_groups);
        let saved = saved[0].as_binary_opt::<i32>().ok_or_else(|| Error::corrupt("a stored summary is not BYTES"))?;
        let present = groups.iter().zip(saved).filter_map(|(group, bytes)| Some((*group as usize, bytes?)));
        present.into_iter().try_for_each(|(group, bytes)| self.add(group, bytes))
    }

    fn clear(&mut self, groups: &[u32]) {
        for group in groups {
            if let Some(group) = self.groups.get_mut(*group as usize) {
                *group = None;
            }
        }
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Option<S>>() + self.groups.iter().flatten().map(S::bytes).sum::<usize>()
    }
}
