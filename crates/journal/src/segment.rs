//! One segment: a file of batches, named after its first offset, with its indexes.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use fleuve_base::fs::{File, Fs};
use fleuve_base::{Error, Place, Result, Stored};
use fleuve_record::{Attributes, BatchHeader, HEADER_BYTES};
use parking_lot::{Mutex, MutexGuard};

use crate::buffers;
use crate::fresh::Fresh;
use crate::index::{INDEX_INTERVAL_BYTES, SegmentIndex};
use crate::scanner::{Scanner, Step, check_crc};
use crate::segment_name::SegmentName;

/// Which partition: what every error about stored bytes names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionId {
    /// The topic's name.
    pub topic: String,
    /// The partition's number, from 0.
    pub partition: u32,
}

impl PartitionId {
    /// A record of this partition.
    pub fn at(&self, offset: u64) -> Place {
        Place::Record { topic: self.topic.clone(), partition: self.partition, offset }
    }

    /// The error of a damaged record: it names the partition, the offset and the place in the file.
    pub(crate) fn damaged(&self, offset: u64, file: &Path, position: u64, reason: &str) -> Error {
        Error::corrupt(format!(
            "topic {}, partition {}: stored records are damaged: {reason}",
            self.topic, self.partition
        ))
        .at(self.at(offset))
        .with_detail(format!("file `{}`, position {position}; nothing was served from it", file.display()))
        .with_hint("restore the file from a backup, or read on at a later offset")
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// Where the segments of a partition live.
#[derive(Clone)]
pub(crate) struct SegmentHome {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) directory: PathBuf,
    pub(crate) id: Arc<PartitionId>,
    /// When the partition was opened.
    pub(crate) opened_ms: i64,
}

/// A segment. Its file is opened, and its index read, when first needed.
pub(crate) struct Segment {
    pub(crate) base_offset: u64,
    pub(crate) name: SegmentName,
    pub(crate) path: PathBuf,
    id: Arc<PartitionId>,
    fs: Arc<dyn Fs>,
    opened_ms: i64,
    file: OnceLock<Arc<dyn File>>,
    index: Mutex<Option<SegmentIndex>>,
    /// Bytes that readers may see.
    readable_bytes: AtomicU64,
    /// What was written just now.
    pub(crate) fresh: Fresh,
}

/// Whole batches of one segment, one after the other, verified. There may be none: before the bound of the read,
/// or up to the end of a compacted segment.
pub(crate) struct Slice<B = Bytes> {
    pub(crate) bytes: B,
    pub(crate) next_offset: u64,
    /// Whether any batch is part of a transaction.
    pub(crate) transactional: bool,
}

/// What is to be read: whole batches, the one that holds `from`, and as many after it as `max_bytes` allows and end at or
/// before `until`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) max_bytes: usize,
    /// The log's own time.
    pub(crate) now_ms: i64,
}

/// The form in which a read gives what it finds.
pub(crate) trait Form: Default {
    /// As [`Segment::read_near`].
    fn read_near(segment: &Segment, near: (u64, u64), wanted: Wanted) -> Result<Option<Slice<Self>>>;

    /// Whether there are no bytes.
    fn is_nothing(&self) -> bool;
}

