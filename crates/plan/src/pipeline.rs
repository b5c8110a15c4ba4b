//! A pipeline: nodes in topological order, and what is true of each one's output.

use std::sync::Arc;

use arrow_schema::Schema;
use fleuve_base::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::expr::Expr;
use crate::operator::{Operator, SampleMethod};
use crate::settings::Settings;

/// A node's place in [`Pipeline::nodes`]; stable over restarts, since the plan is stored.
pub type NodeId = usize;

/// Nodes of one pipeline.
pub const NODES_MAX: usize = 10_000;

/// A statement set that runs as one computation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// `pipeline.name`, or what the script's path gives.
    pub name: String,
    /// A hash of the plan: an edited script has another one.
    pub fingerprint: u64,
    /// Execution settings.
    pub settings: Settings,
    /// The nodes; inputs come before their readers.
    pub nodes: Vec<Node>,
}

/// One operator with its inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The operator.
    pub operator: Operator,
    /// Nodes whose output it reads, in order (a join: left, right).
    pub inputs: Vec<NodeId>,
    /// Names and types of its output.
    pub schema: Arc<Schema>,
    /// Whether its output is append-only.
    pub changelog: Changelog,
    /// Output columns that identify a row, if known: no two live rows agree on all of them.
    pub upsert_key: Option<Vec<usize>>,
}

/// What a node's output may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Changelog {
    /// Only insertions; batches carry no weights.
    AppendOnly,
    /// Insertions and retractions; batches carry weights.
    Retract,
}

impl Pipeline {
    /// The pipeline as stored text.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plans are plain data with string keys")
    }

    /// Reads a stored plan back.
    pub fn from_json(text: &str) -> Result<Self> {
        let pipeline: Pipeline =
            serde_json::from_str(text).map_err(|e| Error::corrupt(format!("the stored plan cannot be read: {e}")))?;
        pipeline.check()?;
        Ok(pipeline)
    }

    /// A hash of nodes and inputs, independent of name and settings (FNV-1a over the JSON text).
    pub fn compute_fingerprint(&self) -> u64 {
        let text = serde_json::to_string(&self.nodes).expect("plans are plain data with string keys");
        text.bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }

    /// Whether a run that has finished is gone on with by the next one, instead of being begun anew: what it writes into, an
    /// index, holds what came before.
    pub fn accumulates(&self) -> bool {
        self.nodes.iter().any(|node| match &node.operator {
            Operator::Sink(sink) => sink.options.connector() == "$index",
            _ => false,
        })
    }

    /// The source nodes that a node's rows come from, itself included.
    pub fn sources_of(&self, node: NodeId) -> Vec<NodeId> {
        let mut seen = vec![false; self.nodes.len()];
        seen[node] = true;
        for id in (0..=node).rev().filter(|id| *id <= node) {
            if seen[id] {
                self.nodes[id].inputs.iter().for_each(|input| seen[*input] = true);
            }
        }
        (0..=node).filter(|id| seen[*id] && matches!(self.nodes[*id].operator, Operator::Source(_))).collect()
    }

    /// Verifies the invariants: inputs come first, and every column that is read exists.
    pub fn check(&self) -> Result<()> {
        if self.nodes.len() > NODES_MAX {
            return Err(Error::input("E090", format!("the pipeline has more than {NODES_MAX} operators")));
        }
        self.nodes.iter().enumerate().try_for_each(|(id, node)| self.check_node(id, node))
    }

    fn check_node(&self, id: NodeId, node: &Node) -> Result<()> {
        if node.inputs.iter().any(|input| *input >= id) {
            return Err(Error::internal(format!("node {id} reads a node that comes after it")));
        }
        if let Operator::BadRecords { source } | Operator::Blocks { source } = &node.operator
            && (*source >= id || !matches!(self.nodes[*source].operator, Operator::Source(_)))
        {
            return Err(Error::internal(format!("node {id} tells of node {source}, which is no source")));
        }
        let widths: Vec<usize> = node.inputs.iter().map(|i| self.nodes[*i].schema.fields().len()).collect();
        let width: usize = widths.iter().sum();
        let read = columns_read(&node.operator);
        match read.iter().find(|column| **column >= width) {
            Some(column) => Err(Error::internal(format!("node {id} reads column {column} of {width}"))),
            None => Ok(()),
        }
    }
}

/// The input columns that an operator names, in concatenated numbering for all but join keys.
fn columns_read(operator: &Operator) -> Vec<usize> {
    let of = |exprs: &[Expr]| exprs.iter().flat_map(Expr::columns).collect::<Vec<_>>();
    match operator {
        Operator::Calc { predicate, projection } => {
            of(projection).into_iter().chain(predicate.iter().flat_map(Expr::columns)).collect()
        }
        Operator::WindowAggregate { keys, aggregates, .. } | Operator::Aggregate { keys, aggregates } => {
            let calls = aggregates.iter().flat_map(|call| call.args.iter().copied().chain(call.filter));
            keys.iter().copied().chain(calls).collect()
        }
        Operator::Online(online) => online.columns_read(),
        Operator::Join { filter, .. } | Operator::WindowJoin { filter, .. } => {
            filter.iter().flat_map(Expr::columns).collect()
        }
        Operator::LookupJoin { input_keys, .. } => of(input_keys),
        Operator::Normalize { keys, order } => keys.iter().chain(order).copied().collect(),
        Operator::Unnest { column, .. } => vec![*column],
        Operator::Sample { method: SampleMethod::Weighted { weight, .. }, columns, .. } => {
            columns.iter().chain([weight]).copied().collect()
        }
        Operator::Sample { columns, .. } => columns.clone(),
        Operator::Sort { keys, .. } => keys.iter().map(|key| key.column).collect(),
        _ => vec![],
    }
}
