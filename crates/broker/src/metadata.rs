//! Metadata: which topics there are, and who leads their partitions. Here that is always this broker.

use std::sync::Arc;

use fleuve_journal::Topic;
use fleuve_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use fleuve_wire::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use fleuve_wire::{ErrorCode, Uuid};

use crate::broker::Broker;
use crate::cluster::{LEADER_EPOCH, NODE_ID};
use crate::security::{Operation, Resource};
use crate::session::Session;
use crate::topics::{TopicKey, is_internal};

impl Broker {
    pub(crate) fn metadata(&self, session: &Session, version: i16, request: &MetadataRequest) -> MetadataResponse {
        let mut topics = match asked_topics(version, request) {
            None => self.all_topics(session),
            Some(asked) => asked.iter().map(|topic| self.asked_topic(session, request, topic)).collect(),
        };
        if request.include_topic_authorized_operations {
            topics.iter_mut().for_each(|topic| self.add_topic_operations(session, topic));
        }
        let mut response = MetadataResponse {
            brokers: vec![self.as_metadata_broker(session)],
            cluster_id: Some(self.cluster_id().to_owned()),
            controller_id: NODE_ID,
            topics,
            ..Default::default()
        };
        if request.include_cluster_authorized_operations {
            response.cluster_authorized_operations = self.authorizer.authorized_operations(session, Resource::Cluster);
        }
        response
    }

    fn as_metadata_broker(&self, session: &Session) -> MetadataResponseBroker {
        let (host, port) = (session.listener.host.clone(), i32::from(session.listener.port));
        MetadataResponseBroker { node_id: NODE_ID, host, port, rack: None }
    }

    fn all_topics(&self, session: &Session) -> Vec<MetadataResponseTopic> {
        let mut topics = self.visible_topics();
        topics.retain(|topic| self.allows(session, Operation::Describe, Resource::Topic(topic.name())));
        topics.iter().map(|topic| describe(topic)).collect()
    }

    fn asked_topic(
        &self,
        session: &Session,
        request: &MetadataRequest,
        asked: &MetadataRequestTopic,
    ) -> MetadataResponseTopic {
        let found = match &asked.name {
            Some(name) => self.topic_by_name(session, request, name),
            None => self.topic_by_id(session, asked.topic_id),
        };
        found.map(|topic| describe(&topic)).unwrap_or_else(|code| MetadataResponseTopic {
            error_code: code.0,
            name: asked.name.clone(),
            topic_id: asked.topic_id,
            is_internal: asked.name.as_deref().is_some_and(is_internal),
            ..Default::default()
        })
    }

    fn topic_by_name(&self, session: &Session, request: &MetadataRequest, name: &str) -> Result<Arc<Topic>, ErrorCode> {
        if !self.allows(session, Operation::Describe, Resource::Topic(name)) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        }
        match self.topic(TopicKey::Name(name)) {
            Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
                if request.allow_auto_topic_creation && self.config.auto_create_topics =>
            {
                self.auto_create(session, name)
            }
            Err(code) if fleuve_journal::check_topic_name(name).is_ok() => Err(code),
            Err(_) => Err(ErrorCode::INVALID_TOPIC_EXCEPTION),
            found => found,
        }
    }

    fn topic_by_id(&self, session: &Session, id: Uuid) -> Result<Arc<Topic>, ErrorCode> {
        let topic = self.topic(TopicKey::Id(id))?;
        // Who may not know of the topic is told what he would be told if it were not there.
        match self.allows(session, Operation::Describe, Resource::Topic(topic.name())) {
            true => Ok(topic),
            false => Err(ErrorCode::UNKNOWN_TOPIC_ID),
        }
    }

    fn add_topic_operations(&self, session: &Session, topic: &mut MetadataResponseTopic) {
        if let (0, Some(name)) = (topic.error_code, &topic.name) {
            topic.topic_authorized_operations = self.authorizer.authorized_operations(session, Resource::Topic(name));
        }
    }
}

/// The topics that are asked for by name or id; `None` for all. Version 0 has no null, and an empty list means all.
fn asked_topics(version: i16, request: &MetadataRequest) -> Option<&[MetadataRequestTopic]> {
    request.topics.as_deref().filter(|topics| version > 0 || !topics.is_empty())
}

fn describe(topic: &Topic) -> MetadataResponseTopic {
    let partition = |number| MetadataResponsePartition {
        partition_index: number,
        leader_id: NODE_ID,
        leader_epoch: LEADER_EPOCH,
        replica_nodes: vec![NODE_ID],
        isr_nodes: vec![NODE_ID],
        ..Default::default()
    };
    MetadataResponseTopic {
        name: Some(topic.name().to_owned()),
        topic_id: Uuid::from_u128(topic.id()),
        is_internal: is_internal(topic.name()),
        partitions: (0..).take(topic.partitions().len()).map(partition).collect(),
        ..Default::default()
    }
}
