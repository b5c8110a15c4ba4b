//! The sparse indexes of a segment: offset → position, and timestamp → offset.
//!
//! In memory while the segment is in use; written beside it when it is sealed or the log is closed. They are
//! aids, never the truth: each file carries a checksum and the length of the log that it covers, and one that
//! does not fit is built again from the log.

use std::io;
use std::path::Path;

use fleuve_base::fs::{self, Fs};
use fleuve_record::BatchHeader;

use crate::little_endian::{Reader, close, start};

/// A batch gets an entry when so many bytes have passed since the last one.
pub(crate) const INDEX_INTERVAL_BYTES: u64 = 16 << 10;

const OFFSET_MAGIC: [u8; 4] = *b"FLIX";
const TIME_MAGIC: [u8; 4] = *b"FLTX";
const VERSION: u32 = 1;
const OFFSET_ENTRY_BYTES: usize = 8;
const TIME_ENTRY_BYTES: usize = 12;

/// Where a batch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OffsetEntry {
    relative_offset: u32,
    position: u32,
}

/// No record before the end of the batch at `relative_offset` is newer than `max_timestamp_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TimeEntry {
    max_timestamp_ms: i64,
    relative_offset: u32,
}

/// Both indexes of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentIndex {
    base_offset: u64,
    offsets: Vec<OffsetEntry>,
    times: Vec<TimeEntry>,
    /// Position after the last batch noted.
    pub(crate) end_position: u64,
    /// Offset after the last batch noted.
    pub(crate) end_offset: u64,
    /// The greatest timestamp of any record.
    pub(crate) max_timestamp_ms: i64,
    /// When the segment was last appended to, by the log's own clock.
    pub(crate) last_append_ms: i64,
    next_entry_position: u64,
}

impl SegmentIndex {
    /// Of an empty segment.
    pub(crate) fn new(base_offset: u64) -> Self {
        SegmentIndex {
            base_offset,
            offsets: Vec::new(),
            times: Vec::new(),
            end_position: 0,
            end_offset: base_offset,
            max_timestamp_ms: i64::MIN,
            last_append_ms: i64::MIN,
            next_entry_position: 0,
        }
    }

    /// Whether a batch that ends before `next_offset` and `end_position` can still be noted.
    pub(crate) fn has_room(&self, next_offset: u64, end_position: u64) -> bool {
        next_offset - self.base_offset <= u64::from(u32::MAX) && end_position <= u64::from(u32::MAX)
    }

    /// Notes the batch at `position`.
    pub(crate) fn note(&mut self, header: &BatchHeader, position: u64, now_ms: i64) {
        self.max_timestamp_ms = self.max_timestamp_ms.max(header.max_timestamp_ms);
        self.last_append_ms = self.last_append_ms.max(now_ms);
        if position >= self.next_entry_position {
            let relative_offset = (header.base_offset as u64 - self.base_offset) as u32;
            self.offsets.push(OffsetEntry { relative_offset, position: position as u32 });
            self.times.push(TimeEntry { max_timestamp_ms: self.max_timestamp_ms, relative_offset });
            self.next_entry_position = position + INDEX_INTERVAL_BYTES;
        }
        self.end_position = position + header.batch_bytes as u64;
        self.end_offset = header.next_offset() as u64;
    }

    /// Offset and position of a batch at or before `offset`, at most an interval before its batch begins.
    pub(crate) fn locate(&self, offset: u64) -> (u64, u64) {
        let after = self.offsets.partition_point(|e| self.base_offset + u64::from(e.relative_offset) <= offset);
        match after.checked_sub(1).map(|last| self.offsets[last]) {
            Some(entry) => (self.base_offset + u64::from(entry.relative_offset), u64::from(entry.position)),
            None => (self.base_offset, 0),
        }
    }

    /// An offset before which every record is older than `timestamp_ms`.
    pub(crate) fn first_candidate(&self, timestamp_ms: i64) -> u64 {
        let after = self.times.partition_point(|e| e.max_timestamp_ms < timestamp_ms);
        after
            .checked_sub(1)
            .map_or(self.base_offset, |last| self.base_offset + u64::from(self.times[last].relative_offset))
    }

