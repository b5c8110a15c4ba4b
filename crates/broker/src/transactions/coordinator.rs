//! The coordinator: all transactional ids, each under its own lock, and the way of a change from memory to disk.
//!
//! A change is decided under the id's lock, marked as *pending*, made durable in `__transaction_state`, and only then takes its
//! place in memory. While it is pending nothing else can be decided for the id: others are told to come again
//! (`CONCURRENT_TRANSACTIONS`).
//!
//! One thing is not written there: that a client of version 2 has opened a transaction, or writes to one more partition. The
//! partition itself remembers its open transactions, durably with the very records; after a crash they are found there
//! (`resume`). So version 2 costs no write and no wait beyond the records' own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fleuve_base::{Env, Error, Result};
use fleuve_journal::{Log, OnDurable};
use fleuve_wire::ErrorCode;
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::record;
use super::transaction::{End, Init, NO_ID, Participant, Producer, State, Transaction};
use crate::producers::ProducerIds;
use crate::state_topic::StateTopic;
use crate::timers::{TimerId, Timers};
use crate::trouble::Trouble;

/// Transactional ids that there may be.
pub const TRANSACTIONAL_IDS_MAX: usize = 100_000;

/// Bytes of a transactional id.
pub const TRANSACTIONAL_ID_BYTES_MAX: usize = 4096;

/// When a transaction whose time is over is looked at again, if a change is pending at that moment.
const EXPIRY_RETRY: Duration = Duration::from_millis(100);

/// When what the log did not take, since the disk is full, is tried again.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// What is told to clients when the log does not take a change: they look for the coordinator, and come again.
const UNSTORED: ErrorCode = ErrorCode::COORDINATOR_NOT_AVAILABLE;

/// Takes the outcome of a request: the producer as it is now.
pub(crate) type OnProducer = Box<dyn FnOnce(Result<Producer, ErrorCode>) + Send>;

/// Offsets that transactions hold ready; the groups', but for tests.
pub(crate) trait StagedOffsets: Send + Sync {
    /// The producer's transaction has ended: what it held ready becomes the groups', or is forgotten. Doing it again does no harm.
    fn complete(self: Arc<Self>, producer_id: i64, commit: bool, done: OnDurable);
    /// Producers that hold offsets ready, and in which groups.
    fn staged(&self) -> Vec<(i64, String)>;
}

/// What the coordinator works with.
pub(crate) struct Surroundings {
    pub(crate) env: Env,
    pub(crate) log: Arc<Log>,
    pub(crate) timers: Arc<Timers>,
    pub(crate) producer_ids: Arc<ProducerIds>,
    pub(crate) offsets: Arc<dyn StagedOffsets>,
    /// The longest timeout that a client may ask for.
    pub(crate) timeout_max_ms: i32,
    /// Age at which an id that nobody uses is forgotten.
    pub(crate) id_expiry_ms: i64,
}

/// All transactional ids.
pub struct Transactions {
    pub(super) around: Surroundings,
    pub(super) topic: StateTopic,
    pub(super) entries: RwLock<BTreeMap<String, Arc<Entry>>>,
    pub(super) trouble: Trouble,
}

/// One transactional id.
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) slot: Mutex<Slot>,
}

/// What there is under an id's lock.
pub(super) struct Slot {
    pub(super) transaction: Transaction,
    pub(super) pending: Pending,
    /// The timer that ends the open transaction.
    timer: Option<TimerId>,
    /// When a client last changed something, on the monotonic clock.
    pub(super) used_at: Duration,
    /// Whether the id was forgotten meanwhile.
    pub(super) dead: bool,
}

/// Whether a change is on its way to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    None,
    /// The open transaction writes to something more.
    Adding,
    /// Anything else.
    Changing,
}

/// Who writes, and to what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) transactional_id: &'a str,
    pub(crate) producer: Producer,
    /// Whether writing is enough to belong to the transaction (version 2).
    pub(crate) adds: bool,
}

/// A change to one id: who is told about it.
pub(super) type Then = Box<dyn FnOnce(Result<Transaction, ErrorCode>) + Send>;

impl Transactions {
    pub(super) fn now_ms(&self) -> i64 {
        self.around.env.clock.now_ms()
    }

