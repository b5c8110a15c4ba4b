//! The requests of transactional producers: permissions, names, and the error codes that old versions know.

use fleuve_wire::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use fleuve_wire::messages::add_offsets_to_txn_response::AddOffsetsToTxnResponse;
use fleuve_wire::messages::add_partitions_to_txn_request::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use fleuve_wire::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResponse, AddPartitionsToTxnTopicResult,
};
use fleuve_wire::messages::end_txn_request::EndTxnRequest;
use fleuve_wire::messages::end_txn_response::EndTxnResponse;
use fleuve_wire::messages::init_producer_id_request::InitProducerIdRequest;
use fleuve_wire::messages::init_producer_id_response::InitProducerIdResponse;
use fleuve_wire::{ErrorCode, Response};

use super::transaction::{NO_EPOCH, NO_ID, Participant, Producer, TxnPartition};
use crate::broker::{Broker, Responder};
use crate::security::{Operation, Resource};
use crate::session::Session;
use crate::topics::{self, TopicKey};

/// From this version of EndTxn on each end bumps the epoch (KIP-890).
const END_BUMPS_FROM_VERSION: i16 = 5;

/// From this version of InitProducerId on clients know `PRODUCER_FENCED`.
const INIT_FENCED_FROM_VERSION: i16 = 4;

/// From this version of the other requests on clients know `PRODUCER_FENCED`.
const FENCED_FROM_VERSION: i16 = 2;

/// The partitions of one topic that a request names, each with what it is or why it cannot be written to.
type Named = (String, Vec<(i32, Result<TxnPartition, ErrorCode>)>);

impl Broker {
    /// Whether the session may use the transactional id.
    pub(super) fn check_transactional_id(&self, session: &Session, id: &str) -> Result<(), ErrorCode> {
        match self.allows(session, Operation::Write, Resource::TransactionalId(id)) {
            true => Ok(()),
            false => Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
        }
    }

    /// InitProducerId with a transactional id.
    pub(crate) fn init_transactional_producer(
        &self,
        session: &Session,
        version: i16,
        id: &str,
        request: &InitProducerIdRequest,
        respond: Responder,
    ) {
        let answer = move |outcome: Result<Producer, ErrorCode>| respond(init_response(outcome, version));
        let expected = match (request.producer_id, request.producer_epoch) {
            (NO_ID, NO_EPOCH) => None,
            (id, epoch) if id >= 0 && epoch >= 0 => Some(Producer { id, epoch }),
            _ => return answer(Err(ErrorCode::INVALID_REQUEST)),
        };
        match self.check_transactional_id(session, id) {
            Ok(()) => self.transactions.init(id, expected, request.transaction_timeout_ms, Box::new(answer)),
            Err(code) => answer(Err(code)),
        }
    }

    /// Up to version 3; later ones are for brokers among themselves. All partitions are added, or none.
    pub(crate) fn add_partitions_to_txn(
        &self,
        session: &Session,
        version: i16,
        request: AddPartitionsToTxnRequest,
        respond: Responder,
    ) {
        let id = request.v3_and_below_transactional_id;
        let producer = Producer { id: request.v3_and_below_producer_id, epoch: request.v3_and_below_producer_epoch };
        if let Err(code) = self.check_transactional_id(session, &id) {
            let refused = request.v3_and_below_topics.into_iter().map(|topic| refuse_all(topic, code)).collect();
            return respond(partitions_response(refused, ErrorCode::NONE));
        }
        let topics = request.v3_and_below_topics.into_iter();
        let named: Vec<Named> = topics.map(|topic| self.name_partitions(session, topic)).collect();
        let found = named.iter().flat_map(|(_, partitions)| partitions.iter().map(|(_, found)| *found));
        match found.map(|found| found.map(Participant::Partition)).collect::<Result<Vec<_>, _>>() {
            Err(_) => respond(partitions_response(named, ErrorCode::OPERATION_NOT_ATTEMPTED)),
            Ok(participants) => self.transactions.add(&id, producer, participants, move |outcome| {
                let code = known_code(outcome.err().unwrap_or(ErrorCode::NONE), version, FENCED_FROM_VERSION);
                respond(partitions_response(named, code));
            }),
        }
    }

