//! JoinGroup, SyncGroup, Heartbeat and LeaveGroup.

use std::sync::Arc;
use std::time::Duration;

use fleuve_wire::ErrorCode;
use fleuve_wire::messages::heartbeat_request::HeartbeatRequest;
use fleuve_wire::messages::heartbeat_response::HeartbeatResponse;
use fleuve_wire::messages::join_group_request::JoinGroupRequest;
use fleuve_wire::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use fleuve_wire::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use fleuve_wire::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};
use fleuve_wire::messages::sync_group_request::SyncGroupRequest;
use fleuve_wire::messages::sync_group_response::SyncGroupResponse;

use super::classic::{Join, Joined, JoinedMember, Leave, Sync, Synced};
use super::config::{GroupConfig, NAME_BYTES_MAX, PROTOCOLS_MAX};
use super::group::{GroupState, Waiter};
use super::step::{Answer, Step};
use crate::broker::{Broker, Responder};
use crate::session::Session;

impl Broker {
    pub(crate) fn join_group(
        self: &Arc<Self>,
        session: &Session,
        version: i16,
        client_id: Option<&str>,
        request: JoinGroupRequest,
        respond: Responder,
    ) {
        let (group, member_id) = (request.group_id.clone(), request.member_id.clone());
        let known = member_id.clone();
        let respond = move |joined: Joined| respond(join_response(version, joined).into());
        let allowed = self.may_read_group(session, &group).and_then(|()| check_join(self.groups.config(), &request));
        if let Err(error) = allowed {
            return respond(Joined::refused(&member_id, error));
        }
        let join = join(session, version, client_id, request);
        let token = self.groups.next_token();
        let waiter: Waiter = Box::new(move |answer| match answer {
            Ok(Answer::Join(joined)) => respond(joined),
            Ok(Answer::Sync(_)) => respond(Joined::refused(&member_id, ErrorCode::UNKNOWN_SERVER_ERROR)),
            Err(error) => respond(Joined::refused(&member_id, error)),
        });
        self.groups.enter(&group, known.is_empty(), waiter, token, move |state, step| match state.as_classic(step) {
            Ok(classic) => classic.join(step, token, join),
            Err(error) => step.refuse_join(token, &known, error),
        });
    }

    pub(crate) fn sync_group(
        self: &Arc<Self>,
        session: &Session,
        version: i16,
        request: SyncGroupRequest,
        respond: Responder,
    ) {
        let respond = move |synced: Synced| respond(sync_response(synced).into());
        let group = request.group_id;
        let vague = version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none());
        let allowed = match self.may_read_group(session, &group) {
            Ok(()) if vague => Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL),
            other => other,
        };
        if let Err(error) = allowed {
            return respond(Synced::refused(error));
        }
        let sync = Sync {
            member_id: request.member_id,
            instance_id: request.group_instance_id,
            generation: request.generation_id,
            protocol_type: request.protocol_type,
            protocol: request.protocol_name,
            assignments: request.assignments.into_iter().map(|a| (a.member_id, a.assignment)).collect(),
        };
        let token = self.groups.next_token();
        let waiter: Waiter = Box::new(move |answer| match answer {
            Ok(Answer::Sync(synced)) => respond(synced),
            Ok(Answer::Join(_)) => respond(Synced::refused(ErrorCode::UNKNOWN_SERVER_ERROR)),
            Err(error) => respond(Synced::refused(error)),
        });
        self.groups.enter(&group, false, waiter, token, move |state, step| match state.classic() {
            Some(classic) => classic.sync(step, token, sync),
            None => step.sync(token, Synced::refused(ErrorCode::UNKNOWN_MEMBER_ID)),
        });
    }

    pub(crate) fn heartbeat(self: &Arc<Self>, session: &Session, request: &HeartbeatRequest) -> HeartbeatResponse {
        let beat = |state: &mut GroupState, step: &mut Step<'_>| {
            let group = state.classic().ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
            group.heartbeat(step, &request.member_id, request.group_instance_id.as_deref(), request.generation_id)
        };
        let outcome = self.may_read_group(session, &request.group_id).and_then(|()| {
            let known = self.groups.step_now(&request.group_id, beat);
            known.map_err(unknown_group).and_then(|outcome| outcome)
        });
        HeartbeatResponse { error_code: outcome.err().unwrap_or(ErrorCode::NONE).0, ..Default::default() }
    }

    pub(crate) fn leave_group(
        self: &Arc<Self>,
        session: &Session,
        version: i16,
        request: LeaveGroupRequest,
        respond: Responder,
    ) {
        if let Err(error) = self.may_read_group(session, &request.group_id) {
            return respond(LeaveGroupResponse { error_code: error.0, ..Default::default() }.into());
        }
        let leaving = match version {
            ..3 => vec![MemberIdentity { member_id: request.member_id, ..Default::default() }],
            _ => request.members,
        };
        let told = leaving.clone();
        let leave = move |state: &mut GroupState, step: &mut Step<'_>| {
            leaving.into_iter().map(|member| leave_one(state, step, member)).collect::<Vec<_>>()
        };
        self.groups.step(&request.group_id, false, leave, move |outcome| {
            let response = match outcome.map_err(unknown_group) {
                Ok(outcomes) => leave_response(version, told, outcomes),
                Err(ErrorCode::UNKNOWN_MEMBER_ID) => {
                    let nobody = vec![Err(ErrorCode::UNKNOWN_MEMBER_ID); told.len()];
                    leave_response(version, told, nobody)
                }
                Err(error) => LeaveGroupResponse { error_code: error.0, ..Default::default() },
            };
            respond(response.into());
        });
    }
}

