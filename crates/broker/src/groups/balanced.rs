//! ConsumerGroupHeartbeat and ConsumerGroupDescribe (KIP-848).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fleuve_wire::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use fleuve_wire::messages::consumer_group_describe_response as described;
use fleuve_wire::messages::consumer_group_heartbeat_request::{
    ConsumerGroupHeartbeatRequest, TopicPartitions as OwnedPartitions,
};
use fleuve_wire::messages::consumer_group_heartbeat_response as answered;
use fleuve_wire::{ErrorCode, Uuid};

use super::Groups;
use super::admin::{GROUP_OPERATIONS, bits};
use super::config::NAME_BYTES_MAX;
use super::consumer::{Assignment, Assignor, Beat, ConsumerGroup, Heartbeat, Member, Topics, compile};
use super::group::GroupState;
use super::step::Step;
use crate::broker::{Broker, Responder};
use crate::failure::{Failure, Outcome};
use crate::security::{Operation, Resource};
use crate::session::Session;

/// Topics that one member may name.
const TOPICS_MAX: usize = 10_000;

impl Broker {
    pub(crate) fn consumer_group_heartbeat(
        self: &Arc<Self>,
        session: &Session,
        version: i16,
        client_id: Option<&str>,
        request: ConsumerGroupHeartbeatRequest,
        respond: Responder,
    ) {
        let group = request.group_id.clone();
        let interval = self.groups.config().consumer_heartbeat_interval;
        let (told_id, told_epoch) = (request.member_id.clone(), request.member_epoch);
        let refuse = move |failure: Failure| refused(failure, told_id, told_epoch);
        let said = match self.check_heartbeat(session, version, &request) {
            Ok(()) => heartbeat(session, client_id, request),
            Err(failure) => return respond(refuse(failure).into()),
        };
        let topics = VisibleTopics { broker: self, session };
        let joins = said.epoch == 0;
        let beat = |state: &mut GroupState, step: &mut Step<'_>| {
            let group =
                if joins { state.as_consumer(step)? } else { state.consumer().ok_or(ErrorCode::GROUP_ID_NOT_FOUND)? };
            group.heartbeat(step, &topics, &said)
        };
        self.groups.step(&group, joins, beat, move |outcome| {
            let response = match outcome.and_then(|outcome| outcome) {
                Ok(beat) => told(beat, interval),
                Err(error) => refuse(explained(error)),
            };
            respond(response.into());
        });
    }

    fn check_heartbeat(&self, session: &Session, version: i16, request: &ConsumerGroupHeartbeatRequest) -> Outcome<()> {
        self.may_read_group(session, &request.group_id)?;
        check_names(version, request)?;
        match request.member_epoch {
            0 => check_joining(request)?,
            -2 if request.instance_id.is_none() => return Err(invalid("InstanceId can't be null.")),
            ..-2 => return Err(invalid("MemberEpoch is invalid.")),
            _ => {}
        }
        if request.server_assignor.as_deref().is_some_and(|name| Assignor::find(name).is_none()) {
            return Err(Failure::new(ErrorCode::UNSUPPORTED_ASSIGNOR, "The assignors are uniform and range."));
        }
        let regex = request.subscribed_topic_regex.as_deref().filter(|regex| !regex.is_empty());
        if regex.is_some_and(|regex| compile(regex).is_none()) {
            let message = "SubscribedTopicRegex is not a valid regular expression.";
            return Err(Failure::new(ErrorCode::INVALID_REGULAR_EXPRESSION, message));
        }
        let may_see = |name: &String| self.allows(session, Operation::Describe, Resource::Topic(name));
        if !request.subscribed_topic_names.iter().flatten().all(may_see) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED.into());
        }
        Ok(())
    }

    pub(crate) fn consumer_group_describe(
        self: &Arc<Self>,
        session: &Session,
        request: ConsumerGroupDescribeRequest,
    ) -> described::ConsumerGroupDescribeResponse {
        let describe = |group_id: String| {
            let described = self.describe_consumer_group(session, &group_id);
            let mut group = described.unwrap_or_else(|failure| described::DescribedGroup {
                error_code: failure.code.0,
                error_message: failure.message,
                ..Default::default()
            });
            if request.include_authorized_operations && group.error_code == ErrorCode::NONE.0 {
                group.authorized_operations =
                    bits(GROUP_OPERATIONS, |operation| self.allows(session, operation, Resource::Group(&group_id)));
            }
            described::DescribedGroup { group_id, ..group }
        };
        let groups = request.group_ids.into_iter().map(describe).collect();
        described::ConsumerGroupDescribeResponse { groups, ..Default::default() }
    }

    fn describe_consumer_group(self: &Arc<Self>, session: &Session, name: &str) -> Outcome<described::DescribedGroup> {
        if !self.allows(session, Operation::Describe, Resource::Group(name)) {
            return Err(ErrorCode::GROUP_AUTHORIZATION_FAILED.into());
        }
        let missing = || Failure::new(ErrorCode::GROUP_ID_NOT_FOUND, format!("Group {name} is not a consumer group."));
        let described =
            self.groups.step_now(name, |state, _| state.consumer().map(|group| describe(&self.groups, group)));
        let group = described.ok().flatten().ok_or_else(missing)?;
        let mut topics = group.members.iter().flat_map(|member| &member.assignment.topic_partitions);
        if topics.all(|topic| self.allows(session, Operation::Describe, Resource::Topic(&topic.topic_name))) {
            Ok(group)
        } else {
            Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED.into())
        }
    }
}

