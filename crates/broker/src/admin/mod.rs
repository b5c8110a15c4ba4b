//! The ordinary admin requests: they are answered at once.

mod cluster;
mod elections;
mod log_dirs;
mod producers;
mod reassignments;
mod records;

use fleuve_wire::{Request, Response};

use crate::broker::Broker;
use crate::session::Session;

impl Broker {
    /// The answer to an admin request; `None` if it is none.
    pub(crate) fn administrate(&self, session: &Session, version: i16, request: Request) -> Option<Response> {
        Some(match request {
            Request::CreateTopics(request) => self.create_topics(session, &request).into(),
            Request::DeleteTopics(request) => self.delete_topics(session, request).into(),
            Request::DeleteRecords(request) => self.delete_records(session, &request).into(),
            Request::CreatePartitions(request) => self.create_partitions(session, &request).into(),
            Request::ElectLeaders(request) => self.elect_leaders(session, request).into(),
            Request::AlterPartitionReassignments(request) => {
                self.alter_partition_reassignments(session, request).into()
            }
            Request::ListPartitionReassignments(_) => self.list_partition_reassignments(session).into(),
            Request::DescribeConfigs(request) => self.describe_configs(session, &request).into(),
            Request::AlterConfigs(request) => self.alter_configs(session, &request).into(),
            Request::IncrementalAlterConfigs(request) => self.incremental_alter_configs(session, &request).into(),
            Request::ListConfigResources(request) => self.list_config_resources(session, version, &request).into(),
            Request::DescribeCluster(request) => self.describe_cluster(session, &request).into(),
            Request::DescribeQuorum(request) => self.describe_quorum(session, &request).into(),
            Request::DescribeLogDirs(request) => self.describe_log_dirs(session, &request).into(),
            Request::DescribeProducers(request) => self.describe_producers(session, &request).into(),
            Request::DescribeTopicPartitions(request) => self.describe_topic_partitions(session, request).into(),
            _ => return None,
        })
    }
}
