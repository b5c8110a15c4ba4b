//! DescribeLogDirs: how many bytes each partition takes.

use fleuve_journal::Topic;
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use fleuve_wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};

use crate::broker::Broker;
use crate::security::{Operation, Resource};
use crate::session::Session;
use crate::topics::TopicKey;

impl Broker {
    pub(crate) fn describe_log_dirs(
        &self,
        session: &Session,
        request: &DescribeLogDirsRequest,
    ) -> DescribeLogDirsResponse {
        if !self.allows(session, Operation::Describe, Resource::Cluster) {
            let error_code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED.0;
            return DescribeLogDirsResponse { error_code, ..Default::default() };
        }
        let topics = match &request.topics {
            None => self.visible_topics().iter().map(|topic| describe(topic, |_| true)).collect(),
            Some(asked) => {
                let found = asked.iter().filter_map(|asked| {
                    let topic = self.topic(TopicKey::Name(&asked.topic)).ok()?;
                    Some(describe(&topic, |number| asked.partitions.contains(&number)))
                });
                found.collect()
            }
        };
        let failed = self.log.failure().is_some();
        let result = DescribeLogDirsResult {
            error_code: if failed { ErrorCode::KAFKA_STORAGE_ERROR.0 } else { 0 },
            log_dir: self.log.directory().display().to_string(),
            topics,
            ..Default::default()
        };
        DescribeLogDirsResponse { results: vec![result], ..Default::default() }
    }
}

fn describe(topic: &Topic, is_asked: impl Fn(i32) -> bool) -> DescribeLogDirsTopic {
    let numbered = topic.partitions().iter().zip(0..).filter(|(_, number)| is_asked(*number));
    let partitions = numbered.map(|(partition, partition_index)| DescribeLogDirsPartition {
        partition_index,
        partition_size: partition.size_bytes() as i64,
        ..Default::default()
    });
    DescribeLogDirsTopic { name: topic.name().to_owned(), partitions: partitions.collect() }
}
