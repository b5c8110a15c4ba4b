//! OffsetCommit and OffsetDelete.

use std::sync::Arc;

use fleuve_wire::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestTopic};
use fleuve_wire::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use fleuve_wire::messages::offset_delete_request::OffsetDeleteRequest;
use fleuve_wire::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use fleuve_wire::{ErrorCode, Uuid};

use super::Groups;
use super::group::{Committer, GroupState, Protocol};
use super::offsets::Offset;
use super::record::TopicPartition;
use super::step::Step;
use crate::broker::{Broker, Responder};
use crate::security::{Operation, Resource};
use crate::session::Session;
use crate::topics::TopicKey;

/// The first version in which members of consumer groups commit.
const MEMBER_EPOCH_VERSION: i16 = 9;
/// The first version that names topics by id.
const TOPIC_ID_VERSION: i16 = 10;

/// What a client says of an offset.
pub(super) struct NewOffset {
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Option<String>,
}

/// A partition of a commit: with its offset, or why it cannot have one.
struct Asked {
    at: TopicPartition,
    offset: Result<NewOffset, ErrorCode>,
}

impl Broker {
    pub(crate) fn offset_commit(
        self: &Arc<Self>,
        session: &Session,
        version: i16,
        request: OffsetCommitRequest,
        respond: Responder,
    ) {
        let mut response = OffsetCommitResponse { topics: echo(&request.topics), ..Default::default() };
        if let Err(error) = self.may_read_group(session, &request.group_id) {
            fill(&mut response, std::iter::repeat(error));
            return respond(response.into());
        }
        let asked: Vec<Asked> =
            request.topics.into_iter().flat_map(|topic| self.asked(session, version, topic)).collect();
        let generation = request.generation_id_or_member_epoch;
        let who = Committer { member_id: request.member_id, instance_id: request.group_instance_id, generation };
        let groups = Arc::clone(&self.groups);
        let commit = |state: &mut GroupState, step: &mut Step<'_>| groups.commit(state, step, version, &who, asked);
        self.groups.step(&request.group_id, generation < 0, commit, move |codes| {
            match codes {
                Ok(codes) => fill(&mut response, codes.into_iter()),
                Err(error) => fill(&mut response, std::iter::repeat(missing_group(version, error))),
            }
            respond(response.into());
        });
    }

    /// The offset from which a group reads on in a partition, if it has committed one: for who is in the process.
    pub fn committed_offset(&self, group: &str, topic: &str, partition: u32) -> Option<u64> {
        let at = TopicPartition::new(topic.to_owned(), i32::try_from(partition).ok()?);
        let of = |state: &mut GroupState, _: &mut Step<'_>| state.offsets.get(&at).map(|offset| offset.offset);
        u64::try_from(self.groups.step_now(group, of).ok()??).ok()
    }

    /// Commits offsets of (topic, partition) for a group that has no members: for who is in the process. That it cannot
    /// be done is logged.
    pub fn commit_offsets(&self, group: &str, offsets: Vec<(String, u32, u64)>) {
        let asked = offsets.into_iter().map(|(topic, partition, offset)| Asked {
            at: TopicPartition::new(topic, i32::try_from(partition).unwrap_or(-1)),
            offset: Ok(NewOffset {
                offset: i64::try_from(offset).unwrap_or(i64::MAX),
                leader_epoch: -1,
                metadata: None,
            }),
        });
        let (asked, groups) = (asked.collect(), Arc::clone(&self.groups));
        let who = Committer { member_id: String::new(), instance_id: None, generation: -1 };
        let commit =
            |state: &mut GroupState, step: &mut Step<'_>| groups.commit(state, step, TOPIC_ID_VERSION, &who, asked);
        let name = group.to_owned();
        self.groups.step(group, true, commit, move |codes| {
            let refused = match codes {
                Ok(codes) => codes.into_iter().find(|code| *code != ErrorCode::NONE),
                Err(error) => Some(error),
            };
            if let Some(error) = refused {
                tracing::warn!(group = name, ?error, "how far a pipeline is cannot be committed");
            }
        });
    }

    /// Whether the group may be read with, and has a name.
    pub(super) fn may_read_group(&self, session: &Session, group: &str) -> Result<(), ErrorCode> {
        if !self.allows(session, Operation::Read, Resource::Group(group)) {
            return Err(ErrorCode::GROUP_AUTHORIZATION_FAILED);
        }
        if group.is_empty() { Err(ErrorCode::INVALID_GROUP_ID) } else { Ok(()) }
    }

