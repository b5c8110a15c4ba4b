//! Starting, watching and stopping a pipeline.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::array::RecordBatch;
use fleuve_base::{Env, Error, ErrorKind, Result, limits};
use fleuve_functions::compile::{ClockCell, CompileContext};
use fleuve_journal::Log;
use fleuve_plan::{Changelog, Node, NodeId, Operator, Pipeline, ReadOrder, SourceSpec};
use parking_lot::Mutex;
use timely::CommunicationConfig;
use timely::communication::{Allocator, WorkerGuards, initialize_from};

use super::build::{WorkerPlan, needs_clock, takes_part};
use super::coordinator::{Coordinator, Resume};
use super::facts::{EpochFacts, WatermarkMap, source_nodes};
use super::journal::EpochJournal;
use super::record::EpochRecord;
use super::scan::ScanPlan;
use super::shuffled::Shuffled;
use super::snapshot::{Message, Snapshotter};
use super::stats::Stats;
use super::store::{Manifest, PipelineStore, StoredPlan};
use super::worker::WorkerLoop;
use crate::connectors::{Connectors, Reader};
use crate::sink::Sink;
use crate::source::{Claim, Decoded, Range, Source};

/// How often a pipeline whose results depend on the clock closes an epoch without input.
const TICK: Duration = Duration::from_millis(100);

/// Bytes of a lookup table that is read whole.
const LOOKUP_BYTES_MAX: usize = 1 << 30;

/// Bytes claimed at once while a lookup table is read.
const LOOKUP_CHUNK_BYTES: usize = 1 << 20;

/// Where a pipeline runs.
pub struct StartOptions {
    /// Clock, random source, files.
    pub env: Env,
    /// The log and its directory, for a durable pipeline; `None` runs it in memory.
    pub durable: Option<(Arc<Log>, PathBuf)>,
    /// Sources and sinks.
    pub connectors: Arc<dyn Connectors>,
}

/// How a pipeline ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every source has ended, and everything is in the sinks.
    Finished,
    /// It was stopped, and can go on where it is.
    Stopped,
}

/// A running pipeline.
pub struct Handle {
    pipeline: Arc<Pipeline>,
    coordinator: Arc<Coordinator>,
    stats: Arc<Stats>,
    sources: Vec<(NodeId, Arc<dyn Source>)>,
    /// The last epoch that is run again; 0 if none is.
    replayed: u64,
    workers: WorkerGuards<()>,
    snapshotter: JoinHandle<()>,
}

impl Handle {
    /// The plan that runs (the stored one, where there was one).
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Live counters.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// The sources, by node.
    pub fn sources(&self) -> &[(NodeId, Arc<dyn Source>)] {
        &self.sources
    }

    /// What ends the pipeline cleanly when it is called, from any thread.
    pub fn stopper(&self) -> Arc<dyn Fn() + Send + Sync> {
        let coordinator = self.coordinator.clone();
        Arc::new(move || coordinator.request_stop())
    }

    /// Whether its workers have ended.
    pub fn ended(&self) -> bool {
        self.workers.guards().iter().all(JoinHandle::is_finished)
    }

    /// Whether the epochs that the journal had beyond the last snapshot have been run again.
    pub fn has_replayed(&self) -> bool {
        self.stats.epoch.load(Ordering::Relaxed) >= self.replayed
    }

    /// Whether it has failed; [`Handle::wait`] has the error.
    pub fn failed(&self) -> bool {
        self.coordinator.failed()
    }

    /// Waits for the end.
    pub fn wait(self) -> Result<Outcome> {
        // Panics are caught inside and have become the coordinator's error.
        drop(self.workers.join());
        let _ = self.snapshotter.join();
        match self.coordinator.error() {
            Some(error) => Err(error),
            None if self.coordinator.stopping() => Ok(Outcome::Stopped),
            None => Ok(Outcome::Finished),
        }
    }
}

