//! ConsumerGroupHeartbeat: joining, staying, leaving.

use std::collections::BTreeSet;
use std::time::Duration;

use fleuve_wire::ErrorCode;

use super::topics::Topics;
use super::{Assignment, Assignor, ConsumerGroup, Member, MemberState};
use crate::groups::config::GROUP_BYTES_MAX;
use crate::groups::record::Key;
use crate::groups::step::Step;

/// The epoch of a member that joins.
const JOINS: i32 = 0;
/// The epoch of a member that leaves.
const LEAVES: i32 = -1;
/// The epoch of a static member that leaves for a while.
const LEAVES_FOR_A_WHILE: i32 = -2;

/// What a member says. Fields that are `None` have not changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    pub member_id: String,
    pub epoch: i32,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout: Option<Duration>,
    pub topics: Option<BTreeSet<String>>,
    pub regex: Option<String>,
    pub assignor: Option<Assignor>,
    pub owned: Option<Assignment>,
}

/// What it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beat {
    pub member_id: String,
    pub epoch: i32,
    /// Only where it has changed, or the member needs to be told again.
    pub assignment: Option<Assignment>,
}

impl ConsumerGroup {
    /// A member speaks.
    pub fn heartbeat(
        &mut self,
        step: &mut Step<'_>,
        topics: &dyn Topics,
        heartbeat: &Heartbeat,
    ) -> Result<Beat, ErrorCode> {
        match heartbeat.epoch {
            LEAVES | LEAVES_FOR_A_WHILE => self.leave(step, heartbeat),
            _ => self.beat(step, topics, heartbeat),
        }
    }

