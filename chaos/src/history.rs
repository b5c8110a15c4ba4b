//! What the drivers asked and were told, in the order in which they noticed it.

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::value::Value;

/// A partition; topics are numbered by the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The topic's number.
    pub topic: u16,
    /// The partition.
    pub partition: i32,
}

/// Records that were sent together: the values `first` to `first + count − 1` of a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Who wrote it.
    pub writer: u32,
    /// Where to.
    pub place: Place,
    /// Number of the first value.
    pub first: u64,
    /// How many.
    pub count: u32,
    /// The writer's transaction that it belongs to.
    pub transaction: Option<u64>,
}

impl Batch {
    /// The values.
    pub fn values(&self) -> impl Iterator<Item = Value> + use<> {
        let writer = self.writer;
        (self.first..self.first + u64::from(self.count)).map(move |number| Value { writer, number })
    }
}

/// Something that a driver did or learned.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A batch is sent for the first time; without a later answer nobody knows what became of it.
    Send(Batch),
    /// It was acknowledged at this offset, or at one that the broker did not tell (−1).
    Acked {
        /// Who wrote it.
        writer: u32,
        /// Number of its first value.
        first: u64,
        /// Offset of its first record.
        base_offset: i64,
    },
    /// It was refused, for ever.
    Refused {
        /// Who wrote it.
        writer: u32,
        /// Number of its first value.
        first: u64,
    },
    /// The end of a transaction is asked for.
    Ending {
        /// Who wrote it.
        writer: u32,
        /// Which of his transactions.
        transaction: u64,
        /// Commit or abort.
        commit: bool,
    },
    /// The end was acknowledged.
    Ended {
        /// Who wrote it.
        writer: u32,
        /// Which of his transactions.
        transaction: u64,
        /// Commit or abort.
        commit: bool,
    },
    /// A reader takes a new position.
    Seek {
        /// Who reads.
        reader: u32,
        /// Where.
        place: Place,
        /// What it reads next.
        offset: i64,
    },
    /// A reader got records, all from its position up to `next`.
    Read {
        /// Who reads.
        reader: u32,
        /// Where.
        place: Place,
        /// Only what is committed.
        committed: bool,
        /// Offsets and values.
        records: Vec<(i64, Value)>,
        /// The position after them.
        next: i64,
    },
    /// A group's offset is to be committed.
    Committing {
        /// Number of the group.
        group: u32,
        /// Where.
        place: Place,
        /// The offset.
        offset: i64,
        /// In this transaction of this writer.
        transaction: Option<(u32, u64)>,
    },
    /// And was.
    Committed {
        /// Number of the group.
        group: u32,
        /// Where.
        place: Place,
        /// The offset.
        offset: i64,
    },
    /// The offset that the broker has for a group, −1 for none.
    Found {
        /// Number of the group.
        group: u32,
        /// Where.
        place: Place,
        /// The offset.
        offset: i64,
        /// How many events there were when it was asked.
        asked: usize,
    },
    /// The supervisor did something to the broker.
    Fault(String),
    /// A driver saw what must not be.
    Wrong(String),
}

/// An event and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Since the history began.
    pub at: Duration,
    /// What happened.
    pub event: Event,
}

/// The events of a run, shared by all drivers.
#[derive(Debug)]
pub struct History {
    begun: Instant,
    moments: Mutex<Vec<Moment>>,
}

impl Default for History {
    fn default() -> Self {
        History { begun: Instant::now(), moments: Mutex::default() }
    }
}

impl History {
    /// Adds an event. Asking is added before the request leaves, being told after the response came.
    pub fn add(&self, event: Event) {
        let mut moments = self.lock();
        moments.push(Moment { at: self.begun.elapsed(), event });
    }

    /// All events up to now.
    pub fn events(&self) -> Vec<Moment> {
        self.lock().clone()
    }

    /// A time since 1970 as one of this history.
    pub fn since_begin(&self, at: Duration) -> Duration {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.begun.elapsed().saturating_sub(now.saturating_sub(at))
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing has happened yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One event a line, for whoever looks for what went wrong.
    pub fn lines(&self) -> String {
        let mut out = String::new();
        for Moment { at, event } in self.lock().iter() {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{:.6} {event:?}", at.as_secs_f64());
        }
        out
    }

    /// A driver that panicked while it held the lock has left whole events.
    fn lock(&self) -> MutexGuard<'_, Vec<Moment>> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
