//! What an operator keeps, and what makes it let go of it.

use fleuve_plan::{Interval, NodeId, Operator, Pipeline, TimeAttribute, Window, WindowInput};

use super::describe::duration;

/// What an operator keeps between epochs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// What is kept.
    pub kept: String,
    /// What bounds it.
    pub bound: String,
}

/// Something that a user should know before the pipeline runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// `W` and three digits.
    pub code: &'static str,
    /// What happens.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// What nothing bounds is bounded by this.
const NOTHING: &str = "nothing";

/// What a node keeps; none if nothing.
pub fn state_of(pipeline: &Pipeline, id: NodeId) -> Option<State> {
    let node = &pipeline.nodes[id];
    let state = |kept: &str, bound: String| Some(State { kept: kept.to_owned(), bound });
    match &node.operator {
        Operator::WindowAggregate { input, .. } => state("groups of open windows", window_bound(input)),
        Operator::WindowJoin { .. } => state("rows of open windows, both inputs", "the watermark".to_owned()),
        Operator::Join { interval: Some(interval), .. } => {
            state("rows that may still match, both inputs", interval_bound(interval))
        }
        Operator::Join { .. } => state("all rows, both inputs", lasting(pipeline, id)),
        Operator::Online(online) if online.keys.is_empty() => state("one group", "its size".to_owned()),
        Operator::Online(_) => state("one group for each key", "the input's end".to_owned()),
        Operator::Aggregate { keys, .. } if keys.is_empty() => state("one group", "its size".to_owned()),
        Operator::Aggregate { .. } => state("one group for each key", lasting(pipeline, id)),
        Operator::Normalize { .. } => state("the last row of each key", "the table's keys".to_owned()),
        Operator::LookupJoin { table, .. } => state(&format!("the table `{}`", table.table), "its size".to_owned()),
        Operator::Sample { method, .. } => {
            let rows = method.rows()?;
            state("the sample", format!("its rows, {rows}"))
        }
        Operator::Sort { skip, fetch: Some(fetch), .. } => {
            state("the first rows", format!("their number, {}", skip.saturating_add(*fetch)))
        }
        Operator::Sort { .. } => state("all rows", "the input's end".to_owned()),
        _ => None,
    }
}

fn window_bound(input: &WindowInput) -> String {
    match input {
        WindowInput::Assign { time: TimeAttribute::Processing, .. }
        | WindowInput::Attached { processing: true, .. } => "the clock".to_owned(),
        WindowInput::Assign { window: Window::Session { gap_ms }, .. } => {
            format!("the watermark, {} after a session's last row", duration(*gap_ms))
        }
        _ => "the watermark".to_owned(),
    }
}

fn interval_bound(interval: &Interval) -> String {
    format!(
        "the watermark (left rows {}, right rows {})",
        kept_for(interval.upper_ms),
        kept_for(interval.lower_ms.saturating_neg())
    )
}

fn kept_for(ms: i64) -> String {
    if ms > 0 { format!("for {}", duration(ms)) } else { "until it passes them".to_owned() }
}

/// What bounds state that no watermark cleans up.
fn lasting(pipeline: &Pipeline, id: NodeId) -> String {
    match pipeline.settings.state_ttl_ms {
        0 if is_bounded(pipeline, id) => "the input's end".to_owned(),
        0 => NOTHING.to_owned(),
        ttl => format!("the TTL, {}", duration(i64::try_from(ttl).unwrap_or(i64::MAX))),
    }
}

/// Whether everything that a node reads ends by itself.
fn is_bounded(pipeline: &Pipeline, id: NodeId) -> bool {
    pipeline.sources_of(id).into_iter().all(|source| match &pipeline.nodes[source].operator {
        Operator::Source(spec) => crate::planner::is_bounded(&spec.options),
        _ => true,
    })
}

/// The warning that a node deserves.
pub fn warning_of(pipeline: &Pipeline, id: NodeId) -> Option<Warning> {
    let state = state_of(pipeline, id).filter(|state| state.bound == NOTHING)?;
    let node = &pipeline.nodes[id];
    let (message, hint) = match &node.operator {
        Operator::Join { .. } => (
            format!(
                "{} keeps every row of both inputs (no window, no bounds on the times, no TTL)",
                node.operator.name()
            ),
            "join within bounds: a.ts BETWEEN b.ts - INTERVAL '1' HOUR AND b.ts; or SET 'table.exec.state.ttl' = '24 h'",
        ),
        _ => (
            format!("{} grows with every new key ({}; no window, no TTL)", node.operator.name(), state.kept),
            "group by a window: TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), …)); or SET 'table.exec.state.ttl' = '24 h'",
        ),
    };
    Some(Warning { code: "W103", message, hint: hint.to_owned() })
}