    fn beat(&mut self, step: &mut Step<'_>, topics: &dyn Topics, said: &Heartbeat) -> Result<Beat, ErrorCode> {
        let id = self.admit(step, said)?;
        let before = self.members[&id].assigned.clone();
        let changed = self.update_member(step, &id, said);
        if self.refresh(step, topics, changed) || changed {
            self.bump_epoch(step);
        }
        self.update_targets(step);
        self.reconcile(step, &id, said.owned.as_ref());
        let member = self.members.get_mut(&id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        member.expires = step.deadline(step.config.consumer_session_timeout);
        let says_all = said.topics.is_some() && said.rebalance_timeout.is_some();
        let tell = said.epoch == JOINS || says_all || member.assigned != before;
        Ok(Beat { member_id: id, epoch: member.epoch, assignment: tell.then(|| member.assigned.clone()) })
    }

    /// Finds the member, or makes it one; gives its id.
    fn admit(&mut self, step: &mut Step<'_>, said: &Heartbeat) -> Result<String, ErrorCode> {
        let existing = match &said.instance_id {
            None => self.members.get(&said.member_id).map(|member| member.id.clone()),
            Some(instance) => self.instances.get(instance).cloned(),
        };
        match existing {
            None if said.epoch == JOINS => self.join(step, said),
            None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            Some(id) if said.epoch == JOINS => self.join_again(step, &id, said),
            Some(id) if id != said.member_id => Err(ErrorCode::FENCED_INSTANCE_ID),
            Some(id) => {
                self.check_epoch(&id, said)?;
                Ok(id)
            }
        }
    }

    fn join(&mut self, step: &mut Step<'_>, said: &Heartbeat) -> Result<String, ErrorCode> {
        let bytes: usize = self.members.values().map(Member::bytes).sum();
        if self.members.len() >= step.config.members_max || bytes > GROUP_BYTES_MAX {
            return Err(ErrorCode::GROUP_MAX_SIZE_REACHED);
        }
        let id = if said.member_id.is_empty() { step.member_id("") } else { said.member_id.clone() };
        if let Some(instance) = &said.instance_id {
            if self.members.contains_key(&id) {
                return Err(ErrorCode::FENCED_INSTANCE_ID);
            }
            self.instances.insert(instance.clone(), id.clone());
        }
        let member = Member { id: id.clone(), instance_id: said.instance_id.clone(), ..Member::default() };
        self.members.insert(id.clone(), member);
        step.change(Key::Member(id.clone()));
        self.bump_epoch(step);
        Ok(id)
    }

    /// A member that joins anew has nothing any more, but for a static one that was away: that one goes on with what it
    /// had, under another id if it has one.
    fn join_again(&mut self, step: &mut Step<'_>, id: &str, said: &Heartbeat) -> Result<String, ErrorCode> {
        let member = self.members.get_mut(id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        let was_away = member.epoch == LEAVES_FOR_A_WHILE;
        if !was_away && member.id != said.member_id {
            return Err(ErrorCode::UNRELEASED_INSTANCE_ID);
        }
        (member.epoch, member.previous_epoch, member.revoke_until) = (JOINS, JOINS, None);
        member.state = MemberState::Stable;
        step.change(Key::Member(id.to_owned()));
        if !was_away {
            self.set_partitions(step, id, Assignment::default(), Assignment::default());
        }
        let new_id = if said.member_id.is_empty() { step.member_id("") } else { said.member_id.clone() };
        self.rename(step, id, &new_id)?;
        Ok(new_id)
    }

    fn rename(&mut self, step: &mut Step<'_>, id: &str, new_id: &str) -> Result<(), ErrorCode> {
        if id == new_id {
            return Ok(());
        }
        if self.members.contains_key(new_id) {
            return Err(ErrorCode::FENCED_INSTANCE_ID);
        }
        let mut member = self.members.remove(id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        new_id.clone_into(&mut member.id);
        for at in member.assigned.iter().chain(member.revoking.iter()) {
            self.owners.insert(at, new_id.to_owned());
        }
        if let Some(instance) = &member.instance_id {
            self.instances.insert(instance.clone(), new_id.to_owned());
        }
        self.members.insert(new_id.to_owned(), member);
        step.change(Key::Member(id.to_owned()));
        step.change(Key::Member(new_id.to_owned()));
        Ok(())
    }

    /// A member may be one epoch behind if the answer was lost, and has then no more than it would have been told.
    fn check_epoch(&self, id: &str, said: &Heartbeat) -> Result<(), ErrorCode> {
        let member = &self.members[id];
        let lost = said.epoch == member.previous_epoch && said.epoch < member.epoch;
        let has_no_more = || said.owned.as_ref().is_some_and(|owned| owned.is_subset(&member.assigned));
        let fits = said.epoch == member.epoch || lost && has_no_more();
        if fits { Ok(()) } else { Err(ErrorCode::FENCED_MEMBER_EPOCH) }
    }

    /// Takes over what the member says about itself; whether that asks for new targets.
    fn update_member(&mut self, step: &mut Step<'_>, id: &str, said: &Heartbeat) -> bool {
        let says_nothing = said.topics.is_none() && said.regex.is_none() && said.assignor.is_none();
        if says_nothing && said.rebalance_timeout.is_none() && said.rack_id.is_none() && said.epoch != JOINS {
            return false;
        }
        let Some(member) = self.members.get_mut(id) else { return false };
        let before = member.clone();
        if let Some(topics) = &said.topics {
            member.topics.clone_from(topics);
        }
        if let Some(regex) = &said.regex {
            member.regex = Some(regex.clone()).filter(|regex| !regex.is_empty());
        }
        member.assignor = said.assignor.or(member.assignor);
        member.rebalance_timeout = said.rebalance_timeout.unwrap_or(member.rebalance_timeout);
        member.rack_id = said.rack_id.clone().or(member.rack_id.take());
        if said.epoch == JOINS {
            member.client_id.clone_from(&said.client_id);
            member.client_host.clone_from(&said.client_host);
        }
        if *member == before {
            return false;
        }
        let wants = |m: &Member| (m.topics.clone(), m.regex.clone(), m.assignor);
        let changed = wants(member) != wants(&before);
        step.change(Key::Member(id.to_owned()));
        changed
    }

    fn leave(&mut self, step: &mut Step<'_>, said: &Heartbeat) -> Result<Beat, ErrorCode> {
        let id = match &said.instance_id {
            None => said.member_id.clone(),
            Some(instance) => self.instances.get(instance).cloned().ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?,
        };
        if id != said.member_id {
            return Err(ErrorCode::FENCED_INSTANCE_ID);
        }
        let member = self.members.get_mut(&id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        if said.epoch == LEAVES_FOR_A_WHILE && member.instance_id.is_some() {
            (member.epoch, member.state, member.revoke_until) = (LEAVES_FOR_A_WHILE, MemberState::Stable, None);
            let assigned = member.assigned.clone();
            step.change(Key::Member(id.clone()));
            self.set_partitions(step, &id, assigned, Assignment::default());
        } else {
            self.remove(step, &id);
        }
        Ok(Beat { member_id: id, epoch: said.epoch, assignment: None })
    }

    /// An administrator removes a member, by its id or its instance.
    pub fn expel(&mut self, step: &mut Step<'_>, id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        let of_instance = match instance_id {
            Some(instance) => Some(self.instances.get(instance).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?),
            None => None,
        };
        let id = match of_instance {
            Some(current) if id.is_empty() || id == current => current.clone(),
            Some(_) => return Err(ErrorCode::FENCED_INSTANCE_ID),
            None if self.members.contains_key(id) => id.to_owned(),
            None => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
        };
        self.remove(step, &id);
        Ok(())
    }

    /// Takes a member out; what it had is free.
    pub fn remove(&mut self, step: &mut Step<'_>, id: &str) {
        self.set_partitions(step, id, Assignment::default(), Assignment::default());
        let Some(member) = self.members.remove(id) else { return };
        if let Some(instance) = &member.instance_id {
            self.instances.remove(instance);
        }
        step.change(Key::Member(id.to_owned()));
        self.bump_epoch(step);
        if self.members.is_empty() {
            self.state_since_ms = step.now_ms;
            self.target_epoch = self.epoch;
        }
    }

    /// Removes members that were not heard of, or did not give back, for too long; asks to be woken for the next.
    pub fn tick(&mut self, step: &mut Step<'_>) {
        let now = step.now;
        let is_over = |m: &&Member| now >= m.expires || m.revoke_until.is_some_and(|until| now >= until);
        let over: Vec<String> = self.members.values().filter(is_over).map(|member| member.id.clone()).collect();
        over.iter().for_each(|id| self.remove(step, id));
        step.wake = None;
        let next = self.members.values().flat_map(|member| [Some(member.expires), member.revoke_until]);
        if let Some(next) = next.flatten().min() {
            step.wake_at(next);
        }
    }
}
