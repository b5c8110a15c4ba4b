//! The ways out of a group: leaving, and not being heard of for too long.

use fleuve_wire::ErrorCode;

use super::{ClassicGroup, State, Synced};
use crate::groups::record::Key;
use crate::groups::step::Step;

/// One member of a LeaveGroup.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Leave {
    /// May be empty for a static member, which an administrator removes by its instance.
    pub member_id: String,
    pub instance_id: Option<String>,
}

impl ClassicGroup {
    /// Members go, of themselves or by an administrator's will.
    pub fn leave(&mut self, step: &mut Step<'_>, leave: &Leave) -> Result<(), ErrorCode> {
        let id = match &leave.instance_id {
            None if self.pending.remove(&leave.member_id).is_some() => {
                self.complete_join_if_all(step);
                return Ok(());
            }
            Some(instance) if leave.member_id.is_empty() => {
                self.instances.get(instance).cloned().ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?
            }
            instance => {
                self.check_member(&leave.member_id, instance.as_deref())?;
                leave.member_id.clone()
            }
        };
        self.remove_and_rebalance(step, &id);
        Ok(())
    }

    /// Does what is due, and asks to be woken for what is due next.
    pub fn tick(&mut self, step: &mut Step<'_>) {
        self.expire_pending(step);
        let expired = self.members.values().filter(|member| member.is_expired(step.now));
        let expired: Vec<String> = expired.map(|member| member.id.clone()).collect();
        expired.iter().for_each(|id| self.remove_and_rebalance(step, id));
        self.tick_rebalance(step);
        self.wake_for_next(step);
    }

    fn expire_pending(&mut self, step: &mut Step<'_>) {
        let before = self.pending.len();
        self.pending.retain(|_, until| step.now < *until);
        if self.pending.len() < before {
            self.complete_join_if_all(step);
        }
    }

    fn wake_for_next(&self, step: &mut Step<'_>) {
        // All that is to come is looked at here; what the steps above asked for may be out of date.
        step.wake = None;
        self.wake_for_rebalance(step);
        self.pending.values().for_each(|&until| step.wake_at(until));
        let alive = self.members.values().map(|member| match member.expires {
            // Its request waits here. Look again later, for its answer sets its session anew.
            passed if passed <= step.now => step.now.saturating_add(member.session_timeout),
            expires => expires,
        });
        if let Some(next) = alive.min() {
            step.wake_at(next);
        }
    }

    fn remove_and_rebalance(&mut self, step: &mut Step<'_>, id: &str) {
        self.remove_member(step, id);
        match self.state {
            State::Empty => {}
            State::PreparingRebalance => self.complete_join_if_all(step),
            State::CompletingRebalance | State::Stable => self.prepare_rebalance(step),
        }
    }

    /// Takes a member out; requests of its that wait are refused.
    pub(super) fn remove_member(&mut self, step: &mut Step<'_>, id: &str) {
        let Some(member) = self.members.remove(id) else { return };
        if let Some(token) = member.joining {
            step.refuse_join(token, "", ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if let Some(token) = member.syncing {
            step.sync(token, Synced::refused(ErrorCode::UNKNOWN_MEMBER_ID));
        }
        if let Some(instance) = &member.instance_id {
            self.instances.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        step.change(Key::Member(id.to_owned()));
    }
}
