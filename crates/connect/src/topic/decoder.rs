//! Record batches to columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::{take, take_record_batch};
use bytes::Bytes;
use fleuve_base::limits::BATCH_ROWS;
use fleuve_base::{Error, Result};
use fleuve_flow::source::{Chunk, Decoded, Decoder};
use fleuve_format::{BadRecord, Decode};
use fleuve_record::{Attributes, BatchView, Batches, Record, Records};

use super::rows::{Block, Columns, METADATA, Weights};
use super::shape::TopicShape;
use crate::decode::{Assemble, Extras, Layout, push_batches};

/// Decodes chunks of topics: slices of record batches, as logs and fetches hold them.
pub(crate) struct TopicDecoder {
    shape: Arc<TopicShape>,
    values: Part,
    keys: Option<Part>,
    assemble: Assemble,
    /// A record without a key cannot be a row.
    key_required: bool,
    /// The records that were taken since the last flush.
    block: Block,
    /// Those of them that delete.
    deleted: Vec<usize>,
    bad: Vec<(usize, BadRecord)>,
    /// Records that are no rows.
    passed: u64,
}

/// The decoder of values or of keys, and which record of the block each of its records is.
struct Part {
    rows: Box<dyn Decode>,
    records: Vec<usize>,
    /// Where those of the current batch lie that have not been decoded yet.
    waiting: Vec<(u32, u32)>,
    /// Whether the record of each row is wanted.
    track: bool,
}

/// What a part decoded.
struct Flushed {
    batch: RecordBatch,
    weights: Option<Int64Array>,
    /// The record of each row, if that is wanted.
    records: Vec<usize>,
    /// All records that were pushed.
    pushed: Vec<usize>,
    bad: Vec<(usize, BadRecord)>,
    max_timestamp: Option<i64>,
}

impl Part {
    fn new(layout: &Layout, track: bool) -> Result<Self> {
        let mut rows = layout.decoder(Extras { track })?;
        rows.seek("", 1, 0);
        Ok(Part { rows, records: Vec::new(), waiting: Vec::new(), track })
    }

    /// Takes a key or a value of a batch; its bytes are part of `payload`.
    fn push(&mut self, bytes: &[u8], payload: &[u8], record: usize) {
        let start = bytes.as_ptr().addr() - payload.as_ptr().addr();
        self.records.push(record);
        self.waiting.push((start as u32, (start + bytes.len()) as u32));
    }

    /// Decodes what waits, before the batch is left.
    fn decode(&mut self, payload: &[u8]) -> Result<()> {
        let decoded = self.rows.decode_records(payload, &self.waiting);
        self.waiting.clear();
        decoded
    }

    fn flush(&mut self) -> Result<Flushed> {
        let decoded = self.rows.flush()?;
        let record_of = |line: u64| self.records[(line as usize).saturating_sub(1)];
        debug_assert!(self.waiting.is_empty());
        let records = match self.track {
            true => decoded.lines.iter().map(|line| record_of(*line)).collect(),
            false => Vec::new(),
        };
        let bad = decoded.bad.into_iter().map(|bad| (record_of(bad.line), bad)).collect();
        self.rows.seek("", 1, 0);
        let pushed = std::mem::take(&mut self.records);
        let (batch, weights, max_timestamp) = (decoded.batch, decoded.weights, decoded.max_timestamp);
        Ok(Flushed { batch, weights, records, pushed, bad, max_timestamp })
    }
}

impl TopicDecoder {
    pub(crate) fn new(shape: Arc<TopicShape>) -> Result<Self> {
        let assemble = Assemble::new(shape.values.options().table(), &shape.scan, METADATA)?;
        let only_in_key = shape.slots.iter().zip(shape.data.fields()).filter(|(slot, _)| slot.value.is_none());
        let key_required = only_in_key.into_iter().any(|(_, field)| !field.is_nullable());
        Ok(TopicDecoder {
            // Rows that are nothing but their values need not know where they come from.
            values: Part::new(&shape.values, shape.keys.is_some() || assemble.wants_any())?,
            keys: shape.keys.as_ref().map(|keys| Part::new(keys, true)).transpose()?,
            block: Block::new(&assemble),
            deleted: Vec::new(),
            bad: Vec::new(),
            passed: 0,
            assemble,
            key_required,
            shape,
        })
    }

