//! What is remembered of the records of a block beside their values.

use arrow::array::ArrayRef;
use bytes::Bytes;
use fleuve_base::Result;
use fleuve_record::{Record, Records};

use crate::decode::{Assemble, HeadersBuilder, WEIGHT, keys_column};

/// Metadata columns of a row from a topic, under Kafka's names in Flink.
pub(super) const METADATA: &[&str] = &["topic", "partition", "offset", "timestamp", "key", "headers", WEIGHT];

/// Header of a record: name and value.
type Header = (String, Option<Bytes>);

/// The records that were pushed into a decoder and not yet flushed, in order.
#[derive(Default)]
pub(super) struct Block {
    pub(super) offsets: Vec<u64>,
    pub(super) timestamps: Vec<i64>,
    pub(super) weights: Vec<i64>,
    keys: Option<Vec<Option<Bytes>>>,
    headers: Option<Vec<Vec<Header>>>,
    /// Records that are no rows.
    pub(super) passed: u64,
}

impl Block {
    /// Remembers what the scan wants.
    pub(super) fn new(assemble: &Assemble) -> Self {
        let keys = assemble.wants(&["key"]).then(Vec::new);
        let headers = assemble.wants(&["headers"]).then(Vec::new);
        Block { keys, headers, ..Block::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    pub(super) fn push(&mut self, record: &Record<'_>, records: &Records, weight: i64) -> Result<()> {
        self.offsets.push(record.offset as u64);
        self.timestamps.push(record.timestamp_ms);
        self.weights.push(weight);
        if let Some(keys) = &mut self.keys {
            keys.push(record.key.map(|key| records.payload().slice_ref(key)));
        }
        if let Some(headers) = &mut self.headers {
            let own = |value: &[u8]| records.payload().slice_ref(value);
            headers.push(record.headers.map(|header| (header.key.to_owned(), header.value.map(own))).collect());
        }
        Ok(())
    }

    /// The offset of the n-th record (from 1).
    pub(super) fn offset_of(&self, number: u64) -> u64 {
        self.offsets.get((number as usize).saturating_sub(1)).copied().unwrap_or(0)
    }

    pub(super) fn keys(&self, rows: impl Iterator<Item = usize>) -> ArrayRef {
        let keys = self.keys.as_deref().unwrap_or_default();
        keys_column(rows.map(|row| keys.get(row).and_then(Option::as_deref)))
    }

    pub(super) fn headers(&self, rows: impl Iterator<Item = usize>) -> Result<ArrayRef> {
        let (all, mut column) = (self.headers.as_deref().unwrap_or_default(), HeadersBuilder::new());
        for row in rows {
            let headers = all.get(row).map(Vec::as_slice).unwrap_or_default();
            column.push(headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())))?;
        }
        Ok(column.finish())
    }

    /// Forgets all records.
    pub(super) fn clear(&mut self) {
        self.offsets.clear();
        self.timestamps.clear();
        self.weights.clear();
        self.keys.iter_mut().for_each(Vec::clear);
        self.headers.iter_mut().for_each(Vec::clear);
    }
}
