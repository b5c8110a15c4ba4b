//! Topics as clients see them: found by name or id, created, deleted, extended.

mod create;
mod delete;
mod describe;
mod partitions;

use std::sync::Arc;

use fleuve_journal::{Partition, Topic};
use fleuve_wire::{ErrorCode, Uuid};

use crate::broker::Broker;

/// Internal topics that clients may see and, with permission, read: Kafka's own.
const INTERNAL: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// Internal topics that no client sees: users' credentials, the broker's own state, pipelines' journals.
const HIDDEN: [&str; 3] = [crate::cluster::CLUSTER_TOPIC, "__security", "__epochs"];

/// Pipelines' own topics begin like this; no client sees them either.
const HIDDEN_PREFIXES: [&str; 2] = ["__ingest", "__files"];

/// Whether clients may not write the topic or change it.
pub(crate) fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name) || is_hidden(name)
}

/// Whether the topic is as if it were not there.
pub(crate) fn is_hidden(name: &str) -> bool {
    name.starts_with("__") && (HIDDEN.contains(&name) || HIDDEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// How a request names a topic: by name in old versions, by id in new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicKey<'a> {
    Name(&'a str),
    Id(Uuid),
}

impl TopicKey<'_> {
    /// The error if there is no such topic.
    pub(crate) fn missing(self) -> ErrorCode {
        match self {
            TopicKey::Name(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            TopicKey::Id(_) => ErrorCode::UNKNOWN_TOPIC_ID,
        }
    }
}

impl Broker {
    /// The topic, or the error that Kafka gives for a name or an id that is not there.
    pub(crate) fn topic(&self, key: TopicKey<'_>) -> Result<Arc<Topic>, ErrorCode> {
        let found = match key {
            TopicKey::Name(name) => self.log.topic(name),
            TopicKey::Id(id) => self.log.topic_by_id(id.to_u128()),
        };
        found.ok().filter(|topic| !is_hidden(topic.name())).ok_or(key.missing())
    }

    /// All topics that clients may know of, by name.
    pub(crate) fn visible_topics(&self) -> Vec<Arc<Topic>> {
        let mut topics = self.log.topics();
        topics.retain(|topic| !is_hidden(topic.name()));
        topics
    }
}

/// The partition, or `UNKNOWN_TOPIC_OR_PARTITION`.
pub(crate) fn partition(topic: &Topic, number: i32) -> Result<&Arc<Partition>, ErrorCode> {
    let found = u32::try_from(number).ok().and_then(|number| topic.partitions().get(number as usize));
    found.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
}
