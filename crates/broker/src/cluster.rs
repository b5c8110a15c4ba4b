//! What this broker is to its clients: one node that is the whole cluster, with an id that never changes.

use bytes::Bytes;
use fleuve_base::{Env, Error, Result};
use fleuve_journal::{Log, TopicConfig};

use crate::state_topic::StateTopic;

/// This broker's id; it leads every partition.
pub const NODE_ID: i32 = 1;

/// The leader epoch of every partition: there is no election.
pub const LEADER_EPOCH: i32 = 0;

/// The topic of what belongs to the cluster as a whole.
pub const CLUSTER_TOPIC: &str = "__cluster_metadata";

/// Characters of a cluster id: 128 bits in base 64 without padding, as in Kafka.
const CLUSTER_ID_CHARACTERS: usize = 22;

const CLUSTER_ID_KEY: &[u8] = b"\x00cluster_id";

/// The cluster's own state: its id.
pub(crate) struct Cluster {
    pub(crate) id: String,
}

impl Cluster {
    /// Loads the cluster's state; the first time it gets an id.
    pub(crate) fn open(env: &Env, log: &Log) -> Result<Self> {
        let topic = StateTopic::open(env, log, CLUSTER_TOPIC, TopicConfig::default())?;
        let mut id = None;
        topic.load(|key, value| {
            if key == CLUSTER_ID_KEY {
                id = value;
            }
            Ok(())
        })?;
        let id = match id {
            Some(id) => String::from_utf8(id.to_vec()).map_err(|_| Error::corrupt("the cluster id is not UTF-8"))?,
            None => create_id(env, &topic)?,
        };
        Ok(Cluster { id })
    }
}

fn create_id(env: &Env, topic: &StateTopic) -> Result<String> {
    let bits = u128::from(env.random.next_u64()) << 64 | u128::from(env.random.next_u64());
    let id = base64_url(bits);
    topic.append_and_wait(&[(Bytes::from_static(CLUSTER_ID_KEY), Some(Bytes::from(id.clone())))])?;
    Ok(id)
}

/// 128 bits in base 64 with the alphabet for URLs (RFC 4648 §5), as Kafka prints UUIDs.
pub(crate) fn base64_url(bits: u128) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |index: usize| {
        let shift = 122 - 6 * index as i32;
        let six = if shift >= 0 { bits >> shift } else { bits << -shift };
        char::from(ALPHABET[(six & 63) as usize])
    };
    (0..CLUSTER_ID_CHARACTERS).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_printed_as_kafka_prints_them() {
        assert_eq!(base64_url(0), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(base64_url(1), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(base64_url(u128::MAX), "_____________________w");
    }
}
