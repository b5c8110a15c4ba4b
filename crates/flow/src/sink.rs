//! What a sink is to the engine: lanes into which whole epochs go, once.

use std::sync::Arc;

use arrow::array::RecordBatch;
use fleuve_base::Result;

use crate::batch::Batch;

/// What a sink promises; EXPLAIN prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// Every epoch is in the output once, whatever crashes.
    ExactlyOnce,
    /// After a crash the epochs since the last snapshot are written again.
    AtLeastOnce,
}

/// How a sink's output is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lanes {
    /// Each worker writes what it has: for sinks whose output becomes visible only with a snapshot, or has no memory.
    PerWorker,
    /// A fixed number, which does not change with the number of workers; a row's lane is the hash of these columns
    /// (positions), or lane 0 for all if there are none.
    Fixed {
        /// How many.
        count: usize,
        /// The columns that choose the lane.
        by: Vec<usize>,
    },
    /// A fixed number, among which the sink itself chooses.
    Chosen {
        /// How many.
        count: usize,
        /// Who chooses.
        chooser: Chooser,
    },
}

/// Chooses the lanes of rows.
pub trait ChooseLanes: Send + Sync {
    /// The lane of every row: by nothing but the row, so that a replay chooses as before.
    fn lanes(&self, rows: &RecordBatch) -> Result<Vec<usize>>;
}

/// Whoever chooses lanes; equal only to itself.
#[derive(Clone)]
pub struct Chooser(pub Arc<dyn ChooseLanes>);

impl PartialEq for Chooser {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Chooser {}

impl std::fmt::Debug for Chooser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chooser")
    }
}

/// A table that is being written. Shared by all workers.
pub trait Sink: Send + Sync {
    /// How the output is divided.
    fn lanes(&self) -> Lanes;

    /// The guarantee.
    fn guarantee(&self) -> Guarantee;

    /// Called once before any lane is opened, with what [`Lane::checkpoint`] returned for the snapshot that the pipeline
    /// starts from (empty for a fresh start): finishes what that snapshot committed and removes what came after it.
    fn recover(&self, committed: &[String]) -> Result<()>;

    /// Opens a lane (a number below the fixed count, or the worker's).
    fn open(&self, lane: usize) -> Result<Box<dyn Lane>>;

    /// A snapshot is valid: everything that these acknowledgements name may become visible.
    fn commit(&self, committed: &[String]) -> Result<()>;
}

/// One lane of a sink; lives on one worker.
pub trait Lane {
    /// The last epoch that the output already holds: it and all before it are skipped.
    fn last_epoch(&self) -> Option<u64> {
        None
    }

    /// Writes all of an epoch, atomically. Called once for each epoch that has rows, in order. Need not be durable before
    /// [`Lane::checkpoint`].
    fn write(&mut self, epoch: u64, batches: Vec<Batch>) -> Result<()>;

    /// Makes everything written so far durable and returns an acknowledgement, which is stored with the snapshot (empty:
    /// nothing to remember). Called at the end of an epoch.
    fn checkpoint(&mut self, epoch: u64) -> Result<String>;
}
