//! The offsets of one group: committed ones, and those that transactions hold ready.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use fleuve_base::Result;

use super::fields::{Reader, Writer};
use super::record::{Key, TopicPartition, VERSION, check_version};
use super::step::Step;

/// How far a group has come in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offset {
    /// The next record to be read.
    pub offset: i64,
    /// The leader epoch of the last one that was read; −1 if unknown.
    pub leader_epoch: i32,
    /// What the client says beside.
    pub metadata: String,
    /// When it was committed, in milliseconds since 1970.
    pub committed_ms: i64,
    /// The topic's id, so that another topic of the same name has nothing to do with it.
    pub topic_id: u128,
}

impl Offset {
    fn encode(&self, writer: Writer) -> Bytes {
        writer
            .i64(self.offset)
            .i32(self.leader_epoch)
            .i64(self.committed_ms)
            .u128(self.topic_id)
            .str(&self.metadata)
            .finish()
    }

    fn decode(reader: &mut Reader) -> Result<Self> {
        Ok(Offset {
            offset: reader.i64()?,
            leader_epoch: reader.i32()?,
            committed_ms: reader.i64()?,
            topic_id: reader.u128()?,
            metadata: reader.str()?,
        })
    }
}

/// Offsets that become the group's when their transaction commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Staged {
    epoch: i16,
    /// With their order among all commits of the group.
    offsets: BTreeMap<TopicPartition, (u64, Offset)>,
}

/// All offsets of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    committed: BTreeMap<TopicPartition, (u64, Offset)>,
    /// By producer id.
    staged: BTreeMap<i64, Staged>,
    /// Counts the commits: the later of two counts, be it a transaction's or not.
    commits: u64,
}

impl Offsets {
    pub fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.staged.is_empty()
    }

    pub fn get(&self, at: &TopicPartition) -> Option<&Offset> {
        self.committed.get(at).map(|(_, offset)| offset)
    }

    /// All committed ones, in order.
    pub fn committed(&self) -> impl Iterator<Item = (&TopicPartition, &Offset)> {
        self.committed.iter().map(|(at, (_, offset))| (at, offset))
    }

    /// All partitions about which anything is known.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.committed.keys().chain(self.staged.values().flat_map(|staged| staged.offsets.keys()))
    }

    /// Whether a transaction that has not ended may change the offset of this partition.
    pub fn is_unstable(&self, at: &TopicPartition) -> bool {
        self.staged.values().any(|staged| staged.offsets.contains_key(at))
    }

    pub fn commit(&mut self, step: &mut Step<'_>, at: TopicPartition, offset: Offset) {
        step.change(Key::Offset(at.clone()));
        self.commits += 1;
        self.committed.insert(at, (self.commits, offset));
    }

    /// Forgets an offset; a transaction's, too, for its partition is gone.
    pub fn remove(&mut self, step: &mut Step<'_>, at: &TopicPartition) {
        if self.committed.remove(at).is_some() {
            step.change(Key::Offset(at.clone()));
        }
        for (&producer_id, staged) in &mut self.staged {
            if staged.offsets.remove(at).is_some() {
                step.change(Key::Staged(producer_id, at.clone()));
            }
        }
        self.staged.retain(|_, staged| !staged.offsets.is_empty());
    }

    #[allow(dead_code)] // For transactions.
    /// Holds an offset ready for the end of the producer's transaction.
    pub fn stage(&mut self, step: &mut Step<'_>, producer: (i64, i16), at: TopicPartition, offset: Offset) {
        step.change(Key::Staged(producer.0, at.clone()));
        self.commits += 1;
        let staged = self.staged.entry(producer.0).or_default();
        staged.epoch = producer.1;
        staged.offsets.insert(at, (self.commits, offset));
    }

    /// The producer's transaction has ended. Doing it again does nothing.
    pub fn complete(&mut self, step: &mut Step<'_>, producer_id: i64, committed: bool) {
        let Some(staged) = self.staged.remove(&producer_id) else { return };
        for (at, (order, offset)) in staged.offsets {
            step.change(Key::Staged(producer_id, at.clone()));
            let newer = self.committed.get(&at).is_none_or(|(known, _)| *known < order);
            if committed && newer {
                step.change(Key::Offset(at.clone()));
                self.committed.insert(at, (order, offset));
            }
        }
    }

    /// Forgets what was committed longer than `retention` ago and no transaction is about.
    pub fn expire(&mut self, step: &mut Step<'_>, retention: Duration) {
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let until_ms = step.now_ms.saturating_sub(retention_ms);
        let old = self.committed().filter(|(at, offset)| offset.committed_ms <= until_ms && !self.is_unstable(at));
        let old: Vec<TopicPartition> = old.map(|(at, _)| at.clone()).collect();
        old.iter().for_each(|at| self.remove(step, at));
    }

    /// Producers whose transactions hold offsets ready here.
    pub fn producers(&self) -> impl Iterator<Item = i64> {
        self.staged.keys().copied()
    }

    /// The value of the committed offset's record.
    pub fn encode(&self, at: &TopicPartition) -> Option<Bytes> {
        self.get(at).map(|offset| offset.encode(Writer::default().u8(VERSION)))
    }

    /// The value of the staged offset's record.
    pub fn encode_staged(&self, producer_id: i64, at: &TopicPartition) -> Option<Bytes> {
        let staged = self.staged.get(&producer_id)?;
        let (_, offset) = staged.offsets.get(at)?;
        Some(offset.encode(Writer::default().u8(VERSION).i16(staged.epoch)))
    }

    /// Takes up the record of a committed offset.
    pub fn load(&mut self, at: TopicPartition, value: Option<Bytes>) -> Result<()> {
        let Some(value) = value else {
            self.committed.remove(&at);
            return Ok(());
        };
        let mut reader = Reader(value);
        check_version(&mut reader)?;
        self.commits += 1;
        self.committed.insert(at, (self.commits, Offset::decode(&mut reader)?));
        Ok(())
    }

    /// Takes up the record of a staged offset.
    pub fn load_staged(&mut self, producer_id: i64, at: TopicPartition, value: Option<Bytes>) -> Result<()> {
        let staged = self.staged.entry(producer_id).or_default();
        if let Some(value) = value {
            let mut reader = Reader(value);
            check_version(&mut reader)?;
            staged.epoch = reader.i16()?;
            self.commits += 1;
            staged.offsets.insert(at, (self.commits, Offset::decode(&mut reader)?));
        } else {
            staged.offsets.remove(&at);
        }
        self.staged.retain(|_, staged| !staged.offsets.is_empty());
        Ok(())
    }
}
