//! GROUP BY within windows: each group of a window is emitted once, when the watermark or the clock passes the window's
//! end.
//!
//! [`panes`] computes TUMBLE, HOP and windows that rows carry already; [`sessions`] computes SESSION.

mod panes;
mod sessions;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use fleuve_base::{Error, Result};
use fleuve_functions::aggregate::AggregateSet;
use fleuve_plan::{AggregateCall, Changelog, TimeAttribute, Window, WindowInput};

use super::keyed_state::{output_batch, types_of};
use super::window_time::{check_time, window_columns};
use crate::batch::Batch;
use crate::operator::{EpochInfo, EpochOperator, OperatorStats, Share, StateTable, WATERMARK_MAX};
use panes::Panes;
use sessions::Sessions;

/// The windowed aggregate.
#[derive(Debug)]
pub struct WindowAggregate {
    kind: Kind,
    processing: bool,
    late_rows: u64,
}

#[derive(Debug)]
enum Kind {
    Panes(Box<Panes>),
    Sessions(Box<Sessions>),
}

/// How far event time (or the clock) was before an epoch, and how far it is at its end: a window has ended when its
/// last millisecond has been reached.
#[derive(Debug, Clone, Copy)]
struct Progress {
    before: i64,
    after: i64,
    clock_ms: i64,
}

/// What both kinds of windows need to know.
#[derive(Debug)]
struct Spec {
    keys: Vec<usize>,
    key_types: Vec<DataType>,
    input: Vec<DataType>,
    calls: Vec<AggregateCall>,
    retractable: bool,
    output: SchemaRef,
}

impl Spec {
    fn aggregates(&self) -> Result<AggregateSet> {
        AggregateSet::new(&self.calls, &self.input, self.retractable, self.retractable)
    }

    /// Puts keys, aggregates and windows together.
    fn emit(
        &self,
        keys: Vec<ArrayRef>,
        values: Vec<ArrayRef>,
        starts: Vec<i64>,
        ends: Vec<i64>,
        output: &mut Vec<Batch>,
    ) -> Result<()> {
        let (width, rows) = (self.output.fields().len(), starts.len());
        let types: [&DataType; 3] = std::array::from_fn(|i| self.output.field(width - 3 + i).data_type());
        let windows = window_columns(starts, ends, types)?;
        let columns = keys.into_iter().chain(values).chain(windows).collect();
        output.push(Batch::append(output_batch(&self.output, columns, rows)?));
        Ok(())
    }

    /// Which of the groups have rows: all, unless rows are retracted.
    fn present(&self, set: &AggregateSet, groups: &[u32]) -> Result<Option<Int64Array>> {
        if self.retractable { set.row_counts(groups).map(Some) } else { Ok(None) }
    }
}

impl WindowAggregate {
    /// An aggregate over an input with this schema and changelog.
    ///
    /// # Errors
    /// If a function, a key's type or the windows are not supported.
    pub fn new(
        input: &Schema,
        changelog: Changelog,
        window: &WindowInput,
        keys: &[usize],
        aggregates: &[AggregateCall],
        output: SchemaRef,
    ) -> Result<Self> {
        if output.fields().len() != keys.len() + aggregates.len() + 3 {
            return Err(Error::internal("a windowed aggregate yields keys, aggregates and three window columns"));
        }
        let types = types_of(input);
        let spec = Spec {
            keys: keys.to_vec(),
            key_types: keys.iter().map(|key| types[*key].clone()).collect(),
            calls: aggregates.to_vec(),
            retractable: changelog == Changelog::Retract,
            output,
            input: types,
        };
        let times: Vec<usize> = match window {
            WindowInput::Assign { time: TimeAttribute::Event(column), .. } => vec![*column],
            WindowInput::Attached { start, end, .. } => vec![*start, *end],
            WindowInput::Assign { .. } => vec![],
        };
        times.iter().try_for_each(|column| check_time(&spec.input[*column]))?;
        let processing = match window {
            WindowInput::Assign { time, .. } => *time == TimeAttribute::Processing,
            WindowInput::Attached { processing, .. } => *processing,
        };
        let kind = match window {
            WindowInput::Assign { window: Window::Session { gap_ms }, time } => {
                Kind::Sessions(Box::new(Sessions::new(spec, *gap_ms, *time)?))
            }
            _ => Kind::Panes(Box::new(Panes::new(spec, window)?)),
        };
        Ok(WindowAggregate { kind, processing, late_rows: 0 })
    }

    fn progress(&self, info: &EpochInfo) -> Progress {
        // A row of a later epoch may still carry this epoch's clock, so its millisecond has not passed.
        let (before, after) = if self.processing {
            (info.previous_clock_ms.saturating_sub(1), info.clock_ms.saturating_sub(1))
        } else {
            (info.previous_watermark, info.watermark)
        };
        Progress { before, after: if info.last { WATERMARK_MAX } else { after }, clock_ms: info.clock_ms }
    }
}

impl EpochOperator for WindowAggregate {
    fn apply(&mut self, info: &EpochInfo, inputs: &mut [Vec<Batch>], output: &mut Vec<Batch>) -> Result<()> {
        let progress = self.progress(info);
        let batches: Vec<Batch> = inputs[0].drain(..).filter(|batch| batch.num_rows() > 0).collect();
        self.late_rows += match &mut self.kind {
            Kind::Panes(panes) => panes.apply(progress, &batches, output)?,
            Kind::Sessions(sessions) => sessions.apply(progress, &batches, output)?,
        };
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<StateTable>> {
        match &self.kind {
            Kind::Panes(panes) => panes.save(),
            Kind::Sessions(sessions) => sessions.save(),
        }
    }

    fn restore(&mut self, tables: &[StateTable], share: Share) -> Result<()> {
        match &mut self.kind {
            Kind::Panes(panes) => panes.restore(tables, share),
            Kind::Sessions(sessions) => sessions.restore(tables, share),
        }
    }

    fn stats(&self) -> OperatorStats {
        let (state_bytes, state_rows) = match &self.kind {
            Kind::Panes(panes) => panes.size(),
            Kind::Sessions(sessions) => sessions.size(),
        };
        OperatorStats { late_rows: self.late_rows, state_bytes, state_rows }
    }
}

#[cfg(test)]
mod tests;