    pub(super) fn monotonic(&self) -> Duration {
        self.around.env.clock.monotonic()
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Entry>> {
        self.entries.read().get(id).cloned()
    }

    /// All ids, sorted.
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.entries.read().values().cloned().collect()
    }

    fn find_or_create(&self, id: &str) -> Result<Arc<Entry>, ErrorCode> {
        if let Some(entry) = self.find(id) {
            return Ok(entry);
        }
        if id.len() > TRANSACTIONAL_ID_BYTES_MAX {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let mut entries = self.entries.write();
        if entries.len() >= TRANSACTIONAL_IDS_MAX && !entries.contains_key(id) {
            return Err(ErrorCode::POLICY_VIOLATION);
        }
        let create = || Entry::new(id, Transaction::new(self.now_ms()), self.monotonic());
        Ok(Arc::clone(entries.entry(id.to_owned()).or_insert_with(create)))
    }

    /// InitProducerId: gives the id's producer an epoch of its own, after which no older one can write.
    pub(crate) fn init(self: &Arc<Self>, id: &str, expected: Option<Producer>, timeout_ms: i32, done: OnProducer) {
        if id.is_empty() {
            return done(Err(ErrorCode::INVALID_REQUEST));
        }
        if timeout_ms <= 0 || timeout_ms > self.around.timeout_max_ms {
            return done(Err(ErrorCode::INVALID_TRANSACTION_TIMEOUT));
        }
        let entry = match self.find_or_create(id) {
            Ok(entry) => entry,
            Err(code) => return done(Err(code)),
        };
        let decided = entry.decide(self, Pending::Changing, |t| t.init(expected, timeout_ms, self.now_ms()));
        let then: Then = Box::new(|stored| done(stored.map(|transaction| transaction.producer)));
        match decided {
            Ok((Init::Store(next), _)) => self.store(&entry, next, Pending::None, then),
            Ok((Init::Rotate, current)) => self.with_new_id(entry, then, move |transactions, entry, new_id, then| {
                let next = current.rotated(new_id, expected, timeout_ms, transactions.now_ms());
                transactions.store(entry, next, Pending::None, then);
            }),
            Ok((Init::AbortFirst, current)) => {
                self.abort_fenced(&entry, &current);
                then(Err(ErrorCode::CONCURRENT_TRANSACTIONS));
            }
            Err(code) => then(Err(code)),
        }
    }

    /// Gets a producer id for a change that is pending, and goes on with it.
    fn with_new_id(
        self: &Arc<Self>,
        entry: Arc<Entry>,
        then: Then,
        go_on: impl FnOnce(&Arc<Self>, &Arc<Entry>, i64, Then) + Send + 'static,
    ) {
        let transactions = Arc::clone(self);
        let got = move |new_id: Result<i64>| match new_id {
            Ok(new_id) => go_on(&transactions, &entry, new_id, then),
            Err(_) => {
                entry.slot.lock().pending = Pending::None;
                then(Err(UNSTORED));
            }
        };
        self.around.producer_ids.next(Box::new(got));
    }

    /// AddPartitionsToTxn and AddOffsetsToTxn: durable when `done` is called.
    pub(crate) fn add(
        self: &Arc<Self>,
        id: &str,
        producer: Producer,
        participants: Vec<Participant>,
        done: impl FnOnce(Result<(), ErrorCode>) + Send + 'static,
    ) {
        let Some(entry) = self.find(id) else { return done(Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING)) };
        let decide = |transaction: &Transaction| {
            transaction.check_producer(producer)?;
            if participants.iter().all(|participant| transaction.has(participant)) {
                return Ok(None);
            }
            let mut next = transaction.clone();
            next.add(participants, self.now_ms()).map(|()| Some(next))
        };
        match entry.decide(self, Pending::Adding, decide) {
            Ok((Some(next), _)) => self.store(&entry, next, Pending::None, Box::new(|stored| done(stored.map(drop)))),
            Ok((None, _)) => {
                entry.slot.lock().pending = Pending::None;
                done(Ok(()));
            }
            Err(code) => done(Err(code)),
        }
    }

