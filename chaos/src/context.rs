//! What all drivers of a life share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::client::{Connection, Outcome, Problem};
use crate::dice::Dice;
use crate::history::{Event, History};

/// How long a driver waits before it tries again what has just failed.
const PAUSE: Duration = Duration::from_millis(5);

/// The history, where the broker is, and whether to go on.
#[derive(Default)]
pub(crate) struct Context {
    pub(crate) history: History,
    address: Mutex<Option<SocketAddr>>,
    /// Writers are to end when what they have sent is acknowledged.
    ending: AtomicBool,
    /// Everybody is to end now.
    over: AtomicBool,
}

impl Context {
    /// Says where the broker is; `None` if it is nowhere.
    pub(crate) fn set_address(&self, address: Option<SocketAddr>) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Release);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    pub(crate) fn stop(&self) {
        self.over.store(true, Ordering::Release);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Connects, once.
    pub(crate) fn connect(&self) -> Outcome<Connection> {
        let address = *self.address.lock().unwrap_or_else(PoisonError::into_inner);
        Connection::open(address.ok_or_else(|| Problem::Lost("the broker is down".to_owned()))?)
    }

    /// Connects as soon as there is a broker; `None` when everything is over.
    pub(crate) fn reconnect(&self) -> Option<Connection> {
        while !self.is_over() {
            match self.connect() {
                Ok(connection) => return Some(connection),
                Err(_) => pause(),
            }
        }
        None
    }

    pub(crate) fn wrong(&self, what: String) {
        self.history.add(Event::Wrong(what));
    }
}

/// Lets others run before something is tried again.
pub(crate) fn pause() {
    std::thread::sleep(PAUSE);
}

/// Lets a writer rest now and then, so that a life does not write more than can be judged in a moment.
pub(crate) fn rest(dice: &mut Dice) {
    if dice.percent(60) {
        std::thread::sleep(Duration::from_micros(dice.below(6_000)));
    }
}

/// Counts what a driver has brought about: after a fault every driver must get on again.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<AtomicU64>);

impl Progress {
    pub(crate) fn made(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
