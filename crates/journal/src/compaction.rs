//! Compaction: of each key the last record stays.
//!
//! It works on sealed segments below the last stable offset and below every pin, so all it sees is durable and
//! decided. A first walk over what was not compacted yet notes each key's last offset. A second one, from the log's
//! start, writes what is left into new segments, several small ones into one. Records go that a later one of their
//! key replaces, that were aborted, that have no key, or that are tombstones (null values) whose time is over; so do
//! the markers of transactions. What is left of committed transactions becomes plain: readers need no marker for it.
//! Offsets stay, with gaps between them. The producers' state does not come from these records any more, but from
//! the snapshots.
//!
//! Keys are compared by 128 bits of their SHA-256. If there are more than fit the memory allowed, the work is done
//! in 2, 4, … rounds, each for the keys whose hash falls into its share.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use fleuve_base::fs::File;
use fleuve_base::{Error, Result};
use fleuve_record::{Attributes, Batch, BatchView, Batches, Record};
use sha2::{Digest, Sha256};

use crate::index::SegmentIndex;
use crate::log::Log;
use crate::partition::Partition;
use crate::recovery::UNFINISHED;
use crate::segment::{Segment, Wanted};
use crate::segment_name::{Compacted, SegmentName};

/// Keys that a compaction holds in memory, with their offsets: 34 bytes each, or 70 MB.
pub const COMPACTION_KEYS_MAX: usize = (1 << 21) / 8 * 7;

/// Bytes read and written at once.
const STEP_BYTES: usize = 1 << 20;

/// What compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompactionReport {
    /// Partitions that had something to compact.
    pub partitions: usize,
    /// Segments that were replaced.
    pub segments: usize,
    /// Their bytes.
    pub bytes_before: u64,
    /// Bytes of what replaced them.
    pub bytes_after: u64,
    /// Records that went.
    pub records: u64,
}

impl CompactionReport {
    fn add(&mut self, other: Self) {
        self.partitions += other.partitions;
        self.segments += other.segments;
        self.bytes_before += other.bytes_before;
        self.bytes_after += other.bytes_after;
        self.records += other.records;
    }
}

impl Log {
    /// Compacts the partitions whose topics ask for it and where it is worth it by their settings. The owner calls
    /// this now and then, from a thread that may take long. A partition with damage stays as it is. An error of one
    /// partition does not keep the others waiting; the first one is told.
    pub fn apply_compaction(&self) -> Result<CompactionReport> {
        let (mut total, mut outcome) = (CompactionReport::default(), Ok(()));
        for partition in self.topics().iter().flat_map(|topic| topic.partitions()) {
            if partition.config().cleanup.compacts() && partition.read_only.is_none() {
                match partition.compact_if_wanted() {
                    Ok(report) => total.add(report),
                    Err(error) => outcome = outcome.and(Err(error)),
                }
            }
        }
        outcome.map(|()| total)
    }
}

impl Partition {
    fn compact_if_wanted(&self) -> Result<CompactionReport> {
        self.roll_expired()?;
        if self.wants_compaction()? { self.compact() } else { Ok(CompactionReport::default()) }
    }

    /// Compacts all sealed segments that may be, whether or not it is worth it.
    ///
    /// Readers go on meanwhile, and so do appends. After an error (a full disk, say) the segments that were not
    /// replaced yet are as before; nothing is lost. Errors: `E901` if damage is found: then everything stays.
    pub fn compact(&self) -> Result<CompactionReport> {
        self.compact_within(COMPACTION_KEYS_MAX)
    }

