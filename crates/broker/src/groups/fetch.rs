//! OffsetFetch: how far groups have come.

use std::sync::Arc;

use fleuve_wire::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use fleuve_wire::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use fleuve_wire::{ErrorCode, Response, Uuid};
use parking_lot::Mutex;

use super::group::{GroupState, Protocol};
use super::offsets::Offsets;
use super::record::TopicPartition;
use super::step::Step;
use crate::broker::{Broker, Responder};
use crate::security::{Operation, Resource};
use crate::session::Session;

/// The first version that asks about several groups.
const GROUPS_VERSION: i16 = 8;
/// The first version that names topics by id.
const TOPIC_ID_VERSION: i16 = 10;

/// What is asked about one topic.
struct Asked {
    name: String,
    id: Uuid,
    partitions: Vec<i32>,
    /// Why it is not answered.
    error: Option<ErrorCode>,
}

impl Broker {
    pub(crate) fn offset_fetch(
        self: &Arc<Self>,
        session: &Session,
        version: i16,
        request: OffsetFetchRequest,
        respond: Responder,
    ) {
        let stable = request.require_stable;
        if version >= GROUPS_VERSION {
            let gathering = Gathering::begin(request.groups.len(), respond);
            for (index, group) in request.groups.into_iter().enumerate() {
                let gathering = Arc::clone(&gathering);
                let done = move |answer| Gathering::put(&gathering, index, answer);
                self.fetch_group(session, version, group, stable, done);
            }
            return;
        }
        let topics = request.topics.map(|topics| {
            let topic = |topic: fleuve_wire::messages::offset_fetch_request::OffsetFetchRequestTopic| {
                let (name, partition_indexes) = (topic.name, topic.partition_indexes);
                OffsetFetchRequestTopics { name, partition_indexes, ..Default::default() }
            };
            topics.into_iter().map(topic).collect()
        });
        let group = OffsetFetchRequestGroup { group_id: request.group_id, topics, ..Default::default() };
        self.fetch_group(session, version, group, stable, |answer| respond(single(answer).into()));
    }

    fn fetch_group(
        self: &Arc<Self>,
        session: &Session,
        version: i16,
        group: OffsetFetchRequestGroup,
        stable: bool,
        done: impl FnOnce(OffsetFetchResponseGroup) + Send + 'static,
    ) {
        let OffsetFetchRequestGroup { group_id, topics, member_id, member_epoch } = group;
        let topics = topics.map(Arc::new);
        let echo = Arc::clone(topics.as_ref().unwrap_or(&Arc::default()));
        if let Err(error) = self.may_describe_group(session, &group_id) {
            return done(refused(group_id, error, &echo));
        }
        let asked = topics.map(|topics| Arc::new(self.asked_topics(session, version, &topics)));
        let known = asked.clone();
        let fetch = |state: &mut GroupState, _: &mut Step<'_>| {
            check_member(state, member_id.as_deref(), member_epoch)?;
            let asked = asked.unwrap_or_else(|| Arc::new(self.committed_topics(session, &state.offsets)));
            Ok(asked.iter().map(|topic| answer(&state.offsets, topic, stable)).collect())
        };
        let name = group_id.clone();
        self.groups.step(&name, false, fetch, move |fetched| {
            done(match fetched {
                Ok(Ok(topics)) => OffsetFetchResponseGroup { group_id, topics, error_code: ErrorCode::NONE.0 },
                Err(ErrorCode::GROUP_ID_NOT_FOUND) => nothing_known(group_id, &known.unwrap_or_default()),
                Ok(Err(error)) | Err(error) => refused(group_id, error, &echo),
            });
        });
    }

    /// Whether the group may be looked at, and has a name.
    fn may_describe_group(&self, session: &Session, group: &str) -> Result<(), ErrorCode> {
        if !self.allows(session, Operation::Describe, Resource::Group(group)) {
            return Err(ErrorCode::GROUP_AUTHORIZATION_FAILED);
        }
        if group.is_empty() { Err(ErrorCode::INVALID_GROUP_ID) } else { Ok(()) }
    }

    /// The asked topics with their names.
    fn asked_topics(&self, session: &Session, version: i16, topics: &[OffsetFetchRequestTopics]) -> Vec<Asked> {
        let asked = |topic: &OffsetFetchRequestTopics| {
            let named = self.named(session, version >= TOPIC_ID_VERSION, &topic.name, topic.topic_id);
            let (name, error) = match named {
                Ok(name) if self.allows(session, Operation::Describe, Resource::Topic(&name)) => (name, None),
                Ok(name) => (name, Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED)),
                Err(error) => (topic.name.clone(), Some(error)),
            };
            Asked { name, id: topic.topic_id, partitions: topic.partition_indexes.clone(), error }
        };
        topics.iter().map(asked).collect()
    }

    /// All topics in which the group has offsets, and that the session may see.
    fn committed_topics(&self, session: &Session, offsets: &Offsets) -> Vec<Asked> {
        let mut topics: Vec<Asked> = Vec::new();
        for (at, offset) in offsets.committed() {
            match topics.last_mut().filter(|last| last.name == at.topic) {
                Some(last) => last.partitions.push(at.partition),
                None => {
                    let (name, id) = (at.topic.clone(), Uuid::from_u128(offset.topic_id));
                    topics.push(Asked { name, id, partitions: vec![at.partition], error: None });
                }
            }
        }
        topics.retain(|topic| self.allows(session, Operation::Describe, Resource::Topic(&topic.name)));
        topics
    }
}

