//! The high watermark, and those who wait for it: blocked threads, callbacks, subscribers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use fleuve_base::{Error, Result};
use parking_lot::{Condvar, Mutex};

use crate::commit::OnDurable;

/// What a subscriber is called by: it must be quick and must not block.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// The high watermark of a partition: records before it are durable and may be read.
pub(crate) struct HighWatermark {
    value: AtomicU64,
    waiting: Mutex<Waiting>,
    moved: Condvar,
}

#[derive(Default)]
struct Waiting {
    tickets: Vec<(u64, OnDurable)>,
    subscribers: Vec<(u64, Waker)>,
    next_subscriber: u64,
}

impl HighWatermark {
    pub(crate) fn new(value: u64) -> Self {
        HighWatermark { value: AtomicU64::new(value), waiting: Mutex::default(), moved: Condvar::new() }
    }

    pub(crate) fn get(&self) -> u64 {
        self.value.load(Ordering::Acquire)
    }

    /// Moves forward and wakes all whom it concerns.
    pub(crate) fn advance(&self, to: u64) {
        let (reached, subscribers) = {
            let mut waiting = self.waiting.lock();
            if to <= self.get() {
                return;
            }
            self.value.store(to, Ordering::Release);
            self.moved.notify_all();
            let (reached, left) = waiting.tickets.drain(..).partition(|(end, _)| *end <= to);
            waiting.tickets = left;
            (reached, waiting.subscribers.clone())
        };
        complete(reached, &Ok(()));
        wake_all(&subscribers);
    }

    /// Tells all who wait that they wait in vain.
    pub(crate) fn fail(&self, error: &Error) {
        let (tickets, subscribers) = {
            let mut waiting = self.waiting.lock();
            self.moved.notify_all();
            (std::mem::take(&mut waiting.tickets), waiting.subscribers.clone())
        };
        complete(tickets, &Err(error.clone()));
        wake_all(&subscribers);
    }

    /// Blocks until the watermark reaches `end` or `failure` tells an error.
    pub(crate) fn wait(&self, end: u64, failure: impl Fn() -> Result<()>) -> Result<()> {
        let mut waiting = self.waiting.lock();
        while self.get() < end {
            failure()?;
            self.moved.wait(&mut waiting);
        }
        Ok(())
    }

    /// Blocks until the watermark reaches `end`, an error is told, or the time is over; whether it was reached.
    pub(crate) fn wait_timeout(&self, end: u64, timeout: Duration, failure: impl Fn() -> Result<()>) -> Result<bool> {
        let deadline = Instant::now() + timeout;
        let mut waiting = self.waiting.lock();
        while self.get() < end {
            failure()?;
            if self.moved.wait_until(&mut waiting, deadline).timed_out() {
                return Ok(self.get() >= end);
            }
        }
        Ok(true)
    }

    /// Keeps the callback until the watermark reaches `end`; calls it now if that is decided.
    pub(crate) fn when(&self, end: u64, failure: impl Fn() -> Result<()>, callback: OnDurable) {
        let mut waiting = self.waiting.lock();
        let outcome = if self.get() >= end { Some(Ok(())) } else { failure().err().map(Err) };
        match outcome {
            None => waiting.tickets.push((end, callback)),
            Some(outcome) => {
                drop(waiting);
                // The same whether the commit was faster than the caller or not.
                guard(|| callback(outcome));
            }
        }
    }

    fn subscribe(&self, wake: Waker) -> u64 {
        let mut waiting = self.waiting.lock();
        waiting.next_subscriber += 1;
        let number = waiting.next_subscriber;
        waiting.subscribers.push((number, wake));
        number
    }

    fn unsubscribe(&self, number: u64) {
        self.waiting.lock().subscribers.retain(|(other, _)| *other != number);
    }
}

fn complete(tickets: Vec<(u64, OnDurable)>, outcome: &Result<()>) {
    tickets.into_iter().for_each(|(_, callback)| guard(|| callback(outcome.clone())));
}

fn wake_all(subscribers: &[(u64, Waker)]) {
    subscribers.iter().for_each(|(_, wake)| guard(|| wake()));
}

/// One callback's panic must not end the thread that commits for all.
fn guard(callback: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(callback)).is_err() {
        tracing::error!("a callback of the log panicked");
    }
}

/// Keeps a subscriber subscribed until it is dropped.
pub struct Subscription {
    watermark: Weak<HighWatermark>,
    number: u64,
}

impl Subscription {
    pub(crate) fn new(watermark: &Arc<HighWatermark>, wake: Waker) -> Self {
        Subscription { watermark: Arc::downgrade(watermark), number: watermark.subscribe(wake) }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(watermark) = self.watermark.upgrade() {
            watermark.unsubscribe(self.number);
        }
    }
}
