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
use crate::failure::Failure;
use crate::security::{Operation, Resource};
use crate::session::Session;
use crate::topics::{TopicKey, is_internal, partition};

/// From this version on a topic is named by its id.
const TOPIC_IDS_FROM_VERSION: i16 = 13;

/// A batch that may be appended, and where its answer goes.
struct Ready {
    place: Place,
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
        for Ready { place, partition, batch, rules } in ready {
            match partition.append_with(batch, rules) {
                Ok(appended) => acknowledge(&answer, place, &partition, appended),
                Err(error) => answer.refuse(place, error.into()),
            }
        }
        answer.all_begun();
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
        self.ready.push(Ready { place, partition, batch, rules: AppendRules::default() });
        Ok(())
    }

    fn batch(&self, topic: &Topic, partition: &Partition, records: Option<Bytes>) -> Result<Batch, Rejected> {
        let batch = batch::parse(partition.id(), self.version, records)?;
        batch::check(topic, partition, self.version, self.now_ms, &batch)?;
        if batch.header().attributes.has(Attributes::TRANSACTIONAL) {
            let message = "The partition is not part of a transaction of this producer.";
            return Err(Failure::new(ErrorCode::INVALID_TXN_STATE, message).into());
        }
        Ok(batch)
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
