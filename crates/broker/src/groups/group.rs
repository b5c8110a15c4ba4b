//! One group: its protocol, its offsets, and the requests that wait in it.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use fleuve_base::{Error, Result};
use fleuve_wire::ErrorCode;
use parking_lot::Mutex;

use super::classic::{self, ClassicGroup};
use super::consumer::{self, ConsumerGroup};
use super::fields::Reader;
use super::offsets::Offsets;
use super::outbox::Outbox;
use super::record::{GroupType, Key};
use super::step::{Answer, Step, Token};
use crate::timers::TimerId;

/// A group under its lock.
pub(crate) struct Group {
    pub name: String,
    pub state: Mutex<GroupState>,
    pub outbox: Outbox,
}

impl Group {
    /// An empty group.
    pub fn new(name: &str) -> Self {
        Group { name: name.to_owned(), state: Mutex::default(), outbox: Outbox::default() }
    }
}

/// The protocol that a group's members speak. Without members it may change.
pub(crate) enum Protocol {
    Classic(ClassicGroup),
    Consumer(ConsumerGroup),
}

/// Gives a waiting request its answer, or tells why there is none.
pub(crate) type Waiter = Box<dyn FnOnce(Result<Answer, ErrorCode>) + Send>;

/// What a group is.
pub(crate) struct GroupState {
    pub protocol: Protocol,
    pub offsets: Offsets,
    /// Requests that wait for other members.
    pub waiting: HashMap<Token, Waiter>,
    /// When `tick` will be called.
    pub alarm: Option<(Duration, TimerId)>,
    /// It was removed; whoever finds this looks for the group again.
    pub dead: bool,
}

impl Default for GroupState {
    fn default() -> Self {
        GroupState {
            protocol: Protocol::Classic(ClassicGroup::default()),
            offsets: Offsets::default(),
            waiting: HashMap::new(),
            alarm: None,
            dead: false,
        }
    }
}

/// Who commits offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committer {
    pub member_id: String,
    pub instance_id: Option<String>,
    /// Or the member's epoch; −1 for who is no member.
    pub generation: i32,
}

impl GroupState {
    /// Whether nobody is a member.
    pub fn has_no_members(&self) -> bool {
        match &self.protocol {
            Protocol::Classic(group) => group.members.is_empty(),
            Protocol::Consumer(group) => group.members.is_empty(),
        }
    }

    /// The state by the name that clients know.
    pub fn state_name(&self) -> &'static str {
        match &self.protocol {
            Protocol::Classic(group) => group.state.name(),
            Protocol::Consumer(group) => group.state_name(),
        }
    }

    /// Which protocol its members speak.
    pub fn group_type(&self) -> GroupType {
        match &self.protocol {
            Protocol::Classic(_) => GroupType::Classic,
            Protocol::Consumer(_) => GroupType::Consumer,
        }
    }

    /// Since when it has been empty, if it has ever had members.
    fn empty_since_ms(&self) -> Option<i64> {
        match &self.protocol {
            Protocol::Classic(group) => group.protocol_type.as_ref().map(|_| group.state_since_ms),
            Protocol::Consumer(group) => Some(group.state_since_ms),
        }
    }

    /// The classic group, which an empty one of the other protocol becomes.
    pub fn as_classic(&mut self, step: &mut Step<'_>) -> Result<&mut ClassicGroup, ErrorCode> {
        if let Protocol::Consumer(group) = &self.protocol {
            if !group.members.is_empty() {
                return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
            }
            step.change(Key::Group);
            self.protocol = Protocol::Classic(ClassicGroup::new(group.epoch));
        }
        self.classic().ok_or(ErrorCode::INCONSISTENT_GROUP_PROTOCOL)
    }

    /// The consumer group, which an empty one of the other protocol becomes.
    pub fn as_consumer(&mut self, step: &mut Step<'_>) -> Result<&mut ConsumerGroup, ErrorCode> {
        if let Protocol::Classic(group) = &self.protocol {
            if !group.members.is_empty() {
                return Err(ErrorCode::GROUP_ID_NOT_FOUND);
            }
            step.change(Key::Group);
            self.protocol = Protocol::Consumer(ConsumerGroup::new(group.generation, step.now_ms));
        }
        self.consumer().ok_or(ErrorCode::GROUP_ID_NOT_FOUND)
    }

    /// The classic group, if it is one.
    pub fn classic(&mut self) -> Option<&mut ClassicGroup> {
        match &mut self.protocol {
            Protocol::Classic(group) => Some(group),
            Protocol::Consumer(_) => None,
        }
    }

    /// The consumer group, if it is one.
    pub fn consumer(&mut self) -> Option<&mut ConsumerGroup> {
        match &mut self.protocol {
            Protocol::Consumer(group) => Some(group),
            Protocol::Classic(_) => None,
        }
    }

    /// Whether this committer may commit now. It is heard of by this, too.
    pub fn check_commit(&mut self, step: &mut Step<'_>, who: &Committer, transactional: bool) -> Result<(), ErrorCode> {
        let instance_id = who.instance_id.as_deref();
        match &mut self.protocol {
            Protocol::Classic(group) => {
                group.check_commit(&who.member_id, instance_id, who.generation, transactional)?;
                group.keep_alive(step, &who.member_id);
                Ok(())
            }
            Protocol::Consumer(group) => group.check_commit(&who.member_id, who.generation, transactional),
        }
    }

    /// Whether a member reads this topic, as far as the broker can know.
    pub fn subscribes(&self, topic: &str) -> bool {
        match &self.protocol {
            Protocol::Classic(group) => group.subscribes(topic),
            Protocol::Consumer(group) => group.wants(topic),
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, step: &mut Step<'_>) {
        match &mut self.protocol {
            Protocol::Classic(group) => group.tick(step),
            Protocol::Consumer(group) => group.tick(step),
        }
    }

    /// Forgets offsets that are too old: those of a group without members, once it has been so for the retention time.
    /// Afterwards a group that holds nothing more may be removed.
    pub fn expire_offsets(&mut self, step: &mut Step<'_>) {
        let retention = step.config.offsets_retention;
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let empty_for_long =
            self.empty_since_ms().is_none_or(|since| since.saturating_add(retention_ms) <= step.now_ms);
        if self.has_no_members() && empty_for_long {
            self.offsets.expire(step, retention);
        }
    }

    /// Whether it can be removed.
    pub fn is_idle(&self) -> bool {
        self.has_no_members() && self.offsets.is_empty() && self.waiting.is_empty()
    }

    /// The present value of a record.
    pub fn value(&self, key: &Key) -> Option<Bytes> {
        if self.dead {
            return None;
        }
        match (key, &self.protocol) {
            (Key::Offset(at), _) => self.offsets.encode(at),
            (Key::Staged(producer_id, at), _) => self.offsets.encode_staged(*producer_id, at),
            (Key::Member(id), Protocol::Classic(group)) => group.members.get(id).map(classic::Member::encode),
            (Key::Member(id), Protocol::Consumer(group)) => group.members.get(id).map(consumer::Member::encode),
            (Key::Group, Protocol::Classic(group)) => Some(group.encode()),
            (Key::Group, Protocol::Consumer(group)) => Some(group.encode()),
        }
    }
}

