//! One worker: a thread that reads, decodes, steps Timely, and reports epochs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array};
use fleuve_base::{Error, Result};
use fleuve_plan::{NodeId, blocks_schema};
use timely::communication::Allocator;
use timely::dataflow::operators::probe;
use timely::worker::Worker;

use super::build::{self, WorkerPlan};
use super::coordinator::Report;
use super::driver::{Epoch, Feed};
use super::facts::{EpochFacts, FactsTable};
use super::scan::ScanStage;
use super::snapshot::Message;
use crate::batch::Batch;
use crate::operators::output_batch;
use crate::source::{Chunk, Claim, Decoded, Decoder, Source, bad_records_batch};

/// Epochs between the one being read and the oldest one that is not complete. Load makes epochs larger, not queues longer.
const EPOCHS_IN_FLIGHT_MAX: u64 = 4;

/// Records on their way to the disk while a full epoch waits to be closed.
const COMMITS_IN_FLIGHT_MAX: usize = 2;

/// While the disk is behind, an epoch may grow to so many times its usual size: the fewer syncs, the sooner it catches up.
const EPOCH_GROWTH_MAX: usize = 4;

/// Bytes claimed at once: what is decoded stays in the cache until the operators have seen it.
const CHUNK_BYTES: usize = 512 << 10;

/// A source as one worker reads it.
pub struct Input {
    /// The node.
    pub node: NodeId,
    /// The table.
    pub source: Arc<dyn Source>,
    /// This worker's decoder.
    pub decoder: Box<dyn Decoder>,
    /// Filter, projection, watermark.
    pub stage: ScanStage,
    /// Where batches go.
    pub feed: Feed,
    /// Where records go that cannot be decoded, if anything wants them.
    pub bad: Option<Feed>,
    /// Where the numbers of the blocks go that were read, if anything wants them.
    pub blocks: Option<Feed>,
    /// Nothing more will come.
    pub finished: bool,
}

/// The worker's loop.
pub struct WorkerLoop {
    plan: Arc<WorkerPlan>,
    worker: Worker,
    inputs: Vec<Input>,
    pacers: Vec<Feed>,
    table: FactsTable,
    probe: probe::Handle<Epoch>,
    index: usize,
    known: Epoch,
    filling: Filling,
    next_input: usize,
    decoded: Decoded,
    /// Chunks that this worker has decoded.
    chunks: usize,
}

/// The epoch being read.
#[derive(Default)]
struct Filling {
    epoch: Epoch,
    bytes: usize,
    reported: bool,
    report: Report,
}

impl WorkerLoop {
    /// Builds the dataflow on this thread.
    pub fn new(
        plan: Arc<WorkerPlan>,
        allocator: Allocator,
        snapshots: std::sync::mpsc::Sender<Message>,
    ) -> Result<Self> {
        plan.coordinator.register_thread();
        // Whoever has news unparks the worker; spinning would take the processor from the threads that it waits for.
        let config = timely::WorkerConfig::default().idle_spin(Duration::ZERO);
        // Without a timer Timely never parks.
        let mut worker = Worker::new(config, allocator, Some(Instant::now()));
        let built = build::dataflow(&plan, &mut worker, snapshots)?;
        Ok(WorkerLoop {
            index: worker.index(),
            known: plan.first_epoch - 1,
            inputs: built.inputs,
            pacers: built.pacers,
            table: built.table,
            probe: built.probe,
            worker,
            plan,
            filling: Filling::default(),
            next_input: 0,
            decoded: Decoded::default(),
            chunks: 0,
        })
    }

    /// Runs until the pipeline ends, stops or fails.
    pub fn run(&mut self) -> Result<()> {
        self.replay()?;
        self.live()?;
        self.feeds().for_each(|feed| feed.release(None));
        // Until Timely itself is done: peers need this worker's last progress messages.
        while self.worker.has_dataflows() && !self.plan.coordinator.failed() {
            self.worker.step_or_park(Some(self.plan.coordinator.sleep()));
        }
        Ok(())
    }

