//! What a fetch asks for, partition by partition.

use std::sync::Arc;

use fleuve_wire::Uuid;
use fleuve_wire::messages::fetch_request::{FetchPartition, FetchTopic};

use crate::topics::TopicKey;

/// A topic as a request names it: by name, or from version 13 on by id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TopicName {
    pub(super) name: String,
    pub(super) id: Uuid,
}

impl TopicName {
    pub(super) fn key(&self) -> TopicKey<'_> {
        if self.id.is_nil() { TopicKey::Name(&self.name) } else { TopicKey::Id(self.id) }
    }
}

/// One partition, and from where on it is wanted.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) topic: Arc<TopicName>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) max_bytes: i32,
    pub(super) leader_epoch: i32,
}

impl Wanted {
    fn new(topic: &Arc<TopicName>, partition: &FetchPartition) -> Self {
        Wanted {
            topic: Arc::clone(topic),
            partition: partition.partition,
            offset: partition.fetch_offset,
            max_bytes: partition.partition_max_bytes,
            leader_epoch: partition.current_leader_epoch,
        }
    }

    /// All partitions of a request, in its order.
    pub(super) fn of(topics: Vec<FetchTopic>) -> impl Iterator<Item = Wanted> {
        topics.into_iter().flat_map(|topic| {
            let name = Arc::new(TopicName { name: topic.topic, id: topic.topic_id });
            topic.partitions.into_iter().map(move |partition| Wanted::new(&name, &partition))
        })
    }
}
