//! The second half of a transaction's end: markers in its partitions, offsets in its groups, and then the note that it is done.

use std::sync::Arc;

use fleuve_base::Result;
use fleuve_journal::{OnDurable, Partition, Ticket};
use fleuve_record::EndMarker;
use fleuve_wire::ErrorCode;
use parking_lot::Mutex;

use super::coordinator::{Entry, Pending, Then, Transactions};
use super::transaction::{Producer, State, Transaction};

/// The one coordinator is never replaced by another.
const COORDINATOR_EPOCH: i32 = 0;

impl Transactions {
    /// Tells the decision to all that the transaction wrote to, stores that it is complete, and calls `then`. What fails leaves the
    /// transaction prepared, so that nothing else can happen to it; it is tried again, at the latest by the next start.
    pub(super) fn finish(self: &Arc<Self>, entry: &Arc<Entry>, prepared: Transaction, then: Then) {
        let parts = prepared.partitions.len() + usize::from(!prepared.groups.is_empty());
        let (transactions, of, decided) = (Arc::clone(self), Arc::clone(entry), prepared.clone());
        let all = All::new(parts, move |outcome| match outcome {
            Ok(()) => transactions.complete(&of, &decided, then),
            Err(error) => {
                transactions.complain(&of, &error);
                of.slot.lock().pending = Pending::None;
                transactions.finish_later(&of);
                then(Err(ErrorCode::COORDINATOR_NOT_AVAILABLE));
            }
        });
        let commit = prepared.state == State::PrepareCommit;
        for at in &prepared.partitions {
            // A partition that is gone needs no marker.
            let topic = self.around.log.topic_by_id(at.topic_id).ok();
            let partition = topic.and_then(|topic| topic.partition(at.partition).ok().cloned());
            let marked = partition.map(|partition| mark(&partition, prepared.producer, commit, self.now_ms()));
            match marked.transpose().map(Option::flatten) {
                Ok(Some(ticket)) => ticket.on_durable(all.part()),
                outcome => all.part()(outcome.map(drop)),
            }
        }
        if !prepared.groups.is_empty() {
            Arc::clone(&self.around.offsets).complete(prepared.producer.id, commit, all.part());
        }
    }

    /// Stores that all is done.
    fn complete(self: &Arc<Self>, entry: &Arc<Entry>, decided: &Transaction, then: Then) {
        let (transactions, of) = (Arc::clone(self), Arc::clone(entry));
        let stored = move |stored: Result<Transaction, ErrorCode>| {
            if stored.is_err() {
                transactions.finish_later(&of);
            }
            then(stored);
        };
        self.store(entry, decided.completed(self.now_ms()), Pending::None, Box::new(stored));
    }
}

/// Ends the producer's transaction in this partition; nothing is to be done where it wrote nothing, or where its end has
/// been written before, but to wait for that.
pub(super) fn mark(
    partition: &Arc<Partition>,
    producer: Producer,
    commit: bool,
    now_ms: i64,
) -> Result<Option<Ticket>> {
    let known = partition.producer(producer.id);
    if known.is_none_or(|known| known.transaction_start.is_none()) {
        return Ok(Some(partition.ticket()));
    }
    let marker = EndMarker { commit, coordinator_epoch: COORDINATOR_EPOCH };
    match partition.append_marker(producer.id, producer.epoch, marker, now_ms) {
        Ok(appended) => Ok(Some(appended.ticket)),
        // The topic was deleted just now, or the partition is damaged and takes nothing any more: nobody reads beyond.
        Err(error) if ["E705", "E901"].contains(&error.code()) => {
            tracing::warn!(partition = %partition.id(), %error, "a transaction's end cannot be written");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Waits for several parts.
struct All(Arc<Mutex<Waiting>>);

struct Waiting {
    missing: usize,
    outcome: Result<()>,
    done: Option<OnDurable>,
}

impl All {
    /// Calls `done` after that many parts, of which there is one at least, with the first error if any failed.
    fn new(parts: usize, done: impl FnOnce(Result<()>) + Send + 'static) -> Self {
        All(Arc::new(Mutex::new(Waiting { missing: parts, outcome: Ok(()), done: Some(Box::new(done)) })))
    }

    /// Takes the outcome of one part.
    fn part(&self) -> OnDurable {
        let waiting = Arc::clone(&self.0);
        Box::new(move |outcome| {
            let mut waiting = waiting.lock();
            waiting.missing -= 1;
            if waiting.outcome.is_ok() {
                waiting.outcome = outcome;
            }
            let (told, done) = match waiting.missing {
                0 => (std::mem::replace(&mut waiting.outcome, Ok(())), waiting.done.take()),
                _ => return,
            };
            drop(waiting);
            if let Some(done) = done {
                done(told);
            }
        })
    }
}
