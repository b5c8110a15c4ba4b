//! Produce: batches are checked, appended, and acknowledged when they are durable.

mod answer;
mod batch;

use std::sync::Arc;

use bytes::Bytes;
use fleuve_journal::{AppendRules, Appended, Partition, Topic};
use fleuve_record::{Attributes, Batch};
use fleuve_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use fleuve_wire::messages::produce_response::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse};
use fleuve_wire::{ErrorCode, Uuid};

use self::answer::{Answer, Place};
use self::batch::Rejected;
use crate::broker::{Broker, Responder};
use crate::failure::{Failure, Outcome};
use crate::security::{Operation, Resource};
use crate::session::Session;
use crate::topics::{TopicKey, is_internal, partition};
use crate::transactions::{Participant, Producer, TxnPartition, Writer};

/// From this version on a topic is named by its id.
const TOPIC_IDS_FROM_VERSION: i16 = 13;

/// From this version on clients know `TRANSACTION_ABORTABLE`.
const ABORTABLE_FROM_VERSION: i16 = 11;

/// From this version on writing to a partition is enough to add it to the transaction (KIP-890).
const ADDS_FROM_VERSION: i16 = 12;

/// A batch that may be appended, and where its answer goes.
struct Ready {
    place: Place,
    topic_id: u128,
    partition: Arc<Partition>,
    batch: Batch,
    rules: AppendRules,
}

impl Broker {
    /// Appends all batches on the caller's thread, and answers when all of them are durable. Nothing is answered before
    /// that, whatever `acks` says; with `acks` = 0 the caller drops the answer.
    pub(crate) fn produce(&self, session: &Session, version: i16, request: ProduceRequest, respond: Responder) {
        let refusal = self.refusal(session, &request);
        let mut production =
            Production { broker: self, session, version, refusal, now_ms: self.env.clock.now_ms(), ready: vec![] };
        let topics = request.topic_data.into_iter().enumerate();
        let responses = topics.map(|(index, data)| production.topic(index, data)).collect();
        let ready = production.ready;
        let answer = Answer::new(ProduceResponse { responses, ..Default::default() }, ready.len(), respond);
        let transactional_id = request.transactional_id.as_deref();
        for ready in ready {
            let (place, partition) = (ready.place, Arc::clone(&ready.partition));
            match self.append(transactional_id, version, ready) {
                Ok(appended) => acknowledge(&answer, place, &partition, appended),
                Err(failure) => answer.refuse(place, failure),
            }
        }
        answer.all_begun();
    }

    /// Appends a batch; one of a transaction only while that is open.
    fn append(&self, transactional_id: Option<&str>, version: i16, ready: Ready) -> Outcome<Appended> {
        let Ready { topic_id, partition, batch, rules, .. } = ready;
        let header = batch.header();
        if !header.attributes.has(Attributes::TRANSACTIONAL) {
            return Ok(partition.append_with(batch, rules)?);
        }
        let transactional_id = transactional_id.ok_or(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)?;
        let writer = Writer {
            transactional_id,
            producer: Producer { id: header.producer_id, epoch: header.producer_epoch },
            adds: rules.unknown_producer_begins_at_zero,
        };
        let at = TxnPartition { topic_id, partition: partition.id().partition };
        let appended =
            self.transactions.write(writer, Participant::Partition(at), || partition.append_with(batch, rules));
        Ok(appended.map_err(|code| outside_transaction(code, version))??)
    }

