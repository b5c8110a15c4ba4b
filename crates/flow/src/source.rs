//! What a source is to the engine: pieces of input that can be read again.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use bytes::Bytes;
use fleuve_base::{Error, Place, Result};
use fleuve_plan::{Control, Literal, bad_records_schema};
use serde::{Deserialize, Serialize};

/// A piece of a source, in numbers whose meaning the source knows. It is what the epoch journal records, so reading a
/// range again must yield the same rows for as long as the range is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Range {
    /// The split: a partition of a topic, or 0 for a directory.
    pub split: u32,
    /// A part of the split with positions of its own: a file's number in name order; 0 for a topic.
    pub item: u32,
    /// First position (a record's offset, a byte's position, a row's number).
    pub start: u64,
    /// Position after the last.
    pub end: u64,
}

/// A range, with its bytes if reading it was needed to find its end.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Which piece.
    pub range: Range,
    /// Its bytes, if the source has them at hand.
    pub bytes: Option<Bytes>,
}

/// The answer to a worker that asks for work.
#[derive(Debug)]
pub enum Claim {
    /// Decode this.
    Chunk(Chunk),
    /// Nothing now; the waker passed to [`Source::subscribe`] will be called when there may be something.
    Pending,
    /// Nothing ever again.
    Finished,
}

/// A table that is being read. Shared by all workers: whoever has time claims the next chunk.
pub trait Source: Send + Sync {
    /// Whether it ends by itself.
    fn bounded(&self) -> bool;

    /// Names of the splits, by number. May grow while it runs.
    fn splits(&self) -> Vec<String>;

    /// Hands out the next chunk of at most about `bytes_max` bytes (one record may be larger). Chunks of one split are
    /// handed out in order, without gaps.
    fn claim(&self, bytes_max: usize) -> Result<Claim>;

    /// The same chunk again, for a replay. A range that cannot be read any more is an error that names it.
    fn reclaim(&self, range: Range) -> Result<Chunk>;

    /// Goes on after these ranges, the last ones of each (split, item) that were journalled, in journal order.
    fn resume(&self, last: &[Range]) -> Result<()>;

    /// A decoder for one worker.
    fn decoder(&self) -> Result<Box<dyn Decoder>>;

    /// Registers what to call when there may be something to claim.
    fn subscribe(&self, waker: Waker);

    /// Everything before these ranges may be forgotten: no snapshot that is kept needs it.
    fn release(&self, before: &[Range]) {
        let _ = before;
    }

    /// A snapshot is valid that holds everything up to the ends of these ranges, the last ones of each split.
    fn snapshotted(&self, last: &[Range]) {
        let _ = last;
    }

    /// How far it is, for a progress bar: (done, all) in bytes or rows; `None` where there is no end.
    fn progress(&self) -> Option<(u64, u64)> {
        None
    }

    /// Does what a user asks while it is read.
    ///
    /// # Errors
    /// E201, if its groups have no rates; else what is wrong with the group or the rate.
    fn control(&self, control: &Control) -> Result<()> {
        let _ = control;
        Err(Error::unsupported("E201", "the groups of this query are not read at rates of their own")
            .with_hint("rates are for SELECT ONLINE … GROUP BY the columns of an index"))
    }

    /// How much a range holds, in whatever unit, but as much as it has rows at least: bytes of text, records, rows.
    fn extent(&self, range: Range) -> Result<u64> {
        Ok(range.end.saturating_sub(range.start))
    }

    /// Of a source that is read block by block in random order: what all blocks hold.
    fn extents(&self) -> Option<Extents> {
        None
    }

    /// Whether a chunk can be read again without reading what comes before it.
    fn seekable(&self) -> Result<bool> {
        Ok(true)
    }

    /// The run before had read everything, and this one goes on with it: what has appeared since is to be read, too. Called
    /// after [`Source::resume`].
    fn reopen(&self) -> Result<()> {
        Ok(())
    }

