//! What this broker is to its clients: one node that is the whole cluster, with an id that never changes.

use std::sync::Arc;

use bytes::Bytes;
use fleuve_base::{Env, Error, Result};
use fleuve_journal::{Log, TopicConfig};
use fleuve_wire::{ErrorCode, Uuid};

use crate::failure::Outcome;
use crate::producers::NEXT_BLOCK_KEY;
use crate::state_topic::StateTopic;

/// This broker's id; it leads every partition.
pub const NODE_ID: i32 = 1;

/// The leader epoch of every partition: there is no election.
pub const LEADER_EPOCH: i32 = 0;

/// The topic of what belongs to the cluster as a whole.
pub const CLUSTER_TOPIC: &str = "__cluster_metadata";

const CLUSTER_ID_KEY: &[u8] = b"\x00cluster_id";

/// What the cluster's topic holds.
pub(crate) struct Cluster {
    pub(crate) topic: Arc<StateTopic>,
    /// A UUID as Kafka prints it.
    pub(crate) id: String,
    /// The first producer id that was never reserved.
    pub(crate) next_producer_id: i64,
}

impl Cluster {
    /// Loads the cluster's state; the first time it gets an id.
    pub(crate) fn open(env: &Env, log: &Log) -> Result<Self> {
        let topic = Arc::new(StateTopic::open(env, log, CLUSTER_TOPIC, TopicConfig::default())?);
        let (mut id, mut next_producer_id) = (None, 0);
        topic.load(|key, value| {
            match (&key[..], value) {
                (CLUSTER_ID_KEY, value) => id = value,
                (NEXT_BLOCK_KEY, Some(value)) => next_producer_id = number(&value)?,
                _ => {}
            }
            Ok(())
        })?;
        let id = match id {
            Some(id) => String::from_utf8(id.to_vec()).map_err(|_| Error::corrupt("the cluster id is not UTF-8"))?,
            None => create_id(env, &topic)?,
        };
        Ok(Cluster { topic, id, next_producer_id })
    }
}

fn number(value: &[u8]) -> Result<i64> {
    let bytes = value.try_into().map_err(|_| Error::corrupt("the next producer id has not 8 bytes"))?;
    Ok(i64::from_le_bytes(bytes))
}

fn create_id(env: &Env, topic: &StateTopic) -> Result<String> {
    let bits = u128::from(env.random.next_u64()) << 64 | u128::from(env.random.next_u64());
    let id = Uuid::from_u128(bits).to_string();
    topic.append_and_wait(&[(Bytes::from_static(CLUSTER_ID_KEY), Some(Bytes::from(id.clone())))])?;
    Ok(id)
}

/// Whether the client's idea of the leader epoch is ours; −1 is no idea.
pub(crate) fn check_leader_epoch(epoch: i32) -> Outcome<()> {
    match epoch {
        ..0 | LEADER_EPOCH => Ok(()),
        _ => Err(ErrorCode::UNKNOWN_LEADER_EPOCH.into()),
    }
}
