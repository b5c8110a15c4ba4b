//! A histogram of durations with fixed bounds, in Prometheus's text form.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in microseconds; durations above the last one count only in `+Inf`.
const BOUNDS_US: [u64; 15] = [
    100, 250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 60_000, 125_000, 250_000, 500_000, 1_000_000, 5_000_000,
];

/// Durations, counted by size.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts one.
    pub fn record(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Appends the samples of the metric `name`; `labels` is empty or ends with a comma.
    pub fn render(&self, name: &str, labels: &str, out: &mut String) {
        let mut total = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            let bound = BOUNDS_US.get(bucket).map_or("+Inf".to_owned(), |us| (*us as f64 / 1e6).to_string());
            let _ = writeln!(out, "{name}_bucket{{{labels}le=\"{bound}\"}} {total}");
        }
        let own = labels.strip_suffix(',').unwrap_or(labels);
        let _ = writeln!(out, "{name}_sum{{{own}}} {}", self.sum_us.load(Ordering::Relaxed) as f64 / 1e6);
        let _ = writeln!(out, "{name}_count{{{own}}} {total}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_end_with_all() {
        let histogram = Histogram::default();
        for us in [50, 100, 101, 9_000_000] {
            histogram.record(Duration::from_micros(us));
        }
        let mut text = String::new();
        histogram.render("t", "api=\"Fetch\",", &mut text);
        for line in [
            "t_bucket{api=\"Fetch\",le=\"0.0001\"} 2",
            "t_bucket{api=\"Fetch\",le=\"0.00025\"} 3",
            "t_bucket{api=\"Fetch\",le=\"5\"} 3",
            "t_bucket{api=\"Fetch\",le=\"+Inf\"} 4",
            "t_sum{api=\"Fetch\"} 9.000251",
            "t_count{api=\"Fetch\"} 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
