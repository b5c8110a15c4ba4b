//! Long polls: a fetch that finds too little waits for more, at most until its time is over.
//!
//! A waiting fetch subscribes to its partitions' high watermarks. Whoever moves one calls [`Waiter::wake`], which only
//! reckons whether reading again is worth while, from the one partition that has changed; the reading itself is a job
//! for the timers, since it may not happen on the log's commit thread. A second job answers at the deadline.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use fleuve_journal::{Subscription, Waker};
use parking_lot::Mutex;

use super::Fetch;
use super::read::Readout;
use super::watched::Watched;
use crate::broker::Responder;
use crate::timers::TimerId;

/// Connection, and a number that is not given twice.
type Key = (u64, u64);

/// The waiting fetches.
#[derive(Default)]
pub(crate) struct WaitingFetches {
    waiters: Mutex<BTreeMap<Key, Weak<Waiter>>>,
    next_number: AtomicU64,
}

impl WaitingFetches {
    /// Answers the fetches of a connection, which nobody will read any more.
    pub(crate) fn disconnected(&self, connection: u64) {
        let mut waiters = self.waiters.lock();
        let mut own = waiters.split_off(&(connection, 0));
        waiters.append(&mut own.split_off(&(connection.saturating_add(1), 0)));
        drop(waiters);
        expire_all(own);
    }

    /// Answers all.
    pub(crate) fn close(&self) {
        let waiters = std::mem::take(&mut *self.waiters.lock());
        expire_all(waiters);
    }
}

fn expire_all(waiters: BTreeMap<Key, Weak<Waiter>>) {
    waiters.into_values().filter_map(|waiter| waiter.upgrade()).for_each(|waiter| waiter.expire());
}

/// One waiting fetch.
pub(super) struct Waiter {
    fetch: Fetch,
    key: Key,
    /// What the answer needs; whoever takes it answers.
    pending: Mutex<Option<Pending>>,
    watched: Vec<Watched>,
    /// Bytes that are thought to be there.
    available_bytes: AtomicU64,
    /// Whether a job to read again is on its way.
    queued: AtomicBool,
    expired: AtomicBool,
}

struct Pending {
    respond: Responder,
    subscriptions: Vec<Subscription>,
    timer: Option<TimerId>,
}

impl Waiter {
    /// Reads, and answers now if that is enough, or as soon as it is, or at the deadline.
    pub(super) fn start(fetch: Fetch, respond: Responder) {
        let watched = if fetch.may_wait() { fetch.watched() } else { vec![] };
        watched.iter().for_each(|watched| watched.note(fetch.wants_many_bytes()));
        let readout = fetch.read();
        if watched.is_empty() || fetch.is_enough(&readout) {
            return respond(fetch.answer(readout).into());
        }
        let number = fetch.broker.waiting_fetches.next_number.fetch_add(1, Ordering::Relaxed);
        let waiter = Waiter {
            key: (fetch.connection, number),
            pending: Mutex::new(Some(Pending { respond, subscriptions: vec![], timer: None })),
            watched,
            available_bytes: AtomicU64::new(readout.bytes as u64),
            queued: AtomicBool::new(false),
            expired: AtomicBool::new(false),
            fetch,
        };
        Arc::new(waiter).register();
    }

    fn register(self: &Arc<Self>) {
        let broker = &self.fetch.broker;
        broker.waiting_fetches.waiters.lock().insert(self.key, Arc::downgrade(self));
        let deadline = broker.env.clock.monotonic() + self.fetch.max_wait;
        let expiring = Arc::clone(self);
        let timer = broker.timers.schedule(deadline, Box::new(move || expiring.expire()));
        let subscriptions = (0..self.watched.len()).map(|index| self.subscribe(index)).collect();
        if let Some(pending) = &mut *self.pending.lock() {
            (pending.subscriptions, pending.timer) = (subscriptions, Some(timer));
        }
        self.wake_moved();
    }

    fn subscribe(self: &Arc<Self>, index: usize) -> Subscription {
        let waiter = Arc::downgrade(self);
        let wake: Waker = Arc::new(move || {
            if let Some(waiter) = waiter.upgrade() {
                waiter.wake(index);
            }
        });
        self.watched[index].partition.subscribe(wake)
    }

    /// What moved between the last read and the subscription woke nobody.
    fn wake_moved(self: &Arc<Self>) {
        let moved = self.watched.iter().enumerate().filter(|(_, watched)| watched.has_moved());
        moved.for_each(|(index, _)| self.wake(index));
    }

    /// A partition has changed; reads again, soon and elsewhere, if that may be enough.
    fn wake(self: &Arc<Self>, index: usize) {
        if self.is_worth_while(&self.watched[index]) && !self.queued.swap(true, Ordering::AcqRel) {
            let waiter = Arc::clone(self);
            self.fetch.broker.timers.schedule(Duration::ZERO, Box::new(move || waiter.read_again()));
        }
    }

    fn is_worth_while(&self, watched: &Watched) -> bool {
        if !watched.has_moved() {
            // The log failed, or the topic was deleted: that is to be told.
            return true;
        }
        if self.fetch.limits.committed && !watched.has_stable_records() {
            return false;
        }
        if !self.fetch.wants_many_bytes() {
            return true;
        }
        let added = watched.added_bytes();
        let available = self.available_bytes.fetch_add(added, Ordering::AcqRel) + added;
        available >= self.fetch.min_bytes as u64
    }

    fn read_again(self: &Arc<Self>) {
        self.queued.store(false, Ordering::Release);
        let Some(pending) = self.take_pending() else { return };
        self.watched.iter().for_each(|watched| watched.note(self.fetch.wants_many_bytes()));
        let readout = self.fetch.read();
        if self.fetch.is_enough(&readout) {
            return self.finish(pending, readout);
        }
        self.available_bytes.store(readout.bytes as u64, Ordering::Release);
        *self.pending.lock() = Some(pending);
        self.wake_moved();
        // The deadline may have come while nobody else could answer.
        if self.expired.load(Ordering::Acquire) {
            self.expire();
        }
    }

    /// Answers with what is there.
    fn expire(&self) {
        self.expired.store(true, Ordering::Release);
        if let Some(pending) = self.take_pending() {
            self.finish(pending, self.fetch.read());
        }
    }

    fn take_pending(&self) -> Option<Pending> {
        self.pending.lock().take()
    }

    fn finish(&self, pending: Pending, readout: Readout) {
        let Pending { respond, subscriptions, timer } = pending;
        drop(subscriptions);
        let broker = &self.fetch.broker;
        timer.into_iter().for_each(|timer| _ = broker.timers.cancel(timer));
        broker.waiting_fetches.waiters.lock().remove(&self.key);
        respond(self.fetch.answer(readout).into());
    }
}
