//! Rows by number, with the batches that were read last kept in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use fleuve_base::{Error, Result};
use fleuve_journal::Partition;

use super::definition::Definition;
use super::rows::{RowDecoder, read};

/// Bytes of decoded batches that are kept.
pub(super) const CACHE_BYTES_MAX: usize = 64 << 20;

/// Decoded batches by the number of their first row; the oldest go first.
pub(super) struct RowCache {
    name: String,
    partition: Arc<Partition>,
    decoder: RowDecoder,
    empty: RecordBatch,
    batches: BTreeMap<u64, RecordBatch>,
    order: VecDeque<u64>,
    bytes: usize,
    bytes_max: usize,
}

impl RowCache {
    pub(super) fn new(definition: &Definition, partition: &Arc<Partition>, bytes_max: usize) -> Result<Self> {
        let all: Vec<usize> = (0..definition.schema.fields().len()).collect();
        Ok(RowCache {
            name: definition.name.clone(),
            partition: Arc::clone(partition),
            decoder: RowDecoder::new(definition, &all)?,
            empty: RecordBatch::new_empty(definition.schema()),
            batches: BTreeMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            bytes_max,
        })
    }

    /// The rows of these numbers, in their order.
    pub(super) fn fetch(&mut self, rows: &[u64]) -> Result<RecordBatch> {
        let (mut taken, mut numbers) = (vec![], HashMap::new());
        let mut picks = Vec::with_capacity(rows.len());
        for row in rows {
            let (first, batch) = self.batch_of(*row)?;
            let number = *numbers.entry(first).or_insert_with(|| {
                taken.push(batch);
                taken.len() - 1
            });
            picks.push((number, (row - first) as usize));
        }
        if picks.is_empty() {
            return Ok(self.empty.clone());
        }
        let taken: Vec<&RecordBatch> = taken.iter().collect();
        interleave_record_batch(&taken, &picks).map_err(|error| Error::internal(format!("rows of an index: {error}")))
    }

    /// The batch that holds a row, and the number of its first row.
    fn batch_of(&mut self, row: u64) -> Result<(u64, RecordBatch)> {
        if let Some((first, batch)) = self.batches.range(..=row).next_back()
            && row - first < batch.num_rows() as u64
        {
            return Ok((*first, batch.clone()));
        }
        let (mut batches, _) = read(&self.partition, &self.name, row, 0)?;
        let batch = batches.next().transpose()?;
        let batch = batch.ok_or_else(|| Error::corrupt(format!("index `{}` has lost row {row}", self.name)))?;
        let (first, decoded) = (batch.header().base_offset as u64, self.decoder.decode(&batch)?);
        if row < first || row - first >= decoded.num_rows() as u64 {
            return Err(Error::corrupt(format!("index `{}` has lost row {row}", self.name)));
        }
        self.keep(first, &decoded);
        Ok((first, decoded))
    }

    fn keep(&mut self, first: u64, batch: &RecordBatch) {
        self.bytes += batch.get_array_memory_size();
        self.order.push_back(first);
        self.batches.insert(first, batch.clone());
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.order.pop_front()
        {
            let gone = self.batches.remove(&oldest);
            self.bytes -= gone.map_or(0, |batch| batch.get_array_memory_size());
        }
    }
}