impl Form for Bytes {
    fn read_near(segment: &Segment, near: (u64, u64), wanted: Wanted) -> Result<Option<Slice>> {
        segment.read_near(near, wanted)
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

impl Form for Stored {
    fn read_near(segment: &Segment, near: (u64, u64), wanted: Wanted) -> Result<Option<Slice<Self>>> {
        if segment.may_stay_in_file(near.1, wanted.max_bytes)? {
            return segment.find_near(near, wanted);
        }
        let read = segment.read_near(near, wanted)?;
        Ok(read.map(|Slice { bytes, next_offset, transactional }| Slice {
            bytes: bytes.into(),
            next_offset,
            transactional,
        }))
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

impl Segment {
    /// A segment whose file is there, with `bytes` of whole batches.
    pub(crate) fn new(home: &SegmentHome, name: SegmentName, bytes: u64) -> Self {
        let SegmentHome { fs, directory, id, opened_ms } = home.clone();
        Segment {
            base_offset: name.base_offset,
            name,
            path: name.path(&directory),
            id,
            fs,
            opened_ms,
            file: OnceLock::new(),
            index: Mutex::new(None),
            readable_bytes: AtomicU64::new(bytes),
            fresh: Fresh::behind(bytes, opened_ms),
        }
    }

    /// As [`Segment::new`], of a file that is open.
    pub(crate) fn opened(home: &SegmentHome, name: SegmentName, bytes: u64, file: Arc<dyn File>) -> Self {
        Segment { file: OnceLock::from(file), ..Self::new(home, name, bytes) }
    }

    /// Creates the file; its name is durable when this returns (crash point C4).
    pub(crate) fn create(home: &SegmentHome, base_offset: u64) -> io::Result<Self> {
        let segment = Self::new(home, SegmentName::dense(base_offset), 0);
        let file = home.fs.open(&segment.path, true)?;
        home.fs.sync_dir(&home.directory)?;
        segment.set_index(SegmentIndex::new(base_offset));
        Ok(Segment { file: OnceLock::from(file), ..segment })
    }

    pub(crate) fn file(&self) -> io::Result<&Arc<dyn File>> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        match self.fs.open(&self.path, false) {
            Ok(file) => Ok(self.file.get_or_init(|| file)),
            // A compaction that has replaced the segment meanwhile has opened it before.
            Err(error) => self.file.get().ok_or(error),
        }
    }

    pub(crate) fn readable_bytes(&self) -> u64 {
        self.readable_bytes.load(Ordering::Acquire)
    }

    pub(crate) fn set_readable_bytes(&self, bytes: u64) {
        self.readable_bytes.store(bytes, Ordering::Release);
    }

    /// As [`Segment::set_readable_bytes`], but never back.
    pub(crate) fn raise_readable_bytes(&self, bytes: u64) {
        self.readable_bytes.fetch_max(bytes, Ordering::AcqRel);
    }

    pub(crate) fn set_index(&self, index: SegmentIndex) {
        *self.index.lock() = Some(index);
    }

    /// Reads the index from its files if they fit the log's length.
    pub(crate) fn load_index(&self) -> Option<SegmentIndex> {
        SegmentIndex::read(&*self.fs, &self.path, self.base_offset, self.readable_bytes())
    }

    /// Runs `f` on the index, which is read or built first if need be.
    pub(crate) fn with_index<T>(&self, f: impl FnOnce(&mut SegmentIndex) -> T) -> Result<T> {
        let mut slot: MutexGuard<'_, Option<SegmentIndex>> = self.index.lock();
        let index = match slot.take().or_else(|| self.load_index()) {
            Some(index) => index,
            None => self.build_index().map_err(|e| self.io("read", &e))?,
        };
        Ok(f(slot.insert(index)))
    }

    /// From the log itself. Damaged batches get no entry; a reader comes upon them by itself.
    fn build_index(&self) -> io::Result<SegmentIndex> {
        let mut index = SegmentIndex::new(self.base_offset);
        let end = self.readable_bytes();
        let mut scanner = Scanner::new(&**self.file()?, self.name, end, 0, self.base_offset);
        loop {
            match scanner.step()? {
                // When it was appended is lost with the files; that it was before now is sure.
                Step::Batch(header, position) => index.note(&header, position, self.opened_ms),
                Step::Bad(_) if scanner.resync(scanner.next_offset..u64::MAX)? => {}
                Step::Bad(_) | Step::End => break,
            }
        }
        index.end_position = end;
        // An aid only: if it cannot be written now, it is built again next time.
        let _ = index.write(&*self.fs, &self.path);
        Ok(index)
    }

    pub(crate) fn write_index(&self) -> io::Result<()> {
        match &*self.index.lock() {
            Some(index) => index.write(&*self.fs, &self.path),
            None => Ok(()),
        }
    }

    /// Reads what is wanted. Every batch's checksum is verified, unless the batch is [`Fresh`] and stays in the file.
    pub(crate) fn read<B: Form>(&self, wanted: Wanted) -> Result<Slice<B>> {
        let from = wanted.from;
        let near = self.with_index(|index| index.locate(from))?;
        if let Some(slice) = B::read_near(self, near, wanted)? {
            return Ok(slice);
        }
        let Some(exact) = self.search(near, from)? else {
            let next_offset = self.end_of_gap().unwrap_or(from);
            return Ok(Slice { bytes: B::default(), next_offset, transactional: false });
        };
        let slice = B::read_near(self, exact, wanted)?;
        slice.ok_or_else(|| self.damaged(from, exact.1, "the stored bytes change from read to read"))
    }

    /// Where offsets go on after the last batch, if that may leave a gap.
    fn end_of_gap(&self) -> Option<u64> {
        self.name.compacted.map(|compacted| compacted.end_offset)
    }

    /// Reads from the batch at `position`, a little before `from`; `None` if anything is not as it should be, or if
    /// the batch is not where the index lets expect it.
    fn read_near(
        &self,
        (offset, position): (u64, u64),
        Wanted { from, until, max_bytes, .. }: Wanted,
    ) -> Result<Option<Slice>> {
        // How large the first batch is shows in its header: a batch that is larger than all that was asked for is then
        // not read twice.
        let first_bytes = batch_bytes_at(&self.chunk(position, HEADER_BYTES)?).unwrap_or(0);
        let wanted = max_bytes.max(HEADER_BYTES).saturating_add(INDEX_INTERVAL_BYTES as usize);
        let chunk = self.chunk(position, wanted.max(first_bytes))?;
        let Some((first, skipped)) = self.skip_to(&chunk, offset, from) else { return Ok(None) };
        let chunk = chunk.slice(skipped..);
        let Some(batch_bytes) = batch_bytes_at(&chunk) else { return Ok(None) };
        if batch_bytes <= chunk.len() {
            return Ok(self.collect(&chunk, first, until, max_bytes));
        }
        let chunk = self.chunk(position + skipped as u64, batch_bytes)?;
        Ok(self.collect(&chunk, first, until, max_bytes))
    }

    fn chunk(&self, position: u64, wanted: usize) -> Result<Bytes> {
        let left = self.readable_bytes().saturating_sub(position);
        let file = self.file().map_err(|e| self.io("open", &e))?;
        let length = wanted.min(usize::try_from(left).unwrap_or(wanted));
        if buffers::are_worth(length) {
            return buffers::filled(length, |buffer| file.read_at(buffer, position)).map_err(|e| self.io("read", &e));
        }
        let mut buffer = Vec::new();
        file.read_into(&mut buffer, length, position).map_err(|e| self.io("read", &e))?;
        Ok(Bytes::from(buffer))
    }

    /// Finds the batch that holds `from`, or is the next one after its gap, verifying each on the way; `None` if a
    /// compacted segment has no more.
    fn search(&self, (offset, position): (u64, u64), from: u64) -> Result<Option<(u64, u64)>> {
        let file = self.file().map_err(|e| self.io("open", &e))?;
        let mut scanner = Scanner::new(&**file, self.name, self.readable_bytes(), position, offset);
        loop {
            match scanner.step().map_err(|e| self.io("read", &e))? {
                Step::Batch(header, position) if header.next_offset() as u64 > from => {
                    return Ok(Some((header.base_offset as u64, position)));
                }
                Step::Batch(..) => {}
                Step::Bad(reason) => {
                    let (expected, position) = (scanner.next_offset, scanner.position);
                    let found = scanner.resync(expected..from.saturating_add(1)).map_err(|e| self.io("read", &e))?;
                    if !found {
                        return Err(self.damaged(from, position, &reason));
                    }
                }
                Step::End if self.name.compacted.is_some_and(|compacted| compacted.bytes == scanner.position) => {
                    return Ok(None);
                }
                Step::End => return Err(self.damaged(from, scanner.position, "the file ends before them")),
            }
        }
    }

    pub(crate) fn io(&self, what: &str, error: &io::Error) -> Error {
        Error::io(format_args!("{what} `{}`", self.path.display()), error)
    }

    fn damaged(&self, offset: u64, position: u64, reason: &str) -> Error {
        self.id.damaged(offset, &self.path, position, reason)
    }

    /// Removes the files. The log goes last: indexes without a log are leftovers that nobody reads.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for extension in ["index", "timeindex", "log"] {
            let path = self.path.with_extension(extension);
            if self.fs.exists(&path) {
                self.fs.remove_file(&path)?;
            }
        }
        Ok(())
    }
}

impl Segment {
    /// Skips batches before `from`, and gives offset and position of the batch that holds it or is the next one.
    /// Their checksums do not matter here; that each follows the one before does.
    fn skip_to(&self, chunk: &[u8], mut offset: u64, from: u64) -> Option<(u64, usize)> {
        let mut at = 0;
        loop {
            let header = BatchHeader::parse(chunk.get(at..)?).ok()?;
            self.name.check(&header, offset).ok()?;
            let next = header.next_offset() as u64;
            if next > from {
                return Some((header.base_offset as u64, at));
            }
            (offset, at) = (next, at + header.batch_bytes);
        }
    }

