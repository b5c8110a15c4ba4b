//! Online aggregation: estimates of groups, each with its interval, while the rows still come in random order.
//!
//! J. M. Hellerstein, P. J. Haas, H. J. Wang (1997), "Online aggregation". What was drawn is a block of rows, or a row: a
//! group's number of rows in a block and their sum are what varies from one to the next, and blocks without a row of the
//! group count with zeros ([`Blocks`](fleuve_sketch::online::Blocks)). Once everything was read the values are exact: those of the ordinary aggregate.
//!
//! All rows come to one worker, as an interval is of all blocks together. Nothing is saved: only queries have it.

mod bounds;
mod known;
mod pairs;
mod sample;
mod tally;

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Float64Type, Int64Type, Schema, SchemaRef};
use fleuve_base::{Error, Result};
use fleuve_functions::aggregate::AggregateSet;
use fleuve_plan::{AggregateCall, OnlineAggregate, OnlineUnit};
use fleuve_sketch::online::{BlocksRead, Method, Part, Scope};
use fleuve_state::key_table::KeyTable;

use super::keyed_state::{arrow_error, output_batch, select, types_of};
use crate::batch::Batch;
use crate::operator::{EpochInfo, EpochOperator, OperatorStats, Share};
use bounds::Claim;
use known::{Ends, Frame, Known};
use pairs::Pairs;
use sample::Sample;
use tally::{Measure, Tallies, Values};

/// The operator.
#[derive(Debug)]
pub struct Online {
    spec: OnlineAggregate,
    measures: Vec<Measure>,
    /// What is claimed of each measure.
    claims: Vec<Claim>,
    output: SchemaRef,
    /// `None` without keys: all rows belong to group 0.
    table: Option<KeyTable>,
    /// For each measure its count and its sum (or itself), exact.
    exact: AggregateSet,
    groups: Vec<Group>,
    /// Blocks that were read; of a group that is drawn row by row see [`Group::population`].
    read: BlocksRead,
    /// The sizes of the epoch's blocks.
    sizes: HashMap<i64, u64>,
    /// What is known of the sample, if it is one.
    sample: Option<Sample>,
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
#[derive(Debug, Clone)]
struct Group {
    /// By measure.
    known: Vec<Known>,
    /// Rows drawn.
    seen: u64,
    /// Rows of the group in all, if it is drawn row by row.
    population: u64,
}

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
        let sample = match spec.unit {
            OnlineUnit::Sample(unit) => Some(Sample::new(unit)),
            OnlineUnit::Blocks { .. } | OnlineUnit::Pairs { .. } | OnlineUnit::Rows { .. } => None,
        };
        Ok(Online {
            pairs: Pairs::new(spec.unit, measures.len()),
            tallies: Tallies::new(measures.len()),
            claims: (0..measures.len()).map(|at| Claim::new(spec, at)).collect::<Result<_>>()?,
            measures,
            output,
            table: if key_types.is_empty() { None } else { Some(KeyTable::new(&key_types)?) },
            exact: AggregateSet::new(&calls, &types, false, false)?,
            groups: vec![],
            read: BlocksRead::new(0, 0, 0),
            sizes: HashMap::new(),
            sample,
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
            let numbers: Vec<&Int64Array> = (0..6).map(|at| batch.column(at).as_primitive::<Int64Type>()).collect();
            for row in 0..batch.num_rows() {
                let [size, rows, of, all, max] = [1, 2, 3, 4, 5].map(|at| numbers[at].value(row).max(0) as u64);
                if self.read.scope.seen == 0 {
                    self.read = BlocksRead::new(of, all, max);
                }
                self.read.add(size, rows);
                self.sizes.insert(numbers[0].value(row), size);
            }
            self.fresh = true;
        }
    }

