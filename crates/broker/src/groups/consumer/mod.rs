//! Consumer groups (KIP-848): the broker assigns, and brings each member to its target step by step.
//!
//! Three epochs tell how far things are. The *group's* rises when the members, what they want or the topics change.
//! The *target's* tells for which of them the targets were made. A *member's* tells which target it has reached. On
//! its way it first gives back what it is not to have any more (`Unrevoked`), then takes what is free, and waits for
//! what others have yet to give back (`Unreleased`):
//!
//! ```text
//!              new target, something to give back
//!    Stable ─────────────────────────────────────▶ Unrevoked
//!     ▲  │                                            │ given back
//!     │  └─ new target, something not free yet ─▶ Unreleased ◀┘
//!     └────────────── all is free ───────────────────┘
//! ```
//!
//! **Invariant.** A partition is with one member at most: it is given only when nobody has it, neither as assigned nor
//! as to be given back.

mod assignment;
mod assignor;
mod heartbeat;
mod member;
mod reconcile;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use fleuve_base::Result;
use fleuve_wire::ErrorCode;

pub(crate) use assignment::{Assignment, Partition};
pub(crate) use assignor::Assignor;
pub(crate) use heartbeat::{Beat, Heartbeat};
pub(crate) use member::{Member, MemberState};
use topics::Catalog;
pub(crate) use topics::{Topics, compile};

use super::fields::Reader;
use super::record::GroupType;
use super::step::Step;

/// A consumer group.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConsumerGroup {
    /// The group's epoch.
    pub epoch: i32,
    /// For which epoch the targets were made.
    pub target_epoch: i32,
    /// Since when it is empty, in milliseconds since 1970.
    pub state_since_ms: i64,
    pub members: BTreeMap<String, Member>,
    /// The member id of each static member.
    instances: HashMap<String, String>,
    /// Who has a partition, be it as assigned or as to be given back.
    owners: HashMap<Partition, String>,
    pub catalog: Catalog,
}

impl ConsumerGroup {
    /// An empty group whose epochs go on from another group of that name.
    pub fn new(epoch: i32, now_ms: i64) -> Self {
        ConsumerGroup { epoch, target_epoch: epoch, state_since_ms: now_ms, ..ConsumerGroup::default() }
    }

    /// As ConsumerGroupDescribe and ListGroups call it.
    pub fn state_name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.target_epoch {
            "Assigning"
        } else if self.members.values().all(|member| self.has_arrived(member)) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    fn has_arrived(&self, member: &Member) -> bool {
        member.state == MemberState::Stable && member.epoch == self.target_epoch
    }

    /// The assignor that most members prefer; `uniform` if none does.
    pub fn assignor(&self) -> Assignor {
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        for assignor in self.members.values().filter_map(|member| member.assignor) {
            *votes.entry(assignor).or_default() += 1;
        }
        votes.into_iter().rev().max_by_key(|&(_, count)| count).map_or(Assignor::Uniform, |(assignor, _)| assignor)
    }

    /// Whether a member may commit offsets at this epoch.
    pub fn check_commit(&self, member_id: &str, epoch: i32, transactional: bool) -> Result<(), ErrorCode> {
        let names_member = epoch >= 0 || !member_id.is_empty();
        if !names_member && (transactional || self.members.is_empty()) {
            return Ok(());
        }
        self.check_fetch(member_id, epoch)
    }

    /// Whether a member may fetch offsets at this epoch.
    pub fn check_fetch(&self, member_id: &str, epoch: i32) -> Result<(), ErrorCode> {
        let member = self.members.get(member_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        if member.epoch == epoch { Ok(()) } else { Err(ErrorCode::STALE_MEMBER_EPOCH) }
    }

    /// The value of the group's record.
    pub fn encode(&self) -> Bytes {
        GroupType::Consumer.begin().i32(self.epoch).i32(self.target_epoch).i64(self.state_since_ms).finish()
    }

    /// Reads what follows the type.
    pub fn decode(reader: &mut Reader) -> Result<Self> {
        Ok(ConsumerGroup {
            epoch: reader.i32()?,
            target_epoch: reader.i32()?,
            state_since_ms: reader.i64()?,
            ..ConsumerGroup::default()
        })
    }

    /// Goes on after a restart: all members are taken to be alive, and have a session timeout to say so.
    pub fn resume(&mut self, step: &mut Step<'_>, topics: &dyn Topics) {
        let statics = self.members.values().filter_map(|m| Some((m.instance_id.clone()?, m.id.clone())));
        self.instances = statics.collect();
        for member in self.members.values_mut() {
            member.expires = step.deadline(step.config.consumer_session_timeout);
            let revokes = member.state == MemberState::Unrevoked;
            member.revoke_until = revokes.then(|| step.deadline(member.rebalance_timeout));
            let owned = member.assigned.iter().chain(member.revoking.iter());
            self.owners.extend(owned.map(|partition| (partition, member.id.clone())));
        }
        // What the topics were when the targets were made is not stored. To make them anew moves nothing if nothing
        // has changed.
        if !self.members.is_empty() {
            self.refresh(step, topics, true);
            self.bump_epoch(step);
        }
    }
}
