//! Classic groups, driven by hand: a clock that stands still until it is moved, and every answer in view.

mod expiry;
mod joining;
mod model;
mod statics;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use fleuve_wire::ErrorCode;

use super::{ClassicGroup, Join, Joined, Leave, Member, State, Sync, Synced};
use crate::groups::config::GroupConfig;
use crate::groups::fields::Reader;
use crate::groups::record::{GroupType, Key};
use crate::groups::step::{Answer, Counting, Step, Token};

/// A group with its surroundings.
pub(super) struct World {
    pub group: ClassicGroup,
    pub now: Duration,
    pub config: GroupConfig,
    random: Counting,
    tokens: Token,
    pub answers: Vec<(Token, Answer)>,
    pub dirty: BTreeSet<Key>,
    pub wake: Option<Duration>,
}

pub(super) const SESSION: Duration = Duration::from_secs(10);
pub(super) const REBALANCE: Duration = Duration::from_secs(60);

impl World {
    /// Without initial delay.
    pub fn new() -> Self {
        let config = GroupConfig { initial_rebalance_delay: Duration::ZERO, ..GroupConfig::default() };
        World {
            group: ClassicGroup::default(),
            now: Duration::from_secs(1000),
            config,
            random: Counting::default(),
            tokens: 0,
            answers: vec![],
            dirty: BTreeSet::new(),
            wake: None,
        }
    }

    pub fn step<T>(&mut self, f: impl FnOnce(&mut ClassicGroup, &mut Step<'_>, Token) -> T) -> T {
        let now_ms = i64::try_from(self.now.as_millis()).unwrap();
        let mut step = Step::new(self.now, now_ms, &self.config, &self.random);
        self.tokens += 1;
        let result = f(&mut self.group, &mut step, self.tokens);
        self.answers.append(&mut step.answers);
        self.dirty.append(&mut step.dirty);
        self.wake = [self.wake, step.wake].into_iter().flatten().min();
        result
    }

    /// Lets time go by; the group is woken when it has asked for.
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

    /// Sends a JoinGroup.
    pub fn join(&mut self, join: Join) -> Token {
        self.step(|group, step, token| {
            group.join(step, token, join);
            token
        })
    }

    pub fn joined(&mut self, token: Token) -> Option<Joined> {
        match self.take(token)? {
            Answer::Join(joined) => Some(joined),
            Answer::Sync(synced) => panic!("{synced:?} for a join"),
        }
    }

    pub fn synced(&mut self, token: Token) -> Option<Synced> {
        match self.take(token)? {
            Answer::Sync(synced) => Some(synced),
            Answer::Join(joined) => panic!("{joined:?} for a sync"),
        }
    }

    fn take(&mut self, token: Token) -> Option<Answer> {
        let at = self.answers.iter().position(|(of, _)| *of == token)?;
        Some(self.answers.remove(at).1)
    }

    /// Sends a SyncGroup with these assignments.
    pub fn sync(&mut self, member_id: &str, generation: i32, assignments: &[(&str, &str)]) -> Token {
        let owned = |&(id, text): &(&str, &str)| (id.to_owned(), Bytes::copy_from_slice(text.as_bytes()));
        let assignments = assignments.iter().map(owned).collect();
        let sync = Sync { member_id: member_id.to_owned(), generation, assignments, ..Sync::default() };
        self.step(|group, step, token| {
            group.sync(step, token, sync);
            token
        })
    }

    pub fn heartbeat(&mut self, member_id: &str, generation: i32) -> Result<(), ErrorCode> {
        self.step(|group, step, _| group.heartbeat(step, member_id, None, generation))
    }

    pub fn leave(&mut self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        let leave = Leave { member_id: member_id.to_owned(), instance_id: instance_id.map(str::to_owned) };
        self.step(|group, step, _| group.leave(step, &leave))
    }

    /// Joins and has the answer at once.
    pub fn join_now(&mut self, join: Join) -> Joined {
        let token = self.join(join);
        self.joined(token).expect("an answer at once")
    }

    /// Brings these clients through their first generation, and gives their member ids, the leader's first.
    pub fn stable(&mut self, names: &[&str]) -> Vec<String> {
        let mut ids = vec![self.join_now(dynamic(names[0])).member_id];
        for name in &names[1..] {
            let newcomer = self.join(dynamic(name));
            let others: Vec<Token> = ids.iter().map(|id| self.join(again(id))).collect();
            let mut joined = self.joined(newcomer);
            for other in others {
                let answer = self.joined(other);
                joined = joined.or(answer);
            }
            ids.push(self.group.members.keys().find(|id| id.starts_with(name)).unwrap().clone());
        }
        let leader = self.group.leader.clone().unwrap();
        ids.sort_by_key(|id| *id != leader);
        let assignments: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), id.as_str())).collect();
        let generation = self.group.generation;
        self.sync(&leader, generation, &assignments);
        for id in &ids[1..] {
            self.sync(id, generation, &[]);
        }
        self.answers.clear();
        assert_eq!(self.group.state, State::Stable);
        ids
    }

    /// What a restart makes of what was stored.
    pub fn restart(&mut self) {
        let mut reader = Reader(self.group.encode());
        assert_eq!(GroupType::read(&mut reader).unwrap(), GroupType::Classic);
        let mut group = ClassicGroup::decode(&mut reader).unwrap();
        for (id, member) in &self.group.members {
            let mut reader = Reader(member.encode());
            assert_eq!(GroupType::read(&mut reader).unwrap(), GroupType::Classic);
            group.members.insert(id.clone(), Member::decode(id.clone(), &mut reader).unwrap());
        }
        (self.group, self.wake) = (group, None);
        self.answers.clear();
        self.step(|group, step, _| group.resume(step));
    }
}

/// A client without id, of a version that takes membership at once.
pub(super) fn dynamic(client_id: &str) -> Join {
    Join {
        member_id: String::new(),
        instance_id: None,
        client_id: client_id.to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        protocol_type: "consumer".to_owned(),
        protocols: protocols(&["range"]),
        takes_member_id: false,
        skips_assignment: true,
    }
}

/// A member that joins again.
pub(super) fn again(member_id: &str) -> Join {
    let client_id = member_id.split('-').next().unwrap_or_default();
    Join { member_id: member_id.to_owned(), ..dynamic(client_id) }
}

/// A static member that starts.
pub(super) fn with_instance(instance: &str) -> Join {
    Join { instance_id: Some(instance.to_owned()), ..dynamic("client") }
}

pub(super) fn protocols(names: &[&str]) -> Vec<(String, Bytes)> {
    names.iter().map(|&name| (name.to_owned(), Bytes::copy_from_slice(name.as_bytes()))).collect()
}
