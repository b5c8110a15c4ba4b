//! AlterPartitionReassignments and ListPartitionReassignments: replicas cannot move from the one node to another, so what is
//! asked for is either as it is already, or impossible.

use fleuve_wire::ErrorCode;
use fleuve_wire::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use fleuve_wire::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};
use fleuve_wire::messages::list_partition_reassignments_response::ListPartitionReassignmentsResponse;

use crate::broker::Broker;
use crate::cluster::NODE_ID;
use crate::failure::{Failure, Outcome};
use crate::security::{Operation, Resource};
use crate::session::Session;
use crate::topics::{TopicKey, partition};

impl Broker {
    /// None is ever going on.
    pub(crate) fn list_partition_reassignments(&self, session: &Session) -> ListPartitionReassignmentsResponse {
        let error_code = self.may_reassign(session, Operation::Describe);
        ListPartitionReassignmentsResponse { error_code, ..Default::default() }
    }

    /// Puts every replica where it is.
    pub(crate) fn alter_partition_reassignments(
        &self,
        session: &Session,
        request: AlterPartitionReassignmentsRequest,
    ) -> AlterPartitionReassignmentsResponse {
        let error_code = self.may_reassign(session, Operation::Alter);
        if error_code != 0 {
            return AlterPartitionReassignmentsResponse { error_code, ..Default::default() };
        }
        let responses = request.topics.into_iter().map(|topic| self.reassign(topic)).collect();
        AlterPartitionReassignmentsResponse { responses, ..Default::default() }
    }

    fn may_reassign(&self, session: &Session, operation: Operation) -> i16 {
        match self.allows(session, operation, Resource::Cluster) {
            true => 0,
            false => ErrorCode::CLUSTER_AUTHORIZATION_FAILED.0,
        }
    }

    fn reassign(&self, topic: ReassignableTopic) -> ReassignableTopicResponse {
        let answer = |asked: &ReassignablePartition| {
            let (error_code, error_message) = match self.stays(&topic.name, asked) {
                Ok(()) => (0, None),
                Err(failure) => (failure.code.0, failure.message),
            };
            ReassignablePartitionResponse { partition_index: asked.partition_index, error_code, error_message }
        };
        let partitions = topic.partitions.iter().map(answer).collect();
        ReassignableTopicResponse { name: topic.name, partitions }
    }

    fn stays(&self, topic: &str, asked: &ReassignablePartition) -> Outcome<()> {
        let found = self.topic(TopicKey::Name(topic))?;
        partition(&found, asked.partition_index)?;
        match asked.replicas.as_deref() {
            None => Err(ErrorCode::NO_REASSIGNMENT_IN_PROGRESS.into()),
            Some([NODE_ID]) => Ok(()),
            Some(replicas) => {
                let message =
                    format!("The replicas must be [{NODE_ID}], the one broker that there is, not {replicas:?}.");
                Err(Failure::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message))
            }
        }
    }
}