impl super::Groups {
    /// Runs a step for a request that may wait in the group.
    fn enter(
        self: &Arc<Self>,
        group: &str,
        create: bool,
        waiter: Waiter,
        token: super::Token,
        f: impl FnOnce(&mut GroupState, &mut Step<'_>),
    ) {
        let mut waiter = Some(waiter);
        let entered = self.step_or_create(group, create, |state, step| {
            state.waiting.extend(waiter.take().map(|waiter| (token, waiter)));
            f(state, step);
        });
        if let (Err(error), Some(waiter)) = (entered, waiter) {
            waiter(Err(unknown_group(error)));
        }
    }
}

/// A group that is not there has no members.
fn unknown_group(error: ErrorCode) -> ErrorCode {
    if error == ErrorCode::GROUP_ID_NOT_FOUND { ErrorCode::UNKNOWN_MEMBER_ID } else { error }
}

fn check_join(config: &GroupConfig, request: &JoinGroupRequest) -> Result<(), ErrorCode> {
    let session_timeout = millis(request.session_timeout_ms);
    if session_timeout < config.session_timeout_min || session_timeout > config.session_timeout_max {
        return Err(ErrorCode::INVALID_SESSION_TIMEOUT);
    }
    let names = [Some(&request.member_id), request.group_instance_id.as_ref(), Some(&request.protocol_type)];
    let too_long = names.into_iter().flatten().any(|name| name.len() > NAME_BYTES_MAX);
    let nameless = request.group_instance_id.as_ref().is_some_and(String::is_empty);
    if too_long || nameless || request.protocols.len() > PROTOCOLS_MAX {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    Ok(())
}

/// Milliseconds that must not be negative.
fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn join(session: &Session, version: i16, client_id: Option<&str>, request: JoinGroupRequest) -> Join {
    let session_timeout = millis(request.session_timeout_ms);
    // Slices of the request would keep all of it alive.
    let owned = |bytes: &bytes::Bytes| bytes::Bytes::copy_from_slice(bytes);
    Join {
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        client_id: client_id.unwrap_or_default().to_owned(),
        client_host: format!("/{}", session.client_host),
        session_timeout,
        rebalance_timeout: if version == 0 { session_timeout } else { millis(request.rebalance_timeout_ms) },
        protocol_type: request.protocol_type,
        protocols: request.protocols.into_iter().map(|protocol| (protocol.name, owned(&protocol.metadata))).collect(),
        takes_member_id: version >= 4,
        skips_assignment: version >= 9,
    }
}

fn join_response(version: i16, joined: Joined) -> JoinGroupResponse {
    let member = |member: JoinedMember| JoinGroupResponseMember {
        member_id: member.id,
        group_instance_id: member.instance_id,
        metadata: member.metadata,
    };
    JoinGroupResponse {
        error_code: joined.error.0,
        generation_id: joined.generation,
        protocol_type: joined.protocol_type,
        // Null is known from version 7 on.
        protocol_name: joined.protocol.or((version < 7).then(String::new)),
        leader: joined.leader,
        skip_assignment: joined.skip_assignment,
        member_id: joined.member_id,
        members: joined.members.into_iter().map(member).collect(),
        ..Default::default()
    }
}

fn sync_response(synced: Synced) -> SyncGroupResponse {
    SyncGroupResponse {
        error_code: synced.error.0,
        protocol_type: synced.protocol_type,
        protocol_name: synced.protocol,
        assignment: synced.assignment,
        ..Default::default()
    }
}

fn leave_one(state: &mut GroupState, step: &mut Step<'_>, member: MemberIdentity) -> Result<(), ErrorCode> {
    let leave = Leave { member_id: member.member_id, instance_id: member.group_instance_id };
    match &mut state.protocol {
        super::group::Protocol::Classic(group) => group.leave(step, &leave),
        super::group::Protocol::Consumer(group) => group.expel(step, &leave.member_id, leave.instance_id.as_deref()),
    }
}

/// Old versions know one member, whose error is the request's.
fn leave_response(
    version: i16,
    leaving: Vec<MemberIdentity>,
    outcomes: Vec<Result<(), ErrorCode>>,
) -> LeaveGroupResponse {
    let codes = outcomes.into_iter().map(|outcome| outcome.err().unwrap_or(ErrorCode::NONE).0);
    if version < 3 {
        return LeaveGroupResponse { error_code: codes.sum(), ..Default::default() };
    }
    let member = |(member, error_code): (MemberIdentity, i16)| MemberResponse {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        error_code,
    };
    LeaveGroupResponse { members: leaving.into_iter().zip(codes).map(member).collect(), ..Default::default() }
}
