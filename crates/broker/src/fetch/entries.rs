//! The partitions of a fetch session, in the order in which they are read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fleuve_wire::messages::fetch_response::PartitionData;

use super::wanted::{TopicName, Wanted};

/// Partitions of one session; a fetch of more goes without.
pub(super) const SESSION_PARTITIONS_MAX: usize = 100_000;

/// Partitions by their place in the line, and their places by name.
#[derive(Default)]
pub(super) struct Entries {
    line: BTreeMap<u64, Entry>,
    places: HashMap<(Arc<TopicName>, i32), u64>,
    next_place: u64,
}

struct Entry {
    wanted: Wanted,
    /// What the consumer knows of the partition; `None` before the first answer and after an error.
    told: Option<Told>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    high_watermark: i64,
    log_start_offset: i64,
}

impl Told {
    fn of(data: &PartitionData) -> Option<Self> {
        let told = Told { high_watermark: data.high_watermark, log_start_offset: data.log_start_offset };
        (data.error_code == 0).then_some(told)
    }
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.line.len()
    }

    /// All partitions, in their order.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        self.line.values().map(|entry| entry.wanted.clone()).collect()
    }

    /// Adds a partition whose first answer is this.
    pub(super) fn begin(&mut self, wanted: Wanted, data: &PartitionData) {
        self.insert(Entry { wanted, told: Told::of(data) });
    }

    /// Adds a partition at the end of the line.
    fn insert(&mut self, entry: Entry) {
        let key = (Arc::clone(&entry.wanted.topic), entry.wanted.partition);
        let place = self.next_place;
        self.next_place += 1;
        if let Some(old) = self.places.insert(key, place) {
            self.line.remove(&old);
        }
        self.line.insert(place, entry);
    }

    /// Adds a partition, or changes from where on it is wanted.
    pub(super) fn want(&mut self, wanted: Wanted) {
        let place = self.places.get(&(Arc::clone(&wanted.topic), wanted.partition)).copied();
        if let Some(entry) = place.and_then(|place| self.line.get_mut(&place)) {
            entry.wanted = Wanted { topic: Arc::clone(&entry.wanted.topic), ..wanted };
        } else if self.len() < SESSION_PARTITIONS_MAX {
            self.insert(Entry { wanted, told: None });
        } else {
            // The consumer gets nothing of it in this session; the protocol has no error for that.
            tracing::warn!("a fetch session wants more than {SESSION_PARTITIONS_MAX} partitions");
        }
    }

    pub(super) fn forget(&mut self, topic: &Arc<TopicName>, partition: i32) {
        if let Some(place) = self.places.remove(&(Arc::clone(topic), partition)) {
            self.line.remove(&place);
        }
    }

    /// Whether the answer tells something new; notes that it was told. Partitions that gave records go to the end of
    /// the line, so that none starves when answers are full.
    pub(super) fn tell(&mut self, wanted: &Wanted, data: &PartitionData) -> bool {
        let place = self.places.get(&(Arc::clone(&wanted.topic), wanted.partition)).copied();
        let Some(place) = place else { return is_news(data) };
        let entry = self.line.get_mut(&place).expect("a place in the line is taken");
        let told = Told::of(data);
        let changed = told != entry.told;
        entry.told = told;
        if has_records(data) {
            let entry = self.line.remove(&place).expect("it was there just now");
            self.insert(entry);
        }
        changed || is_news(data)
    }
}

/// Whether an answer must be given whatever was told before.
pub(super) fn is_news(data: &PartitionData) -> bool {
    has_records(data) || data.error_code != 0
}

fn has_records(data: &PartitionData) -> bool {
    data.records.as_ref().is_some_and(|records| !records.is_empty())
}
