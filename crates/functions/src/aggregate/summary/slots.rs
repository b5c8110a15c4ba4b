//! A place for a summary for each group: what both hold that add rows to summaries and that merge stored ones.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray};
use fleuve_base::{Error, Result};

use super::kinds::Summary;

/// Summaries by group; none for a group without rows.
pub(super) struct Slots<S>(Vec<Option<S>>);

impl<S: Summary> Slots<S> {
    /// Without groups.
    pub(super) fn new() -> Self {
        Slots(Vec::new())
    }

    /// Makes room for groups below `total_groups`.
    pub(super) fn grow(&mut self, total_groups: usize) {
        if self.0.len() < total_groups {
            self.0.resize_with(total_groups, || None);
        }
    }

    /// The place of a group, which there has to be room for.
    #[inline]
    pub(super) fn slot(&mut self, group: usize) -> &mut Option<S> {
        &mut self.0[group]
    }

    /// The summaries of groups.
    pub(super) fn of<'a>(&'a self, groups: &'a [u32]) -> impl Iterator<Item = Option<&'a S>> {
        groups.iter().map(|group| self.0.get(*group as usize).and_then(Option::as_ref))
    }

    /// The stored forms of groups.
    pub(super) fn save(&self, groups: &[u32]) -> ArrayRef {
        Arc::new(self.of(groups).map(|summary| summary.map(S::to_bytes)).collect::<BinaryArray>())
    }

    /// Adds stored forms: row i to the place of `groups[i]`, by `add`.
    pub(super) fn merge(
        &mut self,
        groups: &[u32],
        total_groups: usize,
        saved: &[ArrayRef],
        add: impl Fn(&mut Option<S>, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.grow(total_groups);
        let saved = saved[0].as_binary_opt::<i32>().ok_or_else(|| Error::corrupt("a stored summary is not BYTES"))?;
        let mut stored = groups.iter().zip(saved).filter_map(|(group, bytes)| Some((*group as usize, bytes?)));
        stored.try_for_each(|(group, bytes)| add(&mut self.0[group], bytes))
    }

    /// Empties groups.
    pub(super) fn clear(&mut self, groups: &[u32]) {
        for group in groups {
            if let Some(slot) = self.0.get_mut(*group as usize) {
                *slot = None;
            }
        }
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<Option<S>>() + self.0.iter().flatten().map(S::bytes).sum::<usize>()
    }
}

impl<S> std::fmt::Debug for Slots<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Slots").field(&self.0.len()).finish()
    }
}