    /// Why nothing of the request may be done.
    fn refusal(&self, session: &Session, request: &ProduceRequest) -> Option<ErrorCode> {
        let forbidden = |id| !self.allows(session, Operation::Write, Resource::TransactionalId(id));
        if !(-1..=1).contains(&request.acks) {
            Some(ErrorCode::INVALID_REQUIRED_ACKS)
        } else if request.transactional_id.as_deref().is_some_and(forbidden) {
            Some(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        } else {
            None
        }
    }
}

/// What a producer is told whose batch belongs to no open transaction, in words that its version knows.
fn outside_transaction(code: ErrorCode, version: i16) -> Failure {
    let message = "The partition is not part of an open transaction of this producer.";
    match code {
        ErrorCode::PRODUCER_FENCED => ErrorCode::INVALID_PRODUCER_EPOCH.into(),
        ErrorCode::INVALID_TXN_STATE if version >= ABORTABLE_FROM_VERSION => {
            Failure::new(ErrorCode::TRANSACTION_ABORTABLE, message)
        }
        ErrorCode::INVALID_TXN_STATE => Failure::new(code, message),
        code => code.into(),
    }
}

/// Has the answer told where the records are as soon as they are durable.
fn acknowledge(answer: &Arc<Answer>, place: Place, partition: &Arc<Partition>, appended: Appended) {
    let (answer, partition) = (Arc::clone(answer), Arc::clone(partition));
    let base_offset = appended.first_offset as i64;
    let log_append_time_ms = appended.append_time_ms.unwrap_or(-1);
    let done = move |durable: fleuve_base::Result<()>| match durable {
        Ok(()) => answer.fill(place, |response| {
            response.base_offset = base_offset;
            response.log_append_time_ms = log_append_time_ms;
            response.log_start_offset = partition.log_start_offset() as i64;
        }),
        Err(error) => answer.refuse(place, error.into()),
    };
    appended.ticket.on_durable(Box::new(done));
}

/// The checks of one request, before anything is appended.
struct Production<'a> {
    broker: &'a Broker,
    session: &'a Session,
    version: i16,
    refusal: Option<ErrorCode>,
    now_ms: i64,
    ready: Vec<Ready>,
}

impl Production<'_> {
    /// Collects what can be appended to a topic; the rest is refused in the response.
    fn topic(&mut self, index: usize, data: TopicProduceData) -> TopicProduceResponse {
        let found = self.find_topic(&data.name, data.topic_id);
        let partitions = data.partition_data.into_iter().enumerate();
        let partition_responses = partitions
            .map(|(at, data)| {
                let number = data.index;
                let prepared = match &found {
                    Ok(topic) => self.partition((index, at), topic, data),
                    Err(code) => Err((*code).into()),
                };
                response(number, prepared)
            })
            .collect();
        TopicProduceResponse { name: data.name, topic_id: data.topic_id, partition_responses }
    }

    fn find_topic(&self, name: &str, id: Uuid) -> Result<Arc<Topic>, ErrorCode> {
        if let Some(code) = self.refusal {
            return Err(code);
        }
        let by_name = self.version < TOPIC_IDS_FROM_VERSION;
        let allowed = |name| self.broker.allows(self.session, Operation::Write, Resource::Topic(name));
        if by_name && !allowed(name) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        }
        let topic = self.broker.topic(if by_name { TopicKey::Name(name) } else { TopicKey::Id(id) })?;
        if !by_name && !allowed(topic.name()) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        }
        if is_internal(topic.name()) {
            return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
        }
        Ok(topic)
    }

    fn partition(&mut self, place: Place, topic: &Topic, data: PartitionProduceData) -> Result<(), Rejected> {
        let partition = Arc::clone(partition(topic, data.index)?);
        let batch = self.batch(topic, &partition, data.records)?;
        let transactional = batch.header().attributes.has(Attributes::TRANSACTIONAL);
        let rules = AppendRules { unknown_producer_begins_at_zero: transactional && self.version >= ADDS_FROM_VERSION };
        self.ready.push(Ready { place, topic_id: topic.id(), partition, batch, rules });
        Ok(())
    }

    fn batch(&self, topic: &Topic, partition: &Partition, records: Option<Bytes>) -> Result<Batch, Rejected> {
        let mut batch = batch::parse(partition.id(), self.version, records)?;
        let max_timestamp_ms = batch::check(topic, partition, self.version, self.now_ms, &batch)?;
        max_timestamp_ms.into_iter().for_each(|max_ms| batch.stamp_max_timestamp(max_ms));
        Ok(batch::recompressed(topic, partition, &batch)?.unwrap_or(batch))
    }
}

fn response(index: i32, prepared: Result<(), Rejected>) -> PartitionProduceResponse {
    let mut response = PartitionProduceResponse { index, base_offset: -1, ..Default::default() };
    if let Err(Rejected { failure, records }) = prepared {
        answer::refuse(&mut response, failure);
        response.record_errors = records;
    }
    response
}
