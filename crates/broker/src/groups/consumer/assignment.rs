//! Sets of partitions, by topic.

use std::collections::{BTreeMap, BTreeSet};

use fleuve_base::Result;

use crate::groups::fields::{Reader, Writer};

/// A partition: topic id and number.
pub(crate) type Partition = (u128, i32);

/// Partitions of topics. No topic is there without a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Assignment(BTreeMap<u128, BTreeSet<i32>>);

impl Assignment {
    /// Whether it holds no partition.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Partitions in it.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Whether the partition is in it.
    pub fn contains(&self, (topic, partition): Partition) -> bool {
        self.0.get(&topic).is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Adds a partition.
    pub fn insert(&mut self, (topic, partition): Partition) {
        self.0.entry(topic).or_default().insert(partition);
    }

    /// All partitions, by topic and number.
    pub fn iter(&self) -> impl Iterator<Item = Partition> {
        self.0.iter().flat_map(|(&topic, partitions)| partitions.iter().map(move |&partition| (topic, partition)))
    }

    /// The topics with their partitions.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = (u128, &BTreeSet<i32>)> {
        self.0.iter().map(|(&topic, partitions)| (topic, partitions))
    }

    /// Those for which `keep` holds.
    pub fn filtered(&self, keep: impl Fn(Partition) -> bool) -> Assignment {
        self.iter().filter(|&partition| keep(partition)).collect()
    }

    /// Whether `other` holds every partition of it.
    pub fn is_subset(&self, other: &Assignment) -> bool {
        self.iter().all(|partition| other.contains(partition))
    }

    /// Whether no partition is in both.
    pub fn is_disjoint(&self, other: &Assignment) -> bool {
        !self.iter().any(|partition| other.contains(partition))
    }

    /// Writes it as a field of a record.
    pub fn encode(&self, writer: Writer) -> Writer {
        writer.list(self.topics(), |writer, (topic, partitions)| {
            writer.u128(topic).list(partitions.iter(), |writer, &partition| writer.i32(partition))
        })
    }

    /// Reads what [`Assignment::encode`] wrote; `E901` if it is anything else.
    pub fn decode(reader: &mut Reader) -> Result<Self> {
        let topics = reader.list(|reader| Ok((reader.u128()?, reader.list(Reader::i32)?)))?;
        let partitions = topics.into_iter().flat_map(|(topic, list)| list.into_iter().map(move |p| (topic, p)));
        Ok(partitions.collect())
    }
}

impl FromIterator<Partition> for Assignment {
    fn from_iter<I: IntoIterator<Item = Partition>>(partitions: I) -> Self {
        let mut assignment = Assignment::default();
        partitions.into_iter().for_each(|partition| assignment.insert(partition));
        assignment
    }
}
