//! Walking a segment batch by batch, verifying each, and finding the next valid batch after damage.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use fleuve_base::canary;
use fleuve_base::fs::File;
use fleuve_base::limits::BATCH_BYTES_MAX;
use fleuve_record::{Attributes, BatchHeader, BatchView, EndMarker, HEADER_BYTES, LENGTH_PREFIX_BYTES, crc_of};

use crate::segment_name::SegmentName;

/// Bytes read at once.
const WINDOW_BYTES: usize = 1 << 20;

/// Bytes whose checksums are computed in search of a valid batch: crafted data can look like a batch at
/// every byte, and each try costs as much as the batch that it claims to be.
const RESYNC_BYTES_MAX: u64 = 1 << 30;

/// What lies at the scanner's position.
#[derive(Debug)]
pub(crate) enum Step {
    /// A valid batch; the scanner has moved past it.
    Batch(BatchHeader, u64),
    /// No valid batch, for this reason; the scanner stays.
    Bad(String),
    /// The end of the segment.
    End,
}

/// A position in a segment, and the offset that is expected there.
pub(crate) struct Scanner<'a> {
    file: &'a dyn File,
    name: SegmentName,
    end: u64,
    window: Vec<u8>,
    window_at: u64,
    /// Position of the next batch.
    pub(crate) position: u64,
    /// Its base offset.
    pub(crate) next_offset: u64,
}

impl<'a> Scanner<'a> {
    /// Starts at `position`, where the batch of `next_offset` should begin; the segment ends at `end`.
    pub(crate) fn new(file: &'a dyn File, name: SegmentName, end: u64, position: u64, next_offset: u64) -> Self {
        Scanner { file, name, end, window: Vec::new(), window_at: position, position, next_offset }
    }

    /// Checks the batch at the position and moves past it.
    pub(crate) fn step(&mut self) -> io::Result<Step> {
        if self.position >= self.end {
            return Ok(Step::End);
        }
        match self.check(self.position, Some(self.next_offset))? {
            Ok(header) => {
                let position = self.position;
                self.position += header.batch_bytes as u64;
                self.next_offset = header.next_offset() as u64;
                Ok(Step::Batch(header, position))
            }
            Err(reason) => Ok(Step::Bad(reason)),
        }
    }

    /// The marker in the batch of `header` that a step has found at `position`, if it holds one.
    pub(crate) fn marker(&mut self, header: &BatchHeader, position: u64) -> io::Result<Option<EndMarker>> {
        if !header.attributes.has(Attributes::CONTROL) {
            return Ok(None);
        }
        let bytes = Bytes::copy_from_slice(self.bytes(position, header.batch_bytes)?);
        Ok(BatchView::parse(&bytes).ok().and_then(|batch| EndMarker::parse(&batch)))
    }

    /// Moves to the next valid batch whose offset is in `offsets`, after damage at the position.
    ///
    /// First the place that the damaged batch's own length points to: that finds the right one even if the
    /// records hold bytes that look like a batch.
    pub(crate) fn resync(&mut self, offsets: Range<u64>) -> io::Result<bool> {
        if let Some(found) = self.by_length(&offsets)? {
            (self.position, self.next_offset) = found;
            return Ok(true);
        }
        let mut budget = RESYNC_BYTES_MAX;
        let mut at = self.position + 1;
        while let Some(candidate) = self.candidate(at, &offsets)? {
            let Some(left) = budget.checked_sub(candidate.batch_bytes) else { return Ok(false) };
            budget = left;
            if let Ok(header) = self.check(candidate.position, None)? {
                (self.position, self.next_offset) = (candidate.position, header.base_offset as u64);
                return Ok(true);
            }
            at = candidate.position + 1;
        }
        Ok(false)
    }

    fn by_length(&mut self, offsets: &Range<u64>) -> io::Result<Option<(u64, u64)>> {
        let position = self.position;
        let Ok(damaged) = BatchHeader::parse(self.bytes(position, HEADER_BYTES)?) else { return Ok(None) };
        let next = position + damaged.batch_bytes as u64;
        let found = self.check(next, Some(damaged.next_offset() as u64))?.ok().map(|header| header.base_offset as u64);
        Ok(found.filter(|base| offsets.contains(base)).map(|base| (next, base)))
    }

