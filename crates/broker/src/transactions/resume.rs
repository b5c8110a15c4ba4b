//! Opening: what the last process left behind is taken up.
//!
//! - A prepared transaction is decided; it is finished before anybody is served.
//! - An open one goes on: its producer may be alive. It has its whole timeout from now.
//! - A partition or a group in which a known producer of the current epoch has a transaction open belongs to that producer's
//!   transaction, though no record here tells so (version 2).
//! - Any other open transaction belongs to nobody any more. It is aborted, or readers would wait for its end for ever.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fleuve_base::{Error, Result};
use fleuve_journal::{Partition, ProducerState, TopicConfig};
use parking_lot::RwLock;

use super::coordinator::{Entry, Pending, Surroundings, Transactions};
use super::finish;
use super::record::{self, TRANSACTION_TOPIC};
use super::transaction::{Participant, Producer, State, Transaction, TxnPartition};
use crate::state_topic::StateTopic;
use crate::trouble::Trouble;

/// Commit rounds that finishing may take: markers, offsets of groups, the note that all is done, and what began before.
const ROUNDS_MAX: usize = 8;

/// How often ids that nobody uses are looked for.
const ID_EXPIRY_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How long this process must have seen an id unused, whatever the wall clock says: one jump of it must not forget them all.
const ID_UNUSED_MIN: Duration = Duration::from_secs(24 * 60 * 60);

type Loaded = BTreeMap<String, Transaction>;

impl Transactions {
    /// Loads all transactional ids, finishes what was decided, aborts what belongs to nobody.
    pub(crate) fn open(around: Surroundings) -> Result<Arc<Self>> {
        let topic = StateTopic::open(&around.env, &around.log, TRANSACTION_TOPIC, TopicConfig::default())?;
        let mut loaded = Loaded::new();
        topic.load(|key, value| {
            match record::decode(&key, value.as_deref())? {
                (id, Some(transaction)) => _ = loaded.insert(id, transaction),
                (id, None) => _ = loaded.remove(&id),
            }
            Ok(())
        })?;
        let now_ms = around.env.clock.now_ms();
        adopt(&around, &mut loaded, now_ms)?;
        let now = around.env.clock.monotonic();
        let entries = loaded.into_iter().map(|(id, transaction)| (id.clone(), Entry::new(&id, transaction, now)));
        let entries = RwLock::new(entries.collect());
        let transactions = Arc::new(Transactions { around, topic, entries, trouble: Trouble::default() });
        transactions.resume()?;
        transactions.schedule_id_expiry();
        Ok(transactions)
    }

    fn resume(self: &Arc<Self>) -> Result<()> {
        let entries = self.all();
        for entry in &entries {
            let mut slot = entry.slot.lock();
            self.watch(entry, &mut slot);
            if slot.transaction.state.is_prepared() {
                slot.pending = Pending::Changing;
                let prepared = slot.transaction.clone();
                drop(slot);
                self.finish(entry, prepared, Box::new(|_| {}));
            }
        }
        let is_pending = |entry: &Arc<Entry>| entry.slot.lock().pending != Pending::None;
        for _ in 0..ROUNDS_MAX {
            self.around.log.commit_now()?;
            if !entries.iter().any(is_pending) {
                break;
            }
        }
        let unfinished = |entry: &&Arc<Entry>| entry.slot.lock().transaction.state.is_prepared();
        match entries.iter().find(unfinished) {
            // It is finished when there is room again.
            Some(_) if self.around.log.is_full() => Ok(()),
            Some(entry) => {
                Err(Error::internal(format!("the transaction of `{}`, which was decided, was not finished", entry.id)))
            }
            None => Ok(()),
        }
    }

    fn schedule_id_expiry(self: &Arc<Self>) {
        let transactions = Arc::downgrade(self);
        let expire = move || {
            if let Some(transactions) = transactions.upgrade() {
                transactions.expire_ids();
                transactions.schedule_id_expiry();
            }
        };
        self.around.timers.schedule(self.monotonic().saturating_add(ID_EXPIRY_INTERVAL), Box::new(expire));
    }