    fn batch(&mut self, batch: &BatchView, chunk: &Chunk, decoded: &mut Decoded) -> Result<()> {
        if batch.header().attributes.has(Attributes::CONTROL) {
            return Ok(());
        }
        let records = batch.records()?;
        for record in &records {
            let record = record?;
            let offset = record.offset as u64;
            if offset < chunk.range.start {
                continue;
            }
            if offset >= chunk.range.end {
                break;
            }
            self.record(&record, &records);
            if self.block.len() >= BATCH_ROWS {
                self.decode_waiting(&records)?;
                self.flush(chunk.range.split, decoded)?;
            }
        }
        self.decode_waiting(&records)
    }

    fn decode_waiting(&mut self, records: &Records) -> Result<()> {
        self.values.decode(records.payload())?;
        self.keys.as_mut().map_or(Ok(()), |keys| keys.decode(records.payload()))
    }

    fn record(&mut self, record: &Record<'_>, records: &Records) {
        let (number, payload) = (self.block.len(), records.payload());
        match (record.value, record.key, &mut self.keys) {
            (Some(_), None, Some(_)) if self.key_required => self.bad.push((number, without_key())),
            (Some(value), Some(key), Some(keys)) if self.shape.reads_keys() => {
                self.values.push(value, payload, number);
                keys.push(key, payload, number);
            }
            (Some(value), _, _) => self.values.push(value, payload, number),
            (None, Some(key), Some(keys)) if self.shape.deletes => {
                self.deleted.push(number);
                keys.push(key, payload, number);
            }
            // A deletion says nothing to a reader that knows only insertions.
            (None, _, _) => {
                self.passed += 1;
                return;
            }
        }
        self.block.push(record, records);
    }

    fn flush(&mut self, split: u32, decoded: &mut Decoded) -> Result<()> {
        let mut values = self.values.flush()?;
        let mut keys = self.keys.as_mut().map(Part::flush).transpose()?;
        decoded.rows += self.block.len() as u64 + std::mem::take(&mut self.passed);
        decoded.max_timestamp = decoded.max_timestamp.max(values.max_timestamp);
        let mut bad = std::mem::take(&mut self.bad);
        bad.append(&mut values.bad);
        self.judge(&self.shape.values, split, bad, decoded)?;
        if let (Some(keys), Some(layout)) = (&mut keys, &self.shape.keys) {
            decoded.max_timestamp = decoded.max_timestamp.max(keys.max_timestamp);
            self.judge(layout, split, std::mem::take(&mut keys.bad), decoded)?;
        }
        let key_rows = keys.as_ref().map(|keys| KeyRows::new(keys, self.block.len()));
        self.push_came(split, values, key_rows.as_ref(), decoded)?;
        if let Some(keys) = key_rows.filter(|_| !self.deleted.is_empty()) {
            self.push_deleted(split, &keys, decoded)?;
        }
        self.deleted.clear();
        self.block.clear();
        Ok(())
    }

    fn judge(&self, layout: &Layout, split: u32, bad: Vec<(usize, BadRecord)>, decoded: &mut Decoded) -> Result<()> {
        for (record, bad) in bad {
            let place = self.shape.place(split, self.block.offset_of(record), bad.column);
            layout.policy.apply(layout.format(), vec![bad], &mut |_| Ok(place.clone()), decoded)?;
        }
        Ok(())
    }

