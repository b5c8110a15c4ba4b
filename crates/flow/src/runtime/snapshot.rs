//! The snapshotter: gathers what operators save and sinks acknowledge at the end of an epoch, and makes it a snapshot.
//!
//! Operators only hand over their state (Arrow tables, which nobody changes any more); encoding, writing and syncing
//! happen on this thread. When the manifest is durable the sinks may show what it names, sources may forget what came
//! before the oldest snapshot that is kept, and the next snapshot may begin.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use fleuve_base::{Error, Result};
use fleuve_plan::NodeId;

use super::coordinator::{Coordinator, SnapshotStart};
use super::stats::Stats;
use super::store::{Manifest, PipelineStore};
use crate::operator::StateTable;
use crate::sink::Sink;
use crate::source::{Range, Source};

/// What arrives at the snapshotter.
pub enum Message {
    /// A snapshot at the end of this epoch has been decided on.
    Start(SnapshotStart),
    /// One node's part on one worker.
    Part {
        /// The epoch.
        epoch: u64,
        /// The node.
        node: NodeId,
        /// The worker.
        worker: usize,
        /// What it is.
        part: Part,
    },
}

/// A node's contribution to a snapshot.
pub enum Part {
    /// An operator's state.
    State(Vec<StateTable>),
    /// A sink's acknowledgements, one for each lane on the worker.
    Acknowledgements(Vec<String>),
}

/// Everything the snapshotter needs to know about its pipeline.
pub struct Snapshotter {
    /// Where snapshots go; `None` for a pipeline that is not durable (sinks are committed all the same).
    pub store: Option<PipelineStore>,
    /// Parts that make a snapshot complete.
    pub parts: usize,
    /// Fingerprint of the plan.
    pub fingerprint: u64,
    /// Snapshots kept.
    pub retained: usize,
    /// The sinks, by node.
    pub sinks: BTreeMap<NodeId, Arc<dyn Sink>>,
    /// The sources, by node.
    pub sources: BTreeMap<NodeId, Arc<dyn Source>>,
    /// Told when a snapshot is done, or has failed.
    pub coordinator: Arc<Coordinator>,
    /// Where the last snapshot's epoch is shown.
    pub stats: Arc<Stats>,
}

#[derive(Default)]
struct Pending {
    start: Option<SnapshotStart>,
    parts: Vec<(NodeId, usize, Part)>,
}

impl Snapshotter {
    /// Starts the thread. It ends when every sender is gone.
    pub fn start(self) -> (Sender<Message>, JoinHandle<()>) {
        let (sender, receiver) = channel();
        let run = move || {
            if let Err(error) = self.run(&receiver) {
                self.coordinator.fail(error);
            }
        };
        let thread = std::thread::Builder::new().name("fleuve-snapshot".to_owned()).spawn(run);
        (sender, thread.expect("the operating system can start a thread"))
    }

    fn run(&self, receiver: &Receiver<Message>) -> Result<()> {
        let mut pending: BTreeMap<u64, Pending> = BTreeMap::new();
        for message in receiver {
            let epoch = match message {
                Message::Start(start) => {
                    let epoch = start.facts.record.epoch;
                    pending.entry(epoch).or_default().start = Some(start);
                    epoch
                }
                Message::Part { epoch, node, worker, part } => {
                    pending.entry(epoch).or_default().parts.push((node, worker, part));
                    epoch
                }
            };
            let complete = |p: &Pending| p.start.is_some() && p.parts.len() == self.parts;
            if pending.get(&epoch).is_some_and(complete) {
                self.finish(epoch, pending.remove(&epoch).unwrap_or_default())?;
            }
        }
        Ok(())
    }

    fn finish(&self, epoch: u64, pending: Pending) -> Result<()> {
        let start = pending.start.ok_or_else(|| Error::internal("a snapshot without a start"))?;
        let manifest = self.manifest(epoch, &start, pending.parts)?;
        let mut oldest = Some(manifest.clone());
        if let Some(store) = &self.store {
            store.write_manifest(&manifest)?;
            oldest = store.prune(self.retained)?;
        }
        for (node, sink) in &self.sinks {
            sink.commit(manifest.acknowledgements.get(node).map_or(&[], Vec::as_slice))?;
        }
        self.each_source(&manifest, |source, last| source.snapshotted(last));
        if let Some(oldest) = oldest {
            self.each_source(&oldest, |source, before| source.release(before));
        }
        self.stats.snapshot_epoch.store(epoch, Ordering::Relaxed);
        self.coordinator.snapshot_done();
        Ok(())
    }

    fn manifest(&self, epoch: u64, start: &SnapshotStart, parts: Vec<(NodeId, usize, Part)>) -> Result<Manifest> {
        let record = &start.facts.record;
        let mut manifest = Manifest::new(epoch, record.incarnation, self.fingerprint);
        manifest.journal_offset = start.journal_offset;
        manifest.last = record.last;
        manifest.watermarks.clone_from(&start.facts.watermarks);
        manifest.positions = start.positions.iter().map(|((node, _), range)| (*node, *range)).collect();
        for (node, worker, part) in parts {
            match part {
                Part::State(tables) => {
                    if let (Some(store), false) = (&self.store, tables.is_empty()) {
                        let (name, checksum) = store.write_state(epoch, node, worker, &tables)?;
                        manifest.files.push((node, name, checksum));
                    }
                }
                Part::Acknowledgements(texts) => {
                    let texts = texts.into_iter().filter(|text| !text.is_empty());
                    manifest.acknowledgements.entry(node).or_default().extend(texts);
                }
            }
        }
        Ok(manifest)
    }

    /// Tells every source where a snapshot has it.
    fn each_source(&self, manifest: &Manifest, tell: impl Fn(&dyn Source, &[Range])) {
        for (node, source) in &self.sources {
            let ranges: Vec<Range> = manifest.positions.iter().filter(|(n, _)| n == node).map(|(_, r)| *r).collect();
            tell(&**source, &ranges);
        }
    }
}
