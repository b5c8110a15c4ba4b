//! One transactional id: its producer, its transaction, and what each request may do to them. No IO, no clock.
//!
//! ```text
//!            write/add                end(commit)                    all markers durable
//!   Empty ─────────────► Ongoing ───┬────────────► PrepareCommit ───────────────────────► CompleteCommit ─┐
//!     ▲                     ▲       └────────────► PrepareAbort  ───────────────────────► CompleteAbort  ─┤
//!     │ init                │         end(abort), timeout, another init                                   │
//!     └─────────────────────┴─────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Version 1 keeps the producer's epoch from one transaction to the next; version 2 (KIP-890) bumps it with each end, so that a
//! late write of one transaction can never get into the next. Epochs and ids follow KIP-360 and KIP-890.

use std::collections::BTreeSet;

use fleuve_base::canary;
use fleuve_wire::ErrorCode;

/// No producer id.
pub(crate) const NO_ID: i64 = -1;

/// No epoch.
pub(crate) const NO_EPOCH: i16 = -1;

/// The last epoch that a client is given. After it comes another producer id; the one number above it is for fencing.
const EPOCH_LAST: i16 = i16::MAX - 1;

/// Partitions that one transaction may write to.
pub(crate) const PARTITIONS_MAX: usize = 10_000;

/// Groups that one transaction may commit offsets of.
pub(crate) const GROUPS_MAX: usize = 1_000;

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Empty = 0,
    Ongoing = 1,
    PrepareCommit = 2,
    PrepareAbort = 3,
    CompleteCommit = 4,
    CompleteAbort = 5,
}

impl State {
    pub(crate) const ALL: [State; 6] = [
        State::Empty,
        State::Ongoing,
        State::PrepareCommit,
        State::PrepareAbort,
        State::CompleteCommit,
        State::CompleteAbort,
    ];

    /// Kafka's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::Ongoing => "Ongoing",
            State::PrepareCommit => "PrepareCommit",
            State::PrepareAbort => "PrepareAbort",
            State::CompleteCommit => "CompleteCommit",
            State::CompleteAbort => "CompleteAbort",
        }
    }

    /// Whether the end is decided, but not everybody knows.
    pub(crate) fn is_prepared(self) -> bool {
        matches!(self, State::PrepareCommit | State::PrepareAbort)
    }
}

/// A partition, by its topic's id: a topic that is deleted and created again is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TxnPartition {
    pub(crate) topic_id: u128,
    pub(crate) partition: u32,
}

/// What a transaction writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Participant {
    Partition(TxnPartition),
    /// A group whose offsets are committed.
    Group(String),
}

/// A producer as a request names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// The state of one transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) producer: Producer,
    /// The epoch before the current one, if it is the same client's.
    pub(crate) last_epoch: i16,
    /// The producer id before the current one.
    pub(crate) previous_id: i64,
    /// The producer id that follows when this transaction is complete, since the epochs of the current one are used up.
    pub(crate) next_id: i64,
    pub(crate) timeout_ms: i32,
    pub(crate) state: State,
    pub(crate) partitions: BTreeSet<TxnPartition>,
    pub(crate) groups: BTreeSet<String>,
    /// When the transaction began; −1 without one.
    pub(crate) start_ms: i64,
    pub(crate) last_update_ms: i64,
    /// Whether the last end bumped the epoch (version 2).
    pub(crate) bumped: bool,
}

/// How InitProducerId goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Init {
    /// Store this and answer with its producer.
    Store(Transaction),
    /// The epochs are used up: get another producer id, then [`Transaction::rotated`].
    Rotate,
    /// A transaction is open: abort it; the client asks again.
    AbortFirst,
}

/// How EndTxn goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It has been done before.
    Already,
    /// Prepare it.
    Prepare,
    /// Get another producer id first: the epochs are used up.
    PrepareAndRotate,
}

impl Transaction {
    /// Of a transactional id that is used for the first time.
    pub(crate) fn new(now_ms: i64) -> Self {
        Transaction {
            producer: Producer { id: NO_ID, epoch: NO_EPOCH },
            last_epoch: NO_EPOCH,
            previous_id: NO_ID,
            next_id: NO_ID,
            timeout_ms: 0,
            state: State::Empty,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
            start_ms: -1,
            last_update_ms: now_ms,
            bumped: false,
        }
    }

