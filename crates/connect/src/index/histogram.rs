//! `HISTOGRAM(TABLE t, DESCRIPTOR(c))`: the tree's levels as rows, breadth-first.
//!
//! A range is a range of buckets of the level that is its *item*. A level is read when its first bucket is handed out, and kept, so
//! that its ranges give the same rows again for as long as the source is open.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array};
use fleuve_base::{Error, ErrorKind, Result};
use fleuve_flow::source::{Chunk, Claim, Decoded, Decoder, Range, Scan, ScanField, Source, Waker};
use fleuve_sketch::index::Bucket;
use parking_lot::Mutex;

use super::columns::{name_of, project};
use super::tree::Index;

/// Buckets of one chunk.
const CHUNK_BUCKETS: u64 = 1_024;

/// The levels of an index that is being read.
pub(super) struct HistogramSource {
    shape: Arc<Shape>,
    state: Mutex<Next>,
}

/// What the source and its decoders share.
struct Shape {
    index: Arc<Index>,
    scan: Scan,
    levels: Mutex<BTreeMap<u32, Arc<Vec<Bucket>>>>,
}

/// What is handed out next.
#[derive(Default)]
struct Next {
    level: u32,
    bucket: u64,
}

impl HistogramSource {
    pub(super) fn new(index: Arc<Index>, scan: Scan) -> Result<Self> {
        Ok(HistogramSource {
            shape: Arc::new(Shape { index, scan, levels: Mutex::default() }),
            state: Mutex::default(),
        })
    }
}

impl Shape {
    /// The buckets of a level; none below the leaves.
    fn level(&self, level: u32) -> Arc<Vec<Bucket>> {
        let mut levels = self.levels.lock();
        let read = || Arc::new(self.index.tree().level(level as usize).collect::<Vec<_>>());
        Arc::clone(levels.entry(level).or_insert_with(read))
    }
}

impl Source for HistogramSource {
    fn bounded(&self) -> bool {
        true
    }

    fn splits(&self) -> Vec<String> {
        vec![self.shape.index.definition().name.clone()]
    }

    fn claim(&self, _bytes_max: usize) -> Result<Claim> {
        let mut next = self.state.lock();
        let buckets = self.shape.level(next.level).len() as u64;
        if buckets == 0 {
            return Ok(Claim::Finished);
        }
        let end = buckets.min(next.bucket + CHUNK_BUCKETS);
        let range = Range { split: 0, item: next.level, start: next.bucket, end };
        *next = if end < buckets { Next { bucket: end, ..*next } } else { Next { level: next.level + 1, bucket: 0 } };
        Ok(Claim::Chunk(Chunk { range, bytes: None }))
    }

    fn reclaim(&self, range: Range) -> Result<Chunk> {
        let known = self.shape.levels.lock().contains_key(&range.item);
        if known { Ok(Chunk { range, bytes: None }) } else { Err(moved(&self.shape.index)) }
    }

    fn resume(&self, last: &[Range]) -> Result<()> {
        if last.is_empty() { Ok(()) } else { Err(moved(&self.shape.index)) }
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(HistogramDecoder { shape: Arc::clone(&self.shape) }))
    }

    fn subscribe(&self, _waker: Waker) {}
}

/// The planner does not let a pipeline that is restarted read what may have changed by then.
pub(super) fn moved(index: &Index) -> Error {
    let message = format!("what was read of index `{}` cannot be read again", index.definition().name);
    Error::new(ErrorKind::Conflict, "E507", message)
}

struct HistogramDecoder {
    shape: Arc<Shape>,
}

impl Decoder for HistogramDecoder {
    fn decode(&mut self, chunk: &Chunk, decoded: &mut Decoded) -> Result<()> {
        let Range { item, start, end, .. } = chunk.range;
        let level = self.shape.level(item);
        let buckets = level.get(start as usize..end as usize).ok_or_else(|| moved(&self.shape.index))?;
        let keys = self.shape.index.keys();
        let low = keys.decode_first(buckets.iter().map(|bucket| bucket.low.as_slice()))?;
        let high = keys.decode_first(buckets.iter().map(|bucket| bucket.high.as_slice()))?;
        let column = |field: &ScanField| -> Option<ArrayRef> {
            Some(match name_of(field)? {
                "level" => Arc::new(Int32Array::from_value(item as i32, buckets.len())),
                "bucket" => Arc::new((start..end).map(|bucket| bucket as i64).collect::<Int64Array>()),
                "low" => Arc::clone(&low),
                "high" => Arc::clone(&high),
                "row_count" => Arc::new(buckets.iter().map(|bucket| bucket.rows as i64).collect::<Int64Array>()),
                "error" => Arc::new(buckets.iter().map(|bucket| bucket.error as i64).collect::<Int64Array>()),
                _ => return None,
            })
        };
        decoded.rows += buckets.len() as u64;
        decoded.batches.push(project(&self.shape.scan, buckets.len(), column)?);
        Ok(())
    }
}
