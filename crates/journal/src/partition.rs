//! One partition: an append-only sequence of records, numbered by offset without gaps.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fleuve_base::{Error, Result};
use fleuve_record::Batches;
use parking_lot::{Mutex, RwLock};

use crate::append::Appender;
use crate::checkpoint::CheckpointFile;
use crate::codes;
use crate::commit::{OnDurable, Ticket};
use crate::options::{Durability, TopicConfig};
use crate::segment::{PartitionId, Segment, SegmentHome};
use crate::shared::Shared;
use crate::watch::{HighWatermark, Subscription, Waker};

/// A range of acknowledged records that recovery found damaged or missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The damaged offsets, as far as they are known.
    pub offsets: Range<u64>,
    /// The segment's file.
    pub file: PathBuf,
    /// Where in it the damage begins.
    pub position: u64,
    /// What is wrong.
    pub reason: String,
}

/// A partition of a topic. All methods may be called from any thread.
pub struct Partition {
    pub(crate) shared: Arc<Shared>,
    pub(crate) home: SegmentHome,
    pub(crate) config: TopicConfig,
    /// All segments, oldest first; the last one is appended to. Never empty.
    pub(crate) segments: RwLock<Vec<Arc<Segment>>>,
    pub(crate) appender: Mutex<Appender>,
    pub(crate) watermark: Arc<HighWatermark>,
    pub(crate) log_start: AtomicU64,
    pub(crate) log_end: AtomicU64,
    /// Start of the oldest open transaction; `u64::MAX` without one.
    pub(crate) open_transaction: AtomicU64,
    pub(crate) checkpoint: CheckpointFile,
    pub(crate) pins: Mutex<BTreeMap<String, u64>>,
    pub(crate) damage: Vec<Damage>,
    /// Why nothing may be appended, if so: damage was found whose extent for the producers is not known.
    pub(crate) read_only: Option<Error>,
    /// Whether the partition is in the committer's queue.
    pub(crate) dirty: AtomicBool,
    pub(crate) deleted: AtomicBool,
}

/// What a read found.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Whole batches, one after the other, verified. The first one holds the offset that was asked for, and
    /// may begin before it. Empty at the high watermark.
    pub bytes: Bytes,
    /// Where to read on.
    pub next_offset: u64,
    /// Records before this offset can be read.
    pub high_watermark: u64,
    /// Records of transactions that are decided end here; equal to the high watermark if none is open.
    pub last_stable_offset: u64,
    /// Records before this offset are gone.
    pub log_start_offset: u64,
}

impl Fetched {
    /// The batches; slices of `bytes`.
    pub fn batches(&self) -> Batches {
        Batches::new(self.bytes.clone())
    }

    /// Whether nothing was there to read.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Partition {
    /// Topic and number.
    pub fn id(&self) -> &PartitionId {
        &self.home.id
    }

    /// The topic's settings.
    pub fn config(&self) -> &TopicConfig {
        &self.config
    }

    /// Records before this offset are durable and can be read.
    pub fn high_watermark(&self) -> u64 {
        self.watermark.get()
    }

    /// The first offset that can be read.
    pub fn log_start_offset(&self) -> u64 {
        self.log_start.load(Ordering::Acquire)
    }

    /// The offset that the next record will get; records from the high watermark on are not durable yet.
    pub fn log_end_offset(&self) -> u64 {
        self.log_end.load(Ordering::Acquire)
    }

    /// The high watermark, or the start of the oldest open transaction if that is before it.
    pub fn last_stable_offset(&self) -> u64 {
        self.high_watermark().min(self.open_transaction.load(Ordering::Acquire))
    }

    /// The last epoch of this lane that is whole. It may not be durable yet: see [`Partition::ticket`].
    pub fn last_epoch(&self, lane: i64) -> Option<u64> {
        self.appender.lock().producers.lanes.get(&lane).map(|lane| lane.epoch)
    }

    /// A ticket for all that was appended so far.
    pub fn ticket(self: &Arc<Self>) -> Ticket {
        Ticket { partition: Arc::clone(self), end_offset: self.log_end_offset() }
    }

