//! Groups in their topic: loaded when the broker opens, written step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleuve_base::{Env, Result};
use fleuve_journal::{Cleanup, Log, TopicConfig};
use parking_lot::MutexGuard;

use super::consumer::Topics;
use super::group::{Group, GroupState, Loading, Protocol};
use super::record::{Key, TopicPartition};
use super::step::Step;
use super::{GROUPS_TOPIC, GroupConfig, Groups};
use crate::state_topic::{Entry, StateTopic};
use crate::timers::Timers;

/// Bytes of records that are appended together. What a step changes beyond is appended in a second batch: a crash
/// between them leaves members and offsets of the first, which no group's record speaks of yet.
const APPEND_BYTES_MAX: usize = 8 << 20;

impl Groups {
    /// Loads all groups. Members have their session timeouts to come back.
    pub fn open(env: Env, log: Arc<Log>, timers: Arc<Timers>, config: GroupConfig) -> Result<Arc<Groups>> {
        let topic = TopicConfig { cleanup: Cleanup::Compact, ..TopicConfig::default() };
        let store = StateTopic::open(&env, &log, GROUPS_TOPIC, topic)?;
        let mut loading: BTreeMap<String, Loading> = BTreeMap::new();
        store.load(|key, value| {
            let (group, key) = Key::decode(key)?;
            loading.entry(group).or_default().load(key, value)
        })?;
        let groups = Arc::new(Groups {
            env,
            log,
            timers,
            config,
            store,
            groups: Default::default(),
            transactions: Default::default(),
            tokens: Default::default(),
            topics_version: Default::default(),
            closed: Default::default(),
            expiring: Default::default(),
        });
        for (name, loaded) in loading.into_iter().filter(|(_, loaded)| !loaded.is_empty()) {
            groups.resume(&name, loaded.finish()?);
        }
        Ok(groups)
    }

    fn resume(self: &Arc<Self>, name: &str, loaded: GroupState) {
        let group = Arc::new(Group::new(name));
        self.groups.write().insert(name.to_owned(), Arc::clone(&group));
        self.schedule_expiry();
        for producer_id in loaded.offsets.producers() {
            self.transactions.lock().entry(producer_id).or_default().insert(name.to_owned());
        }
        let mut state: MutexGuard<'_, GroupState> = group.state.lock();
        *state = loaded;
        let mut step = self.new_step();
        self.forget_lost_topics(&mut state, &mut step);
        match &mut state.protocol {
            Protocol::Classic(classic) => classic.resume(&mut step),
            Protocol::Consumer(consumer) => consumer.resume(&mut step, &AllTopics(self)),
        }
        self.finish(&group, state, step, None);
    }

    /// A topic may have been deleted just before the last stop.
    fn forget_lost_topics(&self, state: &mut GroupState, step: &mut Step<'_>) {
        let id = |topic: &str| self.log.topic(topic).ok().map(|topic| topic.id());
        let is_lost = |at: &&TopicPartition| match (id(&at.topic), state.offsets.get(at)) {
            (None, _) => true,
            (Some(id), Some(offset)) => offset.topic_id != id,
            (Some(_), None) => false,
        };
        let lost: Vec<TopicPartition> = state.offsets.partitions().filter(is_lost).cloned().collect();
        lost.iter().for_each(|at| state.offsets.remove(step, at));
    }

    /// Appends the present values of these keys. The group's lock is held, so that records follow one another as the
    /// changes did.
    pub(super) fn write(&self, group: &Arc<Group>, state: &GroupState, keys: BTreeSet<Key>) {
        let (mut entries, mut written, mut bytes) = (Vec::new(), BTreeSet::new(), 0);
        for key in keys {
            let entry: Entry = (key.encode(&group.name), state.value(&key));
            bytes += entry.0.len() + entry.1.as_ref().map_or(0, bytes::Bytes::len);
            entries.push(entry);
            written.insert(key);
            if bytes >= APPEND_BYTES_MAX {
                self.append(group, std::mem::take(&mut entries), std::mem::take(&mut written));
                bytes = 0;
            }
        }
        if !entries.is_empty() {
            self.append(group, entries, written);
        }
    }

    fn append(&self, group: &Arc<Group>, entries: Vec<Entry>, keys: BTreeSet<Key>) {
        let (number, group) = (group.outbox.next_append(), Arc::clone(group));
        self.store.append(&entries, Box::new(move |outcome| group.outbox.settle(number, outcome, &keys)));
    }

    /// The number of a topic's partitions, and its id.
    pub(super) fn topic(&self, name: &str) -> Option<(u128, u32)> {
        let topic = self.log.topic(name).ok().filter(|topic| !crate::topics::is_hidden(topic.name()))?;
        Some((topic.id(), u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX)))
    }

    /// The name of a topic.
    pub(super) fn topic_name(&self, id: u128) -> Option<String> {
        self.log.topic_by_id(id).ok().map(|topic| topic.name().to_owned())
    }

    /// Changes when the topics may have changed.
    pub(super) fn topics_version(&self) -> u64 {
        self.topics_version.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The topics that a pattern may match.
    pub(super) fn topic_names(&self) -> Vec<String> {
        let topics = self.log.topics();
        topics
            .iter()
            .map(|topic| topic.name())
            .filter(|name| !crate::topics::is_internal(name))
            .map(str::to_owned)
            .collect()
    }
}

/// All topics, whoever may see them.
struct AllTopics<'a>(&'a Groups);

impl Topics for AllTopics<'_> {
    fn find(&self, name: &str) -> Option<(u128, u32)> {
        self.0.topic(name)
    }

    fn names(&self) -> Vec<String> {
        self.0.topic_names()
    }

    fn version(&self) -> u64 {
        self.0.topics_version()
    }
}
