//! FindCoordinator, ListGroups, DescribeGroups, DeleteGroups.

use std::sync::Arc;

use fleuve_wire::messages::delete_groups_request::DeleteGroupsRequest;
use fleuve_wire::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};
use fleuve_wire::messages::describe_groups_request::DescribeGroupsRequest;
use fleuve_wire::messages::describe_groups_response::{DescribeGroupsResponse, DescribedGroup, DescribedGroupMember};
use fleuve_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use fleuve_wire::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use fleuve_wire::messages::list_groups_request::ListGroupsRequest;
use fleuve_wire::messages::list_groups_response::{ListGroupsResponse, ListedGroup};
use fleuve_wire::{ErrorCode, Response};
use parking_lot::Mutex;

use super::Groups;
use super::classic::{ClassicGroup, Member, State};
use super::group::{GroupState, Protocol};
use super::step::Step;
use crate::broker::{Broker, Responder};
use crate::cluster::NODE_ID;
use crate::security::{Operation, Resource};
use crate::session::Session;

/// What can be done to a group, as permissions go.
pub(super) const GROUP_OPERATIONS: &[Operation] =
    &[Operation::Read, Operation::Delete, Operation::Describe, Operation::DescribeConfigs, Operation::AlterConfigs];

/// The operations that are allowed, as a set of bits.
pub(super) fn bits(operations: &[Operation], allowed: impl Fn(Operation) -> bool) -> i32 {
    operations.iter().filter(|&&operation| allowed(operation)).fold(0, |bits, &operation| bits | 1 << operation as i32)
}

impl Broker {
    pub(crate) fn find_coordinator(
        &self,
        session: &Session,
        version: i16,
        request: FindCoordinatorRequest,
    ) -> FindCoordinatorResponse {
        let kind = if version == 0 { 0 } else { request.key_type };
        let find = |key: String| self.coordinator(session, kind, key);
        if version >= 4 {
            let coordinators = request.coordinator_keys.into_iter().map(find).collect();
            return FindCoordinatorResponse { coordinators, ..Default::default() };
        }
        let Coordinator { node_id, host, port, error_code, error_message, .. } = find(request.key);
        FindCoordinatorResponse { error_code, error_message, node_id, host, port, ..Default::default() }
    }

    /// It is always this broker, at the address that the client knows.
    fn coordinator(&self, session: &Session, kind: i8, key: String) -> Coordinator {
        let checked = match kind {
            0 if !self.allows(session, Operation::Describe, Resource::Group(&key)) => {
                Err(ErrorCode::GROUP_AUTHORIZATION_FAILED)
            }
            1 if !self.allows(session, Operation::Describe, Resource::TransactionalId(&key)) => {
                Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
            }
            0 | 1 => Ok(()),
            _ => Err(ErrorCode::INVALID_REQUEST),
        };
        match checked {
            Ok(()) => Coordinator {
                key,
                node_id: NODE_ID,
                host: session.listener.host.clone(),
                port: i32::from(session.listener.port),
                ..Default::default()
            },
            Err(error) => Coordinator {
                key,
                node_id: -1,
                port: -1,
                error_code: error.0,
                error_message: Some(error.name().to_owned()),
                ..Default::default()
            },
        }
    }

    pub(crate) fn list_groups(&self, session: &Session, request: &ListGroupsRequest) -> ListGroupsResponse {
        let all = self.allows(session, Operation::Describe, Resource::Cluster);
        let mut groups = self.groups.listed();
        let asked = |filter: &[String], value: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
        };
        groups.retain(|group| {
            asked(&request.states_filter, &group.group_state)
                && asked(&request.types_filter, &group.group_type)
                && (all || self.allows(session, Operation::Describe, Resource::Group(&group.group_id)))
        });
        ListGroupsResponse { groups, ..Default::default() }
    }

    pub(crate) fn describe_groups(
        self: &Arc<Self>,
        session: &Session,
        version: i16,
        request: DescribeGroupsRequest,
    ) -> DescribeGroupsResponse {
        let describe = |name: String| {
            if !self.allows(session, Operation::Describe, Resource::Group(&name)) {
                let error_code = ErrorCode::GROUP_AUTHORIZATION_FAILED.0;
                return DescribedGroup { error_code, group_id: name, ..Default::default() };
            }
            let mut group = self.groups.described(version, name);
            if request.include_authorized_operations {
                group.authorized_operations = bits(GROUP_OPERATIONS, |operation| {
                    self.allows(session, operation, Resource::Group(&group.group_id))
                });
            }
            group
        };
        DescribeGroupsResponse { groups: request.groups.into_iter().map(describe).collect(), ..Default::default() }
    }

    pub(crate) fn delete_groups(self: &Arc<Self>, session: &Session, request: DeleteGroupsRequest, respond: Responder) {
        let names = request.groups_names;
        if names.is_empty() {
            return respond(DeleteGroupsResponse::default().into());
        }
        let deletion =
            Arc::new(Mutex::new(Deletion { results: Vec::new(), count: names.len(), respond: Some(respond) }));
        for name in names {
            let deletion = Arc::clone(&deletion);
            if !self.allows(session, Operation::Delete, Resource::Group(&name)) {
                Deletion::note(&deletion, name, Err(ErrorCode::GROUP_AUTHORIZATION_FAILED));
            } else if name.is_empty() {
                Deletion::note(&deletion, name, Err(ErrorCode::INVALID_GROUP_ID));
            } else {
                self.groups.delete(&name.clone(), move |outcome| Deletion::note(&deletion, name, outcome));
            }
        }
    }
}

