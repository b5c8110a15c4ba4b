//! What one input brings in an epoch.

use arrow::array::{BooleanArray, Int64Array, RecordBatch};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use fleuve_base::{Error, Result};
use fleuve_state::columns::{arrow_error, compact, concat_owned, slabs, take_rows, time_values};
use fleuve_state::consolidate::consolidate_batches;
use fleuve_state::multimap::{CHUNK_ROWS_MAX, Keys};

use crate::batch::Batch;

/// Rows of an epoch with non-NULL keys, in columns of their own.
#[derive(Debug, Clone)]
pub(super) struct Slab {
    pub rows: RecordBatch,
    pub keys: Keys,
    /// `None` where each row counts once.
    pub weights: Option<Vec<i64>>,
}

impl Slab {
    /// The weight of a row; 1 where there are no weights.
    pub fn weight(&self, row: usize) -> i64 {
        self.weights.as_ref().map_or(1, |weights| weights[row])
    }

    /// Some of the rows, in columns of their own.
    pub fn take(&self, rows: &[u32]) -> Result<Slab> {
        let weights = self.weights.as_ref().map(|weights| rows.iter().map(|&row| weights[row as usize]).collect());
        Ok(Slab { rows: compact(&take_rows(&self.rows, rows)?)?, keys: self.keys.take(rows)?, weights })
    }
}

/// The net change of one input.
#[derive(Debug, Default)]
pub(super) struct Delta {
    pub slabs: Vec<Slab>,
    /// Rows that cannot match, a key or their time being NULL.
    pub unmatched: Vec<Batch>,
    pub late_rows: u64,
}

/// Turns the batches of an epoch into its net change.
pub(super) struct DeltaReader {
    schema: SchemaRef,
    /// Which columns of the input are kept.
    columns: Vec<usize>,
    /// Key columns, among those kept.
    keys: Vec<usize>,
    /// The time column, among those kept.
    time: Option<usize>,
    /// Whether equal rows are put together.
    weighted: bool,
}

impl DeltaReader {
    /// An empty side with these columns.
    pub fn new(schema: SchemaRef, columns: Vec<usize>, keys: Vec<usize>, time: Option<usize>, weighted: bool) -> Self {
        DeltaReader { schema, columns, keys, time, weighted }
    }

    /// Drains the batches. Rows with a time below `late` are counted and dropped; those that cannot match are dropped
    /// or handed back.
    pub fn read(&self, batches: &mut Vec<Batch>, late: Option<i64>, keep_unmatched: bool) -> Result<Delta> {
        let mut delta = Delta::default();
        let mut kept = Vec::with_capacity(batches.len());
        for batch in batches.drain(..).filter(|batch| batch.num_rows() > 0) {
            let columns = batch.columns.project(&self.columns).map_err(arrow_error)?;
            let batch = self.in_time(Batch { columns, weights: batch.weights }, late, &mut delta)?;
            let (batch, unmatched) = self.split_nulls(batch)?;
            delta.unmatched.extend(unmatched.filter(|_| keep_unmatched));
            if batch.num_rows() > 0 {
                kept.push(batch);
            }
        }
        if self.weighted {
            delta.unmatched = self.net(std::mem::take(&mut delta.unmatched))?.into_iter().map(weighted).collect();
        }
        delta.slabs = if self.weighted { self.net_slabs(kept)? } else { self.slabs(kept)? };
        Ok(delta)
    }

    fn in_time(&self, batch: Batch, late: Option<i64>, delta: &mut Delta) -> Result<Batch> {
        let (Some(time), Some(late)) = (self.time, late) else { return Ok(batch) };
        let column = batch.columns.column(time);
        let times = time_values(column)?;
        let in_time = BooleanBuffer::collect_bool(times.len(), |row| times[row] >= late || column.is_null(row));
        delta.late_rows += (times.len() - in_time.count_set_bits()) as u64;
        filter_batch(batch, in_time)
    }

    /// The rows that can match, and the others.
    fn split_nulls(&self, batch: Batch) -> Result<(Batch, Option<Batch>)> {
        let columns = self.keys.iter().chain(&self.time).map(|&column| batch.columns.column(column).logical_nulls());
        let nulls = columns.fold(None, |all, nulls| NullBuffer::union(all.as_ref(), nulls.as_ref()));
        match nulls.filter(|nulls| nulls.null_count() > 0) {
            None => Ok((batch, None)),
            Some(nulls) => {
                let unmatched = filter_batch(batch.clone(), !nulls.inner())?;
                Ok((filter_batch(batch, nulls.into_inner())?, Some(unmatched)))
            }
        }
    }

    fn slabs(&self, batches: Vec<Batch>) -> Result<Vec<Slab>> {
        let batches = batches.into_iter().map(append_only).collect::<Result<Vec<_>>>()?;
        slabs(&batches, CHUNK_ROWS_MAX).map(|slab| self.slab(concat_owned(&self.schema, slab)?, None)).collect()
    }

    fn net_slabs(&self, batches: Vec<Batch>) -> Result<Vec<Slab>> {
        self.net(batches)?.into_iter().map(|(rows, weights)| self.slab(rows, Some(weights))).collect()
    }

    fn slab(&self, rows: RecordBatch, weights: Option<Vec<i64>>) -> Result<Slab> {
        let keys = Keys::new(self.keys.iter().map(|&key| rows.column(key).clone()).collect(), rows.num_rows())?;
        Ok(Slab { rows, keys, weights })
    }

    fn net(&self, batches: Vec<Batch>) -> Result<Vec<(RecordBatch, Vec<i64>)>> {
        let weights = |batch: &Batch| match &batch.weights {
            Some(weights) => weights.values().to_vec(),
            None => vec![1; batch.num_rows()],
        };
        let parts = batches.into_iter().map(|batch| (weights(&batch), batch.columns)).map(|(w, rows)| (rows, w));
        consolidate_batches(&self.schema, parts.collect())
    }
}

fn weighted((rows, weights): (RecordBatch, Vec<i64>)) -> Batch {
    Batch::weighted(rows, Int64Array::from(weights))
}

/// The rows of an input that has no weights, or none but 1.
pub(in super::super) fn append_only(batch: Batch) -> Result<RecordBatch> {
    match &batch.weights {
        Some(weights) if weights.values().iter().any(|&weight| weight != 1) => {
            Err(Error::internal("an append-only input of a join carries weights"))
        }
        _ => Ok(batch.columns),
    }
}

/// The rows of a batch whose place is set.
pub(in super::super) fn filter_batch(batch: Batch, keep: BooleanBuffer) -> Result<Batch> {
    if keep.count_set_bits() == batch.num_rows() {
        return Ok(batch);
    }
    let keep = BooleanArray::from(keep);
    let kept = |weights: &Int64Array| -> Int64Array {
        keep.values().set_indices().map(|row| Some(weights.value(row))).collect()
    };
    let weights = batch.weights.as_ref().map(kept);
    Ok(Batch { columns: filter_record_batch(&batch.columns, &keep).map_err(arrow_error)?, weights })
}

/// The rows of a batch in which no key column is NULL.
pub(in super::super) fn without_nulls(batch: RecordBatch, keys: &[usize]) -> Result<RecordBatch> {
    let columns = keys.iter().map(|&column| batch.column(column).logical_nulls());
    let nulls = columns.fold(None, |all, nulls| NullBuffer::union(all.as_ref(), nulls.as_ref()));
    match nulls.filter(|nulls| nulls.null_count() > 0) {
        None => Ok(batch),
        Some(nulls) => filter_record_batch(&batch, &BooleanArray::from(nulls.into_inner())).map_err(arrow_error),
    }
}