    /// Runs the recorded epochs again, with this worker's share of their ranges.
    fn replay(&mut self) -> Result<()> {
        let plan = self.plan.clone();
        for facts in &plan.replay {
            for (node, range) in facts.record.ranges.iter().skip(self.index).step_by(plan.workers) {
                let input = self.input(*node)?;
                let chunk = self.inputs[input].source.reclaim(*range)?;
                self.decode(input, &chunk, facts.record.epoch)?;
                self.worker.step();
            }
            self.learn(facts.clone());
            while self.lowest_incomplete().saturating_add(EPOCHS_IN_FLIGHT_MAX) < self.known {
                self.check()?;
                self.worker.step_or_park(Some(plan.coordinator.sleep()));
            }
        }
        Ok(())
    }

    fn input(&self, node: NodeId) -> Result<usize> {
        let position = self.inputs.iter().position(|input| input.node == node);
        position.ok_or_else(|| Error::corrupt(format!("the epoch journal names node {node}, which is no source")))
    }

    fn live(&mut self) -> Result<()> {
        let coordinator = self.plan.coordinator.clone();
        loop {
            self.check()?;
            coordinator.durable_after(self.known).into_iter().for_each(|facts| self.learn(facts));
            let open = coordinator.open_epoch();
            if coordinator.final_epoch().is_some_and(|last| self.known >= last) {
                return Ok(());
            }
            if open != self.filling.epoch {
                self.filling = Filling { epoch: open, ..Filling::default() };
            }
            let read = self.may_read() && self.read()?;
            let reported = self.may_report(read) && self.report()?;
            if read || reported {
                self.worker.step();
            } else {
                self.worker.step_or_park(Some(coordinator.sleep()));
            }
        }
    }

    fn check(&self) -> Result<()> {
        match self.plan.coordinator.failed() {
            true => Err(self.plan.coordinator.error().unwrap_or_else(|| Error::internal("failed without an error"))),
            false => Ok(()),
        }
    }

    /// Takes note of a durable epoch and gives up the right to add to it.
    fn learn(&mut self, facts: Arc<EpochFacts>) {
        self.known = facts.record.epoch;
        self.table.push(facts);
        self.feeds().for_each(|feed| feed.release(Some(self.known + 1)));
    }