/// Begins a run of several pipelines that belong together, the statements of one script, or goes on with it: all plans are
/// stored before any pipeline starts, and what has finished in a run that was not ended by [`end`] is not begun again.
/// Returns those that [`start`] is to be called for.
///
/// # Errors
/// If an unfinished pipeline of the same name has another plan.
pub fn begin(pipelines: Vec<Pipeline>, options: &StartOptions) -> Result<Vec<Pipeline>> {
    let Some((_, dir)) = &options.durable else { return Ok(pipelines) };
    let open = |pipeline: Pipeline| {
        let store = PipelineStore::open(options.env.clone(), dir, &pipeline.name)?;
        let stored = stored_plan(&store, pipeline.clone(), options)?;
        match store.latest()?.filter(|manifest| stored.has_finished(manifest) && !stored.pipeline.accumulates()) {
            Some(manifest) => show_committed(&stored, &manifest, options).map(|()| None),
            None => Ok(Some(pipeline)),
        }
    };
    let begun = pipelines.into_iter().map(open).collect::<Result<Vec<_>>>()?;
    Ok(begun.into_iter().flatten().collect())
}

/// Notes that a run has ended and that its user has been told so: the next one begins anew. Without this note it would have
/// nothing left to do. Does nothing if one of the pipelines has not finished.
pub fn end(names: &[String], env: &Env, dir: &Path) -> Result<()> {
    let mut ended = vec![];
    for name in names {
        let store = PipelineStore::open(env.clone(), dir, name)?;
        match (store.plan()?, store.latest()?) {
            (Some(stored), Some(manifest)) if manifest.last => {
                ended.push((store, StoredPlan { begun_after: manifest.epoch, ..stored }));
            }
            _ => return Ok(()),
        }
    }
    ended.iter().try_for_each(|(store, stored)| store.write_plan(stored))
}

/// Starts a pipeline, or goes on with it where the data directory says it was.
pub fn start(pipeline: Pipeline, options: &StartOptions) -> Result<Handle> {
    pipeline.check()?;
    let Some((log, dir)) = &options.durable else {
        let stored = StoredPlan { instance: options.env.random.next_u64(), begun_after: 0, pipeline };
        let past = Past::find(&stored.pipeline, None, None, None)?;
        return Launch::new(options, stored, None, None, past).run();
    };
    let store = PipelineStore::open(options.env.clone(), dir, &pipeline.name)?;
    let stored = stored_plan(&store, pipeline, options)?;
    let journal = EpochJournal::open(log, &stored.identity(), options.env.clone())?;
    let mut past = Past::find(&stored.pipeline, Some(&store), Some(&journal), None)?;
    // What a run that was ended has committed has been shown, and its user may have moved it since.
    past.committed = past.committed.filter(|manifest| manifest.epoch > stored.begun_after);
    Launch::new(options, stored, Some(store), Some(journal), past).run()
}

/// Runs the journalled epochs of a pipeline again, from the last snapshot before `epoch` up to it, with other connectors
/// (whose sinks see what would be written) and perhaps other sinks in the plan. Writes nothing to the data directory.
///
/// # Errors
/// If the epoch is not in the journal, or no snapshot is left to start from.
pub fn start_replay(
    stored: StoredPlan,
    options: &StartOptions,
    store: PipelineStore,
    journal: &EpochJournal,
    epoch: u64,
) -> Result<Handle> {
    let past = Past::find(&stored.pipeline, Some(&store), Some(journal), Some(epoch))?;
    match past.replay.last() {
        Some(facts) if facts.record.epoch == epoch => Launch::new(options, stored, Some(store), None, past).run(),
        _ => {
            let message = format!("epoch {epoch} of pipeline {} is not in the journal", stored.pipeline.name);
            let reach = format!("it can be replayed from epoch {}", past.first_epoch);
            Err(Error::input("E405", message).with_detail(reach))
        }
    }
}

