//! Judges a history: what was promised, against what the log holds and what readers saw.
//!
//! The kinds of anomalies are those of Jepsen's Kafka workload (K. Kingsbury, "Redpanda 21.10.1", 2022), and some of our
//! own. "Lost" counts only what was acknowledged; what was never answered may be there or not.

mod book;
mod groups;
mod reads;
mod stored;
mod transactions;

#[cfg(test)]
mod tests;

use crate::contents::Contents;
use crate::history::{Event, Moment};

use book::Book;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An acknowledged value is not in the log, or a value that a reader saw is not there any more.
    Lost,
    /// A value lies at two offsets.
    Duplicate,
    /// A value was refused, and is in the log all the same.
    Refused,
    /// A reader of committed records got a value of an aborted transaction.
    AbortedRead,
    /// A reader of committed records got a value before anybody asked for the commit.
    PrecommittedRead,
    /// Of a transaction a part is visible.
    TornTransaction,
    /// A value of a committed transaction is not visible.
    Unseen,
    /// An offset had two values, or a value was acknowledged at one offset and lies at another.
    InconsistentOffset,
    /// Offsets of a partition have a gap, or overlap.
    Gap,
    /// A reader's offsets went backwards.
    NonMonotonicPoll,
    /// A reader passed over a record.
    Skip,
    /// Values of a writer lie in another order than they were written in.
    Reordered,
    /// A record that nobody wrote, or that was written to another partition.
    Foreign,
    /// A group has another offset than the one that was committed.
    WrongCommit,
    /// A driver saw what must not be.
    Wrong,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
    /// Which kind.
    pub kind: Kind,
    /// What exactly.
    pub what: String,
}

impl Anomaly {
    pub(crate) fn new(kind: Kind, what: impl Into<String>) -> Self {
        Anomaly { kind, what: what.into() }
    }
}

impl std::fmt::Display for Anomaly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

/// All that is wrong with a history, given what the log holds after it.
pub fn check(events: &[Moment], contents: &Contents) -> Vec<Anomaly> {
    let book = Book::of(events);
    let mut anomalies = vec![];
    for moment in events {
        if let Event::Wrong(what) = &moment.event {
            anomalies.push(Anomaly::new(Kind::Wrong, what.clone()));
        }
    }
    stored::check(&book, contents, &mut anomalies);
    transactions::check(&book, contents, &mut anomalies);
    reads::check(events, &book, contents, &mut anomalies);
    groups::check(events, &book, contents, &mut anomalies);
    anomalies
}