    fn feeds<'a>(&'a self) -> impl Iterator<Item = &'a Feed> {
        let feeds = |input: &'a Input| std::iter::once(&input.feed).chain(&input.bad).chain(&input.blocks);
        self.inputs.iter().flat_map(feeds).chain(&self.pacers)
    }

    fn lowest_incomplete(&self) -> Epoch {
        self.probe.with_frontier(|frontier| frontier.first().copied()).unwrap_or(Epoch::MAX)
    }

    fn may_read(&self) -> bool {
        let coordinator = &self.plan.coordinator;
        let over = coordinator.final_epoch().is_some_and(|last| self.filling.epoch > last);
        let bytes_max = self.plan.pipeline.settings.epoch_bytes.saturating_mul(EPOCH_GROWTH_MAX);
        let full = self.filling.bytes >= bytes_max;
        !(self.filling.reported || over || self.crowded() || full || coordinator.stopping())
    }

    /// Whether the open epoch is so far ahead of the oldest incomplete one that it has to wait.
    fn crowded(&self) -> bool {
        self.filling.epoch >= self.lowest_incomplete().saturating_add(EPOCHS_IN_FLIGHT_MAX)
    }

    fn may_report(&self, more: bool) -> bool {
        let coordinator = &self.plan.coordinator;
        if self.filling.reported
            || self.crowded()
            || coordinator.final_epoch().is_some_and(|last| self.filling.epoch > last)
        {
            return false;
        }
        if coordinator.closing() || coordinator.stopping() || self.inputs.iter().all(|input| input.finished) {
            return true;
        }
        let commits = coordinator.commits_in_flight();
        let full = self.filling.bytes >= self.plan.pipeline.settings.epoch_bytes;
        let drained = !more && !self.filling.report.ranges.is_empty();
        (full && commits < COMMITS_IN_FLIGHT_MAX) || (drained && commits == 0) || coordinator.tick_due()
    }

    /// Claims and decodes one chunk from some source; false if none has anything.
    fn read(&mut self) -> Result<bool> {
        for turn in 0..self.inputs.len() {
            let at = (self.next_input + turn) % self.inputs.len();
            if self.inputs[at].finished {
                continue;
            }
            match self.inputs[at].source.claim(CHUNK_BYTES)? {
                Claim::Chunk(chunk) => {
                    self.next_input = at + 1;
                    self.fill(at, &chunk)?;
                    return Ok(true);
                }
                Claim::Pending => {}
                Claim::Finished => {
                    self.inputs[at].finished = true;
                    let node = self.inputs[at].node;
                    self.filling.report.finished.push(node);
                }
            }
        }
        Ok(false)
    }

    fn fill(&mut self, at: usize, chunk: &Chunk) -> Result<()> {
        let filling = &mut self.filling;
        filling.report.arrival.get_or_insert_with(Instant::now);
        filling.report.ranges.push((self.inputs[at].node, chunk.range));
        filling.bytes += chunk.bytes.as_ref().map_or(CHUNK_BYTES, bytes::Bytes::len);
        let watermark = self.decode(at, chunk, self.filling.epoch)?;
        if let Some(watermark) = watermark {
            self.filling.report.watermarks.push((self.inputs[at].node, chunk.range.split, watermark));
        }
        Ok(())
    }

    /// Decodes a chunk into an epoch; returns the watermark that its rows allow.
    fn decode(&mut self, at: usize, chunk: &Chunk, epoch: Epoch) -> Result<Option<i64>> {
        let input = &mut self.inputs[at];
        let decoded = &mut self.decoded;
        *decoded = Decoded::default();
        input.decoder.decode(chunk, decoded)?;
        let watermark = input.stage.watermark(&decoded.batches, decoded.max_timestamp)?;
        // No two chunks of any workers have the same number.
        let block = (self.chunks * self.plan.workers + self.index) as i64;
        self.chunks += 1;
        for batch in decoded.batches.drain(..) {
            input.feed.push(epoch, input.stage.apply(&batch, block)?);
        }
        if let Some(feed) = &input.blocks {
            let (size, of) = (input.source.extent(chunk.range)?, input.source.extents().unwrap_or_default());
            feed.push(epoch, block_read(block, [size, decoded.rows, of.blocks, of.all, of.max])?);
        }
        if let Some(feed) = input.bad.as_ref().filter(|_| !decoded.bad.is_empty()) {
            feed.push(epoch, Batch::append(bad_records_batch(&decoded.bad)?));
        }
        let stats = &self.plan.stats;
        stats.rows_in.fetch_add(decoded.rows, Ordering::Relaxed);
        stats.bad_records.fetch_add(decoded.bad.len() as u64, Ordering::Relaxed);
        Ok(watermark)
    }

    fn report(&mut self) -> Result<bool> {
        let report = std::mem::take(&mut self.filling.report);
        self.filling.reported = true;
        self.plan.coordinator.report(self.index, report, &|start| self.plan.send_snapshot(start))?;
        Ok(true)
    }
}

/// A row of [`blocks_schema`].
fn block_read(block: i64, numbers: [u64; 5]) -> Result<Batch> {
    let numbers = std::iter::once(block).chain(numbers.map(|number| i64::try_from(number).unwrap_or(i64::MAX)));
    let columns = numbers.map(|number| Arc::new(Int64Array::from(vec![number])) as ArrayRef).collect();
    output_batch(&blocks_schema(), columns, 1).map(Batch::append)
}
