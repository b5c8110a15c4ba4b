//! Keeps strangers from filling the log: a line that a peer can provoke is written a few times a second at most.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Lines of one kind in a second.
const LINES_PER_SECOND: u64 = 10;

/// Allows some lines a second and counts the others.
#[derive(Debug)]
pub(crate) struct LogLimit {
    start: Instant,
    /// How many lines the second has had, in the lower 20 bits; above them the second.
    state: AtomicU64,
    suppressed: AtomicU64,
}

impl LogLimit {
    /// Nothing written yet.
    pub(crate) fn new() -> Self {
        LogLimit { start: Instant::now(), state: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// Whether to write, and how many lines were left out since the last.
    pub(crate) fn allow(&self) -> Option<u64> {
        self.allow_at(self.start.elapsed().as_secs())
    }

    fn allow_at(&self, second: u64) -> Option<u64> {
        let next = |state: u64| if state >> 20 == second { state + 1 } else { second << 20 | 1 };
        let before = self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
            let next = next(state);
            (next & 0xf_ffff <= LINES_PER_SECOND).then_some(next)
        });
        if before.is_ok() {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_lines_a_second_are_allowed_and_the_others_counted() {
        let limit = LogLimit::new();
        let allowed = (0..100).filter(|_| limit.allow_at(7) == Some(0)).count() as u64;
        assert_eq!(allowed, LINES_PER_SECOND);
        assert_eq!(limit.allow_at(8), Some(100 - LINES_PER_SECOND));
        assert_eq!(limit.allow_at(8), Some(0));
    }
}