    fn add_rows(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut groups = vec![0; if self.table.is_some() { 0 } else { batch.num_rows() }];
        if let Some(table) = &mut self.table {
            table.intern(&select(batch.columns(), &self.spec.keys), &mut groups)?;
        }
        let total = self.table.as_ref().map_or(1, KeyTable::total_groups);
        let fresh = self.group();
        self.groups.resize(total, fresh);
        self.exact.update(&groups, total, batch.columns(), None)?;
        let values = self.measures.iter().map(|measure| measure.values(batch)).collect::<Result<Vec<_>>>()?;
        self.claims.iter_mut().zip(&values).try_for_each(|(claim, values)| claim.check(values, batch.num_rows()))?;
        match (self.spec.unit, &mut self.sample) {
            (OnlineUnit::Rows { population }, _) => self.add_drawn(batch, population, &groups, &values),
            (OnlineUnit::Blocks { block }, _) => {
                self.tallies.add(&groups, batch.column(block).as_primitive::<Int64Type>().values(), &values);
            }
            (OnlineUnit::Pairs { .. }, _) => {
                self.pairs.iter_mut().for_each(|pairs| pairs.add_rows(batch, &groups, total, &values));
                groups.iter().for_each(|group| self.groups[*group as usize].seen += 1);
            }
            (OnlineUnit::Sample(_), Some(sample)) => self.tallies.add(&groups, &sample.add(batch)?, &values),
            (OnlineUnit::Sample(_), None) => return Err(Error::internal("a sample that nothing is known of")),
        }
        self.fresh = true;
        Ok(())
    }

    /// A group of which nothing is known yet.
    fn group(&self) -> Group {
        Group { known: vec![Known::new(self.spec.unit); self.measures.len()], seen: 0, population: 0 }
    }

    /// Adds rows that were drawn one by one within their groups.
    fn add_drawn(&mut self, batch: &RecordBatch, population: usize, groups: &[u32], values: &[Values]) {
        let populations = batch.column(population).as_primitive::<Int64Type>();
        for (row, group) in groups.iter().enumerate() {
            let group = &mut self.groups[*group as usize];
            group.seen += 1;
            group.population = populations.value(row).max(0) as u64;
            for (known, values) in group.known.iter_mut().zip(values) {
                values.of(row).into_iter().for_each(|value| known.add_row(value));
            }
        }
    }

    /// Takes the epoch's blocks, which are all whole, into their groups; of a sample all, once it is whole.
    fn settle(&mut self, last: bool) -> Result<()> {
        self.exact.settle()?;
        if self.sample.is_some() && !last {
            return Ok(());
        }
        if let Some(sample) = &mut self.sample {
            sample.close();
        }
        for (cluster, group, tally) in self.tallies.take() {
            let drawn = match &self.sample {
                None => Some((self.sizes.get(&cluster).copied().unwrap_or(0), None)),
                Some(sample) => sample.cluster(cluster).map(|(rows, chance)| (rows, Some(chance))),
            };
            let Some((size, chance)) = drawn else { continue };
            let group = &mut self.groups[group as usize];
            group.seen += tally.rows;
            for (known, part) in group.known.iter_mut().zip(&tally.parts).filter(|(_, part)| !part.is_empty()) {
                known.add_part(size, part, chance);
            }
        }
        self.sizes.clear();
        self.pairs.iter_mut().for_each(|pairs| pairs.settle(last));
        Ok(())
    }

