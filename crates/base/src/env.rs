//! The environment that a pure core is given: clock, random source, file system.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::fs::{Fs, OsFs};

/// Wall-clock and monotonic time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01 UTC. May jump in either direction.
    fn now_ms(&self) -> i64;
    /// Time since some fixed moment of this process; never goes back.
    fn monotonic(&self) -> Duration;
}

/// A source of unpredictable numbers.
pub trait Random: Send + Sync {
    /// The next 64 bits.
    fn next_u64(&self) -> u64;
}

/// Everything that a core may ask of the outside world.
#[derive(Clone)]
pub struct Env {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Random numbers.
    pub random: Arc<dyn Random>,
    /// Files.
    pub fs: Arc<dyn Fs>,
}

impl Env {
    /// The real world.
    pub fn system() -> Self {
        Env { clock: Arc::new(SystemClock::new()), random: Arc::new(SystemRandom), fs: Arc::new(OsFs) }
    }
}

/// The operating system's clocks.
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Self {
        SystemClock { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The operating system's source, fit for nonces and salts.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next_u64(&self) -> u64 {
        getrandom::u64().expect("the operating system has random numbers once it has started")
    }
}