    /// Forgets ids that were not used for long and have nothing open.
    fn expire_ids(self: &Arc<Self>) {
        let (now_ms, now) = (self.now_ms(), self.monotonic());
        for entry in self.all() {
            let mut slot = entry.slot.lock();
            let transaction = &slot.transaction;
            let idle = slot.pending == Pending::None
                && !matches!(transaction.state, State::Ongoing | State::PrepareCommit | State::PrepareAbort);
            let old = now_ms.saturating_sub(transaction.last_update_ms) >= self.around.id_expiry_ms
                && now.saturating_sub(slot.used_at) >= ID_UNUSED_MIN;
            if idle && old && !slot.dead {
                slot.dead = true;
                drop(slot);
                self.forget(entry);
            }
        }
    }

    /// Removes an id that is marked as dead, durably; if that fails it lives on.
    fn forget(self: &Arc<Self>, entry: Arc<Entry>) {
        let record = record::encode(&entry.id, None);
        let transactions = Arc::clone(self);
        let durable = move |outcome: Result<()>| match outcome {
            Ok(()) => _ = transactions.entries.write().remove(&entry.id),
            Err(_) => entry.slot.lock().dead = false,
        };
        self.topic.append(&[record], Box::new(durable));
    }
}

/// Gives each open transaction of a partition or group to the id that it belongs to, and aborts the others.
fn adopt(around: &Surroundings, loaded: &mut Loaded, now_ms: i64) -> Result<()> {
    let mut by_producer: HashMap<i64, &mut Transaction> =
        loaded.values_mut().map(|transaction| (transaction.producer.id, transaction)).collect();
    for topic in around.log.topics() {
        for partition in topic.partitions() {
            for open in partition.producers().into_iter().filter(|producer| producer.transaction_start.is_some()) {
                let at = TxnPartition { topic_id: topic.id(), partition: partition.id().partition };
                let owner = by_producer.get_mut(&open.producer_id);
                if !owner.is_some_and(|owner| adopt_partition(owner, open, at, now_ms)) {
                    abort(partition, open, now_ms)?;
                }
            }
        }
    }
    for (producer_id, group) in around.offsets.staged() {
        let owner = by_producer.get_mut(&producer_id);
        if !owner.is_some_and(|owner| adopt_participant(owner, Participant::Group(group), now_ms)) {
            Arc::clone(&around.offsets).complete(producer_id, false, Box::new(|_| {}));
        }
    }
    Ok(())
}

/// Whether the transaction that is open in the partition is the id's.
fn adopt_partition(owner: &mut Transaction, open: ProducerState, at: TxnPartition, now_ms: i64) -> bool {
    match owner.state.is_prepared() {
        // The markers that are about to be written may have a newer epoch than the records.
        true => open.epoch <= owner.producer.epoch && adopt_participant(owner, Participant::Partition(at), now_ms),
        false => open.epoch == owner.producer.epoch && adopt_participant(owner, Participant::Partition(at), now_ms),
    }
}

fn adopt_participant(owner: &mut Transaction, participant: Participant, now_ms: i64) -> bool {
    if owner.state.is_prepared() {
        // A decision lists all that it is about.
        return match &participant {
            Participant::Partition(partition) => owner.partitions.contains(partition),
            Participant::Group(group) => owner.groups.contains(group),
        };
    }
    owner.has(&participant) || owner.add([participant], now_ms).is_ok()
}

fn abort(partition: &Arc<Partition>, open: ProducerState, now_ms: i64) -> Result<()> {
    tracing::warn!(partition = %partition.id(), producer_id = open.producer_id, "aborts a transaction that belongs to nobody");
    let producer = Producer { id: open.producer_id, epoch: open.epoch };
    finish::mark(partition, producer, false, now_ms).map(drop)
}
