//! What `__transaction_state` holds, byte by byte (docs/internals/broker.md). Numbers are little-endian.

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fleuve_base::{Error, Result};

use super::transaction::{Producer, State, Transaction, TxnPartition};
use crate::state_topic::Entry;

/// The topic.
pub const TRANSACTION_TOPIC: &str = "__transaction_state";

const VERSION: u8 = 1;

/// Bytes before the partitions.
const FIXED_BYTES: usize = 52;

/// The record that makes `transaction` durable; `None` forgets the transactional id.
pub(crate) fn encode(id: &str, transaction: Option<&Transaction>) -> Entry {
    let key = Bytes::from([&[VERSION], id.as_bytes()].concat());
    (key, transaction.map(encode_value))
}

fn encode_value(transaction: &Transaction) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(VERSION);
    bytes.put_u8(transaction.state as u8);
    bytes.put_u8(u8::from(transaction.bumped));
    bytes.put_u8(0);
    bytes.put_i64_le(transaction.producer.id);
    bytes.put_i64_le(transaction.previous_id);
    bytes.put_i64_le(transaction.next_id);
    bytes.put_i16_le(transaction.producer.epoch);
    bytes.put_i16_le(transaction.last_epoch);
    bytes.put_i32_le(transaction.timeout_ms);
    bytes.put_i64_le(transaction.start_ms);
    bytes.put_i64_le(transaction.last_update_ms);
    bytes.put_u32_le(transaction.partitions.len() as u32);
    for partition in &transaction.partitions {
        bytes.put_u128_le(partition.topic_id);
        bytes.put_u32_le(partition.partition);
    }
    bytes.put_u32_le(transaction.groups.len() as u32);
    for group in &transaction.groups {
        bytes.put_u16_le(
            u16::try_from(group.len()).expect("a group's name is a string of the protocol, at most 32 KiB"),
        );
        bytes.put_slice(group.as_bytes());
    }
    bytes.freeze()
}

/// The transactional id and its state; `None` if it was forgotten.
pub(crate) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<(String, Option<Transaction>)> {
    let Some((&VERSION, id)) = key.split_first() else { return Err(damaged("a key has an unknown version")) };
    let id = std::str::from_utf8(id).map_err(|_| damaged("a transactional id is not UTF-8"))?;
    Ok((id.to_owned(), value.map(decode_value).transpose()?))
}

fn decode_value(mut value: &[u8]) -> Result<Transaction> {
    if value.first() != Some(&VERSION) {
        return Err(damaged("a value has an unknown version"));
    }
    need(value, FIXED_BYTES)?;
    value.advance(1);
    let state = usize::from(value.get_u8());
    let state = *State::ALL.get(state).ok_or_else(|| damaged("a transaction has an unknown state"))?;
    let bumped = value.get_u8() != 0;
    value.advance(1);
    let (id, previous_id, next_id) = (value.get_i64_le(), value.get_i64_le(), value.get_i64_le());
    let (epoch, last_epoch, timeout_ms) = (value.get_i16_le(), value.get_i16_le(), value.get_i32_le());
    let (start_ms, last_update_ms) = (value.get_i64_le(), value.get_i64_le());
    let partitions = decode_partitions(&mut value)?;
    let groups = decode_groups(&mut value)?;
    if value.has_remaining() {
        return Err(damaged("a record is longer than it should be"));
    }
    let producer = Producer { id, epoch };
    Ok(Transaction {
        producer,
        last_epoch,
        previous_id,
        next_id,
        timeout_ms,
        state,
        partitions,
        groups,
        start_ms,
        last_update_ms,
        bumped,
    })
}

fn decode_partitions(value: &mut &[u8]) -> Result<BTreeSet<TxnPartition>> {
    need(value, 4)?;
    let mut partitions = BTreeSet::new();
    for _ in 0..value.get_u32_le() {
        need(value, 20)?;
        partitions.insert(TxnPartition { topic_id: value.get_u128_le(), partition: value.get_u32_le() });
    }
    Ok(partitions)
}

fn decode_groups(value: &mut &[u8]) -> Result<BTreeSet<String>> {
    need(value, 4)?;
    let mut groups = BTreeSet::new();
    for _ in 0..value.get_u32_le() {
        need(value, 2)?;
        let length = usize::from(value.get_u16_le());
        need(value, length)?;
        let name = std::str::from_utf8(&value[..length]).map_err(|_| damaged("a group's name is not UTF-8"))?;
        groups.insert(name.to_owned());
        value.advance(length);
    }
    Ok(groups)
}

fn need(value: &[u8], bytes: usize) -> Result<()> {
    if value.len() >= bytes { Ok(()) } else { Err(damaged("a record is cut off")) }
}

fn damaged(what: &str) -> Error {
    Error::corrupt(format!("in the topic {TRANSACTION_TOPIC}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transactions::transaction::{NO_ID, Participant};

    fn sample() -> Transaction {
        let mut transaction = Transaction::new(1).rotated(i64::MAX - 1, None, 60_000, 2);
        let partition = TxnPartition { topic_id: u128::MAX / 3, partition: 4095 };
        let more = [Participant::Partition(partition), Participant::Group("gröup".to_owned())];
        transaction.add(more, 3).unwrap();
        transaction.prepared(true, true, NO_ID, 4)
    }

    #[test]
    fn what_is_written_is_read() {
        for transaction in [sample(), sample().completed(9), Transaction::new(0)] {
            let (key, value) = encode("ïd", Some(&transaction));
            assert_eq!(decode(&key, value.as_deref()).unwrap(), ("ïd".to_owned(), Some(transaction)));
        }
        let (key, value) = encode("id", None);
        assert_eq!(decode(&key, value.as_deref()).unwrap(), ("id".to_owned(), None));
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_an_error() {
        let (key, value) = encode("id", Some(&sample()));
        let value = value.unwrap();
        for length in 0..value.len() {
            assert!(decode(&key, Some(&value[..length])).is_err(), "cut at {length}");
        }
        assert!(decode(&key, Some(&[&value[..], &[0]].concat())).is_err());
        assert!(decode(&[2, b'x'], Some(&value)).is_err());
        assert!(decode(&[], Some(&value)).is_err());
        assert!(decode(&key, Some(&[&[2], &value[1..]].concat())).is_err());
        assert!(decode(&key, Some(&[&[VERSION, 6], &value[2..]].concat())).is_err());
    }
}
