//! Reads that leave the batches where they are: each is verified in a small buffer, and only its place is given. Of fresh
//! batches ([`Fresh`](crate::fresh::Fresh)) only the headers are looked at.
//!
//! The buffer is small so that it stays in the processor's cache; what goes out to the reader is taken from the file once
//! more, by the kernel (`sendfile`), and never enters this process's memory. A memory map would save the copy into the
//! buffer, but an error of the disk would then end the process instead of being an error of one read.

use std::io;
use std::sync::Arc;

use fleuve_base::fs::File;
use fleuve_base::{FileRange, Result, Stored, canary};
use fleuve_record::{Attributes, BatchHeader, CrcOfParts, HEADER_BYTES};

use crate::buffers::Scratch;
use crate::segment::{Segment, Slice, Wanted};

/// Bytes of the buffer: a part of the cache that a processor has for itself.
const WINDOW_BYTES: usize = 128 << 10;

/// The least that is read.
const HEADER_WINDOW_BYTES: usize = 4 << 10;

/// What is smaller is sent from memory: to have the kernel fetch it costs a call more.
const STORED_BYTES_MIN: u64 = 64 << 10;

impl Segment {
    /// Whether a read of `max_bytes` from `position` should leave them in the file.
    pub(crate) fn may_stay_in_file(&self, position: u64, max_bytes: usize) -> Result<bool> {
        let there = self.readable_bytes().saturating_sub(position);
        if there.min(max_bytes as u64) < STORED_BYTES_MIN {
            return Ok(false);
        }
        let file = self.file().map_err(|e| self.io("open", &e))?;
        Ok(file.descriptor().is_some())
    }

    /// As [`Segment::read_near`]; what is found stays in the file.
    pub(crate) fn find_near(&self, near: (u64, u64), wanted: Wanted) -> Result<Option<Slice<Stored>>> {
        let file = self.file().map_err(|e| self.io("open", &e))?;
        let mut walk = Walk::new(self, file, near, wanted.now_ms);
        let found = (|| match walk.skip_to(wanted.from)? {
            None => Ok(None),
            Some(first) => walk.collect(&first, wanted.until, wanted.max_bytes),
        })();
        found.map_err(|e: io::Error| self.io("read", &e))
    }
}

/// A position in a segment where a batch should begin.
struct Walk<'a> {
    segment: &'a Segment,
    file: &'a Arc<dyn File>,
    window: Window<'a>,
    position: u64,
    /// The offset that is expected there.
    offset: u64,
    /// Bytes to read for a header and what follows it: after a large batch comes most likely one that does not fit.
    ahead: usize,
    /// From here on checksums are not computed again.
    fresh_from: u64,
}

impl<'a> Walk<'a> {
    fn new(segment: &'a Segment, file: &'a Arc<dyn File>, (offset, position): (u64, u64), now_ms: i64) -> Self {
        let end = segment.readable_bytes();
        let (window, fresh_from) = (Window::new(&**file, end), segment.fresh.from(end, now_ms));
        Walk { segment, file, window, position, offset, ahead: HEADER_WINDOW_BYTES, fresh_from }
    }

    /// Passes over batches before `from`; the header of the one that holds it or is the next one, if all is as it should
    /// be. Their checksums do not matter here.
    fn skip_to(&mut self, from: u64) -> io::Result<Option<BatchHeader>> {
        while let Some(header) = self.header()? {
            if header.next_offset() as u64 > from {
                return Ok(Some(header));
            }
            self.pass(&header);
        }
        Ok(None)
    }

    /// The header of the batch here, if it follows the one before.
    fn header(&mut self) -> io::Result<Option<BatchHeader>> {
        let header = BatchHeader::parse(self.window.bytes(self.position, HEADER_BYTES, self.ahead)?).ok();
        Ok(header.filter(|header| self.segment.name.check(header, self.offset).is_ok()))
    }

    fn pass(&mut self, header: &BatchHeader) {
        let is_small = header.batch_bytes < WINDOW_BYTES / 4;
        self.ahead = if is_small { WINDOW_BYTES } else { HEADER_WINDOW_BYTES };
        self.position += header.batch_bytes as u64;
        self.offset = header.next_offset() as u64;
    }

