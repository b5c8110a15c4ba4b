//! What every worker is told about an epoch once it is durable.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use fleuve_plan::{NodeId, Operator, Pipeline};

use super::record::EpochRecord;
use crate::operator::{EpochInfo, WATERMARK_MAX, WATERMARK_MIN};

/// Epochs whose facts a worker keeps: more than can be in flight.
const FACTS_KEPT: usize = 64;

/// A durable epoch.
#[derive(Debug)]
pub struct EpochFacts {
    /// The record as journalled.
    pub record: EpochRecord,
    /// The clock of the epoch before.
    pub previous_clock_ms: i64,
    /// Watermarks at the end of the epoch, by node.
    pub watermarks: Vec<i64>,
    /// Watermarks at the end of the epoch before, by node.
    pub previous_watermarks: Vec<i64>,
    /// Whether its end is to be made a snapshot now (never again in a replay).
    pub snapshot: bool,
    /// When the first row of the epoch was claimed; `None` in a replay.
    pub arrival: Option<Instant>,
}

impl EpochFacts {
    /// What an operator sees of the epoch.
    pub fn info(&self, node: NodeId) -> EpochInfo {
        EpochInfo {
            epoch: self.record.epoch,
            clock_ms: self.record.clock_ms,
            previous_clock_ms: self.previous_clock_ms,
            watermark: self.watermarks[node],
            previous_watermark: self.previous_watermarks[node],
            last: self.record.last,
        }
    }
}

/// Derives node watermarks from split marks.
pub struct WatermarkMap {
    /// For each node its source nodes.
    sources: Vec<Vec<NodeId>>,
}

impl WatermarkMap {
    /// The map of a plan.
    pub fn new(pipeline: &Pipeline) -> Self {
        WatermarkMap { sources: (0..pipeline.nodes.len()).map(|node| pipeline.sources_of(node)).collect() }
    }

    /// Watermarks by node at the end of an epoch: for a source the minimum over its splits that are not idle (the last
    /// known one if all are), for any other node the minimum over its sources. Never below `previous`.
    pub fn watermarks(&self, record: &EpochRecord, previous: &[i64]) -> Vec<i64> {
        if record.last {
            return vec![WATERMARK_MAX; self.sources.len()];
        }
        let of_source = |node: NodeId| {
            let active = record.splits.iter().filter(|mark| mark.node == node && !mark.idle);
            active.map(|mark| mark.watermark).min().unwrap_or(previous[node]).max(previous[node])
        };
        let of_node = |sources: &Vec<NodeId>| sources.iter().map(|s| of_source(*s)).min().unwrap_or(WATERMARK_MAX);
        self.sources.iter().map(of_node).collect()
    }

    /// Before the first epoch.
    pub fn initial(&self) -> Vec<i64> {
        vec![WATERMARK_MIN; self.sources.len()]
    }
}

/// The source nodes of a plan.
pub fn source_nodes(pipeline: &Pipeline) -> Vec<NodeId> {
    let is_source = |node: &NodeId| matches!(pipeline.nodes[*node].operator, Operator::Source(_));
    (0..pipeline.nodes.len()).filter(is_source).collect()
}

/// The durable epochs that one worker knows of. A worker learns of an epoch before it gives up its own capability for it,
/// hence before any of its operators sees the frontier pass it.
#[derive(Clone, Default)]
pub struct FactsTable(Rc<RefCell<VecDeque<Arc<EpochFacts>>>>);

impl FactsTable {
    /// Adds the next epoch.
    pub fn push(&self, facts: Arc<EpochFacts>) {
        let mut table = self.0.borrow_mut();
        if table.len() == FACTS_KEPT {
            table.pop_front();
        }
        table.push_back(facts);
    }

    /// The facts of an epoch, if it is durable.
    pub fn get(&self, epoch: u64) -> Option<Arc<EpochFacts>> {
        let table = self.0.borrow();
        let first = table.front()?.record.epoch;
        table.get(usize::try_from(epoch.checked_sub(first)?).ok()?).cloned()
    }
}
