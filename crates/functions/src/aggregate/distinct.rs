//! DISTINCT: the values that each group has met, shared by all calls with the same argument.
//!
//! `COUNT(DISTINCT a)`, `COUNT(DISTINCT a) FILTER (WHERE p)` and `SUM(DISTINCT a)` look a row's value up once, in one
//! table from (group, value). Beside each value stands which of the filters it has passed: a bit for each where rows are
//! never retracted, and else how often. A value counts for a filter from its first row on until its last is retracted.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StructArray, UInt32Array, UInt64Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter;
use arrow::datatypes::{DataType, Field, Fields, Int64Type, UInt64Type};
use fleuve_base::{Error, Result};
use fleuve_state::key_table::{KeyTable, NO_GROUP};

use super::accumulator::{Accumulator, Rows, entries, gather, grow, list, list_type};

/// Filters of one set, one bit each.
pub const FILTERS_MAX: usize = 64;

/// Distinct values by group, and what is computed from them.
#[derive(Debug)]
pub struct Distinct {
    args: Vec<DataType>,
    table: KeyTable,
    marks: Marks,
    chains: Chains,
    /// By filter, by group: the number of values.
    counts: Vec<Vec<i64>>,
    /// Aggregates over the distinct values that pass a filter.
    inner: Vec<(usize, Box<dyn Accumulator>)>,
    ids: Vec<u32>,
}

/// Which filters a value has passed, by the value's number.
#[derive(Debug)]
enum Marks {
    /// A bit for each filter.
    Bits(Vec<u64>),
    /// A count for each filter, those of one value side by side.
    Counts(Vec<i64>),
}

/// The values of each group as a doubly linked list.
#[derive(Debug, Default)]
struct Chains {
    /// By group.
    heads: Vec<u32>,
    /// By value: the one before and the one after.
    links: Vec<(u32, u32)>,
}

impl Chains {
    fn head(&self, group: u32) -> u32 {
        self.heads.get(group as usize).copied().unwrap_or(NO_GROUP)
    }

    fn push(&mut self, group: u32, id: u32) {
        let next = std::mem::replace(&mut self.heads[group as usize], id);
        if self.links.len() <= id as usize {
            self.links.resize(id as usize + 1, (NO_GROUP, NO_GROUP));
        }
        self.links[id as usize] = (NO_GROUP, next);
        if next != NO_GROUP {
            self.links[next as usize].0 = id;
        }
    }

    fn remove(&mut self, group: u32, id: u32) {
        let (previous, next) = self.links[id as usize];
        match previous {
            NO_GROUP => self.heads[group as usize] = next,
            previous => self.links[previous as usize].1 = next,
        }
        if next != NO_GROUP {
            self.links[next as usize].0 = previous;
        }
    }

    fn of(&self, group: u32) -> impl Iterator<Item = u32> {
        let known = |id: u32| (id != NO_GROUP).then_some(id);
        std::iter::successors(known(self.head(group)), move |id| known(self.links[*id as usize].1))
    }
}

/// Values whose presence changed: (row, filter, +1 or −1).
type Changes = Vec<(u32, u32, i64)>;

impl Distinct {
    /// Values of these argument types under so many filters, with aggregates over the values that pass one.
    pub fn new(
        args: &[DataType],
        filters: usize,
        inner: Vec<(usize, Box<dyn Accumulator>)>,
        retractable: bool,
    ) -> Result<Self> {
        assert!(filters <= FILTERS_MAX, "a set has at most {FILTERS_MAX} filters");
        let types: Vec<DataType> = [DataType::UInt32].into_iter().chain(args.iter().cloned()).collect();
        Ok(Distinct {
            args: args.to_vec(),
            table: KeyTable::new(&types)?,
            marks: if retractable { Marks::Counts(Vec::new()) } else { Marks::Bits(Vec::new()) },
            chains: Chains::default(),
            counts: vec![Vec::new(); filters],
            inner,
            ids: Vec::new(),
        })
    }

    /// Adds rows; `filters[i]` are those that pass filter i, all if there is none.
    pub fn update(&mut self, rows: &Rows<'_>, filters: &[Option<&BooleanBuffer>]) -> Result<()> {
        self.grow(rows.total_groups);
        let masks = masks(filters, rows.groups.len());
        let passes = |mask: &u64| *mask != 0;
        let mut kept = rows.valid();
        if !masks.iter().all(passes) {
            let passing: BooleanBuffer = masks.iter().map(passes).collect();
            kept = Some(kept.map_or(passing.clone(), |kept| &kept & &passing));
        }
        match kept {
            None => self.add(rows.groups, rows.args, &masks, rows.weights),
            Some(kept) => {
                let select = |column: &dyn Array| {
                    filter(column, &kept.clone().into()).map_err(|e| Error::internal(format!("a filter failed: {e}")))
                };
                let args = rows.args.iter().map(|arg| select(arg)).collect::<Result<Vec<_>>>()?;
                let groups: Vec<u32> = kept.set_indices().map(|row| rows.groups[row]).collect();
                let masks: Vec<u64> = kept.set_indices().map(|row| masks[row]).collect();
                let weights = rows.weights.map(|weights| select(weights)).transpose()?;
                let weights = weights.as_ref().map(|weights| weights.as_primitive::<Int64Type>());
                self.add(&groups, &args, &masks, weights)
            }
        }
    }

