//! Counters that a running pipeline shows.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fleuve_plan::NodeId;
use parking_lot::Mutex;

use crate::operator::{OperatorStats, WATERMARK_MIN};

/// Buckets of the latency histogram: eight for each power of two of microseconds.
const BUCKETS: usize = 8 * 40;

/// Live counters of one pipeline; written by its workers, read by anyone.
#[derive(Debug)]
pub struct Stats {
    /// Rows decoded from all sources, filtered ones included.
    pub rows_in: AtomicU64,
    /// Rows written to all sinks.
    pub rows_out: AtomicU64,
    /// Records skipped because they could not be decoded.
    pub bad_records: AtomicU64,
    /// The last complete epoch.
    pub epoch: AtomicU64,
    /// The smallest watermark of any sink, in milliseconds.
    pub watermark_ms: AtomicI64,
    /// The epoch of the last valid snapshot.
    pub snapshot_epoch: AtomicU64,
    operators: Mutex<BTreeMap<(NodeId, usize), OperatorStats>>,
    latency: Mutex<Histogram>,
    started: Instant,
    ended: OnceLock<Duration>,
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            rows_in: AtomicU64::new(0),
            rows_out: AtomicU64::new(0),
            bad_records: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            watermark_ms: AtomicI64::new(WATERMARK_MIN),
            snapshot_epoch: AtomicU64::new(0),
            operators: Mutex::new(BTreeMap::new()),
            latency: Mutex::new(Histogram::default()),
            started: Instant::now(),
            ended: OnceLock::new(),
        }
    }
}

impl Stats {
    pub(super) fn set_operator(&self, node: NodeId, worker: usize, stats: OperatorStats) {
        self.operators.lock().insert((node, worker), stats);
    }

    pub(super) fn record_latency(&self, latency: Duration) {
        self.latency.lock().record(latency);
    }

    /// The counters of every stateful node, summed over workers.
    pub fn operators(&self) -> BTreeMap<NodeId, OperatorStats> {
        let mut sums: BTreeMap<NodeId, OperatorStats> = BTreeMap::new();
        for ((node, _), stats) in self.operators.lock().iter() {
            let sum = sums.entry(*node).or_default();
            sum.late_rows += stats.late_rows;
            sum.state_bytes += stats.state_bytes;
            sum.state_rows += stats.state_rows;
        }
        sums
    }

    /// The counters of all operators together.
    pub fn total(&self) -> OperatorStats {
        let all = self.operators();
        all.values().fold(OperatorStats::default(), |sum, stats| OperatorStats {
            late_rows: sum.late_rows + stats.late_rows,
            state_bytes: sum.state_bytes + stats.state_bytes,
            state_rows: sum.state_rows + stats.state_rows,
        })
    }

    /// The time from a row's arrival to its release that the given share of epochs (0–1) stayed below.
    pub fn latency_quantile(&self, quantile: f64) -> Option<Duration> {
        self.latency.lock().quantile(quantile)
    }

    /// How long the pipeline has run, from its start to its end or to now.
    pub fn elapsed(&self) -> Duration {
        self.ended.get().copied().unwrap_or_else(|| self.started.elapsed())
    }

    pub(super) fn end(&self) {
        // Only the first end counts.
        let _ = self.ended.set(self.started.elapsed());
    }

    /// The watermark, if any row has set one.
    pub fn watermark(&self) -> Option<i64> {
        let watermark = self.watermark_ms.load(Ordering::Relaxed);
        (watermark != WATERMARK_MIN).then_some(watermark)
    }
}

/// A histogram with a relative error of at most one eighth.
#[derive(Debug)]
struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(8);
        let power = 63 - micros.leading_zeros();
        let eighth = (micros >> (power - 3)) & 7;
        let bucket = (power as usize - 3) * 8 + eighth as usize;
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        self.total += 1;
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn quantile(&self, quantile: f64) -> Option<Duration> {
        let rank = (self.total as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank.max(1)
        })?;
        let (power, eighth) = (bucket / 8 + 3, (bucket % 8) as u64);
        Some(Duration::from_micros((8 + eighth + 1) << (power - 3)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_an_eighth() {
        let stats = Stats::default();
        assert_eq!(stats.latency_quantile(0.5), None);
        (1..=1000).for_each(|ms| stats.record_latency(Duration::from_millis(ms)));
        let median = stats.latency_quantile(0.5).expect("recorded").as_secs_f64();
        assert!((0.5..0.5 * 1.13).contains(&median), "{median}");
    }
}
