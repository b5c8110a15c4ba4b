//! One journalled epoch, run again in isolation: what went in, and what came out.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use fleuve_base::{Env, Error, Result};
use fleuve_plan::{Changelog, Node, NodeId, Operator, SinkSpec, SourceSpec, TableOptions};
use parking_lot::Mutex;

use super::journal::EpochJournal;
use super::record::EpochRecord;
use super::run::{StartOptions, start_replay};
use super::store::PipelineStore;
use crate::batch::Batch;
use crate::connectors::{Connectors, Reader};
use crate::sink::{Guarantee, Lane, Lanes, Sink};
use crate::source::{Scan, Source};

/// An epoch that has been run again.
pub struct Replayed {
    /// The record from the journal.
    pub record: EpochRecord,
    /// What each source emitted and each sink received.
    pub nodes: Vec<ReplayedNode>,
}

/// The rows of one source or sink.
pub struct ReplayedNode {
    /// The operator.
    pub operator: Operator,
    /// The table's name.
    pub table: String,
    /// Rows that went in (a source's), not out.
    pub input: bool,
    /// Names and types of the rows.
    pub schema: SchemaRef,
    /// Columns that identify a row, if known.
    pub upsert_key: Option<Vec<usize>>,
    /// The rows.
    pub batches: Vec<Batch>,
}

/// Replays an epoch of a stored pipeline, from the last snapshot before it. Nothing is written.
///
/// # Errors
/// If the pipeline or the epoch is not known, or a range cannot be read any more.
pub fn replay(
    store: &PipelineStore,
    log: &fleuve_journal::Log,
    connectors: Arc<dyn Connectors>,
    env: &Env,
    epoch: u64,
) -> Result<Replayed> {
    let mut stored = store.plan()?.ok_or_else(|| Error::input("E403", "there is no such pipeline"))?;
    let identity = stored.identity();
    let journal = EpochJournal::open(log, &identity, env.clone())?;
    let nodes = &mut stored.pipeline.nodes;
    (0..nodes.len()).for_each(|id| tap(nodes, id));
    let seen = Arc::new(Mutex::new(vec![]));
    let capture = Arc::new(Capture { inner: connectors, epoch, seen: seen.clone() });
    let options = StartOptions { env: env.clone(), durable: None, connectors: capture };
    let plan = stored.pipeline.clone();
    start_replay(stored, &options, store.clone(), &journal, epoch)?.wait()?;
    let records = journal.records(0)?.into_iter().map(|(_, record)| record);
    let record = records.into_iter().find(|record| record.epoch == epoch);
    let record = record.ok_or_else(|| Error::internal("the epoch was just replayed"))?;
    let mut seen = std::mem::take(&mut *seen.lock());
    let sinks = plan.nodes.iter().enumerate().filter(|(_, node)| matches!(node.operator, Operator::Sink(_)));
    let nodes = sinks.map(|(id, sink)| replayed_node(&plan.nodes, id, sink, &mut seen)).collect();
    Ok(Replayed { record, nodes })
}

/// Adds a sink behind a source.
fn tap(nodes: &mut Vec<Node>, id: NodeId) {
    if let Operator::Source(source) = &nodes[id].operator {
        let sink = SinkSpec {
            table: source.table.clone(),
            options: TableOptions::default(),
            schema: nodes[id].schema.clone(),
            primary_key: vec![],
            partition_by: vec![],
            metadata: vec![],
            changelog: nodes[id].changelog == Changelog::Retract,
            upsert_key: None,
        };
        let (schema, changelog) = (nodes[id].schema.clone(), nodes[id].changelog);
        let operator = Operator::Sink(Box::new(sink));
        nodes.push(Node { operator, inputs: vec![id], schema, changelog, upsert_key: None });
    }
}

fn replayed_node(nodes: &[Node], id: NodeId, sink: &Node, seen: &mut Vec<(NodeId, Vec<Batch>)>) -> ReplayedNode {
    let before = &nodes[sink.inputs[0]];
    let input = matches!(before.operator, Operator::Source(_)) && id >= nodes.len() - count_sources(nodes);
    let (mine, others): (Vec<_>, Vec<_>) = seen.drain(..).partition(|(node, _)| *node == id);
    *seen = others;
    let table = match &sink.operator {
        Operator::Sink(spec) => spec.table.clone(),
        _ => String::new(),
    };
    ReplayedNode {
        operator: if input { before.operator.clone() } else { sink.operator.clone() },
        table,
        input,
        schema: before.schema.clone(),
        upsert_key: before.upsert_key.clone(),
        batches: mine.into_iter().flat_map(|(_, batches)| batches).collect(),
    }
}

fn count_sources(nodes: &[Node]) -> usize {
    nodes.iter().filter(|node| matches!(node.operator, Operator::Source(_))).count()
}

/// What sinks of one epoch received, by node.
type Seen = Arc<Mutex<Vec<(NodeId, Vec<Batch>)>>>;

/// Real sources, and sinks that only remember one epoch.
struct Capture {
    inner: Arc<dyn Connectors>,
    epoch: u64,
    seen: Seen,
}

impl Connectors for Capture {
    fn source(&self, reader: &Reader<'_>, spec: &SourceSpec, scan: Scan) -> Result<Arc<dyn Source>> {
        self.inner.source(reader, spec, scan)
    }

    fn sink(&self, reader: &Reader<'_>, _spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(CaptureSink { node: reader.node, epoch: self.epoch, seen: self.seen.clone() }))
    }
}

#[derive(Clone)]
struct CaptureSink {
    node: NodeId,
    epoch: u64,
    seen: Seen,
}

impl Sink for CaptureSink {
    fn lanes(&self) -> Lanes {
        Lanes::PerWorker
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn recover(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }

    fn open(&self, _lane: usize) -> Result<Box<dyn Lane>> {
        Ok(Box::new(self.clone()))
    }

    fn commit(&self, _committed: &[String]) -> Result<()> {
        Ok(())
    }
}

impl Lane for CaptureSink {
    fn write(&mut self, epoch: u64, batches: Vec<Batch>) -> Result<()> {
        if epoch == self.epoch {
            self.seen.lock().push((self.node, batches));
        }
        Ok(())
    }

    fn checkpoint(&mut self, _epoch: u64) -> Result<String> {
        Ok(String::new())
    }
}
