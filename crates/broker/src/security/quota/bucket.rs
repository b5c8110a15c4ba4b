//! A token bucket: what may be used at once, and how long who used more must pause.

use std::time::Duration;

/// How long unused rate is saved up, in seconds.
pub const BURST_SECONDS: f64 = 1.0;

/// The longest pause that a client is told at once. What is owed beyond it stays owed.
pub const THROTTLE_MAX: Duration = Duration::from_secs(30);

/// Use of one limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    /// Units that may be used now; below zero they are owed.
    credit: f64,
    /// When `credit` was true, on the monotonic clock.
    at: Duration,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(limit: f64, now: Duration) -> Self {
        Bucket { credit: limit * BURST_SECONDS, at: now }
    }

    /// Takes `amount` and gives the pause after which nothing is owed any more.
    pub(super) fn take(&mut self, amount: f64, limit: f64, now: Duration) -> Duration {
        self.refill(limit, now);
        self.credit -= amount;
        if self.credit >= 0.0 {
            return Duration::ZERO;
        }
        let seconds = (-self.credit / limit).min(THROTTLE_MAX.as_secs_f64());
        // A limit of 0 owes for ever.
        if seconds.is_nan() { THROTTLE_MAX } else { Duration::from_secs_f64(seconds) }
    }

    fn refill(&mut self, limit: f64, now: Duration) {
        let elapsed = now.saturating_sub(self.at).as_secs_f64();
        self.credit = (self.credit + limit * elapsed).min(limit * BURST_SECONDS);
        self.at = now.max(self.at);
    }

    /// Whether it has been left alone for so long that a new one would be the same.
    pub(super) fn is_idle(&self, limit: f64, now: Duration) -> bool {
        let mut later = *self;
        later.refill(limit, now);
        later.credit >= limit * BURST_SECONDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_user_gets_the_rate_and_no_more() {
        let (limit, mut now) = (1000.0, Duration::ZERO);
        let mut bucket = Bucket::new(limit, now);
        let mut used = 0.0;
        while now < Duration::from_secs(60) {
            used += 300.0;
            now += bucket.take(300.0, limit, now);
            now += Duration::from_millis(1);
        }
        // The burst, then the rate.
        assert!((60_000.0..=61_600.0).contains(&used), "{used}");
    }

    #[test]
    fn within_the_burst_nobody_waits() {
        let mut bucket = Bucket::new(1000.0, Duration::ZERO);
        assert_eq!(bucket.take(1000.0, 1000.0, Duration::ZERO), Duration::ZERO);
        assert_eq!(bucket.take(500.0, 1000.0, Duration::ZERO), Duration::from_millis(500));
        assert_eq!(bucket.take(500.0, 1000.0, Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn a_pause_has_a_limit_but_the_debt_has_none() {
        let mut bucket = Bucket::new(1.0, Duration::ZERO);
        assert_eq!(bucket.take(1000.0, 1.0, Duration::ZERO), THROTTLE_MAX);
        assert_eq!(bucket.take(0.0, 1.0, THROTTLE_MAX), THROTTLE_MAX);
        let mut nothing = Bucket::new(0.0, Duration::ZERO);
        assert_eq!(nothing.take(0.0, 0.0, Duration::ZERO), Duration::ZERO);
        assert_eq!(nothing.take(1.0, 0.0, Duration::ZERO), THROTTLE_MAX);
    }

    #[test]
    fn a_clock_that_stands_still_gives_nothing() {
        let mut bucket = Bucket::new(10.0, Duration::from_secs(5));
        bucket.take(10.0, 10.0, Duration::from_secs(5));
        assert_eq!(bucket.take(1.0, 10.0, Duration::from_secs(4)), Duration::from_millis(100));
        assert!(!bucket.is_idle(10.0, Duration::from_secs(5)));
        assert!(bucket.is_idle(10.0, Duration::from_secs(7)));
    }
}
