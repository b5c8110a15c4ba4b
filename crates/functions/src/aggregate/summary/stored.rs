//! Summaries that a column holds, merged into one for each group.

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use fleuve_base::{Error, Result};

use super::super::accumulator::{Accumulator, Rows};
use super::kinds::Summary;
use super::slots::Slots;

/// Merged summaries by group. Those of an epoch are merged in the order of their bytes, so that the order of rows does not
/// matter where that of merging would. Each group takes its shape (errors, seeds, sizes) from its first summary; one of another
/// shape is an error.
#[derive(Debug)]
pub(super) struct Merged<S> {
    slots: Slots<S>,
    /// What came since the last epoch ended, with its group.
    waiting: Vec<(u32, Box<[u8]>)>,
}

impl<S: Summary> Merged<S> {
    /// Without rows.
    pub(super) fn new() -> Self {
        Merged { slots: Slots::new(), waiting: Vec::new() }
    }
}

impl<S: Summary> Accumulator for Merged<S> {
    fn update(&mut self, rows: &Rows<'_>) -> Result<()> {
        self.slots.grow(rows.total_groups);
        let column = cast(&rows.args[0], &DataType::Binary)
            .map_err(|e| Error::internal(format!("a column of summaries could not be read: {e}")))?;
        let column = column.as_binary::<i32>();
        rows.each(rows.valid().as_ref(), |row, group, _| self.waiting.push((group as u32, column.value(row).into())));
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_unstable();
        waiting.iter().try_for_each(|(group, bytes)| add(self.slots.slot(*group as usize), bytes))
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        Ok(self.slots.save(groups))
    }

    fn save(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.slots.save(groups)])
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Binary]
    }

    fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        self.slots.merge(groups, total_groups, saved, add)
    }

    fn clear(&mut self, groups: &[u32]) {
        self.slots.clear(groups);
    }

    fn bytes(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(|(_, bytes)| bytes.len() + size_of::<(u32, Box<[u8]>)>()).sum();
        waiting + self.slots.bytes()
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
