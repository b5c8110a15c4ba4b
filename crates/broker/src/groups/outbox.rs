//! Answers that wait until what they tell is durable.
//!
//! A group's memory leads: a step changes it at once, the records follow, and whatever is answered from then on waits
//! for them. So no answer tells of what a crash could undo, and a read needs no second copy of the state. If an append
//! fails, those who wait are told so, and its keys are written again, with their values of then, by the next step.

use std::collections::{BTreeSet, VecDeque};

use fleuve_base::{Error, Result};
use parking_lot::Mutex;

use super::record::Key;

/// Gives an answer, or tells that what it relies on could not be stored.
pub(crate) type Delivery = Box<dyn FnOnce(Result<()>) + Send>;

/// The outbox of one group.
#[derive(Default)]
pub(crate) struct Outbox(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// Number of the last append.
    appended: u64,
    /// Number of the last one whose outcome is known.
    settled: u64,
    /// In the order of the appends that they wait for.
    waiting: VecDeque<(u64, Delivery)>,
    /// What may go out, with how it went.
    ready: Vec<(Delivery, Result<()>)>,
    /// Keys whose append failed.
    unwritten: BTreeSet<Key>,
    /// Steps under way; each sends what is ready when it has given the group's lock back.
    stepping: usize,
}

impl Outbox {
    /// A step begins, under the group's lock. Adds to `dirty` what earlier appends failed to write.
    pub fn begin(&self, dirty: &mut BTreeSet<Key>) {
        let mut inner = self.0.lock();
        inner.stepping += 1;
        dirty.append(&mut inner.unwritten);
    }

    /// The number of an append that is about to be made.
    pub fn next_append(&self) -> u64 {
        let mut inner = self.0.lock();
        inner.appended += 1;
        inner.appended
    }

    /// Has these answers wait for all appends so far.
    pub fn put(&self, deliveries: Vec<Delivery>) {
        let mut inner = self.0.lock();
        let number = inner.appended;
        if inner.settled < number {
            inner.waiting.extend(deliveries.into_iter().map(|delivery| (number, delivery)));
        } else {
            let failed = inner.failure();
            inner.ready.extend(deliveries.into_iter().map(|delivery| (delivery, failed.clone())));
        }
    }

    /// The outcome of an append of these keys is known.
    pub fn settle(&self, number: u64, outcome: Result<()>, keys: &BTreeSet<Key>) {
        let mut inner = self.0.lock();
        inner.settled = inner.settled.max(number);
        match outcome {
            Ok(()) => inner.release(number),
            Err(error) => {
                inner.unwritten.extend(keys.iter().cloned());
                inner.refuse(&error);
            }
        }
        if inner.stepping == 0 {
            send(std::mem::take(&mut inner.ready), inner);
        }
    }

    /// The step has ended and the group's lock is free: sends what is ready.
    pub fn end(&self) {
        let mut inner = self.0.lock();
        inner.stepping -= 1;
        send(std::mem::take(&mut inner.ready), inner);
    }

    /// Refuses all who wait, for good.
    pub fn close(&self, error: &Error) {
        let mut inner = self.0.lock();
        inner.refuse(error);
        send(std::mem::take(&mut inner.ready), inner);
    }
}

impl Inner {
    /// An append of this very step may have failed at once.
    fn failure(&self) -> Result<()> {
        if self.unwritten.is_empty() { Ok(()) } else { Err(Error::internal("a change of a group is not stored")) }
    }

    fn release(&mut self, number: u64) {
        while self.waiting.front().is_some_and(|(of, _)| *of <= number) {
            self.ready.extend(self.waiting.pop_front().map(|(_, delivery)| (delivery, Ok(()))));
        }
    }

    /// Those who wait for a later append rely on the failed one, too.
    fn refuse(&mut self, error: &Error) {
        self.ready.extend(self.waiting.drain(..).map(|(_, delivery)| (delivery, Err(error.clone()))));
    }
}

/// Sends without the lock: an answer may bring the next request about on this very thread.
fn send(ready: Vec<(Delivery, Result<()>)>, unlocked: parking_lot::MutexGuard<'_, Inner>) {
    drop(unlocked);
    ready.into_iter().for_each(|(delivery, outcome)| delivery(outcome));
}
