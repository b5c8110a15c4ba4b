//! A transactional producer as clients are, in version 1 or 2 of the protocol; and a reader of what is committed.

use std::collections::BTreeMap;

use fleuve_broker::Session;
use fleuve_journal::Partition;
use fleuve_record::{Attributes, BatchBuilder, BatchView, EndMarker};
use fleuve_wire::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use fleuve_wire::messages::add_partitions_to_txn_request::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use fleuve_wire::messages::end_txn_request::EndTxnRequest;
use fleuve_wire::messages::init_producer_id_request::InitProducerIdRequest;
use fleuve_wire::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};
use fleuve_wire::messages::produce_request::ProduceRequest;
use fleuve_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use fleuve_wire::{ErrorCode, Request, Response};

use crate::support::{Asked, START_MS, World, answer, bytes_of, produce_request, session};

/// The topic that all of these write to.
pub const TOPIC: &str = "t";

/// Milliseconds that a transaction may be open.
pub const TIMEOUT_MS: i32 = 60_000;

/// A producer.
#[derive(Debug, Clone)]
pub struct Producer {
    pub transactional_id: String,
    /// Whether it speaks version 2 (KIP-890).
    pub version_two: bool,
    pub id: i64,
    pub epoch: i16,
    /// The next sequence number of each partition.
    sequences: BTreeMap<i32, i32>,
}

impl Producer {
    pub fn new(transactional_id: &str, version_two: bool) -> Self {
        let transactional_id = transactional_id.to_owned();
        Producer { transactional_id, version_two, id: -1, epoch: -1, sequences: BTreeMap::new() }
    }

    pub fn init_request(&self) -> (i16, Request) {
        let request = InitProducerIdRequest {
            transactional_id: Some(self.transactional_id.clone()),
            transaction_timeout_ms: TIMEOUT_MS,
            producer_id: -1,
            producer_epoch: -1,
        };
        (if self.version_two { 5 } else { 4 }, request.into())
    }

    pub fn add_request(&self, partition: i32) -> (i16, Request) {
        let topic = AddPartitionsToTxnTopic { name: TOPIC.to_owned(), partitions: vec![partition] };
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.transactional_id.clone(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![topic],
            ..Default::default()
        };
        (3, request.into())
    }

    pub fn produce_request(&self, partition: i32, value: &str) -> (i16, Request) {
        let sequence = self.sequences.get(&partition).copied().unwrap_or(0);
        let mut batch = BatchBuilder::new().producer(self.id, self.epoch, sequence).transactional();
        batch.append(START_MS, None, Some(value.as_bytes()), &[]).unwrap();
        let records = Some(bytes_of(&batch.finish().unwrap()));
        let request = ProduceRequest {
            transactional_id: Some(self.transactional_id.clone()),
            ..produce_request(TOPIC, partition, -1, records)
        };
        (if self.version_two { 12 } else { 11 }, request.into())
    }

    /// For version 1, which tells beforehand that it will commit offsets.
    pub fn add_offsets_request(&self, group: &str) -> (i16, Request) {
        let request = AddOffsetsToTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            group_id: group.to_owned(),
        };
        (3, request.into())
    }

    /// The group has read the first partition up to here.
    pub fn offset_request(&self, group: &str, committed_offset: i64) -> (i16, Request) {
        let partition = TxnOffsetCommitRequestPartition { committed_offset, ..Default::default() };
        let topic =
            TxnOffsetCommitRequestTopic { name: TOPIC.to_owned(), partitions: vec![partition], ..Default::default() };
        let request = TxnOffsetCommitRequest {
            transactional_id: self.transactional_id.clone(),
            group_id: group.to_owned(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            topics: vec![topic],
            ..Default::default()
        };
        (if self.version_two { 5 } else { 3 }, request.into())
    }

    pub fn end_request(&self, committed: bool) -> (i16, Request) {
        let request = EndTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
        };
        (if self.version_two { 5 } else { 4 }, request.into())
    }

    /// Takes in a good answer.
    pub fn learn(&mut self, request: &Request, response: &Response) {
        let (id, epoch) = match response {
            Response::InitProducerId(response) => (response.producer_id, response.producer_epoch),
            Response::EndTxn(response) if self.version_two => (response.producer_id, response.producer_epoch),
            Response::Produce(_) => {
                let Request::Produce(request) = request else { panic!("an answer to a produce request") };
                let partition = request.topic_data[0].partition_data[0].index;
                *self.sequences.entry(partition).or_default() += 1;
                return;
            }
            _ => return,
        };
        if (id, epoch) != (self.id, self.epoch) {
            self.sequences.clear();
        }
        (self.id, self.epoch) = (id, epoch);
    }

    /// Asks, has everything committed until the answer is there, and takes it in.
    pub fn does(&mut self, world: &World, (version, request): (i16, Request)) -> ErrorCode {
        let asked = self.asks(world, (version, request.clone()));
        settle(world, &asked);
        let response = asked.answer();
        let code = code_of(&response);
        if code.is_none() {
            self.learn(&request, &response);
        }
        code
    }

    pub fn asks(&self, world: &World, (version, request): (i16, Request)) -> Asked {
        world.ask_as(&self.session(), version, request)
    }

    fn session(&self) -> Session {
        session(7)
    }

    /// Gets an epoch; asks again while a transaction has to be aborted first.
    pub fn init(&mut self, world: &World) {
        let mut code = self.does(world, self.init_request());
        for _ in 0..4 {
            if code == ErrorCode::CONCURRENT_TRANSACTIONS {
                rounds(world);
                code = self.does(world, self.init_request());
            }
        }
        assert_eq!(code, ErrorCode::NONE);
    }

    /// Writes a value into the open transaction, or begins one.
    pub fn write(&mut self, world: &World, partition: i32, value: &str) -> ErrorCode {
        if !self.version_two {
            let code = self.does(world, self.add_request(partition));
            if code.is_err() {
                return code;
            }
        }
        self.does(world, self.produce_request(partition, value))
    }

    /// Commits an offset of a group within the transaction.
    pub fn commit_offset(&mut self, world: &World, group: &str, offset: i64) -> ErrorCode {
        if !self.version_two {
            let code = self.does(world, self.add_offsets_request(group));
            if code.is_err() {
                return code;
            }
        }
        self.does(world, self.offset_request(group, offset))
    }

    pub fn end(&mut self, world: &World, commit: bool) -> ErrorCode {
        self.does(world, self.end_request(commit))
    }
}

