//! Opening a partition: what is known to be durable must be whole, what is not may be torn.
//!
//! The *evidence* is the checkpoint, and that a segment which another one follows was synced to its end.
//! Damage before the evidence is damage to acknowledged records: it is reported, never cut, and the partition
//! takes no more appends, since its producers' state can no longer be trusted. What lies behind it was
//! acknowledged to nobody (after a killed process), or is checked batch by batch (after a power cut): its
//! valid beginning is kept and the rest is cut. Without evidence, damage is cut only if nothing valid follows.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use fleuve_base::fs::File;
use fleuve_base::{Error, Result};
use fleuve_record::{Attributes, BatchHeader, EndMarker};
use parking_lot::{Mutex, RwLock};

use crate::append::Appender;
use crate::checkpoint::{Checkpoint, CheckpointFile};
use crate::index::SegmentIndex;
use crate::options::TopicConfig;
use crate::partition::{Damage, Partition};
use crate::producer::Producers;
use crate::scanner::{Scanner, Step};
use crate::segment::{PartitionId, Segment, SegmentHome};
use crate::segment_name::{SegmentName, sort_out};
use crate::shared::Shared;
use crate::snapshot::{self, Snapshot};
use crate::transaction::Transactions;
use crate::watch::HighWatermark;

/// The ending of files that a compaction has not finished (crash point C11).
pub(crate) const UNFINISHED: &str = ".log.tmp";

/// Bytes copied at once.
const COPY_BYTES: usize = 1 << 20;

/// What opening the log found.
#[derive(Debug, Clone, Default)]
pub struct RecoveryReport {
    /// Partitions opened.
    pub partitions: usize,
    /// Bytes of segments that were read; 0 after a clean stop.
    pub scanned_bytes: u64,
    /// Tails that were cut off.
    pub cuts: Vec<Cut>,
    /// Acknowledged records that are damaged or missing.
    pub damage: Vec<(PartitionId, Damage)>,
}

/// A tail that was cut off since it had not been acknowledged and was not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Where.
    pub partition: PartitionId,
    /// The offset that the next record gets.
    pub offset: u64,
    /// Bytes cut off.
    pub bytes: u64,
    /// Where they were copied to, if whole batches were among them.
    pub kept_in: Option<PathBuf>,
}

/// Opens a partition and recovers it if need be.
pub(crate) fn open(
    shared: &Arc<Shared>,
    home: SegmentHome,
    config: TopicConfig,
    report: &mut RecoveryReport,
) -> Result<Partition> {
    let io = |e| Error::io(format_args!("open the partition {} in `{}`", home.id, home.directory.display()), &e);
    let names = home.fs.list(&home.directory).map_err(io)?;
    let (checkpoint, evidence) = CheckpointFile::open(&*home.fs, &home.directory).map_err(io)?;
    let segments = open_segments(&home, &names, evidence).map_err(io)?;
    let mut recovery = Recovery::new(shared, &home, evidence, segments, snapshot::offsets(&names));
    recovery.check_front();
    recovery.check_back().map_err(io)?;
    let appender = match recovery.clean_end() {
        Some(appender) => appender,
        None => recovery.scan(report).map_err(io)?,
    };
    recovery.settle(&appender, &checkpoint, report).map_err(io)?;
    report.partitions += 1;
    report.damage.extend(recovery.damage.iter().map(|damage| ((*home.id).clone(), damage.clone())));
    let log_start = recovery.log_start();
    let compacted = recovery.segments.iter().filter_map(|segment| segment.name.compacted);
    let generation = compacted.map(|compacted| compacted.generation).max().unwrap_or(0);
    let Recovery { segments, damage, read_only, mut transactions, .. } = recovery;
    // All that was found is durable by now.
    transactions.note_durable(appender.end_offset);
    transactions.forget_before(log_start);
    transactions.open = appender.producers.first_open_transaction();
    Ok(Partition {
        shared: Arc::clone(shared),
        config: RwLock::new(config),
        watermark: Arc::new(HighWatermark::new(appender.end_offset)),
        log_start: AtomicU64::new(log_start),
        log_end: AtomicU64::new(appender.end_offset),
        first_unstable: AtomicU64::new(transactions.open.unwrap_or(u64::MAX)),
        transactions: Mutex::new(transactions),
        segments: RwLock::new(segments),
        appender: Mutex::new(appender),
        checkpoint,
        pins: Mutex::default(),
        read_only,
        damage,
        compaction: Mutex::default(),
        compactions: AtomicU64::new(0),
        generation: AtomicU64::new(generation),
        committing: Mutex::default(),
        dirty: AtomicBool::new(false),
        deleted: AtomicBool::new(false),
        home,
    })
}

