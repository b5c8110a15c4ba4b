//! Offsets in transactions: held ready, and the group's when the transaction commits.

use std::sync::Arc;

use fleuve_base::{Error, Result};
use fleuve_journal::OnDurable;
use fleuve_wire::ErrorCode;
use parking_lot::Mutex;

use super::Groups;
use super::commit::NewOffset;
use super::group::{Committer, GroupState};
use super::record::TopicPartition;
use super::step::Step;
use crate::transactions::StagedOffsets;

/// An offset that a transaction commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StagedOffset {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next record to be read.
    pub offset: i64,
    /// −1 if unknown.
    pub leader_epoch: i32,
    /// What the client says beside.
    pub metadata: Option<String>,
}

/// A TxnOffsetCommit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Staging {
    /// The producer whose transaction it is.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// The group.
    pub group: String,
    /// The member that it comes from; empty if the client did not say.
    pub member_id: String,
    /// The member's instance, if it is static.
    pub instance_id: Option<String>,
    /// The member's generation or epoch; −1 if the client did not say.
    pub generation: i32,
    /// The offsets.
    pub offsets: Vec<StagedOffset>,
}

impl Groups {
    /// Holds offsets ready for the end of the producer's transaction. They are durable, and nobody sees them yet, when
    /// `done` is called with an error code for each, in order.
    ///
    /// The caller has looked after permissions, topics and the producer's epoch.
    pub(crate) fn stage_offsets(
        self: &Arc<Self>,
        staging: Staging,
        done: impl FnOnce(Vec<ErrorCode>) + Send + 'static,
    ) {
        let count = staging.offsets.len();
        if staging.group.is_empty() {
            return done(vec![ErrorCode::INVALID_GROUP_ID; count]);
        }
        let group = staging.group.clone();
        let create = staging.generation < 0;
        let stage = |state: &mut GroupState, step: &mut Step<'_>| self.stage(state, step, staging);
        self.step(&group, create, stage, move |staged| {
            done(match staged {
                Ok(codes) => codes,
                Err(ErrorCode::GROUP_ID_NOT_FOUND) => vec![ErrorCode::ILLEGAL_GENERATION; count],
                Err(error) => vec![error; count],
            });
        });
    }

    fn stage(&self, state: &mut GroupState, step: &mut Step<'_>, staging: Staging) -> Vec<ErrorCode> {
        let Staging { producer_id, producer_epoch, group, member_id, instance_id, generation, offsets } = staging;
        let who = Committer { member_id, instance_id, generation };
        if let Err(error) = state.check_commit(step, &who, true) {
            return vec![error; offsets.len()];
        }
        // Noted before it can be durable, so that the end of the transaction finds it.
        self.transactions.lock().entry(producer_id).or_default().insert(group);
        let stage = |offset: StagedOffset| {
            let at = TopicPartition::new(offset.topic, offset.partition);
            let (leader_epoch, metadata) = (offset.leader_epoch, offset.metadata);
            match self.checked(step, &at, NewOffset { offset: offset.offset, leader_epoch, metadata }) {
                Ok(offset) => {
                    state.offsets.stage(step, (producer_id, producer_epoch), at, offset);
                    ErrorCode::NONE
                }
                Err(error) => error,
            }
        };
        offsets.into_iter().map(stage).collect()
    }

    /// The producer's transaction has ended: what it held ready becomes the groups', or is forgotten. Both are durable
    /// when `done` is called. May be asked for again, as after a crash, and after an error.
    fn complete_transaction(self: &Arc<Self>, producer_id: i64, committed: bool, done: OnDurable) {
        let groups = self.transactions.lock().get(&producer_id).cloned().unwrap_or_default();
        let ends = Arc::new(Mutex::new(Ends { missing: groups.len(), outcome: Ok(()), done: Some(done) }));
        if groups.is_empty() {
            return Ends::note(&ends, Ok(()), 0);
        }
        for name in groups {
            let (ends, groups, of) = (Arc::clone(&ends), Arc::clone(self), name.clone());
            let complete = move |state: &mut GroupState, step: &mut Step<'_>| {
                state.offsets.complete(step, producer_id, committed);
            };
            self.step(&name, false, complete, move |outcome| {
                // A group that is gone has nothing to be completed.
                let stored = matches!(outcome, Ok(()) | Err(ErrorCode::GROUP_ID_NOT_FOUND));
                if stored {
                    groups.forget_transaction(producer_id, &of);
                }
                let failed = || Error::internal(format!("the offsets of producer {producer_id} are not stored"));
                Ends::note(&ends, if stored { Ok(()) } else { Err(failed()) }, 1);
            });
        }
    }

    /// The group holds nothing ready for the producer any more, unless its next transaction has begun.
    fn forget_transaction(&self, producer_id: i64, group: &str) {
        let found = self.groups.read().get(group).cloned();
        let state = found.as_ref().map(|found| found.state.lock());
        if state.as_ref().is_some_and(|state| state.offsets.producers().any(|id| id == producer_id)) {
            return;
        }
        let mut transactions = self.transactions.lock();
        if let Some(groups) = transactions.get_mut(&producer_id) {
            groups.remove(group);
            if groups.is_empty() {
                transactions.remove(&producer_id);
            }
        }
    }
}

impl StagedOffsets for Groups {
    fn complete(self: Arc<Self>, producer_id: i64, commit: bool, done: OnDurable) {
        self.complete_transaction(producer_id, commit, done);
    }

    fn staged(&self) -> Vec<(i64, String)> {
        let transactions = self.transactions.lock();
        transactions.iter().flat_map(|(&id, groups)| groups.iter().map(move |group| (id, group.clone()))).collect()
    }
}

/// Waits for several groups.
struct Ends {
    missing: usize,
    outcome: Result<()>,
    done: Option<OnDurable>,
}

impl Ends {
    /// So many more are through, with this outcome.
    fn note(ends: &Mutex<Ends>, outcome: Result<()>, count: usize) {
        let mut ends = ends.lock();
        ends.missing -= count;
        if outcome.is_err() {
            ends.outcome = outcome;
        }
        let told = ends.outcome.clone();
        let done = if ends.missing == 0 { ends.done.take() } else { None };
        drop(ends);
        if let Some(done) = done {
            done(told);
        }
    }
}