    /// Acknowledged records that recovery could not find whole. Reading them gives an error.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.segments.read().iter().map(|segment| segment.readable_bytes()).sum()
    }

    /// Reads whole batches from the one that holds `from_offset`: at least one, and then as many as fit
    /// `max_bytes`. Only durable records are given, and each batch's checksum is verified.
    ///
    /// Errors: `E706` outside [`log_start_offset`](Self::log_start_offset)`..=`[`high_watermark`](Self::high_watermark),
    /// `E901` if the record is damaged.
    pub fn read(&self, from_offset: u64, max_bytes: usize) -> Result<Fetched> {
        let high_watermark = self.high_watermark();
        self.check_offset(from_offset, high_watermark)?;
        let mut fetched = Fetched {
            bytes: Bytes::new(),
            next_offset: from_offset,
            high_watermark,
            last_stable_offset: self.last_stable_offset().min(high_watermark),
            log_start_offset: self.log_start_offset(),
        };
        if from_offset < high_watermark {
            let until = self.readable_until(from_offset, high_watermark)?;
            let slice = self.segment_of(from_offset)?.read(from_offset, until, max_bytes);
            // Retention may have taken the segment away in between.
            let slice = slice.or_else(|error| self.check_offset(from_offset, high_watermark).and(Err(error)))?;
            (fetched.bytes, fetched.next_offset) = (slice.bytes, slice.next_offset);
        }
        Ok(fetched)
    }

    fn check_offset(&self, offset: u64, high_watermark: u64) -> Result<()> {
        let start = self.log_start_offset();
        if (start..=high_watermark).contains(&offset) {
            return Ok(());
        }
        Err(codes::offset_out_of_range(offset, start, high_watermark).at(self.id().at(offset)))
    }

    /// Damage that is known ends what can be read before it, and is an error inside.
    fn readable_until(&self, from: u64, high_watermark: u64) -> Result<u64> {
        let mut until = high_watermark;
        for damage in &self.damage {
            if damage.offsets.contains(&from) {
                return Err(self.id().damaged(from, &damage.file, damage.position, &damage.reason));
            }
            if damage.offsets.start > from {
                until = until.min(damage.offsets.start);
            }
        }
        Ok(until)
    }

    fn segment_of(&self, offset: u64) -> Result<Arc<Segment>> {
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.base_offset <= offset);
        let first = || segments.first().ok_or_else(|| Error::internal("a partition has no segment"));
        after.checked_sub(1).map_or_else(|| first().cloned(), |last| Ok(Arc::clone(&segments[last])))
    }

    /// Offset of the first record whose timestamp is at or after `timestamp_ms`, if there is one.
    pub fn offset_for_time(&self, timestamp_ms: i64) -> Result<Option<u64>> {
        let segments = self.segments.read().clone();
        for segment in segments {
            let (newest, candidate) =
                segment.with_index(|index| (index.max_timestamp_ms, index.first_candidate(timestamp_ms)))?;
            if newest < timestamp_ms {
                continue;
            }
            if let Some(offset) = self.scan_for_time(candidate, timestamp_ms)? {
                return Ok(Some(offset));
            }
        }
        Ok(None)
    }

    fn scan_for_time(&self, from: u64, timestamp_ms: i64) -> Result<Option<u64>> {
        /// Bytes read at once while looking for a timestamp.
        const STEP_BYTES: usize = 1 << 20;
        let start = self.log_start_offset();
        let mut offset = from.max(start);
        while offset < self.high_watermark() {
            let fetched = self.read(offset, STEP_BYTES)?;
            for batch in fetched.batches() {
                let batch = batch?;
                if batch.header().max_timestamp_ms < timestamp_ms {
                    continue;
                }
                for record in &batch.records()? {
                    let record = record?;
                    if record.timestamp_ms >= timestamp_ms && record.offset as u64 >= start {
                        return Ok(Some(record.offset as u64));
                    }
                }
            }
            offset = fetched.next_offset;
        }
        Ok(None)
    }

    /// Waits until the record at `offset` can be read, for at most `timeout`; whether it can.
    pub fn wait_for(&self, offset: u64, timeout: Duration) -> Result<bool> {
        self.watermark.wait_timeout(offset.saturating_add(1), timeout, || self.check_alive())
    }

    /// Calls `wake` after each move of the high watermark, and when the log fails or is closed, until the
    /// subscription is dropped.
    pub fn subscribe(&self, wake: Waker) -> Subscription {
        Subscription::new(&self.watermark, wake)
    }

    pub(crate) fn wait_durable(&self, end_offset: u64) -> Result<()> {
        self.watermark.wait(end_offset, || self.shared.health.check_failure())
    }

    pub(crate) fn when_durable(&self, end_offset: u64, callback: OnDurable) {
        self.watermark.when(end_offset, || self.shared.health.check_failure(), callback);
    }

    pub(crate) fn fail_tickets(&self, error: &Error) {
        self.watermark.fail(error);
    }

    pub(crate) fn check_alive(&self) -> Result<()> {
        self.shared.health.check()?;
        if self.deleted.load(Ordering::Acquire) {
            return Err(codes::unknown_topic(&self.id().topic).with_detail("it was deleted"));
        }
        Ok(())
    }

    /// Makes durable what was appended so far; a step of a commit round.
    pub(crate) fn commit(&self) -> Result<()> {
        // Cleared first: what is appended from here on puts the partition into the queue again.
        self.dirty.store(false, Ordering::Release);
        let (segment, end_offset, position) = {
            let appender = self.appender.lock();
            (self.active(), appender.end_offset, appender.position)
        };
        if self.config.durability == Durability::Os || end_offset <= self.high_watermark() {
            return Ok(());
        }
        let file = segment.file().map_err(|e| segment.io("open", &e))?;
        file.sync().map_err(|e| segment.io("sync", &e))?;
        self.note_durable(&segment, end_offset, position)?;
        self.reveal(&segment, end_offset, position);
        Ok(())
    }

    /// Writes down that the segment is synced up to here (crash point C2).
    pub(crate) fn note_durable(&self, segment: &Segment, end_offset: u64, position: u64) -> Result<()> {
        let written = self.checkpoint.update(|checkpoint| {
            checkpoint.end_offset = end_offset;
            checkpoint.segment_base = segment.base_offset;
            checkpoint.position = position;
        });
        written.map_err(|e| Error::io(format_args!("write the checkpoint of {}", self.id()), &e))
    }

    /// Lets readers see the records before `end_offset`.
    pub(crate) fn reveal(&self, segment: &Segment, end_offset: u64, position: u64) {
        segment.raise_readable_bytes(position);
        self.watermark.advance(end_offset);
    }

    /// The segment that is appended to.
    pub(crate) fn active(&self) -> Arc<Segment> {
        Arc::clone(self.segments.read().last().expect("a partition always has an active segment"))
    }
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Partition({}, {}..{})", self.id(), self.log_start_offset(), self.high_watermark())
    }
}