/// A member of a consumer group that names itself must be at its epoch.
fn check_member(state: &GroupState, member_id: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
    match (&state.protocol, member_id) {
        (Protocol::Consumer(group), Some(member_id)) if epoch >= 0 => group.check_fetch(member_id, epoch),
        _ => Ok(()),
    }
}

fn answer(offsets: &Offsets, topic: &Asked, stable: bool) -> OffsetFetchResponseTopics {
    let partition = |&partition_index: &i32| {
        let at = TopicPartition::new(topic.name.clone(), partition_index);
        if let Some(error) = topic.error {
            return nothing(partition_index, error);
        }
        if stable && offsets.is_unstable(&at) {
            return nothing(partition_index, ErrorCode::UNSTABLE_OFFSET_COMMIT);
        }
        let Some(offset) = offsets.get(&at) else { return nothing(partition_index, ErrorCode::NONE) };
        OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: offset.offset,
            committed_leader_epoch: offset.leader_epoch,
            metadata: Some(offset.metadata.clone()),
            error_code: ErrorCode::NONE.0,
        }
    };
    let partitions = topic.partitions.iter().map(partition).collect();
    OffsetFetchResponseTopics { name: topic.name.clone(), topic_id: topic.id, partitions }
}

/// A partition without an offset.
fn nothing(partition_index: i32, error: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(String::new()),
        error_code: error.0,
    }
}

fn nothing_known(group_id: String, asked: &[Asked]) -> OffsetFetchResponseGroup {
    let offsets = Offsets::default();
    let topics = asked.iter().map(|topic| answer(&offsets, topic, false)).collect();
    OffsetFetchResponseGroup { group_id, topics, error_code: ErrorCode::NONE.0 }
}

/// The error stands at the group, and where versions cannot tell it there, at the partitions.
fn refused(group_id: String, error: ErrorCode, topics: &[OffsetFetchRequestTopics]) -> OffsetFetchResponseGroup {
    let topic = |topic: &OffsetFetchRequestTopics| OffsetFetchResponseTopics {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partition_indexes.iter().map(|&index| nothing(index, error)).collect(),
    };
    OffsetFetchResponseGroup { group_id, topics: topics.iter().map(topic).collect(), error_code: error.0 }
}

/// The answer in versions that ask about one group.
fn single(group: OffsetFetchResponseGroup) -> OffsetFetchResponse {
    let partition = |partition: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    };
    let topic = |topic: OffsetFetchResponseTopics| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    let topics = group.topics.into_iter().map(topic).collect();
    OffsetFetchResponse { topics, error_code: group.error_code, ..Default::default() }
}

/// Answers of several groups that come in one by one.
struct Gathering {
    answers: Vec<Option<OffsetFetchResponseGroup>>,
    respond: Option<Responder>,
}

impl Gathering {
    fn begin(count: usize, respond: Responder) -> Arc<Mutex<Gathering>> {
        if count == 0 {
            respond(Response::from(OffsetFetchResponse::default()));
            return Arc::new(Mutex::new(Gathering { answers: Vec::new(), respond: None }));
        }
        Arc::new(Mutex::new(Gathering { answers: vec![None; count], respond: Some(respond) }))
    }

    fn put(gathering: &Mutex<Gathering>, index: usize, answer: OffsetFetchResponseGroup) {
        let mut gathering = gathering.lock();
        gathering.answers[index] = Some(answer);
        if gathering.answers.iter().any(Option::is_none) {
            return;
        }
        let groups = gathering.answers.drain(..).flatten().collect();
        let respond = gathering.respond.take();
        drop(gathering);
        if let Some(respond) = respond {
            respond(OffsetFetchResponse { groups, ..Default::default() }.into());
        }
    }
}