/// Commit rounds until nothing changes any more.
pub fn rounds(world: &World) {
    (0..6).for_each(|_| world.commit());
}

/// Commit rounds until the answer is there.
pub fn settle(world: &World, asked: &Asked) {
    for _ in 0..8 {
        if asked.waits() {
            world.commit();
        }
    }
}

/// The error in an answer about one thing.
pub fn code_of(response: &Response) -> ErrorCode {
    ErrorCode(match response {
        Response::InitProducerId(response) => response.error_code,
        Response::EndTxn(response) => response.error_code,
        Response::Produce(response) => response.responses[0].partition_responses[0].error_code,
        Response::AddOffsetsToTxn(response) => response.error_code,
        Response::TxnOffsetCommit(response) => response.topics[0].partitions[0].error_code,
        Response::AddPartitionsToTxn(response) => {
            response.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
        }
        other => panic!("{other:?}"),
    })
}

/// The group's offset in the first partition; −1 without one.
pub fn offset_of(world: &World, group: &str) -> i64 {
    let topic = OffsetFetchRequestTopic { name: TOPIC.to_owned(), partition_indexes: vec![0] };
    let request = OffsetFetchRequest { group_id: group.to_owned(), topics: Some(vec![topic]), ..Default::default() };
    let asked = world.ask(7, request);
    settle(world, &asked);
    answer!(OffsetFetch, asked).topics[0].partitions[0].committed_offset
}

/// The values that a reader with `isolation.level=read_committed` gets from a partition.
pub fn committed(partition: &Partition) -> Vec<String> {
    let end = partition.last_stable_offset();
    let aborted = partition.aborted(0..end).unwrap();
    let (mut values, mut offset) = (vec![], 0);
    while offset < end {
        let fetched = partition.read(offset, 1 << 20).unwrap();
        for batch in fetched.batches() {
            let batch = batch.unwrap();
            let header = batch.header();
            let at = header.base_offset as u64;
            let is_aborted = aborted.iter().any(|aborted| {
                aborted.producer_id == header.producer_id && (aborted.first_offset..=aborted.last_offset).contains(&at)
            });
            if at < end && !is_aborted && !header.attributes.has(Attributes::CONTROL) {
                values.extend(values_of(&batch));
            }
        }
        offset = fetched.next_offset;
    }
    values
}

/// The committed values of all partitions, sorted.
pub fn all_committed(world: &World) -> Vec<String> {
    let topic = world.log.topic(TOPIC).unwrap();
    let mut values: Vec<String> = topic.partitions().iter().flat_map(|partition| committed(partition)).collect();
    values.sort();
    values
}

/// The values of transactions whose end was a commit, by the markers alone, sorted: what a reader gets as soon as no other
/// transaction is open before it.
pub fn all_decided(world: &World) -> Vec<String> {
    let topic = world.log.topic(TOPIC).unwrap();
    let mut values: Vec<String> = topic.partitions().iter().flat_map(|partition| decided(partition)).collect();
    values.sort();
    values
}

fn decided(partition: &Partition) -> Vec<String> {
    let (mut values, mut offset, mut open) = (vec![], 0, BTreeMap::<i64, Vec<String>>::new());
    while offset < partition.high_watermark() {
        let fetched = partition.read(offset, 1 << 20).unwrap();
        for batch in fetched.batches() {
            let batch = batch.unwrap();
            let written = open.entry(batch.header().producer_id).or_default();
            match EndMarker::parse(&batch).filter(|_| batch.header().attributes.has(Attributes::CONTROL)) {
                Some(EndMarker { commit: true, .. }) => values.append(written),
                Some(_) => written.clear(),
                None => written.extend(values_of(&batch)),
            }
        }
        offset = fetched.next_offset;
    }
    values
}

fn values_of(batch: &BatchView) -> Vec<String> {
    let records = batch.records().unwrap();
    records.iter().map(|record| String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap()).collect()
}

/// Whether no transaction is open anywhere: readers can read to the end.
pub fn all_stable(world: &World) -> bool {
    let topic = world.log.topic(TOPIC).unwrap();
    topic.partitions().iter().all(|partition| partition.last_stable_offset() == partition.high_watermark())
}