/// Has the sinks of a finished run show what its last snapshot committed: a crash may have come in between.
fn show_committed(finished: &StoredPlan, manifest: &Manifest, options: &StartOptions) -> Result<()> {
    open_sinks(&*options.connectors, &finished.pipeline, &finished.identity(), Some(manifest)).map(drop)
}

/// The plan to run: the stored one if there is one, which the new one must equal.
fn stored_plan(store: &PipelineStore, pipeline: Pipeline, options: &StartOptions) -> Result<StoredPlan> {
    let write = |instance: u64, begun_after: u64, pipeline: Pipeline| {
        let stored = StoredPlan { instance, begun_after, pipeline };
        store.write_plan(&stored)?;
        Ok(stored)
    };
    let Some(StoredPlan { instance, begun_after, pipeline: old }) = store.plan()? else {
        return write(options.env.random.next_u64(), 0, pipeline);
    };
    if old.fingerprint == pipeline.fingerprint {
        let pipeline = Pipeline { settings: pipeline.settings, ..old };
        return Ok(StoredPlan { instance, begun_after, pipeline });
    }
    if let Some(manifest) = store.latest()?.filter(|manifest| manifest.last) {
        let finished = StoredPlan { instance, begun_after, pipeline: old };
        if finished.has_finished(&manifest) {
            show_committed(&finished, &manifest, options)?;
        }
        return write(instance, manifest.epoch, pipeline);
    }
    let message = format!("pipeline {} exists with another plan, and has not finished", pipeline.name);
    let hint = format!(
        "run the script as it was, or give this one a name of its own (SET 'pipeline.name' = '…'), or \
         `fleuve job rm {}`",
        pipeline.name
    );
    Err(Error::new(ErrorKind::Conflict, "E401", message).with_hint(hint))
}

/// What the data directory knows of a pipeline.
struct Past {
    /// The snapshot to take state from: none for a fresh start.
    restore: Option<Manifest>,
    /// The snapshot whose files the sinks finish.
    committed: Option<Manifest>,
    /// Journalled epochs after the snapshot.
    replay: Vec<Arc<EpochFacts>>,
    first_epoch: u64,
    incarnation: u64,
    watermarks: Vec<i64>,
    positions: BTreeMap<(NodeId, u32), Range>,
    /// Nothing is to be read after the replay.
    only_replay: bool,
}

/// The manifest of the last snapshot before an epoch, or of the last one.
fn last_before(store: &PipelineStore, until: Option<u64>) -> Result<Option<Manifest>> {
    let before = |epoch: &u64| until.is_none_or(|until| *epoch < until);
    let last = store.snapshots()?.into_iter().rfind(before);
    last.map(|epoch| store.manifest(epoch)).transpose()
}

impl Past {
    /// With `until`, only what lies before that epoch's end.
    fn find(
        pipeline: &Pipeline,
        store: Option<&PipelineStore>,
        journal: Option<&EpochJournal>,
        until: Option<u64>,
    ) -> Result<Past> {
        let map = WatermarkMap::new(pipeline);
        let committed = store.map(|store| last_before(store, until)).transpose()?.flatten();
        let goes_on = |m: &Manifest| (!m.last || pipeline.accumulates()) && m.fingerprint == pipeline.fingerprint;
        let restore = committed.clone().filter(goes_on);
        let after = committed.as_ref().map_or(0, |m| m.epoch);
        let from = committed.as_ref().map_or(0, |m| m.journal_offset);
        let records = journal.map(|j| j.records(from)).transpose()?.unwrap_or_default();
        let wanted = |r: &EpochRecord| r.epoch > after && until.is_none_or(|until| r.epoch <= until);
        let records: Vec<_> = records.into_iter().map(|(_, r)| r).filter(wanted).collect();
        let mut past = Past {
            first_epoch: after + 1,
            incarnation: committed.as_ref().map_or(0, |m| m.incarnation) + 1,
            watermarks: restore.as_ref().map_or_else(|| map.initial(), |m| m.watermarks.clone()),
            positions: BTreeMap::new(),
            replay: vec![],
            only_replay: until.is_some(),
            restore,
            committed,
        };
        let positions = past.restore.iter().flat_map(|m| &m.positions);
        past.positions = positions.map(|(node, range)| ((*node, range.split), *range)).collect();
        records.into_iter().try_for_each(|record| past.add(&map, record))?;
        Ok(past)
    }