/// All segments but those that a compaction has replaced (crash point C12), and those that retention had given up
/// before it was interrupted (crash point C8).
fn open_segments(
    home: &SegmentHome,
    names: &[String],
    evidence: Option<Checkpoint>,
) -> std::io::Result<Vec<Arc<Segment>>> {
    for unfinished in names.iter().filter(|name| name.ends_with(UNFINISHED)) {
        home.fs.remove_file(&home.directory.join(unfinished))?;
    }
    let (mut live, replaced) = sort_out(names.iter().filter_map(|name| SegmentName::parse(name)).collect());
    let log_start = evidence.map_or(0, |evidence| evidence.log_start);
    let gone = live.iter().skip(1).take_while(|next| next.base_offset <= log_start).count();
    for name in replaced.into_iter().chain(live.drain(..gone)) {
        Segment::new(home, name, 0).remove()?;
    }
    let open = |name: SegmentName| {
        let bytes = home.fs.open(&name.path(&home.directory), false)?.len()?;
        let bytes = bytes.min(name.compacted.map_or(u64::MAX, |compacted| compacted.bytes));
        Ok(Arc::new(Segment::new(home, name, bytes)))
    };
    live.into_iter().map(open).collect()
}

/// The state of one partition's recovery.
struct Recovery<'a> {
    shared: &'a Shared,
    home: &'a SegmentHome,
    evidence: Option<Checkpoint>,
    segments: Vec<Arc<Segment>>,
    snapshots: Vec<u64>,
    producers: Producers,
    transactions: Transactions,
    /// Batches before this offset are in `producers` already.
    producers_from: u64,
    damage: Vec<Damage>,
    read_only: Option<Error>,
    /// Where the epoch begins whose last batch has not been seen yet.
    open_epoch: Option<(u64, u64)>,
    /// Whether valid batches lie behind the place where the tail is cut.
    valid_behind_cut: bool,
}

impl<'a> Recovery<'a> {
    fn new(
        shared: &'a Shared,
        home: &'a SegmentHome,
        evidence: Option<Checkpoint>,
        segments: Vec<Arc<Segment>>,
        snapshots: Vec<u64>,
    ) -> Self {
        Recovery {
            shared,
            home,
            evidence,
            segments,
            snapshots,
            producers: Producers::default(),
            transactions: Transactions::default(),
            producers_from: 0,
            damage: Vec::new(),
            read_only: None,
            open_epoch: None,
            valid_behind_cut: false,
        }
    }

    fn log_start(&self) -> u64 {
        let first = self.segments.first().map_or(0, |segment| segment.base_offset);
        self.evidence.map_or(first, |evidence| evidence.log_start)
    }

    /// Acknowledged records are missing if the first segment begins after the log's start, or the last one
    /// before the checkpoint's.
    fn check_front(&mut self) {
        let evidence = self.evidence.unwrap_or_default();
        let first = self.segments.first().map_or(evidence.end_offset, |segment| segment.base_offset);
        if self.log_start() < first {
            self.note_damage(self.log_start()..first, first, 0, "their segment is missing");
        }
        if self.segments.is_empty() {
            if self.evidence.is_none() {
                self.note_damage(0..u64::MAX, 0, 0, "all segments and the checkpoint are missing");
            }
            self.segments.push(Arc::new(Segment::new(self.home, SegmentName::dense(first), 0)));
        }
    }