    /// The whole, valid batches at the front of `chunk`, the first of which has the offset `first`; `None` if
    /// that one is not valid.
    fn collect(&self, chunk: &Bytes, first: u64, until: u64, max_bytes: usize) -> Option<Slice> {
        let (mut end, mut next_offset, mut transactional) = (0, first, false);
        while next_offset < until {
            let Some(header) = self.valid_batch(&chunk[end..], next_offset) else {
                if end == 0 {
                    return None;
                }
                break;
            };
            let after = end + header.batch_bytes;
            if header.next_offset() as u64 > until || end > 0 && after > max_bytes {
                break;
            }
            (end, next_offset) = (after, header.next_offset() as u64);
            transactional |= header.attributes.has(Attributes::TRANSACTIONAL);
        }
        Some(Slice { bytes: chunk.slice(..end), next_offset, transactional })
    }

    fn valid_batch(&self, bytes: &[u8], offset: u64) -> Option<BatchHeader> {
        let header = BatchHeader::parse(bytes).ok()?;
        let batch = bytes.get(..header.batch_bytes)?;
        self.name.check(&header, offset).and_then(|()| check_crc(&header, batch)).ok().map(|()| header)
    }
}

fn batch_bytes_at(chunk: &[u8]) -> Option<usize> {
    BatchHeader::parse(chunk).ok().map(|header| header.batch_bytes)
}