    fn name_partitions(&self, session: &Session, topic: AddPartitionsToTxnTopic) -> Named {
        if !self.allows(session, Operation::Write, Resource::Topic(&topic.name)) {
            return refuse_all(topic, ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        }
        if topics::is_internal(&topic.name) {
            return refuse_all(topic, ErrorCode::INVALID_TOPIC_EXCEPTION);
        }
        match self.topic(TopicKey::Name(&topic.name)) {
            Err(code) => refuse_all(topic, code),
            Ok(found) => {
                let at = |number: i32| {
                    let partition = topics::partition(&found, number)?;
                    Ok(TxnPartition { topic_id: found.id(), partition: partition.id().partition })
                };
                let partitions = topic.partitions.into_iter().map(|number| (number, at(number))).collect();
                (topic.name, partitions)
            }
        }
    }

    /// The group's offsets will be committed with the transaction.
    pub(crate) fn add_offsets_to_txn(
        &self,
        session: &Session,
        version: i16,
        request: AddOffsetsToTxnRequest,
        respond: Responder,
    ) {
        let answer = move |outcome: Result<(), ErrorCode>| {
            let code = known_code(outcome.err().unwrap_or(ErrorCode::NONE), version, FENCED_FROM_VERSION);
            respond(AddOffsetsToTxnResponse { error_code: code.0, ..Default::default() }.into());
        };
        let allowed = self.check_transactional_id(session, &request.transactional_id).and_then(|()| {
            match self.allows(session, Operation::Read, Resource::Group(&request.group_id)) {
                true => Ok(()),
                false => Err(ErrorCode::GROUP_AUTHORIZATION_FAILED),
            }
        });
        if let Err(code) = allowed {
            return answer(Err(code));
        }
        let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
        let group = Participant::Group(request.group_id);
        self.transactions.add(&request.transactional_id, producer, vec![group], answer);
    }

    /// Answered when the end is durable and visible everywhere.
    pub(crate) fn end_txn(&self, session: &Session, version: i16, request: &EndTxnRequest, respond: Responder) {
        let bumps = version >= END_BUMPS_FROM_VERSION;
        let answer = move |outcome: Result<Producer, ErrorCode>| {
            respond(match outcome {
                Ok(producer) if bumps => {
                    EndTxnResponse { producer_id: producer.id, producer_epoch: producer.epoch, ..Default::default() }
                        .into()
                }
                Ok(_) => EndTxnResponse::default().into(),
                Err(code) => {
                    let code = known_code(code, version, FENCED_FROM_VERSION);
                    EndTxnResponse { error_code: code.0, ..Default::default() }.into()
                }
            });
        };
        let id = &request.transactional_id;
        if let Err(code) = self.check_transactional_id(session, id) {
            return answer(Err(code));
        }
        let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
        self.transactions.end(id, producer, request.committed, bumps, Box::new(answer));
    }
}

/// `PRODUCER_FENCED` for clients that know it.
fn known_code(code: ErrorCode, version: i16, from_version: i16) -> ErrorCode {
    match code {
        ErrorCode::PRODUCER_FENCED if version < from_version => ErrorCode::INVALID_PRODUCER_EPOCH,
        code => code,
    }
}

fn init_response(outcome: Result<Producer, ErrorCode>, version: i16) -> Response {
    let (producer, code) = match outcome {
        Ok(producer) => (producer, ErrorCode::NONE),
        Err(code) => (Producer { id: NO_ID, epoch: NO_EPOCH }, known_code(code, version, INIT_FENCED_FROM_VERSION)),
    };
    let (producer_id, producer_epoch) = (producer.id, producer.epoch);
    InitProducerIdResponse { error_code: code.0, producer_id, producer_epoch, ..Default::default() }.into()
}

fn refuse_all(topic: AddPartitionsToTxnTopic, code: ErrorCode) -> Named {
    (topic.name, topic.partitions.into_iter().map(|number| (number, Err(code))).collect())
}

/// Each partition's own error, or `others` for those without.
fn partitions_response(named: Vec<Named>, others: ErrorCode) -> Response {
    let result = |(partition_index, found): (i32, Result<TxnPartition, ErrorCode>)| {
        let code = found.err().unwrap_or(others);
        AddPartitionsToTxnPartitionResult { partition_index, partition_error_code: code.0 }
    };
    let topic = |(name, partitions): Named| {
        let results_by_partition = partitions.into_iter().map(result).collect();
        AddPartitionsToTxnTopicResult { name, results_by_partition }
    };
    let results_by_topic_v3_and_below = named.into_iter().map(topic).collect();
    AddPartitionsToTxnResponse { results_by_topic_v3_and_below, ..Default::default() }.into()
}
