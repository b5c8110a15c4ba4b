//! The rebalance: waiting for the members to join, and beginning the next generation.

use std::time::Duration;

use fleuve_wire::ErrorCode;

use super::{ClassicGroup, State, Synced};
use crate::groups::record::Key;
use crate::groups::step::Step;

/// Waiting for the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rebalance {
    /// When the wait ends.
    until: Duration,
    /// The first rebalance of an empty group waits a little for more members, whoever is there already.
    initial: Option<Initial>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Initial {
    /// How far the wait may be prolonged.
    limit: Duration,
    /// Whether somebody came since it was prolonged last.
    newcomer: bool,
}

impl Rebalance {
    /// A member joined while the first rebalance was still being delayed.
    pub fn note_newcomer(&mut self) {
        if let Some(initial) = &mut self.initial {
            initial.newcomer = true;
        }
    }
}

impl ClassicGroup {
    /// Begins a rebalance, if none is under way, and ends it if nobody is missing.
    pub(super) fn prepare_rebalance(&mut self, step: &mut Step<'_>) {
        if self.state != State::PreparingRebalance {
            self.fail_syncs(step);
            self.rebalance = Some(self.new_rebalance(step));
            self.enter(step, State::PreparingRebalance);
        }
        self.complete_join_if_all(step);
    }

    fn new_rebalance(&self, step: &mut Step<'_>) -> Rebalance {
        let timeout = self.rebalance_timeout();
        if self.state != State::Empty {
            return Rebalance { until: step.deadline(timeout), initial: None };
        }
        let delay = step.config.initial_rebalance_delay.min(timeout);
        let initial = Initial { limit: step.now.saturating_add(timeout), newcomer: false };
        Rebalance { until: step.deadline(delay), initial: (!delay.is_zero()).then_some(initial) }
    }

    /// Members that wait for a generation's assignment learn that it will not come.
    fn fail_syncs(&mut self, step: &mut Step<'_>) {
        self.sync_until = None;
        for member in self.members.values_mut() {
            member.must_sync = false;
            if let Some(token) = member.syncing.take() {
                step.sync(token, Synced::refused(ErrorCode::REBALANCE_IN_PROGRESS));
                member.expires = step.deadline(member.session_timeout);
            }
        }
    }

    pub(super) fn complete_join_if_all(&mut self, step: &mut Step<'_>) {
        let Some(rebalance) = self.rebalance else { return };
        let all = self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some());
        if rebalance.initial.is_none() && all {
            self.complete_join(step);
        }
    }

    /// The part of `tick` that ends waits.
    pub(super) fn tick_rebalance(&mut self, step: &mut Step<'_>) {
        match &mut self.rebalance {
            Some(rebalance) if step.now >= rebalance.until => match &mut rebalance.initial {
                Some(initial) if initial.newcomer && step.now < initial.limit => {
                    initial.newcomer = false;
                    let delay = step.config.initial_rebalance_delay;
                    rebalance.until = step.now.saturating_add(delay).min(initial.limit);
                }
                _ => self.complete_join(step),
            },
            _ => {}
        }
        if self.sync_until.is_some_and(|until| step.now >= until) {
            self.sync_until = None;
            self.drop_unsynced(step);
        }
    }

    /// Asks to be woken at the next end of a wait.
    pub(super) fn wake_for_rebalance(&self, step: &mut Step<'_>) {
        self.rebalance.iter().map(|rebalance| rebalance.until).chain(self.sync_until).for_each(|at| step.wake_at(at));
    }

    fn complete_join(&mut self, step: &mut Step<'_>) {
        self.drop_absent(step);
        if !self.members.is_empty() && !self.elect_leader() {
            // Only static members are left and none is here: they have until their sessions end.
            let until = step.deadline(self.rebalance_timeout());
            self.rebalance = Some(Rebalance { until, initial: None });
            return;
        }
        self.rebalance = None;
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        step.change(Key::Group);
        if self.members.is_empty() { self.become_empty(step) } else { self.begin_generation(step) }
    }

    /// Dynamic members that have not joined again are no members any more. Static ones may come back later.
    fn drop_absent(&mut self, step: &mut Step<'_>) {
        let absent = |m: &&super::Member| m.joining.is_none() && m.instance_id.is_none();
        let gone: Vec<String> = self.members.values().filter(absent).map(|m| m.id.clone()).collect();
        gone.iter().for_each(|id| self.remove_member(step, id));
    }

    /// The leader stays if it is here; else the first that is here leads.
    fn elect_leader(&mut self) -> bool {
        let is_here = |id: &String| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if !self.leader.as_ref().is_some_and(is_here) {
            let here = self.members.values().find(|member| member.joining.is_some());
            let Some(here) = here else { return false };
            self.leader = Some(here.id.clone());
        }
        true
    }

    /// After a restart without members. Since when it is empty stays as it was.
    pub(super) fn become_empty_unless_it_is(&mut self, step: &mut Step<'_>) {
        if self.state != State::Empty {
            self.become_empty(step);
        }
    }

    fn become_empty(&mut self, step: &mut Step<'_>) {
        (self.protocol, self.leader, self.sync_until) = (None, None, None);
        self.enter(step, State::Empty);
    }

    fn begin_generation(&mut self, step: &mut Step<'_>) {
        self.protocol = self.select_protocol();
        self.enter(step, State::CompletingRebalance);
        self.sync_until = Some(step.deadline(self.rebalance_timeout()));
        let answers: Vec<_> =
            self.members.values().map(|m| m.joining.map(|token| (token, self.joined(&m.id, false)))).collect();
        for (member, answer) in self.members.values_mut().zip(answers) {
            (member.is_new, member.must_sync, member.joining) = (false, true, None);
            member.expires = step.deadline(member.session_timeout);
            step.change(Key::Member(member.id.clone()));
            if let Some((token, joined)) = answer {
                step.join(token, joined);
            }
        }
    }

    /// Whoever has not asked for its assignment in time is gone.
    fn drop_unsynced(&mut self, step: &mut Step<'_>) {
        let gone: Vec<String> = self.members.values().filter(|m| m.must_sync).map(|m| m.id.clone()).collect();
        if !gone.is_empty() && matches!(self.state, State::CompletingRebalance | State::Stable) {
            gone.iter().for_each(|id| self.remove_member(step, id));
            self.prepare_rebalance(step);
        }
    }
}
