//! DeleteRecords: all records before an offset go.

use fleuve_wire::ErrorCode;
use fleuve_wire::messages::delete_records_request::DeleteRecordsRequest;
use fleuve_wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};

use crate::broker::Broker;
use crate::failure::Outcome;
use crate::security::{Operation, Resource};
use crate::session::Session;
use crate::topics::{TopicKey, is_internal, partition};

/// Stands for the high watermark.
const ALL: i64 = -1;

impl Broker {
    pub(crate) fn delete_records(&self, session: &Session, request: &DeleteRecordsRequest) -> DeleteRecordsResponse {
        let topics = request.topics.iter().map(|asked| {
            let partitions = asked.partitions.iter().map(|partition| {
                let deleted = self.delete_before(session, &asked.name, partition.partition_index, partition.offset);
                let (low_watermark, code) = match deleted {
                    Ok(start) => (start as i64, ErrorCode::NONE),
                    Err(failure) => (-1, failure.code),
                };
                let partition_index = partition.partition_index;
                DeleteRecordsPartitionResult { partition_index, low_watermark, error_code: code.0 }
            });
            DeleteRecordsTopicResult { name: asked.name.clone(), partitions: partitions.collect() }
        });
        DeleteRecordsResponse { topics: topics.collect(), ..Default::default() }
    }

    /// Gives the partition's new beginning.
    fn delete_before(&self, session: &Session, topic: &str, number: i32, offset: i64) -> Outcome<u64> {
        if !self.allows(session, Operation::Delete, Resource::Topic(topic)) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED.into());
        }
        let topic = self.topic(TopicKey::Name(topic))?;
        if is_internal(topic.name()) {
            return Err(ErrorCode::INVALID_TOPIC_EXCEPTION.into());
        }
        let partition = partition(&topic, number)?;
        if !topic.config().cleanup.deletes() {
            return Err(ErrorCode::POLICY_VIOLATION.into());
        }
        let before = match offset {
            ALL => partition.high_watermark(),
            offset => u64::try_from(offset).map_err(|_| ErrorCode::OFFSET_OUT_OF_RANGE)?,
        };
        Ok(partition.delete_before(before)?)
    }
}
