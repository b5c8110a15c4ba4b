//! EXPLAIN: a pipeline as a person reads it: operators, keys, exchanges, state and what bounds it, watermarks, guarantees.
//!
//! ```
//! use fleuve_plan::{Pipeline, Settings};
//! use fleuve_sql::explain::{Options, explain};
//!
//! let empty = Pipeline { name: String::new(), fingerprint: 0, settings: Settings::default(), nodes: vec![] };
//! assert_eq!(explain(&empty, &Options::default()), "");
//! ```

mod describe;
mod index_read;
mod state;

use std::fmt::Write as _;

use fleuve_plan::{Changelog, NodeId, Operator, Pipeline};
use serde_json::{Value, json};

use describe::{describe, exchanges};
use state::{Warning, state_of, warning_of};

/// What EXPLAIN shows beside the operators.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// `ESTIMATED_COST`: says that there are no statistics to estimate from.
    pub cost: bool,
    /// `CHANGELOG_MODE`: shows each operator's kinds of changes, not only the sinks'.
    pub changelog: bool,
    /// `JSON_EXECUTION_PLAN`: JSON instead of text.
    pub json: bool,
}

/// Operators that are shown below each other; a plan is never deeper.
const DEPTH_MAX: usize = fleuve_plan::pipeline::NODES_MAX;

/// The pipeline as text, or as JSON if the options ask for it.
pub fn explain(pipeline: &Pipeline, options: &Options) -> String {
    if options.json {
        let text = serde_json::to_string_pretty(&to_json(pipeline));
        return text.expect("a JSON value of strings, numbers and lists can always be written");
    }
    let mut text = Text { pipeline, options, out: String::new(), shown: vec![false; pipeline.nodes.len()] };
    let sinks = (0..pipeline.nodes.len()).filter(|id| matches!(pipeline.nodes[*id].operator, Operator::Sink(_)));
    sinks.for_each(|sink| text.node(sink, "", "", 0));
    warnings(pipeline).iter().for_each(|(id, warning)| text.warning(*id, warning));
    if options.cost && !pipeline.nodes.is_empty() {
        text.out.push_str("cost: not estimated (no statistics are kept)\n");
    }
    text.out
}

/// What should be said of a pipeline before it runs: the node and the warning.
pub fn warnings(pipeline: &Pipeline) -> Vec<(NodeId, Warning)> {
    (0..pipeline.nodes.len()).filter_map(|id| warning_of(pipeline, id).map(|warning| (id, warning))).collect()
}

struct Text<'p> {
    pipeline: &'p Pipeline,
    options: &'p Options,
    out: String,
    shown: Vec<bool>,
}

impl Text<'_> {
    /// Writes a node and what it reads. `first` stands before its own line, `rest` before the lines below it.
    fn node(&mut self, id: NodeId, first: &str, rest: &str, depth: usize) {
        if std::mem::replace(&mut self.shown[id], true) || depth > DEPTH_MAX {
            let name = self.pipeline.nodes[id].operator.name();
            self.line(format_args!("{first}#{id} {name} (shown above)"));
            return;
        }
        let node = &self.pipeline.nodes[id];
        let changes = if self.options.changelog { format!(" [{}]", changes(node.changelog)) } else { String::new() };
        let (head, details) = describe(self.pipeline, id);
        self.line(format_args!("{first}#{id} {head}{changes}"));
        let bar = if node.inputs.is_empty() { "  " } else { "│ " };
        details.iter().for_each(|detail| self.line(format_args!("{rest}{bar}  {detail}")));
        if let Some(state) = state_of(self.pipeline, id) {
            self.line(format_args!("{rest}{bar}  state: {}; bounded by {}", state.kept, state.bound));
        }
        let exchanges = exchanges(self.pipeline, id);
        for (position, input) in node.inputs.iter().enumerate() {
            let last = position + 1 == node.inputs.len();
            let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            match &exchanges[position] {
                Some(exchange) => {
                    self.line(format_args!("{rest}{branch}exchange {exchange}"));
                    let inner = format!("{rest}{below}");
                    self.node(*input, &format!("{inner}└─ "), &format!("{inner}   "), depth + 1);
                }
                None => self.node(*input, &format!("{rest}{branch}"), &format!("{rest}{below}"), depth + 1),
            }
        }
    }

    fn warning(&mut self, id: NodeId, warning: &Warning) {
        self.line(format_args!("warning[{}]: #{id} {}", warning.code, warning.message));
        self.line(format_args!("  = {}", warning.hint));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        writeln!(self.out, "{text}").expect("writing to a string does not fail");
    }
}

/// The kinds of changes that an output contains.
fn changes(changelog: Changelog) -> &'static str {
    match changelog {
        Changelog::AppendOnly => "+I",
        Changelog::Retract => "+I -U +U -D",
    }
}

fn to_json(pipeline: &Pipeline) -> Value {
    let nodes = (0..pipeline.nodes.len()).map(|id| node_json(pipeline, id)).collect::<Vec<_>>();
    let warnings = warnings(pipeline).into_iter().map(
        |(id, warning)| json!({"node": id, "code": warning.code, "message": warning.message, "hint": warning.hint}),
    );
    json!({
        "name": pipeline.name,
        "fingerprint": format!("{:016x}", pipeline.fingerprint),
        "nodes": nodes,
        "warnings": warnings.collect::<Vec<_>>(),
    })
}

fn node_json(pipeline: &Pipeline, id: NodeId) -> Value {
    let node = &pipeline.nodes[id];
    let (head, details) = describe(pipeline, id);
    let columns = node.schema.fields().iter().map(|field| {
        json!({"name": field.name(), "type": crate::types::display(field.data_type()), "nullable": field.is_nullable()})
    });
    let state = state_of(pipeline, id).map(|state| json!({"kept": state.kept, "bounded_by": state.bound}));
    json!({
        "id": id,
        "operator": node.operator.name(),
        "description": head,
        "details": details,
        "inputs": node.inputs,
        "exchanges": exchanges(pipeline, id),
        "columns": columns.collect::<Vec<_>>(),
        "changelog": changes(node.changelog),
        "upsert_key": node.upsert_key,
        "state": state,
    })
}
