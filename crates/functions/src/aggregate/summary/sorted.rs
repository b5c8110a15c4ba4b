//! Summaries to which the order of items matters, one for each group.
//!
//! Rows of an epoch come in any order. So its items wait until it ends, and are then taken in by their own order: the same
//! epochs give the same summaries, however they were cut into batches.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use fleuve_base::Result;
use fleuve_sketch::frequency::{Float, SpaceSaving, Stored};
use fleuve_sketch::quantile::{Kll, TDigest};

use super::super::accumulator::{Accumulator, Rows};
use super::held::Groups;
use super::items::Items;
use super::kinds::{Ordered, Summary};

/// Summaries that take an epoch's items in their order.
#[derive(Debug)]
pub(super) struct Sorted<S: Ordered> {
    groups: Groups<S>,
    waiting: Vec<(u32, S::Item)>,
}

impl<S: Ordered> Sorted<S> {
    /// Without rows.
    pub(super) fn new(groups: Groups<S>) -> Self {
        Sorted { groups, waiting: Vec::new() }
    }
}

impl<S: Ordered> Accumulator for Sorted<S> {
    fn update(&mut self, rows: &Rows<'_>) -> Result<()> {
        self.groups.grow(rows.total_groups);
        let items = S::read(&rows.args[0])?;
        let (empty, waiting) = (self.groups.empty(), &mut self.waiting);
        rows.each(rows.valid().as_ref(), |row, group, weight| {
            waiting.push((group as u32, empty.item(&items, row, weight)));
        });
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_unstable();
        let mut waiting = waiting.into_iter().peekable();
        while let Some(group) = waiting.peek().map(|(group, _)| *group) {
            let mut own = std::iter::from_fn(|| waiting.next_if(|(next, _)| *next == group).map(|(_, item)| item));
            self.groups.summary(group as usize).add_sorted(&mut own)?;
        }
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        self.groups.evaluate(groups)
    }

    fn save(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(self.groups.save(groups))
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Binary]
    }

    fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()> {
        self.groups.merge(groups, total_groups, saved)
    }

    fn clear(&mut self, groups: &[u32]) {
        self.groups.clear(groups);
    }

    fn bytes(&self) -> usize {
        self.groups.bytes() + self.waiting.capacity() * size_of::<(u32, S::Item)>()
    }
}

/// Where the coins of a KLL sketch come from. It is no part of the stored form, so it is the same for all.
const KLL_SEED: u64 = 9_001;

impl Summary for Kll<f64> {
    fn read(column: &ArrayRef) -> Result<Items> {
        Items::floats(column)
    }

    fn empty(&self) -> Self {
        Kll::empty(self)
    }

    fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        take_over(self, Kll::from_bytes(bytes, KLL_SEED)?, |own| own.total() == 0, Kll::merge)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Kll::from_bytes(bytes, KLL_SEED)
    }

    fn to_bytes(&self) -> Vec<u8> {
        Kll::to_bytes(self)
    }

    fn bytes(&self) -> usize {
        Kll::bytes(self)
    }
}

impl Ordered for Kll<f64> {
    type Item = Float;

    fn item(&self, items: &Items, row: usize, _weight: i64) -> Float {
        Float(items.float(row))
    }

    fn add_sorted(&mut self, items: &mut dyn Iterator<Item = Float>) -> Result<()> {
        items.for_each(|item| self.update(item.0));
        Ok(())
    }
}

/// A KLL sketch of nothing.
pub(super) fn kll(k: u16) -> Result<Kll<f64>> {
    Kll::new(k, KLL_SEED)
}

impl Summary for TDigest {
    fn read(column: &ArrayRef) -> Result<Items> {
        Items::floats(column)
    }

    fn empty(&self) -> Self {
        TDigest::empty(self)
    }

    fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        take_over(self, TDigest::from_bytes(bytes)?, |own| own.total() == 0, TDigest::merge)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        TDigest::from_bytes(bytes)
    }

    fn to_bytes(&self) -> Vec<u8> {
        TDigest::to_bytes(&mut self.clone())
    }

    fn bytes(&self) -> usize {
        TDigest::bytes(self)
    }
}

impl Ordered for TDigest {
    type Item = Float;

    fn item(&self, items: &Items, row: usize, _weight: i64) -> Float {
        Float(items.float(row))
    }

    fn add_sorted(&mut self, items: &mut dyn Iterator<Item = Float>) -> Result<()> {
        items.for_each(|item| self.update(item.0));
        // Takes in what waits, as a restart would.
        TDigest::to_bytes(self);
        Ok(())
    }
}

/// What Space-Saving keeps of a column.
pub(super) trait Kept: Stored + Send + std::fmt::Debug + 'static {
    /// The item of a row.
    fn kept(items: &Items, row: usize) -> Self;
}

impl Kept for i64 {
    fn kept(items: &Items, row: usize) -> i64 {
        match items {
            Items::Integers(values) => values.value(row),
            Items::Floats(_) | Items::Bytes(_) | Items::Decimals(_) => 0,
        }
    }
}

impl Kept for Float {
    fn kept(items: &Items, row: usize) -> Float {
        Float(items.float(row))
    }
}

impl Kept for Vec<u8> {
    fn kept(items: &Items, row: usize) -> Vec<u8> {
        match items {
            Items::Bytes(values) => values.value(row).to_vec(),
            Items::Decimals(values) => values.value(row).to_be_bytes().to_vec(),
            Items::Integers(_) | Items::Floats(_) => Vec::new(),
        }
    }
}

impl<T: Kept> Summary for SpaceSaving<T> {
    fn empty(&self) -> Self {
        SpaceSaving::empty(self)
    }

    fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        take_over(self, SpaceSaving::from_bytes(bytes)?, |own| own.total() == 0, SpaceSaving::merge)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        SpaceSaving::from_bytes(bytes)
    }

    fn to_bytes(&self) -> Vec<u8> {
        SpaceSaving::to_bytes(self)
    }

    fn bytes(&self) -> usize {
        SpaceSaving::bytes(self)
    }
}

impl<T: Kept> Ordered for SpaceSaving<T> {
    type Item = T;

    fn item(&self, items: &Items, row: usize, _weight: i64) -> T {
        T::kept(items, row)
    }

    /// Equal items are counted together.
    fn add_sorted(&mut self, items: &mut dyn Iterator<Item = T>) -> Result<()> {
        let mut items = items.peekable();
        while let Some(item) = items.next() {
            let mut weight = 1;
            while items.next_if(|next| *next == item).is_some() {
                weight += 1;
            }
            self.update_weighted(&item, weight);
        }
        Ok(())
    }
}

/// Merges a summary into another, which becomes the very same if it is empty.
pub(super) fn take_over<S>(
    own: &mut S,
    other: S,
    empty: impl Fn(&S) -> bool,
    merge: fn(&mut S, &S) -> Result<()>,
) -> Result<()> {
    if empty(own) {
        *own = other;
        return Ok(());
    }
    merge(own, &other)
}
