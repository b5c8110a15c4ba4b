//! The requests of a transaction (its first protocol, in which the client names the partitions).

use fleuve_wire::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use fleuve_wire::messages::add_partitions_to_txn_request::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use fleuve_wire::messages::end_txn_request::EndTxnRequest;
use fleuve_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

use super::{Connection, Outcome, Problem, Producer, accepted, ask};

const ADD_PARTITIONS: i16 = 3;
const ADD_OFFSETS: i16 = 3;
const OFFSET_COMMIT: i16 = 3;
const END: i16 = 3;

impl Connection {
    /// Adds partitions of a topic to the open transaction.
    pub(crate) fn add_partitions(&mut self, id: &str, producer: Producer, topic: &str, partitions: &[i32]) -> Outcome {
        let topic = AddPartitionsToTxnTopic { name: topic.to_owned(), partitions: partitions.to_vec() };
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: id.to_owned(),
            v3_and_below_producer_id: producer.id,
            v3_and_below_producer_epoch: producer.epoch,
            v3_and_below_topics: vec![topic],
            ..AddPartitionsToTxnRequest::default()
        };
        let response = ask!(self, AddPartitionsToTxn, ADD_PARTITIONS, request);
        let mut results = response.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
        results.try_for_each(|result| accepted(result.partition_error_code))
    }

    /// Commits an offset of a group with the transaction.
    pub(crate) fn commit_offset_in(
        &mut self,
        id: &str,
        producer: Producer,
        group: &str,
        (topic, partition, offset): (&str, i32, i64),
    ) -> Outcome {
        let request = AddOffsetsToTxnRequest {
            transactional_id: id.to_owned(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            group_id: group.to_owned(),
        };
        accepted(ask!(self, AddOffsetsToTxn, ADD_OFFSETS, request).error_code)?;
        let partition = TxnOffsetCommitRequestPartition {
            partition_index: partition,
            committed_offset: offset,
            committed_leader_epoch: -1,
            committed_metadata: None,
        };
        let topic = TxnOffsetCommitRequestTopic {
            name: topic.to_owned(),
            partitions: vec![partition],
            ..TxnOffsetCommitRequestTopic::default()
        };
        let request = TxnOffsetCommitRequest {
            transactional_id: id.to_owned(),
            group_id: group.to_owned(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            generation_id_or_member_epoch: -1,
            topics: vec![topic],
            ..TxnOffsetCommitRequest::default()
        };
        let response = ask!(self, TxnOffsetCommit, OFFSET_COMMIT, request);
        let partition = response.topics.first().and_then(|topic| topic.partitions.first());
        accepted(partition.ok_or_else(|| Problem::Odd("no partition in the answer".to_owned()))?.error_code)
    }

    /// Ends the transaction.
    pub(crate) fn end_transaction(&mut self, id: &str, producer: Producer, commit: bool) -> Outcome {
        let request = EndTxnRequest {
            transactional_id: id.to_owned(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            committed: commit,
        };
        accepted(ask!(self, EndTxn, END, request).error_code)
    }
}
