//! ORDER BY over a bounded input: collects all rows, and emits them in order when the input has ended.
//!
//! Rows that the keys leave tied are ordered by their bytes, so the result does not depend on arrival.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::{SortOptions, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use fleuve_base::Result;
use fleuve_base::limits::BATCH_ROWS;
use fleuve_plan::SortKey;

use super::keyed_state::{arrow_error, owned_rows, state_table, types_of};
use super::limit::{concat_weighted, saved_int64};
use crate::batch::Batch;
use crate::operator::{EpochInfo, EpochOperator, OperatorStats, Share, StateTable};

/// The name of the saved table.
const TABLE: &str = "rows";

/// With a limit, rows collected beyond it before those that cannot be among the first are dropped.
const SPARE_ROWS: u64 = 64 << 10;

/// The bounded sort.
#[derive(Debug)]
pub struct Sort {
    keys: Vec<SortKey>,
    skip: u64,
    fetch: Option<u64>,
    output: SchemaRef,
    share: Share,
    collected: Vec<Batch>,
    rows: u64,
    /// Every row so far was an insertion.
    append_only: bool,
}

impl Sort {
    /// Sorts by keys, and passes on up to `fetch` rows after the first `skip`. It works on the owner of key group 0.
    pub fn new(keys: &[SortKey], skip: u64, fetch: Option<u64>, output: SchemaRef, share: Share) -> Self {
        Sort { keys: keys.to_vec(), skip, fetch, output, share, collected: vec![], rows: 0, append_only: true }
    }

    /// How many of the first rows count, those that are skipped included.
    fn wanted(&self) -> Option<u64> {
        self.fetch.map(|fetch| fetch.saturating_add(self.skip))
    }

    fn collect(&mut self, batches: impl Iterator<Item = Batch>) {
        for batch in batches.filter(|batch| batch.num_rows() > 0) {
            self.rows += batch.num_rows() as u64;
            self.append_only &= batch.weights.as_ref().is_none_or(|weights| weights.values().iter().all(|w| *w > 0));
            self.collected.push(batch);
        }
    }

    /// All rows so far, net and in order, cut to the first ones.
    fn sorted(&mut self) -> Result<RecordBatch> {
        let (columns, weights) = concat_weighted(&self.output, std::mem::take(&mut self.collected))?;
        let bytes = self.sort_bytes(&columns)?;
        let mut order: Vec<usize> = (0..columns.num_rows()).collect();
        order.sort_unstable_by(|a, b| bytes.row(*a).cmp(&bytes.row(*b)));
        let weight = |row: usize| weights.as_ref().map_or(1, |weights| weights.value(row));
        let net = order.chunk_by(|a, b| bytes.row(*a) == bytes.row(*b)).flat_map(|equal| {
            let times: i64 = equal.iter().map(|row| weight(*row)).sum();
            std::iter::repeat_n(equal[0] as u64, usize::try_from(times).unwrap_or(0))
        });
        let wanted = self.wanted().map_or(usize::MAX, |wanted| usize::try_from(wanted).unwrap_or(usize::MAX));
        let indices = UInt64Array::from_iter_values(net.take(wanted));
        take_record_batch(&columns, &indices).map_err(|e| arrow_error("sort rows", &e))
    }

    /// The keys' bytes, then those of all columns.
    fn sort_bytes(&self, columns: &RecordBatch) -> Result<Rows> {
        let types = types_of(&self.output);
        let key_field = |key: &SortKey| {
            let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
            SortField::new_with_options(types[key.column].clone(), options)
        };
        let fields = self.keys.iter().map(key_field).chain(types.iter().cloned().map(SortField::new));
        let keys = self.keys.iter().map(|key| columns.column(key.column));
        let columns: Vec<ArrayRef> = keys.chain(columns.columns()).cloned().collect();
        let converter = RowConverter::new(fields.collect()).map_err(|e| arrow_error("sort rows", &e))?;
        converter.convert_columns(&columns).map_err(|e| arrow_error("sort rows", &e))
    }

    /// Drops rows that cannot be among the first any more.
    fn prune(&mut self) -> Result<()> {
        let Some(wanted) = self.wanted() else { return Ok(()) };
        if self.append_only && self.rows > wanted.saturating_mul(2).saturating_add(SPARE_ROWS) {
            let kept = self.sorted()?;
            self.rows = kept.num_rows() as u64;
            self.collected = vec![Batch::append(kept)];
        }
        Ok(())
    }
}

impl EpochOperator for Sort {
    fn apply(&mut self, info: &EpochInfo, inputs: &mut [Vec<Batch>], output: &mut Vec<Batch>) -> Result<()> {
        self.collect(inputs[0].drain(..));
        if !info.last {
            return self.prune();
        }
        if self.rows > 0 {
            let rows = self.sorted()?;
            self.rows = 0;
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(rows.num_rows());
            let starts = (skipped..rows.num_rows()).step_by(BATCH_ROWS);
            let batches = starts.map(|start| rows.slice(start, BATCH_ROWS.min(rows.num_rows() - start)));
            output.extend(batches.map(Batch::append));
        }
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<StateTable>> {
        if !self.share.owns(0) {
            return Ok(vec![]);
        }
        let (columns, weights) = concat_weighted(&self.output, self.collected.clone())?;
        let rows = columns.num_rows();
        let weights = weights.unwrap_or_else(|| Int64Array::from(vec![1; rows]));
        let states = columns.columns().iter().cloned().chain([Arc::new(weights) as ArrayRef]).collect();
        Ok(vec![state_table(TABLE, rows, vec![], states)?])
    }

    fn restore(&mut self, tables: &[StateTable], share: Share) -> Result<()> {
        let width = self.output.fields().len();
        if let Some(rows) = owned_rows(tables, TABLE, 0, width + 1, share)? {
            let (columns, weights) = rows.columns().split_at(width);
            let columns = super::keyed_state::output_batch(&self.output, columns.to_vec(), rows.num_rows())?;
            self.collect([Batch::weighted(columns, saved_int64(&weights[0])?.clone())].into_iter());
        }
        Ok(())
    }

    fn stats(&self) -> OperatorStats {
        let bytes = self.collected.iter().map(|batch| batch.columns.get_array_memory_size()).sum();
        OperatorStats { late_rows: 0, state_bytes: bytes, state_rows: self.rows as usize }
    }
}

#[cfg(test)]
mod tests;