    /// Nothing is ever appended to a compacted segment: if one is the last, the one after it is missing, and with
    /// it all that the checkpoint knows of.
    fn check_back(&mut self) -> std::io::Result<()> {
        let Some(compacted) = self.segments.last().and_then(|last| last.name.compacted) else { return Ok(()) };
        let (end, known) = (compacted.end_offset, self.evidence_end());
        if known > end || self.evidence.is_none() {
            self.note_damage(end..known.max(end + 1), end, 0, "their segment is missing");
            self.segments.push(Arc::new(Segment::new(self.home, SegmentName::dense(end), 0)));
        } else {
            self.segments.push(Arc::new(Segment::create(self.home, end)?));
        }
        Ok(())
    }

    fn note_damage(&mut self, offsets: Range<u64>, base_offset: u64, position: u64, reason: &str) {
        let (file, reason) = (self.path_of(base_offset), reason.to_owned());
        tracing::error!(partition = %self.home.id, ?offsets, file = %file.display(), position, %reason, "stored records are damaged");
        self.damage.push(Damage { offsets, file, position, reason });
    }

    fn path_of(&self, base_offset: u64) -> PathBuf {
        let segment = self.segments.iter().find(|segment| segment.base_offset == base_offset);
        segment.map_or_else(|| SegmentName::dense(base_offset).path(&self.home.directory), |found| found.path.clone())
    }

    /// After a clean stop the checkpoint, the newest snapshot and the last index all tell the same end, and
    /// it is the end of the file: then nothing needs to be read.
    fn clean_end(&mut self) -> Option<Appender> {
        let evidence = self.evidence?;
        let last = self.segments.last()?;
        let (base_offset, position) = (last.base_offset, last.readable_bytes());
        if !self.damage.is_empty() || (evidence.segment_base, evidence.position) != (base_offset, position) {
            return None;
        }
        let end_offset = evidence.end_offset;
        let snapshot = snapshot::read(&*self.home.fs, &self.home.directory, end_offset);
        let Snapshot { producers, aborted } = if end_offset == 0 { Snapshot::default() } else { snapshot? };
        let index = if position == 0 { SegmentIndex::new(base_offset) } else { last.load_index()? };
        if index.end_offset != end_offset {
            return None;
        }
        last.set_index(index);
        self.transactions.aborted = aborted;
        let first_append_ms = (position > 0).then(|| self.shared.now_ms());
        let snapshot_offset = Some(end_offset);
        Some(Appender { end_offset, position, producers, snapshot_offset, clean: true, first_append_ms })
    }

    /// Reads all batches since the newest usable snapshot, and the whole last segment.
    fn scan(&mut self, report: &mut RecoveryReport) -> std::io::Result<Appender> {
        let snapshot_offset = self.load_snapshot();
        let after = self.segments.partition_point(|segment| segment.base_offset <= self.producers_from);
        let (mut end_offset, mut position) = (0, 0);
        for index in after.saturating_sub(1)..self.segments.len() {
            let segment = Arc::clone(&self.segments[index]);
            let next_base = self.segments.get(index + 1).map(|next| next.base_offset);
            report.scanned_bytes += segment.readable_bytes();
            (end_offset, position) = self.scan_segment(&segment, next_base)?;
        }
        self.cut_open_epoch(&mut end_offset, &mut position);
        let producers = std::mem::take(&mut self.producers);
        let first_append_ms = (position > 0).then(|| self.shared.now_ms());
        Ok(Appender { end_offset, position, producers, snapshot_offset, clean: false, first_append_ms })
    }

    /// Takes the newest snapshot that is whole and leaves no gap before the first segment that was not compacted.
    fn load_snapshot(&mut self) -> Option<u64> {
        let first = self.first_complete();
        let (fs, directory) = (&*self.home.fs, &self.home.directory);
        let usable = self.snapshots.iter().rev().filter(|offset| **offset >= first);
        let found = usable.filter_map(|offset| Some((*offset, snapshot::read(fs, directory, *offset)?))).next();
        if let Some((offset, snapshot)) = found {
            (self.producers, self.producers_from) = (snapshot.producers, offset);
            self.transactions.aborted = snapshot.aborted;
            return Some(offset);
        }
        self.producers_from = first;
        if first > 0 {
            let error = Error::corrupt(format!("{}: the state of the producers is damaged", self.home.id))
                .with_detail("no snapshot of it can be read, and records before it are gone")
                .with_hint("records can be read, but not appended; copy them into a new topic");
            self.read_only = Some(error);
        }
        None
    }

