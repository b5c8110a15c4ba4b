//! Topics, producer ids, and records into partitions.

use bytes::Bytes;
use fleuve_record::BatchBuilder;
use fleuve_wire::messages::api_versions_request::ApiVersionsRequest;
use fleuve_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use fleuve_wire::messages::init_producer_id_request::InitProducerIdRequest;
use fleuve_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use fleuve_wire::{ApiKey, ErrorCode, Request, Response};

use super::{Connection, Outcome, Problem, accepted, ask, odd};
use crate::history::Batch;

const CREATE_TOPICS: i16 = 5;
const INIT_PRODUCER_ID: i16 = 4;
const PRODUCE: i16 = 9;

/// A producer id and its epoch; −1 for a producer without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

impl Producer {
    /// Without sequence numbers.
    pub(crate) const PLAIN: Producer = Producer { id: -1, epoch: -1 };
}

/// When the broker is to acknowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acks {
    Leader = 1,
    All = -1,
}

/// The batch's values as the bytes of a record batch, one key for all of a writer's.
pub(crate) fn batch(batch: &Batch, producer: Producer, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new();
    if producer != Producer::PLAIN {
        builder = builder.producer(producer.id, producer.epoch, sequence);
    }
    if batch.transaction.is_some() {
        builder = builder.transactional();
    }
    let key = batch.writer.to_string();
    let now_ms = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis() as i64);
    for value in batch.values() {
        let appended = builder.append(now_ms, Some(key.as_bytes()), Some(value.encode().as_bytes()), &[]);
        appended.expect("values are short");
    }
    Bytes::copy_from_slice(builder.finish().expect("a batch has values").as_bytes())
}

impl Connection {
    /// The APIs that the broker offers, with the newest version of each.
    pub(crate) fn apis(&mut self) -> Outcome<Vec<(ApiKey, i16)>> {
        let response = ask!(self, ApiVersions, 0, ApiVersionsRequest::default());
        accepted(response.error_code)?;
        let known = response.api_keys.iter().filter_map(|api| Some((ApiKey::from_i16(api.api_key)?, api.max_version)));
        Ok(known.collect())
    }

    /// Creates a topic if it is not there.
    pub(crate) fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Outcome {
        let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
        };
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
        let response = ask!(self, CreateTopics, CREATE_TOPICS, request);
        match response.topics.first().map(|topic| ErrorCode(topic.error_code)) {
            Some(ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS) => Ok(()),
            Some(code) => Err(Problem::Refused(code)),
            None => Err(Problem::Odd("no topic in the answer".to_owned())),
        }
    }

    /// A producer id, new or that of the transactional id with the next epoch.
    pub(crate) fn init_producer(&mut self, transactional_id: Option<&str>) -> Outcome<Producer> {
        let request = InitProducerIdRequest {
            transactional_id: transactional_id.map(str::to_owned),
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
        };
        let response = ask!(self, InitProducerId, INIT_PRODUCER_ID, request);
        accepted(response.error_code)?;
        Ok(Producer { id: response.producer_id, epoch: response.producer_epoch })
    }

    /// Sends records to one partition; [`produced`](Self::produced) takes the answer.
    pub(crate) fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        records: Bytes,
        acks: Acks,
        transactional_id: Option<&str>,
    ) -> Outcome {
        self.send(PRODUCE, &produce_request(topic, partition, records, acks, transactional_id))
    }

    /// The answer to the oldest produce request: the offset of its first record.
    pub(crate) fn produced(&mut self) -> Outcome<i64> {
        let response = match self.receive()? {
            Response::Produce(response) => response,
            other => return Err(odd(&other)),
        };
        let partition = response.responses.first().and_then(|topic| topic.partition_responses.first());
        let partition = partition.ok_or_else(|| Problem::Odd("no partition in the answer".to_owned()))?;
        accepted(partition.error_code)?;
        Ok(partition.base_offset)
    }
}

fn produce_request(topic: &str, partition: i32, records: Bytes, acks: Acks, transactional_id: Option<&str>) -> Request {
    let data = PartitionProduceData { index: partition, records: Some(records) };
    let topic = TopicProduceData { name: topic.to_owned(), partition_data: vec![data], ..TopicProduceData::default() };
    Request::from(ProduceRequest {
        transactional_id: transactional_id.map(str::to_owned),
        acks: acks as i16,
        timeout_ms: 10_000,
        topic_data: vec![topic],
    })
}
