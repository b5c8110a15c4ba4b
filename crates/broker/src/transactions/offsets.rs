//! TxnOffsetCommit: how far a group has come, as a part of a transaction.

use std::sync::Arc;

use fleuve_wire::messages::txn_offset_commit_request::{TxnOffsetCommitRequest, TxnOffsetCommitRequestTopic};
use fleuve_wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use fleuve_wire::{ErrorCode, Uuid};
use parking_lot::Mutex;

use super::coordinator::Writer;
use super::transaction::{Participant, Producer};
use crate::broker::{Broker, Responder};
use crate::groups::{StagedOffset, Staging};
use crate::security::{Operation, Resource};
use crate::session::Session;
use crate::topics::{self, TopicKey};

/// From this version on clients know `TRANSACTION_ABORTABLE`.
const ABORTABLE_FROM_VERSION: i16 = 4;

/// From this version on committing offsets is enough to add the group to the transaction (KIP-890).
const ADDS_FROM_VERSION: i16 = 5;

/// From this version on a topic is named by its id.
const TOPIC_IDS_FROM_VERSION: i16 = 6;

impl Broker {
    /// Answered when the offsets are durable. They are the group's when the transaction commits.
    pub(crate) fn txn_offset_commit(
        &self,
        session: &Session,
        version: i16,
        request: TxnOffsetCommitRequest,
        respond: Responder,
    ) {
        let mut answer = Answer { response: echo(&request.topics), places: vec![] };
        let group = &request.group_id;
        let allowed = self.check_transactional_id(session, &request.transactional_id).and_then(|()| match () {
            () if !self.allows(session, Operation::Read, Resource::Group(group)) => {
                Err(ErrorCode::GROUP_AUTHORIZATION_FAILED)
            }
            () if group.is_empty() => Err(ErrorCode::INVALID_GROUP_ID),
            () => Ok(()),
        });
        if let Err(code) = allowed {
            answer.fill_all(code);
            return respond(answer.response.into());
        }
        let topics = request.topics.into_iter().enumerate();
        let offsets: Vec<_> =
            topics.flat_map(|(at, topic)| self.stageable(session, version, at, topic, &mut answer)).collect();
        if offsets.is_empty() {
            return respond(answer.response.into());
        }
        let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
        let staging = Staging {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            group: request.group_id,
            member_id: request.member_id,
            instance_id: request.group_instance_id,
            generation: request.generation_id_or_member_epoch,
            offsets,
        };
        let transactional_id = &request.transactional_id;
        let writer = Writer { transactional_id, producer, adds: version >= ADDS_FROM_VERSION };
        self.stage(writer, version, staging, move |codes| {
            answer.fill(codes);
            respond(answer.response.into());
        });
    }

    /// Has the groups hold the offsets ready, if the transaction is open; `done` is never called from under its lock.
    fn stage(&self, writer: Writer<'_>, version: i16, staging: Staging, done: impl FnOnce(Staged) + Send + 'static) {
        let gate = Arc::new(Gate(Mutex::new(Open::Held(None))));
        let inner = Arc::clone(&gate);
        let group = Participant::Group(staging.group.clone());
        let stage = || self.groups.stage_offsets(staging, move |codes| inner.arrive(Staged::Each(codes)));
        match self.transactions.write(writer, group, stage) {
            Ok(()) => gate.release(Box::new(done)),
            Err(code) => done(Staged::Refused(known_code(code, version))),
        }
    }

    /// The offsets of a topic that can be held ready; the others are refused in the answer.
    fn stageable(
        &self,
        session: &Session,
        version: i16,
        at: usize,
        topic: TxnOffsetCommitRequestTopic,
        answer: &mut Answer,
    ) -> Vec<StagedOffset> {
        let found = self.named_topic(session, version, &topic.name, topic.topic_id);
        let mut offsets = Vec::new();
        for (index, partition) in topic.partitions.into_iter().enumerate() {
            let stageable = found.as_ref().map_err(|code| *code).and_then(|topic| {
                topics::partition(topic, partition.partition_index)?;
                Ok(StagedOffset {
                    topic: topic.name().to_owned(),
                    partition: partition.partition_index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.committed_metadata,
                })
            });
            match stageable {
                Ok(offset) => {
                    answer.places.push((at, index));
                    offsets.push(offset);
                }
                Err(code) => answer.set((at, index), code),
            }
        }
        offsets
    }

    fn named_topic(
        &self,
        session: &Session,
        version: i16,
        name: &str,
        id: Uuid,
    ) -> Result<Arc<fleuve_journal::Topic>, ErrorCode> {
        let may_read = |name| match self.allows(session, Operation::Read, Resource::Topic(name)) {
            true => Ok(()),
            false => Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
        };
        if version < TOPIC_IDS_FROM_VERSION {
            may_read(name)?;
            return self.topic(TopicKey::Name(name));
        }
        let topic = self.topic(TopicKey::Id(id))?;
        may_read(topic.name()).map(|()| topic)
    }
}

/// What has come of staging.
enum Staged {
    /// A code for each offset.
    Each(Vec<ErrorCode>),
    /// Nothing was tried.
    Refused(ErrorCode),
}

/// Keeps a result back until the lock is released under which it may have come.
struct Gate(Mutex<Open>);

enum Open {
    Held(Option<Staged>),
    Free(Box<dyn FnOnce(Staged) + Send>),
}

impl Gate {
    fn arrive(&self, staged: Staged) {
        let mut open = self.0.lock();
        match std::mem::replace(&mut *open, Open::Held(None)) {
            Open::Held(_) => *open = Open::Held(Some(staged)),
            Open::Free(done) => {
                drop(open);
                done(staged);
            }
        }
    }

    fn release(&self, done: Box<dyn FnOnce(Staged) + Send>) {
        let mut open = self.0.lock();
        match std::mem::replace(&mut *open, Open::Held(None)) {
            Open::Held(Some(staged)) => {
                drop(open);
                done(staged);
            }
            _ => *open = Open::Free(done),
        }
    }
}

/// The response, and where in it the codes of the staged offsets go.
struct Answer {
    response: TxnOffsetCommitResponse,
    places: Vec<(usize, usize)>,
}

impl Answer {
    fn set(&mut self, (topic, partition): (usize, usize), code: ErrorCode) {
        self.response.topics[topic].partitions[partition].error_code = code.0;
    }

    fn fill(&mut self, staged: Staged) {
        let places = std::mem::take(&mut self.places);
        let codes = match staged {
            Staged::Each(codes) => codes,
            Staged::Refused(code) => vec![code; places.len()],
        };
        places.into_iter().zip(codes).for_each(|(place, code)| self.set(place, code));
    }

    fn fill_all(&mut self, code: ErrorCode) {
        let partitions = self.response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions.for_each(|partition| partition.error_code = code.0);
    }
}

fn echo(topics: &[TxnOffsetCommitRequestTopic]) -> TxnOffsetCommitResponse {
    let topic = |topic: &TxnOffsetCommitRequestTopic| TxnOffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| TxnOffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                ..Default::default()
            })
            .collect(),
    };
    TxnOffsetCommitResponse { topics: topics.iter().map(topic).collect(), ..Default::default() }
}

/// The code in words that clients of this version know.
fn known_code(code: ErrorCode, version: i16) -> ErrorCode {
    match code {
        ErrorCode::PRODUCER_FENCED => ErrorCode::INVALID_PRODUCER_EPOCH,
        ErrorCode::INVALID_TXN_STATE if version >= ABORTABLE_FROM_VERSION => ErrorCode::TRANSACTION_ABORTABLE,
        code => code,
    }
}
