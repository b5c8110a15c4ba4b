//! LIMIT and OFFSET: the first rows in epoch order.
//!
//! Rows of one epoch have no order of their own, so they are taken in the order of their bytes: the same rows, whatever
//! the arrival.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::row::{RowConverter, SortField};
use fleuve_base::{Error, Result};

use super::keyed_state::{arrow_error, owned_rows, state_table, types_of};
use crate::batch::Batch;
use crate::operator::{EpochInfo, EpochOperator, OperatorStats, Share, StateTable};

/// The name of the saved table.
const TABLE: &str = "progress";

/// Passes on the first rows.
#[derive(Debug)]
pub struct Limit {
    skip: u64,
    fetch: Option<u64>,
    output: SchemaRef,
    share: Share,
    skipped: u64,
    fetched: u64,
}

impl Limit {
    /// Skips some rows, then passes on up to `fetch`. It works on the owner of key group 0.
    pub fn new(skip: u64, fetch: Option<u64>, output: SchemaRef, share: Share) -> Self {
        Limit { skip, fetch, output, share, skipped: 0, fetched: 0 }
    }

    /// Whether no further row will be passed on.
    pub fn is_full(&self) -> bool {
        self.fetch.is_some_and(|fetch| self.fetched >= fetch)
    }
}

impl EpochOperator for Limit {
    fn apply(&mut self, _info: &EpochInfo, inputs: &mut [Vec<Batch>], output: &mut Vec<Batch>) -> Result<()> {
        let batches: Vec<Batch> = inputs[0].drain(..).collect();
        let rows: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        if self.is_full() || rows == 0 {
            return Ok(());
        }
        let rows = in_order(&self.output, batches)?;
        let skip = (self.skip - self.skipped).min(rows.num_rows() as u64);
        let left = self.fetch.map_or(u64::MAX, |fetch| fetch - self.fetched);
        let take = (rows.num_rows() as u64 - skip).min(left);
        self.skipped += skip;
        self.fetched += take;
        if take > 0 {
            output.push(Batch::append(rows.slice(skip as usize, take as usize)));
        }
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<StateTable>> {
        if !self.share.owns(0) {
            return Ok(vec![]);
        }
        let number = |n: u64| Arc::new(UInt64Array::from(vec![n])) as ArrayRef;
        Ok(vec![state_table(TABLE, 1, vec![], vec![number(self.skipped), number(self.fetched)])?])
    }

    fn restore(&mut self, tables: &[StateTable], share: Share) -> Result<()> {
        if let Some(rows) = owned_rows(tables, TABLE, 0, 2, share)?.filter(|rows| rows.num_rows() == 1) {
            let number =
                |i: usize| rows.column(i).as_primitive_opt::<arrow::datatypes::UInt64Type>().map(|c| c.value(0));
            let numbers = number(0).zip(number(1)).ok_or_else(|| Error::corrupt("a stored LIMIT is damaged"))?;
            (self.skipped, self.fetched) = numbers;
        }
        Ok(())
    }

    fn stats(&self) -> OperatorStats {
        OperatorStats::default()
    }
}

/// All rows, each as often as its weight says, in the order of their bytes.
fn in_order(schema: &SchemaRef, batches: Vec<Batch>) -> Result<RecordBatch> {
    let (columns, weights) = concat_weighted(schema, batches)?;
    if weights.iter().flat_map(|weights| weights.values()).any(|weight| *weight < 0) {
        return Err(Error::unsupported("E203", "LIMIT over rows that are retracted")
            .with_hint("put ORDER BY before LIMIT, or a ROW_NUMBER() subquery in its place"));
    }
    let fields = types_of(schema).into_iter().map(SortField::new).collect();
    let converter = RowConverter::new(fields).map_err(|e| arrow_error("order rows", &e))?;
    let bytes = converter.convert_columns(columns.columns()).map_err(|e| arrow_error("order rows", &e))?;
    let mut order: Vec<usize> = (0..columns.num_rows()).collect();
    order.sort_by(|a, b| bytes.row(*a).cmp(&bytes.row(*b)));
    let times = |row: usize| weights.as_ref().map_or(1, |weights| weights.value(row)) as usize;
    let indices = order.iter().flat_map(|row| std::iter::repeat_n(*row as u64, times(*row)));
    take_record_batch(&columns, &UInt64Array::from_iter_values(indices)).map_err(|e| arrow_error("order rows", &e))
}

/// All rows in one batch; weights if any batch has them.
pub(super) fn concat_weighted(schema: &SchemaRef, batches: Vec<Batch>) -> Result<(RecordBatch, Option<Int64Array>)> {
    let weighted = batches.iter().any(|batch| batch.weights.is_some());
    let weights = weighted.then(|| {
        let weights = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| batch.weight(row)));
        Int64Array::from_iter_values(weights)
    });
    let batches: Vec<RecordBatch> = batches.into_iter().map(|batch| batch.columns).collect();
    Ok((concat_batches(schema, &batches).map_err(|e| arrow_error("gather rows", &e))?, weights))
}

/// Reads a column of BIGINT that an operator saved.
pub(super) fn saved_int64(column: &ArrayRef) -> Result<&Int64Array> {
    column.as_primitive_opt::<Int64Type>().ok_or_else(|| Error::corrupt("a stored number is damaged"))
}
