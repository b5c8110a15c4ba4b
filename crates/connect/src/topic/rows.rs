//! What is remembered of the records of a block beside their values.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray, TimestampMillisecondArray};
use bytes::Bytes;
use fleuve_base::Result;
use fleuve_record::{Attributes, BatchHeader, Record, Records};

use crate::decode::{Assemble, HeadersBuilder, Surroundings, WEIGHT, keys_column, weights_or_ones};

/// Metadata columns of a row from a topic, under Kafka's names in Flink; `key` is the record's key as bytes.
pub(super) const METADATA: &[&str] =
    &["topic", "partition", "offset", "timestamp", "timestamp-type", "leader-epoch", "key", "headers", WEIGHT];

/// Header of a record: name and value.
type Header = (String, Option<Bytes>);

/// The records that were taken into a decoder and not yet flushed, in order. Of each only what the scan wants is kept.
#[derive(Default)]
pub(super) struct Block {
    pub(super) offsets: Vec<u64>,
    timestamps: Option<Vec<i64>>,
    /// Leader epoch, and whether the timestamp is the log's.
    batches: Option<Vec<(i32, bool)>>,
    keys: Option<Vec<Option<Bytes>>>,
    headers: Option<Vec<Vec<Header>>>,
}

impl Block {
    /// Remembers what the scan wants.
    pub(super) fn new(assemble: &Assemble) -> Self {
        let timestamps = assemble.wants(&["timestamp"]).then(Vec::new);
        let batches = assemble.wants(&["leader-epoch", "timestamp-type"]).then(Vec::new);
        let keys = assemble.wants(&["key"]).then(Vec::new);
        let headers = assemble.wants(&["headers"]).then(Vec::new);
        Block { timestamps, batches, keys, headers, ..Block::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    pub(super) fn push(&mut self, record: &Record<'_>, records: &Records) {
        self.offsets.push(record.offset as u64);
        if let Some(timestamps) = &mut self.timestamps {
            timestamps.push(record.timestamp_ms);
        }
        if let Some(batches) = &mut self.batches {
            batches.push(batch_facts(records.header()));
        }
        if let Some(keys) = &mut self.keys {
            keys.push(record.key.map(|key| records.payload().slice_ref(key)));
        }
        if let Some(headers) = &mut self.headers {
            let own = |value: &[u8]| records.payload().slice_ref(value);
            headers.push(record.headers.map(|header| (header.key.to_owned(), header.value.map(own))).collect());
        }
    }

    /// The offset of a record.
    pub(super) fn offset_of(&self, record: usize) -> u64 {
        self.offsets.get(record).copied().unwrap_or(0)
    }

    fn keys(&self, records: &[usize]) -> ArrayRef {
        let keys = self.keys.as_deref().unwrap_or_default();
        keys_column(records.iter().map(|record| keys.get(*record).and_then(Option::as_deref)))
    }

    fn headers(&self, records: &[usize]) -> Result<ArrayRef> {
        let (all, mut column) = (self.headers.as_deref().unwrap_or_default(), HeadersBuilder::new());
        for record in records {
            let headers = all.get(*record).map(Vec::as_slice).unwrap_or_default();
            column.push(headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())))?;
        }
        Ok(column.finish())
    }

    /// Forgets all records.
    pub(super) fn clear(&mut self) {
        self.offsets.clear();
        self.timestamps.iter_mut().for_each(Vec::clear);
        self.batches.iter_mut().for_each(Vec::clear);
        self.keys.iter_mut().for_each(Vec::clear);
        self.headers.iter_mut().for_each(Vec::clear);
    }
}

fn batch_facts(header: &BatchHeader) -> (i32, bool) {
    (header.leader_epoch, header.attributes.has(Attributes::LOG_APPEND_TIME))
}

/// Why rows are there.
pub(super) enum Weights<'a> {
    /// Their records say so: by the format's weights, or all came.
    Given(Option<&'a Int64Array>),
    /// Their keys were deleted.
    Deleted,
}

/// The surroundings of a block's rows.
pub(super) struct Columns<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: u32,
    pub(super) block: &'a Block,
    /// The record, as its place in the block, of each row.
    pub(super) records: &'a [usize],
    pub(super) weights: Weights<'a>,
}

impl Surroundings for Columns<'_> {
    fn column(&self, key: &str) -> Option<ArrayRef> {
        let (block, count) = (self.block, self.records.len());
        let rows = || self.records.iter().copied();
        let batches = || rows().map(|row| block.batches.as_ref().map_or((0, false), |batches| batches[row]));
        Some(match key {
            "topic" => Arc::new(StringArray::from_iter_values(rows().map(|_| self.topic))),
            "partition" => Arc::new(Int32Array::from_value(self.partition as i32, count)),
            "offset" => Arc::new(Int64Array::from_iter_values(rows().map(|row| block.offsets[row] as i64))),
            "timestamp" => {
                let timestamps = block.timestamps.as_deref().unwrap_or_default();
                Arc::new(TimestampMillisecondArray::from_iter_values(rows().map(|row| timestamps[row])))
            }
            "timestamp-type" => Arc::new(StringArray::from_iter_values(
                batches().map(|(_, appended)| if appended { "LogAppendTime" } else { "CreateTime" }),
            )),
            "leader-epoch" => {
                Arc::new(batches().map(|(epoch, _)| (epoch >= 0).then_some(epoch)).collect::<Int32Array>())
            }
            "key" => block.keys(self.records),
            "headers" => block.headers(self.records).ok()?,
            WEIGHT => match self.weights {
                Weights::Given(weights) => weights_or_ones(weights, count),
                Weights::Deleted => Arc::new(Int64Array::from_value(-1, count)),
            },
            _ => return None,
        })
    }
}
