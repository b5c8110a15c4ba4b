//! Memory that connections share: requests are read under one budget, responses are kept under another.
//!
//! A connection reserves before it reads, in steps that follow what has arrived, so that a peer which only *announces*
//! a large request holds nothing. Who finds the budget exhausted stops reading, and the peer's TCP window does the rest.
//! Holders of half a request could wait for each other for ever; each gives up after a while (`Limits::memory_wait`).

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// A number of bytes that many may hold parts of.
#[derive(Debug)]
pub(crate) struct Budget {
    total: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: usize,
    waiting: Vec<Waker>,
}

impl Budget {
    /// A budget of `total` bytes.
    pub(crate) fn new(total: usize) -> Arc<Self> {
        Arc::new(Budget { total, state: Mutex::default() })
    }

    /// Bytes that are held now.
    pub(crate) fn held(&self) -> usize {
        self.state.lock().held
    }

    /// Bytes that nobody holds.
    pub(crate) fn free(&self) -> usize {
        self.total.saturating_sub(self.held())
    }

    /// Takes `bytes` even beyond the total: for what exists already and must be accounted for.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Grant {
        self.state.lock().held += bytes;
        Grant { budget: Arc::clone(self), bytes }
    }

    fn give_back(&self, bytes: usize) {
        let woken = {
            let mut state = self.state.lock();
            state.held -= bytes;
            std::mem::take(&mut state.waiting)
        };
        woken.into_iter().for_each(Waker::wake);
    }
}

/// A part of a budget; it goes back when dropped.
#[derive(Debug)]
pub(crate) struct Grant {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Grant {
    /// Raises the grant to `bytes`, once the budget has them.
    pub(crate) fn poll_raise(&mut self, bytes: usize, context: &mut Context<'_>) -> Poll<()> {
        let more = bytes.saturating_sub(self.bytes);
        let mut state = self.budget.state.lock();
        if more > 0 && state.held + more > self.budget.total {
            if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            return Poll::Pending;
        }
        state.held += more;
        self.bytes += more;
        Poll::Ready(())
    }

    /// A grant of `bytes` of this one, or of all that it has.
    pub(crate) fn split(&mut self, bytes: usize) -> Grant {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Grant { budget: Arc::clone(&self.budget), bytes }
    }

    /// Gives everything back.
    pub(crate) fn release(&mut self) {
        drop(self.split(self.bytes));
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_finds_it_exhausted_is_woken_when_something_comes_back() {
        let (budget, count) = (Budget::new(100), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let mut first = budget.take(0);
        assert!(first.poll_raise(80, &mut context).is_ready());
        assert!(first.poll_raise(10, &mut context).is_ready(), "it holds more than that already");
        let mut second = budget.take(0);
        assert!(second.poll_raise(30, &mut context).is_pending());
        assert_eq!((budget.held(), budget.free(), count.0.load(Ordering::Relaxed)), (80, 20, 0));
        drop(first.split(30));
        assert_eq!((first.bytes, budget.held()), (50, 50));
        first.release();
        assert_eq!((first.bytes, count.0.load(Ordering::Relaxed)), (0, 1), "woken by the first that came back");
        assert!(second.poll_raise(30, &mut context).is_ready());
        assert_eq!(budget.held(), 30);
    }

    #[test]
    fn what_exists_is_accounted_for_beyond_the_total() {
        let budget = Budget::new(10);
        let grant = budget.take(25);
        assert_eq!((budget.held(), budget.free()), (25, 0));
        drop(grant);
        assert_eq!(budget.held(), 0);
    }
}
