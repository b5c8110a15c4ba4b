//! One summary for each group.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Float64Array, Int64Array};
use arrow::datatypes::DataType;
use fleuve_base::{Error, Result};

use super::super::accumulator::{Accumulator, Rows};
use super::items::Items;
use super::kinds::{Summary, Unordered};

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
    groups: Vec<Option<S>>,
    answer: Answer<S>,
}

impl<S: Summary> Groups<S> {
    /// Without rows. `empty` is a summary of nothing.
    pub(super) fn new(empty: S, answer: Answer<S>) -> Self {
        Groups { empty, groups: Vec::new(), answer }
    }

    /// Makes room for groups below `total_groups`.
    pub(super) fn grow(&mut self, total_groups: usize) {
        if self.groups.len() < total_groups {
            self.groups.resize_with(total_groups, || None);
        }
    }

    /// The summary of a group.
    #[inline]
    pub(super) fn summary(&mut self, group: usize) -> &mut S {
        self.groups[group].get_or_insert_with(|| self.empty.empty())
    }

    fn some<'a>(&'a self, groups: &'a [u32]) -> impl Iterator<Item = Option<&'a S>> {
        groups.iter().map(|group| self.groups.get(*group as usize).and_then(Option::as_ref))
    }

    /// The answers of groups.
    pub(super) fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        (self.answer)(&mut self.some(groups))
    }

    /// The stored forms of groups.
    pub(super) fn save(&self, groups: &[u32]) -> Vec<ArrayRef> {
        vec![Arc::new(self.some(groups).map(|summary| summary.map(S::to_bytes)).collect::<BinaryArray>())]
    }

    /// Adds stored forms: row i to `groups[i]`.
    pub(super) fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        self.grow(total_groups);
        let saved = saved[0].as_binary_opt::<i32>().ok_or_else(|| Error::corrupt("a stored summary is not BYTES"))?;
        let stored = groups.iter().zip(saved).filter_map(|(group, bytes)| Some((*group as usize, bytes?)));
        stored.into_iter().try_for_each(|(group, bytes)| self.summary(group).merge_bytes(bytes))
    }

    /// Empties groups.
    pub(super) fn clear(&mut self, groups: &[u32]) {
        for group in groups {
            if let Some(group) = self.groups.get_mut(*group as usize) {
                *group = None;
            }
        }
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Option<S>>() + self.groups.iter().flatten().map(S::bytes).sum::<usize>()
    }
}

impl<S> fmt::Debug for Groups<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").field("groups", &self.groups.len()).finish_non_exhaustive()
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