    fn is_exhausted(&self) -> bool {
        self.producer.epoch >= EPOCH_LAST
    }

    /// Judges InitProducerId. `expected` is the producer that a client has that wants to go on after an error (KIP-360).
    pub(crate) fn init(&self, expected: Option<Producer>, timeout_ms: i32, now_ms: i64) -> Result<Init, ErrorCode> {
        if expected.is_some_and(|expected| !self.knows(expected)) {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        match self.state {
            State::PrepareCommit | State::PrepareAbort => Err(ErrorCode::CONCURRENT_TRANSACTIONS),
            // A client that goes on after an error ends its transaction first; but a newer one with its id may have come.
            State::Ongoing if expected.is_some_and(|expected| expected.epoch != self.producer.epoch) => {
                Err(ErrorCode::PRODUCER_FENCED)
            }
            State::Ongoing => Ok(Init::AbortFirst),
            _ if self.producer.id == NO_ID => Ok(Init::Rotate),
            _ => self.bump(expected, timeout_ms, now_ms),
        }
    }

    /// Whether the client's producer is the current one, or one whose answer may have been lost.
    fn knows(&self, expected: Producer) -> bool {
        let rotated = expected.id == self.previous_id && expected.epoch >= EPOCH_LAST;
        self.producer.epoch == NO_EPOCH || expected.id == self.producer.id || rotated
    }

    fn bump(&self, expected: Option<Producer>, timeout_ms: i32, now_ms: i64) -> Result<Init, ErrorCode> {
        let current = self.producer.epoch;
        let same_client = expected.is_some_and(|expected| expected.epoch == current);
        if expected.is_none_or(|_| same_client) && self.is_exhausted() {
            return Ok(Init::Rotate);
        }
        let (epoch, last_epoch) = match expected {
            None => (current + 1, NO_EPOCH),
            Some(_) if same_client => (current + 1, current),
            // The answer to the same request was lost.
            Some(expected) if expected.epoch == self.last_epoch => (current, self.last_epoch),
            Some(_) => return Err(ErrorCode::PRODUCER_FENCED),
        };
        let producer = Producer { epoch, ..self.producer };
        Ok(Init::Store(Transaction { producer, last_epoch, timeout_ms, ..self.emptied(now_ms) }))
    }

    /// With another producer id; the second half of [`Init::Rotate`].
    pub(crate) fn rotated(&self, id: i64, expected: Option<Producer>, timeout_ms: i32, now_ms: i64) -> Self {
        Transaction {
            producer: Producer { id, epoch: 0 },
            last_epoch: expected.map_or(NO_EPOCH, |_| self.producer.epoch),
            previous_id: self.producer.id,
            timeout_ms,
            ..self.emptied(now_ms)
        }
    }

    fn emptied(&self, now_ms: i64) -> Self {
        Transaction {
            state: State::Empty,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
            start_ms: -1,
            last_update_ms: now_ms,
            next_id: NO_ID,
            bumped: false,
            ..self.clone()
        }
    }

    /// Whether the request comes from the current producer.
    pub(crate) fn check_producer(&self, producer: Producer) -> Result<(), ErrorCode> {
        match producer {
            _ if producer.id != self.producer.id => Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING),
            _ if canary("forget_fencing") => Ok(()),
            _ if producer.epoch != self.producer.epoch => Err(ErrorCode::PRODUCER_FENCED),
            _ => Ok(()),
        }
    }

    /// Whether the open transaction writes to this.
    pub(crate) fn has(&self, participant: &Participant) -> bool {
        self.state == State::Ongoing
            && match participant {
                Participant::Partition(partition) => self.partitions.contains(partition),
                Participant::Group(group) => self.groups.contains(group),
            }
    }

    /// Lets the transaction write to something more; opens it if none is open.
    pub(crate) fn add(
        &mut self,
        participants: impl IntoIterator<Item = Participant>,
        now_ms: i64,
    ) -> Result<(), ErrorCode> {
        if self.state.is_prepared() {
            return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
        }
        if self.state != State::Ongoing {
            let last_epoch = self.last_epoch;
            *self = Transaction { state: State::Ongoing, start_ms: now_ms, last_epoch, ..self.emptied(now_ms) };
        }
        self.last_update_ms = now_ms;
        for participant in participants {
            match participant {
                Participant::Partition(partition) => _ = self.partitions.insert(partition),
                Participant::Group(group) => _ = self.groups.insert(group),
            }
        }
        let within = self.partitions.len() <= PARTITIONS_MAX && self.groups.len() <= GROUPS_MAX;
        if within { Ok(()) } else { Err(ErrorCode::POLICY_VIOLATION) }
    }