fn invalid(message: &str) -> Failure {
    Failure::new(ErrorCode::INVALID_REQUEST, message)
}

fn check_names(version: i16, request: &ConsumerGroupHeartbeatRequest) -> Outcome<()> {
    // Before version 1 the broker chose the ids.
    let needs_id = version >= 1 || request.member_epoch != 0;
    let is_empty = |name: &Option<String>| name.as_ref().is_some_and(String::is_empty);
    if needs_id && request.member_id.is_empty() {
        return Err(invalid("MemberId can't be empty."));
    }
    if is_empty(&request.instance_id) {
        return Err(invalid("InstanceId can't be empty."));
    }
    if is_empty(&request.rack_id) {
        return Err(invalid("RackId can't be empty."));
    }
    let names = [Some(&request.member_id), request.instance_id.as_ref(), request.rack_id.as_ref()];
    let too_long = names.into_iter().flatten().any(|name| name.len() > NAME_BYTES_MAX);
    let too_many = request.subscribed_topic_names.as_ref().is_some_and(|names| names.len() > TOPICS_MAX);
    if too_long || too_many { Err(invalid("A name is too long, or there are too many.")) } else { Ok(()) }
}

fn check_joining(request: &ConsumerGroupHeartbeatRequest) -> Outcome<()> {
    if request.rebalance_timeout_ms < 0 {
        return Err(invalid("RebalanceTimeoutMs must be provided in first request."));
    }
    if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
        return Err(invalid("TopicPartitions must be empty when (re-)joining."));
    }
    if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
        return Err(invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."));
    }
    Ok(())
}

fn heartbeat(session: &Session, client_id: Option<&str>, request: ConsumerGroupHeartbeatRequest) -> Heartbeat {
    let owned = |topics: Vec<OwnedPartitions>| {
        let each = |topic: OwnedPartitions| {
            let id = topic.topic_id.to_u128();
            topic.partitions.into_iter().map(move |partition| (id, partition))
        };
        topics.into_iter().flat_map(each).collect()
    };
    Heartbeat {
        member_id: request.member_id,
        epoch: request.member_epoch,
        instance_id: request.instance_id,
        rack_id: request.rack_id,
        client_id: client_id.unwrap_or_default().to_owned(),
        client_host: format!("/{}", session.client_host),
        rebalance_timeout: u64::try_from(request.rebalance_timeout_ms).ok().map(Duration::from_millis),
        topics: request.subscribed_topic_names.map(|names| names.into_iter().collect()),
        regex: request.subscribed_topic_regex,
        assignor: request.server_assignor.as_deref().and_then(Assignor::find),
        owned: request.topic_partitions.map(owned),
    }
}