    /// The epoch after which nothing comes, if it is in the journal.
    fn final_epoch(&self) -> Option<u64> {
        let last = self.replay.last().map(|facts| &facts.record);
        last.filter(|record| record.last || self.only_replay).map(|record| record.epoch)
    }

    /// Takes up one journalled epoch.
    fn add(&mut self, map: &WatermarkMap, record: EpochRecord) -> Result<()> {
        let expected = self.first_epoch + self.replay.len() as u64;
        if record.epoch != expected {
            let message = format!("the epoch journal goes on with epoch {} where {expected} is due", record.epoch);
            return Err(Error::corrupt(message));
        }
        for (node, range) in &record.ranges {
            self.positions.insert((*node, range.split), *range);
        }
        self.incarnation = self.incarnation.max(record.incarnation + 1);
        let watermarks = map.watermarks(&record, &self.watermarks);
        let previous_watermarks = std::mem::replace(&mut self.watermarks, watermarks.clone());
        let before = self.replay.last().map_or(record.clock_ms, |facts| facts.record.clock_ms);
        let (snapshot, arrival) = (record.last && !self.only_replay, None);
        let facts =
            EpochFacts { record, previous_clock_ms: before, watermarks, previous_watermarks, snapshot, arrival };
        self.replay.push(Arc::new(facts));
        Ok(())
    }
}

/// The sources of a pipeline and how they are scanned, by node.
pub type OpenSources = BTreeMap<NodeId, (Arc<dyn Source>, ScanPlan)>;

/// A pipeline about to start.
struct Launch<'a> {
    options: &'a StartOptions,
    pipeline: Arc<Pipeline>,
    identity: String,
    store: Option<PipelineStore>,
    journal: Option<EpochJournal>,
    past: Past,
}

impl<'a> Launch<'a> {
    fn new(
        options: &'a StartOptions,
        stored: StoredPlan,
        store: Option<PipelineStore>,
        journal: Option<EpochJournal>,
        past: Past,
    ) -> Self {
        let identity = stored.identity();
        Launch { options, pipeline: Arc::new(stored.pipeline), identity, store, journal, past }
    }

    fn run(mut self) -> Result<Handle> {
        let pipeline = self.pipeline.clone();
        let workers = pipeline.settings.workers.clamp(1, limits::WORKERS_MAX);
        let stats = Arc::new(Stats::default());
        let lookups = self.lookups(&stats)?;
        let sources = self.sources()?;
        let committed = self.past.committed.as_ref();
        let sinks = open_sinks(&*self.options.connectors, &pipeline, &self.identity, committed)?;
        let opened: Vec<_> = sources.iter().map(|(node, (source, _))| (*node, source.clone())).collect();
        let positions = self.past.positions.clone();
        let replayed = self.past.replay.last().map_or(0, |facts| facts.record.epoch);
        let coordinator = self.coordinator(&opened);
        opened.iter().for_each(|(_, source)| source.subscribe(coordinator.waker()));
        let snapshotter = Snapshotter {
            store: self.store.clone(),
            parts: pipeline.nodes.iter().filter(|n| takes_part(&n.operator, &pipeline)).count() * workers,
            fingerprint: pipeline.fingerprint,
            retained: pipeline.settings.snapshots_retained,
            sinks: sinks.clone(),
            sources: opened.iter().cloned().collect(),
            coordinator: coordinator.clone(),
            stats: stats.clone(),
        };
        let (sender, snapshotter) = snapshotter.start();
        let plan = Arc::new(WorkerPlan {
            workers,
            coordinator: coordinator.clone(),
            stats: stats.clone(),
            sources,
            sinks,
            lookups,
            store: self.store,
            restore: self.past.restore,
            replay: self.past.replay,
            first_epoch: self.past.first_epoch,
            announce: Mutex::new(Some(sender.clone())),
            pipeline: pipeline.clone(),
        });
        announce_replayed_end(&plan, positions, &sender);
        let workers = spawn(&plan, &sender)?;
        Ok(Handle { pipeline, coordinator, stats, sources: opened, replayed, workers, snapshotter })
    }