    /// Judges EndTxn. With `bumps` the client speaks version 2.
    pub(crate) fn end(&self, producer: Producer, commit: bool, bumps: bool) -> Result<End, ErrorCode> {
        if bumps && self.is_retried_end(producer) {
            return self.again(commit);
        }
        self.check_producer(producer)?;
        match self.state {
            State::Ongoing => Ok(self.prepare_step(bumps)),
            // Version 2 does not tell beforehand what it writes to, so it may abort what it never began.
            State::Empty | State::CompleteCommit | State::CompleteAbort if bumps && !commit => {
                Ok(self.prepare_step(bumps))
            }
            State::Empty => Err(ErrorCode::INVALID_TXN_STATE),
            _ if bumps => Err(ErrorCode::INVALID_TXN_STATE),
            _ => self.again(commit),
        }
    }

    /// Whether this is the request again that made the current epoch.
    fn is_retried_end(&self, producer: Producer) -> bool {
        let bumped = producer.id == self.producer.id && Some(self.producer.epoch) == producer.epoch.checked_add(1);
        let rotated = producer.id == self.previous_id && producer.epoch == EPOCH_LAST && self.producer.epoch == 0;
        self.bumped && (bumped || rotated)
    }

    fn again(&self, commit: bool) -> Result<End, ErrorCode> {
        match (self.state, commit) {
            (State::CompleteCommit, true) | (State::CompleteAbort, false) => Ok(End::Already),
            (State::PrepareCommit, true) | (State::PrepareAbort, false) => Err(ErrorCode::CONCURRENT_TRANSACTIONS),
            _ => Err(ErrorCode::INVALID_TXN_STATE),
        }
    }

    fn prepare_step(&self, bumps: bool) -> End {
        if bumps && self.is_exhausted() { End::PrepareAndRotate } else { End::Prepare }
    }

    /// Decides the transaction's end; `next_id` is for [`End::PrepareAndRotate`]. From here on it cannot end otherwise.
    pub(crate) fn prepared(&self, commit: bool, bumps: bool, next_id: i64, now_ms: i64) -> Self {
        let current = self.producer.epoch;
        let open = self.state == State::Ongoing;
        let from = if open { self.clone() } else { self.emptied(now_ms) };
        Transaction {
            producer: Producer { epoch: if bumps { current.saturating_add(1) } else { current }, ..self.producer },
            last_epoch: if bumps { current } else { self.last_epoch },
            next_id,
            state: if commit { State::PrepareCommit } else { State::PrepareAbort },
            start_ms: if open { self.start_ms } else { now_ms },
            last_update_ms: now_ms,
            bumped: bumps,
            ..from
        }
    }

    /// Decides to abort, and fences the producer off: its time is over, or another one has its transactional id.
    pub(crate) fn fenced(&self, now_ms: i64) -> Self {
        let aborted = self.prepared(false, true, NO_ID, now_ms);
        Transaction { last_epoch: NO_EPOCH, bumped: false, ..aborted }
    }

    /// Whether markers or offsets are to be written for what was prepared.
    pub(crate) fn has_participants(&self) -> bool {
        !self.partitions.is_empty() || !self.groups.is_empty()
    }

    /// What was prepared is done.
    pub(crate) fn completed(&self, now_ms: i64) -> Self {
        let state = if self.state == State::PrepareCommit { State::CompleteCommit } else { State::CompleteAbort };
        let (bumped, last_epoch) = (self.bumped, self.last_epoch);
        let done = Transaction { state, bumped, ..self.emptied(now_ms) };
        match self.next_id {
            NO_ID => done,
            id => {
                Transaction { producer: Producer { id, epoch: 0 }, previous_id: self.producer.id, last_epoch, ..done }
            }
        }
    }
}

#[cfg(test)]
#[path = "transaction_tests.rs"]
mod tests;