fn told(beat: Beat, interval: Duration) -> answered::ConsumerGroupHeartbeatResponse {
    let topic = |(topic, partitions): (u128, &std::collections::BTreeSet<i32>)| answered::TopicPartitions {
        topic_id: Uuid::from_u128(topic),
        partitions: partitions.iter().copied().collect(),
    };
    let assignment =
        |assigned: Assignment| answered::Assignment { topic_partitions: assigned.topics().map(topic).collect() };
    answered::ConsumerGroupHeartbeatResponse {
        member_id: Some(beat.member_id),
        member_epoch: beat.epoch,
        heartbeat_interval_ms: i32::try_from(interval.as_millis()).unwrap_or(i32::MAX),
        assignment: beat.assignment.map(assignment),
        ..Default::default()
    }
}

fn refused(failure: Failure, member_id: String, member_epoch: i32) -> answered::ConsumerGroupHeartbeatResponse {
    answered::ConsumerGroupHeartbeatResponse {
        error_code: failure.code.0,
        error_message: failure.message,
        member_id: Some(member_id),
        member_epoch,
        ..Default::default()
    }
}

/// What the codes mean here, for the client's log.
fn explained(error: ErrorCode) -> Failure {
    let message = match error {
        ErrorCode::GROUP_ID_NOT_FOUND => "There is no such consumer group, or its members speak the classic protocol.",
        ErrorCode::UNKNOWN_MEMBER_ID => "The member is not in the group. It must rejoin with epoch 0.",
        ErrorCode::FENCED_MEMBER_EPOCH => {
            "The member's epoch is not its epoch here. It must give up its partitions and rejoin."
        }
        ErrorCode::FENCED_INSTANCE_ID => "Another member has this instance id.",
        ErrorCode::UNRELEASED_INSTANCE_ID => "The member with this instance id is still there.",
        ErrorCode::GROUP_MAX_SIZE_REACHED => "The group is full.",
        _ => return error.into(),
    };
    Failure::new(error, message)
}

/// The topics that the session may see.
struct VisibleTopics<'a> {
    broker: &'a Arc<Broker>,
    session: &'a Session,
}

impl Topics for VisibleTopics<'_> {
    fn find(&self, name: &str) -> Option<(u128, u32)> {
        self.broker.groups.topic(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.broker.groups.topic_names();
        names.retain(|name| self.broker.allows(self.session, Operation::Describe, Resource::Topic(name)));
        names
    }

    fn version(&self) -> u64 {
        self.broker.groups.topics_version()
    }
}

fn describe(groups: &Groups, group: &ConsumerGroup) -> described::DescribedGroup {
    let mut names: BTreeMap<u128, String> = BTreeMap::new();
    names.extend(group.catalog.names().into_iter().map(|(id, name)| (id, name.to_owned())));
    let assignment = |partitions: &Assignment| {
        let topic = |(id, partitions): (u128, &std::collections::BTreeSet<i32>)| {
            let topic_name = names.get(&id).cloned().or_else(|| groups.topic_name(id))?;
            let partitions = partitions.iter().copied().collect();
            Some(described::TopicPartitions { topic_id: Uuid::from_u128(id), topic_name, partitions })
        };
        described::Assignment { topic_partitions: partitions.topics().filter_map(topic).collect() }
    };
    let member = |member: &Member| described::Member {
        member_id: member.id.clone(),
        instance_id: member.instance_id.clone(),
        rack_id: member.rack_id.clone(),
        member_epoch: member.epoch,
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        subscribed_topic_names: member.topics.iter().cloned().collect(),
        subscribed_topic_regex: member.regex.clone(),
        assignment: assignment(&member.assigned),
        target_assignment: assignment(&member.target),
        // It speaks the new protocol.
        member_type: 1,
    };
    described::DescribedGroup {
        group_state: group.state_name().to_owned(),
        group_epoch: group.epoch,
        assignment_epoch: group.target_epoch,
        assignor_name: group.assignor().name().to_owned(),
        members: group.members.values().map(member).collect(),
        ..Default::default()
    }
}
