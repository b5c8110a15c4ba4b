//! Online aggregation: estimates of groups, each with its interval, while the rows still come in random order.
//!
//! J. M. Hellerstein, P. J. Haas, H. J. Wang (1997), "Online aggregation". What was drawn is a block of rows, or a row: a
//! group's number of rows in a block and their sum are what varies from one to the next, and blocks without a row of the
//! group count with zeros ([`Blocks`]). Once everything was read the values are exact: those of the ordinary aggregate.
//!
//! All rows come to one worker, as an interval is of all blocks together. Nothing is saved: only queries have it.

mod pairs;
mod tally;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Float64Type, Int64Type, Schema, SchemaRef};
use fleuve_base::{Error, Result};
use fleuve_functions::aggregate::AggregateSet;
use fleuve_plan::{AggregateCall, OnlineAggregate, OnlineUnit};
use fleuve_sketch::estimate::Estimate;
use fleuve_sketch::online::{Blocks, Scope};
use fleuve_state::key_table::KeyTable;

use super::keyed_state::{arrow_error, output_batch, select, types_of};
use crate::batch::Batch;
use crate::operator::{EpochInfo, EpochOperator, OperatorStats, Share};
use pairs::Pairs;
use tally::{Measure, Tallies};

/// The operator.
#[derive(Debug)]
pub struct Online {
    spec: OnlineAggregate,
    measures: Vec<Measure>,
    output: SchemaRef,
    /// `None` without keys: all rows belong to group 0.
    table: Option<KeyTable>,
    /// For each measure its count and its sum, exact.
    exact: AggregateSet,
    groups: Vec<Group>,
    /// Blocks that were read; of a group that is drawn row by row see [`Group::population`].
    scope: Scope,
    tallies: Tallies,
    /// Of the join of two tables, everything that was drawn.
    pairs: Option<Pairs>,
    /// What was emitted last, and when.
    emitted: Option<(RecordBatch, i64)>,
    /// Something was read since.
    fresh: bool,
    share: Share,
}

/// What is known of a group.
#[derive(Debug, Clone, Default)]
struct Group {
    /// By measure.
    blocks: Vec<Blocks>,
    /// Rows drawn.
    seen: u64,
    /// Rows of the group in all, if it is drawn row by row.
    population: u64,
}

/// An estimate's three columns.
type Ends = [Option<f64>; 3];

impl Online {
    /// The operator over an input of this schema.
    ///
    /// # Errors
    /// If a function or the type of a key or an argument is not supported.
    pub fn new(spec: &OnlineAggregate, input: &Schema, output: SchemaRef, share: Share) -> Result<Self> {
        let types = types_of(input);
        let key_types: Vec<DataType> = spec.keys.iter().map(|key| types[*key].clone()).collect();
        let calls: Vec<AggregateCall> = spec.aggregates.iter().flat_map(|call| count_and_sum(call, &types)).collect();
        let measures = spec.aggregates.iter().map(Measure::new).collect::<Result<Vec<_>>>()?;
        Ok(Online {
            pairs: Pairs::new(spec.unit, measures.len()),
            tallies: Tallies::new(measures.len()),
            measures,
            output,
            table: if key_types.is_empty() { None } else { Some(KeyTable::new(&key_types)?) },
            exact: AggregateSet::new(&calls, &types, false, false)?,
            groups: vec![],
            scope: Scope { seen: 0, population: 0 },
            emitted: None,
            fresh: false,
            share,
            spec: spec.clone(),
        })
    }