    /// Offset from which on the segments hold all that was written.
    fn first_complete(&self) -> u64 {
        let first = self.segments.first().map_or(0, |segment| segment.base_offset);
        let compacted = self.segments.iter().filter_map(|segment| segment.name.compacted);
        compacted.map(|compacted| compacted.end_offset).max().unwrap_or(first)
    }

    /// Position up to which a segment is known to be synced.
    fn durable_position(&self, segment: &Segment, next_base: Option<u64>) -> u64 {
        match self.evidence {
            _ if next_base.is_some() => u64::MAX,
            Some(evidence) if evidence.segment_base == segment.base_offset => evidence.position,
            // The checkpoint may name an older segment (crash point C4), or a newer one that is missing.
            Some(evidence) if evidence.segment_base > segment.base_offset => u64::MAX,
            Some(_) | None => 0,
        }
    }

    /// Walks one segment; gives the offset and position of its end.
    fn scan_segment(&mut self, segment: &Segment, next_base: Option<u64>) -> std::io::Result<(u64, u64)> {
        let durable = self.durable_position(segment, next_base);
        let mut index = SegmentIndex::new(segment.base_offset);
        let mut scanner =
            Scanner::new(&**segment.file()?, segment.name, segment.readable_bytes(), 0, segment.base_offset);
        loop {
            match scanner.step()? {
                Step::Batch(header, position) => {
                    self.note_batch(&header, scanner.marker(&header, position)?, position, &mut index);
                }
                Step::End => break,
                Step::Bad(reason) => {
                    let (offset, position) = (scanner.next_offset, scanner.position);
                    let valid_follows = scanner.resync(offset..next_base.unwrap_or(u64::MAX))?;
                    if position >= durable && (self.evidence.is_some() || !valid_follows) {
                        self.valid_behind_cut = valid_follows;
                        (scanner.next_offset, scanner.position) = (offset, position);
                        break;
                    }
                    if valid_follows {
                        self.note_damage(offset..scanner.next_offset, segment.base_offset, position, &reason);
                    } else {
                        let end = next_base.unwrap_or(self.evidence_end()).max(offset + 1);
                        self.note_damage(offset..end, segment.base_offset, position, &reason);
                        (scanner.next_offset, scanner.position) = (end, segment.readable_bytes());
                        break;
                    }
                }
            }
        }
        self.check_end(&mut scanner, segment, next_base, durable);
        segment.set_index(index);
        Ok((scanner.next_offset, scanner.position))
    }

    fn evidence_end(&self) -> u64 {
        self.evidence.map_or(0, |evidence| evidence.end_offset)
    }

    /// A segment that ends too early has lost acknowledged records.
    fn check_end(&mut self, scanner: &mut Scanner<'_>, segment: &Segment, next_base: Option<u64>, durable: u64) {
        let expected = match next_base {
            // Offsets may end early there; bytes may not.
            Some(next_base) if segment.name.compacted.is_some_and(|compacted| compacted.bytes == scanner.position) => {
                scanner.next_offset = next_base;
                return;
            }
            Some(next_base) => next_base,
            None if scanner.position < durable => self.evidence_end(),
            None => return,
        };
        if scanner.next_offset < expected {
            let lost = scanner.next_offset..expected;
            self.note_damage(lost, segment.base_offset, scanner.position, "the file ends before them");
            scanner.next_offset = expected;
        }
    }

    fn note_batch(&mut self, header: &BatchHeader, marker: Option<EndMarker>, position: u64, index: &mut SegmentIndex) {
        let now_ms = self.shared.now_ms();
        index.note(header, position, now_ms);
        let offset = header.base_offset as u64;
        if header.attributes.has(Attributes::LANE) {
            if header.attributes.has(Attributes::EPOCH_CONTINUES) {
                self.open_epoch.get_or_insert((offset, position));
            } else {
                self.open_epoch = None;
            }
        }
        if offset >= self.producers_from {
            let decided = self.producers.note(header, marker, now_ms);
            let open = self.producers.first_open_transaction();
            decided.into_iter().for_each(|decided| self.transactions.note(decided, open));
        }
    }

