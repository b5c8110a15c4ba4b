//! The coordinator: decides where an epoch ends, writes its record ahead, and tells the workers when it is durable.
//!
//! It has no thread of its own. The last worker to report an epoch builds the record and appends it; the log's commit
//! thread calls back when it is on disk. Claims are made for the *open* epoch only, and the next one opens when every
//! worker has reported: so the ranges of a split grow with the epochs, whichever worker read them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use fleuve_base::{Env, Error, Result};
use fleuve_plan::{NodeId, Settings};
use parking_lot::Mutex;

use super::facts::{EpochFacts, WatermarkMap};
use super::journal::EpochJournal;
use super::record::{EpochRecord, SplitMark};
use crate::operator::{WATERMARK_MAX, WATERMARK_MIN};
use crate::source::{Range, Source, Waker};

/// Durable epochs kept for workers that have not taken them yet; the bound on epochs in flight is far below.
const DURABLE_KEPT: usize = 64;

/// What a worker did in an epoch.
#[derive(Debug, Default)]
pub struct Report {
    /// What it read, by source node.
    pub ranges: Vec<(NodeId, Range)>,
    /// Watermarks that the rows allow, by source node and split.
    pub watermarks: Vec<(NodeId, u32, i64)>,
    /// Sources of which nothing more will come.
    pub finished: Vec<NodeId>,
    /// When it claimed its first chunk.
    pub arrival: Option<Instant>,
}

/// Where a pipeline goes on.
pub struct Resume {
    /// The first epoch to be run live.
    pub next_epoch: u64,
    /// Which start of the pipeline this is, from 1.
    pub incarnation: u64,
    /// The epoch after which nothing comes, if that is known already.
    pub final_epoch: Option<u64>,
    /// The last record before it, if there is one.
    pub last_record: Option<EpochRecord>,
    /// Node watermarks at the end of that record.
    pub watermarks: Vec<i64>,
    /// The last range of every split.
    pub positions: BTreeMap<(NodeId, u32), Range>,
}

/// See the module.
pub struct Coordinator {
    env: Env,
    sources: Vec<(NodeId, Arc<dyn Source>)>,
    map: WatermarkMap,
    journal: Option<EpochJournal>,
    snapshot_interval: Duration,
    idle_timeout: Duration,
    tick: Option<Duration>,
    incarnation: u64,
    open: AtomicU64,
    closing: AtomicBool,
    commits: AtomicUsize,
    stopping: AtomicBool,
    failed: AtomicBool,
    snapshotting: AtomicBool,
    state: Mutex<State>,
    threads: Mutex<Vec<Thread>>,
}

struct State {
    reports: Vec<Option<Report>>,
    splits: BTreeMap<(NodeId, u32), Split>,
    finished: Vec<NodeId>,
    positions: BTreeMap<(NodeId, u32), Range>,
    watermarks: Vec<i64>,
    clock_ms: i64,
    pending: VecDeque<Arc<EpochFacts>>,
    durable: VecDeque<Arc<EpochFacts>>,
    final_epoch: Option<u64>,
    last_close: Duration,
    last_snapshot: Duration,
    dirty: bool,
    error: Option<Error>,
}

struct Split {
    watermark: i64,
    last_active: Duration,
}

/// What the snapshot of an epoch starts with.
pub struct SnapshotStart {
    /// The epoch's facts.
    pub facts: Arc<EpochFacts>,
    /// The last range of every split up to it.
    pub positions: BTreeMap<(NodeId, u32), Range>,
    /// The offset of its record in the epoch journal; 0 without one.
    pub journal_offset: u64,
}

impl Coordinator {
    /// A coordinator for workers that read these sources. `tick` is how long a pipeline whose results depend on the clock
    /// may go without an epoch.
    pub fn new(
        env: Env,
        settings: &Settings,
        sources: Vec<(NodeId, Arc<dyn Source>)>,
        map: WatermarkMap,
        journal: Option<EpochJournal>,
        tick: Option<Duration>,
        resume: Resume,
    ) -> Self {
        let now = env.clock.monotonic();
        let last_splits = resume.last_record.iter().flat_map(|record| &record.splits);
        let splits = last_splits
            .map(|mark| ((mark.node, mark.split), Split { watermark: mark.watermark, last_active: now }))
            .collect();
        Coordinator {
            sources,
            map,
            journal,
            snapshot_interval: Duration::from_millis(settings.snapshot_interval_ms),
            idle_timeout: Duration::from_millis(settings.idle_timeout_ms),
            tick,
            incarnation: resume.incarnation,
            open: AtomicU64::new(resume.next_epoch),
            closing: AtomicBool::new(false),
            commits: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            snapshotting: AtomicBool::new(false),
            state: Mutex::new(State {
                reports: (0..settings.workers).map(|_| None).collect(),
                splits,
                finished: vec![],
                positions: resume.positions,
                watermarks: resume.watermarks,
                clock_ms: resume.last_record.as_ref().map_or(i64::MIN, |record| record.clock_ms),
                pending: VecDeque::new(),
                durable: VecDeque::new(),
                final_epoch: resume.final_epoch,
                last_close: now,
                last_snapshot: now,
                dirty: false,
                error: None,
            }),
            threads: Mutex::new(vec![]),
            env,
        }
    }

