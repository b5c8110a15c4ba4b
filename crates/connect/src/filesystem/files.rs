//! The files of a table, read at any position, plain or compressed.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use fleuve_base::{Error, ErrorKind, Result};
use fleuve_flow::source::Range;
use fleuve_format::compress::{self, Compression as Codec};
use parking_lot::{Mutex, RwLock};

use super::buffers::Buffers;
use super::listing::FileEntry;

/// Bytes that the operating system is asked to read ahead.
const READ_AHEAD_BYTES: u64 = 8 << 20;

/// Bytes that a sequential reader takes from a file at a time.
const SEQUENTIAL_BYTES: usize = 256 << 10;

/// The numbered files of one table; shared by the source and its decoders.
pub(super) struct Files {
    table: String,
    compression: Compression,
    list: RwLock<Vec<Arc<FileEntry>>>,
    /// The file that was read last, since the next read is likely of the same.
    open: Mutex<Option<(u32, Arc<File>)>>,
    buffers: Buffers,
}

/// How the files of a table are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// What the extension says.
    Auto,
    /// This codec.
    Stated(Codec),
}

impl Compression {
    pub(super) fn of(option: Option<&str>) -> Self {
        match option {
            Some("gzip") => Compression::Stated(Codec::Gzip),
            Some("zstd") => Compression::Stated(Codec::Zstd),
            Some("none") => Compression::Stated(Codec::None),
            _ => Compression::Auto,
        }
    }

    fn codec(self, file: &FileEntry) -> Codec {
        match self {
            Compression::Stated(codec) => codec,
            Compression::Auto => Codec::of_name(&file.path.to_string_lossy()),
        }
    }
}