    /// The whole, valid batches from the `first` on, which is here; `None` if that one is not valid.
    fn collect(&mut self, first: &BatchHeader, until: u64, max_bytes: usize) -> io::Result<Option<Slice<Stored>>> {
        let (start, mut transactional) = (self.position, false);
        // A batch that goes beyond this is cut off, and by that not valid.
        self.window.end = self.window.end.min(start.saturating_add(first.batch_bytes.max(max_bytes) as u64));
        self.offset = first.base_offset as u64;
        while self.offset < until {
            let Some(header) = self.valid_batch()? else {
                if self.position == start {
                    return Ok(None);
                }
                break;
            };
            if header.next_offset() as u64 > until {
                break;
            }
            self.pass(&header);
            transactional |= header.attributes.has(Attributes::TRANSACTIONAL);
        }
        let length = usize::try_from(self.position - start).expect("at most one batch, or `max_bytes`");
        let range = FileRange::new(Arc::clone(self.file), start, length);
        Ok(Some(Slice { bytes: Stored::File(range), next_offset: self.offset, transactional }))
    }

    /// The header of the batch here, if the batch is whole and valid.
    fn valid_batch(&mut self) -> io::Result<Option<BatchHeader>> {
        let Some(header) = self.header()? else { return Ok(None) };
        if header.batch_bytes as u64 > self.window.end.saturating_sub(self.position) {
            return Ok(None);
        }
        let is_valid = self.position >= self.fresh_from || self.crc_is_right(&header)?;
        Ok(is_valid.then_some(header))
    }

    fn crc_is_right(&mut self, header: &BatchHeader) -> io::Result<bool> {
        let (mut crc, mut at) = (CrcOfParts::new(), self.position);
        let end = at + header.batch_bytes as u64;
        while at < end {
            let part = self.window.bytes(at, 1, WINDOW_BYTES)?;
            let part = &part[..part.len().min(usize::try_from(end - at).unwrap_or(part.len()))];
            if part.is_empty() {
                return Ok(false);
            }
            crc.update(part);
            at += part.len() as u64;
        }
        Ok(crc.finish() == Some(header.crc) || canary("ignore_crc"))
    }
}

/// A part of the file, which moves forward.
struct Window<'a> {
    file: &'a dyn File,
    buffer: Scratch,
    /// Where it begins, and how many bytes it has.
    at: u64,
    filled: usize,
    /// Nothing is read from here on.
    end: u64,
}

impl<'a> Window<'a> {
    fn new(file: &'a dyn File, end: u64) -> Self {
        Window { file, buffer: Scratch::new(WINDOW_BYTES), at: 0, filled: 0, end }
    }

