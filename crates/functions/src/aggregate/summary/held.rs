//! One summary for each group.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int64Array};
use arrow::datatypes::DataType;
use fleuve_base::{Error, Result};

use super::super::accumulator::{Accumulator, Rows};
use super::items::Items;
use super::kinds::Summary;

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

/// Summaries by group, all like one that is empty.
pub(super) struct Held<S> {
    empty: S,
    groups: Vec<Option<S>>,
    answer: Answer<S>,
}

impl<S: Summary> Held<S> {
    /// Without rows. `empty` is a summary of nothing.
    pub(super) fn new(empty: S, answer: Answer<S>) -> Self {
        Held { empty, groups: Vec::new(), answer }
    }

    fn grow(&mut self, total_groups: usize) {
        if self.groups.len() < total_groups {
            self.groups.resize_with(total_groups, || None);
        }
    }
}

impl<S> fmt::Debug for Held<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("groups", &self.groups.len()).finish_non_exhaustive()
    }
}

impl<S: Summary> Accumulator for Held<S> {
    fn update(&mut self, rows: &Rows<'_>) -> Result<()> {
        self.grow(rows.total_groups);
        let columns = rows.args.iter().map(S::read).collect::<Result<Vec<Items>>>()?;
        let valid = rows.valid();
        let Held { empty, groups, .. } = self;
        if let (None, None, [group]) = (&valid, rows.weights, groups.as_mut_slice()) {
            if !rows.groups.is_empty() {
                group.get_or_insert_with(|| empty.empty()).add_all(&columns);
            }
            return Ok(());
        }
        rows.each(valid.as_ref(), |row, group, weight| {
            groups[group].get_or_insert_with(|| empty.empty()).add(&columns, row, weight);
        });
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        (self.answer)(&mut groups.iter().map(|group| self.groups.get(*group as usize).and_then(Option::as_ref)))
    }

    fn save(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let held = groups.iter().map(|group| self.groups.get(*group as usize).and_then(Option::as_ref));
        Ok(vec![Arc::new(held.map(|summary| summary.map(S::to_bytes)).collect::<BinaryArray>())])
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Binary]
    }

    fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        self.grow(total_groups);
        let saved = saved[0].as_binary_opt::<i32>().ok_or_else(|| Error::corrupt("a stored summary is not BYTES"))?;
        let Held { empty, groups: held, .. } = self;
        for (group, bytes) in groups.iter().zip(saved).filter_map(|(group, bytes)| Some((group, bytes?))) {
            held[*group as usize].get_or_insert_with(|| empty.empty()).merge_bytes(bytes)?;
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
        self.groups.capacity() * size_of::<Option<S>>() + self.groups.iter().flatten().map(S::bytes).sum::<usize>()
    }
}
