//! Summaries that a column holds, merged into one for each group.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use fleuve_base::{Error, Result};

use super::super::accumulator::{Accumulator, Rows};
use super::kinds::Summary;

/// Merged summaries by group. Those of an epoch are merged in the order of their bytes, so that the order of rows does not
/// matter where that of merging would. Each group takes its shape (errors, seeds, sizes) from its first summary; one of another
/// shape is an error.
pub(super) struct Merged<S> {
    groups: Vec<Option<S>>,
    /// What came since the last epoch ended, with its group.
    waiting: Vec<(u32, Box<[u8]>)>,
}

impl<S: Summary> Merged<S> {
    /// Without rows.
    pub(super) fn new() -> Self {
        Merged { groups: Vec::new(), waiting: Vec::new() }
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
        rows.each(rows.valid().as_ref(), |row, group, _| self.waiting.push((group as u32, column.value(row).into())));
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_unstable();
        waiting.iter().try_for_each(|(group, bytes)| add(&mut self.groups[*group as usize], bytes))
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
        for (group, bytes) in groups.iter().zip(saved).filter_map(|(group, bytes)| Some((group, bytes?))) {
            add(&mut self.groups[*group as usize], bytes)?;
        }
        Ok(())
    }

    fn clear(&mut self, groups: &[u32]) {
        for group in groups {
            if let Some(group) = self.groups.get_mut(*group as usize) {
                *group = None;
            }
        }
    }

    fn bytes(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(|(_, bytes)| bytes.len() + size_of::<(u32, Box<[u8]>)>()).sum();
        waiting
            + self.groups.capacity() * size_of::<Option<S>>()
            + self.groups.iter().flatten().map(S::bytes).sum::<usize>()
    }
}

/// Adds all that a stored summary has seen to a group's, which takes its shape if it is the first.
fn add<S: Summary>(group: &mut Option<S>, bytes: &[u8]) -> Result<()> {
    match group {
        Some(summary) => summary.merge_bytes(bytes),
        none => {
            *none = Some(S::from_bytes(bytes)?);
            Ok(())
        }
    }
}
