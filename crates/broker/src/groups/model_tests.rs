//! Offsets of several groups against a map: random commits, transactions, restarts and power cuts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use fleuve_base::fs_memory::Unsynced;
use fleuve_base::{Env, MemoryFs};
use fleuve_journal::{CommitMode, Log, LogOptions, TopicConfig};
use fleuve_wire::ErrorCode;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::commit::NewOffset;
use super::record::TopicPartition;
use super::{GroupConfig, Groups, StagedOffset, Staging};
use crate::timers::Timers;
use crate::transactions::StagedOffsets;

const GROUPS: usize = 2;
const PARTITIONS: i32 = 2;
const PRODUCERS: i64 = 2;

#[derive(Debug, Clone)]
enum Event {
    /// Group, partition, offset.
    Commit(usize, i32, i64),
    /// Producer, group, partition, offset.
    Stage(i64, usize, i32, i64),
    Complete(i64, bool),
    Sync,
    Restart,
    PowerCut,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let (group, partition, offset) = (0..GROUPS, 0..PARTITIONS, 0..1000i64);
    let event = prop_oneof![
        4 => (group.clone(), partition.clone(), offset.clone()).prop_map(|(g, p, o)| Event::Commit(g, p, o)),
        4 => (0..PRODUCERS, group, partition, offset).prop_map(|(id, g, p, o)| Event::Stage(id, g, p, o)),
        3 => (0..PRODUCERS, any::<bool>()).prop_map(|(id, commit)| Event::Complete(id, commit)),
        3 => Just(Event::Sync),
        1 => Just(Event::Restart),
        1 => Just(Event::PowerCut),
    ];
    prop::collection::vec(event, 0..60)
}

/// What should be: offsets, and what transactions hold ready, each with its place in the order of commits.
#[derive(Debug, Clone, Default, PartialEq)]
struct Expected {
    commits: u64,
    offsets: BTreeMap<(usize, i32), (u64, i64)>,
    staged: BTreeMap<(i64, usize, i32), (u64, i64)>,
}

impl Expected {
    fn apply(&mut self, event: &Event) {
        self.commits += 1;
        match *event {
            Event::Commit(group, partition, offset) => {
                self.offsets.insert((group, partition), (self.commits, offset));
            }
            Event::Stage(id, group, partition, offset) => {
                self.staged.insert((id, group, partition), (self.commits, offset));
            }
            Event::Complete(id, commit) => {
                let ended: Vec<_> = self.staged.extract_if(.., |(of, _, _), _| *of == id).collect();
                for ((_, group, partition), new) in ended.into_iter().filter(|_| commit) {
                    let known = self.offsets.entry((group, partition)).or_insert(new);
                    *known = new.max(*known);
                }
            }
            Event::Sync | Event::Restart | Event::PowerCut => {}
        }
    }
}

struct Model {
    fs: MemoryFs,
    log: Arc<Log>,
    groups: Arc<Groups>,
    now: Expected,
    durable: Expected,
    /// Requests that are not answered yet.
    waiting: Arc<Mutex<u32>>,
}

fn name(group: usize) -> String {
    format!("g{group}")
}

fn open(fs: &MemoryFs) -> (Arc<Log>, Arc<Groups>) {
    let env = Env { fs: Arc::new(fs.clone()), ..Env::system() };
    let log = Log::open(env.clone(), Path::new("/data"), LogOptions { commit: CommitMode::Manual }).unwrap();
    if log.topic("t").is_err() {
        log.create_topic("t", PARTITIONS as u32, TopicConfig::default()).unwrap();
    }
    let groups = Groups::open(env, Arc::clone(&log), Arc::new(Timers::new()), GroupConfig::default()).unwrap();
    (log, groups)
}

impl Model {
    fn new() -> Self {
        let fs = MemoryFs::new();
        let (log, groups) = open(&fs);
        Model { fs, log, groups, now: Expected::default(), durable: Expected::default(), waiting: Arc::default() }
    }

    fn run(&mut self, event: &Event) {
        self.now.apply(event);
        match *event {
            Event::Commit(group, partition, offset) => self.commit(group, partition, offset),
            Event::Stage(id, group, partition, offset) => self.stage(id, group, partition, offset),
            Event::Complete(id, commit) => {
                let done = self.asked();
                Arc::clone(&self.groups).complete(id, commit, Box::new(move |outcome| done(outcome.is_ok())));
            }
            Event::Sync => self.sync(),
            Event::Restart => {
                self.sync();
                self.groups.close();
                self.log.close().unwrap();
                (self.log, self.groups) = open(&self.fs);
            }
            Event::PowerCut => {
                self.fs = self.fs.crash(Unsynced::Lost);
                (self.log, self.groups) = open(&self.fs);
                self.now = self.durable.clone();
                *self.waiting.lock() = 0;
            }
        }
    }

    /// Notes a request; what comes back is called with its success.
    fn asked(&self) -> impl FnOnce(bool) + Send + 'static {
        *self.waiting.lock() += 1;
        let waiting = Arc::clone(&self.waiting);
        move |ok| {
            assert!(ok, "nothing fails here");
            let mut waiting = waiting.lock();
            *waiting = waiting.saturating_sub(1);
        }
    }

    fn commit(&self, group: usize, partition: i32, offset: i64) {
        let (done, groups) = (self.asked(), Arc::clone(&self.groups));
        let commit = move |state: &mut super::group::GroupState, step: &mut super::step::Step<'_>| {
            let at = TopicPartition::new("t", partition);
            let new = groups.checked(step, &at, NewOffset { offset, leader_epoch: 0, metadata: None }).unwrap();
            state.offsets.commit(step, at, new);
        };
        self.groups.step(&name(group), true, commit, move |outcome| done(outcome.is_ok()));
    }

    fn stage(&self, producer_id: i64, group: usize, partition: i32, offset: i64) {
        let done = self.asked();
        let topic = "t".to_owned();
        let offset = StagedOffset { topic, partition, offset, leader_epoch: -1, metadata: None };
        let staging = Staging {
            producer_id,
            producer_epoch: 0,
            group: name(group),
            member_id: String::new(),
            instance_id: None,
            generation: -1,
            offsets: vec![offset],
        };
        self.groups.stage_offsets(staging, move |codes| done(codes == [ErrorCode::NONE]));
    }

    fn sync(&mut self) {
        self.log.commit_now().unwrap();
        assert_eq!(*self.waiting.lock(), 0, "all that is durable is answered");
        self.durable = self.now.clone();
    }

    fn check(&self) {
        for group in 0..GROUPS {
            for partition in 0..PARTITIONS {
                let at = TopicPartition::new("t", partition);
                let known = self.groups.step_now(&name(group), |state, _| {
                    (state.offsets.get(&at).map(|offset| offset.offset), state.offsets.is_unstable(&at))
                });
                let offset = self.now.offsets.get(&(group, partition)).map(|(_, offset)| *offset);
                let unstable = self.now.staged.keys().any(|(_, g, p)| (*g, *p) == (group, partition));
                assert_eq!(known.unwrap_or_default(), (offset, unstable));
            }
        }
        let staged: BTreeSet<(i64, String)> = self.groups.staged().into_iter().collect();
        let expected = self.now.staged.keys().map(|(id, group, _)| (*id, name(*group)));
        assert!(expected.collect::<BTreeSet<_>>().is_subset(&staged), "every transaction is found");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn offsets_are_what_was_committed_whatever_happens(events in events()) {
        let mut model = Model::new();
        for event in &events {
            model.run(event);
            model.check();
        }
    }
}
