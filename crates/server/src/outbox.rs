//! The answers of one connection, in the order of its requests, whatever the order in which they come.
//!
//! A request takes a place with [`Outbox::reserve`]; its [`Reply`] fills it, from any thread. The connection's task
//! collects what is complete at the front, and is woken only if it waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// The answers of a connection.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    /// Number of the request at the front.
    first: u64,
    places: VecDeque<Place<T>>,
    waiting: Option<Waker>,
}

#[derive(Debug)]
enum Place<T> {
    Waiting,
    Filled(T),
    Lost,
}

/// What comes out of an outbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Collected<T> {
    /// An answer.
    Answer(T),
    /// A request that will never be answered: its handling was given up, so the connection has to end.
    Lost,
}

impl<T> Outbox<T> {
    /// No requests.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Outbox { state: Mutex::new(State { first: 0, places: VecDeque::new(), waiting: None }) })
    }

    /// A place behind all others.
    pub(crate) fn reserve(self: &Arc<Self>) -> Reply<T> {
        let mut state = self.state.lock();
        let number = state.first + state.places.len() as u64;
        state.places.push_back(Place::Waiting);
        Reply { outbox: Arc::clone(self), number, filled: false }
    }

    /// The answer at the front, once it is there; the task is woken then.
    pub(crate) fn poll_collect(&self, context: &mut Context<'_>) -> Poll<Collected<T>> {
        let mut state = self.state.lock();
        if matches!(state.places.front(), None | Some(Place::Waiting)) {
            state.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        state.waiting = None;
        state.first += 1;
        match state.places.pop_front() {
            Some(Place::Filled(answer)) => Poll::Ready(Collected::Answer(answer)),
            _ => Poll::Ready(Collected::Lost),
        }
    }

    /// Wakes the task that waits, as if something had been answered.
    pub(crate) fn wake(&self) {
        let woken = self.state.lock().waiting.take();
        woken.into_iter().for_each(Waker::wake);
    }

    fn fill(&self, number: u64, place: Place<T>) {
        let mut state = self.state.lock();
        let at = usize::try_from(number - state.first).expect("a place is collected only after it was filled");
        state.places[at] = place;
        let woken = if at == 0 { state.waiting.take() } else { None };
        drop(state);
        if let Some(waker) = woken {
            waker.wake();
        }
    }
}

/// The duty to answer one request.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    outbox: Arc<Outbox<T>>,
    number: u64,
    filled: bool,
}

impl<T> Reply<T> {
    /// Answers.
    pub(crate) fn fill(mut self, answer: T) {
        self.filled = true;
        self.outbox.fill(self.number, Place::Filled(answer));
    }
}

impl<T> Drop for Reply<T> {
    /// An answer that was given up must not keep those behind it waiting.
    fn drop(&mut self) {
        if !self.filled {
            self.outbox.fill(self.number, Place::Lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(outbox: &Outbox<u32>) -> Option<Collected<u32>> {
        match outbox.poll_collect(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(collected) => Some(collected),
            Poll::Pending => None,
        }
    }

    #[test]
    fn answers_leave_in_the_order_of_requests() {
        let outbox = Outbox::new();
        let replies: Vec<_> = (0..4).map(|_| outbox.reserve()).collect();
        assert_eq!(collect(&outbox), None);
        for (n, reply) in replies.into_iter().enumerate().rev() {
            assert_eq!(collect(&outbox), None, "the first is the last to be filled");
            reply.fill(n as u32);
        }
        for n in 0..4 {
            assert_eq!(collect(&outbox), Some(Collected::Answer(n)));
        }
        assert_eq!(collect(&outbox), None);
    }

    #[test]
    fn an_answer_that_was_given_up_is_told() {
        let outbox = Outbox::new();
        let (first, second) = (outbox.reserve(), outbox.reserve());
        drop(second);
        assert_eq!(collect(&outbox), None);
        first.fill(1);
        assert_eq!(collect(&outbox), Some(Collected::Answer(1)));
        assert_eq!(collect(&outbox), Some(Collected::Lost));
    }
}