    /// What was drawn, that a group is a part of.
    fn frame(&self, group: &Group) -> Frame<'_> {
        match (self.spec.unit, &self.sample, &self.pairs) {
            (_, Some(sample), _) => Frame::Sample(sample.from()),
            (_, _, Some(pairs)) => Frame::Pairs(pairs.scope()),
            (OnlineUnit::Rows { .. }, ..) => Frame::Rows(Scope { seen: group.seen, population: group.population }),
            _ => Frame::Blocks(&self.read),
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

    /// The estimates of all groups. Of a sample the group of no more than the threshold's row is none.
    fn estimates(&self) -> Result<RecordBatch> {
        let is_shown = |group: &Group| self.sample.is_none() || self.table.is_none() || group.seen > 0;
        let shown: Vec<(u32, &Group)> = (0..).zip(&self.groups).filter(|(_, group)| is_shown(group)).collect();
        let numbers: Vec<u32> = shown.iter().map(|(number, _)| *number).collect();
        let mut columns = self.table.as_ref().map_or(Ok(vec![]), |table| table.keys(&numbers))?;
        let exact = self.exact.evaluate(&numbers)?.iter().map(as_doubles).collect::<Result<Vec<_>>>()?;
        for (at, exact) in exact.chunks(2).enumerate() {
            let ends =
                shown.iter().enumerate().map(|(row, (number, _))| self.estimate(at, *number as usize, exact, row));
            let ends = ends.collect::<Result<Vec<Ends>>>()?;
            columns.extend((0..3).map(|end| doubles(ends.iter().map(|ends| ends[end]))));
        }
        let seen = shown.iter().map(|(_, group)| group.seen as i64);
        columns.push(std::sync::Arc::new(Int64Array::from_iter_values(seen)));
        let fraction = |group: &Group| self.sample.as_ref().map_or(self.frame(group).fraction(), Sample::fraction);
        columns.push(doubles(shown.iter().map(|(_, group)| fraction(group))));
        output_batch(&self.output, columns, shown.len())
    }

    /// One measure of one group. Values are NULL where no row has one, ends where nothing bounds them.
    fn estimate(&self, at: usize, number: usize, exact: &[Float64Array], row: usize) -> Result<Ends> {
        let group = &self.groups[number];
        let (measure, frame) = (&self.measures[at], self.frame(group));
        let (count, sum) = (exact[0].value(row), exact[1].is_valid(row).then(|| exact[1].value(row)));
        if frame.is_complete() {
            return Ok([measure.exact(count, sum); 3]);
        }
        if measure.is_count_of_all()
            && let Some(population) = frame.rows_of_all(self.table.is_none())
        {
            return Ok([Some(population); 3]);
        }
        let (claim, confidence) = (&self.claims[at], self.spec.confidence);
        let method = claim.method().unwrap_or(Method::LargeSample { confidence });
        let estimate = match &self.pairs {
            Some(pairs) => pairs.estimate(number, at, measure, confidence)?,
            None => group.known[at].estimate(measure, &frame, method, confidence)?,
        };
        let known = measure.is_count() || (count > 0.0 && (self.sample.is_none() || group.known[at].has_rows()));
        // As many as were seen there are for certain.
        let least = if measure.is_count() && self.sample.is_none() { count } else { f64::NEG_INFINITY };
        let is_claimed = known && claim.method().is_some();
        let bounded = |end: f64| (is_claimed && end.is_finite()).then_some(end);
        Ok([known.then_some(estimate.value), bounded(estimate.low.max(least)), bounded(estimate.high)])
    }
}

/// The calls whose exact values a measure is made of: the number of its values, and their sum (or the number again, or the
/// variance itself).
fn count_and_sum(call: &AggregateCall, types: &[DataType]) -> [AggregateCall; 2] {
    let of = |function: &str, data_type| AggregateCall { function: function.to_owned(), data_type, ..call.clone() };
    let count = of("count", DataType::Int64);
    let Some(arg) = call.args.first().filter(|_| call.function != "count") else { return [count.clone(), count] };
    if !["sum", "avg"].contains(&call.function.as_str()) {
        return [count, call.clone()];
    }
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
        if !self.share.owns(0) {
            let astray = inputs.iter().any(|batches| !batches.is_empty());
            return if astray { Err(Error::internal("rows of key group 0 went astray")) } else { Ok(()) };
        }
        self.claims.iter_mut().try_for_each(|claim| claim.learn(inputs))?;
        let blocks = match self.spec.unit {
            OnlineUnit::Blocks { .. } => 1,
            OnlineUnit::Pairs { .. } => 2,
            OnlineUnit::Rows { .. } | OnlineUnit::Sample(_) => 0,
        };
        for side in 0..blocks {
            let batches = std::mem::take(&mut inputs[1 + side]);
            self.add_blocks(side, &batches);
        }
        for batch in inputs[0].drain(..).filter(|batch| batch.num_rows() > 0) {
            self.add_rows(&batch.columns)?;
        }
        self.settle(info.last)?;
        if self.table.is_none() && self.groups.is_empty() && (self.fresh || info.last) {
            // Without keys there is one group, whether it has rows or not.
            self.groups.push(self.group());
        }
        let due = self.emitted.as_ref().is_none_or(|(_, then)| info.clock_ms - then >= self.spec.interval_ms as i64);
        let early = self.fresh && due && self.sample.is_none();
        if (early && !self.groups.is_empty()) || (info.last && (self.fresh || self.emitted.is_none())) {
            self.emit(info.clock_ms, output)?;
        }
        Ok(())
    }

    fn stats(&self) -> OperatorStats {
        let group_bytes = size_of::<Group>() + self.measures.len() * size_of::<Known>();
        let tally_bytes = self.tallies.len() * self.measures.len() * size_of::<Part>();
        let table_bytes = self.table.as_ref().map_or(0, KeyTable::bytes);
        let pairs_bytes = self.pairs.as_ref().map_or(0, Pairs::bytes);
        OperatorStats {
            late_rows: 0,
            state_bytes: table_bytes + self.exact.bytes() + self.groups.len() * group_bytes + tally_bytes + pairs_bytes,
            state_rows: self.groups.len(),
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod sample_tests;
