//! Cutting files into chunks of whole records.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use fleuve_base::limits::LINE_BYTES_MAX;
use fleuve_base::{Error, ErrorKind, Place, Result};
use fleuve_flow::source::Range;

use super::cut::Cut;
use super::files::{Files, read_at};
use super::listing::FileEntry;

/// Bytes around a wanted end that are searched for a record's end at first.
const WINDOW_BYTES: u64 = 4 << 10;

/// Where the next chunk begins, and how far a compressed file has been read.
#[derive(Default)]
pub(super) struct Cursor {
    pub(super) item: u32,
    pub(super) position: u64,
    stream: Option<Stream>,
}

/// The end that a chunk is to have.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// After about so many bytes, at a record's end.
    About(u64),
    /// At this position, which is known to be a record's end.
    Exactly(u64),
}

impl Cursor {
    pub(super) fn at(item: u32, position: u64) -> Self {
        Cursor { item, position, stream: None }
    }

    pub(super) fn next_file(&mut self) {
        *self = Cursor::at(self.item + 1, 0);
    }

    /// The next chunk of the current file; none at its end. Bytes come along only if finding the end needed them.
    pub(super) fn next(&mut self, files: &Files, cut: Cut, end: End) -> Result<Option<(Range, Option<Bytes>)>> {
        let file = files.get(self.item)?;
        if files.is_compressed(&file) {
            return self.next_of_stream(files, cut, end);
        }
        if self.position >= file.bytes {
            return Ok(None);
        }
        let (end, bytes) = match (end, cut) {
            (End::Exactly(end), _) => (end, None),
            (End::About(bytes), Cut::Newline) => (self.newline_near(files, &file, bytes)?, None),
            (End::About(bytes), Cut::Quoted { .. }) => self.quoted_end(files, &file, cut, bytes)?,
        };
        Ok(Some((self.advance(end), bytes)))
    }

    fn advance(&mut self, end: u64) -> Range {
        let range = Range { split: 0, item: self.item, start: self.position, end };
        self.position = end;
        range
    }

    /// The end of the last line that ends within about `bytes`; of the first line if it is longer.
    fn newline_near(&self, files: &Files, entry: &FileEntry, bytes: u64) -> Result<u64> {
        let target = self.position + bytes;
        if target >= entry.bytes {
            return Ok(entry.bytes);
        }
        let (mut start, mut found) = (target, None);
        while start > self.position && found.is_none() {
            let end = start;
            start = start.saturating_sub(WINDOW_BYTES).max(self.position);
            found = memchr::memrchr(b'\n', &self.window(files, start, end)?).map(|newline| start + newline as u64);
        }
        let mut start = target;
        while start < entry.bytes && found.is_none() {
            let end = (start + WINDOW_BYTES * 16).min(entry.bytes);
            found = memchr::memchr(b'\n', &self.window(files, start, end)?).map(|newline| start + newline as u64);
            start = end;
            self.check_length(entry, start - self.position)?;
        }
        Ok(found.map_or(entry.bytes, |newline| newline + 1))
    }

    /// A few bytes of the file.
    fn window(&self, files: &Files, start: u64, end: u64) -> Result<Vec<u8>> {
        let mut window = vec![0; (end - start) as usize];
        let range = Range { split: 0, item: self.item, start, end };
        let file = files.open(self.item)?;
        let filled = read_at(&file, &mut window, start).map_err(|error| files.unreadable(range, &error))?;
        if filled < window.len() { Err(files.shrunk(range, filled as u64)) } else { Ok(window) }
    }

    /// The end of the last record within about `bytes`, with the bytes, since quotes have to be counted from the front.
    fn quoted_end(&self, files: &Files, entry: &Arc<FileEntry>, cut: Cut, bytes: u64) -> Result<(u64, Option<Bytes>)> {
        let mut wanted = bytes;
        loop {
            let end = (self.position + wanted).min(entry.bytes);
            let range = Range { split: 0, item: self.item, start: self.position, end };
            let read = files.read(range)?;
            let whole = if end == entry.bytes { read.len() } else { cut.whole_records(&read) };
            if whole > 0 {
                return Ok((self.position + whole as u64, Some(read.slice(..whole))));
            }
            self.check_length(entry, wanted)?;
            wanted *= 2;
        }
    }