    fn grow(&mut self, total_groups: usize) {
        if self.chains.heads.len() < total_groups {
            self.chains.heads.resize(total_groups, NO_GROUP);
        }
        self.counts.iter_mut().for_each(|counts| grow(counts, total_groups));
    }

    fn add(&mut self, groups: &[u32], args: &[ArrayRef], masks: &[u64], weights: Option<&Int64Array>) -> Result<()> {
        self.intern(groups, args)?;
        let changes = match &mut self.marks {
            Marks::Bits(bits) => mark(bits, &self.ids, masks),
            Marks::Counts(counts) => {
                let weight = |row: usize| weights.map_or(1, |weights| weights.value(row));
                let delta = |row: usize, filter: usize| if masks[row] >> filter & 1 == 1 { weight(row) } else { 0 };
                recount(counts, &self.ids, self.counts.len(), delta)
            }
        };
        self.apply(groups, args, &changes)
    }

    /// Finds the number of each row's value.
    fn intern(&mut self, groups: &[u32], args: &[ArrayRef]) -> Result<()> {
        let column: ArrayRef = Arc::new(UInt32Array::from(groups.to_vec()));
        let columns: Vec<ArrayRef> = [column].into_iter().chain(args.iter().cloned()).collect();
        self.table.intern(&columns, &mut self.ids)?;
        let created = self.table.created();
        // Created in the order of their first rows, so one walk over the rows meets them all.
        let mut next = 0;
        for (group, id) in groups.iter().zip(&self.ids) {
            if created.get(next) == Some(id) {
                self.chains.push(*group, *id);
                next += 1;
            }
        }
        let slots = self.table.total_groups();
        match &mut self.marks {
            Marks::Bits(bits) => grow(bits, slots),
            Marks::Counts(counts) => grow(counts, slots * self.counts.len()),
        }
        Ok(())
    }

    /// Carries changes of presence on to counts and inner aggregates, and forgets values that no row has any more.
    fn apply(&mut self, groups: &[u32], args: &[ArrayRef], changes: &Changes) -> Result<()> {
        for (row, filter, change) in changes {
            self.counts[*filter as usize][groups[*row as usize] as usize] += change;
        }
        let total_groups = self.chains.heads.len();
        for (filter, inner) in &mut self.inner {
            let own = || changes.iter().filter(|(_, of, _)| *of as usize == *filter);
            let rows = UInt32Array::from_iter_values(own().map(|(row, ..)| *row));
            let taken = args.iter().map(|arg| arrow::compute::take(arg, &rows, None)).collect::<Result<Vec<_>, _>>();
            let taken = taken.map_err(|e| Error::internal(format!("distinct values could not be taken: {e}")))?;
            let owners: Vec<u32> = rows.values().iter().map(|row| groups[*row as usize]).collect();
            let weights = Int64Array::from_iter_values(own().map(|(_, _, change)| *change));
            let weights = matches!(self.marks, Marks::Counts(_)).then_some(&weights);
            inner.update(&Rows { groups: &owners, total_groups, args: &taken, filter: None, weights })?;
        }
        self.sweep(groups);
        Ok(())
    }

    /// Removes the values at hand that no row has any more.
    fn sweep(&mut self, groups: &[u32]) {
        let Marks::Counts(counts) = &self.marks else { return };
        let filters = self.counts.len();
        let gone = |id: u32| counts[id as usize * filters..][..filters].iter().all(|count| *count == 0);
        let mut gone: Vec<(u32, u32)> =
            self.ids.iter().zip(groups).filter(|(id, _)| gone(**id)).map(|(id, group)| (*id, *group)).collect();
        gone.sort_unstable();
        gone.dedup();
        gone.iter().for_each(|(id, group)| self.chains.remove(*group, *id));
        self.table.remove(&gone.into_iter().map(|(id, _)| id).collect::<Vec<_>>());
    }