    fn coordinator(&mut self, sources: &[(NodeId, Arc<dyn Source>)]) -> Arc<Coordinator> {
        let resume = Resume {
            next_epoch: self.past.first_epoch + self.past.replay.len() as u64,
            incarnation: self.past.incarnation,
            final_epoch: self.past.final_epoch(),
            last_record: self.past.replay.last().map(|facts| facts.record.clone()),
            watermarks: self.past.watermarks.clone(),
            positions: self.past.positions.clone(),
        };
        let tick = needs_clock(&self.pipeline).then_some(TICK);
        let map = WatermarkMap::new(&self.pipeline);
        let (env, journal) = (self.options.env.clone(), self.journal.take());
        Arc::new(Coordinator::new(env, &self.pipeline.settings, sources.to_vec(), map, journal, tick, resume))
    }

    fn sources(&self) -> Result<OpenSources> {
        let open = |node: NodeId| {
            let Operator::Source(spec) = &self.pipeline.nodes[node].operator else {
                return Err(Error::internal("only source nodes are opened as sources"));
            };
            let Node { schema, changelog, .. } = &self.pipeline.nodes[node];
            let scan = ScanPlan::new(spec, schema.clone(), *changelog)?;
            let source = self.options.connectors.source(&self.reader(node), spec, scan.scan.clone())?;
            let source = match &spec.order {
                ReadOrder::Stored | ReadOrder::Indexed(_) => source,
                ReadOrder::ShuffledBlocks { seed } => Arc::new(Shuffled::new(source, &spec.table, *seed)?),
            };
            let positions = self.past.positions.iter().filter(|((n, _), _)| *n == node);
            source.resume(&positions.map(|(_, range)| *range).collect::<Vec<_>>())?;
            if self.past.restore.as_ref().is_some_and(|manifest| manifest.last) {
                source.reopen()?;
            }
            Ok((node, (source, scan)))
        };
        source_nodes(&self.pipeline).into_iter().map(open).collect()
    }

    fn reader(&self, node: NodeId) -> Reader<'_> {
        Reader { pipeline: &self.identity, node }
    }

    fn lookups(&self, stats: &Stats) -> Result<BTreeMap<NodeId, Vec<RecordBatch>>> {
        let mut lookups = BTreeMap::new();
        for (node, n) in self.pipeline.nodes.iter().enumerate() {
            if let Operator::LookupJoin { table, .. } = &n.operator {
                let skip = self.pipeline.nodes[n.inputs[0]].schema.fields().len();
                let fields: Vec<_> = n.schema.fields().iter().skip(skip).cloned().collect();
                let schema = Arc::new(arrow::datatypes::Schema::new(fields));
                lookups.insert(node, self.read_whole(node, table, schema, stats)?);
            }
        }
        Ok(lookups)
    }

    /// Reads a bounded table whole.
    fn read_whole(
        &self,
        node: NodeId,
        spec: &SourceSpec,
        schema: arrow::datatypes::SchemaRef,
        stats: &Stats,
    ) -> Result<Vec<RecordBatch>> {
        let scan = ScanPlan::new(spec, schema, Changelog::AppendOnly)?;
        let source = self.options.connectors.source(&self.reader(node), spec, scan.scan.clone())?;
        if !source.bounded() {
            let message = format!("`{}` does not end, so it cannot be looked up", spec.table);
            let hint = "a lookup join reads its table whole before the first row: use a file";
            return Err(Error::unsupported("E210", message).with_hint(hint));
        }
        let context = CompileContext::new(ClockCell::new(0), &self.pipeline.settings.time_zone)?;
        let (mut decoder, stage) = (source.decoder()?, scan.stage(&context)?);
        let (mut rows, mut bytes) = (vec![], 0);
        loop {
            match source.claim(LOOKUP_CHUNK_BYTES)? {
                Claim::Finished => return Ok(rows),
                Claim::Pending => std::thread::yield_now(),
                Claim::Chunk(chunk) => {
                    let mut decoded = Decoded::default();
                    decoder.decode(&chunk, &mut decoded)?;
                    stats.bad_records.fetch_add(decoded.bad.len() as u64, Ordering::Relaxed);
                    for batch in &decoded.batches {
                        let batch = stage.apply(batch, 0)?.columns;
                        bytes += batch.get_array_memory_size();
                        rows.push(batch);
                    }
                }
            }
            if bytes > LOOKUP_BYTES_MAX {
                let message = format!("the lookup table `{}` is larger than {LOOKUP_BYTES_MAX} bytes", spec.table);
                return Err(Error::new(ErrorKind::Limit, "E311", message));
            }
        }
    }
}