    /// Has the records or offsets of an open transaction written by `write`, which runs under the id's lock: whatever ends the
    /// transaction comes after it. Without such a transaction nothing is written.
    pub(crate) fn write<T>(
        self: &Arc<Self>,
        writer: Writer<'_>,
        participant: Participant,
        write: impl FnOnce() -> T,
    ) -> Result<T, ErrorCode> {
        let entry = self.find(writer.transactional_id).ok_or(ErrorCode::INVALID_PRODUCER_ID_MAPPING)?;
        let mut slot = entry.slot.lock();
        slot.transaction.check_producer(writer.producer)?;
        let open = slot.transaction.has(&participant) && slot.pending != Pending::Changing;
        if !open && !writer.adds {
            return Err(ErrorCode::INVALID_TXN_STATE);
        }
        if !open {
            slot.check_idle()?;
            slot.transaction.add([participant], self.now_ms())?;
            slot.used_at = self.monotonic();
            self.watch(&entry, &mut slot);
        }
        Ok(write())
    }

    /// EndTxn: answers when the end is durable everywhere, and visible to all readers.
    pub(crate) fn end(self: &Arc<Self>, id: &str, producer: Producer, commit: bool, bumps: bool, done: OnProducer) {
        let Some(entry) = self.find(id) else { return done(Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING)) };
        let decided = entry.decide(self, Pending::Changing, |t| t.end(producer, commit, bumps));
        let then: Then = Box::new(|stored| done(stored.map(|transaction| transaction.producer)));
        match decided {
            Ok((End::Already, current)) => {
                entry.slot.lock().pending = Pending::None;
                then(Ok(current));
            }
            Ok((End::Prepare, current)) => {
                self.prepare(&entry, current.prepared(commit, bumps, NO_ID, self.now_ms()), then);
            }
            Ok((End::PrepareAndRotate, current)) => {
                self.with_new_id(entry, then, move |transactions, entry, new_id, then| {
                    let next = current.prepared(commit, bumps, new_id, transactions.now_ms());
                    transactions.prepare(entry, next, then);
                });
            }
            Err(code) => then(Err(code)),
        }
    }

    fn abort_fenced(self: &Arc<Self>, entry: &Arc<Entry>, current: &Transaction) {
        let (transactions, of) = (Arc::downgrade(self), Arc::downgrade(entry));
        let again = move |stored: Result<Transaction, ErrorCode>| {
            let (Err(_), Some(transactions), Some(entry)) = (stored, transactions.upgrade(), of.upgrade()) else {
                return;
            };
            let mut slot = entry.slot.lock();
            if slot.transaction.state == State::Ongoing && slot.timer.is_none() && transactions.may_try_again() {
                slot.timer = Some(transactions.alarm(&entry, STORE_RETRY));
            }
        };
        self.prepare(entry, current.fenced(self.now_ms()), Box::new(again));
    }

    /// Whether the log may take later what it does not take now: not after a failure that needs a restart, which finishes
    /// what has begun.
    fn may_try_again(&self) -> bool {
        self.around.log.failure().is_none()
    }

    /// What was decided could not be told everywhere, or that it was could not be stored: that is done again.
    pub(super) fn finish_later(self: &Arc<Self>, entry: &Arc<Entry>) {
        if !self.may_try_again() {
            return;
        }
        let (transactions, entry) = (Arc::downgrade(self), Arc::downgrade(entry));
        let finish = move || {
            let (Some(transactions), Some(entry)) = (transactions.upgrade(), entry.upgrade()) else { return };
            let slot = entry.slot.lock();
            let prepared = slot.transaction.state.is_prepared().then(|| slot.transaction.clone());
            drop(slot);
            if let Some(prepared) = prepared {
                transactions.finish(&entry, prepared, Box::new(|_| {}));
            }
        };
        self.around.timers.schedule(self.monotonic().saturating_add(STORE_RETRY), Box::new(finish));
    }

    /// Tells that the log takes no changes: clients try again and again.
    pub(super) fn complain(&self, entry: &Entry, error: &Error) {
        if let Some(untold) = self.trouble.failed(self.monotonic()) {
            tracing::warn!(transactional_id = entry.id, %error, untold, "changes of transactions are not stored");
        }
    }

    /// Makes the decision durable, then tells it everywhere, then notes that all is done. The change is pending throughout.
    fn prepare(self: &Arc<Self>, entry: &Arc<Entry>, prepared: Transaction, then: Then) {
        if !prepared.has_participants() {
            let completed = prepared.completed(self.now_ms());
            return self.store(entry, completed, Pending::None, then);
        }
        let (transactions, of) = (Arc::clone(self), Arc::clone(entry));
        let decided = move |stored| match stored {
            Ok(prepared) => transactions.finish(&of, prepared, then),
            Err(code) => then(Err(code)),
        };
        self.store(entry, prepared, Pending::Changing, Box::new(decided));
    }

    /// Makes `next` durable, then takes it over; the change stays `pending` as given.
    pub(super) fn store(self: &Arc<Self>, entry: &Arc<Entry>, next: Transaction, pending: Pending, then: Then) {
        let record = record::encode(&entry.id, Some(&next));
        let (transactions, entry) = (Arc::clone(self), Arc::clone(entry));
        let durable = move |outcome: Result<()>| {
            let mut slot = entry.slot.lock();
            if let Err(error) = outcome {
                slot.pending = Pending::None;
                drop(slot);
                transactions.complain(&entry, &error);
                return then(Err(UNSTORED));
            }
            if transactions.trouble.worked() {
                tracing::info!("changes of transactions are stored again");
            }
            slot.transaction = next.clone();
            slot.pending = pending;
            transactions.watch(&entry, &mut slot);
            drop(slot);
            then(Ok(next));
        };
        self.topic.append(&[record], Box::new(durable));
    }

    /// Sets the timer of a transaction that is open, takes it away if none is.
    pub(super) fn watch(self: &Arc<Self>, entry: &Arc<Entry>, slot: &mut Slot) {
        let open = slot.transaction.state == State::Ongoing;
        match (open, slot.timer) {
            (true, None) => {
                let timeout = Duration::from_millis(u64::try_from(slot.transaction.timeout_ms).unwrap_or(0));
                slot.timer = Some(self.alarm(entry, timeout));
            }
            (false, Some(timer)) => {
                self.around.timers.cancel(timer);
                slot.timer = None;
            }
            _ => {}
        }
    }

    fn alarm(self: &Arc<Self>, entry: &Arc<Entry>, after: Duration) -> TimerId {
        let (transactions, entry) = (Arc::downgrade(self), Arc::downgrade(entry));
        let ring = move || {
            if let (Some(transactions), Some(entry)) = (transactions.upgrade(), entry.upgrade()) {
                transactions.time_is_over(&entry);
            }
        };
        self.around.timers.schedule(self.monotonic().saturating_add(after), Box::new(ring))
    }

    /// Aborts a transaction that was open for too long, and fences its producer off.
    fn time_is_over(self: &Arc<Self>, entry: &Arc<Entry>) {
        let mut slot = entry.slot.lock();
        slot.timer = None;
        if slot.transaction.state != State::Ongoing || slot.dead {
            return;
        }
        if slot.pending != Pending::None {
            slot.timer = Some(self.alarm(entry, EXPIRY_RETRY));
            return;
        }
        slot.pending = Pending::Changing;
        let current = slot.transaction.clone();
        drop(slot);
        tracing::info!(
            transactional_id = entry.id,
            timeout_ms = current.timeout_ms,
            "a transaction was open for too long"
        );
        self.abort_fenced(entry, &current);
    }
}

impl Entry {
    pub(super) fn new(id: &str, transaction: Transaction, used_at: Duration) -> Arc<Self> {
        let slot = Slot { transaction, pending: Pending::None, timer: None, used_at, dead: false };
        Arc::new(Entry { id: id.to_owned(), slot: Mutex::new(slot) })
    }

    /// Decides on a change, which is pending from then on, if none is; gives the decision and what it was decided upon.
    fn decide<T>(
        &self,
        transactions: &Transactions,
        pending: Pending,
        decide: impl FnOnce(&Transaction) -> Result<T, ErrorCode>,
    ) -> Result<(T, Transaction), ErrorCode> {
        let mut slot: MutexGuard<'_, Slot> = self.slot.lock();
        let decision = decide(&slot.transaction)?;
        slot.check_idle()?;
        slot.pending = pending;
        slot.used_at = transactions.monotonic();
        Ok((decision, slot.transaction.clone()))
    }
}

impl Slot {
    fn check_idle(&self) -> Result<(), ErrorCode> {
        match self.pending {
            Pending::None if !self.dead => Ok(()),
            _ => Err(ErrorCode::CONCURRENT_TRANSACTIONS),
        }
    }
}