    /// Takes note of the blocks that were read.
    fn add_blocks(&mut self, side: usize, batches: &[Batch]) {
        if let Some(pairs) = &mut self.pairs {
            self.fresh |= pairs.add_blocks(side, batches);
            return;
        }
        for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
            self.scope.seen += batch.num_rows() as u64;
            self.scope.population = batch.column(1).as_primitive::<Int64Type>().value(0).max(0) as u64;
            self.fresh = true;
        }
    }

    fn add_rows(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut groups = vec![0; if self.table.is_some() { 0 } else { batch.num_rows() }];
        if let Some(table) = &mut self.table {
            table.intern(&select(batch.columns(), &self.spec.keys), &mut groups)?;
        }
        let total = self.table.as_ref().map_or(1, KeyTable::total_groups);
        let fresh = Group { blocks: vec![Blocks::default(); self.measures.len()], ..Group::default() };
        self.groups.resize(total, fresh);
        self.exact.update(&groups, total, batch.columns(), None)?;
        let values = self.measures.iter().map(|measure| measure.values(batch)).collect::<Result<Vec<_>>>()?;
        match self.spec.unit {
            OnlineUnit::Blocks { block } => {
                self.tallies.add(&groups, batch.column(block).as_primitive::<Int64Type>().values(), &values);
                groups.iter().for_each(|group| self.groups[*group as usize].seen += 1);
            }
            OnlineUnit::Pairs { .. } => {
                self.pairs.iter_mut().for_each(|pairs| pairs.add_rows(batch, &groups, total, &values));
                groups.iter().for_each(|group| self.groups[*group as usize].seen += 1);
            }
            OnlineUnit::Rows { population } => {
                let populations = batch.column(population).as_primitive::<Int64Type>();
                for (row, group) in groups.iter().enumerate() {
                    let group = &mut self.groups[*group as usize];
                    group.seen += 1;
                    group.population = populations.value(row).max(0) as u64;
                    let drawn = group.blocks.iter_mut().zip(&values);
                    drawn
                        .for_each(|(blocks, values)| values.of(row).into_iter().for_each(|value| blocks.add(1, value)));
                }
            }
        }
        self.fresh = true;
        Ok(())
    }

    /// Takes the epoch's blocks, which are all whole, into their groups.
    fn settle(&mut self, last: bool) -> Result<()> {
        for (group, tallies) in self.tallies.take() {
            let blocks = self.groups[group as usize].blocks.iter_mut().zip(&tallies);
            blocks.filter(|(_, tally)| tally.rows > 0).for_each(|(blocks, tally)| blocks.add(tally.rows, tally.sum));
        }
        if let Some(pairs) = &mut self.pairs {
            pairs.settle(last);
        }
        self.exact.settle()
    }

    fn scope(&self, group: &Group) -> Scope {
        match self.spec.unit {
            OnlineUnit::Blocks { .. } | OnlineUnit::Pairs { .. } => {
                self.pairs.as_ref().map_or(self.scope, Pairs::scope)
            }
            OnlineUnit::Rows { .. } => Scope { seen: group.seen, population: group.population },
        }
    }

    /// Replaces what was emitted by what is known now.
    fn emit(&mut self, clock_ms: i64, output: &mut Vec<Batch>) -> Result<()> {
        let rows = self.estimates()?;
        if let Some((old, _)) = self.emitted.replace((rows.clone(), clock_ms)) {
            let gone = Int64Array::from_value(-1, old.num_rows());
            output.push(Batch::weighted(old, gone));
        }
        let come = Int64Array::from_value(1, rows.num_rows());
        output.push(Batch::weighted(rows, come));
        self.fresh = false;
        Ok(())
    }

    /// The estimates of all groups.
    fn estimates(&self) -> Result<RecordBatch> {
        let numbers: Vec<u32> = (0..self.groups.len() as u32).collect();
        let mut columns = self.table.as_ref().map_or(Ok(vec![]), |table| table.keys(&numbers))?;
        let exact = self.exact.evaluate(&numbers)?.iter().map(as_doubles).collect::<Result<Vec<_>>>()?;
        for (at, exact) in exact.chunks(2).enumerate() {
            let ends = self.groups.iter().enumerate();
            let ends = ends.map(|(number, group)| self.estimate(at, group, exact, number));
            let ends = ends.collect::<Result<Vec<Ends>>>()?;
            columns.extend((0..3).map(|end| doubles(ends.iter().map(|ends| ends[end]))));
        }
        let seen = self.groups.iter().map(|group| group.seen as i64);
        columns.push(std::sync::Arc::new(Int64Array::from_iter_values(seen)));
        columns.push(doubles(self.groups.iter().map(|group| Some(self.scope(group).fraction()))));
        output_batch(&self.output, columns, self.groups.len())
    }

    /// One measure of one group. Values are NULL where no row has one, ends where nothing bounds them.
    fn estimate(&self, at: usize, group: &Group, exact: &[Float64Array], number: usize) -> Result<Ends> {
        let measure = &self.measures[at];
        let (scope, confidence) = (self.scope(group), self.spec.confidence);
        let (count, sum) = (exact[0].value(number), exact[1].is_valid(number).then(|| exact[1].value(number)));
        if scope.is_complete() {
            let value = measure.exact(count, sum);
            return Ok([value; 3]);
        }
        let estimate = match (&self.pairs, measure) {
            (Some(pairs), _) => pairs.estimate(number, at, measure, confidence)?,
            (None, Measure::Count { .. }) => group.blocks[at].count(scope, confidence)?,
            (None, Measure::Sum { .. }) => group.blocks[at].sum(scope, confidence)?,
            (None, Measure::Average { .. }) => group.blocks[at].average(scope, confidence)?,
        };
        let known = measure.is_count() || count > 0.0;
        // As many as were seen there are for certain.
        let low = if measure.is_count() { estimate.low.max(count) } else { estimate.low };
        let Estimate { value, high, .. } = estimate;
        let bounded = |end: f64| (known && end.is_finite()).then_some(end);
        Ok([known.then_some(value), bounded(low), bounded(high)])
    }
}