    /// As [`Partition::compact`], with at most `keys_max` keys in memory.
    pub fn compact_within(&self, keys_max: usize) -> Result<CompactionReport> {
        let _one_at_a_time = self.compaction.lock();
        self.check_alive()?;
        self.read_only.as_ref().map_or(Ok(()), |error| Err(error.clone()))?;
        let cleanable = self.cleanable()?;
        let mut total = CompactionReport::default();
        let Some(end_offset) = cleanable.segments.last().map(|last| last.end_offset) else { return Ok(total) };
        let mut share = Some(Share::ALL);
        while let Some(current) = share {
            let mut pass = Pass::new(self, end_offset, current, keys_max.max(1));
            if !pass.note_keys(&cleanable)? {
                share = Some(current.first_half()?);
                continue;
            }
            if !pass.rewrite(&self.cleanable_before(end_offset)?.segments, &mut total)? {
                return Ok(total);
            }
            share = current.next();
        }
        self.forget_aborted_before(end_offset);
        total.partitions = 1;
        Ok(total)
    }

    /// Whether enough was written since the last compaction, or lies there for long enough.
    fn wants_compaction(&self) -> Result<bool> {
        let Cleanable { segments, first_dirty } = self.cleanable()?;
        let config = self.config();
        let bytes = |from: u64| -> u64 {
            segments
                .iter()
                .map(|sealed| &sealed.segment)
                .filter(|s| s.base_offset >= from)
                .map(|s| s.readable_bytes())
                .sum()
        };
        let (dirty, all) = (bytes(first_dirty), bytes(0));
        let Some(oldest) = segments.iter().find(|sealed| sealed.segment.base_offset >= first_dirty) else {
            return Ok(false);
        };
        let waited = match config.max_compaction_lag_ms {
            Some(lag_ms) => self.age_ms(&oldest.segment)? > lag_ms,
            None => false,
        };
        Ok(waited || u128::from(dirty) * 1000 >= u128::from(all) * u128::from(config.min_cleanable_permille))
    }

    fn age_ms(&self, segment: &Segment) -> Result<u64> {
        let last_append_ms = segment.with_index(|index| index.last_append_ms)?;
        Ok(u64::try_from(self.shared.now_ms().saturating_sub(last_append_ms)).unwrap_or(0))
    }

    fn cleanable(&self) -> Result<Cleanable> {
        self.cleanable_before(self.last_stable_offset().min(self.releasable()))
    }

    fn cleanable_before(&self, end_offset: u64) -> Result<Cleanable> {
        let all = self.segments.read().clone();
        let lag_ms = self.config().min_compaction_lag_ms;
        let mut segments = Vec::new();
        for pair in all.windows(2) {
            let sealed = Sealed { segment: Arc::clone(&pair[0]), end_offset: pair[1].base_offset };
            if sealed.end_offset > end_offset || lag_ms > 0 && self.age_ms(&sealed.segment)? < lag_ms {
                break;
            }
            segments.push(sealed);
        }
        let dirty =
            segments.iter().map(|sealed| &sealed.segment).find(|s| !s.name.compacted.is_some_and(|c| c.complete));
        let first_dirty = dirty.map_or(end_offset, |segment| segment.base_offset);
        Ok(Cleanable { segments, first_dirty })
    }

    /// The records of aborted transactions before `end_offset` are gone, so nobody needs to know of these.
    fn forget_aborted_before(&self, end_offset: u64) {
        self.compactions.fetch_add(1, Ordering::AcqRel);
        self.transactions.lock().forget_before(end_offset);
    }
}

/// A segment that is not appended to any more, and where it ends.
struct Sealed {
    segment: Arc<Segment>,
    end_offset: u64,
}

/// The segments that may be compacted, and where what was not begins.
struct Cleanable {
    segments: Vec<Sealed>,
    first_dirty: u64,
}

/// The keys whose hash begins with these bits.
#[derive(Clone, Copy)]
struct Share {
    bits: u32,
    prefix: u128,
}

impl Share {
    const ALL: Share = Share { bits: 0, prefix: 0 };

    fn holds(self, hash: KeyHash) -> bool {
        hash.checked_shr(KeyHash::BITS - self.bits).unwrap_or(0) == self.prefix
    }

    fn first_half(self) -> Result<Self> {
        /// No memory is so small that this many rounds are needed.
        const BITS_MAX: u32 = 32;
        if self.bits == BITS_MAX {
            return Err(Error::internal("a compaction finds too many keys in a tiny share of them"));
        }
        Ok(Share { bits: self.bits + 1, prefix: self.prefix << 1 })
    }

