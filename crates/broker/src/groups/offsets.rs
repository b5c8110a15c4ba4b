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
    fn encode(&self, writer: Writer, order: u64) -> Bytes {
        writer
            .u64(order)
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
    /// Whether there is neither a committed offset nor a staged one.
    pub fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.staged.is_empty()
    }

    /// The committed offset of a partition.
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

    /// Commits an offset; the step makes it durable.
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
        self.committed.get(at).map(|(order, offset)| offset.encode(Writer::default().u8(VERSION), *order))
    }

    /// The value of the staged offset's record.
    pub fn encode_staged(&self, producer_id: i64, at: &TopicPartition) -> Option<Bytes> {
        let staged = self.staged.get(&producer_id)?;
        let (order, offset) = staged.offsets.get(at)?;
        Some(offset.encode(Writer::default().u8(VERSION).i16(staged.epoch), *order))
    }

    /// Takes up the record of a committed offset.
    pub fn load(&mut self, at: TopicPartition, value: Option<Bytes>) -> Result<()> {
        let Some(value) = value else {
            self.committed.remove(&at);
            return Ok(());
        };
        let mut reader = Reader(value);
        check_version(&mut reader)?;
        let order = reader.u64()?;
        self.commits = self.commits.max(order);
        self.committed.insert(at, (order, Offset::decode(&mut reader)?));
        Ok(())
    }

    /// Takes up the record of a staged offset.
    pub fn load_staged(&mut self, producer_id: i64, at: TopicPartition, value: Option<Bytes>) -> Result<()> {
        let staged = self.staged.entry(producer_id).or_default();
        if let Some(value) = value {
            let mut reader = Reader(value);
            check_version(&mut reader)?;
            staged.epoch = reader.i16()?;
            let order = reader.u64()?;
            self.commits = self.commits.max(order);
            staged.offsets.insert(at, (order, Offset::decode(&mut reader)?));
        } else {
            staged.offsets.remove(&at);
        }
        self.staged.retain(|_, staged| !staged.offsets.is_empty());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::config::GroupConfig;
    use crate::groups::step::Counting;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    fn offset(offset: i64) -> Offset {
        Offset { offset, leader_epoch: 0, metadata: String::new(), committed_ms: 1000, topic_id: 7 }
    }

    /// Runs steps, and gives the keys that they changed.
    fn run(offsets: &mut Offsets, now_ms: i64, f: impl FnOnce(&mut Offsets, &mut Step<'_>)) -> Vec<Key> {
        let (config, random) = (GroupConfig::default(), Counting::default());
        let mut step = Step::new(Duration::ZERO, now_ms, &config, &random);
        f(offsets, &mut step);
        step.dirty.into_iter().collect()
    }

    #[test]
    fn staged_offsets_are_seen_when_their_transaction_commits() {
        let mut offsets = Offsets::default();
        run(&mut offsets, 0, |offsets, step| offsets.commit(step, at(0), offset(1)));
        let keys = run(&mut offsets, 0, |offsets, step| offsets.stage(step, (9, 0), at(0), offset(5)));
        assert_eq!(keys, [Key::Staged(9, at(0))]);
        assert!(offsets.is_unstable(&at(0)) && !offsets.is_unstable(&at(1)));
        assert_eq!(offsets.get(&at(0)), Some(&offset(1)));
        let keys = run(&mut offsets, 0, |offsets, step| offsets.complete(step, 9, true));
        assert_eq!(keys, [Key::Offset(at(0)), Key::Staged(9, at(0))]);
        assert_eq!((offsets.get(&at(0)), offsets.is_unstable(&at(0))), (Some(&offset(5)), false));
        assert_eq!(run(&mut offsets, 0, |offsets, step| offsets.complete(step, 9, false)), [], "a second time");
    }

    #[test]
    fn an_aborted_transaction_leaves_no_trace() {
        let mut offsets = Offsets::default();
        run(&mut offsets, 0, |offsets, step| offsets.stage(step, (9, 0), at(0), offset(5)));
        let keys = run(&mut offsets, 0, |offsets, step| offsets.complete(step, 9, false));
        assert_eq!((keys, offsets.is_empty()), (vec![Key::Staged(9, at(0))], true));
    }

    #[test]
    fn the_later_commit_counts_even_if_the_transaction_ends_after_it() {
        let mut offsets = Offsets::default();
        run(&mut offsets, 0, |offsets, step| {
            offsets.stage(step, (9, 0), at(0), offset(5));
            offsets.commit(step, at(0), offset(6));
            offsets.complete(step, 9, true);
        });
        assert_eq!(offsets.get(&at(0)), Some(&offset(6)));
    }

    #[test]
    fn what_was_stored_is_loaded_in_its_order() {
        let mut offsets = Offsets::default();
        run(&mut offsets, 0, |offsets, step| {
            offsets.commit(step, at(0), offset(6));
            offsets.stage(step, (9, 3), at(0), offset(7));
        });
        let mut loaded = Offsets::default();
        loaded.load(at(0), offsets.encode(&at(0))).unwrap();
        loaded.load_staged(9, at(0), offsets.encode_staged(9, &at(0))).unwrap();
        assert_eq!(loaded, offsets);
        loaded.load_staged(9, at(0), None).unwrap();
        loaded.load(at(0), None).unwrap();
        assert!(loaded.is_empty());
    }

    #[test]
    fn old_offsets_expire_unless_a_transaction_is_about_them() {
        let mut offsets = Offsets::default();
        let expire = |offsets: &mut Offsets, step: &mut Step<'_>| offsets.expire(step, Duration::from_secs(1));
        run(&mut offsets, 0, |offsets, step| {
            offsets.commit(step, at(0), offset(1));
            offsets.commit(step, at(1), offset(1));
            offsets.stage(step, (9, 0), at(1), offset(2));
        });
        assert_eq!(run(&mut offsets, 1999, expire), []);
        assert_eq!(run(&mut offsets, 2000, expire), [Key::Offset(at(0))]);
        assert!(offsets.get(&at(1)).is_some());
    }
}
