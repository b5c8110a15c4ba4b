//! DescribeTopicPartitions: metadata of many partitions, page by page.

use fleuve_journal::Topic;
use fleuve_wire::messages::describe_topic_partitions_request::DescribeTopicPartitionsRequest;
use fleuve_wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use fleuve_wire::{ErrorCode, Uuid};

use super::{TopicKey, is_internal};
use crate::broker::Broker;
use crate::cluster::{LEADER_EPOCH, NODE_ID};
use crate::security::{Operation, Resource};
use crate::session::Session;

/// Partitions of one page at most, as in Kafka.
const PAGE_PARTITIONS_MAX: i32 = 2000;

impl Broker {
    pub(crate) fn describe_topic_partitions(
        &self,
        session: &Session,
        request: DescribeTopicPartitionsRequest,
    ) -> DescribeTopicPartitionsResponse {
        let (from, first) = request.cursor.map_or_else(Default::default, |c| (c.topic_name, c.partition_index.max(0)));
        let names = self.described_names(session, request.topics.into_iter().map(|topic| topic.name).collect());
        let mut left = request.response_partition_limit.clamp(1, PAGE_PARTITIONS_MAX);
        let mut response = DescribeTopicPartitionsResponse::default();
        for name in names.into_iter().filter(|name| *name >= from) {
            let start = if name == from { first } else { 0 };
            if left == 0 {
                response.next_cursor = Some(Cursor { topic_name: name, partition_index: start });
                break;
            }
            let topic = self.describe_page(session, &name, start, left);
            let given = topic.partitions.len() as i32;
            left -= given;
            let total = self.topic(TopicKey::Name(&name)).map_or(0, |topic| topic.partitions().len() as i32);
            response.topics.push(topic);
            if given > 0 && start + given < total {
                response.next_cursor = Some(Cursor { topic_name: name, partition_index: start + given });
                break;
            }
        }
        response
    }

    /// The names that are asked for, or all that the session may know, in order.
    fn described_names(&self, session: &Session, mut asked: Vec<String>) -> Vec<String> {
        if asked.is_empty() {
            let topics = self.visible_topics();
            let names = topics.iter().map(|topic| topic.name().to_owned());
            asked = names.filter(|name| self.allows(session, Operation::Describe, Resource::Topic(name))).collect();
        }
        asked.sort_unstable();
        asked.dedup();
        asked
    }

    fn describe_page(
        &self,
        session: &Session,
        name: &str,
        start: i32,
        most: i32,
    ) -> DescribeTopicPartitionsResponseTopic {
        let found = match self.allows(session, Operation::Describe, Resource::Topic(name)) {
            true => self.topic(TopicKey::Name(name)),
            false => Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
        };
        match found {
            Ok(topic) => DescribeTopicPartitionsResponseTopic {
                topic_authorized_operations: self.authorizer.authorized_operations(session, Resource::Topic(name)),
                ..page(&topic, start, most)
            },
            Err(code) => DescribeTopicPartitionsResponseTopic {
                error_code: code.0,
                name: Some(name.to_owned()),
                ..Default::default()
            },
        }
    }
}

fn page(topic: &Topic, start: i32, most: i32) -> DescribeTopicPartitionsResponseTopic {
    let partition = |partition_index| DescribeTopicPartitionsResponsePartition {
        partition_index,
        leader_id: NODE_ID,
        leader_epoch: LEADER_EPOCH,
        replica_nodes: vec![NODE_ID],
        isr_nodes: vec![NODE_ID],
        // Null where Kafka sends none, but its Java client takes it for a list.
        eligible_leader_replicas: Some(vec![]),
        last_known_elr: Some(vec![]),
        ..Default::default()
    };
    let total = topic.partitions().len() as i32;
    DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name().to_owned()),
        topic_id: Uuid::from_u128(topic.id()),
        is_internal: is_internal(topic.name()),
        partitions: (start..total.min(start.saturating_add(most))).map(partition).collect(),
        ..Default::default()
    }
}