    /// Of a source that draws at random: how many draws gave a row, and how many were rejected and made again.
    fn draws(&self) -> Option<(u64, u64)> {
        None
    }

    /// Records that are there but not yet claimed, if known.
    fn lag(&self) -> Option<u64> {
        None
    }
}

/// What the blocks of a table hold; see [`Source::extent`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extents {
    /// Their number.
    pub blocks: u64,
    /// All of them together.
    pub all: u64,
    /// The largest.
    pub max: u64,
}

/// Called, from any thread, to wake the workers.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Turns chunks into columns. One for each worker; keeps its buffers.
pub trait Decoder: Send {
    /// Decodes a whole chunk into batches of [`Scan::schema`], at most about [`fleuve_base::limits::BATCH_ROWS`] rows each.
    fn decode(&mut self, chunk: &Chunk, decoded: &mut Decoded) -> Result<()>;
}

/// What decoding a chunk yields.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The rows that satisfy the scan's prefilter.
    pub batches: Vec<RecordBatch>,
    /// Rows seen, filtered ones and bad ones included.
    pub rows: u64,
    /// The greatest timestamp (ms) of [`Scan::max_of`] over **all** rows seen, filtered ones included.
    pub max_timestamp: Option<i64>,
    /// Records that could not be decoded and were skipped by the table's choice.
    pub bad: Vec<BadRecord>,
}

/// A record that could not be decoded.
#[derive(Debug, Clone)]
pub struct BadRecord {
    /// Where it stands.
    pub place: Place,
    /// What is wrong with it.
    pub reason: String,
    /// The record itself (cut to [`BAD_RECORD_BYTES_MAX`]).
    pub bytes: Bytes,
}

/// Bad records as rows of [`bad_records_schema`].
pub fn bad_records_batch(records: &[BadRecord]) -> Result<RecordBatch> {
    let reasons: StringArray = records.iter().map(|record| Some(record.reason.as_str())).collect();
    let places: StringArray = records.iter().map(|record| Some(record.place.to_string())).collect();
    let texts: StringArray = records.iter().map(|record| Some(String::from_utf8_lossy(&record.bytes))).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(reasons), Arc::new(places), Arc::new(texts)];
    RecordBatch::try_new(bad_records_schema(), columns).map_err(|e| Error::internal(format!("bad records: {e}")))
}

/// Bytes of a bad record that are kept.
pub const BAD_RECORD_BYTES_MAX: usize = 64 << 10;

/// What the engine wants from a source: no more is decoded than this.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The columns, in order.
    pub columns: Vec<ScanColumn>,
    /// Names and types of the columns.
    pub schema: SchemaRef,
    /// Conditions that every row must satisfy; a source that can test them on the raw field does so before it decodes the
    /// rest of the row. A source may ignore them (the engine filters again).
    pub prefilter: Vec<Prefilter>,
    /// The path of a timestamp whose maximum over all rows is wanted; a source that filters must honour it.
    pub max_of: Option<Vec<String>>,
}

/// One wanted column.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanColumn {
    /// Where its values come from.
    pub field: ScanField,
    /// The type to deliver.
    pub data_type: DataType,
    /// Whether NULL is allowed.
    pub nullable: bool,
}

/// The metadata key under which a source that holds a changelog is asked for the weight of each row: BIGINT, 1 for a row
/// that comes and −1 for one that goes. A source that is not asked for it must refuse to read a changelog.
pub const WEIGHT: &str = "$weight";

/// Where a wanted column's values come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ScanField {
    /// A physical column, or a field nested in it: `["bid", "price"]`.
    Data(Vec<String>),
    /// A metadata column by its key: `offset`, `partition`, `timestamp`, `key`, `file.path` ….
    Metadata(String),
}

/// `path` is one of these constants.
#[derive(Debug, Clone, PartialEq)]
pub struct Prefilter {
    /// The column, or a field nested in it.
    pub path: Vec<String>,
    /// The constants; non-empty, all of one type, none NULL.
    pub any_of: Vec<Literal>,
}
