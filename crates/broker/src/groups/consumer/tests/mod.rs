//! Consumer groups, driven by hand.

mod assigning;
mod beating;
mod model;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleuve_wire::ErrorCode;

use super::{Assignment, Assignor, Beat, ConsumerGroup, Heartbeat, Member, Topics};
use crate::groups::config::GroupConfig;
use crate::groups::fields::Reader;
use crate::groups::record::{GroupType, Key};
use crate::groups::step::{Counting, Step};

/// Topics by name: id and partitions.
#[derive(Default)]
pub(super) struct TestTopics {
    topics: RefCell<BTreeMap<String, (u128, u32)>>,
    version: Cell<u64>,
}

impl TestTopics {
    pub fn set(&self, name: &str, id: u128, partitions: u32) {
        self.topics.borrow_mut().insert(name.to_owned(), (id, partitions));
        self.version.set(self.version.get() + 1);
    }

    pub fn remove(&self, name: &str) {
        self.topics.borrow_mut().remove(name);
        self.version.set(self.version.get() + 1);
    }
}

impl Topics for TestTopics {
    fn find(&self, name: &str) -> Option<(u128, u32)> {
        self.topics.borrow().get(name).copied()
    }

    fn names(&self) -> Vec<String> {
        self.topics.borrow().keys().cloned().collect()
    }

    fn version(&self) -> u64 {
        self.version.get()
    }
}

/// A group with its surroundings.
pub(super) struct World {
    pub group: ConsumerGroup,
    pub topics: TestTopics,
    pub now: Duration,
    pub config: GroupConfig,
    random: Counting,
    pub wake: Option<Duration>,
    pub dirty: BTreeSet<Key>,
}

pub(super) const REBALANCE: Duration = Duration::from_secs(30);

impl World {
    /// With a topic `t` of six partitions.
    pub fn new() -> Self {
        let topics = TestTopics::default();
        topics.set("t", 1, 6);
        World {
            group: ConsumerGroup::new(0, 0),
            topics,
            now: Duration::from_secs(1000),
            config: GroupConfig::default(),
            random: Counting::default(),
            wake: None,
            dirty: BTreeSet::new(),
        }
    }

    fn step<T>(&mut self, f: impl FnOnce(&mut ConsumerGroup, &mut Step<'_>, &TestTopics) -> T) -> T {
        let now_ms = i64::try_from(self.now.as_millis()).unwrap();
        let mut step = Step::new(self.now, now_ms, &self.config, &self.random);
        let result = f(&mut self.group, &mut step, &self.topics);
        self.dirty.append(&mut step.dirty);
        self.wake = [self.wake, step.wake].into_iter().flatten().min();
        result
    }

    pub fn beat(&mut self, heartbeat: &Heartbeat) -> Result<Beat, ErrorCode> {
        self.step(|group, step, topics| group.heartbeat(step, topics, heartbeat))
    }

    /// Lets time go by.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(wake) = self.wake.filter(|&wake| wake <= end) {
            self.now = self.now.max(wake);
            self.wake = None;
            self.step(|group, step, _| group.tick(step));
            assert!(self.wake.is_none_or(|next| next > wake), "the group would be woken for ever");
        }
        self.now = end;
    }

    /// What a restart makes of what was stored.
    pub fn restart(&mut self) {
        let mut reader = Reader(self.group.encode());
        assert_eq!(GroupType::read(&mut reader).unwrap(), GroupType::Consumer);
        let mut group = ConsumerGroup::decode(&mut reader).unwrap();
        for (id, member) in &self.group.members {
            let mut reader = Reader(member.encode());
            assert_eq!(GroupType::read(&mut reader).unwrap(), GroupType::Consumer);
            group.members.insert(id.clone(), Member::decode(id.clone(), &mut reader).unwrap());
        }
        (self.group, self.wake) = (group, None);
        self.step(|group, step, topics| group.resume(step, topics));
    }
}

/// A well-behaved client: it gives back what it is told to, in its next heartbeat.
#[derive(Debug, Clone, Default)]
pub(super) struct Client {
    pub id: String,
    pub instance: Option<String>,
    pub epoch: i32,
    pub owned: Assignment,
    pub topics: Vec<&'static str>,
    pub regex: Option<&'static str>,
    pub assignor: Option<Assignor>,
    /// It may have missed something.
    pub says_all: bool,
}

impl Client {
    /// Subscribes to `t`.
    pub fn new(id: &str) -> Self {
        Client { id: id.to_owned(), topics: vec!["t"], ..Client::default() }
    }

    /// The heartbeat that it sends next.
    pub fn says(&self) -> Heartbeat {
        let beat = Heartbeat {
            member_id: self.id.clone(),
            epoch: self.epoch,
            instance_id: self.instance.clone(),
            owned: Some(self.owned.clone()),
            ..Heartbeat::default()
        };
        if self.epoch != 0 && !self.says_all {
            return beat;
        }
        Heartbeat {
            client_id: "client".to_owned(),
            rebalance_timeout: Some(REBALANCE),
            topics: Some(self.topics.iter().map(|&topic| topic.to_owned()).collect()),
            regex: self.regex.map(str::to_owned),
            assignor: self.assignor,
            ..beat
        }
    }

    /// Sends a heartbeat and takes over what it is told.
    pub fn beat(&mut self, world: &mut World) -> Result<(), ErrorCode> {
        let beat = world.beat(&self.says())?;
        self.take(beat);
        Ok(())
    }

    pub fn take(&mut self, beat: Beat) {
        (self.id, self.epoch, self.says_all) = (beat.member_id, beat.epoch, false);
        if let Some(assignment) = beat.assignment {
            self.owned = assignment;
        }
    }

    /// Forgets everything, as a client that was fenced off does.
    pub fn reset(&mut self) {
        (self.epoch, self.owned) = (0, Assignment::default());
    }
}

/// Lets all send heartbeats until nothing changes.
pub(super) fn settle(world: &mut World, clients: &mut [Client]) {
    for _ in 0..10 {
        for client in clients.iter_mut() {
            client.beat(world).unwrap();
        }
    }
    assert_eq!(world.group.state_name(), "Stable");
}

pub(super) fn counts(clients: &[Client]) -> Vec<usize> {
    let mut counts: Vec<usize> = clients.iter().map(|client| client.owned.len()).collect();
    counts.sort_unstable();
    counts
}

pub(super) fn partitions(topic: u128, numbers: std::ops::Range<i32>) -> Assignment {
    numbers.map(|number| (topic, number)).collect()
}
