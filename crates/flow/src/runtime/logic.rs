//! What stands between the engine and an operator or a sink: counters, snapshots, lanes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use arrow::array::{Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::datatypes::SchemaRef;
use fleuve_base::{Error, ErrorKind, Result};
use fleuve_functions::compile::ClockCell;
use fleuve_plan::NodeId;

use super::driver::EpochLogic;
use super::facts::EpochFacts;
use super::route::{hashes, lane_of, take_rows};
use super::snapshot::{Message, Part};
use super::stats::Stats;
use crate::batch::Batch;
use crate::operator::EpochOperator;
use crate::sink::{Lane, Lanes};

/// What every node of a worker shares.
#[derive(Clone)]
pub struct NodeContext {
    /// The node.
    pub node: NodeId,
    /// The worker.
    pub worker: usize,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Where parts of snapshots go.
    pub snapshots: Sender<Message>,
    /// Whether state is stored at all.
    pub durable: bool,
    /// The clock that expressions of this worker read.
    pub clock: ClockCell,
    /// Bytes of state that the pipeline may hold.
    pub memory_limit: usize,
}

impl NodeContext {
    fn send(&self, epoch: u64, part: Part) {
        let message = Message::Part { epoch, node: self.node, worker: self.worker, part };
        // The snapshotter ends early only after an error, which it has reported by then.
        let _ = self.snapshots.send(message);
    }

    fn check_memory(&self) -> Result<()> {
        let held = self.stats.total().state_bytes;
        if held <= self.memory_limit {
            return Ok(());
        }
        let message = format!("the pipeline's state needs {held} bytes; its limit is {}", self.memory_limit);
        let hint = "bound the state (a window, 'table.exec.state.ttl'), or raise 'pipeline.memory-limit'";
        Err(Error::new(ErrorKind::Limit, "E310", message).with_hint(hint))
    }
}

/// An operator in its place.
pub struct OperatorLogic {
    /// Its surroundings.
    pub context: NodeContext,
    /// The operator.
    pub operator: Box<dyn EpochOperator>,
}

impl EpochLogic for OperatorLogic {
    fn apply(&mut self, facts: &EpochFacts, inputs: &mut [Vec<Batch>], output: &mut Vec<Batch>) -> Result<()> {
        let context = &self.context;
        context.clock.set(facts.record.clock_ms);
        self.operator.apply(&facts.info(context.node), inputs, output)?;
        context.stats.set_operator(context.node, context.worker, self.operator.stats());
        context.check_memory()?;
        if facts.snapshot {
            // A finished pipeline begins anew: nobody will ask for its state.
            let wanted = context.durable && !facts.record.last;
            let tables = if wanted { self.operator.save()? } else { vec![] };
            context.send(facts.record.epoch, Part::State(tables));
        }
        Ok(())
    }
}

/// A sink's lanes on one worker.
pub struct SinkLogic {
    /// Its surroundings.
    pub context: NodeContext,
    /// The table.
    pub table: String,
    /// The table's columns.
    pub schema: SchemaRef,
    /// How the sink is divided.
    pub lanes: Lanes,
    /// The lanes that this worker writes, by number.
    pub open: Vec<(usize, Box<dyn Lane>)>,
}

impl SinkLogic {
    /// The rows under the names of the table's columns.
    fn conform(&self, batch: Batch) -> Result<Batch> {
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = batch.columns.columns().to_vec();
        let nulls = self.schema.fields().iter().zip(&columns).find(|(f, c)| !f.is_nullable() && c.null_count() > 0);
        if let Some((field, _)) = nulls {
            let message = format!("NULL for the column `{}` of `{}`, which is NOT NULL", field.name(), self.table);
            let hint = format!("filter such rows: WHERE {} IS NOT NULL", field.name());
            return Err(Error::input("E312", message).with_hint(hint));
        }
        let columns = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        let columns = columns.map_err(|e| Error::internal(format!("rows for `{}`: {e}", self.table)))?;
        Ok(Batch { columns, ..batch })
    }

    /// The batches of each open lane, in the order of `open`.
    fn split(&self, batches: Vec<Batch>) -> Result<Vec<Vec<Batch>>> {
        let mut shares = vec![vec![]; self.open.len()];
        for batch in batches {
            let Some(lanes) = self.lanes_of(&batch.columns)? else {
                shares.first_mut().into_iter().for_each(|share| share.push(batch.clone()));
                continue;
            };
            for (share, (lane, _)) in shares.iter_mut().zip(&self.open) {
                let rows = lanes.iter().enumerate().filter(|(_, of_row)| **of_row == *lane);
                let rows: UInt32Array = rows.map(|(row, _)| u32::try_from(row).unwrap_or(u32::MAX)).collect();
                if rows.values().len() == batch.num_rows() {
                    share.push(batch.clone());
                } else if !rows.values().is_empty() {
                    share.push(take_rows(&batch, &rows)?);
                }
            }
        }
        Ok(shares)
    }

    /// The lane of every row; none if all go to the first one here.
    fn lanes_of(&self, rows: &RecordBatch) -> Result<Option<Vec<usize>>> {
        match &self.lanes {
            Lanes::PerWorker | Lanes::Fixed { count: 0..=1, .. } | Lanes::Chosen { count: 0..=1, .. } => Ok(None),
            Lanes::Fixed { by, .. } if by.is_empty() => Ok(None),
            Lanes::Fixed { count, by } => {
                let hashes = hashes(rows, by)?;
                Ok(Some(hashes.into_iter().map(|hash| lane_of(hash, *count)).collect()))
            }
            Lanes::Chosen { chooser, .. } => chooser.0.lanes(rows).map(Some),
        }
    }

    fn write(&mut self, epoch: u64, batches: Vec<Batch>) -> Result<()> {
        let rows: usize = batches.iter().map(Batch::num_rows).sum();
        let shares = self.split(batches)?;
        for ((_, lane), share) in self.open.iter_mut().zip(shares) {
            let held = lane.last_epoch().is_some_and(|last| epoch <= last);
            if !held && !share.is_empty() {
                lane.write(epoch, share)?;
            }
        }
        self.context.stats.rows_out.fetch_add(rows as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl EpochLogic for SinkLogic {
    fn apply(&mut self, facts: &EpochFacts, inputs: &mut [Vec<Batch>], _output: &mut Vec<Batch>) -> Result<()> {
        let epoch = facts.record.epoch;
        let batches = std::mem::take(&mut inputs[0]);
        let batches = batches.into_iter().map(|batch| self.conform(batch)).collect::<Result<Vec<_>>>()?;
        let any = !batches.is_empty();
        if any {
            self.write(epoch, batches)?;
        }
        let stats = &self.context.stats;
        stats.watermark_ms.store(facts.watermarks[self.context.node], Ordering::Relaxed);
        stats.epoch.store(epoch, Ordering::Relaxed);
        if let (Some(arrival), true) = (facts.arrival, any) {
            stats.record_latency(arrival.elapsed());
        }
        if facts.snapshot {
            let texts = self.open.iter_mut().map(|(_, lane)| lane.checkpoint(epoch)).collect::<Result<_>>()?;
            self.context.send(epoch, Part::Acknowledgements(texts));
        }
        Ok(())
    }
}
