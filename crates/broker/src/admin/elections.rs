//! ElectLeaders: the one node leads every partition, and nothing has to be elected.

use fleuve_wire::ErrorCode;
use fleuve_wire::messages::elect_leaders_request::ElectLeadersRequest;
use fleuve_wire::messages::elect_leaders_response::{ElectLeadersResponse, PartitionResult, ReplicaElectionResult};

use crate::broker::Broker;
use crate::security::{Operation, Resource};
use crate::session::Session;
use crate::topics::{TopicKey, partition};

impl Broker {
    /// Who names partitions learns of each that it has its leader; who asks for all learns, as from Kafka, of those that got
    /// another one, which are none.
    pub(crate) fn elect_leaders(&self, session: &Session, request: ElectLeadersRequest) -> ElectLeadersResponse {
        let allowed = self.allows(session, Operation::Alter, Resource::Cluster);
        let topics = request.topic_partitions.unwrap_or_default().into_iter().map(|asked| {
            let result = |number: i32| {
                let code = if allowed {
                    self.leadership(&asked.topic, number)
                } else {
                    ErrorCode::CLUSTER_AUTHORIZATION_FAILED
                };
                PartitionResult { partition_id: number, error_code: code.0, error_message: None }
            };
            let partition_result = asked.partitions.iter().copied().map(result).collect();
            ReplicaElectionResult { topic: asked.topic.clone(), partition_result }
        });
        let replica_election_results = topics.collect();
        let error_code = if allowed { ErrorCode::NONE } else { ErrorCode::CLUSTER_AUTHORIZATION_FAILED }.0;
        ElectLeadersResponse { error_code, replica_election_results, ..Default::default() }
    }

    fn leadership(&self, topic: &str, number: i32) -> ErrorCode {
        let topic = self.topic(TopicKey::Name(topic));
        match topic.and_then(|topic| partition(&topic, number).map(drop)) {
            Ok(()) => ErrorCode::ELECTION_NOT_NEEDED,
            Err(code) => code,
        }
    }
}
