//! One partition: an append-only sequence of records, numbered by offset without gaps.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fleuve_base::{Error, Result, canary};
use parking_lot::{Mutex, RwLock};

use crate::append::Appender;
use crate::checkpoint::CheckpointFile;
use crate::codes;
use crate::commit::{OnDurable, Ticket};
use crate::options::TopicConfig;
use crate::retention::Pins;
use crate::segment::{PartitionId, Segment, SegmentHome};
use crate::shared::Shared;
use crate::transaction::Transactions;
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
    pub(crate) config: RwLock<TopicConfig>,
    /// All segments, oldest first; the last one is appended to. Never empty.
    pub(crate) segments: RwLock<Vec<Arc<Segment>>>,
    pub(crate) appender: Mutex<Appender>,
    pub(crate) watermark: Arc<HighWatermark>,
    pub(crate) log_start: AtomicU64,
    pub(crate) log_end: AtomicU64,
    pub(crate) transactions: Mutex<Transactions>,
    /// First offset whose transaction is not durably decided; `u64::MAX` without one.
    pub(crate) first_unstable: AtomicU64,
    pub(crate) checkpoint: CheckpointFile,
    pub(crate) pins: Mutex<Pins>,
    /// One compaction at a time.
    pub(crate) compaction: Mutex<()>,
    /// How many have forgotten aborted transactions since the partition was opened.
    pub(crate) compactions: AtomicU64,
    /// Number of the newest compaction.
    pub(crate) generation: AtomicU64,
    pub(crate) damage: Vec<Damage>,
    /// Why nothing may be appended, if so: damage was found whose extent for the producers is not known.
    pub(crate) read_only: Option<Error>,
    /// One commit at a time.
    pub(crate) committing: Mutex<()>,
    /// Whether the partition is in the committer's queue.
    pub(crate) dirty: AtomicBool,
    pub(crate) deleted: AtomicBool,
}

impl Partition {
    /// Topic and number.
    pub fn id(&self) -> &PartitionId {
        &self.home.id
    }

    /// The topic's settings, as they are now.
    pub fn config(&self) -> TopicConfig {
        *self.config.read()
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

    /// Waits until the record at `offset` can be read, for at most `timeout`; whether it can.
    pub fn wait_for(&self, offset: u64, timeout: Duration) -> Result<bool> {
        self.watermark.wait_timeout(offset.saturating_add(1), timeout, || self.check_alive())
    }

    /// Calls `wake` after each move of the high watermark, and when the log fails or is closed, until the
    /// subscription is dropped.
    pub fn subscribe(&self, wake: Waker) -> Subscription {
        Subscription::new(&self.watermark, wake)
    }

    /// Whether the topic was deleted: what is still read of it will be gone.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
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

    /// Makes durable what was appended so far.
    pub(crate) fn commit(&self) -> Result<()> {
        // A later commit must not overtake an earlier one's checkpoint.
        let _one_at_a_time = self.committing.lock();
        // Cleared first: what is appended from here on puts the partition into the queue again.
        self.dirty.store(false, Ordering::Release);
        let (segment, end_offset, position) = {
            let appender = self.appender.lock();
            (self.active(), appender.end_offset, appender.position)
        };
        if end_offset <= self.high_watermark() {
            return Ok(());
        }
        let file = segment.file().map_err(|e| segment.io("open", &e))?;
        let clock = &self.shared.env.clock;
        let begun = clock.monotonic();
        let synced = if canary("skip_fsync") { Ok(()) } else { file.sync() };
        self.shared.syncs.record(clock.monotonic().saturating_sub(begun));
        if !canary("swallow_eio") {
            synced.map_err(|e| segment.io("sync", &e))?;
        }
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
        self.settle_transactions(end_offset);
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