/// Groups that are deleted together, and answered when all of them are through.
struct Deletion {
    results: Vec<DeletableGroupResult>,
    count: usize,
    respond: Option<Responder>,
}

impl Deletion {
    fn note(deletion: &Mutex<Deletion>, group_id: String, outcome: Result<(), ErrorCode>) {
        let mut deletion = deletion.lock();
        let error_code = outcome.err().unwrap_or(ErrorCode::NONE).0;
        deletion.results.push(DeletableGroupResult { group_id, error_code, ..Default::default() });
        if deletion.results.len() < deletion.count {
            return;
        }
        let results = std::mem::take(&mut deletion.results);
        let respond = deletion.respond.take();
        drop(deletion);
        if let Some(respond) = respond {
            respond(Response::from(DeleteGroupsResponse { results, ..Default::default() }));
        }
    }
}

impl Groups {
    fn listed(&self) -> Vec<ListedGroup> {
        let list = |group: Arc<super::group::Group>| {
            let state = group.state.lock();
            let protocol_type = match &state.protocol {
                Protocol::Classic(group) => group.protocol_type.clone().unwrap_or_default(),
                Protocol::Consumer(_) => "consumer".to_owned(),
            };
            (!state.dead).then(|| ListedGroup {
                group_id: group.name.clone(),
                protocol_type,
                group_state: state.state_name().to_owned(),
                group_type: state.group_type().name().to_owned(),
            })
        };
        self.all().into_iter().filter_map(list).collect()
    }

    /// A group that does not exist is dead; since version 6 that is an error, too.
    fn described(self: &Arc<Self>, version: i16, name: String) -> DescribedGroup {
        let described = self.step_now(&name, |state, _| state.classic().map(|group| describe(group)));
        match described.ok().flatten() {
            Some(group) => DescribedGroup { group_id: name, ..group },
            None if version < 6 => {
                DescribedGroup { group_id: name, group_state: "Dead".to_owned(), ..Default::default() }
            }
            None => DescribedGroup {
                error_code: ErrorCode::GROUP_ID_NOT_FOUND.0,
                error_message: Some(format!("Group {name} is not a classic group.")),
                group_id: name,
                group_state: "Dead".to_owned(),
                ..Default::default()
            },
        }
    }

    /// Deletes a group without members, and all its offsets.
    fn delete(self: &Arc<Self>, name: &str, done: impl FnOnce(Result<(), ErrorCode>) + Send + 'static) {
        let groups = Arc::clone(self);
        let delete = move |state: &mut GroupState, step: &mut Step<'_>| {
            if !state.has_no_members() || !state.waiting.is_empty() {
                return Err(ErrorCode::NON_EMPTY_GROUP);
            }
            let partitions: Vec<_> = state.offsets.partitions().cloned().collect();
            partitions.iter().for_each(|at| state.offsets.remove(step, at));
            groups.bury(state, step);
            Ok(())
        };
        self.step(name, false, delete, |outcome| done(outcome.and_then(|outcome| outcome)));
    }
}

/// Metadata and assignments are told only where they are settled.
fn describe(group: &ClassicGroup) -> DescribedGroup {
    let stable = group.state == State::Stable;
    let member = |member: &Member| DescribedGroupMember {
        member_id: member.id.clone(),
        group_instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        member_metadata: if stable { group.metadata(member) } else { bytes::Bytes::new() },
        member_assignment: if stable { member.assignment.clone() } else { bytes::Bytes::new() },
    };
    DescribedGroup {
        group_state: group.state.name().to_owned(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        protocol_data: group.protocol.clone().filter(|_| stable).unwrap_or_default(),
        members: group.members.values().map(member).collect(),
        ..Default::default()
    }
}
