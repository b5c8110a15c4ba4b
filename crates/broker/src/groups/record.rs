//! The records of `__consumer_offsets`: how keys are written, and what kinds of values there are.
//!
//! `docs/internals/broker.md` draws them byte by byte. The values are written and read beside the types that they hold.

use bytes::Bytes;
use fleuve_base::{Error, Result};

use super::fields::{Reader, Writer};

/// The version of all keys and values here.
pub(crate) const VERSION: u8 = 1;

/// Partition `partition` of the topic of this name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TopicPartition {
    pub topic: String,
    pub partition: i32,
}

impl TopicPartition {
    /// A partition by its topic's name and its number.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        TopicPartition { topic: topic.into(), partition }
    }

    fn read(reader: &mut Reader) -> Result<Self> {
        Ok(TopicPartition { topic: reader.str()?, partition: reader.i32()? })
    }
}

/// What a record of one group is about. The group itself comes last, so that a record about it tells that those
/// before it in the same step are there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// A committed offset.
    Offset(TopicPartition),
    /// An offset in a transaction of this producer that has not ended.
    Staged(i64, TopicPartition),
    /// A member, by its id.
    Member(String),
    /// The group.
    Group,
}

impl Key {
    /// The record's key.
    pub fn encode(&self, group: &str) -> Bytes {
        let writer = Writer::default().u8(VERSION);
        match self {
            Key::Offset(at) => writer.u8(1).str(group).str(&at.topic).i32(at.partition),
            Key::Staged(producer_id, at) => writer.u8(2).str(group).i64(*producer_id).str(&at.topic).i32(at.partition),
            Key::Member(id) => writer.u8(3).str(group).str(id),
            Key::Group => writer.u8(4).str(group),
        }
        .finish()
    }

    /// The group and the key.
    pub fn decode(bytes: Bytes) -> Result<(String, Key)> {
        let mut reader = Reader(bytes);
        check_version(&mut reader)?;
        let (kind, group) = (reader.u8()?, reader.str()?);
        let key = match kind {
            1 => Key::Offset(TopicPartition::read(&mut reader)?),
            2 => Key::Staged(reader.i64()?, TopicPartition::read(&mut reader)?),
            3 => Key::Member(reader.str()?),
            4 => Key::Group,
            other => return Err(Error::corrupt(format!("a record of a group is of the unknown kind {other}"))),
        };
        Ok((group, key))
    }
}

/// Refuses what another version wrote.
pub(crate) fn check_version(reader: &mut Reader) -> Result<()> {
    match reader.u8()? {
        VERSION => Ok(()),
        other => Err(Error::corrupt(format!("a record of a group has the unknown version {other}"))),
    }
}

/// Which protocol the members of a group speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupType {
    Classic,
    Consumer,
}

impl GroupType {
    /// As ListGroups calls it.
    pub fn name(self) -> &'static str {
        match self {
            GroupType::Classic => "classic",
            GroupType::Consumer => "consumer",
        }
    }

    /// Begins a value that depends on the type.
    pub fn begin(self) -> Writer {
        Writer::default().u8(VERSION).u8(self as u8)
    }

    /// Reads the beginning of such a value.
    pub fn read(reader: &mut Reader) -> Result<Self> {
        check_version(reader)?;
        match reader.u8()? {
            0 => Ok(GroupType::Classic),
            1 => Ok(GroupType::Consumer),
            other => Err(Error::corrupt(format!("a group is of the unknown type {other}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_were_written() {
        let at = TopicPartition::new("t", 3);
        for key in [Key::Offset(at.clone()), Key::Staged(7, at), Key::Member("m".to_owned()), Key::Group] {
            assert_eq!(Key::decode(key.encode("g")).unwrap(), ("g".to_owned(), key));
        }
        assert_eq!(Key::decode(Bytes::from_static(&[9, 9])).unwrap_err().code(), "E901");
    }
}