    /// What is there from `position` on: at least `least` bytes, fewer only at the end. If they have to be read, up to
    /// `ahead` are.
    fn bytes(&mut self, position: u64, least: usize, ahead: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
        let inside = |window: &Self| position.checked_sub(window.at).filter(|skip| *skip < window.filled as u64);
        let has = inside(self).map_or(0, |skip| self.filled - skip as usize);
        if has < least.min(left) {
            let wanted = left.min(ahead);
            self.filled = self.file.read_at(&mut self.buffer.bytes()[..wanted], position)?;
            self.at = position;
        }
        let skip = inside(self).map_or(self.filled, |skip| skip as usize);
        let filled = self.filled;
        let bytes = &self.buffer.bytes()[skip..filled];
        Ok(&bytes[..bytes.len().min(left)])
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use fleuve_base::{Clock, Env, ErrorKind, Fs, OsFs};
    use fleuve_record::BatchBuilder;

    use super::*;
    use crate::fresh::STEP_MS;
    use crate::partition::Partition;
    use crate::{Log, LogOptions};

    /// A clock that moves when it is told to.
    #[derive(Default)]
    struct TestClock(AtomicI64);

    impl Clock for TestClock {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.now_ms() as u64)
        }
    }

    /// Batches of these sizes, in a partition on the disk.
    fn written(directory: &Path, sizes: &[usize]) -> (Arc<Log>, Arc<Partition>) {
        written_by(Env::system(), directory, sizes)
    }

    fn written_by(env: Env, directory: &Path, sizes: &[usize]) -> (Arc<Log>, Arc<Partition>) {
        let log = Log::open(env, directory, LogOptions::default()).unwrap();
        let topic = log.create_topic("t", 1, Default::default()).unwrap();
        let partition = Arc::clone(topic.partition(0).unwrap());
        for (at, size) in sizes.iter().enumerate() {
            let mut batch = BatchBuilder::new();
            batch.append(0, None, Some(&vec![at as u8; *size]), &[]).unwrap();
            batch.append(0, None, Some(b"second"), &[]).unwrap();
            partition.append(batch.finish().unwrap()).unwrap().ticket.wait().unwrap();
        }
        (log, partition)
    }

    fn sizes() -> Vec<usize> {
        let window = WINDOW_BYTES;
        let near_window = (0..80).map(|n| window - 120 + n);
        [10, 300 << 10, 20, 5_000].into_iter().chain(near_window).chain([700 << 10, 1, 40_000]).collect()
    }

    #[test]
    fn what_stays_in_the_file_is_what_a_read_gives() {
        let directory = tempfile::tempdir().unwrap();
        let sizes = sizes();
        let (log, partition) = written(directory.path(), &sizes);
        let mut in_file = 0;
        for from in 0..2 * sizes.len() as u64 {
            for max_bytes in [0, 70_000, 128 << 10, 1 << 20, 64 << 20] {
                let (read, stored) =
                    (partition.read(from, max_bytes).unwrap(), partition.read_stored(from, max_bytes).unwrap());
                assert_eq!(read.next_offset, stored.next_offset, "{from} {max_bytes}");
                in_file += usize::from(matches!(stored.bytes, Stored::File(_)));
                assert!(stored.bytes.into_bytes().unwrap() == read.bytes, "{from} {max_bytes}");
            }
        }
        assert!(in_file > 2 * sizes.len());
        log.close().unwrap();
    }

    #[test]
    fn a_flipped_byte_is_never_left_to_be_sent() {
        let directory = tempfile::tempdir().unwrap();
        let sizes = [100 << 10, 200 << 10, 100 << 10];
        written(directory.path(), &sizes).0.close().unwrap();
        let log = Log::open(Env::system(), directory.path(), LogOptions::default()).unwrap();
        let partition = Arc::clone(log.topic("t").unwrap().partition(0).unwrap());
        let path = segment_file(&partition);
        let file = OsFs.open(&path, false).unwrap();
        let second = partition.read(0, 0).unwrap().bytes.len() as u64;
        let third = second + partition.read(2, 0).unwrap().bytes.len() as u64;
        for position in [second, second + 20, second + 60, second + 100, second + (150 << 10), third - 1] {
            let mut byte = [0];
            file.read_at(&mut byte, position).unwrap();
            file.write_at(&[byte[0] ^ 4], position).unwrap();
            let first = partition.read_stored(0, 1 << 20).unwrap();
            assert_eq!((first.bytes.len() as u64, first.next_offset), (second, 2), "position {position}");
            assert_eq!(partition.read_stored(2, 1 << 20).unwrap_err().kind(), ErrorKind::Corrupt);
            assert!(partition.read_stored(4, 1 << 20).unwrap().bytes.len() > 100 << 10);
            file.write_at(&byte, position).unwrap();
        }
        assert_eq!(partition.read_stored(0, 1 << 20).unwrap().next_offset, 6);
        log.close().unwrap();
    }

    /// A flipped bit tells whether checksums were computed.
    #[test]
    fn what_was_written_just_now_is_not_verified_and_some_minutes_later_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::default());
        let env = Env { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Env::system() };
        let (log, partition) = written_by(env, directory.path(), &[100 << 10; 3]);
        let file = OsFs.open(&segment_file(&partition), false).unwrap();
        let second = partition.read(0, 0).unwrap().bytes.len() as u64;
        let mut byte = [0];
        file.read_at(&mut byte, second + 1_000).unwrap();
        file.write_at(&[byte[0] ^ 1], second + 1_000).unwrap();
        assert_eq!(partition.read_stored(0, 1 << 20).unwrap().next_offset, 6, "all of it is fresh");
        assert_eq!(partition.read(0, 1 << 20).unwrap().next_offset, 2, "what is read into memory is verified always");
        for _ in 0..2 {
            clock.0.fetch_add(STEP_MS, Ordering::Relaxed);
            let _ = partition.read_stored(0, 1 << 20);
        }
        assert_eq!(partition.read_stored(0, 1 << 20).unwrap().next_offset, 2);
        assert_eq!(partition.read_stored(2, 1 << 20).unwrap_err().kind(), ErrorKind::Corrupt);
        log.close().unwrap();
    }

    #[test]
    fn what_was_found_can_be_read_after_its_segment_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let (log, partition) = written(directory.path(), &[100 << 10; 3]);
        let (read, stored) = (partition.read(0, 1 << 20).unwrap(), partition.read_stored(0, 1 << 20).unwrap());
        std::fs::remove_file(segment_file(&partition)).unwrap();
        assert!(matches!(&stored.bytes, Stored::File(_)));
        assert!(stored.bytes.into_bytes().unwrap() == read.bytes);
        log.close().unwrap();
    }

    /// The only segment.
    fn segment_file(partition: &Partition) -> PathBuf {
        partition.segments.read()[0].path.clone()
    }
}
