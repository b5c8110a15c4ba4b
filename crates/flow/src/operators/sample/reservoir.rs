//! Samples of a fixed size: the rows of the smallest keys.
//!
//! The keys are functions of the rows, so the state is nothing but the sample's rows, and any order of them gives the
//! same sample. It works on the owner of key group 0.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use arrow::row::{RowConverter, Rows, SortField};
use fleuve_base::limits::BATCH_ROWS;
use fleuve_base::{Error, Result};
use fleuve_plan::SampleMethod;

use super::super::keyed_state::{arrow_error, output_batch, owned_rows, state_table, types_of};
use super::super::limit::concat_weighted;
use super::{Chances, unit};
use crate::batch::Batch;
use crate::operator::{EpochInfo, EpochOperator, OperatorStats, Share, StateTable};

/// The name of the saved table.
const TABLE: &str = "sample";

/// Keeps the rows of the smallest keys.
#[derive(Debug)]
pub struct Reservoir {
    chances: Chances,
    /// The column of the weights.
    weight: Option<usize>,
    rows: usize,
    at_end: bool,
    /// The columns of the sampled rows.
    output: SchemaRef,
    /// What is emitted at the end, if that is more: the keys and the number of rows offered.
    tells: Option<SchemaRef>,
    offered: u64,
    share: Share,
    /// The sample, by ascending key.
    kept: RecordBatch,
    /// The keys of the sample, ascending.
    keys: Vec<u64>,
}

impl Reservoir {
    /// A sample of a fixed size, emitted when the input ends or as changes.
    ///
    /// # Errors
    /// If the method's samples have no fixed size.
    pub fn new(method: SampleMethod, chances: Chances, at_end: bool, output: SchemaRef, share: Share) -> Result<Self> {
        let (weight, rows) = match method {
            SampleMethod::Reservoir { rows } => (None, rows),
            SampleMethod::Weighted { weight, rows } => (Some(weight), rows),
            SampleMethod::Bernoulli { .. } => return Err(Error::internal("a Bernoulli sample has no fixed size")),
        };
        if !RowConverter::supports_fields(&sort_fields(&output)) {
            let text = "a sample of a fixed size of rows with such a column is not in this build";
            return Err(Error::unsupported("E210", text).with_hint("sample a subquery without its MAP columns"));
        }
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let kept = RecordBatch::new_empty(output.clone());
        Ok(Reservoir { chances, weight, rows, at_end, output, tells: None, offered: 0, share, kept, keys: vec![] })
    }

    /// Its rows have, at the end, two more columns: their keys, and the number of rows offered, which is not saved.
    pub fn telling(self, output: SchemaRef) -> Self {
        Reservoir { tells: Some(output), ..self }
    }

    /// The sample's rows, with the two columns if it tells them.
    fn told(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let Some(output) = &self.tells else { return Ok(rows) };
        let keys = Int64Array::from_iter_values(self.keys.iter().map(|key| *key as i64));
        let offered = Int64Array::from_value(self.offered as i64, rows.num_rows());
        let columns = rows.columns().iter().cloned().chain([Arc::new(keys) as ArrayRef, Arc::new(offered)]);
        output_batch(output, columns.collect(), rows.num_rows())
    }

    /// The key of each row: the smaller, the earlier it is drawn.
    fn keys_of(&self, rows: &RecordBatch) -> Result<Vec<u64>> {
        let chances = self.chances.of(rows)?;
        let Some(weight) = self.weight else { return Ok(chances) };
        let weights = cast(rows.column(weight), &DataType::Float64).map_err(|e| arrow_error("read weights", &e))?;
        let weights: &Float64Array = weights.as_primitive::<Float64Type>();
        let key = |(row, bits): (usize, u64)| {
            let weight = weights.is_valid(row).then(|| weights.value(row));
            // Positive floats are ordered as their bits are.
            Ok(((-(1.0 - unit(bits)).ln()).abs() / checked_weight(weight)?).to_bits())
        };
        chances.into_iter().enumerate().map(key).collect()
    }

    /// The rows of an epoch that may be among the sample.
    fn candidates(&self, batches: Vec<Batch>) -> Result<(RecordBatch, Vec<u64>)> {
        let (rows, weights) = concat_weighted(&self.output, batches)?;
        let keys = self.keys_of(&rows)?;
        let last = self.keys.last().filter(|_| self.keys.len() >= self.rows);
        let mut indices = vec![];
        for (row, key) in keys.iter().enumerate() {
            let times = weights.as_ref().map_or(1, |weights| weights.value(row));
            let times = usize::try_from(times).map_err(|_| retracted())?;
            if last.is_none_or(|last| key <= last) {
                // More copies than the sample has rows change nothing.
                indices.extend(std::iter::repeat_n(row as u64, times.min(self.rows)));
            }
        }
        let keys = indices.iter().map(|row| keys[*row as usize]).collect();
        Ok((taken(&rows, indices)?, keys))
    }

