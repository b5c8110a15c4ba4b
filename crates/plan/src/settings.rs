//! The settings of a pipeline that its execution depends on, under the names that `SET` uses.

use serde::{Deserialize, Serialize};

/// Execution settings, fixed when a pipeline starts and stored with its plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `parallelism.default`: worker threads. May change at a restart.
    pub workers: usize,
    /// `table.exec.source.idle-timeout` in ms: a split without rows for so long no longer holds the watermark back; 0 is never.
    pub idle_timeout_ms: u64,
    /// `table.exec.state.ttl` in ms: unwindowed state not touched for so long may go; 0 is never.
    pub state_ttl_ms: u64,
    /// `execution.checkpointing.interval` in ms: distance between snapshots.
    pub snapshot_interval_ms: u64,
    /// `execution.checkpointing.retained`: snapshots kept.
    pub snapshots_retained: usize,
    /// `table.local-time-zone`: an IANA name or a fixed offset.
    pub time_zone: String,
    /// `pipeline.epoch-bytes`: a worker reads at most so many bytes into one epoch.
    pub epoch_bytes: usize,
    /// `pipeline.memory-limit` in bytes, for all state of the pipeline; over it the pipeline fails by name.
    pub memory_limit: usize,
    /// `pipeline.seed`: what hash functions and random choices of summaries are drawn from.
    #[serde(default = "default_seed")]
    pub seed: u64,
}

/// The seed that Apache DataSketches uses, too.
pub const SEED_DEFAULT: u64 = 9_001;

fn default_seed() -> u64 {
    SEED_DEFAULT
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            workers: 1,
            idle_timeout_ms: 0,
            state_ttl_ms: 0,
            snapshot_interval_ms: 10_000,
            snapshots_retained: 2,
            time_zone: "UTC".to_owned(),
            epoch_bytes: 8 << 20,
            memory_limit: 4 << 30,
            seed: SEED_DEFAULT,
        }
    }
}
