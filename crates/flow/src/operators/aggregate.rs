//! GROUP BY without windows, and DISTINCT: one row for each group, changed as its rows come and go.
//!
//! An epoch is applied in one step: the rows say which groups they touch; the values that those had are computed once
//! more from the state; the rows are added; and where a group's values differ, the old row leaves and the new one
//! comes. Values are a function of a group's rows alone (see [`fleuve_functions::aggregate`]), so what is retracted is
//! bit for bit what was emitted, and emitted rows need not be kept.

use arrow::array::{ArrayRef, BooleanArray, Int64Array, make_comparator};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{SortOptions, concat, filter};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use fleuve_base::limits::BATCH_ROWS;
use fleuve_base::{Error, Result};
use fleuve_functions::aggregate::AggregateSet;
use fleuve_plan::{AggregateCall, Changelog, Settings};
use fleuve_state::key_table::KeyTable;

use super::keyed_state::{arrow_error, output_batch, owned_rows, select, state_table, types_of};
use crate::batch::Batch;
use crate::operator::{EpochInfo, EpochOperator, OperatorStats, Share, StateTable};

/// The name of the saved table.
const TABLE: &str = "groups";

/// Idle groups are looked for so many times within the time after which they may go.
const EXPIRY_STEPS: i64 = 4;

/// The unwindowed aggregate.
#[derive(Debug)]
pub struct Aggregate {
    keys: Vec<usize>,
    output: SchemaRef,
    retractable: bool,
    /// No calls: only keys come and go.
    distinct: bool,
    /// `None` without keys: all rows belong to group 0.
    table: Option<KeyTable>,
    set: AggregateSet,
    groups: Groups,
    ttl_ms: i64,
    share: Share,
}

/// What is known of each group, by its number.
#[derive(Debug, Default)]
struct Groups {
    /// It has been emitted and not retracted.
    live: Vec<bool>,
    /// It has rows in the epoch at hand.
    touched: Vec<bool>,
    /// Clock of the last epoch with rows; only kept if groups expire.
    touched_ms: Vec<i64>,
}

impl Groups {
    fn grow(&mut self, total_groups: usize, expiring: bool) {
        self.live.resize(total_groups.max(self.live.len()), false);
        self.touched.resize(self.live.len(), false);
        if expiring {
            self.touched_ms.resize(self.live.len(), 0);
        }
    }
}

impl Aggregate {
    /// An aggregate over an input with this schema and changelog. `share` is its worker: without keys only the owner of
    /// key group 0 has the one group.
    ///
    /// # Errors
    /// If a function or a key's type is not supported.
    pub fn new(
        input: &Schema,
        changelog: Changelog,
        keys: &[usize],
        aggregates: &[AggregateCall],
        output: SchemaRef,
        settings: &Settings,
        share: Share,
    ) -> Result<Self> {
        let types = types_of(input);
        let retractable = changelog == Changelog::Retract;
        let key_types: Vec<DataType> = keys.iter().map(|key| types[*key].clone()).collect();
        Ok(Aggregate {
            keys: keys.to_vec(),
            output,
            retractable,
            distinct: aggregates.is_empty() && !keys.is_empty(),
            table: if keys.is_empty() { None } else { Some(KeyTable::new(&key_types)?) },
            set: AggregateSet::new(aggregates, &types, retractable, retractable)?,
            groups: Groups::default(),
            ttl_ms: i64::try_from(settings.state_ttl_ms).unwrap_or(i64::MAX),
            share,
        })
    }

    fn total_groups(&self) -> usize {
        self.table.as_ref().map_or(1, KeyTable::total_groups)
    }

    /// The group of each row of each batch.
    fn intern(&mut self, batches: &[Batch]) -> Result<Vec<Vec<u32>>> {
        let mut interned = Vec::with_capacity(batches.len());
        for batch in batches {
            let mut groups = vec![0; if self.table.is_some() { 0 } else { batch.num_rows() }];
            if let Some(table) = &mut self.table {
                table.intern(&select(batch.columns.columns(), &self.keys), &mut groups)?;
            }
            interned.push(groups);
        }
        self.groups.grow(self.total_groups(), self.ttl_ms > 0);
        Ok(interned)
    }

    /// The groups with rows, live ones first, and how many are live.
    fn touched(&mut self, interned: &[Vec<u32>]) -> (Vec<u32>, usize) {
        let (mut live, mut new) = (Vec::new(), Vec::new());
        for group in interned.iter().flatten() {
            let slot = *group as usize;
            if !std::mem::replace(&mut self.groups.touched[slot], true) {
                if self.groups.live[slot] { live.push(*group) } else { new.push(*group) }
            }
        }
        if self.table.is_none() && !self.groups.touched[0] && !self.groups.live[0] {
            new.push(0);
        }
        live.iter().chain(&new).for_each(|group| self.groups.touched[*group as usize] = false);
        let known = live.len();
        live.append(&mut new);
        (live, known)
    }