    fn check_length(&self, entry: &FileEntry, bytes: u64) -> Result<()> {
        if bytes <= LINE_BYTES_MAX as u64 {
            return Ok(());
        }
        let message = format!("the record at byte {} is longer than {LINE_BYTES_MAX} bytes", self.position);
        Err(Error::new(ErrorKind::Limit, "E512", message)
            .with_hint("is this a text file with one record a line?")
            .at(Place::file(entry.path.display().to_string(), 0, 0)))
    }

    fn next_of_stream(&mut self, files: &Files, cut: Cut, end: End) -> Result<Option<(Range, Option<Bytes>)>> {
        let mut stream = match self.stream.take() {
            Some(stream) if stream.position == self.position => stream,
            _ => Stream::open(files, self.item, self.position)?,
        };
        let bytes = match end {
            End::Exactly(end) => stream.exactly(files, (end - self.position) as usize)?,
            End::About(bytes) => {
                let entry = files.get(self.item)?;
                stream.about(files, cut, bytes as usize, |bytes| self.check_length(&entry, bytes))?
            }
        };
        self.stream = Some(stream);
        if bytes.is_empty() {
            return Ok(None);
        }
        let range = self.advance(self.position + bytes.len() as u64);
        Ok(Some((range, Some(bytes))))
    }
}

/// A file that is read from its front: what has been read and not yet handed out is kept.
pub(super) struct Stream {
    item: u32,
    reader: Box<dyn Read + Send>,
    carry: Vec<u8>,
    /// Position (of the decompressed bytes) of the first byte of `carry`.
    position: u64,
    ended: bool,
}

impl Stream {
    /// A stream that stands at a position: what comes before it is read and dropped.
    pub(super) fn open(files: &Files, item: u32, position: u64) -> Result<Self> {
        let reader = files.sequential(item)?;
        let mut stream = Stream { item, reader, carry: Vec::new(), position: 0, ended: false };
        stream.skip_to(files, position)?;
        Ok(stream)
    }

    fn skip_to(&mut self, files: &Files, position: u64) -> Result<()> {
        while self.position < position {
            let wanted = (position - self.position).min(SKIP_BYTES) as usize;
            let skipped = self.exactly(files, wanted)?;
            if skipped.is_empty() {
                let range = Range { split: 0, item: self.item, start: self.position, end: position };
                return Err(files.shrunk(range, 0));
            }
        }
        Ok(())
    }

    /// The bytes of a range, going on from here if it lies ahead.
    pub(super) fn read(stream: &mut Option<Stream>, files: &Files, range: Range) -> Result<Bytes> {
        let ahead = stream.take().filter(|stream| stream.item == range.item && stream.position <= range.start);
        let mut here = match ahead {
            Some(stream) => stream,
            None => Stream::open(files, range.item, range.start)?,
        };
        here.skip_to(files, range.start)?;
        let length = (range.end - range.start) as usize;
        let bytes = here.exactly(files, length)?;
        if bytes.len() < length {
            return Err(files.shrunk(range, bytes.len() as u64));
        }
        *stream = Some(here);
        Ok(bytes)
    }

    /// So many bytes; fewer only at the end.
    fn exactly(&mut self, files: &Files, length: usize) -> Result<Bytes> {
        self.fill(files, length)?;
        Ok(self.take(length.min(self.carry.len())))
    }

    /// Whole records of about so many bytes; none only at the end.
    fn about(
        &mut self,
        files: &Files,
        cut: Cut,
        bytes: usize,
        check_length: impl Fn(u64) -> Result<()>,
    ) -> Result<Bytes> {
        let mut wanted = bytes;
        loop {
            self.fill(files, wanted)?;
            let here = &self.carry[..self.carry.len().min(wanted)];
            let last = self.ended && here.len() == self.carry.len();
            let whole = if last { here.len() } else { cut.whole_records(here) };
            if whole > 0 || last {
                return Ok(self.take(whole));
            }
            check_length(wanted as u64)?;
            wanted *= 2;
        }
    }

    fn fill(&mut self, files: &Files, length: usize) -> Result<()> {
        while self.carry.len() < length && !self.ended {
            let missing = (length - self.carry.len()) as u64;
            let read = (&mut self.reader).take(missing).read_to_end(&mut self.carry).map_err(|error| {
                let start = self.position + self.carry.len() as u64;
                files.unreadable(Range { split: 0, item: self.item, start, end: start }, &error)
            })?;
            self.ended = (read as u64) < missing;
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> Bytes {
        let rest = self.carry.split_off(length);
        self.position += length as u64;
        Bytes::from(std::mem::replace(&mut self.carry, rest))
    }
}

/// Bytes that are skipped at a time.
const SKIP_BYTES: u64 = 1 << 20;
