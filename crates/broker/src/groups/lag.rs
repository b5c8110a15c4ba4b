//! How far behind groups are: for whoever watches the broker.

use super::Groups;
use crate::broker::Broker;

/// How far a group is behind in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLag {
    /// The group.
    pub group: String,
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// Records, durable ones, from the committed offset on.
    pub records: u64,
}

impl Broker {
    /// The lag of all groups in all partitions that they have committed offsets of, by name; at most `most` of them.
    pub fn group_lags(&self, most: usize) -> Vec<GroupLag> {
        self.groups.lags(most)
    }
}

impl Groups {
    fn lags(&self, most: usize) -> Vec<GroupLag> {
        let mut groups: Vec<_> = self.groups.read().values().cloned().collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        let mut lags = vec![];
        for group in groups {
            let state = group.state.lock();
            for (at, offset) in state.offsets.committed() {
                if lags.len() >= most {
                    return lags;
                }
                let topic = self.log.topic(&at.topic).ok().filter(|topic| topic.id() == offset.topic_id);
                let number = u32::try_from(at.partition).ok();
                let partition = topic.zip(number).and_then(|(topic, number)| topic.partition(number).ok().cloned());
                let Some(partition) = partition else { continue };
                let read = u64::try_from(offset.offset).unwrap_or(0).max(partition.log_start_offset());
                let records = partition.high_watermark().saturating_sub(read);
                lags.push(GroupLag {
                    group: group.name.clone(),
                    topic: at.topic.clone(),
                    partition: at.partition,
                    records,
                });
            }
        }
        lags
    }
}