impl Files {
    pub(super) fn new(table: &str, compression: Compression) -> Self {
        Files {
            table: table.to_owned(),
            compression,
            list: RwLock::default(),
            open: Mutex::default(),
            buffers: Buffers::default(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.list.read().len()
    }

    pub(super) fn all(&self) -> Vec<Arc<FileEntry>> {
        self.list.read().clone()
    }

    pub(super) fn set(&self, files: Vec<FileEntry>) {
        *self.list.write() = files.into_iter().map(Arc::new).collect();
        *self.open.lock() = None;
    }

    pub(super) fn extend(&self, files: Vec<FileEntry>) {
        self.list.write().extend(files.into_iter().map(Arc::new));
    }

    /// The file of a number.
    pub(super) fn get(&self, item: u32) -> Result<Arc<FileEntry>> {
        self.list.read().get(item as usize).cloned().ok_or_else(|| {
            let message = format!("table `{}`: file number {item} is not in the stored list", self.table);
            Error::new(ErrorKind::Conflict, "E507", message)
        })
    }

    /// Whether the file is decompressed as it is read, so that positions can only be reached from the front.
    pub(super) fn is_compressed(&self, file: &FileEntry) -> bool {
        self.compression.codec(file) != Codec::None
    }

    /// The open file.
    pub(super) fn open(&self, item: u32) -> Result<Arc<File>> {
        if let Some((open, file)) = &*self.open.lock()
            && *open == item
        {
            return Ok(file.clone());
        }
        let entry = self.get(item)?;
        let file = File::open(&entry.path).map_err(|error| self.gone(&entry, &error))?;
        // Advice may be refused (a pipe has no pages); reading works without it.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
        let file = Arc::new(file);
        *self.open.lock() = Some((item, file.clone()));
        Ok(file)
    }

    fn gone(&self, entry: &FileEntry, error: &io::Error) -> Error {
        if error.kind() == io::ErrorKind::NotFound {
            let message =
                format!("table `{}`: `{}` has gone, and not all of it was read", self.table, entry.path.display());
            return Error::new(ErrorKind::Conflict, "E507", message).with_hint("put the file back");
        }
        Error::io(format_args!("open `{}`", entry.path.display()), error)
    }

    /// All bytes of a range of a plain file. A file that has become shorter is an error.
    pub(super) fn read(&self, range: Range) -> Result<Bytes> {
        let file = self.open(range.item)?;
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let crossed = range.start / READ_AHEAD_BYTES != range.end / READ_AHEAD_BYTES;
        if range.start == 0 || crossed {
            let ahead = std::num::NonZeroU64::new(READ_AHEAD_BYTES);
            let _ = rustix::fs::fadvise(&file, range.end, ahead, rustix::fs::Advice::WillNeed);
        }
        let bytes = self.buffers.read(length, |buffer| read_at(&file, buffer, range.start));
        let bytes = bytes.map_err(|error| self.unreadable(range, &error))?;
        if bytes.len() < length {
            return Err(self.shrunk(range, bytes.len() as u64));
        }
        Ok(bytes)
    }

    pub(super) fn unreadable(&self, range: Range, error: &io::Error) -> Error {
        let path = self.get(range.item).map(|entry| entry.path.display().to_string()).unwrap_or_default();
        Error::io(format_args!("read `{path}` at byte {}", range.start), error)
    }

    /// The file ended before a range that it held when it was listed.
    pub(super) fn shrunk(&self, range: Range, found: u64) -> Error {
        let path = self.get(range.item).map(|entry| entry.path.display().to_string()).unwrap_or_default();
        let (start, end) = (range.start, range.end);
        let message = format!("table `{}`: bytes {start} to {end} of `{path}` cannot be read any more", self.table);
        Error::new(ErrorKind::Conflict, "E507", message)
            .with_detail(format!("the file ends at byte {}; it has been cut or replaced", start + found))
            .with_hint("put the file back as it was: a file must not change while it is being read")
    }

    /// Reads a file from its front, decompressed.
    pub(super) fn sequential(&self, item: u32) -> Result<Box<dyn Read + Send>> {
        let entry = self.get(item)?;
        let file = ReadAt { file: self.open(item)?, position: 0, end: entry.bytes };
        let file = io::BufReader::with_capacity(SEQUENTIAL_BYTES, file);
        compress::decompress(self.compression.codec(&entry), file, DECOMPRESSED_FILE_BYTES_MAX)
    }
}

/// Bytes that one compressed file may hold: a bound against files that never end.
const DECOMPRESSED_FILE_BYTES_MAX: u64 = 1 << 42;

/// Reads until the buffer is full or the file ends.
pub(super) fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A shared file as a stream: keeps a position of its own.
struct ReadAt {
    file: Arc<File>,
    position: u64,
    end: u64,
}

impl Read for ReadAt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..wanted], self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

/// Counts the lines of a file, only when someone asks: for the place of a bad record.
#[derive(Default)]
pub(super) struct LineCounter {
    at: Option<Counted>,
}

struct Counted {
    item: u32,
    reader: Box<dyn Read + Send>,
    position: u64,
    newlines: u64,
}

impl LineCounter {
    /// The number (from 1) of the line that begins at a position. Going on from the last answer where that is possible,
    /// so that all bad records of a file cost one reading of it.
    pub(super) fn line_at(&mut self, files: &Files, item: u32, position: u64) -> Result<u64> {
        let counted = match self.at.take() {
            Some(counted) if counted.item == item && counted.position <= position => counted,
            _ => Counted { item, reader: files.sequential(item)?, position: 0, newlines: 0 },
        };
        let counted = self.at.insert(counted);
        counted.advance(position).map_err(|error| {
            files.unreadable(Range { split: 0, item, start: counted.position, end: position }, &error)
        })?;
        Ok(counted.newlines + 1)
    }
}

impl Counted {
    fn advance(&mut self, position: u64) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        while self.position < position {
            let wanted = usize::try_from(position - self.position).unwrap_or(usize::MAX).min(buffer.len());
            let read = self.reader.read(&mut buffer[..wanted])?;
            if read == 0 {
                break;
            }
            self.newlines += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64;
            self.position += read as u64;
        }
        Ok(())
    }
}