    /// Forgets the batches from `offset` on, which begin at `position`.
    pub(crate) fn cut(&mut self, offset: u64, position: u64) {
        let relative = offset - self.base_offset;
        self.offsets.retain(|entry| u64::from(entry.relative_offset) < relative);
        self.times.retain(|entry| u64::from(entry.relative_offset) < relative);
        self.next_entry_position = self.offsets.last().map_or(0, |e| u64::from(e.position) + INDEX_INTERVAL_BYTES);
        (self.end_offset, self.end_position) = (offset, position);
    }

    /// Writes both files, unsynced: a torn one is built again (crash point C5).
    pub(crate) fn write(&self, fs: &dyn Fs, segment: &Path) -> io::Result<()> {
        overwrite(fs, &segment.with_extension("index"), &self.encode_offsets())?;
        overwrite(fs, &segment.with_extension("timeindex"), &self.encode_times())
    }

    /// Reads both files; `None` unless they are whole and cover exactly `log_bytes` of the segment.
    pub(crate) fn read(fs: &dyn Fs, segment: &Path, base_offset: u64, log_bytes: u64) -> Option<Self> {
        let offsets = fs::read(fs, &segment.with_extension("index")).ok()?;
        let times = fs::read(fs, &segment.with_extension("timeindex")).ok()?;
        let mut index = Self::decode_offsets(&offsets)?;
        index.times = decode_times(&times, base_offset)?;
        (index.base_offset == base_offset && index.end_position == log_bytes).then_some(index)
    }

    fn encode_offsets(&self) -> Vec<u8> {
        let mut bytes = start(OFFSET_MAGIC, VERSION);
        for field in [self.base_offset, self.end_offset, self.end_position] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&self.max_timestamp_ms.to_le_bytes());
        bytes.extend_from_slice(&self.last_append_ms.to_le_bytes());
        bytes.extend_from_slice(&(self.offsets.len() as u32).to_le_bytes());
        for entry in &self.offsets {
            bytes.extend_from_slice(&entry.relative_offset.to_le_bytes());
            bytes.extend_from_slice(&entry.position.to_le_bytes());
        }
        close(bytes)
    }

    fn encode_times(&self) -> Vec<u8> {
        let mut bytes = start(TIME_MAGIC, VERSION);
        bytes.extend_from_slice(&self.base_offset.to_le_bytes());
        bytes.extend_from_slice(&(self.times.len() as u32).to_le_bytes());
        for entry in &self.times {
            bytes.extend_from_slice(&entry.max_timestamp_ms.to_le_bytes());
            bytes.extend_from_slice(&entry.relative_offset.to_le_bytes());
        }
        close(bytes)
    }

    fn decode_offsets(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::checked(bytes)?;
        reader.expect(OFFSET_MAGIC, VERSION)?;
        let mut index = Self::new(reader.u64()?);
        (index.end_offset, index.end_position) = (reader.u64()?, reader.u64()?);
        (index.max_timestamp_ms, index.last_append_ms) = (reader.i64()?, reader.i64()?);
        for _ in 0..reader.count(OFFSET_ENTRY_BYTES)? {
            index.offsets.push(OffsetEntry { relative_offset: reader.u32()?, position: reader.u32()? });
        }
        index.next_entry_position =
            index.offsets.last().map_or(0, |entry| u64::from(entry.position) + INDEX_INTERVAL_BYTES);
        reader.is_empty().then_some(index)
    }
}

fn decode_times(bytes: &[u8], base_offset: u64) -> Option<Vec<TimeEntry>> {
    let mut reader = Reader::checked(bytes)?;
    reader.expect(TIME_MAGIC, VERSION)?;
    if reader.u64()? != base_offset {
        return None;
    }
    let mut times = Vec::new();
    for _ in 0..reader.count(TIME_ENTRY_BYTES)? {
        times.push(TimeEntry { max_timestamp_ms: reader.i64()?, relative_offset: reader.u32()? });
    }
    reader.is_empty().then_some(times)
}

fn overwrite(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = fs.open(path, true)?;
    file.set_len(0)?;
    file.write_at(bytes, 0)
}
