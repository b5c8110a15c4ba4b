//! ListOffsets and OffsetForLeaderEpoch: where a partition begins, ends, and was at some time.

use std::sync::Arc;

use fleuve_journal::{Partition, TimedOffset};
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use fleuve_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use fleuve_wire::messages::offset_for_leader_epoch_request::{OffsetForLeaderEpochRequest, OffsetForLeaderPartition};
use fleuve_wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

use crate::broker::Broker;
use crate::cluster::{LEADER_EPOCH, check_leader_epoch};
use crate::failure::{Failure, Outcome};
use crate::security::{Operation, Resource};
use crate::session::Session;
use crate::topics::{TopicKey, partition};

/// Times with a meaning of their own, and the version from which each may be asked for.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;
const FROM_VERSION: [(i64, i16); 4] =
    [(MAX_TIMESTAMP, 7), (EARLIEST_LOCAL, 8), (LATEST_TIERED, 9), (EARLIEST_PENDING_UPLOAD, 11)];

/// Records of undecided transactions do not count.
pub(crate) const READ_COMMITTED: i8 = 1;

impl Broker {
    pub(crate) fn list_offsets(
        &self,
        session: &Session,
        version: i16,
        request: &ListOffsetsRequest,
    ) -> ListOffsetsResponse {
        let committed = request.isolation_level == READ_COMMITTED;
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|asked| {
                let found = self.readable_partition(session, &topic.name, asked.partition_index);
                let found = found.and_then(|partition| find(&partition, version, committed, asked));
                describe(version, asked.partition_index, found)
            });
            ListOffsetsTopicResponse { name: topic.name.clone(), partitions: partitions.collect() }
        });
        ListOffsetsResponse { topics: topics.collect(), ..Default::default() }
    }

    /// A partition whose offsets the session may know.
    fn readable_partition(&self, session: &Session, topic: &str, number: i32) -> Outcome<Arc<Partition>> {
        if !self.allows(session, Operation::Describe, Resource::Topic(topic)) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED.into());
        }
        let topic = self.topic(TopicKey::Name(topic))?;
        Ok(Arc::clone(partition(&topic, number)?))
    }

    pub(crate) fn offset_for_leader_epoch(
        &self,
        session: &Session,
        request: &OffsetForLeaderEpochRequest,
    ) -> OffsetForLeaderEpochResponse {
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|asked| {
                let found = self.readable_partition(session, &topic.topic, asked.partition);
                end_of_epoch(asked, found)
            });
            OffsetForLeaderTopicResult { topic: topic.topic.clone(), partitions: partitions.collect() }
        });
        OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
    }
}

/// Offset and timestamp; −1 stands for none.
type Found = (i64, i64);

const NOTHING: Found = (-1, -1);

fn find(partition: &Partition, version: i16, committed: bool, asked: &ListOffsetsPartition) -> Outcome<Found> {
    check_leader_epoch(asked.current_leader_epoch)?;
    if FROM_VERSION.iter().any(|(time, from)| *time == asked.timestamp && version < *from) {
        return Err(ErrorCode::UNSUPPORTED_VERSION.into());
    }
    let end = if committed { partition.last_stable_offset() } else { partition.high_watermark() };
    match asked.timestamp {
        LATEST => Ok((end as i64, -1)),
        EARLIEST | EARLIEST_LOCAL => Ok((partition.log_start_offset() as i64, -1)),
        MAX_TIMESTAMP => Ok(timed(partition.max_timestamp()?, u64::MAX)),
        // Nothing is ever moved to another store.
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(NOTHING),
        time if time >= 0 => Ok(timed(partition.find_time(time)?, end)),
        other => Err(Failure::new(ErrorCode::INVALID_REQUEST, format!("{other} is no time"))),
    }
}

fn timed(found: Option<TimedOffset>, end: u64) -> Found {
    found.filter(|found| found.offset < end).map_or(NOTHING, |found| (found.offset as i64, found.timestamp_ms))
}

fn describe(version: i16, partition_index: i32, found: Outcome<Found>) -> ListOffsetsPartitionResponse {
    let ((offset, timestamp), code) = match found {
        Ok(found) => (found, ErrorCode::NONE),
        Err(failure) => (NOTHING, failure.code),
    };
    let leader_epoch = if offset >= 0 && version >= 4 { LEADER_EPOCH } else { -1 };
    ListOffsetsPartitionResponse { partition_index, error_code: code.0, timestamp, offset, leader_epoch }
}

/// There is one epoch, and it ends where the partition does; of later ones nothing is known.
fn end_of_epoch(asked: &OffsetForLeaderPartition, found: Outcome<Arc<Partition>>) -> EpochEndOffset {
    let checked = found.and_then(|partition| check_leader_epoch(asked.current_leader_epoch).map(|()| partition));
    let mut end = EpochEndOffset { partition: asked.partition, ..Default::default() };
    match checked {
        Ok(partition) if asked.leader_epoch == LEADER_EPOCH => {
            (end.leader_epoch, end.end_offset) = (LEADER_EPOCH, partition.high_watermark() as i64);
        }
        Ok(_) => {}
        Err(failure) => end.error_code = failure.code.0,
    }
    end
}
