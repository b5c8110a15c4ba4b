//! SyncGroup: the leader hands in the assignments, every member gets its own.

use bytes::Bytes;
use fleuve_wire::ErrorCode;

use super::{ClassicGroup, State, Synced};
use crate::groups::config::GROUP_BYTES_MAX;
use crate::groups::record::Key;
use crate::groups::step::{Step, Token};

/// What SyncGroup says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sync {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub generation: i32,
    /// What the client believes, from version 5 on.
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    /// By member id; from the leader only.
    pub assignments: Vec<(String, Bytes)>,
}

impl ClassicGroup {
    /// A member asks for its assignment. It is answered when the leader has handed it in.
    pub fn sync(&mut self, step: &mut Step<'_>, token: Token, sync: Sync) {
        let outcome = self.check_sync(&sync).and_then(|()| match self.state {
            State::Empty => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            State::PreparingRebalance => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            State::CompletingRebalance => self.sync_completing(step, token, sync),
            State::Stable => {
                self.answer_sync(step, token, &sync.member_id);
                Ok(())
            }
        });
        if let Err(error) = outcome {
            step.sync(token, Synced::refused(error));
        }
    }

    fn check_sync(&self, sync: &Sync) -> Result<(), ErrorCode> {
        self.check_generation(&sync.member_id, sync.instance_id.as_deref(), sync.generation)?;
        let differs = |theirs: &Option<String>, ours: &Option<String>| theirs.is_some() && theirs != ours;
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol) {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        Ok(())
    }

    fn sync_completing(&mut self, step: &mut Step<'_>, token: Token, sync: Sync) -> Result<(), ErrorCode> {
        let leads = self.is_leader(&sync.member_id);
        if leads {
            self.check_assignments(&sync.assignments)?;
        }
        let member = self.members.get_mut(&sync.member_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        member.must_sync = false;
        if let Some(earlier) = member.syncing.replace(token) {
            step.sync(earlier, Synced::refused(ErrorCode::REBALANCE_IN_PROGRESS));
        }
        if leads {
            self.assign(step, sync.assignments);
        }
        Ok(())
    }

    fn check_assignments(&self, assignments: &[(String, Bytes)]) -> Result<(), ErrorCode> {
        let bytes: usize = assignments.iter().map(|(_, assignment)| assignment.len()).sum();
        if bytes > GROUP_BYTES_MAX { Err(ErrorCode::INVALID_REQUEST) } else { Ok(()) }
    }

    /// Takes the leader's assignments, empty ones for whom it left out, and answers all who wait.
    fn assign(&mut self, step: &mut Step<'_>, assignments: Vec<(String, Bytes)>) {
        self.members.values_mut().for_each(|member| member.assignment = Bytes::new());
        for (id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&id) {
                // A slice of the request would keep all of it alive.
                member.assignment = Bytes::copy_from_slice(&assignment);
            }
        }
        self.enter(step, State::Stable);
        step.change(Key::Group);
        let waiting: Vec<_> = self.members.values_mut().map(|m| (m.id.clone(), m.syncing.take())).collect();
        for (id, token) in waiting {
            step.change(Key::Member(id.clone()));
            if let Some(token) = token {
                self.answer_sync(step, token, &id);
            }
        }
    }

    fn answer_sync(&mut self, step: &mut Step<'_>, token: Token, member_id: &str) {
        let (protocol_type, protocol) = (self.protocol_type.clone(), self.protocol.clone());
        let Some(member) = self.members.get_mut(member_id) else { return };
        member.must_sync = false;
        member.expires = step.deadline(member.session_timeout);
        let assignment = member.assignment.clone();
        step.sync(token, Synced { error: ErrorCode::NONE, protocol_type, protocol, assignment });
    }
}
