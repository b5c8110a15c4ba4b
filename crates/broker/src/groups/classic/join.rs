//! JoinGroup: becoming a member, staying one through a rebalance, taking over a static member's place.

use bytes::Bytes;
use fleuve_wire::ErrorCode;

use super::member::protocols_bytes;
use super::{ClassicGroup, Join, Joined, JoinedMember, Member, State};
use crate::groups::config::{GROUP_BYTES_MAX, NEW_MEMBER_JOIN_TIMEOUT};
use crate::groups::record::Key;
use crate::groups::step::{Step, Token};

impl ClassicGroup {
    /// A client wants to be a member of the next generation. It is answered when that begins, or at once where it
    /// is refused or nothing has to change.
    pub fn join(&mut self, step: &mut Step<'_>, token: Token, join: Join) {
        let (member_id, takes_id) = (join.member_id.clone(), join.takes_member_id);
        let outcome = match self.check_join(step, &join) {
            Err(error) => Err(error),
            Ok(()) if member_id.is_empty() => return self.join_first(step, token, join, takes_id),
            Ok(()) if self.pending.remove(&member_id).is_some() => {
                self.add_member(step, token, member_id.clone(), join);
                Ok(())
            }
            Ok(()) => self.join_again(step, token, join),
        };
        if let Err(error) = outcome {
            step.refuse_join(token, if error == ErrorCode::GROUP_MAX_SIZE_REACHED { "" } else { &member_id }, error);
        }
    }