/// What is read of a group before it is known which protocol it speaks: the members come before the group.
#[derive(Default)]
pub(crate) struct Loading {
    offsets: Offsets,
    members: HashMap<String, Bytes>,
    group: Option<Bytes>,
}

impl Loading {
    /// Takes up a record.
    pub fn load(&mut self, key: Key, value: Option<Bytes>) -> Result<()> {
        match key {
            Key::Offset(at) => self.offsets.load(at, value)?,
            Key::Staged(producer_id, at) => self.offsets.load_staged(producer_id, at, value)?,
            Key::Group => self.group = value,
            Key::Member(id) => match value {
                Some(value) => _ = self.members.insert(id, value),
                None => _ = self.members.remove(&id),
            },
        }
        Ok(())
    }

    /// Whether nothing is left of the group.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty() && self.members.is_empty() && self.group.is_none()
    }

    /// The group as it was stored.
    pub fn finish(self) -> Result<GroupState> {
        let mut state = GroupState { offsets: self.offsets, ..GroupState::default() };
        let Some(group) = self.group else { return Ok(state) };
        let mut reader = Reader(group);
        state.protocol = match GroupType::read(&mut reader)? {
            GroupType::Classic => Protocol::Classic(load_classic(&mut reader, self.members)?),
            GroupType::Consumer => Protocol::Consumer(load_consumer(&mut reader, self.members)?),
        };
        Ok(state)
    }
}

fn load_classic(reader: &mut Reader, members: HashMap<String, Bytes>) -> Result<ClassicGroup> {
    let mut group = ClassicGroup::decode(reader)?;
    for (id, value) in members {
        let mut reader = typed(value, GroupType::Classic)?;
        group.members.insert(id.clone(), classic::Member::decode(id, &mut reader)?);
    }
    Ok(group)
}

fn load_consumer(reader: &mut Reader, members: HashMap<String, Bytes>) -> Result<ConsumerGroup> {
    let mut group = ConsumerGroup::decode(reader)?;
    for (id, value) in members {
        let mut reader = typed(value, GroupType::Consumer)?;
        group.members.insert(id.clone(), consumer::Member::decode(id, &mut reader)?);
    }
    Ok(group)
}

fn typed(value: Bytes, expected: GroupType) -> Result<Reader> {
    let mut reader = Reader(value);
    if GroupType::read(&mut reader)? == expected {
        return Ok(reader);
    }
    Err(Error::corrupt("a member of a group is of another type than its group"))
}
