//! Making targets, and bringing members to theirs.

use std::collections::BTreeMap;

use super::assignor::Subscriber;
use super::{Assignment, ConsumerGroup, MemberState, Partition};
use crate::groups::record::Key;
use crate::groups::step::Step;

impl ConsumerGroup {
    /// The targets no longer fit: they are made anew before anybody is told anything.
    pub(super) fn bump_epoch(&mut self, step: &mut Step<'_>) {
        self.epoch = self.epoch.saturating_add(1);
        step.change(Key::Group);
    }

    /// Makes the targets of the group's epoch, if they are of an older one.
    pub(super) fn update_targets(&mut self, step: &mut Step<'_>) {
        if self.target_epoch >= self.epoch {
            return;
        }
        let assignor = self.assignor();
        let subscribers: BTreeMap<&str, Subscriber<'_>> =
            self.members.values().map(|m| (m.id.as_str(), self.subscriber(m))).collect();
        let targets = assignor.assign(&self.catalog.partitions(), &subscribers);
        for (id, target) in targets {
            if let Some(member) = self.members.get_mut(&id).filter(|member| member.target != target) {
                member.target = target;
                step.change(Key::Member(id));
            }
        }
        self.target_epoch = self.epoch;
        step.change(Key::Group);
    }

    fn subscriber<'a>(&'a self, member: &'a super::Member) -> Subscriber<'a> {
        Subscriber {
            topics: self.catalog.wanted(member),
            target: &member.target,
            instance_id: member.instance_id.as_deref(),
        }
    }

    /// Brings a member as far towards its target as the others allow. `owned` is what it says it still has; `None` if
    /// it says nothing.
    pub(super) fn reconcile(&mut self, step: &mut Step<'_>, id: &str, owned: Option<&Assignment>) {
        let Some(member) = self.members.get(id) else { return };
        let waits = match member.state {
            MemberState::Stable => member.epoch == self.target_epoch,
            MemberState::Unrevoked => owned.is_none_or(|owned| !owned.is_disjoint(&member.revoking)),
            MemberState::Unreleased => false,
        };
        if !waits {
            self.advance(step, id, owned);
        }
    }

    fn advance(&mut self, step: &mut Step<'_>, id: &str, owned: Option<&Assignment>) {
        let member = &self.members[id];
        let kept = member.assigned.filtered(|at| member.target.contains(at));
        let revoking = member.assigned.filtered(|at| !member.target.contains(at));
        let still_has = owned.is_none_or(|owned| !owned.is_disjoint(&revoking));
        if !revoking.is_empty() && still_has {
            self.begin_revoking(step, id, kept, revoking);
        } else {
            self.take_free(step, id, kept);
        }
    }

    /// The member stays at its epoch until it has given back.
    fn begin_revoking(&mut self, step: &mut Step<'_>, id: &str, kept: Assignment, revoking: Assignment) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.state = MemberState::Unrevoked;
        member.revoke_until = Some(step.deadline(member.rebalance_timeout));
        self.set_partitions(step, id, kept, revoking);
    }

    /// The member reaches the target's epoch, with what of the target is free.
    fn take_free(&mut self, step: &mut Step<'_>, id: &str, mut assigned: Assignment) {
        let is_free = |at: &Partition| self.owners.get(at).is_none_or(|owner| owner == id);
        let target = &self.members[id].target;
        let whole = target.len();
        target.iter().filter(is_free).for_each(|at| assigned.insert(at));
        let state = if assigned.len() < whole { MemberState::Unreleased } else { MemberState::Stable };
        let target_epoch = self.target_epoch;
        let Some(member) = self.members.get_mut(id) else { return };
        if (member.state, member.epoch) != (state, target_epoch) {
            step.change(Key::Member(id.to_owned()));
        }
        (member.state, member.revoke_until) = (state, None);
        member.advance(target_epoch);
        self.set_partitions(step, id, assigned, Assignment::default());
    }

    /// Notes what a member has. Nothing else does, so that `owners` is always true.
    pub(super) fn set_partitions(&mut self, step: &mut Step<'_>, id: &str, assigned: Assignment, revoking: Assignment) {
        let Some(member) = self.members.get_mut(id) else { return };
        if (&member.assigned, &member.revoking) == (&assigned, &revoking) {
            return;
        }
        for at in member.assigned.iter().chain(member.revoking.iter()) {
            self.owners.remove(&at);
        }
        for at in assigned.iter().chain(revoking.iter()) {
            let other = self.owners.insert(at, id.to_owned());
            assert!(other.is_none(), "a partition would be with two members");
        }
        (member.assigned, member.revoking) = (assigned, revoking);
        step.change(Key::Member(id.to_owned()));
    }
}