    /// The share after this one.
    fn next(self) -> Option<Self> {
        (!self.is_last()).then_some(Share { prefix: self.prefix + 1, ..self })
    }

    fn is_last(self) -> bool {
        self.prefix + 1 == 1 << self.bits
    }
}

type KeyHash = u128;

fn hash_of(key: &[u8]) -> KeyHash {
    let digest = Sha256::digest(key);
    KeyHash::from_le_bytes(*digest.first_chunk().expect("a SHA-256 has 32 bytes"))
}

/// One walk over the partition for one share of the keys.
struct Pass<'a> {
    partition: &'a Partition,
    /// Of each key of the share: the offset of its last record.
    last: HashMap<KeyHash, u64>,
    keys_max: usize,
    share: Share,
    /// By producer: first and last offset of its aborted transactions.
    aborted: HashMap<i64, Vec<(u64, u64)>>,
    now_ms: i64,
    generation: u64,
}

impl<'a> Pass<'a> {
    fn new(partition: &'a Partition, end_offset: u64, share: Share, keys_max: usize) -> Self {
        let mut aborted = HashMap::<i64, Vec<_>>::new();
        for found in partition.transactions.lock().aborted_in(0..end_offset) {
            aborted.entry(found.producer_id).or_default().push((found.first_offset, found.last_offset));
        }
        let now_ms = partition.shared.now_ms();
        let generation = partition.generation.fetch_add(1, Ordering::AcqRel) + 1;
        Pass { partition, last: HashMap::new(), keys_max, share, aborted, now_ms, generation }
    }

