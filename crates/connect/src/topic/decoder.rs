//! Record batches to columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray, TimestampMillisecondArray};
use bytes::Bytes;
use fleuve_base::limits::BATCH_ROWS;
use fleuve_base::{Error, Place, Result};
use fleuve_flow::source::{Chunk, Decoded, Decoder};
use fleuve_format::Decode;
use fleuve_record::{Attributes, BatchView, Batches, Record, Records};

use super::rows::{Block, METADATA};
use crate::decode::{Assemble, Extras, Layout, Surroundings, WEIGHT, add_counts, push_batches, weights_or_ones};

/// What a source of topics and its decoders share.
pub(crate) struct TopicShape {
    pub(super) topic: String,
    pub(super) layout: Layout,
    /// The table has a primary key: a record's key holds it, and a record without value deletes.
    pub(super) keyed: bool,
    pub(super) origin: Origin,
}

/// What the records were before they came into the topic; decides how a bad one is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Records.
    Topic,
    /// Lines of a stream; the record with this offset is its first line in this run.
    Lines {
        /// `stdin`, or the peer's address.
        name: String,
        /// Offset of the first line.
        first: u64,
    },
}

pub(super) struct TopicDecoder {
    shape: Arc<TopicShape>,
    rows: Box<dyn Decode>,
    assemble: Assemble,
    /// The records that were pushed since the last flush.
    block: Block,
    changelog: bool,
}

impl TopicDecoder {
    pub(super) fn new(shape: Arc<TopicShape>) -> Result<Self> {
        let (layout, keyed) = (&shape.layout, shape.keyed);
        let table = layout.options().table();
        let assemble = Assemble::new(table, layout.scan(), METADATA)?;
        let weighted = assemble.wants(&[WEIGHT]);
        Ok(TopicDecoder {
            rows: layout.decoder(Extras { track: true, tombstones: keyed && weighted })?,
            block: Block::new(&assemble),
            changelog: keyed && weighted,
            assemble,
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
            self.record(&record, &records)?;
            if self.block.len() >= BATCH_ROWS {
                self.flush(chunk.range.split, decoded)?;
            }
        }
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>, records: &Records) -> Result<()> {
        match (record.value, record.key) {
            (Some(value), _) => {
                self.rows.push_record(value)?;
                self.block.push(record, records, 1)
            }
            (None, Some(key)) if self.changelog => {
                self.rows.push_record(key)?;
                self.block.push(record, records, -1)
            }
            // A deletion says nothing to a reader that knows only insertions.
            (None, _) => {
                self.block.passed += 1;
                Ok(())
            }
        }
    }

    fn flush(&mut self, partition: u32, decoded: &mut Decoded) -> Result<()> {
        let mut rows = self.rows.flush()?;
        add_counts(&rows, decoded);
        decoded.rows += std::mem::take(&mut self.block.passed);
        let (shape, block) = (&self.shape, &self.block);
        let mut place =
            |bad: &fleuve_format::BadRecord| Ok(shape.place(partition, block.offset_of(bad.line), bad.column));
        let bad = std::mem::take(&mut rows.bad);
        shape.layout.policy.apply(shape.layout.format(), bad, &mut place, decoded)?;
        let batch = if self.assemble.wants_any() || self.changelog {
            let lines = &rows.lines;
            let weights = rows.weights.as_ref();
            let columns = Columns { topic: &shape.topic, partition, block, lines, weights, keyed: self.changelog };
            self.assemble.batch(&rows.batch, &columns)?
        } else {
            rows.batch
        };
        push_batches(batch, decoded);
        self.block.clear();
        self.rows.seek("", 1, 0);
        Ok(())
    }
}

impl Decoder for TopicDecoder {
    fn decode(&mut self, chunk: &Chunk, decoded: &mut Decoded) -> Result<()> {
        let bytes: Bytes =
            chunk.bytes.clone().ok_or_else(|| Error::internal("a chunk of a topic came without bytes"))?;
        self.rows.seek("", 1, 0);
        for batch in Batches::new(bytes) {
            self.batch(&batch?, chunk, decoded)?;
        }
        self.flush(chunk.range.split, decoded)
    }
}

impl TopicShape {
    fn place(&self, partition: u32, offset: u64, column: u64) -> Place {
        match &self.origin {
            Origin::Lines { name, first } if offset >= *first => Place::file(name, offset - first + 1, column),
            _ => Place::Record { topic: self.topic.clone(), partition, offset },
        }
    }
}

/// The surroundings of a block's rows.
struct Columns<'a> {
    topic: &'a str,
    partition: u32,
    block: &'a Block,
    /// The number (from 1) of each row's record in the block.
    lines: &'a [u64],
    weights: Option<&'a Int64Array>,
    keyed: bool,
}

impl Surroundings for Columns<'_> {
    fn column(&self, key: &str) -> Option<ArrayRef> {
        let rows = || self.lines.iter().map(|line| (*line as usize).saturating_sub(1));
        Some(match key {
            "topic" => Arc::new(StringArray::from_iter_values(rows().map(|_| self.topic))),
            "partition" => Arc::new(Int32Array::from_value(self.partition as i32, self.lines.len())),
            "offset" => Arc::new(Int64Array::from_iter_values(rows().map(|row| self.block.offsets[row] as i64))),
            "timestamp" => {
                Arc::new(TimestampMillisecondArray::from_iter_values(rows().map(|row| self.block.timestamps[row])))
            }
            "key" => self.block.keys(rows()),
            "headers" => self.block.headers(rows()).ok()?,
            WEIGHT if self.keyed => Arc::new(Int64Array::from_iter_values(rows().map(|row| self.block.weights[row]))),
            WEIGHT => weights_or_ones(self.weights, self.lines.len()),
            _ => return None,
        })
    }
}