/// Opens the sinks of a pipeline; they finish what the last snapshot committed.
fn open_sinks(
    connectors: &dyn Connectors,
    pipeline: &Pipeline,
    identity: &str,
    committed: Option<&Manifest>,
) -> Result<BTreeMap<NodeId, Arc<dyn Sink>>> {
    let mut sinks = BTreeMap::new();
    for (node, operator) in pipeline.nodes.iter().map(|n| &n.operator).enumerate() {
        if let Operator::Sink(spec) = operator {
            let sink = connectors.sink(&Reader { pipeline: identity, node }, spec)?;
            let committed = committed.and_then(|m| m.acknowledgements.get(&node));
            sink.recover(committed.map_or(&[], Vec::as_slice))?;
            sinks.insert(node, sink);
        }
    }
    Ok(sinks)
}

/// Where the journal holds the pipeline's last epoch already, its replay takes the final snapshot.
fn announce_replayed_end(plan: &Arc<WorkerPlan>, positions: BTreeMap<(NodeId, u32), Range>, sender: &Sender<Message>) {
    if let Some(facts) = plan.replay.last().filter(|facts| facts.snapshot) {
        let start = super::coordinator::SnapshotStart {
            facts: facts.clone(),
            positions,
            journal_offset: plan.restore.as_ref().map_or(0, |m| m.journal_offset),
        };
        // The snapshotter ends early only after an error, which it has reported by then.
        let _ = sender.send(Message::Start(start));
    }
}

/// Starts the worker threads.
fn spawn(plan: &Arc<WorkerPlan>, sender: &Sender<Message>) -> Result<WorkerGuards<()>> {
    let config = match plan.workers {
        1 => CommunicationConfig::Thread,
        workers => CommunicationConfig::Process(workers),
    };
    let (builders, guard) = config.try_build().map_err(Error::internal)?;
    let (plan, sender) = (plan.clone(), Mutex::new(sender.clone()));
    let living = AtomicUsize::new(plan.workers);
    let body = move |allocator: Allocator| {
        let sender = sender.lock().clone();
        let result = catch_unwind(AssertUnwindSafe(|| WorkerLoop::new(plan.clone(), allocator, sender)?.run()));
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => plan.coordinator.fail(error),
            Err(panic) => plan.coordinator.fail(Error::internal(panic_message(&*panic))),
        }
        // The last one out lets the snapshotter end.
        if living.fetch_sub(1, Ordering::AcqRel) == 1 {
            plan.stats.end();
            *plan.announce.lock() = None;
        }
    };
    initialize_from(builders, guard, body).map_err(Error::internal)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    format!("a worker panicked: {text}")
}