    /// Adds the rows and emits what changed.
    fn apply_batches(&mut self, batches: &[Batch], clock_ms: i64, output: &mut Vec<Batch>) -> Result<()> {
        let interned = self.intern(batches)?;
        let (touched, known) = self.touched(&interned);
        if self.ttl_ms > 0 {
            touched.iter().for_each(|group| self.groups.touched_ms[*group as usize] = clock_ms);
        }
        let before = touched[..known].chunks(BATCH_ROWS).map(|groups| self.set.evaluate(groups));
        let before = before.collect::<Result<Vec<_>>>()?;
        for (batch, groups) in batches.iter().zip(&interned) {
            self.set.update(groups, self.total_groups(), batch.columns.columns(), batch.weights.as_ref())?;
        }
        self.set.settle()?;
        let (old, new) = touched.split_at(known);
        for (groups, before) in old.chunks(BATCH_ROWS).zip(&before) {
            self.emit(groups, Some(before), output)?;
        }
        new.chunks(BATCH_ROWS).try_for_each(|groups| self.emit(groups, None, output))?;
        self.forget_empty(&touched)
    }

    /// Emits the changes of groups that had these values, or none.
    fn emit(&mut self, groups: &[u32], before: Option<&Vec<ArrayRef>>, output: &mut Vec<Batch>) -> Result<()> {
        let after = self.set.evaluate(groups)?;
        let live = self.live_now(groups)?;
        let mut retract = vec![false; groups.len()];
        let mut insert = live.clone();
        if let Some(before) = before {
            let changed = changed(before, &after, groups.len())?;
            for row in 0..groups.len() {
                retract[row] = changed[row] || !live[row];
                insert[row] = changed[row] && live[row];
            }
        }
        groups.iter().zip(&live).for_each(|(group, live)| self.groups.live[*group as usize] = *live);
        if !insert.iter().chain(&retract).any(|change| *change) {
            return Ok(());
        }
        let keys = self.table.as_ref().map_or(Ok(vec![]), |table| table.keys(groups))?;
        let (insert, retract) = (BooleanArray::from(insert), BooleanArray::from(retract));
        let (added, removed) = (insert.true_count(), retract.true_count());
        let select = |values: &[ArrayRef], mask: &BooleanArray| -> Result<Vec<ArrayRef>> {
            let columns = keys.iter().chain(values).map(|column| filter(column, mask));
            columns.collect::<Result<_, _>>().map_err(|e| arrow_error("emit groups", &e))
        };
        let mut columns = select(&after, &insert)?;
        if let (Some(before), true) = (before, removed > 0) {
            let pairs = select(before, &retract)?.into_iter().zip(&columns);
            let joined = pairs.map(|(old, new)| concat(&[&old, new])).collect::<Result<_, _>>();
            columns = joined.map_err(|e| arrow_error("emit groups", &e))?;
        }
        let rows = output_batch(&self.output, columns, added + removed)?;
        if self.distinct && !self.retractable {
            output.push(Batch::append(rows));
        } else {
            let weights = std::iter::repeat_n(-1, removed).chain(std::iter::repeat_n(1, added));
            output.push(Batch::weighted(rows, Int64Array::from_iter_values(weights)));
        }
        Ok(())
    }

    fn live_now(&self, groups: &[u32]) -> Result<Vec<bool>> {
        if self.retractable && self.table.is_some() {
            Ok(self.set.row_counts(groups)?.values().iter().map(|count| *count > 0).collect())
        } else {
            Ok(vec![true; groups.len()])
        }
    }

    /// Removes groups whose last row has gone.
    fn forget_empty(&mut self, touched: &[u32]) -> Result<()> {
        if !self.retractable || self.table.is_none() {
            return Ok(());
        }
        let counts = self.set.row_counts(touched)?;
        let empty = touched.iter().zip(counts.values()).filter(|(_, count)| **count == 0);
        let empty: Vec<u32> = empty.map(|(group, _)| *group).collect();
        self.forget(&empty);
        Ok(())
    }

    fn forget(&mut self, groups: &[u32]) {
        self.set.clear(groups);
        groups.iter().for_each(|group| self.groups.live[*group as usize] = false);
        if let Some(table) = &mut self.table {
            table.remove(groups);
        }
    }

