//! The result of an epoch, in batches of bounded size.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use fleuve_base::Result;
use fleuve_base::limits::BATCH_ROWS;
use fleuve_state::columns::{arrow_error, batch_of};
use fleuve_state::consolidate::consolidate_batches;
use fleuve_state::multimap::{Multimap, Pairs, RowId};

use super::delta::Slab;
use super::pairs::{PairStream, Probing};
use crate::batch::Batch;

/// Collects result rows.
pub(in super::super) struct Output {
    schema: SchemaRef,
    weighted: bool,
    batches: Vec<Batch>,
    /// Pairs of one stream that do not yet fill a batch.
    pending: Pairs,
    pending_weights: Vec<i64>,
}

impl Output {
    /// Rows of this schema, with weights or not.
    pub fn new(schema: SchemaRef, weighted: bool) -> Self {
        Output { schema, weighted, batches: Vec::new(), pending: Pairs::default(), pending_weights: Vec::new() }
    }

    /// Adds the current pairs of a stream, as left and right columns side by side. `weights` are the probing rows'. Ends
    /// with [`Output::flush`] before the next stream begins.
    pub fn pairs(&mut self, stream: &PairStream, store: &Multimap, weights: Option<&[i64]>) -> Result<()> {
        let pairs = stream.pairs();
        if self.pending.len() + pairs.len() > BATCH_ROWS {
            self.flush(stream, store)?;
        }
        self.pending.probe.extend_from_slice(&pairs.probe);
        self.pending.stored.extend_from_slice(&pairs.stored);
        if self.weighted {
            let own = |row: u32| weights.map_or(1, |weights| weights[row as usize]);
            let product = |(&row, &id): (&u32, &RowId)| own(row) * store.weight(id);
            self.pending_weights.extend(pairs.probe.iter().zip(&pairs.stored).map(product));
        }
        Ok(())
    }

    /// Makes a batch of the pairs that wait.
    pub fn flush(&mut self, stream: &PairStream, store: &Multimap) -> Result<()> {
        let pairs = std::mem::take(&mut self.pending);
        let weights = std::mem::take(&mut self.pending_weights);
        let probing = take_columns(&stream.rows, &pairs.probe)?;
        let all: Vec<usize> = (0..store.layout().schema.fields().len()).collect();
        let stored = if pairs.is_empty() { vec![] } else { store.gather(&all, &pairs.stored)? };
        let columns = match stream.probing {
            Probing::Left => [probing, stored].concat(),
            Probing::Right => [stored, probing].concat(),
        };
        self.push(columns, pairs.len(), weights)
    }

    /// Adds new left rows, by their weights, with NULLs in place of right columns.
    pub(super) fn new_rows(&mut self, slab: &Slab, rows: &[u32]) -> Result<()> {
        let weight = |&row: &u32| slab.weight(row as usize);
        let weights: Vec<i64> = if self.weighted { rows.iter().map(weight).collect() } else { vec![] };
        self.some_rows(&slab.rows, rows, &weights)
    }

    /// Adds some rows of a left batch, once each, with NULLs in place of right columns.
    pub fn left_rows(&mut self, batch: &RecordBatch, rows: &[u32]) -> Result<()> {
        self.some_rows(batch, rows, &vec![1; if self.weighted { rows.len() } else { 0 }])
    }

    fn some_rows(&mut self, batch: &RecordBatch, rows: &[u32], weights: &[i64]) -> Result<()> {
        for start in (0..rows.len()).step_by(BATCH_ROWS) {
            let end = rows.len().min(start + BATCH_ROWS);
            let weights = weights.get(start..end).unwrap_or_default().to_vec();
            self.alone(take_columns(batch, &rows[start..end])?, end - start, weights)?;
        }
        Ok(())
    }

    /// Adds stored left rows, with NULLs in place of right columns.
    pub fn stored_rows(&mut self, store: &Multimap, ids: &[RowId], weights: &[i64]) -> Result<()> {
        let all: Vec<usize> = (0..store.layout().schema.fields().len()).collect();
        for start in (0..ids.len()).step_by(BATCH_ROWS) {
            let end = ids.len().min(start + BATCH_ROWS);
            let weights = if self.weighted { weights[start..end].to_vec() } else { vec![] };
            self.alone(store.gather(&all, &ids[start..end])?, end - start, weights)?;
        }
        Ok(())
    }

    /// Adds whole batches of left rows, with NULLs in place of right columns.
    pub fn batches(&mut self, batches: Vec<Batch>) -> Result<()> {
        for batch in batches {
            for start in (0..batch.num_rows()).step_by(BATCH_ROWS) {
                let rows = start..batch.num_rows().min(start + BATCH_ROWS);
                let weights = if self.weighted { rows.clone().map(|row| batch.weight(row)).collect() } else { vec![] };
                let part = batch.columns.slice(start, rows.len());
                self.alone(part.columns().to_vec(), rows.len(), weights)?;
            }
        }
        Ok(())
    }

    fn alone(&mut self, mut columns: Vec<ArrayRef>, rows: usize, weights: Vec<i64>) -> Result<()> {
        let missing = &self.schema.fields()[columns.len()..];
        columns.extend(missing.iter().map(|field| new_null_array(field.data_type(), rows)));
        self.push(columns, rows, weights)
    }

    fn push(&mut self, columns: Vec<ArrayRef>, rows: usize, weights: Vec<i64>) -> Result<()> {
        if rows > 0 {
            let weights = self.weighted.then(|| Int64Array::from(weights));
            self.batches.push(Batch { columns: batch_of(&self.schema, columns, rows)?, weights });
        }
        Ok(())
    }

    /// The batches; with `cancels`, equal rows are put together first.
    pub fn finish(self, cancels: bool) -> Result<Vec<Batch>> {
        if !(cancels && self.weighted) {
            return Ok(self.batches);
        }
        let parts =
            self.batches.into_iter().filter_map(|batch| Some((batch.columns, batch.weights?.values().to_vec())));
        let mut net = Vec::new();
        for (rows, weights) in consolidate_batches(&self.schema, parts.collect())? {
            for start in (0..rows.num_rows()).step_by(BATCH_ROWS) {
                let count = BATCH_ROWS.min(rows.num_rows() - start);
                let weights = Int64Array::from(weights[start..start + count].to_vec());
                net.push(Batch::weighted(rows.slice(start, count), weights));
            }
        }
        Ok(net)
    }
}

/// One batch of several.
pub(in super::super) fn concat_batches(schema: &SchemaRef, mut batches: Vec<Batch>) -> Result<Batch> {
    if batches.len() == 1 {
        return Ok(batches.swap_remove(0));
    }
    let weighted = batches.iter().any(|batch| batch.weights.is_some());
    let weights =
        weighted.then(|| batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| batch.weight(row))).collect());
    let columns: Vec<RecordBatch> = batches.into_iter().map(|batch| batch.columns).collect();
    Ok(Batch { columns: arrow::compute::concat_batches(schema, &columns).map_err(arrow_error)?, weights })
}

/// Rows of some columns; the columns as they are if all rows are asked for, in order.
fn take_columns(batch: &RecordBatch, rows: &[u32]) -> Result<Vec<ArrayRef>> {
    if rows.len() == batch.num_rows() && rows.iter().enumerate().all(|(place, &row)| place == row as usize) {
        return Ok(batch.columns().to_vec());
    }
    let indices = UInt32Array::from(rows.to_vec());
    batch.columns().iter().map(|column| take(column, &indices, None).map_err(arrow_error)).collect()
}
