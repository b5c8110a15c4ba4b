//! The rows of an index: Avro records in small batches, so that one row is read without many others.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::Bytes;
use fleuve_base::{Error, Result};
use fleuve_flow::batch::Batch;
use fleuve_format::{AvroDecoder, AvroEncoder, AvroOptions, AvroSchema, Decode, OnBad, Wanted};
use fleuve_journal::Partition;
use fleuve_record::{Batch as RecordBytes, BatchBuilder, BatchView, Batches};

use super::definition::{Definition, rebuild};

/// Rows of one record batch.
const BATCH_ROWS_MAX: usize = 256;

/// Bytes of one record batch, unless a single row is larger.
const BATCH_BYTES: usize = 16 << 10;

/// Turns the rows of an epoch into record batches.
pub(super) struct RowEncoder {
    encoder: AvroEncoder,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl RowEncoder {
    pub(super) fn new(definition: &Definition) -> Result<Self> {
        Ok(RowEncoder { encoder: AvroEncoder::new(&definition.schema)?, bytes: vec![], ends: vec![] })
    }

    pub(super) fn epoch(&mut self, batches: &[Batch], now_ms: i64) -> Result<Vec<RecordBytes>> {
        let (mut done, mut current) = (vec![], BatchBuilder::new());
        for batch in batches {
            if batch.weights.is_some() {
                return Err(Error::internal("an index was given rows that come and go"));
            }
            self.bytes.clear();
            self.ends.clear();
            self.encoder.encode_records(&batch.columns, &mut self.bytes, &mut self.ends)?;
            let mut start = 0;
            for end in &self.ends {
                current.append(now_ms, None, Some(&self.bytes[start..*end]), &[])?;
                start = *end;
                if current.len() >= BATCH_ROWS_MAX || current.batch_bytes() >= BATCH_BYTES {
                    done.push(std::mem::take(&mut current).finish()?);
                }
            }
        }
        if !current.is_empty() {
            done.push(current.finish()?);
        }
        Ok(done)
    }
}

/// Turns record batches into rows, or into some of their columns.
pub(super) struct RowDecoder {
    name: String,
    decoder: AvroDecoder,
    places: Vec<(u32, u32)>,
}

impl RowDecoder {
    pub(super) fn new(definition: &Definition, columns: &[usize]) -> Result<Self> {
        let schema: &Schema = &definition.schema;
        let wanted = |column: &usize| {
            let field = schema.field(*column);
            let (name, data_type) = (field.name().clone(), field.data_type().clone());
            Wanted { path: vec![name.clone()], name, data_type, nullable: field.is_nullable() }
        };
        let wanted: Vec<Wanted> = columns.iter().map(wanted).collect();
        let options = AvroOptions { on_bad: OnBad::Collect, ..AvroOptions::default() };
        let decoder = AvroDecoder::new(&AvroSchema::of_columns(schema)?, &wanted, options)?;
        Ok(RowDecoder { name: definition.name.clone(), decoder, places: vec![] })
    }

    /// All rows of a batch.
    ///
    /// # Errors
    /// Corrupt, if a record is not a row of the index.
    pub(super) fn decode(&mut self, batch: &BatchView) -> Result<RecordBatch> {
        let records = batch.records()?;
        let payload: &[u8] = records.payload();
        self.places.clear();
        for record in &records {
            let value = record?.value.ok_or_else(|| self.damaged(batch, "a record has no value"))?;
            let start = value.as_ptr().addr() - payload.as_ptr().addr();
            self.places.push((start as u32, (start + value.len()) as u32));
        }
        self.decoder.decode_records(payload, &self.places)?;
        let decoded = self.decoder.flush()?;
        if let Some(bad) = decoded.bad.first() {
            return Err(self.damaged(batch, &bad.reason));
        }
        if decoded.batch.num_rows() != self.places.len() {
            return Err(self.damaged(batch, "records are missing"));
        }
        Ok(decoded.batch)
    }

    fn damaged(&self, batch: &BatchView, reason: &str) -> Error {
        let (name, offset) = (&self.name, batch.header().base_offset);
        Error::corrupt(format!("index `{name}`: the rows from number {offset} on cannot be read: {reason}"))
            .with_hint(rebuild(name))
    }
}

/// The batches from an offset on, at least one, and the offset after them.
pub(super) fn read(partition: &Arc<Partition>, name: &str, offset: u64, bytes_max: usize) -> Result<(Batches, u64)> {
    let fetched = partition.read(offset, bytes_max).map_err(|error| error.with_hint(rebuild(name)))?;
    if fetched.next_offset <= offset {
        let message = format!("index `{name}` has no row {offset}; it has {}", partition.high_watermark());
        return Err(Error::corrupt(message).with_hint(rebuild(name)));
    }
    let bytes: Bytes = fetched.bytes;
    Ok((Batches::new(bytes), fetched.next_offset))
}
