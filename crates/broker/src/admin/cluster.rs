//! DescribeCluster and DescribeQuorum: one node that is everything.

use fleuve_wire::messages::describe_cluster_request::DescribeClusterRequest;
use fleuve_wire::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};
use fleuve_wire::messages::describe_quorum_request::DescribeQuorumRequest;
use fleuve_wire::messages::describe_quorum_response::{
    DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};
use fleuve_wire::{ErrorCode, Uuid};

use crate::broker::Broker;
use crate::cluster::{CLUSTER_TOPIC, LEADER_EPOCH, NODE_ID};
use crate::security::{Operation, Resource};
use crate::session::Session;

/// Brokers are asked for, or controllers, which have listeners of their own in Kafka.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

impl Broker {
    pub(crate) fn describe_cluster(
        &self,
        session: &Session,
        request: &DescribeClusterRequest,
    ) -> DescribeClusterResponse {
        let (code, message) = match request.endpoint_type {
            BROKERS => (ErrorCode::NONE, None),
            CONTROLLERS => {
                let message = "The request was sent to an endpoint of the wrong type.";
                (ErrorCode::MISMATCHED_ENDPOINT_TYPE, Some(message.to_owned()))
            }
            other => (ErrorCode::UNSUPPORTED_ENDPOINT_TYPE, Some(format!("Unsupported endpoint type {other}"))),
        };
        if code.is_err() {
            return DescribeClusterResponse { error_code: code.0, error_message: message, ..Default::default() };
        }
        let (host, port) = (session.listener.host.clone(), i32::from(session.listener.port));
        let broker = DescribeClusterBroker { broker_id: NODE_ID, host, port, ..Default::default() };
        let mut response = DescribeClusterResponse {
            cluster_id: self.cluster_id().to_owned(),
            controller_id: NODE_ID,
            brokers: vec![broker],
            ..Default::default()
        };
        if request.include_cluster_authorized_operations {
            response.cluster_authorized_operations = self.authorizer.authorized_operations(session, Resource::Cluster);
        }
        response
    }

    /// The quorum that decides about metadata has one voter, which always agrees with itself.
    pub(crate) fn describe_quorum(&self, session: &Session, request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
        if !self.allows(session, Operation::Describe, Resource::Cluster) {
            let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
            return DescribeQuorumResponse { error_code: code.0, error_message: None, ..Default::default() };
        }
        let topics = request.topics.iter().map(|topic| {
            let partition = |partition: i32| match (topic.topic_name.as_str(), partition) {
                (CLUSTER_TOPIC, 0) => self.quorum(),
                _ => PartitionData {
                    partition_index: partition,
                    error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0,
                    error_message: None,
                    ..Default::default()
                },
            };
            let partitions = topic.partitions.iter().map(|asked| partition(asked.partition_index)).collect();
            TopicData { topic_name: topic.topic_name.clone(), partitions }
        });
        let (host, port) = (session.listener.host.clone(), session.listener.port);
        let listeners = vec![Listener { name: "CONTROLLER".to_owned(), host, port }];
        let nodes = vec![Node { node_id: NODE_ID, listeners }];
        DescribeQuorumResponse { error_message: None, topics: topics.collect(), nodes, ..Default::default() }
    }

    fn quorum(&self) -> PartitionData {
        let (end, now_ms) = (self.cluster.topic.end_offset() as i64, self.env.clock.now_ms());
        let voter = ReplicaState {
            replica_id: NODE_ID,
            replica_directory_id: Uuid::NIL,
            log_end_offset: end,
            last_fetch_timestamp: now_ms,
            last_caught_up_timestamp: now_ms,
        };
        PartitionData {
            error_message: None,
            leader_id: NODE_ID,
            leader_epoch: LEADER_EPOCH,
            high_watermark: end,
            current_voters: vec![voter],
            ..Default::default()
        }
    }
}
