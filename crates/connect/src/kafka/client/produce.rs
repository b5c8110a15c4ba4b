//! Writing records: gathered into a batch for each partition, acknowledged by all replicas.

use std::collections::BTreeMap;

use bytes::Bytes;
use fleuve_base::{Error, Result};
use fleuve_record::{BatchBuilder, Codec};
use fleuve_wire::ErrorCode;
use fleuve_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};

use super::topics::TopicInfo;
use super::{Client, answer, check};

/// Bytes of a batch; the next record begins another one.
const BATCH_BYTES: usize = 256 << 10;

/// How long the replicas may take, in ms.
const TIMEOUT_MS: i32 = 10_000;

/// All replicas that are in sync.
const ACKS_ALL: i16 = -1;

/// What was written so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Produced {
    /// Records that a broker has acknowledged.
    pub records: u64,
}

/// Writes into one topic. A request that gets no answer is not sent again: the error says what is not known.
pub struct Producer {
    topic: TopicInfo,
    codec: Codec,
    open: BTreeMap<i32, BatchBuilder>,
    /// Records without a key go to one partition until its batch is full.
    turn: usize,
    produced: Produced,
}

impl Producer {
    /// A producer whose batches are compressed with `codec`.
    pub fn new(topic: TopicInfo, codec: Codec) -> Self {
        Producer { topic, codec, open: BTreeMap::new(), turn: 0, produced: Produced::default() }
    }

    /// Adds a record: to the stated partition, or the key's (as Kafka's own clients choose it), or any.
    pub fn push(
        &mut self,
        client: &mut Client,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> Result<()> {
        let count = self.topic.partitions.len().max(1);
        let number = match (partition, key) {
            (Some(number), _) => number,
            (None, Some(key)) => partition_of(key, count),
            (None, None) => (self.turn % count) as i32,
        };
        let codec = self.codec;
        let batch = self.open.entry(number).or_insert_with(|| BatchBuilder::new().codec(codec));
        batch.append(client.env().clock.now_ms(), key, value, headers)?;
        if batch.batch_bytes() >= BATCH_BYTES {
            self.turn += 1;
            self.flush(client)?;
        }
        Ok(())
    }

    /// Sends what is gathered and waits until it is acknowledged.
    pub fn flush(&mut self, client: &mut Client) -> Result<Produced> {
        let mut left = BTreeMap::new();
        for (partition, batch) in std::mem::take(&mut self.open) {
            let records = batch.len() as u64;
            left.insert(partition, (records, batch.finish()?.into_view().bytes().clone()));
        }
        self.send(client, left)?;
        Ok(self.produced)
    }

    /// Batches whose partition has moved are sent to where it is now.
    fn send(&mut self, client: &mut Client, mut left: BTreeMap<i32, (u64, Bytes)>) -> Result<()> {
        while !left.is_empty() {
            let unsent = client.again(|client| {
                let unsent = self.send_once(client, &left)?;
                let code = if unsent.is_empty() { ErrorCode::NONE } else { ErrorCode::NOT_LEADER_OR_FOLLOWER };
                left.retain(|partition, _| unsent.contains_key(partition));
                Ok((code, unsent))
            })?;
            if let Some((partition, code)) = unsent.into_iter().next() {
                check("Produce", &format!("topic `{}`, partition {partition}", self.topic.name), code, None)?;
            }
        }
        Ok(())
    }

    fn send_once(&mut self, client: &mut Client, left: &BTreeMap<i32, (u64, Bytes)>) -> Result<BTreeMap<i32, i16>> {
        let mut unsent = BTreeMap::new();
        let mut by_leader: BTreeMap<i32, Vec<PartitionProduceData>> = BTreeMap::new();
        for (partition, (_, batch)) in left {
            let data = PartitionProduceData { index: *partition, records: Some(batch.clone()) };
            by_leader.entry(self.topic.leader(*partition)?).or_default().push(data);
        }
        for (leader, partition_data) in by_leader {
            let topic = TopicProduceData { name: self.topic.name.clone(), partition_data, ..Default::default() };
            let request = ProduceRequest {
                acks: ACKS_ALL,
                timeout_ms: TIMEOUT_MS,
                topic_data: vec![topic],
                ..Default::default()
            };
            let answered = answer!(client.ask(leader, &request.into())?, Produce)?;
            for result in answered.responses.into_iter().flat_map(|topic| topic.partition_responses) {
                if is_moved(ErrorCode(result.error_code)) {
                    unsent.insert(result.index, result.error_code);
                    continue;
                }
                let what = format!("topic `{}`, partition {}", self.topic.name, result.index);
                check("Produce", &what, result.error_code, result.error_message.as_deref())?;
                self.produced.records += left.get(&result.index).map_or(0, |(records, _)| *records);
            }
        }
        if !unsent.is_empty() {
            self.topic = client.topic(&self.topic.name)?;
        }
        Ok(unsent)
    }
}

/// Whether the records were surely not written, because the partition is led elsewhere or by nobody.
fn is_moved(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::LEADER_NOT_AVAILABLE | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    )
}

/// The partition of a key, as Kafka's Java client chooses it.
pub(crate) fn partition_of(key: &[u8], partitions: usize) -> i32 {
    let positive = murmur2(key) & 0x7fff_ffff;
    (positive as usize % partitions) as i32
}

/// MurmurHash2 (Austin Appleby, 2008), 32 bits, with the seed that Kafka uses.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut hash = SEED ^ bytes.len() as u32;
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        let mut word = u32::from_le_bytes(chunk.try_into().expect("a chunk has four bytes")).wrapping_mul(M);
        word = (word ^ word >> 24).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ word;
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0u32, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

/// A compression's name, for an option.
///
/// # Errors
/// There is none of that name.
pub fn codec(name: &str) -> Result<Codec> {
    Codec::from_name(name).ok_or_else(|| {
        Error::input("E019", format!("there is no compression `{name}`")).with_hint("none, gzip, snappy, lz4 or zstd")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_where_kafkas_own_client_sends_them() {
        // From Kafka's UtilsTest.
        let known: [(&[u8], i32); 7] = [
            (b"21", -973932308),
            (b"foobar", -790332482),
            (b"a-little-bit-long-string", -985981536),
            (b"a-little-bit-longer-string", -1486304829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            (b"abc", 479470107),
            (b"", 275646681),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key) as i32, hash, "{}", String::from_utf8_lossy(key));
        }
    }
}