    /// Forgets groups that were idle for too long, without a retraction. Looks for them only now and then: when the
    /// clock enters another step of its own, so that a restart looks at the same epochs.
    fn expire(&mut self, info: &EpochInfo) {
        let step = (self.ttl_ms / EXPIRY_STEPS).max(1);
        let entered = info.clock_ms.div_euclid(step) > info.previous_clock_ms.div_euclid(step);
        let Some(table) = self.table.as_ref().filter(|_| self.ttl_ms > 0 && entered) else { return };
        let idle = |group: &u32| {
            let age_ms = info.clock_ms.saturating_sub(self.groups.touched_ms[*group as usize]);
            age_ms >= self.ttl_ms
        };
        let idle: Vec<u32> = table.groups().into_iter().filter(idle).collect();
        self.forget(&idle);
    }

    /// Groups in the state.
    fn all_groups(&self) -> Vec<u32> {
        match &self.table {
            Some(table) => table.groups(),
            None => (0..self.groups.live.len() as u32).filter(|group| self.groups.live[*group as usize]).collect(),
        }
    }

    fn saved_columns(&self) -> usize {
        self.keys.len() + self.set.saved_types().len() + usize::from(self.ttl_ms > 0)
    }
}

/// Rows in which any column differs; NULLs are equal, and so are NaNs.
fn changed(before: &[ArrayRef], after: &[ArrayRef], rows: usize) -> Result<Vec<bool>> {
    let mut changed = vec![false; rows];
    for (old, new) in before.iter().zip(after) {
        if old.data_type().is_nested() {
            let order = make_comparator(old, new, SortOptions::default());
            let order = order.map_err(|e| arrow_error("compare values", &e))?;
            changed.iter_mut().enumerate().for_each(|(row, changed)| *changed |= order(row, row).is_ne());
            continue;
        }
        let differs = distinct(old, new).map_err(|e| arrow_error("compare values", &e))?;
        changed.iter_mut().zip(differs.values().iter()).for_each(|(changed, differs)| *changed |= differs);
    }
    Ok(changed)
}

impl EpochOperator for Aggregate {
    fn apply(&mut self, info: &EpochInfo, inputs: &mut [Vec<Batch>], output: &mut Vec<Batch>) -> Result<()> {
        let batches: Vec<Batch> = inputs[0].drain(..).filter(|batch| batch.num_rows() > 0).collect();
        if self.table.is_none() && !self.share.owns(0) {
            return if batches.is_empty() { Ok(()) } else { Err(Error::internal("rows of key group 0 went astray")) };
        }
        self.expire(info);
        if batches.is_empty() && (self.table.is_some() || self.groups.live.first() == Some(&true)) {
            return Ok(());
        }
        self.apply_batches(&batches, info.clock_ms, output)
    }

    fn save(&mut self) -> Result<Vec<StateTable>> {
        let groups = self.all_groups();
        let keys = self.table.as_ref().map_or(Ok(vec![]), |table| table.keys(&groups))?;
        let mut states = self.set.save(&groups)?;
        if self.ttl_ms > 0 {
            let touched_ms = groups.iter().map(|group| self.groups.touched_ms[*group as usize]);
            states.push(std::sync::Arc::new(Int64Array::from_iter_values(touched_ms)));
        }
        Ok(vec![state_table(TABLE, groups.len(), keys, states)?])
    }

    fn restore(&mut self, tables: &[StateTable], share: Share) -> Result<()> {
        let Some(rows) = owned_rows(tables, TABLE, self.keys.len(), self.saved_columns(), share)? else {
            return Ok(());
        };
        let (keys, states) = rows.columns().split_at(self.keys.len());
        let mut groups = vec![0; rows.num_rows()];
        if let Some(table) = &mut self.table {
            table.intern(keys, &mut groups)?;
        }
        self.groups.grow(self.total_groups(), self.ttl_ms > 0);
        let (sets, touched_ms) = states.split_at(self.set.saved_types().len());
        self.set.merge(&groups, self.total_groups(), sets)?;
        for (group, live) in groups.iter().zip(self.live_now(&groups)?) {
            self.groups.live[*group as usize] = live;
        }
        if let Some(column) = touched_ms.first() {
            let column = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(column);
            let pairs = groups.iter().zip(column.values());
            pairs.for_each(|(group, clock)| self.groups.touched_ms[*group as usize] = *clock);
        }
        Ok(())
    }

    fn stats(&self) -> OperatorStats {
        let flags = self.groups.live.capacity() + self.groups.touched.capacity();
        let table_bytes = self.table.as_ref().map_or(0, KeyTable::bytes);
        OperatorStats {
            late_rows: 0,
            state_bytes: table_bytes + self.set.bytes() + flags + self.groups.touched_ms.capacity() * size_of::<i64>(),
            state_rows: self.table.as_ref().map_or(1, KeyTable::len),
        }
    }
}

#[cfg(test)]
mod tests;