/// The calls whose exact values a measure is made of: the number of its values, and their sum (or again their number).
fn count_and_sum(call: &AggregateCall, types: &[DataType]) -> [AggregateCall; 2] {
    let of = |function: &str, data_type| AggregateCall { function: function.to_owned(), data_type, ..call.clone() };
    let count = of("count", DataType::Int64);
    let Some(arg) = call.args.first().filter(|_| call.function != "count") else { return [count.clone(), count] };
    let data_type = match &types[*arg] {
        DataType::Decimal128(_, scale) => DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale),
        integer if integer.is_integer() => DataType::Int64,
        _ => DataType::Float64,
    };
    [count, of("sum", data_type)]
}

fn as_doubles(values: &ArrayRef) -> Result<Float64Array> {
    let values = cast(values, &DataType::Float64).map_err(|e| arrow_error("read sums", &e))?;
    Ok(values.as_primitive::<Float64Type>().clone())
}

fn doubles(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    std::sync::Arc::new(values.collect::<Float64Array>())
}

impl EpochOperator for Online {
    fn apply(&mut self, info: &EpochInfo, inputs: &mut [Vec<Batch>], output: &mut Vec<Batch>) -> Result<()> {
        let (rows, blocks) = inputs.split_at_mut(1);
        if !self.share.owns(0) {
            let astray = rows.iter().chain(blocks.iter()).any(|batches| !batches.is_empty());
            return if astray { Err(Error::internal("rows of key group 0 went astray")) } else { Ok(()) };
        }
        for (side, batches) in blocks.iter_mut().enumerate() {
            self.add_blocks(side, &std::mem::take(batches));
        }
        for batch in rows[0].drain(..).filter(|batch| batch.num_rows() > 0) {
            self.add_rows(&batch.columns)?;
        }
        self.settle(info.last)?;
        if self.table.is_none() && self.groups.is_empty() && (self.fresh || info.last) {
            // Without keys there is one group, whether it has rows or not.
            let blocks = vec![Blocks::default(); self.measures.len()];
            self.groups.push(Group { blocks, ..Group::default() });
        }
        let due = self.emitted.as_ref().is_none_or(|(_, then)| info.clock_ms - then >= self.spec.interval_ms as i64);
        if (self.fresh && due && !self.groups.is_empty()) || (info.last && (self.fresh || self.emitted.is_none())) {
            self.emit(info.clock_ms, output)?;
        }
        Ok(())
    }

    fn stats(&self) -> OperatorStats {
        let group_bytes = size_of::<Group>() + self.measures.len() * size_of::<Blocks>();
        let table_bytes = self.table.as_ref().map_or(0, KeyTable::bytes);
        let pairs_bytes = self.pairs.as_ref().map_or(0, Pairs::bytes);
        OperatorStats {
            late_rows: 0,
            state_bytes: table_bytes + self.exact.bytes() + self.groups.len() * group_bytes + pairs_bytes,
            state_rows: self.groups.len(),
        }
    }
}

#[cfg(test)]
mod tests;