    fn check_join(&self, step: &Step<'_>, join: &Join) -> Result<(), ErrorCode> {
        if !self.has_room(step, join) {
            return Err(ErrorCode::GROUP_MAX_SIZE_REACHED);
        }
        if self.agrees(join) { Ok(()) } else { Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL) }
    }

    fn has_room(&self, step: &Step<'_>, join: &Join) -> bool {
        let known = self.members.contains_key(&join.member_id)
            || self.pending.contains_key(&join.member_id)
            || join.instance_id.as_ref().is_some_and(|instance| self.instances.contains_key(instance));
        let bytes: usize = self.members.values().filter(|m| m.id != join.member_id).map(Member::bytes).sum();
        let fits = bytes + protocols_bytes(&join.protocols) <= GROUP_BYTES_MAX;
        fits && (known || self.members.len() + self.pending.len() < step.config.members_max)
    }

    /// Whether the group could go on with this client: same type, and a protocol that all know.
    fn agrees(&self, join: &Join) -> bool {
        if join.protocol_type.is_empty() || join.protocols.is_empty() {
            return false;
        }
        let is_itself =
            |m: &Member| m.id == join.member_id || m.instance_id.is_some() && m.instance_id == join.instance_id;
        let others = || self.members.values().filter(|member| !is_itself(member));
        if others().next().is_none() && self.state == State::Empty {
            return true;
        }
        self.protocol_type.as_ref() == Some(&join.protocol_type)
            && join.protocols.iter().any(|(name, _)| others().all(|member| member.offers(name)))
    }

    /// A client without an id.
    fn join_first(&mut self, step: &mut Step<'_>, token: Token, join: Join, takes_id: bool) {
        let name = join.instance_id.as_ref().unwrap_or(&join.client_id);
        let new_id = step.member_id(name);
        if let Some(instance) = &join.instance_id {
            match self.instances.get(instance).cloned() {
                Some(old_id) => self.replace_static(step, token, &old_id, new_id, join),
                None => self.add_member(step, token, new_id, join),
            }
        } else if takes_id {
            self.pending.insert(new_id.clone(), step.deadline(join.session_timeout));
            step.refuse_join(token, &new_id, ErrorCode::MEMBER_ID_REQUIRED);
        } else {
            self.add_member(step, token, new_id, join);
        }
    }

    fn add_member(&mut self, step: &mut Step<'_>, token: Token, id: String, join: Join) {
        self.protocol_type = Some(join.protocol_type.clone());
        if let Some(instance) = &join.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        let mut member = Member::new(id.clone(), join);
        member.joining = Some(token);
        member.expires = step.deadline(NEW_MEMBER_JOIN_TIMEOUT);
        self.leader.get_or_insert_with(|| id.clone());
        self.members.insert(id, member);
        if let Some(rebalance) = &mut self.rebalance {
            rebalance.note_newcomer();
        }
        self.prepare_rebalance(step);
    }

    /// A client that is, or believes to be, a member.
    fn join_again(&mut self, step: &mut Step<'_>, token: Token, join: Join) -> Result<(), ErrorCode> {
        self.check_member(&join.member_id, join.instance_id.as_deref())?;
        let member = self.members.get(&join.member_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        let same = member.protocols == join.protocols;
        let settled = match self.state {
            // Its answer was lost.
            State::CompletingRebalance => same,
            // A leader that joins again wants a rebalance.
            State::Stable => same && !self.is_leader(&join.member_id),
            State::Empty | State::PreparingRebalance => false,
        };
        if settled {
            self.keep_alive(step, &join.member_id);
            step.join(token, self.joined(&join.member_id, false));
        } else {
            self.update_member(step, token, join);
            self.prepare_rebalance(step);
        }
        Ok(())
    }

    fn update_member(&mut self, step: &mut Step<'_>, token: Token, join: Join) {
        let Some(member) = self.members.get_mut(&join.member_id) else { return };
        if let Some(earlier) = member.joining.replace(token) {
            step.refuse_join(earlier, &member.id, ErrorCode::REBALANCE_IN_PROGRESS);
        }
        member.protocols = join.protocols;
        member.session_timeout = join.session_timeout;
        member.rebalance_timeout = join.rebalance_timeout;
        (member.client_id, member.client_host) = (join.client_id, join.client_host);
    }

    /// A static member has started anew: it takes over its old self's assignment under a new id, and whoever still
    /// uses the old id is fenced off. No rebalance is needed as long as the protocol stays.
    fn replace_static(&mut self, step: &mut Step<'_>, token: Token, old_id: &str, new_id: String, mut join: Join) {
        let leader_before = self.leader.clone();
        let skips_assignment = join.skips_assignment;
        self.rename_static(step, old_id, &new_id);
        join.member_id.clone_from(&new_id);
        self.update_member(step, token, join);
        match self.state {
            State::Stable if self.select_protocol() == self.protocol => {
                self.note_replaced(step, old_id, &new_id);
                self.answer_replaced(step, &new_id, leader_before, skips_assignment);
            }
            State::PreparingRebalance => self.complete_join_if_all(step),
            State::Empty | State::Stable | State::CompletingRebalance => {
                self.note_replaced(step, old_id, &new_id);
                self.prepare_rebalance(step);
            }
        }
    }

    fn rename_static(&mut self, step: &mut Step<'_>, old_id: &str, new_id: &str) {
        let mut member = self.members.remove(old_id).expect("`instances` names members only");
        if let Some(waiting) = member.joining.take() {
            step.refuse_join(waiting, old_id, ErrorCode::FENCED_INSTANCE_ID);
        }
        if let Some(waiting) = member.syncing.take() {
            step.sync(waiting, super::Synced::refused(ErrorCode::FENCED_INSTANCE_ID));
        }
        member.id = new_id.to_owned();
        if let Some(instance) = &member.instance_id {
            self.instances.insert(instance.clone(), new_id.to_owned());
        }
        if self.is_leader(old_id) {
            self.leader = Some(new_id.to_owned());
        }
        self.members.insert(new_id.to_owned(), member);
    }

    fn note_replaced(&self, step: &mut Step<'_>, old_id: &str, new_id: &str) {
        step.change(Key::Group);
        step.change(Key::Member(old_id.to_owned()));
        step.change(Key::Member(new_id.to_owned()));
    }

    /// A client that knows `skip_assignment` is told that it leads, but need not assign. An older one is told that
    /// its former self leads, so that it does not assign.
    fn answer_replaced(&mut self, step: &mut Step<'_>, id: &str, leader_before: Option<String>, skips: bool) {
        let Some(token) = self.members.get_mut(id).and_then(|member| member.joining.take()) else { return };
        self.keep_alive(step, id);
        let mut joined = self.joined(id, skips && self.is_leader(id));
        if !skips && self.is_leader(id) {
            joined.leader = leader_before.unwrap_or_default();
            joined.members.clear();
        }
        step.join(token, joined);
    }

    /// The answer for a member of the current generation.
    pub(super) fn joined(&self, member_id: &str, skip_assignment: bool) -> Joined {
        let members = if self.is_leader(member_id) { self.joined_members() } else { Vec::new() };
        Joined {
            error: ErrorCode::NONE,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment,
            member_id: member_id.to_owned(),
            members,
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let told = |member: &Member| JoinedMember {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: self.metadata(member),
        };
        self.members.values().map(told).collect()
    }

    /// The protocol that all know and most prefer; of equals, the first in the leader's order.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let first = self.leader.as_ref().and_then(|id| self.members.get(id)).or(self.members.values().next())?;
        let names = first.protocols.iter().map(|(name, _): &(String, Bytes)| name.as_str());
        let candidates: Vec<&str> = names.filter(|name| self.members.values().all(|m| m.offers(name))).collect();
        let votes = |name: &str| self.members.values().filter(|m| m.vote(&candidates) == Some(name)).count();
        // `max_by_key` takes the last of equals.
        candidates.iter().rev().max_by_key(|name| votes(name)).map(|&name| name.to_owned())
    }
}