    /// Registers the calling thread as a worker to be woken.
    pub fn register_thread(&self) {
        self.threads.lock().push(std::thread::current());
    }

    /// Wakes all workers.
    pub fn wake(&self) {
        self.threads.lock().iter().for_each(Thread::unpark);
    }

    /// What a source calls when there may be something to claim.
    pub fn waker(self: &Arc<Self>) -> Waker {
        let coordinator = Arc::downgrade(self);
        Arc::new(move || {
            if let Some(coordinator) = coordinator.upgrade() {
                coordinator.wake();
            }
        })
    }

    /// The epoch that rows are being read for.
    pub fn open_epoch(&self) -> u64 {
        self.open.load(Ordering::Acquire)
    }

    /// Whether the open epoch is to be closed by everyone.
    pub fn closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Asks everyone to report the open epoch.
    pub fn request_close(&self) {
        if !self.closing.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// Records that are on their way to the disk.
    pub fn commits_in_flight(&self) -> usize {
        self.commits.load(Ordering::Acquire)
    }

    /// Whether an epoch without rows is due: for the clock, for idle splits, or to commit what sinks hold back.
    pub fn tick_due(&self) -> bool {
        let now = self.env.clock.monotonic();
        let state = self.state.lock();
        let since_close = now.saturating_sub(state.last_close);
        let ticks = self.tick.is_some_and(|tick| since_close >= tick);
        self.stopping.load(Ordering::Acquire) || ticks || self.snapshot_due(&state, now)
    }

    /// How long a worker may sleep without missing a tick.
    pub fn sleep(&self) -> Duration {
        self.tick.unwrap_or(self.snapshot_interval).clamp(Duration::from_millis(1), Duration::from_millis(100))
    }

    /// Ends the pipeline cleanly: one last epoch with a snapshot.
    pub fn request_stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether no more may be claimed.
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Ends the pipeline with an error; the first one counts.
    pub fn fail(&self, error: Error) {
        self.state.lock().error.get_or_insert(error);
        self.failed.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether the pipeline has failed.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// The first error.
    pub fn error(&self) -> Option<Error> {
        self.state.lock().error.clone()
    }

    /// The epoch after which no other comes, once it is known.
    pub fn final_epoch(&self) -> Option<u64> {
        self.state.lock().final_epoch
    }

    /// Durable epochs after the given one, in order.
    pub fn durable_after(&self, epoch: u64) -> Vec<Arc<EpochFacts>> {
        self.state.lock().durable.iter().filter(|facts| facts.record.epoch > epoch).cloned().collect()
    }

    /// A snapshot has become valid (or cannot be had): the next one may begin.
    pub fn snapshot_done(&self) {
        self.snapshotting.store(false, Ordering::Release);
        self.wake();
    }

    /// A worker's part of the open epoch. The last part closes the epoch, and if a snapshot is due at its end, tells
    /// `snapshots` what that starts with.
    pub fn report(self: &Arc<Self>, worker: usize, report: Report, snapshots: &dyn Fn(SnapshotStart)) -> Result<()> {
        let mut state = self.state.lock();
        state.reports[worker] = Some(report);
        if state.reports.iter().any(Option::is_none) {
            drop(state);
            self.request_close();
            return Ok(());
        }
        let facts = Arc::new(self.close(&mut state));
        let positions = facts.record.snapshot.then(|| state.positions.clone());
        state.pending.push_back(facts.clone());
        drop(state);
        let journal_offset = self.write(&facts)?;
        if let Some(positions) = positions {
            snapshots(SnapshotStart { facts: facts.clone(), positions, journal_offset });
        }
        self.closing.store(false, Ordering::Release);
        self.open.store(facts.record.epoch + 1, Ordering::Release);
        self.wake();
        Ok(())
    }

    /// Builds the record of the open epoch from all reports.
    fn close(&self, state: &mut State) -> EpochFacts {
        let now = self.env.clock.monotonic();
        let reports: Vec<Report> = state.reports.iter_mut().filter_map(Option::take).collect();
        let mut ranges: Vec<(NodeId, Range)> = reports.iter().flat_map(|r| r.ranges.iter().copied()).collect();
        ranges.sort_unstable();
        self.advance_splits(state, &reports, &ranges, now);
        let last = self.sources.iter().all(|(node, _)| state.finished.contains(node));
        let stopping = self.stopping.load(Ordering::Acquire);
        state.dirty |= !ranges.is_empty();
        let snapshot = last || stopping || self.snapshot_due(state, now);
        if snapshot {
            self.snapshotting.store(true, Ordering::Release);
            (state.dirty, state.last_snapshot) = (false, now);
        }
        let previous_clock_ms = state.clock_ms;
        state.clock_ms = state.clock_ms.max(self.env.clock.now_ms());
        state.last_close = now;
        let epoch = self.open.load(Ordering::Acquire);
        if last || stopping {
            state.final_epoch = Some(epoch);
        }
        let record = EpochRecord {
            epoch,
            incarnation: self.incarnation,
            clock_ms: state.clock_ms,
            snapshot,
            last,
            ranges,
            splits: self.marks(state, now),
        };
        let watermarks = self.map.watermarks(&record, &state.watermarks);
        let previous_watermarks = std::mem::replace(&mut state.watermarks, watermarks.clone());
        let arrival = reports.iter().filter_map(|r| r.arrival).min();
        let previous_clock_ms = if previous_clock_ms == i64::MIN { record.clock_ms } else { previous_clock_ms };
        EpochFacts { record, previous_clock_ms, watermarks, previous_watermarks, snapshot, arrival }
    }

    fn snapshot_due(&self, state: &State, now: Duration) -> bool {
        let due = now.saturating_sub(state.last_snapshot) >= self.snapshot_interval;
        state.dirty && due && !self.snapshotting.load(Ordering::Acquire)
    }

    fn advance_splits(&self, state: &mut State, reports: &[Report], ranges: &[(NodeId, Range)], now: Duration) {
        for (node, source) in &self.sources {
            for split in 0..u32::try_from(source.splits().len()).unwrap_or(u32::MAX).max(1) {
                let fresh = Split { watermark: WATERMARK_MIN, last_active: now };
                state.splits.entry((*node, split)).or_insert(fresh);
            }
        }
        for (node, range) in ranges {
            state.positions.insert((*node, range.split), *range);
            if let Some(split) = state.splits.get_mut(&(*node, range.split)) {
                split.last_active = now;
            }
        }
        for (node, split, watermark) in reports.iter().flat_map(|r| r.watermarks.iter()) {
            if let Some(split) = state.splits.get_mut(&(*node, *split)) {
                split.watermark = split.watermark.max(*watermark);
            }
        }
        for node in reports.iter().flat_map(|r| r.finished.iter()) {
            if !state.finished.contains(node) {
                state.finished.push(*node);
            }
            state.splits.iter_mut().filter(|((n, _), _)| n == node).for_each(|(_, s)| s.watermark = WATERMARK_MAX);
        }
    }

    fn marks(&self, state: &State, now: Duration) -> Vec<SplitMark> {
        let idle =
            |split: &Split| !self.idle_timeout.is_zero() && now.saturating_sub(split.last_active) >= self.idle_timeout;
        let marks = state.splits.iter();
        marks
            .map(|((node, split), s)| SplitMark { node: *node, split: *split, watermark: s.watermark, idle: idle(s) })
            .collect()
    }

    /// Appends the record, publishes the epoch when it is durable, and returns the record's offset.
    fn write(self: &Arc<Self>, facts: &Arc<EpochFacts>) -> Result<u64> {
        let epoch = facts.record.epoch;
        let Some(journal) = &self.journal else {
            self.publish(epoch);
            return Ok(0);
        };
        self.commits.fetch_add(1, Ordering::AcqRel);
        let appended = journal.append(&facts.record)?;
        let coordinator = self.clone();
        appended.ticket.on_durable(Box::new(move |result| {
            coordinator.commits.fetch_sub(1, Ordering::AcqRel);
            match result {
                Ok(()) => coordinator.publish(epoch),
                Err(error) => coordinator.fail(error),
            }
        }));
        Ok(appended.first_offset)
    }

    /// Makes an epoch known to the workers.
    fn publish(&self, epoch: u64) {
        let mut state = self.state.lock();
        while let Some(facts) = state.pending.pop_front_if(|facts| facts.record.epoch <= epoch) {
            if state.durable.len() == DURABLE_KEPT {
                state.durable.pop_front();
            }
            state.durable.push_back(facts);
        }
        drop(state);
        self.wake();
    }
}
