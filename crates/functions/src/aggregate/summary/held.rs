//! One summary for each group.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Float64Array, Int64Array};
use arrow::datatypes::DataType;
use fleuve_base::Result;

use super::super::accumulator::{Accumulator, Rows};
use super::items::Items;
use super::kinds::{Summary, Unordered};
use super::slots::Slots;

/// How a summary's groups are answered; `None` is a group without rows.
pub(super) type Answer<S> = Box<dyn Fn(&mut dyn Iterator<Item = Option<&S>>) -> Result<ArrayRef> + Send>;

/// A DOUBLE, NULL where there is none.
pub(super) fn double<S: 'static>(value: impl Fn(Option<&S>) -> Option<f64> + Send + 'static) -> Answer<S> {
    Box::new(move |groups| Ok(Arc::new(groups.map(&value).collect::<Float64Array>())))
}

/// A BIGINT, NULL where there is none.
pub(super) fn big_int<S: 'static>(value: impl Fn(Option<&S>) -> Option<i64> + Send + 'static) -> Answer<S> {
    Box::new(move |groups| Ok(Arc::new(groups.map(&value).collect::<Int64Array>())))
}

/// The summary itself, NULL where there is none.
pub(super) fn itself<S: Summary>() -> Answer<S> {
    Box::new(|groups| Ok(Arc::new(groups.map(|group| group.map(S::to_bytes)).collect::<BinaryArray>())))
}

/// Summaries by group, all like one that is empty, and how they are answered.
pub(super) struct Groups<S> {
    empty: S,
    slots: Slots<S>,
    answer: Answer<S>,
}

impl<S: Summary> Groups<S> {
    /// Without rows. `empty` is a summary of nothing.
    pub(super) fn new(empty: S, answer: Answer<S>) -> Self {
        Groups { empty, slots: Slots::new(), answer }
    }

    /// Makes room for groups below `total_groups`.
    pub(super) fn grow(&mut self, total_groups: usize) {
        self.slots.grow(total_groups);
    }

    /// The summary of a group.
    #[inline]
    pub(super) fn summary(&mut self, group: usize) -> &mut S {
        self.slots.slot(group).get_or_insert_with(|| self.empty.empty())
    }

    /// The summary of nothing that all are like.
    pub(super) fn empty(&self) -> &S {
        &self.empty
    }

    /// The answers of groups.
    pub(super) fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        (self.answer)(&mut self.slots.of(groups))
    }

    /// The stored forms of groups.
    pub(super) fn save(&self, groups: &[u32]) -> Vec<ArrayRef> {
        vec![self.slots.save(groups)]
    }

    /// Adds stored forms: row i to `groups[i]`.
    pub(super) fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        let empty = &self.empty;
        self.slots.merge(groups, total_groups, saved, |slot, bytes| {
            slot.get_or_insert_with(|| empty.empty()).merge_bytes(bytes)
        })
    }

    /// Empties groups.
    pub(super) fn clear(&mut self, groups: &[u32]) {
        self.slots.clear(groups);
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.slots.bytes()
    }
}

impl<S> fmt::Debug for Groups<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").field("slots", &self.slots).finish_non_exhaustive()
    }
}

/// Summaries that take rows as they come.
#[derive(Debug)]
pub(super) struct Held<S>(pub(super) Groups<S>);

impl<S: Unordered> Accumulator for Held<S> {
    fn update(&mut self, rows: &Rows<'_>) -> Result<()> {
        self.0.grow(rows.total_groups);
        let columns = rows.args.iter().map(S::read).collect::<Result<Vec<Items>>>()?;
        let valid = rows.valid();
        if valid.is_none() && rows.weights.is_none() && rows.total_groups == 1 {
            return if rows.groups.is_empty() { Ok(()) } else { self.0.summary(0).add_all(&columns) };
        }
        let mut result = Ok(());
        rows.each(valid.as_ref(), |row, group, weight| {
            if let Err(error) = self.0.summary(group).add(&columns, row, weight) {
                result = Err(error);
            }
        });
        result
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        self.0.evaluate(groups)
    }

    fn save(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(self.0.save(groups))
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Binary]
    }

    fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        self.0.merge(groups, total_groups, saved)
    }

    fn clear(&mut self, groups: &[u32]) {
        self.0.clear(groups);
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }
}