    /// Notes the keys of what was not compacted; `false` if they are too many.
    fn note_keys(&mut self, cleanable: &Cleanable) -> Result<bool> {
        let dirty = cleanable.segments.iter().filter(|sealed| sealed.segment.base_offset >= cleanable.first_dirty);
        for sealed in dirty {
            let mut reader = SegmentReader::new(sealed, self.now_ms);
            while let Some(batches) = reader.next()? {
                for batch in batches {
                    if !self.note_batch(&batch?)? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    fn note_batch(&mut self, batch: &BatchView) -> Result<bool> {
        if self.is_void(batch) {
            return Ok(true);
        }
        for record in &batch.records()? {
            let record = record?;
            let Some(hash) = record.key.map(hash_of).filter(|hash| self.share.holds(*hash)) else { continue };
            self.last.insert(hash, record.offset as u64);
            if self.last.len() > self.keys_max {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether nothing in the batch counts: it is a marker, or was aborted.
    fn is_void(&self, batch: &BatchView) -> bool {
        let header = batch.header();
        let offset = header.base_offset as u64;
        header.attributes.has(Attributes::CONTROL)
            || header.attributes.has(Attributes::TRANSACTIONAL)
                && self.aborted.get(&header.producer_id).is_some_and(|transactions| {
                    transactions.iter().any(|(first, last)| (*first..*last).contains(&offset))
                })
    }

    /// Whether a record of this batch stays.
    fn keeps(&self, record: &Record<'_>, horizon_ms: Option<i64>) -> bool {
        let Some(hash) = record.key.map(hash_of) else { return false };
        if !self.share.holds(hash) {
            return true;
        }
        let replaced = self.last.get(&hash).is_some_and(|last| *last > record.offset as u64);
        let expired = record.value.is_none() && horizon_ms.is_some_and(|horizon_ms| horizon_ms <= self.now_ms);
        !replaced && !expired
    }

    /// Replaces the segments, group by group from the log's start on: a tombstone goes never before what it deletes.
    /// `false` if it had to stop.
    fn rewrite(&self, segments: &[Sealed], total: &mut CompactionReport) -> Result<bool> {
        let mut rest = segments;
        while let Some(first) = rest.first() {
            let mut writer = SegmentWriter::create(self, first)?;
            let written = self.copy_group(rest, &mut writer);
            let finished = written.and_then(|count| {
                let (group, after) = rest.split_at(count);
                rest = after;
                writer.finish(self, group)
            });
            if !matches!(&finished, Ok(Some(report)) if report.segments > 0) {
                // A leftover is removed at the next start (crash point C11).
                let _ = self.partition.home.fs.remove_file(&writer.path);
            }
            let Some(report) = finished? else { return Ok(false) };
            total.add(report);
        }
        Ok(true)
    }

    /// Copies what is left of the first segment, and of as many after it as fit one together; gives their number.
    fn copy_group(&self, segments: &[Sealed], writer: &mut SegmentWriter) -> Result<usize> {
        let (limit, base) = (self.partition.config().segment_bytes, segments[0].segment.base_offset);
        let mut count = 0;
        for sealed in segments {
            let fits = writer.position + sealed.segment.readable_bytes() <= limit
                && sealed.end_offset - base <= u64::from(u32::MAX);
            if count > 0 && !fits {
                break;
            }
            self.copy_segment(sealed, writer)?;
            count += 1;
        }
        writer.flush()?;
        Ok(count)
    }

    fn copy_segment(&self, sealed: &Sealed, writer: &mut SegmentWriter) -> Result<()> {
        let last_append_ms = sealed.segment.with_index(|index| index.last_append_ms)?;
        let mut reader = SegmentReader::new(sealed, self.now_ms);
        while let Some(batches) = reader.next()? {
            for batch in batches {
                self.copy_batch(&batch?, last_append_ms, writer)?;
            }
        }
        Ok(())
    }

    fn copy_batch(&self, batch: &BatchView, last_append_ms: i64, writer: &mut SegmentWriter) -> Result<()> {
        let records = batch.header().record_count;
        if self.is_void(batch) {
            writer.dropped += records as u64;
            return Ok(());
        }
        let delete_retention_ms = i64::try_from(self.partition.config().delete_retention_ms).unwrap_or(i64::MAX);
        let (old, new) = (batch.delete_horizon_ms(), self.now_ms.saturating_add(delete_retention_ms));
        let kept = batch.retain(new, |record| self.keeps(record, old))?;
        let left = kept.as_ref().map_or(0, |kept| kept.header().record_count);
        writer.dropped += (records - left) as u64;
        kept.map_or(Ok(()), |kept| writer.append(kept, last_append_ms))
    }
}

/// The batches of one segment, in pieces.
struct SegmentReader<'a> {
    segment: &'a Segment,
    next_offset: u64,
    end_offset: u64,
    now_ms: i64,
}

impl<'a> SegmentReader<'a> {
    fn new(sealed: &'a Sealed, now_ms: i64) -> Self {
        let segment = &*sealed.segment;
        SegmentReader { segment, next_offset: segment.base_offset, end_offset: sealed.end_offset, now_ms }
    }

    fn next(&mut self) -> Result<Option<Batches>> {
        if self.next_offset >= self.end_offset {
            return Ok(None);
        }
        let (from, until) = (self.next_offset, self.end_offset);
        let slice = self.segment.read::<Bytes>(Wanted { from, until, max_bytes: STEP_BYTES, now_ms: self.now_ms })?;
        self.next_offset = slice.next_offset;
        Ok((!slice.bytes.is_empty()).then(|| Batches::new(slice.bytes)))
    }
}

/// The segment that a group becomes, while it is written.
struct SegmentWriter {
    path: PathBuf,
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    index: SegmentIndex,
    position: u64,
    dropped: u64,
}

impl SegmentWriter {
    fn create(pass: &Pass<'_>, first: &Sealed) -> Result<Self> {
        let (home, base_offset) = (&pass.partition.home, first.segment.base_offset);
        let path = home.directory.join(format!("{base_offset:020}{UNFINISHED}"));
        let io = |e| Error::io(format_args!("create `{}`", path.display()), &e);
        let file = home.fs.open(&path, true).map_err(io)?;
        file.set_len(0).map_err(io)?;
        let index = SegmentIndex::new(base_offset);
        Ok(SegmentWriter { path, file, buffer: Vec::new(), index, position: 0, dropped: 0 })
    }

    fn append(&mut self, mut batch: Batch, last_append_ms: i64) -> Result<()> {
        /// What a compacted segment decides or does not need.
        const MASK: u16 = Attributes::TRANSACTIONAL | Attributes::EPOCH_CONTINUES | Attributes::OFFSET_CHECK;
        let header = *batch.header();
        let check = Attributes::check_of(header.base_offset);
        batch.stamp(header.producer_id, header.producer_epoch, header.base_sequence, MASK, check);
        self.index.note(batch.header(), self.position, last_append_ms);
        self.position += batch.as_bytes().len() as u64;
        self.buffer.extend_from_slice(batch.as_bytes());
        if self.buffer.len() >= STEP_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let at = self.position - self.buffer.len() as u64;
        let written = self.file.write_at(&self.buffer, at);
        self.buffer.clear();
        written.map_err(|e| Error::io(format_args!("write `{}`", self.path.display()), &e))
    }

    /// Syncs the new segment and puts it into the place of the group, unless nothing would be gained; `None` if
    /// the group is not what it was.
    fn finish(&mut self, pass: &Pass<'_>, group: &[Sealed]) -> Result<Option<CompactionReport>> {
        let (home, complete) = (&pass.partition.home, pass.share.is_last());
        if let [Sealed { segment, .. }] = group
            && self.dropped == 0
            && segment.name.compacted.is_some_and(|c| c.complete == complete && c.bytes == self.position)
        {
            return Ok(Some(CompactionReport::default()));
        }
        let (base_offset, end_offset) = (group[0].segment.base_offset, group[group.len() - 1].end_offset);
        let compacted = Compacted { end_offset, bytes: self.position, generation: pass.generation, complete };
        let name = SegmentName { base_offset, compacted: Some(compacted) };
        let segment = Segment::opened(home, name, self.position, Arc::clone(&self.file));
        (self.index.end_offset, self.index.end_position) = (end_offset, self.position);
        segment.set_index(self.index.clone());
        let synced = self.file.sync().and_then(|()| segment.write_index());
        synced.map_err(|e| Error::io(format_args!("finish `{}`", self.path.display()), &e))?;
        let segment = Arc::new(segment);
        if !pass.partition.replace(group, Arc::clone(&segment), &self.path)? {
            segment.remove().map_err(|e| segment.io("remove", &e))?;
            return Ok(None);
        }
        Ok(Some(CompactionReport {
            partitions: 0,
            segments: group.len(),
            bytes_before: group.iter().map(|sealed| sealed.segment.readable_bytes()).sum(),
            bytes_after: self.position,
            records: self.dropped,
        }))
    }
}

impl Partition {
    /// Puts a new segment, still under its unfinished name, into the place of a group; `false` if retention has
    /// taken some of that away meanwhile, or someone has pinned it. Readers that hold the old segments go on: their
    /// files are open.
    fn replace(&self, group: &[Sealed], new: Arc<Segment>, unfinished: &Path) -> Result<bool> {
        let io = |e| new.io("put in place", &e);
        // The lock keeps retention and rolls away from the list of segments, the other one new pins from what goes.
        let _appender = self.appender.lock();
        let pins = self.pins.lock();
        self.check_alive()?;
        let first = self.segments.read().iter().position(|segment| Arc::ptr_eq(segment, &group[0].segment));
        let pinned = pins.values().any(|pin| *pin < group[group.len() - 1].end_offset);
        let Some(first) = first.filter(|_| !pinned) else { return Ok(false) };
        self.home.fs.rename(unfinished, &new.path).map_err(io)?;
        self.home.fs.sync_dir(&self.home.directory).map_err(io)?;
        self.segments.write().splice(first..first + group.len(), [Arc::clone(&new)]);
        // Not synced: a file that comes back after a crash is removed at the start (crash point C12).
        group.iter().try_for_each(|old| old.segment.remove().map_err(|e| old.segment.io("remove", &e)))?;
        Ok(true)
    }
}