    /// An epoch whose last batch is not there was acknowledged to nobody and goes (crash point C7).
    fn cut_open_epoch(&mut self, end_offset: &mut u64, position: &mut u64) {
        let Some((offset, start)) = self.open_epoch.take() else { return };
        let last = Arc::clone(&self.segments[self.segments.len() - 1]);
        if self.damage.is_empty() && start >= self.durable_position(&last, None) {
            (*end_offset, *position) = (offset, start);
            let cut = last.with_index(|index| index.cut(offset, start));
            debug_assert!(cut.is_ok(), "the scan has set the index");
        } else {
            self.note_damage(offset..*end_offset, last.base_offset, start, "the end of their epoch is missing");
        }
    }

    /// Cuts what is behind the end, makes durable what is before it, and writes that down.
    fn settle(
        &mut self,
        appender: &Appender,
        file: &CheckpointFile,
        report: &mut RecoveryReport,
    ) -> std::io::Result<()> {
        if let Some(first) = self.damage.first() {
            let error = Error::corrupt(format!("{}: stored records are damaged: {}", self.home.id, first.reason))
                .at(self.home.id.at(first.offsets.start))
                .with_detail(format!(
                    "file `{}`, position {}; other records can be read",
                    first.file.display(),
                    first.position
                ))
                .with_hint("nothing can be appended; copy what is whole into a new topic, or restore a backup");
            self.read_only = Some(error);
        }
        if self.read_only.is_some() {
            return Ok(());
        }
        let segment = Arc::clone(&self.segments[self.segments.len() - 1]);
        let end = Checkpoint {
            log_start: self.log_start(),
            end_offset: appender.end_offset,
            segment_base: segment.base_offset,
            position: appender.position,
        };
        if self.evidence == Some(end) && segment.readable_bytes() == appender.position {
            return Ok(());
        }
        self.settle_tail(&segment, appender, report)?;
        file.update(|checkpoint| *checkpoint = end)?;
        file.sync()
    }

    fn settle_tail(&self, segment: &Segment, appender: &Appender, report: &mut RecoveryReport) -> std::io::Result<()> {
        let log = segment.file()?;
        let bytes = segment.readable_bytes() - appender.position;
        if bytes > 0 {
            let kept_in =
                if self.valid_behind_cut { Some(self.keep_tail(&**log, segment, appender.position)?) } else { None };
            let (partition, offset) = ((*self.home.id).clone(), appender.end_offset);
            tracing::warn!(%partition, offset, bytes, ?kept_in, "a torn tail was cut");
            report.cuts.push(Cut { partition, offset, bytes, kept_in });
            log.set_len(appender.position)?;
            segment.set_readable_bytes(appender.position);
        }
        // Written again, not only synced: after a failed sync the kernel may hold bytes that it believes to be
        // on the disk though they are not (crash point C3).
        let durable = self.durable_position(segment, None);
        rewrite(&**log, durable.min(appender.position)..appender.position)?;
        log.sync()
    }

    /// Copies a tail that holds whole batches aside before it is cut.
    fn keep_tail(&self, log: &dyn File, segment: &Segment, position: u64) -> std::io::Result<PathBuf> {
        let path = segment.path.with_extension(format!("cut-{position}"));
        let copy = self.home.fs.open(&path, true)?;
        copy.set_len(0)?;
        copy_range(log, position..segment.readable_bytes(), &*copy, position)?;
        copy.sync()?;
        self.home.fs.sync_dir(&self.home.directory)?;
        Ok(path)
    }
}

fn rewrite(file: &dyn File, range: Range<u64>) -> std::io::Result<()> {
    copy_range(file, range, file, 0)
}

/// Copies a range of bytes; each lands `shift` before where it was.
fn copy_range(from: &dyn File, range: Range<u64>, to: &dyn File, shift: u64) -> std::io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = range.start;
    while at < range.end {
        let wanted = COPY_BYTES.min(usize::try_from(range.end - at).unwrap_or(COPY_BYTES));
        let read = from.read_at(&mut buffer[..wanted], at)?;
        if read == 0 {
            break;
        }
        to.write_at(&buffer[..read], at - shift)?;
        at += read as u64;
    }
    Ok(())
}