    /// The number of values that pass a filter, by group.
    pub fn count(&self, filter: usize, groups: &[u32]) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(gather(&self.counts[filter], groups)))
    }

    /// The value of an inner aggregate.
    pub fn evaluate(&self, inner: usize, groups: &[u32]) -> Result<ArrayRef> {
        self.inner[inner].1.evaluate(groups)
    }

    fn fields(&self) -> Fields {
        let args = self.args.iter().enumerate();
        let args = args.map(|(i, data_type)| Field::new(format!("value_{i}"), data_type.clone(), true));
        let marks = match &self.marks {
            Marks::Bits(_) => vec![Field::new("filters", DataType::UInt64, false)],
            Marks::Counts(_) => {
                let filters = 0..self.counts.len();
                filters.map(|i| Field::new(format!("count_{i}"), DataType::Int64, false)).collect()
            }
        };
        args.chain(marks).collect()
    }

    /// The state of each group: a list of its values with their marks.
    pub fn save(&self, groups: &[u32]) -> Result<ArrayRef> {
        let lists: Vec<Vec<u32>> = groups.iter().map(|group| self.chains.of(*group).collect()).collect();
        let ids: Vec<u32> = lists.iter().flatten().copied().collect();
        let mut columns = self.table.keys(&ids)?.split_off(1);
        let slots = || ids.iter().map(|id| *id as usize);
        match &self.marks {
            Marks::Bits(bits) => columns.push(Arc::new(UInt64Array::from_iter_values(slots().map(|id| bits[id])))),
            Marks::Counts(counts) => {
                let filters = self.counts.len();
                let column = |i| Int64Array::from_iter_values(slots().map(|id| counts[id * filters + i]));
                columns.extend((0..filters).map(|i| Arc::new(column(i)) as ArrayRef));
            }
        }
        Ok(list(lists.iter().map(Vec::len), StructArray::new(self.fields(), columns, None)))
    }

    /// The type of the saved column.
    pub fn saved_type(&self) -> DataType {
        list_type(self.fields())
    }

    /// Adds saved states: row i to `groups[i]`.
    pub fn merge(&mut self, groups: &[u32], total_groups: usize, saved: &ArrayRef) -> Result<()> {
        self.grow(total_groups);
        let (owners, values) = entries(groups, saved)?;
        let (args, marks) = values.columns().split_at(self.args.len());
        self.intern(&owners, args)?;
        let changes = match &mut self.marks {
            Marks::Bits(bits) => mark(bits, &self.ids, marks[0].as_primitive::<UInt64Type>().values()),
            Marks::Counts(counts) => {
                let columns: Vec<_> = marks.iter().map(|column| column.as_primitive::<Int64Type>().values()).collect();
                recount(counts, &self.ids, columns.len(), |row, filter| columns[filter][row])
            }
        };
        self.apply(&owners, args, &changes)
    }

    /// Empties groups.
    pub fn clear(&mut self, groups: &[u32]) {
        let filters = self.counts.len();
        for group in groups {
            if self.chains.head(*group) == NO_GROUP {
                continue;
            }
            let ids: Vec<u32> = self.chains.of(*group).collect();
            for id in ids.iter().map(|id| *id as usize) {
                match &mut self.marks {
                    Marks::Bits(bits) => bits[id] = 0,
                    Marks::Counts(counts) => counts[id * filters..][..filters].fill(0),
                }
            }
            self.table.remove(&ids);
            self.chains.heads[*group as usize] = NO_GROUP;
        }
        self.counts.iter_mut().for_each(|counts| super::accumulator::reset(counts, groups));
        self.inner.iter_mut().for_each(|(_, inner)| inner.clear(groups));
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let marks = match &self.marks {
            Marks::Bits(bits) => bits.capacity() * size_of::<u64>(),
            Marks::Counts(counts) => counts.capacity() * size_of::<i64>(),
        };
        let chains = self.chains.heads.capacity() * size_of::<u32>() + self.chains.links.capacity() * size_of::<u64>();
        let counts: usize = self.counts.iter().map(|counts| counts.capacity() * size_of::<i64>()).sum();
        let inner: usize = self.inner.iter().map(|(_, inner)| inner.bytes()).sum();
        self.table.bytes() + marks + chains + counts + inner
    }
}

/// For each row the filters that it passes.
fn masks(filters: &[Option<&BooleanBuffer>], rows: usize) -> Vec<u64> {
    let always = (0..filters.len()).filter(|i| filters[*i].is_none()).fold(0, |mask, i| mask | 1u64 << i);
    let mut masks = vec![always; rows];
    for (i, filter) in filters.iter().enumerate() {
        if let Some(filter) = filter {
            masks.iter_mut().zip(filter.iter()).for_each(|(mask, passes)| *mask |= u64::from(passes) << i);
        }
    }
    masks
}

/// Sets bits; returns those that were not set before.
fn mark(bits: &mut [u64], ids: &[u32], masks: &[u64]) -> Changes {
    let mut changes = Changes::new();
    for (row, (id, mask)) in ids.iter().zip(masks).enumerate() {
        let held = &mut bits[*id as usize];
        let mut new = mask & !*held;
        *held |= new;
        while new != 0 {
            changes.push((row as u32, new.trailing_zeros(), 1));
            new &= new - 1;
        }
    }
    changes
}

/// Adds to counts; returns where a value came to be there or ceased to.
fn recount(counts: &mut [i64], ids: &[u32], filters: usize, delta: impl Fn(usize, usize) -> i64) -> Changes {
    let mut changes = Changes::new();
    for (row, id) in ids.iter().enumerate() {
        for (filter, count) in counts[*id as usize * filters..][..filters].iter_mut().enumerate() {
            let before = i64::from(*count > 0);
            *count += delta(row, filter);
            match i64::from(*count > 0) - before {
                0 => {}
                change => changes.push((row as u32, filter as u32, change)),
            }
        }
    }
    changes
}