    /// The next position whose bytes look like a header, judged by its fixed fields only.
    fn candidate(&mut self, from: u64, offsets: &Range<u64>) -> io::Result<Option<Candidate>> {
        let mut at = from;
        loop {
            let end = self.end;
            let bytes =
                self.bytes(at, WINDOW_BYTES.min(usize::try_from(end.saturating_sub(at)).unwrap_or(WINDOW_BYTES)))?;
            if bytes.len() < HEADER_BYTES {
                return Ok(None);
            }
            for (index, header) in bytes.windows(HEADER_BYTES).enumerate() {
                let position = at + index as u64;
                if let Some(candidate) =
                    Candidate::of(header, position, end).filter(|c| offsets.contains(&c.base_offset))
                {
                    return Ok(Some(candidate));
                }
            }
            at += (bytes.len() - HEADER_BYTES + 1) as u64;
        }
    }

    /// Whether a whole, valid batch begins at `position`, and follows there if the next offset is `expected`.
    fn check(&mut self, position: u64, expected: Option<u64>) -> io::Result<Result<BatchHeader, String>> {
        let left = self.end.saturating_sub(position);
        let header = match BatchHeader::parse(self.bytes(position, HEADER_BYTES)?) {
            Ok(header) => header,
            Err(error) => return Ok(Err(error.message().to_owned())),
        };
        let left = if canary("tail_off_by_one") { left.saturating_sub(1) } else { left };
        if header.batch_bytes as u64 > left {
            return Ok(Err(format!("a record batch of {} bytes is cut off after {left}", header.batch_bytes)));
        }
        let name = self.name;
        let bytes = self.bytes(position, header.batch_bytes)?;
        let follows = || name.check(&header, expected.unwrap_or(header.base_offset as u64));
        Ok(check_crc(&header, bytes).and_then(|()| follows()).map(|()| header))
    }

    /// Up to `length` bytes at `position`; fewer only where the segment ends.
    fn bytes(&mut self, position: u64, length: usize) -> io::Result<&[u8]> {
        let length = length.min(usize::try_from(self.end.saturating_sub(position)).unwrap_or(length));
        let window_end = self.window_at + self.window.len() as u64;
        if position < self.window_at || position + length as u64 > window_end {
            let wanted =
                length.max(WINDOW_BYTES).min(usize::try_from(self.end.saturating_sub(position)).unwrap_or(length));
            self.window.resize(wanted, 0);
            let read = self.file.read_at(&mut self.window, position)?;
            self.window.truncate(read);
            self.window_at = position;
        }
        let start = usize::try_from(position - self.window_at).unwrap_or(usize::MAX).min(self.window.len());
        Ok(&self.window[start..self.window.len().min(start + length)])
    }
}

/// A place that may hold a batch.
struct Candidate {
    position: u64,
    base_offset: u64,
    batch_bytes: u64,
}

impl Candidate {
    fn of(header: &[u8], position: u64, end: u64) -> Option<Self> {
        if header[16] != 2 || header[12..16] != [0; 4] {
            return None;
        }
        let base_offset = u64::from_be_bytes(*header.first_chunk()?);
        let length = u32::from_be_bytes(*header[8..].first_chunk()?);
        let batch_bytes = u64::from(length) + LENGTH_PREFIX_BYTES as u64;
        let fits = batch_bytes >= HEADER_BYTES as u64
            && batch_bytes <= BATCH_BYTES_MAX as u64
            && position + batch_bytes <= end;
        fits.then_some(Candidate { position, base_offset, batch_bytes })
    }
}

/// Whether these are the bytes that were written.
pub(crate) fn check_crc(header: &BatchHeader, batch: &[u8]) -> Result<(), String> {
    let crc = crc_of(batch).unwrap_or(!header.crc);
    if crc == header.crc || canary("ignore_crc") {
        return Ok(());
    }
    Err(format!("a record batch has the checksum {crc:08x} instead of {:08x}", header.crc))
}
