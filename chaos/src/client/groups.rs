//! Groups: joining (the classic protocol), offsets.

use bytes::Bytes;
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::heartbeat_request::HeartbeatRequest;
use fleuve_wire::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use fleuve_wire::messages::join_group_response::JoinGroupResponse;
use fleuve_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use fleuve_wire::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};
use fleuve_wire::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::{Connection, Outcome, Problem, accepted, ask};

const JOIN: i16 = 5;
const SYNC: i16 = 3;
const HEARTBEAT: i16 = 3;
const OFFSET_COMMIT: i16 = 7;
const OFFSET_FETCH: i16 = 5;

/// The protocol's name in JoinGroup; its contents are ours: one byte a partition.
const TOPIC_PROTOCOL: &str = "bytes";

/// A place in a group, and the partitions that came with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) generation: i32,
    pub(crate) partitions: Vec<i32>,
}

impl Connection {
    /// Joins a group, as the member that it was before if it has an id, and gets its share of the partitions.
    pub(crate) fn join(&mut self, group: &str, id: &str, partitions: i32, session_ms: i32) -> Outcome<Member> {
        let mut id = id.to_owned();
        let joined = loop {
            let response = ask!(self, JoinGroup, JOIN, join_request(group, &id, session_ms));
            match ErrorCode(response.error_code) {
                ErrorCode::MEMBER_ID_REQUIRED if id != response.member_id => id = response.member_id,
                _ => break response,
            }
        };
        accepted(joined.error_code)?;
        let assignments = if joined.leader == joined.member_id { deal(&joined, partitions) } else { vec![] };
        let request = SyncGroupRequest {
            group_id: group.to_owned(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            assignments,
            ..SyncGroupRequest::default()
        };
        let response = ask!(self, SyncGroup, SYNC, request);
        accepted(response.error_code)?;
        let partitions = response.assignment.iter().map(|byte| i32::from(*byte)).collect();
        Ok(Member { id: joined.member_id, generation: joined.generation_id, partitions })
    }

    /// Tells that the member is alive.
    pub(crate) fn heartbeat(&mut self, group: &str, member: &Member) -> Outcome {
        let request = HeartbeatRequest {
            group_id: group.to_owned(),
            generation_id: member.generation,
            member_id: member.id.clone(),
            ..HeartbeatRequest::default()
        };
        accepted(ask!(self, Heartbeat, HEARTBEAT, request).error_code)
    }

    /// Commits the offset of one partition.
    pub(crate) fn commit_offset(
        &mut self,
        group: &str,
        member: &Member,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Outcome {
        let partition = OffsetCommitRequestPartition {
            partition_index: partition,
            committed_offset: offset,
            committed_leader_epoch: -1,
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: topic.to_owned(),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        };
        let request = OffsetCommitRequest {
            group_id: group.to_owned(),
            generation_id_or_member_epoch: member.generation,
            member_id: member.id.clone(),
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        let response = ask!(self, OffsetCommit, OFFSET_COMMIT, request);
        let partition = response.topics.first().and_then(|topic| topic.partitions.first());
        accepted(partition.ok_or_else(|| Problem::Odd("no partition in the answer".to_owned()))?.error_code)
    }

    /// The committed offset of one partition, −1 for none.
    pub(crate) fn committed_offset(&mut self, group: &str, topic: &str, partition: i32) -> Outcome<i64> {
        let topic = OffsetFetchRequestTopic { name: topic.to_owned(), partition_indexes: vec![partition] };
        let request = OffsetFetchRequest {
            group_id: group.to_owned(),
            topics: Some(vec![topic]),
            ..OffsetFetchRequest::default()
        };
        let response = ask!(self, OffsetFetch, OFFSET_FETCH, request);
        accepted(response.error_code)?;
        let partition = response.topics.first().and_then(|topic| topic.partitions.first());
        let partition = partition.ok_or_else(|| Problem::Odd("no partition in the answer".to_owned()))?;
        accepted(partition.error_code)?;
        Ok(partition.committed_offset)
    }
}

fn join_request(group: &str, id: &str, session_ms: i32) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol { name: TOPIC_PROTOCOL.to_owned(), metadata: Bytes::new() };
    JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: session_ms,
        rebalance_timeout_ms: session_ms,
        member_id: id.to_owned(),
        protocol_type: "chaos".to_owned(),
        protocols: vec![protocol],
        ..JoinGroupRequest::default()
    }
}

/// Deals the partitions out in turn.
fn deal(joined: &JoinGroupResponse, partitions: i32) -> Vec<SyncGroupRequestAssignment> {
    let count = joined.members.len().max(1);
    let share = |index: usize| (0..partitions as u8).filter(|p| usize::from(*p) % count == index).collect::<Vec<u8>>();
    let assignment =
        |(index, member): (usize, &fleuve_wire::messages::join_group_response::JoinGroupResponseMember)| {
            SyncGroupRequestAssignment { member_id: member.member_id.clone(), assignment: share(index).into() }
        };
    joined.members.iter().enumerate().map(assignment).collect()
}