    fn asked(&self, session: &Session, version: i16, topic: OffsetCommitRequestTopic) -> Vec<Asked> {
        let found = self.named(session, version >= TOPIC_ID_VERSION, &topic.name, topic.topic_id);
        let (name, error) = match found {
            Ok(name) if self.allows(session, Operation::Read, Resource::Topic(&name)) => (name, None),
            Ok(name) => (name, Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED)),
            Err(error) => (topic.name, Some(error)),
        };
        let each = |partition: fleuve_wire::messages::offset_commit_request::OffsetCommitRequestPartition| Asked {
            at: TopicPartition::new(name.clone(), partition.partition_index),
            offset: error.map_or(Ok(()), Err).map(|()| NewOffset {
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata,
            }),
        };
        topic.partitions.into_iter().map(each).collect()
    }

    /// The name of the topic that a request means. One that is only named need not exist, for that is found out later;
    /// one that the session may not see is told apart by id only if it may.
    pub(super) fn named(&self, session: &Session, by_id: bool, name: &str, id: Uuid) -> Result<String, ErrorCode> {
        if !by_id {
            return Ok(name.to_owned());
        }
        let topic = self.topic(TopicKey::Id(id))?;
        let visible = self.allows(session, Operation::Describe, Resource::Topic(topic.name()))
            || self.allows(session, Operation::Read, Resource::Topic(topic.name()));
        if visible { Ok(topic.name().to_owned()) } else { Err(ErrorCode::UNKNOWN_TOPIC_ID) }
    }

    pub(crate) fn offset_delete(self: &Arc<Self>, session: &Session, request: OffsetDeleteRequest, respond: Responder) {
        if !self.allows(session, Operation::Delete, Resource::Group(&request.group_id)) {
            let error_code = ErrorCode::GROUP_AUTHORIZATION_FAILED.0;
            return respond(OffsetDeleteResponse { error_code, ..Default::default() }.into());
        }
        let asked = request.topics.into_iter().map(|topic| {
            let allowed = self.allows(session, Operation::Read, Resource::Topic(&topic.name));
            (topic.name, allowed, topic.partitions.into_iter().map(|p| p.partition_index).collect())
        });
        let asked: Vec<(String, bool, Vec<i32>)> = asked.collect();
        let groups = Arc::clone(&self.groups);
        let delete = |state: &mut GroupState, step: &mut Step<'_>| groups.delete_offsets(state, step, asked);
        self.groups.step(&request.group_id, false, delete, |deleted| {
            let response = match deleted.and_then(|deleted| deleted) {
                Ok(topics) => OffsetDeleteResponse { topics, ..Default::default() },
                Err(error) => OffsetDeleteResponse { error_code: error.0, ..Default::default() },
            };
            respond(response.into());
        });
    }
}

/// In version 9 it became possible to say that there is no such group.
fn missing_group(version: i16, error: ErrorCode) -> ErrorCode {
    let missing = error == ErrorCode::GROUP_ID_NOT_FOUND && version < MEMBER_EPOCH_VERSION;
    if missing { ErrorCode::ILLEGAL_GENERATION } else { error }
}

/// The response to these topics, without its codes.
fn echo(topics: &[OffsetCommitRequestTopic]) -> Vec<OffsetCommitResponseTopic> {
    let partition = |partition_index| OffsetCommitResponsePartition { partition_index, ..Default::default() };
    let topic = |topic: &OffsetCommitRequestTopic| OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(|asked| partition(asked.partition_index)).collect(),
    };
    topics.iter().map(topic).collect()
}

/// Puts in the codes, in order.
fn fill(response: &mut OffsetCommitResponse, codes: impl Iterator<Item = ErrorCode>) {
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    partitions.zip(codes).for_each(|(partition, code)| partition.error_code = code.0);
}

impl Groups {
    fn commit(
        &self,
        state: &mut GroupState,
        step: &mut Step<'_>,
        version: i16,
        who: &Committer,
        asked: Vec<Asked>,
    ) -> Vec<ErrorCode> {
        let too_old = version < MEMBER_EPOCH_VERSION && who.generation >= 0 && state.consumer().is_some();
        let checked = if too_old { Err(ErrorCode::UNSUPPORTED_VERSION) } else { state.check_commit(step, who, false) };
        if let Err(error) = checked {
            return vec![error; asked.len()];
        }
        let mut commit = |Asked { at, offset }: Asked| {
            let offset = self.checked(step, &at, offset?)?;
            state.offsets.commit(step, at, offset);
            Ok(())
        };
        let code = |outcome: Result<(), ErrorCode>| outcome.err().unwrap_or(ErrorCode::NONE);
        asked.into_iter().map(|asked| code(commit(asked))).collect()
    }

    /// The offset as it is kept, if its partition exists and it is not too much.
    pub(super) fn checked(&self, step: &Step<'_>, at: &TopicPartition, new: NewOffset) -> Result<Offset, ErrorCode> {
        let (topic_id, partitions) = self.topic(&at.topic).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        if !u32::try_from(at.partition).is_ok_and(|partition| partition < partitions) {
            return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        }
        let metadata = new.metadata.unwrap_or_default();
        if metadata.len() > step.config.offset_metadata_bytes_max {
            return Err(ErrorCode::OFFSET_METADATA_TOO_LARGE);
        }
        let (offset, leader_epoch, committed_ms) = (new.offset, new.leader_epoch, step.now_ms);
        Ok(Offset { offset, leader_epoch, metadata, committed_ms, topic_id })
    }

    fn delete_offsets(
        &self,
        state: &mut GroupState,
        step: &mut Step<'_>,
        asked: Vec<(String, bool, Vec<i32>)>,
    ) -> Result<Vec<OffsetDeleteResponseTopic>, ErrorCode> {
        let is_consumers = match &state.protocol {
            Protocol::Classic(group) => group.protocol_type.as_deref() == Some("consumer"),
            Protocol::Consumer(_) => true,
        };
        if !is_consumers && !state.has_no_members() {
            return Err(ErrorCode::NON_EMPTY_GROUP);
        }
        let mut topics = Vec::new();
        for (name, allowed, partitions) in asked {
            let error = match () {
                () if !allowed => ErrorCode::TOPIC_AUTHORIZATION_FAILED,
                () if self.topic(&name).is_none() => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                () if state.subscribes(&name) => ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
                () => ErrorCode::NONE,
            };
            if error == ErrorCode::NONE {
                let at = |&partition: &i32| TopicPartition::new(name.clone(), partition);
                partitions.iter().map(at).for_each(|at| state.offsets.remove(step, &at));
            }
            let answer = |partition_index| OffsetDeleteResponsePartition { partition_index, error_code: error.0 };
            let partitions = partitions.into_iter().map(answer).collect();
            topics.push(OffsetDeleteResponseTopic { name, partitions });
        }
        Ok(topics)
    }
}