    /// Takes up rows, and returns the changes of the sample: rows that come and rows that go.
    fn offer(&mut self, (rows, mut new_keys): (RecordBatch, Vec<u64>)) -> Result<(RecordBatch, RecordBatch)> {
        let before = self.kept.num_rows();
        let all = arrow::compute::concat_batches(&self.output, [&self.kept, &rows]);
        let all = all.map_err(|e| arrow_error("collect a sample", &e))?;
        let mut keys = std::mem::take(&mut self.keys);
        keys.append(&mut new_keys);
        let bytes = row_bytes(&all)?;
        let mut order: Vec<usize> = (0..keys.len()).collect();
        // Rows of equal keys and other content are as good as impossible, but their order must not depend on arrival.
        order.sort_unstable_by(|a, b| (keys[*a], bytes.row(*a), *a).cmp(&(keys[*b], bytes.row(*b), *b)));
        let gone = order.split_off(self.rows.min(order.len()));
        let indices = |rows: &[usize], old: bool| {
            rows.iter().filter(|row| (**row < before) == old).map(|row| *row as u64).collect::<Vec<_>>()
        };
        let changes = (taken(&all, indices(&order, false))?, taken(&all, indices(&gone, true))?);
        self.keys = order.iter().map(|row| keys[*row]).collect();
        self.kept = taken(&all, order.iter().map(|row| *row as u64).collect())?;
        Ok(changes)
    }
}

fn sort_fields(schema: &SchemaRef) -> Vec<SortField> {
    types_of(schema).into_iter().map(SortField::new).collect()
}

/// The bytes of each row, by which rows are ordered.
fn row_bytes(rows: &RecordBatch) -> Result<Rows> {
    let converter = RowConverter::new(sort_fields(&rows.schema())).map_err(|e| arrow_error("order rows", &e))?;
    converter.convert_columns(rows.columns()).map_err(|e| arrow_error("order rows", &e))
}

fn taken(rows: &RecordBatch, indices: Vec<u64>) -> Result<RecordBatch> {
    take_record_batch(rows, &UInt64Array::from(indices)).map_err(|e| arrow_error("sample rows", &e))
}

fn retracted() -> Error {
    Error::unsupported("E203", "a sample of a fixed size over rows that are retracted")
        .with_hint("TABLESAMPLE BERNOULLI (percent) can be taken of them")
}

fn checked_weight(weight: Option<f64>) -> Result<f64> {
    match weight {
        Some(weight) if weight > 0.0 && weight.is_finite() => Ok(weight),
        other => {
            let shown = other.map_or_else(|| "NULL".to_owned(), |weight| weight.to_string());
            Err(Error::input("E304", format!("the weight of a sampled row is a positive number, not {shown}"))
                .with_hint("leave such rows out: FROM (SELECT * FROM t WHERE w > 0) TABLESAMPLE WEIGHTED (w, n)"))
        }
    }
}

impl EpochOperator for Reservoir {
    fn apply(&mut self, info: &EpochInfo, inputs: &mut [Vec<Batch>], output: &mut Vec<Batch>) -> Result<()> {
        let batches: Vec<Batch> = inputs[0].drain(..).filter(|batch| batch.num_rows() > 0).collect();
        if !batches.is_empty() {
            let rows = |batch: &Batch| (0..batch.num_rows()).map(|row| batch.weight(row).max(0) as u64).sum::<u64>();
            self.offered += batches.iter().map(rows).sum::<u64>();
            let candidates = self.candidates(batches)?;
            if candidates.0.num_rows() > 0 {
                let (come, go) = self.offer(candidates)?;
                let weighted = |rows: RecordBatch, weight: i64| {
                    let weights = Int64Array::from(vec![weight; rows.num_rows()]);
                    Batch::weighted(rows, weights)
                };
                let changes = [weighted(go, -1), weighted(come, 1)];
                output.extend(changes.into_iter().filter(|batch| !self.at_end && batch.num_rows() > 0));
            }
        }
        if self.at_end && info.last {
            let rows = std::mem::replace(&mut self.kept, RecordBatch::new_empty(self.output.clone()));
            let rows = self.told(rows)?;
            self.keys.clear();
            let starts = (0..rows.num_rows()).step_by(BATCH_ROWS);
            let batches = starts.map(|start| rows.slice(start, BATCH_ROWS.min(rows.num_rows() - start)));
            output.extend(batches.map(Batch::append));
        }
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<StateTable>> {
        if !self.share.owns(0) {
            return Ok(vec![]);
        }
        let columns: Vec<ArrayRef> = self.kept.columns().to_vec();
        Ok(vec![state_table(TABLE, self.kept.num_rows(), vec![], columns)?])
    }

    fn restore(&mut self, tables: &[StateTable], share: Share) -> Result<()> {
        if let Some(rows) = owned_rows(tables, TABLE, 0, self.output.fields().len(), share)? {
            let rows = output_batch(&self.output, rows.columns().to_vec(), rows.num_rows())?;
            let keys = self.keys_of(&rows)?;
            self.offer((rows, keys))?;
        }
        Ok(())
    }

    fn stats(&self) -> OperatorStats {
        let bytes = self.kept.get_array_memory_size() + self.keys.capacity() * size_of::<u64>();
        OperatorStats { late_rows: 0, state_bytes: bytes, state_rows: self.kept.num_rows() }
    }
}
