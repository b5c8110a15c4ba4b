//! Something that does not work now, and is tried again and again: told when it begins, seldom while it lasts, and when
//! it is over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// Least time between two lines about the same trouble, whether it lasted or came back.
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// One kind of trouble.
#[derive(Default)]
pub(crate) struct Trouble {
    failing: AtomicBool,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    /// When it was last told, by the monotonic clock.
    at: Option<Duration>,
    /// Failures since then.
    untold: u64,
}

impl Trouble {
    /// It failed. `Some` if that is to be told: with the number of failures that were not.
    pub(crate) fn failed(&self, now: Duration) -> Option<u64> {
        self.failing.store(true, Ordering::Release);
        let mut told = self.told.lock();
        if told.at.is_some_and(|at| now.saturating_sub(at) < TOLD_EVERY) {
            told.untold += 1;
            return None;
        }
        told.at = Some(now);
        Some(std::mem::take(&mut told.untold))
    }

    /// It worked. Whether it had failed before.
    pub(crate) fn worked(&self) -> bool {
        self.failing.load(Ordering::Acquire) && self.failing.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_the_beginning_seldom_in_between_and_at_the_end() {
        let (trouble, at) = (Trouble::default(), Duration::from_secs);
        assert!(!trouble.worked());
        assert_eq!(trouble.failed(at(100)), Some(0));
        assert!((0..500).all(|_| trouble.failed(at(101)).is_none()));
        assert_eq!(trouble.failed(at(130)), Some(500));
        assert!(trouble.worked() && !trouble.worked());
        assert_eq!(trouble.failed(at(131)), None, "it comes and goes");
        assert!(trouble.worked());
        assert_eq!(trouble.failed(at(161)), Some(1));
    }
}
