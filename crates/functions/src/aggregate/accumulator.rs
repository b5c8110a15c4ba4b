//! What every aggregate's state can do, and the rows that it is given.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, LargeListArray, StructArray};
use arrow::buffer::{BooleanBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields};
use fleuve_base::{Error, Result};

/// Rows of one batch, as an accumulator sees them.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Each row's group.
    pub groups: &'a [u32],
    /// Every group's number is smaller.
    pub total_groups: usize,
    /// The argument columns.
    pub args: &'a [ArrayRef],
    /// Rows that count; all if there is none.
    pub filter: Option<&'a BooleanBuffer>,
    /// How often each row counts (negative: retracted); once if there are none.
    pub weights: Option<&'a Int64Array>,
}

impl Rows<'_> {
    /// Rows that pass the filter and whose arguments are not NULL; `None` if that is all.
    pub fn valid(&self) -> Option<BooleanBuffer> {
        let nulls = self.args.iter().filter_map(|arg| arg.logical_nulls()).filter(|nulls| nulls.null_count() > 0);
        let filters = self.filter.cloned().into_iter().chain(nulls.map(|nulls| nulls.into_inner()));
        filters.reduce(|a, b| &a & &b)
    }

    /// Calls `visit(row, group, weight)` for the rows that [`Rows::valid`] left over.
    #[inline]
    pub fn each(&self, valid: Option<&BooleanBuffer>, mut visit: impl FnMut(usize, usize, i64)) {
        let group = |row: usize| self.groups[row] as usize;
        match (valid, self.weights) {
            (None, None) => self.groups.iter().enumerate().for_each(|(row, group)| visit(row, *group as usize, 1)),
            (None, Some(weights)) => {
                let rows = self.groups.iter().zip(weights.values()).enumerate();
                rows.for_each(|(row, (group, weight))| visit(row, *group as usize, *weight));
            }
            (Some(valid), None) => valid.set_indices().for_each(|row| visit(row, group(row), 1)),
            (Some(valid), Some(weights)) => {
                valid.set_indices().for_each(|row| visit(row, group(row), weights.value(row)));
            }
        }
    }
}

/// The state of one aggregate, for many groups.
///
/// Whatever the order of updates and merges, the same rows give the same values: sums are exact until they are read. Where
/// the order of rows matters, that of one epoch's does not: they are sorted when it ends ([`Accumulator::settle`]). A
/// group that was never updated, or cleared, holds nothing.
pub trait Accumulator: Send + std::fmt::Debug {
    /// Adds rows.
    fn update(&mut self, rows: &Rows<'_>) -> Result<()>;

    /// Ends an epoch's rows, before their groups are read: what depends on the order of rows puts them into one here.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    /// The value of each group; its type is the accumulator's own, see [`super::output`].
    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef>;

    /// The state of each group, as columns of [`Accumulator::saved_types`] with a row for each group.
    fn save(&self, groups: &[u32]) -> Result<Vec<ArrayRef>>;

    /// The types of the saved columns.
    fn saved_types(&self) -> Vec<DataType>;

    /// Adds saved states: row i to `groups[i]`.
    fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &[ArrayRef]) -> Result<()>;

    /// Empties groups.
    fn clear(&mut self, groups: &[u32]);

    /// Bytes of memory.
    fn bytes(&self) -> usize;
}

/// Makes room for groups below `total_groups`.
#[inline]
pub(super) fn grow<T: Clone + Default>(values: &mut Vec<T>, total_groups: usize) {
    if values.len() < total_groups {
        values.resize(total_groups, T::default());
    }
}

/// The values of groups; groups that were never updated have the default.
pub(super) fn gather<'a, T: Copy + Default + 'a>(
    values: &'a [T],
    groups: &'a [u32],
) -> impl ExactSizeIterator<Item = T> + 'a {
    groups.iter().map(|group| values.get(*group as usize).copied().unwrap_or_default())
}

/// Sets the values of groups back to the default.
pub(super) fn reset<T: Default>(values: &mut [T], groups: &[u32]) {
    for group in groups {
        if let Some(value) = values.get_mut(*group as usize) {
            *value = T::default();
        }
    }
}

/// The type of states that are a list of entries for each group.
pub(super) fn list_type(fields: Fields) -> DataType {
    DataType::LargeList(Arc::new(Field::new("entry", DataType::Struct(fields), false)))
}

/// A list of entries for each group, from the lists' lengths.
pub(super) fn list(lengths: impl Iterator<Item = usize>, entries: StructArray) -> ArrayRef {
    let field = Arc::new(Field::new("entry", entries.data_type().clone(), false));
    Arc::new(LargeListArray::new(field, OffsetBuffer::from_lengths(lengths), Arc::new(entries), None))
}

/// All entries of saved lists, with each one's group.
pub(super) fn entries(groups: &[u32], saved: &ArrayRef) -> Result<(Vec<u32>, StructArray)> {
    let lists = saved.as_list_opt::<i64>().ok_or_else(|| Error::corrupt("a stored aggregate is not a list"))?;
    let offsets = lists.value_offsets();
    let lengths = offsets.windows(2).map(|w| (w[1] - w[0]) as usize);
    let owners = groups.iter().zip(lengths).flat_map(|(group, length)| std::iter::repeat_n(*group, length));
    let (start, end) = (offsets[0] as usize, offsets[lists.len()] as usize);
    let values = lists.values().as_struct_opt().ok_or_else(|| Error::corrupt("a stored list holds no entries"))?;
    Ok((owners.collect(), values.slice(start, end - start)))
}
