//! Stateful operators, which work by the epoch.
//!
//! An operator never sees half an epoch: what arrives is stashed until the frontier has passed the epoch, then
//! [`EpochOperator::apply`] gets all of it, changes the state once, and emits one net change. So no arrival order shows
//! in a result, no retraction comes without its insertion, and a snapshot between two epochs is a clean cut.
//!
//! Operators are plain structs without a thread, a clock or a channel; `runtime` puts them into Timely.

use arrow::array::RecordBatch;
use fleuve_base::Result;

use crate::batch::Batch;

/// Before any watermark.
pub const WATERMARK_MIN: i64 = i64::MIN;

/// After the last row of a bounded input.
pub const WATERMARK_MAX: i64 = i64::MAX;

/// What is known about an epoch once it is durable: the same for every worker and for every replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochInfo {
    /// The epoch's number.
    pub epoch: u64,
    /// Its clock, in milliseconds since 1970 (UTC); never goes back.
    pub clock_ms: i64,
    /// The clock of the epoch before.
    pub previous_clock_ms: i64,
    /// The operator's watermark: the minimum over the sources that it reads from, idle ones left out, in milliseconds.
    pub watermark: i64,
    /// The watermark of the epoch before: what decides whether a row of this epoch is late.
    pub previous_watermark: i64,
    /// No further epoch will come: every source has ended.
    pub last: bool,
}

/// Which key groups a worker owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// This worker.
    pub worker: usize,
    /// All workers of the pipeline.
    pub workers: usize,
}

impl Share {
    /// The worker of several that owns a key group (0–255).
    pub fn owner(key_group: u8, workers: usize) -> usize {
        usize::from(key_group) * workers / fleuve_base::limits::KEY_GROUPS
    }

    /// Whether this worker owns the key group.
    pub fn owns(&self, key_group: u8) -> bool {
        Self::owner(key_group, self.workers) == self.worker
    }
}

/// A named piece of an operator's state, as it is stored in a snapshot.
#[derive(Debug, Clone)]
pub struct StateTable {
    /// The name, unique within the operator.
    pub name: String,
    /// The rows; their keys stand in columns of their own, so that another number of workers can deal them out anew.
    pub rows: RecordBatch,
}

/// Counters that an operator keeps for whoever watches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperatorStats {
    /// Rows dropped because their window had closed.
    pub late_rows: u64,
    /// Bytes of state, as accounted.
    pub state_bytes: usize,
    /// Keys (or rows) held in state.
    pub state_rows: usize,
}

/// A stateful operator.
pub trait EpochOperator {
    /// Applies one whole epoch: `inputs[i]` holds the batches of input `i`, in no particular order. Pushes the net
    /// change of the epoch to `output`. Called once for each epoch, in order, also when nothing arrived.
    fn apply(&mut self, info: &EpochInfo, inputs: &mut [Vec<Batch>], output: &mut Vec<Batch>) -> Result<()>;

    /// The whole state as it is between two epochs.
    fn save(&mut self) -> Result<Vec<StateTable>> {
        Ok(vec![])
    }

    /// Takes up saved state: called once for each worker that saved, before the first epoch. Keeps only the rows whose
    /// key group `share` owns (a state without keys belongs to key group 0).
    fn restore(&mut self, tables: &[StateTable], share: Share) -> Result<()> {
        let _ = (tables, share);
        Ok(())
    }

    /// Counters.
    fn stats(&self) -> OperatorStats {
        OperatorStats::default()
    }
}