    /// The rows of records with a value.
    fn push_came(&self, split: u32, values: Flushed, keys: Option<&KeyRows<'_>>, decoded: &mut Decoded) -> Result<()> {
        let Flushed { batch, weights, records, .. } = values;
        if !self.shape.reads_keys() {
            return self.push(split, batch, &records, Weights::Given(weights.as_ref()), decoded);
        }
        let keys = keys.ok_or_else(|| Error::internal("columns of keys are read without keys"))?;
        // A row whose key is bad goes with it.
        let kept: UInt32Array = (0..records.len() as u32).filter(|row| !keys.is_bad(records[*row as usize])).collect();
        let records: Vec<usize> = kept.values().iter().map(|row| records[*row as usize]).collect();
        let batch = take_record_batch(&batch, &kept).map_err(internal)?;
        let weights = weights.map(|weights| take(&weights, &kept, None)).transpose().map_err(internal)?;
        let weights = weights.as_ref().and_then(|weights| weights.as_any().downcast_ref());
        let of_keys = keys.rows(&records);
        let columns = self.shape.slots.iter().map(|slot| match (slot.value, slot.key) {
            (Some(value), _) => Ok(batch.column(value).clone()),
            (None, Some(key)) => take(keys.batch.column(key), &of_keys, None).map_err(internal),
            (None, None) => Err(Error::internal("a column is in no part of a record")),
        });
        let data = self.data(columns.collect::<Result<Vec<_>>>()?, records.len())?;
        self.push(split, data, &records, Weights::Given(weights), decoded)
    }

    /// Rows of keys whose record has no value: all that is known of what goes.
    fn push_deleted(&self, split: u32, keys: &KeyRows<'_>, decoded: &mut Decoded) -> Result<()> {
        let records: Vec<usize> = self.deleted.iter().copied().filter(|record| !keys.is_bad(*record)).collect();
        let of_keys = keys.rows(&records);
        let columns = self.shape.slots.iter().map(|slot| match slot.key {
            Some(key) => take(keys.batch.column(key), &of_keys, None).map_err(internal),
            None => Ok(new_null_array(&slot.data_type, records.len())),
        });
        let data = self.data(columns.collect::<Result<Vec<_>>>()?, records.len())?;
        self.push(split, data, &records, Weights::Deleted, decoded)
    }

    fn data(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let rows = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.shape.data.clone(), columns, &rows).map_err(internal)
    }

    /// Adds the surroundings that the scan wants.
    fn push(
        &self,
        split: u32,
        data: RecordBatch,
        records: &[usize],
        weights: Weights<'_>,
        decoded: &mut Decoded,
    ) -> Result<()> {
        let (topic, partition) = self.shape.located(split);
        let batch = if self.assemble.wants_any() {
            self.assemble.batch(&data, &Columns { topic, partition, block: &self.block, records, weights })?
        } else {
            data
        };
        push_batches(batch, decoded);
        Ok(())
    }
}

impl TopicShape {
    /// Whether rows have columns that are only in their keys.
    fn reads_keys(&self) -> bool {
        self.slots.iter().any(|slot| slot.value.is_none())
    }
}

/// The rows of decoded keys, by record.
struct KeyRows<'a> {
    batch: &'a RecordBatch,
    /// For each record of the block the row of its key; NULL without one.
    rows: Vec<Option<u32>>,
    /// For each record whether its key could not be decoded.
    bad: Vec<bool>,
}

impl<'a> KeyRows<'a> {
    fn new(keys: &'a Flushed, records: usize) -> Self {
        let (mut rows, mut bad) = (vec![None; records], vec![false; records]);
        keys.pushed.iter().for_each(|record| bad[*record] = true);
        for (row, record) in keys.records.iter().enumerate() {
            (rows[*record], bad[*record]) = (Some(row as u32), false);
        }
        KeyRows { batch: &keys.batch, rows, bad }
    }

    fn is_bad(&self, record: usize) -> bool {
        self.bad[record]
    }

    fn rows(&self, records: &[usize]) -> UInt32Array {
        records.iter().map(|record| self.rows[*record]).collect()
    }
}

fn without_key() -> BadRecord {
    let reason = "it has no key, and the table takes columns from there that are NOT NULL".to_owned();
    BadRecord { line: 0, column: 0, position: 0, length: 0, reason, raw: Vec::new() }
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::internal(format!("columns of keys and values: {error}"))
}

impl Decoder for TopicDecoder {
    fn decode(&mut self, chunk: &Chunk, decoded: &mut Decoded) -> Result<()> {
        let bytes: Bytes =
            chunk.bytes.clone().ok_or_else(|| Error::internal("a chunk of a topic came without bytes"))?;
        for batch in Batches::new(bytes) {
            self.batch(&batch?, chunk, decoded)?;
        }
        self.flush(chunk.range.split, decoded)
    }
}
